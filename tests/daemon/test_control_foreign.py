"""The control socket against others: another user of the machine, and whatever bytes anybody sends."""

import asyncio
import contextlib
import json
import os
import random
import socket
import tempfile
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.conftest import PROVING
from tests.daemon.desk import Desk, opened_desk
from tradebot.daemon.control import Bounds, ControlServer
from tradebot.daemon.control_verbs import Control

NOBODY = 65_534
COUNT = 2_000 if PROVING else 150
FAST = Bounds(ask_within=0.2, answer_within=5.0)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened_desk(tmp_path) as found:
        yield found


@pytest.fixture
def folder() -> Iterator[Path]:
    """A private folder at a place that everybody may pass through (that of the tests is root's alone)."""
    with tempfile.TemporaryDirectory() as found:
        yield Path(found)


# --- what is sent ---------------------------------------------------------------------------------


def _good(rng: random.Random) -> bytes:
    verb = rng.choice(["halt", "flatten", "stop", "resume", "pause", "adopt"])
    key = f"{rng.getrandbits(64):016x}"
    return f"POST /v1/{verb} HTTP/1.1\r\nHost: x\r\nIdempotency-Key: {key}\r\nContent-Length: 2\r\n\r\n{{}}".encode()


def _broken(rng: random.Random) -> bytes:
    """Return a request that is none: nothing in it may be taken for a word of the owner."""
    head = b"POST /v1/halt HTTP/1.1\r\nHost: x\r\nIdempotency-Key: 12345678\r\n"
    kind = rng.randrange(9)
    if kind == 0:
        return rng.randbytes(rng.randint(1, 2_000))
    if kind == 1:  # half a request
        good = _good(rng)
        return good[: rng.randrange(1, len(good) - 1)]
    if kind == 2:  # said to be larger than it may be
        return head + b"Content-Length: %d\r\n\r\n{}" % rng.randint(16_385, 2**40)
    if kind == 3:  # and larger than it may be
        body = b'{"reason": "' + b"x" * rng.randint(16_384, 200_000) + b'"}'
        return head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    if kind == 4:  # without an end
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + b"ffff\r\n" + rng.randbytes(70_000)
    if kind == 5:  # heads that never end
        return b"GET /v1/status HTTP/1.1\r\n" + b"".join(
            b"X-%d: %s\r\n" % (i, b"y" * 500) for i in range(300)
        )
    if kind == 6:  # deep
        return head + b"Content-Length: 16000\r\n\r\n" + b"[" * 16_000
    if kind == 7:  # another language
        return b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(500)
    return head + b"Content-Length: -1\r\nContent-Length: 7\r\n\r\n" + rng.randbytes(7)


def _exchange(path: str, data: bytes) -> bytes:
    """Send and read the answer to its end, as a blocking client."""
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(10.0)
        one.connect(path)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            one.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := one.recv(65_536):
                answer += part
        return answer


async def _as_nobody(act: Callable[[], Any]) -> Any:
    """Do something in a process of the user nobody, and return what it returns, or its error's name."""
    out, into = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads: the child calls no lock
        pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            said = act()
        except OSError as exc:
            said = type(exc).__name__
        os.write(into, json.dumps(said).encode())
        os._exit(0)
    os.close(into)
    with open(out, "rb") as pipe:
        said = await asyncio.to_thread(pipe.read)
    await asyncio.to_thread(os.waitpid, pid, 0)
    return json.loads(said)


# --- another user ---------------------------------------------------------------------------------


@root_only
async def test_another_user_is_kept_out_by_folder_by_socket_and_by_the_kernels_word(
    desk: Desk, folder: Path, rng: random.Random
) -> None:
    path = folder / "c.sock"
    asked: list[object] = []

    async def answer(question: Any) -> Any:
        asked.append(question)
        return await Control(desk.daemon).answer(question)

    def halting() -> str:
        return _exchange(str(path), _good(rng)).decode()

    def fuzzing() -> dict[str, int]:
        chance, answers = random.Random(rng.random()), dict[str, int]()
        for _ in range(COUNT):
            data = _good(chance) if chance.random() < 0.3 else _broken(chance)
            first = _exchange(str(path), data).split(b"\r\n")[0].decode()
            answers[first] = answers.get(first, 0) + 1
        return answers

    async with ControlServer(path, answer, bounds=FAST):
        assert await _as_nobody(halting) == "PermissionError"  # its folder is the daemon's own
        folder.chmod(0o755)
        assert await _as_nobody(halting) == "PermissionError"  # and so is the socket
        path.chmod(0o666)  # somebody opened it up: the kernel still says who asks
        refused = await _as_nobody(halting)
        assert refused.startswith("HTTP/1.1 403 Refused")
        assert json.loads(refused.partition("\r\n\r\n")[2])["error"]["exit_code"] == 77
        assert set(await _as_nobody(fuzzing)) <= {"HTTP/1.1 403 Refused", ""}
        assert asked == []
        status = await asyncio.to_thread(_exchange, str(path), b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status.startswith(b"HTTP/1.1 200")
    assert not desk.halts.all
    assert desk.is_alive


# --- any bytes ------------------------------------------------------------------------------------


async def test_no_bytes_end_it_or_are_taken_for_a_word(desk: Desk, folder: Path, rng: random.Random) -> None:
    path = folder / "c.sock"
    statuses: set[bytes] = set()
    async with ControlServer(path, Control(desk.daemon).answer, bounds=FAST):
        for _ in range(COUNT):
            answer = await asyncio.to_thread(_exchange, str(path), _broken(rng))
            statuses.add(answer.split(b"\r\n")[0][:12])
        status = await asyncio.to_thread(_exchange, str(path), b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status.startswith(b"HTTP/1.1 200")
    assert statuses <= {b"", b"HTTP/1.1 400", b"HTTP/1.0 400"}
    assert not desk.halts.all
    assert desk.is_alive


async def test_who_asks_a_letter_at_a_time_is_cut_off_and_keeps_nobody_else_waiting(
    desk: Desk, folder: Path
) -> None:
    path = folder / "c.sock"
    loop = asyncio.get_running_loop()

    async def drip(gone: list[float]) -> None:
        reader, writer = await asyncio.open_unix_connection(str(path))
        begun = loop.time()
        try:
            for letter in b"GET /v1/status HTTP/1.1\r\nHost: " + b"x" * 10_000:
                writer.write(bytes([letter]))
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await reader.read(1)  # returns only once the connection is at its end
                        break
        except (ConnectionResetError, BrokenPipeError):
            pass
        gone.append(loop.time() - begun)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async with ControlServer(path, Control(desk.daemon).answer, bounds=FAST):
        gone: list[float] = []
        slow = [asyncio.create_task(drip(gone)) for _ in range(8)]
        await asyncio.sleep(0)
        status = await asyncio.to_thread(_exchange, str(path), b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status.startswith(b"HTTP/1.1 200")
        assert len(gone) == 0
        await asyncio.wait(slow)
    assert len(gone) == 8
    assert desk.is_alive

"""What leaves the machine, against a real server on this machine."""

import asyncio
import json
import os
from contextlib import suppress

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tradebot.daemon.alerts import Message, Severity
from tradebot.daemon.secrets import Secret
from tradebot.daemon.sending import DeadMan, ping, send_by_apprise

MESSAGE = Message(severity=Severity.ERROR, title="PAPER bot: halted", body="drawdown 15.2 % <b>of 15 %</b>")
CANARY = "canary-S3cret-0123456789"


async def test_message_arrives_as_it_was_written(httpserver: HTTPServer) -> None:
    httpserver.expect_request(f"/hook/{CANARY}", method="POST").respond_with_data("ok")
    url = Secret(f"json://127.0.0.1:{httpserver.port}/hook/{CANARY}")

    assert await send_by_apprise(url, MESSAGE) is None
    ((request, _),) = httpserver.log
    body = json.loads(request.get_data())
    assert (body["title"], body["message"], body["type"]) == (MESSAGE.title, MESSAGE.body, "failure")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("json://127.0.0.1:{port}/refusing", "error=403"),
        ("json://127.0.0.1:1/nobody", "onnection error"),
        ("nope://127.0.0.1", "apprise does not know this kind of address"),
    ],
)
async def test_failure_comes_back_as_words(httpserver: HTTPServer, url: str, why: str) -> None:
    httpserver.expect_request("/refusing").respond_with_data("no", status=403)

    told = await send_by_apprise(Secret(url.format(port=httpserver.port)), MESSAGE)
    assert told is not None
    assert why in told


async def test_service_that_never_answers_is_left(httpserver: HTTPServer) -> None:
    assert await send_by_apprise(Secret("json://127.0.0.1:1"), MESSAGE, timeout_s=0.01) == (
        "no answer within 0.01 s"
    )


async def test_the_sending_process_gets_no_keys(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []

    def look(request: Request) -> Response:
        # Ours is the only child at this moment, and this server runs in our process.
        for pid in children():
            for name in ("environ", "cmdline"):
                with suppress(OSError), open(f"/proc/{pid}/{name}", "rb") as file:
                    seen.append(file.read())
        return Response("ok")

    monkeypatch.setenv("APCA_API_SECRET_KEY", CANARY)
    httpserver.expect_request(f"/{CANARY}").respond_with_handler(look)

    assert await send_by_apprise(Secret(f"json://127.0.0.1:{httpserver.port}/{CANARY}"), MESSAGE) is None
    assert any(b"apprise_child" in text for text in seen)
    assert not [text for text in seen if CANARY.encode() in text]


def children() -> list[int]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError), open(f"/proc/{pid}/stat") as file:
            if int(file.read().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(pid))
    return found


async def test_ping_is_one_request(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/ok").respond_with_data("OK")
    httpserver.expect_request("/gone").respond_with_data("", status=404)

    assert await ping(Secret(httpserver.url_for("/ok"))) is None
    assert await ping(Secret(httpserver.url_for("/gone"))) == "answered with status 404"
    assert "Cannot connect" in str(await ping(Secret("http://127.0.0.1:1/")))
    assert "InvalidUrl" in str(await ping(Secret("nope")))


class Watchman:
    """Counts pings and fails as often as told."""

    def __init__(self, fails: int = 0) -> None:
        self.heard, self.fails = 0, fails

    async def __call__(self, url: Secret) -> str | None:
        await asyncio.sleep(0)
        if self.fails:
            self.fails -= 1
            return "lost"
        self.heard += 1
        return None


def dead_man(watchman: Watchman, trading: list[bool], failed: list[str]) -> DeadMan:
    return DeadMan(
        Secret("http://x/"),
        0.0,
        lambda: trading[0],
        failed=failed.append,
        request=watchman,
        retry_s=(0.0, 0.0),
    )


async def test_ping_goes_on_while_trading_and_stops_when_trading_stops() -> None:
    watchman, trading = Watchman(), [True]
    task = asyncio.create_task(dead_man(watchman, trading, []).run())
    while watchman.heard < 5:
        await asyncio.sleep(0)
    trading[0] = False
    for _ in range(3):  # a request under way may still arrive
        await asyncio.sleep(0)
    heard = watchman.heard
    for _ in range(50):
        await asyncio.sleep(0)
    assert watchman.heard == heard

    trading[0] = True
    while watchman.heard == heard:
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_lost_ping_is_sent_again_and_a_dead_watchman_is_told_of() -> None:
    failed: list[str] = []

    assert await dead_man(Watchman(fails=2), [True], failed).beat()
    assert failed == []
    assert not await dead_man(Watchman(fails=3), [True], failed).beat()
    assert failed == ["lost"]

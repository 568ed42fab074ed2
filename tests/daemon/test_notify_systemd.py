"""What systemd is told, over a real socket, and what it is not."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradebot.daemon.notify_systemd import Notifier, Watchdog


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """The end of the line that systemd holds, and the environment it gives a service."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@tradebot-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(name.replace("@", "\0"))
        line.setblocking(False)
        yield line, {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}


def told(line: socket.socket) -> list[str]:
    found = []
    try:
        while True:
            found.append(line.recv(4096).decode())
    except BlockingIOError:
        return found


def test_each_word_arrives_as_systemd_reads_it(systemd: tuple[socket.socket, dict[str, str]]) -> None:
    line, env = systemd
    notifier = Notifier(env)
    notifier.status("replaying\nREADY=1")
    notifier.extend(90)
    notifier.ready("PAPER, 2 positions")
    notifier.stopping("cancelling entries")

    assert told(line) == [
        "STATUS=replaying READY=1",
        "EXTEND_TIMEOUT_USEC=90000000",
        "READY=1\nSTATUS=PAPER, 2 positions",
        "STOPPING=1\nSTATUS=cancelling entries",
    ]


def test_watchdog_is_fed_by_healthy_cycles_only(systemd: tuple[socket.socket, dict[str, str]]) -> None:
    line, env = systemd
    watchdog = Watchdog(Notifier(env), env)
    assert watchdog.limit_s == 60.0
    assert told(line) == []

    fed = []
    for now in range(100, 160):
        watchdog.healthy_cycle(float(now))
        fed += [now for _ in told(line)]
    assert fed == [100, 115, 130, 145]

    watchdog.healthy_cycle(1_000.0)  # after a long silence the first good cycle counts at once
    assert told(line) == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"},
    ],
)
def test_watchdog_of_nobody_or_of_another_process_is_off(env: dict[str, str]) -> None:
    watchdog = Watchdog(Notifier(env), env)
    watchdog.healthy_cycle(0.0)

    assert watchdog.limit_s is None


@pytest.mark.parametrize("name", ["", "/nowhere/notify"])
def test_without_systemd_nothing_happens(name: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready("")
    notifier.status("x")


def test_systemd_that_does_not_read_holds_nobody_up(systemd: tuple[socket.socket, dict[str, str]]) -> None:
    _, env = systemd
    notifier = Notifier(env)
    for _ in range(10_000):
        notifier.status("x" * 1_000)

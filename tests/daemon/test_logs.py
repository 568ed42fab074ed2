"""What the daemon says arrives once, in the right form, without secrets, and never in floods."""

import io
import json
import logging
import os
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from tradebot.daemon.logs import Logs, LogSettings, under_journal
from tradebot.daemon.redact import Redactor
from tradebot.daemon.secrets import Secret

CANARY = "canary-S3cret/0123456789"
NINE_NS = 1_777_885_200_123_000_000


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """A monotonic clock that goes when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """Logs that lead into a text, with a clock in our hand."""

    def __init__(self, stream: io.StringIO | None = None, **settings: Any) -> None:
        self.stream, self.clock = stream or io.StringIO(), Clock()
        self.logs = Logs(
            LogSettings(**settings),
            Redactor([Secret(CANARY)]),
            stream=self.stream,
            env={"NO_COLOR": "1"},
            monotonic=self.clock,
            wall_ns=lambda: NINE_NS,
        )

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    with made.logs:
        yield made


def test_a_line_is_json_with_time_level_and_fields(stage: Stage) -> None:
    structlog.get_logger().warning("feed_stale", instrument="SPX", age_s=12.4)

    assert stage.lines == [
        {"at": "2026-05-04T09:00:00.123Z", "level": "warning", "event": "feed_stale", "instrument": "SPX", "age_s": 12.4}
    ]  # fmt: skip


def test_lines_below_the_level_are_not_written(stage: Stage) -> None:
    structlog.get_logger().debug("detail")

    assert stage.lines == []


def test_a_terminal_gets_plain_lines_that_cannot_command_it() -> None:
    stage = Stage(Terminal())
    with stage.logs:
        structlog.get_logger().error("order_refused", reason="\x1b[2J\nforged line \u202e", qty=3)

    (line,) = stage.stream.getvalue().splitlines()
    assert line.startswith("2026-05-04T09:00:00.123Z [error    ] order_refused")
    assert "qty=3" in line
    assert "x0aforged line" in line
    assert line.isprintable()


def test_journald_is_told_the_priority_of_each_line() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, os.fdopen(ours.detach(), "w", encoding="utf-8") as stream:
        found = os.fstat(stream.fileno())
        env = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        with Logs(LogSettings(), Redactor(), stream=stream, env=env):
            structlog.get_logger().info("started")
            structlog.get_logger().critical("halted")
        told = theirs.recv(10_000).decode().splitlines()

    assert [line[:4] for line in told] == ["<6>{", "<2>{"]


def test_stream_that_is_not_the_journals_gets_no_priority(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as stream:
        assert not under_journal(stream, {"INVOCATION_ID": "abc", "JOURNAL_STREAM": "1:2"})
        assert not under_journal(stream, {})
    assert not under_journal(io.StringIO(), {"JOURNAL_STREAM": "1:2"})


def say_secrets() -> None:
    log = structlog.get_logger()
    log.info(f"event {CANARY}")  # noqa: G004
    log.info("field", url=f"https://x/?k={CANARY}", nested={"a": [CANARY]}, secret=Secret(CANARY))
    log.bind(account=CANARY).info("bound")
    log.info("long", body="x" * 3_990 + CANARY + "y" * 5_000)
    log.info("longest", body=[CANARY + "z" * 3_000] * 20)
    logging.getLogger("urllib3").warning("Retrying %s", CANARY)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"old {CANARY}", stacklevel=1)
    try:
        raise ValueError(f"bad {CANARY}") from KeyError(CANARY)
    except ValueError:
        log.exception("failed")


def test_no_secret_is_written_whichever_way_it_comes() -> None:
    stage = Stage()
    with stage.logs:
        say_secrets()

    said = stage.stream.getvalue()
    assert len(stage.lines) == 8
    assert "canary-" not in said.lower()
    assert "ValueError: bad ***" in stage.lines[-1]["exception"]
    assert stage.lines[4]["too_long"] > 32_000


def test_exceptions_that_nobody_caught_are_lines_too(stage: Stage) -> None:
    def die() -> None:
        raise RuntimeError(CANARY)

    thread = threading.Thread(target=die, name="engine")
    thread.start()
    thread.join()
    try:
        die()
    except RuntimeError as exc:
        sys.excepthook(type(exc), exc, exc.__traceback__)

    assert [line["event"] for line in stage.lines] == ["thread_crashed", "crashed"]
    assert all("RuntimeError: ***" in line["exception"] for line in stage.lines)


def test_libraries_are_heard_from_warning_on() -> None:
    stage = Stage()
    with stage.logs:
        logging.getLogger("asyncio").info("chatter")
        logging.getLogger("asyncio").warning("slow %s", "callback")
        logging.getLogger("asyncio").warning("wrong %d", "arguments")

    assert [(line["logger"], line["event"]) for line in stage.lines] == [
        ("asyncio", "slow callback"),
        ("asyncio", "wrong %d"),
    ]


def test_repeats_are_counted_and_told_once_a_minute(stage: Stage) -> None:
    log = structlog.get_logger()
    for age in range(100):
        log.warning("feed_stale", instrument="SPX", age_s=age)
    log.warning("feed_stale", instrument="QQQ", age_s=1)
    assert [line["instrument"] for line in stage.lines] == ["SPX", "QQQ"]

    stage.clock.now = 61.0
    stage.logs.tick()
    assert stage.lines[2:] == [
        {"at": "2026-05-04T09:00:00.123Z", "level": "warning", "event": "feed_stale", "instrument": "SPX",
         "age_s": 99, "repeated": 99}
    ]  # fmt: skip

    log.warning("feed_stale", instrument="SPX", age_s=100)
    log.warning("feed_stale", instrument="QQQ", age_s=100)
    assert len(stage.lines) == 4  # SPX goes on, QQQ is new again

    stage.logs.stop()
    assert stage.lines[4]["repeated"] == 1
    assert stage.logs.repeats.collapsed == 100


def test_lines_with_different_ids_are_no_repeats(stage: Stage) -> None:
    for order in ("k1", "k2", "k3"):
        structlog.get_logger().info("order_sent", order=order)

    assert [line["order"] for line in stage.lines] == ["k1", "k2", "k3"]


def test_many_kinds_of_lines_use_bounded_memory(stage: Stage) -> None:
    for i in range(3_000):
        structlog.get_logger().info("order_sent", order=str(i))

    assert len(stage.logs.repeats._open) <= 1_001


def test_flood_is_capped_and_its_size_told() -> None:
    stage = Stage(bytes_per_minute=2_000)
    with stage.logs:
        for i in range(100):
            structlog.get_logger().info("noise", id=str(i))
        assert sum(len(json.dumps(line)) for line in stage.lines) <= 2_000
        heard = len(stage.lines)
        structlog.get_logger().error("halted")
        assert stage.lines[-1]["event"] == "halted"

        stage.clock.now = 60.0
        stage.logs.tick()
        assert stage.lines[-1]["event"] == "log_capped"
        assert stage.lines[-1]["lines"] == 100 - heard == stage.logs.ceiling.lines_dropped


def test_file_is_private_json_and_never_outgrows_its_share(tmp_path: Path) -> None:
    path = tmp_path / "tradebot.log"
    stage = Stage(Terminal(), file=path, file_bytes=1_000, files_kept=2)
    with stage.logs:
        for i in range(50):
            structlog.get_logger().info("line", id=str(i), key=CANARY)

    files = sorted(tmp_path.iterdir())
    assert [f.name for f in files] == ["tradebot.log", "tradebot.log.1", "tradebot.log.2"]
    assert all(f.stat().st_size <= 1_000 and f.stat().st_mode & 0o777 == 0o600 for f in files)
    newest = [json.loads(line) for line in path.read_text().splitlines()]
    assert newest[-1]["id"] == "49"
    assert newest[-1]["key"] == "***"


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def test_saying_something_never_raises(stage: Stage) -> None:
    structlog.get_logger().info("strange", value=Unshowable())
    stage.stream.close()
    structlog.get_logger().info("nobody hears")

    assert stage.logs.counts.failed == 2


def test_full_disk_stops_no_one(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    stage = Stage(file=full)
    with stage.logs:
        structlog.get_logger().info("still heard")

    assert stage.lines[0]["event"] == "still heard"
    assert stage.logs.counts.failed == 1


def test_everything_is_as_before_when_logging_ends() -> None:
    before = logging.getLogger().handlers[:], logging.getLogger().level, sys.excepthook
    with Stage().logs:
        assert logging.getLogger().handlers != before[0]

    assert (logging.getLogger().handlers, logging.getLogger().level, sys.excepthook) == before
    assert not structlog.is_configured()

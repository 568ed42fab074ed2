"""What surrounds an account: figures, the summary of a day, the proof of life, and what fails beside it."""

import asyncio
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.core.world import COIN, START
from tests.daemon.desk import Desk, opened_desk
from tradebot.core.messages import SetHalt
from tradebot.core.model import DAY, HOUR
from tradebot.core.scope import EVERYTHING, HaltLevel
from tradebot.daemon import alerts
from tradebot.daemon.alerts import Message
from tradebot.daemon.courier import Courier, Route
from tradebot.daemon.figures import Figures
from tradebot.daemon.logs import Logs, LogSettings
from tradebot.daemon.metrics import Metrics
from tradebot.daemon.notify_systemd import Notifier, Watchdog
from tradebot.daemon.redact import Redactor
from tradebot.daemon.secrets import Secret
from tradebot.daemon.sending import DeadMan
from tradebot.daemon.shell import Means, Shell
from tradebot.errors import StoreError, VenueError

Ping = Callable[[Callable[[], bool]], DeadMan]


class Around:
    """A shell whose owner, log and figures a test can read."""

    def __init__(
        self, desk: Desk, folder: Path, streams: Mapping[str, int] | None = None, pings: Sequence[Ping] = ()
    ) -> None:
        self.messages: list[Message] = []
        self.text, self.reserve_used = io.StringIO(), False
        self.logs = Logs(LogSettings(level="debug"), Redactor(), stream=self.text).start()
        route = Route(url=Secret("json://owner"), at_least=alerts.Severity.INFO, place="owner")
        courier = Courier([route], alerts.Desk("PAPER"), self._send, Redactor())
        journal = folder / "journal.db"
        journal.write_bytes(b"x" * 1000)
        self.metrics = Metrics("paper", wall_ns=lambda: START + 1_000 * DAY)
        notifier = Notifier({})
        means = Means(
            log=structlog.get_logger(),
            logs=self.logs,
            courier=courier,
            figures=Figures(self.metrics, lambda: START + 1_000 * DAY, {"main": [journal]}),
            notifier=notifier,
            watchdog=Watchdog(notifier, {}),
            dead_men=pings,
        )
        self.shell = Shell(means, label="PAPER", budget=10.0, reserve=self._use_reserve)
        self.shell.surround(desk.daemon, {"main": lambda: streams or {}})

    async def _send(self, url: Secret, message: Message) -> str | None:
        self.messages.append(message)
        return None

    def _use_reserve(self) -> None:
        self.reserve_used = True

    def lines(self, event: str) -> list[dict[str, Any]]:
        rows = [json.loads(line) for line in self.text.getvalue().splitlines()]
        return [row for row in rows if row["event"] == event]

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"tradebot_{name}", labels)

    async def told(self, count: int) -> list[Message]:
        """Return the messages once there are that many."""
        while len(self.messages) < count:
            await asyncio.sleep(0)
        return self.messages


async def test_figures_are_those_of_the_engine(tmp_path: Path) -> None:
    async with opened_desk(tmp_path) as desk:
        around = Around(desk, tmp_path, {f"{COIN.id}/{HOUR}": START - HOUR, "SessionOpen/XNYS": START})
        await desk.rest_an_entry()
        await around.shell.look()

        assert around.value("equity", account="main", asset="USD") == 10_000.0
        assert around.value("halt_level", account="main") == 0.0
        assert around.value("orders_total", account="main") == 1.0
        assert around.value("database_bytes", account="main", file="journal.db") == 1000.0
        # Old in the time of its own market, not in ours.
        assert around.value("last_bar_age_seconds", instrument=COIN.id) == 2 * 3600.0
        await desk.trip("max_drawdown")
        await around.shell.look()
        assert around.value("halt_level", account="main") == HaltLevel.NO_NEW_RISK.value
        assert around.value("breaker_tripped", account="main", breaker="max_drawdown") == 1.0
        around.logs.stop()


async def test_a_day_of_market_time_ends_in_one_summary(tmp_path: Path) -> None:
    async with opened_desk(tmp_path) as desk:
        around = Around(desk, tmp_path)
        async with around.shell:
            await around.shell.look()
            await desk.rest_an_entry()
            desk.clock.move(START + DAY)
            await around.shell.look()
            await around.shell.look()
            (message,) = await around.told(1)

        assert (message.title, message.is_summary) == ("PAPER: daily summary", True)
        assert message.body.startswith("main: 10,000.00 USD, 0 fills")
        assert len(around.lines("daily_summary")) == 1
        around.logs.stop()


async def test_life_is_proved_only_while_everything_trades(tmp_path: Path) -> None:
    asleep = Around(Desk(tmp_path), tmp_path)
    assert not asleep.shell.is_trading()
    asleep.logs.stop()
    async with opened_desk(tmp_path) as desk:
        around = Around(desk, tmp_path)
        assert around.shell.is_trading()
        await desk.runner.settled(
            SetHalt(ts=START, level=HaltLevel.NO_NEW_RISK, reason="r", scope=EVERYTHING, rule="owner")
        )
        assert not around.shell.is_trading()
        around.logs.stop()


async def test_a_task_that_fails_is_told_of_and_ends_nothing_else(tmp_path: Path) -> None:
    class Broken(DeadMan):
        async def run(self) -> None:
            raise ZeroDivisionError("a bug beside trading")

    async with opened_desk(tmp_path) as desk:
        around = Around(
            desk, tmp_path, pings=[lambda is_trading: Broken(Secret("http://x"), 1.0, is_trading)]
        )
        async with around.shell:
            (message,) = await around.told(1)
            assert desk.is_alive
        assert (message.title, message.severity) == (
            "PAPER: the task ping 0 failed",
            alerts.Severity.CRITICAL,
        )
        assert "ZeroDivisionError: a bug beside trading" in around.lines("task_failed")[0]["exception"]
        around.logs.stop()


@pytest.mark.parametrize("exc", [StoreError("the disk is full"), None], ids=["store", "other"])
async def test_only_what_could_not_be_recorded_latches_a_halt(tmp_path: Path, exc: StoreError | None) -> None:
    async with opened_desk(tmp_path) as desk:
        around = Around(desk, tmp_path)
        around.shell.hooks.failing(desk.account, exc or VenueError("gone"))

        assert around.reserve_used is (exc is not None)
        assert [h.rule for h in desk.halts.all] == (["store"] if exc else [])
        around.logs.stop()

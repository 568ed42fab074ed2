"""What becomes a line of the log, what a message, and how urgent; what a day adds up to."""

from decimal import Decimal
from typing import Any

import pytest

from tests.core.world import COIN, START
from tradebot.core import facts as f
from tradebot.core.model import DAY, AssetAmount, Fill, Side
from tradebot.core.reconcile import Finding, Verdict
from tradebot.core.scope import EVERYTHING, HaltLevel, Scope
from tradebot.daemon.alerts import Severity
from tradebot.daemon.summary import Days, Tally
from tradebot.daemon.telling import Teller

D = Decimal
INFO, WARNING, ERROR, CRITICAL = Severity


class Heard:
    """A log and an owner that keep what they were told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []
        self.alarms: list[tuple[Severity, str, str, str]] = []
        self.teller = Teller(self, lambda *alarm: self.alarms.append(alarm))

    def _line(self, level: str, event: str, fields: dict[str, Any]) -> None:
        self.lines.append((level, event, fields))

    def debug(self, event: str, **fields: Any) -> None:
        self._line("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._line("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._line("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._line("error", event, fields)

    def critical(self, event: str, **fields: Any) -> None:
        self._line("critical", event, fields)

    def hear(self, fact: f.Fact) -> "Heard":
        self.teller.fact("main", f.Recorded(1, START, 0, fact))
        return self


def filled(qty: str = "2", price: str = "100", realized: str = "0", fee: str = "0.1") -> f.OrderFilled:
    fill = Fill(
        fill_id="f1",
        client_order_id="t01abc0001",
        instrument=COIN.id,
        side=Side.BUY,
        qty=D(qty),
        price=D(price),
        ts=START,
        fee=D(fee),
        fee_asset="USD",
    )
    return f.OrderFilled(
        ts=START,
        fill=fill,
        account="main",
        strategy="s",
        qty_signed=D(qty),
        cash=(AssetAmount("USD", -D(qty) * D(price)),),
        closed=(),
        opened=None,
        basis=D(qty) * D(price),
        realized=D(realized),
        settles_at=START,
        opens=True,
    )


def halt(rule: str, level: HaltLevel = HaltLevel.NO_NEW_RISK, scope: Scope = EVERYTHING) -> f.HaltSet:
    return f.HaltSet(ts=START, level=level, scope=scope, reason="because", rule=rule)


def test_a_fill_is_a_line_with_its_order_and_no_message() -> None:
    heard = Heard().hear(filled(realized="12.5"))

    ((level, event, fields),) = heard.lines
    assert (level, event, fields["order"], fields["qty"], fields["realized"]) == (
        "info",
        "fill",
        "t01abc0001",
        "2",
        "12.5",
    )
    assert heard.alarms == []


@pytest.mark.parametrize(
    ("fact", "severity"),
    [
        (halt("owner"), WARNING),
        (halt("max_drawdown"), ERROR),
        (halt("unknown_order"), ERROR),
        (halt("mismatch", scope=Scope(None, COIN.id)), CRITICAL),
        (halt("store"), CRITICAL),
        (halt("time_budget", scope=Scope("s", None)), CRITICAL),
        (halt("crash_loop"), CRITICAL),
        (f.OrderRejected(ts=START, client_order_id="t01abc0001", reason="no money"), WARNING),
        (f.SubmitAbsent(ts=START, client_order_id="t01abc0001", checks=5), ERROR),
        (f.StrategyFailed(ts=START, strategy="s", instrument=COIN.id, error="ValueError: x"), ERROR),
        (f.Skipped(ts=START, strategy="s", instrument=COIN.id, rule="unprotected", reason="refused"), ERROR),
    ],
    ids=lambda value: value.rule if isinstance(value, f.HaltSet) else type(value).__name__,
)
def test_what_the_owner_hears_of_and_how_urgent_it_is(fact: f.Fact, severity: Severity) -> None:
    heard = Heard().hear(fact)

    assert [alarm[0] for alarm in heard.alarms] == [severity]
    assert all(line[0] in ("warning", "error", "critical") for line in heard.lines)
    assert len(heard.lines) == 1


@pytest.mark.parametrize(
    "fact",
    [
        f.SubmitUnknown(ts=START, client_order_id="t01abc0001", reason="no answer"),
        f.OrderAccepted(ts=START, client_order_id="t01abc0001", venue_order_id="v1"),
        f.OrderCanceled(ts=START, client_order_id="t01abc0001", reason="replaced"),
        f.CancelRefused(ts=START, client_order_id="t01abc0001", reason="too late"),
    ],
)
def test_every_line_about_an_order_names_it(fact: f.Fact) -> None:
    ((_, _, fields),) = Heard().hear(fact).lines

    assert fields["order"] == "t01abc0001"


def test_the_same_thing_again_has_the_same_key_and_another_scope_another() -> None:
    keys = [
        Heard().hear(fact).alarms[0][1]
        for fact in (halt("mismatch", scope=Scope(None, "A")), halt("mismatch", scope=Scope(None, "A")),
                     halt("mismatch", scope=Scope(None, "B")))
    ]  # fmt: skip

    assert keys[0] == keys[1] != keys[2]


def test_a_lifted_halt_and_what_happens_all_day_reach_nobody() -> None:
    heard = (
        Heard().hear(halt("owner", HaltLevel.NONE)).hear(f.RateSet(ts=START, asset="A", base="B", rate=1.0))
    )

    assert [line[1] for line in heard.lines] == ["halt_lifted"]
    assert heard.alarms == []


def test_a_condition_is_told_of_when_it_lasts_and_a_blip_is_not() -> None:
    heard = Heard()
    heard.teller.tick(100.0)
    heard.hear(halt("disconnected")).hear(halt("stale_feed", scope=Scope(None, "A")))
    assert [line[1] for line in heard.lines] == ["halted", "halted"]
    heard.hear(halt("disconnected", HaltLevel.NONE))
    heard.teller.tick(129.0)
    assert heard.alarms == []

    heard.teller.tick(131.0)
    ((severity, key, _, body),) = heard.alarms
    assert (severity, key) == (WARNING, "halt/main/A/stale_feed")
    assert "it goes on by itself" in body
    heard.teller.tick(200.0)
    assert len(heard.alarms) == 1


def test_findings_are_lines_with_both_numbers() -> None:
    heard = Heard()
    heard.teller.findings(
        "main",
        [
            Finding(kind="position", what=COIN.id, ours="2", theirs="3", verdict=Verdict.QTY_DIFFERS),
            Finding(kind="order", what="x", ours="-", theirs="working", verdict=Verdict.FOREIGN),
        ],
    )

    assert [(line[0], line[2]["ours"], line[2]["theirs"], line[2]["verdict"]) for line in heard.lines] == [
        ("warning", "2", "3", "qty_differs"),
        ("info", "-", "working", "foreign"),
    ]


# --- the day ------------------------------------------------------------------------------------------


def test_a_day_adds_up() -> None:
    tally = Tally()
    for fact in (
        filled(realized="12.50"),
        filled(realized="-2.25", fee="0.20"),
        f.OrderRejected(ts=START, client_order_id="x", reason="no"),
        halt("max_daily_loss"),
        halt("max_daily_loss", HaltLevel.NONE),
    ):
        tally.take(fact, {COIN.id: COIN})

    assert tally.lines("main", "10,010.25 USD") == [
        "main: 10,010.25 USD, 2 fills",
        "  profit 10.25 USD",
        "  fees 0.30 USD",
        "  1 refused by the venue, halted by max_daily_loss (1)",
    ]


def test_a_quiet_day_is_one_line() -> None:
    assert Tally().lines("main", "10,000.00 USD") == ["main: 10,000.00 USD, 0 fills"]


def test_a_day_is_over_once() -> None:
    days = Days()
    moments = [START, START + DAY - 1, START + DAY, START + DAY + 5, START + 2 * DAY]

    assert [days.is_over(at, 0.0) for at in moments] == [False, False, True, False, True]


def test_days_that_fly_by_are_told_once_an_hour() -> None:
    days = Days(apart=3600.0)
    told = [second for second in range(4 * 3600) if days.is_over(START + second * DAY, float(second))]

    assert told == [3600, 7200, 10800]

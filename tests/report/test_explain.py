"""Why and why not, in sentences, from the facts of real runs."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from tests.core.world import COIN, START, Script, World, account, make_bar, sessions, spec
from tradebot.core import facts as f
from tradebot.core.facts import Recorded
from tradebot.core.messages import Slice
from tradebot.core.model import HOUR, Explained, Side
from tradebot.core.setup import ExecutionSpec, Limits
from tradebot.core.strategy import Target
from tradebot.report.explain import Line, Moment, order_story, why_not

D = Decimal


def bars(count: int, first: int = 1) -> list[Slice]:
    return [
        Slice(START + i * HOUR, (make_bar(COIN.id, START + i * HOUR, HOUR, 100.0),))
        for i in range(first, first + count)
    ]


def about(facts: Sequence[Recorded]) -> list[Recorded]:
    return [r for r in facts if not isinstance(r.fact, f.DayStarted)]


def steps(lines: Sequence[Line]) -> list[str]:
    return [line.step for line in lines]


def test_story_of_an_order_goes_from_bar_to_fill_with_the_sizing_arithmetic() -> None:
    said = Target(COIN.id, weight=0.5, reason="crossed", explained=(("fast", 101.5), ("slow", 99.0)))
    limits = Limits(max_position=2_000.0, max_orders_per_day=4)
    world = World(spec(Script(said), qty=10.0), accounts=(account(limits=limits),)).play(bars(3))
    order_id = next(r.fact.order.client_order_id for r in world.facts if isinstance(r.fact, f.OrderIntended))

    lines = order_story(about(world.facts), order_id)

    assert list(dict.fromkeys(steps(lines)))[:5] == ["bar", "signal", "sizing", "rules", "order"]
    assert steps(lines)[-1] == "fill"
    told = {line.step: line.text for line in lines}
    assert told["bar"] == "COIN at 100"
    assert told["signal"] == "crossed: fast=101.5, slow=99"
    assert told["sizing"] == "weight 0.5 x full size 10 = 5, worth 500.00, 0.5 % of its equity 100,000.00"
    assert told["order"].startswith("buy 5 COIN market gtc to target")
    assert [(x.text, x.numbers) for x in lines if x.step == "rules"][1:] == [
        ("max_orders_per_day: 1, at most 4", {"value": 1.0, "limit": 4.0}),
        ("max_position: 500, at most 2000", {"value": 500.0, "limit": 2000.0}),
    ]
    assert told["fill"].startswith("5 at 100")


def test_story_names_the_rule_that_cut_the_order_and_its_slices() -> None:
    limits = Limits(max_order=300.0)
    slow = ExecutionSpec(kind="twap", slices=2, over=HOUR)
    world = World(spec(Script(1.0), qty=10.0, execution=slow), accounts=(account(limits=limits),)).play(
        bars(4)
    )
    order_id = next(r.fact.order.client_order_id for r in world.facts if isinstance(r.fact, f.OrderIntended))

    told = [line.text for line in order_story(about(world.facts), order_id)]

    assert any(text.startswith("max_order cut 5 to 3") for text in told)
    assert any(text.startswith("twap: buy 10 as 5 + 5") for text in told)


def moment(**more: Any) -> Moment:
    given: dict[str, Any] = {
        "strategy": "s",
        "instrument": COIN.id,
        "at": START + 9 * HOUR,
        "is_enrolled": True,
        "held": D(0),
        "last_data": START,
    }
    return Moment(**{**given, **more})


def newest_first(*facts: f.Fact) -> list[Recorded]:
    return [Recorded(i, fact.ts, 0, fact) for i, fact in reversed(list(enumerate(facts, 1)))]


def target(wanted: str, ts: int = START) -> f.TargetSet:
    return f.TargetSet(
        ts=ts, strategy="s", instrument=COIN.id, weight=1.0, asked_qty=None, wanted_qty=D(wanted), price=100.0,
        equity=1000.0, because="signal", reason="",
    )  # fmt: skip


NAMES = {"strategy": "s", "instrument": COIN.id}
NEXT = START + HOUR


@pytest.mark.parametrize(
    ("asked", "decided", "step", "told"),
    [
        ({}, (), "no signal", "has not said yet what it wants"),
        ({}, (target("0"),), "no signal", "nothing is missing"),
        ({"down": (START, NEXT)}, (target("5"),), "down", "the daemon was down"),
        ({"is_enrolled": False}, (), "disabled", "not in the configuration"),
        ({"halt": ("PAUSED", "owner", "lunch")}, (target("5"),), "halted", "paused, by owner: lunch"),
        ({"last_data": None}, (), "no bar", "no bar or quote of it has been seen"),
        (
            {},
            (target("5"), f.TargetSuspended(ts=NEXT, because="stop_loss", weight=1.0, asked_qty=None, **NAMES)),
            "suspended",
            "it rests after stop_loss",
        ),
        ({}, (target("5"), f.StrategyFailed(ts=NEXT, error="KeyError", **NAMES)), "disabled", "KeyError"),
        (
            {},
            (target("5"), f.Skipped(ts=NEXT, rule="session_closed", reason="waits", **NAMES)),
            "session closed",
            "session_closed: waits",
        ),
        (
            {},
            (
                target("5"),
                f.OrderDenied(
                    ts=NEXT, side=Side.BUY, qty=D(5), rule="max_gross", reason="too much",
                    numbers=(Explained(name="limit", value=100.0),), **NAMES,
                ),
            ),
            "rule",
            "max_gross: too much (limit=100)",
        ),
        (
            {},
            (target("5"), f.BadDataSeen(ts=NEXT, instrument=COIN.id, problem="high below low")),
            "no bar",
            "high below low",
        ),
        ({}, (target("5"), f.RetrySet(ts=NEXT, attempt=3, at=None, is_last=True, **NAMES)), "given up", "3 times"),
    ],
)  # fmt: skip
def test_first_line_is_what_decided_it(
    asked: dict[str, Any], decided: tuple[f.Fact, ...], step: str, told: str
) -> None:
    lines = why_not(moment(**asked), newest_first(*decided))

    assert lines[0].step == step
    assert told in lines[0].text


def test_what_is_over_is_no_reason_any_more() -> None:
    decided = newest_first(
        target("5"),
        f.TargetSuspended(ts=NEXT, because="stop_loss", weight=1.0, asked_qty=None, **NAMES),
        f.TargetReleased(ts=NEXT + 1, because="target changed", **NAMES),
        f.Skipped(ts=NEXT + 2, rule="reconciled", reason="waits", **NAMES),
        f.SkipEnded(ts=NEXT + 3, rule="reconciled", repeats=2, **NAMES),
    )

    assert steps(why_not(moment(), decided)) == ["wanted"]


def test_a_session_that_is_closed_is_the_reason_in_a_run_of_the_engine() -> None:
    days = sessions((0, 3.5, 20.0), (1, 3.5, 20.0), calendar="XNYS")
    from tests.core.world import STOCK

    ts = START + 20 * HOUR
    world = World(spec(Script(1.0), instrument=STOCK), events=days)
    world.play([Slice(ts, (make_bar(STOCK.id, ts, HOUR, 100.0),))])
    decided = [r for r in reversed(world.facts) if getattr(r.fact, "instrument", None) == STOCK.id]

    lines = why_not(moment(instrument=STOCK.id), decided)

    assert lines[0].step == "session closed"

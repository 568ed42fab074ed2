"""The gate at work: what it keeps back waits or is tried again, counters outlive a restart, floods are stopped."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.core.test_desk import fills
from tests.core.world import (
    GEM,
    START,
    STOCK,
    D,
    QuoteScript,
    Script,
    World,
    account,
    make_bar,
    sessions,
    spec,
)
from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.model import DAY, HOUR, MINUTE, SECOND, AccountModel, Fill, Level, Quote
from tradebot.core.scope import HaltLevel, Scope
from tradebot.core.setup import ExecutionSpec, Limits, RetryRules
from tradebot.core.strategy import Quotes
from tradebot.sim.latency import FixedLatency

TWAP = ExecutionSpec(kind="twap", slices=3, over=9 * HOUR)


def limited(*words: Any, limits: Limits, **terms: Any) -> World:
    return World(spec(Script(*words), **terms), accounts=[account(limits=limits)], remembers=True)


# --- data -----------------------------------------------------------------------------------------


def test_a_decision_on_a_bars_close_is_fresh_and_a_slice_on_overdue_data_waits_for_the_next_price() -> None:
    world = limited(1.0, limits=Limits(max_data_age=30 * MINUTE), execution=TWAP)
    world.bars((100,), (100,))
    assert world.position() == D("3.334")
    world.until(world.now + 2 * HOUR)  # no bar comes: the second slice is due on a price an hour late
    assert [x.rule for x in world.of(f.Skipped)] == ["data_age"]
    assert world.of(f.RetrySet) == []
    world.bars(*[(101,)] * 10)
    assert world.position() == D(10)


def test_the_time_between_sessions_does_not_make_data_old() -> None:
    days = sessions((0, 14.5, 21), (1, 14.5, 21), (2, 14.5, 21))
    world = World(
        spec(Script(1.0), instrument=STOCK, interval=21 * HOUR),
        accounts=[account(limits=Limits(max_data_age=MINUTE))],
        events=days,
    )
    world.bars((100,), instrument=STOCK, interval=21 * HOUR)
    world.until(START + 2 * DAY)
    assert world.of(f.Skipped)[0].rule == "session_closed"
    assert [x.rule for x in world.of(f.OrderDenied)] == []
    assert len(world.of(f.OrderIntended)) == 1


def test_after_a_restart_without_a_price_nothing_leaves_before_one_is_seen() -> None:
    terms: dict[str, Any] = {"retry": RetryRules(first=MINUTE)}
    world = limited(1.0, limits=Limits(max_orders_per_minute=1), **terms)
    world.tell(m.SetHalt(ts=world.now, level=HaltLevel.NO_NEW_RISK, reason="lunch"))
    world.bars((100,))
    world.restart(spec(Script(), exits={"after_exit": "at_once"}))
    world.tell(m.SetHalt(ts=world.now, level=HaltLevel.NONE, reason="back"))
    assert [x.rule for x in world.of(f.Skipped)] == ["price_missing"]
    world.bars((100,), (100,))
    assert world.position() == D(10)


# --- floods ---------------------------------------------------------------------------------------


def flipping(count: int) -> World:
    """A strategy that changes its mind on every quote, with a message limit."""
    levels = lambda n: Quotes("COIN", (Level(90.0 - n, 1.0),), (Level(110.0 + n, 1.0),))  # noqa: E731
    world = World(
        spec(QuoteScript(*[levels(n) for n in range(count)]), interval=0),
        accounts=[account(limits=Limits(max_messages_per_second=5))],
    )
    return world.play(
        Quote("COIN", START + HOUR + n * SECOND // 20, 99.5, 1.0, 100.5, 1.0) for n in range(count)
    )


def test_messages_a_second_are_bounded_and_cancels_always_leave() -> None:
    world = flipping(40)
    sent = [x.ts for x in world.of(f.OrderIntended, f.ReplaceRequested)]
    busiest = max(sum(1 for at in sent if begin <= at < begin + SECOND) for begin in sent)
    assert busiest <= 5
    assert len(sent) > 5
    world.tell(m.SetHalt(ts=world.now, level=HaltLevel.CANCEL_ENTRIES, reason="enough"))
    assert world.working() == []


def test_a_strategy_that_trades_again_and_again_towards_one_target_is_stopped() -> None:
    twap = ExecutionSpec(kind="twap", slices=8, over=40 * SECOND)
    world = World(
        spec(Script(1.0), interval=SECOND, execution=twap),
        accounts=[account(limits=Limits(max_repeats=3))],
    )
    world.bars(*[(100,)] * 60, interval=SECOND)
    (halt,) = world.of(f.HaltSet)
    assert (halt.rule, halt.scope, halt.level) == ("max_repeats", Scope("s", None), HaltLevel.NO_NEW_RISK)
    assert {x.name: x.value for x in halt.numbers} == {"limit": 3.0, "traded": 4.0}
    assert len(fills(world)) == 4


def test_a_new_target_may_trade_again() -> None:
    words = [1.0, None, 0.0, None] * 10
    world = World(
        spec(Script(*words), interval=SECOND), accounts=[account(limits=Limits(max_repeats=1))]
    ).bars(*[(100,)] * 40, interval=SECOND)
    assert world.of(f.HaltSet) == []
    assert len(fills(world)) > 10


def test_a_duplicate_is_denied_and_tried_again_after_the_window() -> None:
    # The venue refuses the first one at once; the difference is the same order again.
    world = World(
        spec(Script(1.0), retry=RetryRules(first=SECOND)),
        accounts=[account(limits=Limits(duplicate_window=2 * SECOND))],
        checks_rest=False,
    )
    world.bars((100,))
    (order_id,) = world.ledger.orders
    world.engine.decide(m.VenueRefused(ts=world.now, client_order_id=order_id, reason="busy"), world.now)
    ((key, at),) = world.ledger.timers.items()
    denied = [r.fact for r in world.engine.decide(m.TimerDue(ts=at, key=key), at).facts]
    assert [x.rule for x in denied if isinstance(x, f.OrderDenied)] == ["duplicate"]
    ((key, at),) = world.ledger.timers.items()
    again = world.engine.decide(m.TimerDue(ts=at, key=key), at)
    assert [type(c).__name__ for c in again.commands] == ["SubmitOrder"]


# --- capital, counters ----------------------------------------------------------------------------


def test_capital_bounds_what_strategies_hold_and_leaves_the_owners_own_out() -> None:
    world = (
        World(spec(Script(1.0, None, 1.0), qty=30), accounts=[account(capital=D(2_500))])
        .bars((100,))
        .owner_trades("500")
    )
    world.bars((100,), (100,))
    assert world.position() == 0
    assert {x.rule for x in world.of(f.OrderDenied)} == {"capital"}
    small = World(spec(Script(1.0), qty=20), accounts=[account(capital=D(2_500))]).bars((100,))
    assert small.owner_trades("500").bars((100,)).position() == D(20)


NEVER = FixedLatency(submit=10**18, cancel=10**18)


def beside(first: float, second: float, limits: Limits, **terms: Any) -> list[Decimal]:
    """Two strategies want 10 and 7 of one instrument at once; returns what left, signed."""
    world = World(
        spec(Script(first), name="a", qty=10.0, capital=D("0.5")),
        spec(Script(second), name="b", qty=7.0, capital=D("0.5")),
        accounts=[account(limits=limits, **terms)],
        latency=NEVER,
        checks_rest=False,
    ).bars((100,))
    return [x.order.qty_signed for x in world.of(f.OrderIntended)]


@pytest.mark.parametrize(("first", "second"), [(1.0, -1.0), (-1.0, 1.0)])
def test_a_buy_and_a_sell_that_both_work_do_not_make_room_for_each_other(first: float, second: float) -> None:
    # Either may trade alone: 7 the other way beside 10 is a position of 7, not of 3 less.
    sent = beside(first, second, Limits(max_position=500.0))
    assert sent == [5 * D(first), 5 * D(second)]


def test_orders_on_their_way_count_to_the_gross_exposure_long_and_short() -> None:
    assert beside(-1.0, -1.0, Limits(max_gross=1_500.0)) == [D(-10)]
    assert beside(1.0, 1.0, Limits(max_gross=1_500.0)) == [D(10)]
    assert beside(1.0, -1.0, Limits(max_gross=1_700.0)) == [D(10), D(-7)]


def test_what_is_held_counts_at_its_cost_before_the_first_price_after_a_restart() -> None:
    def both(*coin: float) -> list[Any]:
        gem = spec(Script(1.0), name="g", instrument=GEM, qty=8.0, capital=D("0.5"))
        return [gem, spec(Script(*coin), name="c", qty=5.0, capital=D("0.5"))]

    world = World(*both(0.0), accounts=[account(limits=Limits(max_gross=1_000.0))])
    world.play([make_bar(name, START + n * HOUR, HOUR, 100.0) for n in (1, 2) for name in ("COIN", "GEM")])
    assert world.position("g", "GEM") == D(8)
    world.restart(*both(1.0))
    world.play([make_bar("COIN", START + n * HOUR, HOUR, 100.0) for n in (3, 4)])
    assert world.position("c") == D(0)
    assert [x.rule for x in world.of(f.OrderDenied)] == ["max_gross"]


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_orders_on_their_way_count_to_the_capital_long_and_short(side: float) -> None:
    assert beside(side, side, Limits(), capital=D(1_500)) == [10 * D(side)]


def test_a_sale_does_not_rely_on_a_buy_that_has_not_traded() -> None:
    assert beside(1.0, -1.0, Limits(), model=AccountModel.CASH) == [D(10)]


def test_of_an_order_and_the_one_that_takes_its_place_the_larger_counts() -> None:
    def level(qty: float) -> Quotes:
        return Quotes("COIN", (Level(90.0, qty),), ())

    world = World(
        spec(QuoteScript(level(8.0), level(2.0)), interval=0, name="q", capital=D("0.5")),
        spec(Script(1.0), name="b", qty=7.0, capital=D("0.5")),
        accounts=[account(limits=Limits(max_position=1_000.0))],
        latency=NEVER,
        checks_rest=False,
    )
    world.play(Quote("COIN", START + n * SECOND, 99.5, 1.0, 100.5, 1.0) for n in (1, 2)).bars((100,))
    assert [x.order.qty for x in world.of(f.ReplaceRequested)] == [D(2)]
    assert [x.order.qty for x in world.of(f.OrderIntended)] == [D(8), D(2)]


@pytest.mark.parametrize("limits", [Limits(max_orders_per_day=2), Limits(max_orders_per_minute=2)])
def test_counted_orders_stay_counted_over_a_restart(limits: Limits) -> None:
    span = MINUTE if limits.max_orders_per_minute else HOUR
    interval = span // 10
    world = limited(0.1, 0.2, limits=limits, interval=interval)
    world.bars(*[(100,)] * 3, interval=interval)
    world.restart(spec(Script(0.3), interval=interval)).bars((100,), (100,), interval=interval)
    assert len(world.of(f.OrderIntended)) == 2
    assert len(world.of(f.OrderDenied)) == 1


def test_what_is_counted_does_not_grow_without_end() -> None:
    words = [0.1, 0.2] * 400
    world = World(spec(Script(*words), interval=HOUR), checks_rest=False).bars(*[(100,)] * 400)
    assert len(world.of(f.OrderIntended)) > 350
    assert len(world.ledger.order_times) <= 25
    assert len(world.ledger.message_times) <= 2


def test_a_daily_loss_halt_stands_over_a_restart_within_the_day() -> None:
    limits = Limits(max_daily_loss=0.05)
    world = World(
        spec(Script(1.0), qty=100), accounts=[account({"USD": D(10_000)}, limits=limits)], remembers=True
    ).bars((100,), (100,), (90,))
    world.restart(spec(Script(None, -1.0), qty=100)).bars((90,), (90,), (90,))
    assert [x.rule for x in world.of(f.HaltSet)] == ["max_daily_loss"]
    assert world.position() >= 0


def test_a_replace_says_what_had_filled_when_it_was_decided() -> None:
    levels = [Quotes("COIN", (Level(90.0 - n, 8.0),), ()) for n in range(2)]
    world = World(spec(QuoteScript(*levels), interval=0), latency=NEVER, checks_rest=False)
    first, second = (Quote("COIN", START + n * SECOND, 99.5, 1.0, 100.5, 1.0) for n in (1, 3))
    world.play([first])
    (order,) = (x.order for x in world.of(f.OrderIntended))
    parts = {"client_order_id": order.client_order_id, "instrument": "COIN", "side": order.side}
    fill = Fill(fill_id="f", qty=D(3), price=D(90), ts=START + 2 * SECOND, **parts)  # type: ignore[arg-type]
    world.tell(m.VenueAcked(ts=fill.ts, client_order_id=order.client_order_id, venue_order_id="v"))
    world.tell(m.VenueFilled(ts=fill.ts, fill=fill))
    outcome = world.engine.decide(m.Slice(second.ts, (second,)), second.ts)
    (command,) = (c for c in outcome.commands if isinstance(c, m.ReplaceOrder))
    assert (command.order.qty, command.filled) == (D(8), D(3))

"""What outlives a restart: a strategy's memory and timers, counted bars, peaks; and what a backtest keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from tests.core.test_desk import fills
from tests.core.world import START, D, Script, World, account, make_bar, spec
from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.model import HOUR, MINUTE, Bar, Fill, Liquidity
from tradebot.core.scope import HaltLevel
from tradebot.core.setup import Limits
from tradebot.core.strategy import Context, Input, Target


class Diary(Script):
    """Counts the bars it was shown, saves the count when it is even, and notes what happened in order."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.count = 0
        self.told: list[Any] = []

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        self.count += 1
        self.told.append((bar.ts - START) // HOUR)
        return super().on_bar(ctx, bar)

    def save(self) -> dict[str, object]:
        return {"count": self.count - self.count % 2}

    def load(self, state: Mapping[str, object]) -> None:
        self.told.append(state)


def hourly(*hours: int) -> list[m.Slice]:
    return [m.Slice(START + h * HOUR, (make_bar("COIN", START + h * HOUR, HOUR, 100.0),)) for h in hours]


def saves(world: World) -> list[tuple[str, int]]:
    return [(x.state, (x.bar_ts - START) // HOUR) for x in world.of(f.StrategySaved)]


def test_a_memory_is_saved_when_something_followed_and_says_what_it_covers() -> None:
    world = World(spec(Diary(None, 1.0, None, None, 0.0)), remembers=True).bars(*[(100,)] * 5)
    # The day begins at the first bar, the second is acted on, the third fills, the fifth is acted on.
    assert saves(world) == [('{"count":0}', 1), ('{"count":2}', 2), ('{"count":4}', 5)]


def test_a_memory_that_leads_to_nothing_for_long_is_saved_all_the_same() -> None:
    world = World(spec(Diary()), remembers=True, start=START).bars(*[(100,)] * 23)
    assert saves(world) == [('{"count":0}', 1)]
    quiet = World(spec(Diary(), interval=MINUTE), remembers=True)
    for i in range(1, 250):
        quiet.play([make_bar("COIN", START + i * MINUTE, MINUTE, 100.0)])
    assert len(quiet.of(f.StrategySaved)) == 3


def test_a_backtest_saves_nothing() -> None:
    assert World(spec(Diary(), exits={"max_bars": 3})).bars((100,), (100,)).of(f.StrategySaved) == []


def test_a_memory_is_loaded_after_what_its_run_saw_and_before_what_was_missed() -> None:
    world = World(spec(Diary()), remembers=True).bars(*[(100,)] * 5)
    back = Diary()
    world.now = START + 8 * HOUR
    world.restart(spec(back), warm_up=hourly(1, 2, 3, 4, 5, 6, 7), seen=START + 5 * HOUR)
    assert back.told == [1, {"count": 0}, 2, 3, 4, 5, 6, 7]


def test_a_memory_is_loaded_though_nothing_is_shown() -> None:
    world = World(spec(Diary()), remembers=True).bars((100,), (100,))
    back = Diary()
    world.restart(spec(back))
    assert back.told == [{"count": 0}]


class Hearing(Diary):
    """Notes its fills and timers, and counts them; saves all it knows, a price among it."""

    price = 0.0

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        self.price = bar.close
        if self.count == 0:
            ctx.set_timer("ring", START + 150 * MINUTE)
        return super().on_bar(ctx, bar)

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        self.count += 100
        self.told.append("fill")

    def on_timer(self, ctx: Context, key: str) -> Target | None:
        self.count += 1000
        self.told.append(key)
        return None

    def save(self) -> dict[str, object]:
        return {"count": self.count, "price": self.price}

    def load(self, state: Mapping[str, object]) -> None:
        super().load(state)
        self.count, self.price = int(str(state["count"])), float(str(state["price"]))


def test_what_happened_while_away_is_told_once_the_memory_is_back_and_never_overwrites_it() -> None:
    world = World(spec(Hearing(1.0)), remembers=True, checks_rest=False).bars((100,))
    (order,) = (x.order for x in world.of(f.OrderIntended))
    world.now = START + 160 * MINUTE
    fill = Fill(
        fill_id="f1", client_order_id=order.client_order_id, instrument="COIN", side=order.side, qty=order.qty,
        price=D(100), ts=START + 90 * MINUTE, fee=D(0), fee_asset="USD", liquidity=Liquidity.TAKER,
    )  # fmt: skip
    rung = m.TimerDue(ts=START + 150 * MINUTE, key="strategy/s/COIN/ring")
    back = Hearing()
    world.restart(
        spec(back), warm_up=hourly(1, 2), seen=START + HOUR, told=[m.VenueFilled(ts=fill.ts, fill=fill), rung]
    )
    world.tell(m.WarmedUp(ts=world.now))
    assert back.told == [1, {"count": 1, "price": 100.0}, 2, "fill", "ring"]
    assert world.ledger.saved["s", "COIN"].state == '{"count":1102,"price":100.0}'


def test_what_a_run_booked_and_did_not_live_to_tell_is_told_by_the_next_one_and_only_once() -> None:
    world = World(spec(Hearing(1.0)), remembers=True, checks_rest=False).bars((100,))
    (order,) = (x.order for x in world.of(f.OrderIntended))
    world.now = START + 160 * MINUTE
    fill = Fill(
        fill_id="f1", client_order_id=order.client_order_id, instrument="COIN", side=order.side, qty=order.qty,
        price=D(100), ts=START + 90 * MINUTE, fee=D(0), fee_asset="USD", liquidity=Liquidity.TAKER,
    )  # fmt: skip
    rung = m.TimerDue(ts=START + 150 * MINUTE, key="strategy/s/COIN/ring")
    shown: dict[str, Any] = {"warm_up": hourly(1, 2), "seen": START + HOUR}
    for message in (m.VenueFilled(ts=fill.ts, fill=fill), rung):  # each run dies before it is warm
        world.restart(spec(Hearing()), told=[message], **shown)
    back = Hearing()
    world.restart(spec(back), told=[m.VenueFilled(ts=fill.ts, fill=fill)], **shown)
    world.tell(m.WarmedUp(ts=world.now))
    assert back.told == [1, {"count": 1, "price": 100.0}, 2, "fill", "ring"]
    again = Hearing()
    world.restart(spec(again), warm_up=hourly(1, 2), seen=START + 2 * HOUR)
    world.tell(m.WarmedUp(ts=world.now))
    assert again.told == [1, 2, {"count": 1102, "price": 100.0}]


@pytest.mark.parametrize("rebases", [True, False])
def test_a_memory_of_the_prices_before_a_split_is_rebased_or_not_loaded(rebases: bool) -> None:
    class Rebasing(Hearing):
        def rebase(self, instrument: str, ratio: Decimal) -> bool:
            self.price /= float(ratio)
            return True

    kind = Rebasing if rebases else Hearing
    world = World(spec(kind()), remembers=True).bars((100,))
    world.now += MINUTE
    split = m.Split(ts=world.now, instrument="COIN", ratio=D(2))
    back = kind()
    halved = [m.Slice(x.ts, (make_bar("COIN", x.ts, HOUR, 50.0),)) for x in hourly(1)]
    world.restart(spec(back, renew=lambda name: kind()), warm_up=halved, told=[split])
    assert back.price == 50.0
    assert ({"count": 1, "price": 100.0} in back.told) is rebases
    for dies_before_it_is_warm in (
        True,
        False,
        False,
    ):  # the split is told to the memory once, whoever lives on
        last = kind()
        world.restart(spec(last, renew=lambda name: kind()), warm_up=halved)
        assert last.price == 50.0
        if not dies_before_it_is_warm:
            world.tell(m.WarmedUp(ts=world.now))


def test_a_memory_is_saved_in_the_new_prices_right_after_a_split() -> None:
    split = m.Split(ts=START + HOUR + 1, instrument="COIN", ratio=D(2))
    terms: dict[str, Any] = {"renew": lambda name: Hearing()}
    world = World(spec(Hearing(), **terms), remembers=True, events=[split]).bars((100,))
    world.until(START + HOUR + 2)
    assert [x.state for x in world.of(f.StrategySaved)] == [
        '{"count":1,"price":100.0}',
        '{"count":1,"price":50.0}',
    ]


class Pair(Diary):
    """Waits for a second instrument, and notes when it was called about which bar."""

    def __init__(self) -> None:
        super().__init__(None, 1.0)
        self._inputs = (Input(HOUR, "GEM"),)

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        word = super().on_bar(ctx, bar)
        self.told[-1] = (ctx.now - START) // MINUTE
        return word


def test_a_round_that_waited_in_vain_is_shown_again_at_the_time_it_was_called() -> None:
    both = [m.Slice(x.ts, (*x.items, make_bar("GEM", x.ts, HOUR, 100.0))) for x in hourly(1, 4)]
    market = [both[0], *hourly(2, 3), m.Slice(START + 200 * MINUTE, ()), both[1]]
    lived, back = Pair(), Pair()
    world = World(spec(lived, grace=5 * MINUTE), remembers=True)
    world.play(market[:3]).until(START + 195 * MINUTE)
    world.restart(spec(back, grace=5 * MINUTE), warm_up=market[:4], seen=world.now)
    # Saved with the target of the second call: loaded once that was called again, and not before.
    assert (lived.told, back.told) == ([60, 125, 185], [60, 125, {"count": 2}, 185])


@pytest.mark.parametrize("state", [{"x": float("nan")}, {"x": object()}])
def test_a_memory_that_cannot_be_written_fails_the_strategy_and_not_the_run(state: Any) -> None:
    class Odd(Script):
        def save(self) -> dict[str, object]:
            return state  # type: ignore[no-any-return]

    world = World(spec(Odd(1.0)), remembers=True).bars((100,), (100,))
    assert len(world.of(f.StrategyFailed)) == 1
    assert world.position() == D(10)


# --- timers ---------------------------------------------------------------------------------------


class Alarm(Script):
    """Sets a timer with its first bar and buys when it rings."""

    wait = 90 * MINUTE

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        self.seen.append(bar)
        if len(self.seen) == 1:
            ctx.set_timer("a/b", ctx.now + self.wait)
        return None

    def on_timer(self, ctx: Context, key: str) -> Target | None:
        return ctx.target(weight=1.0, reason=key)


def test_a_strategys_timer_rings_and_its_word_counts() -> None:
    world = World(spec(Alarm())).bars((100,), (101,), (102,), (103,))
    (target,) = world.of(f.TargetSet)
    assert (target.ts, target.reason) == (START + HOUR + 90 * MINUTE, "a/b")
    assert fills(world) == [("buy", D(10), D(103))]  # the bar it rang in had opened already


def test_a_timer_set_before_a_restart_rings_after_it() -> None:
    world = World(spec(Alarm()), remembers=True).bars((100,))
    late = Alarm()
    late.seen.append(make_bar("COIN", START, HOUR, 100))
    world.restart(spec(late)).bars((101,), (102,))
    assert [x.reason for x in world.of(f.TargetSet)] == ["a/b"]


def test_a_timer_in_the_past_fails_the_strategy() -> None:
    class Late(Alarm):
        wait = 0

    world = World(spec(Late())).bars((100,))
    (failed,) = world.of(f.StrategyFailed)
    assert "a timer must be set for a moment after" in failed.error


def test_a_timer_of_a_strategy_that_is_gone_does_nothing() -> None:
    world = World(spec(Alarm()), remembers=True).bars((100,))
    world.restart(spec(Script(), name="other", capital=D(0))).bars((101,), (102,), (103,))
    assert world.of(f.TargetSet) == []


# --- counters and breakers ------------------------------------------------------------------------


def test_bars_held_are_counted_over_a_restart_that_is_shown_none_of_them() -> None:
    terms: dict[str, Any] = {"exits": {"max_bars": 4}}
    world = World(spec(Script(1.0), **terms), remembers=True).bars(*[(100,)] * 4)
    world.restart(spec(Script(), **terms)).bars(*[(100,)] * 4)
    unbroken = World(spec(Script(1.0), **terms)).bars(*[(100,)] * 8)
    assert [x.ts for x in world.of(f.TargetSuspended)] == [x.ts for x in unbroken.of(f.TargetSuspended)]


def test_a_position_keeps_its_time_exit_when_the_configuration_has_none_any_more() -> None:
    world = World(spec(Script(1.0), exits={"max_bars": 4}), remembers=True).bars(*[(100,)] * 4)
    world.restart(spec(Script())).bars(*[(100,)] * 4)
    assert world.position() == 0


def test_a_drawdown_counts_from_a_peak_within_the_day_before_a_restart() -> None:
    terms: dict[str, Any] = {"qty": 100}
    limits = Limits(max_drawdown=0.10)
    world = World(
        spec(Script(1.0), **terms), accounts=[account({"USD": D(10_000)}, limits=limits)], remembers=True
    ).bars((100,), (100,), (150,))
    world.restart(spec(Script(), **terms)).bars((134,))
    assert [x.rule for x in world.of(f.HaltSet)] == ["max_drawdown"]


def test_a_refusal_that_stood_before_a_restart_is_counted_on_and_not_said_again() -> None:
    limits = Limits(max_position=100.0)
    accounts = [account(limits=limits)]
    world = World(spec(Script(1.0)), accounts=accounts, remembers=True)
    world.tell(m.SetHalt(ts=world.now, level=HaltLevel.NO_NEW_RISK, reason="lunch"))
    world.bars((100,), (100,))
    world.restart(spec(Script())).bars(*[(100,)] * 5)
    assert len(world.of(f.OrderDenied)) == 1

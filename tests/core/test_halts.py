"""Halts, pauses and flattening: what still goes out, what rests, what a resume does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.test_desk import fills
from tests.core.world import GEM, START, D, QuoteScript, Script, World, account, spec
from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.model import DAY, HOUR, Level, OrderKind, Quote
from tradebot.core.scope import HaltLevel, Scope
from tradebot.core.setup import LateEntry, Limits, OrderStyle, RetryRules
from tradebot.core.strategy import Quotes
from tradebot.sim.latency import FixedLatency


def halt(world: World, level: HaltLevel, *, reason: str = "test", **scope: str) -> None:
    world.tell(m.SetHalt(ts=world.now, level=level, reason=reason, scope=Scope(**scope)))


def test_flatten_closes_and_the_target_rests_until_it_changes() -> None:
    world = World(spec(Script(1.0, None, None, None, None, None, None, 0.0, 1.0)))
    world.bars((100,), (100,))
    halt(world, HaltLevel.FLATTEN)
    world.bars((100,), (100,))
    assert world.position() == 0
    halt(world, HaltLevel.NONE)
    world.bars((100,), (100,), (100,))
    assert world.position() == 0
    world.bars((100,), (100,), (100,))
    assert world.position() == D(10)


def test_loss_limits_are_of_the_capital_not_of_the_owners_other_money() -> None:
    # 10 x 10 lost is 2 % of the capital of 5,000, and 0.1 % of all that lies in the account.
    mine = account(limits=Limits(max_drawdown=0.019), capital=D(5_000))
    world = World(spec(Script(1.0), capital={"USD": D(5_000)}), accounts=[mine])
    world.bars((100,), (100,), (100, 100, 90, 90))
    [tripped] = world.of(f.HaltSet)
    assert (tripped.rule, tripped.numbers[1].value) == ("max_drawdown", pytest.approx(0.02))
    assert world.ledger.subs["s"].cash["USD"] == D(4_000)


def test_a_deposit_to_the_owners_part_is_no_loss_of_ours() -> None:
    mine = account(limits=Limits(max_drawdown=0.019), capital=D(5_000))
    world = World(spec(Script(1.0), capital={"USD": D(5_000)}), accounts=[mine], checks_rest=False)
    world.bars((100,), (100,))
    world.tell(m.CashEvent(ts=world.now, account="main", asset="USD", amount=D(9_000), because="deposit"))
    world.bars((100,), (100,))
    assert world.of(f.HaltSet) == []


def test_a_word_while_the_flatten_is_out_does_not_sell_twice() -> None:
    # The exit after two bars and the strategy's own exit fall on the same bar; a cancel would come late.
    world = World(
        spec(Script(1.0, None, None, 0.0), exits={"max_bars": 2}),
        latency=FixedLatency(cancel=3 * HOUR),
        checks_rest=False,
    )
    world.bars((100,), (100,), (100,), (100,), (100,), (100,))
    assert world.position() == 0
    assert fills(world) == [("buy", D(10), D(100)), ("sell", D(10), D(100))]


def test_flatten_goes_out_though_the_target_was_given_up() -> None:
    # A bigger position is denied until given up; that must not keep us from getting out.
    world = World(spec(Script(0.5, None, 1.0)), accounts=[account(limits=Limits(max_orders_per_day=1))])
    world.bars((100,), (100,), (100,), (100,), (100,), (100,))
    assert world.of(f.RetrySet)[-1].is_last
    halt(world, HaltLevel.FLATTEN)
    world.bars((100,), (100,))
    assert world.position() == 0


def test_quotes_are_pulled_and_their_inventory_sold_by_flatten() -> None:
    both = Quotes("COIN", (Level(99.0, 5.0),), (Level(101.0, 5.0),))
    world = World(spec(QuoteScript(*[both] * 10), interval=0))
    quote = lambda n, bid, ask: Quote("COIN", START + n * HOUR, bid, 50.0, ask, 50.0)  # noqa: E731
    world.play([quote(1, 99.5, 100.5), quote(2, 98.0, 98.5)])
    assert world.position() == D(5)
    halt(world, HaltLevel.FLATTEN)
    world.play([quote(3, 99.5, 100.5), quote(4, 99.5, 100.5)])
    assert world.position() == 0
    assert world.working() == []
    halt(world, HaltLevel.NONE)
    world.play([quote(5, 99.5, 100.5)])
    assert world.working() == [("limit", "target", D(5)), ("limit", "target", D(-5))]


def test_cancel_entries_ends_them_and_sends_none_but_keeps_protection() -> None:
    style = OrderStyle(kind=OrderKind.LIMIT, collar=-0.05)
    world = World(spec(Script(0.5, None, 1.0), exits={"stop_loss": 0.10}, style=style))
    world.bars((100,), (95, 95, 95, 95), (95,))
    assert world.working() == [("stop", "protect", D(-5)), ("limit", "target", D(5))]
    halt(world, HaltLevel.CANCEL_ENTRIES)
    assert world.working() == [("stop", "protect", D(-5))]
    world.bars((90,), (84,))
    assert world.position() == 0


@pytest.mark.parametrize("level", [HaltLevel.PAUSED, HaltLevel.NO_NEW_RISK])
def test_a_halt_lets_a_position_shrink_and_nothing_grow(level: HaltLevel) -> None:
    world = World(spec(Script(0.5, None, 1.0, None, 0.2)))
    world.bars((100,), (100,))
    halt(world, level)
    world.bars((100,), (100,), (100,), (100,))
    assert world.position() == D(2)
    assert fills(world)[1:] == [("sell", D(3), D(100))]
    assert world.of(f.OrderDenied)[0].rule == "halted"


def test_two_quotes_that_each_would_close_do_not_both_go_out_under_a_halt() -> None:
    asks = Quotes("COIN", (), (Level(101.0, 5.0), Level(102.0, 5.0)))
    world = World(spec(QuoteScript(Quotes("COIN", (Level(99.0, 5.0),)), None, asks), interval=0))
    quote = lambda n, bid, ask: Quote("COIN", START + n * HOUR, bid, 50.0, ask, 50.0)  # noqa: E731
    world.play([quote(1, 99.5, 100.5), quote(2, 98.0, 98.5)])
    halt(world, HaltLevel.NO_NEW_RISK)
    world.play([quote(3, 99.5, 100.5), quote(4, 103.0, 103.5)])
    assert world.position() == 0


def test_a_halt_turns_a_reversal_into_a_close() -> None:
    world = World(spec(Script(1.0, None, -1.0)))
    world.bars((100,), (100,))
    halt(world, HaltLevel.NO_NEW_RISK)
    world.bars((100,), (100,), (100,))
    assert world.position() == 0


def test_a_resume_does_not_chase_what_was_wanted_meanwhile() -> None:
    world = World(spec(Script(None, 1.0, None, None, None, 0.5)))
    world.bars((100,))
    halt(world, HaltLevel.PAUSED)
    world.bars((100,), (100,))
    halt(world, HaltLevel.NONE)
    world.bars((100,), (100,))
    assert world.position() == 0
    (rest,) = world.of(f.TargetSuspended)
    assert rest.because == "resume"
    world.bars((100,), (100,))
    assert world.position() == D(5)


def test_a_resume_leaves_alone_what_holds_what_it_wants() -> None:
    world = World(spec(Script(1.0)))
    world.bars((100,), (100,))
    halt(world, HaltLevel.PAUSED)
    world.bars((100,))
    halt(world, HaltLevel.NONE)
    assert world.of(f.TargetSuspended) == []


def test_a_halt_of_one_strategy_or_instrument_leaves_the_others_trading() -> None:
    for scope in ({"strategy": "a"}, {"instrument": "COIN"}):
        world = World(
            spec(Script(None, 1.0), name="a", capital=D("0.5")),
            spec(Script(None, 1.0), name="b", instrument=GEM, capital=D("0.5")),
        )
        halt(world, HaltLevel.NO_NEW_RISK, **scope)
        for n in range(1, 5):
            world.play([m.Slice(START + n * HOUR, tuple(_bar(x, n) for x in ("COIN", "GEM")))])
        assert world.position("a") == 0
        assert world.position("b", "GEM") == D(10)


def _bar(name: str, n: int, price: float = 100.0) -> Any:
    from tests.core.world import make_bar

    return make_bar(name, START + n * HOUR, HOUR, price)


# --- breakers -------------------------------------------------------------------------------------


def test_a_daily_loss_halts_and_the_next_day_trades_again() -> None:
    limits = Limits(max_daily_loss=0.05)
    world = World(
        spec(Script(1.0, None, 0.5, None, 1.0), qty=100.0, interval=12 * HOUR),
        accounts=[account({"USD": D(10_000)}, limits=limits)],
    )
    world.bars((100,), (100,), (94,), (94,), (94,), (94,), (94,), interval=12 * HOUR)
    assert [(x.level.name, x.rule) for x in world.of(f.HaltSet)] == [
        ("NO_NEW_RISK", "max_daily_loss"),
        ("NONE", "max_daily_loss"),
    ]


def test_a_daily_loss_counts_from_the_last_price_of_the_day_before() -> None:
    # Daily bars: the bar that brings the loss is the first thing its day shows.
    world = World(
        spec(Script(1.0, None, None), qty=90.0, interval=DAY),
        accounts=[account({"USD": D(10_000)}, limits=Limits(max_daily_loss=0.05))],
    )
    world.bars((100,), (100,), (90,), (90,), interval=DAY)
    assert [(x.level.name, x.rule) for x in world.of(f.HaltSet)] == [
        ("NO_NEW_RISK", "max_daily_loss"),
        ("NONE", "max_daily_loss"),
    ]
    assert [x.equity for x in world.of(f.DayStarted)][2:4] == [10_000.0, 9_100.0]


def test_a_drawdown_latches_until_the_owner_lifts_it_and_exits_still_work() -> None:
    world = World(
        spec(Script(1.0, None, None, None, 0.0, 1.0), qty=90.0, exits={"stop_loss": 0.3}, interval=DAY),
        accounts=[account({"USD": D(10_000)}, limits=Limits(max_drawdown=0.15))],
    )
    world.bars((100,), (100,), (80,), (80,), (80,), (80,), (80,), (80,), interval=DAY)
    assert [(x.level.name, x.rule) for x in world.of(f.HaltSet)] == [("NO_NEW_RISK", "max_drawdown")]
    assert world.position() == 0
    assert world.of(f.OrderDenied)[-1].reason == "no_new_risk: max_drawdown of account main is 0.15, was 0.18"


def test_a_new_day_does_not_lift_a_halt_of_the_owner() -> None:
    world = World(
        spec(Script(1.0), qty=100.0, interval=DAY),
        accounts=[account({"USD": D(10_000)}, limits=Limits(max_daily_loss=0.05))],
    )
    world.bars((100,), (100,), (90,), interval=DAY)
    halt(world, HaltLevel.NO_NEW_RISK, reason="holiday")
    world.bars((90,), (90,), interval=DAY)
    assert world.ledger.halt_level("s", "COIN") == (HaltLevel.NO_NEW_RISK, "holiday")


def test_money_taken_out_is_no_loss_and_money_put_in_no_gain() -> None:
    world = World(
        spec(Script(0.5), qty=10.0, interval=HOUR),
        accounts=[account({"USD": D(10_000)}, limits=Limits(max_drawdown=0.15, max_daily_loss=0.10))],
        checks_rest=False,  # the simulated venue knows nothing of the money
    )
    world.bars((100,), (100,))
    world.tell(m.CashEvent(ts=world.now, account="main", asset="USD", amount=D(-5_000), because="withdrawal"))
    world.bars((100,), (100,))
    world.tell(m.CashEvent(ts=world.now, account="main", asset="USD", amount=D(50_000), because="deposit"))
    world.bars((100,), (100,))
    assert world.of(f.HaltSet) == []


def test_a_flatten_is_collared_and_chases_a_gap_at_growing_distance() -> None:
    world = World(spec(Script(1.0)), flatten_collar=0.01).bars((100,), (100,))
    halt(world, HaltLevel.FLATTEN)
    assert world.working() == [("limit", "flatten", D(-10))]
    world.bars((90,), (90,))
    limits = [x.order.limit_price for x in world.of(f.OrderIntended)[1:]]
    assert limits == [D(99), D("88.2")]
    assert world.position() == 0
    assert {side for side, _, _ in fills(world)[1:]} == {"sell"}
    assert sum(qty for _, qty, _ in fills(world)[1:]) == D(10)


def test_a_flatten_keeps_to_the_accounts_collar_and_leaves_the_owners_own_alone() -> None:
    accounts = [account(limits=Limits(collar=0.03))]
    world = World(spec(Script(1.0)), accounts=accounts, flatten_collar=0.01).bars((100,), (100,))
    world.owner_trades("7")
    halt(world, HaltLevel.FLATTEN)
    assert world.of(f.OrderIntended)[-1].order.limit_price == D(97)
    world.bars((100,))
    assert world.position() == 0
    assert world.ledger.accounts["main"].qty("COIN") == D(7)


def test_a_breaker_halts_its_own_account_and_leaves_the_other_trading() -> None:
    accounts = [
        account({"USD": D(10_000)}, name="one", limits=Limits(max_drawdown=0.05)),
        account({"USD": D(10_000)}, name="two", limits=Limits(max_drawdown=0.05)),
    ]
    world = World(
        spec(Script(1.0, None, None, 0.5), name="a", account="one", qty=90.0),
        spec(Script(None, None, None, 1.0), name="b", account="two", instrument=GEM),
        accounts=accounts,
        checks_rest=False,
    )
    for n, price in enumerate((100.0, 100.0, 80.0, 80.0, 80.0, 80.0), 1):
        pieces = (_bar("COIN", n, price), _bar("GEM", n))
        world.play([m.Slice(START + n * HOUR, pieces)])
    assert [(x.scope, x.rule) for x in world.of(f.HaltSet)] == [(Scope(account="one"), "max_drawdown")]
    assert world.position("b", "GEM") == D(10)


def test_a_loss_limit_and_the_owner_stop_the_same_and_each_is_lifted_by_itself() -> None:
    world = World(
        spec(Script(1.0), qty=100.0, interval=DAY),
        accounts=[account({"USD": D(10_000)}, limits=Limits(max_daily_loss=0.05, max_drawdown=0.05))],
    )
    world.bars((100,), (100,), (90,), interval=DAY)
    halt(world, HaltLevel.PAUSED, reason="holiday", strategy="s")
    standing = [key.rule for key in world.ledger.halts]
    assert standing == ["max_drawdown", "max_daily_loss", "owner"]
    world.bars((90,), interval=DAY)  # the day is over
    assert [key.rule for key in world.ledger.halts] == ["max_drawdown", "owner"]
    main = Scope(account="main")
    world.tell(m.SetHalt(ts=world.now, level=HaltLevel.NONE, reason="seen", scope=main, rule="max_drawdown"))
    assert world.ledger.halt_level("s", "COIN") == (HaltLevel.PAUSED, "holiday")


# --- conditions -----------------------------------------------------------------------------------


def condition(world: World, level: HaltLevel, rule: str = "stale_feed") -> None:
    coin = Scope(None, "COIN")
    world.tell(m.SetHalt(ts=world.now, level=level, reason="silence", scope=coin, rule=rule))


def test_a_condition_opens_nothing_lets_out_and_its_end_is_no_resume() -> None:
    world = World(spec(Script(0.5, None, 1.0, None, None, None), retry=RetryRules(first=HOUR, factor=1.0)))
    world.bars((100,), (100,))
    condition(world, HaltLevel.PAUSED)
    world.bars((100,), (100,))
    assert world.position() == D(5)
    assert world.of(f.OrderDenied)[-1].reason == "paused: silence"
    condition(world, HaltLevel.NONE)
    world.bars((100,), (100,), (100,))
    assert world.position() == D(10)
    assert world.of(f.TargetSuspended) == []


def test_an_exit_gets_out_while_a_condition_stands() -> None:
    world = World(spec(Script(1.0, None, 0.0)))
    world.bars((100,), (100,))
    condition(world, HaltLevel.PAUSED)
    world.bars((100,), (100,))
    assert world.position() == 0


def test_quotes_do_not_rest_at_prices_that_nobody_follows() -> None:
    both = Quotes("COIN", (Level(99.0, 5.0),), (Level(101.0, 5.0),))
    world = World(spec(QuoteScript(*[both] * 10), interval=0))
    quote = lambda n: Quote("COIN", START + n * HOUR, 99.5, 50.0, 100.5, 50.0)  # noqa: E731
    world.play([quote(1)])
    assert len(world.working()) == 2
    condition(world, HaltLevel.PAUSED)
    world.play([quote(2)])
    assert world.working() == []
    condition(world, HaltLevel.NONE)
    world.play([quote(3)])
    assert len(world.working()) == 2


# --- what nobody watched in the middle of a run -------------------------------------------------------


@pytest.mark.parametrize(("late", "held"), [({}, 10), ({"late_entry": LateEntry(max_bars=1)}, 0)])
def test_a_signal_in_bars_that_were_missed_is_judged_as_after_a_restart(
    late: dict[str, Any], held: int
) -> None:
    world = World(spec(Script(0.0, None, 1.0, None, None, None, None), **late))
    world.bars((100,), (100,))
    world.tell(m.BarsMissed(ts=world.now, bars=tuple(_bar("COIN", n) for n in (3, 4, 5))))
    assert world.of(f.TargetSet)[-1].weight == 0.0
    for n in (6, 7):
        world.play([m.Slice(START + n * HOUR, (_bar("COIN", n),))])
    assert world.position() == D(held)

"""What happens beside our orders: the owner's trades, transfers, reconciliation, unknown orders, assignments."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.test_desk import fills
from tests.core.world import START, D, QuoteScript, Script, World, account, make_bar, spec
from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.adjusting import parts_of
from tradebot.core.engine import Engine
from tradebot.core.model import HOUR, Explained, Fill, Level, OrderKind, Quote, Side
from tradebot.core.orders import Status
from tradebot.core.scope import HaltLevel, Scope
from tradebot.core.setup import ExecutionSpec, Limits, OrderStyle, Setup
from tradebot.core.strategy import Quotes
from tradebot.sim.latency import FixedLatency
from tradebot.sim.settings import FillSettings

HALF = D("0.5")


def unassigned(world: World) -> Any:
    return world.ledger.accounts["main"].unassigned


# --- the owner's own trades -----------------------------------------------------------------------


def test_what_the_owner_sells_is_not_bought_back_and_the_stop_follows() -> None:
    world = World(spec(Script(*[1.0] * 9), exits={"stop_loss": 0.10})).bars((100,), (100,))
    world.owner_trades("-6", "110")
    assert world.position() == D(4)
    assert world.working() == [("stop", "protect", D(-4))]
    assert [x.because for x in world.of(f.TargetSuspended)] == ["owner traded"]
    world.bars((100,), (100,), (100,))
    assert world.position() == D(4)
    assert world.bars((80,)).position() == 0
    assert unassigned(world).cash["USD"] == D(660)
    assert unassigned(world).position("COIN").realized == D(60)


def test_a_new_word_after_the_owners_sale_is_acted_on() -> None:
    world = World(spec(Script(1.0, None, 0.5))).bars((100,), (100,))
    world.owner_trades("-10").bars((100,), (100,))
    assert world.position() == D(5)


def test_the_owners_own_quantity_goes_before_the_strategies() -> None:
    world = World(spec(Script(1.0))).bars((100,), (100,))
    world.owner_trades("5").owner_trades("-5")
    assert world.position() == D(10)
    assert world.of(f.TargetSuspended) == []
    world.owner_trades("3").owner_trades("-5")
    assert world.position() == D(8)
    assert unassigned(world).qty("COIN") == 0


def test_what_the_owner_buys_stays_unassigned() -> None:
    world = World(spec(Script(1.0))).bars((100,), (100,)).owner_trades("7")
    assert (world.position(), unassigned(world).qty("COIN")) == (D(10), D(7))
    assert world.bars((100,), (100,)).position() == D(10)


def test_a_short_that_the_owner_covers_is_not_sold_again() -> None:
    world = World(spec(Script(*[-1.0] * 9), exits={"stop_loss": 0.10})).bars((100,), (100,))
    world.owner_trades("4", "90")
    assert world.position() == D(-6)
    assert world.working() == [("stop", "protect", D(6))]
    assert unassigned(world).position("COIN").realized == D(40)


def test_a_sale_beyond_everything_leaves_the_strategies_flat_and_the_rest_to_the_owner() -> None:
    world = World(spec(Script(1.0), exits={"stop_loss": 0.10})).bars((100,), (100,)).owner_trades("-14")
    assert (world.position(), unassigned(world).qty("COIN")) == (0, D(-4))
    assert world.working() == []


def test_the_owners_short_beside_our_long_was_never_ours() -> None:
    world = World(spec(Script(None, 1.0), exits={"stop_loss": 0.10})).bars((100,))
    world.owner_trades("-5").bars((100,), (100,))
    assert world.position() == D(10)
    world.owner_trades("2")
    assert world.position() == D(10)
    world.owner_trades("-1", "90")
    assert (world.position(), unassigned(world).qty("COIN")) == (D(9), D(-3))


def test_several_strategies_lose_in_proportion_in_whole_lots_and_to_the_quantum() -> None:
    world = World(
        spec(Script(1.0), name="a", capital=HALF, qty=3.333),
        spec(Script(1.0), name="b", capital=HALF, qty=6.667),
    ).bars((100.01,), (100.01,))
    world.owner_trades("-1", "99.99")
    assert (world.position("a"), world.position("b")) == (D("3.000"), D("6.000"))
    a = world.ledger.subs["a"].position("COIN")
    assert a.basis == D("300.03")
    world.owner_trades("-9", "99.99")
    assert (world.position("a"), world.position("b")) == (0, 0)
    assert unassigned(world).position("COIN").basis == 0


def test_only_who_holds_in_that_direction_loses() -> None:
    world = World(
        spec(Script(1.0), name="long", capital=HALF),
        spec(Script(-1.0), name="short", capital=HALF, qty=4),
    ).bars((100,), (100,))
    world.owner_trades("-5")
    assert (world.position("long"), world.position("short")) == (D(5), D(-4))


def test_the_same_trade_told_twice_is_booked_once() -> None:
    world = World(spec(Script(1.0))).bars((100,), (100,)).owner_trades("-6", ref="exec-7", told=3)
    assert world.position() == D(4)
    assert len(world.of(f.PositionAdjusted)) == 1


def test_an_order_on_its_way_is_taken_back_when_the_owner_sells() -> None:
    style = OrderStyle(kind=OrderKind.LIMIT, collar=-0.05)
    world = World(spec(Script(0.5, None, 1.0), style=style)).bars((100,), (95, 95, 95, 95), (95,))
    assert world.working() == [("limit", "target", D(5))]
    world.owner_trades("-2", "95")
    assert world.working() == []
    assert world.position() == D(3)


def test_an_exit_and_the_owners_sale_that_cross_do_not_leave_a_short() -> None:
    # The strategy's own sale is on its way for an hour when the owner sells everything by hand.
    world = World(
        spec(Script(1.0, None, None, 0.0, None)),
        latency=FixedLatency(submit=HOUR, cancel=5 * HOUR),
        checks_rest=False,
    ).bars((100,), (100,), (100,), (100,))
    world.owner_trades("-10")
    world.bars((100,), (100,), (100,), (100,))
    assert [side for side, _, _ in fills(world)] == ["buy", "sell", "buy"]
    assert world.position() == 0


def test_a_flatten_under_way_is_cut_to_what_the_owner_left() -> None:
    world = World(spec(Script(1.0)), latency=FixedLatency(submit=2 * HOUR), checks_rest=False).bars(
        (100,), (100,), (100,), (100,)
    )
    assert world.position() == D(10)
    world.tell(m.SetHalt(ts=world.now, level=HaltLevel.FLATTEN, reason="test"))
    world.owner_trades("-6")
    world.bars(*[(100,)] * 6)  # its cancel came before it: it is asked for again, and the rest sent anew
    assert world.position() == 0
    assert [qty for _, qty, _ in fills(world)] == [D(10), D(4)]


def test_a_market_maker_goes_on_after_the_owner_took_its_inventory() -> None:
    both = Quotes("COIN", (Level(99.0, 5.0),), (Level(101.0, 5.0),))
    world = World(spec(QuoteScript(*[both] * 10), interval=0))
    world.play(Quote("COIN", START + n * HOUR, bid, 50.0, bid + 1, 50.0) for n, bid in ((1, 99.5), (2, 97.9)))
    assert world.position() == D(5)
    world.owner_trades("-5", "98")
    assert world.position() == 0
    world.play([Quote("COIN", START + 9 * HOUR, 99.5, 50.0, 100.5, 50.0)])
    assert world.working() == [("limit", "target", D(5)), ("limit", "target", D(-5))]


# --- transfers ------------------------------------------------------------------------------------


def moved(world: World, qty: str, basis: str | None = None, ref: str = "") -> None:
    world.venue.blotter.accounts["main"].add_position("COIN", D(qty))
    change = m.PositionChanged(
        ts=world.now,
        account="main",
        instrument="COIN",
        qty_signed=D(qty),
        because="transfer",
        basis=None if basis is None else D(basis),
        venue_ref=ref,
    )
    world.tell(change)


def test_what_is_transferred_away_takes_its_cost_and_gains_nothing() -> None:
    world = World(spec(Script(1.0))).bars((100,), (100,), (150,))
    moved(world, "-4")
    assert world.position() == D(6)
    assert world.ledger.subs["s"].position("COIN").basis == D(600)
    assert unassigned(world).position("COIN").realized == 0
    (fact,) = world.of(f.PositionAdjusted)
    assert [(x.proceeds, x.basis) for x in fact.closed] == [(D(400), D(400))]


@pytest.mark.parametrize(("basis", "cost"), [("123.45", "123.45"), (None, "300")])
def test_what_is_transferred_in_costs_what_is_said_or_what_it_is_worth(basis: str | None, cost: str) -> None:
    world = World(spec(Script())).bars((150,))
    moved(world, "2", basis)
    assert unassigned(world).position("COIN").basis == D(cost)


def test_a_transfer_is_neither_profit_nor_loss_to_the_breakers() -> None:
    limits = Limits(max_daily_loss=0.05, max_drawdown=0.05)
    world = World(spec(Script(1.0), qty=100), accounts=[account({"USD": D(20_000)}, limits=limits)])
    world.bars((100,), (100,), (100,))
    moved(world, "-50")
    world.bars((100,), (99,))
    assert world.of(f.HaltSet) == []
    moved(world, "500")
    world.bars((98,), (97,))
    assert world.of(f.HaltSet) == []


# --- explained cash -------------------------------------------------------------------------------


def test_explained_cash_is_booked_once_per_venue_id_and_by_its_kind() -> None:
    world = World(spec(Script()), checks_rest=False)
    for because, amount in (("interest", "1.25"), ("fee", "-0.75"), ("transfer", "100")):
        for _ in range(2):
            world.tell(
                m.CashEvent(
                    ts=world.now,
                    account="main",
                    asset="USD",
                    amount=D(amount),
                    because=because,
                    venue_ref=f"act-{because}",
                )
            )
    assert [x.amount for x in world.of(f.InterestPaid)] == [D("1.25")]
    assert [x.amount for x in world.of(f.FeeCharged)] == [D("0.75")]
    assert world.ledger.accounts["main"].cash["USD"] == D("100100.50")
    assert unassigned(world).cash["USD"] == D("100.50")


# --- reconciliation -------------------------------------------------------------------------------


def reconciled(world: World) -> World:
    world.tell(m.Reconciled(ts=world.now, account="main"))
    return world


def test_nothing_new_leaves_before_the_account_is_reconciled_and_no_try_is_used_up() -> None:
    world = World(spec(Script(1.0)), needs_reconcile=True).bars((100,), (100,), (100,))
    assert world.of(f.OrderIntended, f.OrderDenied, f.RetrySet) == []
    assert [x.rule for x in world.of(f.Skipped)] == ["reconciled"]
    reconciled(world).bars((100,))
    assert world.position() == D(10)


def test_a_parent_waits_for_the_reconciliation_too() -> None:
    twap = ExecutionSpec(kind="twap", slices=2, over=HOUR)
    world = World(spec(Script(1.0), execution=twap), needs_reconcile=True).bars((100,), (100,))
    assert world.of(f.ParentOpened) == []
    reconciled(world).bars((100,), (100,), (100,))
    assert world.position() == D(10)


def test_each_account_is_reconciled_by_itself() -> None:
    world = World(
        spec(Script(1.0), name="a", account="one"),
        spec(Script(1.0), name="b", account="two"),
        accounts=[account(name="one"), account(name="two")],
        needs_reconcile=True,
    )
    world.tell(m.Reconciled(ts=world.now, account="two"))
    world.bars((100,), (100,))
    assert (world.position("a"), world.position("b")) == (0, D(10))


def restarted(world: World, *strategies: Any, epoch: int = 2) -> Any:
    """Start another engine on what the journal holds, with the same venue."""
    setup = Setup(
        instruments=world.instruments,
        accounts=world.accounts,
        strategies=strategies,
        quanta={},
        needs_reconcile=True,
    )
    engine = Engine(setup, world.replayed)
    engine.marks.update(world.engine.marks)
    outcome = engine.decide(
        m.Start(ts=world.now, run_id="again", epoch=epoch, config_digest="c", code_digest="d"), world.now
    )
    return engine, outcome


def test_after_a_restart_exits_are_placed_again_and_the_difference_is_worked_once_reconciled() -> None:
    terms = {"exits": {"stop_loss": 0.10}}
    world = World(spec(Script(1.0), **terms)).bars((100,), (100,))
    engine, _ = restarted(world, spec(Script(), **terms))
    (stop,) = engine.ledger.open_orders(("s", "COIN"))
    # While we were away the venue lost the stop and the owner halved the position.
    lost = m.VenueExpired(ts=world.now, client_order_id=stop.order.client_order_id)
    # Nothing leaves yet: a journal from a backup would place exits for what is not held.
    assert engine.decide(lost, world.now).commands == ()
    engine.decide(
        m.PositionChanged(
            ts=world.now, account="main", instrument="COIN", qty_signed=D(-5), because="owner's trade"
        ),
        world.now,
    )
    engine.decide(m.Reconciled(ts=world.now, account="main"), world.now)
    protecting = [
        (r.order.kind, r.leaves)
        for r in engine.ledger.open_orders(("s", "COIN"))
        if r.status is not Status.PENDING_REPLACE
    ]
    assert protecting == [(OrderKind.STOP, D(5))]


def test_a_difference_cut_short_by_a_restart_is_found_again_once_reconciled() -> None:
    world = World(spec(Script(1.0), style=OrderStyle(kind=OrderKind.LIMIT, collar=-0.5)), checks_rest=False)
    world.bars((100,))
    engine, _ = restarted(world, spec(Script()))
    (order,) = engine.ledger.open_orders(("s", "COIN"))
    lost = m.VenueRefused(ts=world.now, client_order_id=order.order.client_order_id, reason="never arrived")
    engine.decide(lost, world.now)
    ((key, at),) = engine.ledger.timers.items()
    assert engine.decide(m.TimerDue(ts=at, key=key), at).commands == ()
    (again,) = engine.decide(m.Reconciled(ts=at, account="main"), at).commands
    assert isinstance(again, m.SubmitOrder)
    assert again.order.qty == D(10)


def test_a_restart_forgets_what_was_reconciled_and_timers_are_set_again() -> None:
    world = World(spec(Script(1.0), execution=ExecutionSpec(kind="twap", slices=5, over=5 * HOUR)))
    world.bars((100,), (100,))
    engine, outcome = restarted(world, spec(Script()))
    assert not engine.ledger.is_reconciled("main")
    keys = [c.key for c in outcome.commands if isinstance(c, m.SetTimer)]
    assert keys == list(engine.ledger.timers)
    assert len(keys) == 1


# --- unknown orders -------------------------------------------------------------------------------


def unknown(*words: float, **terms: Any) -> tuple[World, str]:
    """Return a world whose only order stayed unknown and absent."""
    world = World(spec(Script(*words), **terms), latency=FixedLatency(submit=1000 * HOUR), checks_rest=False)
    world.bars((100,))
    (record,) = world.ledger.open_orders(("s", "COIN"))
    order_id = record.order.client_order_id
    world.tell(m.VenueUnknown(ts=world.now, client_order_id=order_id, reason="timed out"))
    world.tell(m.VenueAbsent(ts=world.now, client_order_id=order_id, checks=3))
    return world, order_id


def let_go(world: World, order_id: str) -> None:
    world.tell(m.ReleaseUnknown(ts=world.now, client_order_id=order_id, reason="owner"))


def test_an_absent_order_keeps_its_exposure_and_halts_its_symbol_until_it_is_let_go_of() -> None:
    world, order_id = unknown(1.0, 1.0, 0.5)
    world.bars((100,), (100,))
    assert world.ledger.orders[order_id].leaves == D(10)
    assert list(world.ledger.halts) == [(Scope(None, "COIN"), "unknown_order")]
    let_go(world, order_id)
    assert world.ledger.halts == {}
    assert world.ledger.orders[order_id].status is Status.RELEASED
    assert not world.ledger.orders[order_id].is_open


def test_the_halt_stays_while_another_order_of_the_symbol_is_unknown() -> None:
    world = World(
        spec(Script(1.0), name="a", capital=HALF),
        spec(Script(1.0), name="b", capital=HALF),
        latency=FixedLatency(submit=1000 * HOUR),
        checks_rest=False,
    ).bars((100,))
    ids = list(world.ledger.orders)
    for each in ids:
        world.tell(m.VenueUnknown(ts=world.now, client_order_id=each, reason="timed out"))
        world.tell(m.VenueAbsent(ts=world.now, client_order_id=each, checks=3))
    let_go(world, ids[0])
    assert (Scope(None, "COIN"), "unknown_order") in world.ledger.halts
    let_go(world, ids[1])
    assert world.ledger.halts == {}


def test_a_halt_of_the_owner_is_not_lifted_with_the_unknown_order() -> None:
    world, order_id = unknown(1.0)
    scope = Scope(None, "COIN")
    world.tell(m.SetHalt(ts=world.now, level=HaltLevel.NO_NEW_RISK, reason="mine", scope=scope))
    let_go(world, order_id)
    assert list(world.ledger.halts) == [(scope, "owner")]


def test_an_unknown_order_does_not_weaken_the_owners_halt() -> None:
    world, _ = unknown(1.0)
    scope = Scope(None, "COIN")
    world.tell(m.SetHalt(ts=world.now, level=HaltLevel.FLATTEN, reason="mine", scope=scope))
    (order_id, *_) = world.ledger.orders
    world.tell(m.VenueAbsent(ts=world.now, client_order_id=order_id, checks=6))
    assert world.ledger.halt_level("s", "COIN") == (HaltLevel.FLATTEN, "mine")


def test_a_fill_after_the_release_is_booked_and_what_is_too_much_is_sold() -> None:
    world, order_id = unknown(1.0, None, 0.2)
    let_go(world, order_id)
    fill = Fill(
        fill_id="late",
        client_order_id=order_id,
        instrument="COIN",
        side=Side.BUY,
        qty=D(10),
        price=D(100),
        ts=world.now,
    )
    world.tell(m.VenueFilled(ts=world.now, fill=fill))
    assert world.position() == D(10)
    assert world.ledger.orders[order_id].status is Status.FILLED
    world.bars((100,), (100,))
    assert [(kind, qty) for kind, _, qty in world.working()] == [("market", D(-8))]


def test_an_order_that_turned_up_is_not_let_go_of() -> None:
    world, order_id = unknown(1.0)
    world.tell(m.VenueAcked(ts=world.now, client_order_id=order_id, venue_order_id="v1"))
    let_go(world, order_id)
    assert world.ledger.orders[order_id].is_open
    assert world.of(f.UnknownReleased) == []


def test_a_replacement_that_is_let_go_of_gives_the_order_before_it_back() -> None:
    world = World(
        spec(Script(0.5, None, 1.0), exits={"stop_loss": 0.10}),
        latency=FixedLatency(replace=1000 * HOUR),
        checks_rest=False,
    ).bars((100,), (100,), (100,), (100,))
    stop, heir = [r for r in world.ledger.open_orders(("s", "COIN")) if r.order.kind is OrderKind.STOP]
    heir_id = heir.order.client_order_id
    world.tell(m.VenueUnknown(ts=world.now, client_order_id=heir_id, reason="timed out"))
    let_go(world, heir_id)
    assert stop.is_open
    assert not heir.is_open
    # Protection is asked for again, on the order that is still there.
    assert world.of(f.ReplaceRequested)[-1].client_order_id == stop.order.client_order_id


def test_a_breaker_of_the_shell_says_its_rule_and_numbers() -> None:
    world = World(spec(Script()))
    numbers = (Explained(name="age_s", value=91.0),)
    world.tell(
        m.SetHalt(
            ts=world.now, level=HaltLevel.NO_NEW_RISK, reason="stale", rule="feed_stale", numbers=numbers
        )
    )
    (halt,) = world.of(f.HaltSet)
    assert (halt.rule, halt.numbers) == ("feed_stale", numbers)


# --- assignments ----------------------------------------------------------------------------------


def assign(world: World, amount: str, **terms: Any) -> list[Any]:
    before = len(world.facts)
    world.tell(m.Assign(ts=world.now, account="main", strategy="s", amount=D(amount), **terms))
    return [r.fact for r in world.facts[before:]]


def test_what_is_assigned_belongs_to_the_strategy_is_protected_and_not_traded() -> None:
    world = (
        World(spec(Script(None, None, 0.3), exits={"stop_loss": 0.10})).bars((100,)).owner_trades("8", "90")
    )
    assign(world, "5", instrument="COIN")
    assert world.position() == D(5)
    assert world.ledger.subs["s"].position("COIN").entry_price == 90.0
    assert world.working() == [("stop", "protect", D(-5))]
    assert world.bars((100,)).position() == D(5)
    assert world.bars((100,), (100,)).position() == D(3)


def test_a_standing_target_that_an_assignment_fulfils_goes_on() -> None:
    world = World(spec(Script(1.0)), needs_reconcile=True).bars((100,)).owner_trades("10")
    assign(world, "10", instrument="COIN")
    reconciled(world).bars((100,))
    assert world.position() == D(10)
    assert world.of(f.TargetSuspended, f.OrderIntended) == []


def test_cash_and_quantity_go_both_ways_with_their_cost() -> None:
    world = World(spec(Script(1.0), capital=HALF)).bars((100,), (100,))
    assign(world, "1000", asset="USD")
    assert world.ledger.subs["s"].cash["USD"] == D(50_000)
    assign(world, "-4", instrument="COIN")
    assert (world.position(), unassigned(world).position("COIN").basis) == (D(6), D(400))
    assign(world, "2", instrument="COIN", basis=D(250))
    assert world.ledger.subs["s"].position("COIN").basis == D(850)
    assert unassigned(world).position("COIN").realized == D(50)


@pytest.mark.parametrize(
    ("amount", "terms", "reason"),
    [
        ("0", {"asset": "USD"}, "the amount to assign must not be 0"),
        ("60000", {"asset": "USD"}, "unassigned must hold the 60000 USD to assign, holds 50000"),
        ("-60000", {"asset": "USD"}, "s must hold the 60000 USD to assign, holds 50000"),
        ("1", {"instrument": "COIN"}, "unassigned must hold the 1 COIN to assign, holds 0"),
        ("1", {}, "exactly one of asset and instrument must be given, was None, None"),
    ],
)
def test_an_assignment_of_what_is_not_there_is_refused_with_what_is(
    amount: str, terms: dict[str, str], reason: str
) -> None:
    world = World(spec(Script(), capital=HALF)).bars((100,))
    (refused,) = assign(world, amount, **terms)
    assert (refused.what, refused.reason) == ("Assign", reason)


def test_an_assignment_names_the_strategies_there_are() -> None:
    world = World(spec(Script()))
    world.tell(m.Assign(ts=world.now, account="main", strategy="t", amount=D(1), asset="USD"))
    (refused,) = world.of(f.InputRefused)
    assert refused.reason == "strategy must be one of account main (s), was t"


# --- shares ---------------------------------------------------------------------------------------

AMOUNT = st.integers(min_value=0, max_value=10**9)


@given(weights=st.lists(AMOUNT, min_size=1, max_size=6), data=st.data())
def test_parts_sum_to_the_whole_and_none_exceeds_what_is_held(weights: list[int], data: Any) -> None:
    total = data.draw(st.integers(min_value=0, max_value=sum(weights)))
    step = data.draw(st.sampled_from([Decimal(1), Decimal(1000)]))
    held = [Decimal(w) for w in weights]
    parts = parts_of(Decimal(total), held, step)
    assert sum(parts) == total
    assert all(0 <= part <= weight for part, weight in zip(parts, held, strict=True))


@given(data=st.data())
def test_books_balance_whatever_the_owner_does_beside_the_strategies(data: Any) -> None:
    words = st.lists(st.sampled_from([None, -1.0, -0.3, 0.0, 0.5, 1.0]), min_size=8, max_size=8)
    world = World(
        spec(Script(*data.draw(words)), name="a", capital=HALF, qty=3.337, exits={"stop_loss": 0.05}),
        spec(Script(*data.draw(words)), name="b", capital=HALF, exits={"take_profit": 0.03}),
    )
    for _ in range(8):
        price = data.draw(st.integers(min_value=9_000, max_value=11_000)) / 100
        world.bars((price,))
        lots = data.draw(st.integers(min_value=-15_000, max_value=15_000))
        if lots and data.draw(st.booleans()):
            world.owner_trades(str(D(lots) / 1000), f"{price:.2f}")  # World checks books and protection
    world.compare()


def test_a_start_while_an_exit_trades_does_not_buy_back_what_it_still_sells() -> None:
    terms: dict[str, Any] = {"exits": {"take_profit": 0.10, "after_exit": "at_once"}}
    world = World(
        spec(Script(1.0), **terms), settings=FillSettings(volume_cap=D("0.01")), checks_protection=False
    )
    # In with the 10 of one bar; the exit gets 4 of a bar with a volume of 400.
    world.bars((100,), (100,), (100, 112, 100, 105, 400))
    assert (world.position(), [x for x in world.working() if x[1] == "protect"]) == (
        D(6),
        [("limit", "protect", D(-6))],
    )
    known = [m.Slice(world.now, (make_bar("COIN", world.now, HOUR, 105.0),))]
    world.restart(spec(Script(), **terms), warm_up=known, seen=world.now)
    world.tell(m.WarmedUp(ts=world.now))
    assert [kind for kind, purpose, _ in world.working() if purpose == "target"] == []

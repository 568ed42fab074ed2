"""Protective exits follow the position: never doubled, never missing, never a loop."""

from __future__ import annotations

from tests.core.world import START, D, Script, World, spec
from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.model import HOUR, MINUTE, Fill, Purpose, Side
from tradebot.core.orders import Status
from tradebot.core.setup import ExecutionSpec, Resize, RetryRules
from tradebot.sim.fees import ReceivedAssetFees
from tradebot.sim.latency import FixedLatency
from tradebot.sim.settings import FillSettings, OnSplit, SameBar, StopThrough

SHARE = D("0.5")


def protective(world: World) -> list[f.OrderIntended | f.ReplaceRequested]:
    return [x for x in world.of(f.OrderIntended, f.ReplaceRequested) if x.order.purpose is Purpose.PROTECT]


def test_opposite_strategies_on_one_account_are_each_stopped_out() -> None:
    # The account is flat, each strategy is not: what protects one is no reduction of the account.
    long = spec(Script(1.0), name="long", capital=SHARE, exits={"stop_loss": 0.05})
    short = spec(Script(-1.0), name="short", capital=SHARE, exits={"stop_loss": 0.05})
    world = World(long, short).bars((100,), (100,), (100, 100, 90, 100), (100, 110, 100, 100))
    assert world.position("long") == 0
    assert world.position("short") == 0
    assert [x.fill.price for x in world.of(f.OrderFilled)[2:]] == [D(95), D(105)]


def test_a_protective_order_the_venue_refuses_is_tried_a_bounded_number_of_times() -> None:
    # Bought on, the average falls and the stop is to move; the market is already through its new level.
    words = Script(0.5, None, 1.0)
    world = World(
        spec(words, exits={"stop_loss": 0.10}, resize=Resize.ON_CHANGE),
        settings=FillSettings(stop_through=StopThrough.REJECT),
        checks_rest=False,
    )
    world.bars((100,), (100,), (100,), (80, 80, 80, 80), (80,), (80,))
    assert len(protective(world)) < 12


def test_a_split_rebases_the_resting_stop() -> None:
    for mode in OnSplit:
        split = m.Split(ts=START + 3 * HOUR, instrument="COIN", ratio=D(4))
        world = World(
            spec(Script(1.0), exits={"stop_loss": 0.10, "take_profit": 0.5}),
            events=[split],
            settings=FillSettings(on_split=mode),
        )
        world.bars((100,), (100,), (100,), (25,))
        assert world.working() == [("stop", "protect", D(-40)), ("limit", "protect", D(-40))]
        stop, target = (r.order for r in world.ledger.open_orders(("s", "COIN")))
        assert (stop.stop_price, target.limit_price) == (D("22.50"), D("37.50"))
        assert len(world.of(f.TargetSuspended)) == 0
        assert [x.order.purpose for x in world.of(f.OrderIntended)].count(Purpose.TARGET) == 1
        position = world.ledger.subs["s"].position("COIN")
        assert (position.qty, position.basis, position.realized) == (D(40), D(1000), D(0))


def test_a_split_carries_a_working_parent_over() -> None:
    twap = ExecutionSpec(kind="twap", slices=4, over=4 * HOUR)
    split = m.Split(ts=START + 3 * HOUR + 1, instrument="COIN", ratio=D(4))
    world = World(spec(Script(1.0), execution=twap), events=[split])
    world.bars((100,), (100,), (100,), *[(25,)] * 8)
    assert world.position() == D(40)
    assert [x.fill.side for x in world.of(f.OrderFilled)] == [Side.BUY] * len(world.of(f.OrderFilled))


def test_a_stop_out_is_bought_back_at_once_when_told_so() -> None:
    world = World(spec(Script(1.0), exits={"stop_loss": 0.10, "after_exit": "at_once"}))
    world.bars((100,), (100,), (100, 100, 85, 88), (88,), (88,))
    assert [(x.fill.side.value, x.fill.price) for x in world.of(f.OrderFilled)] == [
        ("buy", D(100)),
        ("sell", D(90)),
        ("buy", D(88)),
    ]


def test_an_entry_beside_dust_measures_its_exits_from_its_own_price() -> None:
    # A fee in coins leaves 0.0002 of a coin, less than a lot: that is no position to average with.
    world = World(
        spec(Script(1.0, None, 0.0, None, None, 1.0), qty=1.0, exits={"stop_loss": 0.10, "max_bars": 6}),
        fees=ReceivedAssetFees(maker=D(8), taker=D(8)),
    )
    world.bars((100,), (100,), (100,), (100,), (200,), (200,), (200,), (200,), (200,))
    assert world.position() == D("0.0002") + D("0.999") * D("0.9992")
    (stop,) = (r.order for r in world.ledger.open_orders(("s", "COIN")))
    assert (stop.stop_price, stop.qty) == (D(180), D("0.998"))


def test_what_a_fee_in_coins_took_is_not_bought_again() -> None:
    world = World(spec(Script(1.0), qty=1.0), fees=ReceivedAssetFees(maker=D(100), taker=D(100)))
    world.bars((100,), (100,), (100,), (100,))
    assert [x.fill.qty for x in world.of(f.OrderFilled)] == [D(1)]
    assert world.position() == D("0.99")


def test_a_trailing_stop_keeps_what_it_has_seen_when_its_quantity_changes() -> None:
    world = World(spec(Script(1.0, None, None, 0.5), exits={"trailing": 0.10}))
    world.bars((100,), (100,), (150,), (140,), (140,), (136,), (134,))
    assert world.position() == 0
    assert world.of(f.OrderFilled)[-1].fill.price == D(134)


def test_a_position_opened_while_the_old_stop_is_still_leaving_is_protected() -> None:
    # The cancel of the first stop travels for two hours; the next entry fills before it arrives.
    world = World(
        spec(Script(1.0, None, 0.0, 1.0), exits={"stop_loss": 0.10}),
        latency=FixedLatency(cancel=2 * HOUR),
        checks_rest=False,
    )
    world.bars((100,), (100,), (100,), (100,), (100,), (100,), (100,), (100,), (100,))
    assert world.position() == D(10)
    assert world.working() == [("stop", "protect", D(-10))]


def test_quantities_follow_each_partial_fill_of_entry_and_exit() -> None:
    world = World(
        spec(Script(1.0), exits={"stop_loss": 0.10, "take_profit": 0.20}),
        settings=FillSettings(volume_cap=D("0.01")),
    )
    sizes = []
    for row in (
        (100,),
        (100, 100, 100, 100, 400),
        (100, 100, 100, 100, 600),
        (130, 130, 130, 130, 300),
        (85, 85, 85, 85, 5000),
    ):
        world.bars(row)
        sizes.append((world.position(), world.working()))
    assert sizes[1][0] == D(4)
    assert sizes[2] == (D(10), [("stop", "protect", D(-10)), ("limit", "protect", D(-10))])
    assert sizes[3] == (D(7), [("stop", "protect", D(-7)), ("limit", "protect", D(-7))])
    assert sizes[4] == (D(0), [])


def test_a_sibling_still_on_its_way_is_not_taken_for_reduced() -> None:
    # The larger stop and target are on their way when the smaller target trades: the venue reduces only
    # what it has, so the stop must be made smaller once more. Another strategy trades COIN, too, so that
    # no reduce-only saves us.
    lowest = [D(0)]
    world = World(
        spec(Script(1.0), exits={"stop_loss": 0.10, "take_profit": 0.20}, capital=SHARE),
        spec(Script(), name="other", capital=SHARE),
        settings=FillSettings(volume_cap=D("0.01")),
        latency=FixedLatency(replace=90 * MINUTE),
        on_fact=lambda recorded: lowest.append(world.position()) if recorded.seq > 10 else None,
        checks_rest=False,
    )
    rows = ((100, 400), (100, 600), (125, 300), (100, 10), (100, 10), (85, 1000), (85, 1000))
    world.bars((100,), *((c, c, c, c, v) for c, v in rows))
    assert world.position() == 0
    assert min(lowest) == 0


def test_an_exit_that_went_through_zero_is_brought_back_to_it() -> None:
    # As above, but the stop trades before it could be made smaller: it sells 10 of 7.
    world = World(
        spec(Script(1.0), exits={"stop_loss": 0.10, "take_profit": 0.20}, capital=SHARE),
        spec(Script(), name="other", capital=SHARE),
        settings=FillSettings(volume_cap=D("0.01")),
        latency=FixedLatency(replace=90 * MINUTE),
        checks_rest=False,
    )
    rows = ((100, 400), (100, 600), (125, 300), (100, 10), (85, 1000), (85, 1000), (85, 1000))
    world.bars((100,), *((c, c, c, c, v) for c, v in rows))
    assert world.of(f.TargetSuspended)[-1].because == "overshoot"
    assert world.position() == 0
    assert world.working() == []


def test_what_a_fee_in_coins_leaves_of_a_closed_short_is_protected_at_once() -> None:
    # Buying 10 back costs 0.01 of them: the short that is left needs its own stop and trailing stop,
    # though the old trailing stop ended with the old stop while it was being replaced.
    world = World(
        spec(Script(-1.0), exits={"stop_loss": 0.02, "trailing": 0.30}, retry=RetryRules(times=0)),
        fees=ReceivedAssetFees(maker=D(10), taker=D(10)),
        settings=FillSettings(same_bar_entry_exit=SameBar.DEFER),
    )
    world.bars((100,), (100,), (100, 103, 100, 101))
    assert world.position() == D("-0.01")
    assert world.of(f.Skipped) == []
    assert sorted(kind for kind, _, _ in world.working()) == ["stop", "trailing_stop"]


def accept_all(world: World) -> None:
    """Let the venue take every order that it was sent and has said nothing of."""
    for rows in list(world.ledger.open.values()):
        for record in list(rows.values()):
            if record.status in (Status.PENDING_NEW, Status.UNKNOWN):
                order_id = record.order.client_order_id
                world.tell(m.VenueAcked(ts=world.now, client_order_id=order_id, venue_order_id="v"))


def far_venue(*words: float | None, **exits: object) -> World:
    """Return a world whose venue says nothing by itself: what it says is told by the test."""
    world = World(
        spec(Script(*words), exits={"stop_loss": 0.05, **exits}),
        latency=FixedLatency(submit=10**18, cancel=10**18, replace=10**18),
        checks_rest=False,
    )
    return world.bars((100,))


def fill(world: World, name: str, *, accepts: bool = True) -> None:
    """Let the newest target order trade in full."""
    order = next(x.order for x in reversed(world.of(f.OrderIntended)) if x.order.purpose is Purpose.TARGET)
    traded = Fill(
        fill_id=name,
        client_order_id=order.client_order_id,
        instrument="COIN",
        side=order.side,
        qty=order.qty,
        price=D(100),
        ts=world.now,
    )
    world.tell(m.VenueFilled(ts=world.now, fill=traded))
    if accepts:
        accept_all(world)


def test_an_exit_is_bought_back_once_it_is_over_even_when_it_ended_halfway() -> None:
    world = far_venue(1.0, after_exit="at_once")
    fill(world, "1")
    (stop,) = (r.order for r in world.ledger.open_orders(("s", "COIN")))
    part = Fill(
        fill_id="2",
        client_order_id=stop.client_order_id,
        instrument="COIN",
        side=Side.SELL,
        qty=D(4),
        price=D(95),
        ts=world.now,
    )
    world.tell(m.VenueFilled(ts=world.now, fill=part))
    assert world.working() == [("stop", "protect", D(-6))]
    world.tell(m.VenueCanceled(ts=world.now, client_order_id=stop.client_order_id, reason="at the venue's"))
    assert world.working() == [("stop", "protect", D(-6)), ("market", "target", D(4))]


def test_an_exit_that_came_after_its_sibling_had_traded_still_works_in_full() -> None:
    """The report of the first exit's trade is late: the venue had not taken the second one by then."""
    world = far_venue(1.0, take_profit=0.1)
    fill(world, "1", accepts=False)
    stop, profit = (r.order.client_order_id for r in world.ledger.open_orders(("s", "COIN")))
    traded, later = world.now + 1, world.now + 2
    world.tell(m.VenueAcked(ts=traded, client_order_id=stop, venue_order_id="v1"))
    world.tell(m.VenueAcked(ts=later, client_order_id=profit, venue_order_id="v2"))
    part = {"instrument": "COIN", "side": Side.SELL, "ts": traded}
    first = Fill(fill_id="2", client_order_id=stop, qty=D(10), price=D(95), **part)  # type: ignore[arg-type]
    world.tell(m.VenueFilled(ts=later, fill=first))
    record = world.ledger.orders[profit]
    assert (record.leaves, record.status) == (D(10), Status.PENDING_CANCEL)
    second = Fill(fill_id="3", client_order_id=profit, qty=D(2), price=D(110), **part)  # type: ignore[arg-type]
    world.tell(m.VenueFilled(ts=later, fill=second))
    assert (record.leaves, record.is_open) == (D(8), True)  # it is still asked to end


def refuse_cancels(world: World) -> None:
    for record in world.ledger.open_orders(("s", "COIN")):
        if record.status is Status.PENDING_CANCEL:
            order_id = record.order.client_order_id
            world.tell(m.VenueCancelRefused(ts=world.now, client_order_id=order_id, reason="busy"))


def test_an_exit_whose_cancel_was_refused_is_no_second_exit_after_two_turns() -> None:
    world = far_venue(1.0, -1.0, 1.0)
    fill(world, "1")
    for name in ("2", "3"):
        world.bars((100,))
        fill(world, name)
        refuse_cancels(world)
    sells = [x for x in world.working() if x == ("stop", "protect", D(-10))]
    assert len(sells) == 1


def test_a_refused_cancel_is_asked_for_again_after_a_while_not_at_once() -> None:
    world = far_venue(1.0, 0.0)
    fill(world, "1")
    world.bars((100,))
    fill(world, "2")
    assert len(world.of(f.CancelRequested)) == 1
    refuse_cancels(world)
    assert len(world.of(f.CancelRequested)) == 1
    world.until(world.now + 2 * MINUTE)
    assert len(world.of(f.CancelRequested)) == 2


def test_an_exit_that_may_not_have_arrived_is_replaced_only_once_that_is_known() -> None:
    world = far_venue(1.0, 0.5)
    fill(world, "1", accepts=False)
    (stop,) = (r.order.client_order_id for r in world.ledger.open_orders(("s", "COIN")))
    world.tell(m.VenueUnknown(ts=world.now, client_order_id=stop, reason="timed out"))
    world.bars((100,))
    fill(world, "2", accepts=False)
    assert world.of(f.ReplaceRequested) == []
    world.tell(m.VenueAcked(ts=world.now, client_order_id=stop, venue_order_id="v"))
    assert [x.order.qty for x in world.of(f.ReplaceRequested)] == [D(5)]


def test_the_second_copy_of_a_refused_replace_leaves_the_next_try_alone() -> None:
    world = far_venue(1.0, 0.5)
    fill(world, "1")
    world.bars((100,))
    fill(world, "2")
    (first,) = world.of(f.ReplaceRequested)
    old, heir = first.client_order_id, first.order.client_order_id
    said = (
        m.VenueCancelRefused(ts=world.now, client_order_id=old, reason="busy"),
        m.VenueRefused(ts=world.now, client_order_id=heir, reason="busy"),
    )
    for copy in (*said, *said):
        world.tell(copy)
    assert [x.client_order_id for x in world.of(f.ReplaceRequested)] == [old, old]
    assert world.ledger.orders[old].status is Status.PENDING_REPLACE

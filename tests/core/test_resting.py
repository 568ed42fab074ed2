"""Protective orders make way where a venue takes nothing beside them, and the engine watches meanwhile."""

from __future__ import annotations

import pytest

from tests.core.world import D, Script, World, account, spec
from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.model import DAY, HOUR, OrderKind, Purpose
from tradebot.core.recorder import is_own_id, stop_id, target_id
from tradebot.core.resting import Beside, Resting
from tradebot.core.scope import HaltLevel
from tradebot.core.setup import ExecutionSpec, Limits, OrderStyle
from tradebot.sim.latency import FixedLatency

STOP = {"stop_loss": 0.10}


def world(script: Script, beside: Beside = Beside.NOTHING, **terms: object) -> World:
    venue = {name: terms.pop(name) for name in ("latency", "accounts") if name in terms}
    return World(
        spec(script, exits=terms.pop("exits", STOP), **terms),
        resting=Resting(beside=beside),
        checks_protection=False,
        checks_rest="latency" not in venue,
        **venue,
    )


def lone(w: World) -> list[tuple[str, str]]:
    """Return, for each order that was sent, what of ours worked beside it then."""
    working: dict[str, Purpose] = {}
    found: list[tuple[str, str]] = []
    for recorded in w.facts:
        fact = recorded.fact
        if isinstance(fact, f.OrderIntended):
            beside = ",".join(p.value for p in working.values())
            found.append((fact.order.purpose.value, beside))
            working[fact.order.client_order_id] = fact.order.purpose
        elif isinstance(fact, f.OrderCanceled | f.OrderExpired | f.OrderRejected):
            working.pop(fact.client_order_id, None)
        elif isinstance(fact, f.OrderFilled):
            order = w.ledger.orders[fact.fill.client_order_id]
            if not order.is_open:
                working.pop(fact.fill.client_order_id, None)
    return found


@pytest.mark.parametrize("beside", [Beside.ADDING, Beside.NOTHING])
@pytest.mark.parametrize("latency", [0, HOUR // 4])
def test_a_strategy_leaves_once_its_stop_is_out_of_the_way(beside: Beside, latency: int) -> None:
    w = world(Script(1.0, None, 0.0), beside, latency=FixedLatency(cancel=latency)).bars(*[(100,)] * 6)

    assert w.position() == 0
    assert w.working() == []
    assert lone(w) == [("target", ""), ("protect", ""), ("target", "")]


def test_adding_leaves_the_stop_where_only_closing_is_refused() -> None:
    w = world(Script(0.5, None, 1.0), Beside.ADDING).bars(*[(100,)] * 6)

    assert w.working() == [("stop", "protect", D(-10))]
    assert lone(w) == [("target", ""), ("protect", ""), ("target", "protect")]


def test_adding_ends_the_stop_and_protects_the_whole_after() -> None:
    w = world(Script(0.5, None, 1.0)).bars(*[(100,)] * 6)

    assert w.position() == 10
    assert w.working() == [("stop", "protect", D(-10))]
    assert lone(w) == [("target", ""), ("protect", ""), ("target", ""), ("protect", "")]


def test_a_word_that_cannot_be_followed_meanwhile_stops_no_exit() -> None:
    w = world(Script(1.0, None, 0.0, 1.5), latency=FixedLatency(cancel=HOUR + 1)).bars(*[(100,)] * 6)

    assert [x.rule for x in w.of(f.Skipped)][:2] == ["makes_way", "weight_range"]
    assert w.position() == 0
    assert w.working() == []


def test_an_exit_goes_though_the_end_of_its_stop_came_after_a_look_that_still_showed_it() -> None:
    w = world(Script(1.0, None, 0.0), latency=FixedLatency(cancel=HOUR // 4)).bars((100,), (100,), (100,))
    (stop,) = w.ledger.open_orders(("s", "COIN"))
    order_id = stop.order.client_order_id
    w.tell(m.VenueCancelRefused(ts=w.now, client_order_id=order_id, reason="still working at the venue"))
    w.bars((100,), (100,))

    assert w.position() == 0
    assert lone(w) == [("target", ""), ("protect", ""), ("target", "")]


def test_an_order_goes_once_the_stop_it_waits_for_is_shown_nowhere() -> None:
    w = world(Script(1.0, None, 0.0), latency=FixedLatency(cancel=DAY)).bars((100,), (100,), (100,))
    (stop,) = w.ledger.open_orders(("s", "COIN"))
    w.tell(m.VenueAbsent(ts=w.now, client_order_id=stop.order.client_order_id, checks=5))

    assert [kind for _, kind, _ in w.working()] == ["protect", "target"]


def test_an_exit_that_made_way_is_kept_by_the_engine_meanwhile() -> None:
    # Half is to be sold at 100 or better; its stop cannot rest beside that, and the price falls through it.
    limit = OrderStyle(kind=OrderKind.LIMIT, collar=0.0)
    w = world(Script(1.0, None, 0.5), style=limit).bars((100,), (100,), (100,), (95,))
    assert w.working() == [("limit", "target", D(-5))]
    assert [(x.exit, x.price) for x in w.engine.kept_exits()["s", "COIN"]] == [("stop_loss", D(90))]

    w.bars((89,), (88,), (100,))

    assert [(x.exit, x.level) for x in w.of(f.ExitCrossed)] == [("stop_loss", 90.0)]
    assert w.position() == 0
    assert w.working() == []
    assert [x.because for x in w.of(f.TargetSuspended)] == ["crossed"]


@pytest.mark.parametrize("beside", [Beside.ADDING, Beside.NOTHING])
def test_an_exit_waits_for_the_end_of_a_sale_that_still_holds_a_part(beside: Beside) -> None:
    limit = OrderStyle(kind=OrderKind.LIMIT, collar=0.0)
    w = world(Script(1.0, None, 0.5), beside, style=limit, latency=FixedLatency(cancel=HOUR // 4))
    w.bars(*[(x,) for x in (100, 100, 100, 95, 89, 88, 88)])

    assert [x.because for x in w.of(f.TargetSuspended)] == ["crossed"]
    assert w.position() == 0
    assert lone(w) == [("target", ""), ("protect", ""), ("target", ""), ("flatten", "")]


def test_a_stop_that_the_venue_shows_nowhere_keeps_nobody_from_leaving() -> None:
    w = world(Script(1.0)).bars((100,), (100,), (100,))
    (stop,) = w.ledger.open_orders(("s", "COIN"))
    w.tell(m.VenueAbsent(ts=w.now, client_order_id=stop.order.client_order_id, checks=5))
    assert [x.exit for x in w.engine.kept_exits()["s", "COIN"]] == ["stop_loss"]

    w.tell(m.SetHalt(ts=w.now, level=HaltLevel.FLATTEN, reason="owner"))

    assert [kind for _, kind, _ in w.working()] == ["protect", "flatten"]
    assert w.ledger.orders[stop.order.client_order_id].is_unknown


def test_an_order_that_ends_without_a_trade_brings_its_stop_back() -> None:
    day = OrderStyle(kind=OrderKind.LIMIT, collar=0.0)
    w = world(Script(1.0, None, 0.5, 1.0), style=day).bars((100,), (100,), (100,), (95,), (95,))

    assert w.position() == 10
    assert w.working() == [("stop", "protect", D(-10))]


def test_a_stop_stays_away_while_slices_are_sent() -> None:
    twap = ExecutionSpec(kind="twap", slices=4, over=4 * HOUR)
    w = world(Script(1.0), execution=twap).bars(*[(100,)] * 9)

    assert w.position() == 10
    assert w.working() == [("stop", "protect", D(-10))]
    assert [purpose for purpose, _ in lone(w)] == ["target"] * 4 + ["protect"]


def test_a_stop_is_back_when_the_slices_that_kept_it_away_give_way_to_what_is_denied() -> None:
    # At the new target a slice has just traded, so no order ends by which the stop would be remembered.
    twap = ExecutionSpec(kind="twap", slices=4, over=12 * HOUR)
    words = Script(1.0, *[None] * 11, 0.0, None, 1.0)
    w = world(words, execution=twap, accounts=[account(limits=Limits(max_orders_per_day=6))])
    w.bars(*[(100,)] * 15)

    assert [x.rule for x in w.of(f.OrderDenied)][:1] == ["max_orders_per_day"]
    assert 0 < w.position() < 10
    assert w.working() == [("stop", "protect", -w.position())]


def test_an_owners_flatten_goes_before_the_stop() -> None:
    w = world(Script(1.0)).bars((100,), (100,), (100,))
    w.tell(m.SetHalt(ts=w.now, level=HaltLevel.FLATTEN, reason="owner"))
    w.bars((100,), (100,))

    assert w.position() == 0
    assert lone(w) == [("target", ""), ("protect", ""), ("flatten", "")]


def test_a_time_exit_goes_before_the_stop() -> None:
    w = world(Script(1.0), exits={**STOP, "max_bars": 2}).bars(*[(100,)] * 6)

    assert w.position() == 0
    assert lone(w) == [("target", ""), ("protect", ""), ("flatten", "")]


def test_it_goes_on_after_a_restart_in_between() -> None:
    w = world(Script(1.0, None, 0.0), latency=FixedLatency(cancel=HOUR // 2)).bars((100,), (100,), (100,))
    w.restart(spec(Script(), exits=STOP))
    w.tell(m.WarmedUp(ts=w.now))
    w.bars((100,), (100,), (100,))

    assert w.position() == 0
    assert w.working() == []


PAIRED = Resting(beside=Beside.NOTHING, pairs=True)
BOTH = {"stop_loss": 0.10, "take_profit": 0.10}


def paired(script: Script, **terms: object) -> World:
    return World(spec(script, exits=BOTH, **terms), resting=PAIRED, checks_protection=False)


def test_a_pair_is_sent_at_once_under_ids_that_belong_together() -> None:
    w = paired(Script(1.0)).bars((100,), (100,), (100,))

    assert w.working() == [("limit", "protect", D(-10)), ("stop", "protect", D(-10))]
    target, stop = (r.order for r in w.ledger.open_orders(("s", "COIN")))
    assert stop.client_order_id == stop_id(target.client_order_id)
    assert target_id(stop.client_order_id) == target.client_order_id
    assert is_own_id(stop.client_order_id, "tb") and is_own_id(target.client_order_id, "tb")
    assert target.group_id == stop.group_id
    assert w.engine.kept_exits() == {}


def test_a_pair_that_has_to_change_ends_whole_before_the_next_one() -> None:
    w = paired(Script(0.5, None, 1.0)).bars(*[(100,)] * 6)

    assert w.working() == [("limit", "protect", D(-10)), ("stop", "protect", D(-10))]
    assert lone(w) == [
        ("target", ""),
        ("protect", ""),
        ("protect", "protect"),
        ("target", ""),
        ("protect", ""),
        ("protect", "protect"),
    ]


def test_what_is_left_of_a_pair_stays_and_the_engine_keeps_the_other_half() -> None:
    w = paired(Script(1.0)).bars((100,), (100,), (100,))
    _, stop = w.ledger.open_orders(("s", "COIN"))
    w.venue.send(m.CancelOrder(client_order_id=stop.order.client_order_id), w.now)
    w.bars((100,), (100,))
    assert w.working() == [("limit", "protect", D(-10))]
    assert [x.exit for x in w.engine.kept_exits()["s", "COIN"]] == ["stop_loss"]

    w.bars((89,), (88,), (88,))

    assert w.position() == 0
    assert w.working() == []


def test_a_pair_that_nobody_can_vouch_for_is_not_sent_again() -> None:
    w = paired(Script(0.5, None, 1.0)).bars((100,), (100,))
    for record in w.ledger.open_orders(("s", "COIN")):
        if record.order.purpose is Purpose.PROTECT:
            w.tell(m.VenueUnknown(ts=w.now, client_order_id=record.order.client_order_id, reason="no answer"))
    w.tell(m.Reconciled(ts=w.now, account="main"))

    assert [purpose for purpose, _ in lone(w)] == ["target", "protect", "protect"]


@pytest.mark.parametrize("cancel", [0, HOUR // 4])
def test_a_pair_ends_whole_before_a_stop_protects_parts_of_a_unit_alone(cancel: int) -> None:
    w = World(
        spec(Script(1.0), exits=BOTH),
        resting=Resting(beside=Beside.NOTHING, pairs=True, in_whole=True),
        checks_protection=False,
        checks_rest=not cancel,
        latency=FixedLatency(cancel=cancel),
    )
    w.bars((100,), (100,), (100,)).owner_trades("-2.5").bars((100,), (100,), (100,))
    assert w.working() == [("stop", "protect", D("-7.5"))]
    assert [x.exit for x in w.engine.kept_exits()["s", "COIN"]] == ["take_profit"]
    assert w.of(f.ReplaceRequested) == []

    w.owner_trades("-0.5").bars((100,), (100,), (100,))

    assert w.working() == [("limit", "protect", D(-7)), ("stop", "protect", D(-7))]

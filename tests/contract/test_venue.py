"""What every venue behind the port does alike: one suite, the same words, each venue in turn."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from tests.contract.alpacas import alpaca_place
from tests.contract.binances import binance_place
from tests.contract.places import Place, sim_place
from tradebot.core.messages import (
    ReplaceOrder,
    VenueAcked,
    VenueCanceled,
    VenueCancelRefused,
    VenueFilled,
    VenueRefused,
    VenueReplaced,
    VenueUnknown,
)
from tradebot.core.model import Order, OrderKind, Side, Tif
from tradebot.core.ports import Standing

D = Decimal
PLACES = {"sim": sim_place, "alpaca": alpaca_place, "binance": binance_place}


@pytest.fixture(params=sorted(PLACES))
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    async with PLACES[request.param]() as found:
        yield found


def fills_of(place: Place, order: Order) -> list[VenueFilled]:
    return [r for r in place.of(order) if isinstance(r, VenueFilled)]


async def traded(place: Place, side: str = "buy", lots: int = 3, at: float = 101.0) -> Order:
    """Have a market order fill at the next bar's open."""
    order = place.order(side, lots)
    assert isinstance(await place.submit(order), VenueAcked)
    place.bar(at)
    await place.until(lambda: bool(fills_of(place, order)))
    return order


async def cancelled(place: Place, order: Order) -> None:
    """Cancel an order that rests, and wait for the word that it is."""
    report = await place.venue.cancel(order.client_order_id)
    assert report is None or isinstance(report, VenueCanceled)
    await place.until(lambda: report is not None or place.ended(order, VenueCanceled))


async def test_an_order_is_taken_traded_told_and_shown_alike(place: Place) -> None:
    before = await place.venue.snapshot(0)

    order = await traded(place)

    (told,) = fills_of(place, order)
    after = await place.venue.snapshot(0)
    found = await place.venue.find(order.client_order_id)
    assert (told.fill.qty, told.fill.price) == (order.qty, D(101))
    assert after.fills == (told.fill,) or [f.fill_id for f in after.fills] == [told.fill.fill_id]
    assert after.positions == {place.instrument.id: order.qty}
    quote = place.instrument.quote
    assert after.cash[quote] - before.cash[quote] == -order.qty * 101
    assert found is not None
    assert (found.standing, found.filled_qty, found.qty) == (Standing.FILLED, order.qty, order.qty)


async def test_a_resting_order_is_listed_until_it_is_cancelled(place: Place) -> None:
    order = place.order("buy", 2, "limit", limit="90")
    await place.submit(order)

    listed = (await place.venue.snapshot(0)).orders
    assert [(o.client_order_id, o.qty, o.limit_price, o.kind) for o in listed] == [
        (order.client_order_id, order.qty, D(90), OrderKind.LIMIT)
    ]

    await cancelled(place, order)
    assert (await place.venue.snapshot(0)).orders == ()
    found = await place.venue.find(order.client_order_id)
    assert found is not None
    assert found.standing is Standing.CANCELED


async def test_what_the_venue_will_not_take_is_refused_and_is_nowhere(place: Place) -> None:
    order = place.order("buy", 1, "limit", limit="90.001")

    report = await place.submit(order)

    assert isinstance(report, VenueRefused)
    assert (await place.venue.snapshot(0)).orders == ()
    found = await place.venue.find(order.client_order_id)
    assert found is None or found.standing is Standing.REJECTED


async def test_an_id_sent_twice_is_one_order(place: Place) -> None:
    order = await traded(place)

    report = await place.submit(order)
    place.bar(102.0)
    await place.quiet()

    # Alpaca's answer proves only that an order of this id exists, which is ours.
    assert isinstance(report, VenueRefused | VenueUnknown | VenueAcked)
    assert (await place.venue.snapshot(0)).positions == {place.instrument.id: order.qty}


async def test_an_order_that_was_never_sent_is_not_found(place: Place) -> None:
    assert await place.venue.find("ab999999999999") is None


async def test_a_cancel_after_the_trade_finds_it_traded(place: Place) -> None:
    order = await traded(place)

    report = await place.venue.cancel(order.client_order_id)
    await place.quiet()

    refused = [r for r in (report, *place.of(order)) if isinstance(r, VenueCancelRefused)]
    assert refused
    found = await place.venue.find(order.client_order_id)
    assert found is not None
    assert found.standing is Standing.FILLED


async def test_nothing_is_lost_between_two_cursors(place: Place) -> None:
    first = await traded(place)
    middle = await place.venue.snapshot(0)

    second = await traded(place, at=103.0)

    ids = {r.fill.fill_id for o in (first, second) for r in fills_of(place, o)}
    later = await place.venue.snapshot(middle.cursor)
    assert {f.fill_id for f in middle.fills} | {f.fill_id for f in later.fills} == ids
    assert fills_of(place, second)[0].fill.fill_id in {f.fill_id for f in later.fills}


async def test_orders_in_a_row_trade_each_with_an_id_of_its_own(place: Place) -> None:
    orders = [await traded(place, lots=n, at=100.0 + n) for n in (1, 2, 3)]

    shown = (await place.venue.snapshot(0)).fills

    assert [f.client_order_id for f in shown] == [o.client_order_id for o in orders]
    assert [f.qty for f in shown] == [o.qty for o in orders]
    assert len({f.fill_id for f in shown}) == 3


async def test_what_the_owner_does_by_hand_is_shown_and_not_told_as_ours(place: Place) -> None:
    by_hand = Order(
        client_order_id="by-hand",
        account="main",
        strategy="",
        instrument=place.instrument.id,
        side=Side.BUY,
        kind=OrderKind.MARKET,
        qty=place.lot * 5,
        ts=place.now,
        tif=Tif.GTC,
    )
    place.market.owner(by_hand)
    place.bar(101.0)
    await place.quiet()

    found = await place.venue.snapshot(0)

    assert place.of(by_hand) == []
    assert found.positions == {place.instrument.id: by_hand.qty}
    assert [(f.client_order_id, f.qty) for f in found.fills] == [("by-hand", by_hand.qty)]


async def test_money_that_moves_is_explained_once(place: Place) -> None:
    quote = place.instrument.quote
    place.bar(100.0)
    place.market.transfer(quote, D(-250), "withdrawal")

    first, again = await place.venue.snapshot(0), await place.venue.snapshot(0)

    assert [(e.asset, e.amount, e.because) for e in first.events] == [(quote, D(-250), "withdrawal")]
    assert [e.venue_ref for e in again.events] == [e.venue_ref for e in first.events]
    assert first.cash[quote] == D(100_000) - 250


async def test_a_stop_rests_and_sells_when_the_price_falls_through(place: Place) -> None:
    bought = await traded(place)
    stop = place.order("sell", 3, "stop", stop="95")
    await place.submit(stop)
    place.bar(98.0)
    await place.quiet()
    assert fills_of(place, stop) == []

    place.bar(94.0, open_=96.0)

    await place.until(lambda: bool(fills_of(place, stop)))
    assert fills_of(place, stop)[0].fill.price == D(95)
    assert (await place.venue.snapshot(0)).positions == {}
    assert bought.qty == stop.qty


async def test_an_order_takes_anothers_place(place: Place) -> None:
    old = place.order("buy", 2, "limit", limit="90")
    await place.submit(old)
    new = place.order("buy", 4, "limit", limit="91", replaces=old.client_order_id)

    if place.can_replace:
        reports = await place.venue.replace(ReplaceOrder(client_order_id=old.client_order_id, order=new))
        await place.until(lambda: any(isinstance(r, VenueReplaced) for r in (*reports, *place.of(old))))
    else:  # who asks cancels, and sends anew once that is confirmed
        await cancelled(place, old)
        assert isinstance(await place.submit(new), VenueAcked)

    listed = (await place.venue.snapshot(0)).orders
    assert [(o.client_order_id, o.qty, o.limit_price) for o in listed] == [
        (new.client_order_id, new.qty, D(91))
    ]
    gone = await place.venue.find(old.client_order_id)
    assert gone is not None
    if place.can_replace:
        assert (gone.standing, gone.by) == (Standing.REPLACED, new.client_order_id)
    else:
        assert gone.standing is Standing.CANCELED

"""Alpaca's private stream, broken in every way, with the real library at the other end."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator

import pytest

from tests.contract.alpacas import alpaca_place
from tests.contract.places import OURS, Place, WirePlace
from tests.emulators.houses import make_order, quote
from tradebot.core.messages import VenueAcked, VenueCanceled, VenueFilled
from tradebot.core.model import MINUTE, SECOND, Order, Quote
from tradebot.core.ports import AuthFailed, Connected, Disconnected
from tradebot.emulators.alpaca.streams import TRADES
from tradebot.emulators.faults import Fault, FaultKind
from tradebot.emulators.wire import SocketFault


@pytest.fixture
async def place() -> AsyncIterator[WirePlace]:
    async with alpaca_place() as found:
        yield found


def fills(place: Place) -> list[str]:
    return [r.fill.fill_id for r in place.reports if isinstance(r, VenueFilled)]


def count(place: WirePlace, kind: type) -> int:
    return sum(isinstance(event, kind) for event in place.links)


async def suffer(place: WirePlace, fault: SocketFault, count: int = 1) -> None:
    for socket in place.wire.on(TRADES):
        await socket.suffer(fault, count=count)


async def trade(place: Place, lots: int = 1, at: float = 101.0) -> Order:
    order = place.order("buy", lots)
    await place.venue.submit(order)
    place.bar(at)
    return order


async def test_a_lost_connection_is_told_once_and_dialled_anew(place: WirePlace) -> None:
    await suffer(place, SocketFault.DROP)

    await place.until(lambda: count(place, Connected) == 2)

    assert [type(e) for e in place.links] == [Connected, Disconnected, Connected]
    await trade(place)
    await place.until(lambda: len(fills(place)) == 1)


async def test_what_happened_in_a_gap_is_read_after_it(place: WirePlace) -> None:
    place.wire.faults.add(Fault(route="GET /stream", kind=FaultKind.STATUS, status=503, times=3))
    await suffer(place, SocketFault.DROP)
    await place.until(lambda: count(place, Disconnected) == 1)
    order = await trade(place)
    await place.until(lambda: count(place, Connected) == 2)

    shown = await place.venue.snapshot(0)

    assert fills(place) == []
    assert [(f.client_order_id, f.qty) for f in shown.fills] == [(order.client_order_id, order.qty)]


async def test_a_hundred_part_trades_with_every_message_doubled_and_turned_round_are_each_known_once(
    place: WirePlace,
) -> None:
    order = place.order("buy", 100)
    await place.venue.submit(order)
    for i in range(100):
        if i % 5 == 0:
            await suffer(place, SocketFault.REORDER, count=4)
        else:
            await suffer(place, SocketFault.DUPLICATE, count=1)
        place.now += MINUTE
        place.house.move(_quote(place.now))
    await place.until(lambda: len(set(fills(place))) == 100)

    shown = await place.venue.snapshot(0)

    assert set(fills(place)) == {f.fill_id for f in shown.fills}
    told = {r.fill.fill_id: r.fill.qty for r in place.reports if isinstance(r, VenueFilled)}
    assert sum(told.values()) == order.qty == shown.positions["SPY"]


def _quote(ts: int) -> Quote:
    return quote(99.0 - ts // MINUTE % 2, 100.0 - ts // MINUTE % 2, ts=ts, size=1.0)


async def test_a_message_that_never_came_leads_to_a_look(place: WirePlace) -> None:
    order = place.order("buy", 3)
    await place.venue.submit(order)
    place.house.move(_quote(place.now + SECOND))
    await place.until(lambda: len(fills(place)) == 1)
    looks = count(place, Connected)

    await suffer(place, SocketFault.LOSE)
    place.house.move(_quote(place.now + MINUTE))
    place.house.move(_quote(place.now + 2 * MINUTE))

    await place.until(lambda: count(place, Connected) == looks + 1)
    assert len((await place.venue.snapshot(0)).fills) == 3


async def test_a_mute_stream_is_found_out_by_the_account_and_dialled_anew(place: WirePlace) -> None:
    await place.venue.snapshot(0)
    await suffer(place, SocketFault.MUTE)
    await trade(place)
    place.now += MINUTE
    place.house.clock.move(place.now)

    await place.venue.snapshot(0)

    await place.until(lambda: count(place, Connected) == 2)
    assert count(place, Disconnected) == 1
    await trade(place, at=102.0)
    await place.until(lambda: len(fills(place)) == 1)


async def test_a_cancelled_order_that_had_traded_in_part_tells_both(place: WirePlace) -> None:
    order = place.order("buy", 3, "limit", limit="100")
    await place.submit(order)
    place.house.move(_quote(place.now + SECOND))
    await place.venue.cancel(order.client_order_id)

    await place.until(lambda: place.ended(order, VenueCanceled))
    kinds = [type(report) for report in place.of(order)]
    assert kinds == [VenueAcked, VenueFilled, VenueCanceled]


async def test_somebody_elses_trade_is_not_ours_and_leads_to_a_look(place: WirePlace) -> None:
    looks = count(place, Connected)

    place.market.owner(make_order("by-hand", "sell", "2"))
    place.bar(101.0)

    await place.until(lambda: count(place, Connected) > looks)
    assert place.reports == []


async def test_messages_in_new_words_are_passed_over_and_the_money_in_them_is_read_anew(
    place: WirePlace,
) -> None:
    looks = count(place, Connected)
    (socket,) = place.wire.on(TRADES)
    update = {"event": "fill", "qty": "NaN", "price": "1", "timestamp": "2023-11-14T22:14:00Z"}
    order_row = {
        "id": "x", "client_order_id": f"{OURS}000000000009", "symbol": "SPY", "side": "buy",
        "type": "market", "status": "filled", "qty": "1", "filled_qty": "1",
    }  # fmt: skip

    for text in (
        '{"stream": "trade_updates", "data": {"event": "fill", "order": null}}',
        json.dumps({"stream": "trade_updates", "data": {**update, "order": order_row}}),
        '{"stream": "weather", "data": {}}',
        "[1, 2]",
    ):
        socket.push(text.encode())
    order = await trade(place)

    await place.until(lambda: bool(place.of(order)) and len(fills(place)) == 1)
    assert place.venue.unreadable == 2
    assert count(place, Connected) == looks + 2


async def test_wrong_keys_end_the_line_and_nobody_dials_again(place: WirePlace) -> None:
    place.face.access.keys.clear()
    await suffer(place, SocketFault.DROP)

    await place.until(lambda: count(place, AuthFailed) == 1)
    dials = place.asked("GET", "/stream")
    await asyncio.sleep(0.3)

    assert place.asked("GET", "/stream") == dials
    assert "keys are not accepted" in next(e.reason for e in place.links if isinstance(e, AuthFailed))


async def test_being_told_to_wait_is_no_wrong_key_and_no_storm(place: WirePlace) -> None:
    place.wire.faults.add(Fault(route="GET /stream", kind=FaultKind.STATUS, status=429, times=4))
    before = place.asked("GET", "/stream")
    await suffer(place, SocketFault.DROP)

    await place.until(lambda: count(place, Connected) == 2)

    assert place.asked("GET", "/stream") - before == 5
    assert count(place, AuthFailed) == 0
    assert count(place, Disconnected) == 1


async def test_the_end_is_quick_and_leaves_no_thread() -> None:
    loop = asyncio.get_running_loop()
    async with alpaca_place():
        begun = loop.time()

    assert loop.time() - begun < 2.0
    assert not [t.name for t in threading.enumerate() if t.name.startswith("alpaca-trades")]


async def test_many_reconnects_lose_no_trade(place: WirePlace) -> None:
    order_ids = []
    for i in range(30):
        await suffer(place, SocketFault.DROP)
        order_ids.append((await trade(place, at=100.0 + i % 3)).client_order_id)
        await place.until(lambda: count(place, Connected) >= i + 2)  # noqa: B023

    shown = await place.venue.snapshot(0)

    assert [f.client_order_id for f in shown.fills] == order_ids
    assert set(fills(place)) <= {f.fill_id for f in shown.fills}

"""Answers and events that are broken on the wire: what the ccxt adapter makes of them, and where it ends."""

from __future__ import annotations

import asyncio
import json
import random
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from tests.adapters.ccxt.accounts import Account, account, order
from tests.conftest import PROVING
from tests.contract.binances import binance_place
from tests.contract.test_venue import fills_of
from tests.emulators.binance.exchanges import ORDERS, T0, make_face, make_pair, quote
from tradebot.adapters.ccxt.budget import Budget
from tradebot.core.messages import (
    VenueAcked,
    VenueCanceled,
    VenueExpired,
    VenueFilled,
    VenueRefused,
    VenueReport,
    VenueUnknown,
)
from tradebot.core.model import SECOND, Order, Side, Tif
from tradebot.core.ports import Connected, Disconnected, Standing
from tradebot.emulators.binance.face import BinanceFace, binance_house
from tradebot.emulators.clock import VenueClock
from tradebot.emulators.faults import Fault, FaultKind
from tradebot.emulators.wire import SocketFault
from tradebot.errors import RateLimited, VenueUnreachable
from tradebot.sim.fees import ThirdAssetFees

D = Decimal
POST = f"POST {ORDERS}"


def fault(kind: FaultKind, route: str = POST, **terms: Any) -> Fault:
    return Fault(route=route, kind=kind, **terms)


def said(code: int, msg: str = "") -> str:
    return json.dumps({"code": code, "msg": msg})


BROKEN = [
    fault(FaultKind.DROP),
    fault(FaultKind.DROP, after=True),
    fault(FaultKind.TRUNCATE, after=True),
    fault(FaultKind.HTML),
    fault(FaultKind.HTML, after=True),
    fault(FaultKind.STATUS, status=504),
    fault(FaultKind.STATUS, status=504, after=True, body=said(-1007, "Timeout waiting for response")),
    fault(FaultKind.STATUS, status=503, body="<html>"),
    fault(FaultKind.STATUS, status=503, after=True, body=said(-1008)),
    fault(FaultKind.STATUS, status=500, after=True, body=said(-2010, "no")),
    fault(FaultKind.STATUS, status=400, after=True, body=said(-1006, "unexpected")),
    fault(FaultKind.STATUS, status=400, after=True, body=said(-31337, "in new words")),
    fault(FaultKind.STATUS, status=200, after=True, body="{}"),
    fault(FaultKind.STATUS, status=200, after=True, body="null"),
    fault(FaultKind.STATUS, status=200, after=True, body='{"orderId": 9, "clientOrderId": "somebody"}'),
    fault(FaultKind.STATUS, status=302, after=True),
]
SLOW = [fault(FaultKind.HANG), fault(FaultKind.HANG, after=True)]
REFUSALS = [
    fault(
        FaultKind.STATUS,
        status=400,
        body=said(-2010, "Account has insufficient balance for requested action."),
    ),
    fault(FaultKind.STATUS, status=400, body=said(-1013, "Filter failure: NOTIONAL")),
    fault(FaultKind.STATUS, status=400, body=said(-2010, "Market is closed.")),
]


async def test_orders_through_faults_of_all_kinds_are_each_sent_once_and_end_right(
    rng: random.Random,
) -> None:
    count = 10_000 if PROVING else 60
    face = make_face({"USDT": D(10**12), "BTC": D(10**6)})
    async with account(face=face) as place:
        wanted: list[tuple[Order, list[VenueReport]]] = []
        for number in range(count):
            broken = rng.choice(SLOW if rng.random() < 0.01 else REFUSALS if rng.random() < 0.1 else BROKEN)
            if rng.random() < 0.8:
                place.face.wire.faults.add(broken)
            kind = rng.choice(["market", "limit"])
            price = {"limit_price": rng.choice(["90", "100", "110"])} if kind == "limit" else {}
            tif = {"tif": rng.choice([Tif.GTC, Tif.IOC])} if kind == "limit" else {}
            asked = order(
                f"t1{number}", rng.choice(["buy", "sell"]), str(rng.randint(1, 3)), kind, **price, **tif
            )
            wanted.append((asked, await place.send(asked)))
            place.face.wire.faults.clear()
            if number % 20 == 0:  # the emulator's clock stands still
                place.exchange.deadline_s = 10.0
                await place.venue.offset()
            place.exchange.deadline_s = 1.0

        place.exchange.deadline_s = 10.0
        await check_fates(place, wanted)


async def check_fates(place: Account, wanted: list[tuple[Order, list[VenueReport]]]) -> None:
    house = place.face.house
    taken = {
        state.order.client_order_id: state
        for state in house.orders
        if state.standing is not Standing.REJECTED
    }
    assert len(taken) == sum(
        1 for s in house.orders if s.standing is not Standing.REJECTED
    )  # none stood twice
    held = D(0)
    await place.venue.offset()
    for asked, reports in wanted:
        state, kinds = taken.get(asked.client_order_id), {type(report) for report in reports}
        if VenueRefused in kinds:
            assert state is None
        elif VenueAcked in kinds:
            assert state is not None
        else:
            assert kinds == {VenueUnknown}
            found = await place.venue.find(asked.client_order_id)
            assert (found is not None) == (state is not None)
            if found is not None and state is not None:
                assert (found.filled_qty, found.qty) == (state.filled_qty, asked.qty)
        if state is not None:
            held += state.filled_qty * asked.side.sign
    shown = await place.venue.snapshot(0)
    assert sum((fill.qty_signed for fill in shown.fills), D(0)) == held
    assert {fill.client_order_id for fill in shown.fills} <= {asked.client_order_id for asked, _ in wanted}


# --- events ---------------------------------------------------------------------------------------------


async def test_a_trade_that_is_told_before_the_answer_is_ours_and_the_answer_still_an_ack() -> None:
    async with binance_place() as place:
        asked = place.order("buy", 3, "limit", limit="90")
        place.face.wire.faults.add(fault(FaultKind.DELAY, after=True, seconds=0.3))

        sending = asyncio.ensure_future(place.venue.submit(asked))
        await place.until(lambda: place.face.house.find(asked.client_order_id) is not None)
        place.bar(89.0, open_=89.5)
        await place.until(lambda: bool(fills_of(place, asked)))
        assert not sending.done()
        await sending

        kinds = [type(r) for r in place.of(asked)]
        assert kinds.count(VenueFilled) == 1
        assert VenueAcked in kinds


async def test_a_hundred_part_trades_doubled_and_turned_round_are_each_told_once() -> None:
    async with account() as place:
        await place.start()
        await place.send(order(qty="1", kind="limit", limit_price="90"))
        for socket in place.face.wire.on("user"):
            await socket.suffer(SocketFault.REORDER, count=60)
            await socket.suffer(SocketFault.DUPLICATE, count=30)
        for n in range(1, 101):
            place.face.house.move(quote(88.0, 89.0 - n % 2, ts=T0 + n * SECOND // 100, size=0.01))
        await place.until(lambda: len(place.fills()) == 100)

        assert sum(f.fill.qty for f in place.fills()) == 1
        assert len({f.fill.fill_id for f in place.fills()}) == 100


async def test_the_last_trade_that_the_stream_lost_is_read_before_the_end_is_told() -> None:
    async with account() as place:
        await place.start()
        await place.send(order(qty="1", kind="limit", limit_price="90"))
        place.face.house.move(quote(88.0, 89.0, ts=T0 + SECOND, size=0.4))
        await place.until(place.fills)
        for socket in place.face.wire.on("user"):
            await socket.suffer(SocketFault.LOSE, count=2)  # a trade and the balances after it
        place.face.house.move(quote(87.0, 88.0, ts=T0 + 2 * SECOND, size=0.3))

        place.face.house.cancel("t1a")
        await place.until(lambda: isinstance(place.reports[-1], VenueCanceled))

        assert [f.fill.qty for f in place.fills()] == [D("0.4"), D("0.3")]


def has_stood(place: Account, times: int) -> bool:
    """Return whether the private stream has stood so often."""
    return sum(isinstance(event, Connected) for event in place.links) >= times


async def test_many_reconnects_lose_no_trade_and_no_memory() -> None:
    rounds = 150 if PROVING else 12
    async with account(cash={"USDT": D(10**9)}) as place:
        place.venue.private.pauses.quick = rounds
        await place.start()
        for n in range(rounds):
            order_id = f"t1r{n}"
            await place.send(order(order_id, kind="limit", limit_price="90"))
            for socket in place.face.wire.on("user"):
                await socket.suffer(SocketFault.DROP)
            place.face.house.move(quote(88.0, 89.0, ts=T0 + (2 * n + 1) * SECOND // 10))  # unheard
            place.face.house.move(quote(99.0, 100.0, ts=T0 + (2 * n + 2) * SECOND // 10))
            await place.until(partial(has_stood, place, n + 2))
            await place.venue.offset()

        shown = await place.venue.snapshot(0)
        assert [f.client_order_id for f in shown.fills] == [f"t1r{n}" for n in range(rounds)]
        assert len(place.face.wire.on("user")) == 1
        assert len(place.exchange.raw.clients) == 1


STRANGE = [
    {"e": "executionReport", "x": "TRADE", "s": "BTCUSDT", "i": 1, "t": 5, "c": "t1a", "S": "BUY", "l": "abc", "L": "1"},
    {"e": "executionReport", "x": "RESTATED", "X": "SOMETHING", "s": "BTCUSDT", "i": 1, "c": "t1a", "S": "BUY"},
    {"e": "executionReport"},
    {"e": "aNewKindOfEvent", "x": [1, {"y": None}]},
    {"e": "balanceUpdate", "a": "NEWCOIN", "d": "0.1", "T": 1},
    {"e": "outboundAccountPosition", "B": None},
]  # fmt: skip


@pytest.mark.parametrize("event", STRANGE)
async def test_events_in_new_words_end_nothing(event: dict[str, Any]) -> None:
    async with account() as place:
        await place.start()
        await place.send(order(kind="limit", limit_price="90"))
        for socket in place.face.wire.on("user"):
            socket.push(json.dumps({"subscriptionId": 0, "event": event}))

        place.face.house.move(quote(88.0, 89.0, ts=T0 + SECOND))
        await place.until(lambda: place.fills() or len(place.links) > 1)
        if not place.fills():  # it was dialled anew: what was missed is read
            place.reports += [VenueFilled(ts=f.ts, fill=f) for f in (await place.venue.snapshot(0)).fills]

        assert sum(f.fill.qty for f in place.fills()) == 1


async def test_a_message_that_ends_ccxts_reader_ends_the_session_and_not_the_account() -> None:
    async with account() as place:
        await place.start()
        for socket in place.face.wire.on("user"):
            socket.push(json.dumps({"subscriptionId": 0, "event": STRANGE[0]}))

        await place.until(lambda: len(place.links) == 3)

        assert isinstance(place.links[1], Disconnected)
        assert "was not understood" in place.links[1].reason


# --- limits, maintenance, halts ---------------------------------------------------------------------------


async def test_a_pause_that_the_exchange_asks_for_is_kept_by_everything() -> None:
    async with account(deadline_s=3.0) as place:
        await place.send(order(kind="limit", limit_price="90"))
        route = "GET /api/v3/account"
        body, after = said(-1003, "Too much request weight used"), {"Retry-After": "1"}
        place.face.wire.faults.add(fault(FaultKind.STATUS, route, status=429, body=body, headers=after))
        with pytest.raises(RateLimited):
            await place.venue.snapshot(0)
        asked = len(place.face.wire.requests)

        canceling = asyncio.ensure_future(place.cancel("t1a"))
        await asyncio.sleep(0.5)
        assert len(place.face.wire.requests) == asked
        reports = await canceling

        assert [type(r) for r in reports] == [VenueCanceled]


async def test_a_cancel_goes_before_what_waits_for_the_budget() -> None:
    async with account(budget=Budget(per_second=20.0, capacity=200.0)) as place:
        await place.send(order(kind="limit", limit_price="90"))
        budget = place.exchange.budget
        await budget.take(budget.capacity * 0.79, is_urgent=False)
        looking = asyncio.ensure_future(place.venue.snapshot(0))
        await asyncio.sleep(0.05)

        await place.cancel("t1a")

        assert not looking.done()
        state = place.face.house.find("t1a")
        assert state is not None
        assert state.standing is Standing.CANCELED
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def test_maintenance_is_unreachable_until_it_is_over() -> None:
    async with account() as place:
        for body in ("<html>maintenance</html>", said(-1016, "This service is no longer available.")):
            place.face.wire.faults.add(fault(FaultKind.STATUS, "* /api/*", status=503, body=body, times=1))
            with pytest.raises(VenueUnreachable):
                await place.venue.snapshot(0)

        assert (await place.venue.snapshot(0)).cash == {"USDT": D(100_000)}


async def test_a_halted_symbol_refuses_orders_and_takes_cancels() -> None:
    async with account() as place:
        await place.send(order(kind="limit", limit_price="90"))
        place.face.desk.trading["BTCUSDT"] = "HALT"

        (refused,) = await place.send(order("t1b"))
        canceled = await place.cancel("t1a")

        assert isinstance(refused, VenueRefused)
        assert refused.reason == "Market is closed."
        assert [type(r) for r in canceled] == [VenueCanceled]


# --- fees and what is left --------------------------------------------------------------------------------


async def test_all_that_was_bought_can_be_sold_though_a_fee_was_taken_from_it() -> None:
    async with account() as place:
        await place.send(order(qty="1"))
        held = (await place.venue.snapshot(0)).positions["BTC/USDT"]
        assert held == D("0.999")

        reports = await place.send(order("t1b", "sell", str(held)))

        assert [type(r) for r in reports] == [VenueAcked, VenueFilled]
        assert (await place.venue.snapshot(0)).positions == {}


async def test_a_fee_in_a_third_asset_is_seen_where_it_is_paid() -> None:
    coin = make_pair()
    fees = ThirdAssetFees(maker=D(10), taker=D(10), asset="BNB", per_quote=D("0.01"))
    house = binance_house({coin.id: coin}, {"USDT": D(1000), "BNB": D(5)}, VenueClock(T0, 0.0), fees=fees)
    face = make_face()
    face = BinanceFace(house, face.access.keys, weight_limit=10**9)
    house.move(quote(99.0, 100.0))
    async with account(face=face, names=("BTC/USDT",)) as place:
        before = await place.venue.snapshot(0)
        await place.send(order(qty="1"))

        after = await place.venue.snapshot(0)

        assert "BNB" not in before.cash
        assert (place.fills()[0].fill.fee, place.fills()[0].fill.fee_asset) == (D("0.001"), "BNB")
        assert after.cash == {"USDT": D(900), "BNB": D("4.999")}
        assert after.positions == {"BTC/USDT": D(1)}


async def test_dust_is_not_sent() -> None:
    async with account(cash={"USDT": D(100), "BTC": D("0.00000999")}) as place:
        assert (await place.venue.snapshot(0)).positions == {"BTC/USDT": D("0.00000999")}

        (report,) = await place.send(order(side="sell", qty="0.00000999"))

        assert isinstance(report, VenueRefused)
        assert place.posts() == 0


async def test_an_order_that_ended_in_the_answer_is_told_whole() -> None:
    async with account() as place:
        place.face.house.move(quote(99.0, 100.0, ts=T0 + SECOND, size=0.25))
        reports = await place.send(order(kind="limit", limit_price="100", tif=Tif.IOC, qty="1"))

        assert [type(r) for r in reports] == [VenueAcked, VenueFilled, VenueExpired]
        assert place.fills()[0].fill.side is Side.BUY

"""The venue port over the real ccxt and an emulated Binance, whole and broken."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext
from decimal import Decimal
from typing import Any

import pytest

from tests.adapters.ccxt.accounts import account, impatient, open_account, order
from tests.conftest import PATIENCE
from tests.emulators.binance.exchanges import ORDERS, T0, make_face, quote
from tradebot.core.messages import (
    ReplaceOrder,
    VenueAcked,
    VenueRefused,
    VenueReport,
    VenueUnknown,
)
from tradebot.core.model import SECOND, Liquidity, OrderKind, Side, Tif
from tradebot.core.ports import AuthFailed, Connected, Disconnected, IdPolicy, Standing
from tradebot.emulators.faults import Fault, FaultKind
from tradebot.emulators.wire import SocketFault
from tradebot.errors import VenueUnreachable

D = Decimal
POST = f"POST {ORDERS}"


def kinds(reports: list[VenueReport]) -> list[str]:
    return [type(report).__name__ for report in reports]


# --- sending ------------------------------------------------------------------------------------------


async def test_a_market_order_is_acked_and_its_trade_told_with_its_fee() -> None:
    async with account() as place:
        said = await place.send(order())

        assert kinds(said) == ["VenueAcked", "VenueFilled"]
        fill = place.fills()[0].fill
        assert (fill.client_order_id, fill.qty, fill.price) == ("t1a", D(1), D(100))
        assert (fill.fee, fill.fee_asset, fill.side) == (D("0.001"), "BTC", Side.BUY)


async def test_a_limit_order_rests_and_its_trade_comes_by_the_stream() -> None:
    async with account() as place:
        await place.start()
        assert kinds(await place.send(order(kind="limit", limit_price="90"))) == ["VenueAcked"]

        place.face.house.move(quote(88.0, 89.0, ts=T0 + SECOND, size=0.4))
        place.face.house.move(quote(88.0, 89.0, ts=T0 + 2 * SECOND, size=5.0))
        await place.until(lambda: sum(f.fill.qty for f in place.fills()) == 1)

        assert [f.fill.qty for f in place.fills()] == [D("0.4"), D("0.6")]
        assert {f.fill.liquidity for f in place.fills()} == {Liquidity.MAKER}
        assert len({f.fill.fill_id for f in place.fills()}) == 2


async def test_what_the_exchange_refuses_is_refused_with_its_words() -> None:
    async with account() as place:
        said = await place.send(order(qty="5000"))

        assert said == [
            VenueRefused(
                ts=said[0].ts,
                client_order_id="t1a",
                reason="Account has insufficient balance for requested action.",
            )
        ]


async def test_what_cannot_be_sent_never_leaves() -> None:
    async with account() as place:
        for bad in (
            order("t1a", qty="0.000001"),
            order("t1b", instrument="DOGE/USDT"),
            order("t1c", tif=Tif.DAY, kind="limit", limit_price="90"),
        ):
            (said,) = await place.send(bad)
            assert isinstance(said, VenueRefused) and said.reason.startswith("not sent")

        assert place.posts() == 0


async def test_an_immediate_order_that_finds_nothing_expires_after_what_it_found() -> None:
    async with account() as place:
        place.face.house.move(quote(99.0, 100.0, ts=T0 + SECOND, size=0.4))

        said = await place.send(order(kind="limit", limit_price="100", tif=Tif.IOC))

        assert kinds(said) == ["VenueAcked", "VenueFilled", "VenueExpired"]
        assert place.fills()[0].fill.qty == D("0.4")


async def test_a_stop_rests_at_the_exchange() -> None:
    async with account(cash={"USDT": D(1000), "BTC": D(2)}) as place:
        await place.send(order(side="sell", kind="stop", stop_price="90"))

        (found,) = (await place.venue.snapshot(0)).orders
        assert (found.kind, found.stop_price, found.is_triggered) == (OrderKind.STOP, D(90), False)


async def test_nothing_is_sent_twice_under_one_id() -> None:
    async with account() as place:
        await place.send(order())

        (again,) = await place.send(order())

        assert isinstance(again, VenueUnknown)
        assert place.posts() == 1


async def test_a_replace_is_no_single_step_there() -> None:
    async with account() as place:
        await place.send(order(kind="limit", limit_price="90"))

        said = await place.venue.replace(ReplaceOrder(client_order_id="t1a", order=order("t1b")))

        assert kinds(list(said)) == ["VenueCancelRefused", "VenueRefused"]
        assert place.venue.can_replace is False
        assert place.venue.id_policy is IdPolicy.WHILE_OPEN


# --- the fate of what was broken on the way -------------------------------------------------------------

AMBIGUOUS = [
    (FaultKind.DROP, {}, (False, True)),
    (FaultKind.HANG, {}, (False, True)),
    (FaultKind.TRUNCATE, {}, (True,)),
    (FaultKind.HTML, {}, (False, True)),
    (FaultKind.STATUS, {"status": 504, "body": "<html>gateway</html>"}, (False, True)),
    (FaultKind.STATUS, {"status": 503, "body": json.dumps({"code": -1008, "msg": "busy"})}, (False, True)),
    (FaultKind.STATUS, {"status": 500, "body": json.dumps({"code": -2010, "msg": "no"})}, (False, True)),
    (FaultKind.STATUS, {"status": 400, "body": json.dumps({"code": -1006, "msg": "?"})}, (False, True)),
    (FaultKind.STATUS, {"status": 200, "body": "[]"}, (True,)),
    (FaultKind.STATUS, {"status": 200, "body": "null"}, (True,)),
    (FaultKind.STATUS, {"status": 429, "body": "slow down"}, (False, True)),
]
ROWS = [(kind, words, after) for kind, words, afters in AMBIGUOUS for after in afters]


@pytest.mark.parametrize(("kind", "words", "after"), ROWS)
async def test_an_ambiguous_answer_is_unknown_after_one_post(
    kind: FaultKind, words: dict[str, Any], after: bool
) -> None:
    async with account() as place:
        place.face.wire.faults.add(Fault(route=POST, kind=kind, after=after, **words))

        with impatient(place.exchange) if kind is FaultKind.HANG else nullcontext():
            (said,) = await place.send(order(kind="limit", limit_price="90"))

        assert isinstance(said, VenueUnknown)
        assert place.posts() == 1
        stands = place.face.house.find("t1a") is not None
        assert stands is after
        if words.get("status") != 429:  # which asks for a pause
            found = await place.venue.find("t1a")
            assert (found is not None and found.standing is Standing.WORKING) is after


async def test_what_is_said_of_a_failure_holds_no_signature() -> None:
    async with account() as place:
        for route in (POST, "GET /api/v3/account"):
            place.face.wire.faults.add(Fault(route=route, kind=FaultKind.DROP, times=3))

        (said,) = await place.send(order())
        with pytest.raises(VenueUnreachable) as caught:
            await place.venue.reader.balances()

        assert isinstance(said, VenueUnknown)
        for text in (said.reason, str(caught.value)):
            assert "signature" not in text
            assert "timestamp" not in text


async def test_an_order_that_shows_up_late_is_found_later() -> None:
    async with account() as place:
        place.face.wire.faults.add(Fault(route=POST, kind=FaultKind.DROP, after=True))
        body = json.dumps({"code": -2013, "msg": "Order does not exist."})
        route = f"GET {ORDERS}"
        place.face.wire.faults.add(Fault(route=route, kind=FaultKind.STATUS, status=400, body=body, times=3))
        await place.send(order(kind="limit", limit_price="90"))

        found = [await place.venue.find("t1a") for _ in range(4)]

        assert found[:3] == [None, None, None]
        assert found[3] is not None and found[3].client_order_id == "t1a"


async def test_a_full_budget_sends_nothing_and_says_so() -> None:
    async with account() as place:
        place.exchange.budget.heard(429, {"Retry-After": "60"})

        (said,) = await place.send(order())

        assert isinstance(said, VenueRefused) and "nothing was sent" in said.reason
        assert place.posts() == 0


async def test_a_wrong_clock_is_set_right_and_the_question_put_again() -> None:
    async with account() as place:
        place.face.house.clock.skew = 60 * SECOND
        (said,) = await place.send(order())
        assert isinstance(said, VenueRefused)  # a submit is never put again

        place.face.house.clock.skew = 0
        assert (await place.venue.snapshot(0)).cash == {"USDT": D(100_000)}
        assert kinds(await place.send(order("t1b"))) == ["VenueAcked", "VenueFilled"]
        assert place.posts() == 2


# --- cancels ------------------------------------------------------------------------------------------


async def test_a_cancel_is_told_after_the_trades_before_it() -> None:
    async with account() as place:  # no stream: the trades must be read
        await place.send(order(kind="limit", limit_price="90"))
        place.face.house.move(quote(88.0, 89.0, ts=T0 + SECOND, size=0.4))

        said = await place.cancel("t1a")

        assert kinds(said) == ["VenueFilled", "VenueCanceled"]


async def test_a_cancel_is_not_told_while_its_trades_cannot_be_read() -> None:
    async with account() as place:
        await place.send(order(kind="limit", limit_price="90"))
        place.face.house.move(quote(88.0, 89.0, ts=T0 + SECOND, size=0.4))
        place.face.wire.faults.add(Fault(route="GET /api/v3/myTrades", kind=FaultKind.STATUS, status=502))

        assert await place.cancel("t1a") == []


async def test_a_cancel_that_meets_a_filled_order_tells_its_trades() -> None:
    async with account() as place:
        await place.send(order(kind="limit", limit_price="90"))
        place.face.house.move(quote(88.0, 89.0, ts=T0 + SECOND))

        assert kinds(await place.cancel("t1a")) == ["VenueFilled", "VenueCancelRefused"]


@pytest.mark.parametrize("after", [False, True])
async def test_an_unanswered_cancel_stays_open_and_is_safe_to_repeat(after: bool) -> None:
    async with account() as place:
        await place.send(order(kind="limit", limit_price="90"))
        place.face.wire.faults.add(Fault(route=f"DELETE {ORDERS}", kind=FaultKind.HANG, after=after))

        with impatient(place.exchange):
            assert await place.cancel("t1a") == []
        assert kinds(await place.cancel("t1a")) == ["VenueCanceled"]


async def test_a_cancel_of_nothing_is_refused() -> None:
    async with account() as place:
        assert kinds(await place.cancel("never")) == ["VenueCancelRefused"]


# --- reading ------------------------------------------------------------------------------------------


async def test_a_snapshot_holds_what_is_ours_to_see() -> None:
    face = make_face({"USDT": D(1000), "BTC": D(2), "DOGE": D(7)})
    async with account(face=face) as place:
        await place.send(order(side="sell", qty="0.5"))
        await place.send(order("t1b", kind="limit", limit_price="90"))
        place.face.house.transfer("USDT", D(500), "deposit")
        place.face.house.transfer("USDT", D(-100), "withdrawal")

        found = await place.venue.snapshot(0)

        assert found.positions == {"BTC/USDT": D("1.5")}
        assert found.cash == {"USDT": D(1000) + D("49.5") - D("0.0495") + 400}
        assert [(o.client_order_id, o.standing) for o in found.orders] == [("t1b", Standing.WORKING)]
        assert [(f.client_order_id, f.qty) for f in found.fills] == [("t1a", D("0.5"))]
        assert sorted((e.because, e.amount) for e in found.events) == [
            ("deposit", D(500)),
            ("withdrawal", D(-100)),
        ]
        assert len({e.venue_ref for e in found.events}) == 2


async def test_another_life_finds_trades_under_their_own_ids() -> None:
    async with account() as place:
        await place.send(order())
        place.face.house.submit(order("web_1", qty="0.2"))
        later = await open_account(place.face, place.served)

        fills = (await later.venue.snapshot(0)).fills

        assert [(f.client_order_id, f.qty) for f in fills] == [("t1a", D(1)), ("web_1", D("0.2"))]
        again = (await later.venue.snapshot(0)).fills
        assert again == fills
        await later.close()


async def test_trades_come_in_pages() -> None:
    face = make_face({"USDT": D(10_000_000)})
    async with account(face=face) as place:
        for number in range(2300):
            face.house.submit(order(f"web{number}", qty="0.1"))

        await place.venue.offset()

        found = await place.venue.reader.trades_of("BTC/USDT", 0)

        assert [f.client_order_id for f in found] == [f"web{n}" for n in range(2300)]
        asked = [r.path for r in face.wire.requests]
        assert asked.count("/api/v3/myTrades") + asked.count("/api/v3/allOrders") <= 8
        assert asked.count(ORDERS) == 0


NO_ORDERS = ("<html>", "[1, 2]", '[{"symbol": "BTCUSDT"}]', '"x"', "null")
NO_BALANCES = (
    "<html>",
    '"x"',
    '{"balances": [{"asset": "USDT", "free": "x", "locked": "0"}]}',
)
NOT_UNDERSTOOD = [
    *(("GET /api/v3/openOrders", body) for body in NO_ORDERS),
    *(("GET /api/v3/account", body) for body in NO_BALANCES),
    *(("GET /api/v3/myTrades", body) for body in NO_ORDERS),
]


@pytest.mark.parametrize(("route", "body"), NOT_UNDERSTOOD)
async def test_a_snapshot_that_is_not_understood_is_no_snapshot(route: str, body: str) -> None:
    async with account() as place:
        place.face.wire.faults.add(Fault(route=route, kind=FaultKind.STATUS, status=200, body=body))

        with pytest.raises(VenueUnreachable):
            await place.venue.snapshot(0)


# --- the private stream ---------------------------------------------------------------------------------


async def test_a_stream_that_was_cut_is_dialled_again() -> None:
    async with account() as place:
        await place.start()
        for socket in place.face.wire.on("user"):
            await socket.suffer(SocketFault.DROP)
        await place.until(
            lambda: [type(link) for link in place.links] == [Connected, Disconnected, Connected]
        )

        await place.send(order(kind="limit", limit_price="90"))
        place.face.house.move(quote(80.0, 81.0, ts=T0 + SECOND))
        await place.until(place.fills)


@pytest.mark.parametrize("ending", ["terminate", "shut_down"])
async def test_a_stream_whose_end_is_announced_is_dialled_again(ending: str) -> None:
    async with account() as place:
        await place.start()

        getattr(place.face.sockets, ending)()

        await place.until(lambda: len(place.links) == 3)
        assert [type(link) for link in place.links] == [Connected, Disconnected, Connected]
        await place.send(order(kind="limit", limit_price="90"))
        place.face.house.move(quote(80.0, 81.0, ts=T0 + SECOND))
        await place.until(place.fills)


async def test_a_mute_stream_is_found_out_by_a_look() -> None:
    async with account() as place:
        await place.start()
        await place.send(order(kind="limit", limit_price="90"))
        for socket in place.face.wire.on("user"):
            await socket.suffer(SocketFault.MUTE)
        place.face.house.move(quote(80.0, 81.0, ts=place.exchange.now() + SECOND))
        assert not place.fills()
        place.face.house.clock.move(place.face.house.clock.now() + 10 * SECOND)
        await place.venue.offset()

        found = await place.venue.snapshot(1)

        assert len(found.fills) == 1
        await place.until(lambda: len(place.links) == 3)


async def test_events_twice_and_out_of_order_are_told_once() -> None:
    async with account() as place:
        await place.start()
        await place.send(order(kind="limit", limit_price="90"))
        for socket in place.face.wire.on("user"):
            await socket.suffer(SocketFault.REORDER, count=4)
        place.face.house.move(quote(88.0, 89.0, ts=T0 + SECOND, size=0.4))
        place.face.house.move(quote(88.0, 89.0, ts=T0 + 2 * SECOND, size=5.0))
        await place.until(lambda: len(place.fills()) == 2)
        for socket in place.face.wire.on("user"):
            await socket.suffer(SocketFault.DUPLICATE, count=1)
        await place.send(order("t1b", kind="limit", limit_price="70"))
        await place.until(
            lambda: any(r.client_order_id == "t1b" for r in place.reports if isinstance(r, VenueAcked))
        )

        assert sum(f.fill.qty for f in place.fills()) == 1


async def test_an_owners_trade_is_not_told_and_an_old_one_of_ours_is() -> None:
    async with account() as first:
        await first.send(order(kind="limit", limit_price="90"))
        later = await open_account(first.face, first.served, is_ours=lambda i: i.startswith("t1"))
        await later.start()

        first.face.house.submit(order("web_1"))
        first.face.house.move(quote(80.0, 81.0, ts=T0 + SECOND))
        await later.until(later.fills)

        assert [f.fill.client_order_id for f in later.fills()] == ["t1a"]
        await later.close()


async def test_an_unknown_order_is_acked_by_the_stream() -> None:
    async with account() as place:
        await place.start()
        place.face.wire.faults.add(Fault(route=POST, kind=FaultKind.TRUNCATE, after=True))

        await place.send(order(kind="limit", limit_price="90"))

        await place.until(lambda: {"VenueAcked"} <= set(kinds(place.reports)))


async def test_a_cancel_by_hand_is_told() -> None:
    async with account() as place:
        await place.start()
        await place.send(order(kind="limit", limit_price="90"))

        place.face.house.cancel("t1a")

        await place.until(lambda: kinds(place.reports)[-1] == "VenueCanceled")


async def test_wrong_keys_end_it_at_once_and_without_a_storm() -> None:
    async with account() as place:
        place.face.access.keys.clear()

        await asyncio.wait_for(place.venue.run(place.links.append), PATIENCE)

        assert [type(link) for link in place.links] == [Disconnected, AuthFailed]
        assert place.venue.private.dials == 1


async def test_a_key_that_is_revoked_ends_it_after_three_tries() -> None:
    async with account() as place:
        await place.start()
        place.face.access.keys.clear()

        place.face.sockets.terminate()

        await place.until(lambda: isinstance(place.links[-1], AuthFailed))
        assert place.venue.private.dials == 4


async def test_a_refused_key_of_an_order_is_proof_and_asks_the_stream() -> None:
    async with account() as place:
        await place.start()
        place.face.access.keys.clear()

        (said,) = await place.send(order())

        assert isinstance(said, VenueRefused)
        await place.until(lambda: isinstance(place.links[-1], AuthFailed))

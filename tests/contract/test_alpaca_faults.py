"""Answers that are broken on the wire: what the Alpaca adapter makes of them, and what became of the order."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.conftest import PROVING
from tests.contract.alpacas import IMPATIENT, ORDERS, alpaca_place
from tests.contract.places import Place, WirePlace
from tests.emulators.houses import make_order
from tradebot.core.messages import (
    ReplaceOrder,
    SubmitPair,
    VenueAcked,
    VenueCanceled,
    VenueCancelRefused,
    VenueFilled,
    VenueRefused,
    VenueReplaced,
    VenueReport,
    VenueUnknown,
)
from tradebot.core.model import Order, Purpose
from tradebot.core.ports import AuthFailed, Standing
from tradebot.core.recorder import stop_id
from tradebot.emulators.faults import Fault, FaultKind
from tradebot.errors import PermissionRefused, RateLimited, VenueUnreachable

POST = f"POST {ORDERS}"
AT_ONCE = {"Retry-After": "0"}


@pytest.fixture
async def place() -> AsyncIterator[WirePlace]:
    async with alpaca_place(deadlines=IMPATIENT) as found:
        yield found


def fault(route: str, kind: FaultKind, **terms: Any) -> Fault:
    return Fault(route=route, kind=kind, **terms)


BROKEN: dict[str, tuple[Fault, bool]] = {
    "429 before": (fault(POST, FaultKind.STATUS, status=429, body='{"code":42910000,"message":"rate limit exceeded"}', headers=AT_ONCE), False),
    "429 after": (fault(POST, FaultKind.STATUS, status=429, after=True, body='{"message":"too many requests."}', headers=AT_ONCE), True),
    "500 with JSON": (fault(POST, FaultKind.STATUS, status=500, body='{"code":50010000,"message":"internal server error occurred"}'), False),
    "502 with a page": (fault(POST, FaultKind.STATUS, status=502, body="<html>Bad Gateway</html>"), False),
    "503 after": (fault(POST, FaultKind.STATUS, status=503, after=True), True),
    "504 before": (fault(POST, FaultKind.STATUS, status=504), False),
    "504 after": (fault(POST, FaultKind.STATUS, status=504, after=True), True),
    "dropped before": (fault(POST, FaultKind.DROP), False),
    "dropped after": (fault(POST, FaultKind.DROP, after=True), True),
    "no answer, not taken": (fault(POST, FaultKind.HANG), False),
    "no answer, taken": (fault(POST, FaultKind.HANG, after=True), True),
    "cut short": (fault(POST, FaultKind.TRUNCATE, after=True), True),
    "200 with a page": (fault(POST, FaultKind.HTML, after=True), True),
    "200 with a page, not taken": (fault(POST, FaultKind.HTML), False),
    "200 with an empty object": (fault(POST, FaultKind.STATUS, status=200, body="{}", after=True), True),
    "200 with another order": (
        fault(POST, FaultKind.STATUS, status=200, after=True,
              body='{"id":"x","client_order_id":"y","symbol":"SPY","side":"buy","type":"market","status":"new"}'),
        True,
    ),
    "422 in new words": (fault(POST, FaultKind.STATUS, status=422, after=True, body='{"code":42210000,"message":"we are thinking about it"}'), True),
    "403 without a code": (fault(POST, FaultKind.STATUS, status=403, after=True, body='{"message":"try later"}'), True),
    "302": (fault(POST, FaultKind.STATUS, status=302, after=True), True),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BROKEN))
async def test_an_answer_that_proves_nothing_leaves_the_order_unknown(place: WirePlace, name: str) -> None:
    broken, is_live = BROKEN[name]
    place.wire.faults.add(broken)
    order = place.order("buy", 2, "limit", limit="90")

    report = await place.venue.submit(order)

    assert isinstance(report, VenueUnknown)
    assert report.reason
    assert place.asked("POST", ORDERS) == 1
    found = await place.venue.find(order.client_order_id)
    assert (found is not None and found.standing is Standing.WORKING) == is_live


@pytest.mark.parametrize("name", sorted(BROKEN))
async def test_an_answer_that_proves_nothing_leaves_both_orders_of_a_pair_unknown(
    place: WirePlace, name: str
) -> None:
    await place.submit(place.order("buy", 2))
    broken, is_live = BROKEN[name]
    place.wire.faults.add(broken)
    target = place.order("sell", 2, "limit", limit="110", purpose=Purpose.PROTECT)
    stop = place.order("sell", 2, "stop", stop="90", purpose=Purpose.PROTECT)
    stop = replace(stop, client_order_id=stop_id(target.client_order_id))

    reports = await place.venue.submit_pair(SubmitPair(target=target, stop=stop))

    assert {type(report) for report in reports} == {VenueUnknown}
    assert place.asked("POST", ORDERS) == 2
    for order in (target, stop):
        found = await place.venue.find(order.client_order_id)
        assert (found is not None and found.standing is Standing.WORKING) == is_live


PROOFS = [
    (403, 40310000, "insufficient buying power"),
    (403, 40310000, "insufficient qty available for order (requested: 2, available: 0)"),
    (403, 40310000, 'asset "SPY" is not fractionable'),
    (403, 40310000, "potential wash trade detected. use complex orders"),
    (403, 40310000, "account is not allowed to short"),
    (422, 42210000, "fractional orders must be DAY orders"),
    (422, 42210000, "fractional orders cannot be sold short"),
    (422, 42210000, "stop price must be less than current price"),
    (422, 42210000, "invalid limit_price 290.123. sub-penny increment does not fulfill minimum pricing criteria"),
    (422, 42210000, 'asset "NONE" not found'),
    (422, 40010001, "qty must be > 0"),
    (422, 40010001, "us_equity orders not allowed for account"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "code", "words"), PROOFS, ids=[p[2][:30] for p in PROOFS])
async def test_known_words_of_the_venue_prove_a_refusal(
    place: WirePlace, status: int, code: int, words: str
) -> None:
    body = json.dumps({"code": code, "message": words})
    place.wire.faults.add(fault(POST, FaultKind.STATUS, status=status, body=body))

    report = await place.venue.submit(place.order("buy", 2))

    assert isinstance(report, VenueRefused)
    assert words in report.reason


async def test_an_id_that_exists_is_looked_up_and_not_called_refused(place: WirePlace) -> None:
    order = place.order("buy", 2)
    await place.submit(order)

    report = await place.venue.submit(order)

    assert isinstance(report, VenueUnknown)
    assert "client_order_id must be unique" in report.reason
    assert await place.venue.find(order.client_order_id) is not None


@pytest.mark.parametrize("batch", range(50 if PROVING else 1))
async def test_orders_through_faults_of_all_kinds_are_each_sent_once_and_end_right(
    place: WirePlace, batch: int, rng: random.Random
) -> None:
    count = 200 if PROVING else 40
    kinds = [name for name in sorted(BROKEN) if "no answer" not in name]
    sent: list[tuple[Order, VenueReport | None]] = []
    for i in range(count):
        if rng.random() < 0.8:
            place.wire.faults.add(BROKEN[rng.choice(kinds)][0])
        order = place.order(rng.choice(("buy", "sell")), rng.randint(1, 3))
        sent.append((order, await place.venue.submit(order)))
        place.wire.faults.clear()
        if i % 20 == 19:
            place.bar(100.0 + i % 7)
    place.bar(101.0)
    await place.quiet()

    shown = await place.venue.snapshot(0)
    qty = place.lot * 0
    for order, _ in sent:
        found = await place.venue.find(order.client_order_id)
        if found is not None:
            qty += found.filled_qty * found.side.sign
    told = {r.fill.fill_id for r in place.reports if isinstance(r, VenueFilled)}
    assert place.wire.by_method["POST"] == count
    assert shown.positions.get("SPY", 0) == qty
    assert {f.fill_id for f in shown.fills} == told
    assert any(isinstance(report, VenueUnknown) for _, report in sent)


async def test_an_order_that_shows_late_is_absent_first_and_found_then(place: WirePlace) -> None:
    place.wire.faults.add(fault(POST, FaultKind.DROP, after=True))
    order = place.order("buy", 2, "limit", limit="90")
    await place.venue.submit(order)
    absent = '{"code": 40410000, "message": "order not found"}'
    place.wire.faults.add(
        fault("GET /v2/orders:by_client_order_id", FaultKind.STATUS, status=404, body=absent, times=3)
    )

    found = [await place.venue.find(order.client_order_id) for _ in range(4)]

    assert [f is not None for f in found] == [False, False, False, True]


async def test_a_trade_is_told_before_the_answer_and_the_late_answer_is_an_ack(
    place: WirePlace,
) -> None:
    place.wire.faults.add(fault(POST, FaultKind.DELAY, after=True, seconds=0.15))
    order = place.order("buy", 2)

    sending = asyncio.create_task(place.venue.submit(order))
    await place.until(lambda: place.asked("POST", ORDERS) == 1 and bool(place.house.orders))
    place.bar(101.0)
    await place.until(lambda: any(isinstance(r, VenueFilled) for r in place.of(order)))

    assert not sending.done()
    assert isinstance(await sending, VenueAcked)


# --- cancels and replaces -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.HANG, FaultKind.STATUS, FaultKind.HTML])
async def test_a_cancel_without_an_answer_is_told_by_the_stream(place: WirePlace, kind: FaultKind) -> None:
    order = place.order("buy", 2, "limit", limit="90")
    await place.submit(order)
    place.wire.faults.add(fault("DELETE /v2/orders/*", kind, after=True, status=504))

    assert await place.venue.cancel(order.client_order_id) is None

    await place.until(lambda: place.ended(order, VenueCanceled))


async def test_a_cancel_that_never_arrived_says_nothing_and_may_be_asked_again(
    place: WirePlace,
) -> None:
    order = place.order("buy", 2, "limit", limit="90")
    await place.submit(order)
    place.wire.faults.add(fault("DELETE /v2/orders/*", FaultKind.DROP))

    assert await place.venue.cancel(order.client_order_id) is None
    found = await place.venue.find(order.client_order_id)
    assert found is not None
    assert found.standing is Standing.WORKING

    await place.venue.cancel(order.client_order_id)
    await place.until(lambda: place.ended(order, VenueCanceled))


async def test_a_cancel_that_meets_a_trade_on_its_way_is_no_error(place: WirePlace) -> None:
    order = place.order("buy", 2)
    await place.submit(order)
    place.wire.faults.add(fault("DELETE /v2/orders/*", FaultKind.DELAY, seconds=0.1))
    cancelling = asyncio.create_task(place.venue.cancel(order.client_order_id))
    await asyncio.sleep(0.02)
    place.bar(101.0)

    report = await cancelling

    assert isinstance(report, VenueCancelRefused)
    await place.until(lambda: any(isinstance(r, VenueFilled) for r in place.of(order)))


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.TRUNCATE, FaultKind.STATUS])
async def test_a_replace_without_an_answer_is_sent_once_and_told_by_the_stream(
    place: WirePlace, kind: FaultKind
) -> None:
    old, new = await _resting(place)
    place.wire.faults.add(fault("PATCH /v2/orders/*", kind, after=True, status=504))

    reports = await place.venue.replace(ReplaceOrder(client_order_id=old.client_order_id, order=new))

    assert [type(r) for r in reports] == [VenueUnknown]
    await place.until(lambda: any(isinstance(r, VenueReplaced) for r in place.of(old)))
    assert sum(r.method == "PATCH" for r in place.wire.requests) == 1


async def test_a_refused_replace_leaves_the_old_order_working(place: WirePlace) -> None:
    old, new = await _resting(place)
    body = '{"code": 42210000, "message": "cannot replace order in accepted status"}'
    place.wire.faults.add(fault("PATCH /v2/orders/*", FaultKind.STATUS, status=422, body=body))

    reports = await place.venue.replace(ReplaceOrder(client_order_id=old.client_order_id, order=new))

    assert [type(r) for r in reports] == [VenueCancelRefused, VenueRefused]
    found = await place.venue.find(old.client_order_id)
    assert found is not None
    assert found.standing is Standing.WORKING


async def _resting(place: Place) -> tuple[Order, Order]:
    old = place.order("buy", 2, "limit", limit="90")
    await place.submit(old)
    return old, place.order("buy", 4, "limit", limit="91", replaces=old.client_order_id)


# --- what is never sent -------------------------------------------------------------------------------


async def test_what_alpaca_cannot_do_is_refused_before_it_leaves(place: WirePlace) -> None:
    cases: dict[str, Order] = {
        "post-only": place.order("buy", 1, "limit", limit="90", post_only=True),
        "waits for another": place.order("sell", 1, "limit", limit="190", activated_by="ab1"),
        "time of its owner's choice": place.order("buy", 1, "limit", limit="90", expires_at=place.now + 1),
    }

    reports = {why: await place.venue.submit(order) for why, order in cases.items()}

    for why, report in reports.items():
        assert isinstance(report, VenueRefused)
        assert why in report.reason
    assert place.asked("POST", ORDERS) == 0


async def test_a_pause_the_venue_asks_for_is_kept(place: WirePlace) -> None:
    place.wire.faults.add(
        fault(
            "GET /v2/account",
            FaultKind.STATUS,
            status=429,
            body='{"message": "x"}',
            headers={"Retry-After": "1"},
        )
    )
    order = place.order("buy", 2, "limit", limit="90")
    await place.submit(order)
    with pytest.raises(RateLimited):
        await place.venue.snapshot(0)
    asked = len(place.wire.requests)
    begun = asyncio.get_running_loop().time()

    with pytest.raises(RateLimited, match="may be asked again in"):
        await place.venue.snapshot(0)
    refused = await place.venue.submit(place.order("buy", 2, "limit", limit="90"))
    assert isinstance(refused, VenueRefused)
    assert "not sent" in refused.reason
    assert len(place.wire.requests) == asked
    await place.venue.cancel(order.client_order_id)

    assert asyncio.get_running_loop().time() - begun > 0.9
    assert place.wire.requests[-1].method == "DELETE"


# --- reading ------------------------------------------------------------------------------------------

READS: dict[str, Callable[[Place], Any]] = {
    "snapshot": lambda place: place.venue.snapshot(0),
    "find": lambda place: place.venue.find("ab000000000001"),
    "offset": lambda place: place.venue.offset(),
}


@pytest.mark.parametrize("read", sorted(READS))
@pytest.mark.parametrize(
    "broken",
    [
        fault("GET *", FaultKind.STATUS, status=503, body="<html>maintenance</html>"),
        fault("GET *", FaultKind.STATUS, status=200, body="[[]]"),
        fault("GET *", FaultKind.STATUS, status=200, body='{"timestamp": 3, "cash": "NaN"}'),
        fault("GET *", FaultKind.STATUS, status=403, body='{"code": 40310000, "message": "no"}'),
        fault("GET *", FaultKind.HTML),
        fault("GET *", FaultKind.DROP),
        fault("GET *", FaultKind.TRUNCATE, after=True),
        fault("GET *", FaultKind.HANG),
    ],
    ids=["503", "200 list", "200 nonsense", "403", "page", "drop", "cut", "hang"],
)
async def test_a_reading_that_fails_is_unreachable_and_the_next_one_works(
    place: WirePlace, broken: Fault, read: str
) -> None:
    place.wire.faults.add(broken)
    with pytest.raises(VenueUnreachable):
        await READS[read](place)

    place.wire.faults.clear()

    await READS[read](place)


async def test_keys_that_are_revoked_end_the_account_at_once(place: WirePlace) -> None:
    await place.venue.snapshot(0)
    place.face.access.keys.clear()

    report = await place.venue.submit(place.order("buy", 1))
    with pytest.raises(VenueUnreachable, match="must accept the keys"):
        await place.venue.snapshot(0)

    assert isinstance(report, VenueRefused)
    assert [type(e) for e in place.links if isinstance(e, AuthFailed)] == [AuthFailed, AuthFailed]


# --- whose account, and from when on ------------------------------------------------------------------


async def test_what_was_before_the_account_was_opened_here_is_never_told(place: WirePlace) -> None:
    place.market.owner(make_order("by-hand", "buy", "5"))
    place.bar(101.0)
    place.market.transfer("USD", Decimal(-70), "withdrawal")
    place.bar(101.0)

    opened = await place.venue.snapshot(place.now)
    place.market.transfer("USD", Decimal(-30), "withdrawal")
    place.market.owner(make_order("by-hand-too", "sell", "2"))
    place.bar(102.0)
    later = await place.venue.snapshot(opened.cursor)

    assert (opened.fills, opened.events, opened.positions) == ((), (), {"SPY": Decimal(5)})
    assert [f.client_order_id for f in later.fills] == ["by-hand-too"]
    assert [e.amount for e in later.events] == [Decimal(-30)]


async def test_keys_of_another_account_are_refused_with_both_ids() -> None:
    async with alpaca_place(account_id="PA-another") as place:
        with pytest.raises(PermissionRefused, match="account of the keys, which is PA00EMULATED"):
            await place.venue.snapshot(0)


async def test_the_right_account_by_its_number_is_taken() -> None:
    async with alpaca_place(account_id="PA00EMULATED") as place:
        assert (await place.venue.snapshot(0)).cash == {"USD": Decimal(100_000)}


async def test_an_account_that_may_not_trade_is_refused_with_the_reason(place: WirePlace) -> None:
    body = '{"id": "x", "account_number": "PA1", "status": "ACTIVE", "trading_blocked": true, "cash": "1"}'
    place.wire.faults.add(fault("GET /v2/account", FaultKind.STATUS, status=200, body=body))

    with pytest.raises(PermissionRefused, match="must let account PA1 trade, says: trading_blocked"):
        await place.venue.snapshot(0)

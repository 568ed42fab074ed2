"""A target and a stop in one request, over the real ccxt and an emulated Binance."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.adapters.ccxt.accounts import account, order
from tests.emulators.houses import asked
from tradebot.core.messages import SubmitPair, VenueRefused, VenueUnknown
from tradebot.core.model import SECOND
from tradebot.emulators.faults import Fault, FaultKind

D = Decimal
PAIRS = "/api/v3/orderList/oco"


def pair(order_id: str) -> SubmitPair:
    return SubmitPair(
        target=order(order_id, "sell", "1", "limit", limit_price="110"),
        stop=order(f"{order_id}x", "sell", "1", "stop", stop_price="90"),
    )


async def test_a_wrong_clock_is_set_right_after_a_pair_too() -> None:
    async with account(cash={"USDT": D(1000), "BTC": D(2)}) as place:
        place.face.house.clock.skew = 60 * SECOND
        said = await place.venue.submit_pair(pair("t1a"))
        assert [type(report) for report in said] == [VenueRefused, VenueRefused]

        await place.venue.submit_pair(pair("t1b"))

        assert [state.order.client_order_id for state in place.face.house.working()] == ["t1b", "t1bx"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (FaultKind.DROP, {}),
        (FaultKind.TRUNCATE, {}),
        (FaultKind.HTML, {}),
        (FaultKind.STATUS, {"status": 504}),
        (FaultKind.STATUS, {"status": 200, "body": "{}"}),
        (FaultKind.STATUS, {"status": 200, "body": '{"orders": [null, {"orderId": 9}]}'}),
        (FaultKind.STATUS, {"status": 400, "body": '{"code": -1006, "msg": "unexpected"}'}),
    ],
)
async def test_a_pair_that_is_not_answered_for_is_unknown_and_sent_once(
    kind: FaultKind, words: dict[str, Any], after: bool
) -> None:
    async with account(cash={"USDT": D(1000), "BTC": D(2)}) as place:
        place.face.wire.faults.add(Fault(route=f"POST {PAIRS}", kind=kind, after=after, **words))

        said = await place.venue.submit_pair(pair("t1a"))

        assert [type(report) for report in said] == [VenueUnknown, VenueUnknown]
        assert asked(place.face.wire, "POST", PAIRS) == 1
        for order_id in ("t1a", "t1ax"):
            assert (await place.venue.find(order_id) is not None) == after

"""Keep Binance's order lists: two orders of which one cancels the other.

Owns what a request for a pair must say, and what ends one half when the other trades, is triggered or is
cancelled. Refuses single orders: those are `desk`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tradebot.core.messages import VenueFilled, VenueTriggered
from tradebot.core.model import Instrument, Order, OrderKind, Side
from tradebot.emulators.binance import refusal as no
from tradebot.emulators.binance import words
from tradebot.emulators.binance.orders import client_id, order_of
from tradebot.emulators.binance.refusal import Refusal
from tradebot.emulators.binance.words import MS, Json
from tradebot.emulators.house import Happened, House, OrderState

_LEGS = ("above", "below")
_FIELDS = ("ClientOrderId", "Price", "StopPrice", "TimeInForce", "TrailingDelta")
_MAY = ("listClientOrderId", "newOrderRespType", "selfTradePreventionMode")


class Lists:
    """The order lists of one house. A half that trades or is triggered expires the other one at once."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._names: dict[int, str] = {}
        house.listen(self._note)

    def read(self, params: Mapping[str, str], inst: Instrument, price: float | None) -> tuple[Order, Order]:
        """Return the two orders that a request describes, the one above first. Raises Refusal."""
        for name in ("symbol", "side", "quantity", *(f"{leg}Type" for leg in _LEGS)):
            if not params.get(name):
                raise no.missing(name)
        taken = {"symbol", "side", "quantity", *_MAY}
        taken |= {f"{leg}{field}" for leg in _LEGS for field in ("Type", *_FIELDS)}
        if extra := [name for name in params if name not in taken]:
            raise no.unread(len(params) - len(extra), len(params))
        above, below = (self._leg(params, inst, leg) for leg in _LEGS)
        kinds = {above.kind, below.kind}
        if OrderKind.LIMIT not in kinds or not kinds & {OrderKind.STOP, OrderKind.STOP_LIMIT}:
            raise Refusal(-1116, "Invalid orderType.")
        high, low = (order.limit_price if order.post_only else order.stop_price for order in (above, below))
        is_right = above.post_only == (above.side is Side.SELL)
        if not is_right or high is None or low is None or price is None or not low < price < high:
            raise Refusal(*no.RELATION)
        number = len(self._names) + 1
        self._names[number] = client_id(params, "listClientOrderId", f"list{number}")
        return replace(above, group_id=f"{number}"), replace(below, group_id=f"{number}")

    def _leg(self, params: Mapping[str, str], inst: Instrument, leg: str) -> Order:
        words_ = {
            "symbol": params["symbol"],
            "side": params["side"],
            "quantity": params["quantity"],
            "type": params[f"{leg}Type"],
        }
        for field, name in (("Price", "price"), ("StopPrice", "stopPrice"), ("TimeInForce", "timeInForce")):
            if (given := params.get(f"{leg}{field}")) is not None:
                words_[name] = given
        if (given := params.get(f"{leg}ClientOrderId")) is not None:
            words_["newClientOrderId"] = given
        now, default = self._house.clock.now(), f"auto{len(self._house.orders) + 1}{leg}"
        return order_of(words_, inst, self._house.exchange.account, default, now)

    def answer(self, symbol: str, legs: tuple[OrderState, OrderState]) -> Json:
        """Return the answer to a request for a pair."""
        now, number = self._house.clock.shown(), words.list_id(legs[0].order)
        reports = [words.placed_json(state, symbol, [], now) for state in legs]
        for report in reports:
            del report["fills"]
        return {
            "orderListId": number,
            "contingencyType": "OCO",
            "listStatusType": "EXEC_STARTED",
            "listOrderStatus": "EXECUTING",
            "listClientOrderId": self._names[number],
            "transactionTime": now // MS,
            "symbol": symbol,
            "orders": [
                {"symbol": symbol, "orderId": s.number, "clientOrderId": s.order.client_order_id}
                for s in legs
            ],
            "orderReports": reports,
        }

    def other(self, state: OrderState) -> OrderState | None:
        """Return the working other half of an order's list."""
        group = state.order.group_id
        if group is None:
            return None
        halves = (s for s in self._house.working() if s.order.group_id == group)
        return next((s for s in halves if s.number != state.number), None)

    def _note(self, happened: Happened) -> None:
        if not isinstance(happened.report, VenueFilled | VenueTriggered):
            return
        other = self.other(happened.state)
        blotter = self._house.exchange.sim.blotter
        working = None if other is None else blotter.orders.get(other.order.client_order_id)
        if working is not None:
            blotter.cancel(working, happened.report.ts, "oco: the other one trades")

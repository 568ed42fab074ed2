"""Close what an owner's flatten is about: collared limit orders that follow the price outward.

Owns their price. The first lies a collar beyond the last price; one that the price has left behind is
taken back and the next lies twice as far, so that a gap is met and a single bad price is not. An
exit of the strategy's own (time, overshoot) is an order like any other and not made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from tradebot.core.gate import Gate
from tradebot.core.legs import Leg
from tradebot.core.model import Order, OrderKind, Purpose, Side, Tif
from tradebot.core.quantize import price_worse_for
from tradebot.core.recorder import Recorder

_WIDEST = 0.5  # of the last price


class Flattener:
    """Makes flattening orders and takes back those that were left behind."""

    def __init__(self, recorder: Recorder, gate: Gate, marks: Mapping[str, float]) -> None:
        self._ledger = recorder.ledger
        self._gate = gate
        self._marks = marks

    def order(self, leg: Leg, side: Side, qty: Decimal, tif: Tif) -> Order | None:
        """Return the order that closes for the owner; None when it goes to the market like any exit."""
        rest, price = leg.wish.suspended, self._marks.get(leg.instrument.id)
        collar = self._gate.collar_of(leg.spec.account)
        if rest is None or rest.because != "flatten" or price is None or collar is None:
            return None
        if tif in (Tif.AT_OPEN, Tif.AT_CLOSE):
            return None
        beyond = min(collar * 2 ** self._tries(leg, rest.ts), _WIDEST)
        self._gate.waiting[leg.key] = leg
        return self._gate.new_order(
            leg,
            side,
            qty,
            Purpose.FLATTEN,
            kind=OrderKind.LIMIT,
            limit_price=price_worse_for(side, price * (1.0 + side.sign * beyond), leg.instrument.tick_size),
            tif=tif,
        )

    def _tries(self, leg: Leg, since: int) -> int:
        count = 0
        for record in self._ledger.orders.newest_first():
            order = record.order
            if order.ts < since:
                break
            is_ours = order.strategy == leg.spec.id and order.instrument == leg.instrument.id
            if is_ours and order.purpose is Purpose.FLATTEN:
                count += 1
        return count

    def follow(self, leg: Leg) -> None:
        """Take back what the price has left behind; its end sends the next. What may still trade is watched on."""
        price = self._marks.get(leg.instrument.id)
        for record in self._ledger.open_orders(leg.key):
            order = record.order
            if order.purpose is not Purpose.FLATTEN or order.limit_price is None or price is None:
                continue
            self._gate.waiting[leg.key] = leg
            if order.side.sign * (price - float(order.limit_price)) > 0:
                self._gate.cancel(record, "the price went away")

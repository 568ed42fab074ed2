"""Remember of our orders at Alpaca what its next answers and messages are read with.

Nothing here is needed to be right: after a restart it is empty, and everything is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from tradebot.adapters.alpaca.parse import Update
from tradebot.core.messages import (
    VenueCanceled,
    VenueCancelRefused,
    VenueExpired,
    VenueRefused,
    VenueReplaced,
    VenueReport,
)
from tradebot.core.model import Order
from tradebot.core.ports import Standing, VenueOrder, VenueSnapshot
from tradebot.core.recorder import target_id

_KEPT = 20_000


class Known:
    """Ids, what was sent and may be working, what has traded, and which trades were told."""

    def __init__(self) -> None:
        self.sent: dict[str, Order] = {}
        self._ids: dict[str, str] = {}
        self._stops: dict[str, str] = {}  # Alpaca's ids of stops that came with a target: our id of it
        self._traded: dict[str, Decimal] = {}
        self._told: dict[str, None] = {}

    def venue_id(self, client_order_id: str) -> str | None:
        return self._ids.get(client_order_id)

    def note(self, order: VenueOrder) -> None:
        """Remember what Alpaca calls an order, and how much of it has traded."""
        order_id = order.client_order_id
        self._ids[order_id] = order.venue_order_id
        if target_id(order_id) is not None:
            self._stops[order.venue_order_id] = order_id
        self._traded[order_id] = max(self.traded(order_id), order.filled_qty)
        for kept in (self._ids, self._stops, self._traded):
            while len(kept) > _KEPT:
                del kept[next(iter(kept))]

    def named(self, update: Update) -> Update:
        """Return what is told of an order with our id of it, where Alpaca gave it one of its own."""
        ours = self._stops.get(update.order.venue_order_id)
        if ours is None:
            return update
        fill = None if update.fill is None else replace(update.fill, client_order_id=ours)
        return replace(update, order=replace(update.order, client_order_id=ours), fill=fill)

    def traded(self, client_order_id: str) -> Decimal:
        return self._traded.get(client_order_id, Decimal(0))

    def is_told(self, fill_id: str) -> bool:
        """Return whether a trade was told before, and remember that it is told now."""
        if fill_id in self._told:
            return True
        self._told[fill_id] = None
        while len(self._told) > _KEPT:
            del self._told[next(iter(self._told))]
        return False

    def forget_ended(self, sent: Iterable[str], found: VenueSnapshot) -> None:
        """Let go of those that were sent before an account was read and do not work there."""
        working = {order.client_order_id for order in found.orders}
        for order_id in sent:
            if order_id not in working:
                self.sent.pop(order_id, None)

    def end_of(self, order: VenueOrder, ts: int) -> VenueReport | None:
        """Return the report of an order's end; None while it works, and for an heir that is not known."""
        order_id = order.client_order_id
        if order.standing is Standing.WORKING:
            return None
        self.sent.pop(order_id, None)
        if order.standing is Standing.FILLED:
            return VenueCancelRefused(ts=ts, client_order_id=order_id, reason="it has traded whole")
        if order.standing is Standing.REJECTED:
            return VenueRefused(ts=ts, client_order_id=order_id, reason=order.reason or "rejected")
        if order.standing is Standing.EXPIRED:
            return VenueExpired(ts=ts, client_order_id=order_id)
        if order.standing is Standing.REPLACED:
            return VenueReplaced(ts=ts, client_order_id=order_id, by=order.by) if order.by else None
        return VenueCanceled(ts=ts, client_order_id=order_id)

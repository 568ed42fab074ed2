"""Remember which orders are ours, under which ids the exchange has them, and what was told of them.

Owns the two-way table of ids and the quantity told per order. Bounded: what is forgotten is read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tradebot.core.model import Fill

_KEPT = 20_000


@dataclass(slots=True)
class KnownOrder:
    """What this process has seen of an order. `told` is the quantity of its trades that were reported."""

    symbol: str
    venue_id: str = ""
    told: Decimal = Decimal(0)
    was_sent: bool = False
    is_acked: bool = False
    is_over: bool = False


class Known:
    """Orders by client id, client ids by the exchange's id, and the trades already told."""

    def __init__(self) -> None:
        self._orders: dict[str, KnownOrder] = {}
        self._client_ids: dict[tuple[str, str], str] = {}
        self._fills: dict[str, None] = {}
        self._waiting: dict[tuple[str, str], list[Mapping[str, Any]]] = {}

    def order(self, client_id: str) -> KnownOrder | None:
        return self._orders.get(client_id)

    def add(self, client_id: str, symbol: str, venue_id: str = "") -> KnownOrder:
        """Note an order, and the exchange's id of it as soon as there is one."""
        found = self._orders.setdefault(client_id, KnownOrder(symbol))
        if venue_id:
            found.venue_id = venue_id
            self.match(symbol, venue_id, client_id)
        _bound(self._orders)
        return found

    def match(self, symbol: str, venue_id: str, client_id: str) -> None:
        """Note whose an order of the exchange is; empty: nobody's that we could name."""
        self._client_ids[symbol, venue_id] = client_id
        _bound(self._client_ids)

    def client_id(self, symbol: str, venue_id: str) -> str | None:
        """Return the client id of an order of the exchange, None when that was not asked yet."""
        return self._client_ids.get((symbol, venue_id))

    def is_new(self, fill: Fill) -> bool:
        """Return whether a trade was not told before, and note that it is now."""
        if fill.fill_id in self._fills:
            return False
        self._fills[fill.fill_id] = None
        _bound(self._fills)
        found = self._orders.get(fill.client_order_id)
        if found is not None:
            found.told += fill.qty
        return True

    def was_told(self, fill: Fill) -> bool:
        return fill.fill_id in self._fills

    def hold(self, symbol: str, venue_id: str, trade: Mapping[str, Any]) -> None:
        """Keep a trade whose order is not known yet: it may be ours and ahead of its own answer."""
        self._waiting.setdefault((symbol, venue_id), []).append(trade)
        _bound(self._waiting)

    def held(self, symbol: str, venue_id: str) -> list[Mapping[str, Any]]:
        return self._waiting.pop((symbol, venue_id), [])


def _bound(table: dict[Any, Any]) -> None:
    while len(table) > _KEPT:
        del table[next(iter(table))]

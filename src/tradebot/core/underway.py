"""Count what working orders may still buy and sell, each side by itself.

Owns that count. A buy and a sell that both work never cancel each other out: either may trade alone.
Protective orders are left out, they only take back what is held. Refuses prices and limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple

from tradebot.core.books import ZERO
from tradebot.core.ledger import Key, Ledger
from tradebot.core.model import Order, Purpose, Side
from tradebot.core.orders import OrderRecord, Status


class Way(NamedTuple):
    """What is on its way in one instrument, both 0 or more."""

    buys: Decimal = ZERO
    sells: Decimal = ZERO

    def plus(self, side: Side, qty: Decimal) -> Way:
        """Return this and `qty` more on one side."""
        return Way(self.buys + qty, self.sells) if side is Side.BUY else Way(self.buys, self.sells + qty)

    def of(self, side: Side) -> Decimal:
        return self.buys if side is Side.BUY else self.sells

    def most(self, held: Decimal) -> Decimal:
        """Return the largest quantity, long or short, that `held` may become."""
        return max(abs(held + self.buys), abs(held - self.sells))


NOTHING = Way()


def working(ledger: Ledger, order: Order) -> Iterator[tuple[Key, OrderRecord, Decimal]]:
    """Yield the account's working orders beside `order`, and what each may still trade.

    One that is being replaced may trade until that has happened, but not beside the order that takes its
    place: of both the larger counts.
    """
    for key, records in ledger.open.items():
        for record in records.values():
            theirs = record.order
            if theirs.account != order.account or theirs.purpose is Purpose.PROTECT:
                continue
            left = record.leaves
            if theirs.client_order_id == order.replaces:
                left -= order.qty
            elif record.status is Status.PENDING_REPLACE:
                left -= _heir_leaves(records.values(), theirs.client_order_id)
            if left > 0:
                yield key, record, left


def _heir_leaves(records: Iterable[OrderRecord], order_id: str) -> Decimal:
    return next((r.leaves for r in records if r.order.replaces == order_id), ZERO)

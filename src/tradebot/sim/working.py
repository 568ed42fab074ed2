"""Keep the state of one accepted order: what is open of it, where it acts, since when.

Owns arithmetic about a single order. Refuses decisions: who fills, and at what price, is the
business of `bars` and `quotes`; what a fill does to others is the business of `blotter`.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

from tradebot.core.model import Instrument, Order, OrderKind, Side
from tradebot.core.quantize import stop_price_for

ZERO = Decimal(0)

# Prices within a millionth of a tick are the same price (core.quantize has the same rule).
_SNAP = 1e-6


def plain(number: Decimal) -> str:
    """Return a number for a message: no exponent, no trailing zeros."""
    return f"{number.normalize():f}"


class Role(Enum):
    """What an order is at this moment: a triggered stop is a market (or limit) order."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"


class Alive(Enum):
    """Since when an order takes part in the bar being matched."""

    ASLEEP = "asleep"  # not in this bar
    OPEN = "open"  # since before its first price, or since a fill at its open
    MID = "mid"  # born of a fill inside the bar


_FIRST_ROLE = {
    OrderKind.MARKET: Role.MARKET,
    OrderKind.LIMIT: Role.LIMIT,
    OrderKind.STOP: Role.STOP,
    OrderKind.STOP_LIMIT: Role.STOP,
    OrderKind.TRAILING_STOP: Role.STOP,
}


class Working:
    """An order the venue has. `order` is replaced only by an adjusting split.

    `since` is when it became effective (for a bracket leg: when its parent first filled).
    `activated` is the quantity a leg's parent has filled, None for an order without parent.
    `reduced` is what fills of one-cancels-other siblings, or of the order this one replaced,
    took away. `parent` is the order whose fills activate this leg now (a replace changes it).
    `must` is the price range that a bar certainly visits after a MID order's birth.
    """

    __slots__ = (
        "activated",
        "alive",
        "cap",
        "client_order_id",
        "fee",
        "filled",
        "fresh",
        "instrument",
        "is_buy",
        "level",
        "limit",
        "must",
        "notional",
        "order",
        "parent",
        "reduced",
        "reference",
        "role",
        "seq",
        "since",
        "snap",
        "stop_price",
        "takes",
        "tried",
        "venue_id",
    )

    def __init__(self, order: Order, instrument: Instrument, seq: int, now: int) -> None:
        self.instrument = instrument
        self.seq = seq
        self.venue_id = f"v{seq}"
        self.since = now
        self.filled = self.reduced = self.notional = self.fee = ZERO
        self.activated = None if order.activated_by is None else ZERO
        self.parent = order.activated_by
        self.role = _FIRST_ROLE[order.kind]
        self.alive = Alive.ASLEEP
        self.fresh = self.tried = False
        self.takes = True
        self.must = (0.0, 0.0)
        self.reference: float | None = None
        self.snap = float(instrument.tick_size) * _SNAP
        self.set_terms(order)

    def set_terms(self, order: Order) -> None:
        """Take prices and quantity from `order`."""
        self.order = order
        self.client_order_id = order.client_order_id
        self.is_buy = order.side is Side.BUY
        self.cap = order.qty
        self.limit = None if order.limit_price is None else float(order.limit_price)
        self.stop_price = order.stop_price
        self.level = None if order.stop_price is None else float(order.stop_price)

    @property
    def open_qty(self) -> Decimal:
        """Quantity that may trade now (0 for a leg whose parent has not filled)."""
        ceiling = self.cap if self.activated is None else min(self.cap, self.activated)
        return max(ceiling - self.filled - self.reduced, ZERO)

    @property
    def is_done(self) -> bool:
        return self.filled + self.reduced >= self.cap

    @property
    def is_trailing(self) -> bool:
        return self.order.kind is OrderKind.TRAILING_STOP

    def is_through(self, price: float) -> bool:
        """Return whether `price` elects this stop."""
        if self.level is None:
            return False
        return price >= self.level - self.snap if self.is_buy else price <= self.level + self.snap

    def is_marketable(self, price: float, beyond: float = 0.0) -> bool:
        """Return whether `price` satisfies this limit, `beyond` the limit by that much."""
        if self.limit is None:
            return False
        if self.is_buy:
            return price <= self.limit - beyond + self.snap
        return price >= self.limit + beyond - self.snap

    def trigger(self) -> None:
        """Turn an elected stop into the order it stands for."""
        self.role = Role.LIMIT if self.order.kind is OrderKind.STOP_LIMIT else Role.MARKET

    def lift(self, price: float) -> None:
        """Move a trailing stop after a favourable `price`; it never moves back.

        Level: price x (1 - trail) or price - trail for a sell (plus for a buy), float64, then put
        on the grid so that rounding never triggers earlier.
        """
        if self.order.trail is None:
            return
        seen = self.reference
        if seen is not None and (price >= seen if self.is_buy else price <= seen):
            return
        self.reference = price
        distance = float(self.order.trail)
        if self.order.trail_is_fraction:
            raw = price * (1.0 + distance) if self.is_buy else price * (1.0 - distance)
        else:
            raw = price + distance if self.is_buy else price - distance
        level = stop_price_for(self.order.side, raw, self.instrument.tick_size)
        if self.stop_price is None or (level < self.stop_price if self.is_buy else level > self.stop_price):
            self.stop_price = level
            self.level = float(level)

"""Work out what a strategy's word means now: a signed quantity on the instrument's grid.

Owns the order of the checks before the sizing rule is asked: range, price, equity, rate. Refuses
to guess: what is missing is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import NamedTuple

from tradebot.core.books import ZERO
from tradebot.core.legs import Leg
from tradebot.core.market import Valuer
from tradebot.core.quantize import qty_for

# Weights that were divided by their sum may miss 1 in the last bits.
_SLACK = 1e-9
# Units of anything: beyond it sums of quantities would leave the 28 digits of plain decimals.
_MOST = 1e15


class Sized(NamedTuple):
    """The wanted quantity, with the price and the equity (base currency) it was worked out from."""

    wanted: Decimal
    price: float
    equity: float


class Unsized(NamedTuple):
    """Why no quantity can be said."""

    rule: str
    reason: str


def size_of(
    leg: Leg, weight: float | None, qty: float | None, marks: Mapping[str, float], valuer: Valuer
) -> Sized | Unsized:
    """Return the signed quantity a word means at the last price, on the grid, or why none can be said."""
    if weight is not None and not abs(weight) <= 1.0 + _SLACK:
        return Unsized("weight_range", f"a weight must lie between -1 and 1, was {weight!r}")
    price = marks.get(leg.instrument.id)
    if price is None:
        return Unsized("price_missing", "no price seen yet")
    equity = valuer.equity(marks)
    if weight == 0 or qty == 0:
        return Sized(ZERO, price, equity or 0.0)
    if equity is None:
        return Unsized("rate_missing", f"equity needs the rate {valuer.missing or 'of an instrument held'}")
    rate = valuer.rate(leg.instrument.quote)
    if rate is None:
        return Unsized("rate_missing", f"equity needs the rate {leg.instrument.quote}/{valuer.base}")
    if qty is not None:
        wanted = qty
    else:
        if equity <= 0.0:
            return Unsized("no_equity", f"equity must be above 0, was {equity:.8g}")
        full = leg.sizer.full(equity / rate, price, float(leg.instrument.multiplier))
        if full is None or weight is None:
            return Unsized("sizing_not_warm", "the sizing rule has not seen enough bars")
        wanted = weight * full
    if not isfinite(wanted):
        return Unsized("not_finite", f"the wanted quantity must be finite, was {wanted!r}")
    if abs(wanted) > _MOST:
        return Unsized("too_large", f"the wanted quantity must be at most {_MOST:g}, was {wanted:g}")
    return Sized(qty_for(wanted, leg.instrument.lot_size), price, equity)

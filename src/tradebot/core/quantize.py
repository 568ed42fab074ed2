"""Turn desired prices and quantities (float) into ones a venue accepts (Decimal).

The only place where a float becomes a Decimal. Knows nothing of orders or venues.

A float within a millionth of a grid step of a grid point *is* that point before any rounding
rule applies: 13 % of float multiples of 0.001 do not print on their own grid.
"""

from __future__ import annotations

from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)
from math import isfinite

from tradebot.core.model import Side
from tradebot.errors import InvariantError

# Reading a float exactly needs up to 53 bits of mantissa at any exponent; 60 digits hold every
# price and quantity a market knows, and the traps turn anything else into an error.
_CTX = Context(prec=60, traps=[InvalidOperation, DivisionByZero, Overflow])

# Money never rounds by accident: an operation of the ledger that is not exact is a bug.
LEDGER_CONTEXT = Context(prec=60, traps=[InvalidOperation, DivisionByZero, Overflow, Inexact])

_SNAP = Decimal("1e-6")


def on_grid(value: Decimal, step: Decimal) -> bool:
    """Return whether `value` is a multiple of `step`; of more steps than can be counted exactly, none is."""
    is_countable = value.adjusted() - step.adjusted() < _CTX.prec - 1
    return is_countable and not _CTX.remainder(value, step)


def _to_grid(value: float, step: Decimal, rounding: str) -> Decimal:
    if not isfinite(value):
        raise InvariantError(f"only finite numbers can be put on a grid, was {value!r}")
    steps = _CTX.divide(Decimal(value), step)
    nearest = steps.to_integral_value(ROUND_HALF_EVEN)
    if abs(steps - nearest) > _SNAP:
        nearest = steps.to_integral_value(rounding)
    return _CTX.multiply(nearest, step)


def price_for(side: Side, price: float, tick_size: Decimal) -> Decimal:
    """Return the limit price on the grid: never more aggressive than asked.

    A buy rounds down, a sell rounds up.
    """
    return _to_grid(price, tick_size, ROUND_FLOOR if side is Side.BUY else ROUND_CEILING)


def stop_price_for(side: Side, price: float, tick_size: Decimal) -> Decimal:
    """Return the stop price on the grid: never earlier than asked.

    A sell stop rounds down, a buy stop rounds up, so rounding never triggers a stop that the
    exact level would not have triggered.
    """
    return _to_grid(price, tick_size, ROUND_CEILING if side is Side.BUY else ROUND_FLOOR)


def price_worse_for(side: Side, price: float, tick_size: Decimal) -> Decimal:
    """Return a simulated fill price on the grid, rounded against whoever trades.

    A buy pays the tick above, a sell gets the tick below (slippage rounds against us).
    """
    return _to_grid(price, tick_size, ROUND_CEILING if side is Side.BUY else ROUND_FLOOR)


def price_nearest(price: float, tick_size: Decimal) -> Decimal:
    """Return the grid point nearest to `price` (half to even): a price read from data."""
    return _to_grid(price, tick_size, ROUND_HALF_EVEN)


def qty_for(qty: float, lot_size: Decimal) -> Decimal:
    """Return `qty` rounded toward zero to a multiple of `lot_size`; keeps the sign."""
    return _to_grid(qty, lot_size, ROUND_DOWN)


def qty_down(qty: Decimal, lot_size: Decimal) -> Decimal:
    """Return `qty` (already Decimal) rounded toward zero to a multiple of `lot_size`."""
    return _CTX.multiply(_CTX.divide_int(qty, lot_size), lot_size)


def money(amount: Decimal, quantum: Decimal) -> Decimal:
    """Round an exact amount once to the asset's `quantum`, half to even."""
    return _CTX.multiply(_CTX.divide(amount, quantum).to_integral_value(ROUND_HALF_EVEN), quantum)


def share_of(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Return `amount * part / whole` to 60 digits; round the result with `money`."""
    return _CTX.divide(_CTX.multiply(amount, part), whole)


def decimal_of(value: float, places: int = 12) -> Decimal:
    """Return a float that is not on any grid (a rate, a fraction) as Decimal, half to even."""
    return _to_grid(value, Decimal(1).scaleb(-places), ROUND_HALF_EVEN)

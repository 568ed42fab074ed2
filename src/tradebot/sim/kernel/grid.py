"""Put floats on grids and divide integers, as `core.quantize` does in Decimal.

Owns the exactness: a float times a power of ten is kept as an unevaluated sum of two floats
(Dekker's product), so the distance to the next grid point is known to 1e-20 of a step and every
rounding decision equals that of 60-digit Decimal arithmetic.
"""

from __future__ import annotations

import numpy as np

from tradebot.sim.kernel.jit import helper

NEAREST, FLOOR, CEILING, TOWARD_ZERO = 0, 1, 2, 3

_SPLIT = 134217729.0  # 2**27 + 1: cuts a float64 into two halves whose products are exact
_SNAP = 1e-6
_EXACT = 9007199254740992.0  # 2**53
_HALF_INT = 4611686018427387904.0  # 2**62

OUT_OF_RANGE = -(2**62)


@helper
def product_error(a: float, b: float, product: float) -> float:
    """Return what the rounded `product` of a and b lacks, exactly."""
    t = _SPLIT * a
    a_high = t - (t - a)
    a_low = a - a_high
    t = _SPLIT * b
    b_high = t - (t - b)
    b_low = b - b_high
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


@helper
def to_grid(value: float, scale: float, step: int, mode: int) -> int:
    """Return `value * scale / step` as a whole number of steps, rounded by `mode`.

    A value within a millionth of a step of a grid point is that point. OUT_OF_RANGE when the
    number of steps is not below 2**53. `scale` is a power of ten that float64 holds exactly.
    """
    high = value * scale
    if not -_EXACT < high < _EXACT:
        return OUT_OF_RANGE
    low = product_error(value, scale, high)
    if step != 1:
        den = float(step)
        quotient = high / den
        back = quotient * den
        rest = ((high - back) - product_error(quotient, den, back)) + low
        high, low = quotient, rest / den
    nearest = np.rint(high)
    n = int(nearest)
    off = high - nearest
    # Halfway in `high` is decided by `low`, which is too small to be seen in their sum.
    if off == 0.5 and (low > 0.0 or (low == 0.0 and n & 1)):
        n, off = n + 1, -0.5
    elif off == -0.5 and (low < 0.0 or (low == 0.0 and n & 1)):
        n, off = n - 1, 0.5
    off += low
    if mode == NEAREST or abs(off) <= _SNAP:
        return n
    down = mode == FLOOR or (mode == TOWARD_ZERO and value > 0.0)
    if down:
        return n if off > 0.0 else n - 1
    return n + 1 if off > 0.0 else n


@helper
def divide_half_even(value: int, den: int) -> int:
    """Return `value / den` (den above 0) rounded half to even."""
    q = value // den
    twice = 2 * (value - q * den)
    if twice > den or (twice == den and q & 1):
        q += 1
    return q


@helper
def scale_half_even(value: int, num: int, den: int) -> int:
    """Return `value * num / den` rounded half to even; OUT_OF_RANGE when it is not below 2**53.

    `value` 0 or more, below 2**62; `num` may be negative. num * den must stay below 2**62.
    """
    if abs(float(value) * num / den) >= _EXACT:
        return OUT_OF_RANGE
    if den == 1:
        return value * num
    n = abs(num)
    whole = value // den
    rest = (value - whole * den) * n
    q = rest // den if rest >= den else 0
    twice = 2 * (rest - q * den)
    total = whole * n + q
    if twice > den or (twice == den and total & 1):
        total += 1
    return total if num >= 0 else -total


@helper
def fits(a: int, b: int) -> bool:
    """Return whether the product of two integers stays below 2**62."""
    return abs(float(a)) * abs(float(b)) < _HALF_INT


@helper
def ratio(num: int, power: float) -> float:
    """Return num / power correctly rounded, `power` a power of ten up to 1e22, |num| below 2**62."""
    high = float(num)
    if -_EXACT <= high <= _EXACT:
        return high / power
    quotient = high / power
    back = quotient * power
    rest = ((high - back) - product_error(quotient, power, back)) + float(num - int(high))
    return quotient + rest / power

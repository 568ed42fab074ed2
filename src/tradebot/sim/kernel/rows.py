"""Compute moving averages and their crossings over whole arrays, as `core.indicators` does per bar.

Same sums in the same order, so the results are the same bits: a mean is the tail of the last whole
block of `window` values (summed from its newest) plus the head of the block being filled (summed
from its oldest), divided once. Blocks do not depend on each other; four are summed at a time, which
hides the time that one addition waits for the one before it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numba
import numpy as np

from tradebot.core.indicators.base import window_of
from tradebot.core.indicators.compare import TIE
from tradebot.errors import InvariantError
from tradebot.sim.kernel.jit import digest, entry, helper

if TYPE_CHECKING:
    from collections.abc import Callable

    from tradebot.sim.kernel.layout import Floats

_FLOATS = numba.types.Array(numba.float64, 1, "C", readonly=True)
_OUT = numba.float64[::1]


# Loops run over slices from 0: an index that might be negative costs a test per value, and keeps LLVM
# from making vectors.


@helper
def _tails(x: Floats, tails: Floats) -> None:
    """Write, for each value of a block, the sum of those after it, from the newest."""
    tail = 0.0
    for k in range(x.shape[0]):
        j = x.shape[0] - 1 - k
        tails[j] = tail
        tail += x[j]


@helper
def _heads(x: Floats, tails: Floats, out: Floats) -> None:
    """Write the sum of each value of a block with those before it, added to its tail."""
    head = 0.0
    for j in range(x.shape[0]):
        head += x[j]
        out[j] = tails[j] + head


@helper
def _four_tails(a: Floats, b: Floats, c: Floats, d: Floats, tails: Floats) -> None:
    ta = tb = tc = td = 0.0
    for k in range(a.shape[0]):
        j = a.shape[0] - 1 - k
        tails[4 * j], tails[4 * j + 1], tails[4 * j + 2], tails[4 * j + 3] = ta, tb, tc, td
        ta += a[j]
        tb += b[j]
        tc += c[j]
        td += d[j]


@helper
def _four_heads(x: Floats, window: int, tails: Floats, out: Floats) -> None:
    b, c, d, e = x[:window], x[window : 2 * window], x[2 * window : 3 * window], x[3 * window : 4 * window]
    ob, oc = out[:window], out[window : 2 * window]
    od, oe = out[2 * window : 3 * window], out[3 * window : 4 * window]
    hb = hc = hd = he = 0.0
    for j in range(b.shape[0]):
        hb += b[j]
        hc += c[j]
        hd += d[j]
        he += e[j]
        ob[j] = tails[4 * j] + hb
        oc[j] = tails[4 * j + 1] + hc
        od[j] = tails[4 * j + 2] + hd
        oe[j] = tails[4 * j + 3] + he


@helper
def sum_blocks(x: Floats, window: int, out: Floats, tails: Floats) -> None:
    """Write the sum of the last `window` values to `out` from the first whole window on.

    `tails` is room for 4 x `window` values.
    """
    n, w = x.shape[0], window
    first = 0.0
    for i in range(min(w, n)):
        first += x[i]
    if n >= w:
        out[w - 1] = first
    at = w
    while at + 4 * w <= n:
        _four_tails(x[at - w : at], x[at : at + w], x[at + w : at + 2 * w], x[at + 2 * w : at + 3 * w], tails)
        _four_heads(x[at : at + 4 * w], w, tails, out[at : at + 4 * w])
        at += 4 * w
    while at < n:
        _tails(x[at - w : at], tails)
        _heads(x[at : min(at + w, n)], tails, out[at : min(at + w, n)])
        at += w


@helper
def _divide(sums: Floats, window: int) -> None:
    by = float(window)
    for i in range(sums.shape[0]):
        sums[i] = sums[i] / by


@helper
def _compare(a: Floats, b: Floats, fast: int, slow: int, low: float, targets: Floats) -> None:
    m, n = float(fast), float(slow)
    for i in range(a.shape[0]):
        up, down = a[i] / m, b[i] / n
        side = low if up < down else 1.0
        targets[i] = side if abs(up - down) > TIE * max(up, down) else np.nan


def _build_mean(code: int) -> Callable[..., None]:
    @entry(numba.void(_FLOATS, numba.int64, _OUT, _OUT))
    def mean(x: Floats, window: int, out: Floats, tails: Floats) -> None:
        tails[0] = code
        sum_blocks(x, window, out, tails)
        out[: window - 1] = np.nan
        _divide(out[window - 1 :], window)

    return mean


def _build_cross(code: int) -> Callable[..., None]:
    @entry(numba.void(_FLOATS, numba.int64, numba.int64, numba.float64, *(_OUT,) * 4))
    def cross(
        x: Floats, fast: int, slow: int, low: float, a: Floats, b: Floats, targets: Floats, tails: Floats
    ) -> None:
        tails[0] = code
        sum_blocks(x, fast, a, tails)
        sum_blocks(x, slow, b, tails)
        targets[: slow - 1] = np.nan
        _compare(a[slow - 1 :], b[slow - 1 :], fast, slow, low, targets[slow - 1 :])

    return cross


_mean = _build_mean(digest(sys.modules[__name__]))
_cross = _build_cross(digest(sys.modules[__name__]))


def sma(x: Floats, window: int) -> Floats:
    """Return the simple moving average of contiguous float64 values, NaN before the first.

    Bit for bit what `core.indicators.Sma` returns push by push. `x` must hold no NaN.
    """
    window_of("sma", window)
    out, tails = np.empty(len(x)), np.empty(4 * window)
    _mean(x, window, out, tails)
    return out


def crossover(x: Floats, fast: int, slow: int, *, long_short: bool = False) -> Floats:
    """Return the targets of a moving average crossover: 1 above, 0 (or -1) below, NaN on a tie.

    Ties by the rule of `core.indicators.compare`. Prices must be above 0.
    """
    if not 1 <= fast < slow:
        raise InvariantError(f"1 <= fast < slow must hold, was fast {fast}, slow {slow}")
    a, b, targets = np.empty((3, len(x)))
    _cross(x, fast, slow, -1.0 if long_short else 0.0, a, b, targets, np.empty(4 * slow))
    return targets

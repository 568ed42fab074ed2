"""Sum windows over whole arrays, compiled: the loops behind `rows`.

Importing this module loads the compiler, so only compiling does.

Same sums in the same order as `core.indicators`, so the results are the same bits: a mean is the tail
of the last whole block of `window` values (summed from its newest) plus the head of the block being
filled (summed from its oldest), divided once. Blocks do not depend on each other; four are summed at a
time, which hides the time that one addition waits for the one before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tradebot.core.indicators.compare import TIE
from tradebot.sim.kernel.jit import helper

if TYPE_CHECKING:
    from tradebot.sim.kernel.layout import Floats


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


def mean(x: Floats, window: int, out: Floats, tails: Floats) -> None:
    """Write the moving average to `out`, NaN before the first whole window."""
    sum_blocks(x, window, out, tails)
    out[: window - 1] = np.nan
    _divide(out[window - 1 :], window)


def cross(
    x: Floats, fast: int, slow: int, low: float, a: Floats, b: Floats, targets: Floats, tails: Floats
) -> None:
    """Write the targets of a crossover; `a`, `b` and `tails` are room to work in."""
    sum_blocks(x, fast, a, tails)
    sum_blocks(x, slow, b, tails)
    targets[: slow - 1] = np.nan
    _compare(a[slow - 1 :], b[slow - 1 :], fast, slow, low, targets[slow - 1 :])

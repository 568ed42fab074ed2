"""Compute moving averages and their crossings over whole arrays, as `core.indicators` does per bar.

The results are the same bits; how is said in `sums`, which is what is compiled here.
"""

from __future__ import annotations

import numpy as np

from tradebot.core.indicators.base import window_of
from tradebot.errors import InvariantError
from tradebot.native import Code, Native
from tradebot.sim.kernel.layout import CROSS, MEAN, Floats


def _compile_mean() -> Code:
    from tradebot.sim.kernel import jit, sums

    return jit.compiled(sums.mean, MEAN)


def _compile_cross() -> Code:
    from tradebot.sim.kernel import jit, sums

    return jit.compiled(sums.cross, CROSS)


_SOURCES = ("tradebot.sim.kernel", "tradebot.core.indicators")
_mean = Native("mean", MEAN, sources=_SOURCES, compile_code=_compile_mean)
_cross = Native("cross", CROSS, sources=_SOURCES, compile_code=_compile_cross)


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

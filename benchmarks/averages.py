"""Compiled crossing of two moving averages, equal bit for bit to `Sma` and `above`, `below` of the core.

Same windows as there: the tail of the last whole block of values plus the head of the block being
filled, each summed from zero and added once. Over an array the next block's tails can be summed while
its heads are, from its other end, so neither addition waits for the other. Strict float64: no
fastmath, no fused multiply-add.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from tradebot.core.indicators import TIE

Floats = NDArray[np.float64]
_F, _I = numba.float64, numba.int64
_STRICT: dict[str, Any] = {"cache": True, "fastmath": False, "error_model": "numpy", "nogil": True}


@numba.njit(_F[::1](_F[::1], _I), **_STRICT)
def sma(values: Floats, window: int) -> Floats:
    """Return the mean of the last `window` values at each place, NaN where there are fewer."""
    n = len(values)
    out = np.empty(n)
    # At place p: the sum, from the newest on, of the last `window - p` values of a block.
    tails, following = np.zeros(window + 1), np.zeros(window + 1)
    for start in range(0, n, window):
        head = tail = 0.0
        for j in range(min(window, n - start)):
            head += values[start + j]
            out[start + j] = (tails[j + 1] + head) / window
            tail += values[min(start + window - 1 - j, n - 1)]
            following[window - 1 - j] = tail
        tails, following = following, tails
    out[: window - 1] = np.nan
    return out


@numba.njit(_F[::1](_F[::1], _I, _I), **_STRICT)
def crossings(values: Floats, fast: int, slow: int) -> Floats:
    """Return 1 where the fast mean is above the slow one, 0 where below, NaN for ties and without both.

    Of prices, that is of positive values.
    """
    # The slow means are written where the answer will be: one array less to bring into memory.
    out = sma(values, slow)
    n = len(values)
    tails, following = np.zeros(fast + 1), np.zeros(fast + 1)
    for start in range(0, n, fast):
        head = tail = 0.0
        for j in range(min(fast, n - start)):
            head += values[start + j]
            tail += values[min(start + fast - 1 - j, n - 1)]
            following[fast - 1 - j] = tail
            a, b = (tails[j + 1] + head) / fast, out[start + j]
            slack = TIE * (a if a > b else b)
            out[start + j] = 1.0 if a - b > slack else 0.0 if b - a > slack else np.nan
        tails, following = following, tails
    return out

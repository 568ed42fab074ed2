"""Mean and variance of a sliding window over a whole array, without loss of digits.

Owns one computation, which `tradebot.core.indicators.Variance` does one value at a time: same
formulas, same order, same bits. pandas' rolling std is not used because it subtracts what leaves
the window: its result on the whole series drifts away from the result on the window alone (1e-5
at a price of 50,000 that moves by cents; 30 times the value after a price has collapsed).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def rolling_moments(x: Floats, window: int) -> tuple[Floats, Floats]:
    """Return the mean and the population variance of the last `window` values, per value.

    NaN where fewer than `window` values exist or one inside the window is NaN. Cost: O(len(x)),
    in 2 * `window` steps over all blocks at once.
    """
    n, blocks = len(x), -(-len(x) // window)
    # One column per block of `window` values: row k of every block is worked on together.
    grid = np.full(blocks * window, np.nan)
    grid[:n] = x
    grid = np.ascontiguousarray(grid.reshape(blocks, window).T)
    mean, m2 = _running(grid)
    if window > 1:
        tail_mean, tail_m2 = _running(grid[:0:-1])
        for k in range(window - 1):
            rest = window - 1 - k
            d = tail_mean[rest - 1, :-1] - mean[k, 1:]
            m2[k, 1:] = m2[k, 1:] + tail_m2[rest - 1, :-1] + d * d * ((k + 1) * rest / window)
            mean[k, 1:] = mean[k, 1:] + d * (rest / window)
        mean[:-1, :1] = m2[:-1, :1] = np.nan
    return mean.T.ravel()[:n], m2.T.ravel()[:n] / window


def _running(rows: Floats) -> tuple[Floats, Floats]:
    # Welford's update down the rows, for all columns at once.
    means, m2s = np.empty_like(rows), np.empty_like(rows)
    mean, m2 = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    for k, x in enumerate(rows):
        d = x - mean
        mean = mean + d / (k + 1)
        m2 = m2 + d * (x - mean)
        means[k], m2s[k] = mean, m2
    return means, m2s

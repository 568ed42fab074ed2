"""Spread of values around their mean: variance, z-score, Bollinger bands.

No sums of squares and no subtraction of old values: at a price of 50,000 that moves by cents,
both lose every digit of the variance (pandas' rolling std is off by 1e-5 there, and by a factor
of 30 after a coin has collapsed inside the series).
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

from tradebot.core.indicators.base import Indicator, window_of
from tradebot.errors import PluginError


class Variance(Indicator[float]):
    """Variance of the last `window` values (population; `ddof=1` for the sample variance).

    Welford's update on the head of the current block (n += 1; d = x - mean; mean += d / n;
    m2 += d * (x - mean)), the same from newest to oldest for the tail of the last block, joined
    by Chan's formula: d = tail mean - mean; m2 + tail m2 + d * d * (n * tail n / window); mean +
    d * (tail n / window). Every term is >= 0, so nothing cancels.
    `mean` belongs to `value`; it is meaningless while `value` is None.
    """

    __slots__ = ("_block", "_head_m2", "_head_mean", "_tails", "ddof", "mean", "window")

    def __init__(self, window: int, ddof: int = 0) -> None:
        super().__init__(window_of("Variance", window, least=ddof + 1))
        self.window = window
        self.ddof = ddof
        self.mean = 0.0
        self._block: list[float] = []
        # Tails of the last whole block, longest last: [mean, m2] of its newest 1, 2, ... values.
        self._tails: list[list[float]] = []
        self._head_mean = 0.0
        self._head_m2 = 0.0

    @property
    def stdev(self) -> float | None:
        """Square root of `value`."""
        return None if self.value is None else sqrt(self.value)

    def push(self, x: float) -> float | None:
        block = self._block
        block.append(x)
        n = len(block)
        d = x - self._head_mean
        self._head_mean = mean = self._head_mean + d / n
        self._head_m2 = m2 = self._head_m2 + d * (x - mean)
        if self._tails:
            tail_mean, tail_m2 = self._tails.pop()
            rest = self.window - n
            d = tail_mean - mean
            m2 = m2 + tail_m2 + d * d * (n * rest / self.window)
            mean = mean + d * (rest / self.window)
        elif n < self.window:
            return None
        else:
            self._end_block()
        self.mean = mean
        self.value = value = m2 / (self.window - self.ddof)
        return value

    def _end_block(self) -> None:
        mean, m2, tails = 0.0, 0.0, []
        for n, x in enumerate(reversed(self._block[1:]), start=1):
            d = x - mean
            mean = mean + d / n
            m2 = m2 + d * (x - mean)
            tails.append([mean, m2])
        self._tails, self._block = tails, []
        self._head_mean = self._head_m2 = 0.0


class ZScore(Indicator[float]):
    """Distance of the newest value from the mean of the window, in standard deviations.

    The newest value is part of the window; population deviation unless `ddof=1`. 0 where all
    values are equal.
    """

    __slots__ = ("_variance",)

    def __init__(self, window: int, ddof: int = 0) -> None:
        super().__init__(window_of("ZScore", window, least=2))
        self._variance = Variance(window, ddof)

    def push(self, x: float) -> float | None:
        variance = self._variance.push(x)
        if variance is None:
            return None
        self.value = value = (x - self._variance.mean) / sqrt(variance) if variance > 0.0 else 0.0
        return value


class Bands(NamedTuple):
    """Mean of a window and the lines a number of standard deviations below and above it."""

    lower: float
    middle: float
    upper: float


class Bollinger(Indicator[Bands]):
    """Bollinger bands: mean of the window -/+ `width` population standard deviations."""

    __slots__ = ("_variance", "width")

    def __init__(self, window: int = 20, width: float = 2.0) -> None:
        super().__init__(window_of("Bollinger", window, least=2))
        if not width > 0.0:
            raise PluginError(f"Bollinger: width must be > 0 standard deviations, was {width!r}")
        self.width = width
        self._variance = Variance(window)

    def push(self, x: float) -> Bands | None:
        variance = self._variance.push(x)
        if variance is None:
            return None
        mean, reach = self._variance.mean, self.width * sqrt(variance)
        self.value = Bands(mean - reach, mean, mean + reach)
        return self.value

    def _value_of(self, plain: list[float]) -> object:
        return Bands(*plain)

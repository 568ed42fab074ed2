"""Ranges of price: true range and its average, extremes of a window, Donchian channel."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from tradebot.core.indicators.base import Indicator, window_of


class TrueRange(Indicator[float]):
    """Largest of high - low, |high - last close| and |low - last close|.

    The first bar has no last close: its true range is high - low (as `ta`; TA-Lib has no value).
    """

    __slots__ = ("_close",)

    def __init__(self) -> None:
        super().__init__(1)
        self._close: float | None = None

    def push(self, high: float, low: float, close: float) -> float:
        before = self._close
        self._close = close
        if before is not None:
            # The same three cases as the definition, without abs(): a gap widens the bar.
            if before > high:
                high = before
            elif before < low:
                low = before
        self.value = value = high - low
        return value


class Atr(Indicator[float]):
    """Wilder's average true range: value += (true range - value) / window.

    Seeded on bar `window` with the simple average of the true ranges so far (as `ta`; TA-Lib
    leaves the first bar out of the seed, so it starts one bar later).
    """

    __slots__ = ("_bars", "_close", "_sum", "window")

    def __init__(self, window: int = 14) -> None:
        super().__init__(window_of("Atr", window))
        self.window = window
        self._close: float | None = None
        self._sum = 0.0
        self._bars = 0

    def push(self, high: float, low: float, close: float) -> float | None:
        before = self._close
        self._close = close
        if before is not None:
            if before > high:
                high = before
            elif before < low:
                low = before
        value = self.value
        if value is not None:
            self.value = value = value + (high - low - value) / self.window
            return value
        self._sum += high - low
        self._bars += 1
        if self._bars == self.window:
            self.value = self._sum / self.window
        return self.value


class Highest(Indicator[float]):
    """Largest of the last `window` values; constant time on average, no rescans.

    Keeps the values that can still become the largest, falling, with the bar they came on.
    """

    __slots__ = ("_bar", "_candidates", "window")

    def __init__(self, window: int) -> None:
        super().__init__(window_of(type(self).__name__, window))
        self.window = window
        self._candidates: deque[tuple[int, float]] = deque()
        self._bar = 0

    def push(self, x: float) -> float | None:
        candidates, bar = self._candidates, self._bar
        while candidates and candidates[-1][1] <= x:
            candidates.pop()
        candidates.append((bar, x))
        if candidates[0][0] <= bar - self.window:
            candidates.popleft()
        self._bar = bar = bar + 1
        if bar >= self.window:
            self.value = candidates[0][1]
        return self.value


class Lowest(Highest):
    """Smallest of the last `window` values."""

    __slots__ = ()

    def push(self, x: float) -> float | None:
        highest = super().push(-x)
        if highest is None:
            return None
        self.value = value = 0.0 - highest
        return value


class Channel(NamedTuple):
    """Lowest low, middle and highest high of a window."""

    lower: float
    middle: float
    upper: float


class Donchian(Indicator[Channel]):
    """Lowest low and highest high of the last `window` bars, this bar included.

    For a breakout compare the close with the channel *before* pushing the bar: no close is
    above a channel that contains its own high.
    """

    __slots__ = ("_high", "_low")

    def __init__(self, window: int = 20) -> None:
        super().__init__(window_of("Donchian", window))
        self._high, self._low = Highest(window), Lowest(window)

    def push(self, high: float, low: float) -> Channel | None:
        upper, lower = self._high.push(high), self._low.push(low)
        if upper is not None and lower is not None:
            self.value = Channel(lower, (upper + lower) * 0.5, upper)
        return self.value

    def _value_of(self, plain: list[float]) -> object:
        return Channel(*plain)

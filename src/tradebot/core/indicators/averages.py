"""Averages over bars: simple, exponential, volume-weighted, and MACD built from them.

The window scheme and its error are described in `tradebot.core.indicators`.
"""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

from tradebot.core.indicators.base import Indicator, window_of


class Sma(Indicator[float]):
    """Mean of the last `window` values.

    head += x; value = (tail + head) / window, where `tail` is the sum, from the newest value to
    the oldest, of those values of the last whole block that are still inside the window (0.0
    when the block is full). During the first block value = head / window on its last bar.
    """

    __slots__ = ("_at", "_head", "_ring", "window")

    def __init__(self, window: int) -> None:
        super().__init__(window_of("Sma", window))
        self.window = window
        # Positions below `_at` hold values of the block being filled, the others hold tail sums
        # of the block before: a tail is read for the last time just before it is overwritten.
        self._ring: list[float] = []
        self._at = 0
        self._head = 0.0

    def push(self, x: float) -> float | None:
        at = self._at
        ring = self._ring
        try:
            tail = ring[at]
        except IndexError:
            return self._begin_block(x)
        ring[at] = x
        self._at = at + 1
        self._head = head = self._head + x
        self.value = value = (tail + head) / self.window
        return value

    def _begin_block(self, x: float) -> float | None:
        ring = self._ring
        if self.value is None:
            ring.append(x)
            self._at += 1
            self._head += x
            if self._at == self.window:
                self.value = self._head / self.window
            return self.value
        ring.reverse()
        tails = list(accumulate(ring))
        tails.reverse()
        ring[:-1] = tails[1:]
        ring[-1] = 0.0
        self._at = 0
        self._head = 0.0
        return self.push(x)


class Ema(Indicator[float]):
    """Exponential average: value += alpha * (x - value), alpha = 2 / (window + 1).

    Seeded with the first value (as `ta` and pandas `adjust=False`; TA-Lib seeds with the simple
    average of the first `window` values instead), hidden until `window` values were pushed.
    `alpha` may be given for other smoothings: 1 / window is Wilder's.
    """

    __slots__ = ("_hidden", "_pushed", "alpha", "window")

    def __init__(self, window: int, alpha: float | None = None) -> None:
        super().__init__(window_of("Ema", window))
        self.window = window
        self.alpha = 2.0 / (window + 1) if alpha is None else alpha
        self._hidden = 0.0
        self._pushed = 0

    def push(self, x: float) -> float | None:
        value = self.value
        if value is None:
            return self._warm(x)
        self.value = value = value + self.alpha * (x - value)
        return value

    def _warm(self, x: float) -> float | None:
        self._hidden = x if self._pushed == 0 else self._hidden + self.alpha * (x - self._hidden)
        self._pushed += 1
        if self._pushed == self.window:
            self.value = self._hidden
        return self.value


class MacdValue(NamedTuple):
    """`macd` = fast - slow average, `signal` = its average, `histogram` = macd - signal."""

    macd: float
    signal: float
    histogram: float


class Macd(Indicator[MacdValue]):
    """Difference of a fast and a slow EMA, and the EMA of that difference.

    The signal line starts with the first difference of warm averages, so the first result comes
    after slow + signal - 1 values. Source: Appel; the seeds are those of `Ema`.
    """

    __slots__ = ("_fast", "_signal", "_slow")

    def __init__(self, fast: int = 12, slow: int = 26, signal: int = 9) -> None:
        super().__init__(max(fast, slow) + signal - 1)
        self._fast, self._slow, self._signal = Ema(fast), Ema(slow), Ema(signal)

    def push(self, x: float) -> MacdValue | None:
        fast, slow = self._fast.push(x), self._slow.push(x)
        if fast is None or slow is None:
            return None
        macd = fast - slow
        signal = self._signal.push(macd)
        if signal is not None:
            self.value = MacdValue(macd, signal, macd - signal)
        return self.value

    def _value_of(self, plain: list[float]) -> object:
        return MacdValue(*plain)


class Vwap(Indicator[float]):
    """Mean price weighted by volume, over the last `window` bars or since the last `reset`.

    `Vwap(20)` slides; `Vwap()` sums from `reset` on, which the strategy calls at the start of a
    session. The usual price is (high + low + close) / 3. While no volume has traded the last
    value stays (None at the start of a session): a price without a trade is not invented.
    """

    __slots__ = ("_price_volume", "_traded", "_turnover", "_volume")

    def __init__(self, window: int | None = None) -> None:
        super().__init__(1 if window is None else window_of("Vwap", window))
        self._price_volume = None if window is None else Sma(window)
        self._volume = None if window is None else Sma(window)
        self._turnover = 0.0
        self._traded = 0.0

    def reset(self) -> None:
        """Forget everything: a new session begins."""
        self.value = None
        self._turnover = self._traded = 0.0
        if self._price_volume is not None and self._volume is not None:
            self._price_volume = Sma(self._price_volume.window)
            self._volume = Sma(self._volume.window)

    def push(self, price: float, volume: float) -> float | None:
        if self._price_volume is None or self._volume is None:
            self._turnover += price * volume
            self._traded += volume
            turnover, traded = self._turnover, self._traded
        else:
            mean_turnover, mean_traded = self._price_volume.push(price * volume), self._volume.push(volume)
            if mean_turnover is None or mean_traded is None:
                return None
            turnover, traded = mean_turnover, mean_traded
        if traded > 0.0:
            self.value = turnover / traded
        return self.value

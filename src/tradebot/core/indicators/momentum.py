"""Speed of a price: relative strength and rate of change."""

from __future__ import annotations

from tradebot.core.indicators.base import Indicator, window_of

NEUTRAL = 50.0


class Rsi(Indicator[float]):
    """Wilder's relative strength index, 0 to 100: 100 * (up / (up + down)).

    `up` and `down` are the smoothed gains and losses: s += (x - s) / window, both starting at
    0 (as `ta`; TA-Lib seeds them with the simple average of the first `window` changes, and the
    two agree once the seed has faded). First result after `window` changes. Where nothing has
    moved at all the index is 50, neither bought nor sold (`ta` says 100 there, TA-Lib 0).
    """

    __slots__ = ("_changes", "_down", "_last", "_up", "window")

    def __init__(self, window: int = 14) -> None:
        super().__init__(window_of("Rsi", window) + 1)
        self.window = window
        self._last: float | None = None
        self._up = self._down = 0.0
        self._changes = 0

    def push(self, x: float) -> float | None:
        last = self._last
        self._last = x
        if last is None:
            return None
        window = self.window
        if x > last:
            self._up = up = self._up + (x - last - self._up) / window
            self._down = down = self._down - self._down / window
        else:
            self._up = up = self._up - self._up / window
            self._down = down = self._down + (last - x - self._down) / window
        if self.value is None:
            self._changes += 1
            if self._changes < window:
                return None
        moved = up + down
        self.value = value = 100.0 * (up / moved) if moved > 0.0 else NEUTRAL
        return value


class Roc(Indicator[float]):
    """Rate of change in per cent against the value `window` bars ago: 100 * (x - old) / old.

    The old value must not be 0 (prices never are); ZeroDivisionError otherwise.
    """

    __slots__ = ("_at", "_ring", "window")

    def __init__(self, window: int) -> None:
        super().__init__(window_of("Roc", window) + 1)
        self.window = window
        self._ring: list[float] = []
        self._at = 0

    def push(self, x: float) -> float | None:
        ring, at = self._ring, self._at
        if len(ring) < self.window:
            ring.append(x)
            return None
        old = ring[at]
        ring[at] = x
        self._at = at + 1 if at + 1 < self.window else 0
        self.value = value = 100.0 * (x - old) / old
        return value

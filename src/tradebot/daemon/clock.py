"""Say what time it is where the market data come from.

Owns the two clocks of a daemon: the machine's, and that of recorded data played again. Neither goes
back. Timeouts, throttles and back-off never ask these: they count on the event loop's own time.
"""

from __future__ import annotations

import time


class WallClock:
    """The machine's clock, ns UTC; a step back is waited out by saying the same moment again."""

    def __init__(self) -> None:
        self._last = 0

    def now(self) -> int:
        self._last = max(self._last, time.time_ns())
        return self._last


class DataClock:
    """The time of recorded data: whoever plays them moves it."""

    def __init__(self, start: int = 0) -> None:
        self._now = start

    def now(self) -> int:
        return self._now

    def move(self, to: int) -> None:
        """Go on to `to`; an earlier moment changes nothing."""
        self._now = max(self._now, to)

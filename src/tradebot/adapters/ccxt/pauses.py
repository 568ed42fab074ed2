"""Say how long to wait before dialling again: soon after a loss, ever later when that does not hold.

A connection that stands and falls at once must not be dialled in a storm: exchanges count connections.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_MINUTE_S = 60.0


class Pauses:
    """Pauses from `first` to `longest` seconds; at most `quick` short ones within a minute."""

    def __init__(
        self,
        *,
        first: float = 0.25,
        longest: float = 30.0,
        quick: int = 20,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.quick = quick
        self._first = first
        self._longest = longest
        self._clock = clock
        self._next = first
        self._dials: deque[float] = deque()

    def after(self, *, has_stood: bool) -> float:
        """Return the seconds to wait after a connection that stood, or never did."""
        now = self._clock()
        self._dials.append(now)
        while self._dials[0] < now - _MINUTE_S:
            self._dials.popleft()
        if has_stood and len(self._dials) <= self.quick:
            self._next = self._first
        pause = self._next
        self._next = min(pause * 2, self._longest)
        return pause

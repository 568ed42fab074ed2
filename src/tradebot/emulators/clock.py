"""Say what time it is at an emulated venue: the machine's time, shifted, faster, or standing still.

Refuses to go back, except by the skew that a test gives the clock the clients see.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class VenueClock:
    """Virtual time in ns UTC: `start` (None: now) at the first look, going on at `speed` times real time.

    `speed` 0 stands still until it is moved. `skew` (ns) is added to what clients are told (`shown`) and
    to nothing else.
    """

    def __init__(
        self,
        start: int | None = None,
        speed: float = 1.0,
        *,
        real: Callable[[], int] = time.monotonic_ns,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self.speed = speed
        self.skew = 0
        self._real = real
        self._since = real()
        self._at = wall() if start is None else start

    def now(self) -> int:
        """Return the venue's time."""
        return self._at + int((self._real() - self._since) * self.speed)

    def shown(self) -> int:
        """Return the time that clients are told, which may be wrong."""
        return self.now() + self.skew

    def move(self, to: int) -> None:
        """Go on to `to`; an earlier moment changes nothing."""
        now = self.now()
        if to > now:
            self._at, self._since = to, self._real()

    def seconds_until(self, ts: int) -> float | None:
        """Return how long to wait for `ts` in real seconds; None when it never comes by itself."""
        ahead = ts - self.now()
        if ahead <= 0:
            return 0.0
        return ahead / self.speed / 1e9 if self.speed else None

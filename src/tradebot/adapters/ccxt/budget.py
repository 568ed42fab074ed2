"""Spend what an exchange lets one account ask for, and keep a part of it for cancels.

Owns one account's request weights. Refuses to guess what a request costs: ccxt's table says that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from tradebot.errors import RateLimited

_RESERVED = 0.2  # of the capacity: only cancels and looking up orders may touch it
_PAUSE_S = {429: 30.0, 418: 120.0}  # where the exchange does not say how long


class Budget:
    """A bucket of `capacity` units that fills by `per_second`.

    `longest` is the wait in seconds beyond which nothing is sent at all. Clocks are arguments so that
    tests need not wait.
    """

    def __init__(
        self,
        *,
        per_second: float,
        capacity: float,
        longest: float = 8.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.per_second = per_second
        self.capacity = capacity
        self._longest = longest
        self._clock = clock
        self._units = capacity
        self._at = clock()
        self._shut_until = 0.0
        self.pauses = 0

    async def take(self, cost: float, *, is_urgent: bool) -> None:
        """Wait until `cost` units may be spent, and spend them. Raises RateLimited; then nothing was sent."""
        while (wait := self.wait_for(cost, is_urgent=is_urgent)) > 0:
            if wait > self._longest:
                raise RateLimited(
                    f"the exchange's request limit leaves nothing for {wait:.0f} s; nothing was sent"
                )
            await asyncio.sleep(min(wait, 1.0))
        self._units -= cost

    def wait_for(self, cost: float, *, is_urgent: bool) -> float:
        """Return the seconds until `cost` units may be spent, 0 for now."""
        now = self._clock()
        self._units = min(self.capacity, self._units + (now - self._at) * self.per_second)
        self._at = now
        floor = 0.0 if is_urgent else self.capacity * _RESERVED
        lacking = min(cost, self.capacity - floor) + floor - self._units
        return max(self._shut_until - now, lacking / self.per_second, 0.0)

    def heard(self, status: int, headers: Mapping[str, str]) -> None:
        """Take what an answer says of the limits: a pause that is asked for holds for everything."""
        if status not in _PAUSE_S:
            return
        asked = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
        pause = float(asked) if asked.strip().isdigit() else _PAUSE_S[status]
        self._shut_until = max(self._shut_until, self._clock() + pause)
        self.pauses += 1

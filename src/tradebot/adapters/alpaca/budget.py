"""Ask Alpaca no more often than it allows, and keep a share of that for what must always go out.

Owns one account's requests of the last minute. Counts by itself and believes the venue's own headers when
they say less; a pause that the venue asks for is kept by everybody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum

_WINDOW = 60.0
_RESERVED = 0.2  # of the limit: for cancels first, then for looking


class Need(Enum):
    """How badly a request must go out: its value is the share of the limit it leaves to the others."""

    CANCEL = 0.0
    READ = _RESERVED / 2
    ORDER = _RESERVED


class Budget:
    """Requests of a sliding minute. `now` in seconds that never go back; safe between threads by the GIL."""

    def __init__(self, now: Callable[[], float], limit: int = 200) -> None:
        self._now = now
        self._limit = limit
        self._sent: deque[float] = deque()
        self._paused_until = 0.0

    def wait(self, need: Need) -> float:
        """Return how many seconds a request must wait; 0 takes its place in the minute."""
        now = self._now()
        while self._sent and self._sent[0] <= now - _WINDOW:
            self._sent.popleft()
        if now < self._paused_until:
            return self._paused_until - now
        free = int(self._limit * (1.0 - need.value))
        if len(self._sent) < free:
            self._sent.append(now)
            return 0.0
        return self._sent[len(self._sent) - free] + _WINDOW - now

    def heard(self, status: int, headers: Mapping[str, str]) -> None:
        """Learn from an answer's status and headers."""
        limit = headers.get("X-RateLimit-Limit", "")
        if limit.isdigit() and int(limit) > 0:
            self._limit = int(limit)
        if status == 429:
            after = headers.get("Retry-After", "")
            self._paused_until = max(
                self._paused_until, self._now() + (float(after) if after.isdigit() else 5.0)
            )

"""An asyncio event loop in virtual time, in which one seed gives one order of things.

Owns the order of callbacks and the passing of time; the world outside the process (venue, market,
owner) is an agenda that outlives every loop. Refuses sockets, threads and the machine's clock. Nothing
to do and nothing to come is a deadlock and fails.
"""

from __future__ import annotations

import asyncio
import random
from asyncio import events
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any


class Deadlock(AssertionError):
    """Everything waits for something that never comes."""


class Agenda:
    """What happens outside the process, in order of time; `now` in seconds, the one monotonic clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, when: float, happen: Callable[[], None]) -> None:
        """Let something happen at `when`, after what was put there before it."""
        self._count += 1
        heappush(self._heap, (max(when, self.now), self._count, happen))

    def after(self, delay: float, happen: Callable[[], None]) -> None:
        self.at(self.now + delay, happen)

    @property
    def next(self) -> float | None:
        """When the next thing happens, None when nothing will."""
        return self._heap[0][0] if self._heap else None

    def step(self) -> None:
        """Let the next thing happen."""
        when, _, happen = heappop(self._heap)
        self.now = max(self.now, when)
        happen()


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs one callback a `turn`. `shuffles`: how often another than the oldest goes first."""

    _ready: Any
    _scheduled: Any

    def __init__(self, agenda: Agenda, rng: random.Random, shuffles: float) -> None:
        super().__init__()
        self._agenda = agenda
        self._rng = rng
        self._shuffles = shuffles
        self.is_dead = False
        self.turns = 0
        self.complaints: list[str] = []

    def time(self) -> float:
        return self._agenda.now

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.is_dead:
            self.complaints.append(f"{context.get('message')}: {context.get('exception')!r}")

    def turn(self) -> None:
        """Run one callback, or let time pass to the next thing inside or outside."""
        if not self._ready:
            self._pass_time()
            return
        ready = self._ready
        if len(ready) > 1 and self._rng.random() < self._shuffles:
            ready.rotate(self._rng.randrange(len(ready)))
        handle = ready.popleft()
        if handle._cancelled:
            return
        self.turns += 1
        events._set_running_loop(self)
        try:
            handle._run()
        finally:
            events._set_running_loop(None)

    def bury(self) -> None:
        """Take apart what a killed process left in memory; nothing it does reaches anything."""
        self.is_dead = True
        for _ in range(5):
            for task in asyncio.all_tasks(self):
                task.cancel()
            for _ in range(2_000):
                if not self._ready:
                    break
                self.turn()
            if not asyncio.all_tasks(self):
                break
        self._ready.clear()
        self._scheduled.clear()
        self.close()

    def _pass_time(self) -> None:
        scheduled = self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heappop(scheduled)._scheduled = False
        inside = scheduled[0]._when if scheduled else None
        outside = self._agenda.next
        if inside is None and outside is None:
            raise Deadlock("every task waits and nothing is to come")
        if inside is not None and (outside is None or inside <= outside):
            self._agenda.now = max(self._agenda.now, inside)
            handle = heappop(scheduled)
            handle._scheduled = False
            self._ready.append(handle)
        else:
            self._agenda.step()

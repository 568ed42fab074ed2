"""Play recorded market data to a runner and its paper venue: the daemon's twin of the backtest's driver.

Owns the pace. The order of things at one instant is the `timeline`'s, which the backtest shares: each
step is decided on, committed and sent before the next one happens. Refuses to skip: data that come
faster than they can be traded wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from tradebot.core.messages import Slice
from tradebot.daemon.clock import DataClock
from tradebot.daemon.runner import EVENTS, Runner
from tradebot.sim.timeline import Step, Timeline

_LONGEST = 1.0  # seconds between two moments of market data, however far apart they are


class Player:
    """Plays slices at `pace` ns of market time a second; None: as fast as they are traded.

    `at_rest` is held through each instant: whoever looks at venue and ledger together waits for it.
    """

    def __init__(
        self,
        runner: Runner,
        timeline: Timeline,
        clock: DataClock,
        market: Iterable[Slice],
        *,
        pace: int | None = None,
        at_rest: asyncio.Lock,
    ) -> None:
        self._runner = runner
        self._timeline = timeline
        self._clock = clock
        self._market = iter(market)
        self._pace_ns = pace
        self._at_rest = at_rest
        self._begun: tuple[float, int] | None = None
        self.is_over = False

    async def run(self) -> None:
        """Play to the end of the data. Raises what the runner raised."""
        async with self._at_rest:
            await self.follow(self._timeline.drain(self._clock.now()))
        for piece in self._market:
            await self._pace(piece.ts)
            async with self._at_rest:
                await self.follow(self._timeline.play(piece))
        self.is_over = True

    async def sleep_through(self, missed: Iterable[Slice]) -> None:
        """Let market data pass that nobody watched: the venue meets them, the engine hears of events only.

        What traded meanwhile is asked of the venue afterwards, like everything else.
        """
        for piece in missed:
            for step in self._timeline.play(piece):
                if isinstance(step.message, EVENTS):
                    await self._runner.settled(step.message, step.at, step.before_sending)

    async def follow(self, steps: Iterator[Step]) -> None:
        """Let steps happen, one after the other."""
        for step in steps:
            self._clock.move(step.at)
            await self._runner.settled(step.message, step.at, step.before_sending)

    async def _pace(self, ts: int) -> None:
        if self._pace_ns is None:
            await asyncio.sleep(0)  # let the owner's words in between
            return
        now = asyncio.get_running_loop().time()
        begun, first = self._begun or (now, ts)
        due = begun + (ts - first) / self._pace_ns
        if self._begun is None or due - now > _LONGEST:
            due = min(due, now + _LONGEST)
            self._begun = (due, ts)  # weeks without data are not waited out
        await asyncio.sleep(max(0.0, due - now))

"""Carry what happens to the engine, at the pace at which it happens.

Owns the difference between a venue in this process, whose orders meet the market data before the engine
sees them and which is waited for at each step, and one over a wire, which nobody waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

from tradebot.core.messages import BarsMissed, Dividend, SessionClose, SessionOpen, Slice, Split, VenueReport
from tradebot.core.model import SECOND, Bar, Quote
from tradebot.core.ports import Clock
from tradebot.daemon.clock import DataClock
from tradebot.daemon.runner import EVENTS, Runner
from tradebot.sim.timeline import Step, Timeline

_PROMPT = 5 * SECOND  # data no older count as come at their time, as in a backtest


class Elsewhere:
    """The place of a simulated venue in a timeline whose venue is not in this process."""

    @property
    def has_work(self) -> Callable[[str], bool]:
        return lambda instrument: False

    @property
    def mark(self) -> Callable[[str, Bar | Quote], None]:
        return lambda instrument, item: None

    def on_market(self, item: Bar | Quote) -> Iterator[VenueReport]:
        return iter(())

    def drain(self) -> list[VenueReport]:
        return []

    def on_session(self, event: SessionOpen | SessionClose) -> None:
        """It has a calendar of its own."""

    def on_split(self, event: Split) -> None:
        """It knows."""

    def on_dividend(self, event: Dividend) -> None:
        """It pays by itself, and tells of it as a cash event."""

    def advance(self, now: int) -> None:
        """Its time passes by itself."""


class Carrier:
    """Carries steps to one account's runner."""

    def __init__(
        self,
        runner: Runner,
        timeline: Timeline,
        clock: Clock,
        *,
        matching: DataClock | None,
        at_rest: asyncio.Lock,
    ) -> None:
        """`matching` is the time of the simulated venue, moved by what it meets; None: the venue is elsewhere.

        `at_rest` is held through each instant of the simulated venue.
        """
        self.timeline = timeline
        self._runner = runner
        self._clock = clock
        self._matching = matching
        self._at_rest = at_rest

    async def play(self, piece: Slice) -> None:
        """Let market data happen."""
        await self._carry(self.timeline.play(piece))

    async def pass_until(self, ts: int) -> None:
        """Let happen what is due by `ts` without market data."""
        await self._carry(self.timeline.pass_until(ts))

    async def missed(self, pieces: Sequence[Slice], *, shows: bool) -> None:
        """Let bars pass that nobody watched: the simulated venue meets them, the engine hears of events.

        With `shows` its strategies are shown the bars; at a start the warm-up does that.
        """
        async with self._at_rest:
            for piece in pieces:
                for step in self.timeline.play(piece):
                    self._move(step.at)
                    if isinstance(step.message, EVENTS):
                        await self._runner.settled(step.message, None, step.before_sending)
            bars = tuple(item for piece in pieces for item in piece.items if isinstance(item, Bar))
            if shows and bars:
                await self._runner.settled(BarsMissed(ts=self._clock.now(), bars=bars))

    async def _carry(self, steps: Iterator[Step]) -> None:
        if self._matching is None:
            for step in steps:
                self._runner.post(step.message)
            return
        async with self._at_rest:
            for step in steps:
                self._move(step.at)
                if isinstance(step.message, Slice):
                    self._move_on(step.at)
                await self._runner.settled(step.message, None, step.before_sending)

    def _move_on(self, ts: int) -> None:
        """Let what follows from data that came late reach the simulated venue late, too."""
        now = self._clock.now()
        if now > ts + _PROMPT:
            self._move(now)

    def _move(self, to: int) -> None:
        if self._matching is not None:
            self._matching.move(to)

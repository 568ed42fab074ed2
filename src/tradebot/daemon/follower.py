"""Follow a live feed: what it says in order of time, each bar once, what was missed filled from its history.

Owns the queue between a feed and the engine, the filling of gaps after every connect, the asking for bars that
are not streamed, and when to let time pass without data. The order of things at one instant is the
`timeline`'s, which stored data share. Refuses to trade on the past: bars that nobody watched are shown as such.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from tradebot.core.messages import Slice
from tradebot.core.model import SECOND, Bar, Book, Quote
from tradebot.core.ports import (
    AuthFailed,
    BarClosed,
    Clock,
    Connected,
    Disconnected,
    Feed,
    FeedEvent,
    Series,
    SymbolStatus,
    Timers,
    Trading,
)
from tradebot.core.rules import CLOCK_OFF, DISCONNECTED, NOT_TRADING, STALE_FEED
from tradebot.daemon.carrier import Carrier
from tradebot.daemon.conditions import Conditions
from tradebot.daemon.freshness import Freshness
from tradebot.errors import ClockSkew, InvariantError, VenueError

if TYPE_CHECKING:
    from tradebot.sim.timeline import Event

FEED = "feed"  # the source of the conditions that are seen here
MOST_OFFSET = SECOND  # of the venue's clock
_FRESH = 90 * SECOND  # a bar that closed no longer ago is of now, however it came
_QUEUE_LIMIT = 10_000
_CONFLATE_FROM = 500  # waiting events from which on only the last quote of an instrument counts
_CLOSE_GRACE = 5 * SECOND  # how long a session's close waits for the bars that end with it
_LOOK_EVERY = 5.0
_CLOCK_EVERY = 3_600.0
_AGAIN = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # seconds between tries
_FAR = 1 << 62  # later than anything that happens
_SETTLES = 2 * SECOND  # after its end a bar that is asked for may be there

Closes = Callable[[Series, int], int]


class Waker(Timers, Protocol):
    """Timers that call back when time passes without data."""

    def stop(self) -> None:
        """Wait for nothing any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What is followed. `closes` says when the next bar of a series after a moment is complete (ns UTC)."""

    series: Sequence[Series]
    closes: Closes


class Follower:
    """Feeds one account from one live feed."""

    def __init__(
        self,
        feed: Feed,
        followed: Followed,
        carrier: Carrier,
        conditions: Conditions,
        freshness: Freshness,
        *,
        clock: Clock,
        waker: Callable[[Callable[[], None]], Waker],
    ) -> None:
        """`waker` makes, in the running loop, the timers that call back."""
        self._feed = feed
        self._followed = followed
        self._carrier = carrier
        self._conditions = conditions
        self._freshness = freshness
        self._clock = clock
        self._wake = asyncio.Event()
        self._make_waker = waker
        self._waker: Waker | None = None
        self._inbox: deque[FeedEvent] = deque()
        self._latest: dict[str, Quote | Book] = {}  # what was conflated, by instrument
        self._last: dict[Series, int] = {}
        self.conflated = 0
        self.repeats = 0  # bars that came twice
        self.corrections = 0
        self.gaps = 0  # bars that came by asking after a connect
        self.connects = 0
        self.keep: Callable[[BarClosed], None] = lambda bar: None  # told of each new bar

    # --- before it is followed ----------------------------------------------------------------------

    def begin(self, last: Iterable[tuple[Series, int]]) -> None:
        """Begin after these last bars; nothing new is opened before the feed is connected."""
        self._last.update(last)
        self._conditions.set(DISCONNECTED, f"{self._feed.name} is not connected yet", source=FEED)

    async def check_clock(self) -> None:
        """Raise ClockSkew when the venue's clock and ours differ by more than a second."""
        offset = await self._feed.offset()
        if abs(offset) > MOST_OFFSET:
            raise ClockSkew(_off(self._feed.name, offset))

    # --- in -----------------------------------------------------------------------------------------

    def hear(self, event: FeedEvent) -> None:
        """Take an event of the feed, in the event loop."""
        if isinstance(event, Quote | Book) and len(self._inbox) >= _CONFLATE_FROM:
            self.conflated += event.instrument in self._latest
            self._latest[event.instrument] = event
        elif len(self._inbox) < _QUEUE_LIMIT:
            self._inbox.append(event)
        else:
            raise InvariantError(
                f"at most {_QUEUE_LIMIT} events of {self._feed.name} may wait for the engine"
            )
        self._wake.set()

    def set_timer(self, key: str, at: int) -> None:
        """Set a timer of the engine's: it comes due among everything else that happens."""
        self._carrier.timeline.set_timer(key, at)
        self._wake.set()

    def add(self, events: Sequence[Event]) -> None:
        """Take what is coming: sessions and corporate actions."""
        self._carrier.timeline.add(events)
        self._wake.set()

    # --- through ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow until cancelled. Raises what made it impossible."""
        loop = asyncio.get_running_loop()
        self._waker = waker = self._make_waker(self._wake.set)
        asked = [one for one in self._followed.series if not self._feed.streams(one)]
        work: list[asyncio.Task[None]] = [
            loop.create_task(one)
            for one in (self._listen(), self._work(), self._look(), self._check(), *map(self._ask, asked))
        ]
        try:
            while work:
                done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    await task  # raises what it raised
                    work.remove(task)
        finally:
            waker.stop()
            for task in work:
                task.cancel()
            if work:
                await asyncio.wait(work)

    async def _listen(self) -> None:
        # It returns when the keys are refused: then nobody dials.
        await self._feed.run(self._followed.series, self.hear)

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            while self._inbox:
                await self._take(self._inbox.popleft())
            while self._latest:
                await self._quoted(self._latest.pop(next(iter(self._latest))))
            await self._pass_time()
            if not self._inbox:
                await self._wake.wait()

    async def _take(self, event: FeedEvent) -> None:
        match event:
            case BarClosed():
                await self._closed(event)
            case Quote() | Book():
                await self._quoted(event)
            case Connected():
                self.connects += 1
                fresh = await self._fill()
                if not any(isinstance(later, Disconnected) for later in self._inbox):
                    self._conditions.lift(DISCONNECTED, source=FEED)
                for piece in fresh:
                    await self._carrier.play(piece)
            case Disconnected():
                self._conditions.set(DISCONNECTED, f"{self._feed.name}: {event.reason}", source=FEED)
            case AuthFailed():
                self._conditions.refuse_keys(f"{self._feed.name} does not accept the keys: {event.reason}")
            case SymbolStatus():
                self._status(event)

    async def _closed(self, event: BarClosed) -> None:
        if self._is_news(event):
            self.keep(event)
            await self._carrier.play(Slice(event.bar.ts, (event.bar,)))

    def _is_news(self, event: BarClosed) -> bool:
        series = Series(event.bar.instrument, event.bar.interval)
        if event.bar.ts <= self._last.get(series, -1):
            # What was decided on stays decided on; history has the better figures for the next warm-up.
            self.corrections += event.is_correction
            self.repeats += not event.is_correction
            return False
        self._last[series] = event.bar.ts
        self._freshness.seen(series, event.bar.ts)
        return True

    async def _quoted(self, event: Quote | Book) -> None:
        self._freshness.seen(Series(event.instrument, 0), event.ts)
        await self._carrier.play(Slice(event.ts, (event,)))

    def _status(self, event: SymbolStatus) -> None:
        name = event.instrument
        if event.trading is Trading.OPEN:
            self._conditions.lift(NOT_TRADING, source=FEED, instrument=name)
            return
        what = "is halted at the venue" if event.trading is Trading.HALTED else "takes cancels only"
        why = f": {event.reason}" if event.reason else ""
        self._conditions.set(NOT_TRADING, f"{name} {what}{why}", source=FEED, instrument=name)

    # --- time without data --------------------------------------------------------------------------

    async def _pass_time(self) -> None:
        now = upto = self._clock.now()
        timeline = self._carrier.timeline
        close = timeline.close_by(now)
        if close is not None and now < close + _CLOSE_GRACE and not self._has_closed(close):
            upto = close - 1
            self._wake_at("close", close + _CLOSE_GRACE)
        if timeline.soon <= upto:
            await self._carrier.pass_until(upto)
        if timeline.soon > now:
            self._wake_at("next", timeline.soon)

    def _wake_at(self, key: str, at: int) -> None:
        if self._waker is not None and at < _FAR:
            self._waker.set_timer(key, at)

    def _has_closed(self, ts: int) -> bool:
        """Return whether the bars that end with a session have come."""
        streamed = [one for one in self._followed.series if one.interval and self._feed.streams(one)]
        return all(self._last.get(one, -1) >= ts for one in streamed)

    # --- what did not come by itself ----------------------------------------------------------------

    async def _fill(self) -> Sequence[Slice]:
        """Ask for the bars since the last ones and show those that are past; returns those that are of now.

        Later events wait in the queue meanwhile.
        """
        found: list[BarClosed] = []
        for series in self._followed.series:
            if series.interval:
                found += await self._since(series)
        found = [one for one in sorted(found, key=lambda one: one.bar.ts) if self._is_news(one)]
        for one in found:
            self.keep(one)
        self.gaps += len(found)
        fresh = self._clock.now() - _FRESH
        pieces = slices(one.bar for one in found)
        old = [piece for piece in pieces if piece.ts < fresh]
        if old:
            await self._carrier.missed(old, shows=True)
        return pieces[len(old) :]

    async def _since(self, series: Series) -> Sequence[BarClosed]:
        tries = iter(_AGAIN)
        while True:
            now = self._clock.now()
            try:
                return await self._feed.history(
                    series, self._last.get(series, now - 2 * series.interval), now
                )
            except VenueError:
                await asyncio.sleep(next(tries, _AGAIN[-1]))

    async def _ask(self, series: Series) -> None:
        """Ask for bars that are not streamed, each when it should be complete; not at all while it is not there."""
        while series.interval:
            due = self._followed.closes(series, max(self._clock.now(), self._last.get(series, 0)))
            await asyncio.sleep(max(0.0, (due + _SETTLES - self._clock.now()) / SECOND))
            for pause in _AGAIN:
                found = await self._since(series)
                for one in found:
                    self.hear(one)
                if any(one.bar.ts >= due for one in found):
                    break
                await asyncio.sleep(pause)

    # --- whether all is well ------------------------------------------------------------------------

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            late = self._freshness.overdue(self._clock.now())
            for name in dict.fromkeys(one.instrument for one in self._followed.series):
                if name in late:
                    self._conditions.set(STALE_FEED, late[name], source=FEED, instrument=name)
                else:
                    self._conditions.lift(STALE_FEED, source=FEED, instrument=name)

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(_CLOCK_EVERY)
            try:
                offset = await self._feed.offset()
            except VenueError:
                continue  # a lost connection is seen elsewhere
            if abs(offset) > MOST_OFFSET:
                self._conditions.set(CLOCK_OFF, _off(self._feed.name, offset), source=FEED)
            else:
                self._conditions.lift(CLOCK_OFF, source=FEED)


def slices(bars: Iterable[Bar]) -> list[Slice]:
    """Return bars in order of time as slices: those of one instant together."""
    return [Slice(ts, tuple(group)) for ts, group in groupby(bars, key=lambda bar: bar.ts)]


def _off(name: str, offset: int) -> str:
    return (
        f"the clocks of {name} and of this machine must agree within {MOST_OFFSET / SECOND:g} s, they differ by "
        f"{offset / SECOND:.1f} s: set the clock (timedatectl set-ntp true)"
    )

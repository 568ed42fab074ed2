"""Order what happens at one instant: the rule that the backtest's driver and the daemon's share.

0. what was under way to us and has arrived, in order of time with timers and events;
1. timers that came due, in order of time;
2. splits and dividends whose time has come, then a session's open;
3. resting orders meet the market data, each report is decided on before the bar goes on;
4. a session's close (a decision on the closing bar is made after it, as in life);
5. the market data reach the strategies.

A timeline says what the engine is to be told next, and when it is seen. Whoever drives it lets the
engine decide, carries out the commands, and only then asks for the next step: so an order that a fill
led to takes part in the rest of the same bar. Refuses to decide, and to wait: time comes with the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from typing import NamedTuple, Protocol

from tradebot.core.messages import (
    Dividend,
    Input,
    Rate,
    SessionClose,
    SessionOpen,
    Slice,
    Split,
    TimerDue,
    VenueReport,
)
from tradebot.core.model import Bar, Book, Quote
from tradebot.errors import InvariantError
from tradebot.sim.latency import NO_DELAYS, Delays

Event = SessionOpen | SessionClose | Split | Dividend | Rate
_FAR = 1 << 62


class Matching(Protocol):
    """What a timeline asks of a simulated venue; `SimVenue` says what each call does."""

    @property
    def has_work(self) -> Callable[[str], bool]: ...

    @property
    def mark(self) -> Callable[[str, Bar | Quote], None]: ...

    def on_market(self, item: Bar | Quote) -> Iterator[VenueReport]: ...

    def drain(self) -> list[VenueReport]: ...

    def on_session(self, event: SessionOpen | SessionClose) -> None: ...

    def on_split(self, event: Split) -> None: ...

    def on_dividend(self, event: Dividend) -> None: ...

    def advance(self, now: int) -> None: ...


class Step(NamedTuple):
    """An input and when it is seen at the earliest (never before the engine's now).

    `before_sending` is called once it was decided on, before what follows from it is sent.
    """

    message: Input
    at: int
    before_sending: Callable[[], None] | None = None


class Timeline:
    """What happens around one simulated venue, in order of time."""

    def __init__(
        self,
        venue: Matching,
        *,
        events: Sequence[Event] = (),
        close_first: bool = True,
        delays: Delays = NO_DELAYS,
    ) -> None:
        """`events` in order of time. `close_first` False lets decisions come before the close.

        With `delays`, data and reports reach the engine that much later than the venue met them.
        """
        self.venue = venue
        self.delays = delays
        self._under_way: list[tuple[int, int, Step]] = []
        self._close_first = close_first
        self._events = list(events)
        self._next_event = 0
        self._timers: list[tuple[int, int, str]] = []
        self._due: dict[str, tuple[int, int]] = {}
        self._count = 0
        self.soon = self._soonest()  # nothing but market data happens before this time

    def set_timer(self, key: str, at: int) -> None:
        """Let `TimerDue(key)` happen at `at`; it takes the place of an earlier one under this key."""
        self._count += 1
        self._due[key] = (at, self._count)
        heappush(self._timers, (at, self._count, key))
        self.soon = min(self.soon, at)

    def play(self, piece: Slice) -> Iterator[Step]:
        """Yield everything that happens up to these market data, and then themselves."""
        ts, items = piece
        if ts >= self.soon:
            yield from self._catch_up(ts)
        for item in items:
            if isinstance(item, Book):
                raise InvariantError("the simulated venue takes bars and quotes, was given a book")
            if self.venue.has_work(item.instrument):
                yield from self._match(item, ts)
            else:
                self.venue.mark(item.instrument, item)
        if ts >= self.soon and self._close_first:
            yield from self._closes(ts)
        if self.delays.data:
            self._travel(Step(piece, ts + self.delays.data))
        else:
            yield Step(piece, ts)
        yield from self.drain(ts)
        if ts >= self.soon:
            yield from self._closes(ts)

    def add(self, events: Sequence[Event]) -> None:
        """Take more events; what lies before those that have happened happens next."""
        left = [*self._events[self._next_event :], *events]
        self._events, self._next_event = sorted(left, key=lambda event: event.ts), 0
        self.soon = self._soonest()

    def close_by(self, ts: int) -> int | None:
        """Return when the next session's close is that has not happened, None when it is after `ts`."""
        for event in self._events[self._next_event :]:
            if event.ts > ts:
                return None
            if isinstance(event, SessionClose):
                return event.ts
        return None

    def pass_until(self, ts: int) -> Iterator[Step]:
        """Yield what happens up to `ts` without further market data."""
        yield from self._catch_up(ts)
        yield from self._closes(ts)
        self.venue.advance(ts)
        yield from self.drain(ts)

    def drain(self, at: int) -> Iterator[Step]:
        """Yield what the venue says at once, until it has nothing more to say."""
        while True:
            reports = self.venue.drain()
            if not reports:
                return
            for report in reports:
                yield from self._said(report, at)

    def _match(self, item: Bar | Quote, ts: int) -> Iterator[Step]:
        for report in self.venue.on_market(item):
            yield from self._said(report, ts)
        yield from self.drain(ts)

    def _said(self, report: VenueReport, at: int) -> Iterator[Step]:
        if self.delays.report:
            self._travel(Step(report, at + self.delays.report))
        else:
            yield Step(report, at)

    def _travel(self, step: Step) -> None:
        self._count += 1
        heappush(self._under_way, (step.at, self._count, step))
        self.soon = min(self.soon, step.at)

    def _catch_up(self, ts: int) -> Iterator[Step]:
        """Yield everything that comes before the market data of `ts`."""
        while True:
            timer = self._timers[0][0] if self._timers else _FAR
            arrival = self._under_way[0][0] if self._under_way else _FAR
            event = self._events[self._next_event] if self._next_event < len(self._events) else None
            at = _FAR if event is None else event.ts
            # What closes at `ts` waits until resting orders have met the bar that ends there.
            if event is not None and at == ts and isinstance(event, SessionClose):
                at = _FAR
            if min(timer, at, arrival) > ts:
                break
            if arrival <= min(timer, at):
                yield heappop(self._under_way)[2]
                yield from self.drain(arrival)
            elif timer <= at:
                yield from self._fire()
            else:
                self._next_event += 1
                if event is not None:
                    yield from self._happen(event)
        self.soon = self._soonest()

    def _closes(self, ts: int) -> Iterator[Step]:
        while self._next_event < len(self._events) and self._events[self._next_event].ts <= ts:
            event = self._events[self._next_event]
            self._next_event += 1
            yield from self._happen(event)
        self.soon = self._soonest()

    def _fire(self) -> Iterator[Step]:
        at, count, key = heappop(self._timers)
        if self._due.get(key) != (at, count):
            return  # set anew since
        del self._due[key]
        yield Step(TimerDue(ts=at, key=key), at)
        yield from self.drain(at)

    def _happen(self, event: Event) -> Iterator[Step]:
        venue = self.venue
        if isinstance(event, Split):
            # Both books are re-based before an order in the new units reaches the venue.
            yield Step(event, event.ts, lambda: venue.on_split(event))
        elif isinstance(event, Dividend):
            yield Step(event, event.ts)
            yield from self.drain(event.ts)
            venue.on_dividend(event)
        elif isinstance(event, Rate):
            yield Step(event, event.ts)
        else:
            venue.on_session(event)
            yield Step(event, event.ts)
        yield from self.drain(event.ts)

    def _soonest(self) -> int:
        timer = self._timers[0][0] if self._timers else _FAR
        event = self._events[self._next_event].ts if self._next_event < len(self._events) else _FAR
        arrival = self._under_way[0][0] if self._under_way else _FAR
        return min(timer, event, arrival)

"""Drive the engine and the simulated venue through recorded time: the backtest's clock.

Owns the order of things at one instant, which the daemon keeps too:

1. timers that came due, in order of time;
2. splits and dividends whose time has come, then a session's open;
3. resting orders meet the market data, each report is decided on before the bar goes on;
4. a session's close (a decision on the closing bar is made after it, as in life);
5. the market data reach the strategies.

Refuses I/O and models: data come as slices, fills from the venue, time from both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush

from tradebot.core.engine import Engine
from tradebot.core.facts import Recorded
from tradebot.core.messages import (
    CancelOrder,
    Command,
    Dividend,
    Input,
    Rate,
    ReplaceOrder,
    SessionClose,
    SessionOpen,
    SetTimer,
    Slice,
    Split,
    SubmitOrder,
    TimerDue,
    VenueReport,
)
from tradebot.core.model import Bar, Book, Quote
from tradebot.core.recorder import NOTHING, Outcome
from tradebot.errors import InvariantError
from tradebot.sim.venue import SimVenue

Event = SessionOpen | SessionClose | Split | Dividend | Rate
_FAR = 1 << 62


class Replay:
    """Runs one engine against one simulated venue. `on_fact` sees every fact in order."""

    def __init__(
        self,
        engine: Engine,
        venue: SimVenue,
        *,
        events: Sequence[Event] = (),
        on_fact: Callable[[Recorded], None] | None = None,
        close_first: bool = True,
    ) -> None:
        """`events` in order of time. `close_first` False lets decisions come before the close."""
        self._engine = engine
        self._venue = venue
        self._on_fact = on_fact
        self._close_first = close_first
        self._events = list(events)
        self._next_event = 0
        self._timers: list[tuple[int, int, str]] = []
        self._due: dict[str, tuple[int, int]] = {}
        self._count = 0
        self._soon = self._soonest()

    def tell(self, message: Input, at: int) -> None:
        """Give the engine an input that is not market data and carry out what follows.

        What happened before the engine's now (the session a run begins in) is seen now.
        """
        at = max(at, self._engine.now)
        self._carry(self._engine.decide(message, at), at)

    def run(self, market: Iterable[Slice], after: Callable[[int], None] | None = None) -> None:
        """Play slices in order of time; `after` is called once each was decided on."""
        feed = iter(market)
        while True:
            if after is None and self._venue.is_idle:
                piece, outcome = self._engine.glide(feed, self._soon, self._venue.mark)
                if piece is not None and outcome is not None:
                    self._carry(outcome, piece.ts)
                    continue
            else:
                piece = next(feed, None)
            if piece is None:
                return
            self._play(piece)
            if after is not None:
                after(piece.ts)

    def finish(self, until: int) -> None:
        """Let timers and events up to `until` happen without further market data."""
        self._catch_up(until)
        self._closes(until)
        self._venue.advance(until)
        self._drain(max(until, self._engine.now))

    # --- one instant ----------------------------------------------------------------------------

    def _play(self, piece: Slice) -> None:
        ts, items = piece
        if ts >= self._soon:
            self._catch_up(ts)
        for item in items:
            if isinstance(item, Book):
                raise InvariantError("the simulated venue takes bars and quotes, was given a book")
            if self._venue.has_work(item.instrument):
                self._match(item, ts)
            else:
                self._venue.mark(item.instrument, item)
        if ts >= self._soon and self._close_first:
            self._closes(ts)
        outcome = self._engine.decide(piece, ts)
        if outcome is not NOTHING:
            self._carry(outcome, ts)
        if ts >= self._soon:
            self._closes(ts)

    def _match(self, item: Bar | Quote, ts: int) -> None:
        for report in self._venue.on_market(item):
            self._report(report, ts)
        self._drain(ts)

    def _report(self, report: VenueReport, ts: int) -> None:
        outcome = self._engine.decide(report, ts)
        if outcome is not NOTHING:
            self._publish(outcome)
            self._send(outcome.commands, ts)

    def _carry(self, outcome: Outcome, ts: int) -> None:
        self._publish(outcome)
        self._send(outcome.commands, ts)
        self._drain(ts)

    def _drain(self, ts: int) -> None:
        """Decide on what the venue says at once, until it has nothing more to say."""
        while True:
            reports = self._venue.drain()
            if not reports:
                return
            for report in reports:
                self._report(report, ts)

    def _publish(self, outcome: Outcome) -> None:
        if self._on_fact is not None:
            for recorded in outcome.facts:
                self._on_fact(recorded)

    def _send(self, commands: Iterable[Command], ts: int) -> None:
        for command in commands:
            if isinstance(command, SubmitOrder | CancelOrder | ReplaceOrder):
                self._venue.send(command, ts)
            elif isinstance(command, SetTimer):
                self._count += 1
                self._due[command.key] = (command.at, self._count)
                heappush(self._timers, (command.at, self._count, command.key))
                self._soon = min(self._soon, command.at)

    # --- time -----------------------------------------------------------------------------------

    def _catch_up(self, ts: int) -> None:
        """Let everything happen that comes before the market data of `ts`."""
        while True:
            timer = self._timers[0][0] if self._timers else _FAR
            event = self._events[self._next_event] if self._next_event < len(self._events) else None
            at = _FAR if event is None else event.ts
            # What closes at `ts` waits until resting orders have met the bar that ends there.
            if event is not None and at == ts and isinstance(event, SessionClose):
                at = _FAR
            if min(timer, at) > ts:
                break
            if timer <= at:
                self._fire()
            else:
                self._next_event += 1
                if event is not None:
                    self._happen(event)
        self._soon = self._soonest()

    def _closes(self, ts: int) -> None:
        while self._next_event < len(self._events) and self._events[self._next_event].ts <= ts:
            event = self._events[self._next_event]
            self._next_event += 1
            self._happen(event)
        self._soon = self._soonest()

    def _fire(self) -> None:
        at, count, key = heappop(self._timers)
        if self._due.get(key) != (at, count):
            return  # set anew since
        del self._due[key]
        self.tell(TimerDue(ts=at, key=key), at)

    def _happen(self, event: Event) -> None:
        venue = self._venue
        if isinstance(event, Split):
            at = max(event.ts, self._engine.now)
            outcome = self._engine.decide(event, at)
            # Both books are re-based before an order in the new units reaches the venue.
            venue.on_split(event)
            self._carry(outcome, at)
        elif isinstance(event, Dividend):
            self.tell(event, event.ts)
            venue.on_dividend(event)
        elif isinstance(event, Rate):
            self.tell(event, event.ts)
        else:
            venue.on_session(event)
            self.tell(event, event.ts)
        self._drain(max(event.ts, self._engine.now))

    def _soonest(self) -> int:
        timer = self._timers[0][0] if self._timers else _FAR
        event = self._events[self._next_event].ts if self._next_event < len(self._events) else _FAR
        return min(timer, event)

"""Drive the engine and the simulated venue through recorded time: the backtest's clock.

Owns the loop: take the next step of the timeline, decide, carry out what follows. The order of things
at one instant is the `timeline`'s, which the daemon shares. Refuses I/O and models: data come as
slices, fills from the venue, time from both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tradebot.core.engine import Engine
from tradebot.core.facts import Recorded
from tradebot.core.messages import (
    Command,
    Input,
    SetTimer,
    Slice,
    SubmitOrder,
    SubmitPair,
)
from tradebot.core.recorder import NOTHING, Outcome
from tradebot.sim.latency import NO_DELAYS, Delays
from tradebot.sim.timeline import Event, Step, Timeline
from tradebot.sim.venue import SimVenue


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
        delays: Delays = NO_DELAYS,
    ) -> None:
        """`events` in order of time; `close_first` and `delays` are the timeline's."""
        self._engine = engine
        self.venue = venue
        self._on_fact = on_fact
        self.timeline = Timeline(venue, events=events, close_first=close_first, delays=delays)

    def tell(self, message: Input, at: int) -> None:
        """Give the engine an input that is not market data and carry out what follows.

        What happened before the engine's now (the session a run begins in) is seen now.
        """
        self._take(Step(message, at))
        self._follow(self.timeline.drain(at))

    def run(self, market: Iterable[Slice], after: Callable[[int], None] | None = None) -> None:
        """Play slices in order of time; `after` is called once each was decided on."""
        feed = iter(market)
        timeline, venue, engine = self.timeline, self.venue, self._engine
        while True:
            if after is None and venue.is_idle and not timeline.delays.data:
                piece, outcome = engine.glide(feed, timeline.soon, venue.mark)
                if piece is not None and outcome is not None:
                    self._carry(outcome, piece.ts)
                    self._follow(timeline.drain(piece.ts))
                    continue
            else:
                piece = next(feed, None)
            if piece is None:
                return
            self._follow(timeline.play(piece))
            if after is not None:
                after(piece.ts)

    def finish(self, until: int) -> None:
        """Let timers and events up to `until` happen without further market data."""
        self._follow(self.timeline.pass_until(until))

    def _follow(self, steps: Iterable[Step]) -> None:
        for step in steps:
            self._take(step)

    def _take(self, step: Step) -> None:
        at = max(step.at, self._engine.now)
        outcome = self._engine.decide(step.message, at)
        if step.before_sending is not None:
            step.before_sending()
        if outcome is not NOTHING:
            self._carry(outcome, at)

    def _carry(self, outcome: Outcome, at: int) -> None:
        if self._on_fact is not None:
            for recorded in outcome.facts:
                self._on_fact(recorded)
        for command in outcome.commands:
            self._send(command, at)

    def _send(self, command: Command, at: int) -> None:
        if isinstance(command, SetTimer):
            self.timeline.set_timer(command.key, command.at)
        elif isinstance(command, SubmitPair):
            for order in command.orders:
                self.venue.send(SubmitOrder(order=order), at)
        else:
            self.venue.send(command, at)

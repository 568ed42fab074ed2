"""Do what a timer was set for when it comes due.

Owns the meaning of timer keys: `kind/...`. One whose strategy or instrument is configured no more
does nothing. A timer that was set anew meanwhile waits for its new time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tradebot.core import events
from tradebot.core.callers import Callers
from tradebot.core.desk import Desk
from tradebot.core.facts import TimerFired
from tradebot.core.gate import Gate
from tradebot.core.guard import Guard
from tradebot.core.legs import Leg, Seat
from tradebot.core.messages import SetTimer, TimerDue
from tradebot.core.model import Purpose
from tradebot.core.recorder import Recorder


class Alarms:
    """Hands timers that came due to who set them."""

    def __init__(
        self,
        recorder: Recorder,
        desk: Desk,
        guard: Guard,
        callers: Callers,
        gate: Gate,
        *,
        legs: Mapping[tuple[str, str], Leg],
        seats: Sequence[Seat],
    ) -> None:
        self._rec = recorder
        self._ledger = recorder.ledger
        self._desk = desk
        self._guard = guard
        self._callers = callers
        self._gate = gate
        self._legs = legs
        self._seats = seats

    def set_again(self) -> None:
        """Ask anew for every timer that a run before this one set and did not see."""
        for key, at in self._ledger.timers.items():
            self._rec.command(SetTimer(key=key, at=at))

    def due(self, timer: TimerDue) -> None:
        """Take a timer that came due."""
        at = self._ledger.timers.get(timer.key)
        if at is None or at > self._rec.now:
            return  # already fired, or set anew since
        self._rec.fact(TimerFired(ts=timer.ts, key=timer.key))
        kind, _, rest = timer.key.partition("/")
        if kind == "dividend":
            events.dividend_paid(self._rec, int(rest))
        elif kind == "parent":
            self._parent(rest)
        elif kind == "cancel":
            self._cancel(rest)
        elif kind == "strategy":
            self.ring(rest)
        elif kind == "grace":
            for seat in self._seats:
                if seat.name == rest:
                    self._callers.grace_over(seat)
        else:
            strategy, _, instrument = rest.partition("/")
            leg = self._legs.get((strategy, instrument))
            if leg is not None and kind == "retry":
                self._desk.retry_due(leg)
            elif leg is not None and kind == "protect":
                self._guard.protect(leg)

    def _cancel(self, order_id: str) -> None:
        record = self._ledger.orders[order_id]
        leg = self._legs.get((record.order.strategy, record.order.instrument))
        if leg is not None and record.order.purpose is Purpose.PROTECT:
            self._guard.protect(leg)  # the position may have come back to what it protects
        else:
            self._gate.cancel(record, "asked again")

    def ring(self, rest: str) -> None:
        """Tell a strategy of a timer that it had set; `rest` is what its key says after the kind."""
        for seat in self._seats:
            for name in seat.legs:  # ids of instruments may hold slashes themselves
                start = f"{seat.spec.id}/{name}/"
                if rest.startswith(start):
                    self._callers.on_timer(seat, name, rest[len(start) :])
                    return

    def _parent(self, parent_id: str) -> None:
        parent = self._ledger.running.get(parent_id)
        leg = None if parent is None else self._legs.get((parent.opened.strategy, parent.opened.instrument))
        if parent is not None and leg is not None:
            self._desk.advance(leg, parent)

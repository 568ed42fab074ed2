"""Decide what follows from a venue's report: the books, the exits, the difference again.

Owns the order of steps after a fill and after an order's end. Refuses the arithmetic: what a fill
moves is worked out in `trades`, what an order becomes in the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping

from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.callers import Callers
from tradebot.core.desk import Desk
from tradebot.core.guard import Guard
from tradebot.core.halting import Halts
from tradebot.core.legs import Leg
from tradebot.core.model import MINUTE, Explained, Fill, OrderKind, Purpose, Side
from tradebot.core.orders import OrderRecord, Status
from tradebot.core.recorder import Recorder
from tradebot.core.resting import Beside
from tradebot.core.rules import FOREIGN_FILL, MAX_REPEATS, UNKNOWN_ORDER
from tradebot.core.scope import HaltKey, HaltLevel, Scope
from tradebot.core.setup import Setup
from tradebot.core.trades import filled_fact, rebased_fill, report_fact

_BECAUSE = {
    OrderKind.STOP: "stop_loss",
    OrderKind.LIMIT: "take_profit",
    OrderKind.TRAILING_STOP: "trailing_stop",
}


class Reports:
    """Takes venue reports."""

    def __init__(
        self,
        setup: Setup,
        recorder: Recorder,
        desk: Desk,
        guard: Guard,
        callers: Callers,
        *,
        halts: Halts,
        legs: Mapping[tuple[str, str], Leg],
    ) -> None:
        self._setup = setup
        self._rec = recorder
        self._ledger = recorder.ledger
        self._desk = desk
        self._guard = guard
        self._callers = callers
        self._halts = halts
        self._legs = legs
        self._repeats = {a.name: a.limits.max_repeats for a in setup.accounts}
        self._settle = {a.name: a.settle_after for a in setup.accounts}

    def take(self, report: m.VenueReport) -> None:
        """Take a report that moves no money."""
        fact = report_fact(report)
        order_id = getattr(report, "client_order_id", "")
        record = self._ledger.orders.get(order_id)
        if fact is None or record is None:
            return  # not ours: reconciliation's business
        was_open, before = record.is_open, record.status
        is_refusal = isinstance(fact, f.CancelRefused)
        if is_refusal and before is Status.PENDING_REPLACE and self._has_heir(record):
            return
        self._rec.fact(fact)
        if was_open and isinstance(fact, f.OrderRejected):
            self._give_back(record, fact)
        if isinstance(fact, f.SubmitAbsent):
            scope = Scope(None, record.order.instrument)
            self._halts.stop_risk(scope, f"order {order_id} stayed unknown", UNKNOWN_ORDER)
        asked = before is Status.PENDING_CANCEL
        if asked and is_refusal and record.is_open:
            self._cancel_later(record)
        leg = self._legs.get((record.order.strategy, record.order.instrument))
        if leg is not None and before is Status.UNKNOWN and record.status is Status.NEW:
            self._guard.protect(leg)  # what it rests for may have changed meanwhile
        if leg is not None and isinstance(fact, f.SubmitAbsent):
            self._go_first(leg)
        if was_open and not record.is_open:
            self.over(record, was_asked=asked or isinstance(fact, f.OrderReplaced))

    def _has_heir(self, record: OrderRecord) -> bool:
        """Return whether an order is on its way into this one's place.

        Its fate is told under its own id. A refusal under the old id may be the second copy of one
        that an earlier try was told: believing it would send a third order into the same place.
        """
        order = record.order
        working = self._ledger.open_orders((order.strategy, order.instrument))
        return any(other.order.replaces == order.client_order_id for other in working)

    def _give_back(self, heir: OrderRecord, fact: f.OrderRejected) -> None:
        """An order that was to replace another came to nothing: the other one stands as before."""
        old = None if heir.order.replaces is None else self._ledger.orders[heir.order.replaces]
        if old is not None and old.status is Status.PENDING_REPLACE:
            order_id = old.order.client_order_id
            self._rec.fact(f.CancelRefused(ts=fact.ts, client_order_id=order_id, reason=fact.reason))

    def _cancel_later(self, record: OrderRecord) -> None:
        """Ask again for the end of an order that the venue kept: nobody else would, and not at once."""
        order = record.order
        leg = self._legs.get((order.strategy, order.instrument))
        if leg is not None:
            key, at = f"cancel/{order.client_order_id}", self._rec.now + leg.spec.retry.first
            self._rec.fact(f.TimerSet(ts=self._rec.now, key=key, at=at))
            self._rec.command(m.SetTimer(key=key, at=at))

    def filled(self, report: m.VenueFilled) -> None:
        """Take a trade of one of our orders, once."""
        fill = report.fill
        record = self._ledger.orders.get(fill.client_order_id)
        if record is None:
            scope = Scope(None, fill.instrument)
            self._halts.stop_risk(scope, f"fill {fill.fill_id} is of an order that is not ours", FOREIGN_FILL)
            return
        if fill.fill_id in record.fill_ids:
            return  # venues repeat themselves
        order = record.order
        if record.splits:
            instrument = self._setup.instruments[fill.instrument]
            fill = rebased_fill(record, fill, self._setup.quantum(instrument.base))
        fact = filled_fact(self._setup, self._rec, record, fill, self._settle[order.account])
        self._rec.fact(fact)
        leg = self._legs.get((order.strategy, order.instrument))
        if leg is None:
            return
        if order.purpose is Purpose.PROTECT:
            self._protected(leg, record)
        if fact.opens and (order.purpose is not Purpose.TARGET or self._is_unwanted(leg, fill)):
            # An exit met another one on its way and went through zero: nobody wants the other side.
            self._desk.suspend(leg, "overshoot")
            self._desk.work(leg)
        self._guard.protect(leg)
        self._watch_repeats(leg, fill)
        self._callers.on_fill(leg, fill)
        if not record.is_open:
            self.over(record, was_asked=True)
        if fill.side is Side.SELL:
            for other in self._legs.values():
                if other.spec.account == order.account:
                    self._desk.cash_came(other)

    def _watch_repeats(self, leg: Leg, fill: Fill) -> None:
        """Stop a strategy whose orders trade again and again towards one target: nobody can want that."""
        limit = self._repeats[leg.spec.account]
        if limit is None:
            return
        since = self._rec.now - MINUTE
        count = sum(1 for at, _, side in leg.wish.traded if at > since and side == fill.side.value)
        scope = Scope(leg.spec.id, None)
        if count <= limit or HaltKey(scope, MAX_REPEATS) in self._ledger.halts:
            return
        numbers = (
            Explained(name="limit", value=float(limit)),
            Explained(name="traded", value=float(count)),
        )
        self._halts.take(
            m.SetHalt(
                ts=self._rec.now,
                level=HaltLevel.NO_NEW_RISK,
                reason=f"max_repeats is {limit}, {count} orders traded in a minute towards one target",
                scope=scope,
                rule=MAX_REPEATS,
                numbers=numbers,
            )
        )

    def _is_unwanted(self, leg: Leg, fill: Fill) -> bool:
        """Return whether a target that rests meanwhile never wanted the side that a fill opened."""
        return leg.wish.suspended is not None and fill.side.sign * leg.wish.wanted_qty <= 0

    def _protected(self, leg: Leg, record: OrderRecord) -> None:
        """A protective exit traded: the target rests, so that a stop-out is not bought back."""
        after = leg.after_exit
        if self._ledger.wish(leg.key).suspended is None and after != "at_once":
            bars = after if isinstance(after, int) else None
            self._desk.suspend(leg, _BECAUSE.get(record.order.kind, "exit"), bars)

    def _go_first(self, leg: Leg) -> None:
        """Work what waited for a protective order to make way, before that or another one rests there again."""
        if self._setup.resting.beside is not Beside.ALL and not self._guard.is_leaving(leg):
            self._desk.work(leg)

    def over(self, record: OrderRecord, *, was_asked: bool) -> None:
        """A working order ended: work the difference again, or later when nobody asked for the end."""
        order = record.order
        leg = self._legs.get((order.strategy, order.instrument))
        if leg is None:
            return
        if order.purpose is Purpose.PROTECT:
            self._go_first(leg)
            self._guard.ended(leg, was_asked=was_asked)
            # One that was cut short halfway is over, too: what stays is protected anew, for another exit.
            is_cut_short = bool(record.filled_qty and record.leaves) and not was_asked
            if leg.after_exit == "at_once" and (record.status is Status.FILLED or is_cut_short):
                self._desk.work(leg)
            return
        if was_asked or record.status is Status.EXPIRED:
            self._desk.work(leg)  # an order's time ends once a session: nothing to keep a distance from
        elif self._ledger.wish(leg.key).quotes is None:
            self._desk.retry(leg)

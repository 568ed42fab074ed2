"""Take in what happened without us: reconciliation, the owner's own trades, orders that stayed unknown.

Owns what follows for strategies: a quantity that the owner sold is taken from those who held it and
rests, protection follows, nothing is bought back. Refuses to compare: what the venue says and what it
means is worked out outside, here it arrives as inputs that each say one thing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.adjusting import adjusted_fact, assigned_fact, assignment_problem, parts_of
from tradebot.core.breakers import Breakers
from tradebot.core.desk import Desk
from tradebot.core.gate import Gate
from tradebot.core.guard import Guard
from tradebot.core.legs import Leg
from tradebot.core.model import Purpose
from tradebot.core.orders import OrderRecord, Status
from tradebot.core.quantize import qty_down
from tradebot.core.recorder import Recorder
from tradebot.core.setup import Setup
from tradebot.errors import InvariantError

_OWNER = "owner traded"


class Recovery:
    """Books what the venue or the owner did beside our orders and brings targets and exits in line."""

    def __init__(
        self,
        setup: Setup,
        recorder: Recorder,
        desk: Desk,
        guard: Guard,
        gate: Gate,
        *,
        breakers: Breakers,
        legs: Mapping[tuple[str, str], Leg],
        marks: Mapping[str, float],
    ) -> None:
        self._setup = setup
        self._rec = recorder
        self._ledger = recorder.ledger
        self._desk = desk
        self._guard = guard
        self._gate = gate
        self._breakers = breakers
        self._legs = legs
        self._marks = marks

    def reconciled(self, message: m.Reconciled) -> None:
        """The account agrees with the venue: exits are placed again, the difference is worked anew."""
        self._known(message.account)
        if not self._ledger.is_reconciled(message.account):
            self._rec.fact(f.AccountReconciled(ts=message.ts, account=message.account))
        for leg in self._legs.values():
            if leg.spec.account == message.account:
                self._guard.protect(leg)
                for parent in self._ledger.active_parents(leg.key):
                    self._desk.advance(leg, parent)
                if not self._guard.is_leaving(leg):
                    self._desk.work(leg)

    # --- what others did ------------------------------------------------------------------------

    def position_changed(self, change: m.PositionChanged) -> None:
        """Book a change that is not ours; what it took from strategies is theirs no more and rests."""
        self._known(change.account)
        if change.instrument not in self._setup.instruments:
            raise InvariantError(
                f"a position that changes must be of a configured instrument, was {change.instrument}"
            )
        if self.is_repeat(change.account, change.venue_ref) or not change.qty_signed:
            return
        hit = self._take_back(change)
        fact = adjusted_fact(self._setup, self._ledger, change, self._marks)
        self._rec.fact(fact)
        if not change.cash:
            self._breakers.moved(change.account, change.instrument, change.qty_signed)
        for leg in hit:
            self._rest(leg)

    def is_repeat(self, account: str, venue_ref: str) -> bool:
        """Return whether what goes by this id at the venue was booked before."""
        return bool(venue_ref) and (account, venue_ref) in self._ledger.venue_refs

    def _take_back(self, change: m.PositionChanged) -> list[Leg]:
        """Take from strategies what the change took from them; return the legs that lost something."""
        ledger, name = self._ledger, change.instrument
        subs = [s for s in ledger.subs.values() if s.account == change.account and s.qty(name)]
        theirs = sum((s.qty(name) for s in subs), Decimal(0))
        missing = _missing(theirs, ledger.accounts[change.account].unassigned.qty(name), change.qty_signed)
        if not missing:
            return []
        holders = [s for s in subs if (s.qty(name) > 0) == (theirs > 0)]
        parts = parts_of(missing, [abs(s.qty(name)) for s in holders], self._step(name, missing, holders))
        hit: list[Leg] = []
        for sub, part in zip(holders, parts, strict=True):
            if not part or sub.strategy is None:
                continue
            amount = -part if theirs > 0 else part
            assign = m.Assign(
                ts=change.ts, account=change.account, strategy=sub.strategy, amount=amount, instrument=name
            )
            self._rec.fact(assigned_fact(self._setup, ledger, assign, _OWNER, None))
            leg = self._legs.get((sub.strategy, name))
            if leg is not None:
                hit.append(leg)
        return hit

    def _step(self, name: str, missing: Decimal, holders: Sequence[object]) -> Decimal:
        """Return what parts are cut to: whole lots, unless what is shared out is none itself."""
        instrument = self._setup.instruments[name]
        is_whole = qty_down(missing, instrument.lot_size) == missing
        return instrument.lot_size if is_whole else self._setup.quantum(instrument.base)

    def _rest(self, leg: Leg) -> None:
        """After the owner's trade: nothing is bought back, and nothing sells more than is held."""
        wish = leg.wish
        if not wish.is_leaving:
            self._desk.suspend(leg, _OWNER)
        held = abs(self._ledger.subs[leg.spec.id].qty(leg.instrument.id))
        for record in self._ledger.open_orders(leg.key):
            if record.order.purpose is Purpose.FLATTEN and record.leaves > held:
                self._gate.cancel(record, _OWNER)
        self._guard.protect(leg)
        self._desk.work(leg)

    # --- the owner's word -----------------------------------------------------------------------

    def assign(self, assign: m.Assign) -> None:
        """Move cash or quantity to or from a strategy. Nothing is traded because of it."""
        problem = assignment_problem(self._ledger, assign)
        if problem:
            self._rec.fact(f.InputRefused(ts=assign.ts, what="Assign", reason=problem))
            return
        leg = None if assign.instrument is None else self._legs.get((assign.strategy, assign.instrument))
        exits = None if leg is None or not leg.spec.exits.any else leg.spec.exits
        self._rec.fact(assigned_fact(self._setup, self._ledger, assign, "owner", exits))
        if leg is None:
            return
        self._guard.protect(leg)
        wish = leg.wish
        if not wish.is_leaving and qty_down(self._desk.difference(leg)[0], leg.instrument.lot_size):
            self._desk.suspend(leg, "assigned")
        self._desk.work(leg)

    def release(self, release: m.ReleaseUnknown) -> OrderRecord | None:
        """Let go of an order that stayed unknown; returns it when that ended it."""
        record = self._ledger.orders.get(release.client_order_id)
        if record is None or not record.is_open or record.venue_order_id:
            return None  # it turned up meanwhile
        self._rec.fact(
            f.UnknownReleased(ts=release.ts, client_order_id=release.client_order_id, reason=release.reason)
        )
        replaced = None if record.order.replaces is None else self._ledger.orders[record.order.replaces]
        if replaced is not None and replaced.status is Status.PENDING_REPLACE:
            old = replaced.order.client_order_id
            self._rec.fact(
                f.CancelRefused(ts=release.ts, client_order_id=old, reason="its replacement was let go of")
            )
        return record

    def still_works(self, message: m.StillWorks) -> None:
        """Count an order that was believed over as working again and ask for its end: all went on without it."""
        record = self._ledger.orders.get(message.client_order_id)
        if record is None or record.is_open or record.status is Status.FILLED:
            return
        order_id, venue_id = message.client_order_id, message.venue_order_id
        self._rec.fact(f.OrderReopened(ts=message.ts, client_order_id=order_id, venue_order_id=venue_id))
        self._gate.cancel(record, "counted as over")

    def _known(self, account: str) -> None:
        if account not in self._ledger.accounts:
            known = ", ".join(self._ledger.accounts)
            raise InvariantError(f"account must be one of {known}, was {account}")


def _missing(theirs: Decimal, unassigned: Decimal, change: Decimal) -> Decimal:
    """Return how much (positive) of a foreign change is the strategies' loss.

    The owner's own quantity goes first. What the owner held against the strategies before (a short
    beside their long) was never theirs.
    """
    if not theirs or (theirs > 0) == (change > 0):
        return Decimal(0)
    sign = 1 if theirs > 0 else -1
    against = max(-sign * (unassigned + change), Decimal(0)) - max(-sign * unassigned, Decimal(0))
    return min(against, abs(theirs))

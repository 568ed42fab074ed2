"""Send a large quantity in slices over time: execution parents.

Owns the schedule. Refuses prices and rules: a slice becomes an order at the desk and passes the
gate like any other. All progress is facts, so a parent resumes with the right remainder after a
restart; what a slice does whose time passed unseen is the parent's declared `on_late`.

TWAP: `slices` equal parts, the first now, the rest evenly over `over`. Earlier slices take the
remainder of the lots, so a cancelled parent has done more rather than less of its plan.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

from tradebot.core import facts as f
from tradebot.core.books import ZERO
from tradebot.core.gate import Gate
from tradebot.core.legs import Leg
from tradebot.core.messages import SetTimer
from tradebot.core.model import Order, Purpose, Side
from tradebot.core.recorder import Recorder
from tradebot.core.wishes import ParentState
from tradebot.errors import InvariantError


def split_even(qty: Decimal, parts: int, lot: Decimal) -> tuple[Decimal, ...]:
    """Split `qty` into at most `parts` lot-aligned slices that sum to it, larger ones first.

    Raises InvariantError if `qty` is not a positive multiple of `lot`.
    """
    lots, rest = divmod(qty, lot)
    if rest or qty <= 0:
        raise InvariantError(f"qty must be a positive multiple of lot {lot}, was {qty}")
    base, extra = divmod(int(lots), parts)
    return tuple(s for s in (lot * (base + (i < extra)) for i in range(parts)) if s)


class OrderMaker(Protocol):
    """Builds the order for a signed quantity in the strategy's style."""

    def __call__(
        self, leg: Leg, diff: Decimal, purpose: Purpose, parent_id: str | None = None
    ) -> Order | None: ...


class Parents:
    """Opens, advances and closes execution parents."""

    def __init__(self, recorder: Recorder, gate: Gate) -> None:
        self._rec = recorder
        self._ledger = recorder.ledger
        self._gate = gate
        self.make_order: OrderMaker | None = None  # the desk's; set by the engine, which builds both

    def open(self, leg: Leg, diff: Decimal, cause: int) -> bool:
        """Plan a signed quantity and send the first slice; returns False when that was denied."""
        spec, now = leg.spec.execution, self._rec.now
        slices = split_even(abs(diff), spec.slices, leg.instrument.lot_size)
        step = spec.over // len(slices)
        parent_id = f"p{self._rec.new_order_id()}"
        self._rec.fact(
            f.ParentOpened(
                ts=now,
                parent_id=parent_id,
                strategy=leg.spec.id,
                instrument=leg.instrument.id,
                side=Side.of(diff),
                qty=abs(diff),
                algorithm=spec.kind,
                schedule=tuple(now + i * step for i in range(len(slices))),
                slices=slices,
                purpose=Purpose.TARGET.value,
                on_late=spec.on_late,
            ),
            cause,
        )
        return self.advance(leg, self._ledger.parents[parent_id])

    def advance(self, leg: Leg, parent: ParentState) -> bool:
        """Hand on every slice that is due, then wait for the next one or end the parent.

        Returns False when the gate denied it: the parent has ended, its rest is to be tried later.
        """
        ledger = self._ledger
        if parent.closed or ledger.is_stopping or not ledger.is_session_open(leg.instrument.calendar):
            return True  # the session's open advances it
        if not ledger.is_reconciled(leg.spec.account):
            return True  # the account's reconciliation does
        opened, due = parent.opened, ZERO
        while parent.next_slice < len(opened.slices) and opened.schedule[parent.next_slice] <= self._rec.now:
            index = parent.next_slice
            later = index + 1 < len(opened.slices) and opened.schedule[index + 1] <= self._rec.now
            qty = ZERO if later and opened.on_late == "expire" else opened.slices[index]
            self._rec.fact(
                f.ParentProgressed(ts=self._rec.now, parent_id=opened.parent_id, slice=index, qty=qty)
            )
            due += qty
        if due and not self._send(leg, parent, due):
            return False
        if parent.next_slice == len(opened.slices):
            self.close(parent, "done")
            return True
        key = f"parent/{opened.parent_id}"
        at = opened.schedule[parent.next_slice]
        if self._ledger.timers.get(key) != at:
            self._rec.fact(f.TimerSet(ts=self._rec.now, key=key, at=at))
            self._rec.command(SetTimer(key=key, at=at))
        return True

    def _send(self, leg: Leg, parent: ParentState, qty: Decimal) -> bool:
        if self.make_order is None:
            raise InvariantError("parents need the desk's order maker before they can send")
        signed = qty * parent.opened.side.sign
        order = self.make_order(leg, signed, Purpose.TARGET, parent.opened.parent_id)
        if order is None or self._gate.send(leg, order) is not None:
            self.close(parent, "denied")
            return False
        return True

    def close(self, parent: ParentState, because: str) -> None:
        """End a parent; what it has not sent becomes part of the difference again."""
        self._rec.fact(f.ParentClosed(ts=self._rec.now, parent_id=parent.opened.parent_id, because=because))

"""Work what is wanted into orders: size it, compare it with what is held and working, send the difference.

Owns targets, suspension and retries. Refuses protective exits (`guard`), slicing (`execution`)
and quotes (`quoting`); nothing leaves but through the `gate`.

The difference is worked out on a decision, a working order's end, a resume, a session's open, a
retry time; never per quote. A denied or rejected difference is tried again a bounded number of
times at growing distances, so no loop can hammer a venue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from math import isfinite

from tradebot.core import facts as f
from tradebot.core.books import ZERO
from tradebot.core.execution import Parents
from tradebot.core.flattening import Flattener
from tradebot.core.gate import Gate
from tradebot.core.legs import Leg
from tradebot.core.market import Valuer
from tradebot.core.measure import Unsized, size_of
from tradebot.core.messages import SetTimer
from tradebot.core.model import Explained, Order, OrderKind, Purpose, Side, Tif
from tradebot.core.orders import Status
from tradebot.core.quantize import price_for, qty_down
from tradebot.core.recorder import Recorder
from tradebot.core.risk import WAITING
from tradebot.core.setup import Resize
from tradebot.core.wishes import ParentState


class Desk:
    """Turns wishes into working orders."""

    def __init__(
        self,
        recorder: Recorder,
        gate: Gate,
        parents: Parents,
        marks: Mapping[str, float],
        valuers: Mapping[str, Valuer],
    ) -> None:
        self._rec = recorder
        self._ledger = recorder.ledger
        self._gate = gate
        self._parents = parents
        self._marks = marks
        self._valuers = valuers
        self._flattener = Flattener(recorder, gate, marks)

    # --- what is wanted -------------------------------------------------------------------------

    def want(
        self,
        leg: Leg,
        weight: float | None,
        qty: float | None,
        *,
        because: str = "signal",
        reason: str = "",
        explained: tuple[tuple[str, float], ...] = (),
    ) -> bool:
        """Take a strategy's word; returns whether the target or its size changed.

        No word, or not a number, keeps what was wanted.
        """
        if (weight is None or weight != weight) and (qty is None or qty != qty):
            return False
        wish = self._ledger.wish(leg.key)
        before = wish.target
        same = before is not None and before.weight == weight and before.asked_qty == qty
        if same and because == "signal":
            if wish.suspended is not None or leg.spec.resize is Resize.ON_CHANGE:
                return False
            because = "resize"
        weight, qty = _float(weight), _float(qty)
        sized = size_of(leg, weight, qty, self._marks, self._valuers[leg.spec.id])
        if isinstance(sized, Unsized):
            self.skip(leg, sized.rule, sized.reason)
            return False
        wanted, price, equity = sized
        if because == "resize" and not self._is_worth_resizing(leg, wanted):
            return False
        leg.end_skip(self._rec)
        if wish.suspended is not None and because == "signal":
            self._released(leg, "target changed")
        self._rec.fact(
            f.TargetSet(
                ts=self._rec.now,
                strategy=leg.spec.id,
                instrument=leg.instrument.id,
                weight=weight,
                asked_qty=qty,
                wanted_qty=wanted,
                price=price,
                equity=equity,
                because=because,
                reason=reason,
                explained=tuple(Explained(name=n, value=float(v)) for n, v in explained if isfinite(v)),
                exits=leg.spec.exits if leg.spec.exits.any else None,
            )
        )
        if not wanted and (weight or qty):
            self.skip(
                leg,
                "too_small",
                f"less than one lot of {leg.instrument.lot_size}",
                equity=equity,
                price=price,
            )
        return True

    def _is_worth_resizing(self, leg: Leg, wanted: Decimal) -> bool:
        before = self._ledger.wish(leg.key).wanted_qty
        change = abs(wanted - before)
        if leg.spec.resize is Resize.BAND:
            return float(change) > leg.spec.band * abs(float(before))
        return bool(change)

    # --- suspension -----------------------------------------------------------------------------

    def suspend(self, leg: Leg, because: str, bars: int | None = None) -> None:
        """Let the target rest and end what is on the way to it."""
        target = self._ledger.wish(leg.key).target
        self._rec.fact(
            f.TargetSuspended(
                ts=self._rec.now,
                strategy=leg.spec.id,
                instrument=leg.instrument.id,
                because=because,
                weight=None if target is None else target.weight,
                asked_qty=None if target is None else target.asked_qty,
                bars=bars,
            )
        )
        self._clear_way(leg, because)

    def leave(self, leg: Leg, because: str) -> None:
        """Let the target rest and close the position: an exit that no order at the venue takes."""
        after = leg.after_exit
        self.suspend(leg, because, 1 if after == "at_once" else after if isinstance(after, int) else None)
        self.work(leg)

    def release(self, leg: Leg, because: str) -> None:
        """End a suspension, size the standing target anew and work it."""
        self._released(leg, because)
        target = self._ledger.wish(leg.key).target
        if target is not None:
            why = tuple((e.name, e.value) for e in target.explained)
            self.want(
                leg, target.weight, target.asked_qty, because=because, reason=target.reason, explained=why
            )
        self.work(leg)

    def resume(self, leg: Leg) -> None:
        """A halt was lifted: what was not done meanwhile is not chased but rests like after an exit."""
        wish, after = leg.wish, leg.after_exit
        if wish.quotes is not None or wish.suspended is not None:
            return
        if after == "at_once":
            self._try_anew(leg)
        elif qty_down(self.difference(leg)[0], leg.instrument.lot_size):
            self.suspend(leg, "resume", after if isinstance(after, int) else None)

    def rebase(self, leg: Leg, ratio: Decimal) -> None:
        """Carry a standing target over a split; working orders and parents end and are sent anew."""
        target = self._ledger.wish(leg.key).target
        if target is not None:
            self._rec.fact(
                replace(
                    target,
                    ts=self._rec.now,
                    wanted_qty=qty_down(target.wanted_qty * ratio, leg.instrument.lot_size),
                    asked_qty=None if target.asked_qty is None else target.asked_qty * float(ratio),
                    price=target.price / float(ratio),
                    because="split",
                )
            )
        for parent in self._ledger.active_parents(leg.key):
            self._parents.close(parent, "split")
        for record in self._ledger.open_orders(leg.key):
            self._gate.cancel(record, "split")
        self.work(leg)

    def _released(self, leg: Leg, because: str) -> None:
        self._rec.fact(
            f.TargetReleased(
                ts=self._rec.now, strategy=leg.spec.id, instrument=leg.instrument.id, because=because
            )
        )

    # --- the difference -------------------------------------------------------------------------

    def difference(self, leg: Leg) -> tuple[Decimal, Purpose]:
        """Return wanted minus held, working and planned (signed), and what an order for it is for."""
        wish = self._ledger.wish(leg.key)
        held = self._ledger.subs[leg.spec.id].qty(leg.instrument.id)
        if wish.suspended is not None:
            if wish.is_leaving:
                return -held - self._working(leg, Purpose.FLATTEN), Purpose.FLATTEN
            return ZERO, Purpose.TARGET
        if wish.target is None:
            return ZERO, Purpose.TARGET
        planned = sum((p.unsent for p in self._ledger.active_parents(leg.key)), ZERO)
        # A flatten that is still out there will trade: its quantity is as good as gone.
        working = self._working(leg, Purpose.TARGET, Purpose.FLATTEN)
        return wish.wanted_qty - (held + wish.fee_qty + working + planned), Purpose.TARGET

    def _working(self, leg: Leg, *purposes: Purpose) -> Decimal:
        total = ZERO
        for record in self._ledger.open_orders(leg.key):
            if record.order.purpose in purposes and record.status is not Status.PENDING_REPLACE:
                total += record.leaves_signed
        return total

    def work(self, leg: Leg, cause: int = 0) -> None:
        """Send the difference, if there is one and nothing stands in its way."""
        wish = self._ledger.wish(leg.key)
        if wish.suspended is not None and wish.suspended.because == "flatten":
            self._flattener.follow(leg)
        if self._ledger.is_stopping or wish.given_up or wish.retry_at is not None:
            return
        diff, purpose = self.difference(leg)
        if wish.quotes is not None and purpose is Purpose.TARGET:
            return
        # A fee in the base asset leaves dust below one lot: not a difference that can be traded.
        diff = qty_down(diff, leg.instrument.lot_size)
        if not diff:
            leg.end_skip(self._rec)
            return
        if purpose is Purpose.TARGET and self._clear_way(leg, "target changed"):
            return  # the cancelled orders' ends bring us back
        diff = qty_down(self.difference(leg)[0], leg.instrument.lot_size)
        if not diff:
            return  # a parent was still to do the rest; without it there is none
        if not self._ledger.is_session_open(leg.instrument.calendar) and leg.spec.style.auction is None:
            self.skip(leg, "session_closed", "waits for the session to open", qty=float(diff))
            return
        self._send(leg, diff, purpose, cause)

    def _send(self, leg: Leg, diff: Decimal, purpose: Purpose, cause: int) -> None:
        spec = leg.spec.execution
        if spec.kind == "twap" and purpose is Purpose.TARGET:
            if not self._ledger.is_reconciled(leg.spec.account):
                self.skip(leg, "reconciled", "waits until the account was compared with the venue")
            elif self._parents.open(leg, diff, cause):
                leg.end_skip(self._rec)
            else:
                self._refused(leg)
            return
        order = self.order_for(leg, diff, purpose)
        if order is None:
            return
        denied = self._gate.send(leg, order, cause)
        if denied is None:
            leg.end_skip(self._rec)
        else:
            self._refused(leg)

    def advance(self, leg: Leg, parent: ParentState) -> None:
        """Let a parent hand on what is due; what it does not do is worked out anew."""
        if self._parents.advance(leg, parent):
            self.work(leg)
        else:
            self._refused(leg)

    def _refused(self, leg: Leg) -> None:
        """Try again later, unless something else will bring us back: the next price, a session, a word."""
        if leg.skip_rule not in WAITING:
            self.retry(leg)

    def order_for(
        self, leg: Leg, diff: Decimal, purpose: Purpose, parent_id: str | None = None
    ) -> Order | None:
        """Return the order for a signed quantity in the strategy's style; None when a price is missing."""
        side, style = Side.of(diff), leg.spec.style
        tif = style.tif if style.auction is None else style.auction
        if tif is Tif.AT_OPEN and self._ledger.is_session_open(leg.instrument.calendar):
            tif = style.tif  # a decision inside the session has missed the auction
        if purpose is Purpose.FLATTEN and (order := self._flattener.order(leg, side, abs(diff), tif)):
            return order
        if style.kind is OrderKind.MARKET or purpose is Purpose.FLATTEN:
            return self._gate.new_order(leg, side, abs(diff), purpose, tif=tif, parent_id=parent_id)
        price = self._marks.get(leg.instrument.id)
        if price is None:
            self.skip(leg, "price_missing", "a limit order needs a price, none seen yet")
            return None
        limit = price * (1.0 + side.sign * (style.collar or 0.0))
        return self._gate.new_order(
            leg,
            side,
            abs(diff),
            purpose,
            kind=OrderKind.LIMIT,
            limit_price=price_for(side, limit, leg.instrument.tick_size),
            tif=tif,
            parent_id=parent_id,
        )

    def _clear_way(self, leg: Leg, because: str) -> bool:
        """Cancel working target orders and parents; returns whether an end is still awaited."""
        for parent in self._ledger.active_parents(leg.key):
            self._rec.fact(
                f.ParentClosed(ts=self._rec.now, parent_id=parent.opened.parent_id, because=because)
            )
        waiting = False
        for record in self._ledger.open_orders(leg.key):
            if record.order.purpose is Purpose.TARGET:
                self._gate.cancel(record, because)
                waiting = True
        return waiting

    # --- no and again ---------------------------------------------------------------------------

    def retry(self, leg: Leg) -> None:
        """Set the next, later try of a refused difference, or give up until the target changes."""
        wish, rules = self._ledger.wish(leg.key), leg.spec.retry
        is_last = wish.attempts >= rules.times
        at = None if is_last else self._rec.now + int(rules.first * rules.factor**wish.attempts)
        self._rec.fact(
            f.RetrySet(
                ts=self._rec.now,
                strategy=leg.spec.id,
                instrument=leg.instrument.id,
                attempt=wish.attempts if is_last else wish.attempts + 1,
                at=at,
                is_last=is_last,
            )
        )
        if is_last and wish.is_leaving:
            self.skip(leg, "unprotected", "the way out was refused too often; the position stays open")
        if at is not None:
            key = f"retry/{leg.spec.id}/{leg.instrument.id}"
            self._rec.fact(f.TimerSet(ts=self._rec.now, key=key, at=at))
            self._rec.command(SetTimer(key=key, at=at))

    def cash_came(self, leg: Leg) -> None:
        """Try again what was denied for want of cash, however often it was tried before."""
        wish = leg.wish
        if wish.refused is None or wish.refused[0] != "buying_power":
            return
        self._try_anew(leg)
        self.work(leg)

    def _try_anew(self, leg: Leg) -> None:
        if leg.wish.given_up or leg.wish.retry_at is not None:
            self._rec.fact(
                f.RetrySet(
                    ts=self._rec.now, strategy=leg.spec.id, instrument=leg.instrument.id, attempt=0, at=None
                )
            )

    def retry_due(self, leg: Leg) -> None:
        """Try a refused difference again."""
        wish = self._ledger.wish(leg.key)
        if wish.retry_at is None:
            return
        self._rec.fact(
            f.RetrySet(
                ts=self._rec.now,
                strategy=leg.spec.id,
                instrument=leg.instrument.id,
                attempt=wish.attempts,
                at=None,
            )
        )
        self.work(leg)

    def skip(self, leg: Leg, rule: str, reason: str, **numbers: float) -> None:
        """Record why a wish is not acted on, once per reason; repeats are counted."""
        if leg.skip_rule == rule:
            leg.repeats += 1
            return
        leg.note_skip(self._rec, rule)
        self._rec.fact(
            f.Skipped(
                ts=self._rec.now,
                strategy=leg.spec.id,
                instrument=leg.instrument.id,
                rule=rule,
                reason=reason,
                numbers=tuple(Explained(name=n, value=v) for n, v in numbers.items()),
            )
        )


def _float(number: float | None) -> float | None:
    # Strategies hand on whole numbers and numpy's floats; a fact holds plain ones.
    return None if number is None else float(number)

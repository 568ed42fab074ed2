"""Keep protective exits in step with the position: one stop, one target, one trailing stop at most.

Owns which protective orders should rest and at what price. They form a one-cancels-other group,
never count as working towards a target, and their quantity follows every fill. Prices are
measured from the average entry price without fees.

Each is replaced rather than cancelled and sent anew, so protection is never doubled and never
missing; one that nobody can say the venue has is left until that is known. One that the venue refuses
or ends by itself is sent again at once, then at growing distances, then given up with a fact: no loop
can hammer a venue. Where a venue takes nothing else beside them (`resting`), they make way for the
strategy's orders and rest again after. Exits that the engine keeps are the `lookout`'s.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from tradebot.core.exits import stop_of, target_of
from tradebot.core.facts import Skipped, TimerSet
from tradebot.core.gate import Gate
from tradebot.core.ledger import Key, Ledger
from tradebot.core.legs import Leg
from tradebot.core.messages import SetTimer
from tradebot.core.model import SECOND, Order, OrderKind, Purpose, Side
from tradebot.core.orders import OrderRecord, Status
from tradebot.core.quantize import decimal_of, qty_down
from tradebot.core.recorder import Recorder, stop_id
from tradebot.core.resting import Resting, keeps_away
from tradebot.core.view import Denied

_PAIR = {OrderKind.STOP, OrderKind.LIMIT}


class Guard:
    """Compares protective orders that should rest with those that do."""

    def __init__(self, recorder: Recorder, gate: Gate, resting: Resting) -> None:
        self._rec = recorder
        self._ledger: Ledger = recorder.ledger
        self._gate = gate
        self._resting = resting
        self.away: dict[Key, Leg] = {}  # whose exits have made way

    def ended(self, leg: Leg, *, was_asked: bool) -> None:
        """See to it that the end of a protective order leaves no position without."""
        lost, rules = leg.wish.exits_lost, leg.spec.retry
        if was_asked or lost <= 1:
            self.protect(leg)
        elif lost <= 1 + rules.times:
            self._again_at(leg, self._rec.now + int(rules.first * rules.factor ** (lost - 2)))
        elif lost == 2 + rules.times:
            self._rec.fact(
                Skipped(
                    ts=self._rec.now,
                    strategy=leg.spec.id,
                    instrument=leg.instrument.id,
                    rule="unprotected",
                    reason="the venue keeps refusing the protective order; the position has none",
                )
            )

    def _again_at(self, leg: Leg, at: int) -> None:
        key = f"protect/{leg.spec.id}/{leg.instrument.id}"
        self._rec.fact(TimerSet(ts=self._rec.now, key=key, at=at))
        self._rec.command(SetTimer(key=key, at=at))

    def is_leaving(self, leg: Leg) -> bool:
        """Return whether an exit has begun to trade and is not over: what follows it is worked once it is."""
        return any(
            record.filled_qty and record.order.purpose is Purpose.PROTECT
            for record in self._ledger.open_orders(leg.key)
        )

    def protect(self, leg: Leg) -> None:
        """Place, replace or cancel protective orders after the position changed."""
        self.away.pop(leg.key, None)
        if leg.wish.exits is None and not self._ledger.open_orders(leg.key):
            return  # nothing is declared and nothing rests
        position = self._ledger.subs[leg.spec.id].position(leg.instrument.id)
        wanted = self._wanted(leg, position.qty, position.entry_price)
        resting: dict[OrderKind, OrderRecord] = {}
        for record in self._ledger.open_orders(leg.key):
            kind = record.order.kind
            if record.order.purpose is not Purpose.PROTECT or record.status is Status.PENDING_REPLACE:
                continue
            if kind in wanted and wanted[kind].side is record.order.side and kind not in resting:
                resting[kind] = record
            else:
                self._gate.cancel(record, "position closed" if not position.qty else "exit terms changed")
        if wanted and self._is_kept_away(leg, Side.of(-position.qty)):
            self.away[leg.key] = leg  # they rest again once that is over; until then the lookout watches
            return
        if self._resting.pairs and (wanted.keys() == _PAIR or self._is_ending(leg)):
            self._protect_by_pair(leg, wanted, resting)
            return
        group = next((r.order.group_id for r in resting.values() if r.order.group_id), None)
        for kind, order in wanted.items():
            found = resting.get(kind)
            if found is None:
                if group is None:
                    group = f"g{order.client_order_id}"
                denied = self._gate.send(leg, _in_group(order, group))
            elif not _same(found, order) and found.status not in (Status.PENDING_CANCEL, Status.UNKNOWN):
                denied = self._gate.replace(leg, found, _in_group(order, group))
            else:
                continue
            self._soon_if_many(leg, denied)

    def _protect_by_pair(
        self, leg: Leg, wanted: dict[OrderKind, Order], resting: dict[OrderKind, OrderRecord]
    ) -> None:
        """Rest a target and a stop as one group: it is sent whole, and ends before anything takes its place.

        What is left of a group whose other half the venue ended stays while it has the right size: the other
        half trades, or the lookout keeps it.
        """
        if any(not _same(record, wanted[kind]) for kind, record in resting.items()):
            for record in resting.values():
                if record.status is not Status.UNKNOWN:
                    self._gate.cancel(record, "exits follow the position")
        elif not any(r.order.purpose is Purpose.PROTECT for r in self._ledger.open_orders(leg.key)):
            target = wanted[OrderKind.LIMIT]
            group = f"g{target.client_order_id}"
            stop = replace(wanted[OrderKind.STOP], client_order_id=stop_id(target.client_order_id))
            self._soon_if_many(
                leg, self._gate.send_pair(leg, _in_group(target, group), _in_group(stop, group))
            )

    def _is_ending(self, leg: Leg) -> bool:
        return any(
            record.order.purpose is Purpose.PROTECT and record.status is Status.PENDING_CANCEL
            for record in self._ledger.open_orders(leg.key)
        )

    def _soon_if_many(self, leg: Leg, denied: Denied | None) -> None:
        if denied is not None and denied.rule == "max_messages_per_second":
            self._again_at(leg, self._rec.now + SECOND)

    def come_back(self) -> None:
        """Rest exits again that had made way for orders, or for slices of one, that are over now."""
        for leg in list(self.away.values()):
            self.protect(leg)

    def _is_kept_away(self, leg: Leg, out: Side) -> bool:
        working = (r.order for r in self._ledger.open_orders(leg.key))
        sides = [order.side for order in working if order.purpose is not Purpose.PROTECT]
        sides += [parent.opened.side for parent in self._ledger.active_parents(leg.key)]
        return keeps_away(self._resting.beside, out, sides)

    def _wanted(self, leg: Leg, qty: Decimal, entry: float | None) -> dict[OrderKind, Order]:
        exits = self._ledger.wish(leg.key).exits
        size = qty_down(abs(qty), leg.instrument.lot_size)
        if exits is None or exits.is_local or entry is None or not size:
            return {}
        side, tick = Side.of(-qty), leg.instrument.tick_size
        orders: dict[OrderKind, Order] = {}
        if (price := stop_of(exits, side, entry, tick)) is not None:
            orders[OrderKind.STOP] = self._order(leg, side, size, OrderKind.STOP, stop_price=price)
        if (price := target_of(exits, side, entry, tick)) is not None:
            orders[OrderKind.LIMIT] = self._order(leg, side, size, OrderKind.LIMIT, limit_price=price)
        if exits.trailing is not None:
            trail = decimal_of(exits.trailing)
            orders[OrderKind.TRAILING_STOP] = self._order(
                leg, side, size, OrderKind.TRAILING_STOP, trail=trail
            )
        if self._resting.in_whole and orders.keys() == _PAIR and size != size.to_integral_value():
            del orders[OrderKind.LIMIT]  # the stop rests alone, and the lookout keeps the target
        return orders

    def _order(
        self,
        leg: Leg,
        side: Side,
        qty: Decimal,
        kind: OrderKind,
        *,
        limit_price: Decimal | None = None,
        stop_price: Decimal | None = None,
        trail: Decimal | None = None,
    ) -> Order:
        return self._gate.new_order(
            leg,
            side,
            qty,
            Purpose.PROTECT,
            kind=kind,
            limit_price=limit_price,
            stop_price=stop_price,
            trail=trail,
        )


def _in_group(order: Order, group: str | None) -> Order:
    return replace(order, group_id=group)


def _same(record: OrderRecord, order: Order) -> bool:
    old = record.order
    return (
        record.leaves == order.qty
        and old.limit_price == order.limit_price
        and old.stop_price == order.stop_price
        and old.trail == order.trail
    )

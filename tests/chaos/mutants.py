"""Daemons with a mistake in them, to see that the rules would notice.

Owns one mutant for each way in which such programs have lost money. Each takes the place of a part by
subclass or changes what a replayed journal gave; none is a switch in the program itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from tests.chaos.life import Kit
from tests.chaos.venue import Link
from tradebot.core.desk import Desk
from tradebot.core.engine import Engine
from tradebot.core.gate import Gate
from tradebot.core.ledger import Ledger
from tradebot.core.legs import Leg
from tradebot.core.messages import VenueReport, VenueUnknown
from tradebot.core.model import Order, Purpose
from tradebot.core.orders import Status
from tradebot.core.reconcile import Finding
from tradebot.core.view import View
from tradebot.daemon.outbox import Outbox
from tradebot.daemon.reconciler import Reconciler
from tradebot.daemon.runner import Runner


class SendsFirst(Runner):
    """Sends, then records."""

    async def _cycle(self) -> None:
        record, held = self._record, []  # type: ignore[var-annotated]

        class Late:
            def append(self, facts: Sequence[object], *, durable: bool, progress: Mapping[str, int]) -> None:
                held.append((facts, durable, progress))

        self._record = Late()  # type: ignore[assignment]
        try:
            await super()._cycle()
        finally:
            self._record = record
        if self.outbox is not None:
            await self.outbox.idle()
        for facts, durable, progress in held:
            record.append(facts, durable=durable, progress=progress)


class NewIdOnRetry(Outbox):
    """Tries an order without an answer again, under a new id."""

    async def _submit(self, order: Order) -> Iterable[VenueReport]:
        reports = tuple(await super()._submit(order))
        if any(isinstance(report, VenueUnknown) for report in reports):
            again = replace(order, client_order_id=f"{order.client_order_id[:-1]}z")
            await super()._submit(again)
        return reports


class Resends(Outbox):
    """Sends an order without an answer again, under its id."""

    async def _submit(self, order: Order) -> Iterable[VenueReport]:
        reports = tuple(await super()._submit(order))
        if any(isinstance(report, VenueUnknown) for report in reports):
            reports = tuple(await super()._submit(order))
        return reports


class StreamOnly(Reconciler):
    """Believes that the stream tells everything."""

    async def look(self, *, is_start: bool = False) -> tuple[Finding, ...]:
        return ()


class AbsenceIsProof(Link):
    """Takes "not found" for "rejected"."""

    absence_is_proof = True


def forget_counts(ledger: Ledger) -> None:
    """Begin to count orders anew with each start."""
    ledger.order_times.clear()


def forget_suspensions(ledger: Ledger) -> None:
    """Start as if nothing had been stopped out, flattened or sold by the owner."""
    for wish in ledger.wishes.values():
        wish.suspended = None


class CountsProtection(Desk):
    """Counts protective orders as working towards the target."""

    def _working(self, leg: Leg, *purposes: Purpose) -> Decimal:
        if Purpose.TARGET in purposes:
            purposes = (*purposes, Purpose.PROTECT)
        total = Decimal(0)
        for record in self._ledger.open_orders(leg.key):
            if record.order.purpose in purposes and record.status is not Status.PENDING_REPLACE:
                total += record.leaves_signed
        return total


def count_protection(engine: Engine) -> None:
    engine._desk.__class__ = CountsProtection


class NetsSides(Gate):
    """Lets a buy that works make room for a sell, and the other way round."""

    def _view(self, leg: Leg, order: Order) -> View:
        net = Decimal(0)
        for (_, name), records in self._ledger.open.items():
            if name == order.instrument:
                working = (r for r in records.values() if r.order.purpose is not Purpose.PROTECT)
                net += sum((r.leaves_signed for r in working), Decimal(0))
        return replace(super()._view(leg, order), account_way=net * order.side.sign)


def net_sides(engine: Engine) -> None:
    engine._gate.__class__ = NetsSides


NETS_SIDES = Kit(after_build=(net_sides,))

MUTANTS: Mapping[str, Kit] = {
    "send before record": Kit(runner=SendsFirst),
    "new id on retry": Kit(outbox=NewIdOnRetry),
    "trust the stream only": Kit(reconciler=StreamOnly),
    "not found means rejected": Kit(link=AbsenceIsProof),
    "limits reset on restart": Kit(after_replay=(forget_counts,)),
    "re-send unknown": Kit(outbox=Resends),
    "suspension forgotten": Kit(after_replay=(forget_suspensions,)),
    "protection counted as target": Kit(after_build=(count_protection,)),
}


def paired(one: Kit, other: Kit) -> Kit:
    """Return a kit with both mistakes."""
    plain = Kit()
    if one.outbox is not plain.outbox and other.outbox is not plain.outbox:
        return Kit(outbox=_ResendsTwice)
    return Kit(
        runner=one.runner if one.runner is not plain.runner else other.runner,
        outbox=one.outbox if one.outbox is not plain.outbox else other.outbox,
        reconciler=one.reconciler if one.reconciler is not plain.reconciler else other.reconciler,
        link=one.link if one.link is not plain.link else other.link,
        after_replay=(*one.after_replay, *other.after_replay),
        after_build=(*one.after_build, *other.after_build),
    )


class _ResendsTwice(NewIdOnRetry, Resends):
    """Tries under the same id, then under a new one."""

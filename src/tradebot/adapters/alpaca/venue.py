"""Be the venue port over Alpaca: one account, asked over REST, heard over trade updates.

Owns what an answer means for an order. Only words that `refusals` knows prove a refusal; a request that
never left is refused by us; everything else is unknown and asked for by id. Refuses to send twice.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from tradebot.adapters.alpaca.account import Account, Identity
from tradebot.adapters.alpaca.hearing import Hearing
from tradebot.adapters.alpaca.known import Known
from tradebot.adapters.alpaca.line import PATIENT, Line, Pauses
from tradebot.adapters.alpaca.orders import (
    body_of,
    change_of,
    inability,
    kind_inability,
    pair_body_of,
    pair_inability,
    replace_inability,
    sibling_inability,
)
from tradebot.adapters.alpaca.parse import Symbols, Unreadable, orders_of, row_of
from tradebot.adapters.alpaca.refusals import (
    Said,
    is_absent,
    is_over,
    is_proof,
    is_unauthorized,
    is_used_id,
    keeps_the_old,
)
from tradebot.adapters.alpaca.rest import NotSent, Refused, Rest, Unclear
from tradebot.adapters.alpaca.talks import TradeTalk
from tradebot.core.messages import (
    ReplaceOrder,
    SubmitPair,
    VenueAcked,
    VenueCancelRefused,
    VenueRefused,
    VenueReport,
    VenueUnknown,
)
from tradebot.core.model import Instrument, Order, OrderKind, Purpose
from tradebot.core.ports import IdPolicy, LinkEvent, VenueOrder, VenueSnapshot
from tradebot.core.resting import Beside, Resting
from tradebot.errors import PermissionRefused, VenueError, VenueUnreachable

T = TypeVar("T")


class AlpacaVenue:
    """One Alpaca account. `account` is our name of it; `is_ours` knows our client order ids."""

    id_policy = IdPolicy.FOR_EVER
    absence_is_proof = False
    can_replace = True
    resting = Resting(beside=Beside.NOTHING, pairs=True, in_whole=True)

    def __init__(
        self,
        rest: Rest,
        account: str,
        instruments: dict[str, Instrument],
        is_ours: Callable[[str], bool],
        *,
        key: str,
        secret: str,
        now: Callable[[], int] = time.time_ns,
        pauses: Pauses = PATIENT,
        account_id: str = "",
    ) -> None:
        """`account_id`: the id or number that the account must have at Alpaca; "" is not compared."""
        self.account = account
        self.symbols = Symbols(instruments)
        self._rest = rest
        self._now = now
        self._books = Account(rest, account, self.symbols)
        self._unproven: str | None = account_id
        self._line = Line(f"trades-{account}", lambda: TradeTalk(rest.endpoint, key, secret), pauses)
        self._known = Known()
        self._hearing = Hearing(self._known, self.symbols, is_ours, self.find, now)

    # --- the port ---------------------------------------------------------------------------------

    def listen(self, sink: Callable[[VenueReport], None]) -> None:
        """Hand every report to `sink` as it comes."""
        self._hearing.tell = sink

    async def submit(self, order: Order) -> VenueReport | None:
        """Send an order once."""
        why = self._inability(order)
        if why:
            return self._refused(order, f"not sent: {why}")
        self._known.sent[order.client_order_id] = order
        try:
            answer = await self._rest.post(
                "/orders", body_of(order, self.symbols.instruments[order.instrument])
            )
        except NotSent as exc:
            return self._refused(order, str(exc))
        except Unclear as exc:
            return self._unknown(order, str(exc))
        except Refused as exc:
            return self._answered_no(order, exc.said)
        return self._taken(order, answer)

    async def submit_pair(self, pair: SubmitPair) -> tuple[VenueReport, ...]:
        """Send a target and its stop in one request, once."""
        instrument = self.symbols.instruments.get(pair.target.instrument)
        why = next(filter(None, (self._terms_inability(order) for order in pair.orders)), "")
        if instrument is None or why or (why := pair_inability(pair, instrument)):
            return tuple(self._refused(order, f"not sent: {why}") for order in pair.orders)
        for order in pair.orders:
            self._known.sent[order.client_order_id] = order
        try:
            answer = await self._rest.post("/orders", pair_body_of(pair, instrument))
        except NotSent as exc:
            return tuple(self._refused(order, str(exc)) for order in pair.orders)
        except Unclear as exc:
            return tuple(self._unknown(order, str(exc)) for order in pair.orders)
        except Refused as exc:
            return tuple(self._answered_no(order, exc.said) for order in pair.orders)
        return tuple(self._taken(order, answer) for order in pair.orders)

    async def cancel(self, client_order_id: str) -> VenueReport | None:
        """Ask for the end of an order; None: its fate comes as a report, or is read."""
        try:
            venue_id = self._known.venue_id(client_order_id)
            if venue_id is None:
                found = await self.find(client_order_id)
                if found is None:
                    return None  # perhaps it is on its way: whether it exists is decided elsewhere
                venue_id = found.venue_order_id
            await self._rest.delete(f"/orders/{venue_id}")
        except (Unclear, VenueError):
            return None
        except Refused as exc:
            return await self._not_cancelled(client_order_id, exc.said)
        return None

    async def replace(self, command: ReplaceOrder) -> tuple[VenueReport, ...]:
        """Put an order in another's place; both fates come as reports unless it was refused."""
        order, old_id = command.order, command.client_order_id
        old = self._known.sent.get(old_id)
        traded = self._known.traded(old_id)
        why = self._inability(order) or replace_inability(order, old, traded)
        venue_id = self._known.venue_id(old_id)
        if why or venue_id is None:
            return self._kept(command, f"not sent: {why or 'the order in its place is not known here'}")
        self._known.sent[order.client_order_id] = order
        try:
            answer = await self._rest.patch(f"/orders/{venue_id}", change_of(order, old))
        except NotSent as exc:
            return self._kept(command, str(exc))
        except Unclear as exc:
            return (self._unknown(order, str(exc)),)
        except Refused as exc:
            if not is_used_id(exc.said) and keeps_the_old(exc.said):
                return self._kept(command, str(exc.said))
            return (self._unknown(order, str(exc.said)),)
        report = self._taken(order, answer)
        return () if isinstance(report, VenueAcked) else (report,)

    async def snapshot(self, since: int) -> VenueSnapshot:
        """Read the account with what happened since a cursor.

        The first time it sees whose account it is: raises PermissionRefused for another than the configured one.
        """
        if self._unproven is not None:
            await self._prove(self._unproven)
        before = list(self._known.sent)
        found = await self._read(self._books.snapshot(since))
        for order in found.orders:
            self._known.note(order)
        self._known.forget_ended(before, found)
        if self._hearing.is_deaf(found):
            self._line.redial("a trade was not told")
        return found

    async def find(self, client_order_id: str) -> VenueOrder | None:
        """Look an order up by its id."""
        found = await self._read(self._books.find(client_order_id))
        if found is not None:
            self._known.note(found)
        return found

    async def run(self, sink: Callable[[LinkEvent], None]) -> None:
        """Keep trade updates coming until cancelled; returns only after AuthFailed."""
        self._hearing.links = sink
        await self._line.run(self._hearing)

    def cannot_rest(self, kind: OrderKind, instrument: Instrument) -> str:
        """Return why a protective order of this kind cannot rest at Alpaca; "" when it can."""
        return kind_inability(kind, instrument)

    async def offset(self) -> int:
        """Return by how many ns Alpaca's clock is ahead of ours."""
        return await self._books.offset(self._now)

    @property
    def unreadable(self) -> int:
        """How many messages and answers could not be read."""
        return self._hearing.unreadable

    async def identity(self) -> Identity:
        """Return who the keys belong to, and what the account may do."""
        return await self._books.identity()

    async def close(self) -> None:
        """Let go of connections."""
        await self._hearing.close()
        self._rest.close()

    async def _read(self, reading: Awaitable[T]) -> T:
        """Read; keys that are no longer accepted end the account's line to Alpaca, and are told."""
        try:
            return await reading
        except PermissionRefused as exc:
            self._hearing.denied(str(exc))
            raise VenueUnreachable(str(exc)) from exc

    async def _prove(self, account_id: str) -> None:
        """See once that the keys are of the right account, and that it may trade. Raises PermissionRefused."""
        found = await self._books.identity()
        if account_id and account_id not in (found.account_id, found.number):
            raise PermissionRefused(
                f"accounts.{self.account}.account_id must be the account of the keys, which is {found.number} "
                f"({found.account_id}), was {account_id}"
            )
        if found.problem:
            raise PermissionRefused(f"Alpaca must let account {found.number} trade, says: {found.problem}")
        self._unproven = None

    # --- what an answer means ---------------------------------------------------------------------

    def _terms_inability(self, order: Order) -> str:
        instrument = self.symbols.instruments.get(order.instrument)
        if instrument is None:
            return f"{order.instrument} is not among the instruments of this account"
        return inability(order, instrument)

    def _inability(self, order: Order) -> str:
        why = self._terms_inability(order)
        if why or order.purpose is not Purpose.PROTECT or order.group_id is None:
            return why
        for other in self._known.sent.values():
            is_replaced = order.replaces == other.client_order_id
            if other.group_id == order.group_id and other.kind is not order.kind and not is_replaced:
                return sibling_inability(order, other)
        return ""

    def _taken(self, order: Order, answer: Any) -> VenueReport:
        try:
            named = {found.client_order_id: found for found in orders_of(row_of(answer), self.symbols)}
        except Unreadable as exc:
            self._hearing.unreadable += 1
            return self._unknown(order, f"the answer cannot be read: {exc}")
        found = named.get(order.client_order_id)
        if found is None:
            return self._unknown(
                order, f"the answer is about {' and '.join(filter(None, named)) or 'no order'}"
            )
        self._known.note(found)
        return VenueAcked(
            ts=self._now(),
            client_order_id=order.client_order_id,
            venue_order_id=found.venue_order_id,
        )

    def _answered_no(self, order: Order, said: Said) -> VenueReport:
        if is_unauthorized(said):
            self._hearing.denied(str(said))
        if is_proof(said):
            return self._refused(order, str(said))
        return self._unknown(order, str(said))

    async def _not_cancelled(self, client_order_id: str, said: Said) -> VenueReport | None:
        if not (is_over(said) or is_absent(said)):
            return None
        try:
            found = await self.find(client_order_id)
        except VenueError:
            return None
        return None if found is None else self._known.end_of(found, self._now())

    def _refused(self, order: Order, reason: str) -> VenueReport:
        self._known.sent.pop(order.client_order_id, None)
        return VenueRefused(ts=self._now(), client_order_id=order.client_order_id, reason=reason)

    def _kept(self, command: ReplaceOrder, reason: str) -> tuple[VenueReport, ...]:
        kept = VenueCancelRefused(ts=self._now(), client_order_id=command.client_order_id, reason=reason)
        return kept, self._refused(command.order, reason)

    def _unknown(self, order: Order, reason: str) -> VenueReport:
        return VenueUnknown(ts=self._now(), client_order_id=order.client_order_id, reason=reason)

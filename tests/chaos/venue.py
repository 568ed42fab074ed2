"""The venue as an outsider: the simulated exchange behind a wire on which everything can go wrong.

Owns the exchange (it outlives every process), what reaches it and in what order, and what it says of
itself. `Link` is the port that one process holds; when the process dies, what was sent still arrives
and nothing comes back. Refuses to judge: `checks` is told of everything that arrives.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from tests.chaos.disk import Killed
from tests.chaos.faults import Faults
from tests.chaos.loop import Agenda
from tradebot.core.messages import (
    CancelOrder,
    Dividend,
    ReplaceOrder,
    SessionClose,
    SessionOpen,
    Split,
    SubmitOrder,
    SubmitPair,
    VenueAcked,
    VenueCanceled,
    VenueCancelRefused,
    VenueFilled,
    VenueRefused,
    VenueReport,
    VenueUnknown,
)
from tradebot.core.model import Order, Purpose, Quote
from tradebot.core.ports import IdPolicy, VenueOrder, VenueSnapshot
from tradebot.core.resting import FREELY, Beside, Resting
from tradebot.errors import VenueUnreachable
from tradebot.sim.exchange import Exchange
from tradebot.sim.venue import Request

Asked = Request | SubmitPair

READ_DEADLINE = 5.0
_SPAN = 1 << 31


@dataclass(frozen=True, slots=True)
class _Past:
    """What the account looked like up to a moment, for reads that lag behind."""

    until: float
    orders: tuple[VenueOrder, ...]
    positions: dict[str, Decimal]
    cash: dict[str, Decimal]
    fills: int
    events: int


class Server:
    """The venue's side. `arrived` is told of each order that the exchange takes, before it does."""

    def __init__(
        self,
        exchange: Exchange,
        agenda: Agenda,
        faults: Faults,
        rng: random.Random,
        *,
        start: int,
        policy: IdPolicy,
        calm_at: float,
        arrived: Callable[[Order], None],
        changed: Callable[[], None],
        note: Callable[[str, object], None],
        resting: Resting = FREELY,
    ) -> None:
        self.exchange = exchange
        self.agenda = agenda
        self.faults = faults
        self.rng = rng
        self.policy = policy
        self.calm_at = calm_at  # when faults are over
        self.start = start
        self.resting = resting
        self.link: Link | None = None
        self.lag = rng.choice([0.0, 0.5, 1.5])
        self.is_mute = False
        self.taken: dict[str, int] = {}  # client order id -> how many orders the exchange took under it
        self.taken_at: dict[str, float] = {}
        self._arrived = arrived
        self._changed = changed
        self._note = note
        self._past: deque[_Past] = deque(maxlen=64)
        self._told_until = 0.0
        self._has_twins = False  # it took two orders under one id

    def now(self) -> int:
        return self.start + int(self.agenda.now * 1e9)

    # --- requests -----------------------------------------------------------------------------------

    def arrive(self, request: Asked, *, is_copy: bool = False) -> list[VenueReport] | None:
        """Carry out a request; returns what is said of it at once, None when its id was used already."""
        self.remember()
        if isinstance(request, CancelOrder):
            if is_copy and request.client_order_id not in self.exchange.sim.blotter.orders:
                return []
            taken: list[Request] = [request]
        else:
            held = self._held_for_others(request)
            admitted = [self._admitted(one, is_copy, is_held=bool(held)) for one in _ones(request)]
            if None in admitted:
                return None
            if held:
                self.faults.saw("refused for what it holds")
                self.publish(held)
                return held
            taken = [one for one in admitted if one is not None]
        for one in taken:
            self.exchange.send(one, self.now())
        reports = self._drain()
        self.publish(reports)
        self._changed()
        return reports

    def _held_for_others(self, request: SubmitOrder | SubmitPair | ReplaceOrder) -> list[VenueReport]:
        """Return the refusals of what would need a quantity that is held, or would trade with itself.

        A real venue looks at a whole account: two strategies that would meet so are refused at the start.
        """
        beside, ids = self.resting.beside, [one.order.client_order_id for one in _ones(request)]
        if beside is Beside.ALL or isinstance(request, ReplaceOrder):
            return []
        for working in self.exchange.sim.blotter.orders.values():
            other = working.order
            for order in (one.order for one in _ones(request)):
                is_near = (other.strategy, other.instrument) == (order.strategy, order.instrument)
                takes_all = order.purpose is Purpose.FLATTEN and other.side is order.side
                holds = takes_all or Purpose.PROTECT in (other.purpose, order.purpose)
                meets = beside is Beside.NOTHING or other.side is order.side
                if is_near and holds and meets and other.client_order_id not in ids:
                    reason = f"{other.client_order_id} rests in its way"
                    return [VenueRefused(ts=self.now(), client_order_id=i, reason=reason) for i in ids]
        return []

    def _admitted(
        self, request: SubmitOrder | ReplaceOrder, is_copy: bool, *, is_held: bool
    ) -> Request | None:
        order = request.order
        order_id, times = order.client_order_id, self.taken.get(order.client_order_id, 0)
        is_open = order_id in self.exchange.sim.blotter.orders
        if times:
            if (
                is_copy
                or self.policy is IdPolicy.FOR_EVER
                or (self.policy is IdPolicy.WHILE_OPEN and is_open)
            ):
                self.faults.saw("copy refused by the venue")
                return None
            self._has_twins = True
            order = replace(order, client_order_id=f"{order_id}~{times}")
            request = replace(request, order=order)
        self.taken[order_id] = times + 1
        self.taken_at[order_id] = self.agenda.now
        if not is_held:
            self._arrived(order)
        return request

    def _drain(self) -> list[VenueReport]:
        return [_named(report) for report in self.exchange.drain()]

    # --- the market ---------------------------------------------------------------------------------

    def on_quote(self, quote: Quote) -> None:
        """Let the market move."""
        if not self.exchange.has_work(quote.instrument):
            self.exchange.mark(quote.instrument, quote)
            return
        self.remember()
        reports = [_named(report) for report in self.exchange.on_market(quote)]
        reports += self._drain()
        self.publish(reports)
        if reports:
            self._changed()

    def on_event(self, event: SessionOpen | SessionClose | Split | Dividend) -> None:
        """Let a session open or close, or a company act."""
        self.remember()
        if isinstance(event, Split):
            self.exchange.on_split(event)
        elif isinstance(event, Dividend):
            self.exchange.on_dividend(event)
        else:
            self.exchange.on_session(event)
        self.publish(self._drain())
        self._changed()

    def pass_time(self) -> None:
        """Let what is due be paid."""
        self.remember()
        self.exchange.advance(self.now())
        self.publish(self._drain())

    # --- the stream ---------------------------------------------------------------------------------

    def publish(self, reports: Iterable[VenueReport]) -> None:
        """Tell the process that listens, more or less."""
        for report in reports:
            self._note("<-", report)
            if self.is_mute:
                self.faults.saw("stream mute")
                continue
            if self.faults.hit("report dropped"):
                continue
            delay = self.rng.uniform(0.01, 0.3)
            if self.faults.hit("report late"):
                delay += self.rng.uniform(1.0, 20.0)
            at = self.agenda.now + delay
            if not self.faults.hit("reports reordered"):
                at = self._told_until = max(self._told_until, at)
            link = self.link
            if link is not None:
                self.agenda.at(at, lambda link=link, report=report: link.hear(report))
                if self.faults.hit("report twice"):
                    again = at + self.rng.uniform(0.0, 10.0)
                    self.agenda.at(again, lambda link=link, report=report: link.hear(report))

    # --- reads --------------------------------------------------------------------------------------

    def remember(self) -> None:
        """Keep what is about to change, for reads that lag."""
        if not self.lag or not self.faults.rates["read stale"]:
            return
        exchange, now = self.exchange, self.agenda.now
        until = now - self.lag
        while self._past and self._past[0].until <= until:
            self._past.popleft()
        fills, events = len(exchange.fills), len(exchange.events)
        books = exchange.snapshot(self.now(), fills * _SPAN + events)
        self._past.append(_Past(now, books.orders, books.positions, books.cash, fills, events))

    def _seen(self) -> _Past | None:
        """Return an older view when this read lags, None when it does not."""
        moment = self.agenda.now - self.lag
        found = next((past for past in self._past if past.until > moment), None)
        return found if found is not None and self.faults.hit("read stale") else None

    def snapshot(self, since: int) -> VenueSnapshot:
        past = self._seen()
        found = self.exchange.snapshot(self.now(), since)
        if past is not None:
            fills, events = divmod(since, _SPAN)
            found = replace(
                found,
                orders=past.orders,
                positions=past.positions,
                cash=past.cash,
                fills=tuple(self.exchange.fills[fills : past.fills]),
                events=tuple(self.exchange.events[events : past.events]),
                cursor=max(past.fills, fills) * _SPAN + max(past.events, events),
            )
        if not self._has_twins:
            return found
        return replace(
            found,
            orders=tuple(replace(o, client_order_id=_plain(o.client_order_id)) for o in found.orders),
            fills=tuple(replace(x, client_order_id=_plain(x.client_order_id)) for x in found.fills),
        )

    def find(self, order_id: str) -> VenueOrder | None:
        past = self._seen()
        if past is not None:
            listed = next((o for o in past.orders if o.client_order_id == order_id), None)
            if listed is not None or self.taken_at.get(order_id, 0.0) > past.until:
                return listed
        return self.exchange.find(order_id)


class Link:
    """What one process holds of the venue: the port `core.ports.Venue`."""

    absence_is_proof = False

    def __init__(self, server: Server, sent: Callable[[Asked], None]) -> None:
        """`sent` is told of each request when the process lets go of it."""
        self.account = server.exchange.account
        self.id_policy = server.policy
        self.is_dead = False
        self._server = server
        self._sent = sent
        self._sink: Callable[[VenueReport], None] | None = None
        server.link = self

    # --- the stream ---------------------------------------------------------------------------------

    def listen(self, sink: Callable[[VenueReport], None]) -> None:
        self._sink = sink

    def hear(self, report: VenueReport) -> None:
        if not self.is_dead and self._sink is not None:
            self._sink(report)

    # --- the port -----------------------------------------------------------------------------------

    async def submit(self, order: Order) -> VenueReport | None:
        return await self._order(SubmitOrder(order=order), order)

    async def submit_pair(self, pair: SubmitPair) -> tuple[VenueReport, ...]:
        self._server.faults.saw("pair sent")
        answer = await self._ask(pair)
        if answer is None:
            return tuple(self._unknown(order, "gateway time-out") for order in pair.orders)
        ids = [order.client_order_id for order in pair.orders]
        first = (VenueAcked, VenueRefused, VenueCanceled)
        return tuple(r for r in answer if isinstance(r, first) and r.client_order_id in ids)

    async def cancel(self, client_order_id: str) -> VenueReport | None:
        answer = await self._ask(CancelOrder(client_order_id=client_order_id))
        return next((r for r in answer or () if getattr(r, "client_order_id", "") == client_order_id), None)

    async def replace(self, command: ReplaceOrder) -> tuple[VenueReport, ...]:
        answer = await self._ask(command)
        if answer is None:
            return (self._unknown(command.order, "gateway time-out"),)
        ids = (command.client_order_id, command.order.client_order_id)
        return tuple(r for r in answer if getattr(r, "client_order_id", "") in ids)

    async def snapshot(self, since: int) -> VenueSnapshot:
        found: VenueSnapshot = await self._read(lambda: self._server.snapshot(since))
        return found

    async def find(self, client_order_id: str) -> VenueOrder | None:
        found: VenueOrder | None = await self._read(lambda: self._server.find(client_order_id))
        return found

    # --- the wire -----------------------------------------------------------------------------------

    async def _order(self, request: SubmitOrder, order: Order) -> VenueReport | None:
        answer = await self._ask(request)
        if answer is None:
            return self._unknown(order, "gateway time-out")
        first = (VenueAcked, VenueRefused, VenueCanceled)
        mine = (r for r in answer if isinstance(r, first) and r.client_order_id == order.client_order_id)
        return next(mine, None)

    def _unknown(self, order: Order, reason: str) -> VenueUnknown:
        return VenueUnknown(ts=self._server.now(), client_order_id=order.client_order_id, reason=reason)

    async def _ask(self, request: Asked) -> list[VenueReport] | None:
        """Send a request once; None: the answer says nothing about its fate. May never return."""
        self._alive()
        self._sent(request)
        server, faults, rng = self._server, self._server.faults, self._server.rng
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        go, back = rng.uniform(0.02, 0.3), rng.uniform(0.02, 0.3)
        if faults.hit("connection refused"):
            self._answer(answer, go, None)
        elif faults.hit("504 before"):
            self._answer(answer, go + back, None)
        elif faults.hit("request lost"):
            pass
        elif not isinstance(request, CancelOrder) and faults.hit("refused"):
            self._answer(answer, go + back, self._refusals(request))
        else:
            if faults.hit("request late"):
                go += rng.uniform(5.0, 50.0)
            elif (
                isinstance(request, SubmitOrder)
                and server.agenda.now < server.calm_at - 200.0
                and faults.hit("request very late")
            ):
                go += rng.uniform(100.0, 250.0)
            server.agenda.after(go, lambda: self._arrives(request, answer, back))
            if faults.hit("request twice"):
                server.agenda.after(go + rng.uniform(0.0, 5.0), lambda: server.arrive(request, is_copy=True))
        found: list[VenueReport] | None = await answer
        return found

    def _arrives(self, request: Asked, answer: asyncio.Future[Any], back: float) -> None:
        faults = self._server.faults
        said = self._server.arrive(request)
        if faults.hit("answer lost"):
            return
        if said is not None and faults.hit("504 after"):
            said = None
        elif said is not None and faults.hit("answer empty"):
            said = []
        self._answer(answer, back, said)

    def _refusals(self, request: SubmitOrder | SubmitPair | ReplaceOrder) -> list[VenueReport]:
        now, reason = self._server.now(), "too many requests"
        refused: list[VenueReport] = [
            VenueRefused(ts=now, client_order_id=one.order.client_order_id, reason=reason)
            for one in _ones(request)
        ]
        if not isinstance(request, ReplaceOrder):
            return refused
        stays = VenueCancelRefused(ts=now, client_order_id=request.client_order_id, reason=reason)
        return [stays, *refused]

    def _answer(self, answer: asyncio.Future[Any], delay: float, said: Any) -> None:
        def arrive() -> None:
            if not self.is_dead and not answer.done():
                answer.set_result(said)

        self._server.agenda.after(delay, arrive)

    async def _read(self, look: Callable[[], Any]) -> Any:
        self._alive()
        server = self._server
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        go, back = server.rng.uniform(0.02, 0.2), server.rng.uniform(0.02, 0.2)
        if server.faults.hit("read fails"):
            await asyncio.sleep(server.rng.choice([go, READ_DEADLINE]))
            raise VenueUnreachable("the venue did not answer")
        server.agenda.after(go, lambda: self._answer(answer, back, look()))
        return await answer

    def _alive(self) -> None:
        if self.is_dead:
            raise Killed


def _ones(request: SubmitOrder | SubmitPair | ReplaceOrder) -> Sequence[SubmitOrder | ReplaceOrder]:
    if isinstance(request, SubmitPair):
        return [SubmitOrder(order=order) for order in request.orders]
    return [request]


def _plain(order_id: str) -> str:
    return order_id.partition("~")[0]


def _named(report: VenueReport) -> VenueReport:
    """Return a report under the id that was sent."""
    if isinstance(report, VenueFilled):
        order_id = _plain(report.fill.client_order_id)
        if order_id == report.fill.client_order_id:
            return report
        return replace(report, fill=replace(report.fill, client_order_id=order_id))
    order_id = _plain(report.client_order_id)
    return report if order_id == report.client_order_id else replace(report, client_order_id=order_id)

"""Be the venue behind every face: the simulated exchange, its time, and what happened there, in order.

Owns the numbered record of orders, each as it was when something happened to it, and who hears of that.
Everything here is synchronous: ledger change, answer and event are three steps that the caller orders.
Refuses protocols: faces translate, and know what their venue would not take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from tradebot.core.messages import (
    CancelOrder,
    Dividend,
    ReplaceOrder,
    SessionClose,
    SessionOpen,
    Split,
    SubmitOrder,
    VenueAcked,
    VenueCanceled,
    VenueExpired,
    VenueFilled,
    VenueRefused,
    VenueReplaced,
    VenueReport,
    VenueTriggered,
)
from tradebot.core.model import Bar, Fill, Instrument, Order, Quote
from tradebot.core.ports import Standing
from tradebot.emulators.clock import VenueClock
from tradebot.sim.accounts import AccountView
from tradebot.sim.exchange import Exchange
from tradebot.sim.seen import is_covered
from tradebot.sim.venue import Request

ZERO = Decimal(0)

_ENDS: dict[type[VenueReport], Standing] = {
    VenueCanceled: Standing.CANCELED,
    VenueExpired: Standing.EXPIRED,
    VenueRefused: Standing.REJECTED,
    VenueReplaced: Standing.REPLACED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderState:
    """One order at one moment. `number` counts orders from 1 and never repeats, whatever ids do.

    `notional` is the sum of qty times price of its trades; `by` the client id of what replaced it.
    Times in ns; `ended` None while it works.
    """

    order: Order
    number: int
    standing: Standing
    created: int
    updated: int
    filled_qty: Decimal = ZERO
    notional: Decimal = ZERO
    fills: tuple[Fill, ...] = ()
    ended: int | None = None
    by: str = ""
    reason: str = ""
    is_triggered: bool = False

    @property
    def is_working(self) -> bool:
        return self.standing is Standing.WORKING


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Something that happened to an order, as it was then; later changes do not show here.

    `position` is the account's quantity of the instrument right after it.
    """

    seq: int
    report: VenueReport
    state: OrderState
    position: Decimal


class House:
    """One account at one emulated venue."""

    def __init__(self, exchange: Exchange, clock: VenueClock) -> None:
        self.exchange = exchange
        self.clock = clock
        self.orders: list[OrderState] = []  # by number - 1, each as it is now
        self.history: list[Happened] = []
        self._latest: dict[str, int] = {}  # client id -> index of the newest order under it
        self._working: dict[int, None] = {}  # indices, oldest first
        self._hears: list[Callable[[Happened], None]] = []
        self._watches: list[Callable[[Bar | Quote], None]] = []

    # --- who hears --------------------------------------------------------------------------------

    def listen(self, sink: Callable[[Happened], None]) -> None:
        """Tell `sink` what happens to orders, at once and in order."""
        self._hears.append(sink)

    def watch(self, sink: Callable[[Bar | Quote], None]) -> None:
        """Tell `sink` of market data, after orders have met them."""
        self._watches.append(sink)

    # --- asked ------------------------------------------------------------------------------------

    @property
    def instruments(self) -> dict[str, Instrument]:
        return dict(self.exchange.sim.blotter.instruments)

    def books(self) -> AccountView:
        """Return cash and positions, a copy."""
        return self.exchange.sim.account(self.exchange.account)

    def find(self, client_order_id: str) -> OrderState | None:
        """Return the newest order under this id."""
        index = self._latest.get(client_order_id)
        return None if index is None else self.orders[index]

    def working(self) -> tuple[OrderState, ...]:
        """Return the orders at work, oldest first."""
        return tuple(self.orders[index] for index in self._working)

    def last(self, instrument: str) -> Bar | Quote | None:
        """Return the newest market data of an instrument."""
        return self.exchange.sim.marks.get(instrument)

    # --- orders -----------------------------------------------------------------------------------

    def submit(self, order: Order) -> tuple[Happened, ...]:
        """Take an order; against a standing quote it trades at once. Returns what happened to anybody."""
        return self._enter(order, SubmitOrder(order=order))

    def cancel(self, client_order_id: str) -> tuple[Happened, ...]:
        """Cancel an order; nothing happens to one that is over."""
        state = self.find(client_order_id)
        place = "" if state is None else state.order.instrument
        return self._send(CancelOrder(client_order_id=client_order_id), place)

    def replace(self, client_order_id: str, order: Order) -> tuple[Happened, ...]:
        """Put `order` in another's place, atomically, or refuse it."""
        return self._enter(order, ReplaceOrder(client_order_id=client_order_id, order=order))

    # --- the market and the owner -----------------------------------------------------------------

    def move(self, item: Bar | Quote) -> tuple[Happened, ...]:
        """Let orders meet market data (time goes on to them), then show them to whoever watches."""
        self.clock.move(item.ts)
        happened = self._heard(self.exchange.drain())
        if self.exchange.has_work(item.instrument):
            for report in self.exchange.on_market(item):
                happened += self._heard((report,))
        elif not (isinstance(item, Bar) and is_covered(item, self.last(item.instrument))):
            # A bar of what quotes have shown is no news: the last quote still stands, to be taken from.
            self.exchange.mark(item.instrument, item)
        happened += self._heard(self.exchange.drain())
        for watch in self._watches:
            watch(item)
        return tuple(happened)

    def pass_time(self) -> tuple[Happened, ...]:
        """Let what was due by now happen: expiries, payments."""
        self.exchange.advance(self.clock.now())
        return tuple(self._heard(self.exchange.drain()))

    def happen(self, event: SessionOpen | SessionClose | Split | Dividend) -> tuple[Happened, ...]:
        """Open or close a session, split, or pay a dividend."""
        self.clock.move(event.ts)
        if isinstance(event, SessionOpen | SessionClose):
            self.exchange.on_session(event)
        elif isinstance(event, Split):
            self.exchange.on_split(event)
            self._rebase(event)
        else:
            self.exchange.on_dividend(event)
        return tuple(self._heard(self.exchange.drain()))

    def transfer(self, asset: str, amount: Decimal, because: str) -> None:
        """Move cash in or out as the owner (or the venue: a fee, interest) would."""
        self.exchange.transfer(asset, amount, because, self.clock.now())

    # --- what follows -----------------------------------------------------------------------------

    def _enter(self, order: Order, command: Request) -> tuple[Happened, ...]:
        order_id, index = order.client_order_id, len(self.orders)
        before = self._latest.get(order_id)
        now = self.clock.now()
        state = OrderState(order=order, number=index + 1, standing=Standing.WORKING, created=now, updated=now)
        self.orders.append(state)
        self._latest[order_id] = index
        self._working[index] = None
        happened = self._send(command, order.instrument)
        if before is not None and self.orders[index].standing is Standing.REJECTED:
            self._latest[order_id] = before  # refused for its id: what comes is the first one's
        return happened

    def _send(self, command: Request, instrument: str) -> tuple[Happened, ...]:
        now = self.clock.now()
        self.exchange.send(command, now)
        happened = self._heard(self.exchange.drain())
        mark = self.last(instrument)
        if isinstance(mark, Quote) and self.exchange.has_work(instrument):
            # A standing quote can be met now; what was taken from it stays taken (`sim.quotes`).
            for report in self.exchange.on_market(mark._replace(ts=max(now, mark.ts))):
                happened += self._heard((report,))
        return tuple(happened)

    def _heard(self, reports: Iterable[VenueReport]) -> list[Happened]:
        found: list[Happened] = []
        for report in reports:
            order_id = _order_of(report)
            index = self._latest.get(order_id)
            if index is None:
                continue  # a cancel of what never was: the caller has its answer
            state = self.orders[index] = _after(self.orders[index], report)
            if not state.is_working:
                self._working.pop(index, None)
            books = self.exchange.sim.blotter.accounts[self.exchange.account]
            happened = Happened(
                seq=len(self.history) + 1,
                report=report,
                state=state,
                position=books.position(state.order.instrument),
            )
            self.history.append(happened)
            found.append(happened)
            for hear in self._hears:
                hear(happened)
        return found

    def _rebase(self, split: Split) -> None:
        for i, state in enumerate(self.orders):
            now = self.exchange.sim.blotter.orders.get(state.order.client_order_id)
            if now is not None and state.is_working and now.order.instrument == split.instrument:
                self.orders[i] = replace(state, order=now.order, filled_qty=now.filled, updated=split.ts)


def _order_of(report: VenueReport) -> str:
    return report.fill.client_order_id if isinstance(report, VenueFilled) else report.client_order_id


def _after(state: OrderState, report: VenueReport) -> OrderState:
    state = replace(state, updated=report.ts)
    if isinstance(report, VenueFilled):
        fill = report.fill
        filled = state.filled_qty + fill.qty
        is_done = state.is_working and filled == state.order.qty
        return replace(
            state,
            filled_qty=filled,
            notional=state.notional + fill.qty * fill.price,
            fills=(*state.fills, fill),
            standing=Standing.FILLED if is_done else state.standing,
            ended=report.ts if is_done else state.ended,
        )
    if isinstance(report, VenueTriggered):
        return replace(state, is_triggered=True)
    standing = _ENDS.get(type(report))
    if standing is None or isinstance(report, VenueAcked):
        return state
    by = report.by if isinstance(report, VenueReplaced) else ""
    reason = getattr(report, "reason", "")
    return replace(state, standing=standing, ended=report.ts, by=by, reason=reason)

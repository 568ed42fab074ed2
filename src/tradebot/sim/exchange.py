"""Remember what the simulated venue did, so that it can be asked: the venue as an outsider sees it.

Owns the history of orders, executions and cash events of one account, and what its owner does there
by hand. Refuses matching (`venue`) and transport: the paper account and the emulated venues bring that.

It takes the simulated venue's place in a timeline: the same calls, with a memory behind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol, overload

from tradebot.core.messages import (
    CancelOrder,
    CashEvent,
    Dividend,
    SessionClose,
    SessionOpen,
    Split,
    VenueCanceled,
    VenueExpired,
    VenueFilled,
    VenueRefused,
    VenueReplaced,
    VenueReport,
)
from tradebot.core.model import Bar, Fill, Order, Quote
from tradebot.core.ports import Standing, VenueOrder, VenueSnapshot
from tradebot.sim.corporate import Payable
from tradebot.sim.venue import Request, SimVenue
from tradebot.sim.working import Role, Working

_ENDS: dict[type[VenueReport], Standing] = {
    VenueCanceled: Standing.CANCELED,
    VenueExpired: Standing.EXPIRED,
    VenueRefused: Standing.REJECTED,
    VenueReplaced: Standing.REPLACED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What became history since it was last taken, for whoever keeps it."""

    orders: tuple[VenueOrder, ...]
    fills: tuple[Fill, ...]
    events: tuple[CashEvent, ...]


class Past(Protocol):
    """Who keeps the history that an exchange does not hold itself."""

    def order(self, client_order_id: str) -> VenueOrder | None:
        """Return a finished order, None when there is none of that id."""

    def fills(self, first: int, last: int) -> list[Fill]:
        """Return trades by their place in the history, `last` excluded."""


class Fills(Sequence[Fill]):
    """All trades, oldest first; the first ones are fetched from a `past`, when there is one."""

    def __init__(self) -> None:
        self._held: list[Fill] = []
        self._before = 0
        self._past: Past | None = None

    def append(self, fill: Fill) -> None:
        self._held.append(fill)

    def put_away(self, past: Past, count: int) -> None:
        """Hold only what comes after the first `count`."""
        self._past = past
        del self._held[: count - self._before]
        self._before = count

    def __len__(self) -> int:
        return self._before + len(self._held)

    def __iter__(self) -> Iterator[Fill]:
        return iter(self[:])

    @overload
    def __getitem__(self, at: int) -> Fill: ...

    @overload
    def __getitem__(self, at: slice) -> list[Fill]: ...

    def __getitem__(self, at: int | slice) -> Fill | list[Fill]:
        if isinstance(at, int):
            return self[at : at + 1 or None][0]
        first, last, step = at.indices(len(self))
        if first >= self._before or self._past is None:
            return self._held[max(first - self._before, 0) : max(last - self._before, 0) : step]
        early = self._past.fills(first, min(last, self._before))
        return [*early, *self._held[: max(last - self._before, 0)]][::step]


class Exchange:
    """One account at a simulated venue, with its history. `sim` matches; nobody else calls it."""

    def __init__(self, sim: SimVenue, account: str, *, tells_dividends: bool = False) -> None:
        """`tells_dividends`: a dividend that is paid is a cash event, too."""
        self.sim = sim
        if tells_dividends:
            sim.paid = self._paid
        self.account = account
        self.has_work = sim.has_work
        self.mark = sim.mark
        self.finished: dict[str, VenueOrder] = {}
        self.fills = Fills()
        self.events: list[CashEvent] = []
        self._asked: dict[str, Order] = {}  # sent and not finished, arrived or not
        self._owners: dict[str, None] = {}
        self._new_orders: list[VenueOrder] = []
        self._told = (0, 0)  # fills and events that were taken as news
        self._past: Past | None = None

    # --- in the timeline ------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        return self.sim.is_idle

    def send(self, command: Request, now: int) -> None:
        """Take a command; see `SimVenue.send`."""
        if not isinstance(command, CancelOrder):
            self._asked.setdefault(command.order.client_order_id, command.order)
        self.sim.send(command, now)

    def owner_sends(self, command: Request, now: int) -> None:
        """Take a command that the owner gives by hand: its reports are nobody else's to hear."""
        if not isinstance(command, CancelOrder):
            self._owners[command.order.client_order_id] = None
        self.send(command, now)

    def on_market(self, item: Bar | Quote) -> Iterator[VenueReport]:
        """Let orders meet `item`; see `SimVenue.on_market`."""
        for report in self.sim.on_market(item):
            self._note(report)
            if not self._is_owners(report):
                yield report

    def drain(self) -> list[VenueReport]:
        """Return the reports not yet taken."""
        reports = self.sim.drain()
        for report in reports:
            self._note(report)
        return [report for report in reports if not self._is_owners(report)]

    def on_session(self, event: SessionOpen | SessionClose) -> None:
        self.sim.on_session(event)

    def on_split(self, event: Split) -> None:
        self.sim.on_split(event)

    def on_dividend(self, event: Dividend) -> None:
        self.sim.on_dividend(event)

    def advance(self, now: int) -> None:
        self.sim.advance(now)

    # --- asked ------------------------------------------------------------------------------------

    def find(self, client_order_id: str) -> VenueOrder | None:
        """Return an order by its id, working or finished; None when it never arrived."""
        w = self.sim.blotter.orders.get(client_order_id)
        return self._finished(client_order_id) if w is None else _standing(w)

    def _finished(self, client_order_id: str) -> VenueOrder | None:
        found = self.finished.get(client_order_id)
        return self._past.order(client_order_id) if found is None and self._past is not None else found

    def snapshot(self, now: int, since: int) -> VenueSnapshot:
        """Return the account at `now`; `since` is the cursor of an earlier snapshot, 0 = from the start."""
        books = self.sim.account(self.account)
        fills, events = _parted(since)
        return VenueSnapshot(
            ts=now,
            orders=tuple(_standing(w) for w in self.sim.blotter.orders.values()),
            positions=dict(books.positions),
            cash=dict(books.cash),
            fills=tuple(self.fills[fills:]),
            events=tuple(self.events[events:]),
            cursor=_joined(len(self.fills), len(self.events)),
        )

    # --- the owner's own hand ---------------------------------------------------------------------

    def transfer(self, asset: str, amount: Decimal, because: str, now: int) -> None:
        """Move cash in or out of the account, as its owner would; the venue explains it."""
        self.sim.blotter.accounts[self.account].add_cash(asset, amount)
        self._moved(asset, amount, because, now)

    def _paid(self, payable: Payable) -> None:
        if payable.account == self.account:
            self._moved(payable.asset, payable.amount, "dividend", payable.pays_at)

    def _moved(self, asset: str, amount: Decimal, because: str, now: int) -> None:
        event = CashEvent(
            ts=now,
            account=self.account,
            asset=asset,
            amount=amount,
            because=because,
            venue_ref=f"e{len(self.events) + 1}",
        )
        self.events.append(event)

    def lose_cash(self, asset: str, amount: Decimal) -> None:
        """Let cash disappear without a word: what no venue explains."""
        self.sim.blotter.accounts[self.account].add_cash(asset, -amount)

    # --- history ----------------------------------------------------------------------------------

    def news(self) -> News:
        """Return what became history since the last call."""
        fills, events = self._told
        news = News(
            orders=tuple(self._new_orders),
            fills=tuple(self.fills[fills:]),
            events=tuple(self.events[events:]),
        )
        self._new_orders.clear()
        self._told = len(self.fills), len(self.events)
        return news

    def go_on(self, past: Past, fills: int, events: Iterable[CashEvent]) -> None:
        """Go on after what an earlier run told as news: so many fills, and these events."""
        self.events += events
        self.put_away(past, fills)
        self._told = fills, len(self.events)

    def put_away(self, past: Past, fills: int | None = None) -> None:
        """Hold finished orders and trades no longer: `past` has all that was told as news."""
        self._past = past
        self.finished.clear()
        self.fills.put_away(past, len(self.fills) if fills is None else fills)

    def recall_working(self) -> None:
        """Know the working orders of a venue whose state was loaded."""
        self._asked = {i: w.order for i, w in self.sim.blotter.orders.items()}
        for rows in self.sim.pending.values():
            for _, _, command, _ in rows:
                if not isinstance(command, CancelOrder):
                    self._asked[command.order.client_order_id] = command.order

    def _is_owners(self, report: VenueReport) -> bool:
        if isinstance(report, VenueFilled):
            return report.fill.client_order_id in self._owners
        return report.client_order_id in self._owners

    def _note(self, report: VenueReport) -> None:
        if isinstance(report, VenueFilled):
            self.fills.append(report.fill)
            order_id = report.fill.client_order_id
            if order_id not in self.sim.blotter.orders and order_id in self._asked:
                self._end(order_id, Standing.FILLED)
            return
        standing = _ENDS.get(type(report))
        if standing is not None:
            by = report.by if isinstance(report, VenueReplaced) else ""
            self._end(report.client_order_id, standing, getattr(report, "reason", ""), by)

    def _end(self, order_id: str, standing: Standing, reason: str = "", by: str = "") -> None:
        order = self._asked.pop(order_id, None)
        known = self._finished(order_id)
        if order is None and known is not None and _fell_short(known, standing):
            # Its last trade was told first: siblings or the order it replaced had taken the rest.
            self.finished[order_id] = gone = replace(known, standing=standing, reason=reason)
            self._new_orders.append(gone)
        if order is None:
            return  # a second word about an order that is over (its id was sent again)
        filled = self.sim.blotter.ended.get(order_id, Decimal(0))
        self.finished[order_id] = gone = _gone(order, filled, standing, reason, by)
        self._new_orders.append(gone)


def _standing(w: Working) -> VenueOrder:
    order = w.order
    return VenueOrder(
        client_order_id=order.client_order_id,
        venue_order_id=w.venue_id,
        instrument=order.instrument,
        side=order.side,
        kind=order.kind,
        qty=order.qty,
        filled_qty=w.filled,
        standing=Standing.WORKING,
        limit_price=order.limit_price,
        stop_price=w.stop_price,
        is_triggered=w.role is not Role.STOP and order.stop_price is not None,
    )


def _fell_short(known: VenueOrder, standing: Standing) -> bool:
    is_filled = known.standing is Standing.FILLED and known.filled_qty < known.qty
    return is_filled and standing is Standing.CANCELED


def _gone(order: Order, filled: Decimal, standing: Standing, reason: str, by: str) -> VenueOrder:
    return VenueOrder(
        client_order_id=order.client_order_id,
        venue_order_id="",
        instrument=order.instrument,
        side=order.side,
        kind=order.kind,
        qty=order.qty,
        filled_qty=filled,
        standing=standing,
        limit_price=order.limit_price,
        stop_price=order.stop_price,
        by=by,
        reason=reason,
    )


# A cursor counts fills and events in one number: what a real venue's time stamp does.
_SPAN = 1 << 31


def _joined(fills: int, events: int) -> int:
    return fills * _SPAN + events


def _parted(cursor: int) -> tuple[int, int]:
    return divmod(cursor, _SPAN)

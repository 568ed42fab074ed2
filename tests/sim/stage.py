"""A venue with one or two instruments and short ways to trade on it; used by the tests beside it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tests.instruments import make_coin, make_share
from tradebot.core.messages import CancelOrder, ReplaceOrder, SubmitOrder, VenueFilled, VenueReport
from tradebot.core.model import AccountModel, Bar, Fill, Instrument, Order, OrderKind, Quote, Side
from tradebot.sim.accounts import SimAccount
from tradebot.sim.settings import FillSettings
from tradebot.sim.venue import SimVenue

D = Decimal
COIN = make_coin()
STOCK = make_share()


class Stage:
    """Bars of length 1 at ts 1, 2, 3, ...; `reports` collects everything the venue said."""

    def __init__(
        self,
        *,
        model: AccountModel = AccountModel.MARGIN,
        cash: Mapping[str, Decimal] | None = None,
        instruments: tuple[Instrument, ...] = (COIN, STOCK),
        settings: FillSettings | None = None,
        **models: Any,
    ) -> None:
        self.venue = SimVenue(
            instruments={i.id: i for i in instruments},
            accounts={"main": SimAccount(model=model, cash=cash or {"USD": D(100_000)})},
            settings=settings,
            **models,
        )
        self.now = 0
        self.reports: list[VenueReport] = []

    def order(self, name: str, side: str, qty: str, kind: str = "market", **terms: Any) -> Order:
        for price in ("limit_price", "stop_price", "trail"):
            if price in terms:
                terms[price] = D(terms[price])
        return Order(
            client_order_id=name,
            account=terms.pop("account", "main"),
            strategy="s",
            instrument=terms.pop("instrument", "COIN"),
            side=Side(side),
            kind=OrderKind(kind),
            qty=D(qty),
            ts=self.now,
            **terms,
        )

    def send(self, name: str, side: str, qty: str, kind: str = "market", **terms: Any) -> list[VenueReport]:
        return self.command(SubmitOrder(order=self.order(name, side, qty, kind, **terms)))

    def cancel(self, name: str) -> list[VenueReport]:
        return self.command(CancelOrder(client_order_id=name))

    def replace(
        self, old: str, name: str, side: str, qty: str, kind: str = "limit", **terms: Any
    ) -> list[VenueReport]:
        order = self.order(name, side, qty, kind, replaces=old, **terms)
        return self.command(ReplaceOrder(client_order_id=old, order=order))

    def command(self, command: SubmitOrder | CancelOrder | ReplaceOrder) -> list[VenueReport]:
        self.venue.send(command, self.now)
        return self.keep(self.venue.drain())

    def bar(
        self,
        o: float,
        h: float,
        lo: float,
        c: float,
        volume: float = 1000.0,
        instrument: str = "COIN",
        ts: int | None = None,
    ) -> list[VenueReport]:
        self.now = self.now + 1 if ts is None else ts
        return self.meet(Bar(instrument, self.now, 1, float(o), float(h), float(lo), float(c), float(volume)))

    def flat(self, price: float, **more: Any) -> list[VenueReport]:
        return self.bar(price, price, price, price, **more)

    def quote(
        self, bid: float, ask: float, bid_qty: float = 10.0, ask_qty: float = 10.0
    ) -> list[VenueReport]:
        self.now += 1
        return self.meet(Quote("COIN", self.now, float(bid), float(bid_qty), float(ask), float(ask_qty)))

    def meet(self, item: Bar | Quote) -> list[VenueReport]:
        self.now = item.ts
        return self.keep(list(self.venue.on_market(item)))

    def keep(self, reports: list[VenueReport]) -> list[VenueReport]:
        self.reports += reports
        return reports

    @property
    def position(self) -> Decimal:
        return self.venue.account("main").positions.get("COIN", D(0))

    @property
    def cash(self) -> Decimal:
        return self.venue.account("main").cash["USD"]


def fills(reports: list[VenueReport]) -> list[Fill]:
    return [r.fill for r in reports if isinstance(r, VenueFilled)]


def trades(reports: list[VenueReport]) -> list[tuple[str, Decimal, Decimal]]:
    """Return (order, signed quantity, price) of every fill."""
    return [(f.client_order_id, f.qty_signed, f.price) for f in fills(reports)]


def words(reports: list[VenueReport]) -> list[tuple[str, str]]:
    """Return (kind of report, order) of every report: ("Acked", "a")."""
    return [
        (
            type(r).__name__.removeprefix("Venue"),
            r.fill.client_order_id if isinstance(r, VenueFilled) else r.client_order_id,
        )
        for r in reports
    ]


def reasons(reports: list[VenueReport]) -> str:
    """Return every reason given, joined."""
    return "; ".join(r.reason for r in reports if hasattr(r, "reason") and r.reason)

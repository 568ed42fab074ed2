"""A venue of the real ccxt on an emulated Binance, and what it said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from typing import Any

from tests.conftest import PATIENCE
from tests.emulators.binance.exchanges import ORDERS, make_face, opened
from tests.emulators.houses import asked
from tradebot.adapters.ccxt.budget import Budget
from tradebot.adapters.ccxt.library import Exchange
from tradebot.adapters.ccxt.symbols import symbols_of
from tradebot.adapters.ccxt.venue import CcxtVenue
from tradebot.core.messages import VenueFilled, VenueReport
from tradebot.core.model import Order, OrderKind, Side, Tif
from tradebot.core.ports import Connected, LinkEvent
from tradebot.emulators.binance.face import BinanceFace
from tradebot.emulators.serving import Served, serve

D = Decimal
NAMES = ("BTC/USDT", "ETH/USDT")


class Account:
    """One venue with everything it said, and the emulator behind it."""

    def __init__(self, face: BinanceFace, served: Served, exchange: Exchange, venue: CcxtVenue) -> None:
        self.face, self.served, self.exchange, self.venue = face, served, exchange, venue
        self.reports: list[VenueReport] = []
        self.links: list[LinkEvent] = []
        self._running: asyncio.Task[None] | None = None
        venue.listen(self.reports.append)

    async def send(self, order: Order) -> list[VenueReport]:
        """Submit and return what was said of it by the answer."""
        before = len(self.reports)
        report = await self.venue.submit(order)
        return self.reports[before:] + ([] if report is None else [report])

    async def cancel(self, order_id: str) -> list[VenueReport]:
        before = len(self.reports)
        report = await self.venue.cancel(order_id)
        return self.reports[before:] + ([] if report is None else [report])

    def posts(self) -> int:
        """How often an order was sent over the wire."""
        return asked(self.face.wire, "POST", ORDERS)

    async def start(self) -> None:
        """Dial the private stream and wait until it stands."""
        self._running = asyncio.get_running_loop().create_task(self.venue.run(self.links.append))
        await self.until(lambda: any(isinstance(link, Connected) for link in self.links))

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                await asyncio.sleep(0.005)

    def fills(self) -> list[VenueFilled]:
        return [r for r in self.reports if isinstance(r, VenueFilled)]

    async def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self.venue.close()


@contextmanager
def impatient(exchange: Exchange) -> Iterator[None]:
    """Give up soon on answers that never come; whatever else is asked must not have to hurry."""
    usual, exchange.deadline_s = exchange.deadline_s, 0.3
    yield
    exchange.deadline_s = usual


@asynccontextmanager
async def account(
    *,
    cash: Mapping[str, Decimal] | None = None,
    face: BinanceFace | None = None,
    deadline_s: float = 5.0,
    **terms: Any,
) -> AsyncIterator[Account]:
    """Serve an emulator and open a venue on it."""
    made = face or make_face(cash)
    async with serve(made) as served:
        found = await open_account(made, served, deadline_s=deadline_s, **terms)
        try:
            yield found
        finally:
            await found.close()


async def open_account(
    face: BinanceFace,
    served: Served,
    *,
    deadline_s: float = 5.0,
    names: Sequence[str] = NAMES,
    budget: Budget | None = None,
    **terms: Any,
) -> Account:
    """Open one more venue on a served emulator: another life of the same account."""
    exchange = await opened(served, deadline_s=deadline_s, budget=budget)
    symbols = symbols_of("binance", exchange.raw.markets, names, exchange.raw.precisionMode)
    return Account(face, served, exchange, CcxtVenue(exchange, symbols, "main", **terms))


def order(
    order_id: str = "t1a", side: str = "buy", qty: str = "1", kind: str = "market", **terms: Any
) -> Order:
    for price in ("limit_price", "stop_price"):
        if price in terms:
            terms[price] = D(terms[price])
    given: dict[str, Any] = {
        "account": "main",
        "strategy": "s",
        "instrument": "BTC/USDT",
        "ts": 1,
        "tif": Tif.GTC,
    }
    return Order(
        client_order_id=order_id, side=Side(side), qty=D(qty), kind=OrderKind(kind), **{**given, **terms}
    )

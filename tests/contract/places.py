"""The places where the venue port is proved: each a venue, its market, and its owner's own hand.

A place is an async context that yields a `Place`; `PLACES` maps its name to it. To add a venue, write such
a context and add it there: the tests of `test_venue.py` then run against it unchanged.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol

from tests.emulators.alpacas import KEY, SECRET, alpaca
from tests.emulators.houses import STOCK, T0, make_house
from tradebot.adapters.alpaca.endpoint import endpoint_of
from tradebot.adapters.alpaca.line import Pauses
from tradebot.adapters.alpaca.rest import Deadlines, Rest
from tradebot.adapters.alpaca.venue import AlpacaVenue
from tradebot.core.messages import VenueFilled, VenueReport
from tradebot.core.model import MINUTE, Bar, Instrument, Order, OrderKind, Side, Tif
from tradebot.core.ports import Connected, LinkEvent, Venue
from tradebot.daemon.clock import DataClock
from tradebot.daemon.paper import PaperVenue
from tradebot.emulators.house import House
from tradebot.sim.exchange import Exchange

SHARE = replace(STOCK, lot_size=Decimal(1))
OURS = "ab"  # how our client order ids begin
QUICK = Pauses(first=0.02, longest=0.1, crowded=0.05, open_within=2.0)
IMPATIENT = Deadlines(connect=2.0, read=1.5, whole=3.0)


def is_ours(client_order_id: str) -> bool:
    return client_order_id.startswith(OURS)


class Market(Protocol):
    """Moves prices, and acts as the owner."""

    def bar(self, bar: Bar) -> None: ...

    def owner(self, order: Order) -> None: ...

    def transfer(self, asset: str, amount: Decimal, because: str) -> None: ...


class Place:
    """A venue with one instrument. `lot` is the quantity that tests trade in multiples of."""

    def __init__(self, name: str, venue: Venue, market: Market, instrument: Instrument) -> None:
        self.name, self.venue, self.market, self.instrument = name, venue, market, instrument
        self.lot = max(instrument.lot_size, Decimal("0.01") if instrument.lot_size < 1 else Decimal(1))
        self.now = T0
        self.reports: list[VenueReport] = []
        self._count = 0
        venue.listen(self.reports.append)

    @property
    def can_replace(self) -> bool:
        return bool(getattr(self.venue, "can_replace", True))

    def order(self, side: str, lots: int, kind: str = "market", **terms: Any) -> Order:
        """Make an order of ours; `limit` and `stop` are prices."""
        self._count += 1
        return Order(
            client_order_id=f"{OURS}{self._count:012d}",
            account="main",
            strategy="s",
            instrument=self.instrument.id,
            side=Side(side),
            kind=OrderKind(kind),
            qty=self.lot * lots,
            ts=self.now,
            limit_price=None if "limit" not in terms else Decimal(terms.pop("limit")),
            stop_price=None if "stop" not in terms else Decimal(terms.pop("stop")),
            tif=Tif.GTC,
            **terms,
        )

    async def submit(self, order: Order) -> VenueReport:
        """Send an order; return the first word about its fate, however it came."""
        report = await self.venue.submit(order)
        if report is not None:
            return report
        await self.until(lambda: bool(self.of(order)))
        return self.of(order)[0]

    def of(self, order: Order) -> list[VenueReport]:
        """Return what was reported of an order so far."""
        ids = [
            r.fill.client_order_id if isinstance(r, VenueFilled) else r.client_order_id for r in self.reports
        ]
        return [r for i, r in zip(ids, self.reports, strict=True) if i == order.client_order_id]

    def bar(self, close: float, open_: float | None = None, volume: float = 1e6) -> None:
        """Let a minute pass."""
        self.now += MINUTE
        start = close if open_ is None else open_
        low, high = min(start, close), max(start, close)
        self.market.bar(Bar(self.instrument.id, self.now, MINUTE, start, high, low, close, volume))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for reports until something holds."""
        async with asyncio.timeout(5):
            while not holds():
                await asyncio.sleep(0.005)

    async def quiet(self) -> None:
        """Wait for what may still be on its way."""
        count = -1
        while count != len(self.reports):
            count = len(self.reports)
            await asyncio.sleep(0 if self.name == "sim" else 0.05)


class _Sim:
    def __init__(self, venue: PaperVenue, clock: DataClock, tell: Callable[[VenueReport], None]) -> None:
        self._venue, self._clock, self._tell = venue, clock, tell

    def bar(self, bar: Bar) -> None:
        self._clock.move(bar.ts)
        for report in self._venue.on_market(bar):
            self._tell(report)
        for report in self._venue.drain():
            self._tell(report)

    def owner(self, order: Order) -> None:
        from tradebot.core.messages import SubmitOrder

        self._venue.exchange.owner_sends(SubmitOrder(order=order), self._clock.now())

    def transfer(self, asset: str, amount: Decimal, because: str) -> None:
        self._venue.exchange.transfer(asset, amount, because, self._clock.now())


class HouseMarket:
    """Moves an emulated venue from inside its process."""

    def __init__(self, house: House) -> None:
        self.house = house

    def bar(self, bar: Bar) -> None:
        self.house.move(bar)

    def owner(self, order: Order) -> None:
        self.house.submit(order)

    def transfer(self, asset: str, amount: Decimal, because: str) -> None:
        self.house.transfer(asset, amount, because)


@asynccontextmanager
async def sim_place() -> AsyncIterator[Place]:
    """The simulated venue in this process, as a paper account has it."""
    clock = DataClock(T0)
    house = make_house(instruments=(SHARE,))
    venue = PaperVenue(Exchange(house.exchange.sim, "main"), clock)
    market = _Sim(venue, clock, lambda report: place.reports.append(report))
    place = Place("sim", venue, market, SHARE)
    place.bar(100.0)
    yield place


@asynccontextmanager
async def alpaca_place(*, account_id: str = "", **options: Any) -> AsyncIterator[Place]:
    """The Alpaca adapter with the real library against the emulated Alpaca."""
    house = make_house(instruments=(SHARE,))
    async with alpaca(house, **options) as served:
        endpoint = endpoint_of(is_live=False, url=served.served.url)
        rest = Rest(endpoint, KEY, SECRET, deadlines=IMPATIENT, per_minute=1_000_000)
        venue = AlpacaVenue(
            rest,
            "main",
            {SHARE.id: SHARE},
            is_ours,
            key=KEY,
            secret=SECRET,
            now=house.clock.now,
            pauses=QUICK,
            account_id=account_id,
        )
        place = AlpacaPlace("alpaca", venue, HouseMarket(house), SHARE)
        place.served = served
        place.alpaca = venue
        place.bar(100.0)
        running = asyncio.get_running_loop().create_task(venue.run(place.links.append))
        try:
            await place.until(lambda: any(isinstance(e, Connected) for e in place.links))
            yield place
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await venue.close()


class AlpacaPlace(Place):
    """With what tests of Alpaca alone look at."""

    served: Any
    alpaca: AlpacaVenue

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.links: list[LinkEvent] = []

    @property
    def wire(self) -> Any:
        return self.served.face.wire

    def asked(self, method: str, path: str = "/v2/orders") -> int:
        """Return how often the venue was asked this."""
        return sum((r.method, r.path) == (method, path) for r in self.wire.requests)


def binance_place() -> AbstractAsyncContextManager[Place]:
    """The ccxt adapter with the real library against the emulated Binance."""
    from tests.contract import binances  # it is made of what stands above

    return binances.binance_place()


PLACES: dict[str, Callable[[], AbstractAsyncContextManager[Place]]] = {
    "sim": sim_place,
    "alpaca": alpaca_place,
    "binance": binance_place,
}

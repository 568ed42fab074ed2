"""The places where the venue port is proved: each a venue, its market, and its owner's own hand.

A place is an async context that yields a `Place`. To add a venue, write such a context beside the others
(`alpacas.py`, `binances.py`) and name it in `test_venue.py`, whose tests then run against it unchanged.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol

from tests.conftest import PATIENCE
from tests.emulators.houses import STOCK, T0, asked, make_house
from tradebot.core.messages import SubmitOrder, VenueFilled, VenueReport
from tradebot.core.model import MINUTE, Bar, Instrument, Order, OrderKind, Side, Tif
from tradebot.core.ports import Connected, LinkEvent, LiveVenue, Venue
from tradebot.daemon.clock import DataClock
from tradebot.daemon.paper import PaperVenue
from tradebot.emulators.house import House
from tradebot.emulators.serving import Face
from tradebot.sim.exchange import Exchange

SHARE = replace(STOCK, lot_size=Decimal(1))
OURS = "ab"  # how our client order ids begin


def is_ours(client_order_id: str) -> bool:
    return client_order_id.startswith(OURS)


class Market(Protocol):
    """Moves prices, and acts as the owner."""

    def bar(self, bar: Bar) -> None: ...

    def owner(self, order: Order) -> None: ...

    def transfer(self, asset: str, amount: Decimal, because: str) -> None: ...


class Place:
    """A venue with one instrument. `lot` is the quantity that tests trade in multiples of."""

    pause_s = 0.0  # what a word needs at most from the venue to here

    def __init__(self, venue: Venue, market: Market, instrument: Instrument) -> None:
        self.venue, self.market, self.instrument = venue, market, instrument
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

    def ended(self, order: Order, kind: type) -> bool:
        """Return whether an order's last report so far is of this kind."""
        return isinstance(next(reversed(self.of(order)), None), kind)

    def bar(self, close: float, open_: float | None = None, volume: float = 1e6) -> None:
        """Let a minute pass."""
        self.now += MINUTE
        start = close if open_ is None else open_
        low, high = min(start, close), max(start, close)
        self.market.bar(Bar(self.instrument.id, self.now, MINUTE, start, high, low, close, volume))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for reports until something holds."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                await asyncio.sleep(0.005)

    async def quiet(self) -> None:
        """Wait for what may still be on its way."""
        count = -1
        while count != len(self.reports):
            count = len(self.reports)
            await asyncio.sleep(self.pause_s)


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
    place = Place(venue, market, SHARE)
    place.bar(100.0)
    yield place


class WirePlace(Place):
    """A venue behind a wire: what was said of the connection, and what was asked over it."""

    pause_s = 0.05
    venue: LiveVenue

    def __init__(self, venue: LiveVenue, face: Face, market: Market, instrument: Instrument) -> None:
        super().__init__(venue, market, instrument)
        self.face, self.house, self.wire = face, face.house, face.wire
        self.links: list[LinkEvent] = []

    def asked(self, method: str, path: str) -> int:
        """Return how often the venue was asked this."""
        return asked(self.wire, method, path)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Follow the private stream, from the first bar at 100 until left."""
        self.bar(100.0)
        running = asyncio.get_running_loop().create_task(self.venue.run(self.links.append))
        try:
            await self.until(lambda: any(isinstance(e, Connected) for e in self.links))
            yield
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await self.venue.close()

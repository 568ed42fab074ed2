"""The ccxt adapter with the real library against the emulated Binance, as a place of the contract suite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

from tests.contract.places import HouseMarket, Place, is_ours
from tests.emulators.binance.exchanges import KEY, SECRET, T0, make_coin, opened
from tradebot.adapters.ccxt.symbols import symbols_for
from tradebot.adapters.ccxt.venue import CcxtVenue
from tradebot.core.model import Bar
from tradebot.core.ports import Connected, LinkEvent
from tradebot.emulators.binance.face import SETTINGS, BinanceFace, binance_house
from tradebot.emulators.clock import VenueClock
from tradebot.emulators.serving import serve
from tradebot.sim.fees import NoFees
from tradebot.sim.settings import MarketAt

COIN = replace(make_coin(), min_notional=Decimal(0))


class _Steady(HouseMarket):
    """A market whose minutes pass at once: the clock that clients are told does not jump with them."""

    def bar(self, bar: Bar) -> None:
        super().bar(bar)
        clock = self.house.clock
        clock.skew = T0 - clock.now()


class BinancePlace(Place):
    """With what tests of Binance alone look at."""

    face: BinanceFace
    binance: CcxtVenue

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.links: list[LinkEvent] = []

    def asked(self, method: str, path: str = "/api/v3/order") -> int:
        """Return how often the venue was asked this."""
        return sum((r.method, r.path) == (method, path) for r in self.face.wire.requests)


@asynccontextmanager
async def binance_place(*, deadline_s: float = 2.0) -> AsyncIterator[BinancePlace]:
    """Without fees, and with market orders that wait for the next bar, as the suite has them everywhere."""
    house = binance_house(
        {COIN.id: COIN},
        {COIN.quote: Decimal(100_000)},
        VenueClock(T0, 0.0),
        fees=NoFees(),
        settings=replace(SETTINGS, market_at=MarketAt.NEXT_OPEN),
    )
    face = BinanceFace(house, {KEY: SECRET}, weight_limit=10**9)
    async with serve(face) as served:
        exchange = await opened(served, deadline_s=deadline_s)
        exchange.raw.options["recvWindow"] = 60_000  # the clock of the suite stands still, ours does not
        venue = CcxtVenue(exchange, symbols_for("binance", {COIN.id: COIN}), "main", is_ours=is_ours)
        place = BinancePlace("binance", venue, _Steady(house), COIN)
        place.face, place.binance = face, venue
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

"""The ccxt adapter with the real library against the emulated Binance: as a place, and under a whole account."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.contract.accounts import CASH, HOLDS, Desk
from tests.contract.places import HouseMarket, WirePlace, is_ours
from tests.emulators.binance.exchanges import KEY, ORDERS, SECRET, T0, make_pair, opened
from tradebot.adapters.ccxt.feed import CcxtFeed
from tradebot.adapters.ccxt.library import Exchange
from tradebot.adapters.ccxt.symbols import symbols_for
from tradebot.adapters.ccxt.venue import CcxtVenue
from tradebot.core.model import MINUTE, Bar, Instrument
from tradebot.emulators.binance.face import SETTINGS, BinanceFace, binance_house
from tradebot.emulators.binance.sockets import USER
from tradebot.emulators.clock import VenueClock
from tradebot.emulators.serving import Served, serve
from tradebot.sim.fees import FeeModel, NoFees
from tradebot.sim.settings import MarketAt

COIN = make_pair(min_notional=Decimal(0))
DOLLAR_COIN = make_pair("BTC", "USD", min_notional=Decimal(0))


def face_of(coin: Instrument, clock: VenueClock, fees: FeeModel | None = None) -> BinanceFace:
    """Return an exchange without limits, where market orders wait for the next bar as the suite has them everywhere."""
    house = binance_house(
        {coin.id: coin},
        {coin.quote: CASH},
        clock,
        fees=fees or NoFees(),
        settings=replace(SETTINGS, market_at=MarketAt.NEXT_OPEN),
    )
    return BinanceFace(house, {KEY: SECRET}, weight_limit=10**9)


class _Steady(HouseMarket):
    """A market whose minutes pass at once: the clock that clients are told does not jump with them."""

    def bar(self, bar: Bar) -> None:
        super().bar(bar)
        clock = self.house.clock
        clock.skew = T0 - clock.now()


@asynccontextmanager
async def binance_place() -> AsyncIterator[WirePlace]:
    """A place that trades a coin."""
    face = face_of(COIN, VenueClock(T0, 0.0))
    async with serve(face) as served:
        exchange = await opened(served)
        exchange.raw.options["recvWindow"] = 60_000  # the clock of the suite stands still, ours does not
        venue = CcxtVenue(exchange, symbols_for("binance", {COIN.id: COIN}), "main", is_ours=is_ours)
        place = WirePlace(venue, face, _Steady(face.house), COIN)
        async with place.connected():
            yield place


class BinanceDesk(Desk):
    """An account at Binance, or with simulated fills on its feed."""

    name, feeds = "binance", ("binance", "binance")
    orders, dial, stream = ORDERS, "/ws-api/v3", USER
    refusals = 1
    face: BinanceFace

    def __init__(self, root: Path, face: BinanceFace, served: Served, **terms: Any) -> None:
        super().__init__(root, face, **terms)
        self._served = served

    async def feed(self) -> CcxtFeed:
        feed = CcxtFeed(await self._exchange())
        await feed.instruments([self.instrument.id])
        return feed

    async def venue(self) -> CcxtVenue:
        symbols = symbols_for("binance", {self.instrument.id: self.instrument})
        return CcxtVenue(await self._exchange(), symbols, "main", is_ours=self.is_ours)

    async def _exchange(self) -> Exchange:
        return await opened(self._served, wall=self.house.clock.now)


@asynccontextmanager
async def binance_desk(
    root: Path, *, is_sim: bool = False, has_stop: bool = False, fees: FeeModel | None = None
) -> AsyncIterator[BinanceDesk]:
    """Open a market with half an hour of the past at 99, and nobody trading yet."""
    coin = DOLLAR_COIN
    face = face_of(coin, VenueClock(T0 - 31 * MINUTE, 0.0), fees)
    for n in range(30, -1, -1):
        face.house.move(Bar(coin.id, T0 - n * MINUTE, MINUTE, 99.0, 99.0, 99.0, 99.0, 1e6))
    async with serve(face) as served:
        found = BinanceDesk(root, face, served, instrument=coin, is_sim=is_sim, **(HOLDS if has_stop else {}))
        try:
            yield found
        finally:
            await found.kill()

"""The Alpaca adapter with the real library against the emulated Alpaca: as a place, and under a whole account."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.contract.accounts import CASH, HOLDS, Desk
from tests.contract.places import SHARE, HouseMarket, WirePlace, is_ours
from tests.emulators.alpacas import KEY, SECRET, Alpaca, alpaca
from tests.emulators.houses import COIN, T0, make_house
from tradebot.adapters.alpaca.endpoint import endpoint_of
from tradebot.adapters.alpaca.feed import AlpacaFeed
from tradebot.adapters.alpaca.line import Pauses
from tradebot.adapters.alpaca.rest import Deadlines, Rest
from tradebot.adapters.alpaca.venue import AlpacaVenue
from tradebot.core.model import HOUR, MINUTE, Bar, Instrument
from tradebot.emulators.alpaca.streams import TRADES
from tradebot.emulators.clock import VenueClock
from tradebot.sim.settings import FillSettings, OnSplit

PAIR = replace(COIN, shortable=False)
ORDERS = "/v2/orders"
MORNING = T0 - 7 * HOUR - 14 * MINUTE  # 15:00 UTC, 10:00 in New York
QUICK = Pauses(first=0.02, longest=0.1, crowded=0.05, open_within=2.0)
IMPATIENT = Deadlines(connect=2.0, read=1.0, whole=3.0)  # where an answer is waited for in vain


def rest_of(venue: Alpaca, secret: str = SECRET, deadlines: Deadlines | None = None) -> Rest:
    """Return requests that know no limit."""
    endpoint = endpoint_of(is_live=False, url=venue.served.url)
    return Rest(endpoint, KEY, secret, deadlines=deadlines or Deadlines(), per_minute=1_000_000)


def venue_of(
    venue: Alpaca, instrument: Instrument, *, deadlines: Deadlines | None = None, **terms: Any
) -> AlpacaVenue:
    """Return the adapter, dialling anew at once."""
    return AlpacaVenue(
        rest_of(venue, deadlines=deadlines),
        "main",
        {instrument.id: instrument},
        key=KEY,
        secret=SECRET,
        now=venue.house.clock.now,
        pauses=QUICK,
        **terms,
    )


@asynccontextmanager
async def alpaca_place(
    *, account_id: str = "", deadlines: Deadlines | None = None, **options: Any
) -> AsyncIterator[WirePlace]:
    """A place that trades a share."""
    house = make_house(instruments=(SHARE,))
    async with alpaca(house, **options) as served:
        venue = venue_of(served, SHARE, deadlines=deadlines, is_ours=is_ours, account_id=account_id)
        place = WirePlace(venue, served.face, HouseMarket(house), SHARE)
        async with place.connected():
            yield place


class AlpacaDesk(Desk):
    """An account at Alpaca, or with simulated fills on its feed."""

    name, feeds = "alpaca", ("alpaca", "iex")
    orders, dial, stream = ORDERS, "/stream", TRADES
    refusals = 4

    def __init__(self, root: Path, venue: Alpaca, **terms: Any) -> None:
        super().__init__(root, venue.face, **terms)
        self._alpaca = venue

    async def feed(self) -> AlpacaFeed:
        return AlpacaFeed(
            rest_of(self._alpaca), key=KEY, secret=SECRET, now=self.house.clock.now, pauses=QUICK
        )

    async def venue(self) -> AlpacaVenue:
        return venue_of(self._alpaca, self.instrument, is_ours=self.is_ours)


@asynccontextmanager
async def alpaca_desk(
    root: Path, *, is_sim: bool = False, has_stop: bool = False
) -> AsyncIterator[AlpacaDesk]:
    """Open a market with half an hour of the past at 99, and nobody trading yet.

    Pairs are traded there, unless a stop is to rest: that takes a share, on a morning in New York.
    """
    instrument = SHARE if has_stop else PAIR
    house = make_house(
        instruments=(instrument,), cash={"USD": CASH}, settings=FillSettings(on_split=OnSplit.ADJUST)
    )
    start = MORNING if has_stop else T0
    house.clock = VenueClock(start, 0.0)
    async with alpaca(house, ghost_s=0.0) as venue:
        past = [
            Bar(instrument.id, start - n * MINUTE, MINUTE, 99.0, 99.0, 99.0, 99.0, 1e6)
            for n in range(30, -1, -1)
        ]
        venue.face.market.remember(past[:-1])
        house.move(past[-1])
        found = AlpacaDesk(root, venue, instrument=instrument, is_sim=is_sim, **(HOLDS if has_stop else {}))
        try:
            yield found
        finally:
            await found.kill()

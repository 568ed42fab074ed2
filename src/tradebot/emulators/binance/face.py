"""Put an emulated Binance together: one house, its desk, REST and sockets behind one application.

Owns the settings that make the matching core behave as an exchange's. Refuses hosts: `serving` listens.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from aiohttp import web

from tradebot.core.model import AccountModel, Instrument
from tradebot.emulators.binance.access import Access
from tradebot.emulators.binance.desk import Desk
from tradebot.emulators.binance.rest import Rest
from tradebot.emulators.binance.sockets import Sockets
from tradebot.emulators.clock import VenueClock
from tradebot.emulators.house import House
from tradebot.emulators.wire import Wire
from tradebot.sim.accounts import SimAccount
from tradebot.sim.exchange import Exchange
from tradebot.sim.fees import FeeModel, ReceivedAssetFees
from tradebot.sim.settings import FillSettings, MarketAt, StopThrough
from tradebot.sim.venue import SimVenue

# An id is free again once its order has ended; market orders never wait; a stop must lie ahead.
SETTINGS = FillSettings(market_at=MarketAt.SAME_CLOSE, ids_for_ever=False, stop_through=StopThrough.REJECT)
FEES = ReceivedAssetFees(maker=Decimal(10), taker=Decimal(10))


def binance_house(
    instruments: Mapping[str, Instrument],
    cash: Mapping[str, Decimal],
    clock: VenueClock,
    *,
    account: str = "main",
    fees: FeeModel = FEES,
    settings: FillSettings = SETTINGS,
) -> House:
    """Return a house that matches as an exchange for spot does. `cash` also holds base assets."""
    bases = {inst.base: name for name, inst in instruments.items()}
    first = {asset: amount for asset, amount in cash.items() if asset not in bases}
    sim = SimVenue(
        instruments=instruments,
        accounts={account: SimAccount(model=AccountModel.CASH, cash=first)},
        settings=settings,
        fees=fees,
    )
    for asset, amount in cash.items():
        if asset in bases:
            sim.blotter.accounts[account].add_position(bases[asset], amount)
    return House(Exchange(sim, account, tells_dividends=True), clock)


class BinanceFace:
    """Binance spot over one house. `keys` maps API keys to their secrets."""

    def __init__(self, house: House, keys: Mapping[str, str], *, weight_limit: int = 6000) -> None:
        self.house = house
        self.wire = Wire()
        self.desk = Desk(house)
        self.access = Access(house.clock, keys, weight_limit)
        self.sockets = Sockets(self.desk, self.access, self.wire)

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self.wire.middleware])
        Rest(self.desk, self.access, self.sockets.book_ids).add_to(app)
        self.sockets.add_to(app)
        return app

"""Put the Alpaca face together: REST, market data and streams over one house."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from aiohttp import web

from tradebot.core.model import AccountModel, AssetClass, Instrument
from tradebot.emulators.alpaca.access import Access
from tradebot.emulators.alpaca.market import MarketData
from tradebot.emulators.alpaca.rest import Rest
from tradebot.emulators.alpaca.streams import Streams
from tradebot.emulators.clock import VenueClock
from tradebot.emulators.house import House
from tradebot.emulators.wire import Wire
from tradebot.sim.accounts import SimAccount
from tradebot.sim.exchange import Exchange
from tradebot.sim.settings import FillSettings, OnSplit
from tradebot.sim.venue import SimVenue

ACCOUNT = "main"


def alpaca_house(
    symbols: Iterable[str],
    cash: Mapping[str, Decimal],
    clock: VenueClock,
    *,
    model: AccountModel = AccountModel.MARGIN,
) -> House:
    """Return a house as Alpaca is one: shares in billionths, pairs (with a slash), a split re-bases orders."""
    instruments = {name: _coin(name) if "/" in name else _share(name) for name in symbols}
    sim = SimVenue(
        instruments=instruments,
        accounts={ACCOUNT: SimAccount(model=model, cash=dict(cash))},
        settings=FillSettings(on_split=OnSplit.ADJUST),
    )
    return House(Exchange(sim, ACCOUNT, tells_dividends=True), clock)


def _share(symbol: str) -> Instrument:
    return Instrument(
        id=symbol,
        base=symbol,
        quote="USD",
        asset_class=AssetClass.STOCK,
        tick_size=Decimal("0.01"),
        lot_size=Decimal("1e-9"),
        calendar="XNYS",
    )


def _coin(symbol: str) -> Instrument:
    base, _, quote = symbol.partition("/")
    return Instrument(
        id=symbol,
        base=base,
        quote=quote,
        asset_class=AssetClass.CRYPTO,
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.000001"),
        shortable=False,
    )


class AlpacaFace:
    """One Alpaca account. `keys` maps key ids to secrets."""

    def __init__(
        self,
        house: House,
        keys: Mapping[str, str],
        *,
        per_minute: int | None = 200,
        ghost_s: float = 90.0,
        auth_s: float = 10.0,
        symbol_limit: int | None = None,
        is_binary: bool = True,
    ) -> None:
        """`is_binary`: trade updates come in binary frames, as from the paper endpoint."""
        self.house = house
        self.wire = Wire()
        self.access = Access(keys, per_minute=per_minute, ghost_s=ghost_s)
        self.rest = Rest(house, self.access)
        self.market = MarketData(house, self.access)
        self.streams = Streams(
            house,
            self.wire,
            self.access,
            self.rest.shown,
            auth_s=auth_s,
            symbol_limit=symbol_limit,
            is_binary=is_binary,
        )

    def app(self) -> web.Application:
        """Return the application of the face's port."""
        app = web.Application(middlewares=[self.wire.middleware])
        self.market.add_to(app)
        self.streams.add_to(app)
        self.rest.add_to(app)
        return app

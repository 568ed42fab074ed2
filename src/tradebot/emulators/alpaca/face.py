"""Put the Alpaca face together: REST, market data and streams over one house."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from tradebot.emulators.alpaca.access import Access
from tradebot.emulators.alpaca.market import MarketData
from tradebot.emulators.alpaca.rest import Rest
from tradebot.emulators.alpaca.streams import Streams
from tradebot.emulators.house import House
from tradebot.emulators.wire import Wire


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

"""A served Alpaca face with a plain HTTP client, for tests of the emulator itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.emulators.houses import make_house, quote
from tradebot.emulators.alpaca.face import AlpacaFace
from tradebot.emulators.house import House
from tradebot.emulators.serving import Served, serve

KEY, SECRET = "PKEMULATED", "secret-of-the-emulated"


class Alpaca:
    """A face, where it is served, and short ways to ask it."""

    def __init__(self, face: AlpacaFace, served: Served, client: aiohttp.ClientSession) -> None:
        self.face, self.served, self.client = face, served, client
        self.house: House = face.house

    async def ask(self, method: str, path: str, body: object = None, **query: str) -> tuple[int, Any]:
        headers = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}
        url = f"{self.served.url}{path}"
        async with self.client.request(method, url, json=body, params=query, headers=headers) as answer:
            text = await answer.text()
            return answer.status, await answer.json() if text else None

    async def order(self, **terms: object) -> tuple[int, Any]:
        given = {"symbol": "SPY", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
        return await self.ask("POST", "/v2/orders", {**given, **terms})


@asynccontextmanager
async def alpaca(house: House | None = None, **options: Any) -> AsyncIterator[Alpaca]:
    """Serve a face whose SPY stands at 99 to 100 and whose coin at 999 to 1000."""
    if house is None:
        house = make_house()
        house.move(quote(99.0, 100.0))
        house.move(quote(999.0, 1000.0, instrument="BTC/USD"))
    face = AlpacaFace(house, {KEY: SECRET}, **{"per_minute": None, **options})
    async with serve(face) as served, aiohttp.ClientSession() as client:
        yield Alpaca(face, served, client)

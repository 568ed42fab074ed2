"""An emulated venue with two instruments whose clock stands still, and a face that speaks plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from aiohttp import web

from tests.instruments import make_coin, make_share
from tradebot.core.model import (
    MINUTE,
    AccountModel,
    Bar,
    Instrument,
    Order,
    OrderKind,
    Quote,
    Side,
    Tif,
)
from tradebot.emulators.clock import VenueClock
from tradebot.emulators.house import Happened, House
from tradebot.emulators.wire import Wire
from tradebot.sim.accounts import SimAccount
from tradebot.sim.exchange import Exchange
from tradebot.sim.settings import FillSettings
from tradebot.sim.venue import SimVenue

D = Decimal
T0 = 1_700_000_040_000_000_000  # a full minute

COIN = make_coin("BTC/USD", lot="0.0001")
STOCK = make_share("SPY", lot="0.0001")


def make_house(
    *,
    instruments: tuple[Instrument, ...] = (COIN, STOCK),
    cash: Mapping[str, Decimal] | None = None,
    settings: FillSettings | None = None,
    model: AccountModel = AccountModel.MARGIN,
) -> House:
    sim = SimVenue(
        instruments={i.id: i for i in instruments},
        accounts={"main": SimAccount(model=model, cash=cash or {"USD": D(100_000)})},
        settings=settings,
    )
    return House(Exchange(sim, "main", tells_dividends=True), VenueClock(T0, 0.0))


def make_order(name: str, side: str, qty: str, kind: str = "market", **terms: Any) -> Order:
    for price in ("limit_price", "stop_price", "trail"):
        if price in terms:
            terms[price] = D(terms[price])
    given: dict[str, Any] = {
        "account": "main", "strategy": "s", "instrument": "SPY", "ts": T0, "tif": Tif.GTC,
    }  # fmt: skip
    return Order(
        client_order_id=name, side=Side(side), qty=D(qty), kind=OrderKind(kind), **{**given, **terms}
    )


def quote(bid: float, ask: float, *, ts: int = T0, size: float = 1e6, instrument: str = "SPY") -> Quote:
    return Quote(instrument, ts, bid, size, ask, size)


def bar(close: float, *, ts: int = T0, instrument: str = "SPY", open_: float | None = None) -> Bar:
    start = close if open_ is None else open_
    return Bar(instrument, ts, MINUTE, start, max(start, close), min(start, close), close, 1000.0)


def asked(wire: Wire, method: str, path: str) -> int:
    """Return how often clients asked this."""
    return sum((r.method, r.path) == (method, path) for r in wire.requests)


class PlainFace:
    """The least that a face is: orders in, order states out, events to every socket."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.wire = Wire()
        house.listen(self._tell)

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self.wire.middleware])
        app.router.add_post("/orders", self._submit)
        app.router.add_get("/events", self._events)
        return app

    async def _submit(self, request: web.Request) -> web.Response:
        words = await request.json()
        self.house.submit(make_order(words["id"], words["side"], words["qty"]))
        state = self.house.find(words["id"])
        assert state is not None
        return web.json_response({"id": words["id"], "standing": state.standing.value})

    async def _events(self, request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        socket = self.wire.socket("events", response, request)
        try:
            async for said in socket.messages():
                socket.push(f"echo {said!r}")
        finally:
            self.wire.gone(socket)
        return response

    def _tell(self, happened: Happened) -> None:
        for socket in self.wire.on("events"):
            socket.push(f"{happened.seq} {type(happened.report).__name__} {happened.state.filled_qty:f}")

"""An emulated Binance with two markets, served on loopback, and the real ccxt pointed at it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from tests.emulators.houses import T0
from tests.instruments import make_coin
from tradebot.adapters.ccxt.budget import Budget
from tradebot.adapters.ccxt.library import Credentials, Exchange, open_exchange
from tradebot.core.model import MINUTE, Bar, Instrument, Quote
from tradebot.emulators.binance.face import BinanceFace, binance_house
from tradebot.emulators.clock import VenueClock
from tradebot.emulators.serving import Served

D = Decimal
KEY, SECRET = "k" * 64, "s" * 64
ORDERS = "/api/v3/order"


def make_pair(base: str = "BTC", quote: str = "USDT", **terms: Any) -> Instrument:
    """Return a market as Binance has them: small steps, a least notional, nothing sold short."""
    usual = {"min_qty": D("0.00001"), "min_notional": D(5), "shortable": False}
    return make_coin(f"{base}/{quote}", lot="0.00001", **{**usual, **terms})


def make_face(
    cash: Mapping[str, Decimal] | None = None,
    *,
    coins: tuple[Instrument, ...] = (make_pair(), make_pair("ETH")),
    clock: VenueClock | None = None,
    weight_limit: int = 1_000_000,
) -> BinanceFace:
    """Return a face whose clock stands still at T0, with a book at 99.00 / 100.00 in every market."""
    house = binance_house(
        {coin.id: coin for coin in coins}, cash or {"USDT": D(100_000)}, clock or VenueClock(T0, 0.0)
    )
    face = BinanceFace(house, {KEY: SECRET}, weight_limit=weight_limit)
    for coin in coins:
        face.house.move(quote(99.0, 100.0, instrument=coin.id, ts=house.clock.now()))
    return face


def quote(bid: float, ask: float, *, ts: int = T0, size: float = 1e6, instrument: str = "BTC/USDT") -> Quote:
    return Quote(instrument, ts, bid, size, ask, size)


def bar(close: float, *, ts: int = T0 + MINUTE, instrument: str = "BTC/USDT") -> Bar:
    return Bar(instrument, ts, MINUTE, close, close, close, close, 1000.0)


async def opened(
    served: Served,
    *,
    key: str = KEY,
    secret: str = SECRET,
    deadline_s: float = 5.0,
    budget: Budget | None = None,
    wall: Callable[[], int] = time.time_ns,
) -> Exchange:
    """Return the real ccxt, sending everything to the emulator, with clocks agreeing and, if not said, no budget."""
    free = budget or Budget(per_second=1e6, capacity=1e6)
    credentials = Credentials(key=key, secret=secret)
    exchange = open_exchange(
        "binance", credentials=credentials, endpoint=served.url, deadline_s=deadline_s, budget=free, wall=wall
    )
    await exchange.raw.load_markets()
    await exchange.offset()
    return exchange

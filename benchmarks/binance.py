"""Cost of the ccxt adapter over loopback, against the emulated Binance in another process: `python -m benchmarks.binance`.

Memory and seconds of opening an exchange, milliseconds of an order and a look, CPU of a message with 20 and
with 200 symbols, and how long it takes from a moved market to an order that the exchange has taken.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from decimal import Decimal
from typing import Any

from benchmarks import loopback
from tradebot.adapters.ccxt.budget import Budget
from tradebot.adapters.ccxt.feed import CcxtFeed
from tradebot.adapters.ccxt.library import Credentials, Exchange, open_exchange
from tradebot.adapters.ccxt.symbols import symbols_for
from tradebot.adapters.ccxt.venue import CcxtVenue
from tradebot.core.model import AssetClass, Instrument, Order, OrderKind, Quote, Side
from tradebot.core.ports import Connected, Series
from tradebot.emulators.binance.face import BinanceFace, binance_house
from tradebot.emulators.clock import VenueClock

KEY, SECRET = "key-of-the-bench", "secret-of-the-bench"
REQUESTS = 200
D = Decimal


def coins(count: int) -> dict[str, Instrument]:
    """Return so many markets."""
    made = [
        Instrument(
            id=f"C{n}/USDT", base=f"C{n}", quote="USDT", asset_class=AssetClass.CRYPTO,
            tick_size=D("0.01"), lot_size=D("0.001"), shortable=False,
        )
        for n in range(count)
    ]  # fmt: skip
    return {one.id: one for one in made}


async def serve(count: int) -> None:
    """Serve an emulated Binance with so many markets until killed."""
    house = binance_house(coins(count), {"USDT": D(10**9)}, VenueClock())
    for name in house.instruments:
        house.move(Quote(name, house.clock.now(), 99.99, 1e6, 100.01, 1e6))
    await loopback.serve_until_killed(BinanceFace(house, {KEY: SECRET}, weight_limit=10**9))


def opened(where: loopback.Where) -> Exchange:
    """Return the exchange without a budget: the emulator's limit is off, too."""
    free = Budget(per_second=1e9, capacity=1e9)
    keys = Credentials(key=KEY, secret=SECRET)
    return open_exchange("binance", credentials=keys, endpoint=where["url"], budget=free)


async def requests(where: loopback.Where) -> dict[str, float]:
    """Return the median milliseconds, and our CPU, of an order to its answer, a cancel and a whole look."""
    exchange = opened(where)
    account = CcxtVenue(exchange, symbols_for("binance", coins(1)), "main")
    await account.offset()
    since = (await account.snapshot(0)).cursor

    def order(n: int) -> Order:
        return Order(
            client_order_id=f"b{n}", account="main", strategy="s", instrument="C0/USDT", side=Side.BUY,
            kind=OrderKind.LIMIT, qty=D(1), ts=1, limit_price=D(50),
        )  # fmt: skip

    found = await loopback.timed("order", REQUESTS, lambda n: account.submit(order(n)))
    found |= await loopback.timed("cancel", REQUESTS, lambda n: account.cancel(f"b{n}"))
    found |= await loopback.timed("look", REQUESTS, lambda n: account.snapshot(since))
    await account.close()
    return found


async def messages(where: loopback.Where, count: int) -> dict[str, float]:
    """Follow the quotes of all symbols, one at a time and as fast as the exchange can say them."""
    exchange = opened(where)
    feed = CcxtFeed(exchange)
    names = list(coins(count))
    await feed.instruments(names)
    heard = 0
    arrived = asyncio.Event()
    connected = asyncio.Event()

    def sink(event: Any) -> None:
        if isinstance(event, Connected):
            connected.set()
        elif isinstance(event, Quote):
            arrived.set()

    def count_it() -> None:
        nonlocal heard
        heard += 1

    following = asyncio.ensure_future(feed.run([Series(name, 0) for name in names], sink))
    await asyncio.wait_for(connected.wait(), 60)
    await asyncio.sleep(1.0)
    async with loopback.admin(where) as say:
        lags = []
        for n in range(200):
            arrived.clear()
            begun = time.perf_counter()
            saying = asyncio.ensure_future(
                say([{"instrument": names[n % count], "bid": 99.0 + n % 2, "ask": 101.0}])
            )
            await asyncio.wait_for(arrived.wait(), 5)
            lags.append((time.perf_counter() - begun) * 1e3)
            await saying
        exchange.on_message(count_it)
        cpu, begun = time.process_time(), time.perf_counter()
        for k in range(loopback.BURSTS):
            await say(
                [
                    {"instrument": names[n % count], "bid": 98.0 + k % 2, "ask": 101.0}
                    for n in range(loopback.IN_BURST)
                ]
            )
        while heard < loopback.BURSTS * loopback.IN_BURST:
            await asyncio.sleep(0.005)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - begun
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    await feed.close()
    total = loopback.BURSTS * loopback.IN_BURST
    lags.sort()
    return {"a second": total / wall, "cpu us": cpu / total * 1e6, "p50 ms": lags[100], "p99 ms": lags[197]}


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(int(sys.argv[2])))
    else:
        opening = "from tradebot.adapters.ccxt.library import open_exchange\nopen_exchange('binance')"
        asyncio.run(loopback.measure("benchmarks.binance", opening, requests, messages))

"""Cost of the ccxt adapter over loopback, against the emulated Binance in another process: `python -m benchmarks.binance`.

Memory and seconds of opening an exchange, milliseconds of an order and a look, CPU of a message with 20 and
with 200 symbols, and how long it takes from a moved market to an order that the exchange has taken.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any

import aiohttp

from tradebot.core.model import AssetClass, Instrument, Order, OrderKind, Quote, Side

KEY, SECRET = "key-of-the-bench", "secret-of-the-bench"
REQUESTS = 200
BURSTS, IN_BURST = 20, 500  # quotes that are handed to the exchange at a time
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
    from tradebot.emulators.binance.face import BinanceFace, binance_house
    from tradebot.emulators.clock import VenueClock
    from tradebot.emulators.serving import serve as serve_face

    house = binance_house(coins(count), {"USDT": D(10**9)}, VenueClock())
    for name in house.instruments:
        house.move(Quote(name, house.clock.now(), 99.99, 1e6, 100.01, 1e6))
    face = BinanceFace(house, {KEY: SECRET}, weight_limit=10**9)
    async with serve_face(face) as served:
        print(json.dumps({"url": served.url, "admin": served.admin}), flush=True)
        await asyncio.Event().wait()


def imported() -> tuple[float, float]:
    """Return seconds and MB that opening an exchange costs a fresh process."""
    program = (
        "import time; t = time.perf_counter()\n"
        "from tradebot.adapters.ccxt.library import open_exchange\n"
        "open_exchange('binance')\n"
        "print(time.perf_counter() - t, int(open('/proc/self/statm').read().split()[1]) * 4096 / 1e6)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True) for _ in range(3)
    ]
    pairs = [tuple(map(float, run.stdout.split())) for run in runs]
    return min(p[0] for p in pairs), min(p[1] for p in pairs)


@asynccontextmanager
async def venue(count: int) -> AsyncIterator[dict[str, str]]:
    """Run the emulated Binance in a process of its own."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.binance", "serve", str(count), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        yield json.loads(await child.stdout.readline())
    finally:
        child.kill()
        await child.wait()


def opened(where: dict[str, str]) -> Any:
    """Return the exchange without a budget: the emulator's limit is off, too."""
    from tradebot.adapters.ccxt.budget import Budget
    from tradebot.adapters.ccxt.library import Credentials, open_exchange

    free = Budget(per_second=1e9, capacity=1e9)
    keys = Credentials(key=KEY, secret=SECRET)
    return open_exchange("binance", credentials=keys, endpoint=where["url"], budget=free)


async def requests(where: dict[str, str]) -> dict[str, float]:
    """Return the median milliseconds, and our CPU, of an order to its answer, a cancel and a whole look."""
    from tradebot.adapters.ccxt.symbols import symbols_for
    from tradebot.adapters.ccxt.venue import CcxtVenue

    exchange = opened(where)
    account = CcxtVenue(exchange, symbols_for("binance", coins(1)), "main")
    await account.offset()
    since = (await account.snapshot(0)).cursor

    def order(n: int) -> Order:
        return Order(
            client_order_id=f"b{n}", account="main", strategy="s", instrument="C0/USDT", side=Side.BUY,
            kind=OrderKind.LIMIT, qty=D(1), ts=1, limit_price=D(50),
        )  # fmt: skip

    found: dict[str, float] = {}
    for name in ("order", "cancel", "look"):
        times = []
        cpu = time.process_time()
        for n in range(REQUESTS):
            begun = time.perf_counter()
            if name == "order":
                await account.submit(order(n))
            elif name == "cancel":
                await account.cancel(f"b{n}")
            else:
                await account.snapshot(since)
            times.append((time.perf_counter() - begun) * 1e3)
        found[name] = statistics.median(times[20:])
        found[f"{name} cpu"] = (time.process_time() - cpu) / REQUESTS * 1e3
    await account.close()
    return found


async def messages(where: dict[str, str], count: int) -> dict[str, float]:
    """Follow the quotes of all symbols, one at a time and as fast as the exchange can say them."""
    from tradebot.adapters.ccxt.feed import CcxtFeed
    from tradebot.core.ports import Connected, Series

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
    async with aiohttp.ClientSession() as admin:

        async def say(rows: list[dict[str, object]]) -> None:
            async with admin.post(f"{where['admin']}/market", json={"quotes": rows}) as answer:
                assert answer.status == 200, await answer.text()

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
        for k in range(BURSTS):
            await say(
                [{"instrument": names[n % count], "bid": 98.0 + k % 2, "ask": 101.0} for n in range(IN_BURST)]
            )
        while heard < BURSTS * IN_BURST:
            await asyncio.sleep(0.005)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - begun
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    await feed.close()
    total = BURSTS * IN_BURST
    lags.sort()
    return {"a second": total / wall, "cpu us": cpu / total * 1e6, "p50 ms": lags[100], "p99 ms": lags[197]}


async def measure() -> None:
    """Measure everything and print it as a table."""
    seconds, mb = imported()
    print(f"import              {seconds:.2f} s, {mb:.0f} MB resident")
    async with venue(1) as where:
        for name, value in (await requests(where)).items():
            print(f"{name:<19} {value:.2f} ms")
    for count in (20, 200):
        async with venue(count) as where:
            found = await messages(where, count)
        words = ", ".join(f"{name} {value:,.1f}" for name, value in found.items())
        print(f"{count:>3} symbols         {words}")


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[2])) if sys.argv[1:2] == ["serve"] else measure())

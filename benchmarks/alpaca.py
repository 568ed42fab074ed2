"""Cost of Alpaca's adapter over loopback, against the emulated Alpaca in another process: `python -m benchmarks.alpaca`.

Memory and seconds of importing it, milliseconds of a request, CPU of a message, messages a second, and how
long a quote takes from the venue's hand to the event loop, with 20 and with 200 symbols.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from decimal import Decimal
from typing import Any

from benchmarks import loopback
from tradebot.adapters.alpaca.endpoint import endpoint_of
from tradebot.adapters.alpaca.feed import AlpacaFeed
from tradebot.adapters.alpaca.rest import Rest
from tradebot.core.model import Quote
from tradebot.core.ports import Connected, Series
from tradebot.emulators.alpaca.face import AlpacaFace, alpaca_house
from tradebot.emulators.clock import VenueClock

KEY, SECRET = "PKBENCH", "secret-of-the-bench"
REQUESTS = 300


async def serve(count: int) -> None:
    """Serve an emulated Alpaca with so many symbols until killed."""
    names = [f"S{n}" for n in range(count)]
    house = alpaca_house(names, {"USD": Decimal(1_000_000)}, VenueClock())
    for name in names:
        house.move(Quote(name, house.clock.now(), 99.99, 1e6, 100.01, 1e6))
    await loopback.serve_until_killed(AlpacaFace(house, {KEY: SECRET}, per_minute=None))


async def requests(where: loopback.Where) -> dict[str, float]:
    """Return the median milliseconds of reading and ordering, and the client's CPU of each."""
    rest = rest_of(where)

    async def order(n: int) -> object:
        return await rest.post("/orders", {
            "symbol": "S0", "qty": "1", "side": "buy", "type": "limit", "limit_price": "50",
            "time_in_force": "gtc", "client_order_id": f"b{n}",
        })  # fmt: skip

    found = await loopback.timed("get", REQUESTS, lambda n: rest.get("/clock"))
    found |= await loopback.timed("post", REQUESTS, order)
    rest.close()
    return found


def rest_of(where: loopback.Where) -> Rest:
    return Rest(endpoint_of(is_live=False, url=where["url"]), KEY, SECRET, per_minute=10**9)


async def messages(where: loopback.Where, count: int) -> dict[str, float]:
    """Follow the quotes of all symbols while the venue says them as fast as it can."""
    feed = AlpacaFeed(rest_of(where), key=KEY, secret=SECRET)
    seen: list[float] = []
    lags: list[float] = []
    connected = asyncio.Event()

    def sink(event: Any) -> None:
        if isinstance(event, Connected):
            connected.set()
        elif isinstance(event, Quote):
            seen.append(time.perf_counter())
            lags.append(time.time_ns() - event.ts)

    wanted = [Series(f"S{n}", 0) for n in range(count)]
    following = asyncio.ensure_future(feed.run(wanted, sink))
    await asyncio.wait_for(connected.wait(), 60)
    async with loopback.admin(where) as say:
        for n in range(200):
            await say([{"instrument": f"S{n % count}", "bid": 99.99, "ask": 100.01}])
            await asyncio.sleep(0.005)
        single = sorted(lags)
        seen.clear()
        cpu = time.process_time()
        for _ in range(loopback.BURSTS):
            await say(
                [
                    {"instrument": f"S{n % count}", "bid": 99.99, "ask": 100.01}
                    for n in range(loopback.IN_BURST)
                ]
            )
        while len(seen) < loopback.BURSTS * loopback.IN_BURST:
            await asyncio.sleep(0.01)
        cpu = time.process_time() - cpu
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    await feed.close()
    total = loopback.BURSTS * loopback.IN_BURST
    return {
        "a second": total / (seen[-1] - seen[0]),
        "cpu us": cpu / total * 1e6,
        "p50 ms": single[len(single) // 2] / 1e6,
        "p99 ms": single[int(len(single) * 0.99)] / 1e6,
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(int(sys.argv[2])))
    else:
        opening = "import tradebot.adapters.alpaca.opening"
        asyncio.run(loopback.measure("benchmarks.alpaca", opening, requests, messages))

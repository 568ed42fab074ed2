"""Cost of Alpaca's adapter over loopback, against the emulated Alpaca in another process: `python -m benchmarks.alpaca`.

Memory and seconds of importing it, milliseconds of a request, CPU of a message, messages a second, and how
long a quote takes from the venue's hand to the event loop, with 20 and with 200 symbols.
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

KEY, SECRET = "PKBENCH", "secret-of-the-bench"
REQUESTS = 300
BURSTS, IN_BURST = 20, 500  # quotes that are handed to the venue at a time


async def serve(count: int) -> None:
    """Serve an emulated Alpaca with so many symbols until killed."""
    from tradebot.core.model import Quote
    from tradebot.emulators.alpaca.face import AlpacaFace, alpaca_house
    from tradebot.emulators.clock import VenueClock
    from tradebot.emulators.serving import serve as serve_face

    names = [f"S{n}" for n in range(count)]
    house = alpaca_house(names, {"USD": Decimal(1_000_000)}, VenueClock())
    for name in names:
        house.move(Quote(name, house.clock.now(), 99.99, 1e6, 100.01, 1e6))
    face = AlpacaFace(house, {KEY: SECRET}, per_minute=None)
    async with serve_face(face) as served:
        print(json.dumps({"url": served.url, "admin": served.admin}), flush=True)
        await asyncio.Event().wait()


def imported() -> tuple[float, float]:
    """Return seconds and MB that opening an Alpaca account costs a fresh process."""
    program = (
        "import time, warnings; warnings.simplefilter('ignore'); t = time.perf_counter()\n"
        "import tradebot.adapters.alpaca.opening\n"
        "print(time.perf_counter() - t, int(open('/proc/self/statm').read().split()[1]) * 4096 / 1e6)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True) for _ in range(3)
    ]
    pairs = [tuple(map(float, run.stdout.split())) for run in runs]
    return min(p[0] for p in pairs), min(p[1] for p in pairs)


@asynccontextmanager
async def venue(count: int) -> AsyncIterator[dict[str, str]]:
    """Run the emulated Alpaca in a process of its own."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.alpaca", "serve", str(count), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        yield json.loads(await child.stdout.readline())
    finally:
        child.kill()
        await child.wait()


async def requests(where: dict[str, str]) -> dict[str, float]:
    """Return the median milliseconds of reading, ordering and finding, and the client's CPU of reading."""
    from tradebot.adapters.alpaca.endpoint import endpoint_of
    from tradebot.adapters.alpaca.rest import Rest

    rest = Rest(endpoint_of(is_live=False, url=where["url"]), KEY, SECRET, per_minute=10**9)
    found: dict[str, float] = {}
    for name in ("get", "post"):
        times = []
        cpu = time.process_time()
        for n in range(REQUESTS):
            begun = time.perf_counter()
            if name == "get":
                await rest.get("/clock")
            else:
                await rest.post("/orders", {
                    "symbol": "S0", "qty": "1", "side": "buy", "type": "limit", "limit_price": "50",
                    "time_in_force": "gtc", "client_order_id": f"b{n}",
                })  # fmt: skip
            times.append((time.perf_counter() - begun) * 1e3)
        found[name] = statistics.median(times[20:])
        found[f"{name} cpu"] = (time.process_time() - cpu) / REQUESTS * 1e3
    rest.close()
    return found


async def messages(where: dict[str, str], count: int) -> dict[str, float]:
    """Follow the quotes of all symbols while the venue says them as fast as it can."""
    from tradebot.adapters.alpaca.endpoint import endpoint_of
    from tradebot.adapters.alpaca.feed import AlpacaFeed
    from tradebot.adapters.alpaca.rest import Rest
    from tradebot.core.model import Quote
    from tradebot.core.ports import Connected, Series

    rest = Rest(endpoint_of(is_live=False, url=where["url"]), KEY, SECRET, per_minute=10**9)
    feed = AlpacaFeed(rest, key=KEY, secret=SECRET)
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
    async with aiohttp.ClientSession() as admin:

        async def say(rows: list[dict[str, object]]) -> None:
            async with admin.post(f"{where['admin']}/market", json={"quotes": rows}) as answer:
                assert answer.status == 200, await answer.text()

        for n in range(200):
            await say([{"instrument": f"S{n % count}", "bid": 99.99, "ask": 100.01}])
            await asyncio.sleep(0.005)
        single = sorted(lags)
        seen.clear()
        cpu = time.process_time()
        for _ in range(BURSTS):
            await say([{"instrument": f"S{n % count}", "bid": 99.99, "ask": 100.01} for n in range(IN_BURST)])
        while len(seen) < BURSTS * IN_BURST:
            await asyncio.sleep(0.01)
        cpu = time.process_time() - cpu
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    await feed.close()
    total = BURSTS * IN_BURST
    return {
        "a second": total / (seen[-1] - seen[0]),
        "cpu us": cpu / total * 1e6,
        "p50 ms": single[len(single) // 2] / 1e6,
        "p99 ms": single[int(len(single) * 0.99)] / 1e6,
    }


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

"""Weigh one vendor's adapter against its emulated venue in another process; what `alpaca` and `binance` share.

Owns the other process, the words of the table, and how one request is timed. What is asked is theirs.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tradebot.emulators.serving import Face, serve

BURSTS, IN_BURST = 20, 500  # quotes that are handed to the venue at a time
SYMBOLS = (20, 200)
_UNTIMED = 20  # first requests, which open connections

Where = dict[str, str]


def imported(opening: str) -> tuple[float, float]:
    """Return seconds and MB that these lines of a program cost a fresh process."""
    program = (
        "import time, warnings; warnings.simplefilter('ignore'); t = time.perf_counter()\n"
        f"{opening}\n"
        "print(time.perf_counter() - t, int(open('/proc/self/statm').read().split()[1]) * 4096 / 1e6)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True) for _ in range(3)
    ]
    pairs = [tuple(map(float, run.stdout.split())) for run in runs]
    return min(p[0] for p in pairs), min(p[1] for p in pairs)


async def serve_until_killed(face: Face) -> None:
    """Serve, and print where for who started this process."""
    async with serve(face) as served:
        print(json.dumps({"url": served.url, "admin": served.admin}), flush=True)
        await asyncio.Event().wait()


@asynccontextmanager
async def venue(module: str, count: int) -> AsyncIterator[Where]:
    """Run the emulated venue of a module with so many symbols in a process of its own."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, "serve", str(count), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        yield json.loads(await child.stdout.readline())
    finally:
        child.kill()
        await child.wait()


@asynccontextmanager
async def admin(where: Where) -> AsyncIterator[Callable[[list[dict[str, object]]], Awaitable[None]]]:
    """Yield what hands quotes to the venue."""
    async with aiohttp.ClientSession() as client:

        async def say(rows: list[dict[str, object]]) -> None:
            async with client.post(f"{where['admin']}/market", json={"quotes": rows}) as answer:
                assert answer.status == 200, await answer.text()

        yield say


async def timed(name: str, count: int, ask: Callable[[int], Awaitable[Any]]) -> dict[str, float]:
    """Return the median milliseconds of one of `count` requests in a row, and our CPU of one."""
    times = []
    cpu = time.process_time()
    for n in range(count):
        begun = time.perf_counter()
        await ask(n)
        times.append((time.perf_counter() - begun) * 1e3)
    return {
        name: statistics.median(times[_UNTIMED:]),
        f"{name} cpu": (time.process_time() - cpu) / count * 1e3,
    }


async def measure(
    module: str,
    opening: str,
    requests: Callable[[Where], Awaitable[dict[str, float]]],
    messages: Callable[[Where, int], Awaitable[dict[str, float]]],
) -> None:
    """Measure everything and print it as a table."""
    seconds, mb = imported(opening)
    print(f"import              {seconds:.2f} s, {mb:.0f} MB resident")
    async with venue(module, 1) as where:
        for name, value in (await requests(where)).items():
            print(f"{name:<19} {value:.2f} ms")
    for count in SYMBOLS:
        async with venue(module, count) as where:
            found = await messages(where, count)
        words = ", ".join(f"{name} {value:,.1f}" for name, value in found.items())
        print(f"{count:>3} symbols         {words}")

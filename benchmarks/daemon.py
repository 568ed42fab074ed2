"""Time an input's way to the wire, durable, beside the disk's own flush: `python -m benchmarks.daemon`.

The real runner with the engine in its own thread, the gate, the journal with synchronous=FULL, the outbox
and a venue that notes when an order reaches it. Each bar turns the target, so each leads to an order.
The reference is a bare append and fsync of as many bytes on the same disk, taken in turns with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from benchmarks.engine import INSTRUMENT, NAME
from tradebot.core.engine import Engine
from tradebot.core.ledger import Ledger
from tradebot.core.messages import ReplaceOrder, Slice, Start, VenueAcked, VenueFilled, VenueReport
from tradebot.core.model import MINUTE, AccountModel, Bar, Fill, Order
from tradebot.core.ports import IdPolicy, VenueOrder, VenueSnapshot
from tradebot.core.setup import AccountSpec, Setup, StrategySpec
from tradebot.core.sizing import FixedQty
from tradebot.core.strategy import BarStrategy, Context, Target
from tradebot.daemon.clock import DataClock
from tradebot.daemon.executor import OwnThread
from tradebot.daemon.halts import HaltFlag
from tradebot.daemon.outbox import Outbox
from tradebot.daemon.runner import Runner
from tradebot.store.journal import Identity, Journal

ORDERS = 400
BEGIN = 1_700_000_000_000_000_000


class Turning(BarStrategy):
    """Wants the other side after every bar."""

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        return ctx.target(weight=1.0 if bar.ts // MINUTE % 2 else -1.0)


class Wire:
    """A venue in this process that notes when an order comes and fills it at once."""

    account = "main"
    id_policy = IdPolicy.FOR_EVER
    absence_is_proof = True

    def __init__(self, runner: Runner) -> None:
        self.arrived = 0.0
        self.has_arrived = asyncio.Event()
        self._runner = runner
        self._count = 0

    def listen(self, sink: object) -> None:
        """Nothing comes by itself."""

    async def submit(self, order: Order) -> VenueReport | None:
        self.arrived = time.perf_counter()
        self.has_arrived.set()
        self._count += 1
        fill = Fill(
            fill_id=f"f{self._count}",
            client_order_id=order.client_order_id,
            instrument=order.instrument,
            side=order.side,
            qty=order.qty,
            price=Decimal(100),
            ts=order.ts,
            fee_asset="USD",
        )
        self._runner.post(VenueAcked(ts=order.ts, client_order_id=order.client_order_id, venue_order_id="v"))
        self._runner.post(VenueFilled(ts=order.ts, fill=fill))
        return None

    async def cancel(self, client_order_id: str) -> VenueReport | None:
        return None

    async def replace(self, command: ReplaceOrder) -> tuple[VenueReport, ...]:
        return ()

    async def snapshot(self, since: int) -> VenueSnapshot:
        return VenueSnapshot(ts=BEGIN, orders=())

    async def find(self, client_order_id: str) -> VenueOrder | None:
        return None


def setup() -> Setup:
    strategy = StrategySpec(
        id="turning",
        account="main",
        instruments=(NAME,),
        interval=MINUTE,
        deciders={NAME: Turning(None)},
        sizing=FixedQty(qty=1.0),
        capital=Decimal(1),
    )
    account = AccountSpec(
        name="main", model=AccountModel.MARGIN, base_currency="USD", cash={"USD": Decimal(1_000_000)}
    )
    return Setup(instruments={NAME: INSTRUMENT}, accounts=(account,), strategies=(strategy,), quanta={})


def flush(path: Path, size: int) -> float:
    """Return the seconds of appending `size` bytes and flushing them to the disk."""
    with path.open("ab", buffering=0) as file:
        begun = time.perf_counter()
        file.write(bytes(size))
        os.fdatasync(file.fileno())
        return time.perf_counter() - begun


async def measure(folder: Path) -> dict[str, float]:
    """Return the percentiles of both, in milliseconds."""
    clock, ledger = DataClock(BEGIN), Ledger()
    identity = Identity(instance="tb", venue="sim", account="main", mode="paper")
    journal = Journal.open(folder / "journal.db", create=True, identity=identity, now=BEGIN, program="bench")
    journal.replay(ledger)
    executor = OwnThread("bench")
    runner = Runner(Engine(setup(), ledger), record=journal, archive=None, clock=clock, executor=executor)
    wire = Wire(runner)
    runner.outbox = Outbox(wire, clock, HaltFlag(None), runner.post)
    working = asyncio.create_task(runner.run())
    await runner.settled(Start(ts=BEGIN, run_id="b", epoch=1, config_digest="", code_digest=""), BEGIN)
    took, flushed = [], []
    for i in range(1, ORDERS + 1):
        ts = BEGIN // MINUTE * MINUTE + (i + 1) * MINUTE
        clock.move(ts)
        bar = Bar(NAME, ts, MINUTE, 100.0, 101.0, 99.0, 100.0, 10.0)
        begun = time.perf_counter()
        runner.post(Slice(ts, (bar,)), ts)
        await wire.has_arrived.wait()  # not by asking: that would keep the engine's thread from running
        took.append(wire.arrived - begun)
        wire.has_arrived.clear()
        while not runner.is_quiet:
            await asyncio.sleep(0.001)
        flushed.append(flush(folder / "bare", 8192))
    working.cancel()
    executor.close()
    journal.close()
    return {
        **_points("order", took),
        **_points("flush", flushed),
        "beyond_p50_ms": (statistics.median(took) - statistics.median(flushed)) * 1e3,
    }


def _points(name: str, seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100)
    return {
        f"{name}_p50_ms": cuts[49] * 1e3,
        f"{name}_p95_ms": cuts[94] * 1e3,
        f"{name}_p99_ms": cuts[98] * 1e3,
    }


def main() -> None:
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=where) as folder:
        print(json.dumps(asyncio.run(measure(Path(folder))), indent=1))


if __name__ == "__main__":
    main()

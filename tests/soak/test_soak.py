"""Thirty simulated days of minute bars through one process, killed every day: nothing grows but the journal."""

import asyncio
import ctypes
import gc
import os
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tradebot.app.trading import Opened, Request, open_account
from tradebot.config.loader import parse
from tradebot.config.models import Config
from tradebot.core.model import DAY
from tradebot.daemon.places import AccountPlaces
from tradebot.store import connect

FIRST = 1_701_475_200 * 1_000_000_000  # 2023-12-02, where the bundled minutes begin
DAYS = int(os.environ.get("TRADEBOT_SOAK_DAYS", "30"))
MB = 1024 * 1024

CONFIG = """\
version: 1
mode: paper
accounts:
  main: {venue: sim, feed: sample, cash: 10000 USD, model: margin}
strategies:
  - id: breakout
    class: atr_breakout.py:AtrBreakout
    instruments: [SYN/USD]
    interval: 1m
    params: {channel: 20, exit_channel: 10, atr: 14, stop: 2.0}
    sizing: {kind: fixed_qty, qty: 1}
    exits: {stop_loss: 1%, trailing: 2%}
    execution: {kind: twap, slices: 3, over: 6m}
fees: {kind: bps, maker: 1bps, taker: 5bps}
"""


class Gauge:
    """What a process holds at one moment."""

    def __init__(self) -> None:
        gc.collect()
        # Every life begins in this one process here: what the allocator keeps of the last one's start is not held.
        ctypes.CDLL(None).malloc_trim(0)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.memory = pages * os.sysconf("SC_PAGE_SIZE") / MB
        self.files = len(os.listdir("/proc/self/fd"))
        self.threads = threading.active_count()
        self.tasks = len(asyncio.all_tasks())


def _config() -> Config:
    return parse(CONFIG.encode(), "tradebot.yaml", (), env={}).config


def _open(folder: Path, number: int) -> Opened:
    places = AccountPlaces(folder=folder)
    return open_account(
        Request(config=_config(), project=folder, account="main", places=places, wall=1_800_000_000 + number)
    )


async def _a_day(opened: Opened, until: int) -> None:
    """Trade up to a moment of market time, then end as a killed process does."""
    account = opened.account
    await account.start()
    life = asyncio.create_task(account.run())
    while account.parts.clock.now() < until and not account.feed_is_over:
        await asyncio.sleep(0.01)
        assert not life.done()
    async with account.parts.reconciler.at_rest:
        life.cancel()
        await asyncio.wait({life})
    opened.let_go()


def _orders(journal: Path) -> int:
    with closing(connect.open_reader(journal)) as db:
        return int(db.execute("SELECT count(*) FROM orders").fetchone()[0])


@pytest.mark.prove
async def test_thirty_days_with_daily_outages_leave_memory_files_tasks_and_threads_flat(
    tmp_path: Path,
) -> None:
    gauges: list[Gauge] = []
    for day in range(1, DAYS + 1):
        await _a_day(_open(tmp_path, day), FIRST + day * DAY)
        gauges.append(Gauge())
    journal = tmp_path / "journal.db"
    size = sum(path.stat().st_size for path in tmp_path.glob("journal.db*"))
    orders = _orders(journal)
    # The first days fill caches and compile regular expressions: the slope is that of the rest.
    slope = (gauges[-1].memory - gauges[4].memory) / (DAYS - 5)
    told = f"{slope:+.3f} MB a day, {size / orders:.0f} bytes an order, {orders} orders"
    assert slope <= 0.5, told
    # What a killed life had open goes when this process collects it, perhaps a day later: the floor must not rise.
    early, late = (sorted(g.files for g in part) for part in (gauges[1 : DAYS // 2], gauges[DAYS // 2 :]))
    assert late[0] == early[0] and late[-1] <= early[0] + 8, (early, late)
    assert {g.threads for g in gauges[1:]} == {gauges[1].threads}, told
    assert {g.tasks for g in gauges} == {gauges[0].tasks}, told
    assert orders > 1_000 and size / orders <= 5_000, told
    Path(os.environ.get("TRADEBOT_SOAK_LOG", os.devnull)).write_text(told + "\n")

"""A daemon is ready again soon, however many orders it has sent in its life."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.idle import cpu_seconds
from tests.conftest import PROVING
from tests.core.world import COIN
from tests.daemon.served import Project
from tradebot.app.trading import Request, open_account
from tradebot.config.loader import parse
from tradebot.core.model import SECOND
from tradebot.daemon import places
from tradebot.data.arrays import QuoteArrays
from tradebot.data.catalogue import Catalogue
from tradebot.data.series import Provenance
from tradebot.store import views

INSTRUMENTS = 25
OPEN = 2 * INSTRUMENTS
OLD, STARTS = (10_000, 20) if PROVING else (1_000, 2)
LONGEST = 5.0  # seconds, of 19 starts of 20
BEGIN = 1_700_000_000 * SECOND

CONFIG = """\
version: 1
mode: paper
accounts:
  main: {{venue: sim, cash: 1000000 USD, model: margin}}
strategies:
  - id: maker
    class: market_making.py:MarketMaking
    account: main
    instruments: [{names}]
    params: {{spread: 2%, qty: 1, max_position: 100}}
limits: {{max_orders_per_day: 1000000}}
metrics: {{port: none}}
"""


def written(project: Project) -> str:
    """Write quotes that jump, so that each of them moves both orders of a market maker; return the words."""
    count = OLD // OPEN + 1
    names = [f"C{i:02}/USD" for i in range(INSTRUMENTS)]
    catalogue = Catalogue(project.root / "data")
    mid = np.where(np.arange(count) % 2, 100.0, 100.5)
    for name in names:
        quotes = QuoteArrays(
            instrument=name,
            ts=BEGIN + np.arange(count) * SECOND,
            bid=mid - 0.05,
            bid_qty=np.ones(count),
            ask=mid + 0.05,
            ask_qty=np.ones(count),
        )
        catalogue.write_quotes(replace(COIN, id=name, base=name[:3]), quotes, Provenance(source="made up"))
    text = CONFIG.format(names=", ".join(names))
    (project.root / "tradebot.yaml").write_text(text)
    shipped = Path(__file__).parents[2] / "strategies" / "market_making.py"
    (project.root / "strategies" / shipped.name).write_text(shipped.read_text("utf-8"))
    return text


async def traded(project: Project, text: str) -> places.AccountPlaces:
    """Trade to the end of the data, then end as a killed process does."""
    where = places.find_places(project.root, {"TRADEBOT_STATE": str(project.base)})
    mine = where.account("paper", "sim", "main")
    places.make(where)
    places.make_account(mine)
    config = parse(text.encode(), "tradebot.yaml", (), env={}).config
    opened = open_account(
        Request(config=config, project=project.root, account="main", places=mine, wall=1_700_000_000)
    )
    await opened.account.start()
    life = asyncio.create_task(opened.account.run())
    while not opened.account.feed_is_over:
        await asyncio.sleep(0.01)
        assert not life.done()
    async with opened.account.parts.reconciler.at_rest:
        life.cancel()
        await asyncio.wait({life})
    opened.let_go()
    return mine


async def test_ready_within_seconds_with_orders_that_work_and_many_that_are_over(tmp_path: Path) -> None:
    project = Project(tmp_path)
    mine = await traded(project, written(project))
    took: list[float] = []

    for _ in range(STARTS):
        begun = time.monotonic()
        with project.start() as daemon:
            daemon.until("ready")
            # Other work on the machine makes a single start late; thousands are proved on a quiet one.
            took.append(time.monotonic() - begun if PROVING else cpu_seconds(daemon.process.pid))
            daemon.kill()

    with views.Views.open(mine.journal) as journal:
        assert len(views.orders(journal, is_open=True)) == OPEN
        assert len(views.orders(journal, is_open=False)) >= OLD
    assert statistics.quantiles(took, n=20, method="inclusive")[-1] <= LONGEST, took

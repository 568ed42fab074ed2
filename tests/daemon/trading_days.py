"""A project on disk with one made-up stock on real New York sessions, for whole accounts in tests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tests.instruments import make_share
from tradebot.app.trading import Opened, Request, open_account
from tradebot.config.loader import parse
from tradebot.config.models import Config
from tradebot.core import facts as f
from tradebot.core.model import DAY
from tradebot.daemon.places import AccountPlaces
from tradebot.data.arrays import BarArrays
from tradebot.data.calendars import sessions
from tradebot.data.catalogue import Catalogue
from tradebot.data.series import Provenance
from tradebot.store import connect
from tradebot.store.replay import recorded

ACME = make_share("ACME")

CONFIG = """\
version: 1
mode: paper
accounts:
  main: {{venue: sim, cash: 100000 USD, model: margin}}
strategies:
  - id: once
    class: once.py:Once
    instruments: [ACME]
    interval: 1d
    params: {{day: "{day}"}}
    sizing: {{kind: fixed_qty, qty: 100}}
    first_entry: at_once
    {more}
"""

STRATEGY = '''\
"""Wants to hold from one day on."""

from dataclasses import dataclass
from datetime import UTC, datetime

from tradebot.api import BarStrategy


class Once(BarStrategy):
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Params:
        day: str

    def __init__(self, params):
        super().__init__(params)
        self.lookback = 1

    def on_bar(self, ctx, bar):
        closed = datetime.fromtimestamp(bar.ts / 1e9, UTC).date().isoformat()
        return ctx.target(weight=1.0 if closed >= self.p.day else 0.0)
'''


def at(text: str) -> int:
    """Return the ns of a moment such as 2026-11-27T15:00 (UTC)."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def project(root: Path, first: str, last: str, closes: Sequence[float] | None = None) -> Path:
    """Write strategy and daily bars of every New York session from `first` to `last`."""
    (root / "strategies").mkdir(parents=True)
    (root / "strategies" / "once.py").write_text(STRATEGY)
    _, ends = sessions("XNYS").between(at(first), at(last) + DAY)
    prices = np.array(closes if closes is not None else [100.0 + i for i in range(len(ends))])
    bars = BarArrays(
        instrument="ACME",
        interval=DAY,
        ts=np.array(ends, dtype=np.int64),
        open=prices,
        high=prices + 1.0,
        low=prices - 1.0,
        close=prices,
        volume=np.full(len(ends), 1e6),
    )
    Catalogue(root / "data").write_bars(ACME, bars, Provenance(source="made up"))
    return root


def config(day: str, more: str = "") -> Config:
    """Return the configuration of a strategy that wants to hold from `day` on."""
    text = CONFIG.format(day=day, more=more)
    return parse(text.encode(), "tradebot.yaml", (), env={}).config


def opened(words: Config, root: Path, wall: int, **terms: Any) -> Opened:
    """Open the account with its state beside the project."""
    folder = root / "state"
    folder.mkdir(exist_ok=True)
    places = AccountPlaces(folder=folder)
    return open_account(
        Request(config=words, project=root, account="main", places=places, wall=wall, **terms)
    )


async def trade(account: Opened, until: int | None = None) -> None:
    """Trade to the end of the data, or be killed once the clock has come to `until`."""
    trading = account.account
    await trading.start()
    life = asyncio.create_task(trading.run())
    while not trading.feed_is_over and not life.done():
        await asyncio.sleep(0.001)
        if until is not None and trading.parts.clock.now() >= until:
            async with trading.parts.reconciler.at_rest:
                life.cancel()
                await asyncio.wait({life})
            account.let_go()
            return
    trading.stop("test")
    await life
    account.close()


def facts(root: Path, *kinds: type[f.Fact]) -> list[f.Fact]:
    """Return the facts of these kinds that the journal holds."""
    path = root / "state" / "journal.db"
    with closing(connect.open_reader(path)) as db:
        return [one.fact for one in recorded(db, path) if isinstance(one.fact, kinds)]


def day_of(ts: int) -> date:
    return datetime.fromtimestamp(ts / 1e9, UTC).date()

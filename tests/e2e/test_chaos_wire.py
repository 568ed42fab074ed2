"""The real daemon at both emulated venues, over sockets that break and killed at random: nothing lost, nothing twice."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from contextlib import closing
from decimal import Decimal
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PATIENCE, PROVING
from tests.daemon.served import Project, Running
from tests.e2e.test_live_daemon import KEYS, House
from tradebot.core import facts as f
from tradebot.errors import ExitCode
from tradebot.store import connect
from tradebot.store.replay import recorded
from tradebot.store.verify import verify

KILLS, STEPS = (25, 24) if PROVING else (1, 7)  # steps of the market in each life
GROWTH = 30_000  # kB that a life may hold more at its end than after its start

QUOTER = '''
"""Rests on both sides of the market."""
from tradebot.api import Level, QuoteStrategy, Quotes


class Flip(QuoteStrategy):
    """Rests on both sides of the market."""

    def on_quote(self, ctx, quote):
        sold = (Level(quote.ask, 0.01),) if ctx.position(quote.instrument) >= 0.01 else ()
        return Quotes(quote.instrument, (Level(quote.bid, 0.01),), sold)
'''
FLIPPER = '''
"""Long and flat in turns, and fails when a bar comes twice."""
from tradebot.api import BarStrategy


class Flip(BarStrategy):
    """Long and flat in turns."""

    lookback = 1

    def __init__(self, params):
        self.last = 0

    def on_bar(self, ctx, bar):
        if bar.ts <= self.last:
            raise ValueError(f"a bar came twice: {bar}")
        self.last = bar.ts
        return ctx.target(qty=0.01 if bar.close > 1000 else 0.0)
'''
CONFIG = """
version: 1
accounts:
  main: {{venue: {venue}, keys: house, capital: 50000 {quote}, url: "{url}"}}
strategies:
  - {{id: flip, class: flip.py:Flip, account: main, instruments: [{market}], {more}}}
metrics: {{port: none}}
"""
# What the venue has taken, or refused, and cannot be heard about: of what never arrived nobody can say so soon.
LOST = [
    {"kind": "drop", "after": True},
    {"kind": "truncate", "after": True},
    {"kind": "html", "after": True},
    {"kind": "status", "status": 504, "after": True},
]


class Venue:
    """What each venue is told, and what its strategy is."""

    def __init__(self, name: str, market: str, orders: str, strategy: str, more: str, *words: str) -> None:
        self.name, self.market, self.orders, self.strategy, self.more = name, market, orders, strategy, more
        self.words = words
        self.base, _, self.quote = market.partition("/")

    def move(self, house: House, price: float) -> None:
        if self.name == "alpaca":
            house.post("market", bars=[{"instrument": self.market, "close": price, "volume": 100}])
        else:
            quote = {"instrument": self.market, "bid": price, "bid_qty": 5, "ask": price + 1, "ask_qty": 5}
            house.post("market", quotes=[quote])


VENUES = [
    Venue("binance", "ETH/USDT", "POST /api/v3/order", QUOTER, ""),
    Venue(
        "alpaca", "ETH/USD", "POST /v2/orders", FLIPPER,
        "interval: 1m, sizing: {kind: fixed_qty, qty: 0.01}, first_entry: at_once",
        "--ghost", "0",
    ),
]  # fmt: skip


@pytest.mark.parametrize("venue", VENUES, ids=lambda venue: venue.name)
def test_killed_and_cut_at_random_it_loses_nothing_and_sends_nothing_twice(
    tmp_path: Path, rng: random.Random, venue: Venue
) -> None:
    house = House(venue.name, f"{venue.market}=1000", *venue.words, seconds=3000)
    try:
        project = Project(tmp_path)
        words = CONFIG.format(
            venue=venue.name, quote=venue.quote, market=venue.market, url=house.url, more=venue.more
        )
        (project.root / "tradebot.yaml").write_text(words)
        (project.root / "strategies" / "flip.py").write_text(venue.strategy)
        for life in range(KILLS + 1):
            with project.start(env=KEYS) as daemon:
                daemon.until("ready")
                daemon.until("halt_lifted", rule="disconnected")
                live(daemon, house, venue, rng)
                if life < KILLS:
                    daemon.kill()
                    (project.state / "starts").unlink(missing_ok=True)  # these are no crash loop
                else:
                    calm(house, venue)
                    assert daemon.ended(signal.SIGTERM) == ExitCode.OK
        compare(project, house.get("state"), venue)
    finally:
        house.close()


def live(daemon: Running, house: House, venue: Venue, rng: random.Random) -> None:
    """Let the market move and things break."""
    before = memory(daemon)
    for _ in range(STEPS):
        what = rng.random()
        if what < 0.3:
            house.post("faults", route=venue.orders, **rng.choice(LOST))
        elif what < 0.4:
            house.post("faults", route="GET *", kind="status", status=502, times=2)
        elif what < 0.55:
            house.post("sockets", fault=rng.choice(("drop", "close")))
        venue.move(house, round(rng.uniform(970.0, 1030.0), 2))
        time.sleep(rng.uniform(0.05, 0.5))
    assert memory(daemon) - before < GROWTH


def calm(house: House, venue: Venue) -> None:
    """Let nothing break any more, and wait until the daemon has looked at everything that was in doubt."""
    house.delete("faults")
    until, prices = time.monotonic() + PATIENCE, cycle((1020.0, 980.0))
    while not house.get("state")["fills"]:  # on a busy machine everything so far may have been missed
        assert time.monotonic() < until, "nothing was traded"
        venue.move(house, next(prices))
        time.sleep(0.5)
    time.sleep(7.0)


def memory(daemon: Running) -> int:
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def compare(project: Project, state: dict[str, Any], venue: Venue) -> None:
    (journal,) = project.state.glob(f"paper-{venue.name}-main/journal.db")
    report = verify(journal)
    assert not report.findings, report.findings
    with closing(connect.open_reader(journal)) as db:
        facts = [one.fact for one in recorded(db, journal)]
    ids = Counter(order["client_order_id"] for order in state["orders"])
    booked = [fact for fact in facts if isinstance(fact, f.OrderFilled)]
    assert max(ids.values()) == 1
    assert set(ids) <= {fact.order.client_order_id for fact in facts if isinstance(fact, f.OrderIntended)}
    assert len({fact.fill.fill_id for fact in booked}) == len(booked) == state["fills"] > 0
    held = sum((fact.qty_signed for fact in booked), Decimal(0))
    assert held == Decimal(state["positions"].get(venue.market, "0"))
    assert not [fact for fact in facts if isinstance(fact, f.StrategyFailed)]
    assert not [
        fact for fact in facts if isinstance(fact, f.HaltSet) and fact.rule in ("mismatch", "another_life")
    ]

"""A paper venue that is killed between any two of its calls comes back as the same venue."""

import os
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest

from tests.core.world import COIN, GEM, START, account, make_bar
from tradebot.core.forms import form_of
from tradebot.core.messages import (
    CancelOrder,
    CashEvent,
    Dividend,
    ReplaceOrder,
    SessionClose,
    SessionOpen,
    Split,
    SubmitOrder,
    VenueReport,
)
from tradebot.core.model import HOUR, Bar, Fill, Order, OrderKind, Quote, Side
from tradebot.core.ports import Standing, VenueOrder
from tradebot.daemon.clock import DataClock
from tradebot.daemon.paper import PaperVenue
from tradebot.daemon.paperfile import PaperFile
from tradebot.errors import StoreError
from tradebot.sim.accounts import SimAccount
from tradebot.sim.corporate import Payable
from tradebot.sim.exchange import Exchange
from tradebot.sim.fees import BpsFees
from tradebot.sim.latency import FixedLatency
from tradebot.sim.state import dump
from tradebot.sim.venue import SimVenue

FORMS = Path(__file__).parents[1] / "golden" / "paper_file_forms.txt"


class Harness:
    """A paper venue on disk beside a twin that is never killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = DataClock(START)
        self.twin = PaperVenue(_exchange(), self.clock)
        self.kills = 0
        self.open()

    def open(self) -> None:
        self.venue = PaperVenue(_exchange(), self.clock, PaperFile(self.path))

    def kill(self) -> None:
        """Let go of the venue as a killed process does: nothing is written, nothing is closed in order."""
        self.kills += 1
        self.open()
        assert dump(self.venue.exchange.sim) == dump(self.twin.exchange.sim)
        mine, theirs = self.venue.exchange, self.twin.exchange
        assert list(mine.fills) == list(theirs.fills)
        assert [mine.find(name) for name in theirs.finished] == list(theirs.finished.values())

    async def send(self, command: SubmitOrder | CancelOrder | ReplaceOrder) -> None:
        for venue in (self.venue, self.twin):
            if isinstance(command, SubmitOrder):
                await venue.submit(command.order)
            elif isinstance(command, CancelOrder):
                await venue.cancel(command.client_order_id)
            else:
                await venue.replace(command)

    async def meet(self, bar: Bar, answers: Iterator[SubmitOrder]) -> None:
        """Let both meet a bar, with an order sent after every other report inside it."""
        mine, theirs = self.venue.on_market(bar), self.twin.on_market(bar)
        count = 0
        while True:
            told = next(mine, None), next(theirs, None)
            assert told[0] == told[1]
            if told[0] is None:
                return
            count += 1
            if count in (1, 3):
                await self.send(next(answers))

    def drain(self) -> list[VenueReport]:
        mine, theirs = self.venue.drain(), self.twin.drain()
        assert mine == theirs
        return mine


def _exchange(replace_takes: int = 0) -> Exchange:
    sim = SimVenue(
        instruments={i.id: i for i in (COIN, GEM)},
        accounts={"main": SimAccount(model=account().model, cash={"USD": Decimal(1_000_000)})},
        fees=BpsFees(maker=Decimal(1), taker=Decimal(5)),
        latency=FixedLatency(cancel=HOUR // 2, replace=replace_takes),
    )
    return Exchange(sim, "main")


def _orders(rng: random.Random, clock: DataClock) -> Iterator[SubmitOrder]:
    n = 0
    while True:
        n += 1
        kind = rng.choice([OrderKind.MARKET, OrderKind.LIMIT, OrderKind.STOP, OrderKind.TRAILING_STOP])
        level = Decimal(rng.randrange(9_000, 11_000)) / 100
        yield SubmitOrder(
            order=Order(
                client_order_id=f"o{n}",
                account="main",
                strategy="s",
                instrument=rng.choice([COIN.id, GEM.id]),
                side=rng.choice([Side.BUY, Side.SELL]),
                kind=kind,
                qty=Decimal(rng.randrange(1, 20)),
                ts=clock.now(),
                limit_price=level if kind is OrderKind.LIMIT else None,
                stop_price=level if kind is OrderKind.STOP else None,
                trail=Decimal("0.02") if kind is OrderKind.TRAILING_STOP else None,
                trail_is_fraction=True,
                group_id=rng.choice([None, "g1", "g2"]),
            )
        )


async def test_venue_killed_anywhere_is_the_venue_it_was(rng: random.Random, tmp_path: Path) -> None:
    h = Harness(tmp_path / "venue.db")
    orders = _orders(rng, h.clock)
    working: list[str] = []
    for step in range(1, 400):
        h.clock.move(START + step * HOUR)
        name = rng.choice([COIN.id, GEM.id])
        what = rng.random()
        if what < 0.35:
            command = next(orders)
            working.append(command.order.client_order_id)
            await h.send(command)
        elif what < 0.45 and working:
            await h.send(CancelOrder(client_order_id=working.pop(rng.randrange(len(working)))))
        elif what < 0.5:
            event = SessionOpen(ts=h.clock.now(), calendar="XNYS", closes_at=h.clock.now() + HOUR)
            close = SessionClose(ts=h.clock.now(), calendar="XNYS", opens_at=None)
            for venue in (h.venue, h.twin):
                venue.on_session(event if step % 2 else close)
        else:
            price = 100.0 + rng.uniform(-5, 5)
            row = (price, price + 3, price - 3, price + rng.uniform(-1, 1), 50.0)
            await h.meet(make_bar(name, h.clock.now(), HOUR, *row), orders)
        h.drain()
        if rng.random() < 0.15:
            h.kill()
    assert h.kills > 20 and len(h.twin.exchange.fills) > 50
    assert any(o.standing is Standing.CANCELED for o in h.twin.exchange.finished.values())


async def test_bar_that_was_met_is_not_met_again_after_a_restart(tmp_path: Path) -> None:
    h = Harness(tmp_path / "venue.db")
    command = next(_orders(random.Random(1), h.clock))
    await h.send(SubmitOrder(order=_market(command.order)))
    h.drain()
    bar = make_bar(COIN.id, START + HOUR, HOUR, 100.0)
    assert len([*h.venue.on_market(bar)]) == 1
    h.open()
    assert [*h.venue.on_market(bar)] == []
    assert len(h.venue.exchange.fills) == 1


def _market(order: Order) -> Order:
    return replace(
        order, instrument=COIN.id, kind=OrderKind.MARKET, limit_price=None, stop_price=None, trail=None
    )


@pytest.mark.parametrize("is_under_way", [False, True])
async def test_a_replace_that_an_older_program_wrote_is_read(tmp_path: Path, is_under_way: bool) -> None:
    """It did not say yet what had filled: all until it was sent is meant."""
    path, clock = tmp_path / "venue.db", DataClock(START)
    takes = HOUR if is_under_way else 0
    venue = PaperVenue(_exchange(takes), clock, PaperFile(path))
    first = Order(
        client_order_id="a1", account="main", strategy="s", instrument=COIN.id, side=Side.BUY,
        kind=OrderKind.LIMIT, qty=Decimal(5), ts=START, limit_price=Decimal(90),
    )  # fmt: skip
    await venue.submit(first)
    second = replace(first, client_order_id="a2", qty=Decimal(7), replaces="a1")
    await venue.replace(ReplaceOrder(client_order_id="a1", order=second))
    venue.drain()
    lived = dump(venue.exchange.sim)
    if is_under_way:
        venue.close()  # the request stands in the state at rest, else in the log
    db, table = sqlite3.connect(path), "state" if is_under_way else "log"
    cut = """data = replace(replace(data, ',"filled":null', ''), '"filled":null,', '')"""
    db.execute(f"UPDATE {table} SET {cut}")
    left = "".join(row[0] for row in db.execute(f"SELECT data FROM {table}"))
    db.commit()
    db.close()
    assert '"a2"' in left
    assert '"filled":null' not in left

    assert dump(PaperVenue(_exchange(takes), clock, PaperFile(path)).exchange.sim) == lived


def test_what_the_file_holds_keeps_its_form_or_is_read_in_the_old_one_too() -> None:
    """On a change: let the old form be read (`sim.state`), prove it here, then run with UPDATE_GOLDEN=1."""
    written = (SubmitOrder, CancelOrder, ReplaceOrder, SessionOpen, SessionClose, Split, Dividend, Payable)
    forms = [form_of(kind).schema for kind in (*written, VenueOrder, Fill, CashEvent)]
    found = sha256("\n".join([*forms, *Bar._fields, *Quote._fields]).encode()).hexdigest()
    if os.environ.get("UPDATE_GOLDEN") == "1":
        FORMS.write_text(found + "\n")
    assert found == FORMS.read_text().strip()


def test_file_of_a_newer_program_is_refused_by_version(tmp_path: Path) -> None:
    path = tmp_path / "venue.db"
    PaperFile(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=9")
    db.close()
    with pytest.raises(StoreError, match="must be of version 1, was 9"):
        PaperFile(path)

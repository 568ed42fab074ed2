"""What is derived while facts are written is what the facts would give again, and what the ledger says."""

from __future__ import annotations

import os
import random
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.store.stage import HISTORY, STATE, book, made, world_facts, written
from tradebot.core import codec
from tradebot.core.facts import (
    AccountOpened,
    AssetAmount,
    BasisAdjusted,
    CashMoved,
    CrossedInternally,
    Fact,
    FeeCharged,
    InterestPaid,
    LotClosed,
    OrderFilled,
    PositionAdjusted,
    Recorded,
    StrategyEnrolled,
    SymbolChanged,
)
from tradebot.core.ledger import Ledger
from tradebot.core.model import AccountModel, Lot
from tradebot.errors import StoreError
from tradebot.store import touched
from tradebot.store.journal import Journal
from tradebot.store.projections import HISTORY_KINDS, text

PROVING = os.environ.get("TRADEBOT_PROVE") == "1"
COUNT = 200 if PROVING else 4
D = Decimal


def tables(path: Path) -> dict[str, list[Any]]:
    """Return every derived row, by table."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in (*STATE, *HISTORY)}
    finally:
        db.close()


@pytest.mark.parametrize("number", range(COUNT))
def test_what_was_derived_fact_by_fact_is_what_a_rebuild_derives(
    number: int, tmp_path: Path, rng: random.Random
) -> None:
    written(tmp_path / "j.db", world_facts(number), rng)
    lived = tables(tmp_path / "j.db")
    with Journal.open(tmp_path / "j.db", create=False) as journal:
        journal.rebuild()
    assert tables(tmp_path / "j.db") == lived
    assert lived["orders"] and lived["fills"] and lived["decisions"] and lived["cash"]


@pytest.mark.parametrize("number", range(COUNT))
def test_the_derived_tables_say_what_the_ledger_says(number: int, tmp_path: Path, rng: random.Random) -> None:
    ledger = written(tmp_path / "j.db", world_facts(number), rng)
    db = sqlite3.connect(tmp_path / "j.db")
    orders = db.execute(
        "SELECT id, status, is_open, filled, leaves, venue_id, reason FROM orders ORDER BY id"
    )
    assert orders.fetchall() == [
        (
            name,
            r.status.value,
            int(r.is_open),
            text(r.filled_qty),
            text(r.leaves) if r.is_open else "0",
            r.venue_order_id,
            r.reason,
        )
        for name, r in sorted(ledger.orders.items())
    ]
    subs = [*ledger.subs.values(), *(a.unassigned for a in ledger.accounts.values())]
    cash = {(s.account, s.strategy or "", asset): text(x) for s in subs for asset, x in s.cash.items()}
    assert {row[:3]: row[3] for row in db.execute("SELECT * FROM cash")} == cash
    held = {
        (s.account, s.strategy or "", name): (text(p.qty), text(p.basis), text(p.realized))
        for s in subs
        for name, p in s.positions.items()
        if p.qty or p.realized or p.fees or p.opened_ts
    }
    assert {row[:3]: row[3:6] for row in db.execute("SELECT * FROM positions")} == held
    lots = {
        (name, instrument, lot.lot_id): (text(lot.qty), text(lot.basis))
        for name, account in ledger.accounts.items()
        for instrument, owned in account.lots.items()
        for lot in owned
    }
    assert {row[:3]: row[3:5] for row in db.execute("SELECT * FROM lots")} == lots
    filled = sum(isinstance(r.fact, OrderFilled) for r in world_facts(number))
    assert db.execute("SELECT count(*) FROM fills").fetchone() == (filled,)
    db.close()


def rare_facts() -> list[Fact]:
    """Return facts that no simulated world leads to, in an order that balances."""
    lot = Lot(lot_id="x-1", instrument="OLD", qty=D(3), basis=D(30), opened_ts=4)
    zero = {"buyer_realized": D(0), "seller_basis": D(0), "seller_realized": D(0), "buyer_basis": D(5)}
    return [
        AccountOpened(ts=1, account="a", model=AccountModel.MARGIN, base_currency="USD"),
        StrategyEnrolled(ts=1, strategy="s", account="a"),
        StrategyEnrolled(ts=1, strategy="t", account="a"),
        CashMoved(ts=2, account="a", asset="USD", amount=D(50), because="x", strategy="s", settles_at=2),
        FeeCharged(ts=3, account="a", asset="USD", amount=D("0.5"), because="custody", strategy=None),
        InterestPaid(ts=3, account="a", asset="USD", amount=D("0.25"), strategy="s"),
        PositionAdjusted(
            ts=4, account="a", instrument="OLD", qty_signed=D(3), basis=D(30), because="transfer", opened=lot
        ),
        BasisAdjusted(ts=5, account="a", instrument="OLD", lot_id="x-1", amount=D(1), because="wash sale"),
        CrossedInternally(
            ts=6,
            account="a",
            buyer="s",
            seller="t",
            instrument="OLD",
            qty=D(1),
            price=D(5),
            asset="USD",
            notional=D(5),
            **{**zero, "seller_basis": D(-5)},
        ),
        SymbolChanged(ts=7, old="OLD", new="NEW"),
        PositionAdjusted(
            ts=8,
            account="a",
            instrument="NEW",
            qty_signed=D(-1),
            basis=D(-10),
            because="transfer",
            closed=(LotClosed("x-1", D(1), D(10), D(10)),),
            cash=(AssetAmount("EUR", D(12)),),
            realized=D(2),
        ),
    ]


@pytest.mark.parametrize("size", [1, 20])
def test_rare_facts_are_derived_alike_one_by_one_and_at_once(size: int, tmp_path: Path) -> None:
    facts = [Recorded(seq, fact.ts, 0, fact) for seq, fact in enumerate(rare_facts(), 1)]
    ledger = Ledger()
    with made(tmp_path / "j.db") as journal:
        journal.replay(ledger)
        for at in range(0, len(facts), size):
            journal.append(book(ledger, facts[at : at + size]), durable=False)
        ledger.check()
        lived = tables(tmp_path / "j.db")
        journal.rebuild()
    assert tables(tmp_path / "j.db") == lived
    assert [row[:5] for row in lived["lots"]] == [("a", "NEW", "x-1", "2", "21")]
    assert {row[1:4] for row in lived["positions"]} == {
        ("", "NEW", "2"),
        ("s", "NEW", "1"),
        ("t", "NEW", "-1"),
    }
    assert {row[1:] for row in lived["cash"]} == {
        ("", "EUR", "12"),
        ("", "USD", "-0.5"),
        ("s", "USD", "45.25"),
        ("t", "USD", "5"),
    }


def test_a_repeated_execution_id_is_refused_and_nothing_of_its_commit_stays(
    tmp_path: Path, rng: random.Random
) -> None:
    facts = world_facts(0)
    first = next(r for r in facts if isinstance(r.fact, OrderFilled))
    before = facts[: first.seq]
    written(tmp_path / "j.db", before, rng)
    db = sqlite3.connect(tmp_path / "j.db")
    db.execute(
        "INSERT INTO fills SELECT venue, account, 'next', seq, ts, order_id, strategy, instrument, side, "
        "qty, price, fee, fee_asset, liquidity, realized FROM fills"
    )
    db.commit()
    db.close()
    lived = tables(tmp_path / "j.db")
    ledger = Ledger()
    with made(tmp_path / "j.db") as journal:
        journal.replay(ledger)
        following = facts[first.seq :]
        upto = next(i for i, r in enumerate(following) if isinstance(r.fact, OrderFilled))
        fact = following[upto].fact
        assert isinstance(fact, OrderFilled)
        db = sqlite3.connect(tmp_path / "j.db")
        db.execute("UPDATE fills SET fill_id = ? WHERE fill_id = 'next'", (fact.fill.fill_id,))
        db.commit()
        db.close()
        lived = tables(tmp_path / "j.db")
        book(ledger, following[: upto + 1])
        with pytest.raises(StoreError, match="contradicts what is there"):
            journal.append(following[: upto + 1], durable=True)
        assert journal.last_seq == first.seq
    assert tables(tmp_path / "j.db") == lived


@pytest.mark.parametrize(
    ("amount", "wanted"),
    [
        ("0.10", "0.1"),
        ("-0.00", "0"),
        ("1E+3", "1000"),
        ("1E-8", "0.00000001"),
        ("100", "100"),
        ("-2.50", "-2.5"),
    ],
)
def test_an_amount_has_one_spelling(amount: str, wanted: str) -> None:
    assert text(D(amount)) == wanted


# Facts that are true and change no row: they are read from the journal itself.
SILENT = {
    "AccountReconciled",
    "BarsCounted",
    "DayStarted",
    "DividendAccrued",
    "InputRefused",
    "ParentClosed",
    "ParentOpened",
    "ParentProgressed",
    "RateSet",
    "SessionClosed",
    "SessionOpened",
    "SnapshotTaken",
    "SplitPutOff",
    "StrategiesCaughtUp",
    "StrategyConfigured",
    "StrategySaved",
    "TimerFired",
    "TimerSet",
    "TradingStopped",
    "TrailMoved",
    "WeightsAsked",
    # What follows says it again: money as CashMoved, a share of it as AssignmentMade.
    "AccountOpened",
    "StrategyEnrolled",
}


def test_for_every_fact_it_was_decided_which_rows_it_changes() -> None:
    """A new kind of fact goes into `touched` or `projections`, or is silent on purpose."""
    derived = {kind.__name__ for kind in touched.KINDS | HISTORY_KINDS}
    assert derived | SILENT == set(codec.kinds())
    assert not derived & SILENT


def test_the_file_takes_at_most_5_kb_an_order(tmp_path: Path, rng: random.Random) -> None:
    ledger = written(tmp_path / "j.db", [one for n in range(1) for one in world_facts(n)], rng)
    size = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert len(ledger.orders) > 20
    assert (size - 100_000) / len(ledger.orders) < 5_000  # less what an empty journal has: a page a table

"""An older file is brought up to date with a copy of it kept, or stays as it was."""

from __future__ import annotations

import random
import sqlite3
import stat
from pathlib import Path

import pytest

from tests.core.ledger_text import ledger_text
from tests.store.stage import HISTORY, STATE, world_facts, written
from tradebot.core.codec import encode
from tradebot.core.ledger import Ledger
from tradebot.errors import StoreError
from tradebot.store import schema
from tradebot.store.journal import Journal
from tradebot.store.verify import verify


def version_0(path: Path) -> None:
    """Make a file of the first layout: facts and meta, nothing derived, nothing that guards them."""
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID")
    db.execute(
        "CREATE TABLE journal (seq INTEGER PRIMARY KEY, ts INTEGER NOT NULL, seen INTEGER NOT NULL, "
        "kind TEXT NOT NULL, version INTEGER NOT NULL, cause INTEGER NOT NULL, data TEXT NOT NULL) STRICT"
    )
    whose = {"instance": "tb", "venue": "sim", "account": "main", "mode": "paper", "created": "1"}
    db.executemany("INSERT INTO meta VALUES (?, ?)", whose.items())
    db.executemany("INSERT INTO journal VALUES (?,?,?,?,?,?,?)", map(encode, world_facts(0)))
    db.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
    db.commit()
    db.close()


def derived(path: Path) -> list[list[object]]:
    db = sqlite3.connect(path)
    found = [db.execute(f"SELECT * FROM {name}").fetchall() for name in (*STATE, *HISTORY)]
    db.close()
    return found


def test_a_file_of_version_0_is_brought_up_to_date_after_a_backup(tmp_path: Path, rng: random.Random) -> None:
    path = tmp_path / "old.db"
    version_0(path)
    lived = written(tmp_path / "new.db", world_facts(0), rng)
    with pytest.raises(StoreError, match="has version 0, this program reads 1: start the daemon once"):
        Journal.open(path, create=False, readonly=True)
    with Journal.open(path, create=False) as journal:
        assert journal.migrated_from == tmp_path / "old.db.before-v1"
        ledger = Ledger()
        journal.replay(ledger)
        assert ledger_text(ledger) == ledger_text(lived)
    assert derived(path) == derived(tmp_path / "new.db")
    assert verify(path).findings == ()
    saved = tmp_path / "old.db.before-v1"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    db = sqlite3.connect(saved)
    assert db.execute("PRAGMA user_version").fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM journal").fetchone() == (len(world_facts(0)),)
    db.close()
    with Journal.open(path, create=False) as journal:
        assert journal.migrated_from is None


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    version_0(path)
    db = sqlite3.connect(path)
    db.execute("UPDATE journal SET data = '{}' WHERE seq = 30")
    db.commit()
    before = list(db.iterdump())
    db.close()
    for number in ("", ".1"):
        with pytest.raises(StoreError, match="fact 30: "):
            Journal.open(path, create=False)
        assert (tmp_path / f"old.db.before-v1{number}").exists()
        db = sqlite3.connect(path)
        assert list(db.iterdump()) == before
        assert db.execute("PRAGMA user_version").fetchone() == (0,)
        db.close()


def test_a_version_that_nothing_leads_on_from_is_named(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    version_0(path)
    db = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(StoreError, match="has version 0: no migration leads on from there"):
        schema.migrate(db, path, lambda: None, migrations={}, wanted=1)
    assert not db.in_transaction
    db.close()

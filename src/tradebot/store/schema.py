"""Define the tables of the journal's file and bring older files up to date.

Owns the DDL, the file's version and its marks. Refuses files that are not ours or newer than this
program. What is derived from the journal is never migrated: it is dropped and made anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from tradebot.errors import StoreError
from tradebot.store.connect import create_private, sync_folder, transaction

APPLICATION_ID = 0x74726274  # "trbt": how a file says that it is ours
SCHEMA_VERSION = 1

# What is written once and never derived. `pruning` is filled only inside the transaction that prunes.
_SOURCES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,
    ts INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    kind TEXT NOT NULL,
    version INTEGER NOT NULL,
    cause INTEGER NOT NULL,
    data TEXT NOT NULL
) STRICT;
"""
_SINCE_1 = """
CREATE TABLE progress (stream TEXT PRIMARY KEY, ts INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE snapshots (
    upto_seq INTEGER PRIMARY KEY, fact_seq INTEGER NOT NULL, data BLOB NOT NULL
) STRICT;
CREATE TABLE cuts (
    file TEXT PRIMARY KEY, upto_seq INTEGER NOT NULL, facts INTEGER NOT NULL, sha256 TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE pruning (kind TEXT PRIMARY KEY, upto_seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TRIGGER journal_grows_by_one BEFORE INSERT ON journal
WHEN NEW.seq <> 1 + (SELECT coalesce(max(seq), 0) FROM journal)
BEGIN SELECT RAISE(ABORT, 'the journal grows at its end, one by one'); END;
CREATE TRIGGER journal_is_never_changed BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_is_never_cut BEFORE DELETE ON journal
WHEN NOT EXISTS (SELECT 1 FROM pruning p WHERE p.kind = OLD.kind AND OLD.seq <= p.upto_seq)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
"""

# Amounts are text, times ns UTC. `strategy` '' = unassigned, or nobody's; `instrument` '' = all or none.
_PROJECTIONS = """
CREATE TABLE orders (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, strategy TEXT NOT NULL, instrument TEXT NOT NULL,
    side TEXT NOT NULL, kind TEXT NOT NULL, tif TEXT NOT NULL, purpose TEXT NOT NULL,
    qty TEXT NOT NULL, filled TEXT NOT NULL, leaves TEXT NOT NULL,
    limit_price TEXT, stop_price TEXT, trail TEXT,
    status TEXT NOT NULL, is_open INTEGER NOT NULL, venue_id TEXT NOT NULL, reason TEXT NOT NULL,
    parent TEXT, group_id TEXT, replaces TEXT,
    created INTEGER NOT NULL, updated INTEGER NOT NULL,
    first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX orders_open ON orders (id) WHERE is_open;
CREATE TABLE fills (
    venue TEXT NOT NULL, account TEXT NOT NULL, fill_id TEXT NOT NULL,
    seq INTEGER NOT NULL, ts INTEGER NOT NULL, order_id TEXT NOT NULL, strategy TEXT NOT NULL,
    instrument TEXT NOT NULL, side TEXT NOT NULL, qty TEXT NOT NULL, price TEXT NOT NULL,
    fee TEXT NOT NULL, fee_asset TEXT NOT NULL, liquidity TEXT NOT NULL, realized TEXT NOT NULL,
    PRIMARY KEY (venue, account, fill_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE positions (
    account TEXT NOT NULL, strategy TEXT NOT NULL, instrument TEXT NOT NULL,
    qty TEXT NOT NULL, basis TEXT NOT NULL, realized TEXT NOT NULL, fees TEXT NOT NULL,
    entry_qty TEXT NOT NULL, entry_notional TEXT NOT NULL, opened INTEGER NOT NULL,
    PRIMARY KEY (account, strategy, instrument)
) STRICT, WITHOUT ROWID;
CREATE TABLE cash (
    account TEXT NOT NULL, strategy TEXT NOT NULL, asset TEXT NOT NULL, amount TEXT NOT NULL,
    PRIMARY KEY (account, strategy, asset)
) STRICT, WITHOUT ROWID;
CREATE TABLE lots (
    account TEXT NOT NULL, instrument TEXT NOT NULL, lot_id TEXT NOT NULL,
    qty TEXT NOT NULL, basis TEXT NOT NULL, opened INTEGER NOT NULL, order_id TEXT NOT NULL,
    tags TEXT NOT NULL,
    PRIMARY KEY (account, instrument, lot_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE targets (
    strategy TEXT NOT NULL, instrument TEXT NOT NULL,
    since INTEGER, weight REAL, asked_qty REAL, wanted_qty TEXT, price REAL, equity REAL,
    because TEXT, reason TEXT, quotes_since INTEGER,
    suspended_since INTEGER, suspended_because TEXT, suspended_bars INTEGER,
    refused_rule TEXT, refused_reason TEXT, attempts INTEGER NOT NULL, retry_at INTEGER,
    given_up INTEGER NOT NULL,
    PRIMARY KEY (strategy, instrument)
) STRICT, WITHOUT ROWID;
CREATE TABLE decisions (
    strategy TEXT NOT NULL, instrument TEXT NOT NULL, ts INTEGER NOT NULL, seq INTEGER NOT NULL,
    kind TEXT NOT NULL, rule TEXT NOT NULL,
    PRIMARY KEY (strategy, instrument, ts, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE halts (
    seq INTEGER PRIMARY KEY, ts INTEGER NOT NULL, strategy TEXT NOT NULL, instrument TEXT NOT NULL,
    level TEXT NOT NULL, rule TEXT NOT NULL, reason TEXT NOT NULL
) STRICT;
CREATE TABLE runs (
    seq INTEGER PRIMARY KEY, run_id TEXT NOT NULL, epoch INTEGER NOT NULL, started INTEGER NOT NULL,
    ended INTEGER, reason TEXT, config_digest TEXT NOT NULL, code_digest TEXT NOT NULL
) STRICT;
"""
PROJECTED = ("orders", "fills", "positions", "cash", "lots", "targets", "decisions", "halts", "runs")

Migration = Callable[[sqlite3.Connection], None]


def _from_0(db: sqlite3.Connection) -> None:
    _run(db, _SINCE_1)


# version -> what turns a file of that version into the next one.
MIGRATIONS: Mapping[int, Migration] = {0: _from_0}


def create(db: sqlite3.Connection) -> None:
    """Lay out an empty file. The caller holds a transaction and writes `meta`."""
    _run(db, _SOURCES)
    _run(db, _SINCE_1)
    create_projections(db)
    mark(db, SCHEMA_VERSION)


def create_projections(db: sqlite3.Connection) -> None:
    """Make the derived tables anew, empty."""
    for table in PROJECTED:
        db.execute(f"DROP TABLE IF EXISTS {table}")
    _run(db, _PROJECTIONS)


def mark(db: sqlite3.Connection, version: int) -> None:
    """Write into the file that it is ours and which version it has."""
    db.execute(f"PRAGMA application_id={APPLICATION_ID}")
    db.execute(f"PRAGMA user_version={version}")


def is_empty(db: sqlite3.Connection) -> bool:
    """Return whether nothing was ever put into the file."""
    return _number(db, "SELECT count(*) FROM sqlite_schema") == 0 and _number(db, "PRAGMA user_version") == 0


def version_of(db: sqlite3.Connection, path: Path) -> int:
    """Return the file's version. Raises StoreError when it is not ours or newer than this program."""
    if _number(db, "PRAGMA application_id") != APPLICATION_ID:
        raise StoreError(f"{path} must be a journal of tradebot; it is a database of something else")
    version = _number(db, "PRAGMA user_version")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} has version {version}, this program knows up to {SCHEMA_VERSION}: "
            "a newer tradebot wrote it, start that one"
        )
    return version


def migrate(
    db: sqlite3.Connection,
    path: Path,
    derive: Callable[[], None],
    *,
    migrations: Mapping[int, Migration] = MIGRATIONS,
    wanted: int = SCHEMA_VERSION,
) -> Path | None:
    """Bring a file to `wanted`, in one transaction; returns the backup taken before, None if not needed.

    `derive` fills the derived tables, which are made anew. When anything fails the file is as before.
    """
    version = _number(db, "PRAGMA user_version")
    if version >= wanted:
        return None
    saved = copy_beside(db, path, f"before-v{wanted}")
    with transaction(db):
        for old in range(version, wanted):
            step = migrations.get(old)
            if step is None:
                raise StoreError(f"{path} has version {old}: no migration leads on from there")
            step(db)
        create_projections(db)
        derive()
        mark(db, wanted)
    return saved


def copy_beside(db: sqlite3.Connection, path: Path, ending: str) -> Path:
    """Write a whole copy of the file next to it, under a name that is free; returns its path."""
    number = 0
    while True:
        name = f"{path.name}.{ending}" if not number else f"{path.name}.{ending}.{number}"
        to = path.with_name(name)
        if create_private(to):
            break
        number += 1
    db.execute("VACUUM INTO ?", (str(to),))
    sync_folder(to)
    return to


def _run(db: sqlite3.Connection, script: str) -> None:
    # executescript commits what is open; these statements must stay in the caller's transaction.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""


def _number(db: sqlite3.Connection, query: str) -> int:
    found: int = db.execute(query).fetchone()[0]
    return found

"""Check a journal's file against itself: structure, sequence, facts, ledger, derived tables.

Owns the list of what must hold. Changes nothing; works beside a daemon that writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tradebot.core.codec import decode
from tradebot.errors import InvariantError, StoreError
from tradebot.store import connect, cuts, replay, schema
from tradebot.store.journal import Journal

MOST_NAMED = 5  # of each kind of fault: a file with one often has thousands


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a verification found; `findings` is empty when all is well."""

    facts: int
    orders: int
    last_seq: int
    findings: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        return not self.findings


def verify(path: Path) -> Report:
    """Check everything that can be checked without the venue. Raises StoreError only if it cannot be opened."""
    with Journal.open(path, create=False, readonly=True) as journal:
        db = journal.db
        counts = (0, 0)
        findings: list[str] = []
        try:
            db.execute("BEGIN")  # one state of the file, whatever a daemon writes meanwhile
            findings += _structure(db)
            if not findings:
                counts = (_count(db, "journal"), _count(db, "orders"))
                findings += [*_sequence(db), *_rows(db), *_cuts(db, path)]
            if not findings:
                findings += _derived(db, path, journal.meta["venue"])
        except sqlite3.Error as exc:
            findings.append(str(connect.failure(exc, path, "verifying")))
        return Report(facts=counts[0], orders=counts[1], last_seq=journal.last_seq, findings=tuple(findings))


def _count(db: sqlite3.Connection, table: str) -> int:
    found: int = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    return found


def _structure(db: sqlite3.Connection) -> Iterator[str]:
    for (word,) in db.execute(f"PRAGMA integrity_check({MOST_NAMED})"):
        if word != "ok":
            yield f"SQLite: {word}"
    for table, rowid, other, _ in db.execute("PRAGMA foreign_key_check"):
        yield f"SQLite: row {rowid} of {table} points to nothing in {other}"


def _sequence(db: sqlite3.Connection) -> Iterator[str]:
    """Facts are numbered without holes, apart from what was cut and is accounted for."""
    upto, cut = db.execute("SELECT coalesce(max(upto_seq), 0), coalesce(sum(facts), 0) FROM cuts").fetchone()
    kept = db.execute("SELECT count(*) FROM journal WHERE seq <= ?", (upto,)).fetchone()[0]
    if kept + cut != upto:
        yield f"facts 1 to {upto} must all be kept or cut, {upto - kept - cut} are missing"
    previous = upto
    named = 0
    for (seq,) in db.execute("SELECT seq FROM journal WHERE seq > ? ORDER BY seq", (upto,)):
        if seq != previous + 1 and named < MOST_NAMED:
            named += 1
            yield f"facts {previous + 1} to {seq - 1} are missing"
        previous = seq


def _rows(db: sqlite3.Connection) -> Iterator[str]:
    """Every fact can be read, and its columns say what it says."""
    named = 0
    for seq, ts, kind, version, data in db.execute("SELECT seq, ts, kind, version, data FROM journal"):
        try:
            fact = decode(kind, version, data)
        except StoreError as exc:
            problem = str(exc)
        else:
            problem = "" if fact.ts == ts else f"its column ts must be {fact.ts}, was {ts}"
        if problem and named < MOST_NAMED:
            named += 1
            yield f"fact {seq}: {problem}"


def _cuts(db: sqlite3.Connection, path: Path) -> Iterator[str]:
    for upto, file, digest, facts in db.execute("SELECT upto_seq, file, sha256, facts FROM cuts"):
        where = path.with_name(file)
        if where.is_file():  # a backup need not have them beside it
            try:
                found = sum(1 for _ in cuts.read_cut(where, digest))
            except StoreError as exc:
                yield str(exc)
            else:
                if found != facts:
                    yield f"{where} must hold {facts} facts up to {upto}, holds {found}"
    try:
        newest = db.execute("SELECT max(upto_seq) FROM cuts").fetchone()[0]
        if newest is not None:
            replay.snapshot_text(db, path, newest)
    except StoreError as exc:
        yield str(exc)


def _derived(db: sqlite3.Connection, path: Path, venue: str) -> Iterator[str]:
    """The facts lead to a ledger that balances, and to the derived rows that are there."""
    other = sqlite3.connect(":memory:", isolation_level=None)
    try:
        schema.create_projections(other)
        try:
            ledger = replay.derive(db, path, venue, into=other)
            ledger.check()
        except (StoreError, InvariantError) as exc:
            yield str(exc)
            return
        except sqlite3.IntegrityError as exc:
            yield f"the facts contradict each other: {exc}"
            return
        for table in schema.PROJECTED:
            yield from _same_rows(table, db, other)
    finally:
        other.close()


def _same_rows(table: str, db: sqlite3.Connection, other: sqlite3.Connection) -> Iterator[str]:
    query = f"SELECT * FROM {table}"
    found, wanted = (dict.fromkeys(c.execute(query).fetchall()) for c in (db, other))
    if found == wanted:
        return
    odd = [row for row in found if row not in wanted][:1] or [row for row in wanted if row not in found][:1]
    yield (
        f"table {table} must say what the facts say, does not: {len(found)} rows, {len(wanted)} wanted, "
        f"for example {odd[0]}; the facts are whole, it can be made anew from them"
    )


def quick_check(path: Path) -> str:
    """Return what SQLite's quick check finds wrong with the file, empty when nothing: fit for every start."""
    with connect.explained(path, "checking"), Journal.open(path, create=False, readonly=True) as journal:
        found = journal.db.execute("PRAGMA quick_check(1)").fetchone()[0]
        return "" if found == "ok" else f"{path}: {found}"

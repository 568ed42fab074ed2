"""Read the facts back: into a ledger, and from there into the derived tables.

Owns the order of replay: every fact from the first; when some were cut, from the snapshot that was
taken then, or, when this program cannot read it, from the first again with what was cut. Writes no
fact.
"""

from __future__ import annotations

import gc
import heapq
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from tradebot.core import codec
from tradebot.core.facts import Recorded, SnapshotTaken
from tradebot.core.ledger import Ledger
from tradebot.core.snapshot import is_readable, load
from tradebot.errors import InvariantError, StoreError
from tradebot.store.cuts import read_cut
from tradebot.store.projections import record_history, write_state
from tradebot.store.touched import Touched

_ROWS = "SELECT seq, ts, seen, kind, version, cause, data FROM journal WHERE seq > ? ORDER BY seq"


def last_seq(db: sqlite3.Connection) -> int:
    """Return the seq of the newest fact, 0 when there is none."""
    found: int = db.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()[0]
    return found


def recorded(db: sqlite3.Connection, path: Path, after: int = 0) -> Iterator[Recorded]:
    """Yield the journal's facts with a seq above `after`, in order; StoreError names a bad one."""
    return _facts(path, db.execute(_ROWS, (after,)))


def whole(db: sqlite3.Connection, path: Path) -> Iterator[Recorded]:
    """Yield every fact there ever was, in order: the journal's and those that were cut from it."""
    files = db.execute("SELECT file, sha256 FROM cuts ORDER BY upto_seq").fetchall()
    cut = [read_cut(path.with_name(file), digest) for file, digest in files]
    return _facts(path, heapq.merge(db.execute(_ROWS, (0,)), *cut))


def _facts(path: Path, rows: Iterable[tuple[int, int, int, str, int, int, str]]) -> Iterator[Recorded]:
    decode = codec.decode
    for seq, _, seen, kind, version, cause, data in rows:
        try:
            fact = decode(kind, version, data)
        except StoreError as exc:
            raise StoreError(f"{path}: fact {seq}: {exc}") from exc
        yield Recorded(seq, seen, cause, fact)


def replay(db: sqlite3.Connection, path: Path, ledger: Ledger) -> int:
    """Book every fact into an empty ledger; returns how many were read. Raises StoreError at a bad one."""
    if ledger.seq:
        raise InvariantError(f"a journal is replayed into an empty ledger, this one is at {ledger.seq}")
    count = 0
    with _no_collections():
        for one in recorded(db, path, _begin(db, path, ledger)):
            book(ledger, one, path)
            count += 1
    return count


def replayed(db: sqlite3.Connection, path: Path, upto: int) -> Ledger:
    """Return the ledger as it was after fact `upto`, which must not lie before a cut."""
    ledger = Ledger()
    for one in recorded(db, path, _begin(db, path, ledger)):
        if one.seq > upto:
            break
        book(ledger, one, path)
    return ledger


def derive(db: sqlite3.Connection, path: Path, venue: str, *, into: sqlite3.Connection) -> Ledger:
    """Fill the (empty) derived tables of `into` from the journal in `db`; returns the ledger.

    The caller holds the transaction.
    """
    ledger = Ledger()
    touched = Touched(ledger)
    with _no_collections():
        upto = _begin(db, path, ledger)
        for one in recorded(db, path):
            if one.seq > upto:
                book(ledger, one, path)
            record_history(into, venue, one)
            touched.add(one)
    touched.everything()
    write_state(into, touched)
    return ledger


def book(ledger: Ledger, one: Recorded, path: Path) -> None:
    """Book a fact that was read from disk."""
    try:
        ledger.evolve(one)
    except (InvariantError, ArithmeticError, LookupError) as exc:
        raise StoreError(
            f"{path}: fact {one.seq} ({type(one.fact).__name__}) contradicts the facts before it: {exc!r}; "
            "see `tradebot db verify`, then restore a backup"
        ) from exc


def _begin(db: sqlite3.Connection, path: Path, ledger: Ledger) -> int:
    """Bring a ledger to where the journal is whole again; returns that seq, 0 when nothing was cut."""
    upto: int = db.execute("SELECT coalesce(max(upto_seq), 0) FROM cuts").fetchone()[0]
    if not upto:
        return 0
    text = snapshot_text(db, path, upto)
    if is_readable(text):
        load(text, ledger)
        return upto
    # An older program took it. What was cut is still there, in files.
    for one in whole(db, path):
        if one.seq > upto:
            break
        book(ledger, one, path)
    return upto


def snapshot_text(db: sqlite3.Connection, path: Path, upto: int) -> str:
    """Return the snapshot of the ledger at `upto`. Raises StoreError unless a fact vouches for it."""
    found = db.execute("SELECT fact_seq, data FROM snapshots WHERE upto_seq = ?", (upto,)).fetchone()
    if found is None:
        raise StoreError(f"{path}: facts up to {upto} were cut and their snapshot is gone; restore a backup")
    fact_seq, data = found
    try:
        text = zlib.decompress(data).decode()
    except (zlib.error, UnicodeDecodeError) as exc:
        raise StoreError(f"{path}: the snapshot at fact {upto} is damaged; restore a backup") from exc
    voucher = next(recorded(db, path, fact_seq - 1), None)
    wanted = SnapshotTaken(ts=0, digest=sha256(text.encode()).hexdigest(), upto_seq=upto)
    if voucher is None or voucher.fact != replace(wanted, ts=voucher.fact.ts):
        raise StoreError(
            f"{path}: the snapshot at fact {upto} is not the one that fact {fact_seq} vouches for; "
            "restore a backup"
        )
    return text


@contextmanager
def _no_collections() -> Iterator[None]:
    # A replay makes hundreds of thousands of objects that stay: looking for garbage among them is
    # a third of its time and finds none.
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()

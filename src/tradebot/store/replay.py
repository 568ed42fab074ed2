"""Read the facts back: into a ledger, and from there into the derived tables.

Owns the order of replay: the newest snapshot that fits, then every fact after it. Writes no fact.
"""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tradebot.core import codec
from tradebot.core.facts import Recorded
from tradebot.core.ledger import Ledger
from tradebot.errors import InvariantError, StoreError
from tradebot.store.projections import record_history, write_state
from tradebot.store.touched import Touched

COLUMNS = "seq, ts, seen, kind, version, cause, data"


def last_seq(db: sqlite3.Connection) -> int:
    """Return the seq of the newest fact, 0 when there is none."""
    found: int = db.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()[0]
    return found


def recorded(db: sqlite3.Connection, path: Path, after: int = 0) -> Iterator[Recorded]:
    """Yield the facts with a seq above `after`, in order. Raises StoreError with the seq of a bad one."""
    decode = codec.decode
    rows = db.execute(
        "SELECT seq, seen, cause, kind, version, data FROM journal WHERE seq > ? ORDER BY seq", (after,)
    )
    for seq, seen, cause, kind, version, data in rows:
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
        for one in recorded(db, path):
            book(ledger, one, path)
            count += 1
    return count


def book(ledger: Ledger, one: Recorded, path: Path) -> None:
    """Book a fact that was read from disk."""
    try:
        ledger.evolve(one)
    except (InvariantError, ArithmeticError, LookupError) as exc:
        raise StoreError(
            f"{path}: fact {one.seq} ({type(one.fact).__name__}) contradicts the facts before it: {exc!r}; "
            "see `tradebot db verify`, then restore a backup"
        ) from exc


def rebuild(db: sqlite3.Connection, path: Path, venue: str) -> None:
    """Fill the (empty) derived tables from the journal. The caller holds the transaction."""
    ledger = Ledger()
    touched = Touched(ledger)
    with _no_collections():
        for one in recorded(db, path):
            book(ledger, one, path)
            record_history(db, venue, one)
            touched.add(one)
    touched.everything()
    write_state(db, touched)


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

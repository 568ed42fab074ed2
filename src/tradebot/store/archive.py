"""Keep what entered the core, so that a day can be run again.

Owns a file of its own beside the journal: inputs in the order in which they were decided on, packed,
up to a size; the oldest go first, and how many is told. Append inputs before the facts they led to
are committed: then a fact on disk always has its input, unless a power cut took the last of them.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from tradebot.core.messages import Input
from tradebot.errors import StoreError
from tradebot.store import connect, schema
from tradebot.store.inputs import INPUTS_VERSION, Seen, decode_input, encode_input

APPLICATION_ID = 0x74726261  # "trba"
ARCHIVE_VERSION = 1
LATEST = 2**63 - 1
PACK_AT = 256 * 1024  # characters: smaller pieces pack worse, larger ones make one commit long

# Inputs wait in `tail` as they came, and are packed together when they are worth it.
_TABLES = (
    """CREATE TABLE tail (
    id INTEGER PRIMARY KEY, run_id TEXT NOT NULL, version INTEGER NOT NULL, first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL, count INTEGER NOT NULL, data TEXT NOT NULL
) STRICT""",
    """CREATE TABLE packs (
    id INTEGER PRIMARY KEY, run_id TEXT NOT NULL, version INTEGER NOT NULL, first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL, count INTEGER NOT NULL, data BLOB NOT NULL
) STRICT""",
    "CREATE TABLE dropped (run_id TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT, WITHOUT ROWID",
)
_COUNT_DROPPED = """
INSERT INTO dropped VALUES (?, ?) ON CONFLICT (run_id) DO UPDATE SET count = count + excluded.count
"""
_PIECES = """
SELECT id, version, data FROM {} WHERE run_id = coalesce(?, run_id) AND last_seen >= ? AND first_seen <= ?
ORDER BY id
"""


class Archive:
    """The archive of one run that writes, or of all runs to read. Use it from one thread at a time."""

    def __init__(
        self, db: sqlite3.Connection, path: Path, lock: connect.WriterLock | None, run_id: str, cap: int
    ) -> None:
        self.path = path
        self._db = db
        self._lock = lock
        self._run_id = run_id
        self._cap = cap
        self._waiting = 0
        self._in_use = connect.InUse()
        self._packed: int = db.execute("SELECT coalesce(sum(length(data)), 0) FROM packs").fetchone()[0]

    @classmethod
    def open(cls, path: Path, *, run_id: str, cap: int) -> Archive:
        """Open to append the inputs of a run; packed inputs beyond `cap` bytes are dropped, oldest first.

        Raises StoreError (not ours, newer, cannot be written), Busy (somebody else appends).
        """
        with ExitStack() as undo:
            lock = connect.WriterLock(path)
            undo.callback(lock.release)
            connect.create_private(path)
            with connect.explained(path, "opening"):
                db = connect.open_writer(path)
                undo.callback(db.close)
                is_new = schema.is_empty(db)
                if not is_new:
                    _check(db, path)
                connect.keep_log(db)
                db.execute("PRAGMA synchronous=NORMAL").close()
                if is_new:
                    _lay_out(db)
                archive = cls(db, path, lock, run_id, cap)
                archive._pack()  # what an earlier run left
            undo.pop_all()
            return archive

    @classmethod
    def reader(cls, path: Path) -> Archive:
        """Open to read, beside the daemon or without one. Raises StoreError."""
        if not path.is_file():
            raise StoreError(f"{path} must be an archive of inputs; there is no such file")
        with ExitStack() as undo, connect.explained(path, "opening"):
            db = connect.open_reader(path)
            undo.callback(db.close)
            _check(db, path)
            archive = cls(db, path, None, "", 0)
            undo.pop_all()
            return archive

    def append(self, inputs: Sequence[tuple[int, Input]]) -> None:
        """Add (seen, input) pairs, all or nothing. Raises StoreError when nothing was added."""
        if not inputs:
            return
        data = "".join(encode_input(seen, message) + "\n" for seen, message in inputs)
        row = (self._run_id, INPUTS_VERSION, inputs[0][0], inputs[-1][0], len(inputs), data)
        with self._in_use, connect.explained(self.path, "archiving inputs"):
            with connect.transaction(self._db):
                self._db.execute("INSERT INTO tail VALUES (NULL,?,?,?,?,?,?)", row)
            self._waiting += len(data)
            if self._waiting >= PACK_AT:
                self._pack()

    def read(self, *, run_id: str | None = None, since: int = 0, until: int = LATEST) -> Iterator[Seen]:
        """Yield inputs in order, of one run or of all, seen from `since` to `until` (ns UTC).

        Raises StoreError at a piece that cannot be read, except the newest: a power cut may have torn it.
        """
        with connect.explained(self.path, "reading"):
            newest = self._db.execute("SELECT max(id) FROM tail").fetchone()[0]
            for table in ("packs", "tail"):
                rows = self._db.execute(_PIECES.format(table), (run_id, since, until))
                for piece, version, data in rows:
                    if version != INPUTS_VERSION:
                        raise StoreError(
                            f"{self.path}: piece {piece} was written with inputs of version {version}, "
                            f"this program reads {INPUTS_VERSION}: start the one that wrote it"
                        )
                    try:
                        lines = _unpacked(data)
                    except StoreError as exc:
                        if table == "tail" and piece == newest:
                            return
                        raise StoreError(f"{self.path}: piece {piece}: {exc}") from exc
                    yield from (seen for seen in lines if since <= seen.seen <= until)

    def dropped(self, run_id: str | None = None) -> int:
        """Return how many inputs of a run, or of all, had to go because the archive was full."""
        query = "SELECT coalesce(sum(count), 0) FROM dropped WHERE run_id = coalesce(?, run_id)"
        with connect.explained(self.path, "reading"):
            found: int = self._db.execute(query, (run_id,)).fetchone()[0]
            return found

    def close(self, within: float = connect.CLOSE_WITHIN) -> None:
        """Let go of the file; more than once is fine.

        An `append` that does not come back in so many seconds keeps it until the process ends.
        """
        self._in_use.close(self._db, self.path, self._lock, within)

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pack(self) -> None:
        """Pack what waits, and drop the oldest packs beyond the cap."""
        with connect.transaction(self._db):
            packed = self._packed + _pack_tail(self._db)
            packed -= _drop_oldest(self._db, packed - self._cap)
        self._packed, self._waiting = packed, 0


def _pack_tail(db: sqlite3.Connection) -> int:
    """Turn the tail into a pack per run and version; returns their size in bytes."""
    size = 0
    groups = db.execute(
        "SELECT run_id, version, min(first_seen), max(last_seen), sum(count) FROM tail "
        "GROUP BY run_id, version ORDER BY min(id)"
    ).fetchall()
    for run_id, version, *span in groups:
        lines = db.execute(
            "SELECT data FROM tail WHERE run_id = ? AND version = ? ORDER BY id", (run_id, version)
        )
        data = zlib.compress("".join(text for (text,) in lines).encode())
        db.execute("INSERT INTO packs VALUES (NULL,?,?,?,?,?,?)", (run_id, version, *span, data))
        size += len(data)
    db.execute("DELETE FROM tail")
    return size


def _drop_oldest(db: sqlite3.Connection, excess: int) -> int:
    """Drop packs of at least `excess` bytes, count what was in them; returns their size."""
    gone = 0
    packs = db.execute("SELECT id, run_id, count, length(data) FROM packs ORDER BY id").fetchall()
    for piece, run_id, count, size in packs:
        if gone >= excess:
            break
        db.execute("DELETE FROM packs WHERE id = ?", (piece,))
        db.execute(_COUNT_DROPPED, (run_id, count))
        gone += size
    return gone


def _lay_out(db: sqlite3.Connection) -> None:
    with connect.transaction(db):
        for table in _TABLES:
            db.execute(table)
        db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        db.execute(f"PRAGMA user_version={ARCHIVE_VERSION}")


def _check(db: sqlite3.Connection, path: Path) -> None:
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise StoreError(f"{path} must be an archive of inputs; it is a database of something else")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version != ARCHIVE_VERSION:
        raise StoreError(
            f"{path} has version {version}, this program knows {ARCHIVE_VERSION}: "
            "move it away, or start the tradebot that wrote it"
        )


def _unpacked(data: bytes | str) -> list[Seen]:
    try:
        text = data if isinstance(data, str) else zlib.decompress(data).decode()
    except (zlib.error, UnicodeDecodeError) as exc:
        raise StoreError(f"it is damaged: {exc}") from exc
    # By "\n" alone: a reason from a venue may hold other characters that also end lines.
    return [decode_input(line) for line in text.split("\n") if line]

"""Keep the facts: append them in one transaction, give them back in order.

Owns the journal's file while the daemon lives: one writing connection, or a reading one. Refuses to
go on from a gap, to write beside another writer, and files that are not its own. What is derived
from the facts is written in the same transaction (`projections`).

A commit that fails leaves the file as it was and the ledger ahead of it: send nothing, halt, and
start again by replay.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType, TracebackType

from tradebot.core import codec
from tradebot.core.facts import Recorded
from tradebot.core.ledger import Ledger
from tradebot.errors import InvariantError, StoreError
from tradebot.store import connect, schema
from tradebot.store.projections import project
from tradebot.store.replay import derive, last_seq, replay

NO_PROGRESS: Mapping[str, int] = MappingProxyType({})
RESTORED_AT = "restored_at"  # in `meta`: when this file took the place of another (ns UTC)
RUN_PREFIX = "run/"  # the streams of `progress` that say until when a run was alive

_PROGRESS = """
INSERT INTO progress VALUES (?, ?) ON CONFLICT (stream) DO UPDATE SET ts = max(ts, excluded.ts)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whose facts a journal holds; fixed when it is made. `instance` opens every client order id."""

    instance: str
    venue: str
    account: str
    mode: str


class Journal:
    """The facts of one (venue, account, mode) on disk. Use it from one thread at a time.

    `last_seq` is the seq of the newest fact on disk, `meta` what the file says of itself,
    `migrated_from` the backup that was taken before an older file was brought up to date. `db` is
    for this room: who trades appends.
    """

    def __init__(self, db: sqlite3.Connection, path: Path, lock: connect.WriterLock | None) -> None:
        self.path = path
        self.migrated_from: Path | None = None
        self.last_seq = last_seq(db)
        self.meta: Mapping[str, str] = dict(db.execute("SELECT key, value FROM meta").fetchall())
        self.db = db
        self._lock = lock
        self._ledger: Ledger | None = None
        self._is_durable = True  # as `open_writer` leaves the connection
        self._file = _file_at(path)
        self._in_use = connect.InUse()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        create: bool,
        readonly: bool = False,
        identity: Identity | None = None,
        now: int = 0,
        program: str = "",
    ) -> Journal:
        """Open the journal at `path`; with `create`, make it when there is none.

        `identity` is written into a new journal, with `now` (ns UTC) and the version of the
        `program`; it must be that of an existing one. An older file is brought up to date, after a
        backup next to it.

        Raises StoreError (missing, damaged, newer, not ours, another account's), Busy (second writer).
        """
        if not create and not path.is_file():
            raise StoreError(f"{path} must be a journal; there is no such file")
        with ExitStack() as undo:
            lock = None if readonly else connect.WriterLock(path)
            if lock is not None:
                undo.callback(lock.release)
                if connect.create_private(path):
                    undo.callback(_drop_if_empty, path)
            with connect.explained(path, "opening"):
                db = connect.open_reader(path) if readonly else connect.open_writer(path)
                undo.callback(db.close)
                saved = None
                if not readonly:
                    if create and schema.is_empty(db):
                        _lay_out(db, path, identity, now, program)
                    saved = _bring_up_to_date(db, path)
                _check_version(db, path)
                journal = cls(db, path, lock)
            journal.migrated_from = saved
            _check_identity(journal, identity)
            undo.pop_all()
            return journal

    @property
    def is_readonly(self) -> bool:
        return self._lock is None

    def replay(self, ledger: Ledger) -> int:
        """Book every fact into an empty ledger; returns how many were read.

        From here on `append` expects the facts that this ledger has booked last.
        Raises StoreError at a fact that cannot be read or contradicts those before it.
        """
        with connect.explained(self.path, "replaying"):
            count = replay(self.db, self.path, ledger)
        self._ledger = ledger
        return count

    def append(
        self, facts: Sequence[Recorded], *, durable: bool, progress: Mapping[str, int] = NO_PROGRESS
    ) -> None:
        """Commit facts and what is derived from them, all or nothing.

        `facts` are the newest that the replayed ledger has booked, numbered on from `last_seq`; none
        is fine. `durable`: on return they survive a power cut; without it they survive only the end
        of this process, and a later durable commit carries them along. `progress` says up to which
        ts each stream was seen; it never goes back.

        Raises StoreError when nothing was recorded (full disk, failing disk, read-only, file gone, ...).
        """
        ledger = self._follower(facts)
        if durable:
            self._check_there()
        rows = [codec.encode(one) for one in facts]
        with self._in_use, connect.explained(self.path, "writing facts"):
            self._set_durable(durable)
            with connect.transaction(self.db):
                self.db.executemany("INSERT INTO journal VALUES (?,?,?,?,?,?,?)", rows)
                self._write_progress(facts, progress, ledger.run_id)
                project(self.db, self.meta["venue"], facts, ledger)
        if facts:
            self.last_seq = facts[-1].seq

    def progress(self) -> dict[str, int]:
        """Return up to which ts each stream was seen."""
        with connect.explained(self.path, "reading"):
            found = self.db.execute("SELECT stream, ts FROM progress ORDER BY stream").fetchall()
        return {stream: ts for stream, ts in found if not stream.startswith(RUN_PREFIX)}

    def rebuild(self) -> None:
        """Make the derived tables anew from the facts, in one transaction."""
        with connect.explained(self.path, "rebuilding"), connect.transaction(self.db):
            schema.create_projections(self.db)
            derive(self.db, self.path, self.meta["venue"], into=self.db)

    def checkpoint(self) -> None:
        """Move what is in the write-ahead log into the file itself, as far as readers let it."""
        with connect.explained(self.path, "checkpointing"):
            self.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self, within: float = connect.CLOSE_WITHIN) -> None:
        """Let go of the file; more than once is fine.

        An `append` that does not come back in so many seconds keeps it until the process ends.
        """
        self._in_use.close(self.db, self.path, self._lock, within)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _follower(self, facts: Sequence[Recorded]) -> Ledger:
        if self.is_readonly:
            raise InvariantError(f"{self.path} was opened to read: nothing can be appended")
        if self._ledger is None:
            raise InvariantError(f"{self.path} must be replayed before facts are appended")
        for seq, one in enumerate(facts, self.last_seq + 1):
            if one.seq != seq:
                raise InvariantError(f"{self.path}: the next fact must be number {seq}, was {one.seq}")
        newest = self.last_seq + len(facts)
        if self._ledger.seq != newest:
            raise InvariantError(
                f"{self.path}: facts must be appended before the next decision; "
                f"these end at {newest}, the ledger is at {self._ledger.seq}"
            )
        return self._ledger

    def _check_there(self) -> None:
        # A file without a name takes every write, and all of them are gone when it is closed.
        if _file_at(self.path) != self._file:
            raise StoreError(
                f"{self.path} must be the file that was opened; it was removed or replaced meanwhile, and nothing "
                "can be recorded. Put it back from a backup (tradebot db restore), then start again"
            )

    def _set_durable(self, durable: bool) -> None:
        if durable is not self._is_durable:
            self.db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._is_durable = durable

    def _write_progress(self, facts: Sequence[Recorded], progress: Mapping[str, int], run_id: str) -> None:
        moved = dict(progress)
        alive = [*progress.values(), *(one.seen for one in facts[-1:])]
        if run_id and alive:
            moved[RUN_PREFIX + run_id] = max(alive)
        self.db.executemany(_PROGRESS, moved.items())


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _lay_out(db: sqlite3.Connection, path: Path, identity: Identity | None, now: int, program: str) -> None:
    if identity is None:
        raise InvariantError(f"{path}: a new journal must be told its venue, account and mode")
    meta = {field.name: getattr(identity, field.name) for field in fields(identity)}
    meta |= {"created": str(now), "created_by": program}
    connect.keep_log(db)
    with connect.transaction(db):
        schema.create(db)
        db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
    connect.sync_folder(path)


def _bring_up_to_date(db: sqlite3.Connection, path: Path) -> Path | None:
    _check_ours(db, path)
    connect.keep_log(db)

    def fill() -> None:
        venue = db.execute("SELECT value FROM meta WHERE key = 'venue'").fetchone()[0]
        derive(db, path, venue, into=db)

    return schema.migrate(db, path, fill)


def _check_ours(db: sqlite3.Connection, path: Path) -> int:
    if schema.is_empty(db):
        raise StoreError(f"{path} must be a journal; it is an empty file")
    return schema.version_of(db, path)


def _check_version(db: sqlite3.Connection, path: Path) -> None:
    version = _check_ours(db, path)
    if version < schema.SCHEMA_VERSION:
        raise StoreError(
            f"{path} has version {version}, this program reads {schema.SCHEMA_VERSION}: "
            "start the daemon once, it brings the file up to date"
        )


def _check_identity(journal: Journal, identity: Identity | None) -> None:
    for field in () if identity is None else fields(identity):
        found, wanted = journal.meta.get(field.name, ""), getattr(identity, field.name)
        if found != wanted:
            raise StoreError(
                f"{journal.path} is the journal of another {field.name}: it must be {wanted!r}, was {found!r}; "
                "each venue, account and mode has its own"
            )


def _drop_if_empty(path: Path) -> None:
    # Only what `open` has just made and could not fill.
    if path.exists() and path.stat().st_size == 0:
        path.unlink()

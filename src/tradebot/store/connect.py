"""Open SQLite files the one way that is safe here, and say in words why one could not be used.

Owns connections, their settings, the lock of the one writer and the words for SQLite's failures.
Knows no tables.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from tradebot.errors import Busy, StoreError

# Below it two connections that write or checkpoint at once may corrupt the file (the WAL-reset bug).
SAFE_SQLITE = (3, 51, 3)
BUSY_TIMEOUT_MS = 5000
CLOSE_WITHIN = 5.0  # seconds

_WORDS = {
    sqlite3.SQLITE_FULL: "the disk or its quota is full; free space, then start again",
    sqlite3.SQLITE_IOERR: "the disk failed to read or write; look at the system's log, then start again",
    sqlite3.SQLITE_READONLY: "it cannot be written; look at its permissions and whether the disk went read-only",
    sqlite3.SQLITE_BUSY: "another process holds it; end that one, then start again",
    sqlite3.SQLITE_LOCKED: "another connection of this process holds it",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; see `tradebot db verify`, then restore a backup",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; look at the permissions of the file and its folder",
    sqlite3.SQLITE_CONSTRAINT: "what was to be written contradicts what is there",
}


def sqlite_notice(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> str | None:
    """Return a warning when this SQLite is older than the fix of the WAL-reset bug, None when not."""
    if version >= SAFE_SQLITE:
        return None
    found, wanted = (".".join(str(part) for part in v) for v in (version, SAFE_SQLITE))
    return (
        f"SQLite is {found}; from {wanted} on, two processes that write the same file cannot damage it. "
        "tradebot writes with one connection only: let no other program write its files."
    )


class explained:  # noqa: N801  used like a function: `with explained(path, "reading"):`
    """Turn SQLite's errors into StoreError: what was tried, on which file, why not, what to do."""

    __slots__ = ("_doing", "_path")

    def __init__(self, path: Path, doing: str) -> None:
        self._path, self._doing = path, doing

    def __enter__(self) -> None:
        """Nothing to take."""

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        if isinstance(exc, sqlite3.Error):
            raise failure(exc, self._path, self._doing) from exc


def failure(exc: sqlite3.Error, path: Path, doing: str) -> StoreError:
    """Return the StoreError for an error of SQLite."""
    code = getattr(exc, "sqlite_errorcode", None)
    words = _WORDS.get(code & 0xFF) if isinstance(code, int) else None
    said = f"{exc}" if words is None else f"{words} ({exc})"
    return StoreError(f"{path}: {doing} failed: {said}")


class InUse:
    """Keep a connection from being closed while a thread is in the middle of using it: that ends the process.

    `with` it while using; `close` waits for whoever does so.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, kind: object, exc: object, trace: object) -> None:
        self._lock.release()

    def close(self, db: sqlite3.Connection, path: Path, lock: WriterLock | None, within: float) -> None:
        """Close a connection and give its writer's lock back.

        One that is still in use after so many seconds keeps both until the process ends.
        """
        if not self._lock.acquire(timeout=within):
            return
        try:
            with explained(path, "closing"):
                db.close()
        finally:
            self._lock.release()
            if lock is not None:
                lock.release()


def open_writer(path: Path) -> sqlite3.Connection:
    """Open for writing. The file must exist (`create_private`); see `keep_log` before the first write."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000)
    try:
        for setting in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "mmap_size=0",
            "synchronous=FULL",
        ):
            db.execute(f"PRAGMA {setting}").close()
    except sqlite3.Error:
        db.close()
        raise
    return db


def keep_log(db: sqlite3.Connection) -> None:
    """Write ahead to a log, so that readers never wait. Changes the file: only for one that is ours."""
    db.execute("PRAGMA journal_mode=WAL").close()


def open_reader(path: Path) -> sqlite3.Connection:
    """Open for reading, beside a writer or without one."""
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    db = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000
    )
    try:
        db.execute("PRAGMA temp_store=MEMORY").close()
        db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError as exc:
        db.close()
        # Reading a WAL file needs its -shm beside it. Whoever may not write in the folder cannot make
        # one; with no WAL left everything is in the file itself, and nobody is writing to it.
        no_room = exc.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
        if not no_room or _beside(path, "-wal").exists():
            raise
        db = sqlite3.connect(f"{uri}&immutable=1", uri=True, isolation_level=None, check_same_thread=False)
    except sqlite3.Error:
        db.close()
        raise
    return db


def create_private(path: Path) -> bool:
    """Make an empty file that only its owner may read; returns False when there is one already."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    except OSError as exc:
        raise StoreError(f"{path} cannot be made: {exc.strerror}") from exc
    return True


def sync_file(path: Path) -> None:
    """Make sure that a file's content is still there after a power cut."""
    _sync(path)


def sync_folder(path: Path) -> None:
    """Make sure that a new or renamed file in the folder of `path` is still there after a power cut."""
    _sync(path.parent)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


class WriterLock:
    """The right to write a file: held by one process, let go when it ends, however it ends."""

    def __init__(self, path: Path) -> None:
        """Take the lock. Raises Busy when somebody else writes."""
        import fcntl  # Linux and macOS only: where it is missing, nothing trades

        lock = _beside(path, ".lock")
        try:
            self._fd = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as exc:
            raise StoreError(f"{lock} cannot be made: {exc.strerror}") from exc
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._fd)
            raise Busy(f"{path} must have one writer; another process is writing it") from exc
        # A worker that a strategy forks has this open, too, and would hold the lock after our end.
        os.register_at_fork(after_in_child=self.release)

    def release(self) -> None:
        """Let the lock go; more than once is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class transaction:  # noqa: N801  used like a function: `with transaction(db):`
    """Do all of it or nothing; the right to write is taken at once, so that it cannot fail half-way."""

    __slots__ = ("_db",)

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        db = self._db
        try:
            if exc is None:
                db.execute("COMMIT")
        finally:
            # Still open: something failed. A full disk or a failing one has rolled back by itself.
            if db.in_transaction:
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")

"""The disk of a daemon that is killed, loses power, fills up, or comes back from a backup.

Owns real SQLite files, one folder for each life of the process. A kill keeps every commit. A loss of
power keeps those up to the last one that was flushed: the write-ahead log, which only grows here, is cut
where it ended then. Refuses to know what is in the files.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tradebot.core.facts import Recorded
from tradebot.store.journal import Journal

FILE = "journal.db"
HALTS = "halts.json"


class Killed(BaseException):
    """The process is gone: whatever still runs in memory may not reach disk or venue."""


class Image(NamedTuple):
    """What the files held at one moment."""

    main: bytes
    log: bytes
    halts: bytes | None

    def lay_out(self, folder: Path) -> None:
        """Write the files into a new folder, as the next process finds them."""
        folder.mkdir(parents=True)
        (folder / FILE).write_bytes(self.main)
        if self.log:
            (folder / f"{FILE}-wal").write_bytes(self.log)
            # Only to keep what is copied small: what the log holds is moved into the file.
            db = sqlite3.connect(folder / FILE, isolation_level=None)
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            db.close()
        if self.halts is not None:
            (folder / HALTS).write_bytes(self.halts)


class Disk:
    """The record of one life: the runner's `Record`, and what its files hold.

    `before` and `after` are told of each commit and raise Killed to end the process there.
    """

    def __init__(self, journal: Journal, folder: Path) -> None:
        self.journal = journal
        self.folder = folder
        self.is_dead = False
        self.commits = 0
        self.flushed = 0  # where the log ended at the last flush
        # The log must only grow while this process lives: see `Image`.
        self._db: sqlite3.Connection = journal.db
        self._db.execute("PRAGMA wal_autocheckpoint=0")
        self.mark()

    def append(self, facts: Sequence[Recorded], *, durable: bool, progress: Mapping[str, int]) -> None:
        if self.is_dead:
            raise Killed
        self.journal.append(facts, durable=durable, progress=progress)
        self.commits += 1
        if durable:
            self.mark()

    def mark(self) -> None:
        """Note that everything so far was flushed."""
        log = self.folder / f"{FILE}-wal"
        self.flushed = log.stat().st_size if log.exists() else 0

    def fill_up(self) -> None:
        """From the next page on the disk is full."""
        pages = self._db.execute("PRAGMA page_count").fetchone()[0]
        self._db.execute(f"PRAGMA max_page_count={pages}").fetchall()

    def image(self, *, power_lost: bool = False) -> Image:
        """Return what a process that is killed now, or a machine that loses power, leaves."""
        log = self.folder / f"{FILE}-wal"
        halts = self.folder / HALTS
        kept = log.read_bytes() if log.exists() else b""
        return Image(
            main=(self.folder / FILE).read_bytes(),
            log=kept[: self.flushed] if power_lost else kept,
            halts=halts.read_bytes() if halts.exists() else None,
        )

    def let_go(self) -> None:
        """Close the files of a process that is gone; its folder is nobody's any more."""
        self.is_dead = True
        self.journal.close()
        shutil.rmtree(self.folder)

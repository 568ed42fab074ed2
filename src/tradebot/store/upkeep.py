"""Look after a journal while nothing trades on it: back it up, restore it, cut it.

Owns what happens to whole files. Never leaves a copy that was not verified, and never the only copy
of anything half done: what is replaced or cut is kept beside.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tradebot.core.codec import Row
from tradebot.core.facts import Recorded, SnapshotTaken
from tradebot.core.ledger import Ledger
from tradebot.core.snapshot import dump, load
from tradebot.errors import StoreError
from tradebot.store import connect, replay
from tradebot.store.cuts import MAY_BE_CUT, read_cut, write_cut
from tradebot.store.journal import RESTORED_AT, Journal
from tradebot.store.verify import verify

# --- copies ---------------------------------------------------------------------------------------


def backup(path: Path, to: Path) -> int:
    """Copy the journal to a new file and verify the copy; returns its newest seq.

    Works beside a daemon that writes. Raises StoreError when `to` exists or the copy is not sound; no
    copy is left then.
    """
    with connect.explained(path, "backing up"), Journal.open(path, create=False, readonly=True) as journal:
        return _copy(journal.db, to, lambda db: None)


def restore(saved: Path, path: Path, *, now: int, force: bool = False) -> Path | None:
    """Put a copy of the backup `saved` in the place of the journal at `path`.

    Returns where the old file was put aside, None when there was none. The new file says that it was
    restored at `now` (ns UTC). What it cannot know every start asks the venue for.

    Raises StoreError when the backup is not sound, belongs to another account, or is older than the
    journal (or the journal cannot be read) without `force`; Busy while a daemon writes it.
    """
    _check_sound(saved)
    with ExitStack() as after:
        lock = connect.WriterLock(path)
        after.callback(lock.release)
        with (
            connect.explained(saved, "restoring"),
            Journal.open(saved, create=False, readonly=True) as source,
        ):
            if path.exists() and not force:
                _check_not_newer(source, path)

            def mark(db: sqlite3.Connection) -> None:
                db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (RESTORED_AT, str(now)))

            fresh = path.with_name(f"{path.name}.restoring")
            fresh.unlink(missing_ok=True)
            _copy(source.db, fresh, mark)
        aside = _put_aside(path) if path.exists() else None
        fresh.replace(path)
        connect.sync_folder(path)
        return aside


def _copy(db: sqlite3.Connection, to: Path, finish: Callable[[sqlite3.Connection], None]) -> int:
    """Copy to a new file, let `finish` write into it, verify it; it appears whole or not at all."""
    if to.exists():
        raise StoreError(f"{to} must not exist yet: a backup never replaces a file")
    part = to.with_name(to.name + ".part")
    part.unlink(missing_ok=True)
    connect.create_private(part)
    with ExitStack() as undo:
        undo.callback(part.unlink, missing_ok=True)
        with connect.explained(to, "copying"):
            db.execute("VACUUM INTO ?", (str(part),))
            copy = sqlite3.connect(part, isolation_level=None)
            try:
                finish(copy)
                newest = replay.last_seq(copy)
            finally:
                copy.close()
        _check_sound(part)
        connect.sync_file(part)
        part.replace(to)
        undo.pop_all()
    connect.sync_folder(to)
    return newest


def _check_sound(path: Path) -> None:
    report = verify(path)
    if not report.is_sound:
        raise StoreError(f"{path} must be a sound journal; " + "; ".join(report.findings))


def _check_not_newer(source: Journal, path: Path) -> None:
    try:
        with Journal.open(path, create=False, readonly=True) as there:
            newest, meta = there.last_seq, there.meta
    except StoreError as exc:
        raise StoreError(
            f"{path} cannot be compared with the backup: {exc}; --force replaces it all the same"
        ) from exc
    for word in ("instance", "venue", "account", "mode"):
        if source.meta.get(word) != meta.get(word):
            raise StoreError(
                f"{path}: the backup must be of the same {word}, {meta.get(word)!r}, "
                f"was {source.meta.get(word)!r}; --force replaces it all the same"
            )
    if newest > source.last_seq:
        raise StoreError(
            f"{path} is newer than the backup: it ends at fact {newest}, the backup at {source.last_seq}; "
            "--force replaces it all the same"
        )


def _put_aside(path: Path) -> Path:
    """Give the old file a second name, so that one of the two is at `path` at any moment."""
    number = 1
    while (aside := path.with_name(f"{path.name}.replaced.{number}")).exists():
        number += 1
    if _is_log_folded(path):
        os.link(path, aside)
        return aside
    # A log belongs to the file it was written for: beside another one it would be its ruin.
    for ending in ("-wal", "-shm", ""):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.replace(aside.with_name(aside.name + ending))
    return aside


def _is_log_folded(path: Path) -> bool:
    """Move what a killed writer left in the log into the file; returns whether the file is now alone."""
    try:
        db = connect.open_writer(path)
        try:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            db.close()
    except sqlite3.Error:
        return False  # too damaged to be opened: it is moved as it is
    return not path.with_name(path.name + "-wal").exists()


# --- cutting --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What left the journal: `facts` up to `upto_seq`, kept in `file`."""

    file: Path
    facts: int
    upto_seq: int


def prune(path: Path, *, keep: int, now: int) -> Cut | None:
    """Cut what only explained decisions and is older than `keep` ns before the newest fact.

    Returns None when there is nothing to cut. Money, lots, orders, halts and runs stay, and so does
    what explains the present. Before a row goes, the snapshot that replaces it has been loaded,
    carried on to the newest fact and found equal, its digest is a fact, and the rows are in a file
    beside the journal that was read back. Raises Busy while a daemon writes.
    """
    with Journal.open(path, create=False) as journal:
        _check_sound(path)
        upto = _last_before(journal, keep)
        with connect.explained(path, "pruning"):
            going = _going(journal.db, upto)
            if not going:
                return None
            ledger = Ledger()
            journal.replay(ledger)
            text = _verified_snapshot(journal, ledger, upto)
            file = path.with_name(f"{path.name}.cut-{going[0].seq}-{going[-1].seq}.jsonl.gz")
            count, digest = write_cut(file, going)
            if list(read_cut(file, digest)) != going:
                raise StoreError(f"{file} does not read back as it was written; nothing was cut")
            fact = SnapshotTaken(ts=now, digest=sha256(text.encode()).hexdigest(), upto_seq=upto)
            taken = Recorded(journal.last_seq + 1, now, 0, fact)
            ledger.evolve(taken)
            journal.append([taken], durable=True)
            with connect.transaction(journal.db):
                snapshot = (upto, taken.seq, zlib.compress(text.encode()))
                _take_away(journal.db, snapshot, (file.name, upto, count, digest), [row.seq for row in going])
            journal.db.execute("VACUUM")
        return Cut(file=file, facts=count, upto_seq=upto)


def _last_before(journal: Journal, keep: int) -> int:
    newest = journal.db.execute("SELECT max(seen) FROM journal").fetchone()[0] or 0
    query = "SELECT coalesce(max(seq), 0) FROM journal WHERE seen < ?"
    found: int = journal.db.execute(query, (newest - keep,)).fetchone()[0]
    return found


def _going(db: sqlite3.Connection, upto: int) -> list[Row]:
    kinds = ",".join("?" * len(MAY_BE_CUT))
    rows = db.execute(
        "SELECT seq, ts, seen, kind, version, cause, data FROM journal "
        f"WHERE seq <= ? AND kind IN ({kinds}) AND seq NOT IN "
        "(SELECT max(seq) FROM decisions GROUP BY strategy, instrument, kind) ORDER BY seq",
        (upto, *MAY_BE_CUT),
    )
    return [Row(*row) for row in rows]


def _verified_snapshot(journal: Journal, ledger: Ledger, upto: int) -> str:
    """Return the ledger's text at `upto`, after proof that a start from it ends where `ledger` is."""
    before = replay.replayed(journal.db, journal.path, upto)
    text = dump(before)
    again = Ledger()
    load(text, again)
    for one in replay.recorded(journal.db, journal.path, upto):
        replay.book(again, one, journal.path)
    again.check()
    if dump(again) != dump(ledger):
        raise StoreError(f"{journal.path}: a snapshot at fact {upto} leads elsewhere; nothing was cut")
    return text


def _take_away(
    db: sqlite3.Connection,
    snapshot: tuple[int, int, bytes],
    cut: tuple[str, int, int, str],
    seqs: list[int],
) -> None:
    upto = snapshot[0]
    db.execute("DELETE FROM snapshots")
    db.execute("INSERT INTO snapshots VALUES (?,?,?)", snapshot)
    db.execute("INSERT INTO cuts VALUES (?,?,?,?)", cut)
    db.executemany("INSERT INTO pruning VALUES (?,?)", [(kind, upto) for kind in MAY_BE_CUT])
    db.executemany("DELETE FROM journal WHERE seq = ?", [(seq,) for seq in seqs])
    db.execute("DELETE FROM decisions WHERE seq NOT IN (SELECT seq FROM journal)")
    db.execute("DELETE FROM pruning")

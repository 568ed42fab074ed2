"""A killed writer, a full disk, a limit in the middle of a write: acknowledged facts stay, others go whole."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.core.ledger_text import ledger_text
from tests.store.stage import batches, book, made, world_facts, written
from tradebot.core.codec import encode
from tradebot.core.facts import Recorded
from tradebot.core.ledger import Ledger
from tradebot.errors import Busy, StoreError
from tradebot.store import connect
from tradebot.store.journal import Journal
from tradebot.store.verify import verify

PROVING = os.environ.get("TRADEBOT_PROVE") == "1"
KILLS = 200 if PROVING else 6
ROOT = Path(__file__).parents[2]


def replayed(path: Path) -> Ledger:
    ledger = Ledger()
    with Journal.open(path, create=False) as journal:
        journal.replay(ledger)
    return ledger


def lived(facts: Sequence[Recorded]) -> Ledger:
    ledger = Ledger()
    book(ledger, facts)
    return ledger


# --- kill -----------------------------------------------------------------------------------------


def killed(path: Path, rows: Path, number: str, after: int) -> tuple[int, bool]:
    """Let a process write until it has acknowledged `after` commits, kill it; returns the last one it did.

    Second: whether it was killed, or had written all there was.
    """
    command = [sys.executable, "-m", "tests.store.writing_process", str(path), str(rows), number]
    paths = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}
    ) as process:
        assert process.stdout is not None
        acknowledged = 0
        for count, line in enumerate(process.stdout, 1):
            acknowledged = int(line)
            if count == after:
                break
        process.kill()
        rest = process.stdout.read().splitlines()  # what it said before the kill reached it
    whole = [line for line in rest if line.isdigit()]
    return (int(whole[-1]) if whole else acknowledged), process.returncode != 0


def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path, rng: random.Random) -> None:
    facts = world_facts(0)
    rows = tmp_path / "rows"
    rows.write_text("".join(json.dumps(encode(one)) + "\n" for one in facts))
    file, kills = 0, 0
    path = tmp_path / "j0.db"
    while kills < KILLS:
        acknowledged, was_killed = killed(path, rows, str(rng.random()), rng.randint(1, 40))
        kills += was_killed
        report = verify(path)
        assert report.findings == ()
        assert report.last_seq >= acknowledged
        assert ledger_text(replayed(path)) == ledger_text(lived(facts[: report.last_seq]))
        if report.last_seq == len(facts):
            file += 1
            path = tmp_path / f"j{file}.db"
    assert kills == KILLS


# --- disk -----------------------------------------------------------------------------------------


def refusal(journal: Journal, facts: Sequence[Recorded], *, durable: bool) -> str:
    """Append facts; returns what was said against it, empty when they were committed."""
    try:
        journal.append(facts, durable=durable)
    except StoreError as exc:
        return str(exc)
    return ""


def filled_until_refused(path: Path, rest: Sequence[Recorded], rng: random.Random, pages: int) -> bool:
    """Let the file have `pages` more pages; returns whether that was too few. The refusal is whole."""
    with Journal.open(path, create=False) as journal:
        ledger = Ledger()
        journal.replay(ledger)
        (have,) = journal.db.execute("PRAGMA page_count").fetchone()
        journal.db.execute(f"PRAGMA max_page_count={have + pages}").fetchone()
        for batch in batches(rest, rng):
            before = journal.last_seq
            book(ledger, batch)
            said = refusal(journal, batch, durable=rng.random() < 0.5)
            if said:
                assert "writing facts failed: the disk or its quota is full; free space" in said
                assert journal.last_seq == before
                assert not journal.db.in_transaction
                assert verify(path).findings == ()
                assert verify(path).last_seq == before
                journal.db.execute("PRAGMA max_page_count=1000000").fetchone()
                journal.append(batch, durable=True)
                return True
    return False


def test_a_full_disk_at_every_page_refuses_the_commit_and_leaves_the_file_whole(
    tmp_path: Path, rng: random.Random
) -> None:
    facts = world_facts(0)[:300]
    for pages in range(1000):
        path = tmp_path / f"j{pages}.db"
        written(path, facts[:30], rng)
        refused = filled_until_refused(path, facts[30:], rng, pages)
        report = verify(path)
        assert report.findings == ()
        if not refused:
            assert report.last_seq == len(facts)
            assert pages > 5
            return
    raise AssertionError("no number of pages was enough")


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: the write that would fails half-way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_ends_anywhere_leaves_what_was_acknowledged(tmp_path: Path, rng: random.Random) -> None:
    facts = world_facts(0)[:200]
    refusals = 0
    for size in range(32_768, 400_000, 1_237 if PROVING else 24_371):
        path = tmp_path / f"j{size}.db"
        ledger = Ledger()
        with made(path) as journal:
            journal.replay(ledger)
            for batch in batches(facts, rng):
                book(ledger, batch)
                before = journal.last_seq
                with file_limit(size):
                    said = refusal(journal, batch, durable=rng.random() < 0.5)
                if said:
                    assert "the disk" in said
                    assert journal.last_seq == before
                    refusals += 1
                    break
            newest = journal.last_seq
        report = verify(path)
        assert report.findings == ()
        assert report.last_seq == newest
        assert ledger_text(replayed(path)) == ledger_text(lived(facts[:newest]))
    assert refusals > 5


def test_each_failure_says_what_to_do(tmp_path: Path) -> None:
    facts = world_facts(0)[:2]
    ledger = Ledger()
    with made(tmp_path / "j.db") as journal:
        journal.replay(ledger)
        book(ledger, facts)
        journal.db.execute("PRAGMA query_only=ON")
        with pytest.raises(StoreError, match="it cannot be written; look at its permissions"):
            journal.append(facts, durable=True)
        journal.db.execute("PRAGMA query_only=OFF")
        journal.db.execute("PRAGMA busy_timeout=0")
        other = sqlite3.connect(tmp_path / "j.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process holds it; end that one"):
            journal.append(facts, durable=True)
        other.execute("ROLLBACK")
        other.close()
        journal.append(facts, durable=True)
        assert journal.last_seq == 2


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_file_that_was_removed_or_replaced_takes_no_more_facts_that_must_last(
    tmp_path: Path, is_replaced: bool
) -> None:
    facts, path = world_facts(0)[:2], tmp_path / "j.db"
    ledger = Ledger()
    with made(path) as journal:
        journal.replay(ledger)
        journal.append(book(ledger, facts[:1]), durable=True)
        path.rename(tmp_path / "elsewhere.db")
        if is_replaced:
            shutil.copy(tmp_path / "elsewhere.db", path)
        with pytest.raises(StoreError, match=r"j\.db must be the file that was opened; it was removed"):
            journal.append(book(ledger, facts[1:]), durable=True)
        assert journal.last_seq == 1


def test_facts_that_must_survive_a_power_cut_are_synced_and_others_are_not(tmp_path: Path) -> None:
    facts = world_facts(0)[:3]
    ledger = Ledger()
    synced = []
    with made(tmp_path / "j.db") as journal:
        journal.replay(ledger)
        for one, durable in zip(facts, (True, False, True), strict=True):
            journal.append(book(ledger, [one]), durable=durable)
            synced.append(journal.db.execute("PRAGMA synchronous").fetchone()[0])
        settings = [
            journal.db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "foreign_keys", "busy_timeout", "temp_store", "mmap_size")
        ]
    assert synced == [2, 1, 2]
    assert settings == ["wal", 1, 5000, 2, 0]


def test_a_file_is_never_closed_under_a_thread_that_writes_to_it(tmp_path: Path) -> None:
    """SQLite would end the process: such a file stays open until it comes back, or the process ends."""
    facts = world_facts(0)[:40]
    ledger, journal = Ledger(), made(tmp_path / "j.db")
    journal.replay(ledger)
    book(ledger, facts)
    is_inside, may_go_on = threading.Event(), threading.Event()

    def hang() -> int:
        is_inside.set()
        may_go_on.wait()
        return 0

    journal.db.set_progress_handler(hang, 1)
    writer = threading.Thread(target=lambda: journal.append(facts, durable=True))
    writer.start()
    assert is_inside.wait(30)
    journal.close(within=0.0)
    with pytest.raises(Busy):
        made(tmp_path / "j.db")  # nobody else may write what is still being written
    may_go_on.set()
    writer.join(30)
    journal.close()
    assert ledger_text(replayed(tmp_path / "j.db")) == ledger_text(ledger)
    with pytest.raises(StoreError, match="closed database"):
        journal.append((), durable=False)


def test_an_old_sqlite_is_warned_of_by_both_versions() -> None:
    assert connect.sqlite_notice((3, 51, 3)) is None
    assert connect.sqlite_notice((3, 54, 1)) is None
    said = connect.sqlite_notice((3, 40, 1))
    assert said is not None and "SQLite is 3.40.1; from 3.51.3 on" in said


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none/j\.db\.lock cannot be made: No such file"):
        made(tmp_path / "none" / "j.db")

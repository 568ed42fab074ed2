"""Copies are sound or not there, damage is found, and what is cut is not missed."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import cast

import pytest

from tests.core.ledger_text import ledger_text
from tests.store.stage import HISTORY, STATE, batches, book, made, world_facts, written
from tradebot.core import snapshot
from tradebot.core.facts import Recorded
from tradebot.core.ledger import Ledger
from tradebot.core.model import DAY
from tradebot.errors import Busy, StoreError
from tradebot.store import story, views
from tradebot.store.cuts import MAY_BE_CUT
from tradebot.store.journal import Journal
from tradebot.store.upkeep import backup, prune, restore
from tradebot.store.verify import quick_check, verify
from tradebot.store.views import Views

COUNT = 100 if os.environ.get("TRADEBOT_PROVE") == "1" else 3


def rows(path: Path, *tables: str) -> dict[str, list[tuple[object, ...]]]:
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in tables}
    finally:
        db.close()


def replayed(path: Path) -> Ledger:
    ledger = Ledger()
    with Journal.open(path, create=False) as journal:
        journal.replay(ledger)
    return ledger


def run_sql(path: Path, *statements: str) -> None:
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


# --- verify ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(COUNT))
def test_a_journal_that_was_only_written_is_sound(number: int, tmp_path: Path, rng: random.Random) -> None:
    ledger = written(tmp_path / "j.db", world_facts(number), rng)
    report = verify(tmp_path / "j.db")
    assert report.findings == ()
    assert report.is_sound
    assert (report.facts, report.orders) == (len(world_facts(number)), len(ledger.orders))
    assert report.last_seq == report.facts
    assert quick_check(tmp_path / "j.db") == ""


UNLOCK = ("DROP TRIGGER journal_is_never_cut", "DROP TRIGGER journal_is_never_changed")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("DELETE FROM journal WHERE seq = 40", "facts 40 to 40 are missing"),
        ("DELETE FROM journal WHERE seq <= 3", "facts 1 to 3 are missing"),
        ("UPDATE journal SET data = '{}' WHERE seq = 2", "fact 2: "),
        ("UPDATE journal SET ts = ts + 1 WHERE seq = 9", "fact 9: its column ts must be"),
        ("UPDATE journal SET kind = 'Wish' WHERE seq = 9", "fact 9: fact 'Wish' is not known here"),
        ("UPDATE cash SET amount = '1' WHERE strategy = ''", "table cash must say what the facts say"),
        ("DELETE FROM fills WHERE seq = (SELECT max(seq) FROM fills)", "table fills must say"),
        ("UPDATE orders SET status = 'new' WHERE NOT is_open", "table orders must say"),
        (
            'UPDATE journal SET data = replace(data, \'"amount":"\', \'"amount":"1\') '
            "WHERE seq = (SELECT min(seq) FROM journal WHERE kind = 'AssignmentMade')",
            "table cash must say",
        ),
    ],
)
def test_damage_is_found_and_named(damage: str, said: str, tmp_path: Path, rng: random.Random) -> None:
    written(tmp_path / "j.db", world_facts(0), rng)
    run_sql(tmp_path / "j.db", *UNLOCK, damage)
    report = verify(tmp_path / "j.db")
    assert not report.is_sound
    assert said in "; ".join(report.findings)
    with pytest.raises(StoreError, match="must be a sound journal"):
        backup(tmp_path / "j.db", tmp_path / "copy.db")
    assert not list(tmp_path.glob("copy*"))


def test_a_file_with_overwritten_pages_is_found_damaged(tmp_path: Path, rng: random.Random) -> None:
    written(tmp_path / "j.db", world_facts(0), rng)
    with (tmp_path / "j.db").open("r+b") as file:
        file.seek(4096 * 20)
        file.write(b"\xff" * 4096 * 3)
    try:
        found = "; ".join(verify(tmp_path / "j.db").findings)
    except StoreError as exc:
        found = str(exc)
    assert "SQLite" in found or "damaged" in found


# --- backup and restore ---------------------------------------------------------------------------


def test_a_backup_beside_the_writer_is_a_whole_private_journal(tmp_path: Path, rng: random.Random) -> None:
    facts, ledger = world_facts(0), Ledger()
    with made(tmp_path / "j.db") as journal:
        journal.replay(ledger)
        journal.append(book(ledger, facts[:100]), durable=True)
        assert backup(tmp_path / "j.db", tmp_path / "copy.db") == 100
        journal.append(book(ledger, facts[100:120]), durable=True)
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    assert verify(tmp_path / "copy.db").findings == ()
    assert replayed(tmp_path / "copy.db").seq == 100
    with pytest.raises(StoreError, match="must not exist yet: a backup never replaces a file"):
        backup(tmp_path / "j.db", tmp_path / "copy.db")
    assert sorted(p.name for p in tmp_path.glob("copy.db*")) in (["copy.db", "copy.db.lock"], ["copy.db"])


def test_a_restored_journal_says_so_and_goes_on(tmp_path: Path, rng: random.Random) -> None:
    path, copy = tmp_path / "j.db", tmp_path / "copy.db"
    written(path, world_facts(0)[:80], rng)
    backup(path, copy)
    path.unlink()
    assert restore(copy, path, now=77) is None
    with Journal.open(path, create=False) as journal:
        assert journal.meta["restored_at"] == "77"
        ledger = Ledger()
        journal.replay(ledger)
        journal.append(book(ledger, world_facts(0)[80:90]), durable=True)
        assert journal.last_seq == 90
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_newer_journal_is_replaced_by_force_only_and_kept_aside(tmp_path: Path, rng: random.Random) -> None:
    path, copy = tmp_path / "j.db", tmp_path / "copy.db"
    facts, ledger = world_facts(0), Ledger()
    with made(path) as journal:
        journal.replay(ledger)
        journal.append(book(ledger, facts[:50]), durable=True)
        backup(path, copy)
        with pytest.raises(Busy, match="must have one writer"):
            restore(copy, path, now=5, force=True)
        journal.append(book(ledger, facts[50:60]), durable=True)
    with pytest.raises(StoreError, match="is newer than the backup: it ends at fact 60, the backup at 50"):
        restore(copy, path, now=5)
    assert replayed(path).seq == 60
    aside = restore(copy, path, now=5, force=True)
    assert aside is not None and replayed(aside).seq == 60
    assert replayed(path).seq == 50
    assert restore(copy, path, now=6) != aside


def test_a_killed_daemon_s_log_goes_aside_with_its_file(tmp_path: Path) -> None:
    path, copy = tmp_path / "j.db", tmp_path / "copy.db"
    facts, ledger = world_facts(0), Ledger()
    journal = made(path)
    journal.replay(ledger)
    journal.append(book(ledger, facts[:50]), durable=True)
    backup(path, copy)
    journal.append(book(ledger, facts[50:60]), durable=True)
    died = tmp_path / "died"
    died.mkdir()
    for file in tmp_path.glob("j.db*"):  # what a kill leaves: the log is not yet in the file
        (died / file.name).write_bytes(file.read_bytes())
    journal.close()
    aside = restore(copy, died / "j.db", now=5, force=True)
    assert aside is not None and replayed(aside).seq == 60
    assert replayed(died / "j.db").seq == 50


def test_the_backup_of_another_account_or_a_damaged_one_is_not_restored(
    tmp_path: Path, rng: random.Random
) -> None:
    written(tmp_path / "j.db", world_facts(0)[:20], rng)
    made(tmp_path / "other.db", mode="live").close()
    with pytest.raises(StoreError, match="must be of the same mode, 'paper', was 'live'"):
        restore(tmp_path / "other.db", tmp_path / "j.db", now=1)
    (tmp_path / "bad.db").write_bytes(b"nothing" * 1000)
    with pytest.raises(StoreError, match="no SQLite database"):
        restore(tmp_path / "bad.db", tmp_path / "j.db", now=1, force=True)
    assert replayed(tmp_path / "j.db").seq == 20


# --- cutting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(COUNT))
def test_a_cut_journal_goes_on_like_a_whole_one(number: int, tmp_path: Path, rng: random.Random) -> None:
    path = tmp_path / "j.db"
    facts = world_facts(number)
    half = len(facts) * 3 // 4
    lived = written(path, facts[:half], rng)
    before = rows(path, *STATE, *HISTORY)
    cut = prune(path, keep=DAY, now=facts[half - 1].seen + 1)
    assert cut is not None and cut.facts > 20
    assert verify(path).findings == ()
    after = rows(path, *STATE, *HISTORY)
    for table in (*STATE, "fills", "halts", "runs"):
        assert after[table] == before[table], table
    assert 0 < len(after["decisions"]) < len(before["decisions"])
    kept = {row[3] for row in rows(path, "journal")["journal"] if cast(int, row[0]) <= cut.upto_seq}
    assert {"OrderFilled", "OrderIntended"} <= kept
    ledger = replayed(path)
    lived.evolve(_voucher(path))
    assert snapshot.dump(ledger) == snapshot.dump(lived)
    # It goes on: later facts, and a second cut that takes along what the first had to leave.
    rest = [one._replace(seq=one.seq + 1) for one in facts[half:] if _is_free_of_seqs(one)]
    rest = [one._replace(seq=half + 2 + i) for i, one in enumerate(rest)]
    with Journal.open(path, create=False) as journal:
        ledger = Ledger()
        journal.replay(ledger)
        for batch in batches(rest, rng):
            journal.append(book(ledger, batch), durable=False)
    again = prune(path, keep=0, now=rest[-1].seen + 1)
    assert again is not None
    assert verify(path).findings == ()
    ledger.evolve(_voucher(path))
    assert ledger_text(replayed(path)) == ledger_text(ledger)


def _voucher(path: Path) -> Recorded:
    """Return the newest fact: the one that vouches for the snapshot of a cut just made."""
    with Views.open(path) as asked:
        newest = story.fact_at(asked, asked.last_seq())
    assert newest is not None
    return newest


def _is_free_of_seqs(one: Recorded) -> bool:
    """Return whether a fact may be given another number: dividends are known by theirs."""
    return "Dividend" not in repr(one)


def test_what_explains_the_present_stays(tmp_path: Path, rng: random.Random) -> None:
    path = tmp_path / "j.db"
    written(path, world_facts(0), rng)
    with Views.open(path) as asked:
        before = {(t.strategy, t.instrument): t.since for t in views.targets(asked) if t.since}
    prune(path, keep=0, now=world_facts(0)[-1].seen)
    with Views.open(path) as asked:
        for (strategy, instrument), since in before.items():
            told = [one.fact for one in story.decisions(asked, strategy, instrument)]
            assert [fact.ts for fact in told if type(fact).__name__ == "TargetSet"] == [since]
    assert prune(path, keep=0, now=world_facts(0)[-1].seen) is None


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda file: file.unlink(), "must be there: it holds facts that were cut"),
        (lambda file: file.write_bytes(file.read_bytes()[:-9]), "is damaged: its sha256 must be"),
    ],
)
def test_a_snapshot_of_another_form_is_no_loss_while_the_cut_file_is_there(
    harm: Callable[[Path], object], said: str, tmp_path: Path, rng: random.Random
) -> None:
    path = tmp_path / "j.db"
    lived = written(path, world_facts(0), rng)
    cut = prune(path, keep=DAY, now=world_facts(0)[-1].seen)
    assert cut is not None
    lived.evolve(_voucher(path))
    older_form(path)
    assert snapshot.dump(replayed(path)) == snapshot.dump(lived)
    harm(cut.file)
    with pytest.raises(StoreError, match=said):
        replayed(path)


def older_form(path: Path) -> None:
    """Make a journal's snapshot look as if a program had taken it whose ledger had another form."""
    db = sqlite3.connect(path)
    ((data,),) = db.execute("SELECT data FROM snapshots").fetchall()
    text = zlib.decompress(data).decode()
    other = text.replace(snapshot.FORM_DIGEST, "0" * 64)
    db.execute("UPDATE snapshots SET data = ?", (zlib.compress(other.encode()),))
    db.execute("DROP TRIGGER journal_is_never_changed")
    db.execute(
        "UPDATE journal SET data = replace(data, ?, ?) WHERE kind = 'SnapshotTaken'",
        (sha256(text.encode()).hexdigest(), sha256(other.encode()).hexdigest()),
    )
    db.commit()
    db.close()


def test_a_snapshot_that_no_fact_vouches_for_is_not_believed(tmp_path: Path, rng: random.Random) -> None:
    path = tmp_path / "j.db"
    written(path, world_facts(0), rng)
    prune(path, keep=DAY, now=world_facts(0)[-1].seen)
    db = sqlite3.connect(path)
    db.execute("UPDATE snapshots SET data = ?", (zlib.compress(b"{}"),))
    db.commit()
    db.close()
    with pytest.raises(StoreError, match="is not the one that fact"):
        replayed(path)
    assert "vouches for" in "; ".join(verify(path).findings)


def test_money_and_orders_may_never_be_cut() -> None:
    kept = ("Order", "Lot", "Cash", "Fee", "Dividend", "Interest", "Split", "Basis", "Position", "Assign")
    asides = ("OrderDenied", "OrderShrunk")
    assert not [kind for kind in MAY_BE_CUT if kind.startswith(kept) and kind not in asides]

"""What was acknowledged is there again, in order, and only what belongs to this journal."""

from __future__ import annotations

import random
import sqlite3
import stat
from pathlib import Path

import pytest

from tests.core.ledger_text import ledger_text
from tests.store.stage import PAPER, book, made, world_facts, written
from tradebot.core.facts import HaltSet, Recorded, TimerFired
from tradebot.core.ledger import Ledger
from tradebot.core.scope import HaltLevel, Scope
from tradebot.errors import Busy, InvariantError, StoreError
from tradebot.store.journal import Journal


def timer(seq: int, key: str = "k") -> Recorded:
    return Recorded(seq, seq * 10, 0, TimerFired(ts=seq * 10, key=key))


def started(path: Path) -> tuple[Journal, Ledger]:
    journal, ledger = made(path), Ledger()
    journal.replay(ledger)
    return journal, ledger


@pytest.mark.parametrize("number", range(4))
def test_a_replayed_ledger_equals_the_one_that_lived_the_facts(
    number: int, tmp_path: Path, rng: random.Random
) -> None:
    facts = world_facts(number)
    lived = written(tmp_path / "j.db", facts, rng)
    with Journal.open(tmp_path / "j.db", create=False, identity=PAPER) as journal:
        again = Ledger()
        assert journal.replay(again) == len(facts) == journal.last_seq
        assert ledger_text(again) == ledger_text(lived)


def test_a_reader_sees_commits_beside_the_writer_and_after_its_end(tmp_path: Path) -> None:
    journal, ledger = started(tmp_path / "j.db")
    journal.append(book(ledger, [timer(1)]), durable=True)
    with Journal.open(tmp_path / "j.db", create=False, readonly=True) as reader:
        assert reader.last_seq == 1
        assert reader.replay(Ledger()) == 1
        with pytest.raises(InvariantError, match="opened to read"):
            reader.append([timer(2)], durable=True)
    journal.close()
    with Journal.open(tmp_path / "j.db", create=False, readonly=True) as reader:
        assert reader.replay(Ledger()) == 1


def test_a_second_writer_is_refused_until_the_first_has_closed(tmp_path: Path) -> None:
    journal, _ = started(tmp_path / "j.db")
    with pytest.raises(Busy, match=r"j\.db must have one writer"):
        made(tmp_path / "j.db")
    journal.close()
    journal.close()
    made(tmp_path / "j.db").close()


def test_progress_is_kept_with_the_facts_and_never_goes_back(tmp_path: Path) -> None:
    journal, ledger = started(tmp_path / "j.db")
    journal.append(book(ledger, [timer(1)]), durable=False, progress={"COIN/1h": 50, "GEM": 7})
    journal.append((), durable=True, progress={"COIN/1h": 40, "GEM": 9})
    journal.close()
    with made(tmp_path / "j.db") as again:
        assert again.progress() == {"COIN/1h": 50, "GEM": 9}


def test_facts_must_follow_the_last_one_and_the_ledger(tmp_path: Path) -> None:
    journal = made(tmp_path / "j.db")
    with pytest.raises(InvariantError, match="must be replayed before facts are appended"):
        journal.append([timer(1)], durable=True)
    ledger = Ledger()
    journal.replay(ledger)
    with pytest.raises(InvariantError, match="next fact must be number 1, was 2"):
        journal.append([timer(2)], durable=True)
    book(ledger, [timer(1), timer(2)])
    with pytest.raises(InvariantError, match="these end at 1, the ledger is at 2"):
        journal.append([timer(1)], durable=True)
    journal.append([timer(1), timer(2)], durable=True)
    with pytest.raises(InvariantError, match="replayed into an empty ledger, this one is at 2"):
        journal.replay(ledger)
    journal.close()


def test_the_file_itself_refuses_changes_gaps_and_cuts(tmp_path: Path) -> None:
    journal, ledger = started(tmp_path / "j.db")
    journal.append(book(ledger, [timer(1), timer(2)]), durable=True)
    journal.close()
    db = sqlite3.connect(tmp_path / "j.db")
    row = "SELECT {}, ts, seen, kind, version, cause, data FROM journal WHERE seq = 1"
    for attack in (
        "UPDATE journal SET data = '{}' WHERE seq = 1",
        "DELETE FROM journal WHERE seq = 2",
        "DELETE FROM journal",
        "INSERT OR REPLACE INTO journal " + row.format(2),
        "INSERT INTO journal " + row.format(4),
        "INSERT INTO journal " + row.format(0),
    ):
        with pytest.raises(sqlite3.IntegrityError, match="journal"):
            db.execute(attack)
    db.close()


def test_a_new_journal_is_private_and_says_whose_it_is(tmp_path: Path) -> None:
    journal, ledger = started(tmp_path / "j.db")
    journal.append(book(ledger, [timer(1)]), durable=True)
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    wanted = {"instance": "tb", "venue": "sim", "account": "main", "mode": "paper"}
    assert journal.meta == {**wanted, "created": "1", "created_by": "0.0"}
    journal.close()


@pytest.mark.parametrize(("field", "other"), [("venue", "alpaca"), ("account", "b"), ("mode", "live")])
def test_the_journal_of_another_account_is_refused(field: str, other: str, tmp_path: Path) -> None:
    made(tmp_path / "j.db").close()
    with pytest.raises(StoreError, match=f"journal of another {field}: it must be '{other}', was"):
        made(tmp_path / "j.db", **{field: other})
    made(tmp_path / "j.db").close()


def test_files_that_are_no_journal_are_refused_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no such file"):
        Journal.open(tmp_path / "none.db", create=False)
    (tmp_path / "text.db").write_text("once upon a time there was a file of many words" * 100)
    (tmp_path / "empty.db").touch()
    db = sqlite3.connect(tmp_path / "other.db")
    db.execute("CREATE TABLE notes (text)")
    db.close()
    for name, create, said in (
        ("text.db", True, "the file is no SQLite database"),
        ("other.db", True, "it is a database of something else"),
        ("empty.db", False, "it is an empty file"),
    ):
        before = (tmp_path / name).read_bytes()
        for readonly in (True, False):
            with pytest.raises(StoreError, match=said):
                Journal.open(tmp_path / name, create=create, readonly=readonly, identity=PAPER)
        assert (tmp_path / name).read_bytes() == before
    with pytest.raises(InvariantError, match="must be told its venue"):
        Journal.open(tmp_path / "new.db", create=True)
    assert not (tmp_path / "new.db").exists()


def test_a_newer_file_is_refused_with_both_versions(tmp_path: Path) -> None:
    made(tmp_path / "j.db").close()
    db = sqlite3.connect(tmp_path / "j.db")
    db.execute("PRAGMA user_version=7")
    db.close()
    for readonly in (True, False):
        with pytest.raises(StoreError, match="has version 7, this program knows up to 1: a newer tradebot"):
            Journal.open(tmp_path / "j.db", create=False, readonly=readonly)


def test_a_fact_that_cannot_be_read_names_its_place(tmp_path: Path) -> None:
    journal, ledger = started(tmp_path / "j.db")
    halt = HaltSet(ts=1, level=HaltLevel.PAUSED, scope=Scope(), reason="x")
    journal.append(book(ledger, [Recorded(1, 1, 0, halt)]), durable=True)
    journal.close()
    db = sqlite3.connect(tmp_path / "j.db")
    db.execute("DROP TRIGGER journal_is_never_changed")
    db.execute("UPDATE journal SET data = replace(data, 'level', 'lever')")
    db.commit()
    db.close()
    with (
        Journal.open(tmp_path / "j.db", create=False) as again,
        pytest.raises(StoreError, match=r"j\.db: fact 1: HaltSet must be an object with ts, level"),
    ):
        again.replay(Ledger())

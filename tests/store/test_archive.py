"""What entered the core is read back as it was, up to a size, whatever became of the process."""

from __future__ import annotations

import json
import math
import os
import sqlite3
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.test_codec import FINITE, values_of
from tests.core.world import COIN, START, D, Script, account, make_bar, spec
from tradebot.core import messages as m
from tradebot.core.codec import encode
from tradebot.core.engine import Engine
from tradebot.core.facts import Recorded
from tradebot.core.model import HOUR, AccountModel, Bar, Book, Level, Quote
from tradebot.core.recorder import Outcome
from tradebot.core.setup import Setup
from tradebot.errors import Busy, InvariantError, StoreError
from tradebot.sim.accounts import SimAccount
from tradebot.sim.replay import Replay
from tradebot.sim.venue import SimVenue
from tradebot.store.archive import Archive
from tradebot.store.inputs import INPUTS_VERSION, decode_input, encode_input, schema_digest

PROVING = os.environ.get("TRADEBOT_PROVE") == "1"
SCHEMA = Path(__file__).parents[1] / "golden" / "input_schema.json"
KINDS = [kind for kind in get_args(m.Input) if kind is not m.Slice]
LEVELS = st.lists(st.builds(Level, FINITE, FINITE), max_size=3).map(tuple)
TIMES = st.integers(0, 2**62)
NAMES = st.text(min_size=1, max_size=8)
DATA = st.one_of(
    st.builds(Bar, NAMES, TIMES, TIMES, FINITE, FINITE, FINITE, FINITE, FINITE),
    st.builds(Quote, NAMES, TIMES, FINITE, FINITE, FINITE, FINITE),
    st.builds(Book, NAMES, TIMES, LEVELS, LEVELS),
)


def bar(number: int) -> tuple[int, m.Input]:
    ts = START + number * HOUR
    return ts + 5, m.Slice(ts, (make_bar("COIN", ts, HOUR, 100.0 + number % 7),))


def archive(path: Path, run_id: str = "r1", cap: int = 10_000_000) -> Archive:
    return Archive.open(path, run_id=run_id, cap=cap)


def read(path: Path, **which: Any) -> list[tuple[int, m.Input]]:
    with Archive.reader(path) as reader:
        return [tuple(seen) for seen in reader.read(**which)]


# --- the text of an input -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=200 if PROVING else 10)
@given(data=st.data())
def test_every_input_reads_back_equal(kind: Any, data: st.DataObject) -> None:
    message = data.draw(values_of(kind))
    line = encode_input(7, message)
    assert "\n" not in line
    assert decode_input(line) == (7, message)


@given(ts=TIMES, items=st.lists(DATA, max_size=4).map(tuple))
def test_market_data_read_back_equal(ts: int, items: tuple[Any, ...]) -> None:
    number, message = decode_input(encode_input(3, m.Slice(ts, items)))
    assert (number, message) == (3, m.Slice(ts, items))
    assert isinstance(message, m.Slice)
    assert [type(item) for item in message.items] == [type(item) for item in items]


def test_what_cannot_be_true_is_archived_as_it_was_seen() -> None:
    bad = m.Slice(1, (make_bar("COIN", 1, HOUR, math.nan),))
    assert str(decode_input(encode_input(1, bad)).message) == str(bad)
    rate = m.Rate(ts=1, asset="EUR", base="USD", rate=math.inf)
    assert decode_input(encode_input(1, rate)).message == rate


def test_what_is_no_input_is_refused_both_ways() -> None:
    with pytest.raises(InvariantError, match="SetTimer must be one of the inputs"):
        encode_input(1, m.SetTimer(key="k", at=1))  # type: ignore[arg-type]
    for line in ("", "[]", '[1,"Wish",{}]', '[1,"slice",[1,[["x",1]]]]', '[1,"slice",[1,[["b",1]]]]', "7"):
        with pytest.raises(StoreError, match="must be a line of this program's"):
            decode_input(line)
    with pytest.raises(StoreError, match="TimerDue must be an object with ts, key"):
        decode_input('[1,"TimerDue",{"ts":1}]')


def test_inputs_keep_their_form_or_raise_their_version() -> None:
    now = {"version": INPUTS_VERSION, "sha256": schema_digest()}
    if os.environ.get("UPDATE_GOLDEN") == "1":
        SCHEMA.write_text(json.dumps(now, indent=2) + "\n")
    assert now == json.loads(SCHEMA.read_text()), (
        "an input changed its fields: raise INPUTS_VERSION, then run with UPDATE_GOLDEN=1"
    )


# --- the archive ----------------------------------------------------------------------------------


def test_inputs_come_back_in_order_by_run_and_by_time(tmp_path: Path) -> None:
    path = tmp_path / "inputs.db"
    first, second = [bar(i) for i in range(50)], [bar(i) for i in range(50, 80)]
    for name, inputs in (("r1", first), ("r2", second)):
        with archive(path, name) as writer:
            for at in range(0, len(inputs), 7):
                writer.append(inputs[at : at + 7])
            writer.append(())
    assert read(path) == first + second
    assert read(path, run_id="r1") == first
    assert read(path, run_id="r2") == second
    assert read(path, run_id="r3") == []
    assert read(path, since=first[10][0], until=second[3][0]) == first[10:] + second[:4]


def test_a_reason_with_odd_characters_stays_one_input(tmp_path: Path) -> None:
    odd = "".join(map(chr, (0x2028, 0x85, 0x0C, 0x1E, 0x0A, 0x0D, 0xE9, 0x22)))
    refused = (3, m.VenueRefused(ts=1, client_order_id="a", reason=odd))
    with archive(tmp_path / "inputs.db") as writer:
        writer.append([refused, bar(1)])
    assert read(tmp_path / "inputs.db") == [refused, bar(1)]


def test_a_reader_beside_the_writer_sees_what_was_appended(tmp_path: Path) -> None:
    path = tmp_path / "inputs.db"
    with archive(path) as writer:
        writer.append([bar(1)])
        assert read(path) == [bar(1)]
        with pytest.raises(Busy, match="must have one writer"):
            archive(path)
        writer.append([bar(2), bar(3)])
        assert read(path) == [bar(1), bar(2), bar(3)]


def test_the_oldest_inputs_go_when_the_archive_is_full_and_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "inputs.db"
    inputs = [bar(i) for i in range(30_000)]
    with archive(path, cap=100_000) as writer:
        for at in range(0, len(inputs), 50):
            writer.append(inputs[at : at + 50])
    kept = read(path)
    with Archive.reader(path) as reader:
        dropped = reader.dropped()
        assert reader.dropped("r1") == dropped
        assert reader.dropped("r2") == 0
    assert 0 < dropped < len(inputs)
    assert kept == inputs[dropped:]
    assert path.stat().st_size < 1_500_000


def test_market_data_take_little_room(tmp_path: Path) -> None:
    path = tmp_path / "inputs.db"
    with archive(path) as writer:
        for at in range(0, 20_000, 10):
            writer.append([bar(i) for i in range(at, at + 10)])
    archive(path, "r2").close()  # packs what is left
    packed = sqlite3.connect(path)
    ((size,),) = packed.execute("SELECT sum(length(data)) FROM packs").fetchall()
    packed.close()
    assert size / 20_000 < 16


def test_a_torn_end_is_left_out_and_a_hole_before_it_is_not(tmp_path: Path) -> None:
    path = tmp_path / "inputs.db"
    with archive(path) as writer:
        for i in range(4):
            writer.append([bar(i)])
    db = sqlite3.connect(path)
    db.execute("UPDATE tail SET data = substr(data, 1, 20) WHERE id = 4")
    db.commit()
    assert read(path) == [bar(0), bar(1), bar(2)]
    db.execute("UPDATE tail SET data = substr(data, 1, 20) WHERE id = 2")
    db.commit()
    with pytest.raises(StoreError, match="piece 2: an archived input must be a line"):
        read(path)
    db.execute("UPDATE tail SET version = 9")
    db.commit()
    db.close()
    with pytest.raises(StoreError, match="inputs of version 9, this program reads 2"):
        read(path)


def test_files_that_are_no_archive_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no such file"):
        Archive.reader(tmp_path / "none.db")
    db = sqlite3.connect(tmp_path / "other.db")
    db.execute("CREATE TABLE notes (text)")
    db.close()
    for attempt in (Archive.reader, archive):
        with pytest.raises(StoreError, match="it is a database of something else"):
            attempt(tmp_path / "other.db")
    archive(tmp_path / "new.db").close()
    db = sqlite3.connect(tmp_path / "new.db")
    db.execute("PRAGMA user_version=5")
    db.close()
    with pytest.raises(StoreError, match="has version 5, this program knows 1"):
        archive(tmp_path / "new.db")


class Listening(Engine):
    """An engine that notes what it is told."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.heard: list[tuple[int, m.Input]] = []

    def decide(self, message: m.Input, seen: int) -> Outcome:
        self.heard.append((seen, message))
        return super().decide(message, seen)


def setup() -> Setup:
    words = Script(1.0, None, 0.0, 0.5, None, 1.0)
    return Setup(
        instruments={"COIN": COIN},
        accounts=(account(),),
        strategies=(spec(words, exits={"stop_loss": 0.05}),),
        quanta={},
    )


def test_a_run_can_be_decided_again_from_its_archive(tmp_path: Path) -> None:
    engine = Listening(setup())
    facts: list[Recorded] = []
    venue = SimVenue(
        instruments={"COIN": COIN},
        accounts={"main": SimAccount(model=AccountModel.MARGIN, cash={"USD": D(100_000)})},
    )
    replay = Replay(engine, venue, on_fact=facts.append)
    replay.tell(m.Start(ts=START, run_id="r1", epoch=1, config_digest="c", code_digest="d"), START)
    rows = ((100,), (101,), (102, 103, 90, 95), (96,), (97,), (98,), (99,))
    market = [make_bar("COIN", START + i * HOUR, HOUR, *row) for i, row in enumerate(rows, 1)]
    replay.run((m.Slice(bar.ts, (bar,)) for bar in market), after=lambda ts: None)
    with archive(tmp_path / "inputs.db") as writer:
        writer.append(engine.heard)

    again = Engine(setup())
    outcomes = [again.decide(message, seen) for seen, message in read(tmp_path / "inputs.db", run_id="r1")]

    assert [encode(one) for outcome in outcomes for one in outcome.facts] == [encode(one) for one in facts]
    assert len(facts) > 20

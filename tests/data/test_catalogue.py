"""The catalogue keeps what it is given, and what was stored before survives whatever comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradebot.core.model import DAY, HOUR, MINUTE, Instrument
from tradebot.data.arrays import BarArrays, QuoteArrays
from tradebot.data.atomic import locked
from tradebot.data.catalogue import Catalogue, folder_name
from tradebot.data.instruments import instrument_from_text, instrument_to_text
from tradebot.data.series import SYNTHETIC, Adjustment, Provenance
from tradebot.errors import Busy, DataError, InvariantError, UsageError

MakeBars = Callable[..., BarArrays]
MakeQuotes = Callable[..., QuoteArrays]
HERE = Provenance(source="test", licence="none")


def test_bars_come_back_equal_to_the_bit_with_instrument_and_origin(
    tmp_path: Path, coin: Instrument, make_bars: MakeBars
) -> None:
    bars = make_bars(1000)
    origin = Provenance(
        source="somewhere",
        licence="BSD-3-Clause",
        label=SYNTHETIC,
        adjustment=Adjustment.SPLIT,
        partial_volume=True,
    )
    info, count = Catalogue(tmp_path).write_bars(coin, bars, origin)

    again = Catalogue(tmp_path)
    stored = again.bars(coin.id, MINUTE)
    assert stored.digest() == bars.digest() == info.digest == again.digest(coin.id, MINUTE)
    assert again.instrument(coin.id) == coin
    assert again.info(coin.id, MINUTE) == info
    assert (info.rows, info.first_ts, info.last_ts) == (1000, bars.ts[0], bars.ts[-1])
    assert info.provenance == origin
    assert count.added == 1000
    assert again.list() == (info,)
    assert stored.bar(3) == list(bars.bars())[3]


def test_a_range_holds_the_bars_that_lie_inside_it(
    tmp_path: Path, coin: Instrument, make_bars: MakeBars
) -> None:
    bars = make_bars(10, start=0)
    catalogue = Catalogue(tmp_path)
    catalogue.write_bars(coin, bars, HERE)
    # Bars are stamped at their close: the one that closes at the start lies before the range.
    assert catalogue.bars(coin.id, MINUTE, 2 * MINUTE, 5 * MINUTE).ts.tolist() == [
        3 * MINUTE,
        4 * MINUTE,
        5 * MINUTE,
    ]
    assert len(catalogue.bars(coin.id, MINUTE, DAY, 2 * DAY)) == 0
    assert len(catalogue.bars(coin.id, MINUTE, 5 * MINUTE, MINUTE)) == 0


def test_loaded_arrays_cannot_be_written_to(tmp_path: Path, coin: Instrument, make_bars: MakeBars) -> None:
    bars = make_bars(3)
    with pytest.raises(ValueError, match="read-only"):
        bars.close[0] = 1.0
    Catalogue(tmp_path).write_bars(coin, bars, HERE)
    with pytest.raises(ValueError, match="read-only"):
        Catalogue(tmp_path).bars(coin.id, MINUTE).close[0] = 1.0


def test_appending_and_importing_the_same_again_keeps_every_row_once(
    tmp_path: Path, coin: Instrument, make_bars: MakeBars
) -> None:
    bars = make_bars(100)
    catalogue = Catalogue(tmp_path)
    catalogue.write_bars(coin, bars.take(slice(50, 100)), HERE)
    _, first = catalogue.write_bars(coin, bars.take(slice(0, 60)), replace(HERE, source="other"))
    _, second = catalogue.write_bars(coin, bars, HERE)
    assert (first.added, first.unchanged) == (50, 10)
    assert (second.added, second.unchanged) == (0, 100)
    assert catalogue.bars(coin.id, MINUTE).digest() == bars.digest()
    assert catalogue.info(coin.id, MINUTE).provenance.source == "test; other"


def test_bars_that_contradict_stored_ones_are_refused_and_nothing_changes(
    tmp_path: Path, coin: Instrument, make_bars: MakeBars
) -> None:
    bars = make_bars(10)
    catalogue = Catalogue(tmp_path)
    catalogue.write_bars(coin, bars, HERE)
    changed = replace(bars, close=np.where(np.arange(10) == 4, bars.high, bars.close))
    with pytest.raises(
        DataError, match="1 bars are stored already with other values, the first at 2020-09-13"
    ):
        catalogue.write_bars(coin, changed, HERE)
    assert catalogue.bars(coin.id, MINUTE).digest() == bars.digest()

    _, kept = catalogue.write_bars(coin, changed, HERE, on_conflict="keep")
    assert kept.kept == 1
    assert catalogue.bars(coin.id, MINUTE).digest() == bars.digest()

    _, replaced = catalogue.write_bars(coin, changed, HERE, on_conflict="replace")
    assert replaced.replaced == 1
    assert catalogue.bars(coin.id, MINUTE).digest() == changed.digest()


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (replace(HERE, adjustment=Adjustment.SPLIT), "adjustment"),
        (replace(HERE, label=SYNTHETIC), "label"),
        (replace(HERE, partial_volume=True), "partial_volume"),
    ],
)
def test_a_series_does_not_mix_adjustments_or_labels(
    tmp_path: Path, coin: Instrument, make_bars: MakeBars, other: Provenance, what: str
) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.write_bars(coin, make_bars(10), HERE)
    with pytest.raises(DataError, match=f"one series has one {what}"):
        catalogue.write_bars(coin, make_bars(10, start=DAY), other)


def test_a_different_instrument_under_the_same_id_is_refused(
    tmp_path: Path, coin: Instrument, make_bars: MakeBars
) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.write_bars(coin, make_bars(10), HERE)
    other = replace(coin, tick_size=Decimal("0.1"))
    with pytest.raises(DataError, match=r"tick_size: stored 0\.01, new 0\.1"):
        catalogue.write_bars(other, make_bars(20), HERE)
    assert len(catalogue.bars(coin.id, MINUTE)) == 10
    catalogue.write_instrument(other)
    assert catalogue.instrument(coin.id) == other


def test_rows_out_of_order_are_not_stored(tmp_path: Path, coin: Instrument, make_bars: MakeBars) -> None:
    with pytest.raises(InvariantError, match="ordered by ts"):
        Catalogue(tmp_path).write_bars(coin, make_bars(5).take(slice(None, None, -1)), HERE)
    assert Catalogue(tmp_path).list() == ()


def test_quotes_are_appended_and_a_contradicting_overlap_is_refused(
    tmp_path: Path, coin: Instrument, make_quotes: MakeQuotes
) -> None:
    quotes = make_quotes(100)
    catalogue = Catalogue(tmp_path)
    catalogue.write_quotes(coin, quotes.take(slice(0, 60)), HERE)
    _, count = catalogue.write_quotes(coin, quotes.take(slice(40, 100)), HERE)
    assert (count.added, count.unchanged) == (40, 20)
    assert catalogue.quotes(coin.id).digest() == quotes.digest()
    fewer = quotes.take(np.arange(100) != 50)
    with pytest.raises(DataError, match="100 stored, 99 new"):
        catalogue.write_quotes(coin, fewer, HERE)
    catalogue.write_quotes(coin, fewer, HERE, on_conflict="replace")
    assert catalogue.quotes(coin.id).digest() == fewer.digest()
    assert len(catalogue.quotes(coin.id, 0, 5 * 1_000_000_000)) == 5


def test_the_first_root_wins_and_writes_never_touch_the_others(
    tmp_path: Path, coin: Instrument, stock: Instrument, make_bars: MakeBars
) -> None:
    bundled, own = tmp_path / "bundled", tmp_path / "own"
    Catalogue(bundled).write_bars(coin, make_bars(5), HERE)
    Catalogue(bundled).write_bars(stock, make_bars(5, instrument="AAPL", interval=DAY), HERE)
    catalogue = Catalogue(own, bundled)
    assert len(catalogue.bars(coin.id, MINUTE)) == 5
    catalogue.write_bars(coin, make_bars(9, seed=1), HERE)
    assert len(catalogue.bars(coin.id, MINUTE)) == 9
    assert len(Catalogue(bundled).bars(coin.id, MINUTE)) == 5
    assert [(info.instrument, info.rows) for info in catalogue.list()] == [("AAPL", 5), (coin.id, 9)]


def test_what_is_missing_is_named_with_what_there_is(
    tmp_path: Path, coin: Instrument, make_bars: MakeBars
) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.write_bars(coin, make_bars(5), HERE)
    with pytest.raises(DataError, match="no 1h bars of BTC/USDT@binance are stored; stored: 1m"):
        catalogue.bars(coin.id, HOUR)
    with pytest.raises(DataError, match="no quotes of"):
        catalogue.quotes(coin.id)
    with pytest.raises(DataError, match="did you mean BTC/USDT@binance"):
        catalogue.bars("BTC/USD@binance", MINUTE)


@settings(max_examples=200)
@given(st.text(min_size=1, max_size=16))
def test_every_id_has_a_folder_of_its_own_inside_the_root(instrument_id: str) -> None:
    name = folder_name(instrument_id)
    assert name == os.path.basename(name) and name not in ("", ".", "..")
    assert name.isascii()
    # Encoding is reversible, so two ids never share a folder.
    assert bytes.fromhex("".join(_hex(name))).decode() == instrument_id


def _hex(name: str) -> list[str]:
    parts = name.split("%")
    return [parts[0].encode().hex(), *(part[:2] + part[2:].encode().hex() for part in parts[1:])]


@pytest.mark.parametrize("instrument_id", ["", "x" * 201, "\ud800"])
def test_an_id_that_cannot_name_a_folder_is_refused(instrument_id: str) -> None:
    with pytest.raises(UsageError, match="an instrument's id must"):
        folder_name(instrument_id)


def test_an_instrument_keeps_its_decimals_as_text(coin: Instrument) -> None:
    text = instrument_to_text(replace(coin, tick_size=Decimal("1E-8")))
    assert '"tick_size": "0.00000001"' in text
    assert instrument_from_text(text, "f").tick_size == Decimal("0.00000001")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"0.01"', "0.01", "f: tick_size must be a number of 0 or more, written as text, was 0.01"),
        ('"0.01"', '"NaN"', "f: tick_size must be"),
        ('"crypto"', '"option"', "f: asset_class must be one of stock, crypto, index, was 'option'"),
        ('"quote"', '"qoute"', "f: unknown key 'qoute'"),
        ('"version": 1', '"version": 2', "f: must be an instrument of version 1"),
        ("{", "", "f: not JSON"),
    ],
)
def test_a_broken_instrument_file_says_what_must_hold(
    coin: Instrument, old: str, new: str, message: str
) -> None:
    with pytest.raises(DataError) as caught:
        instrument_from_text(instrument_to_text(coin).replace(old, new), "f")
    assert str(caught.value).startswith(message)


def test_damaged_and_foreign_files_are_refused_by_name(
    tmp_path: Path, coin: Instrument, make_bars: MakeBars
) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.write_bars(coin, make_bars(500), HERE)
    path = tmp_path / folder_name(coin.id) / "1m" / "bars.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read as a stored series"):
        catalogue.bars(coin.id, MINUTE)
    pq.write_table(pq.read_table(_write(tmp_path / "x.parquet", whole)).replace_schema_metadata(None), path)
    with pytest.raises(DataError, match="not a series of a catalogue"):
        catalogue.bars(coin.id, MINUTE)


def test_verify_notices_changed_content(tmp_path: Path, coin: Instrument, make_bars: MakeBars) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.write_bars(coin, make_bars(500), HERE)
    catalogue.verify(coin.id, MINUTE)
    path = tmp_path / folder_name(coin.id) / "1m" / "bars.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(4, "close", table.column("open")), path)
    with pytest.raises(DataError, match="does not match its digest"):
        catalogue.verify(coin.id, MINUTE)


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_second_writer_is_told_to_wait(tmp_path: Path, coin: Instrument, make_bars: MakeBars) -> None:
    with locked(tmp_path / folder_name(coin.id)), pytest.raises(Busy, match="being written"):
        Catalogue(tmp_path).write_bars(coin, make_bars(5), HERE)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 80), st.integers(1, 40)), min_size=1, max_size=6))
def test_any_order_of_imports_gives_the_same_series(
    coin: Instrument,
    make_bars: MakeBars,
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[tuple[int, int]],
) -> None:
    bars = make_bars(120)
    catalogue = Catalogue(tmp_path_factory.mktemp("c"))
    for first, length in parts:
        catalogue.write_bars(coin, bars.take(slice(first, first + length)), HERE)
    rows = sorted({i for first, length in parts for i in range(first, first + length)})
    assert catalogue.bars(coin.id, MINUTE).digest() == bars.take(np.array(rows)).digest()


_DIES_BEFORE_THE_RENAME = """
import os, sys
from pathlib import Path
from tradebot.data.atomic import replace_file
def write(temporary):
    temporary.write_text("new")
    os._exit(9)
replace_file(Path(sys.argv[1]), write)
"""


def test_a_process_that_dies_before_the_rename_leaves_the_old_file(tmp_path: Path) -> None:
    path = _write(tmp_path / "file", b"old")
    died = subprocess.run([sys.executable, "-c", _DIES_BEFORE_THE_RENAME, str(path)], check=False)
    assert died.returncode == 9
    assert path.read_bytes() == b"old"


_WRITES_FOR_EVER = """
import sys
from pathlib import Path
import numpy as np
from tradebot.data.catalogue import Catalogue
from tradebot.data.series import Provenance
catalogue, name = Catalogue(Path(sys.argv[1])), sys.argv[2]
instrument, bars = catalogue.instrument(name), catalogue.bars(name, 60_000_000_000)
print("ready", flush=True)
while True:
    shifted = type(bars)(instrument=name, interval=bars.interval, ts=bars.ts + bars.ts[-1] - bars.ts[0] + bars.interval,
        open=bars.open, high=bars.high, low=bars.low, close=bars.close, volume=bars.volume)
    catalogue.write_bars(instrument, shifted, Provenance(source="test", licence="none"))
    bars = shifted
"""


def test_killing_a_writer_at_any_moment_loses_nothing_stored(
    tmp_path: Path, coin: Instrument, make_bars: MakeBars
) -> None:
    catalogue = Catalogue(tmp_path)
    bars = make_bars(5000)
    catalogue.write_bars(coin, bars, HERE)
    before = len(bars)
    for attempt in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", _WRITES_FOR_EVER, str(tmp_path), coin.id], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        with child.stdout:
            child.stdout.readline()
            time.sleep(0.013 * (attempt + 1))
            child.send_signal(signal.SIGKILL)
            child.wait()
        catalogue.verify(coin.id, MINUTE)
        stored = catalogue.bars(coin.id, MINUTE)
        assert len(stored) >= before and len(stored) % 5000 == 0
        assert stored.take(slice(0, 5000)).digest() == bars.digest()
        before = len(stored)
        catalogue.write_bars(coin, bars, HERE)  # the lock of the dead process is gone
    leftovers = [p for p in tmp_path.rglob("*.part") if p.parent.name == "1m"]
    assert leftovers == []


_LOADS_A_YEAR = """
import sys, time
from pathlib import Path
from tradebot.data.catalogue import Catalogue
best = 9.0
for _ in range(5):
    start = time.process_time()
    bars = Catalogue(Path(sys.argv[1])).bars(sys.argv[2], 60_000_000_000)
    best = min(best, time.process_time() - start)
heavy = {"pandas", "exchange_calendars", "scipy", "numba"} & set(sys.modules)
print(len(bars), best, sorted(heavy))
"""


def test_a_year_of_minutes_loads_in_no_time_and_without_pandas(
    tmp_path: Path, coin: Instrument, make_bars: MakeBars
) -> None:
    Catalogue(tmp_path).write_bars(coin, make_bars(525_600), HERE)
    ran = subprocess.run(
        [sys.executable, "-c", _LOADS_A_YEAR, str(tmp_path), coin.id],
        capture_output=True,
        text=True,
        check=True,
    )
    rows, seconds, heavy = ran.stdout.split(maxsplit=2)
    assert rows == "525600"
    assert heavy.strip() == "[]"
    # Processor time, so that a busy machine does not decide; 12 ms of wall clock on an idle one.
    assert float(seconds) < 0.1

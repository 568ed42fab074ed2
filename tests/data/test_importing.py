"""Files of somebody else's making become bars that can be true, or an error that names the line."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradebot.core.model import DAY, HOUR, MINUTE, SECOND, Instrument
from tradebot.data.arrays import BarArrays
from tradebot.data.catalogue import Catalogue
from tradebot.data.importing import ImportOptions, RowIssue, read_bar_file, read_quote_file
from tradebot.data.series import Provenance
from tradebot.errors import DataError, UsageError

MakeBars = Callable[..., BarArrays]
HEAD = "timestamp,open,high,low,close,volume\n"
GOOD = [
    "2024-01-01T00:00:00Z,10,12,9,11,5",
    "2024-01-01T01:00:00Z,11,13,10,12,6",
    "2024-01-01T02:00:00Z,12,14,11,13,7",
    "2024-01-01T03:00:00Z,13,15,12,14,8",
    "2024-01-01T04:00:00Z,14,16,13,15,9",
]
DROP = ImportOptions(bad_rows="drop")


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


@pytest.fixture
def csv(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: str, head: str = HEAD, name: str = "bars.csv") -> Path:
        path = tmp_path / name
        path.write_text(head + "".join(line + "\n" for line in lines))
        return path

    return write


def test_open_stamped_bars_are_moved_to_their_close(csv: Callable[..., Path], coin: Instrument) -> None:
    bars, report = read_bar_file(csv(*GOOD), coin)
    assert bars.ts[0] == ns("2024-01-01T01:00:00")
    assert (bars.interval, bars.instrument) == (HOUR, coin.id)
    assert bars.bar(1)[3:] == (11.0, 13.0, 10.0, 12.0, 6.0)
    assert (report.rows, report.kept, report.issues) == (5, 5, ())
    assert "moved to the close" in report.time


def test_close_stamped_bars_keep_their_stamp(csv: Callable[..., Path], coin: Instrument) -> None:
    bars, _ = read_bar_file(csv(*GOOD), coin, ImportOptions(stamp="close"))
    assert bars.ts[0] == ns("2024-01-01T00:00:00")


BAD_ROWS = [
    ("2024-01-01T05:00:00Z,,16,13,15,9", "open is empty"),
    ("2024-01-01T05:00:00Z,NaN,16,13,15,9", "open is empty"),
    ("2024-01-01T05:00:00Z,abc,16,13,15,9", "open must be a number, was 'abc'"),
    ("2024-01-01T05:00:00Z,1_4,16,13,15,9", "open must be a number, was '1_4'"),
    ('2024-01-01T05:00:00Z,"14,5",16,13,15,9', "open must be a number, was '14,5'"),
    ("2024-01-01T05:00:00Z,0,16,13,15,9", "open must be a price above 0, was 0"),
    ("2024-01-01T05:00:00Z,14,16,-13,15,9", "low must be a price above 0, was -13"),
    ("2024-01-01T05:00:00Z,14,inf,13,15,9", "high must be a"),
    ("2024-01-01T05:00:00Z,14,12,13,15,9", "high 12 is below low 13"),
    ("2024-01-01T05:00:00Z,14,16,14.5,15,9", "open 14 and close 15 must lie between low 14.5 and high 16"),
    ("2024-01-01T05:00:00Z,14,16,13,15,-1", "volume must be 0 or more, was -1"),
    ("2024-01-01T05:00:00Z,14,16,13,15,", "volume is empty"),
    (",14,16,13,15,9", "time is empty"),
    ("yesterday,14,16,13,15,9", "time must be ISO 8601, was 'yesterday'"),
    ("2024-02-30T05:00:00Z,14,16,13,15,9", "time must be ISO 8601"),
    ("2024-01-01T05:00:00,14,16,13,15,9", "has no time zone, unlike the others"),
    ("2024-01-01T05:00:00Z,14,16,13,15", "must have 6 fields, has 5"),
    ("2024-01-01T05:00:00Z,14,16,13,15,9,1", "must have 6 fields, has 7"),
    ("2024-01-01T04:30:00Z,14,16,13,15,9", "starts 1800 s after the row before, inside its 1h"),
    (GOOD[4], "repeats line 8 (2024-01-01T05:00:00Z)"),
]


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS)
def test_a_bad_row_is_refused_with_its_line_or_dropped_and_reported(
    csv: Callable[..., Path], coin: Instrument, row: str, reason: str
) -> None:
    # Blank lines and a quoted cell before it must not shift the line.
    path = csv(GOOD[0], "", '"2024-01-01T01:00:00Z",11,13,10,12,6', "", *GOOD[2:], row)
    with pytest.raises(DataError) as caught:
        read_bar_file(path, coin)
    message = str(caught.value)
    assert message.startswith(f"{path}:9: ") and reason in message
    assert "nothing was imported; repair the file, or leave them out with --bad-rows drop" in message

    bars, report = read_bar_file(path, coin, DROP)
    assert len(bars) == 5
    assert [(issue.line, issue.dropped) for issue in report.issues] == [(9, True)]
    assert (report.rows, report.kept) == (6, 5)


def test_rows_that_contradict_each_other_are_both_left_out(
    csv: Callable[..., Path], coin: Instrument
) -> None:
    path = csv(*GOOD, GOOD[2].replace(",13,7", ",13,8"))
    bars, report = read_bar_file(path, coin, DROP)
    assert ns("2024-01-01T03:00:00") not in bars.ts.tolist()
    assert [issue.line for issue in report.issues] == [4, 7]
    assert "lines 4, 7 contradict each other about 2024-01-01T03:00:00Z" in report.issues[0].reason


def test_newest_first_is_turned_round_and_noted(csv: Callable[..., Path], coin: Instrument) -> None:
    bars, report = read_bar_file(csv(*reversed(GOOD)), coin)
    assert bars.digest() == read_bar_file(csv(*GOOD, name="b.csv"), coin)[0].digest()
    assert "rows are newest first: turned round" in report.notes


def test_a_row_out_of_order_is_refused_or_sorted_by_name(csv: Callable[..., Path], coin: Instrument) -> None:
    path = csv(GOOD[0], GOOD[2], GOOD[1], *GOOD[3:])
    with pytest.raises(DataError, match=r":4: is out of order"):
        read_bar_file(path, coin)
    bars, report = read_bar_file(path, coin, DROP)
    assert len(bars) == 5 and (np.diff(bars.ts) == HOUR).all()
    assert report.issues == (RowIssue(4, "is out of order: sorted by time", False),)


@pytest.mark.parametrize(
    ("stamps", "how"),
    [
        (["1704067200", "1704070800", "1704074400"], "epoch s"),
        (["1704067200000", "1704070800000", "1704074400000"], "epoch ms"),
        (["1704067200000000", "1704070800000000", "1704074400000000"], "epoch us"),
        (["1704067200000000000", "1704070800000000000", "1704074400000000000"], "epoch ns"),
        (["1704067200.0", "1704070800.0", "1704074400.0"], "epoch s"),
        (["2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z", "2024-01-01T02:00:00Z"], "UTC"),
        (["2024-01-01 01:00:00+01:00", "2024-01-01 02:00:00+01:00", "2024-01-01 03:00:00+01:00"], "UTC"),
        (["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 02:00"], "read as UTC"),
        (["2024-01-01T00:00:00.000000000Z", "2024-01-01T01:00:00Z", "2024-01-01T02:00:00Z"], "UTC"),
    ],
)
def test_usual_forms_of_time_are_recognised_and_said(
    csv: Callable[..., Path], coin: Instrument, stamps: list[str], how: str
) -> None:
    bars, report = read_bar_file(csv(*(f"{stamp},10,12,9,11,5" for stamp in stamps)), coin)
    assert bars.ts.tolist() == [ns(f"2024-01-01T0{hour}:00:00") for hour in (1, 2, 3)]
    assert how in report.time


def test_times_that_could_mean_two_things_are_refused(csv: Callable[..., Path], coin: Instrument) -> None:
    with pytest.raises(DataError, match="cannot tell the unit of times like 12345"):
        read_bar_file(csv("12345,10,12,9,11,5", "12346,10,12,9,11,5", "12344,10,12,9,11,5"), coin)
    slashes = csv("01/02/2024,10,12,9,11,5", "02/02/2024,10,12,9,11,5", "03/02/2024,10,12,9,11,5")
    with pytest.raises(DataError, match="was '01/02/2024'; for another form than ISO 8601 say --time-format"):
        read_bar_file(slashes, coin)
    bars, _ = read_bar_file(slashes, coin, ImportOptions(time_format="%d/%m/%Y"))
    assert bars.ts[0] == ns("2024-02-02")


def test_numbers_that_are_dates_are_not_taken_for_seconds(csv: Callable[..., Path], coin: Instrument) -> None:
    bars, report = read_bar_file(csv(*(f"202401{day:02},10,12,9,11,5" for day in (1, 2, 3))), coin)
    assert bars.ts[0] == ns("2024-01-02")
    assert "YYYYMMDD" in report.time


def test_daily_stock_bars_get_the_close_of_their_session(csv: Callable[..., Path], stock: Instrument) -> None:
    days = ["2023-11-21", "2023-11-22", "2023-11-24", "2023-11-27", "2023-11-28"]
    bars, report = read_bar_file(csv(*(f"{day},10,12,9,11,5" for day in days)), stock)
    # The Friday after Thanksgiving closes at 13:00 in New York.
    assert bars.ts.tolist()[:3] == [
        ns("2023-11-21T21:00:00"),
        ns("2023-11-22T21:00:00"),
        ns("2023-11-24T18:00:00"),
    ]
    assert "close of the session" in report.time


def test_a_daily_bar_of_a_holiday_is_a_bad_row(csv: Callable[..., Path], stock: Instrument) -> None:
    days = ["2023-11-21", "2023-11-22", "2023-11-23", "2023-11-24", "2023-11-27"]
    with pytest.raises(DataError, match=r"bars.csv:4: 2023-11-23 is no session of XNYS"):
        read_bar_file(csv(*(f"{day},10,12,9,11,5" for day in days)), stock)


def test_midnights_of_new_york_are_session_dates_on_both_sides_of_the_clock_change(
    csv: Callable[..., Path], stock: Instrument
) -> None:
    stamps = ["2024-03-07T05:00:00Z", "2024-03-08T05:00:00Z", "2024-03-11T04:00:00Z", "2024-03-12T04:00:00Z"]
    bars, _ = read_bar_file(csv(*(f"{stamp},10,12,9,11,5" for stamp in stamps)), stock)
    closes = ["2024-03-07T21:00:00", "2024-03-08T21:00:00", "2024-03-11T20:00:00", "2024-03-12T20:00:00"]
    assert bars.ts.tolist() == [ns(close) for close in closes]


def test_intraday_stock_bars_without_a_zone_need_one(csv: Callable[..., Path], stock: Instrument) -> None:
    path = csv(*(f"2024-07-01 09:{minute}:00,10,12,9,11,5" for minute in (30, 31, 32)))
    with pytest.raises(DataError, match="XNYS is in America/New_York; say --tz"):
        read_bar_file(path, stock)
    bars, _ = read_bar_file(path, stock, ImportOptions(tz="America/New_York"))
    assert bars.ts[0] == ns("2024-07-01T13:31:00")


def test_a_zone_that_is_none_is_refused_where_none_is_needed(
    csv: Callable[..., Path], coin: Instrument
) -> None:
    with pytest.raises(UsageError, match="IANA name"):
        read_bar_file(csv(*GOOD), coin, ImportOptions(tz="Mars/Olympus"))


def test_wall_times_of_a_clock_change_are_bad_rows(csv: Callable[..., Path], coin: Instrument) -> None:
    spring = csv(*(f"2024-03-31 0{hour}:00:00,10,12,9,11,5" for hour in (0, 1, 2, 3, 4)))
    with pytest.raises(DataError, match=r":4: 2024-03-31 02:00:00 did not happen in Europe/Berlin"):
        read_bar_file(spring, coin, ImportOptions(tz="Europe/Berlin"))
    autumn = csv(*(f"2024-10-27 0{hour}:00:00,10,12,9,11,5" for hour in (0, 1, 2, 3, 4)))
    with pytest.raises(DataError, match=r":4: 2024-10-27 02:00:00 happened twice in Europe/Berlin"):
        read_bar_file(autumn, coin, ImportOptions(tz="Europe/Berlin"))


def test_an_interval_that_the_times_contradict_is_refused(csv: Callable[..., Path], coin: Instrument) -> None:
    with pytest.raises(DataError, match="rows are 3600 s apart, which does not fit bars of 1m"):
        read_bar_file(csv(*GOOD), coin, ImportOptions(interval=MINUTE))
    with pytest.raises(DataError, match="closer than the interval 1d"):
        read_bar_file(csv(*GOOD), coin, ImportOptions(interval=DAY))
    with pytest.raises(DataError, match="one row does not tell the interval"):
        read_bar_file(csv(GOOD[0]), coin)
    assert read_bar_file(csv(GOOD[0]), coin, ImportOptions(interval=HOUR))[0].interval == HOUR


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("Date,Open,High,Low,Close,Adj Close,Volume\n", "{},10,12,9,11,10.5,5"),
        ("<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<VOL>\n", "{}\t10\t12\t9\t11\t5"),
        ("timestamp;1. open;2. high;3. low;4. close;5. volume\n", "{};10;12;9;11;5"),
        ("open_time|o|h|l|c|v\n", "{}|10|12|9|11|5"),
        ("\ufeffTime , Open , High , Low , Close , Volume\n", "{} , 10 , 12 , 9 , 11 , 5"),
        ("volume,close,low,high,open,date\n", "5,11,9,12,10,{}"),
    ],
)
def test_usual_headers_and_delimiters_are_recognised(
    csv: Callable[..., Path], coin: Instrument, head: str, row: str
) -> None:
    rows = [row.format(f"2024-01-0{day}") for day in (1, 2, 3)]
    bars, _ = read_bar_file(csv(*rows, head=head), coin)
    assert bars.bar(0)[3:] == (10.0, 12.0, 9.0, 11.0, 5.0)
    assert bars.ts[0] == ns("2024-01-02")


def test_a_title_above_the_header_is_skipped_and_told(csv: Callable[..., Path], coin: Instrument) -> None:
    head = "https://www.example.com\n\nDate,Symbol,Open,High,Low,Close,Volume\n"
    bad = csv(
        *(f"2024-01-0{day},BTC,10,12,9,11,5" for day in (1, 2, 3)), "2024-01-04,BTC,0,12,9,11,5", head=head
    )
    bars, report = read_bar_file(bad, coin, DROP)
    assert len(bars) == 3
    assert "lines above the header skipped: https://www.example.com" in report.notes
    assert report.issues[0].line == 7


def test_date_and_time_columns_are_put_together(csv: Callable[..., Path], coin: Instrument) -> None:
    head = "<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>\n"
    rows = [f"2024.01.01,0{hour}:00,10,12,9,11,5" for hour in (0, 1, 2)]
    bars, report = read_bar_file(csv(*rows, head=head), coin)
    assert bars.ts[0] == ns("2024-01-01T01:00:00")
    assert report.columns["ts"] == "<DATE> + <TIME>"


def test_a_file_without_header_takes_given_names(csv: Callable[..., Path], coin: Instrument) -> None:
    path = csv(*(row.replace("Z", "") for row in GOOD), head="")
    with pytest.raises(DataError, match=r"bars\.csv:1: has no header line; name the columns with --header"):
        read_bar_file(path, coin)
    names = ("ts", "open", "high", "low", "close", "volume")
    assert len(read_bar_file(path, coin, ImportOptions(header=names))[0]) == 5


def test_columns_are_mapped_by_hand_and_wrong_names_are_told(
    csv: Callable[..., Path], coin: Instrument
) -> None:
    path = csv(*GOOD, head="when,first px,top,bottom,last px,Volume BTC\n")
    with pytest.raises(
        DataError,
        match="no column for ts, open, high, low, close; say which with --map ts=COLUMN, one of: when, first px",
    ):
        read_bar_file(path, coin)
    mapping: dict[str, str | None] = {
        "ts": "when",
        "open": "First PX",
        "high": "top",
        "low": "bottom",
        "close": "last px",
    }
    with pytest.raises(
        DataError, match="which column is volume\\? say --map 'volume=Volume BTC', or --map volume=none"
    ):
        read_bar_file(path, coin, ImportOptions(mapping=mapping))
    bars, report = read_bar_file(path, coin, ImportOptions(mapping=mapping | {"volume": None}))
    assert bars.volume.tolist() == [0.0] * 5
    assert "no column for volume: it is 0 in every row" in report.notes
    with pytest.raises(DataError, match="has no column 'nope'"):
        read_bar_file(path, coin, ImportOptions(mapping=mapping | {"volume": "nope"}))
    with pytest.raises(UsageError, match="columns that can be mapped are ts, open"):
        read_bar_file(path, coin, ImportOptions(mapping={"colour": "top"}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (HEAD.encode(), "has no rows"),
        (b"PK\x03\x04\x00\x00", "must be text"),
        (HEAD.encode() + b"2024-01-01,a,b,c,d,e\n" * 5, "is 'open' the right column"),
        (HEAD.encode() + b"2024-01-01,\xff,b\n", "x.csv:2: must be text in UTF-8, has byte 0xff"),
        (b"timestamp,open,open,high,low,close\n1,2,3,4,5,6\n", "column 'open' is there 2 times"),
    ],
)
def test_files_that_hold_no_bars_are_refused(
    tmp_path: Path, coin: Instrument, content: bytes, message: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_bar_file(path, coin)


def test_a_missing_file_and_a_broken_parquet_file_are_refused(tmp_path: Path, coin: Instrument) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_bar_file(tmp_path / "none.csv", coin)
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="cannot be read"):
        read_bar_file(path, coin)


def test_parquet_is_read_like_csv(tmp_path: Path, coin: Instrument, make_bars: MakeBars) -> None:
    bars = make_bars(50)
    columns = {"time": pa.array(bars.ts, pa.timestamp("ns", "UTC")), **bars.columns()}
    del columns["ts"]
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table(columns), path)
    again, _ = read_bar_file(path, coin, ImportOptions(stamp="close"))
    assert again.digest() == bars.digest()


def test_quotes_are_read_and_crossed_ones_are_bad_rows(csv: Callable[..., Path], coin: Instrument) -> None:
    rows = [
        "2024-01-01T00:00:00.000000001Z,10,1,11,2",
        "2024-01-01T00:00:00.000000001Z,10,1,10,2",
        "2024-01-01T00:00:01Z,12,1,11,2",
    ]
    path = csv(*rows, head="timestamp,bid,bid_size,ask,ask_size\n")
    with pytest.raises(DataError, match=r":4: bid 12 is above ask 11"):
        read_quote_file(path, coin)
    quotes, _ = read_quote_file(path, coin, DROP)
    assert quotes.ts.tolist() == [ns("2024-01-01") + 1] * 2
    assert quotes.ask.tolist() == [11.0, 10.0]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.integers(3, 60), seed=st.integers(0, 99), interval=st.sampled_from([MINUTE, HOUR, DAY]))
def test_what_is_written_as_csv_comes_back_equal(
    tmp_path: Path, coin: Instrument, make_bars: MakeBars, rows: int, seed: int, interval: int
) -> None:
    bars = make_bars(rows, seed=seed, interval=interval, start=DAY * 19_000)
    path = tmp_path / "round.csv"
    path.write_text(HEAD + _as_csv(bars))
    again, _ = read_bar_file(path, coin, ImportOptions(stamp="close"))
    assert again.digest() == bars.digest()
    assert again.interval == interval


def _as_csv(bars: BarArrays) -> str:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return "".join(
        f"{(epoch + timedelta(microseconds=bar.ts // 1000)).isoformat()},{bar.open!r},{bar.high!r},{bar.low!r},"
        f"{bar.close!r},{bar.volume!r}\n"
        for bar in bars.bars()
    )


_JUNK = st.sampled_from(list(b',;"\n\r\t -+.eE0123456789:TZ') + [0, 0xFF, 0xC3])
_EDIT = st.tuples(st.sampled_from(["insert", "delete", "replace", "double"]), st.integers(0, 10**6), _JUNK)


def _mutated(content: bytes, edits: list[tuple[str, int, int]]) -> bytes:
    text = bytearray(content)
    for kind, place, byte in edits:
        i = place % max(len(text), 1)
        if kind == "insert":
            text.insert(i, byte)
        elif kind == "delete":
            del text[i : i + 1]
        elif kind == "replace":
            text[i : i + 1] = bytes([byte])
        else:
            text[i:i] = text[i : i + 40]
    return bytes(text)


@pytest.mark.filterwarnings("error")
@settings(
    max_examples=int(os.environ.get("TRADEBOT_PROVE") or 0) * 3000 + 150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(edits=st.lists(_EDIT, min_size=1, max_size=6), drop=st.booleans())
def test_a_mutated_file_never_gives_a_traceback_nor_loses_what_was_stored(
    tmp_path_factory: pytest.TempPathFactory,
    coin: Instrument,
    make_bars: MakeBars,
    edits: list[tuple[str, int, int]],
    drop: bool,
) -> None:
    folder = tmp_path_factory.mktemp("m")
    bars = make_bars(20, start=DAY * 19_000)
    catalogue = Catalogue(folder / "c")
    catalogue.write_bars(coin, bars, Provenance(source="before"))
    path = folder / "x.csv"
    path.write_bytes(_mutated((HEAD + _as_csv(bars)).encode(), edits))
    options = ImportOptions(stamp="close", bad_rows="drop" if drop else "refuse")
    try:
        read, report = read_bar_file(path, coin, options)
        catalogue.write_bars(coin, read, Provenance(source="after"))
    except (DataError, UsageError):
        if catalogue.bars(coin.id, MINUTE).digest() != bars.digest():
            raise
        return
    # What was accepted can be true, and every line of the file is accounted for.
    assert (read.low <= np.minimum(read.open, read.close)).all() and (read.low > 0).all()
    assert (read.high >= np.maximum(read.open, read.close)).all() and np.isfinite(read.high).all()
    assert (np.diff(read.ts) >= read.interval).all()
    assert report.kept == report.rows - sum(issue.dropped for issue in report.issues)
    assert set(bars.ts.tolist()) <= set(catalogue.bars(coin.id, MINUTE).ts.tolist())


def test_the_dirt_of_real_daily_files_is_found_row_by_row(shared_data: Path, stock: Instrument) -> None:
    reasons: list[str] = []
    for path in sorted((shared_data / "equity_daily" / "stocks_split_adjusted").glob("*.csv")):
        with pytest.raises(DataError, match="rows are bad: nothing was imported"):
            read_bar_file(path, stock)
        bars, report = read_bar_file(path, stock, DROP)
        assert report.kept == len(bars) == report.rows - len(report.issues)
        reasons += [issue.reason for issue in report.issues]
    # As the folder's README counts them: 20 rows with empty cells, a low of 0, 119 that do not bracket.
    assert sum("is empty" in reason for reason in reasons) == 20
    assert [reason for reason in reasons if "above 0" in reason] == ["low must be a price above 0, was 0"]
    assert sum("must lie between" in reason for reason in reasons) == 119
    assert len(reasons) == 140

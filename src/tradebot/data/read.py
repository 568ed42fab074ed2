"""Open a CSV or Parquet file as the columns that bars or quotes need.

Owns finding the delimiter, the header and which column is which, and the way back from a row to
its line in the file. Judges no value: that is importing's. Compressed CSV (.gz, .bz2, .zst) is
read by its file name's ending.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from tradebot.data.arrays import Ints
from tradebot.errors import DataError, UsageError

_TIME = (
    "timestamp",
    "datetime",
    "opentime",
    "time",
    "date",
    "ts",
    "unix",
    "unixtimestamp",
    "timeutc",
    "begin",
    "start",
    "closetime",
    "end",
)
_BAR_NAMES: dict[str, tuple[str, ...]] = {
    "ts": _TIME,
    "open": ("open", "openprice", "o", "first"),
    "high": ("high", "highprice", "h", "max"),
    "low": ("low", "lowprice", "l", "min"),
    "close": ("close", "closeprice", "c", "last"),
    "volume": ("volume", "vol", "v", "basevolume"),
}
_QUOTE_NAMES: dict[str, tuple[str, ...]] = {
    "ts": _TIME,
    "bid": ("bid", "bidprice", "bestbid", "bestbidprice"),
    "bid_qty": ("bidqty", "bidsize", "bidvolume", "bidamount", "bestbidsize", "bestbidqty"),
    "ask": ("ask", "askprice", "bestask", "bestaskprice", "offer"),
    "ask_qty": ("askqty", "asksize", "askvolume", "askamount", "bestasksize", "bestaskqty"),
}
# Alpha Vantage numbers its columns ("1. open"), MetaTrader puts them in angle brackets.
_DECORATION = re.compile(r"^\d+\.\s*|[<>\s_\-]")
_DATA_CELL = re.compile(r"[\d.+\-:TZ/ ]*\d[\d.+\-:TZ/eE ]*")
_QUANTITY = re.compile(r"vol|size|qty|quantity|amount")
_SUFFIXES = {".parquet", ".pq"}
_HEAD = 1 << 16
_DELIMITERS = ",;\t|"
_PREAMBLE = 10  # lines
_FEWEST = 3  # columns: a time, a bid and an ask

Columns = Mapping[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTable:
    """The wanted columns of a file by their canonical names, as Arrow columns of equal length.

    `names` says which file column each one is (two for a date and a time column), `ignored` which
    were not used, `malformed` which lines have the wrong number of fields, with the reason, and
    `preamble` the lines above the header.
    """

    path: Path
    columns: dict[str, pa.ChunkedArray]
    names: dict[str, str]
    ignored: tuple[str, ...]
    malformed: tuple[tuple[int, str], ...]
    preamble: tuple[str, ...]
    rows: int
    csv: _Dialect | None

    def lines(self) -> Ints:
        """Return the line in the file of every row (for Parquet: the row, from 1)."""
        if self.csv is None:
            return np.arange(1, self.rows + 1)
        starts = np.array([line for line, width in self.csv.records(self.path) if width == self.csv.width])
        if len(starts) != self.rows:
            raise DataError(f"{self.path}: rows cannot be told apart; look for stray quote characters")
        return starts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dialect:
    delimiter: str
    fields: tuple[str, ...]
    skip: int
    preamble: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.fields)

    def records(self, path: Path) -> list[tuple[int, int]]:
        """Return (first line, number of fields) of every record after the header, blank lines left out."""
        text = io.StringIO(_text(path), newline="")
        for _ in range(self.skip):
            text.readline()
        reader = csv.reader(text, delimiter=self.delimiter)
        found: list[tuple[int, int]] = []
        line = self.skip + 1
        try:
            for row in reader:
                if row:
                    found.append((line, len(row)))
                line = self.skip + reader.line_num + 1
        except csv.Error as exc:
            raise DataError(f"{path}:{line}: cannot be read as CSV: {exc}") from exc
        return found


def bar_table(
    path: Path, *, mapping: Columns | None = None, header: Sequence[str] | None = None
) -> FileTable:
    """Open a file of bars: columns ts, open, high, low, close and, if there is one, volume.

    `mapping` names the file's column per canonical name where the usual names do not fit (None: there
    is none); `header` gives the column names of a CSV without a header line. Raises DataError.
    """
    return _open(path, _BAR_NAMES, mapping or {}, header, optional="volume")


def quote_table(
    path: Path, *, mapping: Columns | None = None, header: Sequence[str] | None = None
) -> FileTable:
    """Open a file of quotes: columns ts, bid, ask and, if there are any, bid_qty and ask_qty."""
    return _open(path, _QUOTE_NAMES, mapping or {}, header, optional="bid_qty ask_qty")


def _open(
    path: Path,
    usual: dict[str, tuple[str, ...]],
    mapping: Columns,
    header: Sequence[str] | None,
    *,
    optional: str,
) -> FileTable:
    unknown = sorted(set(mapping) - set(usual))
    if unknown:
        raise UsageError(f"columns that can be mapped are {', '.join(usual)}; was {unknown[0]!r}")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        if path.suffix.lower() in _SUFFIXES:
            return _open_parquet(path, usual, mapping, optional)
        return _open_csv(path, _sniff(path, header), usual, mapping, optional)
    except (pa.ArrowException, OSError, EOFError) as exc:
        raise DataError(f"{path}: cannot be read: {exc}") from exc


def _open_parquet(
    path: Path, usual: dict[str, tuple[str, ...]], mapping: Columns, optional: str
) -> FileTable:
    with pq.ParquetFile(path, pre_buffer=False) as file:
        fields = tuple(file.schema_arrow.names)
        names = _match(path, fields, usual, mapping, optional)
        table = file.read(columns=[name for parts in names.values() for name in parts])
    if any(len(parts) > 1 for parts in names.values()):
        raise DataError(f"{path}: date and time in two columns are only read from CSV; say --map ts=COLUMN")
    used = {canonical: parts[0] for canonical, parts in names.items()}
    return FileTable(
        path=path,
        columns={canonical: table.column(name) for canonical, name in used.items()},
        names=used,
        ignored=tuple(name for name in fields if name not in used.values()),
        malformed=(),
        preamble=(),
        rows=table.num_rows,
        csv=None,
    )


def _open_csv(
    path: Path, dialect: _Dialect, usual: dict[str, tuple[str, ...]], mapping: Columns, optional: str
) -> FileTable:
    names = _match(path, dialect.fields, usual, mapping, optional)
    wanted = [name for parts in names.values() for name in parts]
    malformed: tuple[tuple[int, str], ...] = ()
    try:
        table = _read_csv(path, dialect, wanted, _fast_types(names), strict=True)
    except pa.ArrowInvalid:
        # Something in the file is not what its column should be: as text, row by row, it can be named.
        _text(path)
        table = _read_csv(path, dialect, wanted, dict.fromkeys(wanted, pa.string()), strict=False)
        malformed = tuple(
            (line, f"must have {dialect.width} fields, has {width}")
            for line, width in dialect.records(path)
            if width != dialect.width
        )
    columns = {canonical: table.column(parts[0]) for canonical, parts in names.items()}
    if len(names["ts"]) == 2:
        columns["ts"] = _joined(*(table.column(part) for part in names["ts"]))
    return FileTable(
        path=path,
        columns=columns,
        names={canonical: " + ".join(parts) for canonical, parts in names.items()},
        ignored=tuple(name for name in dialect.fields if name not in wanted),
        malformed=malformed,
        preamble=dialect.preamble,
        rows=table.num_rows,
        csv=dialect,
    )


def _fast_types(names: dict[str, tuple[str, ...]]) -> dict[str, pa.DataType]:
    types = {parts[0]: pa.float64() for canonical, parts in names.items() if canonical != "ts"}
    if len(names["ts"]) == 2:
        types |= dict.fromkeys(names["ts"], pa.string())
    return types


def _read_csv(
    path: Path, dialect: _Dialect, wanted: list[str], types: dict[str, pa.DataType], *, strict: bool
) -> pa.Table:
    skip = None if strict else (lambda row: "skip")
    return pacsv.read_csv(
        path,
        read_options=pacsv.ReadOptions(
            column_names=list(dialect.fields), skip_rows=dialect.skip, block_size=1 << 22
        ),
        parse_options=pacsv.ParseOptions(
            delimiter=dialect.delimiter, newlines_in_values=not strict, invalid_row_handler=skip
        ),
        convert_options=pacsv.ConvertOptions(column_types=types, include_columns=wanted),
    )


def _joined(days: pa.ChunkedArray, times: pa.ChunkedArray) -> pa.ChunkedArray:
    # MetaTrader writes 2020.01.31; ISO wants dashes.
    cells = [
        None if day is None or time is None else f"{day.strip().replace('.', '-')} {time.strip()}"
        for day, time in zip(days.to_pylist(), times.to_pylist(), strict=True)
    ]
    return pa.chunked_array([pa.array(cells, pa.string())])


def _sniff(path: Path, header: Sequence[str] | None) -> _Dialect:
    with pa.input_stream(str(path)) as stream:
        head = stream.read(_HEAD)
    if b"\x00" in head:
        raise DataError(f"{path}: must be text in UTF-8 (or a .parquet file), contains zero bytes")
    lines = head.decode("utf-8-sig", errors="replace").splitlines()
    filled = [i for i, line in enumerate(lines) if line.strip()]
    if not filled:
        raise DataError(f"{path}: is empty")
    # Some sources put an address or a title above the header.
    skip = next((i for i in filled[:_PREAMBLE] if _fields(lines[i]) >= _FEWEST), filled[0])
    first, above = lines[skip], tuple(lines[i] for i in filled if i < skip)
    delimiter = max(_DELIMITERS, key=first.count)
    cells = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter))]
    if header is not None:
        if len(header) != len(cells):
            raise DataError(
                f"{path}:{skip + 1}: {len(header)} column names were given (--header), has {len(cells)} fields"
            )
        return _Dialect(delimiter=delimiter, fields=_unique(path, header), skip=skip, preamble=above)
    if all(_DATA_CELL.fullmatch(cell) for cell in cells):
        raise DataError(f"{path}:{skip + 1}: has no header line; name the columns with --header")
    return _Dialect(delimiter=delimiter, fields=_unique(path, cells), skip=skip + 1, preamble=above)


def _fields(line: str) -> int:
    return 1 + max(line.count(delimiter) for delimiter in _DELIMITERS)


def _unique(path: Path, cells: Sequence[str]) -> tuple[str, ...]:
    # A nameless column (a saved index) gets a name that can be mapped.
    names = tuple(cell or f"column {i + 1}" for i, cell in enumerate(cells))
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise DataError(f"{path}: column {twice[0]!r} is there {names.count(twice[0])} times")
    return names


def _match(
    path: Path,
    fields: tuple[str, ...],
    usual: dict[str, tuple[str, ...]],
    mapping: Columns,
    optional: str,
) -> dict[str, tuple[str, ...]]:
    """Return the file's columns per canonical name (two for ts when date and time are apart)."""
    plain = {_DECORATION.sub("", field).lower(): field for field in reversed(fields)}
    exact = {field.lower(): field for field in reversed(fields)}
    found: dict[str, tuple[str, ...]] = {}
    for canonical, synonyms in usual.items():
        if canonical in mapping:
            name = mapping[canonical]
            if name is None:
                continue
            if name.lower() not in exact:
                raise DataError(f"{path}: has no column {name!r}; it has {', '.join(fields)}")
            found[canonical] = (exact[name.lower()],)
        elif (
            canonical == "ts"
            and {"date", "time"} <= set(plain)
            and not {"timestamp", "datetime"} & set(plain)
        ):
            found[canonical] = (plain["date"], plain["time"])
        else:
            match = next((plain[word] for word in synonyms if word in plain), None)
            if match is not None:
                found[canonical] = (match,)
    missing = [name for name in usual if name not in found and name not in optional.split()]
    if missing:
        raise DataError(
            f"{path}: no column for {', '.join(missing)}; say which with --map {missing[0]}=COLUMN, one of: {', '.join(fields)}"
        )
    taken = {part for parts in found.values() for part in parts}
    near = [field for field in fields if field not in taken and _QUANTITY.search(field.lower())]
    for name in optional.split():
        # A volume of 0 in every row must not be the result of an unusual column name.
        if near and name not in found and name not in mapping:
            others = f" (or {', '.join(near[1:])})" if near[1:] else ""
            raise DataError(
                f"{path}: which column is {name}? say --map {quote(f'{name}={near[0]}')}{others}, or --map {name}=none"
            )
    return found


def _text(path: Path) -> str:
    with pa.input_stream(str(path)) as stream:
        content: bytes = stream.read()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise DataError(f"{path}:{line}: must be text in UTF-8, has byte 0x{content[exc.start]:02x}") from exc

"""Turn a file of somebody else's making into bars or quotes that can be true, or say line by line why not.

Messages name the options of `tradebot data import`, the door through which files come in.

Owns the rules for rows: which are refused, what may be repaired without a guess, and the report of
both. Nothing is filled, clamped or averaged: a row is taken as it is or left out by name.

`bad_rows` decides: "refuse" (default) raises on the first file with any such row, "drop" leaves
those rows out (rows out of order are sorted, repeated equal rows kept once) and reports each.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from tradebot.core.model import DAY, Instrument
from tradebot.data.arrays import BarArrays, Floats, Ints, Mask, QuoteArrays
from tradebot.data.calendars import Sessions, sessions
from tradebot.data.closing import close_stamps, infer_interval, require_interval
from tradebot.data.columns import floats
from tradebot.data.merge import utc_text
from tradebot.data.read import Columns, FileTable, bar_table, quote_table
from tradebot.data.stamps import Stamps, TimeUnit, read_stamps, to_utc, zone
from tradebot.errors import DataError

BadRows = Literal["refuse", "drop"]
Stamp = Literal["open", "close"]

_SHOWN = 10


class RowIssue(NamedTuple):
    """What is wrong with a line of the file (a row of Parquet); `dropped` is False if it was only moved."""

    line: int
    reason: str
    dropped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What was recognised in a file and what happened to each of its rows.

    `columns` maps canonical names to the file's, `time` says how stamps were read and turned into
    closes, `notes` whatever else the reader should know. `first_ts`/`last_ts` in ns UTC.
    """

    path: str
    rows: int
    kept: int
    interval: int
    columns: dict[str, str]
    time: str
    notes: tuple[str, ...]
    issues: tuple[RowIssue, ...]
    first_ts: int | None
    last_ts: int | None

    def as_dict(self) -> dict[str, object]:
        """Return the report as plain JSON values."""
        return {
            "path": self.path,
            "rows": self.rows,
            "kept": self.kept,
            "interval_ns": self.interval,
            "columns": dict(self.columns),
            "time": self.time,
            "notes": list(self.notes),
            "issues": [issue._asdict() for issue in self.issues],
            "first": None if self.first_ts is None else utc_text(self.first_ts),
            "last": None if self.last_ts is None else utc_text(self.last_ts),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How to read a file. What is None is recognised, and said in the report.

    `tz` is the zone of stamps without one (needed for intraday data of an exchange); `stamp` says
    whether a row's time is when its bar opened or closed; `interval` in ns. `header` names the
    columns of a CSV without a header line. `mapping`, `time_unit`, `time_format`: see read, stamps.
    """

    mapping: Columns | None = None
    header: tuple[str, ...] | None = None
    tz: str | None = None
    stamp: Stamp = "open"
    interval: int | None = None
    time_unit: TimeUnit | None = None
    time_format: str | None = None
    bad_rows: BadRows = "refuse"

    def __post_init__(self) -> None:
        if self.tz is not None:
            zone(self.tz)


def read_bar_file(
    path: Path, instrument: Instrument, options: ImportOptions | None = None
) -> tuple[BarArrays, ImportReport]:
    """Return a file's bars, stamped at their close in UTC, and the report.

    Daily bars of an exchange get the close of their session (half-days included). Raises DataError
    with file and line when rows cannot be used and may not be dropped, or when the file as a whole
    cannot be understood.
    """
    options = options or ImportOptions()
    table = bar_table(path, mapping=options.mapping, header=options.header)
    rows = _Rows(table, options, sessions(instrument.calendar))
    names = ("open", "high", "low", "close", "volume")
    values = rows.numbers(names, absent={"volume": 0.0})
    rows.check_bars(values)
    try:
        ts, interval, how = rows.bar_times()
    except DataError:
        rows.refuse_if_told()  # rows that cannot be read are why the rest makes no sense
        raise
    order = rows.in_order(ts, values, unique=True)
    rows.refuse_if_told()
    bars = BarArrays(
        instrument=instrument.id,
        interval=interval,
        ts=ts[order],
        open=values["open"][order],
        high=values["high"][order],
        low=values["low"][order],
        close=values["close"][order],
        volume=values["volume"][order],
    )
    return bars, rows.report(bars.ts, interval, how)


def read_quote_file(
    path: Path, instrument: Instrument, options: ImportOptions | None = None
) -> tuple[QuoteArrays, ImportReport]:
    """Return a file's best bids and asks and the report; as `read_bar_file`.

    A bid above the ask is a bad row, equal prices are not. Missing quantities are 0 and noted.
    """
    options = options or ImportOptions()
    table = quote_table(path, mapping=options.mapping, header=options.header)
    rows = _Rows(table, options, sessions(instrument.calendar))
    values = rows.numbers(("bid", "bid_qty", "ask", "ask_qty"), absent={"bid_qty": 0.0, "ask_qty": 0.0})
    rows.check_quotes(values)
    ts, how = rows.utc()
    order = rows.in_order(ts, values, unique=False)
    rows.refuse_if_told()
    quotes = QuoteArrays(
        instrument=instrument.id,
        ts=ts[order],
        bid=values["bid"][order],
        bid_qty=values["bid_qty"][order],
        ask=values["ask"][order],
        ask_qty=values["ask_qty"][order],
    )
    return quotes, rows.report(quotes.ts, 0, how)


class _Rows:
    """The rows of one file while they are judged: which are still good, and why the others are not."""

    def __init__(self, table: FileTable, options: ImportOptions, calendar: Sessions) -> None:
        self.table, self.options, self.calendar = table, options, calendar
        self.good: Mask = np.ones(table.rows, bool)
        self.reasons: dict[int, str] = {}
        self.moved: dict[int, str] = {}
        self.notes: list[str] = []
        if not table.rows:
            raise DataError(f"{table.path}: has no rows")
        try:
            self.stamps: Stamps = read_stamps(
                table.columns["ts"], time_unit=options.time_unit, time_format=options.time_format
            )
        except DataError as exc:
            raise DataError(f"{table.path}: {exc}") from exc
        self.mark(self.stamps.reasons)
        if table.preamble:
            self.notes.append(f"lines above the header skipped: {' / '.join(table.preamble)}")
        if table.ignored:
            self.notes.append(f"columns not used: {', '.join(table.ignored)}")

    def mark(self, reasons: dict[int, str]) -> None:
        """Take rows out; the first reason found for a row is the one reported."""
        if reasons:
            self.reasons = {**reasons, **self.reasons}
            self.good[list(reasons)] = False

    def numbers(self, names: tuple[str, ...], *, absent: dict[str, float]) -> dict[str, Floats]:
        values: dict[str, Floats] = {}
        for name in names:
            if name not in self.table.columns:
                values[name] = np.full(self.table.rows, absent[name])
                self.notes.append(f"no column for {name}: it is {absent[name]:g} in every row")
                continue
            values[name], reasons = floats(self.table.columns[name], name)
            if len(reasons) > self.table.rows / 2:
                first = min(reasons)
                raise DataError(
                    f"{self.table.path}:{self.table.lines()[first]}: {reasons[first]}; the same in "
                    f"{len(reasons)} of {self.table.rows} rows: is {self.table.names[name]!r} the right column?"
                )
            self.mark(reasons)
        return values

    def check_bars(self, v: dict[str, Floats]) -> None:
        for name in ("open", "high", "low", "close"):
            self._forbid(~((v[name] > 0) & (v[name] < np.inf)), "{} must be a price above 0", v, (name,))
        self._forbid(v["high"] < v["low"], "high {} is below low {}", v, ("high", "low"))
        inside = (v["high"] >= np.maximum(v["open"], v["close"])) & (
            v["low"] <= np.minimum(v["open"], v["close"])
        )
        outside = "open {} and close {} must lie between low {} and high {}"
        self._forbid(~inside, outside, v, ("open", "close", "low", "high"))
        self._forbid(~((v["volume"] >= 0) & (v["volume"] < np.inf)), "{} must be 0 or more", v, ("volume",))

    def check_quotes(self, v: dict[str, Floats]) -> None:
        for name in ("bid", "ask"):
            self._forbid(~((v[name] > 0) & (v[name] < np.inf)), "{} must be a price above 0", v, (name,))
        self._forbid(v["bid"] > v["ask"], "bid {} is above ask {}", v, ("bid", "ask"))
        for name in ("bid_qty", "ask_qty"):
            self._forbid(~((v[name] >= 0) & (v[name] < np.inf)), "{} must be 0 or more", v, (name,))

    def _forbid(self, bad: Mask, text: str, values: dict[str, Floats], names: tuple[str, ...]) -> None:
        found = np.flatnonzero(bad & self.good).tolist()
        if len(names) == 1:
            text = text.format(names[0]) + ", was {}"
        self.mark({i: text.format(*(f"{values[name][i]:.12g}" for name in names)) for i in found})

    def utc(self) -> tuple[Ints, str]:
        """Return the times of all rows in ns UTC and how they were read."""
        self.require_some()
        stamps = self.stamps
        if not stamps.naive:
            return stamps.ns, stamps.how
        if self.options.tz is None and not self.calendar.always_open:
            raise DataError(
                f"{self.table.path}: times are without a time zone, and {self.calendar.name} is in "
                f"{self.calendar.tz}; say --tz {self.calendar.tz} if they are exchange time, else --tz UTC or another"
            )
        tz = self.options.tz or "UTC"
        utc, reasons = (stamps.ns, {}) if tz == "UTC" else to_utc(stamps.ns, tz)
        self.mark({i: reason for i, reason in reasons.items() if self.good[i]})
        return utc, f"{stamps.how}, read as {tz}"

    def bar_times(self) -> tuple[Ints, int, str]:
        """Return close times of all rows (ns UTC, meaningful where good), the interval, and how."""
        self.require_some()
        path = str(self.table.path)
        found, share = infer_interval(self.stamps.ns[self.good], path, given=self.options.interval)
        interval = require_interval(found, share, self.options.interval, path)
        if self.options.interval is None:
            self.notes.append(f"interval found from the times: {share:.0%} of the steps")
        if interval >= DAY and not self.calendar.always_open:
            wall, how = self.stamps.ns, self.stamps.how
            if not self.stamps.dates_only:
                wall, how = self.utc()
        else:
            wall, how = self.utc()
        ts, reasons, said = close_stamps(
            wall,
            self.good,
            interval,
            self.options.stamp,
            self.calendar,
            path,
            dates=self.stamps.dates_only,
        )
        self.mark(reasons)
        return ts, interval, f"{how}; {said}"

    def in_order(self, ts: Ints, values: dict[str, Floats], *, unique: bool) -> Ints | slice:
        """Return the rows to keep, oldest first; marks repeated, contradicting and misplaced ones."""
        rows = np.flatnonzero(self.good)
        steps = np.diff(ts[rows])
        if bool((steps > 0).all()) or (not unique and bool((steps >= 0).all())):
            # A slice of everything saves copying all columns of a clean file.
            return slice(None) if len(rows) == len(ts) else rows
        if bool((steps < 0).all()):
            self.notes.append("rows are newest first: turned round")
            return rows[::-1]
        late = ts[rows] < np.maximum.accumulate(ts[rows])
        self.moved = dict.fromkeys(rows[late].tolist(), "is out of order: sorted by time")
        rows = rows[np.argsort(ts[rows], kind="stable")]
        if unique:
            self._drop_repeated(rows, ts, values)
        return rows[self.good[rows]]

    def _drop_repeated(self, rows: Ints, ts: Ints, values: dict[str, Floats]) -> None:
        same = ts[rows][1:] == ts[rows][:-1]
        if not same.any():
            return
        lines = self.table.lines()
        edges = np.flatnonzero(np.concatenate([[True], ~same, [True]]))
        for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            if last - first == 1:
                continue
            group = rows[first:last].tolist()
            when = utc_text(int(ts[group[0]]))
            if all((column[group] == column[group[0]]).all() for column in values.values()):
                self.mark(dict.fromkeys(group[1:], f"repeats line {lines[group[0]]} ({when})"))
            else:
                # Which one is true cannot be known, so none is kept.
                others = ", ".join(str(lines[i]) for i in group[:5])
                self.mark(dict.fromkeys(group, f"lines {others} contradict each other about {when}"))

    def issues(self) -> tuple[RowIssue, ...]:
        if not self.reasons and not self.moved and not self.table.malformed:
            return ()
        lines = self.table.lines()
        found = [RowIssue(line, reason, True) for line, reason in self.table.malformed]
        found += [RowIssue(int(lines[i]), reason, True) for i, reason in self.reasons.items()]
        moved = (item for item in self.moved.items() if item[0] not in self.reasons)
        found += [RowIssue(int(lines[i]), reason, False) for i, reason in moved]
        return tuple(sorted(found))

    def require_some(self) -> None:
        if not self.good.any():
            raise DataError(_refusal(self.table, self.issues(), "no row can be used"))

    def refuse_if_told(self) -> None:
        self.require_some()
        issues = self.issues()
        if issues and self.options.bad_rows == "refuse":
            advice = "nothing was imported; repair the file, or leave them out with --bad-rows drop"
            raise DataError(_refusal(self.table, issues, advice))

    def report(self, ts: Ints, interval: int, how: str) -> ImportReport:
        return ImportReport(
            path=str(self.table.path),
            rows=self.table.rows + len(self.table.malformed),
            kept=len(ts),
            interval=interval,
            columns=self.table.names,
            time=how,
            notes=tuple(self.notes),
            issues=self.issues(),
            first_ts=int(ts[0]) if len(ts) else None,
            last_ts=int(ts[-1]) if len(ts) else None,
        )


def _refusal(table: FileTable, issues: tuple[RowIssue, ...], advice: str) -> str:
    shown = [f"{table.path}:{issue.line}: {issue.reason}" for issue in issues[:_SHOWN]]
    if len(issues) > _SHOWN:
        shown.append(f"... and {len(issues) - _SHOWN} more")
    rows = table.rows + len(table.malformed)
    return "\n".join([*shown, f"{table.path}: {len(issues)} of {rows} rows are bad: {advice}"])

"""Tell what a column of times means, and turn it into nanoseconds UTC.

Owns the recognition of ISO 8601 text, dates, and epoch seconds to nanoseconds, and time zones of
stamps that carry none. What was recognised is said in words for the import report; what cannot
be told apart safely is refused with the option that decides it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tradebot.core.model import DAY, MINUTE, SECOND
from tradebot.data.arrays import Floats, Ints, Mask
from tradebot.data.columns import fixed_width, is_text, texts
from tradebot.errors import DataError, UsageError

TimeUnit = Literal["s", "ms", "us", "ns"]

_SCALE: dict[str, int] = {"s": SECOND, "ms": 1_000_000, "us": 1000, "ns": 1}
# Magnitudes of 1973 to 2286 in each unit; they leave gaps, so no number fits two of them.
_MAGNITUDE: dict[str, tuple[int, int]] = {
    "s": (10**8, 10**10),
    "ms": (10**11, 10**13),
    "us": (10**14, 10**16),
    "ns": (10**17, 10**19),
}
_YMD = (19000101, 21991231)
# int64 nanoseconds end in 2262.
_LAST_YEAR = 2261
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (wall clock, like the stamps that are counted from it)
_FINER = re.compile(r"(\d\.\d{6})(\d{1,3})(?=\D|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamps:
    """Times as read: `ns` since the epoch (UTC, or wall clock when `naive`), 0 where there is a reason.

    `reasons` says by row why there is no time; `dates_only` is True when every time is midnight.
    """

    ns: Ints
    reasons: dict[int, str]
    naive: bool
    dates_only: bool
    how: str


def read_stamps(
    column: pa.ChunkedArray, *, time_unit: TimeUnit | None = None, time_format: str | None = None
) -> Stamps:
    """Return the times of a column.

    `time_unit` fixes the unit of numbers, `time_format` (strptime) the form of text. Raises
    DataError when the column as a whole cannot be understood.
    """
    kind = column.type
    if is_text(column):
        cells = texts(column)
        if time_format is None and cells and all(not cell or cell.isdecimal() for cell in cells):
            numbers = np.array([int(cell) if cell and len(cell) < 20 else 0 for cell in cells], np.uint64)
            empty = np.array([not cell for cell in cells])
            return _numbers(numbers.astype(np.float64), numbers, empty, time_unit)
        return _texts(cells, time_format)
    if pa.types.is_timestamp(kind):
        values, nulls = fixed_width(column, np.int64)
        return _counted(values, nulls, _SCALE[kind.unit], naive=kind.tz is None, how=f"{kind}")
    if pa.types.is_date32(kind):
        values, nulls = fixed_width(column, np.int32)
        return _counted(values.astype(np.int64), nulls, DAY, naive=True, how="dates")
    if pa.types.is_date64(kind):
        values, nulls = fixed_width(column, np.int64)
        return _counted(values, nulls, _SCALE["ms"], naive=True, how="dates")
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        values, nulls = fixed_width(column, kind.to_pandas_dtype())
        empty = np.zeros(len(values), bool) if nulls is None else nulls
        return _numbers(values.astype(np.float64), values, empty, time_unit)
    raise DataError(f"the time column must hold times, dates or numbers, holds {kind}")


def zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name; UsageError if there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise UsageError(
            f"a time zone is an IANA name such as America/New_York or UTC, was {name!r}"
        ) from exc


def to_utc(wall: Ints, tz: str) -> tuple[Ints, dict[int, str]]:
    """Return (utc, reasons): wall-clock ns in `tz` as ns UTC.

    Wall times that clocks skip in spring or show twice in autumn have a reason instead of a guess.
    """
    where = zone(tz)
    # Zone offsets change on quarter hours at the finest, so one look-up serves all stamps in it.
    quarters, back = np.unique(wall // (15 * MINUTE), return_inverse=True)
    offsets = np.zeros((2, len(quarters)), np.int64)
    exists = np.ones(len(quarters), bool)
    for i, quarter in enumerate(quarters.tolist()):
        local = _EPOCH + timedelta(minutes=15 * quarter)
        for fold in (0, 1):
            offset = local.replace(tzinfo=where, fold=fold).utcoffset() or timedelta()
            offsets[fold, i] = offset // timedelta(seconds=1) * SECOND
        if offsets[0, i] != offsets[1, i]:
            there = local.replace(tzinfo=where).astimezone(UTC).astimezone(where)
            exists[i] = there.replace(tzinfo=None) == local
    utc = wall - offsets[0][back]
    reasons: dict[int, str] = {}
    for i in np.flatnonzero((offsets[0] != offsets[1])[back]).tolist():
        trouble = "happened twice" if exists[back[i]] else "did not happen"
        reasons[i] = (
            f"{_EPOCH + timedelta(microseconds=int(wall[i]) // 1000)} {trouble} in {tz} (clock change)"
        )
    return utc, reasons


def _counted(values: Ints, nulls: Mask | None, scale: int, *, naive: bool, how: str) -> Stamps:
    limit = np.iinfo(np.int64).max // scale
    good = (values > -limit) & (values < limit)
    reasons = {} if good.all() else dict.fromkeys(np.flatnonzero(~good).tolist(), "time is out of range")
    if nulls is not None:
        good &= ~nulls
        reasons |= dict.fromkeys(np.flatnonzero(nulls).tolist(), "time is empty")
    ns = values * scale if good.all() else np.where(good, values, 0) * scale
    return Stamps(ns=ns, reasons=reasons, naive=naive, dates_only=_midnights(ns), how=how)


def _numbers(size: Floats, exact: NDArray[Any], empty: Mask, unit: TimeUnit | None) -> Stamps:
    finite = np.isfinite(size) & ~empty
    if not finite.any():
        raise DataError("the time column is empty")
    middle = float(np.median(size[finite]))
    if unit is None and _YMD[0] <= middle <= _YMD[1]:
        return _calendar_numbers(size, empty)
    found: str | None = unit
    if found is None:
        found = next((u for u, (low, high) in _MAGNITUDE.items() if low <= middle < high), None)
    if found is None:
        raise DataError(f"cannot tell the unit of times like {middle:.0f}; say --time-unit s, ms, us or ns")
    low, high = _MAGNITUDE[found] if unit is None else (0, int(np.iinfo(np.int64).max // _SCALE[found]))
    good = finite & (size >= low) & (size < high)
    reasons = {
        i: "time is empty" if empty[i] or np.isnan(size[i]) else f"time {size[i]:.15g} is out of range"
        for i in np.flatnonzero(~good).tolist()
    }
    if np.issubdtype(exact.dtype, np.integer):
        ns = np.where(good, exact, 0).astype(np.int64) * _SCALE[found]
    else:
        # A double of epoch seconds is exact to about a quarter of a microsecond, not finer.
        per_us = 10**6 * _SCALE[found] // SECOND if found in ("s", "ms", "us") else 1
        scaled = np.where(good, size, 0.0) * max(per_us, 1)
        ns = np.round(scaled).astype(np.int64) * (1000 if found != "ns" else 1)
    return Stamps(
        ns=ns, reasons=reasons, naive=False, dates_only=_midnights(ns), how=f"numbers: epoch {found}, UTC"
    )


def _calendar_numbers(size: Floats, empty: Mask) -> Stamps:
    ns = np.zeros(len(size), np.int64)
    reasons: dict[int, str] = {}
    for i, number in enumerate(size.tolist()):
        try:
            day = date.fromisoformat(f"{int(number):08d}")
            ns[i] = (day - _EPOCH.date()).days * DAY
        except (ValueError, OverflowError):
            reasons[i] = "time is empty" if empty[i] else f"{number:.0f} is no date of the form YYYYMMDD"
    return Stamps(ns=ns, reasons=reasons, naive=True, dates_only=True, how="numbers: dates as YYYYMMDD")


def _texts(cells: list[str], form: str | None) -> Stamps:
    ns = np.zeros(len(cells), np.int64)
    aware = np.zeros(len(cells), bool)
    reasons: dict[int, str] = {}
    for i, cell in enumerate(cells):
        try:
            # Without a zone the stamp stays wall clock; the caller says whose.
            moment = datetime.strptime(cell, form) if form else datetime.fromisoformat(cell)  # noqa: DTZ007
        except (ValueError, OverflowError):
            wanted = f"of the form {form}" if form else "ISO 8601"
            reasons[i] = f"time must be {wanted}, was {cell[:40]!r}" if cell else "time is empty"
            continue
        aware[i] = moment.tzinfo is not None
        try:
            since = (moment.astimezone(UTC).replace(tzinfo=None) if aware[i] else moment) - _EPOCH
        except OverflowError:
            since = timedelta(days=-(10**6))
        if not -80_000 < since.days < (_LAST_YEAR - 1970) * 365:
            reasons[i] = f"time {cell[:40]!r} is out of range"
            continue
        finer = None if form else _FINER.search(cell)
        ns[i] = (since // timedelta(microseconds=1)) * 1000 + (int(finer[2].ljust(3, "0")) if finer else 0)
    read = np.ones(len(cells), bool)
    read[list(reasons)] = False
    if not read.any() or len(reasons) > len(cells) / 2:
        example = next(iter(reasons.values()), "it is empty")
        raise DataError(
            f"cannot read the time column: {example}; for another form than ISO 8601 say --time-format, "
            "such as %m/%d/%Y %H:%M"
        )
    naive = bool((read & ~aware).sum() * 2 > read.sum())
    for i in np.flatnonzero(read & (aware == naive)).tolist():
        reasons[i] = f"time {cells[i]!r} has {'a' if naive else 'no'} time zone, unlike the others"
        ns[i] = 0
    how = f"text of the form {form}" if form else "ISO 8601 text"
    return Stamps(
        ns=ns, reasons=reasons, naive=naive, dates_only=_midnights(ns), how=how + _zones(cells, naive)
    )


def _zones(cells: list[str], naive: bool) -> str:
    if naive:
        return ", without time zone"
    tails = Counter(cell[-6:] if cell[-6:-5] in ("+", "-") else "UTC" for cell in cells if cell)
    return f", with time zone ({', '.join(sorted(tails))})"


def _midnights(ns: Ints) -> bool:
    return bool((ns % DAY == 0).all())

"""Find the interval of bars from their times, and the moment at which each one was complete.

Owns the way from a file's stamps (opens, closes or session dates) to close-stamped bars.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from tradebot.core.model import DAY, HOUR, MINUTE, SECOND, WEEK
from tradebot.data.arrays import Ints, Mask
from tradebot.data.calendars import Sessions
from tradebot.data.intervals import interval_name
from tradebot.data.merge import utc_text
from tradebot.errors import DataError

# What bars are made of in practice; anything else is more likely a file with holes.
USUAL_INTERVALS = frozenset(
    {n * SECOND for n in (1, 2, 3, 5, 10, 15, 20, 30)}
    | {n * MINUTE for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)}
    | {n * HOUR for n in (1, 2, 3, 4, 6, 8, 12)}
    | {DAY, WEEK}
)
# A session calendar leaves 78 % of daily steps; sparse minutes of a small stock more than half.
_FREQUENT = 0.5


def infer_interval(ns: Ints, path: str, *, given: int | None) -> tuple[int, float]:
    """Return (interval, share): the most frequent step between different times, and how frequent it is.

    Raises DataError below two times when no interval is given.
    """
    steps = np.diff(ns)
    if len(steps) and steps.min() <= 0:
        steps = np.diff(np.unique(ns))
    if len(steps) and steps.min() == steps.max():
        return int(steps[0]), 1.0
    if not len(steps):
        if given is not None:
            return given, 1.0
        raise DataError(
            f"{path}: one row does not tell the interval; say it with --interval, such as 1m or 1d"
        )
    lengths, counts = np.unique(steps, return_counts=True)
    best = int(np.argmax(counts))
    return int(lengths[best]), float(counts[best] / len(steps))


def require_interval(found: int, share: float, given: int | None, path: str) -> int:
    """Return the interval to use: the given one if the times allow it, else the usual one found."""
    if given is None:
        if found in USUAL_INTERVALS and share >= _FREQUENT:
            return found
        raise DataError(
            f"{path}: cannot tell the interval: the most frequent step between rows is {found / SECOND:g} s "
            f"({share:.0%} of them); say it with --interval, such as 1s, 1m or 1d"
        )
    # Stamping hourly bars a minute after they opened would show their high an hour early.
    if found > given and share > 0.9:
        raise DataError(
            f"{path}: rows are {found / SECOND:g} s apart, which does not fit bars of {interval_name(given)}"
        )
    return given


def close_stamps(
    ns: Ints,
    good: Mask,
    interval: int,
    stamp: Literal["open", "close"],
    calendar: Sessions,
    path: str,
    *,
    dates: bool,
) -> tuple[Ints, dict[int, str], str]:
    """Return (ts, reasons, how): the close of each good row in ns UTC, and rows that have none.

    `ns` is UTC, or session dates (midnights) of daily bars when `dates`.
    """
    if calendar.always_open or interval < DAY:
        ts = ns + interval if stamp == "open" else ns
        said = "stamped at the open, moved to the close" if stamp == "open" else "stamped at the close"
        return ts, _overlaps(ts, good, interval, path), said
    if interval != DAY:
        raise DataError(
            f"{path}: bars of {interval_name(interval)} do not follow the sessions of {calendar.name}; "
            "import daily bars and resample them"
        )
    days = ns // DAY if dates else _local_days(ns, calendar)
    used = np.where(good, days, days[good][0])
    closes, known = calendar.closes_of(used)
    reasons = {
        i: f"{utc_text(int(days[i]) * DAY)[:10]} is no session of {calendar.name}"
        for i in np.flatnonzero(good & (known == 0)).tolist()
    }
    form = "session dates" if dates else f"times, taken as session dates in {calendar.tz}"
    return closes, reasons, f"{form}, stamped at the close of the session"


def _local_days(ns: Ints, calendar: Sessions) -> Ints:
    # The date at the exchange: of midnights there, of opens and of closes alike.
    quarters, back = np.unique(ns // (15 * MINUTE), return_inverse=True)
    local = np.array([calendar.day_of(int(q) * 15 * MINUTE) for q in quarters.tolist()], np.int64)
    return local[back]


def _overlaps(ts: Ints, good: Mask, interval: int, path: str) -> dict[int, str]:
    rows = np.flatnonzero(good)
    ordered = rows[np.argsort(ts[rows], kind="stable")] if bool((np.diff(ts[rows]) < 0).any()) else rows
    steps = np.diff(ts[ordered])
    if not len(steps) or steps.min() >= interval:
        return {}
    close = np.flatnonzero((steps > 0) & (steps < interval))
    if len(close) > len(rows) / 2:
        raise DataError(
            f"{path}: rows are {float(np.median(steps)) / SECOND:g} s apart, closer than the interval "
            f"{interval_name(interval)}"
        )
    return {
        int(
            ordered[i + 1]
        ): f"starts {steps[i] / SECOND:g} s after the row before, inside its {interval_name(interval)}"
        for i in close.tolist()
    }

"""Join bars into bars of a longer interval that are knowable only at their end.

Owns the borders of buckets: open on the left, closed on the right, stamped at the right. Nothing
is filled: an interval without any bar has none. Intervals count from midnight UTC (weeks from
Monday) in a market that never closes, and from each session's open on an exchange, where the
last bucket of a session ends at its close and a week ends with its last session.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tradebot.core.model import DAY, WEEK
from tradebot.data.arrays import BarArrays, Ints, Mask
from tradebot.data.calendars import Sessions
from tradebot.data.intervals import interval_name
from tradebot.data.merge import utc_text
from tradebot.errors import DataError, UsageError

# 1970-01-01 was a Thursday; weeks begin on Monday.
_MONDAY = 4 * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampled:
    """Longer bars, and which of them cover their whole bucket.

    `complete[i]` is False when the source begins after the bucket does or ends before it.
    `sources[i]` counts the bars that went into bar i. `outside` counts bars outside of every
    session (extended hours), which are in none.
    """

    bars: BarArrays
    complete: Mask
    sources: Ints
    outside: int


def resample(
    bars: BarArrays, interval: int, sessions: Sessions, *, keep_incomplete: bool = False
) -> Resampled:
    """Return bars of `interval` (ns) made of `bars`, which must be ordered.

    Open of the first, highest high, lowest low, close of the last and the sum of volumes; `ts` is
    the end of the bucket, also when its last bars are missing. Incomplete buckets at either end are
    left out unless `keep_incomplete`. Raises UsageError if the interval is not longer or not a
    multiple, DataError if a bar lies in two buckets.
    """
    if problem := why_not(bars.interval, interval):
        raise UsageError(problem)
    if not len(bars):
        none = np.empty(0, np.int64)
        return Resampled(
            bars=BarArrays.empty(bars.instrument, interval),
            complete=none.astype(bool),
            sources=none,
            outside=0,
        )
    starts, ends = (
        _clock_buckets(bars, interval) if sessions.always_open else _session_buckets(bars, interval, sessions)
    )
    place = np.searchsorted(ends, bars.ts, side="left")
    inside = place < len(ends)
    inside[inside] = bars.ts[inside] > starts[place[inside]]
    used, place = bars.take(inside), place[inside]
    _require_one_bucket(used, starts[place], sessions)
    first = np.flatnonzero(np.diff(place, prepend=-1))
    bucket = place[first]
    last = np.append(first[1:], len(used))
    joined = BarArrays(
        instrument=bars.instrument,
        interval=interval,
        ts=ends[bucket],
        open=used.open[first],
        high=_reduced(np.maximum, used.high, first),
        low=_reduced(np.minimum, used.low, first),
        close=used.close[last - 1],
        volume=_reduced(np.add, used.volume, first),
    )
    # The source is known from its first bar's open to its last bar's close, whatever lies between.
    complete: Mask = (starts[bucket] >= bars.ts[0] - bars.interval) & (ends[bucket] <= bars.ts[-1])
    sources = last - first
    if not keep_incomplete:
        joined, sources, complete = joined.take(complete), sources[complete], complete[complete]
    return Resampled(bars=joined, complete=complete, sources=sources, outside=int((~inside).sum()))


def why_not(source: int, target: int) -> str:
    """Return why bars of one interval cannot be joined to another, "" when they can."""
    if target <= source or target % source or target > WEEK or (target > DAY and target % DAY):
        return (
            f"bars of {interval_name(source)} can be joined to a longer multiple of that, up to 1w; "
            f"was {interval_name(target)}"
        )
    if (target < DAY and DAY % target) or (target > DAY and target != WEEK):
        return f"an interval must divide a day, or be 1d or 1w; was {interval_name(target)}"
    return ""


def _clock_buckets(bars: BarArrays, interval: int) -> tuple[Ints, Ints]:
    origin = _MONDAY if interval == WEEK else 0
    ends = np.unique(-((origin - bars.ts) // interval)) * interval + origin
    return ends - interval, ends


def _session_buckets(bars: BarArrays, interval: int, sessions: Sessions) -> tuple[Ints, Ints]:
    # One session more on each side: a week is complete only if its last session is known to be it.
    opens, closes = sessions.between(int(bars.ts[0]) - bars.interval - WEEK, int(bars.ts[-1]) + WEEK)
    if interval == DAY:
        return opens, closes
    if interval == WEEK:
        week = (closes - _MONDAY) // WEEK
        first = np.flatnonzero(np.diff(week, prepend=week[0] - 1))
        last = np.append(first[1:], len(week)) - 1
        return opens[first], closes[last]
    starts = [np.arange(a, b, interval) for a, b in zip(opens.tolist(), closes.tolist(), strict=True)]
    ends = [np.minimum(start + interval, close) for start, close in zip(starts, closes.tolist(), strict=True)]
    return np.concatenate(starts), np.concatenate(ends)


def _require_one_bucket(bars: BarArrays, starts: Ints, sessions: Sessions) -> None:
    # A bar that began before its bucket would carry prices of the bucket before into it. Before an
    # open there is no trading, so a full-hour bar that contains the open is no such case.
    before = bars.ts - bars.interval < starts
    if not sessions.always_open:
        opens, _ = sessions.between(int(bars.ts[0]) - bars.interval - WEEK, int(bars.ts[-1]) + WEEK)
        before &= ~np.isin(starts, opens)
    if before.any():
        i = int(np.argmax(before))
        raise DataError(
            f"{bars.instrument}: the {interval_name(bars.interval)} bar that closes at {utc_text(int(bars.ts[i]))} "
            f"lies in two buckets, divided at {utc_text(int(starts[i]))}; resample from shorter bars"
        )


def _reduced(function: np.ufunc, values: np.ndarray, first: Ints) -> np.ndarray:
    return function.reduceat(values, first) if len(first) else values[:0]

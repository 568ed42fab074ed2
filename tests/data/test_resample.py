"""Longer bars keep what the short ones say and are knowable at their stamp, not before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.core.model import ALWAYS_OPEN, DAY, HOUR, MINUTE, SECOND, WEEK, Instrument
from tradebot.data.arrays import BarArrays
from tradebot.data.calendars import sessions
from tradebot.data.importing import read_bar_file
from tradebot.data.merge import utc_text
from tradebot.data.resample import resample
from tradebot.errors import DataError, UsageError

MakeBars = Callable[..., BarArrays]
CLOCK = sessions(ALWAYS_OPEN)


def test_four_minutes_become_two_bars(make_bars: MakeBars) -> None:
    bars = make_bars(4, start=0)
    two = resample(bars, 2 * MINUTE, CLOCK).bars
    assert two.ts.tolist() == [2 * MINUTE, 4 * MINUTE]
    assert two.interval == 2 * MINUTE
    assert two.open.tolist() == [bars.open[0], bars.open[2]]
    assert two.high.tolist() == [max(bars.high[:2]), max(bars.high[2:])]
    assert two.low.tolist() == [min(bars.low[:2]), min(bars.low[2:])]
    assert two.close.tolist() == [bars.close[1], bars.close[3]]
    assert two.volume.tolist() == [sum(bars.volume[:2]), sum(bars.volume[2:])]


def test_incomplete_buckets_at_the_ends_are_left_out_or_marked(make_bars: MakeBars) -> None:
    bars = make_bars(9, start=MINUTE)
    assert resample(bars, 5 * MINUTE, CLOCK).bars.ts.tolist() == [10 * MINUTE]
    marked = resample(bars, 5 * MINUTE, CLOCK, keep_incomplete=True)
    assert marked.bars.ts.tolist() == [5 * MINUTE, 10 * MINUTE]
    assert marked.complete.tolist() == [False, True]
    assert marked.sources.tolist() == [4, 5]


def test_a_missing_minute_leaves_its_bucket_and_an_empty_bucket_no_bar(make_bars: MakeBars) -> None:
    bars = make_bars(20, start=0)
    kept = np.array([0, 1, 2, 3, 5, 6, 7, 8, 9, 15, 16, 17, 18, 19])
    found = resample(bars.take(kept), 5 * MINUTE, CLOCK)
    assert found.bars.ts.tolist() == [5 * MINUTE, 10 * MINUTE, 20 * MINUTE]
    assert found.sources.tolist() == [4, 5, 5]


def test_weeks_begin_on_monday(make_bars: MakeBars) -> None:
    bars = make_bars(30, interval=DAY, start=0)
    weeks = resample(bars, WEEK, CLOCK).bars
    assert [utc_text(int(ts)) for ts in weeks.ts] == [
        "1970-01-12T00:00:00Z",
        "1970-01-19T00:00:00Z",
        "1970-01-26T00:00:00Z",
    ]


def minutes_of(first_day: int, days: int, make_bars: MakeBars, interval: int = MINUTE) -> BarArrays:
    opens, closes = sessions("XNYS").between(first_day * DAY, (first_day + days) * DAY)
    ts = np.concatenate(
        [np.arange(a + interval, b + 1, interval) for a, b in zip(opens, closes, strict=True)]
    )
    return replace(make_bars(len(ts), interval=interval), ts=ts)


def test_no_bucket_reaches_over_the_night_and_a_half_day_ends_at_its_close(make_bars: MakeBars) -> None:
    # 2023-11-22 (full), 24 (half), 27 (full)
    bars = minutes_of(19_683, 6, make_bars)
    hours = resample(bars, HOUR, sessions("XNYS")).bars
    times = [utc_text(int(ts))[5:16] for ts in hours.ts]
    assert times[:7] == [
        "11-22T15:30",
        "11-22T16:30",
        "11-22T17:30",
        "11-22T18:30",
        "11-22T19:30",
        "11-22T20:30",
        "11-22T21:00",
    ]
    assert times[7:11] == ["11-24T15:30", "11-24T16:30", "11-24T17:30", "11-24T18:00"]
    days = resample(bars, DAY, sessions("XNYS")).bars
    assert [utc_text(int(ts)) for ts in days.ts] == [
        "2023-11-22T21:00:00Z",
        "2023-11-24T18:00:00Z",
        "2023-11-27T21:00:00Z",
    ]
    assert days.volume.sum() == hours.volume.sum() == bars.volume.sum()


def test_a_week_of_sessions_ends_with_its_last_close(make_bars: MakeBars) -> None:
    _, closes = sessions("XNYS").between(19_681 * DAY, 19_695 * DAY)
    bars = replace(make_bars(len(closes), interval=DAY), ts=closes)
    weeks = resample(bars, WEEK, sessions("XNYS")).bars
    assert [utc_text(int(ts)) for ts in weeks.ts] == ["2023-11-24T18:00:00Z", "2023-12-01T21:00:00Z"]
    # The week is not over on Thursday, and the calendar knows it.
    assert len(resample(bars.take(slice(0, 8)), WEEK, sessions("XNYS")).bars) == 1


def test_bars_outside_of_sessions_are_counted_and_left_out(shared_data: Path, stock: Instrument) -> None:
    bars, _ = read_bar_file(shared_data / "equity_intraday" / "minute" / "SPY_trade.csv", stock)
    found = resample(bars, DAY, sessions("XNYS"))
    assert found.outside == 947 - 390
    assert found.sources.tolist() == [390]
    assert utc_text(int(found.bars.ts[0])) == "2023-08-03T20:00:00Z"


def test_real_hours_give_the_real_days(shared_data: Path, stock: Instrument) -> None:
    hours, _ = read_bar_file(shared_data / "equity_intraday" / "hour" / "IBM.csv", stock)
    days, _ = read_bar_file(shared_data / "equity_daily" / "lean_raw" / "IBM.csv", stock)
    found = resample(hours, DAY, sessions("XNYS")).bars
    assert len(found) > 3200
    same = np.isin(days.ts, found.ts)
    # Both come from one source; closes agree to a few cents (the auction is not in every hour).
    difference = np.abs(days.close[same] - found.close[np.isin(found.ts, days.ts)])
    assert float(np.median(difference)) < 0.02


@pytest.mark.parametrize("interval", [MINUTE, 90 * SECOND, 7 * MINUTE, 2 * DAY, 5 * WEEK, 30 * SECOND])
def test_intervals_that_do_not_fit_are_refused(make_bars: MakeBars, interval: int) -> None:
    with pytest.raises(UsageError):
        resample(make_bars(5), interval, CLOCK)


def test_a_bar_in_two_buckets_is_refused(shared_data: Path, stock: Instrument) -> None:
    # Full clock hours and two-hour buckets from 09:30 do not fit together.
    hours, _ = read_bar_file(shared_data / "equity_intraday" / "hour" / "IBM.csv", stock)
    with pytest.raises(DataError, match="lies in two buckets, divided at 2005-01-03T16:30:00Z"):
        resample(hours, 2 * HOUR, sessions("XNYS"))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 300),
    seed=st.integers(0, 50),
    offset=st.integers(0, 200),
    minutes=st.sampled_from([2, 5, 15, 60, 1440]),
    holes=st.sets(st.integers(0, 299), max_size=150),
    cut=st.integers(1, 300),
)
def test_nothing_is_lost_invented_or_seen_early(
    make_bars: MakeBars, rows: int, seed: int, offset: int, minutes: int, holes: set[int], cut: int
) -> None:
    whole = make_bars(rows, seed=seed, start=offset * MINUTE)
    keep = np.array([i not in holes for i in range(rows)])
    bars = whole.take(keep)
    found = resample(bars, minutes * MINUTE, CLOCK, keep_incomplete=True)
    longer = found.bars
    assert longer.volume.sum() == bars.volume.sum()
    assert found.sources.sum() == len(bars)
    for i, ts in enumerate(longer.ts.tolist()):
        inside = bars.take((bars.ts > ts - minutes * MINUTE) & (bars.ts <= ts))
        assert longer.bar(i)[3:] == (
            inside.open[0],
            inside.high.max(),
            inside.low.min(),
            inside.close[-1],
            inside.volume.sum(),
        )
    # What a complete bar says at its stamp does not change when the future arrives.
    early = resample(bars.take(slice(0, cut)), minutes * MINUTE, CLOCK).bars
    late = resample(bars, minutes * MINUTE, CLOCK).bars
    assert early.digest() == late.take(slice(0, len(early))).digest()
    if len(bars):
        assert (early.ts <= bars.ts[:cut][-1]).all()

"""Days, months, candles and thinned lines keep what they must keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.runs_for_tests import START, days, make_instrument, make_walk
from tradebot.core.model import DAY, HOUR, MINUTE, WEEK
from tradebot.errors import InvariantError
from tradebot.report.series import (
    candles_from_prices,
    candles_of,
    monthly_returns,
    periods_per_year,
    sampled_equity,
    statistics_periods,
    thin,
)


@pytest.mark.parametrize(
    ("interval", "calendar", "expected"),
    [
        (DAY, "XNYS", 252),
        (DAY, "24/7", 365),
        (DAY, "24/5", 260),
        (DAY, "XLON", 252),
        (HOUR, "24/7", 365 * 24),
        (MINUTE, "24/7", 525_600),
        (MINUTE, "XNYS", 252 * 390),
        (WEEK, "XNYS", 365 / 7),
        (WEEK, "24/7", 365 / 7),
    ],
)
def test_periods_of_a_year_follow_interval_and_calendar(
    interval: int, calendar: str, expected: float
) -> None:
    assert periods_per_year(interval, calendar) == pytest.approx(expected)


def test_quotes_have_no_interval_to_annualise() -> None:
    with pytest.raises(InvariantError, match="needs the interval of the bars in ns, was 0"):
        periods_per_year(0, "XNYS")


def test_statistics_of_minutes_and_quotes_are_daily_on_the_busiest_calendar() -> None:
    stock, coin = make_instrument(), make_instrument("BTC", calendar="24/7")
    assert statistics_periods(MINUTE, (stock,)) == 252
    assert statistics_periods(0, (stock, coin)) == 365
    assert statistics_periods(WEEK, (coin,)) == pytest.approx(365 / 7)


def test_a_bar_that_closes_at_midnight_belongs_to_the_day_that_ends() -> None:
    ts = START + HOUR * np.array([6, 12, 24, 30, 48], dtype=np.int64)
    assert sampled_equity(ts, np.array([1.0, 2.0, 3.0, 4.0, 5.0]), HOUR).tolist() == [1.0, 3.0, 5.0]


def test_daily_bars_are_sampled_as_they_are() -> None:
    assert sampled_equity(days(3), np.array([1.0, 2.0, 3.0]), DAY).tolist() == [1.0, 2.0, 3.0]


def test_days_without_a_point_leave_no_return() -> None:
    ts = START + DAY * np.array([5, 8, 9], dtype=np.int64)  # Friday, then Monday
    assert sampled_equity(ts, np.array([1.0, 2.0, 3.0]), DAY).tolist() == [1.0, 2.0, 3.0]


def test_weekly_bars_are_not_cut_into_days() -> None:
    ts = START + WEEK * np.arange(4, dtype=np.int64)
    assert len(sampled_equity(ts, np.arange(4.0), WEEK)) == 4


def test_month_and_year_returns_chain_to_the_whole() -> None:
    ts = days(800)
    equity = make_walk(800, step=0.01)
    table = monthly_returns(ts, equity)
    whole = equity[-1] / equity[0]
    chained = np.prod([1 + r for row in table.months.values() for r in row if r is not None])
    assert chained == pytest.approx(whole)
    assert np.prod([1 + r for r in table.years.values() if r is not None]) == pytest.approx(whole)
    assert list(table.months) == [2024, 2025, 2026]
    assert table.months[2026][3:] == [None] * 9


def test_months_by_hand() -> None:
    # closes of 31 Jan (before the first change), 1 Feb and 29 Feb, 31 Mar
    ts = START + DAY * np.array([31, 32, 60, 91], dtype=np.int64)
    table = monthly_returns(ts, np.array([100.0, 110.0, 121.0, 60.5]))
    assert table.months[2024][:3] == [None, pytest.approx(0.21), pytest.approx(-0.5)]
    assert table.years == {2024: pytest.approx(-0.395)}


def test_candles_join_neighbours_without_losing_a_high_or_low() -> None:
    close = make_walk(10_007)
    open_, ts = np.concatenate((close[:1], close[:-1])), days(10_007)
    candles = candles_of("X", ts, open_, close + 1, close - 1, close, interval=DAY, most=1500)
    assert len(candles.ts) <= 1500
    assert (candles.open[0], candles.close[-1], candles.ts[-1]) == (open_[0], close[-1], ts[-1])
    assert candles.high.max() == (close + 1).max()
    assert candles.low.min() == (close - 1).min()
    assert (candles.open[1:] == candles.close[:-1]).all()
    assert candles.interval == 7 * DAY


def test_few_bars_stay_as_they_are_and_none_are_refused() -> None:
    assert candles_from_prices("X", days(3), np.array([1.0, 3.0, 2.0])).close.tolist() == [1.0, 3.0, 2.0]
    with pytest.raises(InvariantError, match="X: candles need at least one bar"):
        candles_from_prices("X", days(0), np.empty(0))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(6, 60))
@settings(max_examples=150, deadline=None)
def test_a_thinned_line_keeps_both_ends_and_both_extremes(values: list[float], most: int) -> None:
    line = np.array(values)
    picks = thin(line, most)
    assert len(picks) <= most
    assert (np.diff(picks) > 0).all()
    assert {0, len(line) - 1} <= set(picks.tolist())
    assert (line[picks].max(), line[picks].min()) == (line.max(), line.min())

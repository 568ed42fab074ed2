"""Each formula against arithmetic done by hand, and against values published elsewhere."""

from __future__ import annotations

import csv
from collections.abc import Callable
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.report.runs_for_tests import START, days
from tradebot.core.model import DAY
from tradebot.report import ratios
from tradebot.report.result import FloatArray

FOUR = np.array([0.10, -0.05, 0.02, -0.01])  # mean 0.015, sum of squared deviations 0.0121


def test_returns_are_simple_changes_from_point_to_point() -> None:
    returns = ratios.returns_of(np.array([100.0, 110.0, 99.0]))
    assert returns is not None
    assert returns == pytest.approx([0.10, -0.10])


def test_an_account_that_reached_zero_has_no_returns() -> None:
    assert ratios.returns_of(np.array([100.0, 0.0, 50.0])) is None


def test_cagr_of_a_doubling_over_two_years_is_the_square_root_of_two() -> None:
    assert ratios.cagr(100, 200, int(2 * ratios.YEAR)) == pytest.approx(sqrt(2) - 1)


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [(100, 101, 29 * DAY), (0, 5, 400 * DAY), (5, -1, 400 * DAY), (1, 1e40, 31 * DAY)],
)
def test_cagr_is_undefined_for_short_spans_and_lost_accounts(start: float, end: float, span: int) -> None:
    assert ratios.cagr(start, end, span) is None


def test_cagr_of_a_total_loss_is_minus_one() -> None:
    assert ratios.cagr(100, 0, 365 * DAY) == -1.0


def test_volatility_uses_the_sample_deviation_and_the_square_root_of_time() -> None:
    # squared deviations from 0.015: 0.007225 + 0.004225 + 0.000025 + 0.000625 = 0.0121; / 3
    assert ratios.volatility(FOUR, 252) == pytest.approx(sqrt(0.0121 / 3 * 252))


def test_sharpe_is_mean_over_sample_deviation_annualised() -> None:
    assert ratios.sharpe(FOUR, 252) == pytest.approx(0.015 / sqrt(0.0121 / 3) * sqrt(252))


def test_sharpe_takes_the_risk_free_rate_off_every_period() -> None:
    assert ratios.sharpe(FOUR, 100, risk_free=0.5) == pytest.approx((0.015 - 0.005) / sqrt(0.0121 / 3) * 10)


def test_sharpe_error_shrinks_with_the_square_root_of_the_count() -> None:
    per_period = 0.015 / sqrt(0.0121 / 3)
    assert ratios.sharpe_error(FOUR, 252) == pytest.approx(sqrt((1 + per_period**2 / 2) / 4 * 252))


def test_sortino_divides_the_downside_by_all_periods() -> None:
    # below zero: -0.05 and -0.01, squared 0.0025 + 0.0001, over four periods
    assert ratios.sortino(FOUR, 252) == pytest.approx(0.015 / sqrt(0.0026 / 4) * sqrt(252))


def test_calmar_is_growth_over_the_deepest_fall() -> None:
    assert ratios.calmar(0.12, -0.06) == pytest.approx(2.0)
    assert ratios.calmar(0.12, 0.0) is None
    assert ratios.calmar(None, -0.1) is None


def test_value_at_risk_is_the_interpolated_fifth_percentile_as_a_loss() -> None:
    returns = np.arange(-10, 11) / 100  # 21 values; the 5 % quantile is the second lowest
    assert ratios.value_at_risk(returns) == pytest.approx(0.09)
    assert ratios.conditional_value_at_risk(returns) == pytest.approx((0.10 + 0.09) / 2)


def test_tail_ratio_compares_the_two_ends() -> None:
    returns = np.concatenate((np.arange(-10, 0), np.zeros(1), np.arange(1, 11) * 3)) / 100
    assert ratios.tail_ratio(returns) == pytest.approx(3.0)


@pytest.mark.parametrize(
    "figure",
    [ratios.value_at_risk, ratios.conditional_value_at_risk, ratios.tail_ratio],
    ids=lambda f: f.__name__,
)
def test_tail_figures_need_one_return_in_the_tail(figure: Callable[[FloatArray], float | None]) -> None:
    returns = np.linspace(-0.1, 0.1, 20)
    assert figure(returns) is not None
    assert figure(returns[:19]) is None


def test_alpha_and_beta_of_a_leveraged_copy_plus_a_constant() -> None:
    benchmark = FOUR
    line = ratios.regress(2.0 * benchmark + 0.001, benchmark, 252)
    assert line is not None
    assert (line.beta, line.alpha, line.correlation) == pytest.approx((2.0, 0.252, 1.0))


def test_alpha_takes_the_risk_free_rate_off_both_sides() -> None:
    line = ratios.regress(0.5 * FOUR, FOUR, 100, risk_free=0.10)
    assert line is not None
    assert line.alpha == pytest.approx((0.0 - 0.001 + 0.5 * 0.001) * 100)


def test_nothing_regresses_on_a_benchmark_that_does_not_move() -> None:
    assert ratios.regress(FOUR, np.zeros(4), 252) is None


@pytest.mark.parametrize("count", [0, 1, 50])
def test_ratios_without_variance_are_undefined(count: int) -> None:
    constant = np.full(count, 0.001)
    assert ratios.sharpe(constant, 252) is None
    assert ratios.sharpe_error(constant, 252) is None
    assert ratios.sortino(constant, 252) is None


def test_drawdown_finds_depth_length_and_the_way_back() -> None:
    ts = days(8)
    fall = ratios.drawdown(ts, np.array([100.0, 120.0, 90.0, 96.0, 120.0, 130.0, 117.0, 125.0]))
    assert fall is not None
    assert fall.depth == pytest.approx(-0.25)
    assert fall.money == 30.0
    assert (fall.peak_ts, fall.low_ts, fall.end_ts) == (ts[1], ts[2], ts[4])
    assert (fall.length, fall.longest) == (3 * DAY, 3 * DAY)
    assert fall.underwater == pytest.approx(4 / 8)


def test_a_drawdown_that_never_ends_lasts_until_the_last_point() -> None:
    ts = days(5)
    fall = ratios.drawdown(ts, np.array([100.0, 90.0, 100.0, 80.0, 85.0]))
    assert fall is not None
    assert fall.end_ts is None
    assert (fall.peak_ts, fall.length, fall.longest) == (ts[2], 2 * DAY, 2 * DAY)


def test_the_longest_drawdown_need_not_be_the_deepest() -> None:
    fall = ratios.drawdown(days(7), np.array([100.0, 50.0, 100.0, 99.0, 99.0, 99.0, 101.0]))
    assert fall is not None
    assert (fall.length, fall.longest) == (2 * DAY, 4 * DAY)


def test_a_curve_that_only_rises_has_no_drawdown() -> None:
    fall = ratios.drawdown(days(3), np.array([1.0, 1.0, 2.0]))
    assert fall is not None
    assert (fall.depth, fall.longest, fall.underwater) == (0.0, 0, 0.0)


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(0.01, 1e6)))
@settings(max_examples=200, deadline=None)
def test_drawdown_equals_a_plain_loop(equity: FloatArray) -> None:
    ts = START + DAY * np.arange(len(equity), dtype=np.int64)
    peak, peak_at, worst, longest, under = equity[0], 0, 0.0, 0, 0
    for i, value in enumerate(equity):
        if value >= peak:
            longest = max(longest, i - peak_at if i - peak_at > 1 else 0)
            peak, peak_at = value, i
        else:
            under += 1
            longest = max(longest, i - peak_at)
        worst = min(worst, value / peak - 1)
    fall = ratios.drawdown(ts, equity)
    assert fall is not None
    assert fall.depth == pytest.approx(worst)
    assert fall.longest == longest * DAY
    assert fall.underwater == pytest.approx(under / len(equity))
    assert ratios.underwater_curve(equity).min() == pytest.approx(worst)


@given(
    arrays(np.float64, st.integers(0, 40), elements=st.floats(-0.9, 3.0)),
    st.sampled_from([1.0, 252.0, 365.0]),
)
@settings(max_examples=200, deadline=None)
def test_no_figure_is_ever_nan_or_infinite(returns: FloatArray, periods: float) -> None:
    line = ratios.regress(returns, returns[::-1], periods)
    for value in (
        ratios.volatility(returns, periods),
        ratios.sharpe(returns, periods),
        ratios.sharpe_error(returns, periods),
        ratios.sortino(returns, periods),
        ratios.value_at_risk(returns),
        ratios.conditional_value_at_risk(returns),
        ratios.tail_ratio(returns),
        None if line is None else line.alpha,
    ):
        assert value is None or np.isfinite(value)


def read_columns(path: Path, *names: str) -> list[list[float | None]]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [[float(row[name]) if row[name] else None for row in rows] for name in names]


@pytest.mark.parametrize(
    ("column", "target"), [("sortino_rf_0_period_15", 0.0), ("sortino_rf_0.01_period_15", 0.01)]
)
def test_sortino_equals_published_rolling_values(shared_data: Path, column: str, target: float) -> None:
    closes, expected = read_columns(shared_data / "indicators" / "spy_sortino.csv", "close", column)
    returns = ratios.returns_of(np.array(closes, dtype=np.float64))
    assert returns is not None
    checked = 0
    for i, value in enumerate(expected):
        if value is not None:
            assert ratios.sortino(returns[i - 15 : i], 1.0, target=target) == pytest.approx(value, abs=1e-9)
            checked += 1
    assert checked > 50


def test_sharpe_equals_published_rolling_values(shared_data: Path) -> None:
    # The published ratio divides by the population deviation (n), ours by the sample's (n - 1).
    closes, expected = read_columns(shared_data / "indicators" / "spy_sr.csv", "close", "SR_10")
    returns = ratios.returns_of(np.array(closes, dtype=np.float64))
    assert returns is not None
    for i in range(10, len(closes)):
        ours = ratios.sharpe(returns[i - 10 : i], 1.0)
        theirs = expected[i]
        assert ours is not None and theirs is not None
        assert ours * sqrt(10 / 9) == pytest.approx(theirs, abs=1e-4)

"""A whole run is measured as its parts say."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from tests.report.runs_for_tests import START, days, make_fill, make_result, make_walk, make_year
from tradebot.core.model import HOUR, MINUTE, Side
from tradebot.errors import InvariantError
from tradebot.report.metrics import MIN_TRADES, measure, measure_trades
from tradebot.report.roundtrips import round_trips

BUY, SELL = Side.BUY, Side.SELL


def trades_of(*moves: str) -> tuple:  # type: ignore[type-arg]
    """Round trips of one unit bought at 100 and sold so that each makes the given P&L."""
    fills = []
    for n, move in enumerate(moves):
        fills.append(make_fill(BUY, "1", "100", n=2 * n))
        fills.append(make_fill(SELL, "1", str(100 + Decimal(move)), n=2 * n + 1))
    return round_trips(fills)


def test_trades_are_judged_by_hand_arithmetic() -> None:
    found = measure_trades(trades_of("10", "-4", "-6", "0", "20"))
    assert (found.closed, found.won, found.lost, found.open) == (5, 2, 2, 0)
    assert found.win_rate == 0.4
    assert found.profit_factor == 3.0
    assert found.expectancy == Decimal("4")
    assert (found.average_win, found.average_loss, found.payoff) == (Decimal("15"), Decimal("-5"), 3.0)
    assert (found.best, found.worst, found.losing_streak) == (Decimal("20"), Decimal("-6"), 2)


def test_a_mean_that_does_not_end_is_cut_at_the_quantum() -> None:
    assert measure_trades(trades_of("1", "0", "0")).expectancy == Decimal("0.33333333")


def test_without_a_loss_the_profit_factor_is_undefined() -> None:
    found = measure_trades(trades_of("1", "2"))
    assert (found.profit_factor, found.payoff, found.average_loss) == (None, None, None)


def test_without_trades_nothing_is_defined() -> None:
    found = measure_trades(())
    assert (found.closed, found.win_rate, found.expectancy, found.best, found.losing_streak) == (
        0,
        None,
        None,
        None,
        0,
    )


def test_a_win_rate_says_how_far_chance_alone_reaches() -> None:
    assert measure_trades(trades_of(*["1"] * 25)).win_rate_error == pytest.approx(0.196)


def test_turnover_counts_a_full_round_trip_of_the_equity_as_one() -> None:
    fills = (make_fill(BUY, "10", "100"), make_fill(SELL, "10", "100", n=1))
    found = measure(make_result([1000.0] * 100, fills=fills))
    assert found.turnover == pytest.approx(1.0)
    assert found.turnover_per_year == pytest.approx(365.25 / 99)


def test_time_in_market_and_exposure_read_the_exposure_curve() -> None:
    found = measure(make_result([1.0, 1.0, 1.0, 1.0], exposure=np.array([0.0, 0.5, 1.5, 0.0])))
    assert (found.time_in_market, found.exposure) == (0.5, 0.5)


def test_the_benchmark_is_measured_like_the_strategy() -> None:
    market = make_walk(300, step=0.01)
    found = measure(make_result(1000 + 0.5 * (market / market[0] - 1) * 1000, benchmark_equity=market))
    alone = measure(make_result(market))
    assert found.benchmark == alone.curve
    assert found.beta is not None and 0.4 < found.beta < 0.6
    assert found.correlation == pytest.approx(1.0, abs=0.01)


def test_intraday_equity_is_judged_by_its_daily_closes() -> None:
    closes = make_walk(60, step=0.01)
    hours = np.repeat(closes, 24)
    noisy = hours.copy()
    noisy[np.arange(len(hours)) % 24 == 11] *= 0.99  # a dip each noon that no daily close sees
    ts = START + HOUR * np.arange(1, len(hours) + 1, dtype=np.int64)
    daily = measure(make_result(closes), periods_per_year=365)
    hourly = measure(make_result(noisy, ts, interval=HOUR), periods_per_year=365)
    assert hourly.curve.sharpe == pytest.approx(daily.curve.sharpe, rel=0.02)  # one more first day
    assert hourly.curve.drawdown is not None and daily.curve.drawdown is not None
    assert hourly.curve.drawdown.depth < daily.curve.drawdown.depth  # but the dips are real drawdowns


def test_a_lost_account_has_a_return_and_no_ratios() -> None:
    found = measure(make_result([100.0] * 30 + [0.0] * 30))
    assert found.curve.total_return == -1.0
    assert found.curve.cagr == -1.0
    assert (found.curve.sharpe, found.curve.var_95, found.curve.best) == (None, None, None)
    assert found.curve.drawdown is not None and found.curve.drawdown.depth == -1.0


def test_ratios_of_daily_bars_use_one_return_less_than_points() -> None:
    assert measure(make_result(make_walk(40))).curve.days == 39


def test_a_single_point_is_measured_without_complaint() -> None:
    found = measure(make_result([100.0]))
    assert found.curve.total_return == 0.0
    assert (found.curve.days, found.curve.sharpe, found.turnover) == (0, None, 0.0)


def test_trades_under_the_threshold_are_too_few() -> None:
    found = measure(make_result([1.0, 1.0], trades=trades_of(*["1"] * (MIN_TRADES - 1))))
    assert found.too_few_trades
    assert not replace(found, trades=measure_trades(trades_of(*["1"] * MIN_TRADES))).too_few_trades


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exposure": np.zeros(2)}, "exposure must have one value per equity_ts"),
        ({"equity": np.array([1.0, np.nan, 1.0])}, "equity must be finite"),
        ({"equity_ts": days(3)[::-1]}, "equity_ts must be strictly increasing"),
    ],
)
def test_curves_that_cannot_be_true_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvariantError, match=message):
        replace(make_result([1.0, 1.0, 1.0]), **change)


def test_a_year_of_minutes_costs_little() -> None:
    result = make_year(every=6000)
    measure(result)  # warm
    best = min(_timed(result) for _ in range(5))
    assert len(result.equity) == 525_600 and result.interval == MINUTE
    assert best < 0.1, f"{best * 1000:.1f} ms"  # 30 ms on a quiet machine; three times that before it fails


def _timed(result: object) -> float:
    begin = time.process_time()
    measure(result)  # type: ignore[arg-type]
    return time.process_time() - begin

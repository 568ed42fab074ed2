"""MovingAverageCrossover against averages in whole numbers, where a tie is a tie."""

from __future__ import annotations

from fractions import Fraction
from math import isnan
from typing import cast

import pytest

from tests.plugins.fakes import SHIPPED, bars_of, shipped, walk
from tradebot.core.strategy import BarStrategy
from tradebot.plugins.frame import FrameStrategy
from tradebot.plugins.loader import load_strategy
from tradebot.plugins.params import build_params
from tradebot.plugins.runner import FrameRunner, as_columns

REFERENCE = "ma_crossover.py:MovingAverageCrossover"


def crossover(**params: object) -> FrameStrategy:
    return cast(FrameStrategy, shipped(REFERENCE, **params))


def targets(strategy: FrameStrategy, cents: list[int]) -> list[float | None]:
    plain = FrameRunner(strategy, "X").precompute(as_columns(bars_of(cents))).plain()
    return [plain.target_at(i) for i in range(len(plain))]


def simple(cents: list[int], i: int, window: int) -> Fraction:
    return Fraction(sum(cents[i - window + 1 : i + 1]), window)


def exponential(cents: list[int], i: int, window: int) -> Fraction:
    value, alpha = Fraction(cents[0]), Fraction(2, window + 1)
    for x in cents[1 : i + 1]:
        value += alpha * (x - value)
    return value


def wanted(fast: Fraction, slow: Fraction, short: float) -> float | None:
    if abs(fast - slow) * 10**9 <= max(fast, slow):
        return None
    return 1.0 if fast > slow else short


@pytest.mark.parametrize(("fast", "slow"), [(2, 5), (5, 20), (50, 200)])
@pytest.mark.parametrize("mode", ["long_only", "long_short"])
def test_simple_averages_decide_as_whole_numbers_do(fast: int, slow: int, mode: str) -> None:
    cents = walk(fast, 1_200)
    found = targets(crossover(fast=fast, slow=slow, mode=mode), cents)
    short = 0.0 if mode == "long_only" else -1.0
    expected = [
        wanted(simple(cents, i, fast), simple(cents, i, slow), short) for i in range(slow - 1, len(cents))
    ]
    assert found[: slow - 1] == [None] * (slow - 1)
    assert found[slow - 1 :] == expected
    assert {1.0, short} <= set(expected)
    assert slow == 200 or None in expected, "the walk must hold ties"


def test_exponential_averages_decide_as_fractions_do() -> None:
    cents = walk(7, 400)
    strategy = crossover(fast=3, slow=7, kind="ema", mode="long_short")
    found = targets(strategy, cents)
    first = strategy.lookback - 1
    expected = [
        wanted(exponential(cents, i, 3), exponential(cents, i, 7), -1.0) for i in range(first, len(cents))
    ]
    assert found == [None] * first + expected


@pytest.mark.parametrize("kind", ["sma", "ema"])
@pytest.mark.parametrize("seed", range(2))
def test_the_window_decides_as_the_full_pass(kind: str, seed: int) -> None:
    strategy = crossover(fast=5, slow=20, kind=kind, mode="long_short")
    runner, bars = FrameRunner(strategy, "X"), as_columns(bars_of(walk(seed, strategy.lookback + 120)))
    plain = runner.precompute(bars).plain()
    for i in range(strategy.lookback - 2, len(plain)):
        row = runner.row_at(i, bars)
        assert (None if isnan(row.target) else row.target) == plain.target_at(i)
        if i >= strategy.lookback - 1:
            assert dict(row.explained) == pytest.approx(
                {name: float(values[i]) for name, values in plain.explained.items()}, rel=1e-9
            )


def test_equal_averages_keep_and_both_averages_are_explained() -> None:
    runner = FrameRunner(crossover(fast=1, slow=2), "X")
    plain = runner.precompute(as_columns(bars_of([100, 102, 102, 101]))).plain()
    assert [plain.target_at(i) for i in range(4)] == [None, 1.0, None, 0.0]
    assert plain.explained_at(1) == (("fast", 1.02), ("slow", 1.01))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"fast": 30, "slow": 20}, ("fast", "must be < slow (20), was 30")),
        ({"fast": 0}, ("fast", "must be >= 1 bar, was 0")),
        ({"mode": "both"}, ("mode", "must be one of long_only, long_short, was the text 'both'")),
    ],
)
def test_impossible_parameters_are_refused(values: dict[str, object], problem: tuple[str, str]) -> None:
    loaded = load_strategy(REFERENCE, [SHIPPED])
    assert not issubclass(loaded.cls, BarStrategy)
    assert build_params(loaded.cls, values)[1] == (problem,)

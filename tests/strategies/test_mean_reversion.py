"""MeanReversion against a plain machine that remembers its position and counts in fractions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import isnan
from typing import cast

import pytest

from tests.plugins.fakes import SHIPPED, bars_of, shipped, walk
from tradebot.plugins.frame import FrameStrategy
from tradebot.plugins.loader import load_strategy
from tradebot.plugins.params import build_params
from tradebot.plugins.runner import FrameRunner, as_columns

REFERENCE = "mean_reversion.py:MeanReversion"


def reversion(**params: object) -> FrameStrategy:
    return cast(FrameStrategy, shipped(REFERENCE, **params))


def targets(strategy: FrameStrategy, cents: Sequence[int]) -> list[float | None]:
    plain = FrameRunner(strategy, "X").precompute(as_columns(bars_of(cents))).plain()
    return [plain.target_at(i) for i in range(len(plain))]


def carried(found: Sequence[float | None]) -> list[float]:
    """What is held when None keeps, as the engine does it; nothing before the first target."""
    held, out = 0.0, []
    for target in found:
        held = held if target is None else target
        out.append(held)
    return out


def deviations(cents: Sequence[int], i: int, window: int, levels: Sequence[Fraction]) -> list[int]:
    """For each level k: -1 when the close is more than k deviations below its mean, +1 above, else 0."""
    last = cents[i - window + 1 : i + 1]
    away = window * last[-1] - sum(last)
    spread = window * sum(x * x for x in last) - sum(last) ** 2
    return [(1 if away > 0 else -1) if away * away > k * k * spread else 0 for k in levels]


def strengths(cents: Sequence[int], window: int, levels: Sequence[Fraction]) -> list[list[int]]:
    """The same per bar for the distance of the RSI from 50 in points."""
    up = down = Fraction(0)
    sides = [[0] * len(levels)]
    for before, x in pairwise(cents):
        up += (max(x - before, 0) - up) / window
        down += (max(before - x, 0) - down) / window
        rsi = 100 * up / (up + down) if up + down else Fraction(50)
        # The strategy may not tell levels apart that are equal but for rounding.
        sides.append(
            [0 if abs(rsi - 50) <= k * (1 + Fraction(1, 10**12)) else 1 if rsi > 50 else -1 for k in levels]
        )
    return sides


def machine(sides: Sequence[Sequence[int]], short: float) -> list[float]:
    """Hold by the rule as it is told: enter beyond the outer level, leave when back inside the inner."""
    held, out = 0, []
    for outer, inner in sides:
        if held and inner != -held:
            held = 0
        if outer:
            held = -outer
        out.append(short if held < 0 else float(held))
        # A long-only book that should be short is flat, and so has nothing to leave.
        held = 0 if held < 0 and short == 0.0 else held
    return out


@pytest.mark.parametrize("mode", ["long_only", "long_short"])
@pytest.mark.parametrize("kind", ["bollinger", "zscore"])
@pytest.mark.parametrize(("enter", "leave"), [(2, Fraction(1, 2)), (1, 0), (Fraction(3, 2), 1)])
def test_deviations_decide_as_whole_numbers_do(
    mode: str, kind: str, enter: Fraction, leave: Fraction
) -> None:
    cents, window = walk(11, 900, step=9), 8
    strategy = reversion(kind=kind, window=window, enter=float(enter), leave=float(leave), mode=mode)
    levels = [Fraction(enter), Fraction(leave)]
    short = 0.0 if mode == "long_only" else -1.0
    first = strategy.lookback - 1
    sides = [deviations(cents, i, window, levels) for i in range(first, len(cents))]
    expected = machine(sides, short)
    found = targets(strategy, cents)
    assert carried(found)[first:] == expected
    assert {0.0, 1.0, short} == set(expected)
    assert None in found[first:], "between the levels nothing is said"


@pytest.mark.parametrize("mode", ["long_only", "long_short"])
def test_relative_strength_decides_as_fractions_do(mode: str) -> None:
    cents, window = walk(5, 500, step=9), 4
    strategy = reversion(kind="rsi", window=window, mode=mode)
    short = 0.0 if mode == "long_only" else -1.0
    first = strategy.lookback - 1
    sides = strengths(cents, window, [Fraction(20), Fraction(5)])[first:]
    expected = machine(sides, short)
    found = targets(strategy, cents)
    assert carried(found)[first:] == expected
    assert {0.0, 1.0, short} == set(expected)


@pytest.mark.parametrize("kind", ["bollinger", "zscore", "rsi"])
@pytest.mark.parametrize("seed", range(2))
def test_the_window_decides_as_the_full_pass(kind: str, seed: int) -> None:
    strategy = reversion(kind=kind, window=5, mode="long_short")
    runner, bars = (
        FrameRunner(strategy, "X"),
        as_columns(bars_of(walk(seed, strategy.lookback + 150, step=9))),
    )
    plain = runner.precompute(bars).plain()
    for i in range(strategy.lookback - 2, len(plain)):
        row = runner.row_at(i, bars)
        assert (None if isnan(row.target) else row.target) == plain.target_at(i)


def test_a_jump_over_the_mean_past_the_leave_level_ends_the_position() -> None:
    # Falls, then wakes up above the mean by more than half a deviation but less than two.
    cents = [1000, 1001, 1000, 1001, 1000, 1001, 900, 1020]
    found = targets(reversion(window=6, mode="long_short"), cents)
    assert found[-2:] == [1.0, 0.0]
    assert deviations(cents, 7, 6, [Fraction(2), Fraction(1, 2)]) == [0, 1]


@pytest.mark.parametrize("kind", ["bollinger", "zscore", "rsi"])
def test_a_price_that_stands_still_is_flat_whatever_the_rounding(kind: str) -> None:
    cents = walk(3, 200, step=9) + [1037] * 200
    found = targets(reversion(kind=kind, window=5, mode="long_short"), cents)
    if kind == "rsi":
        # Its last value before the standstill lasts, so nothing new is said.
        assert len(set(carried(found)[-195:])) == 1
    else:
        assert found[-195:] == [0.0] * 195


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"window": 1}, ("window", "must be >= 2 bars, was 1")),
        ({"enter": 1, "leave": 1.5}, ("leave", "must be >= 0 and < enter (1), was 1.5")),
        ({"leave": -0.5}, ("leave", "must be >= 0 and < enter (2), was -0.5")),
        ({"kind": "rsi", "enter": 70}, ("enter", "must be < 50 points of RSI, was 70")),
    ],
)
def test_impossible_parameters_are_refused(values: dict[str, object], problem: tuple[str, str]) -> None:
    assert build_params(load_strategy(REFERENCE, [SHIPPED]).cls, values)[1] == (problem,)

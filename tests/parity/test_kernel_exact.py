"""The kernel trades prices in cents as exact integers say, through a strategy file and by itself."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import cast

import numpy as np
import pytest

from benchmarks import work
from benchmarks.engine import series_of
from benchmarks.kernel import plan_of
from benchmarks.market import Columns, market
from tests.conftest import SEED
from tests.parity.test_exact_cross import exact
from tests.plugins.fakes import shipped
from tradebot.data.arrays import BarArrays
from tradebot.errors import InvariantError
from tradebot.plugins.frame import FrameStrategy
from tradebot.plugins.runner import FrameRunner
from tradebot.sim.kernel.plan import Refusal
from tradebot.sim.kernel.rows import crossover
from tradebot.sim.kernel.run import KernelRun, Prepared, prepare, run


def prepared(columns: Columns) -> tuple[BarArrays, Prepared]:
    arrays = series_of(columns).columns
    assert isinstance(arrays, BarArrays)
    bars = prepare(arrays)
    assert isinstance(bars, Prepared)
    return arrays, bars


def ran(bars: Prepared, targets: np.ndarray) -> KernelRun:
    found = run(plan_of(), bars, targets)
    assert isinstance(found, KernelRun)
    return found


@pytest.mark.parametrize("fast, slow", [(50, 200), (5, 20), (2, 3)])
def test_fills_and_cash_equal_integer_arithmetic_on_prices_with_ties(fast: int, slow: int) -> None:
    columns = market(12_000, seed=SEED % 2**32 + 1)
    _, fills, cash = exact(columns, fast, slow)
    arrays, bars = prepared(columns)
    strategy = cast(FrameStrategy, shipped("ma_crossover.py:MovingAverageCrossover", fast=fast, slow=slow))
    by_file = FrameRunner(strategy, arrays.instrument).precompute(arrays).targets

    for targets in (by_file, crossover(arrays.close, fast, slow)):
        found = ran(bars, targets)
        assert [(x.bar, int(x.fill.qty_signed)) for x in found.fills] == fills
        assert Fraction(found.cash) == cash


def test_the_year_of_the_benchmark_ends_on_the_exact_cent() -> None:
    arrays, bars = prepared(market())

    found = ran(bars, crossover(arrays.close, work.FAST, work.SLOW))

    closed = sum(1 for x in found.fills if x.fill.qty_signed < 0)
    last = Decimal(str(arrays.close[-1]))
    assert (closed, found.cash + found.position * last) == (1699, Decimal("96377.8042"))
    assert found.equity[-1] == pytest.approx(96377.8042, abs=1e-9)
    depth = 1.0 - found.equity / np.maximum.accumulate(found.equity)
    assert found.max_drawdown == pytest.approx(depth.max(), rel=1e-12)


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "column, row, value, reason",
    [
        ("low", 3, float("nan"), "a bar cannot be true"),
        ("close", 9, 0.0, "a bar cannot be true"),
        ("volume", 0, -1.0, "a bar cannot be true"),
        ("ts", 5, 0, "time stamps must rise"),
    ],
)
def test_bars_that_cannot_be_true_are_the_engines(column: str, row: int, value: float, reason: str) -> None:
    arrays, _ = prepared(market(10))
    columns = {name: values.copy() for name, values in arrays.columns().items()}
    columns[column][row] = value

    found = prepare(BarArrays(instrument="X", interval=1, **columns))

    assert isinstance(found, Refusal) and found.reason.startswith(reason)


def test_more_or_fewer_targets_than_bars_are_an_error() -> None:
    _, bars = prepared(market(10))

    with pytest.raises(InvariantError, match=r"targets must be 10 numbers, were \(9,\)"):
        run(plan_of(), bars, np.zeros(9))


def test_a_log_that_was_too_short_is_grown() -> None:
    arrays, bars = prepared(market(30_000))
    targets = np.arange(len(arrays), dtype=np.float64) % 2.0

    assert len(ran(bars, targets)) == len(arrays) - 2

"""The kernel's arithmetic is that of `core.quantize` and `core.indicators`, to the last bit."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.core.indicators import Sma, above, below
from tradebot.core.model import Side
from tradebot.core.quantize import price_for, price_nearest, qty_for, stop_price_for
from tradebot.errors import InvariantError, PluginError
from tradebot.sim.kernel import grid
from tradebot.sim.kernel.rows import crossover, sma

STEPS = st.tuples(st.sampled_from([1, 2, 3, 5, 7, 25]), st.integers(0, 8))


@numba.njit
def compiled(value: float, scale: float, step: int, mode: int) -> int:
    return grid.to_grid(value, scale, step, mode)


@numba.njit(error_model="numpy")
def shares(value: int, num: int, den: int, power: float) -> tuple[int, float]:
    return grid.scale_half_even(value, num, den), grid.ratio(value, power)


@numba.njit(error_model="numpy")
def product_and_sum(a: float, b: float, c: float) -> float:
    return a * b + c


def near_grid(draw: st.DrawFn, step: Decimal) -> float:
    """Return a float on a grid point, halfway between two, a hair beside one, or anywhere."""
    n = draw(st.integers(1, 10**11))
    halves = draw(st.sampled_from([Decimal(0), Decimal("0.5")]))
    exact = float((n + halves) * step)
    hair = draw(st.floats(-3e-6, 3e-6)) / n
    return draw(st.sampled_from([exact, exact * (1.0 + hair), np.nextafter(exact, 0.0), exact * 0.7310585]))


@given(st.data())
def test_floats_go_to_the_grid_as_in_decimal(data: st.DataObject) -> None:
    mantissa, digits = data.draw(STEPS)
    step = Decimal(mantissa).scaleb(-digits)
    value = near_grid(data.draw, step)
    scale = 10.0**digits

    found = [compiled(value, scale, mantissa, mode) for mode in range(4)]

    expected = (
        price_nearest(value, step),
        price_for(Side.BUY, value, step),
        stop_price_for(Side.BUY, value, step),
        qty_for(value, step),
    )
    assert [n * step for n in found] == list(expected)
    assert compiled(-value, scale, mantissa, grid.TOWARD_ZERO) * step == qty_for(-value, step)


def test_a_number_beyond_the_exact_range_is_said_to_be_so() -> None:
    assert compiled(1e12, 1e6, 1, grid.NEAREST) == grid.OUT_OF_RANGE
    assert compiled(float("nan"), 1.0, 1, grid.NEAREST) == grid.OUT_OF_RANGE
    assert shares(2**60, 1000, 3, 1.0)[0] == grid.OUT_OF_RANGE


@given(st.integers(0, 2**52), st.integers(-3000, 3000), st.integers(1, 10**6), st.integers(0, 20))
def test_shares_round_once_half_to_even_and_ratios_are_the_nearest_float(
    value: int, num: int, den: int, digits: int
) -> None:
    share, ratio = shares(value, num, den, 10.0**digits)

    exact = Fraction(value * num, den)
    if abs(exact) < 2**53 - 1:
        whole = (Decimal(value * num) / Decimal(den)).to_integral_value(ROUND_HALF_EVEN)
        assert share == (round(exact) if 2 * exact == int(2 * exact) else whole)
    assert ratio == float(Fraction(value, 10**digits))


@given(st.floats(1.0, 2.0), st.floats(1.0, 2.0))
def test_nothing_is_contracted_to_a_fused_multiply_add(a: float, b: float) -> None:
    # A fused operation would return what rounding took off the product.
    assert product_and_sum(a, b, -(a * b)) == 0.0


@given(
    st.lists(st.integers(90_00, 110_00), max_size=120),
    st.integers(1, 9),
    st.integers(1, 12),
    st.booleans(),
)
def test_rows_equal_the_indicators_bit_for_bit(
    cents: list[int], fast: int, more: int, long_short: bool
) -> None:
    close = np.array(cents, dtype=np.float64) / 100
    slow = fast + more
    short, long = Sma(fast), Sma(slow)
    pairs = [(short.push(x), long.push(x)) for x in close.tolist()]
    low = -1.0 if long_short else 0.0

    said = [None if b is None else 1.0 if above(a, b) else low if below(a, b) else None for a, b in pairs]  # type: ignore[arg-type]

    assert [None if x != x else x for x in sma(close, fast).tolist()] == [a for a, _ in pairs]
    assert [None if x != x else x for x in crossover(close, fast, slow, long_short=long_short)] == said


def test_windows_that_make_no_sense_are_refused() -> None:
    with pytest.raises(PluginError, match="window must be a whole number of bars >= 1, was 0"):
        sma(np.ones(3), 0)
    with pytest.raises(InvariantError, match="1 <= fast < slow must hold, was fast 5, slow 5"):
        crossover(np.ones(9), 5, 5)

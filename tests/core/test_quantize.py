"""The one border from float to Decimal: which way each value rounds, and what counts as on the grid."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.world import D
from tradebot.core import quantize as q
from tradebot.core.model import Side
from tradebot.errors import InvariantError

CENT = D("0.01")
STEPS = st.sampled_from([D("0.01"), D("0.05"), D("0.25"), D(1), D("1e-8"), D("0.001")])
PRICES = st.floats(min_value=1e-3, max_value=1e7)


@pytest.mark.parametrize(
    ("function", "side", "price", "wanted"),
    [
        (q.price_for, Side.BUY, 10.019, "10.01"),
        (q.price_for, Side.SELL, 10.011, "10.02"),
        (q.stop_price_for, Side.BUY, 10.011, "10.02"),
        (q.stop_price_for, Side.SELL, 10.019, "10.01"),
        (q.price_worse_for, Side.BUY, 10.011, "10.02"),
        (q.price_worse_for, Side.SELL, 10.019, "10.01"),
    ],
)
def test_each_price_rounds_to_its_own_side(function: object, side: Side, price: float, wanted: str) -> None:
    assert function(side, price, CENT) == D(wanted)  # type: ignore[operator]


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("function", [q.price_for, q.stop_price_for, q.price_worse_for])
@given(steps=st.integers(1, 10**6), step=STEPS)
def test_a_float_next_to_a_grid_point_is_that_point(
    function: object, side: Side, steps: int, step: Decimal
) -> None:
    point = steps * step
    assert function(side, float(point), step) == point  # type: ignore[operator]
    assert function(side, float(point) + float(step) * 4e-7, step) == point  # type: ignore[operator]


@given(price=PRICES, step=STEPS)
def test_a_limit_is_never_more_aggressive_than_asked(price: float, step: Decimal) -> None:
    slack = step * D("1e-6")
    exact = Decimal(price)
    buy, sell = q.price_for(Side.BUY, price, step), q.price_for(Side.SELL, price, step)
    assert exact - step < buy <= exact + slack
    assert exact - slack <= sell < exact + step
    assert not buy % step and not sell % step


@given(qty=st.floats(min_value=-1e7, max_value=1e7), step=STEPS)
def test_a_quantity_rounds_toward_zero_and_keeps_its_sign(qty: float, step: Decimal) -> None:
    found = q.qty_for(qty, step)
    assert abs(found) <= abs(Decimal(qty)) + step * D("1e-6")
    assert abs(Decimal(qty)) - abs(found) < step
    assert found == 0 or (found > 0) == (qty > 0)
    assert not found % step


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_has_no_place_on_a_grid(value: float) -> None:
    for call in (lambda: q.qty_for(value, CENT), lambda: q.price_nearest(value, CENT)):
        with pytest.raises(InvariantError, match="only finite numbers can be put on a grid"):
            call()


@pytest.mark.parametrize(
    ("amount", "wanted"),
    [("0.000000005", "0"), ("0.000000015", "0.00000002"), ("-0.000000025", "-0.00000002")],
)
def test_money_rounds_once_half_to_even(amount: str, wanted: str) -> None:
    assert q.money(D(amount), D("1e-8")) == D(wanted)


def test_nearest_rounds_half_to_even() -> None:
    assert [q.price_nearest(x, D(1)) for x in (0.5, 1.5, 2.5)] == [D(0), D(2), D(2)]


@given(qty=st.decimals(min_value=-(10**6), max_value=10**6, places=8), step=STEPS)
def test_a_decimal_quantity_rounds_down_like_a_float_one(qty: Decimal, step: Decimal) -> None:
    found = q.qty_down(qty, step)
    assert abs(found) <= abs(qty) and abs(qty) - abs(found) < step
    assert q.on_grid(found, step)

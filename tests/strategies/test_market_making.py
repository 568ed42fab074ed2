"""MarketMaking: exact quotes for round numbers, and what must hold for any market and inventory."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plugins.fakes import SHIPPED, START, FakeContext, shipped
from tradebot.core.model import Book, Level, Quote
from tradebot.core.strategy import Quotes, QuoteStrategy
from tradebot.plugins.loader import load_strategy
from tradebot.plugins.params import build_params

REFERENCE = "market_making.py:MarketMaking"


def quoted(held: float, bid: float, ask: float, **params: object) -> Quotes:
    strategy = cast(QuoteStrategy, shipped(REFERENCE, **params))
    found = strategy.on_quote(FakeContext(positions={"X": held}), Quote("X", START, bid, 1.0, ask, 1.0))
    assert found is not None
    return found


# 100 bps of a mid of 1000 are 10; half is 5. Full inventory (4) moves both by skew half spreads.
CASES = {
    "flat": (0.0, {}, [(995.0, 1.0)], [(1005.0, 1.0)]),
    "half long": (2.0, {}, [(992.5, 1.0)], [(1002.5, 1.0)]),
    "half short": (-2.0, {}, [(997.5, 1.0)], [(1007.5, 1.0)]),
    "twice the skew": (2.0, {"skew": 2}, [(990.0, 1.0)], [(1000.0, 1.0)]),
    "no skew": (2.0, {"skew": 0}, [(995.0, 1.0)], [(1005.0, 1.0)]),
    "nearly full": (3.5, {"skew": 0}, [(995.0, 0.5)], [(1005.0, 1.0)]),
    "full long": (4.0, {}, [], [(1000.0, 1.0)]),
    "full short": (-4.0, {}, [(1000.0, 1.0)], []),
    "beyond full": (6.0, {}, [], [(1000.0, 1.0)]),
    "in price": (0.0, {"unit": "price", "spread": 3}, [(998.5, 1.0)], [(1001.5, 1.0)]),
    "would cross": (4.0, {"skew": 5}, [], [(1001.0, 1.0)]),
    "would cross short": (-4.0, {"skew": 5}, [(999.0, 1.0)], []),
}


@pytest.mark.parametrize(("held", "params", "bids", "asks"), CASES.values(), ids=CASES)
def test_quotes_for_round_numbers(
    held: float, params: dict[str, object], bids: list[Level], asks: list[Level]
) -> None:
    found = quoted(held, 999.0, 1001.0, **{"spread": 0.01, "max_position": 4, **params})
    assert list(found.bids) == bids
    assert list(found.asks) == asks
    assert (found.instrument, found.reason) == ("X", f"mid 1000, holding {held:g}")


@given(
    held=st.floats(-20, 20),
    bid=st.floats(1, 1e5),
    width=st.floats(1e-4, 0.2),
    spread=st.floats(1e-5, 0.1),
    skew=st.floats(0, 10),
    qty=st.floats(0.01, 10),
    limit=st.floats(0.01, 10),
)
def test_no_quote_trades_at_once_and_no_fill_goes_beyond_the_inventory(
    held: float, bid: float, width: float, spread: float, skew: float, qty: float, limit: float
) -> None:
    ask = bid * (1 + width)
    found = quoted(held, bid, ask, spread=spread, skew=skew, qty=qty, max_position=limit)
    assert all(0 < level.price < ask and 0 < level.qty <= qty for level in found.bids)
    assert all(level.price > bid and 0 < level.qty <= qty for level in found.asks)
    assert all(held + level.qty <= limit * (1 + 1e-12) for level in found.bids)
    assert all(held - level.qty >= -limit * (1 + 1e-12) for level in found.asks)
    assert found.bids or found.asks


def test_a_book_is_quoted_by_its_best_levels_and_an_empty_side_not_at_all() -> None:
    strategy = cast(QuoteStrategy, shipped(REFERENCE, spread=0.01, tolerance_ticks=2))
    bids, asks = (Level(999.0, 1.0), Level(998.0, 5.0)), (Level(1001.0, 2.0),)
    found = strategy.on_book(FakeContext(), Book("X", START, bids, asks))
    assert found is not None
    assert (found.bids, found.asks, found.tolerance_ticks) == (((995.0, 1.0),), ((1005.0, 1.0),), 2)
    assert strategy.on_book(FakeContext(), Book("X", START, bids, ())) == Quotes(
        "X", reason="a side of the market is empty"
    )


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"spread": 0}, ("spread", "must be > 0, was 0")),
        ({"spread": 10}, ("spread", "must be < 2 (200%), or the bid is below 0, was 10")),
        ({"qty": -1}, ("qty", "must be > 0, was -1")),
        ({"max_position": 0}, ("max_position", "must be > 0, was 0")),
        ({"skew": -1}, ("skew", "must be >= 0, was -1")),
        ({"tolerance_ticks": -1}, ("tolerance_ticks", "must be >= 0, was -1")),
    ],
)
def test_impossible_parameters_are_refused(values: dict[str, object], problem: tuple[str, str]) -> None:
    assert build_params(load_strategy(REFERENCE, [SHIPPED]).cls, values)[1] == (problem,)

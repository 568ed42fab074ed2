"""On prices in whole cents, crossing averages trade as exact integers say, ties included."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from benchmarks import work
from benchmarks.cross import Cross
from benchmarks.engine import NAME, play, series_of
from benchmarks.market import Columns, market
from tests.conftest import SEED
from tradebot.report.roundtrips import round_trips

BARS = 12_000


def cents(values: np.ndarray) -> list[int]:
    return np.rint(values * 100).astype(np.int64).tolist()


def signs(close: list[int], fast: int, slow: int) -> list[int]:
    """Return the sign of fast minus slow average after each bar; 0 for a tie and before both exist."""
    found = [0] * (slow - 1)
    for end in range(slow, len(close) + 1):
        short, long = sum(close[end - fast : end]), sum(close[end - slow : end])
        found.append((slow * short > fast * long) - (slow * short < fast * long))
    return found


def exact(columns: Columns, fast: int, slow: int) -> tuple[int, list[tuple[int, int]], Fraction]:
    """Return the number of ties, (bar, signed quantity) of every fill, and the cash at the end."""
    opens, close = cents(columns["open"]), cents(columns["close"])
    sign = signs(close, fast, slow)
    held, cash, fills = 0, Fraction(work.CASH), []
    for bar, now in enumerate(sign[:-1]):
        wanted = work.SIZE if now > 0 else 0 if now < 0 else held
        if wanted != held:
            value = Fraction(opens[bar + 1], 100) * (wanted - held)
            cash -= value + abs(value) / 1000
            fills.append((bar + 1, wanted - held))
            held = wanted
    return sign[slow - 1 :].count(0), fills, cash


@pytest.mark.parametrize("fast, slow", [(50, 200), (5, 20), (2, 3)])
def test_trades_and_cash_equal_integer_arithmetic_on_prices_with_ties(fast: int, slow: int) -> None:
    columns = market(BARS, seed=SEED % 2**32)
    ties, fills, cash = exact(columns, fast, slow)
    series = series_of(columns)

    engine, collector = play(series, Cross.Params(fast=fast, slow=slow))

    bar_of = {ts: i for i, ts in enumerate(series.columns.ts.tolist())}
    assert [(bar_of[x.ts], int(x.qty) * x.side.sign) for x in collector.fills] == fills
    assert Fraction(engine.ledger.subs["cross"].cash["USD"]) == cash
    assert len(round_trips(tuple(collector.fills))) == (len(fills) + 1) // 2
    assert ties or fast == 50, "the market must hold ties, or nothing is shown"


@pytest.mark.prove
def test_the_year_of_the_benchmark_ends_on_the_exact_cent() -> None:
    # 42 exact ties; summing in another order moves one or two of 1,699 trades.
    series = series_of(market())

    engine, collector = play(series, Cross.Params(fast=work.FAST, slow=work.SLOW))

    cash, units = engine.ledger.subs["cross"].cash["USD"], engine.ledger.subs["cross"].qty(NAME)
    trades = round_trips(tuple(collector.fills))
    assert sum(1 for trade in trades if not trade.is_open) == 1699
    assert cash + units * Decimal(str(series.columns.columns()["close"][-1])) == Decimal("96377.8042")

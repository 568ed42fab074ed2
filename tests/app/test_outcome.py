"""The curves of a result: what is owed counts, and other currencies count at their rate."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from tests.app.conftest import held, imported
from tradebot.cli.border import run

GRID = ("--tick-size", "0.01", "--lot-size", "0.01")
NUMBERS = "strategies.hold.sizing={kind: fixed_qty, qty: 10}"


def test_a_dividend_counts_from_its_ex_date_though_it_is_paid_later(project: Path) -> None:
    imported(project, "ACME", "--class", "stock", "--calendar", "24/7")
    actions = "ex_date,kind,value,pay_date\n2020-01-11,dividend,2,2020-01-21\n"
    (project / "actions.csv").write_text(actions)
    assert run(["data", "import", "actions.csv", "--id", "ACME", "--kind", "actions"]) == 0

    result = held(project, "ACME", [NUMBERS])

    # 10 shares bought at 101; each day adds 10, and the ex-date what is owed for 10 shares.
    steps = np.diff(result.equity)
    assert steps[1:].tolist() == pytest.approx([30.0 if i == 8 else 10.0 for i in range(1, 29)])


def test_buy_and_hold_follows_the_rate_of_the_currency_it_is_priced_in(project: Path) -> None:
    imported(project, "ACME/EUR", "--class", "crypto", *GRID)
    imported(project, "EUR/USD", "--class", "crypto", *GRID)

    result = held(project, "ACME/EUR", ["rates={EUR: EUR/USD}"])

    assert result.benchmark_equity is not None
    # Price and rate are the same bars, so what is held is worth their square.
    closes = np.arange(101.0, 131.0)
    expected = result.equity[0] * (closes / closes[0]) ** 2
    assert result.benchmark_equity.tolist() == pytest.approx(expected.tolist())


def test_orders_that_all_ended_unfilled_are_told_of(project: Path) -> None:
    # A week in which the index rose every day: a limit at the last close is below the next one.
    span = ["backtest={from: 2000-02-25, to: 2000-03-03}", "strategies.hold.sizing={kind: fixed_qty, qty: 1}"]

    result = held(project, "SPX", [*span, "strategies.hold.orders={type: limit, at: closing_auction}"])

    assert result.fills == ()
    assert "nothing was traded: 5 orders ended before a price met them" in result.warnings


def test_a_fee_in_a_third_asset_goes_through_the_base_where_prices_are_in_another(project: Path) -> None:
    imported(project, "ACME/EUR", "--class", "crypto", *GRID)
    account = [
        "accounts.main.cash=[1000 USD, 5000 EUR, 1 BNB]",
        "rates={EUR: 1.1 USD, BNB: 220 USD}",
        "fees={kind: bps, bps: 10, asset: BNB}",
    ]

    result = held(project, "ACME/EUR", [NUMBERS, *account])

    (fill,) = result.fills  # 10 at 101 EUR: 0.1 % of 1010 EUR, at 200 EUR a BNB
    assert (fill.fee_asset, fill.fee) == ("BNB", Decimal("1.01"))
    cash = 1000 + (5000 - 1010) * 1.1 + (1 - 0.00505) * 220
    assert result.equity[-1] == pytest.approx(cash + 10 * 130 * 1.1, abs=1e-8)

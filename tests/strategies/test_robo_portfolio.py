"""FixedWeights: when it speaks, and why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import pytest

from tests.plugins.fakes import SHIPPED, FakeContext, shipped
from tradebot.core.model import SECOND
from tradebot.core.strategy import PortfolioStrategy
from tradebot.plugins.loader import load_strategy
from tradebot.plugins.params import build_params

REFERENCE = "robo_portfolio.py:FixedWeights"
WEIGHTS = {"SPY": 0.6, "BND": 0.3}
PRICES = {"SPY": 100.0, "BND": 50.0}


def on(day: str, **looks: object) -> FakeContext:
    now = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * SECOND
    # 10,000 of equity: 60 % and 30 % at these prices.
    held = {"SPY": 60.0, "BND": 60.0}
    return FakeContext(now=now, **{"positions": held, **looks})  # type: ignore[arg-type]


def portfolio(**params: object) -> PortfolioStrategy:
    return cast(PortfolioStrategy, shipped(REFERENCE, **{"weights": WEIGHTS, **params}))


@pytest.mark.parametrize(
    ("every", "same", "following", "name"),
    [
        ("day", "2024-02-29T23:59", "2024-03-01", "2024-03-01"),
        ("week", "2025-01-05", "2025-01-06", "2025-W02"),
        ("month", "2024-02-29", "2024-03-01", "2024-03"),
        ("quarter", "2024-03-31", "2024-04-01", "2024-Q2"),
        ("year", "2024-12-31", "2025-01-01", "2025"),
    ],
)
def test_weights_are_set_once_a_period(every: str, same: str, following: str, name: str) -> None:
    strategy = portfolio(every=every)
    first = strategy.weights(on(same), PRICES)
    assert first is not None
    assert first.weights == (("SPY", 0.6), ("BND", 0.3))
    assert strategy.weights(on(same), PRICES) is None
    second = strategy.weights(on(following), PRICES)
    assert second is not None
    assert second.reason == f"first prices of {name}"


def test_never_is_once() -> None:
    strategy = portfolio(every="never")
    assert strategy.weights(on("2024-01-01"), PRICES) is not None
    assert strategy.weights(on("2030-01-01"), PRICES) is None


def test_a_drifted_weight_does_not_wait_for_the_period() -> None:
    strategy = portfolio(drift=0.05)
    strategy.weights(on("2024-01-01"), PRICES)
    assert strategy.weights(on("2024-01-02"), {"SPY": 108.0, "BND": 50.0}) is None
    found = strategy.weights(on("2024-01-02"), {"SPY": 109.0, "BND": 50.0})
    assert found is not None
    assert found.reason == "SPY drifted to 65.4%, wanted 60.0%"


def test_without_a_price_or_while_muted_nothing_is_said_and_the_period_is_not_used_up() -> None:
    strategy = portfolio()
    assert strategy.weights(on("2024-01-01"), {"SPY": 100.0}) is None
    assert strategy.weights(on("2024-01-02", muted=True), PRICES) is None
    assert strategy.weights(on("2024-01-03"), PRICES) is not None


def test_without_equity_drift_is_unknown() -> None:
    strategy = portfolio()
    strategy.weights(on("2024-01-01"), PRICES)
    assert strategy.weights(on("2024-01-02", worth=None), {"SPY": 200.0, "BND": 50.0}) is None


def test_a_restart_remembers_the_period() -> None:
    first, second = portfolio(), portfolio()
    first.weights(on("2024-01-01"), PRICES)
    second.load(first.save())
    assert second.weights(on("2024-01-31"), PRICES) is None
    assert second.weights(on("2024-02-01"), PRICES) is not None


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, ("weights", "must name at least one instrument with its fraction")),
        ({"weights": {"SPY": 60}}, ("weights", "SPY must be a fraction from 0 to 1, was 60")),
        ({"weights": {"SPY": 0.6, "BND": 0.5}}, ("weights", "must add up to at most 1, were 1.1")),
        ({"weights": WEIGHTS, "drift": 0}, ("drift", "must be a fraction above 0 and up to 1, was 0")),
    ],
)
def test_impossible_parameters_are_refused(values: dict[str, object], problem: tuple[str, str]) -> None:
    assert build_params(load_strategy(REFERENCE, [SHIPPED]).cls, values)[1] == (problem,)

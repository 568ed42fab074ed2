"""Costs in a report are worth what was paid, whatever asset they were paid in."""

import csv
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cli.conftest import Tradebot, configured, entry

CROSSOVER = "ma_crossover.py:MovingAverageCrossover"


def fills(here: Path) -> list[dict[str, str]]:
    (run,) = (here / "runs").iterdir()
    with (run / "fills.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_fee_in_a_third_asset_is_counted_at_its_rate(tradebot: Tradebot, here: Path) -> None:
    text = configured(
        entry(
            "fast",
            CROSSOVER,
            more="params: {fast: 5, slow: 20}, sizing: {kind: fixed_notional, notional: 5000 USD}",
        )
    )
    text += "backtest: {from: 2010-01-01, to: 2010-06-30}\n"
    text += "fees: {kind: bps, bps: 10, asset: BNB}\nrates: {BNB: 250 USD}\n"
    (here / "tradebot.yaml").write_text(text.replace("10000 USD", "[10000 USD, 50 BNB]"))

    ended = tradebot("backtest", "--no-report", "--json")

    (run,) = ended.json["runs"]
    costs, trades = run["run"]["costs"], run["run"]["trades"]
    paid = sum(Decimal(f["qty"]) * Decimal(f["price"]) for f in fills(here)) / 1000  # 10 bps
    assert paid > 1
    assert float(costs["fees"]) == pytest.approx(float(paid), abs=1e-3)
    assert sum(float(t["fees"]) for t in trades) == pytest.approx(float(paid), abs=1e-3)

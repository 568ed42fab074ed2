"""JSON for scripts: versioned, exact money, never NaN."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from tests.report.runs_for_tests import make_result, make_year
from tradebot.errors import InvariantError
from tradebot.report.jsonout import SCHEMA_VERSION, plain_value, to_dict
from tradebot.report.metrics import measure


def test_money_is_text_and_ratios_are_numbers() -> None:
    result = make_year(bars=20_000)
    found: Any = to_dict(result, measure(result))
    assert found["schema_version"] == SCHEMA_VERSION == 1
    assert found["run"]["costs"]["fees"] == f"{result.costs.fees:f}"
    assert found["metrics"]["curve"]["start"] == "10000.00000000"
    assert isinstance(found["metrics"]["curve"]["drawdown"]["money"], str)
    assert isinstance(found["metrics"]["curve"]["volatility"], float)
    first = found["run"]["trades"][0]
    assert Decimal(first["pnl"]) == result.trades[0].pnl
    assert first["side"] in ("buy", "sell")
    assert found["run"]["start"] == "2024-01-01T00:01:00Z"


def test_an_empty_run_has_nulls_and_no_nan() -> None:
    result = make_result([0.0])
    text = json.dumps(to_dict(result, measure(result)), allow_nan=False)
    assert "NaN" not in text and "Infinity" not in text
    curve = json.loads(text)["metrics"]["curve"]
    assert (curve["sharpe"], curve["cagr"], curve["drawdown"], curve["total_return"]) == (
        None,
        None,
        None,
        None,
    )


def test_trades_can_be_left_out() -> None:
    result = make_year(bars=20_000)
    assert "trades" not in to_dict(result, measure(result), trades=False)["run"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.array([1.0])])
def test_what_has_no_json_form_is_refused(value: object) -> None:
    with pytest.raises(InvariantError):
        plain_value({"x": [value]})

"""Shipped strategies and templates pass the check that users run on their own."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from tests.plugins.fakes import SHIPPED, bars_of, walk
from tradebot.core.strategy import BarStrategy
from tradebot.plugins.check import check_frame_strategy
from tradebot.plugins.check_bars import check_bar_strategy
from tradebot.plugins.frame import FrameStrategy
from tradebot.plugins.loader import Kind, Loaded, load_strategy
from tradebot.plugins.params import build_params
from tradebot.plugins.runner import as_columns
from tradebot.plugins.template import write_new
from tradebot.plugins.verdict import Verdict

BARS = bars_of(walk(17, 500, step=9))

CASES: dict[str, tuple[str, dict[str, object]]] = {
    "sma": ("ma_crossover.py:MovingAverageCrossover", {"fast": 5, "slow": 20}),
    "ema": ("ma_crossover.py:MovingAverageCrossover", {"fast": 5, "slow": 20, "kind": "ema"}),
    "bollinger": ("mean_reversion.py:MeanReversion", {"mode": "long_short"}),
    "zscore": ("mean_reversion.py:MeanReversion", {"kind": "zscore", "mode": "long_short"}),
    "rsi": ("mean_reversion.py:MeanReversion", {"kind": "rsi", "window": 7, "mode": "long_short"}),
    "breakout": ("atr_breakout.py:AtrBreakout", {"atr": 7, "mode": "long_short"}),
}


def checked(loaded: Loaded, params: dict[str, object]) -> Verdict:
    values, problems = build_params(loaded.cls, params)
    assert not problems
    if loaded.kind == "frame":
        return check_frame_strategy(cast(FrameStrategy, loaded.create(values)), as_columns(BARS))
    return check_bar_strategy(lambda: cast(BarStrategy, loaded.create(values)), BARS)


@pytest.mark.parametrize(("reference", "params"), CASES.values(), ids=CASES)
def test_shipped_strategies_are_honest(reference: str, params: dict[str, object]) -> None:
    verdict = checked(load_strategy(reference, [SHIPPED]), params)
    assert verdict.ok, verdict.text
    assert verdict.changes > 10


@pytest.mark.parametrize("kind", ["frame", "bar"])
def test_a_new_strategy_is_honest(kind: Kind, tmp_path: Path) -> None:
    write_new("my_trend", tmp_path, kind)
    verdict = checked(load_strategy("my_trend.py:MyTrend", [tmp_path]), {})
    assert verdict.ok, verdict.text
    assert verdict.changes > 10

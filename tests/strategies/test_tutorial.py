"""The strategies printed in the tutorial load, are honest, and are what the templates write."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import pytest

from tests.plugins.fakes import bars_of, walk
from tradebot.core.model import DAY, HOUR
from tradebot.core.strategy import BarStrategy, Input
from tradebot.plugins.check import check_frame_strategy
from tradebot.plugins.check_bars import check_bar_strategy
from tradebot.plugins.frame import FrameStrategy
from tradebot.plugins.loader import list_strategies, load_strategy
from tradebot.plugins.runner import as_columns
from tradebot.plugins.template import render

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial-strategy.md"
FILES = dict(
    re.findall(r"```python\n# strategies/(\w+\.py)\n(.*?)```", TUTORIAL.read_text(), flags=re.DOTALL)
)


def test_the_tutorial_prints_what_the_command_writes() -> None:
    assert FILES["my_trend.py"] == render("my_trend", "frame")


@pytest.mark.parametrize("name", FILES)
def test_a_printed_strategy_is_honest(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FILES[name])
    (listed,) = list_strategies([tmp_path])
    loaded = load_strategy(listed.reference, [tmp_path])
    made = loaded.create(loaded.cls.Params())
    cents = walk(8, 24 * 30, step=9)
    bars = bars_of(cents, interval=HOUR)
    if isinstance(made, FrameStrategy):
        days = as_columns(bars_of(cents[23::24], interval=DAY))
        others = {Input(DAY): days} if made.inputs() else {}
        verdict = check_frame_strategy(made, as_columns(bars), others)
    else:
        verdict = check_bar_strategy(lambda: cast(BarStrategy, loaded.create(loaded.cls.Params())), bars)
    assert verdict.ok, verdict.text
    assert verdict.changes > 5

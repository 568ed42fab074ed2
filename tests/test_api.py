"""The public names for strategy files: complete, and light until pandas is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tradebot import api


def test_every_offered_name_exists_and_nothing_else_is_listed() -> None:
    assert sorted(api.__all__) == sorted(set(api.__all__)) == sorted(dir(api))
    for name in api.__all__:
        assert getattr(api, name) is not None


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        AttributeError, match=r"tradebot\.api has no 'FrameStrategie'; it offers: DAY, HOUR, "
    ):
        _ = api.FrameStrategie


@pytest.mark.parametrize(
    ("line", "heavy"),
    [
        ("from tradebot.api import BarStrategy, Sma, above, Quotes", False),
        ("from tradebot.plugins.loader import load_strategy, list_strategies", False),
        ("from tradebot.plugins.template import render", False),
        ("from tradebot.api import FrameStrategy", True),
    ],
)
def test_pandas_is_loaded_by_those_who_need_it_only(line: str, heavy: bool) -> None:
    code = f"{line}\nimport sys\nprint('pandas' in sys.modules or 'numpy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(heavy)

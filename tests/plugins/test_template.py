"""New strategies: each kind's file loads, is clean, runs, and is not written over another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from tests.plugins.fakes import START, FakeContext, bars_of, walk
from tradebot.core.model import Quote
from tradebot.core.strategy import BarStrategy, PortfolioStrategy, QuoteStrategy, Strategy
from tradebot.errors import PluginError, UsageError
from tradebot.plugins.frame import FrameStrategy
from tradebot.plugins.loader import KINDS, Kind, list_strategies, load_strategy
from tradebot.plugins.runner import FrameRunner, as_columns
from tradebot.plugins.template import class_name, render, write_new

ROOT = Path(__file__).resolve().parents[2]


def made(kind: Kind, folder: Path) -> Strategy:
    write_new("my-trend", folder, kind)
    loaded = load_strategy("my_trend.py:MyTrend", [folder])
    assert loaded.kind == kind
    return loaded.create(loaded.cls.Params())


def test_a_frame_strategy_and_its_bar_twin_decide_alike(tmp_path: Path) -> None:
    bars = bars_of(walk(4, 400))
    frame = cast(FrameStrategy, made("frame", tmp_path / "a"))
    plain = FrameRunner(frame, "X").precompute(as_columns(bars)).plain()
    one_by_one = cast(BarStrategy, made("bar", tmp_path / "b"))
    targets = [one_by_one.on_bar(FakeContext(), bar) for bar in bars]
    found = [None if target is None else target.weight for target in targets]
    assert found == [plain.target_at(i) for i in range(len(bars))]
    assert {None, 0.0, 1.0} == set(found)
    assert one_by_one.lookback == frame.lookback == 50


def test_a_quote_strategy_quotes_both_sides_up_to_its_inventory(tmp_path: Path) -> None:
    strategy = cast(QuoteStrategy, made("quote", tmp_path))
    quote = Quote("X", START, 999.75, 1.0, 1000.25, 1.0)
    flat, full = (strategy.on_quote(FakeContext(positions={"X": held}), quote) for held in (0.0, 5.0))
    assert flat is not None
    assert full is not None
    assert (flat.bids, flat.asks) == (((999.5, 1.0),), ((1000.5, 1.0),))
    assert (full.bids, full.asks) == ((), flat.asks)


def test_a_portfolio_strategy_weighs_all_alike(tmp_path: Path) -> None:
    strategy = cast(PortfolioStrategy, made("portfolio", tmp_path))
    found = strategy.weights(FakeContext(), {"A": 1.0, "B": 2.0})
    assert found is not None
    assert found.weights == (("A", 0.475), ("B", 0.475))
    assert strategy.weights(FakeContext(), {}) is None


@pytest.mark.parametrize("kind", KINDS.values())
def test_every_kind_is_short_lint_clean_and_described(kind: Kind, tmp_path: Path) -> None:
    path = write_new("alpha2", tmp_path, kind)
    assert path.read_text() == render("alpha2", kind)
    assert len([line for line in path.read_text().splitlines() if line]) <= 25
    (listed,) = list_strategies([tmp_path])
    assert (listed.name, listed.kind) == ("Alpha2", kind)
    assert listed.summary
    for words in (["check"], ["format", "--check"]):
        ruff = [
            sys.executable,
            "-m",
            "ruff",
            *words,
            "--config",
            str(ROOT / "pyproject.toml"),
            "--no-cache",
            str(path),
        ]
        ran = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = write_new("mine", tmp_path)
    path.write_text("# mine")
    with pytest.raises(PluginError, match=r"mine\.py exists; choose another name or edit it"):
        write_new("mine", tmp_path, "bar")
    assert path.read_text() == "# mine"


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PluginError, match=r"mine\.py cannot be written: Not a directory"):
        write_new("mine", tmp_path / "file" / "sub")
    with pytest.raises(PluginError, match="file must be a folder, is a file"):
        write_new("mine", tmp_path / "file")


def test_names_become_classes() -> None:
    assert [class_name(name) for name in ("trend", "my_trend", "my-trend", "RSI2", "btc_4h")] == [
        "Trend",
        "MyTrend",
        "MyTrend",
        "RSI2",
        "Btc4h",
    ]


@pytest.mark.parametrize("name", ["", "2fast", "a b", "a/b", "class", "_", "a__b", "é", "../x", "a.py"])
def test_names_that_are_no_file_and_class_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="a strategy's name must be words of letters and digits joined by _"):
        class_name(name)


@pytest.mark.parametrize(("name", "kind"), [("bar", "bar"), ("target", "bar"), ("frame_strategy", "frame")])
def test_a_name_that_the_file_needs_is_refused(name: str, kind: Kind) -> None:
    made = class_name(name)
    with pytest.raises(UsageError, match=f"a {kind} strategy cannot be called {name}: its file uses {made}"):
        render(name, kind)

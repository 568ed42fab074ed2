"""A project folder with imported bars, and backtests of it as results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli.conftest import entry, write_bars
from tradebot.app.backtest import BacktestRequest, backtest
from tradebot.cli.border import run
from tradebot.config.loader import parse
from tradebot.report.result import RunResult

HOLD = """
from tradebot.api import BarStrategy

class Hold(BarStrategy):
    lookback = 1

    def on_bar(self, ctx, bar):
        return ctx.target(weight=1.0)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds the strategy `hold.py:Hold` and is the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "hold.py").write_text(HOLD)
    return tmp_path


def imported(project: Path, name: str, *words: str, days: int = 30) -> None:
    """Store bars of `write_bars` under a name."""
    write_bars(project / "bars.csv", days)
    assert run(["data", "import", "bars.csv", "--id", name, *words]) == 0


def held(project: Path, instrument: str, settings: Sequence[str] = ()) -> RunResult:
    """Backtest the holding of one instrument from the first bar on."""
    hold = entry("hold", "hold.py:Hold", instrument, more="first_entry: at_once")
    text = f"version: 1\naccounts:\n  main: {{venue: sim, cash: 10000 USD}}\nstrategies:\n{hold}\n"
    config = parse(text.encode(), "t.yaml", settings, {}).config
    return backtest(BacktestRequest(config=config, project=project))[0]

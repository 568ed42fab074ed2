"""What a copy of the process works out is what this one would have."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np

from tests.cli.conftest import process
from tests.core.world import COIN
from tradebot.app.backtest import BacktestRequest, backtest
from tradebot.app.beside import Beside
from tradebot.config.loader import parse
from tradebot.core.model import MINUTE
from tradebot.data.arrays import BarArrays
from tradebot.data.catalogue import Catalogue
from tradebot.data.series import Provenance
from tradebot.report.result import RunResult

SHIPPED = Path(__file__).parents[2] / "strategies" / "ma_crossover.py"
ALONE = """
import os, signal
from tradebot.app.beside import Beside
here = os.getpid()
"""
CONFIG = """\
version: 1
accounts:
  main: {venue: sim, cash: 100000 USD, model: margin}
strategies:
  - id: cross
    class: ma_crossover.py:MovingAverageCrossover
    instruments: [COIN]
    interval: 1m
    params: {fast: 5000, slow: 20000}
    sizing: {kind: fixed_qty, qty: 1}
"""


def alone(folder: Path, body: str) -> str:
    """Run a program beside which no thread runs: where one does, as may be in a test's process, no copy is made."""
    done = process(program=ALONE + body, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_is_worked_out_by_another_process_and_comes_back(tmp_path: Path) -> None:
    assert alone(tmp_path, "print(Beside(lambda: [os.getpid()], copy=True).result() == [here])") == "False"


def test_without_a_copy_it_is_worked_out_when_it_is_asked_for() -> None:
    asked = Beside(lambda: os.getpid(), copy=False)

    assert asked.result() == os.getpid()


def test_beside_other_threads_no_copy_is_made() -> None:
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    try:
        assert Beside(lambda: os.getpid(), copy=True).result() == os.getpid()
    finally:
        over.set()
        other.join()


def test_what_it_raises_is_raised_here(tmp_path: Path) -> None:
    body = """
try:
    Beside(lambda: 1 / 0, copy=True).result()
except ZeroDivisionError:
    print("raised", os.getpid() == here)
"""
    assert alone(tmp_path, body) == "raised True"


def test_a_copy_that_dies_is_made_good_here(tmp_path: Path) -> None:
    body = """
def dies():
    if os.getpid() != here:
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"

print(Beside(dies, copy=True).result())
"""
    assert alone(tmp_path, body) == "alive"


def test_a_long_backtest_gives_its_results_away_before_their_verdicts(tmp_path: Path) -> None:
    rows = 100_000
    walk = 100.0 + np.round(10.0 * np.sin(np.arange(rows + 1) / 9_000), 2)
    bars = BarArrays(
        instrument="COIN",
        interval=MINUTE,
        ts=np.arange(1, rows + 1, dtype=np.int64) * MINUTE,
        open=walk[:-1],
        high=np.maximum(walk[:-1], walk[1:]),
        low=np.minimum(walk[:-1], walk[1:]),
        close=walk[1:],
        volume=np.full(rows, 1_000.0),
    )
    Catalogue(tmp_path / "data").write_bars(COIN, bars, Provenance(source="a wave"))
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / SHIPPED.name).write_text(SHIPPED.read_text("utf-8"))
    config = parse(CONFIG.encode(), "t.yaml", (), {}).config
    early: list[RunResult] = []

    (late,) = backtest(
        BacktestRequest(config=config, project=tmp_path, speed="engine", meanwhile=early.append)
    )

    assert [one.check_verdict for one in early] == [""]
    assert late.check_verdict.startswith("MovingAverageCrossover: no look-ahead seen (sampled)")
    assert late.fills == early[0].fills != ()

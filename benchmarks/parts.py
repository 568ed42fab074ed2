"""Time the parts of a backtest beside the run itself: `python -m benchmarks.parts PROJECT YEAR_CSV`.

One process, warm: each part is done several times and the least CPU time counts.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tradebot.app.backtest import BacktestRequest, backtest
from tradebot.app.deciders import recipes, seat
from tradebot.app.honesty import verdict_of
from tradebot.app.market import Loaded
from tradebot.config.loader import load
from tradebot.data.catalogue import Catalogue
from tradebot.data.importing import read_bar_file
from tradebot.report.html import render_html
from tradebot.report.jsonout import to_dict
from tradebot.report.metrics import measure

MINUTE = 60_000_000_000


def main() -> None:
    project, csv = Path(sys.argv[1]), Path(sys.argv[2])
    config = load(project / "stored.yaml").config
    catalogue = Catalogue(project / "data")
    instrument = catalogue.instrument("BENCH/USD")
    bars = catalogue.bars("BENCH/USD", MINUTE)
    recipe = recipes(config, project)[0]
    series = Loaded(
        instrument="BENCH/USD", interval=MINUTE, columns=bars, start=200, source="", label="", digest=""
    )
    loaded = {("BENCH/USD", MINUTE): series}
    deciders = seat(recipe, loaded, ())
    result = backtest(BacktestRequest(config=config, project=project))[0]
    metrics = measure(result)
    parts: dict[str, Callable[[], object]] = {
        "read the catalogue": lambda: Catalogue(project / "data").bars("BENCH/USD", MINUTE),
        "read the CSV": lambda: read_bar_file(csv, instrument),
        "targets": lambda: seat(recipe, loaded, ()),
        "quick look-ahead check": lambda: verdict_of(recipe, loaded, deciders),
        "metrics": lambda: measure(result),
        "report, JSON": lambda: to_dict(result, metrics),
        "report, HTML": lambda: render_html(result, metrics),
    }
    print(json.dumps({name: least(do) for name, do in parts.items()}))


def least(do: Callable[[], object], times: int = 5) -> dict[str, float]:
    """Return the least CPU and wall seconds of doing it."""
    cpu, wall = [], []
    for _ in range(times):
        begun, used = time.perf_counter(), time.process_time()
        do()
        cpu.append(time.process_time() - used)
        wall.append(time.perf_counter() - begun)
    return {"cpu_s": min(cpu), "wall_s": min(wall)}


if __name__ == "__main__":
    main()

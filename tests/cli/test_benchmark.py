"""What a strategy is compared with stands at the same moments as the strategy."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from tests.cli.conftest import Tradebot, entry


def write(path: Path, closed: range, jump: int) -> None:
    """Write 100 days at 100, from day `jump` on at 200, without the days `closed`."""
    lines = ["date,open,high,low,close,volume"]
    for i in range(100):
        price = 100 if i < jump else 200
        if i not in closed:
            lines.append(
                f"{datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=i):%Y-%m-%d}" + f",{price}" * 4 + ",9"
            )
    path.write_text("\n".join(lines) + "\n")


def test_a_benchmark_with_as_many_bars_on_other_days_keeps_its_own_days(
    tradebot: Tradebot, here: Path
) -> None:
    text = "version: 1\naccounts:\n  main: {venue: sim, cash: 10000 USD}\nstrategies:\n"
    text += entry("one", "ma_crossover.py:MovingAverageCrossover", "A/USD", more="params: {fast: 2, slow: 3}")
    (here / "tradebot.yaml").write_text(text + "\nbacktest: {benchmark: B/USD}\n")
    for name, closed, jump in (("A", range(20, 30), 100), ("B", range(60, 70), 50)):
        write(here / "bars.csv", closed, jump)
        ended = tradebot(
            *("data", "import", "bars.csv", "--id", f"{name}/USD", "--class", "crypto"),
            *("--tick-size", "0.01", "--lot-size", "0.01"),
        )
        assert ended.code == 0, ended.err

    assert tradebot("backtest", "--no-report").code == 0

    (run,) = (here / "runs").iterdir()
    curves = pq.read_table(run / "curves.parquet").to_pydict()
    day = {
        (ts // 86_400_000_000_000) - 18262 - 1: value
        for ts, value in zip(curves["ts"], curves["benchmark_equity"], strict=True)
    }
    assert (day[49], day[50], day[55]) == (10000.0, 20000.0, 20000.0)

"""A portfolio strategy is asked when its schedule says, and first when a run begins."""

import csv
from datetime import UTC, datetime
from pathlib import Path

from tests.cli.conftest import Tradebot

TEXT = """version: 1
accounts:
  main: {venue: sim, feed: sample, cash: 10000 USD}
strategies:
  - {id: fixed, class: robo_portfolio.py:FixedWeights, instruments: [SPX], interval: 1d,
     params: {weights: {SPX: 50%}, every: quarter}, resize: always, first_entry: at_once,
     schedule: {every: quarter}}
backtest: {from: 2010-02-10, to: 2010-07-30}
"""


def test_the_warm_up_does_not_use_up_the_first_period(tradebot: Tradebot, here: Path) -> None:
    (here / "tradebot.yaml").write_text(TEXT)

    assert tradebot("backtest", "--no-report").code == 0

    (run,) = (here / "runs").iterdir()
    with (run / "fills.csv").open() as file:
        days = [datetime.fromtimestamp(int(row["ts"]) / 1e9, UTC).date() for row in csv.DictReader(file)]
    assert [str(day) for day in days] == ["2010-02-11", "2010-04-05", "2010-07-02"]

"""Run the common work on backtesting.py, in its own environment: `python backtesting_py.py BARS`.

BARS is an npz file: then it answers the runner line by line. With a CSV it reads it, runs once and ends, as a
user's script would.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pandas as pd
import work

warnings.filterwarnings("ignore")
from backtesting import Backtest, Strategy  # noqa: E402 - it warns about notebooks on import


def mean(values: np.ndarray, window: int) -> pd.Series:
    """Return the moving average the way its users write it."""
    return pd.Series(values).rolling(window).mean()


class Cross(Strategy):
    """Long while the fast average is above the slow one."""

    def init(self) -> None:
        self.fast = self.I(mean, self.data.Close, work.FAST)
        self.slow = self.I(mean, self.data.Close, work.SLOW)

    def next(self) -> None:
        if self.fast[-1] > self.slow[-1]:
            if not self.position:
                self.buy(size=work.SIZE)
        elif self.fast[-1] < self.slow[-1] and self.position:
            self.position.close()


def run(frame: pd.DataFrame) -> work.Answer:
    test = Backtest(frame, Cross, cash=work.CASH, commission=work.FEE, finalize_trades=False)
    found = test.run()
    return {"trades": int(found["# Trades"]), "equity": float(found["Equity Final [$]"])}


def main() -> None:
    if sys.argv[1].endswith(".csv"):
        frame = pd.read_csv(sys.argv[1], parse_dates=["timestamp"], index_col="timestamp")
        print(run(frame.rename(columns=str.capitalize)))
        return
    bars = np.load(sys.argv[1])
    index = pd.date_range("2023-01-01", periods=len(bars["close"]), freq="1min")
    frame = pd.DataFrame({name.capitalize(): bars[name] for name in bars.files}, index=index)
    work.serve(lambda: run(frame), engine="backtesting.py", bars=len(frame))


if __name__ == "__main__":
    main()

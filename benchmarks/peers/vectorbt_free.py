"""Run the common work on vectorbt, in its own environment: `python vectorbt_free.py BARS.npz`."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pandas as pd
import work

warnings.filterwarnings("ignore")
import vectorbt as vbt  # noqa: E402 - it warns on import


def main() -> None:
    bars = np.load(sys.argv[1])
    index = pd.date_range("2023-01-01", periods=len(bars["close"]), freq="1min")
    close, open_ = pd.Series(bars["close"], index=index), pd.Series(bars["open"], index=index)

    def run() -> work.Answer:
        fast, slow = vbt.MA.run(close, work.FAST).ma, vbt.MA.run(close, work.SLOW).ma
        # It fills at the price of the signal's own row: move signals one bar for the next open.
        entries, exits = ((a.to_numpy()[:-1]) for a in (fast > slow, fast < slow))
        folio = vbt.Portfolio.from_signals(
            close,
            np.concatenate([[False], entries]),
            np.concatenate([[False], exits]),
            price=open_,
            size=work.SIZE,
            fees=work.FEE,
            init_cash=work.CASH,
            freq="1min",
        )
        value = float(folio.final_value())
        return {"trades": int(folio.trades.closed.count()), "equity": value}

    work.serve(run, engine="vectorbt", bars=len(close))


if __name__ == "__main__":
    main()

"""Trade signal arrays on backtesting.py and print its trades: `python peer_backtesting_py.py CASES.npz`.

Runs in an environment of its own (`make bench` builds it): needs backtesting, numpy and pandas, and
nothing of tradebot. CASES.npz holds open, high, low, close, the terms (size, cash, fee), and one array of
signals per case.
"""

import json
import sys
import warnings

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
from backtesting import Backtest, Strategy  # noqa: E402 - it warns on import

PRICES = ("open", "high", "low", "close")


class Said(Strategy):
    """Holds `size` times what the array says after each bar."""

    signals = None
    size = 1

    def init(self):
        pass

    def next(self):
        wanted = int(self.signals[len(self.data) - 1]) * self.size
        if wanted == self.position.size:
            return
        self.position.close()
        if wanted > 0:
            self.buy(size=wanted)
        elif wanted < 0:
            self.sell(size=-wanted)


def trades_of(frame, signals, size, cash, fee):
    """Return [entry bar, exit bar, entry price, exit price, signed size] of each trade, open ones too."""
    test = Backtest(frame, Said, cash=cash, commission=fee, finalize_trades=False)
    found = test.run(signals=signals, size=size)
    closed = [
        [int(t.EntryBar), int(t.ExitBar), float(t.EntryPrice), float(t.ExitPrice), int(t.Size)]
        for t in found["_trades"].itertuples()
    ]
    still_open = [
        [int(t.entry_bar), None, float(t.entry_price), None, int(t.size)] for t in found["_strategy"].trades
    ]
    return sorted(closed) + sorted(still_open)


def main():
    cases = np.load(sys.argv[1])
    size, cash, fee = cases["terms"].tolist()
    frame = pd.DataFrame({name.capitalize(): cases[name] for name in PRICES})
    frame.index = pd.date_range("2000-01-01", periods=len(frame), freq="1h")
    names = [name for name in cases.files if name not in PRICES and name != "terms"]
    sys.stdout.write(
        json.dumps({n: trades_of(frame, cases[n], int(size), int(cash), fee) for n in names}) + "\n"
    )


if __name__ == "__main__":
    main()

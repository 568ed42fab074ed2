"""Make the market that every engine in a benchmark run trades: a year of one-minute bars in cents.

Owns the recipe. A seeded walk with volatility that comes in clusters, a small gap between bars and
a daily wave in volume. Prices are whole cents on purpose: then two averages are sometimes exactly
equal, and engines that let rounding decide such a tie show it in their number of trades.

    python -m benchmarks.market BARS.npz BARS.csv
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.work import BARS

SEED = 7
MINUTE_NS = 60_000_000_000
FIRST_OPEN_NS = 1_672_531_200 * 1_000_000_000  # 2023-01-01T00:00Z

Columns = dict[str, NDArray[np.float64]]


def market(bars: int = BARS, seed: int = SEED) -> Columns:
    """Return open, high, low, close (multiples of 0.01) and volume, oldest first."""
    rng = np.random.default_rng(seed)
    sigma = 0.0007 * np.exp(_slow_wave(rng.standard_normal(bars) * 0.02))
    returns = sigma * rng.standard_normal(bars)
    close = 100.0 * np.exp(np.cumsum(returns))
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(0.05 * sigma * rng.standard_normal(bars))
    reach = np.abs(sigma * rng.standard_normal((2, bars))) * 0.6
    high = np.maximum(open_, close) * np.exp(reach[0])
    low = np.minimum(open_, close) * np.exp(-reach[1])
    hours = np.arange(bars) % 1440 / 1440
    volume = np.exp(0.8 * rng.standard_normal(bars) + 2.0 + 0.5 * np.sin(2 * np.pi * hours))
    volume *= 1.0 + 400.0 * np.abs(returns)
    found = {"open": open_, "high": high, "low": low, "close": close}
    found = {name: values.round(2) for name, values in found.items()}
    found["high"] = np.maximum.reduce([found["open"], found["high"], found["close"]])
    found["low"] = np.minimum.reduce([found["open"], found["low"], found["close"]])
    found["volume"] = volume.round(3)
    return found


def opened_at(bars: int = BARS) -> NDArray[np.int64]:
    """Return when each bar opens, ns UTC."""
    return FIRST_OPEN_NS + MINUTE_NS * np.arange(bars, dtype=np.int64)


def write_csv(columns: Columns, path: Path) -> None:
    """Write the bars as people have them: open-stamped text, one line a bar."""
    stamps = opened_at(len(columns["close"])).astype("datetime64[ns]").astype("datetime64[s]")
    days = np.char.replace(stamps.astype(str), "T", " ").tolist()
    rows = zip(days, *(columns[n].tolist() for n in ("open", "high", "low", "close", "volume")), strict=True)
    lines = (f"{ts},{o:.2f},{h:.2f},{lo:.2f},{c:.2f},{v:.3f}\n" for ts, o, h, lo, c, v in rows)
    with path.open("w", encoding="ascii", newline="") as file:
        file.write("timestamp,open,high,low,close,volume\n")
        file.writelines(lines)


def _slow_wave(shocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the first-order autoregression with memory 0.999 of the shocks, from 0."""
    state, wave = 0.0, []
    for shock in shocks[1:].tolist():
        state = 0.999 * state + shock
        wave.append(state)
    return np.array([0.0, *wave])


def main() -> None:
    arrays, text = map(Path, sys.argv[1:])
    columns = market()
    write_csv(columns, text)
    np.savez(arrays, allow_pickle=False, **columns)


if __name__ == "__main__":
    main()

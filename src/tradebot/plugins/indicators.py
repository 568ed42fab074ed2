"""Indicators on whole pandas Series, for the authors of a `FrameStrategy`.

Owns the names, parameters and warm-up of what a strategy may compute; the numbers come from the
`ta` package where it is right and fast enough. Refuses values that are not there yet: warm-up is
NaN (`ta` gives 0 for ATR and ADX, and 0 is a price), and every NaN comparison is False.

Usual import: `from tradebot.plugins import indicators as ind`. Every function takes Series of one
index and returns a Series or a DataFrame on it; windows are whole numbers of bars. The one-value-
at-a-time twins in `tradebot.core.indicators` give the same values from the first one on.

Where it differs from `ta`: warm-up masked; RSI of a price that never moved is 50 (`ta` 100);
deviations from `rolling` (see there); ATR and ADX by pandas' compiled loop (`ta` runs Python,
0.3 s to 0.6 s per 100,000 bars) with equal results. Where `ta`, and so this module, differs from
TA-Lib is the seed of recursive averages: the first value here, the simple average of the first
`window` values there. Both fade; `lookback_for` says when.

There is no OBV and no other running total: its level depends on where the data begin, so no
lookback exists for it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from ta.momentum import ROCIndicator, RSIIndicator, StochasticOscillator
from ta.trend import MACD, EMAIndicator, SMAIndicator
from ta.volatility import DonchianChannel
from ta.volume import VolumeWeightedAveragePrice

from tradebot.core.indicators.base import window_of
from tradebot.core.indicators.compare import TIE
from tradebot.core.indicators.lookback import lookback_for
from tradebot.core.indicators.momentum import NEUTRAL
from tradebot.errors import PluginError
from tradebot.plugins.rolling import Floats, rolling_moments

__all__ = [
    "above",
    "adx",
    "atr",
    "below",
    "bollinger",
    "cci",
    "crossed_above",
    "crossed_below",
    "donchian",
    "ema",
    "highest",
    "lookback_for",
    "lowest",
    "macd",
    "roc",
    "rsi",
    "sma",
    "stdev",
    "stochastic",
    "tied",
    "true_range",
    "vwap",
    "zscore",
]


def sma(series: pd.Series, window: int) -> pd.Series:
    """Mean of the last `window` values; first value on bar `window`."""
    return pd.Series(SMAIndicator(series, window_of("sma", window)).sma_indicator(), name="sma")


def ema(series: pd.Series, window: int) -> pd.Series:
    """Exponential average, alpha = 2 / (window + 1), seeded with the first value; first on bar `window`."""
    return pd.Series(EMAIndicator(series, window_of("ema", window)).ema_indicator(), name="ema")


def rsi(close: pd.Series, window: int = 14) -> pd.Series:
    """Wilder's relative strength index, 0 to 100; first value on bar `window` + 1.

    50 where nothing has moved. Gains and losses are smoothed from 0, TA-Lib starts from their
    simple average: up to 7 points apart in the first 100 bars, equal once that has faded.
    """
    values = RSIIndicator(close, window_of("rsi", window)).rsi()
    # A price that stood still in all bars so far has neither gains nor losses.
    still = close.diff().fillna(0.0).abs().cumsum() == 0.0
    values = values.where(~still, NEUTRAL)
    return _masked(values, window).where(close.notna()).rename("rsi")


def true_range(high: pd.Series, low: pd.Series, close: pd.Series) -> pd.Series:
    """Largest of high - low, |high - last close|, |low - last close|; high - low on the first bar."""
    before = close.shift(1).to_numpy(dtype=np.float64)
    ranged = np.fmax(high.to_numpy(dtype=np.float64), before) - np.fmin(
        low.to_numpy(dtype=np.float64), before
    )
    return pd.Series(ranged, index=close.index, name="true_range")


def atr(high: pd.Series, low: pd.Series, close: pd.Series, window: int = 14) -> pd.Series:
    """Wilder's average true range; first value on bar `window`, the simple average so far.

    TA-Lib leaves the first bar (which has no last close) out of its seed.
    """
    window_of("atr", window)
    return _wilder(true_range(high, low, close), window, first=window - 1).rename("atr")


def adx(high: pd.Series, low: pd.Series, close: pd.Series, window: int = 14) -> pd.DataFrame:
    """Average directional index and its two lines: columns `adx`, `plus`, `minus`, 0 to 100.

    `plus` and `minus` from bar `window` + 1 on, `adx` from bar 2 * `window` on. 0 where nothing
    has moved. TA-Lib seeds the sums one bar shorter.
    """
    window_of("adx", window)
    up, down = high.diff(), -low.diff()
    plus_move = up.where((up > down) & (up > 0.0), 0.0)
    minus_move = down.where((down > up) & (down > 0.0), 0.0)
    # Averages instead of Wilder's sums: the factor `window` cancels in the ratio. The first bar
    # has no move, so all three start on the second.
    ranged = _wilder(true_range(high, low, close), window, first=window)
    plus = _share(_wilder(plus_move, window, first=window), ranged)
    minus = _share(_wilder(minus_move, window, first=window), ranged)
    direction = _share((plus - minus).abs(), plus + minus)
    return pd.DataFrame(
        {"adx": _wilder(direction, window, first=2 * window - 1), "plus": plus, "minus": minus}
    )


def stdev(series: pd.Series, window: int = 20) -> pd.Series:
    """Population standard deviation of the last `window` values; first on bar `window`."""
    return pd.Series(np.sqrt(_moments("stdev", series, window)[1]), index=series.index, name="stdev")


def zscore(series: pd.Series, window: int) -> pd.Series:
    """Distance from the mean of the last `window` values (this one included) in population deviations.

    0 where all are equal; first value on bar `window`.
    """
    mean, variance = _moments("zscore", series, window)
    away = series.to_numpy(dtype=np.float64) - mean
    spread = np.sqrt(variance)
    z = np.divide(away, spread, out=away * 0.0, where=spread != 0.0)
    return pd.Series(z, index=series.index, name="zscore")


def bollinger(close: pd.Series, window: int = 20, width: float = 2.0) -> pd.DataFrame:
    """Mean and the lines `width` population deviations around it: `lower`, `middle`, `upper`."""
    mean, variance = _moments("bollinger", close, window)
    reach = width * np.sqrt(variance)
    return pd.DataFrame({"lower": mean - reach, "middle": mean, "upper": mean + reach}, index=close.index)


def macd(close: pd.Series, fast: int = 12, slow: int = 26, signal: int = 9) -> pd.DataFrame:
    """Difference of two EMAs, its own EMA and the rest: `macd`, `signal`, `histogram`.

    `macd` from bar `slow` on, the others from bar slow + signal - 1 on. TA-Lib starts the fast
    average later, so that both begin with simple averages on the same bar.
    """
    for name, window in (("fast", fast), ("slow", slow), ("signal", signal)):
        window_of(f"macd {name}", window)
    lines = MACD(close, window_slow=slow, window_fast=fast, window_sign=signal)
    return pd.DataFrame({"macd": lines.macd(), "signal": lines.macd_signal(), "histogram": lines.macd_diff()})


def highest(series: pd.Series, window: int) -> pd.Series:
    """Largest of the last `window` values, this one included."""
    return series.rolling(window_of("highest", window)).max().rename("highest")


def lowest(series: pd.Series, window: int) -> pd.Series:
    """Smallest of the last `window` values, this one included."""
    return series.rolling(window_of("lowest", window)).min().rename("lowest")


def donchian(high: pd.Series, low: pd.Series, window: int = 20) -> pd.DataFrame:
    """Lowest low, middle, highest high of the last `window` bars, this one included.

    Columns `lower`, `middle`, `upper`. For a breakout compare with `.shift(1)`: no close is
    above a channel that contains its own high.
    """
    channel = DonchianChannel(high, low, close=low, window=window_of("donchian", window))
    lower, upper = channel.donchian_channel_lband(), channel.donchian_channel_hband()
    return pd.DataFrame({"lower": lower, "middle": (upper + lower) * 0.5, "upper": upper})


def roc(close: pd.Series, window: int) -> pd.Series:
    """Change against the value `window` bars ago in per cent; first value on bar `window` + 1."""
    return pd.Series(ROCIndicator(close, window_of("roc", window)).roc(), name="roc")


def stochastic(
    high: pd.Series, low: pd.Series, close: pd.Series, window: int = 14, smooth: int = 3
) -> pd.DataFrame:
    """Where the close stands in the range of the last `window` bars, 0 to 100: `k`, `d`.

    `k` is not smoothed ("fast"), `d` is its simple average over `smooth` bars. NaN while the
    range is 0.
    """
    window_of("stochastic", window)
    lines = StochasticOscillator(high, low, close, window=window, smooth_window=window_of("smooth", smooth))
    return pd.DataFrame({"k": lines.stoch(), "d": lines.stoch_signal()})


def cci(high: pd.Series, low: pd.Series, close: pd.Series, window: int = 20) -> pd.Series:
    """Commodity channel index: distance of (high + low + close) / 3 from its mean, in 0.015 mean deviations.

    NaN where the window stands still. Not from `ta`, which calls Python for each bar.
    """
    window_of("cci", window)
    typical = ((high + low + close) / 3.0).to_numpy(dtype=np.float64)
    values = np.full(len(typical), np.nan)
    if len(typical) >= window:
        windows = np.lib.stride_tricks.sliding_window_view(typical, window)
        mean = windows.mean(axis=1)
        deviation = np.zeros(len(mean))
        for k in range(window):  # one column at a time: a full copy would need window times the memory
            deviation += np.abs(windows[:, k] - mean)
        reach = 0.015 * deviation / window
        values[window - 1 :] = np.divide(
            typical[window - 1 :] - mean, reach, out=np.full(len(mean), np.nan), where=reach > 0.0
        )
    return pd.Series(values, index=close.index, name="cci")


def vwap(high: pd.Series, low: pd.Series, close: pd.Series, volume: pd.Series, window: int = 14) -> pd.Series:
    """Mean of (high + low + close) / 3 weighted by volume over the last `window` bars.

    NaN while no volume has traded in the window.
    """
    window_of("vwap", window)
    lines = VolumeWeightedAveragePrice(high, low, close, volume.astype(float), window=window)
    return _masked(lines.volume_weighted_average_price(), window - 1).rename("vwap")


def above(a: pd.Series | float, b: pd.Series | float) -> pd.Series:
    """Return per bar whether `a` is larger than `b` by more than rounding (relative 1e-9).

    False where either is NaN: an indicator that is not warm is above nothing. One of the two may
    be a number. Raises PluginError when both are Series of different index.
    """
    left, right, index = _pair(a, b)
    return pd.Series(_above(left, right), index=index)


def below(a: pd.Series | float, b: pd.Series | float) -> pd.Series:
    """Return per bar whether `a` is smaller than `b` by more than rounding; False where NaN."""
    return above(b, a)


def tied(a: pd.Series | float, b: pd.Series | float) -> pd.Series:
    """Return per bar whether `a` and `b` are equal but for rounding; False where NaN."""
    left, right, index = _pair(a, b)
    return pd.Series(np.abs(left - right) <= TIE * np.maximum(np.abs(left), np.abs(right)), index=index)


def crossed_above(a: pd.Series | float, b: pd.Series | float) -> pd.Series:
    """Return per bar whether `a` is above `b` and was not on the bar before (a tie is "not above").

    False on the first bar and where one of the two bars is NaN: a line that comes out of its
    warm-up above another has not crossed it.
    """
    left, right, index = _pair(a, b)
    now = _above(left, right)
    crossed = np.zeros(len(now), dtype=bool)
    known = ~(np.isnan(left) | np.isnan(right))
    crossed[1:] = now[1:] & ~now[:-1] & known[:-1]
    return pd.Series(crossed, index=index)


def crossed_below(a: pd.Series | float, b: pd.Series | float) -> pd.Series:
    """Return per bar whether `a` is below `b` and was not on the bar before (a tie is "not below")."""
    return crossed_above(b, a)


def _above(left: Floats, right: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return left - right > TIE * np.maximum(np.abs(left), np.abs(right))


def _pair(a: pd.Series | float, b: pd.Series | float) -> tuple[Floats, Floats, pd.Index]:
    series = [x for x in (a, b) if isinstance(x, pd.Series)]
    if not series:
        raise PluginError(
            "comparison: at least one side must be a Series; compare numbers with core.indicators"
        )
    index = series[0].index
    if not index.equals(series[-1].index):
        raise PluginError(
            f"comparison: both Series must have the same index, found {len(index)} rows and "
            f"{len(series[-1].index)} rows; bring a higher interval to the own bars first"
        )
    left, right = np.broadcast_arrays(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    return left, right, index


def _masked(series: pd.Series, bars: int) -> pd.Series:
    values = series.to_numpy(dtype=np.float64, copy=True)
    values[:bars] = np.nan
    return pd.Series(values, index=series.index)


def _moments(name: str, series: pd.Series, window: int) -> tuple[Floats, Floats]:
    window_of(name, window, least=2)
    return rolling_moments(series.to_numpy(dtype=np.float64), window)


def _share(part: pd.Series, whole: pd.Series) -> pd.Series:
    return (100.0 * part / whole).where(whole != 0.0, whole)


def _wilder(series: pd.Series, window: int, first: int) -> pd.Series:
    # The seed, the average of `window` values up to position `first`, takes the place of the
    # value there, so that one exponential average over the rest is the whole recursion.
    values = np.full(len(series), np.nan)
    if len(series) > first:
        rest = series.to_numpy(dtype=np.float64)[first - window + 1 :]
        rest = np.concatenate(([rest[:window].mean()], rest[window:]))
        values[first:] = pd.Series(rest).ewm(alpha=1.0 / window, adjust=False).mean().to_numpy()
    return pd.Series(values, index=series.index)

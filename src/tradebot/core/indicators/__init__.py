"""Compute indicators one value at a time, in constant time per value, with bounded error.

Owns the arithmetic that a `BarStrategy` runs on live and in a backtest. Refuses pandas: whole
series are computed in `tradebot.plugins.indicators`, with the same seeds and the same results.

Every indicator has `push(...)`, which takes the next value and returns the new result or None
while it is not warm; `value`, the last result; `ready`; `warmup`, the number of pushes after
which the first result exists; `save` and `load`, the whole state as plain JSON values.

Numerics, stated so that compiled code can repeat them: plain IEEE float64, in the order written
in each class, no fused multiply-add. Sliding windows never subtract what leaves the window. The
window is always *the tail of the last whole block of `window` values* plus *the head of the
block being filled*; both are summed forward from zero and added once. So the error is at most
`window` roundings of the values now inside the window, whatever went through it before: there
is no drift, and a price of 1e12 that has left the window has left no trace.

NaN is not filtered: the engine turns it into `BadData` before a strategy sees it.
"""

from tradebot.core.indicators.averages import Ema, Macd, MacdValue, Sma, Vwap
from tradebot.core.indicators.base import Indicator
from tradebot.core.indicators.compare import TIE, above, below, crossed_above, crossed_below, tied
from tradebot.core.indicators.lookback import lookback_for
from tradebot.core.indicators.momentum import Roc, Rsi
from tradebot.core.indicators.ranges import Atr, Channel, Donchian, Highest, Lowest, TrueRange
from tradebot.core.indicators.spread import Bands, Bollinger, Variance, ZScore

__all__ = [
    "TIE",
    "Atr",
    "Bands",
    "Bollinger",
    "Channel",
    "Donchian",
    "Ema",
    "Highest",
    "Indicator",
    "Lowest",
    "Macd",
    "MacdValue",
    "Roc",
    "Rsi",
    "Sma",
    "TrueRange",
    "Variance",
    "Vwap",
    "ZScore",
    "above",
    "below",
    "crossed_above",
    "crossed_below",
    "lookback_for",
    "tied",
]

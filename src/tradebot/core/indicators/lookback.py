"""Say how many bars an indicator needs until what came before them no longer matters.

Owns the numbers that strategies declare as `lookback`. Refuses guesses: an indicator that never
forgets (a running total from the first bar) has no lookback and is not in the table.

Not the warm-up: an EMA has a value after `window` bars, but its seed still weighs 13 % of it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, log, log1p

from tradebot.core.indicators.base import window_of
from tradebot.errors import PluginError

# What is left of the seed. A seed may be off by the price range inside the series, so a thousand
# times the value still leaves the 1e-9 to which a window and the whole series must agree.
FADED = 1e-12


def bars_to_fade(alpha: float) -> int:
    """Return the bars after which an exponential average of weight `alpha` forgot its seed."""
    return 1 if alpha >= 1.0 else 1 + ceil(log(FADED) / log1p(-alpha))


def _ema(window: int) -> int:
    return bars_to_fade(2.0 / (window + 1))


def _wilder(window: int) -> int:
    return bars_to_fade(1.0 / window) + window


_BARS: dict[str, Callable[..., int]] = {
    "sma": lambda window: window,
    "stdev": lambda window=20: window,
    "zscore": lambda window: window,
    "bollinger": lambda window=20: window,
    "highest": lambda window: window,
    "lowest": lambda window: window,
    "donchian": lambda window=20: window,
    "cci": lambda window=20: window,
    "vwap": lambda window=14: window,
    "stochastic": lambda window=14, smooth=3: window + smooth - 1,
    "roc": lambda window: window + 1,
    "true_range": lambda: 2,
    "ema": _ema,
    "rsi": lambda window=14: _wilder(window) + 1,
    "atr": lambda window=14: _wilder(window) + 1,
    "macd": lambda fast=12, slow=26, signal=9: max(_ema(fast), _ema(slow)) + _ema(signal),
    "adx": lambda window=14: 2 * _wilder(window) + 1,
}


def lookback_for(indicator: str, *windows: int) -> int:
    """Return the bars that `indicator` needs so that its last value ignores everything before.

    `windows` are the bar counts in the order of the indicator's own parameters ("macd": fast,
    slow, signal); left out, its defaults hold. On that many bars the value equals the one on
    any longer history to 1e-9 of the scale of its inputs. For several indicators take the
    largest; add 1 for a crossing, which also looks at the bar before. An indicator of an
    indicator needs the sum.

    Not covered: a ratio of two averages after both have faded (RSI while no price changes for
    the whole lookback). Raises PluginError for an unknown name.
    """
    bars = _BARS.get(indicator)
    if bars is None:
        raise PluginError(
            f"lookback_for: {indicator!r} is not an indicator; known: {', '.join(sorted(_BARS))}"
        )
    for window in windows:
        window_of(f"lookback_for({indicator!r})", window)
    try:
        return bars(*windows)
    except TypeError as exc:
        raise PluginError(
            f"lookback_for({indicator!r}): {len(windows)} windows do not fit its parameters"
        ) from exc

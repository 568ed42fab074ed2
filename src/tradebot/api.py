"""The names a strategy file may use: `from tradebot.api import BarStrategy, Sma`.

Owns what stays stable between versions; everything else inside tradebot may move. pandas is
loaded only when a name that needs it is asked for (`FrameStrategy`, `align`, `ta`).

`ta` are the indicators on whole Series (`ta.sma(bars["close"], 50)`, `ta.above(fast, slow)`);
the capitalised ones (`Sma`, `Atr`, ...) are their twins that take one value at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradebot.core.indicators import (
    Atr,
    Bollinger,
    Donchian,
    Ema,
    Highest,
    Lowest,
    Macd,
    Roc,
    Rsi,
    Sma,
    TrueRange,
    Variance,
    Vwap,
    ZScore,
    above,
    below,
    crossed_above,
    crossed_below,
    lookback_for,
    tied,
)
from tradebot.core.model import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    WEEK,
    Bar,
    Book,
    Fill,
    Level,
    Liquidity,
    Quote,
    Side,
)
from tradebot.core.strategy import (
    BarStrategy,
    Context,
    Input,
    Intent,
    PortfolioStrategy,
    Quotes,
    QuoteStrategy,
    Target,
    Weights,
)

if TYPE_CHECKING:
    from tradebot.plugins import indicators as ta
    from tradebot.plugins.frame import FrameStrategy, align

__all__ = [
    "DAY",
    "HOUR",
    "MINUTE",
    "SECOND",
    "WEEK",
    "Atr",
    "Bar",
    "BarStrategy",
    "Bollinger",
    "Book",
    "Context",
    "Donchian",
    "Ema",
    "Fill",
    "FrameStrategy",
    "Highest",
    "Input",
    "Intent",
    "Level",
    "Liquidity",
    "Lowest",
    "Macd",
    "PortfolioStrategy",
    "Quote",
    "QuoteStrategy",
    "Quotes",
    "Roc",
    "Rsi",
    "Side",
    "Sma",
    "Target",
    "TrueRange",
    "Variance",
    "Vwap",
    "Weights",
    "ZScore",
    "above",
    "align",
    "below",
    "crossed_above",
    "crossed_below",
    "lookback_for",
    "ta",
    "tied",
]

# name -> (module, attribute; None = the module itself)
_NEEDS_PANDAS = {
    "FrameStrategy": ("tradebot.plugins.frame", "FrameStrategy"),
    "align": ("tradebot.plugins.frame", "align"),
    "ta": ("tradebot.plugins.indicators", None),
}


def __getattr__(name: str) -> object:
    if name not in _NEEDS_PANDAS:
        raise AttributeError(f"tradebot.api has no '{name}'; it offers: {', '.join(__all__)}")
    # Local, because a module-level __getattr__ must not be asked for its own helpers.
    from importlib import import_module

    module, attribute = _NEEDS_PANDAS[name]
    found: object = import_module(module)
    if attribute is not None:
        found = getattr(found, attribute)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__

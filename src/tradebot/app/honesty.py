"""Check, beside every backtest, that its strategies do not see the future.

Owns the choice of the quick form and what it is run on. The proof itself is `plugins.check`;
`tradebot strategies check` runs the full form.
"""

from __future__ import annotations

from collections.abc import Mapping

from tradebot.app.deciders import Recipe
from tradebot.app.market import Loaded, items_of
from tradebot.core.model import Bar
from tradebot.core.strategy import BarStrategy
from tradebot.data.arrays import BarArrays
from tradebot.errors import PluginError

# Called bar by bar, a strategy is checked on its last bars only: a year of minutes would take longer
# than the backtest.
_MOST_BARS = 5_000


def verdict_of(recipe: Recipe, series: Mapping[tuple[str, int], Loaded]) -> str:
    """Return what the quick check says of a strategy on its first instrument, as one text."""
    instrument = recipe.words.instruments[0]
    own = series[instrument, recipe.words.interval or 0]
    if not isinstance(own.columns, BarArrays):
        return "not checked: it decides on quotes, one at a time"
    if recipe.is_joint:
        return "not checked: it decides about several instruments at once"
    if recipe.is_frame:
        return _frame(recipe, instrument, own.columns, series)
    return _bars(recipe, own)


def _frame(recipe: Recipe, instrument: str, own: BarArrays, series: Mapping[tuple[str, int], Loaded]) -> str:
    from tradebot.plugins.check import check_frame_strategy
    from tradebot.plugins.frame import FrameStrategy

    made = recipe.create()
    if not isinstance(made, FrameStrategy):
        raise PluginError(f"{recipe.plugin.reference} must be a FrameStrategy")
    others = {i: series[i.instrument or instrument, i.interval].columns for i in made.inputs()}
    bars = {i: c for i, c in others.items() if isinstance(c, BarArrays)}
    return check_frame_strategy(made, own, bars, quick=True).text


def _bars(recipe: Recipe, own: Loaded) -> str:
    from tradebot.plugins.check_bars import check_bar_strategy

    def make() -> BarStrategy:
        made = recipe.create()
        if not isinstance(made, BarStrategy):
            raise PluginError(f"{recipe.plugin.reference} must be a BarStrategy")
        return made

    if make().inputs():
        return "not checked: it reads further series bar by bar"
    size = len(own.columns)
    rows = items_of(own, slice(max(0, size - _MOST_BARS), size))
    return check_bar_strategy(make, [b for b in rows if isinstance(b, Bar)], quick=True).text

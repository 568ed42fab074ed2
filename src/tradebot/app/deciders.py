"""Load the strategies of a configuration and make the objects that decide.

Owns the way from `file.py:Class` and params to objects in the engine's seats: one per
instrument, or one for all where the kind asks for it. A FrameStrategy is computed over the
whole history here, in one pass, and replayed bar by bar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.app import plan
from tradebot.app.misfits import misfit, require_none
from tradebot.config.models import Config
from tradebot.config.strategies import Strategy as StrategyWords
from tradebot.core.happenings import Split
from tradebot.core.strategy import BarStrategy, Input, PortfolioStrategy, Strategy
from tradebot.errors import PluginError, Problem
from tradebot.plugins.loader import Loaded as Plugin
from tradebot.plugins.loader import load_strategy, search_path
from tradebot.plugins.params import build_params

if TYPE_CHECKING:
    from tradebot.app.market import Loaded

# A market maker rests the quantities it names; it has no target to size, slice, protect or retry.
_NOT_FOR_QUOTES = (
    "interval",
    "sizing",
    "resize",
    "exits",
    "orders",
    "execution",
    "first_entry",
    "late_entry",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A loaded strategy class with its parameters, ready to make objects."""

    words: StrategyWords
    plugin: Plugin
    params: object

    def create(self) -> Strategy:
        """Return a new strategy object."""
        return self.plugin.create(self.params)

    def renew(self, instrument: str) -> Strategy:
        """Return an object without memory, for an instrument whose prices were split."""
        return self.create()

    @property
    def is_frame(self) -> bool:
        return self.plugin.kind == "frame"

    @property
    def is_joint(self) -> bool:
        """True when one object decides about all instruments."""
        cls = self.plugin.cls
        return issubclass(cls, PortfolioStrategy) or (issubclass(cls, BarStrategy) and cls.together)


def recipes(config: Config, project: Path, only: tuple[str, ...] = ()) -> list[Recipe]:
    """Load the strategies (all, or those whose id is in `only`) and check their parameters.

    Raises ConfigError with every wrong parameter of every strategy, PluginError for code.
    """
    folders = search_path(project)
    made: list[Recipe] = []
    problems: list[Problem] = []
    for index, words in enumerate(config.strategies):
        if not only or words.id in only:
            recipe, wrong = recipe_of(words, f"strategies[{index}]", folders)
            made.append(recipe)
            problems += wrong
    require_none(problems)
    return made


def recipe_of(words: StrategyWords, where: str, folders: Sequence[Path]) -> tuple[Recipe, list[Problem]]:
    """Load one strategy; returns what is wrong with its settings beside it. Raises PluginError for code."""
    plugin = load_strategy(words.class_path, folders)
    params, wrong = build_params(plugin.cls, words.params)
    problems = [
        misfit(".".join(p for p in (f"{where}.params", problem.key) if p), problem.message)
        for problem in wrong
    ]
    problems += _without_effect(words, plugin, where)
    if words.interval is None and plugin.kind != "quote":
        message = f"is required: {words.class_path} decides on bars; write for example 1d"
        problems.append(misfit(f"{where}.interval", message))
    return Recipe(words=words, plugin=plugin, params=params), problems


def _without_effect(words: StrategyWords, plugin: Plugin, where: str) -> list[Problem]:
    """Return a problem for each setting given to a kind of strategy that has no use for it."""
    useless = _NOT_FOR_QUOTES if plugin.kind == "quote" else ()
    if plugin.kind != "portfolio":
        useless = (*useless, "schedule")
    given = [key for key in useless if getattr(words, key) != StrategyWords.model_fields[key].default]
    message = f"must be absent: {words.class_path} is a {plugin.kind} strategy, on which it has no effect"
    return [misfit(f"{where}.{key}", message) for key in given]


def instruments_of(recipe: Recipe) -> list[str]:
    """Return the instruments a strategy trades or reads bars of."""
    read = [wanted.instrument for wanted in recipe.create().inputs() if wanted.instrument]
    return [*recipe.words.instruments, *read]


def lookback_of(strategy: Strategy, wanted: Input | None = None) -> int:
    """Return how many bars of a series must come before the first decision."""
    asks = getattr(strategy, "lookback_of", None)
    if wanted is not None and asks is not None:
        return int(asks(wanted))
    return strategy.lookback


def needs_of(recipes: Sequence[Recipe]) -> dict[tuple[str, int], int]:
    """Return the series that strategies need, (instrument, interval), each with the bars of its warm-up."""
    needs: dict[tuple[str, int], int] = {}
    for recipe in recipes:
        sample = recipe.create()
        interval = recipe.words.interval or 0
        for name in recipe.words.instruments:
            lookback = max(lookback_of(sample), plan.sizing_lookback(recipe.words))
            needs[name, interval] = max(needs.get((name, interval), 0), lookback)
            for wanted in sample.inputs():
                key = (wanted.instrument or name, wanted.interval)
                needs[key] = max(needs.get(key, 0), lookback_of(sample, wanted))
    return needs


def live_seat(recipe: Recipe) -> dict[str, Strategy]:
    """Return the deciders of a strategy that meets its bars one by one, as they close."""
    if not recipe.is_frame:
        return seat(recipe, {}, ())
    from tradebot.plugins.adapter import FrameAdapter
    from tradebot.plugins.frame import FrameStrategy

    deciders: dict[str, Strategy] = {}
    for instrument in recipe.words.instruments:
        made = recipe.create()
        if not isinstance(made, FrameStrategy):
            raise PluginError(f"{recipe.plugin.reference} must be a FrameStrategy")
        deciders[instrument] = FrameAdapter(made, instrument)
    return deciders


def seat_frames(
    recipe: Recipe,
    series: Mapping[tuple[str, int], Loaded],
    splits: tuple[Split, ...],
) -> dict[str, Strategy]:
    """Return one decider per instrument, with its targets computed over all loaded bars."""
    from tradebot.data.arrays import BarArrays
    from tradebot.plugins.adapter import FrameAdapter
    from tradebot.plugins.frame import FrameStrategy
    from tradebot.plugins.runner import FrameRunner

    deciders: dict[str, Strategy] = {}
    for instrument in recipe.words.instruments:
        made = recipe.create()
        if not isinstance(made, FrameStrategy):
            raise PluginError(f"{recipe.plugin.reference} must be a FrameStrategy")
        runner = FrameRunner(made, instrument)
        own = series[instrument, recipe.words.interval or 0].columns
        others = {i: series[i.instrument or instrument, i.interval].columns for i in runner.inputs}
        bars = {i: c for i, c in others.items() if isinstance(c, BarArrays)}
        if not isinstance(own, BarArrays):
            raise PluginError(f"{recipe.plugin.reference} decides on bars, was given quotes")
        history = runner.precompute(own, bars, splits)
        deciders[instrument] = FrameAdapter(made, instrument, history.plain(), said=history.said)
    return deciders


def seat(
    recipe: Recipe, series: Mapping[tuple[str, int], Loaded], splits: tuple[Split, ...]
) -> dict[str, Strategy]:
    """Return the deciders of a strategy by instrument; a joint one appears under each of them."""
    if recipe.is_frame:
        return seat_frames(recipe, series, splits)
    if recipe.is_joint:
        one = recipe.create()
        return dict.fromkeys(recipe.words.instruments, one)
    return {instrument: recipe.create() for instrument in recipe.words.instruments}

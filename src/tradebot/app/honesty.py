"""Prove strategies honest: that they do not see the future, and that their lookback suffices.

Owns which proof fits which kind: the whole pass against its windows for frames, restarts for
strategies that are called with one bar, one quote or one price of each instrument at a time. The
proofs themselves are `plugins.check`, `plugins.check_bars` and `plugins.check_calls`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tradebot.app.deciders import Recipe, instruments_of
from tradebot.app.market import Loaded, feed_of, instrument_of, items_of
from tradebot.app.plan import schedule_of
from tradebot.config.models import Config
from tradebot.core.model import Bar, Quote
from tradebot.core.strategy import BarStrategy, Input, Strategy
from tradebot.data.arrays import BarArrays, Floats
from tradebot.errors import Interrupted, PluginError
from tradebot.plugins.blame import raised_in, shown
from tradebot.plugins.verdict import Verdict

Series = Mapping[tuple[str, int], Loaded]

# Called bar by bar, a strategy is checked beside a backtest on its last bars only: a year of minutes
# would take longer than the backtest.
_MOST_BARS = 5_000


def load_for(recipe: Recipe, config: Config, project: Path) -> Series:
    """Return the whole stored history of every series that a strategy decides on.

    Raises DataError when one is not stored.
    """
    feed = feed_of(config, project, recipe.words.account, instruments_of(recipe))
    series: dict[tuple[str, int], Loaded] = {}
    for name, interval in _needed(recipe):
        instrument = instrument_of(feed.catalogue, config, name)
        series[name, interval] = feed.load(instrument, interval, start=None, end=None, lookback=0)
    return series


def _needed(recipe: Recipe) -> tuple[tuple[str, int], ...]:
    inputs = recipe.create().inputs()
    needed: list[tuple[str, int]] = []
    for name in recipe.words.instruments:
        needed.append((name, recipe.words.interval or 0))
        needed += [(wanted.instrument or name, wanted.interval) for wanted in inputs]
    return tuple(dict.fromkeys(needed))


def verdict_of(recipe: Recipe, series: Series, deciders: Mapping[str, Strategy]) -> str:
    """Return what the quick check says of a strategy on its first instrument, as one text.

    `deciders` are its seated objects by instrument: what they computed is not computed again.
    """
    instrument = recipe.words.instruments[0]
    said = getattr(deciders.get(instrument), "said", None)
    try:
        return verdict_on(recipe, instrument, series, quick=True, said=said).text
    except PluginError as exc:
        return f"not checked: {exc}"  # the run itself says what became of the strategy


def verdict_on(
    recipe: Recipe,
    instrument: str,
    series: Series,
    *,
    quick: bool = False,
    seed: int = 0,
    said: Floats | None = None,
) -> Verdict:
    """Return whether a strategy is honest on one of its instruments; one that decides on all, on all.

    `quick` takes a sample; `seed` picks its random bars; `said` are the targets that a frame strategy
    gave for all bars, where they are known. Raises PluginError when the strategy raises.
    """
    strategy = recipe.create()
    if recipe.is_frame:
        return _verdict(recipe, strategy, instrument, series, quick=quick, seed=seed, said=said)
    try:
        return _verdict(recipe, strategy, instrument, series, quick=quick, seed=seed, said=None)
    except (PluginError, Interrupted):
        raise
    except BaseException as exc:
        raise raised_in(str(recipe.plugin.path), recipe.plugin.cls.__name__, exc) from exc


def _verdict(
    recipe: Recipe,
    strategy: Strategy,
    instrument: str,
    series: Series,
    *,
    quick: bool,
    seed: int,
    said: Floats | None,
) -> Verdict:
    if recipe.is_joint:
        return _call_verdict(recipe, recipe.words.instruments, series, quick=quick, seed=seed)
    inputs = {
        wanted: series[wanted.instrument or instrument, wanted.interval] for wanted in strategy.inputs()
    }
    own = series[instrument, recipe.words.interval or 0]
    if recipe.is_frame:
        return _frame_verdict(strategy, own, inputs, quick=quick, seed=seed, said=said)
    if isinstance(strategy, BarStrategy):
        return _bar_verdict(recipe, own, inputs, quick=quick, seed=seed)
    return _call_verdict(recipe, (instrument,), series, quick=quick, seed=seed)


def _frame_verdict(
    strategy: Strategy,
    own: Loaded,
    inputs: Mapping[Input, Loaded],
    *,
    quick: bool,
    seed: int,
    said: Floats | None,
) -> Verdict:
    # pandas is loaded with these, and only frames need it.
    from tradebot.plugins.check import check_frame_strategy
    from tradebot.plugins.frame import FrameStrategy

    if not isinstance(strategy, FrameStrategy):
        raise PluginError(f"{type(strategy).__name__} must be a FrameStrategy")
    others = {wanted: loaded.columns for wanted, loaded in inputs.items()}
    bars = {wanted: columns for wanted, columns in others.items() if isinstance(columns, BarArrays)}
    if not isinstance(own.columns, BarArrays) or len(bars) < len(others):
        raise PluginError(f"{type(strategy).__name__} decides on bars, was given quotes")
    return check_frame_strategy(strategy, own.columns, bars, quick=quick, seed=seed, said=said)


def _bar_verdict(
    recipe: Recipe, own: Loaded, inputs: Mapping[Input, Loaded], *, quick: bool, seed: int
) -> Verdict:
    from tradebot.plugins.check_bars import check_bar_strategy

    def make() -> BarStrategy:
        made = recipe.create()
        if not isinstance(made, BarStrategy):
            raise PluginError(f"{recipe.plugin.reference} must be a BarStrategy")
        return made

    most = max(_MOST_BARS, 3 * make().lookback) if quick else len(own.columns)
    return check_bar_strategy(
        make,
        _bars(own, most),
        {wanted: _bars(loaded, len(loaded.columns)) for wanted, loaded in inputs.items()},
        quick=quick,
        seed=seed,
        file=shown(str(recipe.plugin.path)),
    )


def _call_verdict(recipe: Recipe, names: Sequence[str], series: Series, *, quick: bool, seed: int) -> Verdict:
    from tradebot.plugins.check_calls import check_calls

    interval, sample = recipe.words.interval or 0, recipe.create()
    most = max(_MOST_BARS, 3 * sample.lookback)
    needed = [(name, interval) for name in names]
    needed += [(wanted.instrument or names[0], wanted.interval) for wanted in sample.inputs()]
    return check_calls(
        recipe.create,
        names,
        interval,
        {
            Input(length, name): _items(
                series[name, length],
                most if quick and length == interval else len(series[name, length].columns),
            )
            for name, length in dict.fromkeys(needed)
        },
        schedule=schedule_of(recipe.words),
        quick=quick,
        seed=seed,
        file=shown(str(recipe.plugin.path)),
    )


def _items(loaded: Loaded, most: int) -> list[Bar | Quote]:
    size = len(loaded.columns)
    return list(items_of(loaded, slice(max(0, size - most), size)))


def _bars(loaded: Loaded, most: int) -> list[Bar]:
    return [item for item in _items(loaded, most) if isinstance(item, Bar)]

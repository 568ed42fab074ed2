"""Say all that a backtest would refuse of a configuration, before it reads a bar.

Owns the gathering: each check is the one that the run itself makes. What depends on stored data (are
there bars of that span?) is left to the run; an instrument that is not stored yet is taken as said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tradebot.app import plan
from tradebot.app.capital import capital_of
from tradebot.app.deciders import Recipe, instruments_of, needs_of, recipe_of
from tradebot.app.loading import finer_than
from tradebot.app.market import feed_of, instrument_of
from tradebot.app.misfits import account_misfits, base_currency, misfit, require_none, strategy_misfits
from tradebot.app.rates import rate_along, rate_misfits
from tradebot.config.models import Config
from tradebot.core.model import Instrument
from tradebot.data.catalogue import Catalogue
from tradebot.errors import ConfigError, DataError, PluginError, Problem
from tradebot.plugins.loader import search_path


def review(config: Config, project: Path) -> list[Problem]:
    """Return every problem; none means that a backtest starts, if the data are there."""
    folders = search_path(project)
    made: list[Recipe] = []
    found: list[Problem] = []
    for index, words in enumerate(config.strategies):
        where = f"strategies[{index}]"
        try:
            recipe, wrong = recipe_of(words, where, folders)
            if not wrong:
                needs_of([recipe])
                made.append(recipe)
        except PluginError as exc:
            wrong = [misfit(f"{where}.class", str(exc))]
        found += wrong
    for account in dict.fromkeys(s.account for s in config.strategies):
        found += _account(config, project, account, [r for r in made if r.words.account == account])
    return list(dict.fromkeys(found))


def _account(config: Config, project: Path, name: str, made: Sequence[Recipe]) -> list[Problem]:
    found: list[Problem] = []

    def tried(check: Callable[[], object]) -> None:
        try:
            check()
        except ConfigError as exc:
            found.extend(exc.problems)
        except DataError:
            pass  # of data that are not there yet

    names = list(dict.fromkeys(n for recipe in made for n in instruments_of(recipe)))
    tried(lambda: feed_of(config, project, name, names))
    if found:
        return found
    catalogue = feed_of(config, project, name, names).catalogue
    known = _known(config, catalogue, names)
    for recipe in made:
        found += strategy_misfits(recipe.words, known)
    tried(lambda: plan.slippage_model(config.slippage_of(name)))
    if config.fills_of(name).intrabar_path == "finer_bars":
        for instrument, interval in needs_of(made):
            tried(partial(finer_than, catalogue, instrument, interval))
    rates = len(found)
    if config.accounts[name].cash:  # a venue's own account need not say what it holds
        wrong = account_misfits(config, name)
        found += wrong
        if not wrong:
            tried(lambda: capital_of(config, name))
        rates = len(found)
        tried(lambda: require_none(rate_misfits(config, name, known.values(), catalogue)))
        tried(lambda: _benchmark(config, name, catalogue))
    if known and rates == len(found):  # a fee in a third asset asks for the same rate once more
        tried(lambda: plan.fee_model(config.fees_of(name), config.rates, known.values()))
    return found


def _known(config: Config, catalogue: Catalogue, names: Sequence[str]) -> dict[str, Instrument]:
    known: dict[str, Instrument] = {}
    for name in names:
        try:
            known[name] = instrument_of(catalogue, config, name)
        except DataError:
            continue
    return known


def _benchmark(config: Config, account: str, catalogue: Catalogue) -> None:
    word, base = config.backtest.benchmark, base_currency(config.accounts[account])
    if word not in ("none", "hold"):
        rate_along(config, catalogue, catalogue.instrument(word).quote, base, np.empty(0, np.int64))

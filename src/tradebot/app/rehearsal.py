"""See whether what is about to trade real money has ever run on paper as it is.

Owns the question that a live start asks of the paper journals beside its own: the same code, parameters,
instruments and interval. Sizing and exits may differ: amounts are what one changes on the way to
real money. Refuses judging how the paper run went.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from tradebot.app.deciders import recipes
from tradebot.config.models import Config
from tradebot.config.schema import resolved
from tradebot.core.facts import StrategyConfigured
from tradebot.errors import ConfigError, Problem
from tradebot.store import story
from tradebot.store.views import Views

_SAME = ("params", "instruments", "interval")


def rehearsed(config: Config, project: Path, state: Path, *, although: Collection[str] = ()) -> None:
    """Refuse a live start of strategies that never ran on paper as they are.

    `state` is the folder that holds the project's accounts; `although` names strategies to let through.
    Raises ConfigError that names each with what is new about it.
    """
    if config.mode != "live":
        return
    _known(config, although)
    sections = {str(one["id"]): one for one in resolved(config)["strategies"]}
    runs = list(_paper_runs(state))
    problems: list[Problem] = []
    for index, recipe in enumerate(recipes(config, project)):
        name = recipe.words.id
        if name in although:
            continue
        new = _new(sections[name], recipe.plugin.digest, [run for run in runs if run.strategy == name])
        if new:
            message = (
                f"must have run on paper as it is before it trades real money; {name} {new}; "
                f"run it in mode: paper first, or say --never-on-paper {name}"
            )
            problems.append(
                Problem(file="configuration", line=None, key=f"strategies[{index}]", message=message)
            )
    if problems:
        raise ConfigError(problems)


def _known(config: Config, names: Iterable[str]) -> None:
    known = [strategy.id for strategy in config.strategies]
    for name in names:
        if name not in known:
            message = f"--never-on-paper must name a strategy ({', '.join(known)}), was {name!r}"
            raise ConfigError([Problem(file="configuration", line=None, key="strategies", message=message)])


def _paper_runs(state: Path) -> Iterable[StrategyConfigured]:
    for journal in sorted(state.glob("paper-*-*/journal.db")):
        with Views.open(journal) as views:
            yield from story.configured(views)


def _new(section: dict[str, Any], code: str, runs: list[StrategyConfigured]) -> str:
    """Return what no paper run had, in words; empty when one had all of it."""
    if not runs:
        return "never did"
    closest: list[str] = []
    for run in reversed(runs):
        before = json.loads(run.settings)
        new = [key for key in _SAME if before.get(key) != section.get(key)]
        new += [] if run.code == code else ["code"]
        if not new:
            return ""
        if not closest or len(new) < len(closest):
            closest = new
    return f"did with other {' and '.join(closest)}"

"""Run a backtest: the configuration's strategies over stored data, on the simulated venue.

Owns the order of steps. Strategies of one account share an engine, as they will when they trade;
accounts do not touch each other and run one after the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from tradebot.app import plan
from tradebot.app.beside import Beside
from tradebot.app.capital import capital_of
from tradebot.app.deciders import Recipe, instruments_of, needs_of, recipes, seat
from tradebot.app.fast import traded_by_kernel, wants_kernel
from tradebot.app.honesty import verdict_of
from tradebot.app.loading import load_market
from tradebot.app.market import Feed, Loaded, events_of, feed_of
from tradebot.app.misfits import base_currency, refuse
from tradebot.app.rates import rate_events, require_rates
from tradebot.app.results import Digests, Scene, Traded, result_of, traded_by_engine
from tradebot.config.models import Config
from tradebot.config.schema import digest as config_digest
from tradebot.core.happenings import Split
from tradebot.core.model import Instrument
from tradebot.core.setup import Setup, StrategySpec
from tradebot.errors import UsageError
from tradebot.report.result import RunResult

if TYPE_CHECKING:
    from tradebot.core.facts import Recorded
    from tradebot.sim.timeline import Event

_LONG = 100_000  # bars from which on the look-ahead check is worth a processor of its own

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRequest:
    """What to run, from the configuration's `backtest.from` to its `to`.

    `speed`: "engine" is the reference, "kernel" the compiled replay of the same rules, "auto"
    takes the kernel where it can and pays. `progress` is told (what, share done), `on_fact` every
    fact of the engine in order. `meanwhile` is given each result while its strategy is still being
    checked for look-ahead: all of it is there but the verdict.
    """

    config: Config
    project: Path
    strategies: tuple[str, ...] = ()
    speed: str = "auto"
    progress: Progress | None = None
    on_fact: Callable[[Recorded], None] | None = None
    meanwhile: Callable[[RunResult], None] | None = None


def backtest(request: BacktestRequest) -> list[RunResult]:
    """Run and return one result per strategy, in the configuration's order.

    Raises ConfigError, PluginError, DataError; UsageError for a strategy id that is not configured.
    """
    known = [s.id for s in request.config.strategies]
    for name in request.strategies:
        if name not in known:
            raise UsageError(f"no strategy {name!r} is configured; there are: {', '.join(known)}")
    made = recipes(request.config, request.project, request.strategies)
    results: dict[str, RunResult] = {}
    for account in request.config.accounts:
        own = [r for r in made if r.words.account == account]
        if own:
            for result in _AccountRun(request, account, own).run():
                results[result.strategies[0].id] = result
    return [results[name] for name in known if name in results]


class _AccountRun:
    """One account's strategies through one engine."""

    def __init__(self, request: BacktestRequest, account: str, recipes: Sequence[Recipe]) -> None:
        self.request = request
        self.config = request.config
        self.account = account
        self.recipes = recipes
        words = self.config.accounts[account]
        if words.venue != "sim" and not words.cash:
            raise refuse(
                f"accounts.{account}.cash", "a backtest of a venue's account needs cash, such as 10000 USD"
            )
        self.base = base_currency(words)
        self.feed: Feed = self._feed()
        self.catalogue = self.feed.catalogue
        self.instruments: dict[str, Instrument] = {}
        self.series: dict[tuple[str, int], Loaded] = {}
        self.events: list[Event] = []
        self.started = perf_counter()

    def run(self) -> list[RunResult]:
        self._tell("loading", 0.0)
        self._load()
        first = min(s.columns.ts[s.start] for s in self.series.values())
        last = int(max(s.columns.ts[-1] for s in self.series.values()))
        begin = int(first) - max((s.interval for s in self.series.values()), default=0)
        require_rates(self.config, self.account, self.instruments.values(), self.catalogue, begin)
        events = events_of(self.catalogue, list(self.instruments.values()), begin, last)
        events = rate_events(self.config, self.catalogue, events, begin, last)
        self.events = events
        splits = tuple(e for e in events if isinstance(e, Split))
        specs = self._specs(splits)
        checked = Beside(partial(self._verdicts, specs), copy=self._rows() >= _LONG)
        scene = self._scene()
        setup = Setup(
            instruments=self.instruments,
            accounts=(plan.account_spec(self.config, self.account),),
            strategies=tuple(specs),
            quanta={},
        )
        self._tell("running", 0.0)
        traded = self._trade(scene, setup, begin, last)
        self._tell("running", 1.0)
        results = [self._finished(scene, spec, traded) for spec in specs]
        if self.request.meanwhile is not None:
            for result in results:
                self.request.meanwhile(result)
        pairs = zip(results, checked.result(), strict=True)
        return [replace(result, check_verdict=verdict) for result, verdict in pairs]

    def _verdicts(self, specs: Sequence[StrategySpec]) -> list[str]:
        """Return what the quick check says of each strategy."""
        pairs = zip(self.recipes, specs, strict=True)
        return [verdict_of(recipe, self.series, spec.deciders) for recipe, spec in pairs]

    def _rows(self) -> int:
        return sum(len(s.columns) - s.start for s in self.series.values())

    def _trade(self, scene: Scene, setup: Setup, begin: int, last: int) -> dict[str, Traded]:
        """Run on the kernel where that is asked for, pays and can be done; else on the engine."""
        refused = ""
        if wants_kernel(self.request.speed, self._rows()):
            found = traded_by_kernel(scene, setup, setup.strategies)
            if isinstance(found, dict):
                return found
            refused = found
        # The engine and its facts are a twentieth of a backtest's time to load: the kernel needs neither.
        from tradebot.app.engine import run_engine

        collector = run_engine(scene, setup, begin, last, self._tell, on_fact=self.request.on_fact)
        notes: tuple[str, ...] = ()
        if refused and self.request.speed == "kernel":
            notes = (f"the engine ran instead of the kernel: {refused}",)
        return {
            spec.id: traded_by_engine(scene, spec, collector, self._own(spec), notes)
            for spec in setup.strategies
        }

    def _scene(self) -> Scene:
        return Scene(
            config=self.config,
            account=self.account,
            catalogue=self.catalogue,
            instruments=self.instruments,
            series=self.series,
            events=self.events,
            digests=self._digests(),
            started=self.started,
            notes=self._notes(),
        )

    def _notes(self) -> tuple[str, ...]:
        if not self.feed.live:
            return ()
        key = f"accounts.{self.account}.feed"
        return (f"{key}: {self.feed.live} is not followed, the backtest reads what is stored",)

    def _own(self, spec: StrategySpec) -> list[Loaded]:
        return [self.series[name, spec.interval] for name in spec.instruments]

    def _finished(self, scene: Scene, spec: StrategySpec, traded: Mapping[str, Traded]) -> RunResult:
        recipe = next(r for r in self.recipes if r.words.id == spec.id)
        return result_of(scene, recipe, spec, traded[spec.id], self._own(spec))

    def _tell(self, what: str, done: float) -> None:
        if self.request.progress is not None:
            self.request.progress(what, done)

    # --- before -----------------------------------------------------------------------------------

    def _load(self) -> None:
        span = self.config.backtest
        needs = needs_of(self.recipes)
        loaded = load_market(self.config, self.account, self.feed, needs, span.from_, span.to)
        self.instruments, self.series = loaded.instruments, loaded.series

    def _feed(self) -> Feed:
        names = [name for recipe in self.recipes for name in instruments_of(recipe)]
        return feed_of(self.config, self.request.project, self.account, names)

    def _specs(self, splits: tuple[Split, ...]) -> list[StrategySpec]:
        shares = capital_of(self.config, self.account)
        specs: list[StrategySpec] = []
        for recipe in self.recipes:
            deciders = seat(recipe, self.series, splits)
            spec = plan.strategy_spec(recipe.words, deciders, shares[recipe.words.id], self.instruments)
            if splits and not recipe.is_joint:
                spec = replace(spec, renew=recipe.renew)
            specs.append(spec)
        return specs

    def _digests(self) -> Digests:
        code = hashlib.sha256("".join(r.plugin.digest for r in self.recipes).encode()).hexdigest()
        data = hashlib.sha256("".join(s.digest for s in self.series.values()).encode()).hexdigest()
        return Digests(config=config_digest(self.config), code=code, data=data)

"""Run a backtest: the configuration's strategies over stored data, on the simulated venue.

Owns the order of steps. Strategies of one account share an engine, as they will when they trade;
accounts do not touch each other and run one after the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from time import perf_counter

from tradebot.app import plan
from tradebot.app.capital import capital_of
from tradebot.app.deciders import Recipe, instruments_of, recipes, seat
from tradebot.app.fast import traded_by_kernel, wants_kernel
from tradebot.app.gaps import told_apart
from tradebot.app.honesty import verdict_of
from tradebot.app.loading import load_market
from tradebot.app.market import (
    Feed,
    Loaded,
    events_of,
    feed_of,
    slices_of,
)
from tradebot.app.outcome import END_OF_DATA, Collector
from tradebot.app.rates import first_rates, rate_events, require_rates
from tradebot.app.results import Digests, Scene, Traded, result_of, traded_by_engine
from tradebot.app.simulated import sim_venue
from tradebot.config.models import Config
from tradebot.config.schema import digest as config_digest
from tradebot.core.engine import Engine
from tradebot.core.facts import Recorded
from tradebot.core.messages import End, HaltLevel, SessionOpen, SetHalt, Split, Start
from tradebot.core.model import ALWAYS_OPEN, SECOND, Instrument
from tradebot.core.setup import Setup, StrategySpec
from tradebot.errors import UsageError
from tradebot.report.result import RunResult
from tradebot.sim.replay import Replay
from tradebot.sim.settings import ForcePrice, MarketAt
from tradebot.sim.timeline import Event
from tradebot.sim.venue import SimVenue

_STEPS_TOLD = 50

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRequest:
    """What to run, from the configuration's `backtest.from` to its `to`.

    `speed`: "engine" is the reference, "kernel" the compiled replay of the same rules, "auto"
    takes the kernel where it can and pays. `progress` is told (what, share done), `on_fact` every
    fact of the engine in order.
    """

    config: Config
    project: Path
    strategies: tuple[str, ...] = ()
    speed: str = "auto"
    progress: Progress | None = None
    on_fact: Callable[[Recorded], None] | None = None


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
            raise plan.refuse(
                f"accounts.{account}.cash", "a backtest of a venue's account needs cash, such as 10000 USD"
            )
        self.base = plan.base_currency(words)
        self.feed: Feed = self._feed()
        self.catalogue = self.feed.catalogue
        self.instruments: dict[str, Instrument] = {}
        self.series: dict[tuple[str, int], Loaded] = {}
        self.events: list[Event] = []
        self.verdicts: dict[str, str] = {}
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
        for recipe in self.recipes:
            self.verdicts[recipe.words.id] = verdict_of(recipe, self.series)
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
        return [self._finished(scene, spec, traded) for spec in specs]

    def _trade(self, scene: Scene, setup: Setup, begin: int, last: int) -> dict[str, Traded]:
        """Run on the kernel where that is asked for, pays and can be done; else on the engine."""
        rows = sum(len(s.columns) - s.start for s in self.series.values())
        refused = ""
        if wants_kernel(self.request.speed, rows):
            found = traded_by_kernel(scene, setup, setup.strategies)
            if isinstance(found, dict):
                return found
            refused = found
        collector = self._run_engine(scene, setup, begin, last)
        notes: tuple[str, ...] = ()
        if refused and self.request.speed == "kernel":
            notes = (f"the engine ran instead of the kernel: {refused}",)
        return {
            spec.id: traded_by_engine(scene, spec, collector, self._own(spec), notes)
            for spec in setup.strategies
        }

    def _run_engine(self, scene: Scene, setup: Setup, begin: int, last: int) -> Collector:
        engine = Engine(setup)
        collector = Collector(engine.ledger, self.instruments)
        venue = sim_venue(self.config, self.account, self.instruments)
        fills = self.config.fills_of(self.account)
        replay = Replay(
            engine,
            venue,
            events=self.events,
            on_fact=self._told(collector),
            close_first=MarketAt(fills.market_at) is not MarketAt.SAME_CLOSE,
        )
        run_id = f"backtest-{begin // SECOND}"
        replay.tell(
            Start(
                ts=begin,
                run_id=run_id,
                epoch=max(begin // SECOND, 1),
                config_digest=scene.digests.config,
                code_digest=scene.digests.code,
            ),
            begin,
        )
        for rate in first_rates(self.config, self.catalogue, begin):
            replay.tell(rate, begin)
        series = list(self.series.values())
        engine.warm_up(slices_of(series, warm_up=True, dress=told_apart))
        self._play(replay, series)
        if self.config.backtest.close_open_positions_at_end == "force":
            self._force(replay, venue, last)
        replay.tell(End(ts=last, reason=END_OF_DATA), last)
        return collector

    def _told(self, collector: Collector) -> Callable[[Recorded], None]:
        also = self.request.on_fact
        if also is None:
            return collector

        def both(recorded: Recorded) -> None:
            collector(recorded)
            also(recorded)

        return both

    def _scene(self) -> Scene:
        return Scene(
            config=self.config,
            account=self.account,
            catalogue=self.catalogue,
            instruments=self.instruments,
            series=self.series,
            events=self.events,
            digests=self._digests(),
            verdicts=self.verdicts,
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

    def _play(self, replay: Replay, series: Sequence[Loaded]) -> None:
        """Run through the market data, telling how far it is now and then."""
        slices = slices_of(series, dress=told_apart)
        rows = sum(len(s.columns) - s.start for s in series)
        step = max(rows // _STEPS_TOLD, 1_000)
        for done in range(0, rows, step):
            self._tell("running", done / rows)
            replay.run(islice(slices, step))

    def _tell(self, what: str, done: float) -> None:
        if self.request.progress is not None:
            self.request.progress(what, done)

    # --- before -----------------------------------------------------------------------------------

    def _load(self) -> None:
        span = self.config.backtest
        loaded = load_market(self.config, self.account, self.feed, self.recipes, span.from_, span.to)
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

    # --- after ------------------------------------------------------------------------------------

    def _force(self, replay: Replay, venue: SimVenue, last: int) -> None:
        """Close what is held at the end; not a decision of the strategy, and marked as none."""
        replay.tell(SetHalt(ts=last, level=HaltLevel.FLATTEN, reason=END_OF_DATA), last)
        for calendar in dict.fromkeys(i.calendar for i in self.instruments.values()):
            if calendar != ALWAYS_OPEN:
                replay.tell(SessionOpen(ts=last, calendar=calendar, closes_at=last), last)
        arrived = last + self.config.latency_of(self.account).order
        replay.finish(arrived)
        price = ForcePrice(self.config.fills_of(self.account).end.price)
        for name in self.instruments:
            venue.force_close(name, price)
        replay.finish(arrived)

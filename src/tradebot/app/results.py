"""Make the result of a strategy's run: what it traded, beside what holding would have made.

Owns the record that reports read, whoever ran it, engine or kernel (`Traded` is what both give).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING

import tradebot
from tradebot.app import plan
from tradebot.app.deciders import Recipe
from tradebot.app.market import Loaded, events_of, load_series
from tradebot.app.misfits import base_currency
from tradebot.app.outcome import Curves, axis_of, curves_of, hold_curve, prices_of
from tradebot.app.rates import rate_along
from tradebot.config.models import Config
from tradebot.core.happenings import Dividend, Rate, Split
from tradebot.core.model import DAY, SECOND, AssetClass, Instrument
from tradebot.core.setup import FirstEntry, StrategySpec
from tradebot.data.arrays import BarArrays
from tradebot.data.catalogue import Catalogue
from tradebot.plugins.blame import printable
from tradebot.report.result import (
    Candles,
    FillRecord,
    FloatArray,
    OpenOrder,
    Rejection,
    RunMode,
    RunResult,
    SplitRecord,
    StrategyRef,
    TsArray,
    costs_of,
)
from tradebot.report.roundtrips import round_trips
from tradebot.report.series import candles_from_prices, candles_of

if TYPE_CHECKING:
    from tradebot.app.collector import Collector
    from tradebot.core.facts import HaltSet
    from tradebot.sim.timeline import Event


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Digests:
    """What was run, as digests of its configuration, code and data."""

    config: str
    code: str
    data: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Traded:
    """What a strategy did over a run; `notes` are said beside the figures."""

    curves: Curves
    fills: tuple[FillRecord, ...]
    splits: tuple[SplitRecord, ...] = ()
    open_orders: tuple[OpenOrder, ...] = ()
    denials: Mapping[str, int]
    rejections: tuple[Rejection, ...] = ()
    expired: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """What all strategies of an account's run have in common; `notes` are said with each result."""

    config: Config
    account: str
    catalogue: Catalogue
    instruments: Mapping[str, Instrument]
    series: Mapping[tuple[str, int], Loaded]
    events: Sequence[Event]
    digests: Digests
    started: float
    notes: tuple[str, ...] = ()

    @property
    def events_move_money(self) -> bool:
        """True when splits, dividends or moving rates fall into the run."""
        return any(isinstance(event, Split | Dividend | Rate) for event in self.events)

    @property
    def base(self) -> str:
        return base_currency(self.config.accounts[self.account])


def traded_by_engine(
    scene: Scene,
    spec: StrategySpec,
    collector: Collector,
    own: Sequence[Loaded],
    said: tuple[str, ...] = (),
) -> Traded:
    """Return what the facts say about one strategy; `said` are notes to begin with."""
    axis = axis_of(own)
    notes = [
        f"{failure.strategy} failed and was not called again: {printable(failure.error)}"
        for failure in collector.failures
        if failure.strategy == spec.id
    ]
    notes += _halts(collector.halts)
    if collector.bad_data:
        notes.append(f"{collector.bad_data} bars or quotes could not be true and were ignored")
    return Traded(
        curves=curves_of(collector, spec.id, axis, own, scene.instruments, scene.base),
        fills=tuple(x for x in collector.fills if x.strategy == spec.id),
        splits=tuple(collector.splits),
        open_orders=collector.open_orders(spec.id),
        denials=collector.denials.get(spec.id, {}),
        rejections=collector.rejections(spec.id),
        expired=collector.expired.get(spec.id, 0),
        notes=(*said, *notes),
    )


def result_of(
    scene: Scene, recipe: Recipe, spec: StrategySpec, traded: Traded, own: Sequence[Loaded]
) -> RunResult:
    """Return the record of one strategy; its run id is given when it is stored, its verdict when known."""
    axis = axis_of(own)
    name, hold = _benchmark(scene, float(traded.curves.equity[0]), axis, own)
    names = ", ".join(spec.instruments)
    return RunResult(
        run_id=spec.id,
        label=spec.id,
        mode=RunMode.BACKTEST,
        strategies=(
            StrategyRef(
                id=spec.id,
                class_path=recipe.words.class_path,
                params={k: str(v) for k, v in recipe.words.params.items()},
            ),
        ),
        instruments=tuple(scene.instruments[name] for name in spec.instruments),
        interval=spec.interval,
        start_ts=int(axis[0]),
        end_ts=int(axis[-1]),
        base_currency=scene.base,
        data_source=", ".join(dict.fromkeys(s.source for s in own if s.source)) or names,
        data_label=", ".join(dict.fromkeys(s.label for s in own if s.label)),
        equity_ts=axis,
        equity=traded.curves.equity,
        benchmark_name=name,
        benchmark_equity=hold,
        exposure=traded.curves.gross,
        net_exposure=traded.curves.net,
        candles=tuple(_candles(s) for s in own),
        trades=round_trips(traded.fills, splits=traded.splits, bar_ts=axis),
        fills=traded.fills,
        costs=costs_of(traded.fills),
        assumed_fills=sum(1 for x in traded.fills if x.assumed),
        open_orders=traded.open_orders,
        warnings=_warnings(scene, spec, traded),
        assumptions=plan.assumptions(scene.config, scene.account),
        config_digest=scene.digests.config,
        code_digest=scene.digests.code,
        data_digest=scene.digests.data,
        denials=traded.denials,
        rejections=traded.rejections,
        elapsed_s=perf_counter() - scene.started,
        version=tradebot.__version__,
    )


def _benchmark(
    scene: Scene, capital: float, axis: TsArray, own: Sequence[Loaded]
) -> tuple[str, FloatArray | None]:
    """Return what the strategy is compared with: its instruments held, or another one."""
    word = scene.config.backtest.benchmark
    if word == "none":
        return "", None
    if word == "hold":
        quotes = {s.instrument: scene.instruments[s.instrument].quote for s in own}
        return "buy & hold", hold_curve(capital, axis, own, scene.events, _rates(scene, quotes, axis))
    instrument = scene.catalogue.instrument(word)
    first, last = int(axis[0]), int(axis[-1])
    other = load_series(
        scene.catalogue, instrument, own[0].interval or DAY, start=first, end=last, lookback=0
    )
    events = events_of(scene.catalogue, [instrument], first, last)
    rates = _rates(scene, {word: instrument.quote}, axis)
    return f"hold {word}", hold_curve(capital, axis, [other], events, rates)


def _rates(scene: Scene, quotes: Mapping[str, str], axis: TsArray) -> dict[str, FloatArray | float]:
    config, catalogue = scene.config, scene.catalogue
    return {name: rate_along(config, catalogue, quote, scene.base, axis) for name, quote in quotes.items()}


def _halts(halts: Sequence[HaltSet]) -> list[str]:
    """Say of each rule that stopped trading how often it did, and when and why first."""
    by_rule: dict[str, list[HaltSet]] = {}
    for halt in halts:
        if halt.level.value and halt.rule != "owner":
            by_rule.setdefault(halt.rule, []).append(halt)
    said = []
    for found in by_rule.values():
        day = datetime.fromtimestamp(found[0].ts // SECOND, UTC).date()
        often = f"{len(found)} times, first on" if len(found) > 1 else "on"
        said.append(f"trading was halted {often} {day}: {found[0].reason}")
    return said


def _warnings(scene: Scene, spec: StrategySpec, traded: Traded) -> tuple[str, ...]:
    index = [
        f"{name} is an index: it cannot be bought, and its prices leave out dividends"
        for name in spec.instruments
        if scene.instruments[name].asset_class is AssetClass.INDEX
    ]
    still = []
    said_no = traded.denials or traded.rejections or traded.open_orders
    if not traded.fills and traded.expired:
        still = [f"nothing was traded: {traded.expired} orders ended before a price met them"]
    elif not traded.fills and spec.first_entry is FirstEntry.NEXT_SIGNAL and not said_no:
        still = [
            "nothing was traded: a signal that stands at the start is not acted on until it changes; "
            "first_entry: at_once acts on it"
        ]
    return (*traded.notes, *still, *index, *scene.notes, *plan.not_simulated(scene.config, scene.account))


def _candles(series: Loaded) -> Candles:
    rows, columns = series.traded, series.columns
    if isinstance(columns, BarArrays):
        return candles_of(
            series.instrument,
            columns.ts[rows],
            columns.open[rows],
            columns.high[rows],
            columns.low[rows],
            columns.close[rows],
            interval=series.interval,
        )
    return candles_from_prices(series.instrument, *prices_of(series))

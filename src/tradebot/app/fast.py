"""Run strategies on the compiled kernel where it gives what the engine would give.

Owns the choice of speed and the translation of a kernel's log into what reports read. The engine
is the reference: what the kernel refuses, before or during the run, the engine runs, and the
reason is kept for whoever asked for the kernel by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tradebot.app import plan
from tradebot.app.market import Loaded
from tradebot.app.outcome import END_OF_DATA, EXIT_NAMES, Curves, base_qty_of_fee, fee_in_quote, slippage_of
from tradebot.app.results import Scene, Traded
from tradebot.core.model import ALWAYS_OPEN, DAY, Instrument, Purpose
from tradebot.core.setup import Setup, StrategySpec
from tradebot.data.arrays import BarArrays
from tradebot.data.calendars import sessions
from tradebot.report.result import FillRecord, OpenOrder
from tradebot.sim.kernel.plan import Plan, Refusal, Venue
from tradebot.sim.kernel.plan import plan as plan_kernel
from tradebot.sim.settings import ForcePrice

if TYPE_CHECKING:
    from tradebot.plugins.adapter import FrameAdapter
    from tradebot.sim.kernel.run import KernelRun

# Loading the compiled code takes about as long as the engine needs for this many bars.
MANY_ROWS = 100_000


def wants_kernel(speed: str, rows: int) -> bool:
    """Return whether the kernel is to be tried: asked for by name, or ready and worth its loading.

    Compiling it takes longer than the engine needs for a year of minutes, so nobody waits for that
    who did not ask.
    """
    return speed == "kernel" or (speed == "auto" and rows >= MANY_ROWS and _is_ready())


def _is_ready() -> bool:
    from tradebot.sim.kernel.run import replay

    return replay.is_ready()


def traded_by_kernel(scene: Scene, setup: Setup, specs: Sequence[StrategySpec]) -> dict[str, Traded] | str:
    """Return what each strategy did, or the reason why the engine must run them all."""
    if scene.events_move_money:
        return "splits, dividends or moving rates"
    config, account = scene.config, scene.account
    venue = Venue(
        settings=plan.fill_settings(config.fills_of(account)),
        fees=plan.fee_model(config.fees_of(account), config.rates, scene.instruments.values()),
        slippage=plan.slippage_model(config.slippage_of(account)),
        latency=plan.latency_model(config.latency_of(account)),
        delays=plan.delays(config.latency_of(account)),
    )
    forced = config.backtest.close_open_positions_at_end == "force"
    end = ForcePrice(config.fills_of(account).end.price) if forced else None
    plans: dict[str, Plan] = {}
    for spec in specs:
        reason = _unfit(scene, spec)
        if reason:
            return reason
        made = plan_kernel(setup, spec.id, venue, close_at_end=end)
        if isinstance(made, Refusal):
            return made.reason
        plans[spec.id] = made
    return _run_all(scene, specs, plans)


def _unfit(scene: Scene, spec: StrategySpec) -> str:
    from tradebot.plugins.adapter import FrameAdapter

    if not all(isinstance(d, FrameAdapter) for d in spec.deciders.values()):
        return f"{spec.id} is not a FrameStrategy"
    if len(spec.instruments) != 1:
        return f"{spec.id} trades several instruments"
    series = scene.series[spec.instruments[0], spec.interval]
    return "bars that never traded (data.gap_policy)" if series.made_up is not None else ""


def _run_all(
    scene: Scene, specs: Sequence[StrategySpec], plans: Mapping[str, Plan]
) -> dict[str, Traded] | str:
    from tradebot.plugins.adapter import FrameAdapter
    from tradebot.sim.kernel.run import Sessions, prepare, run

    found: dict[str, Traded] = {}
    for spec in specs:
        series = scene.series[spec.instruments[0], spec.interval]
        decider = spec.deciders[spec.instruments[0]]
        if not isinstance(series.columns, BarArrays) or not isinstance(decider, FrameAdapter):
            return f"{spec.id} does not decide on bars in advance"
        calendar = scene.instruments[series.instrument].calendar
        hours = None
        if calendar != ALWAYS_OPEN:
            stamps = series.columns.ts
            opens, closes = sessions(calendar).between(int(stamps[0]) - 5 * DAY, int(stamps[-1]) + 5 * DAY)
            hours = Sessions(opens, closes, series.interval)
        targets = np.frombuffer(decider.precomputed.targets, dtype=np.float64)
        bars = prepare(series.columns, start=series.start, sessions=hours)
        ran = bars if isinstance(bars, Refusal) else run(plans[spec.id], bars, targets)
        if isinstance(ran, Refusal):
            return ran.reason
        found[spec.id] = _traded(scene.instruments[series.instrument], spec, series, ran, decider)
    return found


def _traded(
    instrument: Instrument, spec: StrategySpec, series: Loaded, ran: KernelRun, decider: FrameAdapter
) -> Traded:
    held = np.concatenate([[0.0], ran.position_after])
    rows = np.searchsorted([f.bar for f in ran.fills], np.arange(len(ran.equity)), side="right")
    worth = held[rows] * series.columns.columns()["close"][series.traded] * float(instrument.multiplier)
    with np.errstate(divide="ignore", invalid="ignore"):
        net = np.nan_to_num(worth / np.where(ran.equity > 0.0, ran.equity, np.nan))
    return Traded(
        curves=Curves(equity=ran.equity, gross=np.abs(net), net=net),
        fills=tuple(_fills(instrument, spec, series, ran, decider)),
        open_orders=tuple(
            OpenOrder(
                order_id=f"{spec.id}-{number}",
                strategy=spec.id,
                instrument=instrument.id,
                side=order.side,
                kind=order.kind,
                qty=order.qty,
                filled_qty=order.filled,
                price=order.price,
                purpose=order.purpose,
            )
            for number, order in enumerate(ran.resting, start=1)
        ),
        denials={rule: count for rule, count in ran.denials.items() if rule != "session_closed"},
    )


def _fills(
    instrument: Instrument, spec: StrategySpec, series: Loaded, ran: KernelRun, decider: FrameAdapter
) -> list[FillRecord]:
    explained = decider.precomputed.explained_at
    ended = {s.bar for s in ran.suspensions if s.is_start and s.because == "flatten"}
    records: list[FillRecord] = []
    for found in ran.fills:
        fill = found.fill
        if found.purpose is Purpose.PROTECT:
            reason = EXIT_NAMES[found.kind]
        elif found.purpose is Purpose.FLATTEN:
            reason = END_OF_DATA if found.bar in ended else "time"
        else:
            numbers = explained(series.start + found.decided)
            reason = " ".join(f"{name}={value:.6g}" for name, value in numbers)
        records.append(
            FillRecord(
                fill_id=fill.fill_id,
                order_id=fill.client_order_id,
                strategy=spec.id,
                instrument=instrument.id,
                side=fill.side,
                qty=fill.qty,
                price=fill.price,
                ts=fill.ts,
                fee=fee_in_quote(fill, instrument),
                fee_asset=fill.fee_asset,
                fee_base_qty=base_qty_of_fee(fill, instrument),
                slippage=slippage_of(fill, instrument),
                multiplier=instrument.multiplier,
                liquidity=fill.liquidity,
                purpose=found.purpose,
                reason=reason,
                assumed=fill.assumed,
            )
        )
    return records

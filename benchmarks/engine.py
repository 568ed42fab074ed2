"""Run the common work on the event engine: `python -m benchmarks.engine BARS.npz`.

One run is what a backtest does between loaded columns and the finished result: slices from
columns, engine with gate and ledger and every fact shown to a collector, simulated venue, then
equity curve, round trips and the figures of the report. No journal is written.
"""

from __future__ import annotations

import sys
from decimal import Decimal

import numpy as np

from benchmarks import work
from benchmarks.cross import Cross
from benchmarks.market import MINUTE_NS, Columns, opened_at
from tradebot.app.collector import Collector
from tradebot.app.market import Loaded, slices_of
from tradebot.app.outcome import curves_of
from tradebot.core.engine import Engine
from tradebot.core.messages import End, Start
from tradebot.core.model import AccountModel, AssetClass, Instrument
from tradebot.core.setup import AccountSpec, Setup, StrategySpec
from tradebot.core.sizing import FixedQty
from tradebot.data.arrays import BarArrays
from tradebot.report.roundtrips import round_trips
from tradebot.sim.accounts import SimAccount
from tradebot.sim.fees import BpsFees
from tradebot.sim.replay import Replay
from tradebot.sim.venue import SimVenue

NAME = "BENCH/USD"
MONEY = {"USD": Decimal(work.CASH)}
INSTRUMENT = Instrument(
    id=NAME,
    base="BENCH",
    quote="USD",
    asset_class=AssetClass.CRYPTO,
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.001"),
)


def series_of(columns: Columns) -> Loaded:
    """Return the benchmark's market as a series of a run."""
    ts = opened_at(len(columns["close"])) + MINUTE_NS
    arrays = BarArrays(instrument=NAME, interval=MINUTE_NS, ts=ts, **columns)
    return Loaded(
        instrument=NAME, interval=MINUTE_NS, columns=arrays, start=0, source="", label="", digest=""
    )


def setup_of(params: Cross.Params) -> Setup:
    """Return the run's terms: 10 units, a margin account, no loss limits."""
    strategy = StrategySpec(
        id="cross",
        account="main",
        instruments=(NAME,),
        interval=MINUTE_NS,
        deciders={NAME: Cross(params)},
        sizing=FixedQty(qty=float(work.SIZE)),
        capital=Decimal(1),
    )
    account = AccountSpec(name="main", model=AccountModel.MARGIN, base_currency="USD", cash=MONEY)
    return Setup(instruments={NAME: INSTRUMENT}, accounts=(account,), strategies=(strategy,), quanta={})


def play(series: Loaded, params: Cross.Params) -> tuple[Engine, Collector]:
    """Play the series through a new engine and a new venue."""
    engine = Engine(setup_of(params))
    collector = Collector(engine.ledger, {NAME: INSTRUMENT})
    bps = Decimal(str(work.FEE)) * 10_000
    venue = SimVenue(
        instruments={NAME: INSTRUMENT},
        accounts={"main": SimAccount(model=AccountModel.MARGIN, cash=MONEY)},
        fees=BpsFees(maker=bps, taker=bps),
    )
    replay = Replay(engine, venue, on_fact=collector)
    ts = series.columns.ts
    begin, last = int(ts[0]) - MINUTE_NS, int(ts[-1])
    replay.tell(Start(ts=begin, run_id="bench", epoch=1, config_digest="", code_digest=""), begin)
    replay.run(slices_of([series]))
    replay.tell(End(ts=last, reason="end of data"), last)
    return engine, collector


def backtest(series: Loaded) -> work.Answer:
    """Play the series, and work out what a report shows first: equity along the bars, round trips."""
    engine, collector = play(series, Cross.Params(fast=work.FAST, slow=work.SLOW))
    ts = series.columns.ts
    curves = curves_of(collector, "cross", ts, [series], {NAME: INSTRUMENT}, "USD")
    trades = round_trips(tuple(collector.fills), bar_ts=ts)
    closed = sum(1 for trade in trades if not trade.is_open)
    return {"trades": closed, "equity": float(curves.equity[-1]), "facts": engine.ledger.seq}


def main() -> None:
    bars = np.load(sys.argv[1])
    series = series_of({name: bars[name] for name in bars.files})
    work.serve(lambda: backtest(series), engine="tradebot engine", bars=len(series.columns))


if __name__ == "__main__":
    main()

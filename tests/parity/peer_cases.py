"""The signal arrays on which our engine and backtesting.py must trade alike, and our trades on them.

Signals are made with integers only, so that they are the same on every machine: +1 long, -1 short,
0 flat after each bar.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradebot.app.collector import Collector
from tradebot.app.market import Loaded, slices_of
from tradebot.core.engine import Engine
from tradebot.core.messages import End, Start
from tradebot.core.model import AccountModel, AssetClass, Bar, Instrument
from tradebot.core.setup import AccountSpec, Setup, StrategySpec
from tradebot.core.sizing import FixedQty
from tradebot.core.strategy import BarStrategy, Context, Target
from tradebot.data.arrays import BarArrays
from tradebot.report.roundtrips import round_trips
from tradebot.sim.accounts import SimAccount
from tradebot.sim.fees import BpsFees
from tradebot.sim.replay import Replay
from tradebot.sim.venue import SimVenue

SIZE = 7
CASH = 1_000_000_000
FEE = 0.001

Signals = NDArray[np.int64]
Trade = list[Any]
"""[entry bar, exit bar or None, entry price, exit price or None, signed size]"""


def _above(close: NDArray[np.float64], fast: int, slow: int) -> Signals:
    """Return the sign of the fast average minus the slow one, in exact integers; 0 before there are both."""
    units = np.rint(close * 1_000_000).astype(np.int64)
    sums = np.concatenate([[0], np.cumsum(units)])
    found = np.zeros(len(close), np.int64)
    short = sums[slow:] - sums[slow - fast : -fast]
    found[slow - 1 :] = np.sign(slow * short - fast * (sums[slow:] - sums[:-slow]))
    return found


def _held(sign: Signals) -> Signals:
    """Return the last sign that was not 0: a tie changes nothing."""
    last = np.maximum.accumulate(np.where(sign != 0, np.arange(len(sign)), 0))
    return sign[last]


def _dice(count: int, seed: int, every: int) -> Signals:
    """Return -1, 0 or 1, drawn anew with a chance of 1 in `every` (a generator written out here).

    0 on the first bar: the peer asks from the second on.
    """
    state, now, found = seed, 0, [0]
    for _ in range(count - 1):
        state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        if (state >> 33) % every == 0:
            now = (state >> 40) % 3 - 1
        found.append(now)
    return np.array(found, np.int64)


CASES: Mapping[str, Callable[[NDArray[np.float64]], Signals]] = {
    "long only, averages of 50 and 200": lambda c: np.maximum(_held(_above(c, 50, 200)), 0),
    "long and short, averages of 10 and 30": lambda c: _held(_above(c, 10, 30)),
    "dice, every third bar": lambda c: _dice(len(c), 1, 3),
    "dice, every twentieth bar": lambda c: _dice(len(c), 2, 20),
}


class Said(BarStrategy):
    """Wants SIZE times what the array says after each bar."""

    def __init__(self, signals: Signals) -> None:
        super().__init__(None)
        self.signals = iter(signals.tolist())

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        return ctx.target(qty=float(SIZE * next(self.signals)))


def our_trades(bars: BarArrays, signals: Signals, tick: Decimal) -> list[Trade]:
    """Return the engine's round trips: fixed quantity, next open, a margin account, 0.1 % fee."""
    name, first, last = bars.instrument, int(bars.ts[0]) - bars.interval, int(bars.ts[-1])
    instrument = Instrument(
        id=name,
        base="UNIT",
        quote="USD",
        asset_class=AssetClass.CRYPTO,
        tick_size=tick,
        lot_size=Decimal(1),
    )
    cash = {"USD": Decimal(CASH)}
    spec = StrategySpec(
        id="said",
        account="main",
        instruments=(name,),
        interval=bars.interval,
        deciders={name: Said(signals)},
        sizing=FixedQty(qty=float(SIZE)),
        capital=Decimal(1),
    )
    account = AccountSpec(name="main", model=AccountModel.MARGIN, base_currency="USD", cash=cash)
    engine = Engine(Setup(instruments={name: instrument}, accounts=(account,), strategies=(spec,), quanta={}))
    collector = Collector(engine.ledger, {name: instrument})
    venue = SimVenue(
        instruments={name: instrument},
        accounts={"main": SimAccount(model=AccountModel.MARGIN, cash=cash)},
        fees=BpsFees(maker=Decimal(10), taker=Decimal(10)),
    )
    replay = Replay(engine, venue, on_fact=collector)
    replay.tell(Start(ts=first, run_id="parity", epoch=1, config_digest="", code_digest=""), first)
    series = Loaded(
        instrument=name, interval=bars.interval, columns=bars, start=0, source="", label="", digest=""
    )
    replay.run(slices_of([series]))
    replay.tell(End(ts=last, reason="end of data"), last)
    engine.ledger.check()
    bar_of = {ts: i for i, ts in enumerate(bars.ts.tolist())}
    return sorted(
        [
            bar_of[t.entry_ts],
            None if t.exit_ts is None else bar_of[t.exit_ts],
            float(t.entry_price),
            None if t.exit_price is None else float(t.exit_price),
            int(t.qty) * t.side.sign,
        ]
        for t in round_trips(tuple(collector.fills), bar_ts=bars.ts)
    )

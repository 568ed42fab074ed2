"""Say what currencies were worth during a run.

Owns the reading of `rates:`: a fixed amount, or the price of an instrument over time. Without a
word an asset has no rate, and sizing stops with that reason rather than guess.
"""

from __future__ import annotations

import numpy as np

from tradebot.app.plan import refuse
from tradebot.config.models import Config
from tradebot.config.units import Money
from tradebot.core.messages import Rate
from tradebot.data.arrays import BarArrays
from tradebot.data.catalogue import Catalogue
from tradebot.sim.replay import Event


def first_rates(config: Config, catalogue: Catalogue, ts: int) -> list[Rate]:
    """Return the rate of every declared asset as known at `ts`."""
    found: list[Rate] = []
    for asset, word in config.rates.items():
        if isinstance(word, Money):
            found.append(Rate(ts=ts, asset=asset, base=word.asset, rate=float(word.amount)))
            continue
        bars, base = _series(catalogue, asset, word)
        row = int(np.searchsorted(bars.ts, ts, side="right")) - 1
        if row >= 0:
            found.append(Rate(ts=ts, asset=asset, base=base, rate=float(bars.close[row])))
    return found


def rate_events(
    config: Config, catalogue: Catalogue, events: list[Event], start: int, end: int
) -> list[Event]:
    """Return `events` with every change of a rate after `start` merged in, by time."""
    moves: list[Event] = []
    for asset, word in config.rates.items():
        if isinstance(word, Money):
            continue
        bars, base = _series(catalogue, asset, word)
        span = bars.between(start, end)
        moves += [
            Rate(ts=ts, asset=asset, base=base, rate=close)
            for ts, close in zip(span.ts.tolist(), span.close.tolist(), strict=True)
        ]
    return sorted([*moves, *events], key=lambda event: event.ts) if moves else events


def _series(catalogue: Catalogue, asset: str, name: str) -> tuple[BarArrays, str]:
    """Return the longest-interval bars of the instrument that prices an asset, and its quote asset."""
    instrument = catalogue.instrument(name)
    if instrument.base != asset:
        raise refuse(
            f"rates.{asset}", f"must be the price of {asset}; {name} is the price of {instrument.base}"
        )
    intervals = catalogue.intervals(name)
    if not intervals:
        raise refuse(f"rates.{asset}", f"no bars of {name} are stored; import them first")
    return catalogue.bars(name, intervals[-1]), instrument.quote

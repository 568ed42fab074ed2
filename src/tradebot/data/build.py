"""Build bars from trades, or from quotes by their mid, as a feed would have shown them.

Owns the tick-to-bar rule: a tick at the end of a bucket belongs to it (right-closed), a bucket
without ticks has no bar, and the last bucket is left out until a later tick proves it over.
"""

from __future__ import annotations

import numpy as np

from tradebot.core.model import DAY
from tradebot.data.arrays import BarArrays, Floats, Ints, QuoteArrays
from tradebot.errors import InvariantError, UsageError


def bars_from_trades(
    ts: Ints, price: Floats, qty: Floats, *, instrument: str, interval: int, until: int | None = None
) -> BarArrays:
    """Return bars of `interval` (ns, dividing a day) of ordered trades; `volume` is the sum of `qty`.

    `until` (ns UTC) is the time up to which all trades are known; None: the time of the last one.
    A bucket that ends later is left out, because its close is not known yet.
    """
    if interval <= 0 or DAY % interval:
        raise UsageError(f"an interval must divide a day, was {interval} ns")
    if len(ts) and bool((np.diff(ts) < 0).any()):
        raise InvariantError(f"{instrument}: trades must be ordered by ts")
    known = until if until is not None else int(ts[-1]) if len(ts) else 0
    ends = -(-np.asarray(ts, np.int64) // interval) * interval
    count = int(np.searchsorted(ends, known, side="right"))
    if not count:
        return BarArrays.empty(instrument, interval)
    price, qty, ends = price[:count], qty[:count], ends[:count]
    first = np.flatnonzero(np.diff(ends, prepend=ends[0] - 1))
    last = np.append(first[1:], count) - 1
    return BarArrays(
        instrument=instrument,
        interval=interval,
        ts=ends[first],
        open=price[first],
        high=np.maximum.reduceat(price, first),
        low=np.minimum.reduceat(price, first),
        close=price[last],
        volume=np.add.reduceat(qty, first),
    )


def bars_from_quotes(quotes: QuoteArrays, interval: int, *, until: int | None = None) -> BarArrays:
    """Return bars of the mid price; `volume` is 0, because quotes tell nothing about trades."""
    mid = (quotes.bid + quotes.ask) * 0.5
    return bars_from_trades(
        quotes.ts, mid, np.zeros(len(quotes)), instrument=quotes.instrument, interval=interval, until=until
    )

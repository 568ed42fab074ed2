"""Apply `data.gap_policy` to a loaded series, and remember which of its bars never traded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tradebot.app.market import Loaded, items_of
from tradebot.core.model import Bar, Quote
from tradebot.data.arrays import BarArrays
from tradebot.sim.gaps import FilledBar, GapPolicy, apply_gap_policy

_PRICES = ("open", "high", "low", "close", "volume")


def with_gap_policy(series: Loaded, policy: GapPolicy) -> Loaded:
    """Return the series as the policy has it; see `sim.gaps` for what each does."""
    if policy is GapPolicy.KEEP or not isinstance(series.columns, BarArrays):
        return series
    stored = (item for item in items_of(series, slice(0, len(series.columns))) if isinstance(item, Bar))
    bars = list(apply_gap_policy(stored, policy))
    columns = BarArrays(
        instrument=series.instrument,
        interval=series.interval,
        ts=np.array([bar.ts for bar in bars], dtype=np.int64),
        **{name: np.array([getattr(bar, name) for bar in bars]) for name in _PRICES},
    )
    start = int(np.searchsorted(columns.ts, series.columns.ts[series.start]))
    made_up = np.array([isinstance(bar, FilledBar) for bar in bars])
    return replace(series, columns=columns, start=start, made_up=made_up)


def told_apart(series: Loaded, items: Iterator[Bar | Quote], first: int) -> Iterator[Bar | Quote]:
    """Return `items` (rows from `first` on) with made-up bars as such: no order fills on them."""
    if series.made_up is None:
        return items
    kinds = series.made_up[first:].tolist()
    return (FilledBar._make(item) if made_up else item for item, made_up in zip(items, kinds, strict=False))

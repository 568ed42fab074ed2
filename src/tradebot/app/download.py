"""Fetch bars of the past from a place into the catalogue, a stretch at a time.

Owns what is still missing, stretches that are stored as they come (so that an interrupted download goes on
where it was), and how often an answer that did not come is asked for again. Places are behind the feed port.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction
from functools import partial
from typing import TypeVar

import numpy as np

from tradebot.core.messages import Dividend, Split
from tradebot.core.model import SECOND, Instrument
from tradebot.core.ports import BarClosed, Feed, Series
from tradebot.data.actions import Action
from tradebot.data.arrays import BarArrays
from tradebot.data.catalogue import Catalogue
from tradebot.data.series import Provenance, SeriesInfo
from tradebot.errors import DataError, VenueError

T = TypeVar("T")
Pause = Callable[[float], Awaitable[None]]

STRETCH = 50_000  # bars that are asked for, and stored, together
_PAUSES_S = (1.0, 5.0, 15.0, 60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be there afterwards: bars of `interval` with since < ts <= until (ns UTC)."""

    names: Sequence[str]
    interval: int
    since: int
    until: int


@dataclass(slots=True, kw_only=True)
class Downloaded:
    """What came of one instrument. `info` is None when the place has no bars of it in that time."""

    instrument: str
    added: int = 0
    replaced: int = 0
    actions: int = 0
    info: SeriesInfo | None = None


async def download(
    feed: Feed,
    catalogue: Catalogue,
    wanted: Wanted,
    tell: Callable[[str, float], None],
    pause: Pause = asyncio.sleep,
) -> list[Downloaded]:
    """Fetch what is not stored yet; `tell` hears what is being done and the share of it that is done.

    Raises VenueError when a place stays away, with everything before it stored; ConfigError for what it has not.
    """
    found = await _again(partial(feed.instruments, wanted.names), pause)
    results: list[Downloaded] = []
    for name in wanted.names:
        result = Downloaded(instrument=name)
        spans = list(_missing(catalogue, name, wanted))
        whole = sum(end - start for start, end in spans) or 1
        done = 0
        for start, end in spans:
            for begin in range(start, end, STRETCH * wanted.interval):
                stop = min(begin + STRETCH * wanted.interval, end)
                tell(f"fetching {name}", done / whole)
                series = Series(name, wanted.interval)
                bars = await _again(partial(feed.history, series, begin, stop), pause)
                _store(catalogue, found[name], bars, feed.name, result)
                done += stop - begin
        await _store_actions(feed, catalogue, name, wanted, result, pause)
        results.append(result)
    return results


async def _again(ask: Callable[[], Awaitable[T]], pause: Pause) -> T:
    for wait in _PAUSES_S:
        try:
            return await ask()
        except VenueError:
            await pause(wait)
    return await ask()


def _missing(catalogue: Catalogue, name: str, wanted: Wanted) -> Iterator[tuple[int, int]]:
    """Yield the stretches before and after what is stored; holes inside it are `data check`'s to find."""
    try:
        info = catalogue.info(name, wanted.interval)
    except DataError:
        yield wanted.since, wanted.until
        return
    before = info.first_ts - wanted.interval
    if wanted.since < before:
        yield wanted.since, min(before, wanted.until)
    if info.last_ts < wanted.until:
        yield max(info.last_ts, wanted.since), wanted.until


def _store(
    catalogue: Catalogue, instrument: Instrument, told: Sequence[BarClosed], place: str, result: Downloaded
) -> None:
    if not told:
        return
    bars = [t.bar for t in told]
    ts = np.array([bar.ts for bar in bars], np.int64)
    prices = np.array([bar[3:] for bar in bars], np.float64)
    open_, high, low, close, volume = prices.T
    made = BarArrays(
        instrument=instrument.id, interval=bars[0].interval,
        ts=ts, open=open_, high=high, low=low, close=close, volume=volume,
    )  # fmt: skip
    provenance = Provenance(source=place, partial_volume=any(t.is_partial_volume for t in told))
    # What a place says today of a bar is what counts: it may have put it right.
    result.info, merged = catalogue.write_bars(instrument, made, provenance, on_conflict="replace")
    result.added += merged.added
    result.replaced += merged.replaced


async def _store_actions(
    feed: Feed,
    catalogue: Catalogue,
    name: str,
    wanted: Wanted,
    result: Downloaded,
    pause: Pause,
) -> None:
    events = await _again(partial(feed.actions, [name], wanted.since, wanted.until), pause)
    fresh = [_action(event) for event in events]
    if fresh:
        known = {(a.ex_date, a.kind): a for a in (*catalogue.actions(name), *fresh)}
        catalogue.write_actions(name, sorted(known.values(), key=lambda a: (a.ex_date, a.kind)))
        result.actions = len(fresh)


def _action(event: Split | Dividend) -> Action:
    if isinstance(event, Split):
        return Action(
            kind="split", ex_date=_day(event.ts), ratio=Fraction(event.ratio).limit_denominator(1000)
        )
    return Action(kind="dividend", ex_date=_day(event.ts), amount=event.amount, pay_date=_day(event.pays_at))


def _day(ts: int) -> date:
    return datetime.fromtimestamp(ts // SECOND, UTC).date()

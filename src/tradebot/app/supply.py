"""Say what an account asks of stored data and what it is given, without what reads them.

A daemon decides on a few bars a minute; the libraries that read a year of them in a blink would be two
thirds of its memory. So `stored` does that, in a process of its own (`aside`) that leaves behind a tape:
rows in order of time, which are taken up as they are needed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tradebot.config.models import Config
from tradebot.core.messages import Rate, Slice
from tradebot.core.model import Bar, Instrument, Quote
from tradebot.errors import DataError
from tradebot.sim.gaps import FilledBar

if TYPE_CHECKING:
    from tradebot.sim.timeline import Event

Slices = Callable[[], Iterator[Slice]]

# A row: which series and whether it was made up (2 x place + 1), the time, five numbers (quotes: four).
ROW = struct.Struct("<qq5d")
_AT_ONCE = 1024 * ROW.size  # bytes read at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an account asks for.

    `needs`: series (instrument, interval; 0 = quotes) with the bars of their warm-up. `named`: every
    instrument of its strategies; `orphans`: of those that nobody trades any more, which get a price.
    `seen`: up to then (ns UTC) market data were decided on, None at a first start. `missed`: up to then
    they passed while nobody watched. `remembered`: up to then saved memories cover the past.
    """

    config: Config
    project: Path
    account: str
    needs: Mapping[tuple[str, int], int]
    named: Sequence[str]
    orphans: Sequence[str] = ()
    seen: int | None = None
    missed: int | None = None
    remembered: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What is traded from `begin` to `last` (ns UTC) and what happens meanwhile; everything but the rows.

    `rates` are those known at `begin`. `source` says in words where the data come from.
    """

    instruments: dict[str, Instrument]
    begin: int
    last: int
    events: list[Event]
    rates: list[Rate]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """What an account is given.

    `past` gives the warm-up in the units of its day, `missed` what passed while nobody watched, `coming`
    what is to be traded. `close` frees what they are read from.
    """

    outline: Outline
    past: Slices
    missed: Slices
    coming: Slices
    close: Callable[[], None] = lambda: None


class Series(NamedTuple):
    """Whose rows a tape holds; interval 0 = quotes."""

    instrument: str
    interval: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tape:
    """A stretch of rows in an open file: market data of several series in order of time."""

    series: tuple[Series, ...]
    offset: int
    size: int

    def slices(self, file: int) -> Iterator[Slice]:
        """Return what it holds, read as it is asked for, in the slices that `market.slices_of` makes.

        Data of one instant share a slice; rows of a single series do not, because each is an instant.
        """
        makers = [partial(_make, *one) for series in self.series for one in _kinds(series)]
        is_single = len(self.series) == 1
        now, items = 0, list[Bar | Quote]()
        for place, ts, *values in self._rows(file):
            if items and (is_single or ts != now):
                yield Slice(now, tuple(items))
                items = []
            now = ts
            items.append(makers[place](ts, values))
        if items:
            yield Slice(now, tuple(items))

    def _rows(self, file: int) -> Iterator[tuple[int, int, float, float, float, float, float]]:
        at, end = self.offset, self.offset + self.size
        while at < end:
            read = os.pread(file, min(_AT_ONCE, end - at), at)
            whole = len(read) - len(read) % ROW.size
            if not whole:
                raise DataError(f"a tape of stored data must have {end - at} more bytes, had {len(read)}")
            yield from ROW.iter_unpack(memoryview(read)[:whole])
            at += whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Taped:
    """A supply as one process leaves it to another: the rows are in a file that both have open."""

    outline: Outline
    past: Tape
    missed: Tape
    coming: Tape


def _kinds(series: Series) -> Iterator[tuple[type[Bar | Quote], Series]]:
    """Yield how rows of a series become items: as they were stored, and where they were made up."""
    yield (Bar if series.interval else Quote), series
    yield FilledBar, series


def _make(kind: type[Bar | Quote], series: Series, ts: int, values: Sequence[float]) -> Bar | Quote:
    if kind is Quote:
        return Quote(series.instrument, ts, *values[:4])
    return tuple.__new__(kind, (series.instrument, ts, series.interval, *values))

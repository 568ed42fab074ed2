"""Supply an account with stored data: what warms it up, what it missed, what it is to trade.

The only way from the catalogue to a daemon. Loads numpy and pyarrow; what it gives does not need them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np

from tradebot.app.gaps import told_apart
from tradebot.app.loading import Market, load_market, resumed, with_rows
from tradebot.app.market import (
    Feed,
    Loaded,
    events_of,
    feed_of,
    instrument_of,
    load_series,
    merged_order,
    slices_of,
)
from tradebot.app.rates import first_rates, rate_events, require_rates
from tradebot.app.supply import ROW, Outline, Series, Supply, Tape, Taped, Wanted
from tradebot.config.times import duration_text
from tradebot.core.messages import Slice
from tradebot.data.arrays import BarArrays

_ROW = np.dtype([("place", "<i8"), ("ts", "<i8"), ("values", "<f8", 5)])
assert _ROW.itemsize == ROW.size
_AT_ONCE = 65_536  # rows of a tape made at a time


def supply(wanted: Wanted) -> Supply:
    """Return what is stored of what is wanted, held in this process.

    Raises DataError when something is not stored, ConfigError for words that fit nothing.
    """
    found = _Found(wanted)
    return Supply(
        outline=found.outline(),
        past=lambda: _slices(found.past),
        missed=lambda: _slices(found.missed),
        coming=lambda: _slices(found.coming),
    )


def taped(wanted: Wanted, file: BinaryIO) -> Taped:
    """Write what is stored of what is wanted to a file, and return where in it; raises as `supply`."""
    found = _Found(wanted)
    outline = found.outline()
    past, missed, coming = (_record(file, rows) for rows in (found.past, found.missed, found.coming))
    file.flush()
    return Taped(outline=outline, past=past, missed=missed, coming=coming)


class _Found:
    """The series of an account, cut where its past, what it missed and what comes meet."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._config = wanted.config
        words = self._config.accounts[wanted.account].replay
        self._span = (words.from_, words.to)
        self._feed: Feed = feed_of(self._config, wanted.project, wanted.account, wanted.named)
        self._market = market = load_market(
            self._config, wanted.account, self._feed, wanted.needs, words.from_, words.to
        )
        self._add_orphans(market)
        decided = market.series
        if wanted.seen is not None:
            decided = {key: resumed(one, wanted.seen) for key, one in decided.items()}
        self._series = decided
        if wanted.missed is not None:
            self._series = {key: resumed(one, wanted.missed) for key, one in decided.items()}
        gap = ((one, self._series[key].start) for key, one in decided.items())
        self.missed = [with_rows(one, one.start, end) for one, end in gap if one.start < end]
        self.past = list(self._past())
        self.coming = [s for s in self._series.values() if s.start < len(s.columns)]
        firsts = [int(s.columns.ts[min(s.start, len(s.columns) - 1)]) for s in decided.values()]
        self._begin = min(firsts) - max((s.interval for s in decided.values()), default=0)

    def _add_orphans(self, market: Market) -> None:
        catalogue = self._feed.catalogue
        start, end = self._span
        for name in self._wanted.orphans:
            if name not in market.instruments:
                market.instruments[name] = instrument = instrument_of(catalogue, self._config, name)
                longest = max((i for i in catalogue.intervals(name) if i), default=0)
                market.series[name, longest] = load_series(
                    catalogue, instrument, longest, start=start, end=end, lookback=0
                )

    def _past(self) -> Iterator[Loaded]:
        """Yield what warms up: as much as is needed before what saved memories cover."""
        shown = self._wanted.remembered
        for key, one in self._series.items():
            known = 0 if shown is None else int(np.searchsorted(one.columns.ts, shown, side="right"))
            first = max(0, known - max(self._wanted.needs.get(key, 0), 1))
            if first < one.start:
                yield with_rows(one, first, one.start)

    def outline(self) -> Outline:
        """Return everything but the rows. Raises ConfigError for money without a rate."""
        config, account, catalogue = self._config, self._wanted.account, self._feed.catalogue
        instruments, begin = self._market.instruments, self._begin
        last = int(max(s.columns.ts[-1] for s in self._series.values()))
        require_rates(config, account, instruments.values(), catalogue, begin)
        events = events_of(catalogue, list(instruments.values()), begin, last)
        return Outline(
            instruments=instruments,
            begin=begin,
            last=last,
            events=rate_events(config, catalogue, events, begin, last),
            rates=first_rates(config, catalogue, begin),
            source=self._source(),
        )

    def _source(self) -> str:
        """Return what is played, with the label of data that no market made, and how fast."""
        words = dict.fromkeys(f"{s.instrument} {s.label or s.source}" for s in self._series.values())
        pace = self._config.accounts[self._wanted.account].replay.pace
        speed = "as fast as it is traded" if pace is None else f"{duration_text(pace)} a second"
        return f"stored data ({', '.join(words)}), {speed}"


def _slices(series: Sequence[Loaded]) -> Iterator[Slice]:
    return slices_of(series, dress=told_apart) if series else iter(())


def _record(file: BinaryIO, series: Sequence[Loaded]) -> Tape:
    """Append the rows that are traded, in the order of `slices_of`."""
    offset = file.tell()
    for piece in _pieces(series):
        file.write(piece.tobytes())
    named = tuple(Series(s.instrument, s.interval) for s in series)
    return Tape(series=named, offset=offset, size=file.tell() - offset)


def _pieces(series: Sequence[Loaded]) -> Iterable[np.ndarray[tuple[int], np.dtype[np.void]]]:
    if not series:
        return
    at = [s.start for s in series]
    owners, stamps = merged_order(series, [s.traded for s in series])
    for first in range(0, len(owners), _AT_ONCE):
        owned = owners[first : first + _AT_ONCE]
        piece = np.zeros(len(owned), _ROW)
        piece["ts"] = stamps[first : first + _AT_ONCE]
        piece["place"] = 2 * owned
        for i, one in enumerate(series):
            mine = np.flatnonzero(owned == i)
            rows = slice(at[i], at[i] + len(mine))
            if isinstance(one.columns, BarArrays) and one.made_up is not None:
                piece["place"][mine] += one.made_up[rows]
            for column, (_, values) in enumerate(list(one.columns.columns().items())[1:]):
                piece["values"][mine, column] = values[rows]
            at[i] = rows.stop
        yield piece

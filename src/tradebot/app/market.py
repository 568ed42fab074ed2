"""Find the market data of a run and turn them into slices in order of time.

Owns where a feed's words lead (bundled sample, a project's catalogue, a file), what is loaded
before the start as warm-up, and the merging of series. Refuses to judge data: that is
`data check`; what cannot be true reaches the engine and becomes a fact there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tradebot.app.misfits import refuse
from tradebot.config.models import Config
from tradebot.core.happenings import SessionClose, SessionOpen, Slice
from tradebot.core.model import ALWAYS_OPEN, DAY, Bar, Instrument, Quote
from tradebot.data.arrays import BarArrays, Ints, Mask, QuoteArrays
from tradebot.data.calendars import sessions
from tradebot.data.catalogue import Catalogue, bundled_root
from tradebot.data.importing import read_bar_file
from tradebot.data.resample import resample, why_not
from tradebot.data.series import Provenance
from tradebot.errors import DataError

if TYPE_CHECKING:
    from tradebot.sim.timeline import Event

Columns = BarArrays | QuoteArrays
Dress = Callable[["Loaded", Iterator[Bar | Quote], int], Iterator[Bar | Quote]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One series of a run. `start` is the first row that trades; rows before it warm up."""

    instrument: str
    interval: int
    columns: Columns
    start: int
    source: str
    label: str
    digest: str
    made_up: Mask | None = None  # rows that never traded (see `gaps`)

    @property
    def traded(self) -> slice:
        return slice(self.start, len(self.columns))


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """Where an account's data come from: a catalogue, or for bars one `file` of one instrument.

    `live` is the venue that was named instead, which only trading can follow; "" when none was.
    """

    catalogue: Catalogue
    file: Path | None = None
    live: str = ""

    def load(
        self, instrument: Instrument, interval: int, *, start: int | None, end: int | None, lookback: int
    ) -> Loaded:
        """Return bars (quotes for interval 0, always from the catalogue); see `load_series`."""
        if self.file is not None and interval:
            return load_file(self.file, instrument, interval, start=start, end=end, lookback=lookback)
        return load_series(self.catalogue, instrument, interval, start=start, end=end, lookback=lookback)


def feed_of(config: Config, project: Path, account: str, instruments: Iterable[str]) -> Feed:
    """Return what the words of an account's feed lead to, for these instruments.

    `sample` looks at the bundled data first and at the project's own behind them; without a word,
    or with a venue's name, it is the other way round. Raises ConfigError for a path to nothing, and
    for a file that would have to be several instruments.
    """
    word, own = config.accounts[account].feed, data_folder(config, project)
    if word == "sample":
        return Feed(catalogue=Catalogue(bundled_root(), own))
    path = None if word is None else project / Path(word).expanduser()
    if word is None or path is None or (word.isidentifier() and not path.exists()):
        return Feed(catalogue=Catalogue(own, bundled_root()), live=word or "")
    if path.is_dir():
        return Feed(catalogue=Catalogue(path, bundled_root()))
    if not path.is_file():
        raise refuse(f"accounts.{account}.feed", f"must be a file or folder of bars, there is no {path}")
    names = sorted(set(instruments))
    if len(names) > 1:
        message = f"is one file, which holds one instrument; {', '.join(names)} are traded: import them"
        raise refuse(f"accounts.{account}.feed", message)
    return Feed(catalogue=Catalogue(own, bundled_root()), file=path)


def data_folder(config: Config | None, project: Path) -> Path:
    """Return the folder of the project's own catalogue."""
    folder = None if config is None else config.data.dir
    return project / Path("data" if folder is None else folder).expanduser()


def instrument_of(catalogue: Catalogue, config: Config, name: str) -> Instrument:
    """Return a stored instrument, with the calendar that the configuration gives it."""
    found = catalogue.instrument(name)
    calendar = config.calendars.get(name)
    return found if calendar is None else replace(found, calendar=calendar)


def load_series(
    catalogue: Catalogue,
    instrument: Instrument,
    interval: int,
    *,
    start: int | None,
    end: int | None,
    lookback: int,
) -> Loaded:
    """Load bars (or quotes, interval 0) up to `end`, with `lookback` rows before `start` as warm-up.

    Bars of an interval that is not stored are made from the longest shorter ones that are.
    Raises DataError when there is no such series or nothing in the asked span.
    """
    name = instrument.id
    stored = interval if not interval else _stored_interval(catalogue, name, interval)
    info = catalogue.info(name, stored)
    columns: Columns
    if interval:
        columns = catalogue.bars(name, stored, None, end)
        if stored != interval:
            columns = resample(columns, interval, sessions(instrument.calendar)).bars
    else:
        columns = catalogue.quotes(name, None, None if end is None else end + 1)
    first = 0 if start is None else int(np.searchsorted(columns.ts, start, side="left"))
    if first >= len(columns):
        raise DataError(
            f"{name}: no data between the asked start and end; stored from {_day(info.first_ts)} "
            f"to {_day(info.last_ts)}"
        )
    return cut_series(columns, interval, first, lookback, info.provenance, info.digest)


def load_file(
    path: Path, instrument: Instrument, interval: int, *, start: int | None, end: int | None, lookback: int
) -> Loaded:
    """Read a CSV or Parquet file of bars as the series of one instrument, without storing it."""
    try:
        bars, _ = read_bar_file(path, instrument)
    except DataError as exc:
        raise DataError(f"{exc}\na feed is read without options; tradebot data import has them") from exc
    if bars.interval != interval:
        if problem := why_not(bars.interval, interval):
            raise DataError(f"{path}: {problem}")
        bars = resample(bars, interval, sessions(instrument.calendar)).bars
    if end is not None:
        bars = bars.between(None, end)
    first = 0 if start is None else int(np.searchsorted(bars.ts, start, side="left"))
    if first >= len(bars):
        raise DataError(f"{path}: no bars of {instrument.id} between the asked start and end")
    source = Provenance(source=path.name)
    return cut_series(bars, interval, first, lookback, source, bars.digest())


def cut_series(
    columns: Columns, interval: int, first: int, lookback: int, provenance: Provenance, digest: str
) -> Loaded:
    """Return rows from `lookback` before `first` on as a series of a run."""
    cut = max(0, first - lookback)
    return Loaded(
        instrument=columns.instrument,
        interval=interval,
        columns=columns if not cut else rows_of(columns, cut, len(columns)),
        start=first - cut,
        source=provenance.source,
        label=provenance.label,
        digest=digest,
    )


def _stored_interval(catalogue: Catalogue, name: str, interval: int) -> int:
    """Return the stored interval that bars of `interval` come from: itself, or the longest that fits."""
    stored = catalogue.intervals(name)
    if interval in stored:
        return interval
    shorter = [i for i in stored if 0 < i < interval and not interval % i]
    fitting = [i for i in shorter if not why_not(i, interval)]
    if shorter and not fitting:
        problem = why_not(max(shorter), interval)
        raise DataError(f"no such bars of {name} are stored, and none can be made: {problem}")
    return max(fitting) if fitting else interval


def _day(ts: int) -> str:
    return str(np.datetime64(ts, "ns").astype("datetime64[D]"))


def rows_of(columns: Columns, start: int, stop: int) -> Columns:
    """Return some rows of columns."""
    parts = {name: values[start:stop] for name, values in columns.columns().items()}
    if isinstance(columns, BarArrays):
        return BarArrays(instrument=columns.instrument, interval=columns.interval, **parts)
    return QuoteArrays(instrument=columns.instrument, **parts)


# --- slices ---------------------------------------------------------------------------------------


# A year of minutes is half a million of each: they are built without a Python frame per row, from
# buffers read value by value, so that no more than one row exists at a time.
_new_bar = partial(tuple.__new__, Bar)
_new_quote = partial(tuple.__new__, Quote)
_new_slice = partial(tuple.__new__, Slice)


def items_of(series: Loaded, rows: slice) -> Iterator[Bar | Quote]:
    """Return the rows of a series as market data, each made when it is asked for."""
    columns = series.columns
    ts, *values = (v[rows].data for v in columns.columns().values())
    name = repeat(series.instrument)
    if isinstance(columns, BarArrays):
        return map(_new_bar, zip(name, ts, repeat(series.interval), *values, strict=False))
    return map(_new_quote, zip(name, ts, *values, strict=False))


def _as_they_are(series: Loaded, items: Iterator[Bar | Quote], first: int) -> Iterator[Bar | Quote]:
    return items


def slices_of(
    series: Sequence[Loaded], *, warm_up: bool = False, dress: Dress = _as_they_are
) -> Iterator[Slice]:
    """Return market data of all series by time; data of one instant share a slice, in series order.

    `dress` may change the items of a series on their way (see `gaps.told_apart`).
    """
    spans = [slice(0, s.start) if warm_up else s.traded for s in series]
    if len(series) == 1:
        items = dress(series[0], items_of(series[0], spans[0]), spans[0].start)
        stamps = series[0].columns.ts[spans[0]].data
        return map(_new_slice, zip(stamps, zip(items), strict=False))
    return _merged(series, spans, dress)


def _merged(series: Sequence[Loaded], spans: Sequence[slice], dress: Dress) -> Iterator[Slice]:
    owners, stamps = merged_order(series, spans)
    feeds = [dress(s, items_of(s, span), span.start) for s, span in zip(series, spans, strict=True)]
    at: int | None = None
    group: list[Bar | Quote] = []
    for owner, ts in zip(owners.tolist(), stamps.tolist(), strict=True):
        if ts != at and group:
            yield Slice(group[0].ts, tuple(group))
            group = []
        at = ts
        group.append(next(feeds[owner]))
    if group:
        yield Slice(group[0].ts, tuple(group))


def merged_order(series: Sequence[Loaded], spans: Sequence[slice]) -> tuple[Ints, Ints]:
    """Return (owners, stamps): whose row comes next and its time, by time and then in series order."""
    stamps = np.concatenate([s.columns.ts[span] for s, span in zip(series, spans, strict=True)])
    owners = np.concatenate(
        [np.full(len(s.columns.ts[span]), i) for i, (s, span) in enumerate(zip(series, spans, strict=True))]
    )
    order = np.lexsort((owners, stamps))
    return owners[order], stamps[order]


# --- sessions, splits, dividends ------------------------------------------------------------------


def events_of(catalogue: Catalogue, instruments: Sequence[Instrument], start: int, end: int) -> list[Event]:
    """Return the sessions of all calendars and the corporate actions of all instruments, by time."""
    found: list[tuple[int, int, Event]] = []
    for instrument in instruments:
        found += [(e.ts, 0, e) for e in catalogue.events(instrument.id) if start < e.ts <= end]
    for name in dict.fromkeys(i.calendar for i in instruments):
        if name != ALWAYS_OPEN:
            found += _sessions(name, start, end)
    return [event for _, _, event in sorted(found, key=lambda row: row[:2])]


def _sessions(name: str, start: int, end: int) -> list[tuple[int, int, Event]]:
    opens, closes = (a.tolist() for a in sessions(name).between(start - 5 * DAY, end + 5 * DAY))
    rows: list[tuple[int, int, Event]] = []
    for i, (opened, closed) in enumerate(zip(opens, closes, strict=True)):
        if opened > end:
            break
        following = opens[i + 1] if i + 1 < len(opens) else None
        rows.append((opened, 1, SessionOpen(ts=opened, calendar=name, closes_at=closed)))
        if closed <= end:
            # Where one session follows the other without a pause, the old one ends before the new begins.
            rank = 0 if closed == following else 2
            rows.append((closed, rank, SessionClose(ts=closed, calendar=name, opens_at=following)))
    return rows

"""Find and keep bars, quotes, instruments and corporate actions on disk, so that all works offline.

Owns the folder layout and what may be merged with what:

    <root>/<instrument>/instrument.json          the instrument, decimals as text
                        actions.csv              splits and dividends
                        1m/bars.parquet          one folder per interval
                        quotes/quotes.parquet

A catalogue reads from several roots, the first that has a thing wins, and writes to the first
only. A write replaces one file in one rename; it never loses a stored row unless told to replace.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import tradebot
from tradebot.core.happenings import Dividend, Split
from tradebot.core.model import Instrument
from tradebot.data.actions import Action, actions_as_text, events, read_actions
from tradebot.data.arrays import BarArrays, QuoteArrays
from tradebot.data.atomic import locked, remove_leftovers, replace_text
from tradebot.data.calendars import sessions
from tradebot.data.instruments import instrument_from_text, instrument_to_text
from tradebot.data.intervals import interval_name, parse_interval
from tradebot.data.merge import (
    Merged,
    OnConflict,
    merge_bars,
    merge_provenance,
    merge_quotes,
    require_order,
)
from tradebot.data.series import Provenance, SeriesInfo, read_bars, read_info, read_quotes, write_series
from tradebot.errors import DataError, InvariantError, UsageError

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@_-.")
_QUOTES = "quotes"
# File systems take 255 bytes; other letters than ASCII count three to twelve here.
_LONGEST = 200


def bundled_root() -> Path:
    """Return the read-only catalogue that comes with the package."""
    return Path(tradebot.__file__).parent / "_bundled" / "data"


def folder_name(instrument_id: str) -> str:
    """Return an id as a folder name that every file system takes: "BTC/USDT" -> "BTC%2FUSDT"."""
    try:
        name = "".join(c if c in _PLAIN else "".join(f"%{b:02X}" for b in c.encode()) for c in instrument_id)
    except UnicodeEncodeError as exc:
        raise UsageError(f"an instrument's id must be text, was {instrument_id!r}") from exc
    if not 0 < len(name) <= _LONGEST:
        raise UsageError(f"an instrument's id must have 1 to {_LONGEST} characters, had {len(name)}")
    # "." and ".." are folders already, and Windows drops a dot at the end.
    return f"%2E{name[1:]}" if name[0] == "." else f"{name[:-1]}%2E" if name[-1] == "." else name


class Catalogue:
    """Bars and quotes under `root`, and read-only under each of `others` after it."""

    def __init__(self, root: Path, *others: Path) -> None:
        self.root = root
        self.roots = (root, *others)

    # -- reading -------------------------------------------------------------------------------

    def list(self) -> tuple[SeriesInfo, ...]:
        """Return every readable series once, by instrument and interval (quotes first).

        Raises DataError for a damaged series file: a listing that leaves it out would hide it.
        """
        found: dict[tuple[str, int], SeriesInfo] = {}
        for root in self.roots:
            for path in sorted([*root.glob("*/*/bars.parquet"), *root.glob("*/quotes/quotes.parquet")]):
                info = read_info(path)
                found.setdefault((info.instrument, info.interval), info)
        return tuple(found[key] for key in sorted(found))

    def instruments(self) -> tuple[str, ...]:
        """Return the ids of all instruments, sorted."""
        paths = [path for root in self.roots for path in root.glob("*/instrument.json")]
        return tuple(sorted({_read_instrument(path).id for path in paths}))

    def instrument(self, instrument_id: str) -> Instrument:
        """Return the stored instrument; DataError with near names if there is none."""
        path = self._find(instrument_id, "instrument.json")
        if path is None:
            near = difflib.get_close_matches(instrument_id, self.instruments(), n=3, cutoff=0.5)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            places = ", ".join(str(root) for root in self.roots)
            raise DataError(f"no instrument {instrument_id!r} is stored (looked in {places}){hint}")
        instrument = _read_instrument(path)
        if instrument.id != instrument_id:
            raise DataError(f"{path}: must describe {instrument_id!r}, describes {instrument.id!r}")
        return instrument

    def intervals(self, instrument_id: str) -> tuple[int, ...]:
        """Return the intervals (ns) at which bars of an instrument are stored, shortest first."""
        names = {p.parent.name for root in self.roots for p in self._series_files(root, instrument_id)}
        return tuple(sorted(parse_interval(name) for name in names if name != _QUOTES))

    def info(self, instrument_id: str, interval: int) -> SeriesInfo:
        """Return the description of bars (interval in ns) or quotes (interval 0)."""
        return read_info(self._series(instrument_id, interval))

    def bars(
        self, instrument_id: str, interval: int, start: int | None = None, end: int | None = None
    ) -> BarArrays:
        """Return stored bars with start < ts <= end (ns UTC); `interval` in ns.

        The result may be empty. Raises DataError if there is no such series.
        """
        path = self._series(instrument_id, interval)
        bars, info = read_bars(path)
        _require_key(path, info, instrument_id, interval)
        return bars if start is None and end is None else bars.between(start, end)

    def quotes(self, instrument_id: str, start: int | None = None, end: int | None = None) -> QuoteArrays:
        """Return stored quotes with start <= ts < end (ns UTC)."""
        path = self._series(instrument_id, 0)
        quotes, info = read_quotes(path)
        _require_key(path, info, instrument_id, 0)
        return quotes if start is None and end is None else quotes.between(start, end)

    def digest(self, instrument_id: str, interval: int) -> str:
        """Return the content digest recorded when the series was written, without reading it."""
        return self.info(instrument_id, interval).digest

    def verify(self, instrument_id: str, interval: int) -> None:
        """Read a series and raise DataError unless its content still has its recorded digest."""
        path = self._series(instrument_id, interval)
        columns: BarArrays | QuoteArrays
        columns, info = read_bars(path) if interval else read_quotes(path)
        if columns.digest() != info.digest:
            raise DataError(f"{path}: content does not match its digest; restore it or import it again")

    def actions(self, instrument_id: str) -> tuple[Action, ...]:
        """Return the instrument's stored corporate actions, oldest first; none if none are stored."""
        path = self._find(instrument_id, "actions.csv")
        if path is None:
            return ()
        return read_actions(path, sessions(self.instrument(instrument_id).calendar))

    def events(self, instrument_id: str) -> tuple[Split | Dividend, ...]:
        """Return the stored splits and dividends as inputs of the engine, oldest first.

        Costs nothing (no calendar is loaded) for an instrument without corporate actions.
        """
        actions = self.actions(instrument_id)
        if not actions:
            return ()
        return events(actions, instrument_id, sessions(self.instrument(instrument_id).calendar))

    # -- writing -------------------------------------------------------------------------------

    def write_bars(
        self,
        instrument: Instrument,
        bars: BarArrays,
        provenance: Provenance,
        *,
        on_conflict: OnConflict = "refuse",
    ) -> tuple[SeriesInfo, Merged]:
        """Add bars to the stored ones of the same instrument and interval.

        Raises DataError, and changes nothing, if stored bars of the same `ts` differ (unless
        `on_conflict` says which win), if the stored instrument differs, or if the prices are
        adjusted or labelled differently. Raises Busy while another process writes.
        """
        self._require_own(instrument, bars.instrument)
        require_order(bars)
        folder = self._folder(instrument.id)
        with locked(folder):
            path = folder / interval_name(bars.interval) / "bars.parquet"
            remove_leftovers(path.parent)
            merged = Merged(added=len(bars), unchanged=0, replaced=0, kept=0)
            if path.exists():
                old, info = read_bars(path)
                provenance = merge_provenance(info.provenance, provenance)
                bars, merged = merge_bars(old, bars, on_conflict)
            self._keep_instrument(instrument)
            return write_series(path, bars, provenance), merged

    def write_quotes(
        self,
        instrument: Instrument,
        quotes: QuoteArrays,
        provenance: Provenance,
        *,
        on_conflict: OnConflict = "refuse",
    ) -> tuple[SeriesInfo, Merged]:
        """Add quotes to the stored ones; as `write_bars`, but an overlap counts as a whole."""
        self._require_own(instrument, quotes.instrument)
        require_order(quotes)
        folder = self._folder(instrument.id)
        with locked(folder):
            path = folder / _QUOTES / "quotes.parquet"
            remove_leftovers(path.parent)
            merged = Merged(added=len(quotes), unchanged=0, replaced=0, kept=0)
            if path.exists():
                old, info = read_quotes(path)
                provenance = merge_provenance(info.provenance, provenance)
                quotes, merged = merge_quotes(old, quotes, on_conflict)
            self._keep_instrument(instrument)
            return write_series(path, quotes, provenance), merged

    def write_instrument(self, instrument: Instrument) -> None:
        """Store or replace the description of an instrument."""
        folder = self._folder(instrument.id)
        with locked(folder):
            replace_text(folder / "instrument.json", instrument_to_text(instrument))

    def write_actions(self, instrument_id: str, actions: Iterable[Action]) -> None:
        """Replace the corporate actions of an instrument as a whole."""
        folder = self._folder(instrument_id)
        self.instrument(instrument_id)
        with locked(folder):
            replace_text(folder / "actions.csv", actions_as_text(actions))

    # -- places --------------------------------------------------------------------------------

    def _folder(self, instrument_id: str) -> Path:
        return self.root / folder_name(instrument_id)

    def _find(self, instrument_id: str, name: str) -> Path | None:
        paths = (root / folder_name(instrument_id) / name for root in self.roots)
        return next((path for path in paths if path.is_file()), None)

    def _series(self, instrument_id: str, interval: int) -> Path:
        name = f"{interval_name(interval)}/bars.parquet" if interval else f"{_QUOTES}/quotes.parquet"
        path = self._find(instrument_id, name)
        if path is not None:
            return path
        self.instrument(instrument_id)
        stored = sorted(
            {p.parent.name for root in self.roots for p in self._series_files(root, instrument_id)}
        )
        wanted = f"{interval_name(interval)} bars" if interval else "quotes"
        raise DataError(
            f"no {wanted} of {instrument_id} are stored; stored: {', '.join(stored) or 'nothing'}"
        )

    @staticmethod
    def _series_files(root: Path, instrument_id: str) -> Iterable[Path]:
        return (root / folder_name(instrument_id)).glob("*/*.parquet")

    @staticmethod
    def _require_own(instrument: Instrument, column_id: str) -> None:
        if instrument.id != column_id:
            raise InvariantError(f"rows of {column_id!r} cannot be stored under {instrument.id!r}")

    def _keep_instrument(self, instrument: Instrument) -> None:
        path = self._folder(instrument.id) / "instrument.json"
        if not path.is_file():
            replace_text(path, instrument_to_text(instrument))
            return
        stored = _read_instrument(path)
        names = [f.name for f in fields(Instrument) if getattr(stored, f.name) != getattr(instrument, f.name)]
        if names:
            was = ", ".join(f"{n}: stored {getattr(stored, n)}, new {getattr(instrument, n)}" for n in names)
            raise DataError(f"{path}: the stored instrument differs ({was}); nothing was changed")


def _read_instrument(path: Path) -> Instrument:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(f"{path}: cannot be read: {exc}") from exc
    return instrument_from_text(text, str(path))


def _require_key(path: Path, info: SeriesInfo, instrument_id: str, interval: int) -> None:
    if (info.instrument, info.interval) != (instrument_id, interval):
        raise DataError(f"{path}: holds {info.instrument} at {info.interval} ns; was it moved by hand?")

"""Know when an exchange is open: sessions as arrays of opens and closes, half-days included.

Owns the only use of exchange_calendars (half a second to import, so it is imported at the first
question whose answer is not in the cache) and the cache of its answers. Not modelled: lunch
breaks, auctions, trading halts, extended hours.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from zipfile import BadZipFile
from zoneinfo import ZoneInfo

import numpy as np

from tradebot.core.model import ALWAYS_OPEN, DAY, SECOND
from tradebot.data.arrays import Ints
from tradebot.data.atomic import replace_file
from tradebot.data.merge import utc_text
from tradebot.errors import DataError

_EPOCH = date(1970, 1, 1)
# No bundled or shared series starts earlier, and a longer calendar only takes longer to build.
_EARLIEST = date(1980, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sessions:
    """Sessions of one calendar, oldest first.

    `days` are session dates in days since 1970-01-01; `opens` and `closes` are ns UTC. `tz` is the
    exchange's time zone. Knows the sessions from `known_from` up to `known_until` (ns UTC) and
    refuses questions beyond them; for ALWAYS_OPEN every UTC day is a session, without bounds.
    """

    name: str
    tz: str
    days: Ints
    opens: Ints
    closes: Ints
    known_from: int
    known_until: int

    @property
    def always_open(self) -> bool:
        return self.name == ALWAYS_OPEN

    def between(self, start: int, end: int) -> tuple[Ints, Ints]:
        """Return opens and closes (ns UTC) of all sessions that overlap start < t < end.

        Raises DataError when the calendar does not reach that far.
        """
        if self.always_open:
            days = np.arange(start // DAY, -(-end // DAY), dtype=np.int64)
            return days * DAY, (days + 1) * DAY
        if start < self.known_from or end > self.known_until:
            raise DataError(
                f"calendar {self.name} is known from {utc_text(self.known_from)} to {utc_text(self.known_until)}, "
                f"asked for {utc_text(start)} to {utc_text(end)}"
            )
        first = int(np.searchsorted(self.closes, start, side="right"))
        last = int(np.searchsorted(self.opens, end, side="left"))
        return self.opens[first:last], self.closes[first:last]

    def closes_of(self, days: Ints) -> tuple[Ints, Ints]:
        """Return (closes, known): the close of each session date, and 0 where there is no session.

        `days` in days since 1970-01-01, `known` as 0 or 1 per date. Dates outside of the
        calendar's bounds raise DataError, because "no session" would be a guess there.
        """
        if self.always_open:
            return (days + 1) * DAY, np.ones_like(days)
        if len(days):
            self.between(int(days.min()) * DAY, int(days.max()) * DAY)
        place = np.searchsorted(self.days, days)
        place[place == len(self.days)] = 0
        known = self.days[place] == days
        return np.where(known, self.closes[place], 0), known.astype(np.int64)

    def day_start(self, day: int) -> int:
        """Return the ns UTC at which the date (days since 1970-01-01) begins at the exchange."""
        midnight = datetime.combine(_EPOCH + timedelta(days=day), datetime.min.time(), ZoneInfo(self.tz))
        return int(midnight.timestamp()) * SECOND

    def day_of(self, ts: int) -> int:
        """Return the date at the exchange at `ts` (ns UTC), in days since 1970-01-01."""
        moment = datetime.fromtimestamp(ts // SECOND, ZoneInfo(self.tz))
        return (moment.date() - _EPOCH).days

    def next_day(self, day: int) -> int:
        """Return the first session date after `day`, both in days since 1970-01-01."""
        if self.always_open:
            return day + 1
        place = int(np.searchsorted(self.days, day, side="right"))
        if day * DAY < self.known_from or place == len(self.days):
            raise DataError(f"calendar {self.name} knows no session after {_EPOCH + timedelta(days=day)}")
        return int(self.days[place])


@cache
def sessions(name: str) -> Sessions:
    """Return the sessions of an exchange_calendars name ("XNYS") or of ALWAYS_OPEN ("24/7").

    The first use of an exchange on a machine takes about a second; the answer is kept in the
    user's cache folder per version of exchange_calendars, and in memory. Raises DataError for
    a name that does not exist.
    """
    if name == ALWAYS_OPEN:
        none = np.empty(0, np.int64)
        return Sessions(name=name, tz="UTC", days=none, opens=none, closes=none, known_from=0, known_until=0)
    path = _cache_file(name)
    stored = _read_cache(name, path)
    # Exchanges announce sessions about a year ahead; a cache that ends sooner is from another year.
    if stored is not None and stored.known_until >= _ahead(days=300):
        return stored
    built = _build(name)
    _write_cache(path, built)
    return built


def _build(name: str) -> Sessions:
    with warnings.catch_warnings():
        # exchange_calendars 4.13 uses what pandas 3.1 deprecates; neither is a user's business.
        warnings.simplefilter("ignore", DeprecationWarning)
        return _from_library(name)


def _from_library(name: str) -> Sessions:
    import exchange_calendars as xcals

    try:
        kind = type(xcals.get_calendar(name))
        bound = kind.bound_min()
        start = _EARLIEST if bound is None else max(_EARLIEST, bound.date())
        calendar = xcals.get_calendar(name, start=start.isoformat())
    except xcals.errors.InvalidCalendarName as exc:
        raise DataError(
            f'a calendar must be "24/7" or a name that exchange_calendars knows (such as XNYS, XLON), was {name!r}'
        ) from exc
    days = calendar.sessions.values.astype("datetime64[D]").astype(np.int64)
    return Sessions(
        name=name,
        tz=str(calendar.tz.key),
        days=days,
        opens=calendar.opens.values.astype("datetime64[ns]").astype(np.int64),
        closes=calendar.closes.values.astype("datetime64[ns]").astype(np.int64),
        known_from=(start - _EPOCH).days * DAY,
        known_until=(int(days[-1]) + 1) * DAY,
    )


def _ahead(days: int) -> int:
    return int(datetime.now(UTC).timestamp()) * SECOND + days * DAY


def _cache_file(name: str) -> Path:
    # Imported here because they take 20 ms, which a 24/7 backtest need not pay.
    from importlib.metadata import version

    from platformdirs import user_cache_path

    safe = "".join(c if c.isalnum() else "_" for c in name)
    return user_cache_path("tradebot") / "calendars" / f"{safe}-{version('exchange_calendars')}.npz"


def _read_cache(name: str, path: Path) -> Sessions | None:
    # A cache that cannot be read is built again: it holds nothing that is not computed.
    try:
        with np.load(path, allow_pickle=False) as stored:
            days, opens, closes = np.asarray(stored["sessions"], np.int64)
            known_from, known_until = stored["bounds"].tolist()
            return Sessions(
                name=name,
                tz=str(stored["tz"]),
                days=days,
                opens=opens,
                closes=closes,
                known_from=int(known_from),
                known_until=int(known_until),
            )
    except (OSError, ValueError, TypeError, KeyError, EOFError, BadZipFile):
        return None


def _write_cache(path: Path, built: Sessions) -> None:
    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(
                file,
                sessions=np.stack([built.days, built.opens, built.closes]),
                bounds=np.array([built.known_from, built.known_until]),
                tz=np.array(built.tz),
            )

    # A read-only home must not stop a backtest: without a cache it is only slower.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, write)
    except OSError:
        pass

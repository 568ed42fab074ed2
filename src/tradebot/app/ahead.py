"""Know what is coming for instruments that are followed live: sessions and corporate actions.

Owns when a session is open and when a bar is complete. Refuses to let anything happen: it says each event
once, and the timeline brings it at its time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tradebot.core.messages import SessionClose, SessionOpen, Split
from tradebot.core.model import ALWAYS_OPEN, DAY, Instrument
from tradebot.core.ports import Feed, Series
from tradebot.daemon.runner import event_stream

if TYPE_CHECKING:
    from tradebot.data.calendars import Sessions
    from tradebot.sim.timeline import Event

_AHEAD = 30 * DAY
_BACK = 5 * DAY  # before a first start: what session it is in
_ACTIONS_BACK, _ACTIONS_AHEAD = 7 * DAY, 7 * DAY


class Ahead:
    """What is coming for one account."""

    def __init__(
        self, feed: Feed, instruments: Mapping[str, Instrument], progress: Mapping[str, int], first: int
    ) -> None:
        """`progress` says how far each stream of events has come; `first`: where one without any begins.

        What happened by then is in what is held: `first` is the first start, later the last data decided on.
        """
        self._feed = feed
        self._instruments = instruments
        self._progress = progress
        self._calendars = dict.fromkeys(
            one.calendar for one in instruments.values() if one.calendar != ALWAYS_OPEN
        )
        self._first = first
        self._sessions_until = 0
        self._said: dict[tuple[str, int], None] = {}

    async def look(self, now: int) -> list[Event]:
        """Return what is newly known, by time. Raises VenueUnreachable."""
        stocks = [one.id for one in self._instruments.values() if one.calendar != ALWAYS_OPEN]
        start = min(self._since(), now) - _ACTIONS_BACK
        found: list[Event] = []
        if stocks:
            found += await self._feed.actions(stocks, start, now + _ACTIONS_AHEAD)
        until = now + _AHEAD
        for name in self._calendars:
            found += _sessions_of(name, self._sessions_until or self._since() - _BACK, until)
        self._sessions_until = until
        return sorted(filter(self._is_new, found), key=lambda event: event.ts)

    def _since(self) -> int:
        return max(self._progress.values(), default=self._first)

    def _is_new(self, event: Event) -> bool:
        key = (event_stream(event), event.ts)
        is_new = key not in self._said and event.ts > self._progress.get(key[0], -1)
        if isinstance(event, Split):  # one that happened before the first start is in the position already
            is_new = is_new and event.ts > self._first
        self._said[key] = None
        return is_new

    # --- sessions -----------------------------------------------------------------------------------

    def opened(self, instrument: str, now: int) -> int | None:
        """Return when the present session opened (0: it never closes), None when it is closed."""
        known = self._sessions(instrument)
        if known is None:
            return 0
        opens, _ = known.between(now - 1, now + 1)
        return int(opens[0]) if len(opens) else None

    def closes(self, series: Series, after: int) -> int:
        """Return when the next bar of a series after a moment is complete (ns UTC)."""
        known, interval = self._sessions(series.instrument), series.interval
        due = (after // interval + 1) * interval
        if known is None or (interval < DAY and self.opened(series.instrument, due - 1) is not None):
            return due
        opens, closes = known.between(after, after + 20 * DAY)
        if interval >= DAY:
            return next(int(close) for close in closes if close > after)
        return next((int(opened) // interval + 1) * interval for opened in opens if opened > after)

    def _sessions(self, instrument: str) -> Sessions | None:
        name = self._instruments[instrument].calendar
        if name == ALWAYS_OPEN:
            return None
        from tradebot.data.calendars import sessions  # loads numpy, which no account of coins needs

        return sessions(name)


def _sessions_of(name: str, start: int, end: int) -> list[Event]:
    from tradebot.data.calendars import sessions

    opens, closes = (times.tolist() for times in sessions(name).between(start, end + 10 * DAY))
    rows: list[Event] = []
    for i, (opened, closed) in enumerate(zip(opens, closes, strict=True)):
        following = opens[i + 1] if i + 1 < len(opens) else None
        if start < opened <= end:
            rows.append(SessionOpen(ts=opened, calendar=name, closes_at=closed))
        if start < closed <= end:
            rows.append(SessionClose(ts=closed, calendar=name, opens_at=following))
    return rows


def depth(bars: int, interval: int, instrument: Instrument) -> int:
    """Return how long ago (ns) a series must begin to hold so many bars, with room for holidays."""
    if instrument.calendar == ALWAYS_OPEN:
        return (bars + 2) * interval
    shortest = DAY // 4  # of a usual session
    days = bars * interval // DAY if interval >= DAY else bars * interval // shortest
    return (days * 3 // 2 + 7) * DAY

"""Tell when market data should have come and have not.

Owns the reckoning: each series has a cadence, counted from its last data and from the open of its session;
while the session is closed nothing is due. Knows no feed and sets nothing: time is an input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tradebot.core.model import DAY, MINUTE, SECOND
from tradebot.core.ports import Series

# Returns when the present session of an instrument opened (ns UTC), None when it is closed.
Opened = Callable[[str, int], int | None]


class Freshness:
    """What is overdue of an account's series."""

    def __init__(
        self, series: Sequence[Series], opened: Opened, since: int, *, patience: int | None = None
    ) -> None:
        """`since`: when one began to listen. `patience` (ns) beyond the cadence; None: as long again, a minute at least.

        Bars of a day and longer are not watched: their session says more than their age.
        """
        self._last = {one: since for one in series if one.interval < DAY}
        self._opened = opened
        self._patience = patience

    def seen(self, series: Series, ts: int) -> None:
        """Note that data of `ts` have come."""
        if ts > self._last.get(series, ts):
            self._last[series] = ts

    def overdue(self, now: int) -> dict[str, str]:
        """Return by instrument what is missing, in words."""
        found: dict[str, str] = {}
        for series, last in self._last.items():
            opened = self._opened(series.instrument, now)
            if opened is None:
                continue
            late = now - max(last, opened) - series.interval
            most = max(series.interval, MINUTE) if self._patience is None else self._patience
            if late > most:
                what = "quote" if not series.interval else "bar"
                found.setdefault(
                    series.instrument, f"the next {what} of {series.instrument} is {late // SECOND} s late"
                )
        return found

"""Count the bars of a year, for annualising what is measured per bar."""

from __future__ import annotations

from tradebot.core.model import ALWAYS_OPEN, DAY, HOUR, WEEK
from tradebot.errors import InvariantError

ALL_DAYS = 365.0
WEEKDAYS = 260.0
SESSIONS = 252.0  # sessions in a usual year of a stock exchange
REGULAR_SESSION = 6 * HOUR + HOUR // 2


def periods_per_year(interval: int, calendar: str, *, session: int = REGULAR_SESSION) -> float:
    """Return how many bars of `interval` (ns) a year of `calendar` has, for annualising.

    Daily: 365 on "24/7", 260 on "24/5", 252 on any exchange calendar. Shorter bars: that times
    the bars of one session (`session` ns long on exchange calendars, 24 h otherwise; half-days are
    ignored). A week and longer: calendar time, 365 days a year. Raises InvariantError at
    interval <= 0: a run on quotes has no bars to count; its statistics are daily.
    """
    if interval <= 0:
        raise InvariantError(f"periods_per_year needs the interval of the bars in ns, was {interval}")
    if interval >= WEEK:
        return ALL_DAYS * DAY / interval
    days = {ALWAYS_OPEN: ALL_DAYS, "24/5": WEEKDAYS}.get(calendar, SESSIONS)
    if interval >= DAY:
        return days * DAY / interval
    return days * (session if days == SESSIONS else DAY) / interval

"""Count periods from days: the Gregorian calendar in whole numbers, without a clock library."""

from __future__ import annotations

from tradebot.core.model import DAY
from tradebot.core.setup import Schedule

_DAYS_PER_400_YEARS = 146_097
_SHIFT = 719_468  # days from 0000-03-01 to 1970-01-01


def month_number(days: int) -> int:
    """Return `year * 12 + month - 1` of the UTC date `days` after 1970-01-01.

    Counts years from the first of March, so that the leap day is the last of its year; the
    lengths of months then follow 153 days in five months.
    """
    era, day_of_era = divmod(days + _SHIFT, _DAYS_PER_400_YEARS)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    march_month = (5 * day_of_year + 2) // 153
    month = march_month + 2 if march_month < 10 else march_month - 10
    year = era * 400 + year_of_era + (1 if month < 2 else 0)
    return year * 12 + month


def period_number(now: int, schedule: Schedule) -> int:
    """Return the number of the schedule's period that `now` (ns UTC) lies in; weeks begin on Monday."""
    days = now // DAY
    if schedule is Schedule.NEVER:
        return 0
    if schedule is Schedule.DAY:
        return days
    if schedule is Schedule.WEEK:
        return (days + 3) // 7  # 1970-01-01 was a Thursday
    months = month_number(days)
    return months if schedule is Schedule.MONTH else months // 3

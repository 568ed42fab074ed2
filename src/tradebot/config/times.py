"""Read lengths and points of time: `5m`, `1d`, `2020-01-31`, `2020-01-31T14:30:00Z`.

Both are whole nanoseconds. Refuses a length without a unit and a time of day without a zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from tradebot.config.plain import INTEGER
from tradebot.config.shown import Text, found, quoted, safe
from tradebot.config.units import Json, Unit, text_of, wrong
from tradebot.core.model import DAY, HOUR, MINUTE, SECOND, WEEK

_UNITS_NS = {"us": 1_000, "ms": 1_000_000, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}
_DURATION = re.compile(r"(?P<count>[1-9][0-9]{0,8}|0) ?(?P<unit>us|ms|s|m|h|d|w)")
_MOMENT = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"([T ](?P<clock>[0-9]{2}:[0-9]{2}(:[0-9]{2})?) ?(?P<zone>Z|[-+][0-9]{2}:[0-9]{2})?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration(Unit):
    """A length of time in nanoseconds: `500ms`, `30s`, `5m`, `1h`, `1d`, `1w`."""

    at_least: int = 1
    what: str = "a duration such as 30s, 5m, 1h or 1d"

    def read(self, value: object) -> int:
        text = text_of(value)
        match = _DURATION.fullmatch(text) if text is not None else None
        if type(value) is int:
            duration = value  # given by a program: its unit is the type's
        elif match is not None:
            duration = int(match["count"]) * _UNITS_NS[match["unit"]]
        else:
            raise self._wrong(text, value)
        if duration < self.at_least:
            raise ValueError(f"must be at least {duration_text(self.at_least)}, was {found(value)}")
        return duration

    def _wrong(self, text: str | None, value: object) -> ValueError:
        if text is not None and not (isinstance(value, Text) and value.from_env):
            if INTEGER.fullmatch(text):
                return ValueError(
                    f"must be {self.what}; {safe(text)} has no unit: write {safe(text)}s or {safe(text)}m"
                )
            if re.fullmatch(r"[0-9]+ ?M", text):
                return ValueError(
                    f"must be {self.what}, was {quoted(text)}; m is minutes, months are not a length"
                )
        return wrong(self.what, value)

    def write(self, value: int) -> str:
        return duration_text(value)

    def json_schema(self) -> Json:
        return {"type": "string", "pattern": r"^[0-9]+ ?(us|ms|s|m|h|d|w)$", "examples": ["5m", "1h", "1d"]}


def duration_text(ns: int) -> str:
    """Return nanoseconds in the largest unit that divides them ("90m", "1d")."""
    for unit in ("w", "d", "h", "m", "s", "ms"):
        if ns and ns % _UNITS_NS[unit] == 0:
            return f"{ns // _UNITS_NS[unit]}{unit}"
    return f"{ns // _UNITS_NS['us']}us" if ns else "0s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment(Unit):
    """A point in time, ns since the epoch UTC: `2020-01-31` or `2020-01-31T14:30:00Z`.

    A bare day is its first instant in UTC, or with `end` the first instant of the next day, so
    that "from the 1st to the 31st" holds both days. A time of day must name its zone.
    """

    end: bool = False

    def read(self, value: object) -> int:
        must = "a day such as 2020-01-31 or a moment such as 2020-01-31T14:30:00Z"
        if type(value) is int:
            return value  # given by a program: its unit is the type's
        text = text_of(value)
        match = _MOMENT.fullmatch(text) if text is not None else None
        if match is None:
            raise wrong(must, value)
        if match["clock"] is not None and match["zone"] is None:
            raise ValueError(f"must name its time zone, was {found(value)}; write Z after it for UTC")
        try:
            if match["clock"] is None:
                day = date.fromisoformat(match["day"]) + timedelta(days=1 if self.end else 0)
                moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
            else:
                zone = "+00:00" if match["zone"] == "Z" else match["zone"]
                moment = datetime.fromisoformat(f"{match['day']}T{match['clock']}{zone}")
            seconds = (moment - _EPOCH) // timedelta(seconds=1)
        except (ValueError, OverflowError) as exc:
            raise ValueError(f"must be {must}, was {found(value)}, which no calendar has") from exc
        if not 1800 <= moment.year <= 2200:
            raise ValueError(f"must be between the years 1800 and 2200, was {found(value)}")
        return seconds * SECOND

    def write(self, value: int) -> str:
        moment = _EPOCH + timedelta(seconds=value // SECOND)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    def json_schema(self) -> Json:
        return {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}", "examples": ["2020-01-31"]}

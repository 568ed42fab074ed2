"""Write a bar interval as text ("1m", "4h", "1d") and read it back.

Owns the names of intervals, which are also folder names. Refuses months: they have no length.
"""

from __future__ import annotations

import re

from tradebot.core.model import DAY, HOUR, MINUTE, SECOND, WEEK
from tradebot.errors import UsageError

_UNITS = {"w": WEEK, "d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": SECOND // 1000}
_TEXT = re.compile(r"([1-9]\d{0,8})\s*(ms|[smhdw])")


def interval_name(interval: int) -> str:
    """Return the shortest name of an interval in nanoseconds: 60_000_000_000 -> "1m".

    Raises UsageError if it is not a positive multiple of a millisecond.
    """
    if interval > 0:
        for unit, length in _UNITS.items():
            if interval % length == 0:
                return f"{interval // length}{unit}"
    raise UsageError(f"an interval must be a positive multiple of 1 ms, was {interval} ns")


def parse_interval(text: str) -> int:
    """Return the nanoseconds that "30s", "5m", "4h", "1d" or "1w" stands for.

    Raises UsageError for anything else.
    """
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"an interval is a number and a unit of ms, s, m, h, d, w (such as 5m or 1d), was {text!r}"
        )
    return int(match[1]) * _UNITS[match[2]]

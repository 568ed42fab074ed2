"""Remember which session a calendar is in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Session:
    """The latest session of one calendar, in ns; `opens_at` is the next open while closed."""

    opened_at: int
    closes_at: int | None
    is_open: bool
    opens_at: int | None = None

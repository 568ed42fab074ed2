"""Remember which session a calendar is in, and say which market data belong to it."""

from __future__ import annotations

from dataclasses import dataclass

from tradebot.core.model import Bar, Quote


@dataclass(slots=True, kw_only=True)
class Session:
    """The latest session of one calendar, in ns; `opens_at` is the next open while closed.

    `before` is when the session before it closed, None when it is not known.
    """

    opened_at: int
    closes_at: int | None
    is_open: bool
    opens_at: int | None = None
    before: int | None = None

    def has(self, item: Bar | Quote) -> bool:
        """Return whether a part of `item` was traded while the market was open, in this session or the last.

        What is left are extended hours: orders here are none that take part in those.
        """
        if isinstance(item, Quote):
            return self.is_open
        begins = item.ts - item.interval
        if item.ts > self.opened_at:
            return self.closes_at is None or begins < self.closes_at
        return self.before is not None and begins < self.before

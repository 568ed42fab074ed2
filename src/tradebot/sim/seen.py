"""Say what a bar shows of the market that orders have not met yet."""

from __future__ import annotations

from tradebot.core.model import Bar, Quote
from tradebot.sim.sessions import Session


def widened(bar: Bar) -> Bar:
    """Return the bar with a range that holds its open and close."""
    if bar.low <= bar.open <= bar.high and bar.low <= bar.close <= bar.high:
        return bar
    return bar._replace(low=min(bar.low, bar.open, bar.close), high=max(bar.high, bar.open, bar.close))


def span_of(mark: Bar | Quote) -> tuple[float, float] | None:
    """Return the least and the highest price of a bar, None for a quote."""
    if isinstance(mark, Quote):
        return None
    bar = widened(mark)
    return bar.low, bar.high


def is_covered(bar: Bar, last: Bar | Quote | None) -> bool:
    """Return whether something finer has already shown part of the bar's time."""
    if last is None or last.ts <= bar.ts - bar.interval:
        return False
    return isinstance(last, Quote) or last.interval < bar.interval


def start_of(bar: Bar, last: Bar | Quote | None, session: Session | None) -> int:
    """Return when the bar began: no earlier than the bar before it and the session's open."""
    start = bar.ts - bar.interval
    if last is not None and last.ts < bar.ts:
        start = max(start, last.ts)
    if session is not None and session.opened_at < bar.ts:
        start = max(start, session.opened_at)
    return start

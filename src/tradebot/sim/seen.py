"""Say what a bar shows of the market that orders have not met yet."""

from __future__ import annotations

from tradebot.core.model import Bar, Quote


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

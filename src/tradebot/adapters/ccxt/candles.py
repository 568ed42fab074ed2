"""Read an exchange's candles over REST, in pages, as bars that are stamped with their close.

Owns interval names, paging and which candle is closed. A candle that still forms is never returned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tradebot.adapters.ccxt.library import Exchange
from tradebot.adapters.ccxt.symbols import Symbols
from tradebot.adapters.ccxt.wire import MS
from tradebot.core.market import problem_of
from tradebot.core.model import DAY, HOUR, MINUTE, SECOND, WEEK, Bar
from tradebot.core.ports import Series
from tradebot.errors import ConfigError, Problem, VenueUnreachable

_UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}
_USUAL_PAGE = 500
_MOST_PAGES = 20_000


def intervals_of(exchange: Exchange) -> dict[int, str]:
    """Return the exchange's names of intervals by their length; months have none."""
    found: dict[int, str] = {}
    for name in exchange.raw.timeframes or {}:
        length = _UNITS.get(name[-1:])
        if length is not None and name[:-1].isdigit():
            found[int(name[:-1]) * length] = name
    return found


class CandleReader:
    """Candles of one exchange. `quarantined` counts rows that are no candles."""

    def __init__(self, exchange: Exchange, symbols: Symbols) -> None:
        self._exchange = exchange
        self._symbols = symbols
        self._names = intervals_of(exchange)
        limit = _page_of(exchange.raw.features)
        self._page = min(limit or _USUAL_PAGE, 1000)
        self.quarantined = 0

    def name(self, interval: int) -> str:
        """Return the exchange's name of an interval. Raises ConfigError for one that it does not have."""
        found = self._names.get(interval)
        if found is None:
            known = ", ".join(self._names[i] for i in sorted(self._names))
            message = f"must be one of {self._exchange.id}'s intervals: {known}"
            raise ConfigError([Problem(file=self._exchange.id, line=None, key="interval", message=message)])
        return found

    def is_even(self, interval: int) -> bool:
        """Return whether an interval's bars begin at multiples of it, so that their end can be waited for."""
        return interval in self._names and DAY % interval == 0

    async def past(self, series: Series, start: int, end: int) -> list[Bar]:
        """Return the closed bars with start < ts <= end, oldest first. Raises VenueUnreachable, RateLimited."""
        found: dict[int, Bar] = {}
        since = start - series.interval + 1
        for _ in range(_MOST_PAGES):
            bars = await self.page(series, since)
            fresh = [bar for bar in bars if bar.ts not in found and start < bar.ts <= end]
            found.update((bar.ts, bar) for bar in fresh)
            if not fresh or bars[-1].ts >= end:
                break
            since = bars[-1].ts
        now = self._exchange.now()
        return [found[ts] for ts in sorted(found) if ts <= now]

    async def page(self, series: Series, since: int) -> list[Bar]:
        """Return one page of candles that begin at `since` (ns) or later, the forming one included."""
        symbol, name = self._symbols.symbol(series.instrument), self.name(series.interval)
        words = (symbol, name, max(-(-since // MS), 0), self._page)
        reply = await self._exchange.read("fetch_ohlcv", *words)
        if not isinstance(reply.value, list):
            raise VenueUnreachable(
                f"{self._exchange.id}: candles must be a list, came {str(reply.value)[:40]!r}"
            )
        bars = {bar.ts: bar for row in reply.value if (bar := self._bar(series, row)) is not None}
        return [bars[ts] for ts in sorted(bars)]

    def _bar(self, series: Series, row: Any) -> Bar | None:
        bar = bar_of(row, series)
        if bar is None:
            self.quarantined += 1
        return bar


def bar_of(row: object, series: Series) -> Bar | None:
    """Return a row of ccxt (start in ms, open, high, low, close, volume) as a bar, None when it is none."""
    if not isinstance(row, Sequence) or isinstance(row, str) or len(row) < 6:
        return None
    start, *numbers = row[:6]
    if isinstance(start, bool) or not isinstance(start, int):
        return None
    try:
        values = [float(number) for number in numbers]
    except (TypeError, ValueError):
        return None
    bar = Bar(series.instrument, start * MS + series.interval, series.interval, *values)
    return None if problem_of(bar) else bar


def _page_of(features: object) -> int | None:
    found: object = features
    for key in ("spot", "fetchOHLCV", "limit"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, int) else None

"""Decide when a bar is closed: the exchange says so, or its REST shows it after its end. Never before.

Owns one series: the last bar told, the next end to wait for, and corrections. ccxt hides whether a candle is
closed and overwrites the forming one, so that a candle of its streams is only a hint to look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tradebot.adapters.ccxt.candles import CandleReader
from tradebot.core.model import SECOND, Bar
from tradebot.core.ports import Series
from tradebot.errors import VenueError

GRACE = 2 * SECOND  # after its end a candle of REST is believed without a later one beside it
_LOOK_S = 1.0
_PATIENCE = 20 * SECOND  # an interval without a bar by then had no trade
_FAILURES = 4


class Closer:
    """Tells each bar of one series once, in order; `tell(bar, is_correction)`."""

    def __init__(
        self,
        series: Series,
        reader: CandleReader,
        now: Callable[[], int],
        tell: Callable[[Bar, bool], None],
    ) -> None:
        self.series = series
        self._reader = reader
        self._now = now
        self._tell = tell
        self._last: Bar | None = None
        self._end = 0  # the end that is waited for
        self._flagged: dict[int, Bar] = {}
        self._hint = asyncio.Event()

    def said_closed(self, bar: Bar) -> None:
        """Take a bar that the exchange itself calls closed."""
        if bar.ts >= self._end > 0:
            self._flagged[bar.ts] = bar
            self._hint.set()

    def said_forming(self, start: int) -> None:
        """Take the start of the candle that forms now: what ended by then is closed."""
        if 0 < self._end <= start:
            self._hint.set()

    async def run(self) -> str:
        """Tell bars from now on; returns why REST can no longer be asked."""
        interval = self.series.interval
        self._end = self._now() // interval * interval + interval
        failures = 0
        while True:
            await self._wait()
            if (bar := self._flagged.pop(self._end, None)) is not None:
                self._told(bar)
                continue
            try:
                await self._look()
                failures = 0
            except VenueError as exc:
                failures += 1
                if failures >= _FAILURES:
                    return f"{self.series.instrument}: {exc}"
                await asyncio.sleep(_LOOK_S * failures)

    async def _wait(self) -> None:
        ahead = self._end + GRACE - self._now()
        if self._end in self._flagged:
            return
        self._hint.clear()
        try:
            async with asyncio.timeout(max(ahead / SECOND, 0.0)):
                await self._hint.wait()
        except TimeoutError:
            pass

    async def _look(self) -> None:
        interval = self.series.interval
        since = self._end - 2 * interval if self._last is None else self._last.ts - interval
        asked_at = self._now()
        bars = await self._reader.page(self.series, since)
        newest = bars[-1].ts if bars else 0
        for bar in bars:
            if bar.ts >= newest and asked_at < bar.ts + GRACE:
                continue  # it may still form
            last = self._last
            if last is not None and bar.ts == last.ts and bar != last:
                self._last = bar
                self._tell(bar, True)
            elif bar.ts >= self._end if last is None else bar.ts > last.ts:
                self._told(bar)
        if newest - interval >= self._end:
            self._end = newest  # nothing was traded up to the candle that forms
        elif self._end + _PATIENCE <= asked_at:
            self._end = asked_at // interval * interval + interval
        elif self._end <= asked_at or self._hint.is_set():
            await asyncio.sleep(_LOOK_S)

    def _told(self, bar: Bar) -> None:
        self._last = bar
        self._end = max(self._end, bar.ts + self.series.interval)
        for ts in [ts for ts in self._flagged if ts < self._end]:
            del self._flagged[ts]
        self._tell(bar, False)

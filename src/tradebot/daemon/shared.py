"""Let several accounts follow one feed: venues count connections, and some admit a single one.

Owns who wants what: the feed runs with everything that is wanted, and each account hears its own part. One that
joins with something new makes the feed dial again; what the others miss meanwhile they fill like any gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tradebot.core.messages import Dividend, Split
from tradebot.core.model import Book, Instrument, Quote
from tradebot.core.ports import (
    AuthFailed,
    BarClosed,
    Connected,
    Disconnected,
    Feed,
    FeedEvent,
    Series,
    SymbolStatus,
)

Sink = Callable[[FeedEvent], None]


class SharedFeed:
    """One feed and the accounts that follow it."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self._taps: dict[Tap, tuple[frozenset[Series], Sink]] = {}
        self._wanted: dict[Series, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._up: Connected | AuthFailed | None = None  # what one that joins must hear
        self._open = 0

    def tap(self) -> Tap:
        """Return the feed as one account has it."""
        self._open += 1
        return Tap(self)

    async def follow(self, tap: Tap, wanted: Sequence[Series], sink: Sink) -> None:
        """Hear what is wanted until cancelled, or until the keys are refused."""
        self._taps[tap] = (frozenset(wanted), sink)
        try:
            if self._task is None or any(one not in self._wanted for one in wanted):
                await self._dial(wanted)
            elif self._up is not None:
                sink(self._up)
            while self._task is not None:
                task = self._task
                await asyncio.wait({task})
                if task is self._task:
                    return task.result()
        finally:
            del self._taps[tap]
            if not self._taps:
                await self._stop()

    async def _dial(self, wanted: Sequence[Series]) -> None:
        self._wanted |= dict.fromkeys(wanted)
        old, self._task = self._task, asyncio.create_task(self.feed.run([*self._wanted], self._hear))
        if old is not None:
            self._hear(
                Disconnected(ts=0 if self._up is None else self._up.ts, reason="another account joins")
            )
            old.cancel()
            await asyncio.wait({old})

    async def _stop(self) -> None:
        task, self._task, self._up = self._task, None, None
        self._wanted.clear()
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def _hear(self, event: FeedEvent) -> None:
        if isinstance(event, Connected | Disconnected | AuthFailed):
            self._up = None if isinstance(event, Disconnected) else event
        for wanted, sink in list(self._taps.values()):
            if _is_for(event, wanted):
                sink(event)

    async def close(self) -> None:
        """Close the feed with the last of its taps."""
        self._open -= 1
        if not self._open:
            await self.feed.close()


class Tap:
    """The port `core.ports.Feed` for one account."""

    def __init__(self, shared: SharedFeed) -> None:
        self._shared = shared
        self.name = shared.feed.name

    async def instruments(self, names: Sequence[str]) -> dict[str, Instrument]:
        return await self._shared.feed.instruments(names)

    def streams(self, series: Series) -> bool:
        return self._shared.feed.streams(series)

    async def run(self, wanted: Sequence[Series], sink: Sink) -> None:
        await self._shared.follow(self, wanted, sink)

    async def history(self, series: Series, start: int, end: int) -> Sequence[BarClosed]:
        return await self._shared.feed.history(series, start, end)

    async def actions(self, names: Sequence[str], start: int, end: int) -> Sequence[Split | Dividend]:
        return await self._shared.feed.actions(names, start, end)

    async def offset(self) -> int:
        return await self._shared.feed.offset()

    async def close(self) -> None:
        await self._shared.close()


def _is_for(event: FeedEvent, wanted: frozenset[Series]) -> bool:
    match event:
        case BarClosed(bar=bar):
            return Series(bar.instrument, bar.interval) in wanted
        case Quote() | Book():
            return Series(event.instrument, 0) in wanted
        case SymbolStatus():
            return any(one.instrument == event.instrument for one in wanted)
        case _:
            return True

"""Several accounts behind one connection to a feed: each hears its own part."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tests.core.world import START
from tradebot.core.messages import Dividend, Split
from tradebot.core.model import MINUTE, Bar, Instrument, Quote
from tradebot.core.ports import AuthFailed, BarClosed, Connected, Disconnected, FeedEvent, Series
from tradebot.daemon.shared import SharedFeed

A, B, Q = Series("A", MINUTE), Series("B", MINUTE), Series("A", 0)


class OneLine:
    """The port `core.ports.Feed` of a place that admits one connection."""

    name = "one"

    def __init__(self) -> None:
        self.wanted: list[Series] = []
        self.lines = self.dials = self.closed = 0
        self.say: Callable[[FeedEvent], None] = lambda event: None
        self.refuses = False

    async def instruments(self, names: Sequence[str]) -> dict[str, Instrument]:
        return {}

    def streams(self, series: Series) -> bool:
        return True

    async def run(self, wanted: Sequence[Series], sink: Callable[[FeedEvent], None]) -> None:
        self.wanted, self.say = list(wanted), sink
        self.dials += 1
        self.lines += 1
        try:
            if self.refuses:
                sink(AuthFailed(ts=START, reason="401"))
                return
            sink(Connected(ts=START))
            await asyncio.Event().wait()
        finally:
            self.lines -= 1

    async def history(self, series: Series, start: int, end: int) -> Sequence[BarClosed]:
        return ()

    async def actions(self, names: Sequence[str], start: int, end: int) -> Sequence[Split | Dividend]:
        return ()

    async def offset(self) -> int:
        return 0

    async def close(self) -> None:
        self.closed += 1


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def bar(name: str) -> BarClosed:
    return BarClosed(bar=Bar(name, START, MINUTE, 1.0, 1.0, 1.0, 1.0, 1.0), feed="one")


async def test_each_account_hears_what_it_wants_over_one_connection() -> None:
    line = OneLine()
    shared = SharedFeed(line)
    heard: tuple[list[FeedEvent], list[FeedEvent]] = ([], [])
    one, other = shared.tap(), shared.tap()
    first = asyncio.create_task(one.run([A, Q], heard[0].append))
    await turns()
    second = asyncio.create_task(other.run([B], heard[1].append))
    await turns()
    assert (line.lines, line.dials, set(line.wanted)) == (1, 2, {A, B, Q})
    assert [type(event) for event in heard[0]] == [Connected, Disconnected, Connected]
    quote = Quote("A", START, 1.0, 1.0, 2.0, 1.0)
    for event in (bar("A"), bar("B"), quote):
        line.say(event)
    assert heard[0][3:] == [bar("A"), quote]
    assert heard[1][-1] == bar("B")

    second.cancel()
    await turns()
    assert line.lines == 1  # the other one goes on
    first.cancel()
    await turns()
    assert line.lines == 0
    await one.close()
    assert line.closed == 0
    await other.close()
    assert line.closed == 1


async def test_one_that_wants_nothing_new_joins_without_a_dial() -> None:
    line = OneLine()
    shared = SharedFeed(line)
    heard: list[FeedEvent] = []
    tasks = [asyncio.create_task(shared.tap().run([A, B], lambda event: None))]
    await turns()
    tasks.append(asyncio.create_task(shared.tap().run([B], heard.append)))
    await turns()
    assert (line.dials, [type(event) for event in heard]) == (1, [Connected])
    for task in tasks:
        task.cancel()
    await turns()


async def test_keys_that_are_refused_are_told_to_all_and_nobody_dials_again() -> None:
    line = OneLine()
    line.refuses = True
    shared = SharedFeed(line)
    heard: list[FeedEvent] = []
    taps = [shared.tap(), shared.tap()]
    await asyncio.gather(*(tap.run([A], heard.append) for tap in taps))
    assert [type(event) for event in heard] == [AuthFailed, AuthFailed]
    assert line.dials == 1

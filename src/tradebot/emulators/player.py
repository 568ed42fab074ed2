"""Move an emulated venue's market by itself: bars and quotes from a stored series or made up.

Owns when the next item is shown. Refuses to make data: `data.synthetic` does, files hold the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import replace
from heapq import merge

from tradebot.core.model import ALWAYS_OPEN, DAY, HOUR, MINUTE, Bar, Quote
from tradebot.data.arrays import BarArrays, QuoteArrays
from tradebot.data.calendars import sessions
from tradebot.data.resample import resample
from tradebot.data.synthetic import Market, minute_bars, quotes, simulate
from tradebot.emulators.house import House

_FINE = 5 * DAY  # how much of a past is kept in minutes


def rows(columns: BarArrays | QuoteArrays) -> Iterator[Bar | Quote]:
    """Return the rows of a series as market data."""
    values = [column.tolist() for column in columns.columns().values()]
    for ts, *rest in zip(*values, strict=True):
        if isinstance(columns, BarArrays):
            yield Bar(columns.instrument, ts, columns.interval, *rest)
        else:
            yield Quote(columns.instrument, ts, *rest)


def in_order(series: Iterable[Iterable[Bar | Quote]]) -> Iterator[Bar | Quote]:
    """Return the items of several series by time; at one instant in the order of the series."""
    return merge(*series, key=lambda item: item.ts)


def made_up(market: Market, *, seed: int, start: int, minutes: int) -> Iterator[Bar | Quote]:
    """Return a synthetic market's quotes and minute bars from `start` on, rounded up to a full minute."""
    path = simulate(market, seed=seed, start=-(-start // MINUTE) * MINUTE, minutes=minutes)
    return in_order((rows(quotes(path)), rows(minute_bars(path))))


def made_up_past(market: Market, *, seed: int, end: int, days: int, calendar: str) -> list[Bar]:
    """Return a synthetic past that comes to `market.price` at `end`: hours, days, and its last minutes.

    Days are those of `calendar` (ALWAYS_OPEN: of UTC); the market trades round the clock all the same.
    """
    minutes, start = days * (DAY // MINUTE), end // MINUTE * MINUTE - days * DAY
    rough = replace(market, steps=2)
    drifted = simulate(rough, seed=seed, start=start, minutes=minutes).mid[-1]
    scaled = replace(rough, price=market.price * market.price / float(drifted))
    bars = minute_bars(simulate(scaled, seed=seed, start=start, minutes=minutes))
    hours = resample(bars, HOUR, sessions(ALWAYS_OPEN)).bars
    longer = resample(bars, DAY, sessions(calendar)).bars
    fine = bars.between(end - _FINE, None)
    return [item for columns in (hours, longer, fine) for item in rows(columns) if isinstance(item, Bar)]


async def play(house: House, items: Iterable[Bar | Quote]) -> int:
    """Show each item when the venue's time has come to it; at speed 0 one after the other, at once.

    Returns how many were shown.
    """
    shown = 0
    for item in items:
        wait = house.clock.seconds_until(item.ts)
        await asyncio.sleep(0.0 if wait is None else wait)
        house.move(item)
        shown += 1
    return shown

"""Define what happens at a market, whoever trades there: inputs that no order has part in.

Apart from the other messages, because reading data takes no more than these. A message is taken apart
and put together by machine-made code, and making that of all of them takes a twentieth of a backtest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from tradebot.core.model import Bar, MarketData, rebased


class Slice(NamedTuple):
    """Market data of one instant: all of it is applied before any strategy is called."""

    ts: int
    items: tuple[MarketData, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpen:
    """A calendar's session opened; `closes_at` is its close."""

    ts: int
    calendar: str
    closes_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionClose:
    """A calendar's session closed; `opens_at` is the next open, None when none is known."""

    ts: int
    calendar: str
    opens_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One unit of `asset` is worth `rate` units of `base`."""

    ts: int
    asset: str
    base: str
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A share becomes `ratio` shares before the first bar of the ex-day (4 for 4:1, 0.125 for 1:8)."""

    ts: int
    instrument: str
    ratio: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Dividend:
    """Who holds at `ts` (the ex-date's open) is owed `amount` a share, paid at `pays_at`."""

    ts: int
    instrument: str
    amount: Decimal
    pays_at: int


def in_todays_units(past: Iterable[Slice], events: Iterable[object], now: int) -> Iterator[Slice]:
    """Yield past data with the splits among `events` that have happened by `now` (ns UTC) in its bars' prices."""
    splits = [event for event in events if isinstance(event, Split) and event.ts <= now]
    return (_rebased(piece, splits) for piece in past) if splits else iter(past)


def _rebased(piece: Slice, splits: Sequence[Split]) -> Slice:
    items: list[MarketData] = []
    for item in piece.items:
        for split in splits:
            if isinstance(item, Bar) and split.instrument == item.instrument and item.ts <= split.ts:
                item = rebased(item, float(split.ratio))
        items.append(item)
    return Slice(piece.ts, tuple(items))

"""Keep candles as Binance shows them: closed ones of any interval, and the one that is still forming.

Owns putting minute bars together. A forming candle follows the mid of the quotes; nothing closes but by a bar.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tradebot.core.model import DAY, HOUR, MINUTE, WEEK, Bar, Quote

MS = 1_000_000
INTERVALS = {
    "1m": MINUTE, "3m": 3 * MINUTE, "5m": 5 * MINUTE, "15m": 15 * MINUTE, "30m": 30 * MINUTE,
    "1h": HOUR, "2h": 2 * HOUR, "4h": 4 * HOUR, "6h": 6 * HOUR, "8h": 8 * HOUR, "12h": 12 * HOUR,
    "1d": DAY, "3d": 3 * DAY, "1w": WEEK,
}  # fmt: skip
# Weeks begin on a Monday; the epoch was a Thursday.
_MONDAY = 4 * DAY


class Candle(NamedTuple):
    """One candle; `start` and `end` in ns, `end` exclusive."""

    start: int
    end: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int
    is_closed: bool


class Candles:
    """The candles of one symbol, built of bars of one minute (or of whatever came)."""

    def __init__(self) -> None:
        self._bars: list[Bar] = []
        self._forming: Candle | None = None

    def take(self, item: Bar | Quote) -> None:
        """Follow the market."""
        if isinstance(item, Bar):
            if self._bars and item.ts <= self._bars[-1].ts:
                return
            self._bars.append(item)
            if self._forming is not None and self._forming.start < item.ts:
                self._forming = None
            return
        start = item.ts // MINUTE * MINUTE
        old, mid = self._forming, item.mid
        if old is None or old.start != start:
            self._forming = Candle(start, start + MINUTE, mid, mid, mid, mid, 0.0, 1, False)
        else:
            high, low = max(old.high, mid), min(old.low, mid)
            self._forming = old._replace(high=high, low=low, close=mid, trades=old.trades + 1)

    def of(self, interval: int) -> list[Candle]:
        """Return all candles of an interval, oldest first; the last one may still be forming."""
        found: list[Candle] = []
        for piece in self._pieces():
            start = _start(piece.start, interval)
            if found and found[-1].start == start:
                found[-1] = _joined(found[-1], piece)
            else:
                found.append(piece._replace(start=start, end=start + interval, is_closed=False))
            is_last = piece.is_closed and piece.end >= start + interval
            found[-1] = found[-1]._replace(is_closed=is_last)
        # What came after it has closed it, even if its last minute had no trade.
        return [c._replace(is_closed=c.is_closed or i + 1 < len(found)) for i, c in enumerate(found)]

    def _pieces(self) -> Iterator[Candle]:
        for bar in self._bars:
            start = bar.ts - bar.interval
            yield Candle(start, bar.ts, bar.open, bar.high, bar.low, bar.close, bar.volume, 10, True)
        if self._forming is not None:
            yield self._forming


def row(candle: Candle) -> list[object]:
    """Return a candle as a row of the klines endpoint."""
    quote = candle.volume * candle.close
    return [
        candle.start // MS, *(_text(p) for p in candle[2:7]), candle.end // MS - 1, _text(quote),
        candle.trades, _text(candle.volume / 2), _text(quote / 2), "0",
    ]  # fmt: skip


def event(candle: Candle, symbol: str, interval: str) -> dict[str, object]:
    """Return a candle as the `k` of a kline event."""
    quote = candle.volume * candle.close
    return {
        "t": candle.start // MS, "T": candle.end // MS - 1, "s": symbol, "i": interval, "f": 100, "L": 200,
        "o": _text(candle.open), "c": _text(candle.close), "h": _text(candle.high), "l": _text(candle.low),
        "v": _text(candle.volume), "n": candle.trades, "x": candle.is_closed, "q": _text(quote),
        "V": _text(candle.volume / 2), "Q": _text(quote / 2), "B": "0",
    }  # fmt: skip


def _start(ts: int, interval: int) -> int:
    anchor = _MONDAY if interval == WEEK else 0
    return (ts - anchor) // interval * interval + anchor


def _joined(first: Candle, more: Candle) -> Candle:
    return first._replace(
        high=max(first.high, more.high),
        low=min(first.low, more.low),
        close=more.close,
        volume=first.volume + more.volume,
        trades=first.trades + more.trades,
    )


def _text(number: float) -> str:
    return f"{number:.8f}"

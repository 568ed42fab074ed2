"""Hold a stretch of bars or quotes as columns.

Owns the column layout that everything in data, sim and report shares, and its digest. The
arrays are contiguous and read-only, so that one load can be handed to many strategies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tradebot.core.model import Bar, Quote
from tradebot.errors import InvariantError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def _frozen(values: object, dtype: DTypeLike) -> NDArray[Any]:
    array = np.ascontiguousarray(values, dtype=dtype)
    # A caller's own writable array is viewed, not copied: freezing must not reach back to it.
    view = array.view()
    view.setflags(write=False)
    return view


class _Columns:
    """What bars and quotes have in common: equal-length columns ordered by `ts`."""

    __slots__ = ()
    COLUMNS: ClassVar[tuple[str, ...]]
    ts: Ints

    def _freeze(self) -> None:
        for name in self.COLUMNS:
            values = getattr(self, name)
            object.__setattr__(self, name, _frozen(values, np.int64 if name == "ts" else np.float64))
        if any(getattr(self, name).shape != (len(self.ts),) for name in self.COLUMNS):
            shapes = {name: getattr(self, name).shape for name in self.COLUMNS}
            raise InvariantError(f"columns must be flat and of one length, were {shapes}")

    def __len__(self) -> int:
        return len(self.ts)

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns by name, `ts` first."""
        return {name: getattr(self, name) for name in self.COLUMNS}

    def digest(self) -> str:
        """Return the sha256 of the content: column names and little-endian bytes, in order.

        Equal content gives an equal digest whatever file, compression or machine it came from.
        The instrument and interval are not part of it.
        """
        sha = hashlib.sha256()
        for name, values in self.columns().items():
            sha.update(f"{name}:{len(values)};".encode())
            sha.update(values.astype(values.dtype.newbyteorder("<"), copy=False).data)
        return sha.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BarArrays(_Columns):
    """Bars of one instrument and interval, oldest first.

    `ts` is int64 ns UTC, the moment each bar is complete (its close); `interval` in ns; prices in
    the quote asset and `volume` in units of the base asset, float64.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("ts", "open", "high", "low", "close", "volume")

    instrument: str
    interval: int
    ts: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __post_init__(self) -> None:
        self._freeze()

    @classmethod
    def empty(cls, instrument: str, interval: int) -> Self:
        none = np.empty(0)
        return cls(
            instrument=instrument,
            interval=interval,
            ts=np.empty(0, np.int64),
            open=none,
            high=none,
            low=none,
            close=none,
            volume=none,
        )

    def take(self, which: slice | Mask | Ints) -> BarArrays:
        """Return the chosen rows; a slice shares memory."""
        return BarArrays(
            instrument=self.instrument,
            interval=self.interval,
            ts=self.ts[which],
            open=self.open[which],
            high=self.high[which],
            low=self.low[which],
            close=self.close[which],
            volume=self.volume[which],
        )

    def between(self, start: int | None, end: int | None) -> BarArrays:
        """Return the bars that cover the time from `start` to `end`: start < ts <= end.

        Bars are stamped at their close, so the bar that ends at `start` lies before it. None
        leaves that side open.
        """
        return self.take(_span(self.ts, start, end, side="right"))

    def bar(self, i: int) -> Bar:
        """Return row `i` as the message the engine takes."""
        return Bar(
            self.instrument,
            int(self.ts[i]),
            self.interval,
            float(self.open[i]),
            float(self.high[i]),
            float(self.low[i]),
            float(self.close[i]),
            float(self.volume[i]),
        )

    def bars(self) -> Iterator[Bar]:
        """Yield every row as a message, oldest first (plain Python floats, not numpy ones)."""
        name, interval = self.instrument, self.interval
        columns = zip(
            self.ts.tolist(),
            self.open.tolist(),
            self.high.tolist(),
            self.low.tolist(),
            self.close.tolist(),
            self.volume.tolist(),
            strict=True,
        )
        for ts, open_, high, low, close, volume in columns:
            yield Bar(name, ts, interval, open_, high, low, close, volume)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuoteArrays(_Columns):
    """Best bids and asks of one instrument, oldest first; several may share a `ts`.

    `ts` is int64 ns UTC, prices in the quote asset, quantities in units of the base asset.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("ts", "bid", "bid_qty", "ask", "ask_qty")

    instrument: str
    ts: Ints
    bid: Floats
    bid_qty: Floats
    ask: Floats
    ask_qty: Floats

    def __post_init__(self) -> None:
        self._freeze()

    def take(self, which: slice | Mask | Ints) -> QuoteArrays:
        """Return the chosen rows; a slice shares memory."""
        return QuoteArrays(
            instrument=self.instrument,
            ts=self.ts[which],
            bid=self.bid[which],
            bid_qty=self.bid_qty[which],
            ask=self.ask[which],
            ask_qty=self.ask_qty[which],
        )

    def between(self, start: int | None, end: int | None) -> QuoteArrays:
        """Return the quotes with start <= ts < end; None leaves that side open."""
        return self.take(_span(self.ts, start, end, side="left"))

    def quotes(self) -> Iterator[Quote]:
        """Yield every row as a message, oldest first."""
        columns = zip(
            self.ts.tolist(),
            self.bid.tolist(),
            self.bid_qty.tolist(),
            self.ask.tolist(),
            self.ask_qty.tolist(),
            strict=True,
        )
        for ts, bid, bid_qty, ask, ask_qty in columns:
            yield Quote(self.instrument, ts, bid, bid_qty, ask, ask_qty)


def _span(ts: Ints, start: int | None, end: int | None, *, side: Literal["left", "right"]) -> slice:
    first = 0 if start is None else int(np.searchsorted(ts, start, side=side))
    last = len(ts) if end is None else int(np.searchsorted(ts, end, side=side))
    return slice(first, max(first, last))

"""Pair fills into round trips, exactly.

First in, first out, per strategy and instrument. One `TradeRecord` per (entry order, exit order):
partial fills of the same two orders are one trade, a second entry or a scaled-out exit is a
trade of its own. A fill that crosses zero closes what is open and opens the rest.

Decimal throughout. Fees that must be shared between trades are cut at 1e-8 and the last share
takes the residue, so nothing is lost: sum(pnl of closed) - sum(cost of open) is the change of cash
that the fills caused, to the last digit (an invariant under test).

Not modelled: dividends, interest and borrow fees belong to the account, not to a trade; and a
gain on the quote currency itself is in the equity, not in `pnl_base`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow, localcontext

import numpy as np

from tradebot.core.model import DEFAULT_QUANTUM, Side
from tradebot.errors import InvariantError
from tradebot.report.result import FillRecord, SplitRecord, TradeRecord, TsArray

_CTX = Context(prec=60, traps=[InvalidOperation, DivisionByZero, Overflow])
_ZERO = Decimal(0)
# Average prices are for reading; the exact amounts are in the value fields.
_READABLE = Decimal("1e-10")


@dataclass(slots=True)
class _Lot:
    # What is left of one entry fill: `qty` positive, `fee` what is left of its fee. `price` is None after a
    # split, when a share of the value need not be a multiple of any price.
    order: str
    side: Side
    qty: Decimal
    price: Decimal | None
    multiplier: Decimal
    value: Decimal
    fee: Decimal
    ts: int
    reason: str
    assumed: bool

    def take(self, qty: Decimal) -> tuple[Decimal, Decimal]:
        # Remove `qty` units; return their entry value and fee.
        if qty == self.qty:
            value, fee = self.value, self.fee
        elif self.price is None:
            value, fee = _share(self.value, qty, self.qty), _share(self.fee, qty, self.qty)
        else:
            value, fee = qty * self.price * self.multiplier, _share(self.fee, qty, self.qty)
        self.qty, self.value, self.fee = self.qty - qty, self.value - value, self.fee - fee
        return value, fee


@dataclass(slots=True)
class _Trip:
    # A closed trade while its pieces are still being added.
    strategy: str
    instrument: str
    side: Side
    multiplier: Decimal
    entry_ts: int
    entry_reason: str
    qty: Decimal = _ZERO
    entry_value: Decimal = _ZERO
    exit_value: Decimal = _ZERO
    fees: Decimal = _ZERO
    pnl: Decimal = _ZERO
    pnl_base: Decimal = _ZERO
    exit_ts: int = 0
    exit_reason: str = ""
    assumed: bool = False
    entry_price: Decimal | None = None  # while there is one price only; else the average of the value
    exit_price: Decimal | None = None

    def add(
        self, lot: _Lot, fill: FillRecord, qty: Decimal, fee: Decimal, entry: tuple[Decimal, Decimal]
    ) -> None:
        entry_value, entry_fee = entry
        exit_value = qty * fill.price * fill.multiplier
        gain = exit_value - entry_value
        pnl = (gain if lot.side is Side.BUY else -gain) - entry_fee - fee
        first = not self.qty
        self.entry_price = lot.price if first or self.entry_price == lot.price else None
        self.exit_price = fill.price if first or self.exit_price == fill.price else None
        self.qty += qty
        self.entry_value += entry_value
        self.exit_value += exit_value
        self.fees += entry_fee + fee
        self.pnl += pnl
        self.pnl_base += pnl * fill.rate
        self.exit_ts, self.exit_reason = fill.ts, fill.reason or fill.purpose.value
        self.assumed = self.assumed or lot.assumed or fill.assumed

    def record(self, bars_held: int | None) -> TradeRecord:
        size = self.qty * self.multiplier
        return TradeRecord(
            strategy=self.strategy,
            instrument=self.instrument,
            side=self.side,
            qty=self.qty,
            entry_ts=self.entry_ts,
            entry_price=self.entry_price or _average(self.entry_value, size),
            entry_value=self.entry_value,
            exit_ts=self.exit_ts,
            exit_price=self.exit_price or _average(self.exit_value, size),
            exit_value=self.exit_value,
            fees=self.fees,
            pnl=self.pnl,
            pnl_base=self.pnl_base,
            bars_held=bars_held,
            entry_reason=self.entry_reason,
            exit_reason=self.exit_reason,
            assumed=self.assumed,
        )


class _Book:
    # Open lots and finished trips of one strategy in one instrument.

    def __init__(self, strategy: str, instrument: str) -> None:
        self.strategy, self.instrument = strategy, instrument
        self.lots: deque[_Lot] = deque()
        self.trips: dict[tuple[str, str], _Trip] = {}

    def apply(self, fill: FillRecord) -> None:
        side, qty, fee = _effective(fill)
        order = fill.order_id or fill.fill_id
        while qty and self.lots and self.lots[0].side is not side:
            lot = self.lots[0]
            part = min(qty, lot.qty)
            exit_fee = fee if part == qty else _share(fee, part, qty)
            self._trip(lot, order).add(lot, fill, part, exit_fee, lot.take(part))
            qty, fee = qty - part, fee - exit_fee
            if not lot.qty:
                self.lots.popleft()
        if qty:
            self.lots.append(
                _Lot(
                    order=order,
                    side=side,
                    qty=qty,
                    price=fill.price,
                    multiplier=fill.multiplier,
                    value=qty * fill.price * fill.multiplier,
                    fee=fee,
                    ts=fill.ts,
                    reason=fill.reason or fill.purpose.value,
                    assumed=fill.assumed,
                )
            )

    def split(self, split: SplitRecord) -> None:
        for lot in self.lots:
            lot.qty = _share(lot.qty, Decimal(split.new), Decimal(split.old))
            lot.price = None

    def _trip(self, lot: _Lot, exit_order: str) -> _Trip:
        key = (lot.order, exit_order)
        if key not in self.trips:
            self.trips[key] = _Trip(
                strategy=self.strategy,
                instrument=self.instrument,
                side=lot.side,
                multiplier=lot.multiplier,
                entry_ts=lot.ts,
                entry_reason=lot.reason,
            )
        return self.trips[key]

    def open_trades(self) -> list[TradeRecord]:
        by_order: dict[str, list[_Lot]] = {}
        for lot in self.lots:
            by_order.setdefault(lot.order, []).append(lot)
        return [self._open(lots) for lots in by_order.values()]

    def _open(self, lots: list[_Lot]) -> TradeRecord:
        first = lots[0]
        qty = sum((lot.qty for lot in lots), _ZERO)
        value = sum((lot.value for lot in lots), _ZERO)
        return TradeRecord(
            strategy=self.strategy,
            instrument=self.instrument,
            side=first.side,
            qty=qty,
            entry_ts=first.ts,
            entry_price=_average(value, qty * first.multiplier),
            entry_value=value,
            fees=sum((lot.fee for lot in lots), _ZERO),
            entry_reason=first.reason,
            assumed=any(lot.assumed for lot in lots),
        )


def round_trips(
    fills: Sequence[FillRecord], *, splits: Sequence[SplitRecord] = (), bar_ts: TsArray | None = None
) -> tuple[TradeRecord, ...]:
    """Return the round trips of `fills`: closed ones by exit time, then the ones still open.

    `fills` in the order they happened. `splits` re-base open lots (quantity changes, value does
    not; a fraction below 1e-8 is cut). `bar_ts` are the closes of the run's bars, increasing: with
    them `bars_held` is counted, without them it is None.
    Raises InvariantError when fills go back in time or a quantity or price is not positive.
    """
    books: dict[tuple[str, str], _Book] = {}
    pending = deque(sorted(splits, key=lambda s: s.ts))
    last_ts: int | None = None
    with localcontext(_CTX):
        for fill in fills:
            if last_ts is not None and fill.ts < last_ts:
                raise InvariantError(f"fills must be in order of time: {fill.fill_id} goes back")
            last_ts = fill.ts
            while pending and pending[0].ts <= fill.ts:
                _split(books, pending.popleft())
            key = (fill.strategy, fill.instrument)
            if key not in books:
                books[key] = _Book(*key)
            books[key].apply(fill)
        for split in pending:
            _split(books, split)
        trips = [trip for book in books.values() for trip in book.trips.values()]
        closed = [trip.record(held) for trip, held in zip(trips, _bars_held(trips, bar_ts), strict=True)]
        still_open = [trade for book in books.values() for trade in book.open_trades()]
    closed.sort(key=lambda t: (t.exit_ts, t.entry_ts))
    still_open.sort(key=lambda t: t.entry_ts)
    return (*closed, *still_open)


def _effective(fill: FillRecord) -> tuple[Side, Decimal, Decimal]:
    # A fee withheld from the base asset is the same as trading that much less (a buy) or more (a sell) at the
    # fill's price and paying the difference as a fee in the quote asset.
    if fill.qty <= 0 or fill.price <= 0:
        raise InvariantError(
            f"fill {fill.fill_id}: qty and price must be positive, were {fill.qty} and {fill.price}"
        )
    if not fill.fee_base_qty:
        return fill.side, fill.qty, fill.fee
    qty = fill.qty - fill.fee_base_qty * fill.side.sign
    if qty <= 0:
        raise InvariantError(
            f"fill {fill.fill_id}: the fee in base ({fill.fee_base_qty}) must be less than qty {fill.qty}"
        )
    return fill.side, qty, fill.fee_base_qty * fill.price * fill.multiplier


def _split(books: dict[tuple[str, str], _Book], split: SplitRecord) -> None:
    for (_, instrument), book in books.items():
        if instrument == split.instrument:
            book.split(split)


def _share(total: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    return (total * part / whole).quantize(DEFAULT_QUANTUM, context=_CTX)


def _average(value: Decimal, qty: Decimal) -> Decimal:
    short = (value / qty).quantize(_READABLE, context=_CTX).normalize(_CTX)
    # normalize() writes round numbers with an exponent ("1E+2"), which nobody reads as a price.
    exponent = short.as_tuple().exponent
    return short.quantize(Decimal(1)) if isinstance(exponent, int) and exponent > 0 else short


def _bars_held(trips: Sequence[_Trip], bar_ts: TsArray | None) -> Sequence[int | None]:
    if bar_ts is None or not trips:
        return [None] * len(trips)
    stamps = np.array([(trip.entry_ts, trip.exit_ts) for trip in trips], dtype=np.int64)
    places = np.searchsorted(bar_ts, stamps, side="right")
    held: list[int] = (places[:, 1] - places[:, 0]).tolist()
    return held

"""Keep every order there ever was by its id, and those that are long over in little room.

Nothing is forgotten: a trade may be heard of long after the order's end, and whoever asks for an order
gets the record that it had. Only how it is kept changes, from 1.2 KB to 0.2, and nobody can tell.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from decimal import Decimal
from sys import intern
from typing import NamedTuple, cast

from tradebot.core.forms import form_of, read_as
from tradebot.core.model import Order, OrderKind, Purpose, Side
from tradebot.core.orders import OrderRecord, Status


class WrittenOrder(NamedTuple):
    """An order's record as values that can be written down."""

    order: Order
    status: Status
    qty: Decimal
    filled_qty: Decimal
    reduced: Decimal
    venue_order_id: str
    accepted_at: int
    reason: str
    is_absent: bool
    splits: tuple[tuple[int, Decimal], ...]
    fill_ids: tuple[str, ...]


def written(record: OrderRecord) -> WrittenOrder:
    """Return all that a record knows."""
    parts = (getattr(record, name) for name in WrittenOrder._fields[:-1])
    return WrittenOrder._make((*parts, tuple(record.fill_ids)))


def as_record(text: WrittenOrder) -> OrderRecord:
    """Return the record that `written` was given."""
    record = OrderRecord(text.order)
    for name in WrittenOrder._fields[1:-1]:
        setattr(record, name, getattr(text, name))
    record.fill_ids = dict.fromkeys(text.fill_ids)
    return record


class OrderBook:
    """Orders by client order id, in the order in which they were intended."""

    __slots__ = ("_rows", "packs")

    def __init__(self, *, packs: bool = False) -> None:
        self.packs = packs  # whether it is to be packed now and then, which takes time
        self._rows: dict[str, OrderRecord | bytes] = {}

    def __setitem__(self, order_id: str, record: OrderRecord) -> None:
        self._rows[intern(order_id)] = record  # a simulated venue keeps the id, too, and for as long

    def __getitem__(self, order_id: str) -> OrderRecord:
        row = self._rows[order_id]
        return self._unpacked(order_id, row) if type(row) is bytes else cast(OrderRecord, row)

    def __contains__(self, order_id: object) -> bool:
        return order_id in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, order_id: str) -> OrderRecord | None:
        """Return the record of an order, None when there is no such order."""
        return self[order_id] if order_id in self._rows else None

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def items(self) -> Iterator[tuple[str, OrderRecord]]:
        """Return all ids with their records, oldest first."""
        return ((order_id, self[order_id]) for order_id in self._rows)

    def values(self) -> Iterator[OrderRecord]:
        """Return all records, oldest first."""
        return (self[order_id] for order_id in self._rows)

    def newest_first(self) -> Iterator[OrderRecord]:
        """Return all records, the one intended last first."""
        return (self[order_id] for order_id in reversed(self._rows))

    def knows_fill(self, order_id: str, fill_id: str) -> bool:
        """Return whether a trade of an order was booked, and leave the order as it is kept."""
        row = self._rows[order_id]
        return fill_id in (_read(row).fill_ids if isinstance(row, bytes) else row.fill_ids)

    def pack(self, before: int) -> None:
        """Keep in little room what is over and was intended before a moment (ns UTC)."""
        for order_id, row in self._rows.items():
            if type(row) is OrderRecord and not row.is_open and row.order.ts < before:
                self._rows[order_id] = _packed(row)

    def _unpacked(self, order_id: str, row: bytes) -> OrderRecord:
        # It takes its place again, because it may be written by whoever asked.
        record = self._rows[order_id] = as_record(_read(row))
        return record


# --- in little room -------------------------------------------------------------------------------

_FORM = form_of(WrittenOrder)


def _text(record: OrderRecord) -> bytes:
    return json.dumps(_FORM.write(written(record)), separators=(",", ":"), ensure_ascii=False).encode()


def _typical() -> bytes:
    """Return what most orders have in common, so that only the rest is kept of each."""
    order = Order(
        client_order_id="t1abcdef00000001",
        account="main",
        strategy="strategy",
        instrument="SYMBOL/USD",
        side=Side.SELL,
        kind=OrderKind.STOP,
        qty=Decimal("1.00"),
        ts=1_700_000_000_000_000_000,
        stop_price=Decimal("100.00"),
        purpose=Purpose.PROTECT,
        group_id="t1abcdef00000002",
        reduce_only=True,
    )
    record = OrderRecord(order)
    record.status, record.accepted_at, record.reason = Status.CANCELED, order.ts, "the position is flat"
    entry = Order(
        client_order_id="t1abcdef00000003",
        account="main",
        strategy="strategy",
        instrument="SYMBOL/USD",
        side=Side.BUY,
        kind=OrderKind.MARKET,
        qty=Decimal(1),
        ts=1_700_000_000_000_000_000,
        purpose=Purpose.TARGET,
    )
    filled = OrderRecord(entry)
    filled.status, filled.accepted_at, filled.filled_qty = Status.FILLED, entry.ts, entry.qty
    return _text(record) + _text(filled)


_TYPICAL = _typical()


def _packed(record: OrderRecord) -> bytes:
    packer = zlib.compressobj(level=6, wbits=-zlib.MAX_WBITS, zdict=_TYPICAL)
    return packer.compress(_text(record)) + packer.flush()


def _read(row: bytes) -> WrittenOrder:
    text = zlib.decompressobj(wbits=-zlib.MAX_WBITS, zdict=_TYPICAL).decompress(row)
    return cast(WrittenOrder, read_as(_FORM, json.loads(text), "a packed order"))

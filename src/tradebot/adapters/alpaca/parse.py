"""Read Alpaca's JSON into our nouns, tolerant of what is new and strict about money.

Unknown fields and words are passed over; an amount that cannot be read is never guessed: `Unreadable` says
which, and whoever asked decides what is left out or asked again. Refuses floats for money.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from tradebot.core.model import SECOND, Fill, Instrument, OrderKind, Side
from tradebot.core.ports import Standing, VenueOrder
from tradebot.core.recorder import stop_id

Row = Mapping[str, Any]

STANDINGS = {
    "new": Standing.WORKING,
    "accepted": Standing.WORKING,
    "pending_new": Standing.WORKING,
    "accepted_for_bidding": Standing.WORKING,
    "pending_review": Standing.WORKING,
    "held": Standing.WORKING,
    "partially_filled": Standing.WORKING,
    "pending_cancel": Standing.WORKING,
    "pending_replace": Standing.WORKING,
    "stopped": Standing.WORKING,
    "suspended": Standing.WORKING,
    "done_for_day": Standing.WORKING,
    "calculated": Standing.WORKING,
    "filled": Standing.FILLED,
    "canceled": Standing.CANCELED,
    "expired": Standing.EXPIRED,
    "rejected": Standing.REJECTED,
    "replaced": Standing.REPLACED,
}
_KINDS = {kind.value: kind for kind in OrderKind}


class Unreadable(ValueError):
    """A message that does not say what it must; its text names the field and what was found."""


class Symbols:
    """What Alpaca calls our instruments: pairs lose their slash in positions and activities."""

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self.instruments = dict(instruments)
        self._by_name = {name.replace("/", ""): name for name in instruments} | {n: n for n in instruments}

    def find(self, name: object) -> str | None:
        """Return our name of an instrument, None for one that is not ours."""
        return self._by_name.get(name) if isinstance(name, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One trade update. `fill` is the trade it tells of, None for the other events."""

    event: str
    order: VenueOrder
    ts: int
    fill: Fill | None


def row_of(value: object) -> Row:
    """Return a JSON object. Raises Unreadable."""
    if not isinstance(value, dict):
        raise Unreadable(f"must be an object, was {_shown(value)}")
    return value


def amount(row: Row, name: str) -> Decimal:
    """Return a finite amount. Raises Unreadable."""
    found = amount_or_none(row, name)
    if found is None:
        raise Unreadable(f"{name} must be an amount, was {_shown(row.get(name))}")
    return found


def amount_or_none(row: Row, name: str) -> Decimal | None:
    """Return a finite amount, None where there is none. Raises Unreadable for anything else."""
    value = row.get(name)
    if value is None or value == "":
        return None
    # A JSON number was read as float or int; its text is what the venue wrote, up to 17 digits.
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Unreadable(f"{name} must be an amount, was {_shown(value)}")
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        raise Unreadable(f"{name} must be an amount, was {_shown(value)}") from None
    if not found.is_finite():
        raise Unreadable(f"{name} must be finite, was {_shown(value)}")
    return found


def price(row: Row, name: str) -> float:
    """Return a market price or size as float. Raises Unreadable."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unreadable(f"{name} must be a number, was {_shown(value)}")
    return float(value)


def text(row: Row, name: str) -> str:
    """Return a text that is not empty. Raises Unreadable."""
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"{name} must be a text, was {_shown(value)}")
    return value


def moment(row: Row, name: str) -> int:
    """Return ns UTC of an RFC 3339 time, all nine decimals kept. Raises Unreadable."""
    return read_time(text(row, name), name)


def read_time(value: str, name: str = "time") -> int:
    """Return ns UTC. Raises Unreadable."""
    whole, dot, rest = value.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    zone = rest[digits:] if dot else ""
    try:
        found = datetime.fromisoformat(whole + zone)
    except ValueError:
        raise Unreadable(f"{name} must be a time, was {_shown(value)}") from None
    if found.tzinfo is None:
        raise Unreadable(f"{name} must have a time zone, was {_shown(value)}")
    fraction = int(rest[:digits][:9].ljust(9, "0")) if digits else 0
    return int(found.timestamp()) * SECOND + fraction


def order_of(row: Row, symbols: Symbols) -> VenueOrder:
    """Return an order as it stands; an unknown status counts as working. Raises Unreadable.

    A notional order has the quantity that it traded: what else it will trade nobody knows.
    """
    status = text(row, "status")
    filled = amount_or_none(row, "filled_qty") or Decimal(0)
    qty = amount_or_none(row, "qty")
    if filled < 0 or (qty is not None and qty < filled):
        raise Unreadable(f"filled_qty must be between 0 and qty {qty}, was {filled}")
    symbol = text(row, "symbol")
    kind = _KINDS.get(str(row.get("type") or row.get("order_type")))
    if kind is None:
        raise Unreadable(f"type must be one of {', '.join(_KINDS)}, was {_shown(row.get('type'))}")
    return VenueOrder(
        client_order_id=str(row.get("client_order_id") or ""),
        venue_order_id=text(row, "id"),
        instrument=symbols.find(symbol) or symbol,
        side=side_of(row),
        kind=kind,
        qty=filled if qty is None else qty,
        filled_qty=filled,
        standing=STANDINGS.get(status, Standing.WORKING),
        limit_price=amount_or_none(row, "limit_price"),
        stop_price=amount_or_none(row, "stop_price"),
        reason=status if status == "rejected" else "",
    )


def orders_of(row: Row, symbols: Symbols) -> list[VenueOrder]:
    """Return an order and the stop that came with it as a pair, under our id of it. Raises Unreadable.

    Alpaca keeps no client id for that one; ours follows from the target's.
    """
    found = [order_of(row, symbols)]
    legs = row.get("legs")
    for leg in legs if is_pair(row) and isinstance(legs, list) else ():
        stop = order_of(row_of(leg), symbols)
        if stop.kind is OrderKind.STOP:
            found.append(replace(stop, client_order_id=stop_id(found[0].client_order_id)))
    return found


def is_pair(row: Row) -> bool:
    """Return whether an order is half of a pair of which one cancels the other."""
    return row.get("order_class") == "oco"


def side_of(row: Row) -> Side:
    """Return buy or sell (short sales are sells). Raises Unreadable."""
    value = row.get("side")
    if value == "buy":
        return Side.BUY
    if value in ("sell", "sell_short"):
        return Side.SELL
    raise Unreadable(f"side must be buy or sell, was {_shown(value)}")


def fill_id(venue_order_id: str, cumulative: Decimal) -> str:
    """Return the id of a trade: its order and how much that had traded with it.

    The stream numbers executions and the account's history numbers activities, in ways that nothing
    published joins. What an order has traded in all is in both, and never the same twice.
    """
    return f"{venue_order_id}/{cumulative.normalize():f}"


def traded(row: Row, *, order: VenueOrder, cumulative: Decimal, ts: int) -> Fill:
    """Return a trade with the qty and price of `row`. Raises Unreadable."""
    qty, paid = amount(row, "qty"), amount(row, "price")
    if qty <= 0 or paid <= 0 or cumulative < qty:
        raise Unreadable(
            f"a trade must have a qty up to the total {cumulative} and a price above 0, was {qty} at {paid}"
        )
    return Fill(
        fill_id=fill_id(order.venue_order_id, cumulative),
        client_order_id=order.client_order_id,
        instrument=order.instrument,
        side=order.side,
        qty=qty,
        price=paid,
        ts=ts,
    )


def update_of(value: object, symbols: Symbols) -> Update:
    """Return a trade update. Raises Unreadable."""
    row = row_of(value)
    event = text(row, "event")
    order = order_of(row_of(row.get("order")), symbols)
    ts = moment(row, "timestamp")
    fill = None
    if event in ("fill", "partial_fill"):
        fill = traded(row, order=order, cumulative=order.filled_qty, ts=ts)
    return Update(event=event, order=order, ts=ts, fill=fill)


def _shown(value: object) -> str:
    words = repr(value)
    return words if len(words) <= 60 else f"{words[:57]}..."

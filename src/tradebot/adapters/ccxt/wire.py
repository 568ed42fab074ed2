"""Translate orders into ccxt's words, and its orders and trades into ours.

Pure. Numbers are text on one side and Decimal on the other, never float. What cannot be understood raises
BadData: the caller counts it and asks the exchange again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tradebot.adapters.ccxt.declared import Declared
from tradebot.adapters.ccxt.symbols import Symbols, amount
from tradebot.core.model import Fill, Instrument, Liquidity, Order, OrderKind, Side, Tif
from tradebot.core.ports import Standing, VenueOrder
from tradebot.core.quantize import on_grid
from tradebot.errors import BadData

MS = 1_000_000  # ns

_TIFS = {Tif.GTC: "GTC", Tif.IOC: "IOC", Tif.FOK: "FOK"}
_STANDINGS = {
    "open": Standing.WORKING,
    "canceling": Standing.WORKING,
    "closed": Standing.FILLED,
    "canceled": Standing.CANCELED,
    "expired": Standing.EXPIRED,
    "expired_in_match": Standing.EXPIRED,
    "rejected": Standing.REJECTED,
}
_STOPS = ("stopPrice", "triggerPrice", "stopLossPrice")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What `create_order` is called with."""

    symbol: str
    kind: str
    side: str
    qty: str
    price: str | None
    params: Mapping[str, object] = field(default_factory=dict)


def refusal(order: Order, instrument: Instrument, row: Declared) -> str:
    """Return why an order cannot be sent to an exchange; empty when it can.

    These are the exchange's own filters: what breaks them would be refused there anyhow.
    """
    if order.kind in row.refuses:
        return row.refuses[order.kind]
    if order.kind is OrderKind.TRAILING_STOP and not _trail_of(order):
        return "an exchange trails by a hundredth of a percent of the price, or a multiple of it"
    if order.activated_by is not None or order.expires_at is not None:
        return "an exchange takes no order that waits for another one or ends at a given time"
    if order.kind is not OrderKind.MARKET and order.kind is not OrderKind.STOP and order.tif not in row.tifs:
        return (
            f"time in force must be one of {', '.join(t.value for t in row.tifs)} here, was {order.tif.value}"
        )
    if len(order.client_order_id) > row.longest_id:
        return f"the exchange takes ids of at most {row.longest_id} characters, was {order.client_order_id!r}"
    if not on_grid(order.qty, instrument.lot_size) or order.qty < instrument.min_qty or order.qty <= 0:
        least, step = instrument.min_qty, instrument.lot_size
        return f"quantity must be at least {least:f} and a multiple of {step:f}, was {order.qty:f}"
    prices = [p for p in (order.limit_price, order.stop_price) if p is not None]
    for price in prices:
        if price <= 0 or not on_grid(price, instrument.tick_size):
            return f"prices must be multiples of {instrument.tick_size:f}, was {price:f}"
    if prices and order.qty * min(prices) < instrument.min_notional:
        return (
            f"quantity times price must be at least {instrument.min_notional:f} {instrument.quote}, "
            f"was {order.qty * min(prices):f}"
        )
    return ""


def call_of(order: Order, symbols: Symbols) -> Call:
    """Return the call that sends `order`; it has passed `refusal`."""
    params: dict[str, object] = {"clientOrderId": order.client_order_id}
    is_limit = order.kind in (OrderKind.LIMIT, OrderKind.STOP_LIMIT)
    if order.kind in (OrderKind.STOP, OrderKind.STOP_LIMIT) and order.stop_price is not None:
        params["stopLossPrice"] = f"{order.stop_price:f}"
    if order.kind is OrderKind.TRAILING_STOP:
        params |= {"trailingPercent": _trail_of(order), "stopLossOrTakeProfit": "stopLoss"}
    if is_limit and order.post_only:
        params["postOnly"] = True
    elif is_limit and order.tif in _TIFS:
        params["timeInForce"] = _TIFS[order.tif]
    return Call(
        symbol=symbols.symbol(order.instrument),
        kind="limit" if is_limit else "market",
        side=order.side.value,
        qty=f"{order.qty:f}",
        price=f"{order.limit_price:f}" if is_limit and order.limit_price is not None else None,
        params=params,
    )


def _trail_of(order: Order) -> str:
    """Return how far an order trails, in percent; empty for what is no whole number of basis points."""
    if order.trail is None or not order.trail_is_fraction or order.trail * 10_000 % 1:
        return ""
    return f"{(order.trail * 100).normalize():f}"


def order_of(raw: object, symbols: Symbols, exchange: str, client_order_id: str = "") -> VenueOrder | None:
    """Return an order as the exchange has it, None for one in a market that we do not trade.

    `client_order_id` is what it was found by: some answers carry the id of a cancel in its place.

    Raises BadData for what is no order: without an id, a quantity or a status that is known.
    """
    if not isinstance(raw, Mapping):
        raise BadData(f"an order must be a record, was {type(raw).__name__}")
    instrument = symbols.instrument(raw.get("symbol"))
    if instrument is None:
        if isinstance(raw.get("symbol"), str):
            return None
        raise BadData("an order must name its market")
    venue_id, qty = raw.get("id"), amount(raw.get("amount"))
    status = str(raw.get("status"))
    filled = amount(raw.get("filled")) or Decimal(0)
    if not isinstance(venue_id, str) or not venue_id or qty is None or qty <= 0 or filled < 0:
        raise BadData(
            f"an order must have an id and a quantity, was id {venue_id!r}, amount {qty}, filled {filled}"
        )
    if status not in _STANDINGS:
        raise BadData(f"status {status[:40]!r} is not known")
    standing = _STANDINGS[status]
    if standing is Standing.FILLED and filled < qty:
        standing = Standing.CANCELED  # over with a rest: some exchanges say "closed" of that, too
    stop = next((found for key in _STOPS if (found := amount(raw.get(key)))), None)
    kind = _kind(str(raw.get("type")), stop)
    has_limit = kind in (OrderKind.LIMIT, OrderKind.STOP_LIMIT)
    return VenueOrder(
        client_order_id=client_order_id or _text(raw.get("clientOrderId")),
        venue_order_id=f"{venue_id}",
        instrument=instrument.id,
        side=_side(raw.get("side")),
        kind=kind,
        qty=qty,
        filled_qty=filled,
        standing=standing,
        limit_price=(amount(raw.get("price")) or None) if has_limit else None,
        stop_price=stop,
        is_triggered=stop is not None and (filled > 0 or _is_working(raw.get("info"))),
        reason=exchange if standing is Standing.REJECTED else "",
    )


def fill_of(raw: object, symbols: Symbols, client_order_id: str) -> Fill | None:
    """Return a trade of this account, None for one in a market that we do not trade.

    `fill_id` names the market, too: exchanges count trades per market. Raises BadData for what is no trade.
    """
    if not isinstance(raw, Mapping):
        raise BadData(f"a trade must be a record, was {type(raw).__name__}")
    instrument = symbols.instrument(raw.get("symbol"))
    if instrument is None:
        if isinstance(raw.get("symbol"), str):
            return None
        raise BadData("a trade must name its market")
    trade_id, qty, price = raw.get("id"), amount(raw.get("amount")), amount(raw.get("price"))
    ts = raw.get("timestamp")
    if (
        not isinstance(trade_id, str)
        or not trade_id
        or qty is None
        or price is None
        or qty <= 0
        or price <= 0
    ):
        raise BadData(f"a trade must have id, quantity and price, was {trade_id!r}, {qty}, {price}")
    if not isinstance(ts, int) or ts <= 0:
        raise BadData(f"a trade must have a time, was {ts!r}")
    fee, asset = _fee(raw)
    return Fill(
        fill_id=f"{raw['symbol']}:{trade_id}",
        client_order_id=client_order_id,
        instrument=instrument.id,
        side=_side(raw.get("side")),
        qty=qty,
        price=price,
        ts=ts * MS,
        fee=fee,
        fee_asset=asset,
        liquidity=Liquidity.MAKER if raw.get("takerOrMaker") == "maker" else Liquidity.TAKER,
    )


def client_id_of(raw: Mapping[str, Any], row: Declared) -> str:
    """Return our id in a trade of the private stream, empty where the exchange does not say it."""
    info = raw.get("info")
    if not isinstance(info, Mapping):
        return ""
    return next((_text(info.get(key)) for key in row.trade_client_id if _text(info.get(key))), "")


def _fee(raw: Mapping[str, Any]) -> tuple[Decimal, str]:
    fees = raw.get("fees")
    found: Sequence[object] = fees if isinstance(fees, list) and fees else [raw.get("fee")]
    rows = [row for row in found if isinstance(row, Mapping) and row.get("cost") is not None]
    if not rows:
        return Decimal(0), ""
    if len(rows) > 1:
        raise BadData(f"a trade must have one fee, had {len(rows)}")
    cost, asset = amount(rows[0].get("cost")) or Decimal(0), _text(rows[0].get("currency"))
    if cost and not asset:
        raise BadData(f"a fee must name its asset, was {cost}")
    return cost, asset if cost else ""


def _side(value: object) -> Side:
    if value not in ("buy", "sell"):
        raise BadData(f"a side must be buy or sell, was {str(value)[:20]!r}")
    return Side(value)


def _kind(kind: str, stop: Decimal | None) -> OrderKind:
    is_limit = "limit" in kind
    if stop is None:
        return OrderKind.LIMIT if is_limit else OrderKind.MARKET
    return OrderKind.STOP_LIMIT if is_limit else OrderKind.STOP


def _is_working(info: object) -> bool:
    return isinstance(info, Mapping) and info.get("isWorking") is True


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""

"""Translate a target and a stop of which one cancels the other into one request, and its answer back.

Pure. The table names the method of ccxt that sends a pair; an exchange without a row takes none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tradebot.core.messages import SubmitPair
from tradebot.core.model import OrderKind, Side, Tif


def refusal(pair: SubmitPair) -> str:
    """Return why two orders cannot rest as a pair; empty when they can."""
    target, stop = pair.target, pair.stop
    if target.kind is not OrderKind.LIMIT or stop.kind is not OrderKind.STOP:
        return f"a pair is a limit and a stop, these are {target.kind.value} and {stop.kind.value}"
    if (target.instrument, target.side, target.qty) != (stop.instrument, stop.side, stop.qty):
        return "both orders of a pair trade the same quantity of the same instrument on the same side"
    if target.tif is not Tif.GTC:
        return f"a pair rests until cancelled, this one is {target.tif.value}"
    return ""


def binance_words(pair: SubmitPair, market_id: str) -> dict[str, object]:
    """Return the parameters of Binance's order list; its two orders are named by where they lie."""
    target, stop = pair.target, pair.stop
    limit = {
        "Type": "LIMIT_MAKER",
        "ClientOrderId": target.client_order_id,
        "Price": f"{target.limit_price:f}",
    }
    trigger = {
        "Type": "STOP_LOSS",
        "ClientOrderId": stop.client_order_id,
        "StopPrice": f"{stop.stop_price:f}",
    }
    above, below = (limit, trigger) if target.side is Side.SELL else (trigger, limit)
    return {
        "symbol": market_id,
        "side": target.side.value.upper(),
        "quantity": f"{target.qty:f}",
        "listClientOrderId": target.group_id or target.client_order_id,
        **{f"above{name}": value for name, value in above.items()},
        **{f"below{name}": value for name, value in below.items()},
    }


def ids_of(answer: object) -> dict[str, str]:
    """Return the exchange's id of each order that an answer names, by our id; empty for any other answer."""
    rows = answer.get("orders") if isinstance(answer, Mapping) else None
    found: dict[str, str] = {}
    for row in rows if isinstance(rows, list) else ():
        order_id = _named(row, "clientOrderId")
        if order_id:
            found[order_id] = _named(row, "orderId")
    return {order_id: venue_id for order_id, venue_id in found.items() if venue_id}


def _named(row: Any, key: str) -> str:
    value = row.get(key) if isinstance(row, Mapping) else None
    is_name = isinstance(value, str | int) and not isinstance(value, bool)
    return f"{value}" if is_name else ""

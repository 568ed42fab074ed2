"""Read a new order out of Binance's parameters, and refuse what its filters refuse.

Owns the order of the checks and their texts. What an account can pay for is `desk`'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from tradebot.core.model import Instrument, Order, OrderKind, Side, Tif
from tradebot.core.quantize import on_grid
from tradebot.emulators.binance import refusal as no
from tradebot.emulators.binance import words
from tradebot.emulators.binance.refusal import Refusal

_KINDS = {name: kind for kind, name in words.TYPES.items() if kind is not OrderKind.TRAILING_STOP} | {
    "LIMIT_MAKER": OrderKind.LIMIT
}
_TIFS = {name: tif for tif, name in words.TIFS.items()}
_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "MARKET": ("quantity",),
    "LIMIT": ("timeInForce", "quantity", "price"),
    "LIMIT_MAKER": ("quantity", "price"),
    "STOP_LOSS": ("quantity", "stopPrice"),
    "STOP_LOSS_LIMIT": ("timeInForce", "quantity", "price", "stopPrice"),
}
_ALWAYS = ("symbol", "side", "type")
_MAY = ("newClientOrderId", "newOrderRespType", "selfTradePreventionMode")


def client_id(params: Mapping[str, str], name: str, default: str) -> str:
    """Return a client's id of its own choice. Raises Refusal for one out of range."""
    given = params.get(name)
    if given is None:
        return default
    if not _ID.fullmatch(given):
        text = f"Illegal characters found in parameter '{name}'; legal range is '^[a-zA-Z0-9-_]{{1,36}}$'."
        raise Refusal(-1100, text)
    return given


def order_of(params: Mapping[str, str], inst: Instrument, account: str, default_id: str, now: int) -> Order:
    """Return the order that `params` describe. Raises Refusal."""
    for name in _ALWAYS:
        if not params.get(name):
            raise no.missing(name)
    word = params["type"]
    if word not in _NEEDS:
        raise Refusal(-1116, "Invalid orderType.")
    needs = _NEEDS[word]
    is_trailing = word == "STOP_LOSS" and "trailingDelta" in params
    if is_trailing:  # it may begin to trail at a price of its own; not emulated
        needs = ("quantity", "trailingDelta")
    for name in needs:
        if not params.get(name):
            raise no.missing(name)
    taken = {*_ALWAYS, *_MAY, *needs}
    if extra := [name for name in params if name not in taken]:
        if extra[0] in ("price", "stopPrice", "timeInForce"):
            raise Refusal(-1106, f"Parameter '{extra[0]}' sent when not required.")
        raise no.unread(len(params) - len(extra), len(params))
    if params["side"] not in ("BUY", "SELL"):
        raise Refusal(-1117, "Invalid side.")
    if "timeInForce" in taken and params["timeInForce"] not in _TIFS:
        raise Refusal(-1115, "Invalid timeInForce.")
    return Order(
        client_order_id=client_id(params, "newClientOrderId", default_id),
        account=account,
        strategy="",
        instrument=inst.id,
        side=Side(params["side"].lower()),
        kind=OrderKind.TRAILING_STOP if is_trailing else _KINDS[word],
        qty=_number(params, "quantity") or Decimal(0),
        ts=now,
        limit_price=_number(params, "price"),
        stop_price=_number(params, "stopPrice"),
        trail=_trail(params),
        trail_is_fraction=is_trailing,
        tif=_TIFS[params["timeInForce"]] if "timeInForce" in params else Tif.GTC,
        post_only=word == "LIMIT_MAKER",
    )


def _trail(params: Mapping[str, str]) -> Decimal | None:
    """Return how far an order trails, as a fraction; basis points are asked for. Raises Refusal."""
    text = params.get("trailingDelta")
    if text is None:
        return None
    if not text.isdigit():
        raise no.illegal("trailingDelta")
    if not 10 <= int(text) <= 2000:
        raise no.filtered("TRAILING_DELTA")
    return Decimal(text) / 10_000


def check_filters(order: Order, inst: Instrument, market: float | None, working: int) -> None:
    """Raise Refusal for what a symbol's filters refuse; `market` is the last price, if there is one."""
    least = max(inst.min_qty, inst.lot_size)
    if not least <= order.qty <= words.MOST or not on_grid(order.qty, inst.lot_size):
        raise no.filtered("LOT_SIZE")
    for price in (order.limit_price, order.stop_price):
        if price is not None and (price < inst.tick_size or not on_grid(price, inst.tick_size)):
            raise no.filtered("PRICE_FILTER")
    last = None if market is None else Decimal(str(market))
    value = order.limit_price or order.stop_price or last
    if value is not None and order.qty * value < inst.min_notional:
        raise no.filtered("NOTIONAL")
    limit = order.limit_price
    if limit is not None and last is not None and not last / words.BAND <= limit <= last * words.BAND:
        raise no.filtered("PERCENT_PRICE_BY_SIDE")
    if working >= words.MOST_ORDERS:
        raise no.filtered("MAX_NUM_ORDERS")


def _number(params: Mapping[str, str], name: str) -> Decimal | None:
    text = params.get(name)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        range_ = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
        raise Refusal(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{range_}'.")
    number = Decimal(text)
    if len(text.partition(".")[2].rstrip("0")) > 8:
        raise Refusal(-1111, f"Parameter '{name}' has too much precision.")
    return number

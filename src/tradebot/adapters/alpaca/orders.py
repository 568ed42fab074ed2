"""Write our orders as Alpaca's requests, with every amount as the text of a Decimal.

Owns what Alpaca cannot do: such an order is refused here, before it leaves, with the reason.
"""

from __future__ import annotations

from decimal import Decimal

from tradebot.core.messages import SubmitPair
from tradebot.core.model import AssetClass, Instrument, Order, OrderKind, Purpose, Tif

TIFS = {
    Tif.DAY: "day",
    Tif.GTC: "gtc",
    Tif.IOC: "ioc",
    Tif.FOK: "fok",
    Tif.AT_OPEN: "opg",
    Tif.AT_CLOSE: "cls",
}
_CRYPTO_TIFS = (Tif.GTC, Tif.IOC)
_CRYPTO_KINDS = (OrderKind.MARKET, OrderKind.LIMIT, OrderKind.STOP_LIMIT)


def plain(amount: Decimal) -> str:
    """Return an amount without exponent."""
    return f"{amount.normalize():f}"


def inability(order: Order, instrument: Instrument) -> str:
    """Return why Alpaca cannot take such an order at all, empty when it can."""
    if order.post_only:
        return "Alpaca has no post-only orders"
    if order.activated_by is not None:
        return "Alpaca takes an order that waits for another only in one request with it"
    if order.expires_at is not None:
        return "Alpaca ends no order at a time of its owner's choice"
    why = kind_inability(order.kind, instrument)
    if why:
        return why
    if instrument.asset_class is AssetClass.CRYPTO:
        if order.tif not in _CRYPTO_TIFS and order.tif is not Tif.DAY:
            return f"Alpaca takes tif gtc and ioc for crypto, this is {order.tif.value}"
    elif order.qty != order.qty.to_integral_value() and order.tif not in (Tif.DAY, Tif.GTC):
        return f"Alpaca takes parts of a share for the day only, this is {order.tif.value}"
    return ""


def kind_inability(kind: OrderKind, instrument: Instrument) -> str:
    """Return why Alpaca has no orders of a kind for an instrument, empty when it has."""
    if instrument.asset_class is AssetClass.CRYPTO and kind not in _CRYPTO_KINDS:
        return f"Alpaca has no {kind.value} orders for crypto; use market, limit or stop_limit"
    if kind is OrderKind.TRAILING_STOP and instrument.lot_size < 1:
        return "Alpaca has no trailing_stop orders for parts of a share"
    if instrument.asset_class not in (AssetClass.CRYPTO, AssetClass.STOCK):
        return f"Alpaca trades stocks, ETFs and crypto; {instrument.id} is {instrument.asset_class.value}"
    return ""


def sibling_inability(order: Order, resting: Order) -> str:
    """Return why a protective order cannot rest beside another one of its group."""
    assert order.purpose is Purpose.PROTECT
    return (
        f"Alpaca holds the shares for {resting.kind.value} order {resting.client_order_id} already: "
        "one protective order can rest for a position there"
    )


def pair_inability(pair: SubmitPair, instrument: Instrument) -> str:
    """Return why a target and a stop cannot rest as one group, empty when they can."""
    target, stop = pair.target, pair.stop
    if instrument.asset_class is AssetClass.CRYPTO:
        return "Alpaca joins no orders for crypto"
    if target.kind is not OrderKind.LIMIT or stop.kind is not OrderKind.STOP:
        return f"Alpaca joins a limit and a stop, these are {target.kind.value} and {stop.kind.value}"
    if (target.side, target.qty, target.tif) != (stop.side, stop.qty, stop.tif):
        return "Alpaca joins orders of one side, quantity and time in force"
    if target.qty != target.qty.to_integral_value():
        return "Alpaca joins orders for whole shares only"
    return (
        "" if target.tif in (Tif.DAY, Tif.GTC) else f"Alpaca joins day and gtc orders, not {target.tif.value}"
    )


def pair_body_of(pair: SubmitPair, instrument: Instrument) -> dict[str, object]:
    """Return the JSON of a target that brings its stop along; only the target keeps an id of ours."""
    body = body_of(pair.target, instrument)
    limit = body.pop("limit_price")
    assert pair.stop.stop_price is not None
    stop = {"stop_price": plain(pair.stop.stop_price)}
    return {**body, "order_class": "oco", "take_profit": {"limit_price": limit}, "stop_loss": stop}


def body_of(order: Order, instrument: Instrument) -> dict[str, object]:
    """Return the JSON of a new order.

    A fractional quantity of a stock goes as `day`, the only time in force that Alpaca takes for it: it ends
    at the close, and what it protects is protected anew.
    """
    body: dict[str, object] = {
        "symbol": order.instrument,
        "qty": plain(order.qty),
        "side": order.side.value,
        "type": order.kind.value,
        "time_in_force": TIFS[_tif(order, instrument)],
        "client_order_id": order.client_order_id,
    }
    if order.limit_price is not None:
        body["limit_price"] = plain(order.limit_price)
    if order.stop_price is not None and order.kind is not OrderKind.TRAILING_STOP:
        body["stop_price"] = plain(order.stop_price)
    if order.kind is OrderKind.TRAILING_STOP and order.trail is not None:
        name = "trail_percent" if order.trail_is_fraction else "trail_price"
        body[name] = plain(order.trail * 100 if order.trail_is_fraction else order.trail)
    return body


def _tif(order: Order, instrument: Instrument) -> Tif:
    if instrument.asset_class is AssetClass.CRYPTO:
        return Tif.GTC if order.tif is Tif.DAY else order.tif
    is_fractional = order.qty != order.qty.to_integral_value()
    return Tif.DAY if is_fractional and order.tif is Tif.GTC else order.tif


def change_of(order: Order, old: Order | None) -> dict[str, object]:
    """Return the JSON that turns `old` (None: not known any more) into `order`."""
    body: dict[str, object] = {"client_order_id": order.client_order_id, "qty": plain(order.qty)}
    if order.limit_price is not None:
        body["limit_price"] = plain(order.limit_price)
    if order.stop_price is not None and order.kind is not OrderKind.TRAILING_STOP:
        body["stop_price"] = plain(order.stop_price)
    if order.kind is OrderKind.TRAILING_STOP and order.trail is not None:
        body["trail"] = plain(order.trail * 100 if order.trail_is_fraction else order.trail)
    if old is None or old.tif is not order.tif:
        body["time_in_force"] = TIFS[order.tif]
    return body


def replace_inability(order: Order, old: Order | None, traded: Decimal) -> str:
    """Return why an order cannot be put in another's place in one step, empty when it can."""
    if order.qty != order.qty.to_integral_value():
        return "Alpaca replaces whole quantities only"
    if traded:
        # What qty then means, all or the rest, is nowhere published: a wrong guess would double the order.
        return f"{plain(traded)} of it have traded"
    if old is not None and (old.kind is not order.kind or old.trail_is_fraction != order.trail_is_fraction):
        return f"Alpaca keeps the type of a replaced order: {old.kind.value}, not {order.kind.value}"
    return ""

"""Say why a venue would not take an order; an empty answer means it takes it.

Owns the checks at arrival. What can only be known at the fill (cash, a position to sell) is
checked there, by `blotter`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from tradebot.core.model import ALWAYS_OPEN, Bar, Instrument, Order, OrderKind, Quote, Side, Tif
from tradebot.core.quantize import LEDGER_CONTEXT, on_grid, price_nearest
from tradebot.sim.accounts import Account
from tradebot.sim.blotter import Blotter
from tradebot.sim.sessions import Session
from tradebot.sim.settings import FillSettings, StopThrough
from tradebot.sim.working import Role, Working

_STOPS = (OrderKind.STOP, OrderKind.STOP_LIMIT)
_LIMITS = (OrderKind.LIMIT, OrderKind.STOP_LIMIT)


def last_price(mark: Bar | Quote | None, side: Side) -> float | None:
    """Return the price `side` would trade against as far as known: close, or the opposite quote."""
    if mark is None:
        return None
    if isinstance(mark, Bar):
        price = mark.close
    else:
        price = mark.ask if side is Side.BUY else mark.bid
    # Marks are taken unread on the idle path, so a bad one may be among them.
    return price if 0.0 < price < inf else None


def terms_refusal(order: Order, inst: Instrument, now: int) -> str:
    """Check what the order says of itself: prices, quantity, grid, validity."""
    if order.qty <= 0 or not on_grid(order.qty, inst.lot_size):
        return f"qty must be a positive multiple of the lot {inst.lot_size}, was {order.qty}"
    if order.qty < inst.min_qty:
        return f"qty must be at least {inst.min_qty}, was {order.qty}"
    for name, price, needed in (
        ("limit_price", order.limit_price, order.kind in _LIMITS),
        ("stop_price", order.stop_price, order.kind in _STOPS),
    ):
        if price is None:
            if needed:
                return f"a {order.kind.value} order needs a {name}"
        elif price <= 0 or not on_grid(price, inst.tick_size):
            return f"{name} must be a positive multiple of the tick {inst.tick_size}, was {price}"
    if order.kind is OrderKind.TRAILING_STOP:
        if order.trail is None or order.trail <= 0:
            return f"a trailing stop needs a trail above 0, was {order.trail}"
        if order.trail_is_fraction and order.trail >= 1:
            return f"a trail that is a fraction of the price must be below 1, was {order.trail}"
    if order.expires_at is not None and order.expires_at <= now:
        return f"expires_at must lie ahead: was {order.expires_at}, now is {now}"
    return _tif_refusal(order)


def _tif_refusal(order: Order) -> str:
    if order.tif in (Tif.IOC, Tif.FOK, Tif.AT_OPEN, Tif.AT_CLOSE) and order.kind not in (
        OrderKind.MARKET,
        OrderKind.LIMIT,
    ):
        return f"tif {order.tif.value} is for market and limit orders, this is a {order.kind.value} order"
    if order.post_only and (order.kind is not OrderKind.LIMIT or order.tif not in (Tif.DAY, Tif.GTC)):
        return (
            "post_only is for resting limit orders (tif day or gtc), "
            f"this is a {order.kind.value} order with tif {order.tif.value}"
        )
    return ""


def session_refusal(order: Order, inst: Instrument, session: Session | None, cutoff: int, now: int) -> str:
    """Check the order against the session: auctions and their cut-offs, immediate orders while closed."""
    if order.tif in (Tif.AT_OPEN, Tif.AT_CLOSE):
        if inst.calendar == ALWAYS_OPEN or session is None:
            return (
                f"tif {order.tif.value} needs an auction, the calendar {inst.calendar} has none that is known"
            )
        auction = session.opens_at if order.tif is Tif.AT_OPEN else session.closes_at
        ahead = session.is_open == (order.tif is Tif.AT_CLOSE)
        if ahead and auction is not None and auction - cutoff < now < auction:
            return f"tif {order.tif.value}: the auction's cut-off {auction - cutoff} has passed, now is {now}"
    elif order.tif in (Tif.IOC, Tif.FOK) and session is not None and not session.is_open:
        return f"tif {order.tif.value} needs an open session, {inst.calendar} is closed"
    return ""


def market_refusal(w: Working, price: float | None, settings: FillSettings) -> str:
    """Check the order against the last known price: minimum notional, post-only, stop already through."""
    order, inst = w.order, w.instrument
    value = order.limit_price
    if value is None and price is not None:
        value = price_nearest(price, inst.tick_size)
    if inst.min_notional and value is not None:
        notional = LEDGER_CONTEXT.multiply(LEDGER_CONTEXT.multiply(order.qty, value), inst.multiplier)
        if notional < inst.min_notional:
            return f"notional must be at least {inst.min_notional} {inst.quote}, was {notional}"
    if price is None or order.activated_by is not None:
        return ""
    if order.post_only and w.is_marketable(price):
        return f"post_only: limit {order.limit_price} would take, the market is at {price}"
    if settings.stop_through is StopThrough.REJECT and w.role is Role.STOP and w.is_through(price):
        return f"stop {order.stop_price} is already through, the market is at {price}"
    return ""


def holding_refusal(order: Order, inst: Instrument, account: Account, blotter: Blotter) -> str:
    """Check that a sell which may not go short could be covered by what is held or being bought."""
    if order.side is Side.BUY or order.reduce_only or order.activated_by is not None:
        return ""
    if not account.is_cash and inst.shortable:
        return ""
    coverable = account.position(inst.id) + blotter.working_buys(order.account, inst.id)
    if order.qty <= coverable:
        return ""
    why = "a cash account sells only what it holds" if account.is_cash else f"{inst.id} cannot be shorted"
    return f"{why}: sells {order.qty}, holds or is buying {coverable}"


def place_refusal(
    order: Order,
    instruments: Mapping[str, Instrument],
    accounts: Mapping[str, Account],
    blotter: Blotter,
) -> str:
    """Check that the venue knows what the order names."""
    if order.instrument not in instruments:
        return f"unknown instrument {order.instrument!r}"
    if order.account not in accounts:
        return f"unknown account {order.account!r}"
    if order.activated_by is not None:
        parent = blotter.heir(order.activated_by)
        if parent not in blotter.orders and not blotter.ended.get(parent):
            found = "ended without a fill" if parent in blotter.ended else "is not known here"
            return f"activated_by must name a working or filled order, {parent!r} {found}"
    return ""

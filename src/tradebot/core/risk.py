"""Decide whether an order may leave: allow, shrink or deny, with the numbers.

Owns the pre-trade rules about amounts and the order in which all rules are asked. Each is a pure
function of a view and an order. Refuses state: counters and levels come from the ledger, prices from
the market.

Orders that can only reduce the strategy's position are exempt from the rules that bound
exposure and loss: a limit must never keep us from getting out.
"""

from __future__ import annotations

from decimal import Decimal

from tradebot.core import conduct
from tradebot.core.books import ZERO
from tradebot.core.model import AccountModel, Order, Side
from tradebot.core.quantize import qty_down, qty_for
from tradebot.core.trades import grid_problem
from tradebot.core.view import (
    NOTHING,
    Denied,
    Rule,
    Shrunk,
    Verdict,
    View,
    compared,
    is_reducing,
    numbers,
    value_of,
)


def on_grid(view: View, order: Order) -> Verdict:
    """Quantity and prices are finite, on the venue's grid and above zero."""
    prices = {"limit_price": order.limit_price, "stop_price": order.stop_price}
    if not all(x is None or x.is_finite() for x in (order.qty, *prices.values())):
        return Denied(rule="grid", reason=f"quantity and prices must be finite, were {order.qty}, {prices}")
    problem = grid_problem(view.instrument, order.qty, prices)
    return Denied(rule="grid", reason=problem) if problem else NOTHING


def minimum(view: View, order: Order) -> Verdict:
    """The venue's minimum quantity and notional are met."""
    if order.qty < view.instrument.min_qty:
        return Denied(
            rule="min_qty",
            reason=f"the venue takes {view.instrument.min_qty} or more, was {order.qty.normalize():f}",
            numbers=numbers(qty=float(order.qty), min_qty=float(view.instrument.min_qty)),
        )
    value, least = value_of(view, order), float(view.instrument.min_notional)
    if value < least:
        return Denied(
            rule="min_notional",
            reason=f"the venue takes a notional of {least:g} or more, was {value:.8g}",
            numbers=numbers(notional=value, min_notional=least),
        )
    passed = NOTHING
    if view.instrument.min_qty:
        passed = compared("min_qty", float(order.qty), float(view.instrument.min_qty))
    return passed + compared("min_notional", value, least) if least else passed


def shortable(view: View, order: Order) -> Verdict:
    """A short needs a margin account and an instrument that can be borrowed."""
    after = view.account_held + (view.account_way + order.qty) * order.side.sign
    if view.model is AccountModel.CASH:
        # What another strategy holds is not ours to sell.
        after = min(after, view.held - view.alike + order.qty_signed)
    if order.side is Side.BUY:
        return NOTHING
    if after >= 0:
        return compared("short", float(after), 0.0)
    if view.model is AccountModel.CASH:
        reason = f"a cash account cannot go short, would hold {after.normalize():f}"
    elif not view.instrument.shortable:
        reason = f"{view.instrument.id} cannot be borrowed, would hold {after.normalize():f}"
    else:
        return NOTHING
    return Denied(rule="short", reason=reason, numbers=numbers(after=float(after)))


def buying_power(view: View, order: Order) -> Verdict:
    """In a cash account a buy, with everything already reserved, is covered by cash."""
    if view.model is not AccountModel.CASH or order.side is Side.SELL:
        return NOTHING
    cost, free = value_of(view, order), float(view.cash) - view.reserved
    if cost <= free * (1.0 + 1e-12):
        return compared("buying_power", cost, free)
    return Denied(
        rule="buying_power",
        reason=f"the order costs {cost:.8g} {view.instrument.quote}, free are {free:.8g}",
        numbers=numbers(cost=cost, free=free),
    )


def max_order(view: View, order: Order) -> Verdict:
    """One order's notional stays below the limit; a larger one is cut down to it."""
    return _cut(view, order, "max_order", view.limits.max_order, ZERO)


def max_order_qty(view: View, order: Order) -> Verdict:
    """One order's quantity stays below the limit; a larger one is cut down to it."""
    limit = view.limits.max_order_qty
    if limit is None:
        return NOTHING
    if float(order.qty) <= limit:
        return compared("max_order_qty", float(order.qty), limit)
    room = qty_for(limit, view.instrument.lot_size)
    reason = f"max_order_qty is {limit:g}, would be {float(order.qty):g}"
    if not room:
        return Denied(rule="max_order_qty", reason=reason, numbers=numbers(limit=limit, qty=float(order.qty)))
    return Shrunk(rule="max_order_qty", reason=reason, qty=room)


def collar(view: View, order: Order) -> Verdict:
    """A limit price does not pay more than the collar beyond the last price."""
    limit = view.limits.collar
    if limit is None or order.limit_price is None:
        return NOTHING
    beyond = (float(order.limit_price) / view.price - 1.0) * order.side.sign
    if beyond <= limit + 1e-9:
        return compared("collar", beyond, limit)
    return Denied(
        rule="collar",
        reason=f"a price may lie {limit:.4g} beyond the last one {view.price:.8g}, {order.limit_price} lies {beyond:.4g}",
        numbers=numbers(limit=limit, beyond=beyond),
    )


def max_position(view: View, order: Order) -> Verdict:
    """The account's position, open orders on the same side included, stays below the limit."""
    before = view.account_held + view.account_way * order.side.sign
    return _cut(view, order, "max_position", view.limits.max_position, before)


def _cut(view: View, order: Order, rule: str, limit: float | None, before: Decimal) -> Verdict:
    if limit is None:
        return NOTHING
    unit = view.price * float(view.instrument.multiplier) * view.rate
    after = abs(float(before + order.qty_signed)) * unit
    if after <= limit:
        return compared(rule, after, limit)
    room = qty_for(max(limit / unit - float(before) * order.side.sign, 0.0), view.instrument.lot_size)
    reason = f"{rule} is {limit:g}, would be {after:.8g}"
    if not room or room >= order.qty:
        return Denied(rule=rule, reason=reason, numbers=numbers(limit=limit, after=after))
    return Shrunk(rule=rule, reason=reason, qty=room)


def max_gross(view: View, order: Order) -> Verdict:
    """Gross exposure of the account, all that works and this order included, stays below the limit."""
    limit = view.limits.max_gross
    if limit is None:
        return NOTHING
    after = view.gross + value_of(view, order) * view.rate
    if after <= limit:
        return compared("max_gross", after, limit)
    return Denied(
        rule="max_gross",
        reason=f"max_gross is {limit:g}, would be {after:.8g}",
        numbers=numbers(limit=limit, after=after),
    )


def capital(view: View, order: Order) -> Verdict:
    """What strategies hold, or will when all that works has traded, stays within the account's capital."""
    limit = view.capital
    if limit is None:
        return NOTHING
    after = view.ours + value_of(view, order) * view.rate
    if after <= limit * (1.0 + 1e-9):
        return compared("capital", after, limit)
    return Denied(
        rule="capital",
        reason=f"capital is {limit:g}, would be {after:.8g}",
        numbers=numbers(limit=limit, after=after),
    )


# What one of these keeps back waits for an event that works it again; it is no refusal to try anew later.
WAITING = ("reconciled", "price_missing", "data_age", "session_closed", "makes_way")
# Of these, what waits for the next price.
FOR_DATA = ("price_missing", "data_age")

ALWAYS: tuple[Rule, ...] = (on_grid, minimum, conduct.reconciled, conduct.messages)
INCREASING: tuple[Rule, ...] = (
    conduct.halted,
    conduct.fresh,
    conduct.in_session,
    conduct.allowed,
    shortable,
    conduct.rate_of_orders,
    max_order_qty,
    max_order,
    collar,
    max_position,
    max_gross,
    capital,
    conduct.within_parent,
    conduct.duplicate,
    buying_power,
    conduct.self_cross,
)


def judge(view: View, order: Order) -> Verdict:
    """Ask the rules in order; the first word against the order stands, else what all of them compared.

    An order through zero that may not open the other side is cut down to what closes this one.
    """
    passed = NOTHING
    for rule in ALWAYS:
        verdict = rule(view, order)
        if not isinstance(verdict, tuple):
            return verdict
        passed += verdict
    if is_reducing(view, order):
        return passed
    for rule in INCREASING:
        verdict = rule(view, order)
        if not isinstance(verdict, tuple):
            return _only_close(view, order, verdict)
        passed += verdict
    return passed


def _only_close(view: View, order: Order, word: Denied | Shrunk) -> Denied | Shrunk:
    if isinstance(word, Shrunk) or not view.held or (view.held > 0) == (order.side is Side.BUY):
        return word
    qty = qty_down(abs(view.held) - view.alike, view.instrument.lot_size)
    return Shrunk(rule=word.rule, reason=word.reason, qty=qty) if 0 < qty < order.qty else word

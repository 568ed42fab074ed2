"""Judge an order by how it is sent: when, how often, beside which others.

Owns the pre-trade rules about conduct. Each is a pure function of a view and an order.
"""

from __future__ import annotations

from tradebot.core.model import DAY, MINUTE, SECOND, Order, OrderKind, Purpose, Side, Tif
from tradebot.core.scope import HaltLevel
from tradebot.core.view import NOTHING, Denied, Verdict, View, compared, is_reducing, numbers


def halted(view: View, order: Order) -> Verdict:
    """Nothing that increases exposure leaves while a halt or pause covers it."""
    level, reason = view.ledger.halt_level(order.strategy, order.instrument)
    if level is HaltLevel.NONE:
        return NOTHING
    return Denied(rule="halted", reason=f"{level.name.lower()}: {reason}")


def reconciled(view: View, order: Order) -> Verdict:
    """Nothing leaves before the account was compared with the venue.

    Not even what should reduce: a journal from a backup does not know what is held.
    """
    if view.ledger.is_reconciled(order.account):
        return NOTHING
    return Denied(rule="reconciled", reason=f"account {order.account} was not compared with the venue yet")


def fresh(view: View, order: Order) -> Verdict:
    """The price that an order is judged by is known and not overdue. What waits for data is worked with them."""
    if view.price <= 0.0:
        return Denied(rule="price_missing", reason=f"no price of {order.instrument} was seen yet")
    limit = view.limits.max_data_age
    if limit is None:
        return NOTHING
    late, most = view.overdue / SECOND, limit / SECOND
    if view.overdue <= limit:
        return compared("data_age", late, most)
    return Denied(
        rule="data_age",
        reason=f"the next price of {order.instrument} may be {most:g} s late, is {late:g} s",
        numbers=numbers(limit_s=most, late_s=late),
    )


def in_session(view: View, order: Order) -> Verdict:
    """Outside its session only an order for an auction leaves."""
    if view.is_open or order.tif in (Tif.AT_OPEN, Tif.AT_CLOSE):
        return NOTHING
    return Denied(rule="session_closed", reason="waits for the session to open")


def allowed(view: View, order: Order) -> Verdict:
    """An order's instrument is one of its strategy's."""
    if view.is_allowed:
        return NOTHING
    return Denied(rule="symbol", reason=f"strategy {order.strategy} does not trade {order.instrument}")


def within_parent(view: View, order: Order) -> Verdict:
    """The orders of an execution parent never exceed it."""
    parent = None if order.parent_id is None else view.ledger.parents.get(order.parent_id)
    if parent is None:
        return NOTHING
    after, most = float(parent.ordered + order.qty), float(parent.opened.qty)
    if parent.ordered + order.qty <= parent.opened.qty:
        return compared("parent", after, most)
    return Denied(
        rule="parent",
        reason=f"the parent is of {most:g}, its orders would be of {after:g}",
        numbers=numbers(limit=most, after=after),
    )


def duplicate(view: View, order: Order) -> Verdict:
    """The same order is not sent twice within the window; quotes, which do so by nature, are exempt."""
    window = view.limits.duplicate_window
    if window is None or view.ledger.wish((order.strategy, order.instrument)).quotes is not None:
        return NOTHING
    for record in view.ledger.orders.newest_first():
        before = record.order
        if before.ts <= view.now - window:
            return NOTHING
        if _is_same(before, order):
            ago = (view.now - before.ts) / SECOND
            return Denied(
                rule="duplicate",
                reason=f"the same as {before.client_order_id}, sent {ago:g} s before",
                numbers=numbers(window_s=window / SECOND, ago_s=ago),
            )
    return NOTHING


def _is_same(one: Order, other: Order) -> bool:
    return (
        one.strategy == other.strategy
        and one.instrument == other.instrument
        and one.side is other.side
        and one.qty == other.qty
        and one.limit_price == other.limit_price
        and one.purpose is other.purpose
    )


def messages(view: View, order: Order) -> Verdict:
    """No more messages a second than agreed. What reduces has a lane as wide again for itself."""
    limit = view.limits.max_messages_per_second
    if limit is None:
        return NOTHING
    most = 2 * limit if is_reducing(view, order) else limit
    count = sum(1 for at in view.ledger.message_times if at > view.now - SECOND)
    if count < most:
        return compared("max_messages_per_second", float(count + 1), float(most))
    return Denied(
        rule="max_messages_per_second",
        reason=f"max_messages_per_second is {most}, {count} were sent",
        numbers=numbers(limit=float(most), sent=float(count)),
    )


def rate_of_orders(view: View, order: Order) -> Verdict:
    """No more orders a minute and a day than agreed."""
    times = view.ledger.order_times
    passed = NOTHING
    for rule, limit, span in (
        ("max_orders_per_minute", view.limits.max_orders_per_minute, MINUTE),
        ("max_orders_per_day", view.limits.max_orders_per_day, DAY),
    ):
        if limit is None:
            continue
        count = sum(1 for at in times if at > view.now - span)
        if count >= limit:
            return Denied(
                rule=rule,
                reason=f"{rule} is {limit}, {count} were sent",
                numbers=numbers(limit=float(limit), sent=float(count)),
            )
        passed += compared(rule, float(count + 1), float(limit))
    return passed


def self_cross(view: View, order: Order) -> Verdict:
    """A limit order does not meet a resting order of our own at the same account."""
    if order.kind is not OrderKind.LIMIT or order.limit_price is None:
        return NOTHING
    for (_, instrument), working in view.ledger.open.items():
        if instrument != order.instrument:
            continue
        for record in working.values():
            theirs = record.order.limit_price
            if record.order.side is order.side or theirs is None or record.order.account != order.account:
                continue
            if record.order.client_order_id == order.replaces or record.order.purpose is Purpose.PROTECT:
                continue
            if (order.limit_price >= theirs) if order.side is Side.BUY else (order.limit_price <= theirs):
                return Denied(
                    rule="self_cross",
                    reason=f"{order.limit_price} would meet our own {record.order.client_order_id} at {theirs}",
                )
    return NOTHING

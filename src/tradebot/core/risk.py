"""Decide whether an order may leave: allow, shrink or deny, with the numbers.

Owns the pre-trade rules, in the order they are asked. Each is a pure function of a view and an
order. Refuses state: counters and levels come from the ledger, prices from the market.

Orders that can only reduce the strategy's position are exempt from the rules that bound
exposure and loss: a limit must never keep us from getting out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from tradebot.core.books import ZERO
from tradebot.core.ledger import Ledger
from tradebot.core.messages import HaltLevel
from tradebot.core.model import (
    DAY,
    MINUTE,
    AccountModel,
    Explained,
    Instrument,
    Order,
    OrderKind,
    Purpose,
    Side,
)
from tradebot.core.quantize import qty_down, qty_for
from tradebot.core.setup import Limits
from tradebot.core.trades import grid_problem


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the rules may look at, gathered once per order.

    `price` is the market price the decision used; `held` the strategy's signed quantity, `alike` what
    its other orders on the same side have left (positive); `account_held`, `account_working` the account's; `gross` the account's gross
    exposure; money in the base currency, floats.
    """

    ledger: Ledger
    instrument: Instrument
    limits: Limits
    model: AccountModel
    now: int
    price: float
    rate: float
    equity: float
    held: Decimal
    alike: Decimal
    account_held: Decimal
    account_working: Decimal
    gross: float
    cash: Decimal
    reserved: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """The order must not leave."""

    rule: str
    reason: str
    numbers: tuple[Explained, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunk:
    """A smaller quantity may leave."""

    rule: str
    reason: str
    qty: Decimal


Verdict = Denied | Shrunk | None
Rule = Callable[[View, Order], Verdict]


def _numbers(**values: float) -> tuple[Explained, ...]:
    return tuple(Explained(name=name, value=value) for name, value in values.items())


def is_reducing(view: View, order: Order) -> bool:
    """Return whether the order can only bring the strategy's position nearer to zero."""
    if order.purpose in (Purpose.PROTECT, Purpose.FLATTEN) or order.reduce_only:
        return True
    is_against = bool(view.held) and (view.held > 0) == (order.side is Side.SELL)
    return is_against and order.qty + view.alike <= abs(view.held)  # two halves each would close it twice


def halted(view: View, order: Order) -> Verdict:
    """Nothing that increases exposure leaves while a halt or pause covers it."""
    level, reason = view.ledger.halt_level(order.strategy, order.instrument)
    if level is HaltLevel.NONE:
        return None
    return Denied(rule="halted", reason=f"{level.name.lower()}: {reason}")


def reconciled(view: View, order: Order) -> Verdict:
    """Nothing that increases exposure leaves before the account was compared with the venue."""
    if view.ledger.is_reconciled(order.account):
        return None
    return Denied(rule="reconciled", reason=f"account {order.account} was not compared with the venue yet")


def on_grid(view: View, order: Order) -> Verdict:
    """Quantity and prices are on the venue's grid and above zero."""
    prices = {"limit_price": order.limit_price, "stop_price": order.stop_price}
    problem = grid_problem(view.instrument, order.qty, prices)
    return Denied(rule="grid", reason=problem) if problem else None


def minimum(view: View, order: Order) -> Verdict:
    """The venue's minimum quantity and notional are met."""
    if order.qty < view.instrument.min_qty:
        return Denied(
            rule="min_qty",
            reason=f"the venue takes {view.instrument.min_qty} or more, was {order.qty.normalize():f}",
            numbers=_numbers(qty=float(order.qty), min_qty=float(view.instrument.min_qty)),
        )
    value, least = _value(view, order), float(view.instrument.min_notional)
    if value < least:
        return Denied(
            rule="min_notional",
            reason=f"the venue takes a notional of {least:g} or more, was {value:.8g}",
            numbers=_numbers(notional=value, min_notional=least),
        )
    return None


def shortable(view: View, order: Order) -> Verdict:
    """A short needs a margin account and an instrument that can be borrowed."""
    after = view.account_held + view.account_working + order.qty_signed
    if view.model is AccountModel.CASH:
        # What another strategy holds is not ours to sell.
        after = min(after, view.held - view.alike + order.qty_signed)
    if order.side is Side.BUY or after >= 0:
        return None
    if view.model is AccountModel.CASH:
        reason = f"a cash account cannot go short, would hold {after.normalize():f}"
    elif not view.instrument.shortable:
        reason = f"{view.instrument.id} cannot be borrowed, would hold {after.normalize():f}"
    else:
        return None
    return Denied(rule="short", reason=reason, numbers=_numbers(after=float(after)))


def buying_power(view: View, order: Order) -> Verdict:
    """In a cash account a buy, with everything already reserved, is covered by cash."""
    if view.model is not AccountModel.CASH or order.side is Side.SELL:
        return None
    cost, free = _value(view, order), float(view.cash) - view.reserved
    if cost <= free * (1.0 + 1e-12):
        return None
    return Denied(
        rule="buying_power",
        reason=f"the order costs {cost:.8g} {view.instrument.quote}, free are {free:.8g}",
        numbers=_numbers(cost=cost, free=free),
    )


def max_order(view: View, order: Order) -> Verdict:
    """One order's notional stays below the limit; a larger one is cut down to it."""
    return _cut(view, order, "max_order", view.limits.max_order, ZERO)


def max_position(view: View, order: Order) -> Verdict:
    """The account's position, open orders included, stays below the limit."""
    return _cut(
        view, order, "max_position", view.limits.max_position, view.account_held + view.account_working
    )


def _cut(view: View, order: Order, rule: str, limit: float | None, before: Decimal) -> Verdict:
    if limit is None:
        return None
    unit = view.price * float(view.instrument.multiplier) * view.rate
    after = abs(float(before + order.qty_signed)) * unit
    if after <= limit:
        return None
    room = qty_for(max(limit / unit - float(before) * order.side.sign, 0.0), view.instrument.lot_size)
    reason = f"{rule} is {limit:g}, would be {after:.8g}"
    if not room or room >= order.qty:
        return Denied(rule=rule, reason=reason, numbers=_numbers(limit=limit, after=after))
    return Shrunk(rule=rule, reason=reason, qty=room)


def max_gross(view: View, order: Order) -> Verdict:
    """Gross exposure of the account, this order included, stays below the limit."""
    limit = view.limits.max_gross
    if limit is None:
        return None
    after = view.gross + _value(view, order) * view.rate
    if after <= limit:
        return None
    return Denied(
        rule="max_gross",
        reason=f"max_gross is {limit:g}, would be {after:.8g}",
        numbers=_numbers(limit=limit, after=after),
    )


def rate_of_orders(view: View, order: Order) -> Verdict:
    """No more orders a minute and a day than agreed."""
    times = view.ledger.order_times
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
                numbers=_numbers(limit=float(limit), sent=float(count)),
            )
    return None


def self_cross(view: View, order: Order) -> Verdict:
    """A limit order does not meet a resting order of our own at the same account."""
    if order.kind is not OrderKind.LIMIT or order.limit_price is None:
        return None
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
    return None


def _value(view: View, order: Order) -> float:
    price = float(order.limit_price) if order.limit_price is not None else view.price
    return float(order.qty) * price * float(view.instrument.multiplier)


# What one of these keeps back waits for an event that works it again; it is no refusal to try anew later.
WAITING = ("reconciled",)

ALWAYS: tuple[Rule, ...] = (on_grid, minimum)
INCREASING: tuple[Rule, ...] = (
    halted,
    reconciled,
    shortable,
    rate_of_orders,
    max_order,
    max_position,
    max_gross,
    buying_power,
    self_cross,
)


def judge(view: View, order: Order) -> Verdict:
    """Ask the rules in order; the first word against the order stands.

    An order through zero that may not open the other side is cut down to what closes this one.
    """
    for rule in ALWAYS:
        verdict = rule(view, order)
        if verdict is not None:
            return verdict
    if is_reducing(view, order):
        return None
    for rule in INCREASING:
        verdict = rule(view, order)
        if verdict is not None:
            return _only_close(view, order, verdict)
    return None


def _only_close(view: View, order: Order, verdict: Verdict) -> Verdict:
    if not isinstance(verdict, Denied) or not view.held or (view.held > 0) == (order.side is Side.BUY):
        return verdict
    qty = qty_down(abs(view.held) - view.alike, view.instrument.lot_size)
    return Shrunk(rule=verdict.rule, reason=verdict.reason, qty=qty) if 0 < qty < order.qty else verdict

"""Say what pre-trade rules look at and what they answer.

Owns the view that is gathered once per order and the forms of a verdict. Refuses rules: those about
amounts are in `risk`, those about conduct in `conduct`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from tradebot.core.ledger import Ledger
from tradebot.core.model import AccountModel, Compared, Explained, Instrument, Order, Purpose, Side
from tradebot.core.setup import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the rules may look at, gathered once per order.

    `price` is the market price the decision used; `held` the strategy's signed quantity, `alike` what
    its other orders on the same side have left (positive); `account_held`, `account_way` the same of the
    whole account; `gross` the account's gross exposure, `ours` what strategies have of it, both at worst
    when orders that work have traded; money in the base currency, floats.
    `overdue` (ns) is how late the next price is, `is_open` whether the session is, `is_allowed` whether
    the strategy trades this instrument.
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
    account_way: Decimal
    gross: float
    cash: Decimal
    reserved: float
    capital: float | None = None
    ours: float = 0.0
    overdue: int = 0
    is_open: bool = True
    is_allowed: bool = True


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


Passed = tuple[Compared, ...]  # no objection, and the numbers that say so; empty where none were compared
Verdict = Denied | Shrunk | Passed
Rule = Callable[[View, Order], Verdict]


def numbers(**values: float) -> tuple[Explained, ...]:
    """Return what was compared, by name."""
    return tuple(Explained(name=name, value=value) for name, value in values.items())


NOTHING: Passed = ()  # no objection, and nothing to compare: no limit is set, or it is none of numbers


def compared(rule: str, value: float, limit: float) -> Passed:
    """Return that `value` keeps within `limit`."""
    return (Compared(rule, value, limit),)


def value_of(view: View, order: Order) -> float:
    """Return an order's notional in the quote asset, at its limit price or the last one."""
    price = float(order.limit_price) if order.limit_price is not None else view.price
    return float(order.qty) * price * float(view.instrument.multiplier)


def is_reducing(view: View, order: Order) -> bool:
    """Return whether the order can only bring the strategy's position nearer to zero."""
    if order.purpose in (Purpose.PROTECT, Purpose.FLATTEN) or order.reduce_only:
        return True
    is_against = bool(view.held) and (view.held > 0) == (order.side is Side.SELL)
    return is_against and order.qty + view.alike <= abs(view.held)  # two halves each would close it twice

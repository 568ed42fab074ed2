"""Write everything a ledger knows as canonical text, to compare two of them or one with itself later.

What was only looked at (an empty wish) is no state and is left out. The order of positions is: equity is
summed in it, and floats remember.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from hashlib import sha256

from tradebot.core.books import Position, SubLedger
from tradebot.core.ledger import Ledger
from tradebot.core.orders import OrderRecord
from tradebot.core.wishes import ParentState, WishState

_EMPTY_WISH = WishState()


def ledger_digest(ledger: Ledger) -> str:
    """Return the sha256 of `ledger_text`."""
    return sha256(ledger_text(ledger).encode()).hexdigest()


def ledger_text(ledger: Ledger) -> str:
    """Return all state, one line per thing, in an order that does not depend on how it came about."""
    return "\n".join(_lines(ledger))


def _lines(ledger: Ledger) -> Iterator[str]:
    yield f"seq {ledger.seq} epoch {ledger.epoch} run {ledger.run_id}"
    for name, account in sorted(ledger.accounts.items()):
        yield f"account {name} {account.model.value} {account.base_currency}"
        yield f"account {name} cash {_cash(account.cash)}"
        yield f"account {name} unsettled {_text(tuple(account.unsettled))}"
        for instrument, lots in sorted(account.lots.items()):
            for lot in lots:
                yield f"account {name} lot {instrument} {_text(lot)}"
        yield from _sub(account.unassigned)
    for _, sub in sorted(ledger.subs.items()):
        yield from _sub(sub)
    for order_id, record in ledger.orders.items():
        yield f"order {order_id} {_slots(record, OrderRecord)}"
    for key, working in sorted(ledger.open.items()):
        if working:
            yield f"open {key} {list(working)}"
    for group, records in sorted(ledger.groups.items()):
        yield f"group {group} {[r.order.client_order_id for r in records]}"
    for key, wish in sorted(ledger.wishes.items()):
        if _slots(wish, WishState) != _slots(_EMPTY_WISH, WishState):
            yield f"wish {key} {_slots(wish, WishState)}"
    for parent_id, parent in ledger.parents.items():
        yield f"parent {parent_id} {_slots(parent, ParentState)} running {parent_id in ledger.running}"
    yield f"reconcile {ledger.needs_reconcile}"
    for what in (
        "configured",
        "saved",
        "failed",
        "halts",
        "reconciled",
        "venue_refs",
        "sessions",
        "rates",
        "timers",
        "days",
        "accrued",
    ):
        for key, value in sorted(getattr(ledger, what).items(), key=lambda pair: repr(pair[0])):
            if value != []:
                yield f"{what} {_text(key)} {_text(value)}"
    yield f"order times {ledger.order_times} {ledger.message_times}"


def _sub(sub: SubLedger) -> Iterator[str]:
    yield f"sub {sub.account} {sub.strategy} cash {_cash(sub.cash)}"
    for instrument, position in sub.positions.items():
        yield f"sub {sub.account} {sub.strategy} position {instrument} {_slots(position, Position)}"


def _cash(cash: dict[str, Decimal]) -> str:
    return " ".join(f"{_text(amount)} {asset}" for asset, amount in sorted(cash.items()))


def _slots(thing: object, kind: type) -> str:
    return " ".join(f"{name}={_text(getattr(thing, name))}" for name in sorted(kind.__slots__))


def _text(value: object) -> str:
    """Return a value as text that is equal exactly when the values are."""
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, Enum):
        return value.name
    if is_dataclass(value) and not isinstance(value, type):
        inner = " ".join(f"{f.name}={_text(getattr(value, f.name))}" for f in fields(value))
        return f"{type(value).__name__}({inner})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(k)}: {_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "(" + ", ".join(_text(part) for part in value) + ")"
    return repr(value)

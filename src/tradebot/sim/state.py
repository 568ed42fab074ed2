"""Write the simulated venue down at rest, and build it again from what was written.

Owns the form. A venue is at rest between two calls, never inside a bar. What was written is read into
a new venue of the same settings; from there on both do the same, report by report.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from sys import intern
from typing import cast

from tradebot.core.forms import Plain, from_plain, to_plain
from tradebot.core.messages import CancelOrder, ReplaceOrder, SubmitOrder
from tradebot.core.model import Bar, Order, Quote
from tradebot.errors import InvariantError, StoreError
from tradebot.sim.accounts import Account
from tradebot.sim.blotter import Blotter, Budget
from tradebot.sim.corporate import Payable
from tradebot.sim.quotes import Depth
from tradebot.sim.sessions import Session
from tradebot.sim.venue import Request, SimVenue
from tradebot.sim.working import Role, Working

VERSION = 1

_AMOUNTS = ("activated", "cap", "fee", "filled", "notional", "reduced", "stop_price")
_PLAIN = ("fresh", "level", "limit", "parent", "reference", "seq", "since", "takes", "tried", "venue_id")
_REQUESTS: dict[str, type[Request]] = {c.__name__: c for c in (SubmitOrder, CancelOrder, ReplaceOrder)}

Object = dict[str, Plain]


def dump(venue: SimVenue) -> Object:
    """Return the venue's state as JSON values. Raises InvariantError inside a bar or with reports left."""
    if not venue.is_at_rest:
        raise InvariantError("a venue is written down at rest: drain its reports first, outside a bar")
    blotter = venue.blotter
    return {
        "version": VERSION,
        "seq": venue.seq,
        "accounts": {name: _account(account) for name, account in blotter.accounts.items()},
        "orders": [_working(w) for w in blotter.orders.values()],
        "books": {name: list[Plain](book) for name, book in blotter.books.items() if book},
        **_tables(blotter),
        "marks": {name: _mark(mark) for name, mark in venue.marks.items()},
        "depths": {name: _depth(depth) for name, depth in venue.depths.items() if depth.bid_price},
        "pending": {name: [_pending(p) for p in rows] for name, rows in venue.pending.items() if rows},
        "expiries": {name: [list[Plain](e) for e in rows] for name, rows in venue.expiries.items() if rows},
        "sessions": {name: _session(s) for name, s in venue.sessions.items()},
        "payables": [to_plain(Payable, p) for p in venue.payables],
        "places": dict[str, Plain](venue.places),
    }


def load(venue: SimVenue, written: Mapping[str, Plain]) -> None:
    """Bring a new venue into the written venue. Raises StoreError for another version."""
    if written.get("version") != VERSION:
        raise StoreError(f"the venue's state must be of version {VERSION}, was {written.get('version')!r}")
    blotter = venue.blotter
    venue.seq = cast(int, written["seq"])
    for name, account in _object(written["accounts"]).items():
        _load_account(blotter.accounts[name], _object(account))
    for row in _list(written["orders"]):
        w = _load_working(blotter, _object(row))
        blotter.orders[w.client_order_id] = w
    for name, ids in _object(written["books"]).items():
        for order_id in _list(ids):
            blotter.books[name][str(order_id)] = blotter.orders[str(order_id)]
    _load_tables(blotter, written)
    for name, mark in _object(written["marks"]).items():
        venue.marks[name] = _load_mark(_list(mark))
    for name, depth in _object(written["depths"]).items():
        _load_depth(venue.depths[name], _object(depth))
    for name, rows in _object(written["pending"]).items():
        venue.pending[name] = [_load_pending(_list(row)) for row in _list(rows)]
    for name, rows in _object(written["expiries"]).items():
        venue.expiries[name] = [
            (cast(int, at), cast(int, seq), str(order_id)) for at, seq, order_id in map(_list, _list(rows))
        ]
    for name, session in _object(written["sessions"]).items():
        venue.sessions[name] = Session(**cast("dict[str, int]", _object(session)))  # type: ignore[arg-type]
    venue.payables = [cast(Payable, from_plain(Payable, p)) for p in _list(written["payables"])]
    venue.places = {intern(order_id): str(place) for order_id, place in _object(written["places"]).items()}


# --- orders ---------------------------------------------------------------------------------------


def _working(w: Working) -> Object:
    amounts: Object = {name: _text(getattr(w, name)) for name in _AMOUNTS}
    plain: Object = {name: getattr(w, name) for name in _PLAIN}
    return {"order": to_plain(Order, w.order), "role": w.role.value, **amounts, **plain}


def _load_working(blotter: Blotter, row: Object) -> Working:
    order = cast(Order, from_plain(Order, row["order"]))
    w = Working(order, blotter.instruments[order.instrument], 0, 0)
    for name in _AMOUNTS:
        setattr(w, name, None if row[name] is None else Decimal(str(row[name])))
    for name in _PLAIN:
        setattr(w, name, row[name])
    w.role = Role(row["role"])
    return w


def _tables(blotter: Blotter) -> Object:
    groups, legs = blotter.joined
    return {
        "busy": dict[str, Plain](blotter.busy),
        "budgets": {
            name: [ts, _text(b.left), b.volume, _text(b.used)] for name, (ts, b) in blotter.budgets.items()
        },
        "ended": {order_id: _text(filled) for order_id, filled in blotter.ended.items()},
        "heirs": dict[str, Plain](blotter.heirs),
        "fills": blotter.fill_count,
        "groups": [[a, g, [w.client_order_id for w in ws]] for (a, g), ws in sorted(groups.items()) if ws],
        "legs": {parent: [w.client_order_id for w in ws] for parent, ws in sorted(legs.items()) if ws},
    }


def _load_tables(blotter: Blotter, written: Mapping[str, Plain]) -> None:
    for name, count in _object(written["busy"]).items():
        blotter.busy[name] = cast(int, count)
    for name, row in _object(written["budgets"]).items():
        ts, left, volume, used = _list(row)
        budget = Budget(None if left is None else Decimal(str(left)), cast(float, volume), Decimal(str(used)))
        blotter.budgets[name] = (cast(int, ts), budget)
    amounts: dict[str, Decimal] = {}  # of orders that are over, amounts and ids that come again are kept once
    for order_id, filled in _object(written["ended"]).items():
        blotter.ended[intern(order_id)] = amounts.setdefault(str(filled), Decimal(str(filled)))
    for order_id, by in _object(written["heirs"]).items():
        blotter.heirs[intern(order_id)] = intern(str(by))
    blotter.fill_count = cast(int, written["fills"])
    groups, legs = blotter.joined
    for account, group, ids in map(_list, _list(written["groups"])):
        groups[str(account), str(group)] = [blotter.orders[str(i)] for i in _list(ids)]
    for parent, ids in _object(written["legs"]).items():
        legs[parent] = [blotter.orders[str(i)] for i in _list(ids)]


# --- accounts, market, time -----------------------------------------------------------------------


def _account(account: Account) -> Object:
    return {
        "cash": {asset: _text(amount) for asset, amount in account.cash.items()},
        "positions": {name: _text(qty) for name, qty in account.positions.items()},
        "claims": [[c.asset, _text(c.amount), c.calendar, c.sessions] for c in account.claims],
    }


def _load_account(account: Account, row: Object) -> None:
    account.cash = {asset: Decimal(str(a)) for asset, a in _object(row["cash"]).items()}
    account.positions = {name: Decimal(str(q)) for name, q in _object(row["positions"]).items()}
    for asset, amount, calendar, sessions in map(_list, _list(row["claims"])):
        account.settle_later(str(asset), Decimal(str(amount)), str(calendar), cast(int, sessions))


def _mark(mark: Bar | Quote) -> list[Plain]:
    return [type(mark).__name__, *cast("tuple[Plain, ...]", tuple(mark))]


def _load_mark(row: list[Plain]) -> Bar | Quote:
    kind, *values = row
    return (Bar if kind == "Bar" else Quote)._make(values)


def _depth(depth: Depth) -> Object:
    return {
        side: [price, _text(budget.left), budget.volume, _text(budget.used)]
        for side, price, budget in (
            ("bid", depth.bid_price, depth.bid),
            ("ask", depth.ask_price, depth.ask),
        )
    }


def _load_depth(depth: Depth, row: Object) -> None:
    for side in ("bid", "ask"):
        price, left, volume, used = _list(row[side])
        setattr(depth, f"{side}_price", price)
        setattr(depth, side, Budget(Decimal(str(left)), cast(float, volume), Decimal(str(used))))


def _pending(row: tuple[int, int, Request, Decimal]) -> list[Plain]:
    at, seq, command, filled = row
    kind = type(command)
    return [at, seq, kind.__name__, to_plain(kind, command), _text(filled)]


def _load_pending(row: list[Plain]) -> tuple[int, int, Request, Decimal]:
    at, seq, kind, command, filled = row
    return cast(int, at), cast(int, seq), request_of(str(kind), command), Decimal(str(filled))


def request_of(kind: str, plain: Plain) -> Request:
    """Return a request that was written down; a replace of an older program did not say what had filled."""
    if kind == ReplaceOrder.__name__ and isinstance(plain, dict):
        plain = {"filled": None, **plain}
    return cast(Request, from_plain(_REQUESTS[kind], plain))


def _session(session: Session) -> Object:
    return {
        "opened_at": session.opened_at,
        "closes_at": session.closes_at,
        "is_open": session.is_open,
        "opens_at": session.opens_at,
        "before": session.before,
    }


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def _object(value: Plain) -> Object:
    if not isinstance(value, dict):
        raise StoreError(f"the venue's state must hold an object here, was {value!r}")
    return value


def _list(value: Plain) -> list[Plain]:
    if not isinstance(value, list):
        raise StoreError(f"the venue's state must hold a list here, was {value!r}")
    return value

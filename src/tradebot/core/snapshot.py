"""Write everything a ledger knows as one text, and make the same ledger of it again.

Owns that text. It lets a replay begin in the middle: facts that only said how the ledger came to be
as it is may then leave the journal. Refuses texts of another form: a snapshot only saves
time, and whoever cannot read one replays the facts themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from hashlib import sha256
from typing import NamedTuple, cast

from tradebot.core import facts as f
from tradebot.core.books import AccountBook, Position, SubLedger
from tradebot.core.forms import Plain, form_of, read_as
from tradebot.core.ledger import Ledger
from tradebot.core.model import AccountModel, ExitRules, Lot
from tradebot.core.orderbook import WrittenOrder, as_record, written
from tradebot.core.scope import HaltKey
from tradebot.core.wishes import ParentState, WishState
from tradebot.errors import InvariantError, StoreError


class _Position(NamedTuple):
    instrument: str
    qty: Decimal
    basis: Decimal
    entry_notional: Decimal
    entry_qty: Decimal
    realized: Decimal
    fees: Decimal
    opened_ts: int


class _Sub(NamedTuple):
    account: str
    strategy: str | None
    cash: tuple[f.AssetAmount, ...]
    positions: tuple[_Position, ...]


class _Unsettled(NamedTuple):
    settles_at: int
    asset: str
    amount: Decimal


class _Lots(NamedTuple):
    instrument: str
    lots: tuple[Lot, ...]


class _Account(NamedTuple):
    name: str
    model: AccountModel
    base_currency: str
    cash: tuple[f.AssetAmount, ...]
    unsettled: tuple[_Unsettled, ...]
    lots: tuple[_Lots, ...]
    unassigned: _Sub


class _Open(NamedTuple):
    strategy: str
    instrument: str
    ids: tuple[str, ...]


class _Group(NamedTuple):
    group_id: str
    ids: tuple[str, ...]


class _Refused(NamedTuple):
    rule: str
    reason: str


class _Wish(NamedTuple):
    strategy: str
    instrument: str
    target: f.TargetSet | None
    quotes: f.QuotesSet | None
    exits: ExitRules | None
    exits_lost: int
    fee_qty: Decimal
    suspended: f.TargetSuspended | None
    refused: _Refused | None
    attempts: int
    retry_at: int | None
    given_up: bool
    skip_rule: str
    counted: f.BarsCounted | None
    trail: f.TrailMoved | None
    traded: tuple[tuple[int, str, str], ...]


class _Parent(NamedTuple):
    opened: f.ParentOpened
    done: tuple[Decimal, ...]
    closed: bool
    ordered: Decimal


class _Note(NamedTuple):
    strategy: str
    instrument: str
    text: str


class _Period(NamedTuple):
    strategy: str
    instrument: str
    period: int


class _Untold(NamedTuple):
    filled: f.OrderFilled | None
    fired: f.TimerFired | None
    split: f.SplitPutOff | None


class _Session(NamedTuple):
    opened: f.SessionOpened | None
    closed: f.SessionClosed | None


class _Rate(NamedTuple):
    asset: str
    base: str
    rate: float


class _Timer(NamedTuple):
    key: str
    at: int


class _Accrual(NamedTuple):
    seq: int
    fact: f.DividendAccrued


class _Reconciled(NamedTuple):
    account: str
    ts: int


class _VenueRef(NamedTuple):
    account: str
    venue_ref: str
    seq: int


class _Settings(NamedTuple):
    strategy: str
    settings: str
    code: str


class _State(NamedTuple):
    seq: int
    seen: int
    epoch: int
    run_id: str
    version: int
    is_stopping: bool
    needs_reconcile: bool
    reconciled: tuple[_Reconciled, ...]
    venue_refs: tuple[_VenueRef, ...]
    accounts: tuple[_Account, ...]
    subs: tuple[_Sub, ...]
    orders: tuple[WrittenOrder, ...]
    open: tuple[_Open, ...]
    groups: tuple[_Group, ...]
    wishes: tuple[_Wish, ...]
    parents: tuple[_Parent, ...]
    running: tuple[str, ...]
    configured: tuple[_Settings, ...]
    saved: tuple[f.StrategySaved, ...]
    periods: tuple[_Period, ...]
    failed: tuple[_Note, ...]
    is_catching_up: bool
    untold: tuple[_Untold, ...]
    halts: tuple[f.HaltSet, ...]
    sessions: tuple[_Session, ...]
    rates: tuple[_Rate, ...]
    timers: tuple[_Timer, ...]
    days: tuple[f.DayStarted, ...]
    accrued: tuple[_Accrual, ...]
    order_times: tuple[int, ...]
    message_times: tuple[int, ...]


_PLAIN = ("seq", "seen", "epoch", "run_id", "version", "is_stopping", "needs_reconcile", "is_catching_up")
_FORM = form_of(_State)
FORM_DIGEST = sha256(_FORM.schema.encode()).hexdigest()


def dump(ledger: Ledger) -> str:
    """Return all that a ledger knows as JSON text; equal ledgers that lived alike give equal text."""
    state = _FORM.write(_state(ledger))
    return json.dumps(
        {"form": FORM_DIGEST, "state": state}, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def is_readable(text: str) -> bool:
    """Return whether a text has this program's form: the form's digest is the first thing in it."""
    return text.startswith(f'{{"form":"{FORM_DIGEST}"')


def load(text: str, ledger: Ledger) -> None:
    """Fill an empty ledger with what `dump` wrote. Raises StoreError when the text is of another form."""
    if ledger.seq or ledger.accounts:
        raise InvariantError(f"a snapshot is loaded into an empty ledger, this one is at {ledger.seq}")
    try:
        found = json.loads(text)
    except ValueError as exc:
        raise StoreError(f"a snapshot must be JSON, {exc}") from exc
    if not isinstance(found, dict) or found.get("form") != FORM_DIGEST:
        raise StoreError("the snapshot has another form than this program's")
    _fill(ledger, cast(_State, read_as(_FORM, cast(Plain, found.get("state")), "snapshot")))


# --- ledger -> state ------------------------------------------------------------------------------


def _state(ledger: Ledger) -> _State:
    return _State(
        seq=ledger.seq,
        seen=ledger.seen,
        epoch=ledger.epoch,
        run_id=ledger.run_id,
        version=ledger.version,
        is_stopping=ledger.is_stopping,
        needs_reconcile=ledger.needs_reconcile,
        reconciled=tuple(_Reconciled(account, ts) for account, ts in ledger.reconciled.items()),
        venue_refs=tuple(_VenueRef(*key, seq) for key, seq in ledger.venue_refs.items()),
        accounts=tuple(map(_account, ledger.accounts.values())),
        subs=tuple(map(_sub, ledger.subs.values())),
        orders=tuple(map(written, ledger.orders.values())),
        open=tuple(_Open(*key, tuple(working)) for key, working in ledger.open.items()),
        groups=tuple(
            _Group(group, tuple(r.order.client_order_id for r in records))
            for group, records in ledger.groups.items()
        ),
        wishes=tuple(_wish(*key, wish) for key, wish in ledger.wishes.items()),
        parents=tuple(_Parent(p.opened, tuple(p.done), p.closed, p.ordered) for p in ledger.parents.values()),
        running=tuple(ledger.running),
        configured=tuple(_Settings(name, *found) for name, found in ledger.configured.items()),
        saved=tuple(ledger.saved.values()),
        periods=tuple(_Period(*key, period) for key, period in ledger.periods.items()),
        failed=tuple(_Note(*key, text) for key, text in ledger.failed.items()),
        is_catching_up=ledger.is_catching_up,
        untold=tuple(map(_untold, ledger.untold)),
        halts=tuple(ledger.halts.values()),
        sessions=tuple(
            _Session(None, fact) if isinstance(fact, f.SessionClosed) else _Session(fact, None)
            for fact in ledger.sessions.values()
        ),
        rates=tuple(_Rate(*pair, rate) for pair, rate in ledger.rates.items()),
        timers=tuple(_Timer(key, at) for key, at in ledger.timers.items()),
        days=tuple(ledger.days.values()),
        accrued=tuple(_Accrual(seq, fact) for seq, fact in ledger.accrued.items()),
        order_times=tuple(ledger.order_times),
        message_times=tuple(ledger.message_times),
    )


def _untold(fact: f.OrderFilled | f.TimerFired | f.SplitPutOff) -> _Untold:
    return _Untold(
        filled=fact if isinstance(fact, f.OrderFilled) else None,
        fired=fact if isinstance(fact, f.TimerFired) else None,
        split=fact if isinstance(fact, f.SplitPutOff) else None,
    )


def _account(book: AccountBook) -> _Account:
    return _Account(
        name=book.name,
        model=book.model,
        base_currency=book.base_currency,
        cash=_cash(book.cash),
        unsettled=tuple(_Unsettled(*waiting) for waiting in book.unsettled),
        lots=tuple(_Lots(instrument, tuple(lots)) for instrument, lots in book.lots.items()),
        unassigned=_sub(book.unassigned),
    )


def _cash(cash: dict[str, Decimal]) -> tuple[f.AssetAmount, ...]:
    return tuple(f.AssetAmount(asset, amount) for asset, amount in cash.items())


def _sub(sub: SubLedger) -> _Sub:
    return _Sub(
        account=sub.account,
        strategy=sub.strategy,
        cash=_cash(sub.cash),
        positions=tuple(
            _Position(name, *(getattr(held, part) for part in _Position._fields[1:]))
            for name, held in sub.positions.items()
        ),
    )


def _wish(strategy: str, instrument: str, wish: WishState) -> _Wish:
    parts = {name: getattr(wish, name) for name in _Wish._fields[2:]}
    parts["traded"] = tuple(wish.traded)
    if wish.refused is not None:
        parts["refused"] = _Refused(*wish.refused)
    return _Wish(strategy=strategy, instrument=instrument, **parts)


# --- state -> ledger ------------------------------------------------------------------------------


def _fill(ledger: Ledger, state: _State) -> None:
    _set(ledger, state, _PLAIN)
    ledger.reconciled = dict(state.reconciled)
    ledger.venue_refs = {(ref.account, ref.venue_ref): ref.seq for ref in state.venue_refs}
    for account in state.accounts:
        ledger.accounts[account.name] = _filled_account(account)
    for sub in state.subs:
        ledger.subs[cast(str, sub.strategy)] = _filled_sub(SubLedger(sub.account, sub.strategy), sub)
    _fill_orders(ledger, state)
    for wish in state.wishes:
        ledger.wishes[wish.strategy, wish.instrument] = _filled_wish(wish)
    for part in state.parents:
        parent = ledger.parents[part.opened.parent_id] = ParentState(part.opened)
        parent.done, parent.closed, parent.ordered = list(part.done), part.closed, part.ordered
    ledger.running = {key: ledger.parents[key] for key in state.running}
    ledger.configured = {one.strategy: (one.settings, one.code) for one in state.configured}
    ledger.saved = {(one.strategy, one.instrument): one for one in state.saved}
    ledger.periods = {(one.strategy, one.instrument): one.period for one in state.periods}
    ledger.failed = {(note.strategy, note.instrument): note.text for note in state.failed}
    ledger.untold = [fact for one in state.untold for fact in one if fact is not None]
    ledger.halts = {HaltKey(halt.scope, halt.rule): halt for halt in state.halts}
    for opened, closed in state.sessions:
        session = opened or closed
        if session is not None:
            ledger.sessions[session.calendar] = session
    ledger.rates = {(rate.asset, rate.base): rate.rate for rate in state.rates}
    ledger.timers = dict(state.timers)
    ledger.days = {day.account: day for day in state.days}
    ledger.accrued = dict(state.accrued)
    ledger.order_times = list(state.order_times)
    ledger.message_times = list(state.message_times)


def _filled_account(account: _Account) -> AccountBook:
    book = AccountBook(account.name, account.model, account.base_currency)
    book.cash = dict(account.cash)
    book.unsettled = [(at, asset, amount) for at, asset, amount in account.unsettled]
    book.lots = {instrument: list(lots) for instrument, lots in account.lots}
    _filled_sub(book.unassigned, account.unassigned)
    return book


def _filled_sub(sub: SubLedger, part: _Sub) -> SubLedger:
    sub.cash = dict(part.cash)
    for position in part.positions:
        held = sub.positions[position.instrument] = Position()
        _set(held, position, _Position._fields[1:])
    return sub


def _fill_orders(ledger: Ledger, state: _State) -> None:
    for part in state.orders:
        ledger.orders[part.order.client_order_id] = as_record(part)
    for strategy, instrument, ids in state.open:
        ledger.open[strategy, instrument] = {name: ledger.orders[name] for name in ids}
    for group_id, ids in state.groups:
        ledger.groups[group_id] = [ledger.orders[name] for name in ids]


def _filled_wish(part: _Wish) -> WishState:
    wish = WishState()
    _set(wish, part, _Wish._fields[2:])
    wish.traded = list(part.traded)
    wish.refused = None if part.refused is None else (part.refused.rule, part.refused.reason)
    return wish


def _set(thing: object, part: object, names: Iterable[str]) -> None:
    for name in names:
        setattr(thing, name, getattr(part, name))

"""Book the facts that move money, quantities or orders' lives.

Owns the arithmetic of adding what a fact says to what is held. Refuses decisions and rounding:
every amount arrives exact, and the ledger's decimal context traps anything else.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

from tradebot.core import facts as f
from tradebot.core.books import ZERO, AccountBook, Position
from tradebot.core.model import DAY, SECOND, Lot, Order, Purpose
from tradebot.core.orders import Event, OrderRecord
from tradebot.errors import InvariantError

if TYPE_CHECKING:
    from tradebot.core.ledger import Ledger


def open_order(ledger: Ledger, order: Order) -> None:
    """Track a new order. Raises InvariantError when its id was used before."""
    if order.client_order_id in ledger.orders:
        raise InvariantError(f"client order id {order.client_order_id} must be new, was used before")
    record = OrderRecord(order)
    ledger.orders[order.client_order_id] = record
    ledger.open.setdefault((order.strategy, order.instrument), {})[order.client_order_id] = record
    if order.group_id is not None:
        ledger.groups.setdefault(order.group_id, []).append(record)


def day_started(ledger: Ledger, fact: f.DayStarted) -> None:
    """Begin a day, and put away what was over a day before."""
    known = ledger.days.get(fact.account)
    ledger.days[fact.account] = fact
    if known is None or known.day == fact.day:
        return
    before = fact.ts - DAY
    for group_id, members in list(ledger.groups.items()):
        if members[-1].order.ts < before and not any(record.is_open for record in members):
            del ledger.groups[group_id]  # trades of one order concern others only while these are open
    for parent_id, parent in list(ledger.parents.items()):
        if parent.closed and parent.opened.ts < before:
            del ledger.parents[parent_id]
    if ledger.orders.packs:
        ledger.orders.pack(before)


def count_order(ledger: Ledger, ts: int) -> None:
    """Count an order, for limits a minute and a day; it is a message too."""
    _push(ledger.order_times, ts, DAY)
    count_message(ledger, ts)


def count_message(ledger: Ledger, ts: int) -> None:
    """Count what was sent, for limits a second."""
    _push(ledger.message_times, ts, SECOND)


def _push(times: list[int], ts: int, span: int) -> None:
    times.append(ts)
    if times[0] <= ts - span:
        del times[: bisect_right(times, ts - span)]


def end_order(ledger: Ledger, client_order_id: str, event: Event, reason: str) -> None:
    """Apply an ending event and forget the order as working."""
    record = ledger.orders[client_order_id]
    record.apply(event, reason)
    _drop_if_over(ledger, record)


def reopen_order(ledger: Ledger, fact: f.OrderReopened) -> None:
    """Track an order as working again."""
    record = ledger.orders[fact.client_order_id]
    record.apply(Event.REOPENED)
    record.venue_order_id, record.is_absent = fact.venue_order_id, False
    record.accepted_at = record.accepted_at or fact.ts
    if record.is_open:
        key = (record.order.strategy, record.order.instrument)
        ledger.open.setdefault(key, {})[fact.client_order_id] = record


def _drop_if_over(ledger: Ledger, record: OrderRecord) -> None:
    if not record.is_open:
        working = ledger.open.get((record.order.strategy, record.order.instrument))
        if working is not None:
            working.pop(record.order.client_order_id, None)


def filled(ledger: Ledger, fact: f.OrderFilled) -> None:
    """Book a trade: order, account cash and lots, the strategy's cash and position."""
    fill = fact.fill
    record = ledger.orders[fill.client_order_id]
    record.apply_fill(fill)
    _drop_if_over(ledger, record)
    _reduce_others(ledger, record, fill.qty, fact.ts)
    account = ledger.accounts[fact.account]
    for asset, amount in fact.cash:
        account.add_cash(asset, amount, fact.settles_at, fact.ts)
    change_lots(account, fill.instrument, fact.closed, fact.opened)
    sub = ledger.subs[fact.strategy]
    for asset, amount in fact.cash:
        sub.add_cash(asset, amount)
    position = sub.position_to_book(fill.instrument)
    _book_entry(position, fact.qty_signed, fill.price, opens=fact.opens)
    change_position(position, fact.qty_signed, fact.basis, fact.realized, fact.ts)
    if fact.opens:
        position.opened_ts = fact.ts
    if record.order.purpose is Purpose.TARGET:
        ledger.wish((fact.strategy, fill.instrument)).fee_qty += fill.qty_signed - fact.qty_signed
    position.fees += fill.fee
    ledger.version += 1


def _reduce_others(ledger: Ledger, record: OrderRecord, qty: Decimal, ts: int) -> None:
    """Take a fill off what the venue takes it off: siblings it had, and the order under way in its place."""
    order = record.order
    if order.group_id is not None:
        for sibling in ledger.groups.get(order.group_id, ()):
            if sibling is not record and sibling.is_open and 0 < sibling.accepted_at <= ts:
                sibling.reduced += qty
    for heir in ledger.open.get((order.strategy, order.instrument), {}).values():
        if heir.order.replaces == order.client_order_id and not heir.venue_order_id:
            heir.reduced += qty


def _remember(ledger: Ledger, account: str, venue_ref: str) -> None:
    """Remember the venue's id of what was booked: venues repeat themselves."""
    if venue_ref:
        ledger.venue_refs[account, venue_ref] = ledger.seq


def _book_entry(position: Position, qty_signed: Decimal, price: Decimal, *, opens: bool) -> None:
    """Follow the average entry price (call before `qty` itself is changed)."""
    after = position.qty + qty_signed
    if opens or not after:
        position.entry_qty = abs(after)
        position.entry_notional = abs(after) * price
    elif abs(after) > abs(position.qty):
        position.entry_qty += abs(qty_signed)
        position.entry_notional += abs(qty_signed) * price


def change_position(position: Position, qty: Decimal, basis: Decimal, realized: Decimal, ts: int) -> None:
    """Add signed changes to a position; a flat one has no basis left."""
    before = position.qty
    position.qty += qty
    position.basis += basis
    position.realized += realized
    if not before or (before > 0) != (position.qty > 0):
        position.opened_ts = ts
    if not position.qty:
        if position.basis:
            raise InvariantError(f"a flat position must have no basis left, was {position.basis}")
        position.entry_notional = position.entry_qty = ZERO


def change_lots(
    account: AccountBook, instrument: str, closed: Iterable[f.LotClosed], opened: Lot | None
) -> None:
    """Take closed quantities off their lots and add the opened one."""
    lots = account.lots.setdefault(instrument, [])
    for part in closed:
        at = next((i for i, lot in enumerate(lots) if lot.lot_id == part.lot_id), None)
        if at is None:
            raise InvariantError(f"account {account.name} has no lot {part.lot_id} of {instrument}")
        lot = lots[at]
        qty = lot.qty - (part.qty if lot.qty > 0 else -part.qty)
        if qty and (qty > 0) != (lot.qty > 0):
            raise InvariantError(f"lot {lot.lot_id} holds {lot.qty}, {part.qty} cannot be closed")
        if qty:
            lots[at] = lot.sized(qty, lot.basis - part.basis)
        else:
            del lots[at]
    if opened is not None:
        lots.append(opened)


def _book_assigned_entry(position: Position, qty_signed: Decimal, basis: Decimal) -> None:
    """Follow the average entry price: what comes by assignment was entered at its cost."""
    after = position.qty + qty_signed
    if not after or (position.qty and (position.qty > 0) != (after > 0)):
        position.entry_qty = position.entry_notional = ZERO
    elif abs(after) > abs(position.qty):
        position.entry_qty += abs(qty_signed)
        position.entry_notional += abs(basis)


def assigned(ledger: Ledger, fact: f.AssignmentMade) -> None:
    """Move cash or quantity between a strategy and unassigned."""
    sub, rest = ledger.subs[fact.strategy], ledger.accounts[fact.account].unassigned
    if fact.asset is not None:
        sub.add_cash(fact.asset, fact.amount)
        rest.add_cash(fact.asset, -fact.amount)
    if fact.instrument is not None:
        position = sub.position_to_book(fact.instrument)
        _book_assigned_entry(position, fact.amount, fact.basis)
        if not position.qty or (position.qty > 0) != (position.qty + fact.amount > 0):
            ledger.wish((fact.strategy, fact.instrument)).exits = fact.exits
        change_position(position, fact.amount, fact.basis, ZERO, fact.ts)
        theirs = rest.position_to_book(fact.instrument)
        change_position(theirs, -fact.amount, fact.realized - fact.basis, fact.realized, fact.ts)
    ledger.version += 1


def _cash(
    ledger: Ledger, account: str, strategy: str | None, asset: str, amount: Decimal, settles_at: int, now: int
) -> None:
    ledger.accounts[account].add_cash(asset, amount, settles_at, now)
    ledger.sub_or_unassigned(account, strategy).add_cash(asset, amount)
    ledger.version += 1


def cash_moved(ledger: Ledger, fact: f.CashMoved) -> None:
    """Book a deposit, withdrawal or transfer."""
    _cash(ledger, fact.account, fact.strategy, fact.asset, fact.amount, fact.settles_at, fact.ts)
    _remember(ledger, fact.account, fact.venue_ref)


def fee_charged(ledger: Ledger, fact: f.FeeCharged) -> None:
    """Book a fee without a fill; `amount` positive = paid."""
    _cash(ledger, fact.account, fact.strategy, fact.asset, -fact.amount, fact.ts, fact.ts)
    _remember(ledger, fact.account, fact.venue_ref)


def interest_paid(ledger: Ledger, fact: f.InterestPaid) -> None:
    """Book interest received (or paid, when negative)."""
    _cash(ledger, fact.account, fact.strategy, fact.asset, fact.amount, fact.ts, fact.ts)
    _remember(ledger, fact.account, fact.venue_ref)


def dividend_accrued(ledger: Ledger, fact: f.DividendAccrued) -> None:
    """Remember what is owed until it is paid."""
    ledger.accrued[ledger.seq] = fact
    ledger.version += 1


def dividend_paid(ledger: Ledger, fact: f.DividendPaid) -> None:
    """Turn an accrual into cash."""
    del ledger.accrued[fact.accrual]
    ledger.version += 1
    for strategy, amount in fact.shares:
        _cash(ledger, fact.account, strategy, fact.asset, amount, fact.ts, fact.ts)
    _remember(ledger, fact.account, fact.venue_ref)


def split_applied(ledger: Ledger, fact: f.SplitApplied) -> None:
    """Put the re-based lots and positions in place."""
    account = ledger.accounts[fact.account]
    account.lots[fact.instrument] = list(fact.lots)
    for order in fact.orders:
        ledger.orders[order.client_order_id].rebase(order.qty, order.filled_qty, order.reduced)
    for record in ledger.orders.values():  # of one that is over, too, a trade may be heard of late
        if record.order.instrument == fact.instrument and record.order.account == fact.account:
            record.splits = (*record.splits, (fact.since, fact.ratio))
    for after in fact.positions:
        position = ledger.sub_or_unassigned(fact.account, after.strategy).position_to_book(fact.instrument)
        position.qty, position.basis = after.qty, after.basis
        position.realized += after.realized
        position.entry_qty *= fact.ratio
        if not after.qty:
            position.entry_notional = position.entry_qty = ZERO
    for strategy, amount in fact.cash_in_lieu:
        _cash(ledger, fact.account, strategy, fact.asset, amount, fact.ts, fact.ts)
    ledger.version += 1


def basis_adjusted(ledger: Ledger, fact: f.BasisAdjusted) -> None:
    """Change the basis of one lot."""
    lots = ledger.accounts[fact.account].lots[fact.instrument]
    at = next(i for i, lot in enumerate(lots) if lot.lot_id == fact.lot_id)
    lots[at] = lots[at].sized(lots[at].qty, lots[at].basis + fact.amount)


def position_adjusted(ledger: Ledger, fact: f.PositionAdjusted) -> None:
    """Book a quantity that came or went without an order of ours, and its cash: to unassigned."""
    account = ledger.accounts[fact.account]
    for asset, amount in fact.cash:
        _cash(ledger, fact.account, None, asset, amount, fact.settles_at, fact.ts)
    change_lots(account, fact.instrument, fact.closed, fact.opened)
    rest = account.unassigned.position_to_book(fact.instrument)
    change_position(rest, fact.qty_signed, fact.basis, fact.realized, fact.ts)
    _remember(ledger, fact.account, fact.venue_ref)
    ledger.version += 1


def crossed(ledger: Ledger, fact: f.CrossedInternally) -> None:
    """Move quantity and cash between two sub-ledgers; the account does not change."""
    for strategy, qty, cash, basis, realized in (
        (fact.buyer, fact.qty, -fact.notional, fact.buyer_basis, fact.buyer_realized),
        (fact.seller, -fact.qty, fact.notional, fact.seller_basis, fact.seller_realized),
    ):
        sub = ledger.subs[strategy]
        sub.add_cash(fact.asset, cash)
        position = sub.position_to_book(fact.instrument)
        after = position.qty + qty
        opens = not position.qty or (position.qty > 0) != (after > 0)
        _book_entry(position, qty, fact.price, opens=opens)
        change_position(position, qty, basis, realized, fact.ts)
    ledger.version += 1


def symbol_changed(ledger: Ledger, fact: f.SymbolChanged) -> None:
    """Carry lots and positions over to the new name."""
    for account in ledger.accounts.values():
        if fact.old in account.lots:
            account.lots[fact.new] = account.lots.pop(fact.old)
    books = [*ledger.subs.values(), *(a.unassigned for a in ledger.accounts.values())]
    for sub in books:
        if fact.old in sub.positions:
            sub.positions[fact.new] = sub.positions.pop(fact.old)
    ledger.version += 1

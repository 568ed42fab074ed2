"""Turn corporate actions and cash events into facts.

Owns splits, dividends and explained cash. A split never signals: lots, positions, targets and
exits are re-based before the first bar of the ex-day and basis stays as it was, but for the
fraction of a share that the grid cannot hold: that is sold at the last price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from tradebot.core import facts as f
from tradebot.core.books import ZERO, AccountBook, Position, SubLedger
from tradebot.core.facts import StrategyShare
from tradebot.core.ledger import Ledger
from tradebot.core.lots import trade_average, trade_lots
from tradebot.core.messages import CashEvent, Dividend, SetTimer, Split
from tradebot.core.model import Lot, LotMethod
from tradebot.core.quantize import money, price_nearest, qty_down, share_of
from tradebot.core.recorder import Recorder
from tradebot.core.setup import Setup


def _holders(ledger: Ledger, account: str, instrument: str) -> list[tuple[str | None, Decimal]]:
    """Return (strategy or None, signed quantity) of every sub-ledger that holds the instrument."""
    subs: list[SubLedger] = [s for s in ledger.subs.values() if s.account == account]
    subs.append(ledger.accounts[account].unassigned)
    return [(s.strategy, s.qty(instrument)) for s in subs if s.qty(instrument)]


def dividend_accrued(setup: Setup, recorder: Recorder, dividend: Dividend) -> None:
    """Record what every sub-ledger is owed; the money comes when it is paid.

    The account is owed its own total, rounded once; what the parts' rounding leaves is unassigned.
    """
    ledger, instrument = recorder.ledger, setup.instruments[dividend.instrument]
    quantum = setup.quantum(instrument.quote)
    told = [spec.name for spec in setup.accounts if spec.tells_dividends]
    for account in ledger.accounts.values():
        held = _holders(ledger, account.name, dividend.instrument)
        if not held:
            continue
        shares = [
            StrategyShare(strategy, money(qty * dividend.amount, quantum))
            for strategy, qty in held
            if strategy is not None
        ]
        total = money(account.qty(dividend.instrument) * dividend.amount, quantum)
        rest = total - sum((share.amount for share in shares), ZERO)
        if rest:
            shares.append(StrategyShare(None, rest))
        accrual = recorder.fact(
            f.DividendAccrued(
                ts=recorder.now,
                account=account.name,
                instrument=dividend.instrument,
                asset=instrument.quote,
                per_share=dividend.amount,
                shares=tuple(shares),
                pays_at=dividend.pays_at,
            )
        )
        if account.name in told:
            continue
        key = f"dividend/{accrual}"
        recorder.fact(f.TimerSet(ts=recorder.now, key=key, at=dividend.pays_at))
        recorder.command(SetTimer(key=key, at=dividend.pays_at))


def dividend_paid(recorder: Recorder, accrual: int, venue_ref: str = "") -> None:
    """Record the payment of what was accrued by the fact with that seq."""
    owed = recorder.ledger.accrued.get(accrual)
    if owed is not None:
        recorder.fact(
            f.DividendPaid(
                ts=recorder.now,
                accrual=accrual,
                account=owed.account,
                instrument=owed.instrument,
                asset=owed.asset,
                shares=owed.shares,
                venue_ref=venue_ref,
            ),
            cause=accrual,
        )


def dividend_told(recorder: Recorder, event: CashEvent) -> CashEvent | None:
    """Record what a venue's word of a dividend settles; returns what of it nobody was owed.

    Where the venue names no instrument it settles what is nearest in amount. What it paid more or less
    than was owed (a tax withheld) is nobody's.
    """
    owed = {
        seq: sum((share.amount for share in accrued.shares), ZERO)
        for seq, accrued in recorder.ledger.accrued.items()
        if accrued.account == event.account
        and accrued.asset == event.asset
        and event.instrument in ("", accrued.instrument)
    }
    owed = {seq: amount for seq, amount in owed.items() if (amount > 0) == (event.amount > 0)}
    if not owed:
        return event
    accrual = min(owed, key=lambda seq: (abs(owed[seq] - event.amount), seq))
    dividend_paid(recorder, accrual, event.venue_ref)
    rest = event.amount - owed[accrual]
    return replace(event, amount=rest, strategy=None, venue_ref="") if rest else None


def split_applied(setup: Setup, recorder: Recorder, split: Split, marks: Mapping[str, float]) -> None:
    """Re-base every account's lots and sub-ledger quantities.

    What the grid cannot hold is sold at the last price: by the account for cash in lieu, by a
    sub-ledger to unassigned where others' fractions make whole shares with it. Without a known
    price the fractions are kept.
    """
    instrument = setup.instruments[split.instrument]
    mark = marks.get(split.instrument)
    price = None if mark is None else price_nearest(mark, instrument.tick_size)
    method = {a.name: a.lot_method for a in setup.accounts}
    terms = _Terms(
        ratio=split.ratio,
        price=price,
        lot_size=instrument.lot_size,
        units=setup.quantum(instrument.base),
        quantum=setup.quantum(instrument.quote),
    )
    for account in recorder.ledger.accounts.values():
        held = _holders(recorder.ledger, account.name, split.instrument)
        orders = _rebased_orders(recorder.ledger, account.name, split.instrument, terms)
        if not held and not _traded(recorder.ledger, account.name, split.instrument):
            continue  # nothing to re-base, and nothing from before it to be heard of later
        books = [recorder.ledger.sub_or_unassigned(account.name, strategy) for strategy, _ in held]
        if account.unassigned not in books:
            books.append(account.unassigned)
        lots, closed, total, lieu = _split_lots(account, instrument.id, terms, method[account.name])
        positions: list[f.RebasedPosition] = []
        cash: list[StrategyShare] = []
        for book in books:  # the unassigned one is last and takes what the others leave
            exact = terms.scaled(book.qty(instrument.id))
            if book.strategy is None:
                whole = total - sum((p.qty for p in positions), ZERO)
                paid = lieu - sum((share.amount for share in cash), ZERO)
            else:
                whole = terms.whole(exact)
                paid = terms.worth(exact - whole)
            before = Position()
            before.qty, before.basis = exact, book.position(instrument.id).basis
            change = trade_average(before, whole - exact, paid, terms.quantum)
            rebased = f.RebasedPosition(book.strategy, whole, before.basis + change.basis, change.realized)
            if exact or whole or paid:
                positions.append(rebased)
            if paid:
                cash.append(StrategyShare(book.strategy, paid))
        recorder.fact(
            f.SplitApplied(
                ts=recorder.now,
                account=account.name,
                instrument=split.instrument,
                since=split.ts,
                ratio=split.ratio,
                lots=lots,
                closed=closed,
                positions=tuple(positions),
                cash_in_lieu=tuple(cash),
                asset=instrument.quote,
                orders=orders,
            )
        )


def _traded(ledger: Ledger, account: str, instrument: str) -> bool:
    orders = (record.order for record in ledger.orders.values())
    return any(order.instrument == instrument and order.account == account for order in orders)


def _rebased_orders(
    ledger: Ledger, account: str, instrument: str, terms: _Terms
) -> tuple[f.RebasedOrder, ...]:
    """Return the working orders in today's units: what they are of in whole lots, what traded exactly.

    One that nobody knows the venue to have may reach it on either side of the split: as long as it works
    it counts as the larger of both.
    """
    found: list[f.RebasedOrder] = []
    for (_, name), working in ledger.open.items():
        for record in working.values() if name == instrument else ():
            if record.order.account != account:
                continue
            qty = qty_down(terms.scaled(record.qty), terms.lot_size)
            if not record.was_seen:
                qty = max(qty, record.qty)
            filled, reduced = terms.scaled(record.filled_qty), terms.scaled(record.reduced)
            order_id = record.order.client_order_id
            found.append(f.RebasedOrder(order_id, qty, min(filled, qty), min(reduced, qty)))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """A split's arithmetic: `units` is the base asset's quantum, `quantum` the quote asset's."""

    ratio: Decimal
    price: Decimal | None
    lot_size: Decimal
    units: Decimal
    quantum: Decimal

    def scaled(self, qty: Decimal) -> Decimal:
        return money(qty * self.ratio, self.units)

    def whole(self, exact: Decimal) -> Decimal:
        return exact if self.price is None else qty_down(exact, self.lot_size)

    def worth(self, fraction: Decimal) -> Decimal:
        """Return what a fraction of a new share is worth at the last price of the old one."""
        return ZERO if self.price is None else money(share_of(fraction, self.price, self.ratio), self.quantum)


def _split_lots(
    account: AccountBook, instrument: str, terms: _Terms, method: LotMethod
) -> tuple[tuple[Lot, ...], tuple[f.LotClosed, ...], Decimal, Decimal]:
    """Return the lots after a split, what the account's own fraction closed, its quantity and its cash."""
    old = account.lots.get(instrument, [])
    exact = terms.scaled(account.qty(instrument))
    lots = [replace(lot, qty=terms.scaled(lot.qty)) for lot in old]
    if lots:  # each lot was rounded to the quantum; the newest takes what that left
        left = exact - sum((lot.qty for lot in lots), ZERO)
        lots[-1] = replace(lots[-1], qty=lots[-1].qty + left)
    total = terms.whole(exact)
    lieu = terms.worth(exact - total)
    if not lots or exact == total:
        return tuple(lots), (), total, lieu
    change = trade_lots(lots, total - exact, lieu, new_lot=lots[-1], quantum=terms.quantum, method=method)
    gone = {part.lot_id: part for part in change.closed}
    kept = [lot if lot.lot_id not in gone else _less(lot, gone[lot.lot_id]) for lot in lots]
    return tuple(lot for lot in kept if lot.qty), change.closed, total, lieu


def _less(lot: Lot, part: f.LotClosed) -> Lot:
    qty = part.qty if lot.qty > 0 else -part.qty
    return replace(lot, qty=lot.qty - qty, basis=lot.basis - part.basis)


def cash_moved(recorder: Recorder, event: CashEvent) -> None:
    """Record cash that moved at the venue for a reason it explains."""
    if event.because == "interest":
        recorder.fact(
            f.InterestPaid(
                ts=recorder.now,
                account=event.account,
                asset=event.asset,
                amount=event.amount,
                strategy=event.strategy,
                venue_ref=event.venue_ref,
            )
        )
    elif event.because == "fee":
        recorder.fact(
            f.FeeCharged(
                ts=recorder.now,
                account=event.account,
                asset=event.asset,
                amount=-event.amount,
                because=event.because,
                strategy=event.strategy,
                venue_ref=event.venue_ref,
            )
        )
    else:
        recorder.fact(
            f.CashMoved(
                ts=recorder.now,
                account=event.account,
                asset=event.asset,
                amount=event.amount,
                because=event.because,
                strategy=event.strategy,
                settles_at=recorder.now,
                venue_ref=event.venue_ref,
            )
        )

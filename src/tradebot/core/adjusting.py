"""Choose what a change without an order of ours moves: lots, cost, shares of strategies.

Owns the deciding half of adjustments and assignments, exact to the quantum. Refuses to book
anything: it returns what the fact will say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.books import ZERO
from tradebot.core.ledger import Ledger
from tradebot.core.lots import trade_average, trade_lots
from tradebot.core.model import ExitRules, Instrument, Lot
from tradebot.core.quantize import money, price_nearest, qty_down, share_of
from tradebot.core.setup import Setup


def parts_of(total: Decimal, weights: Sequence[Decimal], step: Decimal) -> list[Decimal]:
    """Share `total` out by `weights`, in multiples of `step`, so that the parts sum to it exactly.

    No part exceeds its weight, as long as `total` does not exceed their sum and all of them are
    multiples of `step`; where one is not, the last parts take what that leaves.
    """
    whole = sum(weights, ZERO)
    parts: list[Decimal] = []
    reached, given = ZERO, ZERO
    for weight in weights:
        reached += weight
        upto = total if reached == whole else qty_down(share_of(total, reached, whole), step)
        part = min(upto - given, weight)
        parts.append(part)
        given += part
    for i, weight in enumerate(weights):  # a weight off the grid was too small for its whole steps
        more = min(total - given, weight - parts[i])
        parts[i] += more
        given += more
    return parts


def adjusted_fact(
    setup: Setup, ledger: Ledger, change: m.PositionChanged, marks: Mapping[str, float]
) -> f.PositionAdjusted:
    """Return what a foreign change does to the account's lots and the unassigned position.

    Without cash it is a transfer: what leaves takes its own cost with it and gains nothing.
    """
    spec = next(a for a in setup.accounts if a.name == change.account)
    instrument = setup.instruments[change.instrument]
    account = ledger.accounts[change.account]
    quantum = setup.quantum(instrument.quote)
    if change.cash:
        cash = sum((a.amount for a in change.cash if a.asset == instrument.quote), ZERO)
    elif change.basis is not None:
        cash = -change.basis
    else:
        cash = -_worth(change.qty_signed, instrument, marks.get(change.instrument), quantum)
    lots = trade_lots(
        account.lots.get(change.instrument, ()),
        change.qty_signed,
        cash,
        new_lot=Lot(
            lot_id=f"x{ledger.seq + 1}",
            instrument=change.instrument,
            qty=ZERO,
            basis=ZERO,
            opened_ts=change.ts,
        ),
        quantum=quantum,
        method=spec.lot_method,
    )
    average = trade_average(account.unassigned.position(change.instrument), change.qty_signed, cash, quantum)
    is_trade = bool(change.cash)
    return f.PositionAdjusted(
        ts=change.ts,
        account=change.account,
        instrument=change.instrument,
        qty_signed=change.qty_signed,
        basis=average.basis,
        because=change.because,
        closed=lots.closed if is_trade else tuple(x._replace(proceeds=x.basis) for x in lots.closed),
        opened=lots.opened,
        realized=average.realized if is_trade else ZERO,
        cash=change.cash,
        settles_at=change.ts + spec.settle_after,
        venue_ref=change.venue_ref,
    )


def _worth(qty: Decimal, instrument: Instrument, mark: float | None, quantum: Decimal) -> Decimal:
    if mark is None:
        return ZERO
    return money(qty * price_nearest(mark, instrument.tick_size) * instrument.multiplier, quantum)


def assignment_problem(ledger: Ledger, assign: m.Assign) -> str:
    """Return why an assignment cannot be made, empty when it can."""
    sub = ledger.subs.get(assign.strategy)
    if sub is None or sub.account != assign.account:
        known = ", ".join(name for name, s in ledger.subs.items() if s.account == assign.account) or "none"
        return f"strategy must be one of account {assign.account} ({known}), was {assign.strategy}"
    if (assign.asset is None) == (assign.instrument is None):
        return f"exactly one of asset and instrument must be given, was {assign.asset}, {assign.instrument}"
    if not assign.amount:
        return "the amount to assign must not be 0"
    rest = ledger.accounts[assign.account].unassigned
    if assign.asset is not None:
        giver, has = (rest, "unassigned") if assign.amount > 0 else (sub, assign.strategy)
        free = giver.cash.get(assign.asset, ZERO)
        what = assign.asset
        is_short = free < abs(assign.amount)
    else:
        what = assign.instrument or ""
        held, free = sub.qty(what), rest.qty(what)
        has = "unassigned"
        if held and (held > 0) != (assign.amount > 0):
            free, has = -held, assign.strategy
        is_short = (free > 0) != (assign.amount > 0) or abs(free) < abs(assign.amount)
        free = abs(free) if has == assign.strategy else free
    if is_short:
        return f"{has} must hold the {abs(assign.amount).normalize():f} {what} to assign, holds {free.normalize():f}"
    return ""


def assigned_fact(
    setup: Setup, ledger: Ledger, assign: m.Assign, because: str, exits: ExitRules | None
) -> f.AssignmentMade:
    """Return the fact of an assignment, with the cost that goes along and what unassigned gains by it.

    A quantity that leaves a strategy takes its share of the strategy's cost; one that comes to it
    costs `assign.basis`, else its share of the unassigned cost.
    """
    basis, realized = ZERO, ZERO
    if assign.instrument is not None:
        quantum = setup.quantum(setup.instruments[assign.instrument].quote)
        position = ledger.subs[assign.strategy].position(assign.instrument)
        rest = ledger.accounts[assign.account].unassigned.position(assign.instrument)
        if position.qty and (position.qty > 0) != (assign.amount > 0):
            basis = trade_average(position, assign.amount, ZERO, quantum).basis
        elif assign.basis is not None:
            basis = assign.basis
        else:
            basis = -trade_average(rest, -assign.amount, ZERO, quantum).basis
        realized = trade_average(rest, -assign.amount, basis, quantum).realized
    return f.AssignmentMade(
        ts=assign.ts,
        account=assign.account,
        strategy=assign.strategy,
        amount=assign.amount,
        asset=assign.asset,
        instrument=assign.instrument,
        basis=basis,
        because=because,
        exits=exits,
        realized=realized,
    )

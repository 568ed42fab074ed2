"""Choose which lots a trade closes and what it cost: the deciding half of lot accounting.

Owns the arithmetic of cost basis, for the account's lots and for a strategy's average cost.
Refuses to change anything: it returns what the fact will say, the ledger books it.

All amounts are exact; a share of an amount is rounded once to the asset's quantum, half to
even, and the residue stays with the last part, so parts always sum to the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from tradebot.core.books import ZERO, Position
from tradebot.core.facts import LotClosed
from tradebot.core.model import Lot, LotMethod
from tradebot.core.quantize import money, share_of

_ONE = Decimal(1)


class LotChange(NamedTuple):
    """What a trade does to an account's lots."""

    closed: tuple[LotClosed, ...]
    opened: Lot | None


class BasisChange(NamedTuple):
    """What a trade does to a position at average cost (signed basis, realized profit)."""

    basis: Decimal
    realized: Decimal


def _in_order(lots: Sequence[Lot], method: LotMethod) -> list[Lot]:
    if method is LotMethod.FIFO:
        return list(lots)
    if method is LotMethod.LIFO:
        return list(reversed(lots))
    # Dearest per unit first; for shorts (negative basis and qty) the quotient is the price received.
    return sorted(lots, key=lambda lot: share_of(lot.basis, _ONE, lot.qty), reverse=True)


def trade_lots(
    lots: Sequence[Lot],
    qty_signed: Decimal,
    cash: Decimal,
    *,
    new_lot: Lot,
    quantum: Decimal,
    method: LotMethod = LotMethod.FIFO,
) -> LotChange:
    """Return the lots a trade closes and the one it opens.

    `qty_signed` is the change of the account's position, `cash` the signed change of the quote
    asset (negative when paid), fees included. `new_lot` gives id, time and order of a lot that
    is opened; its quantity and basis are set here. Lots of one instrument all have one sign.
    """
    held = sum((lot.qty for lot in lots), ZERO)
    if not qty_signed:
        return LotChange((), None)
    if not held or (held > 0) == (qty_signed > 0):
        return LotChange((), new_lot.sized(qty_signed, -cash))
    closing = min(abs(qty_signed), abs(held))
    closing_cash = (
        cash if closing == abs(qty_signed) else money(share_of(cash, closing, abs(qty_signed)), quantum)
    )
    closed: list[LotClosed] = []
    rest_qty, rest_cash = closing, closing_cash
    for lot in _in_order(lots, method):
        part = min(rest_qty, abs(lot.qty))
        proceeds = rest_cash if part == rest_qty else money(share_of(closing_cash, part, closing), quantum)
        basis = lot.basis if part == abs(lot.qty) else money(share_of(lot.basis, part, abs(lot.qty)), quantum)
        closed.append(LotClosed(lot.lot_id, part, proceeds, basis))
        rest_qty -= part
        rest_cash -= proceeds
        if not rest_qty:
            break
    opening = abs(qty_signed) - closing
    opened = None
    if opening:
        opened = new_lot.sized(opening if qty_signed > 0 else -opening, -(cash - closing_cash))
    return LotChange(tuple(closed), opened)


def trade_average(position: Position, qty_signed: Decimal, cash: Decimal, quantum: Decimal) -> BasisChange:
    """Return the change of basis and the profit when a position at average cost trades.

    Arguments as in `trade_lots`. Closing takes its share of the basis; going through zero
    closes all of it and opens the rest at the trade's own price.
    """
    held, basis = position.qty, position.basis
    if not held or (held > 0) == (qty_signed > 0) or not qty_signed:
        return BasisChange(-cash, ZERO)
    closing = min(abs(qty_signed), abs(held))
    if closing == abs(qty_signed):
        gone = basis if closing == abs(held) else money(share_of(basis, closing, abs(held)), quantum)
        return BasisChange(-gone, cash - gone)
    closing_cash = money(share_of(cash, closing, abs(qty_signed)), quantum)
    return BasisChange(-basis - (cash - closing_cash), closing_cash - basis)

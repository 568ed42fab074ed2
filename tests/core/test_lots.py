"""Lots and average cost: which lot goes first, and that no quantum is made or lost."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.world import D
from tradebot.core.books import Position
from tradebot.core.lots import trade_average, trade_lots
from tradebot.core.model import Lot, LotMethod

QUANTUM = D("1e-8")


def lot(name: str, qty: str, basis: str) -> Lot:
    return Lot(lot_id=name, instrument="X", qty=D(qty), basis=D(basis), opened_ts=1)


NEW = lot("new", "0", "0")
THREE = [lot("a", "10", "1000"), lot("b", "10", "1300"), lot("c", "10", "1100")]


@pytest.mark.parametrize(
    ("method", "order"), [(LotMethod.FIFO, "ab"), (LotMethod.LIFO, "cb"), (LotMethod.HIFO, "bc")]
)
def test_each_method_closes_its_own_lot_first(method: LotMethod, order: str) -> None:
    change = trade_lots(THREE, D(-15), D(1500), new_lot=NEW, quantum=QUANTUM, method=method)
    assert [part.lot_id for part in change.closed] == list(order)
    assert [part.qty for part in change.closed] == [D(10), D(5)]
    assert [part.proceeds for part in change.closed] == [D(1000), D(500)]
    assert change.opened is None


def test_hifo_of_shorts_closes_what_was_sold_dearest() -> None:
    shorts = [lot("a", "-10", "-1000"), lot("b", "-10", "-1300")]
    change = trade_lots(shorts, D(10), D(-900), new_lot=NEW, quantum=QUANTUM, method=LotMethod.HIFO)
    assert [part.lot_id for part in change.closed] == ["b"]


def test_a_trade_through_zero_closes_all_and_opens_the_rest_at_its_own_price() -> None:
    change = trade_lots(THREE[:1], D(-15), D(1500), new_lot=NEW, quantum=QUANTUM)
    assert [(part.qty, part.proceeds, part.basis) for part in change.closed] == [(D(10), D(1000), D(1000))]
    assert change.opened is not None
    assert (change.opened.qty, change.opened.basis) == (D(-5), D(-500))


def test_thirds_leave_their_residue_to_the_last_part() -> None:
    lots = [lot(name, "1", "10") for name in "abc"]
    change = trade_lots(lots, D(-3), D("100"), new_lot=NEW, quantum=QUANTUM)
    assert [part.proceeds for part in change.closed] == [D("33.33333333"), D("33.33333333"), D("33.33333334")]
    third = trade_lots([lot("a", "3", "100")], D(-1), D(40), new_lot=NEW, quantum=QUANTUM)
    assert third.closed[0].basis == D("33.33333333")


TRADES = st.lists(
    st.tuples(
        st.decimals(min_value=-50, max_value=50, places=3).filter(bool),
        st.decimals(min_value=D("0.01"), max_value=1000, places=2),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("method", list(LotMethod))
@given(trades=TRADES)
def test_lots_and_average_cost_account_for_every_quantum(
    method: LotMethod, trades: list[tuple[Decimal, Decimal]]
) -> None:
    lots: list[Lot] = []
    position = Position()
    spent, profit, realized = D(0), D(0), D(0)
    for i, (qty, price) in enumerate(trades):
        cash = -(qty * price) - D("0.01")  # a fee on each
        spent -= cash
        change = trade_lots(lots, qty, cash, new_lot=lot(f"l{i}", "0", "0"), quantum=QUANTUM, method=method)
        for part in change.closed:
            at = next(n for n, x in enumerate(lots) if x.lot_id == part.lot_id)
            left = lots[at].qty - (part.qty if lots[at].qty > 0 else -part.qty)
            rest = lots[at].basis - part.basis
            lots[at] = lot(part.lot_id, str(left), str(rest))
            assert left or not rest
            profit += part.proceeds - part.basis
        lots = [x for x in lots if x.qty] + ([change.opened] if change.opened else [])
        average = trade_average(position, qty, cash, QUANTUM)
        position.qty += qty
        position.basis += average.basis
        realized += average.realized
        assert sum((x.qty for x in lots), D(0)) == position.qty
        assert sum((x.basis for x in lots), D(0)) - profit == spent
        assert position.basis - realized == spent
        assert position.qty or not position.basis
        assert len({x.qty > 0 for x in lots}) <= 1

"""Orders that are over are kept in little room, and come back as they were."""

from __future__ import annotations

import sys
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tradebot.core.model import DAY, Fill, Order, OrderKind, Purpose, Side
from tradebot.core.orderbook import OrderBook, written
from tradebot.core.orders import Event, OrderRecord

amounts = st.decimals(min_value="0.00000001", max_value=10**9, places=8)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def record(number: int = 1, ts: int = DAY, **terms: object) -> OrderRecord:
    words = {
        "client_order_id": f"t1abcdef{number:08}",
        "account": "main",
        "strategy": "s",
        "instrument": "COIN",
        "side": Side.BUY,
        "kind": OrderKind.LIMIT,
        "qty": Decimal(2),
        "ts": ts,
    }
    return OrderRecord(Order(**words | terms))  # type: ignore[arg-type]


def book(*records: OrderRecord) -> OrderBook:
    made = OrderBook()
    for one in records:
        made[one.order.client_order_id] = one
    return made


def ended(number: int = 1, ts: int = DAY) -> OrderRecord:
    one = record(number, ts)
    one.apply(Event.CANCELED, "nobody wants it")
    return one


@given(
    qty=amounts,
    price=st.none() | amounts,
    reason=texts,
    fills=st.lists(texts, unique=True, max_size=4),
    splits=st.lists(st.tuples(st.integers(0, 2**62), amounts), max_size=2),
    purpose=st.sampled_from(Purpose),
)
def test_whatever_an_order_knew_it_knows_again(
    qty: Decimal,
    price: Decimal | None,
    reason: str,
    fills: list[str],
    splits: list[tuple[int, Decimal]],
    purpose: Purpose,
) -> None:
    one = record(qty=qty, limit_price=price, purpose=purpose, group_id="g")
    one.apply(Event.CANCELED, reason)
    one.fill_ids, one.splits, one.reduced = dict.fromkeys(fills), tuple(splits), qty
    before = written(one)
    orders = book(one)

    orders.pack(DAY + 1)

    assert all(orders.knows_fill("t1abcdef00000001", fill) for fill in fills)
    assert not orders.knows_fill("t1abcdef00000001", "another")
    assert orders["t1abcdef00000001"] is not one
    assert written(orders["t1abcdef00000001"]) == before


def test_a_trade_that_is_heard_of_late_is_kept() -> None:
    orders = book(ended())
    orders.pack(DAY + 1)
    fill = Fill(
        fill_id="f",
        client_order_id="t1abcdef00000001",
        instrument="COIN",
        side=Side.BUY,
        qty=Decimal(1),
        price=Decimal(5),
        ts=DAY,
        fee_asset="USD",
    )

    orders["t1abcdef00000001"].apply_fill(fill)
    orders.pack(DAY + 1)

    assert orders["t1abcdef00000001"].filled_qty == 1
    assert orders["t1abcdef00000001"] is orders.get("t1abcdef00000001")


def test_what_works_or_is_new_stays_as_it_is_and_the_order_of_orders_too() -> None:
    works, fresh = record(2), ended(3, ts=2 * DAY)
    orders = book(ended(1), works, fresh)

    orders.pack(2 * DAY)

    assert orders["t1abcdef00000002"] is works and orders["t1abcdef00000003"] is fresh
    assert [one.order.client_order_id[-1] for one in orders.newest_first()] == ["3", "2", "1"]
    assert [name[-1] for name in orders] == ["1", "2", "3"]
    assert orders.get("t1abcdef00000004") is None and len(orders) == 3


def test_an_order_that_is_put_away_takes_a_fifth_of_a_kilobyte() -> None:
    orders = book(*(ended(i) for i in range(1_000)))
    orders.pack(DAY + 1)

    rows = orders._rows.values()

    assert sum(map(sys.getsizeof, rows)) / len(orders) < 200

"""The life of an order: every status and event, late fills, what cannot be."""

from __future__ import annotations

import itertools

import pytest

from tests.core.world import D
from tradebot.core.model import Fill, Order, OrderKind, Side
from tradebot.core.orders import OPEN, Event, OrderRecord, Status
from tradebot.errors import InvariantError


def record(qty: str = "10") -> OrderRecord:
    return OrderRecord(
        Order(
            client_order_id="o",
            account="main",
            strategy="s",
            instrument="COIN",
            side=Side.SELL,
            kind=OrderKind.MARKET,
            qty=D(qty),
            ts=1,
        )
    )


def fill(qty: str, name: str = "f1", price: str = "100") -> Fill:
    return Fill(
        fill_id=name, client_order_id="o", instrument="COIN", side=Side.SELL, qty=D(qty), price=D(price), ts=2
    )


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([], Status.PENDING_NEW),
        ([Event.ACCEPTED], Status.NEW),
        ([Event.REJECTED], Status.REJECTED),
        ([Event.UNKNOWN], Status.UNKNOWN),
        ([Event.UNKNOWN, Event.ACCEPTED], Status.NEW),
        ([Event.UNKNOWN, Event.REJECTED], Status.REJECTED),
        ([Event.ACCEPTED, Event.CANCEL_REQUESTED], Status.PENDING_CANCEL),
        ([Event.ACCEPTED, Event.CANCEL_REQUESTED, Event.CANCEL_REFUSED], Status.NEW),
        ([Event.UNKNOWN, Event.CANCEL_REQUESTED, Event.CANCEL_REFUSED], Status.UNKNOWN),
        ([Event.ACCEPTED, Event.CANCEL_REQUESTED, Event.CANCELED], Status.CANCELED),
        ([Event.CANCEL_REQUESTED, Event.ACCEPTED], Status.PENDING_CANCEL),
        ([Event.ACCEPTED, Event.REPLACE_REQUESTED], Status.PENDING_REPLACE),
        ([Event.ACCEPTED, Event.REPLACE_REQUESTED, Event.REPLACED], Status.REPLACED),
        ([Event.ACCEPTED, Event.REPLACE_REQUESTED, Event.CANCEL_REQUESTED], Status.PENDING_CANCEL),
        ([Event.ACCEPTED, Event.EXPIRED], Status.EXPIRED),
        ([Event.ACCEPTED, Event.CANCELED, Event.ACCEPTED], Status.CANCELED),
        ([Event.ACCEPTED, Event.CANCELED, Event.EXPIRED], Status.CANCELED),
    ],
)
def test_events_lead_to_their_status(events: list[Event], status: Status) -> None:
    order = record()
    for event in events:
        order.apply(event)
        if event is Event.ACCEPTED:
            order.venue_order_id = "v1"
    assert order.status is status
    assert order.is_open == (status in OPEN)


def test_nothing_leads_out_of_an_end_but_that_it_works_after_all() -> None:
    ends = [Event.REJECTED, Event.CANCELED, Event.EXPIRED, Event.REPLACED, Event.RELEASED]
    for end, event in itertools.product(ends, Event):
        order = record()
        order.apply(Event.ACCEPTED)
        order.apply(end)
        status = order.status
        order.apply(event)
        assert order.status is (Status.NEW if event is Event.REOPENED else status), (end, event)
    full = record("4")
    full.apply_fill(fill("4"))
    full.apply(Event.REOPENED)
    assert full.status is Status.FILLED


def test_a_fill_before_the_ack_counts_and_the_ack_changes_nothing() -> None:
    order = record()
    order.apply_fill(fill("4"))
    assert (order.status, order.leaves, order.leaves_signed) == (Status.PARTIALLY_FILLED, D(6), D(-6))
    order.apply(Event.ACCEPTED)
    assert order.status is Status.PARTIALLY_FILLED


def test_a_fill_proves_that_an_unknown_order_lives() -> None:
    order = record()
    order.apply(Event.UNKNOWN)
    order.apply_fill(fill("4"))
    assert order.status is Status.PARTIALLY_FILLED


def test_a_fill_that_arrives_after_the_cancel_is_booked() -> None:
    order = record()
    order.apply(Event.CANCELED)
    order.apply_fill(fill("4"))
    assert (order.status, order.filled_qty, order.is_open) == (Status.CANCELED, D(4), False)
    order.apply_fill(fill("6", "f2"))
    assert order.status is Status.FILLED


def test_the_same_fill_twice_and_more_than_ordered_cannot_be() -> None:
    order = record()
    order.apply_fill(fill("4"))
    with pytest.raises(InvariantError, match="fill f1 of order o was already booked"):
        order.apply_fill(fill("4"))
    with pytest.raises(InvariantError, match=r"fills must not exceed 10, were 4 and now 7 more"):
        order.apply_fill(fill("7", "f2"))


def test_what_a_sibling_took_is_no_longer_left() -> None:
    order = record()
    order.apply(Event.ACCEPTED)
    order.reduced = D(7)
    assert order.leaves == D(3)
    order.apply_fill(fill("3"))
    assert order.status is Status.FILLED


def test_more_than_is_left_may_trade_of_an_order_that_a_split_rounded_down() -> None:
    order = record("5")
    order.apply(Event.ACCEPTED)
    order.apply_fill(fill("4"))
    order.rebase(D(2), D(2), D(0))
    order.splits = ((3, D("0.5")),)
    order.apply_fill(fill("0.5", "f2"))
    assert (order.filled_qty, order.status) == (D(2), Status.FILLED)

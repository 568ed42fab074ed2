"""Pre-trade rules: each one's word and its numbers, and that none keeps us from getting out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.core.world import COIN, START, D
from tradebot.core import facts as f
from tradebot.core.ledger import Ledger
from tradebot.core.model import DAY, MINUTE, SECOND, AccountModel, Order, OrderKind, Purpose, Side, Tif
from tradebot.core.risk import judge
from tradebot.core.scope import EVERYTHING, HaltLevel
from tradebot.core.setup import Limits
from tradebot.core.view import Denied, Shrunk, View

FLAT: dict[str, Any] = {
    "instrument": COIN,
    "limits": Limits(),
    "model": AccountModel.MARGIN,
    "now": START,
    "price": 100.0,
    "rate": 1.0,
    "equity": 10_000.0,
    "held": D(0),
    "alike": D(0),
    "account_held": D(0),
    "account_way": D(0),
    "gross": 0.0,
    "cash": D(10_000),
    "reserved": 0.0,
}


def view(**changes: Any) -> View:
    return View(ledger=changes.pop("ledger", Ledger()), **{**FLAT, **changes})


def order(side: str = "buy", qty: str = "10", **terms: Any) -> Order:
    return Order(
        client_order_id=terms.pop("name", "o1"),
        account="main",
        strategy="s",
        instrument="COIN",
        side=Side(side),
        kind=terms.pop("kind", OrderKind.MARKET),
        qty=D(qty),
        ts=START,
        **terms,
    )


def numbers(verdict: Any) -> dict[str, float]:
    return {x.name: x.value for x in verdict.numbers}


def halted(level: HaltLevel) -> Ledger:
    ledger = Ledger()
    halt = f.HaltSet(ts=START, level=level, scope=EVERYTHING, reason="lunch")
    ledger.evolve(f.Recorded(1, START, 0, halt))
    return ledger


def sent(*ago: int) -> Ledger:
    ledger = Ledger()
    ledger.order_times = [START - x for x in ago]
    return ledger


def limit_order(price: str, side: str = "buy") -> Order:
    return order(side, kind=OrderKind.LIMIT, limit_price=D(price))


def unreconciled() -> Ledger:
    ledger = Ledger()
    ledger.needs_reconcile = True
    return ledger


def with_sent(seconds_ago: int, **terms: Any) -> Ledger:
    ledger = Ledger()
    sent_order = replace(order(name="o0", **terms), ts=START - seconds_ago * SECOND)
    ledger.evolve(f.Recorded(1, START, 0, f.OrderIntended(ts=sent_order.ts, order=sent_order, price=100.0)))
    return ledger


def with_parent(sent_qty: str) -> Ledger:
    ledger = Ledger()
    opened = f.ParentOpened(
        ts=START,
        parent_id="p1",
        strategy="s",
        instrument="COIN",
        side=Side.BUY,
        qty=D(10),
        algorithm="twap",
        schedule=(START,),
        slices=(D(10),),
        purpose="target",
        on_late="catch_up",
    )
    child = order(qty=sent_qty, name="o0", parent_id="p1")
    ledger.evolve(f.Recorded(1, START, 0, opened))
    ledger.evolve(f.Recorded(2, START, 0, f.OrderIntended(ts=START, order=child, price=100.0)))
    return ledger


def noisy(count: int) -> Ledger:
    ledger = Ledger()
    ledger.message_times = [START - SECOND, *[START - 1] * count]
    return ledger


SMALL = replace(COIN, min_qty=D("0.1"), min_notional=D(50))
CASH = {"model": AccountModel.CASH}


@pytest.mark.parametrize(
    ("seen", "asked", "rule", "reason", "compared"),
    [
        ({}, order(qty="0.0005"), "grid", "qty must be a positive multiple of 0.001, was 0.0005", {}),
        ({}, order(qty="0"), "grid", "qty must be a positive multiple of 0.001, was 0", {}),
        (
            {},
            order(kind=OrderKind.LIMIT, limit_price=D("1.005")),
            "grid",
            "limit_price must be a positive multiple of 0.01, was 1.005",
            {},
        ),
        (
            {"instrument": SMALL},
            order(qty="0.05"),
            "min_qty",
            "the venue takes 0.1 or more, was 0.05",
            {"qty": 0.05, "min_qty": 0.1},
        ),
        (
            {"instrument": SMALL, "price": 100.0},
            order(qty="0.4"),
            "min_notional",
            "the venue takes a notional of 50 or more, was 40",
            {"notional": 40.0, "min_notional": 50.0},
        ),
        ({"ledger": halted(HaltLevel.PAUSED)}, order(), "halted", "paused: lunch", {}),
        (CASH, order("sell"), "short", "a cash account cannot go short, would hold -10", {"after": -10.0}),
        (
            {**CASH, "account_held": D(50)},
            order("sell"),
            "short",
            "a cash account cannot go short, would hold -10",
            {"after": -10.0},
        ),
        (
            {"instrument": replace(COIN, shortable=False)},
            order("sell"),
            "short",
            "COIN cannot be borrowed, would hold -10",
            {"after": -10.0},
        ),
        (
            {"ledger": sent(1, 2, MINUTE + 1), "limits": Limits(max_orders_per_minute=2)},
            order(),
            "max_orders_per_minute",
            "max_orders_per_minute is 2, 2 were sent",
            {"limit": 2.0, "sent": 2.0},
        ),
        (
            {"ledger": sent(1, 2, DAY - 1, DAY), "limits": Limits(max_orders_per_day=3)},
            order(),
            "max_orders_per_day",
            "max_orders_per_day is 3, 3 were sent",
            {"limit": 3.0, "sent": 3.0},
        ),
        (
            {"limits": Limits(max_position=1_000.0), "account_held": D(10)},
            order(),
            "max_position",
            "max_position is 1000, would be 2000",
            {"limit": 1_000.0, "after": 2_000.0},
        ),
        (
            {"limits": Limits(max_gross=1_500.0), "gross": 1_000.0},
            order(),
            "max_gross",
            "max_gross is 1500, would be 2000",
            {"limit": 1_500.0, "after": 2_000.0},
        ),
        (
            {**CASH, "reserved": 9_500.0},
            order(),
            "buying_power",
            "the order costs 1000 USD, free are 500",
            {"cost": 1_000.0, "free": 500.0},
        ),
        (
            {"ledger": unreconciled()},
            order(),
            "reconciled",
            "account main was not compared with the venue yet",
            {},
        ),
        ({"price": 0.0}, order(), "price_missing", "no price of COIN was seen yet", {}),
        (
            {"limits": Limits(max_data_age=2 * MINUTE), "overdue": 3 * MINUTE},
            order(),
            "data_age",
            "the next price of COIN may be 120 s late, is 180 s",
            {"limit_s": 120.0, "late_s": 180.0},
        ),
        ({"is_open": False}, order(), "session_closed", "waits for the session to open", {}),
        ({"is_allowed": False}, order(), "symbol", "strategy s does not trade COIN", {}),
        (
            {"limits": Limits(collar=0.02)},
            limit_order("102.01"),
            "collar",
            "a price may lie 0.02 beyond the last one 100, 102.01 lies 0.0201",
            {"limit": 0.02, "beyond": 102.01 / 100 - 1.0},
        ),
        (
            {"capital": 5_000.0, "ours": 4_500.0},
            order(),
            "capital",
            "capital is 5000, would be 5500",
            {"limit": 5_000.0, "after": 5_500.0},
        ),
        (
            {"ledger": with_parent("8")},
            order(qty="3", parent_id="p1"),
            "parent",
            "the parent is of 10, its orders would be of 11",
            {"limit": 10.0, "after": 11.0},
        ),
        (
            {"ledger": with_sent(3), "limits": Limits(duplicate_window=5 * SECOND)},
            order(),
            "duplicate",
            "the same as o0, sent 3 s before",
            {"window_s": 5.0, "ago_s": 3.0},
        ),
        (
            {"ledger": noisy(2), "limits": Limits(max_messages_per_second=2)},
            order(),
            "max_messages_per_second",
            "max_messages_per_second is 2, 2 were sent",
            {"limit": 2.0, "sent": 2.0},
        ),
        (
            {"ledger": noisy(4), "limits": Limits(max_messages_per_second=2)},
            order("sell", purpose=Purpose.PROTECT),
            "max_messages_per_second",
            "max_messages_per_second is 4, 4 were sent",
            {"limit": 4.0, "sent": 4.0},
        ),
    ],
)
def test_each_rule_says_no_with_its_numbers(
    seen: dict[str, Any], asked: Order, rule: str, reason: str, compared: dict[str, float]
) -> None:
    verdict = judge(view(**seen), asked)
    assert isinstance(verdict, Denied)
    assert (verdict.rule, verdict.reason, numbers(verdict)) == (rule, reason, compared)


@pytest.mark.parametrize(
    ("seen", "asked"),
    [
        ({}, order()),
        ({}, order("sell")),
        ({"instrument": SMALL}, order(qty="0.5")),
        ({"ledger": sent(MINUTE, MINUTE + 1), "limits": Limits(max_orders_per_minute=1)}, order()),
        ({"limits": Limits(max_position=1_000.0, max_order=1_000.0, max_gross=1_000.0)}, order()),
        ({"limits": Limits(max_position=1_000.0), "account_held": D(-10)}, order(qty="20")),
        (CASH, order(qty="100")),
        ({**CASH, "held": D(10), "account_held": D(10)}, order("sell")),
        ({"limits": Limits(collar=0.02)}, limit_order("102")),
        ({"limits": Limits(collar=0.02)}, limit_order("50")),
        ({"limits": Limits(collar=0.02)}, limit_order("150", "sell")),
        ({"limits": Limits(max_data_age=2 * MINUTE), "overdue": 2 * MINUTE}, order()),
        ({"is_open": False}, order(tif=Tif.AT_OPEN)),
        ({"ledger": with_parent("8")}, order(qty="2", parent_id="p1")),
        ({"ledger": with_sent(3), "limits": Limits(duplicate_window=3 * SECOND)}, order()),
        ({"ledger": with_sent(1), "limits": Limits(duplicate_window=3 * SECOND)}, order(qty="9")),
        ({"ledger": with_sent(1), "limits": Limits(duplicate_window=3 * SECOND)}, limit_order("100")),
        ({"ledger": noisy(3), "limits": Limits(max_messages_per_second=2)}, order(purpose=Purpose.PROTECT)),
        ({"capital": 5_000.0, "ours": 4_000.0}, order()),
    ],
)
def test_what_stays_within_every_limit_may_leave(seen: dict[str, Any], asked: Order) -> None:
    assert isinstance(judge(view(**seen), asked), tuple)


def test_what_may_leave_carries_each_number_that_was_compared() -> None:
    limits = Limits(
        max_order=1_500.0,
        max_order_qty=20.0,
        max_position=5_000.0,
        max_gross=9_000.0,
        collar=0.02,
        max_orders_per_minute=5,
        max_orders_per_day=9,
        max_messages_per_second=3,
        max_data_age=60 * SECOND,
    )
    asked = limit_order("101")
    seen = view(
        limits=limits,
        instrument=SMALL,
        model=AccountModel.CASH,
        capital=4_000.0,
        ours=500.0,
        gross=700.0,
        account_held=D(5),
        overdue=SECOND,
        ledger=sent(2 * SECOND, 2 * MINUTE),
    )
    assert judge(seen, asked) == (
        ("min_qty", 10.0, 0.1),
        ("min_notional", 1010.0, 50.0),
        ("max_messages_per_second", 1.0, 3.0),
        ("data_age", 1.0, 60.0),
        ("max_orders_per_minute", 2.0, 5.0),
        ("max_orders_per_day", 3.0, 9.0),
        ("max_order_qty", 10.0, 20.0),
        ("max_order", 1000.0, 1500.0),
        ("collar", pytest.approx(0.01), 0.02),
        ("max_position", 1500.0, 5000.0),
        ("max_gross", 1710.0, 9000.0),
        ("capital", 1510.0, 4000.0),
        ("buying_power", 1010.0, 10000.0),
    )


@pytest.mark.parametrize(
    ("seen", "rule", "allowed"),
    [
        ({"limits": Limits(max_order=350.0)}, "max_order", "3.5"),
        ({"limits": Limits(max_position=1_200.0), "account_held": D(5)}, "max_position", "7"),
        (
            {"limits": Limits(max_position=1_200.0), "account_held": D(5), "account_way": D(3)},
            "max_position",
            "4",
        ),
        ({"limits": Limits(max_order=350.0), "rate": 2.0}, "max_order", "1.75"),
        ({"limits": Limits(max_order_qty=4.0005)}, "max_order_qty", "4"),
    ],
)
def test_a_size_limit_cuts_an_order_down_to_what_fits(seen: dict[str, Any], rule: str, allowed: str) -> None:
    verdict = judge(view(**seen), order())
    assert isinstance(verdict, Shrunk)
    assert (verdict.rule, verdict.qty) == (rule, D(allowed))


EVERYTHING_SHUT: dict[str, Any] = {
    "ledger": halted(HaltLevel.CANCEL_ENTRIES),
    "limits": Limits(
        max_order=1.0,
        max_order_qty=0.1,
        max_position=1.0,
        max_gross=1.0,
        max_orders_per_day=0,
        max_data_age=0,
        collar=1e-9,
        duplicate_window=DAY,
    ),
    "overdue": DAY,
    "capital": 1.0,
    "ours": 2.0,
    "is_open": False,
    "account_held": D(10),
    "held": D(10),
    "cash": D(0),
}


@pytest.mark.parametrize("model", list(AccountModel))
@pytest.mark.parametrize(
    "asked",
    [
        order("sell"),
        order("sell", qty="4"),
        order("sell", purpose=Purpose.PROTECT),
        order("sell", qty="15", purpose=Purpose.FLATTEN),
    ],
)
def test_no_limit_keeps_us_from_getting_out(model: AccountModel, asked: Order) -> None:
    assert isinstance(judge(view(**EVERYTHING_SHUT, model=model), asked), tuple)


def test_an_order_through_zero_is_cut_down_to_the_close() -> None:
    verdict = judge(view(**EVERYTHING_SHUT), order("sell", qty="25"))
    assert isinstance(verdict, Shrunk)
    assert (verdict.rule, verdict.qty) == ("halted", D(10))


def test_beside_another_closing_order_only_the_rest_still_closes() -> None:
    verdict = judge(view(**EVERYTHING_SHUT, alike=D(6)), order("sell", qty="10"))
    assert isinstance(verdict, Shrunk)
    assert verdict.qty == D(4)
    assert isinstance(judge(view(**EVERYTHING_SHUT, alike=D(10)), order("sell", qty="10")), Denied)

"""Splits and dividends: what they move, for whom, and that nothing is lost in rounding."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.core.world import START, STOCK, D, Script, World, account, make_bar, sessions, spec
from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.model import DAY, HOUR, Bar, Fill
from tradebot.core.orders import Status
from tradebot.core.setup import Limits
from tradebot.sim.latency import FixedLatency

HALF = D("0.5")
DAYS = sessions(*[(d, 14.5, 21.0) for d in range(9)])


def stock_bars(*closes: float, first: int = 0) -> list[Bar]:
    at = START + 21 * HOUR
    return [make_bar("STOCK", at + (first + i) * DAY, DAY, close) for i, close in enumerate(closes)]


def ordered(*events: m.Split | m.Dividend) -> list[m.Split | m.Dividend]:
    return sorted([*DAYS, *events], key=lambda e: e.ts)  # type: ignore[list-item]


def ex_day(day: int) -> int:
    return START + day * DAY + int(14.5 * HOUR)


def test_dividends_are_accrued_at_the_ex_date_and_paid_at_their_date() -> None:
    dividend = m.Dividend(ts=ex_day(2), instrument="STOCK", amount=D("0.25"), pays_at=ex_day(5))
    world = World(spec(Script(1.0), instrument=STOCK, interval=DAY), events=ordered(dividend))
    world.play(stock_bars(100, 100, 100, 100, 100, 100, 100))
    (accrued,) = world.of(f.DividendAccrued)
    assert (accrued.ts, accrued.shares) == (ex_day(2), (f.StrategyShare("s", D("2.50")),))
    (paid,) = world.of(f.DividendPaid)
    assert paid.ts == ex_day(5)
    assert world.ledger.subs["s"].cash["USD"] == D("99002.50")


def test_who_sells_on_the_ex_day_is_owed_and_who_buys_on_it_is_not() -> None:
    dividend = m.Dividend(ts=ex_day(3), instrument="STOCK", amount=D(1), pays_at=ex_day(5))
    world = World(
        spec(Script(1.0, None, 0.0), instrument=STOCK, interval=DAY, name="out", capital=HALF),
        spec(Script(None, None, 1.0), instrument=STOCK, interval=DAY, name="in", capital=HALF),
        events=ordered(dividend),
    )
    world.play(stock_bars(100, 100, 100, 100, 100, 100))
    assert [x.shares for x in world.of(f.DividendPaid)] == [(f.StrategyShare("out", D(10)),)]


def test_a_restart_between_the_ex_date_and_the_next_bar_counts_the_dividend_once() -> None:
    dividend = m.Dividend(ts=ex_day(2), instrument="STOCK", amount=D(1), pays_at=ex_day(5))
    terms: dict[str, Any] = {"instrument": STOCK, "interval": DAY}
    world = World(spec(Script(1.0), **terms), events=ordered(dividend), remembers=True)
    bars = stock_bars(100, 100)
    world.play(bars).until(ex_day(2) + HOUR)
    assert world.engine.equity("main") == 100_000.0
    world.restart(spec(Script(), **terms), warm_up=[m.Slice(bar.ts, (bar,)) for bar in bars])
    assert world.engine.equity("main") == 100_000.0


def test_a_short_pays_the_dividend() -> None:
    dividend = m.Dividend(ts=ex_day(2), instrument="STOCK", amount=D(1), pays_at=ex_day(3))
    world = World(spec(Script(-1.0), instrument=STOCK, interval=DAY), events=ordered(dividend))
    world.play(stock_bars(100, 100, 100, 100, 100))
    assert world.ledger.subs["s"].cash["USD"] == D(100_000) + D(1_000) - D(10)


def test_of_two_dividends_each_is_paid_at_its_own_date() -> None:
    late = m.Dividend(ts=ex_day(2), instrument="STOCK", amount=D(1), pays_at=ex_day(6))
    soon = m.Dividend(ts=ex_day(3), instrument="STOCK", amount=D(3), pays_at=ex_day(4))
    world = World(spec(Script(1.0), instrument=STOCK, interval=DAY), events=ordered(late, soon))
    world.play(stock_bars(100, 100, 100, 100, 100, 100, 100))
    assert [x.shares[0].amount for x in world.of(f.DividendPaid)] == [D(30), D(10)]


def test_the_residue_of_rounding_a_dividend_belongs_to_nobody() -> None:
    # Thirds of a quantum: each sub-ledger's part is rounded, the account's total is the venue's.
    dividend = m.Dividend(
        ts=START + 3 * HOUR, instrument="COIN", amount=D("0.0000000333"), pays_at=START + 3 * HOUR
    )
    world = World(
        spec(Script(1.0), qty=0.5, name="a", capital=HALF),
        spec(Script(1.0), qty=0.5, name="b", capital=HALF),
        events=[dividend],
    )
    world.bars((100,), (100,), (100,), (100,), (100,))
    (accrued,) = world.of(f.DividendAccrued)
    assert accrued.shares == (
        f.StrategyShare("a", D("0.00000002")),
        f.StrategyShare("b", D("0.00000002")),
        f.StrategyShare(None, D("-0.00000001")),
    )


def test_what_is_owed_counts_as_equity_from_the_ex_date() -> None:
    # The price falls by the dividend on the ex-day: no loss, so no breaker.
    dividend = m.Dividend(ts=ex_day(3), instrument="STOCK", amount=D(10), pays_at=ex_day(7))
    world = World(
        spec(Script(1.0), qty=100.0, instrument=STOCK, interval=DAY),
        accounts=[account({"USD": D(10_000)}, limits=Limits(max_daily_loss=0.02, max_drawdown=0.05))],
        events=ordered(dividend),
    )
    world.play(stock_bars(100, 100, 100, 90, 90, 90))
    assert world.of(f.HaltSet) == []
    assert world.engine.equity("main") == 10_000.0
    world.play(stock_bars(90, 90, first=6))
    assert world.engine.equity("main") == 10_000.0


@pytest.mark.parametrize("named", ["STOCK", ""])
@pytest.mark.parametrize(("paid", "rest"), [("2.50", "0"), ("2.125", "-0.375")])
def test_a_dividend_that_the_venue_tells_of_is_booked_once_with_what_it_withheld(
    named: str, paid: str, rest: str
) -> None:
    other = m.Dividend(ts=ex_day(2), instrument="STOCK", amount=D(9), pays_at=ex_day(9))
    dividend = m.Dividend(ts=ex_day(2), instrument="STOCK", amount=D("0.25"), pays_at=ex_day(4))
    world = World(
        spec(Script(1.0), instrument=STOCK, interval=DAY),
        accounts=[account(tells_dividends=True)],
        events=ordered(other, dividend),
        checks_rest=False,
    )
    world.play(stock_bars(100, 100, 100, 100, 100, 100))
    assert world.of(f.DividendPaid) == []  # past its day, and still owed
    equity = world.engine.equity("main")
    for _ in range(2):
        told = {"ts": world.now, "account": "main", "asset": "USD", "because": "dividend", "venue_ref": "e1"}
        world.tell(m.CashEvent(amount=D(paid), instrument=named, **told))  # type: ignore[arg-type]
    (fact,) = world.of(f.DividendPaid)
    assert (fact.shares, fact.venue_ref) == ((f.StrategyShare("s", D("2.50")),), "e1")
    assert world.ledger.accounts["main"].unassigned.cash.get("USD", D(0)) == D(rest)
    assert world.engine.equity("main") == pytest.approx((equity or 0) + float(rest))
    assert [x.amount for x in world.of(f.CashMoved) if x.because == "dividend"] == [D(rest)] * bool(D(rest))


def test_a_dividend_that_nobody_was_owed_is_cash_that_moved() -> None:
    world = World(spec(Script(0.0)), accounts=[account(tells_dividends=True)]).bars((100,))
    told = {"ts": world.now, "account": "main", "asset": "USD", "because": "dividend", "venue_ref": "e1"}
    world.tell(m.CashEvent(amount=D(5), **told))  # type: ignore[arg-type]
    assert [(x.amount, x.venue_ref) for x in world.of(f.CashMoved)][-1] == (D(5), "e1")


# --- splits ---------------------------------------------------------------------------------------


def test_a_split_multiplies_quantities_and_keeps_the_basis() -> None:
    split = m.Split(ts=ex_day(3), instrument="STOCK", ratio=D(4))
    world = World(spec(Script(1.0), instrument=STOCK, interval=DAY), events=ordered(split))
    world.play(stock_bars(100, 100, 100, 25, 25))
    (lot,) = world.ledger.accounts["main"].lots["STOCK"]
    position = world.ledger.subs["s"].position("STOCK")
    assert (lot.qty, lot.basis, position.qty, position.basis) == (D(40), D(1000), D(40), D(1000))
    assert position.entry_price == 25.0
    assert world.ledger.wish(("s", "STOCK")).wanted_qty == D(40)


def test_a_reverse_split_pays_the_fraction_out_as_a_sale_of_it() -> None:
    # 10 shares at 100 become 1.25 at 800; the quarter is sold for 200 of which 200 was its cost.
    split = m.Split(ts=ex_day(3), instrument="STOCK", ratio=D("0.125"))
    world = World(spec(Script(1.0), instrument=STOCK, interval=DAY), events=ordered(split))
    world.play(stock_bars(100, 100, 110, 880, 880))
    (lot,) = world.ledger.accounts["main"].lots["STOCK"]
    position = world.ledger.subs["s"].position("STOCK")
    assert (lot.qty, lot.basis) == (D(1), D(800))
    assert (position.qty, position.basis, position.realized) == (D(1), D(800), D(20))
    assert world.ledger.subs["s"].cash["USD"] == D(100_000) - 1_000 + D(220)


def test_a_position_that_a_reverse_split_leaves_less_than_a_share_of_is_all_sold() -> None:
    split = m.Split(ts=ex_day(3), instrument="STOCK", ratio=D("0.01"))
    world = World(spec(Script(1.0), instrument=STOCK, interval=DAY), events=ordered(split))
    world.play(stock_bars(100, 100, 90, 9000, 9000))
    position = world.ledger.subs["s"].position("STOCK")
    assert (position.qty, position.basis, position.realized) == (D(0), D(0), D(-100))
    assert world.ledger.accounts["main"].lots["STOCK"] == []


def test_fractions_of_two_strategies_that_make_a_share_leave_it_unassigned() -> None:
    # 12 each become 1.5 each: the account holds three shares, the third is nobody's and paid for by it.
    split = m.Split(ts=ex_day(3), instrument="STOCK", ratio=D("0.125"))
    world = World(
        spec(Script(1.0), qty=12.0, instrument=STOCK, interval=DAY, name="a", capital=HALF),
        spec(Script(1.0), qty=12.0, instrument=STOCK, interval=DAY, name="b", capital=HALF),
        events=ordered(split),
    )
    world.play(stock_bars(100, 100, 100, 800, 800))
    rest = world.ledger.accounts["main"].unassigned
    assert [world.position(s, "STOCK") for s in "ab"] == [D(1), D(1)]
    assert rest.qty("STOCK") == D(1)
    paid = [(part.strategy, part.amount) for part in world.of(f.SplitApplied)[0].cash_in_lieu]
    assert paid == [("a", D(400)), ("b", D(400)), (None, D(-800))]
    assert (rest.position("STOCK").basis, rest.cash["USD"]) == (D(800), D(-800))


@pytest.mark.parametrize(
    ("hours", "qty", "filled", "status"),
    [(2, D(40), D(40), Status.FILLED), (4, D(22), D(22), Status.PENDING_CANCEL)],
)
def test_a_trade_from_before_a_split_is_booked_in_the_units_after_it(
    hours: int, qty: Decimal, filled: Decimal, status: Status
) -> None:
    """4 of 10 have traded when a share becomes 4; then a trade of 6 is heard of, from before or after it."""
    split = m.Split(ts=START + 3 * HOUR, instrument="COIN", ratio=D(4))
    far = FixedLatency(submit=10**18, cancel=10**18)
    world = World(spec(Script(1.0)), latency=far, events=[split], checks_rest=False).bars((100,))
    (order,) = (x.order for x in world.of(f.OrderIntended))

    def traded(size: int, price: int, ts: int) -> None:
        parts = {"client_order_id": order.client_order_id, "instrument": "COIN", "side": order.side}
        fill = Fill(fill_id=f"{size}", qty=D(size), price=D(price), ts=ts, **parts)  # type: ignore[arg-type]
        world.tell(m.VenueFilled(ts=ts, fill=fill))

    world.tell(m.VenueAcked(ts=world.now, client_order_id=order.client_order_id, venue_order_id="v"))
    traded(4, 100, world.now)
    world.bars((100,), (25,), (25,))
    traded(6, 100 if hours < 3 else 25, START + hours * HOUR)
    position, record = world.ledger.subs["s"].position("COIN"), world.ledger.orders[order.client_order_id]
    assert (position.qty, position.entry_price) == (qty, 25.0)
    assert (record.filled_qty, record.status) == (filled, status)
    world.ledger.check()


def test_a_split_reaches_strategies_whose_account_is_flat() -> None:
    split = m.Split(ts=ex_day(3), instrument="STOCK", ratio=D(4))
    world = World(
        spec(Script(1.0), instrument=STOCK, interval=DAY, name="long", capital=HALF),
        spec(Script(-1.0), instrument=STOCK, interval=DAY, name="short", capital=HALF),
        events=ordered(split),
    )
    world.play(stock_bars(100, 100, 100, 25, 25))
    assert [world.position(s, "STOCK") for s in ("long", "short")] == [D(40), D(-40)]


@pytest.mark.parametrize("ratio", ["4", "0.125", "1.5", "0.1"])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_no_basis_appears_or_vanishes_in_a_split(ratio: str, side: float) -> None:
    split = m.Split(ts=ex_day(4), instrument="STOCK", ratio=Decimal(ratio))
    words = Script(0.3 * side, None, 1.0 * side)
    world = World(spec(words, qty=57.0, instrument=STOCK, interval=DAY), events=ordered(split))
    world.play(stock_bars(100, 101, 103, 107, 107 / float(ratio)))
    position = world.ledger.subs["s"].position("STOCK")
    spent = D(100_000) - world.ledger.subs["s"].cash["USD"]
    assert position.basis - position.realized == spent
    lots = world.ledger.accounts["main"].lots["STOCK"]
    closed = [part for x in world.of(f.SplitApplied) for part in x.closed]
    profit = sum((part.proceeds - part.basis for part in closed), D(0))
    assert sum((lot.basis for lot in lots), D(0)) - profit == spent

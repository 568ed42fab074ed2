"""Fills become round trips without losing a digit."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.runs_for_tests import START, make_fill
from tradebot.core.model import DAY, Side
from tradebot.errors import InvariantError
from tradebot.report.result import FillRecord, SplitRecord, TradeRecord, costs_of
from tradebot.report.roundtrips import round_trips

BUY, SELL = Side.BUY, Side.SELL


def brief(trade: TradeRecord) -> tuple[str, str, str, str | None, str | None]:
    def plain(number: Decimal | None) -> str | None:
        return None if number is None else f"{number.normalize():f}"

    return (
        trade.side.value,
        f"{trade.qty.normalize():f}",
        plain(trade.entry_price) or "",
        plain(trade.exit_price),
        plain(trade.pnl),
    )


def test_a_buy_and_a_sell_make_one_long_trade_net_of_both_fees() -> None:
    fills = [make_fill(BUY, "10", "100.50", fee="1.005"), make_fill(SELL, "10", "103", n=3, fee="1.03")]
    (trade,) = round_trips(fills)
    assert brief(trade) == ("buy", "10", "100.5", "103", "22.965")
    assert trade.fees == Decimal("2.035")
    assert (trade.entry_ts, trade.exit_ts) == (START, START + 3 * DAY)


def test_a_short_wins_when_the_price_falls() -> None:
    (trade,) = round_trips([make_fill(SELL, "2", "50"), make_fill(BUY, "2", "45", n=1, fee="0.5")])
    assert brief(trade) == ("sell", "2", "50", "45", "9.5")


def test_partial_fills_of_the_same_two_orders_are_one_trade_at_the_average_price() -> None:
    fills = [
        make_fill(BUY, "6", "10", n=0, order="in"),
        make_fill(BUY, "4", "11", n=1, order="in"),
        make_fill(SELL, "5", "12", n=2, order="out"),
        make_fill(SELL, "5", "13", n=3, order="out"),
    ]
    (trade,) = round_trips(fills)
    assert brief(trade) == ("buy", "10", "10.4", "12.5", "21")
    assert (trade.entry_ts, trade.exit_ts) == (START, START + 3 * DAY)


def test_the_first_entry_is_closed_first() -> None:
    fills = [make_fill(BUY, "1", "10"), make_fill(BUY, "1", "20", n=1), make_fill(SELL, "1", "30", n=2)]
    closed, still_open = round_trips(fills)
    assert brief(closed) == ("buy", "1", "10", "30", "20")
    assert brief(still_open) == ("buy", "1", "20", None, None)


def test_a_fill_through_zero_closes_the_long_and_opens_a_short_and_shares_its_fee() -> None:
    fills = [make_fill(BUY, "1", "100"), make_fill(SELL, "3", "110", n=1, fee="0.10")]
    closed, still_open = round_trips(fills)
    assert brief(closed) == ("buy", "1", "100", "110", "9.96666667")
    assert brief(still_open) == ("sell", "2", "110", None, None)
    assert closed.fees + still_open.fees == Decimal("0.10")


def test_strategies_and_instruments_never_close_each_other() -> None:
    fills = [
        make_fill(BUY, "1", "10", instrument="A"),
        make_fill(SELL, "1", "11", n=1, instrument="B"),
        make_fill(SELL, "1", "12", n=2, instrument="A", strategy="other"),
    ]
    assert [(t.strategy, t.instrument, t.is_open) for t in round_trips(fills)] == [
        ("trend", "A", True),
        ("trend", "B", True),
        ("other", "A", True),
    ]


def test_a_fee_withheld_from_the_base_asset_shrinks_the_position() -> None:
    bought = make_fill(BUY, "1", "20000", fee="20", fee_asset="BTC", fee_base_qty=Decimal("0.001"))
    closed = round_trips([bought, make_fill(SELL, "0.999", "21000", n=1)])
    assert len(closed) == 1
    assert closed[0].pnl == Decimal("979")  # 0.999 * 21000 - 20000
    assert closed[0].fees == Decimal("20")


def test_a_split_changes_the_quantity_and_not_the_value() -> None:
    fills = [make_fill(BUY, "3", "700", fee="1"), make_fill(SELL, "21", "101", n=5, fee="1")]
    (trade,) = round_trips(fills, splits=[SplitRecord(instrument="SPX", ts=START + 2 * DAY, new=7, old=1)])
    assert brief(trade) == ("buy", "21", "100", "101", "19")


def test_bars_held_counts_the_closes_after_the_entry_up_to_the_exit() -> None:
    closes = np.array([START + k * DAY for k in range(10)], dtype=np.int64)
    (trade,) = round_trips([make_fill(BUY, "1", "10", n=2), make_fill(SELL, "1", "10", n=6)], bar_ts=closes)
    assert trade.bars_held == 4


def test_the_exit_names_its_reason_or_else_its_purpose() -> None:
    fills = [
        make_fill(BUY, "2", "10", reason="z=-2.1"),
        make_fill(SELL, "1", "11", n=1, reason="stop_loss"),
        make_fill(SELL, "1", "11", n=2),
    ]
    first, second = round_trips(fills)
    assert (first.entry_reason, first.exit_reason, second.exit_reason) == ("z=-2.1", "stop_loss", "target")


def test_pnl_in_base_currency_uses_the_rate_at_the_exit() -> None:
    fills = [
        make_fill(BUY, "1", "100", rate=Decimal("1.10")),
        make_fill(SELL, "1", "120", n=1, rate=Decimal("1.20")),
    ]
    (trade,) = round_trips(fills)
    assert (trade.pnl, trade.pnl_base) == (Decimal("20"), Decimal("24"))


def test_costs_are_added_up_in_the_base_currency() -> None:
    fills = (
        make_fill(BUY, "1", "100", fee="1", slippage=Decimal("0.5")),
        make_fill(SELL, "1", "100", n=1, fee="2", rate=Decimal("1.5")),
    )
    costs = costs_of(fills)
    assert (costs.fees, costs.slippage, costs.total) == (Decimal("4"), Decimal("0.5"), Decimal("4.5"))


@pytest.mark.parametrize(
    ("fills", "message"),
    [
        (
            [make_fill(BUY, "1", "10", n=2), make_fill(SELL, "1", "10", n=1)],
            "fills must be in order of time: f1",
        ),
        ([make_fill(BUY, "0", "10")], "fill f0: qty and price must be positive, were 0 and 10"),
        (
            [make_fill(BUY, "1", "10", fee_base_qty=Decimal(1))],
            r"fill f0: the fee in base \(1\) must be less than qty 1",
        ),
    ],
)
def test_impossible_fills_are_refused_by_name(fills: list[FillRecord], message: str) -> None:
    with pytest.raises(InvariantError, match=message):
        round_trips(fills)


@st.composite
def fill_lists(draw: st.DrawFn) -> list[FillRecord]:
    count = draw(st.integers(0, 25))
    fills = []
    for n in range(count):
        qty = Decimal(draw(st.integers(1, 10**6))).scaleb(-draw(st.integers(0, 6)))
        in_base = draw(st.sampled_from([False, False, False, True]))
        price = Decimal(draw(st.integers(1, 10**7))).scaleb(-2)
        fills.append(
            make_fill(
                draw(st.sampled_from([BUY, SELL])),
                str(qty),
                str(price),
                n=n,
                order=f"o{n // draw(st.integers(1, 3))}",
                instrument=draw(st.sampled_from(["A", "B"])),
                fee=str(Decimal(draw(st.integers(-500, 10**5))).scaleb(-8)),
                fee_base_qty=qty * Decimal("0.001") if in_base else Decimal(0),
            )
        )
    return fills


def cash_change(fills: list[FillRecord]) -> Decimal:
    """What `fills` did to cash: sells minus buys minus fees; one withheld from the base asset moves none."""
    moved = (-f.notional * f.side.sign - (0 if f.fee_base_qty else f.fee) for f in fills)
    return sum(moved, Decimal(0))


@given(fill_lists(), st.integers(0, 25), st.sampled_from([(1, 1), (7, 1), (1, 8), (3, 2), (1, 3)]))
@settings(max_examples=300, deadline=None)
def test_closed_pnl_less_open_cost_is_the_change_of_cash(
    fills: list[FillRecord], day: int, ratio: tuple[int, int]
) -> None:
    split = SplitRecord(instrument="A", ts=START + day * DAY, new=ratio[0], old=ratio[1])
    trades = round_trips(fills, splits=[split])
    with localcontext() as ctx:
        ctx.prec = 60
        closed = sum((t.pnl for t in trades if t.pnl is not None), Decimal(0))
        held = sum((t.cost for t in trades if t.is_open), Decimal(0))
        assert closed - held == cash_change(fills)


@given(fill_lists())
@settings(max_examples=200, deadline=None)
def test_open_quantity_is_what_the_fills_left_behind(fills: list[FillRecord]) -> None:
    for instrument in ("A", "B"):
        trades = [t for t in round_trips(fills) if t.instrument == instrument]
        left = sum((t.qty * t.side.sign for t in trades if t.is_open), Decimal(0))
        moved = sum(
            (f.qty * f.side.sign - f.fee_base_qty for f in fills if f.instrument == instrument), Decimal(0)
        )
        assert left == moved

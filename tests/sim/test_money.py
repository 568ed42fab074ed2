"""What a fill costs and what the venue's books say afterwards."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.sim.stage import COIN, Stage, fills, reasons, trades, words
from tradebot.core.messages import Dividend, SessionClose, SessionOpen, Split
from tradebot.core.model import AccountModel, Bar
from tradebot.errors import UsageError
from tradebot.sim.accounts import SimAccount
from tradebot.sim.fees import BpsFees, FeeModel, PerShareFees, ReceivedAssetFees, ThirdAssetFees
from tradebot.sim.settings import FillSettings, OnSplit
from tradebot.sim.slippage import (
    BpsSlippage,
    HalfSpread,
    SlippageModel,
    TickSlippage,
    VolumeShareSlippage,
)
from tradebot.sim.venue import SimVenue

D = Decimal


def bought(fees: FeeModel, qty: str, price: float, **more: Any) -> Stage:
    stage = Stage(fees=fees, **more)
    stage.flat(price)
    stage.send("buy", "buy", qty)
    stage.flat(price)
    return stage


# --- fees -------------------------------------------------------------------------------------


def test_fee_in_bps_follows_the_side_of_liquidity_and_rounds_once_half_even() -> None:
    stage = bought(BpsFees(maker=D("-1"), taker=D("2.5")), "0.001", 33.33)
    # 0.03333 x 0.00025 = 0.0000083325 -> 0.00000833
    assert fills(stage.reports)[0].fee == D("0.00000833")
    stage.send("rest", "sell", "0.001", "limit", limit_price="34")
    (fill,) = fills(stage.bar(33, 35, 33, 34))
    assert fill.fee == D("-0.0000034")
    assert stage.cash == D(100_000) - D("0.03333") - D("0.00000833") + D("0.034") + D("0.0000034")


def test_fee_in_the_received_asset_shrinks_the_bought_position() -> None:
    stage = bought(ReceivedAssetFees(maker=D(10), taker=D(10)), "2", 50)
    (fill,) = fills(stage.reports)
    assert (fill.fee, fill.fee_asset) == (D("0.002"), "COIN")
    assert (stage.position, stage.cash) == (D("1.998"), D(99_900))
    stage.send("sell", "sell", "2", reduce_only=True)
    seen = stage.flat(50)
    assert trades(seen) == [("sell", D("-1.998"), D(50))]
    assert (fills(seen)[0].fee, fills(seen)[0].fee_asset) == (D("0.0999"), "USD")
    assert (stage.position, stage.cash) == (D(0), D(99_900) + D("99.9") - D("0.0999"))


def test_dust_below_a_lot_is_left_alone_by_a_reduce_only_order() -> None:
    stage = bought(ReceivedAssetFees(maker=D(3), taker=D(3)), "1", 50)
    assert stage.position == D("0.9997")
    stage.send("sell", "sell", "1", reduce_only=True)
    assert trades(stage.flat(50)) == [("sell", D("-0.999"), D(50))]
    stage.send("again", "sell", "1", reduce_only=True)
    assert "reduce_only: the position to reduce is 0.0007" in reasons(stage.flat(50))
    assert stage.position == D("0.0007")


def test_fee_in_a_third_asset_is_paid_from_it_and_a_cash_account_must_hold_it() -> None:
    fees = ThirdAssetFees(maker=D(10), taker=D(10), asset="BNB", per_quote=D("0.002"))
    held = {"USD": D(1000), "BNB": D("0.0003")}
    stage = bought(fees, "1", 100, model=AccountModel.CASH, cash=held)
    assert stage.venue.account("main").cash == {"USD": D(900), "BNB": D("0.0001")}
    stage.send("more", "buy", "1")
    assert "insufficient BNB for the fee: needs 0.0002, has 0.0001" in reasons(stage.flat(100))


def test_minimum_fee_holds_per_order_not_per_fill() -> None:
    fees = PerShareFees(rate=D("0.005"), minimum=D(1))
    stage = Stage(fees=fees, settings=FillSettings(volume_cap=D("0.5")))
    stage.flat(100)
    stage.send("a", "buy", "400")
    for _ in range(4):
        stage.flat(100, volume=200)
    # 100 shares a bar: 0.50 is lifted to the minimum 1, the second brings the total to 1, then 0.50 each.
    assert [f.fee for f in fills(stage.reports)] == [D(1), D(0), D("0.5"), D("0.5")]


def test_cap_on_the_fee_wins_over_its_minimum() -> None:
    stage = bought(PerShareFees(rate=D("0.005"), minimum=D(1), cap=D("0.01")), "1", 20)
    assert fills(stage.reports)[0].fee == D("0.2")


# --- slippage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "buys_at", "sells_at"),
    [
        (BpsSlippage(bps=10), "100.12", "99.90"),  # 100.11001 before the tick
        (TickSlippage(ticks=3), "100.04", "99.97"),
        (HalfSpread(spread_bps=10), "100.07", "99.95"),
        # share 1/100 of the volume: 0.1 x 0.0001 = 0.00001 of the price
        (VolumeShareSlippage(), "100.02", "99.99"),
    ],
)
def test_slippage_is_against_whoever_takes_and_rounds_against_them(
    model: SlippageModel, buys_at: str, sells_at: str
) -> None:
    for side, price, start in (("buy", buys_at, 100.01), ("sell", sells_at, 100.0)):
        stage = Stage(slippage=model)
        stage.flat(start)
        stage.send("a", side, "1")
        assert fills(stage.flat(start, volume=100))[0].price == D(price), side


def test_impact_counts_what_we_took_of_the_bar_before_and_stops_at_its_cap() -> None:
    stage = Stage(slippage=VolumeShareSlippage(impact=10.0, max_share=0.02))
    stage.flat(100)
    for name in "abc":
        stage.send(name, "buy", "1")
    assert [f.price for f in fills(stage.flat(100, volume=100))] == [D("100.1"), D("100.4"), D("100.4")]


def test_impact_grows_until_an_order_is_all_of_the_volume() -> None:
    for qty, volume, price in (("50", 100, "102.5"), ("500", 100, "110"), ("1", 0, "110")):
        stage = Stage(slippage=VolumeShareSlippage())
        stage.flat(100)
        stage.send("a", "buy", qty)
        assert fills(stage.flat(100, volume=volume))[0].price == D(price)


def test_makers_do_not_slip_and_a_taking_limit_never_pays_more_than_its_limit() -> None:
    stage = Stage(slippage=TickSlippage(ticks=100))
    stage.flat(100)
    stage.send("rests", "buy", "1", "limit", limit_price="99")
    stage.send("takes", "buy", "1", "limit", limit_price="100.50")
    assert trades(stage.bar(100, 100, 98, 99)) == [("takes", D(1), D("100.5")), ("rests", D(1), D(99))]


def test_slipped_price_stays_inside_the_bar_only_when_asked() -> None:
    for clip, price in ((False, "101"), (True, "100.20")):
        stage = Stage(slippage=TickSlippage(ticks=100), settings=FillSettings(clip_slippage=clip))
        stage.flat(100)
        stage.send("a", "buy", "1")
        assert fills(stage.bar(100, 100.2, 99, 100))[0].price == D(price)


# --- accounts -----------------------------------------------------------------------------------


def test_cash_account_pays_fee_and_notional_from_what_it_has_to_the_last_cent() -> None:
    for cash, fills_it in (("100.1", True), ("100.09", False)):
        stage = bought(
            BpsFees(maker=D(10), taker=D(10)), "1", 100, model=AccountModel.CASH, cash={"USD": D(cash)}
        )
        assert bool(fills(stage.reports)) is fills_it


def test_cash_account_sells_only_what_it_holds_also_at_the_fill() -> None:
    stage = bought(BpsFees(maker=D(0), taker=D(0)), "1", 100, model=AccountModel.CASH)
    stage.send("a", "sell", "1")
    stage.send("b", "sell", "1")
    seen = stage.flat(100)
    assert words(seen) == [("Filled", "a"), ("Refused", "b")]
    assert "a cash account sells only what it holds: sells 1, holds 0" in reasons(seen)
    assert stage.venue.account("main").positions == {}


def test_margin_account_may_go_short_and_spend_beyond_its_cash() -> None:
    stage = Stage(cash={"USD": D(10)})
    stage.flat(100)
    stage.send("a", "sell", "1")
    stage.flat(100)
    stage.send("b", "buy", "5")
    stage.flat(100)
    assert (stage.cash, stage.position) == (D(-390), D(4))
    assert stage.venue.account("main").buying_power("USD") is None


def test_proceeds_of_a_cash_account_settle_after_so_many_sessions() -> None:
    stage = Stage(model=AccountModel.CASH, cash={"USD": D(100)}, settings=FillSettings(settle_sessions=1))
    session = SessionOpen(ts=0, calendar="XNYS", closes_at=70)
    stage.venue.on_session(session)

    def trade(name: str, side: str) -> list[tuple[str, str]]:
        stage.now += 1
        stage.send(name, side, "1", instrument="STOCK")
        return words(stage.bar(100, 100, 100, 100, instrument="STOCK"))

    assert trade("buy", "buy") == [("Filled", "buy")]
    assert trade("sell", "sell") == [("Filled", "sell")]
    view = stage.venue.account("main")
    assert (view.cash["USD"], view.unsettled["USD"], view.buying_power("USD")) == (D(100), D(100), D(0))
    assert trade("early", "buy") == [("Refused", "early")]
    stage.venue.on_session(SessionClose(ts=70, calendar="XNYS", opens_at=100))
    stage.venue.on_session(SessionOpen(ts=100, calendar="XNYS", closes_at=170))
    stage.now = 100
    assert trade("later", "buy") == [("Filled", "later")]


def test_accounts_do_not_see_each_others_position() -> None:
    account = SimAccount(model=AccountModel.MARGIN, cash={"USD": D(1000)})
    stage = Stage()
    stage.venue = SimVenue(instruments={"COIN": COIN}, accounts={"main": account, "other": account})
    stage.flat(100)
    stage.send("a", "buy", "1")
    stage.send("b", "sell", "1", reduce_only=True, account="other")
    assert words(stage.flat(100)) == [("Filled", "a"), ("Canceled", "b")]
    assert stage.venue.account("other").positions == {}


# --- corporate actions ----------------------------------------------------------------------------


def held(qty: str, settings: FillSettings | None = None) -> Stage:
    stage = Stage(settings=settings)
    stage.flat(120, instrument="STOCK")
    stage.send("buy", "buy" if D(qty) > 0 else "sell", qty.lstrip("-"), instrument="STOCK")
    stage.flat(120, instrument="STOCK")
    return stage


@pytest.mark.parametrize(
    ("qty", "ratio", "after", "lieu"),
    [
        ("10", "4", "40", "0"),
        ("10", "0.125", "1", "240"),
        ("-10", "0.125", "-1", "-240"),
        ("3", "1.5", "4", "40"),
    ],
)
def test_split_changes_the_position_and_pays_fractions_in_cash(
    qty: str, ratio: str, after: str, lieu: str
) -> None:
    stage = held(qty)
    cash = stage.cash
    stage.venue.on_split(Split(ts=stage.now, instrument="STOCK", ratio=D(ratio)))
    assert stage.venue.account("main").positions == {"STOCK": D(after)}
    # In lieu: the fraction at the last price divided by the ratio (1/4 share at 960; 1/2 at 80).
    assert stage.cash - cash == D(lieu)


def test_split_ends_resting_orders_with_a_reason() -> None:
    stage = held("10")
    stage.send("sl", "sell", "10", "stop", stop_price="100", instrument="STOCK")
    stage.venue.on_split(Split(ts=stage.now, instrument="STOCK", ratio=D(4)))
    seen = stage.keep(stage.venue.drain())
    assert words(seen) == [("Canceled", "sl")]
    assert reasons(seen) == "split: STOCK splits 4 for 1"


def test_split_adjusts_resting_orders_where_the_venue_does() -> None:
    stage = held("10", FillSettings(on_split=OnSplit.ADJUST))
    stage.send("sl", "sell", "10", "stop", stop_price="100.01", instrument="STOCK")
    stage.send("tp", "sell", "10", "limit", limit_price="130.01", instrument="STOCK")
    stage.send("trail", "sell", "10", "trailing_stop", trail="8", instrument="STOCK")
    stage.venue.on_split(Split(ts=stage.now, instrument="STOCK", ratio=D(4)))
    assert stage.venue.drain() == []
    found = [(o.client_order_id, o.qty, o.limit_price, o.stop_price) for o in stage.venue.working("STOCK")]
    assert found == [
        ("sl", D(40), None, D("25")),  # 25.0025 down: never earlier than asked
        ("tp", D(40), D("32.51"), None),  # 32.5025 up: never more aggressive
        ("trail", D(40), None, D("28")),
    ]
    assert trades(stage.bar(30, 30, 27, 28, instrument="STOCK")) == [
        ("trail", D(-40), D(28)),
    ]


def test_what_is_left_of_an_order_after_a_split_is_never_more_than_was_left_before() -> None:
    # 5 of 7 traded. At 1 for 2 the order is of 3 and 2.5 of them are done: the last share is one too many.
    stage = Stage(settings=FillSettings(on_split=OnSplit.ADJUST, volume_cap=D("0.1")))
    stage.flat(120, instrument="STOCK")
    stage.send("buy", "buy", "7", instrument="STOCK")
    assert trades(stage.flat(120, instrument="STOCK", volume=50.0)) == [("buy", D(5), D(120))]
    stage.venue.on_split(Split(ts=stage.now, instrument="STOCK", ratio=D("0.5")))
    assert trades(stage.flat(240, instrument="STOCK")) == [("buy", D(1), D(240))]
    assert not stage.venue.working("STOCK")
    assert stage.venue.account("main").positions == {"STOCK": D(3)}


def test_dividend_is_owed_to_holders_at_the_ex_date_and_paid_on_its_day() -> None:
    stage = held("10")
    short = held("-10")
    for s, amount in ((stage, D("2.5")), (short, D("-2.5"))):
        cash = s.cash
        s.venue.on_dividend(Dividend(ts=10, instrument="STOCK", amount=D("0.25"), pays_at=50))
        s.send("flat", "sell" if amount > 0 else "buy", "10", instrument="STOCK")
        s.meet(Bar("STOCK", 20, 1, 120.0, 120.0, 120.0, 120.0, 10.0))
        sold = s.cash
        s.venue.advance(49)
        assert s.cash == sold
        s.venue.advance(50)
        assert s.cash - sold == amount
        assert cash != sold


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"volume_cap": D(10)}, "fill.volume_cap must be a fraction above 0 and at most 1 .*, was 10"),
        ({"penetrate_ticks": 0}, r"penetrate\(n\) needs n >= 1, was 0"),
        ({"auction_cutoff": -1}, "auction_cutoff must not be negative, was -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_the_number(terms: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FillSettings(**terms)

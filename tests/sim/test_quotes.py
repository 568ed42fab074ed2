"""Orders meet quotes: sides, sizes, makers and takers, and what is not modelled."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.sim.stage import Stage, fills, reasons, trades, words
from tradebot.core.messages import SubmitOrder, VenueFilled
from tradebot.core.model import Bar, Liquidity, Quote, Tif
from tradebot.sim.latency import FixedLatency
from tradebot.sim.settings import FillSettings, MarketAt, QuoteFill

D = Decimal


@pytest.fixture
def stage() -> Stage:
    s = Stage()
    s.quote(99, 101)
    return s


def test_market_order_meets_the_next_quote_on_the_side_it_trades_against(stage: Stage) -> None:
    stage.send("buy", "buy", "1")
    stage.send("sell", "sell", "1")
    seen = stage.quote(100, 102)
    assert trades(seen) == [("buy", D(1), D(102)), ("sell", D(-1), D(100))]
    assert {f.liquidity for f in fills(seen)} == {Liquidity.TAKER}


def test_size_limits_a_fill_and_the_rest_waits_for_the_next_quote(stage: Stage) -> None:
    stage.send("a", "buy", "5")
    assert trades(stage.quote(99, 101, ask_qty=3)) == [("a", D(3), D(101))]
    assert trades(stage.quote(99, 102, ask_qty=3)) == [("a", D(2), D(102))]


def test_what_we_took_stays_taken_until_the_price_changes(stage: Stage) -> None:
    stage.send("a", "buy", "10")
    assert trades(stage.quote(99, 101, ask_qty=3)) == [("a", D(3), D(101))]
    assert trades(stage.quote(99, 101, ask_qty=3)) == []
    assert trades(stage.quote(99, 101, ask_qty=4)) == [("a", D(1), D(101))]
    assert trades(stage.quote(99, "101.01", ask_qty=4)) == [("a", D(4), D("101.01"))]


def test_orders_of_one_quote_share_its_size(stage: Stage) -> None:
    stage.send("a", "buy", "2")
    stage.send("b", "buy", "2", "limit", limit_price="101")
    assert trades(stage.quote(99, 101, ask_qty=3)) == [("a", D(2), D(101)), ("b", D(1), D(101))]


def test_resting_limit_makes_at_its_own_price_when_the_other_side_reaches_it(stage: Stage) -> None:
    stage.send("bid", "buy", "1", "limit", limit_price="100")
    stage.send("ask", "sell", "1", "limit", limit_price="100.5")
    assert trades(stage.quote("99.5", "100.4")) == []
    seen = stage.quote("99.5", "99.9")
    assert trades(seen) == [("bid", D(1), D(100))]
    assert fills(seen)[0].liquidity is Liquidity.MAKER
    assert trades(stage.quote("100.5", "101")) == [("ask", D(-1), D("100.5"))]


def test_limit_that_is_marketable_on_arrival_takes_at_the_market(stage: Stage) -> None:
    stage.send("a", "buy", "1", "limit", limit_price="105")
    seen = stage.quote(99, 101)
    assert trades(seen) == [("a", D(1), D(101))]
    assert fills(seen)[0].liquidity is Liquidity.TAKER


def test_through_needs_the_other_side_a_tick_beyond_the_limit() -> None:
    stage = Stage(settings=FillSettings(quote_fill=QuoteFill.THROUGH))
    stage.quote(99, 101)
    stage.send("a", "buy", "1", "limit", limit_price="100")
    assert trades(stage.quote(99, 100)) == []
    assert trades(stage.quote(99, "99.99")) == [("a", D(1), D(100))]


def test_stop_is_elected_by_the_side_it_would_trade_against(stage: Stage) -> None:
    stage.send("sl", "sell", "1", "stop", stop_price="98")
    assert trades(stage.quote("98.01", "98.02")) == []
    assert words(stage.quote("97.50", "99")) == [("Triggered", "sl"), ("Filled", "sl")]
    assert trades(stage.reports) == [("sl", D(-1), D("97.5"))]


def test_stop_limit_rests_after_it_was_elected_beyond_its_limit(stage: Stage) -> None:
    stage.send("a", "buy", "1", "stop_limit", stop_price="103", limit_price="103.5")
    assert words(stage.quote(104, 105)) == [("Triggered", "a")]
    assert trades(stage.quote(103, "103.4")) == [("a", D(1), D("103.5"))]


def test_trailing_stop_follows_the_bid_up(stage: Stage) -> None:
    stage.send("t", "sell", "1", "trailing_stop", trail="2")
    stage.quote(105, 106)
    assert trades(stage.quote("103.01", 106)) == []
    assert trades(stage.quote("102.5", 106)) == [("t", D(-1), D("102.5"))]


def test_immediate_orders_end_with_the_first_quote(stage: Stage) -> None:
    stage.send("ioc", "buy", "5", tif=Tif.IOC)
    stage.send("fok", "sell", "5", tif=Tif.FOK)
    seen = stage.quote(99, 101, bid_qty=3, ask_qty=3)
    assert trades(seen) == [("ioc", D(3), D(101))]
    assert words(seen)[1:] == [("Canceled", "fok"), ("Canceled", "ioc")]
    assert "fok: 5 wanted, 3 available" in reasons(seen)


def test_order_born_of_a_fill_meets_the_same_quote_unless_it_is_a_market_order(stage: Stage) -> None:
    stage.send("entry", "buy", "1")
    seen = []
    quote = Quote("COIN", 2, 99.0, 10.0, 101.0, 10.0)
    for report in stage.venue.on_market(quote):
        seen.append(report)
        if isinstance(report, VenueFilled) and report.fill.client_order_id == "entry":
            for order in (
                stage.order("sl", "sell", "1", "stop", stop_price="99.5"),
                stage.order("out", "sell", "1"),
            ):
                stage.venue.send(SubmitOrder(order=order), 2)
    assert trades(seen) == [("entry", D(1), D(101)), ("sl", D(-1), D(99))]
    assert trades(stage.quote(98, 101)) == [("out", D(-1), D(98))]


def test_same_close_trades_at_the_quote_just_seen() -> None:
    stage = Stage(settings=FillSettings(market_at=MarketAt.SAME_CLOSE))
    stage.quote(99, 101)
    assert trades(stage.send("a", "buy", "1")) == [("a", D(1), D(101))]


def test_post_only_that_would_take_is_refused(stage: Stage) -> None:
    assert "would take, the market is at 101.0" in reasons(
        stage.send("a", "buy", "1", "limit", limit_price="101", post_only=True)
    )
    assert words(stage.send("b", "buy", "1", "limit", limit_price="100.99", post_only=True)) == [
        ("Acked", "b")
    ]


def test_order_on_its_way_meets_the_first_quote_after_its_arrival() -> None:
    stage = Stage(latency=FixedLatency(submit=2))
    stage.quote(99, 101)
    stage.send("a", "buy", "1")
    assert trades(stage.quote(99, 102)) == []
    assert trades(stage.quote(99, 103)) == [("a", D(1), D(103))]


def test_bar_over_time_that_quotes_have_shown_fills_nothing(stage: Stage) -> None:
    stage.send("a", "buy", "1", "limit", limit_price="90")
    stage.quote(99, 101)
    assert trades(stage.meet(Bar("COIN", 3, 3, 100.0, 100.0, 80.0, 100.0, 10.0))) == []


def test_crossed_or_impossible_quotes_fill_nothing(stage: Stage) -> None:
    stage.send("a", "buy", "1")
    assert trades(stage.quote(101, 100)) == trades(stage.quote(float("nan"), 100)) == []
    assert trades(stage.quote(99, 100)) == [("a", D(1), D(100))]

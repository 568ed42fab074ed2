"""Arrival, life and end of an order: refusals, time in force, auctions, replace, latency."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.sim.stage import COIN, STOCK, Stage, fills, reasons, trades, words
from tradebot.core.messages import ReplaceOrder, SessionClose, SessionOpen, VenueReport
from tradebot.core.model import AccountModel, Bar, Quote, Tif
from tradebot.sim.latency import FixedLatency
from tradebot.sim.settings import FillSettings, MarketAt, StopThrough

D = Decimal
HOUR = 100  # the tests' hour: sessions open at 1000, 2000, ... and last 700


@pytest.fixture
def stage() -> Stage:
    s = Stage()
    s.flat(100)
    return s


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"qty": "0"}, "qty must be a positive multiple of the lot 0.001, was 0"),
        ({"qty": "1.0005"}, "qty must be a positive multiple of the lot 0.001, was 1.0005"),
        ({"qty": "0.001"}, "qty must be at least 0.01, was 0.001"),
        ({"kind": "limit"}, "a limit order needs a limit_price"),
        ({"kind": "stop_limit", "stop_price": "9"}, "a stop_limit order needs a limit_price"),
        (
            {"kind": "limit", "limit_price": "9.995"},
            "limit_price must be a positive multiple of the tick 0.01, was 9.995",
        ),
        (
            {"kind": "stop", "stop_price": "9.995"},
            "stop_price must be a positive multiple of the tick 0.01, was 9.995",
        ),
        ({"kind": "trailing_stop"}, "a trailing stop needs a trail above 0, was None"),
        ({"kind": "trailing_stop", "trail": "1", "trail_is_fraction": True}, "must be below 1, was 1"),
        ({"qty": "0.05"}, "notional must be at least 10 USD, was 5"),
        (
            {"kind": "limit", "limit_price": "90", "qty": "0.1"},
            "notional must be at least 10 USD, was 9",
        ),
        ({"instrument": "NOPE"}, "unknown instrument 'NOPE'"),
        ({"account": "NOPE"}, "unknown account 'NOPE'"),
        ({"expires_at": 1}, "expires_at must lie ahead: was 1, now is 1"),
        ({"tif": Tif.IOC, "kind": "stop", "stop_price": "9"}, "tif ioc is for market and limit orders"),
        ({"tif": Tif.AT_OPEN}, "tif at_open needs an auction, the calendar 24/7 has none that is known"),
        ({"post_only": True}, "post_only is for resting limit orders (tif day or gtc)"),
        (
            {"kind": "limit", "limit_price": "100", "post_only": True},
            "post_only: limit 100 would take, the market is at 100.0",
        ),
    ],
)
def test_order_a_venue_would_not_take_is_refused_with_the_numbers(terms: dict[str, Any], reason: str) -> None:
    stage = Stage(instruments=(replace(COIN, min_qty=D("0.01"), min_notional=D(10)),))
    stage.flat(100)
    seen = stage.send("a", "buy", terms.pop("qty", "1"), terms.pop("kind", "market"), **terms)
    assert words(seen) == [("Refused", "a")]
    assert reason in reasons(seen)
    assert stage.venue.has_work("COIN") is False


def test_client_order_id_is_taken_once_for_ever(stage: Stage) -> None:
    stage.send("a", "buy", "1")
    assert "client_order_id must be unique, 'a' was used before" in reasons(stage.send("a", "buy", "1"))
    assert trades(stage.flat(100)) == [("a", D(1), D(100))]
    assert words(stage.send("a", "buy", "1")) == [("Refused", "a")]


def test_client_order_id_is_free_again_where_the_venue_says_so() -> None:
    stage = Stage(settings=FillSettings(ids_for_ever=False))
    stage.flat(100)
    stage.send("a", "buy", "1")
    assert words(stage.send("a", "buy", "1")) == [("Refused", "a")]
    stage.flat(100)
    assert words(stage.send("a", "buy", "1")) == [("Acked", "a")]


def test_stop_already_through_is_refused_where_the_venue_says_so() -> None:
    stage = Stage(settings=FillSettings(stop_through=StopThrough.REJECT))
    stage.flat(100)
    assert reasons(stage.send("a", "sell", "1", "stop", stop_price="101")) == (
        "stop 101 is already through, the market is at 100.0"
    )
    assert words(stage.send("b", "sell", "1", "stop", stop_price="99")) == [("Acked", "b")]


def test_short_sale_of_an_unshortable_instrument_is_refused_on_arrival_and_at_the_fill() -> None:
    stage = Stage(instruments=(replace(COIN, shortable=False),))
    stage.flat(100)
    assert "COIN cannot be shorted: sells 1, holds or is buying 0" in reasons(stage.send("a", "sell", "1"))
    stage.send("buy", "buy", "1", "limit", limit_price="90")
    assert words(stage.send("b", "sell", "1")) == [("Acked", "b")]
    seen = stage.flat(100)
    assert words(seen) == [("Refused", "b")]
    assert "COIN cannot be shorted: sells 1, holds 0" in reasons(seen)


# --- time in force ------------------------------------------------------------------------------


def test_ioc_takes_what_the_open_gives_and_ends() -> None:
    stage = Stage(settings=FillSettings(volume_cap=D("0.1")))
    stage.flat(100)
    stage.send("a", "buy", "10", tif=Tif.IOC)
    stage.send("b", "buy", "1", "limit", limit_price="99", tif=Tif.IOC)
    seen = stage.bar(100, 100, 90, 100, volume=40)
    assert trades(seen) == [("a", D(4), D(100))]
    assert words(seen)[1:] == [("Canceled", "a"), ("Canceled", "b")]


def test_fok_takes_all_or_nothing() -> None:
    stage = Stage(settings=FillSettings(volume_cap=D("0.1")))
    stage.flat(100)
    stage.send("a", "buy", "5", tif=Tif.FOK)
    stage.send("b", "buy", "4", tif=Tif.FOK)
    seen = stage.bar(100, 100, 100, 100, volume=40)
    assert trades(seen) == [("b", D(4), D(100))]
    assert "fok: 5 wanted, 4 available" in reasons(seen)


def test_order_ends_at_its_own_time_and_says_when(stage: Stage) -> None:
    stage.send("a", "buy", "1", "limit", limit_price="90", expires_at=3)
    stage.flat(100)
    seen = stage.flat(100)
    assert [(type(r).__name__, r.ts) for r in seen] == [("VenueExpired", 3)]
    assert trades(stage.flat(80)) == []


def test_limit_whose_time_ends_inside_a_bar_trades_at_its_open_only() -> None:
    for opens, filled in ((97.0, [("a", D(1), D(97))]), (99.0, [])):
        stage = Stage()
        stage.flat(100)
        stage.send("a", "buy", "1", "limit", limit_price="98", expires_at=150)
        stage.now = 101
        assert trades(stage.meet(Bar("COIN", 201, 100, opens, 99.0, 96.0, 98.0, 10.0))) == filled
        assert stage.venue.working("COIN") == ()


# --- sessions and auctions ------------------------------------------------------------------------


def opens(stage: Stage, at: int) -> list[VenueReport]:
    stage.now = at
    stage.venue.on_session(SessionOpen(ts=at, calendar="XNYS", closes_at=at + 7 * HOUR))
    return stage.keep(stage.venue.drain())


def closes(stage: Stage, at: int) -> list[VenueReport]:
    stage.now = at
    stage.venue.on_session(SessionClose(ts=at, calendar="XNYS", opens_at=at + 3 * HOUR))
    return stage.keep(stage.venue.drain())


def hour(stage: Stage, ts: int, o: float, c: float) -> list[VenueReport]:
    return stage.meet(Bar("STOCK", ts, HOUR, o, max(o, c), min(o, c), c, 1000.0))


def stock(stage: Stage, name: str, tif: Tif, kind: str = "market", **terms: Any) -> list[VenueReport]:
    return stage.send(name, "buy", "1", kind, instrument="STOCK", tif=tif, **terms)


@pytest.fixture
def market() -> Stage:
    """A stock market whose first session (1000 to 1700) has just closed at 50."""
    s = Stage(settings=FillSettings(auction_cutoff=10))
    opens(s, 1000)
    hour(s, 1700, 50, 50)
    closes(s, 1700)
    return s


def test_day_order_sent_before_the_close_ends_with_it_and_one_sent_at_it_does_not(market: Stage) -> None:
    opens(market, 2000)
    hour(market, 2100, 50, 50)
    stock(market, "today", Tif.DAY, "limit", limit_price="40")
    hour(market, 2700, 50, 50)
    stock(market, "next", Tif.DAY, "limit", limit_price="40")
    stock(market, "gtc", Tif.GTC, "limit", limit_price="41")
    assert words(closes(market, 2700)) == [("Expired", "today")]
    opens(market, 3000)
    assert trades(hour(market, 3100, 40, 45)) == [("next", D(1), D(40)), ("gtc", D(1), D(40))]


def test_market_order_sent_while_closed_waits_for_the_open(market: Stage) -> None:
    stock(market, "a", Tif.DAY)
    opens(market, 2000)
    assert trades(hour(market, 2100, 52, 53)) == [("a", D(1), D(52))]


def test_daily_bar_shorter_than_its_nominal_day_still_fills_what_was_sent_before_it_opened() -> None:
    stage = Stage(latency=FixedLatency(submit=5))
    opens(stage, 1000)
    stage.meet(Bar("STOCK", 1700, 1000, 50.0, 50.0, 50.0, 50.0, 10.0))
    closes(stage, 1700)
    stock(stage, "a", Tif.GTC)
    opens(stage, 2000)
    # A half day: the bar ends early, so its nominal start lies before the order became effective.
    assert trades(stage.meet(Bar("STOCK", 2300, 1000, 51.0, 51.0, 51.0, 51.0, 10.0))) == [("a", D(1), D(51))]


def test_immediate_order_while_closed_is_refused(market: Stage) -> None:
    assert reasons(stock(market, "a", Tif.IOC)) == "tif ioc needs an open session, XNYS is closed"


def test_opening_auction_takes_part_in_the_first_price_of_the_next_session_only(market: Stage) -> None:
    stock(market, "market", Tif.AT_OPEN)
    stock(market, "near", Tif.AT_OPEN, "limit", limit_price="53")
    stock(market, "far", Tif.AT_OPEN, "limit", limit_price="51")
    opens(market, 2000)
    seen = hour(market, 2100, 52, 40)
    assert trades(seen) == [("market", D(1), D(52)), ("near", D(1), D(52))]
    assert words(seen)[-1] == ("Expired", "far")
    stock(market, "tomorrow", Tif.AT_OPEN)
    assert trades(hour(market, 2200, 40, 40)) == []
    closes(market, 2700)
    opens(market, 3000)
    assert trades(hour(market, 3100, 41, 41)) == [("tomorrow", D(1), D(41))]


def test_auction_order_after_the_cut_off_is_refused_with_both_times(market: Stage) -> None:
    market.now = 1995
    assert reasons(stock(market, "a", Tif.AT_OPEN)) == (
        "tif at_open: the auction's cut-off 1990 has passed, now is 1995"
    )
    opens(market, 2000)
    market.now = 2695
    assert "cut-off 2690 has passed, now is 2695" in reasons(stock(market, "b", Tif.AT_CLOSE))


def test_closing_auction_fills_at_the_sessions_last_close(market: Stage) -> None:
    opens(market, 2000)
    stock(market, "market", Tif.AT_CLOSE)
    stock(market, "far", Tif.AT_CLOSE, "limit", limit_price="40")
    assert trades(hour(market, 2100, 50, 39)) == []
    assert trades(hour(market, 2700, 44, 45)) == [("market", D(1), D(45))]
    assert words(closes(market, 2700)) == [("Expired", "far")]


@pytest.mark.parametrize("kind", ["market", "limit"])
def test_order_that_arrives_inside_the_last_bar_meets_its_closing_auction(kind: str) -> None:
    stage = Stage(latency=FixedLatency(submit=5))
    opens(stage, 2000)
    stock(stage, "a", Tif.AT_CLOSE, kind, **({"limit_price": "46"} if kind == "limit" else {}))
    day = stage.meet(Bar("STOCK", 2700, 700, 44.0, 44.0, 44.0, 44.0, 10.0))
    assert trades(day) == [("a", D(1), D(44))]
    assert closes(stage, 2700) == []


def test_opening_order_of_a_session_without_any_bar_ends_with_it(market: Stage) -> None:
    stock(market, "a", Tif.AT_OPEN)
    opens(market, 2000)
    assert words(closes(market, 2700)) == [("Expired", "a")]


# --- extended hours -------------------------------------------------------------------------------


def test_bars_outside_the_session_meet_no_order(market: Stage) -> None:
    opens(market, 2000)
    stock(market, "entry", Tif.GTC)
    hour(market, 2100, 50, 50)
    market.send("exit", "sell", "1", "stop", instrument="STOCK", stop_price="45", tif=Tif.GTC)
    hour(market, 2700, 50, 50)
    closes(market, 2700)
    assert hour(market, 2800, 44, 44) == []  # after hours
    assert hour(market, 2950, 44, 44) == []  # before the market opens
    opens(market, 3000)
    assert hour(market, 3000, 44, 44) == []  # the last bar before it opens ends as it opens
    assert trades(hour(market, 3100, 47, 46)) == []
    assert trades(hour(market, 3200, 43, 46)) == [("exit", D(-1), D(43))]


def test_a_bar_that_reaches_over_the_close_still_meets_orders(market: Stage) -> None:
    opens(market, 2000)
    stock(market, "a", Tif.GTC, "limit", limit_price="45")
    hour(market, 2650, 50, 50)
    closes(market, 2700)
    assert trades(hour(market, 2750, 46, 44)) == [("a", D(1), D(45))]


def test_trailing_stop_does_not_follow_prices_outside_the_session(market: Stage) -> None:
    opens(market, 2000)
    stock(market, "entry", Tif.GTC)
    hour(market, 2100, 50, 50)
    market.send("exit", "sell", "1", "trailing_stop", instrument="STOCK", trail="5", tif=Tif.GTC)
    hour(market, 2700, 50, 50)
    closes(market, 2700)
    hour(market, 2800, 60, 60)
    opens(market, 3000)
    assert trades(hour(market, 3100, 50, 46)) == []


def test_quotes_outside_the_session_meet_no_order(market: Stage) -> None:
    market.send("a", "buy", "1", "limit", instrument="STOCK", limit_price="45", tif=Tif.GTC)
    assert market.meet(Quote("STOCK", 1800, 43.0, 10.0, 44.0, 10.0)) == []
    opens(market, 2000)
    assert trades(market.meet(Quote("STOCK", 2001, 43.0, 10.0, 44.0, 10.0))) == [("a", D(1), D(45))]


def test_sessions_without_a_pause_between_them_leave_no_bar_out(market: Stage) -> None:
    opens(market, 2000)
    closes(market, 2700)
    opens(market, 2700)
    stock(market, "a", Tif.GTC)
    assert trades(hour(market, 2800, 51, 51)) == [("a", D(1), D(51))]


# --- cancel and replace ---------------------------------------------------------------------------


def test_cancel_of_a_finished_or_unknown_order_is_refused(stage: Stage) -> None:
    stage.send("a", "buy", "1")
    stage.flat(100)
    assert reasons(stage.cancel("a")) == "the order is finished"
    assert reasons(stage.cancel("z")) == "the order is not known here"


def test_replace_takes_over_under_the_new_id_and_loses_its_place_in_the_queue(stage: Stage) -> None:
    stage.send("a", "buy", "1", "limit", limit_price="98")
    stage.send("b", "buy", "1", "limit", limit_price="99")
    assert words(stage.replace("a", "c", "buy", "2", limit_price="99")) == [("Replaced", "a"), ("Acked", "c")]
    assert trades(stage.bar(100, 100, 97, 98)) == [("b", D(1), D(99)), ("c", D(2), D(99))]


@pytest.mark.parametrize(("known", "left"), [(None, "4"), ("3", "4"), ("1", "2")])
def test_what_filled_since_a_replace_was_decided_comes_off_it(
    stage: Stage, known: str | None, left: str
) -> None:
    """3 of 10 have filled when a replace for 4 arrives, whose sender knew of all, or of 1."""
    stage.send("old", "buy", "10", "limit", limit_price="90")
    stage.quote(89, 90, ask_qty=3)
    order = stage.order("new", "buy", "4", "limit", limit_price="91", replaces="old")
    stage.command(
        ReplaceOrder(client_order_id="old", order=order, filled=None if known is None else D(known))
    )
    assert trades(stage.quote(89, 90, ask_qty=50)) == [("new", D(left), D(90))]


def test_replace_of_a_finished_order_is_refused_and_so_is_its_successor(stage: Stage) -> None:
    stage.send("a", "buy", "1")
    stage.flat(100)
    seen = stage.replace("a", "b", "buy", "1", limit_price="99")
    assert words(seen) == [("CancelRefused", "a"), ("Refused", "b")]
    assert stage.venue.working("COIN") == ()


def test_replace_by_an_order_the_venue_would_not_take_leaves_the_old_one_working(stage: Stage) -> None:
    stage.send("a", "buy", "1", "limit", limit_price="98")
    assert words(stage.replace("a", "b", "buy", "1", limit_price="9.999")) == [
        ("CancelRefused", "a"),
        ("Refused", "b"),
    ]
    assert trades(stage.bar(100, 100, 98, 98)) == [("a", D(1), D(98))]


def test_replaced_entry_keeps_its_legs_and_a_replaced_leg_its_parent(stage: Stage) -> None:
    stage.send("entry", "buy", "1", "limit", limit_price="90")
    stage.send("sl", "sell", "1", "stop", stop_price="80", activated_by="entry", group_id="g")
    stage.send("tp", "sell", "1", "limit", limit_price="120", activated_by="entry", group_id="g")
    stage.replace("entry", "entry2", "buy", "1", limit_price="99")
    stage.replace("sl", "sl2", "sell", "1", "stop", stop_price="97", group_id="g")
    assert trades(stage.bar(100, 100, 96, 98)) == [("entry2", D(1), D(99)), ("sl2", D(-1), D(97))]
    assert stage.venue.working("COIN") == ()


def test_fills_between_deciding_and_replacing_come_off_the_new_order() -> None:
    stage = Stage(settings=FillSettings(volume_cap=D("0.1")), latency=FixedLatency(replace=1))
    stage.flat(100)
    stage.send("a", "buy", "10", "limit", limit_price="99")
    stage.replace("a", "b", "buy", "10", limit_price="98")  # decided while nothing had filled
    assert trades(stage.bar(100, 100, 98.5, 100, volume=40)) == [("a", D(4), D(99))]
    seen = stage.bar(100, 100, 97, 98, volume=1000)
    assert trades(seen) == [("b", D(6), D(98))]
    assert "the replaced order took the rest" in reasons(seen)
    assert stage.position == 10


# --- latency --------------------------------------------------------------------------------------


def test_order_on_its_way_meets_the_first_bar_that_begins_after_it_arrived() -> None:
    stage = Stage(latency=FixedLatency(submit=5))
    stage.now = 100
    assert stage.send("a", "buy", "1") == []
    assert stage.venue.has_work("COIN") is True
    assert trades(stage.meet(Bar("COIN", 110, 10, 50.0, 50.0, 50.0, 50.0, 1.0))) == []
    seen = stage.meet(Bar("COIN", 120, 10, 51.0, 51.0, 51.0, 51.0, 1.0))
    assert trades(seen) == [("a", D(1), D(51))]
    assert next((type(r).__name__, r.ts) for r in stage.reports) == ("VenueAcked", 105)


def test_late_cancel_loses_the_race_against_a_fill_and_wins_against_a_later_bar() -> None:
    for low, end in ((97.0, [("Filled", "a"), ("CancelRefused", "a")]), (98.5, [("Canceled", "a")])):
        stage = Stage(latency=FixedLatency(cancel=5))
        stage.now = 100
        stage.send("a", "buy", "1", "limit", limit_price="98")
        stage.cancel("a")
        assert words(stage.meet(Bar("COIN", 110, 10, 100.0, 100.0, low, 99.0, 1.0))) == end
        assert trades(stage.meet(Bar("COIN", 120, 10, 90.0, 90.0, 90.0, 90.0, 1.0))) == []


def test_late_command_becomes_effective_without_market_data_when_time_advances() -> None:
    stage = Stage(latency=FixedLatency(submit=5, cancel=7))
    stage.now = 100
    stage.send("a", "buy", "1")
    stage.cancel("a")
    stage.venue.advance(106)
    assert words(stage.venue.drain()) == [("Acked", "a")]
    stage.venue.advance(107)
    assert words(stage.venue.drain()) == [("Canceled", "a")]
    assert stage.venue.has_work("COIN") is False


# --- same close, force close ------------------------------------------------------------------------


def test_same_close_needs_the_bar_of_this_very_moment() -> None:
    stage = Stage(settings=FillSettings(market_at=MarketAt.SAME_CLOSE))
    stage.flat(100)
    assert words(stage.send("now", "buy", "1")) == [("Acked", "now"), ("Filled", "now")]
    stage.now += 5
    assert words(stage.send("late", "buy", "1")) == [("Acked", "late")]
    stage.now += 5
    assert trades(stage.bar(103, 104, 102, 104)) == [("late", D(1), D(103))]


def test_force_close_fills_only_what_gets_flat(stage: Stage) -> None:
    stage.send("long", "buy", "2")
    stage.flat(101)
    stage.send("entry", "buy", "5")
    stage.send("flat", "sell", "2", reduce_only=True)
    stage.venue.force_close("COIN")
    assert trades(stage.venue.drain()) == [("flat", D(-2), D(101))]
    assert stage.position == 0
    assert [o.client_order_id for o in stage.venue.working("COIN")] == ["entry"]


def test_force_close_takes_the_last_price_also_when_an_order_rested_and_the_market_was_closed(
    market: Stage,
) -> None:
    opens(market, 2000)
    stock(market, "long", Tif.GTC)
    hour(market, 2100, 50, 50)
    market.send("stop", "sell", "1", "stop", instrument="STOCK", stop_price="40", tif=Tif.GTC)
    closes(market, 2700)
    hour(market, 2800, 44, 45)
    market.send("flat", "sell", "1", instrument="STOCK", reduce_only=True)
    market.venue.force_close("STOCK")
    assert trades(market.venue.drain()) == [("flat", D(-1), D(45))]


def test_unaffordable_order_of_a_cash_account_is_refused_whole_with_both_numbers() -> None:
    stage = Stage(model=AccountModel.CASH, cash={"USD": D(1000)})
    stage.flat(100)
    stage.send("a", "buy", "10")
    seen = stage.flat(101)
    assert words(seen) == [("Refused", "a")]
    assert reasons(seen) == "insufficient cash: needs 1010 USD, has 1000"
    assert fills(stage.reports) == []


def test_sessions_of_one_calendar_leave_other_instruments_alone(market: Stage) -> None:
    market.send("coin", "buy", "1", "limit", limit_price="40", tif=Tif.DAY)
    opens(market, 2000)
    closes(market, 2700)
    assert [o.client_order_id for o in market.venue.working("COIN")] == ["coin"]
    assert STOCK.calendar == "XNYS"

"""What happens inside one bar: order of events, worst case, groups, legs, trailing stops, volume."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.sim.stage import Stage, fills, reasons, trades, words
from tradebot.core.messages import CancelOrder, SubmitOrder, VenueFilled, VenueReport
from tradebot.core.model import Bar, Liquidity, Tif
from tradebot.sim.gaps import FilledBar, GapPolicy, apply_gap_policy
from tradebot.sim.settings import (
    FillSettings,
    IntrabarPath,
    LimitRule,
    MarketAt,
    SameBar,
    StopGap,
    TrailLift,
)
from tradebot.sim.slippage import BpsSlippage

D = Decimal


@pytest.fixture
def stage() -> Stage:
    s = Stage()
    s.flat(100)
    return s


def test_at_the_open_market_orders_come_first_then_stops_then_limits(stage: Stage) -> None:
    stage.send("limit", "buy", "1", "limit", limit_price="101")
    stage.send("stop", "buy", "1", "stop", stop_price="99")
    stage.send("market", "sell", "1")
    assert [name for name, _, _ in trades(stage.flat(100))] == ["market", "stop", "limit"]


def test_a_market_order_never_fills_on_the_bar_it_was_decided_on(stage: Stage) -> None:
    assert trades(stage.send("a", "buy", "1")) == []
    assert trades(stage.bar(101, 102, 100, 101)) == [("a", D(1), D(101))]


@pytest.mark.parametrize(
    ("bar", "price"),
    [
        ((100.004, 100.004, 99.5, 100.0), "100.00"),
        ((100.006, 100.006, 99.5, 100.0), "100.00"),  # the nearest is a price above the high
        ((100.004, 101.0, 100.004, 100.5), "100.01"),  # the nearest is a price below the low
        ((100.006, 101.0, 99.5, 100.5), "100.01"),
        ((100.006, 100.007, 100.004, 100.005), "100.01"),  # no tick lies inside: the nearest
    ],
)
def test_a_price_off_the_grid_goes_to_the_nearest_tick_inside_the_bar(
    stage: Stage, bar: tuple[float, float, float, float], price: str
) -> None:
    stage.send("a", "buy", "1")
    assert trades(stage.bar(*bar)) == [("a", D(1), D(price))]


def test_a_slipped_price_kept_inside_the_bar_is_a_tick_inside_it() -> None:
    stage = Stage(settings=FillSettings(clip_slippage=True), slippage=BpsSlippage(bps=50.0))
    stage.flat(100)
    stage.send("a", "buy", "1")
    assert trades(stage.bar(100, 100.006, 99.5, 100)) == [("a", D(1), D("100.00"))]


def test_a_bar_that_had_begun_when_the_order_came_does_not_fill_it(stage: Stage) -> None:
    stage.now = 150
    stage.send("a", "buy", "1", "limit", limit_price="99")
    bar = Bar("COIN", 200, 100, 98.0, 99.0, 97.0, 98.0, 10.0)
    assert trades(stage.meet(bar)) == []
    assert trades(stage.meet(bar._replace(ts=300))) == [("a", D(1), D(98))]


def test_stop_sent_after_the_entry_filled_at_the_open_acts_in_the_same_bar(stage: Stage) -> None:
    stage.send("entry", "buy", "1")
    seen = play(stage, Bar("COIN", 2, 1, 100.0, 101.0, 94.0, 99.0, 10.0), "entry", "stop", stop_price="95")
    assert trades(seen) == [("entry", D(1), D(100)), ("exit", D(-1), D(95))]
    assert [f.assumed for f in fills(seen)] == [False, False]


def test_market_order_sent_while_a_bar_is_matched_waits_for_the_next_price(stage: Stage) -> None:
    stage.send("entry", "buy", "1")
    assert trades(play(stage, Bar("COIN", 2, 1, 100.0, 101.0, 94.0, 99.0, 10.0), "entry", "market")) == [
        ("entry", D(1), D(100))
    ]
    assert trades(stage.flat(98)) == [("exit", D(-1), D(98))]


def test_target_sent_after_an_entry_inside_the_bar_fills_only_where_the_bar_must_still_go(
    stage: Stage,
) -> None:
    # Entry at 98 on the way down from 101: afterwards the bar certainly visits 97 and its close 100.
    bar = Bar("COIN", 2, 1, 101.0, 105.0, 97.0, 100.0, 10.0)
    for target, filled in (("99.5", True), ("100", True), ("100.01", False), ("104", False)):
        s = Stage()
        s.flat(101)
        s.send("entry", "buy", "1", "limit", limit_price="98")
        seen = play(s, bar._replace(ts=2), "entry", "limit", limit_price=target)
        assert (("exit", D(-1), D(target)) in trades(seen)) is filled, target


def test_target_of_a_stop_entry_that_only_the_bars_high_lies_beyond_is_certain(stage: Stage) -> None:
    stage.send("entry", "buy", "1", "stop", stop_price="102")
    seen = play(
        stage, Bar("COIN", 2, 1, 100.0, 104.0, 99.5, 101.0, 10.0), "entry", "limit", limit_price="103"
    )
    assert trades(seen) == [("entry", D(1), D(102)), ("exit", D(-1), D(103))]


def test_limit_on_the_way_to_a_stop_is_met_before_it(stage: Stage) -> None:
    stage.send("long", "buy", "1")
    stage.flat(100)
    stage.send("stop", "sell", "2", "stop", stop_price="95")
    stage.send("more", "buy", "1", "limit", limit_price="98")
    stage.send("target", "sell", "1", "limit", limit_price="104")
    seen = stage.bar(100, 105, 94, 100)
    assert [name for name, _, _ in trades(seen)] == ["more", "stop", "target"]
    assert [f.assumed for f in fills(seen)] == [False, True, False]


def test_stop_is_certain_when_no_rival_limit_could_have_come_first(stage: Stage) -> None:
    stage.send("long", "buy", "1")
    stage.flat(100)
    stage.send("stop", "sell", "1", "stop", stop_price="95", group_id="g")
    stage.send("target", "sell", "1", "limit", limit_price="106", group_id="g")
    (fill,) = fills(stage.bar(100, 105, 94, 100))
    assert (fill.client_order_id, fill.assumed) == ("stop", False)


def test_entry_whose_oco_sibling_on_the_other_side_could_have_come_first_is_assumed(stage: Stage) -> None:
    stage.send("up", "buy", "1", "stop", stop_price="103", group_id="g")
    stage.send("down", "sell", "1", "stop", stop_price="98", group_id="g")
    seen = stage.bar(100, 104, 97, 100)
    assert [(f.client_order_id, f.assumed) for f in fills(seen)] == [("down", True)]  # nearer to the open


def test_oco_siblings_shrink_together_and_end_when_one_is_filled() -> None:
    stage = Stage(settings=FillSettings(volume_cap=D("0.1")))
    stage.flat(100)
    stage.send("long", "buy", "10")
    stage.flat(100)
    stage.send("tp", "sell", "10", "limit", limit_price="105", group_id="g")
    stage.send("sl", "sell", "10", "stop", stop_price="95", group_id="g")
    assert trades(stage.bar(100, 106, 100, 104, volume=40)) == [("tp", D(-4), D(105))]
    seen = stage.bar(104, 104, 94, 96)
    assert trades(seen) == [("sl", D(-6), D(95))]
    assert stage.position == 0
    assert words(seen) == [("Triggered", "sl"), ("Filled", "sl"), ("Canceled", "sl"), ("Canceled", "tp")]


def test_oco_members_of_different_size_end_with_the_first_that_is_filled(stage: Stage) -> None:
    stage.send("big", "sell", "10", "limit", limit_price="105", group_id="g")
    stage.send("small", "sell", "3", "limit", limit_price="103", group_id="g")
    seen = stage.bar(100, 106, 100, 105)
    assert trades(seen) == [("small", D(-3), D(103))]
    assert ("Canceled", "big") in words(seen)


def test_bracket_legs_sleep_until_the_entry_fills_and_follow_its_filled_quantity() -> None:
    stage = Stage(settings=FillSettings(volume_cap=D("0.1")))
    stage.flat(100)
    stage.send("entry", "buy", "10", "limit", limit_price="99")
    stage.send("sl", "sell", "10", "stop", stop_price="95", activated_by="entry", group_id="g")
    stage.send("tp", "sell", "10", "limit", limit_price="105", activated_by="entry", group_id="g")
    assert trades(stage.bar(106, 107, 106, 106)) == []
    assert trades(stage.bar(100, 100, 98, 100, volume=40)) == [("entry", D(4), D(99))]
    assert trades(stage.bar(104, 106, 104, 104)) == [("tp", D(-4), D(105))]
    assert trades(stage.bar(100, 100, 98, 100)) == [("entry", D(6), D(99))]
    assert trades(stage.bar(100, 100, 94, 94)) == [("sl", D(-6), D(95))]
    assert stage.position == 0
    assert stage.venue.working("COIN") == ()


def test_legs_end_with_an_entry_that_ends_unfilled_and_keep_what_it_filled() -> None:
    stage = Stage(settings=FillSettings(volume_cap=D("0.1")))
    stage.flat(100)
    for name in ("a", "b"):
        stage.send(name, "buy", "10", "limit", limit_price="99" if name == "a" else "90")
        stage.send(f"{name}.sl", "sell", "10", "stop", stop_price="85", activated_by=name)
    stage.bar(100, 100, 98, 100, volume=40)
    assert words(stage.cancel("b")) == [("Canceled", "b"), ("Canceled", "b.sl")]
    assert words(stage.cancel("a")) == [("Canceled", "a")]
    assert trades(stage.bar(86, 86, 84, 84)) == [("a.sl", D(-4), D(85))]
    assert stage.venue.working("COIN") == ()


def test_leg_sent_after_its_entry_filled_is_alive_at_once() -> None:
    stage = Stage(settings=FillSettings(market_at=MarketAt.SAME_CLOSE))
    stage.flat(100)
    assert trades(stage.send("entry", "buy", "2")) == [("entry", D(2), D(100))]
    stage.send("sl", "sell", "5", "stop", stop_price="95", activated_by="entry")
    assert trades(stage.bar(96, 96, 94, 94)) == [("sl", D(-2), D(95))]


def test_leg_without_a_known_parent_is_refused(stage: Stage) -> None:
    assert "'nobody' is not known here" in reasons(
        stage.send("sl", "sell", "1", "stop", stop_price="95", activated_by="nobody")
    )


def test_reduce_only_is_clipped_to_the_position_and_ends_without_one(stage: Stage) -> None:
    stage.send("long", "buy", "2")
    stage.flat(100)
    stage.send("out", "sell", "5", reduce_only=True)
    stage.send("again", "sell", "5", reduce_only=True)
    seen = stage.flat(101)
    assert trades(seen) == [("out", D(-2), D(101))]
    assert words(seen)[-1] == ("Canceled", "again")
    assert "reduce_only: the position to reduce is 0" in reasons(seen)
    stage.bar(101, 101, 101, 101)
    assert stage.venue.working("COIN") == ()


def test_trailing_stop_by_amount_follows_a_short_down(stage: Stage) -> None:
    stage.send("short", "sell", "1")
    stage.flat(100)
    stage.send("trail", "buy", "1", "trailing_stop", trail="3")
    assert trades(stage.bar(99, 99, 90, 92)) == []  # tested against 103, then lifted to 93
    assert trades(stage.bar(92, 93.5, 91, 93)) == [("trail", D(1), D(93))]


def test_trailing_stop_keeps_a_given_first_level_until_the_market_lifts_it(stage: Stage) -> None:
    stage.send("trail", "sell", "1", "trailing_stop", trail="0.1", trail_is_fraction=True, stop_price="95")
    assert trades(stage.bar(100, 100, 95.5, 100)) == []
    assert trades(stage.bar(100, 100, 94, 100)) == [("trail", D(-1), D(95))]


def test_trailing_stop_of_an_entry_inside_the_bar_is_not_lifted_by_an_earlier_high(stage: Stage) -> None:
    stage.send("entry", "buy", "1", "limit", limit_price="98")
    stage.send("trail", "sell", "1", "trailing_stop", trail="5", activated_by="entry")
    stage.bar(101, 110, 97, 99)  # from 98 on only 97 and 99 are certain: lifted to 94, not 105
    assert trades(stage.bar(99, 99, 95, 99)) == []
    assert trades(stage.bar(99, 99, 93, 94)) == [("trail", D(-1), D(94))]


@pytest.mark.parametrize("path", [IntrabarPath.OHLC, IntrabarPath.ADAPTIVE, IntrabarPath.COLOUR])
def test_before_test_follows_a_known_path_from_point_to_point(path: IntrabarPath) -> None:
    stage = Stage(settings=FillSettings(intrabar_path=path, trail_lift=TrailLift.BEFORE_TEST))
    stage.flat(100)
    stage.send("long", "buy", "1")
    stage.send("trail", "sell", "1", "trailing_stop", trail="5", activated_by="long")
    stage.flat(100)
    # Up first under all three: nearer high, red bar.
    assert trades(stage.bar(100, 108, 90, 95)) == [("trail", D(-1), D(103))]


def test_volume_cap_is_shared_by_all_orders_of_a_bar_and_carries_over() -> None:
    stage = Stage(settings=FillSettings(volume_cap=D("0.1")))
    stage.flat(100)
    stage.send("a", "buy", "6")
    stage.send("b", "buy", "6")
    stage.send("c", "buy", "6", "limit", limit_price="99")
    assert trades(stage.bar(100, 100, 98, 100, volume=100)) == [("a", D(6), D(100)), ("b", D(4), D(100))]
    assert trades(stage.bar(100, 100, 98, 100, volume=100)) == [("b", D(2), D(100)), ("c", D(6), D(99))]


def test_elected_stop_without_volume_is_a_market_order_at_the_next_open() -> None:
    stage = Stage(settings=FillSettings(volume_cap=D("0.1")))
    stage.flat(100)
    stage.send("sl", "sell", "1", "stop", stop_price="95")
    assert words(stage.bar(100, 100, 94, 99, volume=0)) == [("Triggered", "sl")]
    assert trades(stage.bar(98, 99, 97, 98)) == [("sl", D(-1), D(98))]


def test_deferred_exits_wait_for_the_next_bar() -> None:
    stage = Stage(settings=FillSettings(same_bar_entry_exit=SameBar.DEFER))
    stage.flat(100)
    stage.send("entry", "buy", "1")
    stage.send("sl", "sell", "1", "stop", stop_price="95", activated_by="entry")
    assert trades(stage.bar(100, 100, 90, 99)) == [("entry", D(1), D(100))]
    assert trades(stage.bar(99, 99, 94, 96)) == [("sl", D(-1), D(95))]


def test_stops_by_the_close_are_elected_and_filled_there() -> None:
    stage = Stage(settings=FillSettings(stop_gap=StopGap.CLOSE))
    stage.flat(100)
    stage.send("sl", "sell", "1", "stop", stop_price="95")
    stage.send("sl2", "sell", "1", "stop_limit", stop_price="95", limit_price="94.5")
    assert trades(stage.bar(100, 100, 90, 96)) == []
    assert trades(stage.bar(96, 97, 90, 94)) == [("sl", D(-1), D(94))]
    assert trades(stage.bar(94, 94.6, 94, 94)) == [("sl2", D(-1), D("94.5"))]


def test_limits_by_the_close_fill_at_it() -> None:
    stage = Stage(settings=FillSettings(limit_rule=LimitRule.CLOSE_ONLY))
    stage.flat(100)
    stage.send("a", "buy", "1", "limit", limit_price="98")
    assert trades(stage.bar(97, 99, 96, 99)) == []
    assert trades(stage.bar(99, 99, 96, 97)) == [("a", D(1), D(97))]


def test_same_close_shares_the_volume_cap_of_its_bar() -> None:
    stage = Stage(settings=FillSettings(market_at=MarketAt.SAME_CLOSE, volume_cap=D("0.1")))
    stage.bar(100, 100, 100, 100, volume=40)
    assert trades(stage.send("a", "buy", "3")) == [("a", D(3), D(100))]
    assert trades(stage.send("b", "buy", "3")) == [("b", D(1), D(100))]
    assert trades(stage.bar(101, 101, 101, 101, volume=40)) == [("b", D(2), D(101))]


def test_next_close_lets_an_immediate_order_reach_its_close() -> None:
    stage = Stage(settings=FillSettings(market_at=MarketAt.NEXT_CLOSE, volume_cap=D("0.1")))
    stage.flat(100)
    stage.send("a", "buy", "9", tif=Tif.IOC)
    seen = stage.bar(100, 103, 100, 102, volume=40)
    assert words(seen) == [("Filled", "a"), ("Canceled", "a")]
    assert trades(seen) == [("a", D(4), D(102))]


def test_same_close_fills_a_reaction_to_a_fill_at_the_close_of_its_bar() -> None:
    stage = Stage(settings=FillSettings(market_at=MarketAt.SAME_CLOSE))
    stage.flat(100)
    stage.send("entry", "buy", "1", "limit", limit_price="99")
    seen = play(stage, Bar("COIN", 2, 1, 100.0, 101.0, 98.0, 100.5, 10.0), "entry", "market")
    assert trades(seen) == [("entry", D(1), D(99)), ("exit", D(-1), D("100.5"))]


def test_cancel_sent_between_two_reports_stops_the_rest_of_the_bar(stage: Stage) -> None:
    stage.send("first", "buy", "1", "limit", limit_price="99")
    stage.send("second", "buy", "1", "limit", limit_price="97")
    seen: list[VenueReport] = []
    for report in stage.venue.on_market(Bar("COIN", 2, 1, 100.0, 100.0, 90.0, 95.0, 10.0)):
        seen.append(report)
        if isinstance(report, VenueFilled):
            stage.venue.send(CancelOrder(client_order_id="second"), 2)
    assert words(seen) == [("Filled", "first"), ("Canceled", "second")]


def test_limit_rests_as_maker_and_takes_when_it_was_marketable_on_arrival(stage: Stage) -> None:
    stage.send("rests", "buy", "1", "limit", limit_price="99")
    stage.send("takes", "buy", "1", "limit", limit_price="101")
    found = {f.client_order_id: f.liquidity for f in fills(stage.bar(100, 100, 98, 100))}
    assert found == {"rests": Liquidity.MAKER, "takes": Liquidity.TAKER}


def test_post_only_keeps_its_own_price_when_the_market_gaps_through_it(stage: Stage) -> None:
    stage.send("a", "buy", "1", "limit", limit_price="99", post_only=True)
    assert trades(stage.bar(95, 96, 94, 95)) == [("a", D(1), D(99))]


def test_made_up_bars_fill_nothing(stage: Stage) -> None:
    bars = [Bar("COIN", ts, 1, 100.0, 100.0, 100.0, 100.0, 5.0) for ts in (2, 5)]
    filled = list(apply_gap_policy(bars, GapPolicy.FILL_FORWARD))
    assert [(type(b), b.ts, b.volume) for b in filled[1:3]] == [(FilledBar, 3, 0.0), (FilledBar, 4, 0.0)]
    stage.meet(filled[0])
    stage.send("a", "buy", "1")
    assert trades(stage.meet(filled[1])) == trades(stage.meet(filled[2])) == []
    assert trades(stage.meet(filled[3])) == [("a", D(1), D(100))]


def test_bridged_bars_open_at_the_close_before() -> None:
    bars = [Bar("COIN", 1, 1, 10.0, 11.0, 9.0, 10.0, 5.0), Bar("COIN", 2, 1, 13.0, 14.0, 12.0, 13.0, 5.0)]
    bridged = list(apply_gap_policy(bars, GapPolicy.JESSE_BRIDGE))
    assert bridged == [bars[0], Bar("COIN", 2, 1, 10.0, 14.0, 10.0, 13.0, 5.0)]
    assert list(apply_gap_policy(bars, GapPolicy.KEEP)) == bars


def test_coarser_bar_does_not_meet_orders_that_its_finer_bars_have_met(stage: Stage) -> None:
    stage.send("a", "buy", "1", "limit", limit_price="90")
    for ts in (110, 120):
        stage.meet(Bar("COIN", ts, 10, 100.0, 101.0, 99.0, 100.0, 5.0))
    assert trades(stage.meet(Bar("COIN", 120, 20, 100.0, 101.0, 80.0, 100.0, 10.0))) == []
    assert trades(stage.meet(Bar("COIN", 130, 10, 100.0, 101.0, 89.0, 100.0, 5.0))) == [("a", D(1), D(90))]


@pytest.mark.parametrize(
    "bar",
    [
        Bar("COIN", 2, 1, float("nan"), 101.0, 99.0, 100.0, 5.0),
        Bar("COIN", 2, 1, 100.0, 99.0, 101.0, 100.0, 5.0),
        Bar("COIN", 2, 1, 100.0, 101.0, 0.0, 100.0, 5.0),
        Bar("COIN", 0, 1, 100.0, 101.0, 99.0, 100.0, 5.0),
    ],
)
def test_data_that_cannot_be_true_fill_nothing(stage: Stage, bar: Bar) -> None:
    stage.send("a", "buy", "1")
    assert list(stage.venue.on_market(bar)) == []
    assert trades(stage.flat(100)) == [("a", D(1), D(100))]


def test_open_outside_the_range_widens_the_bar(stage: Stage) -> None:
    stage.send("a", "buy", "1", "limit", limit_price="98")
    assert trades(stage.bar(97, 101, 99, 100)) == [("a", D(1), D(97))]


def test_price_a_millionth_of_a_tick_away_counts_as_touched(stage: Stage) -> None:
    stage.send("a", "buy", "1", "limit", limit_price="98")
    assert trades(stage.bar(100, 101, 98 + 1e-9, 100)) == [("a", D(1), D(98))]


def play(stage: Stage, bar: Bar, after: str, kind: str, **terms: str) -> list[VenueReport]:
    """Meet `bar`; sell one unit by order "exit" as soon as `after` fills."""
    seen: list[VenueReport] = []
    for report in stage.venue.on_market(bar):
        seen.append(report)
        stage.now = bar.ts
        if isinstance(report, VenueFilled) and report.fill.client_order_id == after:
            stage.venue.send(SubmitOrder(order=stage.order("exit", "sell", "1", kind, **terms)), bar.ts)
    return stage.keep(seen)

"""The venue behind every face."""

from decimal import Decimal

from tests.emulators.houses import T0, D, bar, make_house, make_order, quote
from tradebot.core.messages import Split, VenueAcked, VenueFilled
from tradebot.core.model import MINUTE, SECOND
from tradebot.core.ports import Standing
from tradebot.emulators.clock import VenueClock
from tradebot.emulators.house import Happened
from tradebot.sim.settings import FillSettings, OnSplit


def test_a_market_order_trades_at_once_against_a_standing_quote() -> None:
    house = make_house()
    house.move(quote(99.0, 100.0))

    house.submit(make_order("a", "buy", "3"))

    state = house.find("a")
    assert state is not None
    assert (state.standing, state.filled_qty, state.notional) == (Standing.FILLED, D(3), D(300))
    assert house.books().positions == {"SPY": D(3)}


def test_what_was_taken_from_a_quote_is_not_there_for_the_next_order() -> None:
    house = make_house()
    house.move(quote(99.0, 100.0, size=5.0))

    house.submit(make_order("a", "buy", "3"))
    house.submit(make_order("b", "buy", "3"))

    second = house.find("b")
    assert second is not None
    assert (second.standing, second.filled_qty) == (Standing.WORKING, D(2))


def test_over_bars_an_order_waits_for_the_next_open() -> None:
    house = make_house()
    house.move(bar(100.0))
    house.submit(make_order("a", "buy", "3"))

    house.move(bar(102.0, ts=T0 + MINUTE, open_=101.0))

    state = house.find("a")
    assert state is not None
    assert state.notional == D(303)


def test_an_event_shows_the_order_as_it_was_when_it_happened() -> None:
    house = make_house()
    heard: list[Happened] = []
    house.listen(heard.append)
    house.move(quote(99.0, 100.0, size=1.0))

    house.submit(make_order("a", "buy", "2"))
    house.move(quote(100.0, 101.0, ts=T0 + SECOND))

    assert [type(h.report) for h in heard] == [VenueAcked, VenueFilled, VenueFilled]
    assert [h.state.filled_qty for h in heard] == [Decimal(0), D(1), D(2)]
    assert [h.state.standing for h in heard] == [Standing.WORKING, Standing.WORKING, Standing.FILLED]
    assert [h.position for h in heard] == [Decimal(0), D(1), D(2)]


def test_an_id_used_again_refuses_the_new_order_and_leaves_the_old_one_alone() -> None:
    house = make_house()
    house.move(quote(99.0, 100.0))
    house.submit(make_order("a", "buy", "1", "limit", limit_price="90"))

    house.submit(make_order("a", "buy", "1", "limit", limit_price="90"))

    assert [state.standing for state in house.orders] == [Standing.WORKING, Standing.REJECTED]
    house.move(quote(89.0, 90.0, ts=T0 + SECOND))
    assert [state.standing for state in house.orders] == [Standing.FILLED, Standing.REJECTED]


def test_an_adjusted_order_is_shown_in_the_units_after_the_split() -> None:
    house = make_house(settings=FillSettings(on_split=OnSplit.ADJUST))
    house.move(quote(99.0, 100.0))
    house.submit(make_order("a", "buy", "10"))
    house.submit(make_order("s", "sell", "10", "stop", stop_price="80"))

    house.happen(Split(ts=T0 + SECOND, instrument="SPY", ratio=D(4)))

    state = house.find("s")
    assert state is not None
    assert (state.order.qty, state.order.stop_price) == (D(40), D(20))
    assert house.books().positions == {"SPY": D(40)}


def test_a_clock_runs_at_its_speed_and_never_back() -> None:
    real = [0]
    clock = VenueClock(T0, 60.0, real=lambda: real[0])

    real[0] = SECOND
    assert clock.now() == T0 + MINUTE
    assert clock.seconds_until(T0 + 3 * MINUTE) == 2.0
    clock.move(T0)
    assert clock.now() == T0 + MINUTE
    clock.skew = -5 * SECOND
    assert clock.shown() == T0 + MINUTE - 5 * SECOND


def test_a_standing_quote_is_still_taken_from_after_the_bar_of_its_minute() -> None:
    house = make_house()
    house.move(quote(99.0, 100.0, ts=T0 + SECOND))
    house.move(bar(99.5, ts=T0 + MINUTE))

    house.submit(make_order("a", "buy", "1"))

    assert [state.standing for state in house.orders] == [Standing.FILLED]
    assert house.orders[0].fills[0].price == D(100)

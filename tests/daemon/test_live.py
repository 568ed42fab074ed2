"""An account on live data: each bar once, gaps as past, nothing new while something is amiss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.daemon.live import BEGIN, COIN, World
from tradebot.core import facts as f
from tradebot.core.model import MINUTE, SECOND
from tradebot.core.ports import Series, SymbolStatus, Trading
from tradebot.daemon.process import Daemon
from tradebot.errors import ClockSkew

D = Decimal
Make = Callable[..., World]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make worlds, and end what lives in them."""
    made: list[World] = []

    def one(**terms: str) -> World:
        made.append(World(tmp_path / str(len(made)), **terms))
        return made[-1]

    yield one
    for world in made:
        world.kill()


@pytest.fixture(params=["sim", "house"])
def world(make: Make, request: pytest.FixtureRequest) -> World:
    """Simulated fills on live prices, and a venue over a wire."""
    made = make(venue=request.param)
    made.start()
    made.run(0.2)
    return made


def test_it_is_ready_at_once_and_trades_what_comes(world: World) -> None:
    assert world.is_ready
    assert world.rules() == set()
    world.house.at(2, 101.0)
    world.run(4)
    assert world.held() == D(10)
    (filled,) = world.of(f.OrderFilled)
    assert isinstance(filled, f.OrderFilled)
    assert filled.fill.price == D(101)
    (order,) = [x for x in world.of(f.OrderIntended) if isinstance(x, f.OrderIntended)]
    assert order.order.ts == BEGIN + 2 * MINUTE + SECOND // 2


def test_what_stands_at_the_start_comes_from_history(make: Make) -> None:
    world = make()
    world.house.at(-5, 101.0)
    world.start()
    world.run(3)
    assert world.held() == D(10)


def test_a_bar_that_comes_twice_is_decided_on_once(world: World) -> None:
    world.run(3)
    assert world.house.feed is not None
    for minute in (2, 3, 1):
        world.house.feed.say(world.house.bar(minute))
    world.run(0.2)
    assert world.of(f.BadDataSeen) == []


def test_a_lost_connection_opens_nothing_and_what_was_missed_is_past(world: World) -> None:
    world.run(2)
    world.house.lose("reset by peer")
    world.run(0.1)
    assert world.rules() == {"disconnected"}
    world.house.at(4, 101.0)
    world.house.at(6, 99.0)
    world.run(6)
    assert world.held() == 0
    world.house.back()
    world.run(2)
    assert world.rules() == set()
    assert world.of(f.OrderIntended) == []  # the signal of the gap is over

    world.house.at(12, 101.0)
    world.run(5)
    assert world.held() == D(10)


def test_a_signal_that_still_stands_after_a_gap_is_acted_on_with_the_next_bar(make: Make) -> None:
    world = make(more="late_entry: {max_bars: 10}")
    world.start()
    world.run(2)
    world.house.lose()
    world.house.at(4, 101.0)
    world.run(6)
    world.house.back()
    world.run(3)
    assert world.held() == D(10)


def test_a_late_signal_of_a_gap_is_left_out(world: World) -> None:
    world.run(2)
    world.house.lose()
    world.house.at(4, 101.0)
    world.run(8)
    world.house.back()
    world.run(3)
    assert world.held() == 0
    assert [x.because for x in world.of(f.TargetSuspended) if isinstance(x, f.TargetSuspended)] == ["late"]


def test_a_connection_lost_for_seconds_misses_no_bar(world: World) -> None:
    world.run(1.7)
    world.house.lose()
    world.house.at(2, 101.0)
    world.run(0.5)
    world.house.back()
    world.run(4)
    assert world.held() == D(10)


def test_silence_keeps_entries_back_and_lets_exits_out(world: World) -> None:
    world.house.at(2, 101.0)
    world.run(4)
    world.house.is_mute = True
    world.run(4)
    assert world.rules() == {"stale_feed"}
    world.house.is_mute = False
    world.house.at(9, 99.0)
    world.run(4)
    assert world.rules() == set()
    assert world.held() == 0


def test_a_symbol_that_the_venue_halts_opens_nothing_until_it_trades_again(world: World) -> None:
    feed = world.house.feed
    assert feed is not None
    feed.say(SymbolStatus(ts=BEGIN, instrument=COIN.id, trading=Trading.HALTED, reason="news"))
    world.house.at(2, 101.0)
    world.run(3)
    assert (world.held(), world.rules()) == (0, {"not_trading"})
    feed.say(SymbolStatus(ts=BEGIN, instrument=COIN.id, trading=Trading.OPEN))
    world.run(4)
    assert (world.held(), world.rules()) == (D(10), set())


def test_keys_that_are_refused_stop_new_risk_until_the_owner_resumes(world: World) -> None:
    world.run(1)
    world.house.lose()
    world.house.refuses_keys = "401"
    world.house.back()
    world.run(3)
    assert "keys" in world.rules()
    asked = len(world.house.asked)
    world.run(60)
    assert len(world.house.asked) == asked  # nobody dials again


def test_a_clock_that_is_off_refuses_to_start(make: Make) -> None:
    world = make()
    world.house.ahead = 2 * SECOND
    world.start()
    with pytest.raises(ClockSkew, match=r"must agree within 1 s, they differ by 2.0 s"):
        world.run(1)


def test_a_clock_that_goes_wrong_later_opens_nothing(make: Make) -> None:
    world = make()
    world.start()
    world.run(1)
    world.house.ahead = -2 * SECOND
    world.run(61)
    assert world.rules() == {"clock_off"}
    world.house.ahead = 0
    world.run(61)
    assert world.rules() == set()


def test_a_venue_out_of_reach_at_the_start_is_waited_for(make: Make) -> None:
    world = make(venue="house")
    world.house.is_reachable = False
    world.start()
    world.run(5)
    assert not world.is_ready
    assert world.account.is_waiting
    world.house.is_reachable = True
    world.run(2)
    assert world.is_ready


def test_after_a_kill_it_goes_on_where_it_was(world: World) -> None:
    world.house.at(2, 101.0)
    world.run(4)
    assert world.held() == D(10)
    world.kill()
    world.house.at(6, 99.0)
    world.pass_time(5)
    world.start()
    world.run(4)
    assert world.held() == 0
    assert len(world.of(f.OrderFilled)) == 2


def test_bars_that_are_not_streamed_are_asked_for_when_they_are_complete(make: Make) -> None:
    world = make(interval="5m")
    world.house.polled = (5 * MINUTE,)
    world.house.is_mute = True  # its minutes are not asked for
    world.start()
    world.house.at(5, 101.0)
    world.run(12)
    asked = [end - BEGIN for series, _, end in world.house.asked if series == Series(COIN.id, 5 * MINUTE)]
    assert [x // MINUTE for x in asked][-2:] == [5, 10]
    assert [x.weight for x in world.of(f.TargetSet) if isinstance(x, f.TargetSet)][-1] == 1.0


def test_what_the_owner_holds_when_the_account_is_opened_is_his(make: Make) -> None:
    world = make(venue="house")
    world.house.exchange.sim.blotter.accounts["main"].positions[COIN.id] = D(3)
    world.start()
    world.house.at(2, 101.0)
    world.run(4)
    book = world.account.parts.runner.engine.ledger.accounts["main"]
    assert (world.held(), book.qty(COIN.id), world.rules()) == (D(10), D(13), set())


def test_the_outage_of_one_account_leaves_the_others_trading(make: Make) -> None:
    one = make()
    other = make(venue="house", name="side", agenda=one.agenda)
    other.house.is_reachable = False
    one.start()
    other.start(one.loop)
    daemon = Daemon([one.account, other.account], mode="paper", started=1, config_digest="")
    one.house.at(2, 101.0)
    one.run(4)
    assert one.held() == D(10)
    assert (daemon.is_ready, daemon.trades) == (True, False)  # one trades, one waits

    other.house.is_reachable = True
    one.run(2)
    assert daemon.trades
    other.house.lose()
    one.house.at(7, 99.0)
    one.run(3)
    assert (one.held(), one.rules(), other.rules()) == (D(0), set(), {"disconnected", "stale_feed"})

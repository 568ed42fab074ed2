"""What a whole account of the daemon does alike at every venue over a wire: the same stories, each venue in turn."""

from decimal import Decimal
from pathlib import Path

import pytest

from tests.contract.alpacas import alpaca_desk
from tests.contract.binances import binance_desk
from tests.emulators.houses import make_order
from tradebot.core.ports import Standing
from tradebot.emulators.faults import Fault, FaultKind
from tradebot.emulators.wire import SocketFault

D = Decimal
DESKS = {"alpaca": alpaca_desk, "binance": binance_desk}
PRICES = [99.0, 101.0, 102.5, 99.5, 98.0, 103.0, 104.0, 100.5, 97.0, 96.0, 101.5, 101.0]


@pytest.fixture(params=sorted(DESKS))
def venue(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_the_same_prices_end_in_equal_books_simulated_or_traded_at_any_venue(tmp_path: Path) -> None:
    books = {}
    for name, open_desk in DESKS.items():
        for is_sim in (True, False):
            async with open_desk(tmp_path / f"{name}-{is_sim}", is_sim=is_sim) as here:
                await here.start()
                for price in PRICES:
                    await here.minute(price)
                books[name, is_sim] = here.books()

    first = books["alpaca", True]
    assert len(first[0]) >= 5
    assert books == dict.fromkeys(books, first)


async def test_killed_with_an_order_under_way_it_goes_on_with_what_the_venue_knows(
    venue: str, tmp_path: Path
) -> None:
    async with DESKS[venue](tmp_path) as here:
        await here.start()
        await here.minute(101.0)
        assert here.posts() == 1
        await here.kill()
        await here.minute(102.0)  # it trades while nobody looks

        await here.start()
        await here.settled()
        await here.minute(103.0)

        assert here.posts() == 1
        assert here.qty() == 10 == here.house.books().positions[here.instrument.id]
        assert here.cash() == here.house.books().cash["USD"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.HTML])
async def test_an_order_nobody_answered_is_sent_once_and_the_position_is_right(
    venue: str, tmp_path: Path, after: bool, kind: FaultKind
) -> None:
    async with DESKS[venue](tmp_path) as here:
        await here.start()
        here.wire.faults.add(Fault(route=f"POST {here.orders}", kind=kind, after=after))
        await here.minute(101.0)
        for price in (101.5, 102.0):
            await here.minute(price)
        await here.look()

        held = here.house.books().positions.get(here.instrument.id, D(0))
        assert here.posts() == 1
        assert held == (10 if after else 0)
        assert here.qty() == held


@pytest.mark.parametrize("is_refused", [False, True])
async def test_what_happened_while_the_stream_was_cut_is_booked_once(
    venue: str, tmp_path: Path, is_refused: bool
) -> None:
    async with DESKS[venue](tmp_path) as here:
        await here.start()
        await here.minute(101.0)
        if is_refused:
            here.wire.faults.add(
                Fault(route=f"GET {here.dial}", kind=FaultKind.STATUS, status=503, times=here.refusals)
            )
        for socket in here.wire.on(here.stream):
            await socket.suffer(SocketFault.DROP)
        await here.minute(102.0)
        await here.until(lambda: len(here.fills()) == 1 and not here.rules())

        assert here.qty() == 10
        assert here.posts() == 1


async def test_a_sale_by_the_owners_hand_is_not_bought_back(venue: str, tmp_path: Path) -> None:
    async with DESKS[venue](tmp_path) as here:
        await here.hold()

        here.house.submit(make_order("panic", "sell", "10", instrument=here.instrument.id))
        for price in (102.0, 103.0, 104.0):
            await here.minute(price)
        await here.look()
        await here.minute(105.0)

        assert here.house.books().positions == {}
        assert here.posts() == 1


async def test_money_the_owner_takes_out_trips_nothing_and_money_that_vanishes_halts_with_both_numbers(
    venue: str, tmp_path: Path
) -> None:
    async with DESKS[venue](tmp_path) as here:
        await here.hold()

        here.house.transfer("USD", D(-5000), "withdrawal")
        await here.look()
        assert here.rules() == set()
        assert here.cash() == here.house.books().cash["USD"]

        here.house.exchange.lose_cash("USD", D(7))
        await here.look()
        (halt,) = here.account.parts.halts.all
        assert halt.rule == "mismatch"
        assert f"{here.cash().normalize():f}" in halt.reason
        assert f"{here.house.books().cash['USD'].normalize():f}" in halt.reason


async def test_an_owners_order_stays_through_our_trading_and_a_look(venue: str, tmp_path: Path) -> None:
    async with DESKS[venue](tmp_path) as here:
        await here.start()
        by_hand = make_order("web_1", "buy", "1", "limit", instrument=here.instrument.id, limit_price="50")
        here.house.submit(by_hand)
        await here.minute(101.0)
        await here.look()
        await here.minute(99.0)

        assert "web_1" in [s.order.client_order_id for s in here.house.working()]
        assert here.rules() == set()


async def test_a_stop_rests_at_the_venue_and_what_it_sells_is_not_bought_back(
    venue: str, tmp_path: Path
) -> None:
    async with DESKS[venue](tmp_path, has_stop=True) as here:
        await here.hold_with_stop()
        await here.kill()
        await here.minute(91.0)  # it falls through the stop while nobody looks

        await here.start()
        for price in (90.0, 89.0, 95.0):
            await here.minute(price)

        assert here.house.books().positions == {}
        assert here.qty() == 0
        assert [state.standing for state in here.house.orders] == [Standing.FILLED, Standing.FILLED]

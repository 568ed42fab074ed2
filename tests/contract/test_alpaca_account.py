"""A whole account of the daemon on the emulated Alpaca, through the real library."""

from decimal import Decimal
from pathlib import Path

import pytest

from tests.contract.accounts import CASH, MORNING, PAIR, SHARE, Desk, ShareDesk, desk, share_desk
from tests.emulators.houses import make_order
from tradebot.core.messages import Dividend, Split
from tradebot.core.model import DAY, HOUR, OrderKind
from tradebot.core.ports import Standing
from tradebot.emulators.alpaca.streams import TRADES
from tradebot.emulators.faults import Fault, FaultKind
from tradebot.emulators.wire import SocketFault

D = Decimal
PRICES = [99.0, 101.0, 102.5, 99.5, 98.0, 103.0, 104.0, 100.5, 97.0, 96.0, 101.5, 101.0]


async def test_the_same_prices_end_in_equal_books_simulated_here_and_traded_there(tmp_path: Path) -> None:
    books = []
    for name in ("sim", "alpaca"):
        async with desk(tmp_path / name, is_sim=name == "sim") as here:
            await here.start()
            for price in PRICES:
                await here.minute(price)
            account = here.ledger.accounts["main"]
            books.append((here.fills(), dict(account.cash), account.qty(PAIR.id)))

    assert len(books[0][0]) >= 5
    assert books[0] == books[1]


async def test_killed_with_an_order_under_way_it_goes_on_with_what_the_venue_knows(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        await here.start()
        await here.minute(101.0)
        assert here.posts() == 1
        await here.kill()
        await here.minute(102.0)  # it trades while nobody looks

        await here.start()
        await here.settled()
        await here.minute(103.0)

        assert here.posts() == 1
        assert here.ledger.accounts["main"].qty(PAIR.id) == 10 == here.house.books().positions[PAIR.id]
        assert here.ledger.accounts["main"].cash["USD"] == here.house.books().cash["USD"]


@pytest.mark.parametrize("after", [False, True])
async def test_an_order_nobody_answered_is_sent_once_and_the_position_is_right(
    tmp_path: Path, after: bool
) -> None:
    async with desk(tmp_path) as here:
        await here.start()
        here.alpaca.face.wire.faults.add(Fault(route="POST *", kind=FaultKind.DROP, after=after))
        await here.minute(101.0)
        for price in (101.5, 102.0):
            await here.minute(price)
        await here.account.parts.reconciler.look()
        await here.settled()

        held = here.house.books().positions.get(PAIR.id, D(0))
        assert here.posts() == 1
        assert held == (10 if after else 0)
        assert here.ledger.accounts["main"].qty(PAIR.id) == held


async def test_what_happened_while_the_stream_was_cut_is_booked_once(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        await here.start()
        await here.minute(101.0)
        here.alpaca.face.wire.faults.add(
            Fault(route="GET /stream", kind=FaultKind.STATUS, status=503, times=4)
        )
        for socket in here.alpaca.face.wire.on(TRADES):
            await socket.suffer(SocketFault.DROP)
        await here.minute(102.0)
        await here.until(lambda: len(here.fills()) == 1 and not here.rules())

        assert here.ledger.accounts["main"].qty(PAIR.id) == 10
        assert here.posts() == 1


async def test_a_sale_by_the_owners_hand_is_not_bought_back(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        await _holding(here)

        here.house.submit(make_order("panic", "sell", "10", instrument=PAIR.id))
        for price in (102.0, 103.0, 104.0):
            await here.minute(price)
        await here.account.parts.reconciler.look()
        await here.settled()
        await here.minute(105.0)

        assert here.house.books().positions == {}
        assert here.posts() == 1


async def test_money_the_owner_takes_out_trips_nothing_and_money_that_vanishes_halts_with_both_numbers(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as here:
        await _holding(here)

        here.house.transfer("USD", D(-5000), "withdrawal")
        await here.account.parts.reconciler.look()
        await here.settled()
        assert here.rules() == set()
        assert here.ledger.accounts["main"].cash["USD"] == here.house.books().cash["USD"]

        here.house.exchange.lose_cash("USD", D(7))
        await here.account.parts.reconciler.look()
        (halt,) = here.account.parts.halts.all
        ours, theirs = here.ledger.accounts["main"].cash["USD"], here.house.books().cash["USD"]
        assert halt.rule == "mismatch"
        assert f"{ours.normalize():f}" in halt.reason
        assert f"{theirs.normalize():f}" in halt.reason


async def test_a_stop_rests_at_the_venue_and_what_it_sells_is_not_bought_back(tmp_path: Path) -> None:
    async with share_desk(tmp_path) as here:
        await _with_stop(here)
        await here.kill()
        await here.minute(91.0)  # it falls through the stop while nobody looks

        await here.start()
        for price in (90.0, 89.0, 95.0):
            await here.minute(price)

        assert here.house.books().positions == {}
        assert here.ledger.accounts["main"].qty(SHARE.id) == 0
        assert [state.standing for state in here.house.orders] == [Standing.FILLED, Standing.FILLED]


@pytest.mark.parametrize("is_up", [True, False])
async def test_an_overnight_split_gives_no_signal_and_the_stop_stands_at_a_quarter(
    tmp_path: Path, is_up: bool
) -> None:
    midnight = MORNING + 14 * HOUR  # of New York
    split = Split(ts=midnight, instrument=SHARE.id, ratio=D(4))
    async with share_desk(tmp_path) as here:
        here.alpaca.face.market.actions.append(split)
        await _with_stop(here)
        basis = sum(lot.basis for lot in here.ledger.accounts["main"].lots[SHARE.id])
        if not is_up:
            await here.kill()
        here.house.happen(split)
        here.now = MORNING + DAY
        await here.minute(25.25)
        if not is_up:
            await here.start()
        for price in (25.0, 24.5):
            await here.minute(price)

        account = here.ledger.accounts["main"]
        (stop,) = here.house.working()
        assert here.house.books().positions == {SHARE.id: D(40)}
        assert account.qty(SHARE.id) == 40
        assert sum(lot.basis for lot in account.lots[SHARE.id]) == basis
        assert (stop.order.qty, stop.order.stop_price) == (D(40), D("23.23"))
        # The stop may be the old one, or have been cancelled and sent anew; nothing else was sent.
        assert {state.order.kind for state in here.house.orders[1:]} == {OrderKind.STOP}
        assert here.rules() == set()


async def test_a_dividend_is_owed_at_the_ex_date_and_booked_once_when_the_venue_pays(tmp_path: Path) -> None:
    midnight = MORNING + 14 * HOUR
    dividend = Dividend(ts=midnight, instrument=SHARE.id, amount=D("1.5"), pays_at=MORNING + DAY + HOUR)
    async with share_desk(tmp_path) as here:
        here.alpaca.face.market.actions.append(dividend)
        await _with_stop(here)
        here.house.happen(dividend)
        here.now = MORNING + DAY
        await here.minute(101.0)
        owed = len(here.ledger.accrued)
        here.now = MORNING + DAY + 2 * HOUR
        await here.minute(101.0)
        await here.account.parts.reconciler.look()
        await here.settled()
        await here.account.parts.reconciler.look()

        account = here.ledger.accounts["main"]
        assert owed == 1
        assert account.cash["USD"] == here.house.books().cash["USD"] == CASH - 10 * 101 + 15
        assert not here.ledger.accrued
        assert here.rules() == set()


async def _with_stop(here: ShareDesk) -> None:
    await here.start()
    await here.minute(101.0)
    await here.minute(101.0)
    await here.until(lambda: len(here.house.working()) == 1)
    (stop,) = here.house.working()
    assert (stop.order.qty, stop.order.stop_price) == (D(10), D("92.92"))


async def _holding(here: Desk) -> None:
    await here.start()
    await here.minute(101.0)
    await here.minute(101.0)
    await here.until(lambda: len(here.fills()) == 1)

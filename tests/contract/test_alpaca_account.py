"""A whole account on the emulated Alpaca: what shares alone bring, splits and dividends."""

from decimal import Decimal
from pathlib import Path

import pytest

from tests.contract.accounts import CASH
from tests.contract.alpacas import MORNING, SHARE, alpaca_desk
from tradebot.core.messages import Dividend, Split
from tradebot.core.model import DAY, HOUR, OrderKind

D = Decimal
MIDNIGHT = MORNING + 14 * HOUR  # of New York


@pytest.mark.parametrize("is_up", [True, False])
async def test_an_overnight_split_gives_no_signal_and_the_stop_stands_at_a_quarter(
    tmp_path: Path, is_up: bool
) -> None:
    split = Split(ts=MIDNIGHT, instrument=SHARE.id, ratio=D(4))
    async with alpaca_desk(tmp_path, has_stop=True) as here:
        here.face.market.actions.append(split)
        await here.hold_with_stop()
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

        (stop,) = here.house.working()
        assert here.house.books().positions == {SHARE.id: D(40)}
        assert here.qty() == 40
        assert sum(lot.basis for lot in here.ledger.accounts["main"].lots[SHARE.id]) == basis
        assert (stop.order.qty, stop.order.stop_price) == (D(40), D("23.23"))
        # The stop may be the old one, or have been cancelled and sent anew; nothing else was sent.
        assert {state.order.kind for state in here.house.orders[1:]} == {OrderKind.STOP}
        assert here.rules() == set()


async def test_a_dividend_is_owed_at_the_ex_date_and_booked_once_when_the_venue_pays(tmp_path: Path) -> None:
    dividend = Dividend(ts=MIDNIGHT, instrument=SHARE.id, amount=D("1.5"), pays_at=MORNING + DAY + HOUR)
    async with alpaca_desk(tmp_path, has_stop=True) as here:
        here.face.market.actions.append(dividend)
        await here.hold_with_stop()
        here.house.happen(dividend)
        here.now = MORNING + DAY
        await here.minute(101.0)
        owed = len(here.ledger.accrued)
        here.now = MORNING + DAY + 2 * HOUR
        await here.minute(101.0)
        await here.look()
        await here.look()

        assert owed == 1
        assert here.cash() == here.house.books().cash["USD"] == CASH - 10 * 101 + 15
        assert not here.ledger.accrued
        assert here.rules() == set()

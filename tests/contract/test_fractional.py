"""Parts of a share at Alpaca: bought, protected by orders for the day, left by a target that the engine keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from tests.contract.accounts import CASH
from tests.contract.alpacas import MORNING, AlpacaDesk, rest_of
from tests.contract.places import SHARE
from tests.emulators.alpacas import KEY, SECRET, alpaca
from tests.emulators.houses import make_house, make_order
from tradebot.adapters.alpaca.feed import AlpacaFeed
from tradebot.adapters.alpaca.orders import inability, kind_inability
from tradebot.core.messages import SessionClose
from tradebot.core.model import HOUR, MINUTE, Bar, OrderKind, Tif
from tradebot.core.ports import Standing
from tradebot.emulators.clock import VenueClock

D = Decimal
PART = replace(SHARE, lot_size=D("0.000001"))
HALF = '''\
"""Holds half a share above 100."""

from tradebot.api import BarStrategy


class Above(BarStrategy):
    def on_bar(self, ctx, bar):
        return ctx.target(qty=0.5 if bar.close > 100 else 0.0)
'''


@asynccontextmanager
async def desk(root: Path) -> AsyncIterator[AlpacaDesk]:
    house = make_house(instruments=(PART,), cash={"USD": CASH})
    house.clock = VenueClock(MORNING, 0.0)
    async with alpaca(house, ghost_s=0.0) as venue:
        house.move(Bar(PART.id, MORNING, MINUTE, 99.0, 99.0, 99.0, 99.0, 1e6))
        exits = "stop_loss: 8%, take_profit: 10%"
        found = AlpacaDesk(root, venue, instrument=PART, strategy=HALF, exits=exits)
        try:
            yield found
        finally:
            await found.kill()


async def test_half_a_share_is_protected_for_the_day_and_again_after_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        await here.start()
        for price in (101.0, 101.5):
            await here.minute(price)
        (stop,) = here.house.working()
        assert (stop.order.kind, stop.order.qty, stop.order.tif) == (OrderKind.STOP, D("0.5"), Tif.DAY)
        (kept,) = here.account.parts.runner.engine.kept_exits().values()
        assert [level.exit for level in kept] == ["take_profit"]

        closes = MORNING + 6 * HOUR
        here.house.happen(SessionClose(ts=closes, calendar="XNYS", opens_at=closes + 17 * HOUR + 30 * MINUTE))
        await here.settled()
        (again,) = here.house.working()
        assert stop.order.client_order_id != again.order.client_order_id
        assert here.house.find(stop.order.client_order_id).standing is Standing.EXPIRED  # type: ignore[union-attr]
        assert again.order.qty == D("0.5")
        assert here.rules() == set()


async def test_half_a_share_is_left_when_its_target_is_reached(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        await here.start()
        for price in (101.0, 101.5, 112.0, 111.5, 111.4):
            await here.minute(price)

        assert here.house.books().positions == {}
        assert here.house.working() == ()
        assert [(side, qty) for side, qty, *_ in here.fills()] == [("buy", D("0.5")), ("sell", D("0.5"))]
        assert here.cash() == here.house.books().cash["USD"]


@pytest.mark.parametrize(("is_fractional", "lot"), [(True, D("0.000001")), (False, D(1))])
async def test_a_share_is_cut_only_where_that_is_said(is_fractional: bool, lot: Decimal) -> None:
    house = make_house(instruments=(PART,))
    async with alpaca(house, ghost_s=0.0) as venue:
        feed = AlpacaFeed(rest_of(venue), key=KEY, secret=SECRET, is_fractional=is_fractional)
        found = await feed.instruments([PART.id])
        await feed.close()

    assert found[PART.id].lot_size == lot


def test_what_parts_of_a_share_cannot_do_is_said_before_it_is_sent() -> None:
    order = make_order("t1", "buy", "0.5", instrument=PART.id)
    assert inability(order, PART) == ""
    assert "for the day only" in inability(replace(order, tif=Tif.AT_OPEN), PART)
    assert inability(replace(order, tif=Tif.AT_OPEN, qty=D(2)), PART) == ""
    assert "trailing_stop" in kind_inability(OrderKind.TRAILING_STOP, PART)

"""`not_mine: halt`: what is not tradebot's in a symbol stops that symbol, by name, at both venues."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from pathlib import Path

import pytest

from tests.contract.accounts import Desk
from tests.contract.alpacas import alpaca_desk
from tests.contract.binances import binance_desk
from tests.emulators.houses import make_order
from tradebot.sim.fees import ThirdAssetFees

D = Decimal
Open = Callable[[Path], AbstractAsyncContextManager[Desk]]
at_both = pytest.mark.parametrize("at", [alpaca_desk, binance_desk], ids=["alpaca", "binance"])


def says(here: Desk, word: str) -> None:
    words = here.words()
    here.words = lambda: words.replace("keys: k", f"keys: k, not_mine: {word}")  # type: ignore[method-assign]


async def look(here: Desk) -> list[str]:
    """Compare, and return the reasons for which a symbol is halted."""
    await here.account.parts.reconciler.look()
    await here.settled()
    return [halt.reason for halt in here.account.parts.halts.all if halt.rule == "not_mine"]


@at_both
@pytest.mark.parametrize("word", ["halt", "ignore"])
async def test_an_order_of_the_owners_own_halts_its_symbol_where_that_is_wanted(
    tmp_path: Path, at: Open, word: str
) -> None:
    async with at(tmp_path) as here:
        says(here, word)
        await here.start()
        assert await look(here) == []

        name = here.instrument.id
        here.house.submit(make_order("mine", "buy", "3", "limit", instrument=name, limit_price="90"))
        found = await look(here)

        if word == "ignore":
            assert found == []
            return
        (reason,) = found
        assert reason == f"{name}: order mine (working: buy 3 {name}) is not tradebot's"
        await here.minute(101.0)
        await here.minute(101.0)
        assert here.posts() == 0
        assert [state.order.client_order_id for state in here.house.working()] == ["mine"]


@at_both
async def test_a_position_that_was_there_before_halts_its_symbol(tmp_path: Path, at: Open) -> None:
    async with at(tmp_path) as here:
        says(here, "halt")
        name = here.instrument.id
        here.house.submit(make_order("mine", "buy", "3", instrument=name))
        await here.minute(99.0)
        here.stays = frozenset(("not_mine",))
        await here.start()

        assert await look(here) == [f"{name}: a position of 3 is not tradebot's"]


@at_both
async def test_the_owners_trade_in_between_halts_and_what_strategies_hold_is_let_go(
    tmp_path: Path, at: Open
) -> None:
    async with at(tmp_path) as here:
        says(here, "halt")
        await here.start()
        name = here.instrument.id
        here.house.submit(make_order("mine", "buy", "3", instrument=name))
        await here.minute(99.0)

        assert await look(here) == [f"{name}: a position of 3 is not tradebot's"]


async def test_what_its_owner_had_of_an_asset_that_a_fee_was_taken_in_halts_nothing(tmp_path: Path) -> None:
    fees = ThirdAssetFees(maker=D(10), taker=D(10), asset="BNB", per_quote=D("0.01"))
    async with binance_desk(tmp_path, fees=fees) as here:
        here.house.exchange.lose_cash("BNB", D(-5))
        await here.hold()
        await look(here)
        cash = here.ledger.accounts["main"].cash
        assert here.rules() == set()
        assert cash["BNB"] == here.house.books().cash["BNB"] == D("4.9899")

        here.house.transfer("BNB", D(2), "deposit")
        await look(here)
        assert here.rules() == set()
        assert cash["BNB"] == here.house.books().cash["BNB"]

        await here.kill()
        await here.start()
        await look(here)
        assert here.rules() == set()
        await here.minute(99.0)
        await here.minute(99.0)
        await here.until(lambda: len(here.fills()) == 2)
        await look(here)
        assert here.rules() == set()

        here.house.exchange.lose_cash("BNB", D(1))
        await look(here)
        (halt,) = here.account.parts.halts.all
        assert halt.reason.startswith("BNB: 6.98 here, 5.98 at the venue")

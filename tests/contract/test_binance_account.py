"""A whole account on the emulated Binance: fees in what is bought, streams it ends, exits it cannot hold."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.contract.binances import binance_desk
from tests.contract.test_account import PRICES
from tradebot.errors import ConfigError
from tradebot.sim.fees import ReceivedAssetFees

D = Decimal


async def test_books_agree_to_the_last_place_when_fees_are_taken_from_what_is_received(
    tmp_path: Path,
) -> None:
    async with binance_desk(tmp_path, fees=ReceivedAssetFees(maker=D(10), taker=D("7.5"))) as here:
        await here.start()
        for price in PRICES[:8]:
            await here.minute(price)
        await here.look()

        books = here.house.books()
        assert len(here.fills()) >= 3
        assert here.cash() == books.cash["USD"]
        assert here.qty() == books.positions.get(here.instrument.id, D(0))
        assert here.rules() == set()


async def test_what_happened_after_the_user_stream_was_ended_is_booked_once(tmp_path: Path) -> None:
    async with binance_desk(tmp_path) as here:
        await here.start()
        await here.minute(101.0)
        here.face.sockets.terminate()
        await here.minute(102.0)
        await here.until(lambda: len(here.fills()) == 1 and not here.rules())

        assert here.qty() == 10
        assert here.posts() == 1


async def test_a_stop_rests_at_the_exchange_over_a_restart_and_covers_what_the_fee_left(
    tmp_path: Path,
) -> None:
    async with binance_desk(tmp_path, fees=ReceivedAssetFees(maker=D(10), taker=D(10))) as here:
        here.exits = "stop_loss: 5%"
        await here.hold()
        await here.settled()

        def resting() -> list[tuple[str, Decimal, Decimal | None]]:
            orders = [state.order for state in here.house.working()]
            return [(o.kind.value, o.qty, o.stop_price) for o in orders]

        assert resting() == [("stop", D("9.99"), D("95.95"))]
        await here.kill()
        await here.start()
        await here.minute(102.0)
        assert resting() == [("stop", D("9.99"), D("95.95"))]

        await here.minute(94.0)
        await here.until(lambda: len(here.fills()) == 2)
        await here.minute(96.0)

        assert here.house.books().positions == {}
        assert here.fills()[1][:3] == ("sell", D("9.99"), D("95.95"))
        assert here.posts() == 2


@pytest.mark.parametrize(
    ("exits", "said"),
    [
        ("trailing: 5%, take_profit: 20%", "cannot both rest there"),
        ("stop_loss: 5%, trailing: 5%", "cannot both rest there"),
    ],
)
async def test_exits_that_cannot_rest_there_are_refused_before_anything_is_bought(
    tmp_path: Path, exits: str, said: str
) -> None:
    async with binance_desk(tmp_path) as here:
        here.exits = exits
        with pytest.raises(ConfigError, match=said):
            await here.start()

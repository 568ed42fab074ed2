"""What protects a position rests at the venue, and stands in the way of nothing: at both venues, over sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from tests.contract.accounts import Desk
from tests.contract.alpacas import alpaca_desk
from tests.contract.binances import binance_desk
from tradebot.core.facts import OrderRejected, PositionAdjusted
from tradebot.core.model import Quote
from tradebot.core.scope import EVERYTHING, HaltLevel
from tradebot.daemon.account import Phase
from tradebot.daemon.halts import Halt
from tradebot.emulators.faults import Fault, FaultKind

D = Decimal

STRATEGY = '''\
"""Holds ten units above 100, twenty between 102 and 105, none below."""

from tradebot.api import BarStrategy


class Above(BarStrategy):
    def on_bar(self, ctx, bar):
        return ctx.target(qty=20.0 if 102 < bar.close < 105 else 10.0 if bar.close > 100 else 0.0)
'''


Opens = Callable[..., AbstractAsyncContextManager[Desk]]
at_both = pytest.mark.parametrize("venue", [alpaca_desk, binance_desk], ids=["alpaca", "binance"])


@asynccontextmanager
async def protected(root: Path, venue: Opens, exits: str) -> AsyncIterator[Desk]:
    """Open a desk at a venue that rests stops, for a strategy with exits."""
    async with venue(root, has_stop=True) as here:
        here.exits = exits
        (root / "strategies" / "above.py").write_text(STRATEGY)
        yield here


def resting(here: Desk) -> list[tuple[str, Decimal]]:
    return [(state.order.kind.value, state.order.qty - state.filled_qty) for state in here.house.working()]


def held(here: Desk) -> Decimal:
    return sum(here.house.books().positions.values(), D(0))


async def minutes(here: Desk, *closes: float) -> None:
    for close in closes:
        await here.minute(close)


def refused(here: Desk) -> list[OrderRejected]:
    return [r.fact for r in here.facts if isinstance(r.fact, OrderRejected)]


@at_both
async def test_a_strategy_leaves_a_position_that_its_stop_holds(tmp_path: Path, venue: Opens) -> None:
    async with protected(tmp_path, venue, "stop_loss: 8%") as here:
        await here.start()
        await minutes(here, 101.0, 101.5)
        assert resting(here) == [("stop", D(10))]

        await minutes(here, 99.0, 98.5)

        assert held(here) == 0
        assert resting(here) == []
        assert refused(here) == []
        assert here.posts() == 3


@at_both
async def test_a_strategy_adds_to_a_position_and_the_stop_covers_it_whole(
    tmp_path: Path, venue: Opens
) -> None:
    async with protected(tmp_path, venue, "stop_loss: 8%") as here:
        await here.start()
        await minutes(here, 101.0, 101.5, 103.0, 103.5, 103.6)

        assert held(here) == 20
        assert resting(here) == [("stop", D(20))]
        assert refused(here) == []


@at_both
async def test_it_leaves_after_a_kill_while_the_stop_makes_way(tmp_path: Path, venue: Opens) -> None:
    async with protected(tmp_path, venue, "stop_loss: 8%") as here:
        await here.start()
        await minutes(here, 101.0, 101.5)
        await minutes(here, 99.0)
        await here.kill()
        await here.start()
        await minutes(here, 98.0, 97.5, 97.4)

        assert held(here) == 0
        assert resting(here) == []
        assert refused(here) == []


@at_both
async def test_an_owners_flatten_closes_what_a_stop_holds(tmp_path: Path, venue: Opens) -> None:
    async with protected(tmp_path, venue, "stop_loss: 8%") as here:
        await here.start()
        await minutes(here, 101.0, 101.5)
        halt = Halt(scope=EVERYTHING, level=HaltLevel.FLATTEN, reason="enough", rule="owner", since=0)
        await here.account.halt(halt)
        await minutes(here, 101.4, 101.3)

        assert held(here) == 0
        assert resting(here) == []


@at_both
async def test_an_orderly_stop_while_the_stop_makes_way_leaves_it_at_the_venue(
    tmp_path: Path, venue: Opens
) -> None:
    async with protected(tmp_path, venue, "stop_loss: 8%") as here:
        await here.start()
        await minutes(here, 101.0, 101.5)
        here.wire.faults.add(Fault(route="DELETE *", kind=FaultKind.DELAY, seconds=0.2))
        left = asyncio.get_running_loop().create_task(here.minute(99.0))
        await here.until(lambda: any(r.method == "DELETE" for r in here.wire.requests))
        here.account.stop("the owner stops it")
        await here.until(lambda: here.account.phase is Phase.STOPPED)
        await left

        assert held(here) == 10
        assert resting(here) == [("stop", D(10))]
        assert here.posts() == 3


async def test_an_orderly_stop_waits_a_moment_for_a_cancel_that_is_only_promised(tmp_path: Path) -> None:
    async with protected(tmp_path, alpaca_desk, "stop_loss: 8%") as here:
        await here.start()
        await minutes(here, 101.0, 101.5)
        here.wire.faults.add(Fault(route="DELETE *", kind=FaultKind.STATUS, status=204))
        looks = here.account.parts.reconciler.looks
        left = asyncio.get_running_loop().create_task(here.minute(99.0))
        await here.until(lambda: any(r.method == "DELETE" for r in here.wire.requests))
        here.account.stop("the owner stops it")
        await here.until(lambda: here.account.parts.reconciler.looks > looks)
        (stop,) = here.house.working()
        here.house.cancel(stop.order.client_order_id)
        await here.until(lambda: here.account.phase is Phase.STOPPED)
        await left

        assert held(here) == 10
        assert resting(here) == [("stop", D(10))]


PAIR = "stop_loss: 8%, take_profit: 10%"


@at_both
async def test_a_target_and_a_stop_rest_together_in_one_request(tmp_path: Path, venue: Opens) -> None:
    async with protected(tmp_path, venue, PAIR) as here:
        await here.start()
        await minutes(here, 101.0, 101.5)
        assert resting(here) == [("limit", D(10)), ("stop", D(10))]
        assert requests(here) == 2
        await here.kill()
        await here.start()
        await minutes(here, 101.6)
        assert resting(here) == [("limit", D(10)), ("stop", D(10))]
        assert requests(here) == 2

        await minutes(here, 112.0, 111.5, 111.4)

        assert held(here) == 0
        assert resting(here) == []
        assert here.ledger.accounts["main"].cash["USD"] == here.house.books().cash["USD"]
        assert here.ledger.open_orders(("above", here.instrument.id)) == []


@at_both
async def test_the_stop_of_a_pair_gets_out_once_while_nobody_looks(tmp_path: Path, venue: Opens) -> None:
    async with protected(tmp_path, venue, PAIR) as here:
        await here.start()
        await minutes(here, 101.0, 101.5)
        await here.kill()
        await minutes(here, 92.0, 91.0)
        await here.start()
        await minutes(here, 91.5, 91.4)

        assert held(here) == 0
        assert resting(here) == []
        assert here.ledger.accounts["main"].cash["USD"] == here.house.books().cash["USD"]
        assert here.rules() == set()
        assert requests(here) == 2


async def test_a_stop_whose_pair_could_not_be_looked_up_is_nobody_elses_trade(tmp_path: Path) -> None:
    # Alpaca's history names the stop by an id of its own: which pair it came with is a question of its own.
    async with protected(tmp_path, alpaca_desk, PAIR) as here:
        await here.start()
        await minutes(here, 101.0, 101.5)
        await here.kill()
        await minutes(here, 92.0, 91.0)
        here.wire.faults.add(Fault(route="GET /v2/orders", kind=FaultKind.DROP, skip=1))
        await here.start()
        await minutes(here, 91.5, 91.4)

        assert here.wire.faults.hit == 1
        assert held(here) == 0
        assert here.rules() == set()
        assert here.ledger.open_orders(("above", here.instrument.id)) == []
        assert here.ledger.subs["above"].qty(here.instrument.id) == 0
        assert here.ledger.accounts["main"].cash["USD"] == here.house.books().cash["USD"]
        assert [r.fact for r in here.facts if isinstance(r.fact, PositionAdjusted)] == []


@at_both
async def test_a_pair_covers_what_was_added(tmp_path: Path, venue: Opens) -> None:
    async with protected(tmp_path, venue, PAIR) as here:
        await here.start()
        await minutes(here, 101.0, 101.5, 103.0, 103.5, 103.6, 103.7)

        assert held(here) == 20
        assert resting(here) == [("limit", D(20)), ("stop", D(20))]
        assert refused(here) == []


@at_both
@pytest.mark.parametrize("after", [False, True])
async def test_a_pair_that_nobody_answered_for_is_sent_once(
    tmp_path: Path, venue: Opens, after: bool
) -> None:
    async with protected(tmp_path, venue, PAIR) as here:
        await here.start()
        await minutes(here, 101.0)
        here.wire.faults.add(Fault(route="POST *", kind=FaultKind.DROP, after=after))
        await minutes(here, 101.5, 101.6)
        await here.account.parts.reconciler.look()
        await here.settled()

        assert requests(here) == 2
        assert resting(here) == ([("limit", D(10)), ("stop", D(10))] if after else [])
        ours = [r.order.kind.value for r in here.ledger.open_orders(("above", here.instrument.id))]
        assert ours == ["limit", "stop"]


@at_both
async def test_what_half_a_target_left_is_got_out_of_by_the_stop_once(tmp_path: Path, venue: Opens) -> None:
    async with protected(tmp_path, venue, PAIR) as here:
        await here.start()
        await minutes(here, 101.0, 101.5)
        here.house.move(Quote(here.instrument.id, here.now + 1, 112.0, 4.0, 112.1, 4.0))
        await here.until(lambda: here.ledger.subs["above"].qty(here.instrument.id) == 6)
        await here.settled()
        assert held(here) == 6
        assert resting(here)[0] == ("limit", D(6))

        await minutes(here, 92.0, 91.0, 90.9, 90.8)

        assert held(here) == 0
        assert resting(here) == []
        assert here.ledger.accounts["main"].cash["USD"] == here.house.books().cash["USD"]
        assert here.ledger.open_orders(("above", here.instrument.id)) == []


@at_both
async def test_a_trailing_stop_rests_and_follows_the_price_there(tmp_path: Path, venue: Opens) -> None:
    async with protected(tmp_path, venue, "trailing: 5%") as here:
        await here.start()
        await minutes(here, 101.0, 101.5)
        assert resting(here) == [("trailing_stop", D(10))]
        await here.kill()
        await minutes(here, 112.0, 106.5)
        assert held(here) == 10

        await minutes(here, 106.0, 105.0)
        await here.start()
        await minutes(here, 105.5)

        assert held(here) == 0
        assert [price for _, _, price, _ in here.fills()][1:] == [D("106.40")]
        assert here.rules() == set()


def requests(here: Desk) -> int:
    paths = ("/v2/orders", "/api/v3/order", "/api/v3/orderList/oco")
    return sum(r.method == "POST" and r.path in paths for r in here.wire.requests)

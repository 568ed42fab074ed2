"""A whole account of the daemon on the emulated Binance, through the real ccxt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.contract.accounts import CASH, CONFIG, Desk
from tests.contract.test_alpaca_account import PRICES
from tests.emulators.binance.exchanges import KEY, SECRET, T0, make_coin, opened
from tests.emulators.houses import make_order
from tradebot.adapters.ccxt.feed import CcxtFeed
from tradebot.adapters.ccxt.symbols import symbols_for
from tradebot.adapters.ccxt.venue import CcxtVenue
from tradebot.app.live import Ends
from tradebot.core.model import MINUTE, Bar
from tradebot.emulators.binance.face import SETTINGS, BinanceFace, binance_house
from tradebot.emulators.clock import VenueClock
from tradebot.emulators.faults import Fault, FaultKind
from tradebot.emulators.serving import serve
from tradebot.emulators.wire import SocketFault
from tradebot.errors import ConfigError
from tradebot.sim.fees import FeeModel, NoFees, ReceivedAssetFees
from tradebot.sim.settings import MarketAt

D = Decimal
COIN = replace(make_coin("BTC", "USD"), min_notional=D(0))
POST = "POST /api/v3/order"


class BinanceDesk(Desk):
    """One process at a time on an emulated Binance that outlives it."""

    @property
    def face(self) -> BinanceFace:
        found: BinanceFace = self.alpaca.face
        return found

    more = ""

    def words(self) -> str:
        words = {"venue": "sim", "feed": "binance", "cash": f", cash: {CASH} USD"}
        text = CONFIG.format(**words if self.is_sim else {"venue": "binance", "feed": "binance", "cash": ""})
        return text + self.more

    async def ends(self) -> Ends:
        feed = CcxtFeed(await self._exchange())
        await feed.instruments([COIN.id])
        venue = None
        if not self.is_sim:
            symbols = symbols_for("binance", {COIN.id: COIN})
            exchange = await self._exchange()
            venue = CcxtVenue(exchange, symbols, "main", is_ours=lambda i: i.startswith("t"))
        return Ends(feed=feed, venue=venue, instruments={COIN.id: COIN}, holds={"USD": CASH})

    async def _exchange(self) -> Any:
        return await opened(self.alpaca.served, wall=self.house.clock.now, deadline_s=1.0)

    def posts(self) -> int:
        return sum((r.method, r.path) == ("POST", "/api/v3/order") for r in self.face.wire.requests)


@asynccontextmanager
async def desk(
    root: Path, *, is_sim: bool = False, fees: FeeModel | None = None
) -> AsyncIterator[BinanceDesk]:
    """Open a market with half an hour of the past, where market orders wait for the next bar as in a backtest."""
    house = binance_house(
        {COIN.id: COIN},
        {"USD": CASH},
        VenueClock(T0 - 31 * MINUTE, 0.0),
        fees=fees or NoFees(),
        settings=replace(SETTINGS, market_at=MarketAt.NEXT_OPEN),
    )
    face = BinanceFace(house, {KEY: SECRET}, weight_limit=10**9)
    for n in range(30, -1, -1):
        house.move(Bar(COIN.id, T0 - n * MINUTE, MINUTE, 99.0, 99.0, 99.0, 99.0, 1e6))
    async with serve(face) as served:
        found = BinanceDesk(root, SimpleNamespace(house=house, face=face, served=served), is_sim=is_sim)  # type: ignore[arg-type]
        try:
            yield found
        finally:
            await found.kill()


async def test_the_same_prices_end_in_equal_books_simulated_here_and_traded_there(tmp_path: Path) -> None:
    books = []
    for name in ("sim", "binance"):
        async with desk(tmp_path / name, is_sim=name == "sim") as here:
            await here.start()
            for price in PRICES:
                await here.minute(price)
            account = here.ledger.accounts["main"]
            books.append((here.fills(), dict(account.cash), account.qty(COIN.id)))

    assert len(books[0][0]) >= 5
    assert books[0] == books[1]


async def test_books_agree_to_the_last_place_when_fees_are_taken_from_what_is_received(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path, fees=ReceivedAssetFees(maker=D(10), taker=D("7.5"))) as here:
        await here.start()
        for price in PRICES[:8]:
            await here.minute(price)
        await here.account.parts.reconciler.look()
        await here.settled()

        account, books = here.ledger.accounts["main"], here.house.books()
        assert len(here.fills()) >= 3
        assert account.cash["USD"] == books.cash["USD"]
        assert account.qty(COIN.id) == books.positions.get(COIN.id, D(0))
        assert here.rules() == set()


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
        assert here.ledger.accounts["main"].qty(COIN.id) == 10 == here.house.books().positions[COIN.id]
        assert here.ledger.accounts["main"].cash["USD"] == here.house.books().cash["USD"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.HTML])
async def test_an_order_nobody_answered_is_sent_once_and_the_position_is_right(
    tmp_path: Path, after: bool, kind: FaultKind
) -> None:
    async with desk(tmp_path) as here:
        await here.start()
        here.face.wire.faults.add(Fault(route=POST, kind=kind, after=after))
        await here.minute(101.0)
        for price in (101.5, 102.0):
            await here.minute(price)
        await here.account.parts.reconciler.look()
        await here.settled()

        held = here.house.books().positions.get(COIN.id, D(0))
        assert here.posts() == 1
        assert held == (10 if after else 0)
        assert here.ledger.accounts["main"].qty(COIN.id) == held


@pytest.mark.parametrize("way", ["drop", "terminate"])
async def test_what_happened_while_the_stream_was_away_is_booked_once(tmp_path: Path, way: str) -> None:
    async with desk(tmp_path) as here:
        await here.start()
        await here.minute(101.0)
        if way == "terminate":
            here.face.sockets.terminate()
        for socket in here.face.wire.on("user"):
            if way == "drop":
                await socket.suffer(SocketFault.DROP)
        await here.minute(102.0)
        await here.until(lambda: len(here.fills()) == 1 and not here.rules())

        assert here.ledger.accounts["main"].qty(COIN.id) == 10
        assert here.posts() == 1


async def test_a_sale_by_the_owners_hand_is_not_bought_back(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        await here.start()
        await here.minute(101.0)
        await here.minute(101.0)
        await here.until(lambda: len(here.fills()) == 1)

        here.house.submit(make_order("panic", "sell", "10", instrument=COIN.id))
        for price in (102.0, 103.0, 104.0):
            await here.minute(price)
        await here.account.parts.reconciler.look()
        await here.settled()
        await here.minute(105.0)

        assert here.house.books().positions == {}
        assert here.posts() == 1


async def test_money_the_owner_takes_out_trips_nothing_and_money_that_vanishes_halts(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        await here.start()
        here.house.transfer("USD", D(-5000), "withdrawal")
        await here.account.parts.reconciler.look()
        await here.settled()
        assert here.rules() == set()
        assert here.ledger.accounts["main"].cash["USD"] == here.house.books().cash["USD"]

        here.house.exchange.lose_cash("USD", D(7))
        await here.account.parts.reconciler.look()
        assert here.rules() == {"mismatch"}


async def test_an_owners_order_stays_through_our_trading_and_a_look(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        await here.start()
        by_hand = make_order("web_1", "buy", "1", "limit", instrument=COIN.id, limit_price="50")
        here.house.submit(by_hand)
        await here.minute(101.0)
        await here.account.parts.reconciler.look()
        await here.minute(99.0)

        assert "web_1" in [s.order.client_order_id for s in here.house.working()]
        assert here.rules() == set()


async def test_a_stop_rests_at_the_exchange_over_a_restart_and_covers_what_the_fee_left(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path, fees=ReceivedAssetFees(maker=D(10), taker=D(10))) as here:
        here.more = "    exits: {stop_loss: 5%}\n"
        await here.start()
        for price in (101.0, 101.0):
            await here.minute(price)
        await here.until(lambda: len(here.fills()) == 1)
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


async def test_exits_that_cannot_rest_there_are_refused_before_anything_is_bought(tmp_path: Path) -> None:
    for more, said in (
        ("stop_loss: 5%, take_profit: 20%", "cannot both rest there"),
        ("trailing: 5%", "trailing"),
    ):
        async with desk(tmp_path / said.partition(" ")[0]) as here:
            here.more = f"    exits: {{{more}}}\n"
            with pytest.raises(ConfigError, match=said):
                await here.start()
            for end in here._ends:
                await end.close()

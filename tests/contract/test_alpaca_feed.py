"""Alpaca's market data, live and past, through the real library against the emulated Alpaca."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.conftest import PATIENCE
from tests.contract.alpacas import QUICK, rest_of
from tests.emulators.alpacas import KEY, SECRET, Alpaca, alpaca
from tests.emulators.houses import COIN, STOCK, T0, bar, make_house, quote
from tradebot.adapters.alpaca.feed import AlpacaFeed
from tradebot.adapters.alpaca.line import Pauses
from tradebot.core.messages import Dividend, Split
from tradebot.core.model import DAY, HOUR, MINUTE, SECOND, Bar, Quote
from tradebot.core.ports import (
    AuthFailed,
    BarClosed,
    Connected,
    Disconnected,
    Feed,
    FeedEvent,
    Series,
    SymbolStatus,
    Trading,
)
from tradebot.emulators.faults import Fault, FaultKind
from tradebot.emulators.wire import SocketFault
from tradebot.errors import ConfigError, PermissionRefused, VenueUnreachable

SPY, BTC = "SPY", "BTC/USD"


class Following:
    """A feed at work, and what it has said."""

    def __init__(self, feed: AlpacaFeed, venue: Alpaca) -> None:
        self.feed, self.venue = feed, venue
        self.port: Feed = feed
        self.events: list[FeedEvent] = []

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                await asyncio.sleep(0.005)

    @asynccontextmanager
    async def running(self, *wanted: Series) -> AsyncIterator[None]:
        task = asyncio.get_running_loop().create_task(self.feed.run(wanted, self.events.append))
        try:
            await self.until(lambda: bool(self.of(Connected)) or task.done())
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def following(
    *, pauses: Pauses = QUICK, secret: str = SECRET, page: int = 10_000, **options: Any
) -> AsyncIterator[Following]:
    house = make_house(instruments=(COIN, replace(STOCK, lot_size=Decimal(1))))
    async with alpaca(house, **options) as venue:
        feed = AlpacaFeed(
            rest_of(venue, secret), key=KEY, secret=secret, now=house.clock.now, pauses=pauses, page=page
        )
        yield Following(feed, venue)
        await feed.close()


async def test_a_connection_stands_for_bars_of_days_and_tells_of_halts_only() -> None:
    async with following() as me, me.running(Series(SPY, DAY), Series(BTC, HOUR)):
        await me.until(lambda: bool(me.of(Connected)))
        for name in (SPY, BTC):
            me.venue.house.move(Bar(name, T0 + MINUTE, MINUTE, 100.0, 101.0, 99.0, 100.0, 5.0))
        me.venue.face.streams.status(SPY, "H", "Trading Halt")
        await me.until(lambda: bool(me.of(SymbolStatus)))

    assert me.of(BarClosed) == []


async def test_a_place_that_answers_nothing_at_first_is_asked_again() -> None:
    async with following() as me:
        fault = Fault(route="GET /v2/assets/*", kind=FaultKind.STATUS, status=502, times=2)
        me.venue.face.wire.faults.add(fault)
        async with me.running(Series(BTC, 0)):
            await me.until(lambda: bool(me.of(Connected)))

    assert [type(event) for event in me.events if isinstance(event, Connected | Disconnected)][:2] == [
        Disconnected,
        Disconnected,
    ]


async def test_bars_and_quotes_of_stocks_and_crypto_arrive_as_the_engine_takes_them() -> None:
    async with following() as me, me.running(Series(SPY, MINUTE), Series(SPY, 0), Series(BTC, MINUTE)):
        me.venue.house.move(bar(101.0, ts=T0 + MINUTE))
        me.venue.house.move(quote(100.5, 101.5, ts=T0 + MINUTE + 1, size=7.0))
        me.venue.house.move(bar(900.0, ts=T0 + MINUTE, instrument=BTC))
        me.venue.house.move(quote(899.0, 901.0, ts=T0 + MINUTE + 1, instrument=BTC))
        me.venue.face.streams.show(bar(101.25, ts=T0 + MINUTE), is_correction=True)
        await me.until(lambda: len(me.of(BarClosed)) == 3 and len(me.of(Quote)) == 1)

    spy = [b for b in me.of(BarClosed) if b.bar.instrument == SPY]
    (btc,) = [b for b in me.of(BarClosed) if b.bar.instrument == BTC]
    assert spy[0] == BarClosed(
        bar=bar(101.0, ts=T0 + MINUTE), feed="iex", is_partial_volume=True, is_correction=False
    )
    assert (spy[1].bar.close, spy[1].is_correction) == (101.25, True)
    assert (btc.bar.ts, btc.feed, btc.is_partial_volume) == (T0 + MINUTE, "alpaca/crypto", False)
    assert me.of(Quote) == [quote(100.5, 101.5, ts=T0 + MINUTE + 1, size=7.0)]
    assert len(me.of(Connected)) == 1


async def test_a_halted_symbol_is_said_so() -> None:
    async with following() as me, me.running(Series(SPY, MINUTE)):
        me.venue.face.streams.status(SPY, "H", "Trading Halt")
        me.venue.face.streams.status(SPY, "?", "new word")
        me.venue.face.streams.status(SPY, "T", "Trading Resumption")
        await me.until(lambda: len(me.of(SymbolStatus)) == 2)

    assert [s.trading for s in me.of(SymbolStatus)] == [Trading.HALTED, Trading.OPEN]


@pytest.mark.parametrize("fault", [SocketFault.DROP, SocketFault.CLOSE])
async def test_a_lost_feed_comes_back_after_its_ghost_has_gone(fault: SocketFault) -> None:
    async with following(ghost_s=0.3) as me, me.running(Series(SPY, MINUTE)):
        for socket in me.venue.face.wire.on("data"):
            await socket.suffer(fault, code=1006 if fault is SocketFault.DROP else 1012)
        await me.until(lambda: len(me.of(Connected)) == 2)
        me.venue.house.move(bar(101.0, ts=T0 + MINUTE))
        await me.until(lambda: len(me.of(BarClosed)) == 1)

    assert [type(e) for e in me.events[:3]] == [Connected, Disconnected, Connected]
    assert not me.of(AuthFailed)


async def test_a_mute_socket_is_dialled_anew_and_less_often_while_that_brings_nothing() -> None:
    quiet = replace(QUICK, silent=0.1)
    async with following(pauses=quiet, ghost_s=0.0) as me, me.running(Series(SPY, MINUTE)):
        begun = asyncio.get_running_loop().time()
        await me.until(lambda: len(me.of(Connected)) == 4)

    assert asyncio.get_running_loop().time() - begun > 0.1 + 0.2 + 0.4
    assert "nothing was said for 0.1 s" in me.of(Disconnected)[0].reason


async def test_wrong_keys_end_the_feed() -> None:
    async with following(secret="another-secret") as me:
        with pytest.raises(PermissionRefused, match="must accept the keys"):
            await me.feed.instruments([SPY])


async def test_revoked_keys_end_the_feed_and_nobody_dials_again() -> None:
    async with following(ghost_s=0.0) as me, me.running(Series(SPY, MINUTE)):
        me.venue.face.access.keys.clear()
        for socket in me.venue.face.wire.on("data"):
            await socket.suffer(SocketFault.DROP)
        await me.until(lambda: bool(me.of(AuthFailed)))

    assert "auth failed (402)" in me.of(AuthFailed)[0].reason


async def test_more_symbols_than_the_plan_allows_is_said_and_not_tried_again() -> None:
    async with following(symbol_limit=1) as me, me.running(Series(SPY, MINUTE)):
        await me.until(lambda: bool(me.of(AuthFailed)))

    assert "symbol limit exceeded (405)" in me.of(AuthFailed)[0].reason


async def test_a_message_that_cannot_be_read_is_left_out_and_counted() -> None:
    async with following() as me, me.running(Series(SPY, MINUTE)):
        me.venue.face.streams.send("bars", {"T": "b", "S": SPY, "o": None})
        me.venue.face.streams.send(
            "bars", {"T": "b", "S": SPY, "o": "1", "h": 1, "l": 1, "c": 1, "v": 1, "t": 5}
        )
        me.venue.face.streams.send("bars", {"T": "weather", "S": SPY})
        me.venue.house.move(bar(101.0, ts=T0 + MINUTE))
        await me.until(lambda: len(me.of(BarClosed)) == 1)

    assert me.feed.unreadable == 2


# --- the past -----------------------------------------------------------------------------------------


async def test_past_bars_come_over_all_pages_and_without_the_forming_one() -> None:
    async with following(page=7) as me:
        for i in range(1, 31):
            me.venue.house.move(bar(100.0 + i, ts=T0 + i * MINUTE))
        me.venue.face.market.remember([bar(500.0, ts=T0 + 31 * MINUTE)])

        found = await me.port.history(Series(SPY, MINUTE), T0 + 2 * MINUTE, T0 + 99 * MINUTE)

    assert [b.bar.ts for b in found] == [T0 + i * MINUTE for i in range(3, 31)]
    assert found[0].bar == bar(103.0, ts=T0 + 3 * MINUTE)
    assert {(b.feed, b.is_partial_volume) for b in found} == {("iex", True)}


async def test_no_bars_are_no_error() -> None:
    async with following() as me:
        assert await me.port.history(Series(SPY, MINUTE), T0 - DAY, T0) == []
        assert await me.port.history(Series(SPY, MINUTE), T0, T0 - DAY) == []


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


async def test_a_day_of_a_stock_closes_with_its_session_on_half_days_too() -> None:
    closes = [utc("2024-11-27T21:00"), utc("2024-11-29T18:00"), utc("2024-12-02T21:00")]
    async with following() as me:
        me.venue.house.clock.move(utc("2024-12-03T12:00"))
        me.venue.face.market.remember(Bar(SPY, ts, DAY, 1.0, 2.0, 0.5, 1.5, 9.0) for ts in closes)

        found = await me.port.history(Series(SPY, DAY), closes[0] - 1, closes[2])
        later = await me.port.history(Series(SPY, DAY), closes[0], closes[1])

    assert [b.bar.ts for b in found] == closes
    assert [b.bar.ts for b in later] == [closes[1]]


async def test_a_day_of_crypto_is_a_day_of_utc() -> None:
    first = utc("2024-03-05T00:00")
    hours = [Bar(BTC, first + i * HOUR, HOUR, float(i), i + 1.0, i - 1.0, i + 0.5, 1.0) for i in range(1, 49)]
    async with following() as me:
        me.venue.house.clock.move(first + 49 * HOUR)
        me.venue.face.market.remember(hours)

        found = await me.port.history(Series(BTC, DAY), first, first + 3 * DAY)

    assert [b.bar for b in found] == [
        Bar(BTC, first + DAY, DAY, 1.0, 25.0, 0.0, 24.5, 24.0),
        Bar(BTC, first + 2 * DAY, DAY, 25.0, 49.0, 24.0, 48.5, 24.0),
    ]


async def test_an_interval_alpaca_does_not_have_is_refused_by_name() -> None:
    async with following() as me:
        with pytest.raises(ConfigError, match="must be 1 to 59 minutes, 1 to 23 hours or a day at Alpaca"):
            await me.port.history(Series(SPY, 90 * MINUTE), T0, T0 + DAY)


async def test_instruments_have_the_venues_grid_and_unknown_ones_are_named() -> None:
    async with following() as me:
        me.venue.face.rest.inactive.add(BTC)
        with pytest.raises(ConfigError) as caught:
            await me.port.instruments([SPY, "NONE", BTC])
        me.venue.face.rest.inactive.clear()
        found = await me.port.instruments([SPY, BTC])

    assert "NONE: must be a symbol that Alpaca trades: no such symbol" in str(caught.value)
    assert f"{BTC}: must be a symbol that Alpaca trades: status inactive" in str(caught.value)
    spy, btc = found[SPY], found[BTC]
    assert (spy.tick_size, spy.lot_size, spy.calendar, spy.quote) == (Decimal("0.01"), 1, "XNYS", "USD")
    assert (btc.tick_size, btc.lot_size, btc.base, btc.shortable) == (
        Decimal("0.01"),
        Decimal("0.0001"),
        "BTC",
        False,
    )


async def test_splits_and_dividends_are_told_at_the_start_of_their_day() -> None:
    # New York's midnight of 2024-06-10 is 04:00 UTC.
    day = utc("2024-06-10T04:00")
    async with following() as me:
        me.venue.face.market.actions += [
            Split(ts=day, instrument=SPY, ratio=Decimal(4)),
            Split(ts=day + DAY, instrument=SPY, ratio=Decimal("0.125")),
            Dividend(ts=day + 2 * DAY, instrument=SPY, amount=Decimal("0.25"), pays_at=day + 9 * DAY),
        ]
        me.venue.house.clock.move(day + 20 * DAY)

        found = await me.port.actions([SPY, BTC], day - 1, day + 5 * DAY)
        later = await me.port.actions([SPY, BTC], day, day + 5 * DAY)

    assert found == me.venue.face.market.actions
    assert later == found[1:]


async def test_the_venues_clock_is_measured_from_the_middle_of_the_question() -> None:
    async with following() as me:
        me.venue.house.clock.skew = 90 * SECOND

        assert await me.port.offset() == 90 * SECOND


async def test_a_history_that_cannot_be_had_is_unreachable() -> None:
    async with following() as me:
        await me.feed.instruments([SPY])
        for kind, body in (
            (FaultKind.DROP, ""),
            (FaultKind.HTML, ""),
            (FaultKind.STATUS, '{"message": "no"}'),
        ):
            me.venue.face.wire.faults.add(
                Fault(route="GET /v2/stocks/bars", kind=kind, body=body, status=403)
            )
            with pytest.raises(VenueUnreachable):
                await me.port.history(Series(SPY, MINUTE), T0 - DAY, T0)

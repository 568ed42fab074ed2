"""Live bars and quotes of the real ccxt over an emulated Binance, and the past in pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.conftest import PATIENCE
from tests.emulators.binance.exchanges import T0, bar, make_face, opened, quote
from tradebot.adapters.ccxt.feed import CcxtFeed
from tradebot.core.model import DAY, HOUR, MINUTE, SECOND, Bar, Quote
from tradebot.core.ports import (
    BarClosed,
    Connected,
    Disconnected,
    FeedEvent,
    Series,
    SymbolStatus,
    Trading,
)
from tradebot.emulators.binance.face import BinanceFace
from tradebot.emulators.faults import Fault, FaultKind
from tradebot.emulators.serving import serve
from tradebot.emulators.wire import SocketFault
from tradebot.errors import ConfigError, VenueUnreachable

BTC = "BTC/USDT"
BARS = Series(BTC, MINUTE)


class Place:
    def __init__(self, face: BinanceFace, feed: CcxtFeed) -> None:
        self.face, self.feed = face, feed
        self.events: list[FeedEvent] = []
        self._running: asyncio.Task[None] | None = None

    async def start(self, *wanted: Series) -> None:
        self._running = asyncio.get_running_loop().create_task(self.feed.run(wanted, self.events.append))
        await self.until(lambda: self.of(Connected))
        streams = 2 if len({s.interval > 0 for s in wanted}) == 2 else 1
        await self.until(lambda: sum(1 for names in self.face.sockets._streams.values() if names) >= streams)

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                await asyncio.sleep(0.005)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def bars(self) -> list[tuple[int, float]]:
        return [((e.bar.ts - T0) // MINUTE, e.bar.close) for e in self.of(BarClosed)]

    async def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self.feed.close()


@asynccontextmanager
async def watched(names: Sequence[str] = (BTC,), **terms: Any) -> AsyncIterator[Place]:
    face = make_face()
    async with serve(face) as served:
        exchange = await opened(served)
        feed = CcxtFeed(exchange, **terms)
        await feed.instruments(names)
        place = Place(face, feed)
        try:
            yield place
        finally:
            await place.close()


async def test_a_bar_is_told_when_the_exchange_calls_it_closed_and_not_before() -> None:
    async with watched() as place:
        await place.start(BARS)
        for second in (1, 2, 3):
            place.face.house.move(quote(100.0 + second, 101.0 + second, ts=T0 + second * SECOND))
        await asyncio.sleep(0.05)
        assert place.bars() == []

        place.face.house.move(bar(103.0, ts=T0 + MINUTE))
        place.face.house.move(bar(104.0, ts=T0 + 2 * MINUTE))
        await place.until(lambda: len(place.bars()) == 2)

        assert place.bars() == [(1, 103.0), (2, 104.0)]
        assert not any(r.path == "/api/v3/klines" for r in place.face.wire.requests)
        first = place.of(BarClosed)[0]
        assert (first.feed, first.is_partial_volume, first.is_correction) == ("binance", False, False)
        assert (first.bar.interval, first.bar.volume) == (MINUTE, 1000.0)


async def test_a_closed_bar_that_was_not_heard_is_read_when_the_next_one_forms() -> None:
    async with watched() as place:
        await place.start(BARS)
        for socket in place.face.wire.on("market"):
            await socket.suffer(SocketFault.LOSE, count=1)
        place.face.house.move(bar(103.0, ts=T0 + MINUTE))  # its words are lost

        place.face.house.move(quote(104.0, 105.0, ts=T0 + MINUTE + SECOND))
        await place.until(place.bars)
        place.face.house.move(bar(106.0, ts=T0 + 2 * MINUTE))
        await place.until(lambda: len(place.bars()) == 2)

        assert place.bars() == [(1, 103.0), (2, 106.0)]


async def test_a_gap_between_two_heard_bars_is_read() -> None:
    async with watched() as place:
        await place.start(BARS)
        place.face.house.move(bar(101.0, ts=T0 + MINUTE))
        await place.until(place.bars)
        for socket in place.face.wire.on("market"):
            await socket.suffer(SocketFault.LOSE, count=2)
        place.face.house.move(bar(102.0, ts=T0 + 2 * MINUTE))
        place.face.house.move(bar(103.0, ts=T0 + 3 * MINUTE))

        place.face.house.move(bar(104.0, ts=T0 + 4 * MINUTE))
        await place.until(lambda: len(place.bars()) == 4)

        assert place.bars() == [(n, 100.0 + n) for n in range(1, 5)]


async def test_an_interval_without_a_trade_has_no_bar() -> None:
    async with watched() as place:
        await place.start(BARS)
        place.face.house.move(bar(101.0, ts=T0 + MINUTE))
        await place.until(place.bars)

        place.face.house.move(quote(104.0, 105.0, ts=T0 + 4 * MINUTE + SECOND))
        await place.until(lambda: any(r.path == "/api/v3/klines" for r in place.face.wire.requests))
        place.face.house.move(bar(105.0, ts=T0 + 5 * MINUTE))
        await place.until(lambda: len(place.bars()) == 2)

        assert place.bars() == [(1, 101.0), (5, 105.0)]


async def test_quotes_of_several_instruments_come_over_one_connection() -> None:
    async with watched((BTC, "ETH/USDT")) as place:
        await place.start(Series(BTC, 0), Series("ETH/USDT", 0))

        place.face.house.move(quote(101.0, 102.0, ts=T0 + SECOND, size=3.0))
        place.face.house.move(quote(11.0, 12.0, ts=T0 + SECOND, instrument="ETH/USDT"))
        await place.until(lambda: len(place.of(Quote)) == 2)

        first = next(q for q in place.of(Quote) if q.instrument == BTC)
        assert (first.bid, first.bid_qty, first.ask, first.ask_qty) == (101.0, 3.0, 102.0, 3.0)
        assert len(place.face.wire.on("market")) == 1


async def test_a_burst_over_many_instruments_ends_with_the_last_quote_of_each() -> None:
    names = ("BTC/USDT", "ETH/USDT")
    async with watched(names) as place:
        await place.start(*(Series(name, 0) for name in names))

        for n in range(1, 501):
            for name in names:
                place.face.house.move(quote(100.0 + n, 101.0 + n, ts=T0 + n * 1_000_000, instrument=name))
        await place.until(lambda: {q.instrument for q in place.of(Quote) if q.bid == 600.0} == set(names))

        for name in names:
            bids = [q.bid for q in place.of(Quote) if q.instrument == name]
            assert bids == sorted(bids)


@pytest.mark.parametrize("fault", [SocketFault.DROP, SocketFault.CLOSE])
async def test_a_lost_connection_is_told_and_dialled_again(fault: SocketFault) -> None:
    async with watched() as place:
        await place.start(BARS)

        for socket in place.face.wire.on("market"):
            await socket.suffer(fault)
        await place.until(lambda: len(place.of(Connected)) == 2)
        await place.until(lambda: any(place.face.sockets._streams.values()))
        place.face.house.move(bar(103.0, ts=T0 + MINUTE))
        await place.until(place.bars)

        assert len(place.of(Disconnected)) == 1


async def test_a_mute_connection_counts_as_lost() -> None:
    async with watched(mute_s=0.3) as place:
        await place.start(BARS)

        await place.until(lambda: len(place.of(Connected)) == 2)

        assert "nothing was heard" in place.of(Disconnected)[0].reason


async def test_a_silence_that_dialling_does_not_end_is_allowed_to_last_longer() -> None:
    async with watched(mute_s=0.1) as place:
        await place.start(BARS)
        for socket in place.face.wire.on("market"):
            await socket.suffer(SocketFault.MUTE)

        await place.until(lambda: len(place.of(Disconnected)) == 3)

        waits = [float(e.reason.split()[-2]) for e in place.of(Disconnected)]
        assert waits[0] == 0.1
        assert waits[-1] >= waits[0]


async def test_an_end_that_is_announced_is_not_waited_for() -> None:
    async with watched() as place:
        await place.start(BARS)

        place.face.sockets.shut_down()
        await place.until(lambda: len(place.of(Connected)) == 2)

        assert "announced" in place.of(Disconnected)[0].reason


async def test_a_message_that_is_not_understood_is_counted_and_passed_over() -> None:
    async with watched() as place:
        await place.start(BARS)
        for socket in place.face.wire.on("market"):
            socket.push(
                '{"e": "kline", "E": 1, "s": "BTCUSDT", "k": {"t": 1, "s": "BTCUSDT", "i": [], "x": true}}'
            )
            socket.push(
                '{"e": "kline", "E": 1, "s": "BTCUSDT", "k": {"t": "x", "s": 7, "i": "1m", "x": true}}'
            )
            socket.push('{"e": "depthUpdate", "s": "BTCUSDT", "U": "x", "u": [], "b": 1, "a": {}}')

        place.face.house.move(bar(103.0, ts=T0 + MINUTE))
        await place.until(place.bars)

        assert place.bars() == [(1, 103.0)]
        assert not place.of(Disconnected)


async def test_an_exchange_that_is_away_is_asked_again_with_growing_pauses() -> None:
    async with watched() as place:
        fault = Fault(route="GET /api/v3/time", kind=FaultKind.STATUS, status=503, body="<html>", times=3)
        place.face.wire.faults.add(fault)

        await place.start(BARS)

        assert [type(e) for e in place.events if not isinstance(e, SymbolStatus)] == [Disconnected] * 3 + [
            Connected
        ]


async def test_what_nobody_had_asked_for_yet_is_learnt_when_it_is_followed() -> None:
    # An account that starts while the exchange answers nothing goes on with what it was told before.
    async with watched(()) as place:
        await place.start(BARS)
        assert await place.feed.history(BARS, T0, T0 + MINUTE) == []


async def test_a_connection_stands_for_bars_that_are_only_read() -> None:
    async with watched(mute_s=0.3) as place:
        await place.start(Series(BTC, 7 * DAY))
        for n in range(8):
            place.face.house.move(quote(100.0 + n, 101.0, ts=T0 + MINUTE + n))
            await asyncio.sleep(0.1)

        assert [type(event) for event in place.events if not isinstance(event, SymbolStatus)] == [Connected]


async def test_what_one_account_asks_for_does_not_take_anothers_away() -> None:
    async with watched() as place:
        await place.feed.instruments(["ETH/USDT"])
        await place.start(BARS, Series("ETH/USDT", MINUTE))


async def test_a_symbol_that_stops_trading_is_told_once() -> None:
    async with watched(status_s=0.05) as place:
        await place.start(BARS)

        place.face.desk.trading["BTCUSDT"] = "BREAK"
        await place.until(lambda: len(place.of(SymbolStatus)) == 2)

        assert [s.trading for s in place.of(SymbolStatus)] == [Trading.OPEN, Trading.CANCEL_ONLY]


# --- the past -------------------------------------------------------------------------------------------


async def test_the_past_comes_in_pages_without_the_bar_that_forms() -> None:
    async with watched() as place:
        for n in range(1, 2501):
            place.face.house.move(bar(100.0 + n % 7, ts=T0 + n * MINUTE))
        place.face.house.move(quote(99.0, 100.0, ts=T0 + 2500 * MINUTE + SECOND))
        await place.feed.offset()

        found = await place.feed.history(BARS, T0 + MINUTE, T0 + 3000 * MINUTE)

        assert [(b.bar.ts - T0) // MINUTE for b in found] == list(range(2, 2501))
        assert all(isinstance(b.bar, Bar) for b in found)
        asked = sum(1 for r in place.face.wire.requests if r.path == "/api/v3/klines")
        assert asked == 4


async def test_the_past_of_a_longer_interval_ends_with_its_last_closed_bar() -> None:
    async with watched() as place:
        for n in range(1, 100):
            place.face.house.move(bar(100.0 + n, ts=T0 + n * MINUTE))
        await place.feed.offset()

        found = await place.feed.history(Series(BTC, HOUR), 0, T0 + 100 * MINUTE)

        assert {b.bar.ts % HOUR for b in found} == {0}
        assert found[-1].bar.ts == (T0 + 99 * MINUTE) // HOUR * HOUR
        assert place.feed.streams(Series(BTC, HOUR))


async def test_what_is_not_there_is_refused_by_name() -> None:
    async with watched() as place:
        with pytest.raises(ConfigError, match="must be one of binance's intervals: 1s, 1m"):
            await place.feed.history(Series(BTC, 7 * SECOND), 0, T0)
        with pytest.raises(ConfigError, match="DOGE/USDT"):
            await place.feed.instruments(["DOGE/USDT"])
        assert not place.feed.streams(Series(BTC, 7 * SECOND))


@pytest.mark.parametrize("body", ['[["x"]]', "[[1,2]]", '[[1, "NaN", "1", "1", "1", "1"]]', "[]"])
async def test_rows_that_are_no_candles_are_left_out(body: str) -> None:
    async with watched() as place:
        route = "GET /api/v3/klines"
        place.face.wire.faults.add(Fault(route=route, kind=FaultKind.STATUS, status=200, body=body))

        assert list(await place.feed.history(BARS, 0, T0)) == []


@pytest.mark.parametrize("body", ["<html>", "null", '"x"'])
async def test_a_page_that_is_no_list_is_no_answer(body: str) -> None:
    async with watched() as place:
        route = "GET /api/v3/klines"
        place.face.wire.faults.add(Fault(route=route, kind=FaultKind.STATUS, status=200, body=body))

        with pytest.raises(VenueUnreachable, match="binance"):
            await place.feed.history(BARS, 0, T0)

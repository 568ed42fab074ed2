"""The emulated Alpaca's sockets, spoken to without any client library."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgpack
import pytest

from tests.conftest import PATIENCE
from tests.emulators.alpacas import KEY, SECRET, Alpaca, alpaca
from tests.emulators.houses import T0, bar, quote
from tradebot.core.model import MINUTE, SECOND
from tradebot.emulators.wire import SocketFault

AUTH = {"action": "auth", "key": KEY, "secret": SECRET}


class Talk:
    """One socket, in JSON or msgpack."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, is_packed: bool) -> None:
        self.socket, self.is_packed = socket, is_packed

    async def say(self, words: object) -> None:
        if self.is_packed:
            await self.socket.send_bytes(msgpack.packb(words))
        else:
            await self.socket.send_str(json.dumps(words))

    async def hear(self) -> Any:
        message = await asyncio.wait_for(self.socket.receive(), PATIENCE)
        if message.type is aiohttp.WSMsgType.BINARY:
            return json.loads(message.data) if message.data[:1] == b"{" else msgpack.unpackb(message.data)
        return json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else message.type.name

    async def ask(self, words: object) -> Any:
        await self.say(words)
        return await self.hear()


@asynccontextmanager
async def talk(venue: Alpaca, path: str = "/v2/iex", *, is_packed: bool = False) -> AsyncIterator[Talk]:
    headers = {"Content-Type": "application/msgpack"} if is_packed else {}
    async with venue.client.ws_connect(f"{venue.served.ws}{path}", headers=headers) as socket:
        yield Talk(socket, is_packed)


@pytest.fixture
async def venue() -> AsyncIterator[Alpaca]:
    async with alpaca(ghost_s=0.2, auth_s=0.3, symbol_limit=3) as served:
        yield served


@pytest.mark.parametrize("is_packed", [False, True])
async def test_market_data_come_to_who_asked_for_them(venue: Alpaca, is_packed: bool) -> None:
    async with talk(venue, is_packed=is_packed) as me:
        assert await me.hear() == [{"T": "success", "msg": "connected"}]
        assert await me.ask(AUTH) == [{"T": "success", "msg": "authenticated"}]
        wanted = {"bars": ["SPY"], "updatedBars": ["SPY"], "quotes": ["*"]}
        (granted,) = await me.ask({"action": "subscribe", **wanted})
        assert (granted["T"], granted["bars"], granted["quotes"]) == ("subscription", ["SPY"], ["*"])

        venue.house.move(bar(101.0, ts=T0 + MINUTE))
        venue.house.move(quote(101.0, 102.0, ts=T0 + MINUTE + SECOND))
        venue.house.move(quote(1.0, 2.0, ts=T0 + MINUTE, instrument="BTC/USD"))
        venue.face.streams.show(bar(101.5, ts=T0 + MINUTE), is_correction=True)

        heard = [(await me.hear())[0] for _ in range(3)]
    assert [(m["T"], m["S"]) for m in heard] == [("b", "SPY"), ("q", "SPY"), ("u", "SPY")]
    began = heard[0]["t"]
    assert (began.seconds * SECOND == T0) if is_packed else (began == "2023-11-14T22:14:00Z")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("nonsense", 400, "invalid syntax"),
        ({"action": "subscribe", "bars": ["SPY"]}, 401, "not authenticated"),
        ({**AUTH, "secret": "wrong"}, 402, "auth failed"),
    ],
)
async def test_who_is_not_admitted_is_told_why(venue: Alpaca, words: object, code: int, message: str) -> None:
    async with talk(venue) as me:
        await me.hear()

        assert await me.ask(words) == [{"T": "error", "code": code, "msg": message}]


async def test_who_says_nothing_is_shown_out(venue: Alpaca) -> None:
    async with talk(venue) as me:
        await me.hear()

        assert await me.hear() == [{"T": "error", "code": 404, "msg": "auth timeout"}]
        assert await me.hear() == "CLOSE"


async def test_more_symbols_than_allowed_change_nothing(venue: Alpaca) -> None:
    async with talk(venue) as me:
        await me.hear()
        await me.ask(AUTH)
        await me.ask({"action": "subscribe", "bars": ["A", "B"]})

        assert (await me.ask({"action": "subscribe", "bars": ["C", "D"]}))[0]["code"] == 405
        assert (await me.ask({"action": "unsubscribe", "bars": ["A"]}))[0]["bars"] == ["B"]
        assert (await me.ask(AUTH))[0]["code"] == 403


async def test_a_session_cut_off_haunts_its_place_for_a_while(venue: Alpaca) -> None:
    async with talk(venue) as first:
        await first.hear()
        await first.ask(AUTH)
        async with talk(venue) as second:
            await second.hear()
            assert (await second.ask(AUTH))[0]["code"] == 406
        await venue.face.wire.on("data")[0].suffer(SocketFault.DROP)
        await first.hear()

    async with talk(venue) as third:
        await third.hear()
        assert (await third.ask(AUTH))[0]["code"] == 406
    await asyncio.sleep(0.3)
    async with talk(venue) as fourth:
        await fourth.hear()
        assert await fourth.ask(AUTH) == [{"T": "success", "msg": "authenticated"}]


async def test_trade_updates_tell_each_step_with_the_order_as_it_was(venue: Alpaca) -> None:
    async with talk(venue, "/stream") as me:
        unknown = {"action": "authenticate", "data": {"key_id": KEY, "secret_key": "wrong"}}
        assert (await me.ask(unknown))["data"]["status"] == "unauthorized"
        known = {"action": "authenticate", "data": {"key_id": KEY, "secret_key": SECRET}}
        assert (await me.ask(known))["data"]["status"] == "authorized"
        granted = await me.ask({"action": "listen", "data": {"streams": ["trade_updates"]}})
        assert granted == {"stream": "listening", "data": {"streams": ["trade_updates"]}}

        venue.house.move(quote(99.0, 100.0, ts=T0 + SECOND, size=1.0))
        _, taken = await venue.order(qty="3", client_order_id="mine", type="limit", limit_price="100")
        venue.house.move(quote(99.0, 99.5, ts=T0 + 2 * SECOND, size=1.0))
        await venue.ask("DELETE", f"/v2/orders/{taken['id']}")

        heard = [(await me.hear())["data"] for _ in range(4)]
    assert [h["event"] for h in heard] == ["new", "partial_fill", "partial_fill", "canceled"]
    assert [h["order"]["filled_qty"] for h in heard] == ["0", "1", "2", "2"]
    assert [h["order"]["status"] for h in heard] == [
        "new",
        "partially_filled",
        "partially_filled",
        "canceled",
    ]
    assert [(h["price"], h["qty"], h["position_qty"]) for h in heard[1:3]] == [
        ("100", "1", "1"),
        ("100", "1", "2"),
    ]
    assert len({h["execution_id"] for h in heard}) == 4

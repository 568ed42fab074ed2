"""The real ccxt against the emulated Binance over real sockets; every refusal in Binance's words."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.conftest import PATIENCE
from tests.emulators.binance.exchanges import KEY, SECRET, T0, D, bar, make_face, opened, quote
from tradebot.core.model import MINUTE, SECOND
from tradebot.emulators.binance.face import BinanceFace
from tradebot.emulators.serving import Served, serve


class Place:
    """A served face and a plain client that signs by hand."""

    def __init__(self, face: BinanceFace, served: Served, client: aiohttp.ClientSession) -> None:
        self.face, self.served, self.client = face, served, client

    async def ask(
        self, method: str, path: str, *, key: str = KEY, secret: str = SECRET, **params: Any
    ) -> Any:
        """Sign and send; returns status and body."""
        params = {"timestamp": T0 // 1_000_000} | params
        query = "&".join(f"{k}={v}" for k, v in params.items())
        signature = hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        url = f"{self.served.url}{path}?{query}&signature={signature}"
        async with self.client.request(method, url, headers={"X-MBX-APIKEY": key}) as answer:
            return answer.status, await answer.json()

    async def order(self, **params: Any) -> Any:
        words = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "1",
            "price": "90",
        }
        return await self.ask(
            "POST", "/api/v3/order", **{k: v for k, v in (words | params).items() if v is not None}
        )


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    face, timeout = make_face(), aiohttp.ClientTimeout(total=5)
    async with serve(face) as served, aiohttp.ClientSession(timeout=timeout) as client:
        yield Place(face, served, client)


@pytest.fixture
async def raw(place: Place) -> AsyncIterator[Any]:
    exchange = await opened(place.served)
    yield exchange.raw
    await exchange.close()


async def test_ccxt_trades_there_as_anywhere(place: Place, raw: Any) -> None:
    bought = await raw.create_order("BTC/USDT", "market", "buy", "1", None, {"clientOrderId": "a"})
    resting = await raw.create_order("BTC/USDT", "limit", "buy", "2", "90.00", {"clientOrderId": "b"})
    found = await raw.fetch_order(None, "BTC/USDT", {"clientOrderId": "b"})
    gone = await raw.cancel_order(None, "BTC/USDT", {"clientOrderId": "b"})
    again = await raw.fetch_order(None, "BTC/USDT", {"clientOrderId": "b"})
    trades = await raw.fetch_my_trades("BTC/USDT")
    balance = await raw.fetch_balance()

    assert (bought["status"], bought["filled"], bought["clientOrderId"]) == ("closed", "1.00000000", "a")
    assert bought["trades"][0]["fee"] == {"currency": "BTC", "cost": "0.00100000"}
    assert (resting["status"], found["status"], gone["status"], again["status"]) == (
        "open", "open", "canceled", "canceled",
    )  # fmt: skip
    assert (again["clientOrderId"], gone["info"]["origClientOrderId"]) == ("b", "b")
    assert [(t["id"], t["order"], t["side"], t["price"]) for t in trades] == [
        ("1", "1", "buy", "100.00000000")
    ]
    assert balance["BTC"]["total"] == "0.999"
    assert balance["USDT"] == {"free": "99900.00000000", "used": "0.00000000", "total": "99900"}


async def test_what_rests_is_locked(place: Place) -> None:
    await place.order(quantity="10", price="90")

    _, account = await place.ask("GET", "/api/v3/account")

    found = {b["asset"]: (b["free"], b["locked"]) for b in account["balances"]}
    assert found["USDT"] == ("99100.00000000", "900.00000000")


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({"symbol": "NOPE"}, -1121, "Invalid symbol."),
        ({"quantity": None}, -1102, "'quantity' was not sent"),
        ({"quantity": "abc"}, -1100, "Illegal characters found in parameter 'quantity'"),
        ({"quantity": "0.000001"}, -1013, "LOT_SIZE"),
        ({"price": "90.001"}, -1013, "PRICE_FILTER"),
        ({"price": "90.0000000001"}, -1111, "too much precision"),
        ({"quantity": "0.01"}, -1013, "NOTIONAL"),
        ({"price": "1000"}, -1013, "PERCENT_PRICE_BY_SIDE"),
        ({"type": "TRAILING"}, -1116, "Invalid orderType."),
        ({"side": "LONG"}, -1117, "Invalid side."),
        ({"timeInForce": "DAY"}, -1115, "Invalid timeInForce."),
        ({"foo": "1"}, -1104, "Not all sent parameters were read; read '6' parameter(s) but was sent '7'."),
        ({"newClientOrderId": "a.b"}, -1100, "newClientOrderId"),
        ({"quantity": "2000"}, -2010, "insufficient balance"),
        ({"side": "SELL", "price": "110"}, -2010, "insufficient balance"),
        ({"type": "LIMIT_MAKER", "timeInForce": None, "price": "100"}, -2010, "would immediately match"),
        ({"type": "STOP_LOSS", "timeInForce": None, "price": None, "stopPrice": "80", "side": "BUY"}, -2010,
         "would trigger immediately"),
        ({"type": "MARKET"}, -1106, "sent when not required"),
        ({"timestamp": T0 // 1_000_000 - 6000}, -1021, "outside of the recvWindow"),
        ({"timestamp": T0 // 1_000_000 + 1000}, -1021, "ahead of the server's time"),
        ({"recvWindow": "99999"}, -1131, "recvWindow"),
    ],
)  # fmt: skip
async def test_an_order_is_refused_in_binances_words(place: Place, params: Any, code: int, text: str) -> None:
    status, said = await place.order(**params)

    assert (status, said["code"]) == (400, code)
    assert text in said["msg"]
    assert not place.face.house.working()


async def test_who_signs_wrong_or_has_no_key_stays_outside(place: Place) -> None:
    assert (await place.ask("GET", "/api/v3/account", secret="no"))[1]["code"] == -1022
    assert await place.ask("GET", "/api/v3/account", key="x") == (
        401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."},
    )  # fmt: skip


async def test_an_id_is_unique_among_open_orders_only(place: Place) -> None:
    assert (await place.order(newClientOrderId="a"))[0] == 200
    assert await place.order(newClientOrderId="a") == (400, {"code": -2010, "msg": "Duplicate order sent."})

    place.face.house.move(quote(80.0, 81.0, ts=T0 + SECOND))

    status, again = await place.order(newClientOrderId="a", price="70", timestamp=T0 // 1_000_000 + 1000)
    assert (status, again["status"], again["orderId"]) == (200, "NEW", 3)


async def test_a_halted_symbol_takes_cancels_only(place: Place) -> None:
    await place.order(newClientOrderId="a")
    place.face.desk.trading["BTCUSDT"] = "HALT"

    refused = await place.order(newClientOrderId="b")
    _, canceled = await place.ask("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="a")

    assert refused[1] == {"code": -2010, "msg": "Market is closed."}
    assert canceled["status"] == "CANCELED"
    gone = await place.ask("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="a")
    assert gone[1] == {"code": -2011, "msg": "Unknown order sent."}


async def test_too_much_is_answered_with_429_and_a_time() -> None:
    face = make_face(weight_limit=100)
    async with serve(face) as served, aiohttp.ClientSession() as client:
        for _ in range(10):
            async with client.get(f"{served.url}/api/v3/exchangeInfo") as answer:
                said = await answer.json()

    assert answer.status == 429
    assert said["code"] == -1003
    assert 0 < int(answer.headers["Retry-After"]) <= 60


async def test_klines_end_with_the_one_that_forms(place: Place, raw: Any) -> None:
    place.face.house.move(bar(101.0, ts=T0 + MINUTE))
    place.face.house.move(quote(102.0, 104.0, ts=T0 + MINUTE + SECOND))

    rows = await raw.fetch_ohlcv("BTC/USDT", "1m")
    threes = await raw.fetch_ohlcv("BTC/USDT", "3m")

    start = T0 // 1_000_000
    assert [(r[0], float(r[4])) for r in rows] == [(start, 101.0), (start + 60_000, 103.0)]
    assert [float(r[4]) for r in threes][-1] == 103.0


async def test_the_user_stream_tells_orders_trades_and_balances(place: Place, raw: Any) -> None:
    watching = asyncio.gather(raw.watch_orders(), raw.watch_my_trades())
    while not place.face.sockets._users:
        await asyncio.sleep(0)

    await place.order(newClientOrderId="a", type="MARKET", timeInForce=None, price=None)
    orders, trades = await asyncio.wait_for(watching, PATIENCE)

    assert orders[-1]["clientOrderId"] == "a"
    assert [(t["id"], t["amount"], t["fee"]["currency"], t["info"]["c"]) for t in trades] == [
        ("1", "1.00000000", "BTC", "a")
    ]


async def test_a_cancel_is_told_under_the_orders_own_id(place: Place) -> None:
    async with place.client.ws_connect(f"{place.served.url}/ws-api/v3") as user:
        params: dict[str, Any] = {"apiKey": KEY, "timestamp": T0 // 1_000_000}
        payload = "&".join(f"{k}={params[k]}" for k in sorted(params))
        params["signature"] = hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()
        await user.send_json({"id": "1", "method": "userDataStream.subscribe.signature", "params": params})
        assert (await user.receive_json())["result"] == {"subscriptionId": 0}

        await place.order(newClientOrderId="a")
        await place.ask(
            "DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="a", newClientOrderId="z"
        )

        said = [(await user.receive_json())["event"] for _ in range(2)]
        place.face.sockets.terminate()
        last = await user.receive_json()
        place.face.house.move(quote(80.0, 81.0, ts=T0 + SECOND))

    assert [(e["x"], e["X"], e["c"], e["C"]) for e in said] == [
        ("NEW", "NEW", "a", ""),
        ("CANCELED", "CANCELED", "z", "a"),
    ]
    assert last["event"]["e"] == "eventStreamTerminated"


async def test_market_streams_carry_candles_best_prices_and_books(place: Place) -> None:
    names = ["btcusdt@kline_1m", "btcusdt@bookTicker", "btcusdt@depth@100ms", "btcusdt@trade"]
    async with place.client.ws_connect(f"{place.served.url}/stream/ws/0") as market:
        await market.send_json({"method": "SUBSCRIBE", "params": names, "id": 1})
        assert await market.receive_json() == {"result": None, "id": 1}
        await market.send_json({"method": "SUBSCRIBE", "params": ["dogeusdt@trade"], "id": 2})
        assert "error" in await market.receive_json()

        place.face.house.move(quote(101.0, 102.0, ts=T0 + SECOND))
        place.face.house.move(bar(103.0, ts=T0 + MINUTE))
        said = [json.loads((await market.receive()).data) for _ in range(5)]

    kinds = [m.get("e", "bookTicker") for m in said]
    assert kinds == ["bookTicker", "depthUpdate", "kline", "trade", "kline"]
    assert [m["k"]["x"] for m in said if m.get("e") == "kline"] == [False, True]
    assert (said[0]["b"], said[1]["b"]) == (
        "101.00000000",
        [["99.00000000", "0.00000000"], ["101.00000000", "1000000.00000000"]],
    )


async def test_ccxt_follows_the_streams(place: Place, raw: Any) -> None:

    async def move() -> None:
        for second in range(1, 100):
            await asyncio.sleep(0.02)
            place.face.house.move(quote(101.0, 102.0, ts=T0 + second * SECOND))

    moving = asyncio.get_running_loop().create_task(move())
    best = await asyncio.wait_for(raw.watch_bids_asks(["BTC/USDT", "ETH/USDT"]), PATIENCE)
    candles = await asyncio.wait_for(raw.watch_ohlcv("BTC/USDT", "1m"), PATIENCE)
    book = await asyncio.wait_for(raw.watch_order_book("BTC/USDT"), PATIENCE)
    moving.cancel()

    assert (best["BTC/USDT"]["bid"], best["BTC/USDT"]["ask"]) == ("101.00000000", "102.00000000")
    assert candles[-1][4] == 101.5
    assert float(book["bids"][0][0]) == 101.0


async def test_deposits_and_withdrawals_are_in_the_books_and_in_the_history(place: Place, raw: Any) -> None:
    place.face.house.transfer("USDT", D(500), "deposit")
    place.face.house.transfer("USDT", D(-200), "withdrawal")

    came, went = await raw.fetch_deposits(), await raw.fetch_withdrawals()

    assert [(r["currency"], r["amount"], r["status"]) for r in came] == [("USDT", "500", "ok")]
    assert [(r["currency"], r["amount"], r["status"]) for r in went] == [("USDT", "200", "ok")]
    assert (await raw.fetch_balance())["USDT"]["total"] == "100300"

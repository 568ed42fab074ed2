"""What the emulated Binance says has the keys and the kinds of values of recorded answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.adapters.ccxt.accounts import Account, account, order
from tests.emulators.binance.exchanges import T0, bar, quote
from tradebot.core.model import MINUTE, SECOND

Json = Any
# Said only in some answers, or older than what was recorded.
_MAY_LACK = {"stopPrice", "stopPriceUpdated"}


@pytest.fixture
async def place() -> AsyncIterator[Account]:
    async with account() as found:
        await found.start()
        found.face.house.move(bar(100.0, ts=T0 + MINUTE))
        found.face.house.move(quote(99.0, 100.0, ts=T0 + MINUTE + SECOND))
        await found.venue.offset()
        yield found


def shape(value: Json) -> Json:
    """Return keys and kinds: numbers in texts are numbers in texts."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if isinstance(value, str):
        try:
            float(value)
            return "number as text"
        except ValueError:
            return "text"
    return type(value).__name__


def recorded(shared_data: Path, name: str, folder: str = "http_json") -> Json:
    path = shared_data / "payloads" / "crypto_api" / "binance" / "spot" / folder / f"{name}.json"
    return json.loads(path.read_text("utf-8"))


async def ask(place: Account, method: str, *words_: Any) -> Json:
    return await getattr(place.exchange.raw, method)(*words_)


ASKED = [
    ("order_response", "private_get_order", {"symbol": "BTCUSDT", "origClientOrderId": "t1rest"}),
    ("new_order_full_response", "private_post_order",
     {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1", "newOrderRespType": "FULL"}),
    ("cancel_order_response", "private_delete_order", {"symbol": "BTCUSDT", "origClientOrderId": "t1rest"}),
    ("open_orders_response", "private_get_openorders", {"symbol": "BTCUSDT"}),
    ("all_orders_response", "private_get_allorders", {"symbol": "BTCUSDT"}),
    ("account_trades_response", "private_get_mytrades", {"symbol": "BTCUSDT"}),
    ("account_response", "private_get_account", {}),
    ("depth_response", "public_get_depth", {"symbol": "BTCUSDT"}),
    ("klines_response", "public_get_klines", {"symbol": "BTCUSDT", "interval": "1m"}),
    ("book_ticker_response", "public_get_ticker_bookticker", {"symbol": "BTCUSDT"}),
    ("ticker_24hr_response", "public_get_ticker_24hr", {"symbol": "BTCUSDT"}),
    ("ticker_price_response", "public_get_ticker_price", {"symbol": "BTCUSDT"}),
    ("server_time_response", "public_get_time", {}),
    ("ping_response", "public_get_ping", {}),
    ("trades_response", "public_get_trades", {"symbol": "BTCUSDT"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "method", "params"), ASKED, ids=[row[0] for row in ASKED])
async def test_an_answer_has_the_keys_and_kinds_of_the_recorded_one(
    place: Account, shared_data: Path, name: str, method: str, params: dict[str, str]
) -> None:
    await place.send(order("t1done", qty="1"))
    await place.send(order("t1rest", kind="limit", limit_price="90"))

    ours, theirs = await ask(place, method, params), recorded(shared_data, name)

    if isinstance(theirs, dict):
        assert set(ours) - _MAY_LACK == set(theirs) - _MAY_LACK
    assert not differences(shape(ours), shape(theirs), name)


def differences(ours: Json, theirs: Json, where: str) -> list[str]:
    """Return where both have a value of another kind; what only one has was compared before."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [
            d
            for key in ours.keys() & theirs.keys()
            for d in differences(ours[key], theirs[key], f"{where}.{key}")
        ]
    if isinstance(ours, list) and isinstance(theirs, list):
        return differences(ours[0], theirs[0], f"{where}[0]") if ours and theirs else []
    return [] if ours == theirs else [f"{where}: {ours} is {theirs} there"]


async def test_a_symbol_has_the_keys_of_the_recorded_one(place: Account, shared_data: Path) -> None:
    ours = await ask(place, "public_get_exchangeinfo", {})
    theirs = recorded(shared_data, "exchange_info_response")

    assert set(ours) == set(theirs)
    assert set(ours["symbols"][0]) == set(theirs["symbols"][0])


async def test_events_of_the_user_stream_have_the_keys_of_recorded_ones(
    place: Account, shared_data: Path
) -> None:
    events: list[Json] = []
    async with aiohttp.ClientSession() as client, client.ws_connect(f"{place.served.url}/ws-api/v3") as user:
        params = place.exchange.raw.sign_params({})
        await user.send_json({"id": "1", "method": "userDataStream.subscribe.signature", "params": params})
        await user.receive_json()
        await place.send(order("t1a", kind="limit", limit_price="90"))
        await place.cancel("t1a")
        await place.send(order("t1b"))
        while not any(e["e"] == "outboundAccountPosition" for e in events):
            events.append((await user.receive_json())["event"])

    theirs = recorded(shared_data, "execution_report_wrapped", "user_data_json")
    theirs = theirs.get("event", theirs.get("data", theirs))
    told = {event["x"]: event for event in events if event["e"] == "executionReport"}
    assert set(told) == {"NEW", "CANCELED", "TRADE"}
    for event in told.values():
        assert set(theirs) - {"M"} <= set(event)
        same = {key: event[key] for key in theirs if theirs[key] is not None}
        assert not differences(shape(same), shape(theirs), "report")
    position = next(e for e in events if e["e"] == "outboundAccountPosition")
    recorded_position = recorded(shared_data, "account_position", "user_data_json")
    assert set(position) == set(recorded_position)
    assert set(position["B"][0]) == set(recorded_position["B"][0])

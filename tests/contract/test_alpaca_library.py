"""What the adapter relies on inside alpaca-py and websockets: it fails here when the library moves it."""

import inspect
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient
from alpaca.data.historical import CryptoHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.live.crypto import CryptoDataStream
from alpaca.data.live.stock import StockDataStream
from alpaca.data.live.websocket import DataStream
from alpaca.trading.client import TradingClient
from alpaca.trading.stream import TradingStream
from websockets.legacy import client as legacy

from tradebot.adapters.alpaca.endpoint import LIVE, PAPER, check_key, endpoint_of
from tradebot.errors import PermissionRefused, UsageError


def parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


@pytest.mark.parametrize(
    "kind", [TradingClient, StockHistoricalDataClient, CryptoHistoricalDataClient, CorporateActionsClient]
)
def test_a_client_can_be_pointed_elsewhere_and_made_to_ask_once(kind: type[RESTClient]) -> None:
    client = kind("k", "s", raw_data=True, url_override="http://127.0.0.1:9")

    assert client._base_url == "http://127.0.0.1:9"
    assert client._retry == 3
    assert 429 in client._retry_codes
    assert 504 in client._retry_codes
    assert client._session.adapters.keys() == {"https://", "http://"}
    assert parameters(kind._request)[:3] == ["method", "path", "data"]
    assert parameters(kind._one_request) == ["method", "url", "opts", "retry"]
    assert {"get", "post", "patch", "delete"} <= set(dir(kind))


def test_a_repeat_happens_only_while_the_count_is_above_zero() -> None:
    source = inspect.getsource(RESTClient._one_request)

    assert "response.status_code in self._retry_codes and retry > 0" in source


def test_an_error_shows_its_status_and_the_whole_body() -> None:
    error = APIError('{"code": 1, "message": "x"}', None)

    assert str(error) == '{"code": 1, "message": "x"}'
    assert error.status_code is None


@pytest.mark.parametrize(("kind", "feed"), [(StockDataStream, "iex"), (CryptoDataStream, "crypto")])
def test_a_data_stream_has_the_parts_that_are_used(kind: type[DataStream], feed: str) -> None:
    url = endpoint_of(is_live=False, url="http://127.0.0.1:9").stream_of(feed)
    stream = kind("k", "s", raw_data=True, url_override=url, websocket_params={"ping_interval": 1})

    assert stream._endpoint == url
    assert stream._ws is None
    assert {"bars", "updatedBars", "quotes", "statuses"} <= set(stream._handlers)
    assert stream._websocket_params == {"ping_interval": 1}
    for name in ("_connect", "_send_subscribe_msg", "close"):
        assert inspect.iscoroutinefunction(getattr(stream, name))
        assert parameters(getattr(stream, name)) == []


def test_the_trading_stream_has_the_parts_that_are_used() -> None:
    stream = TradingStream("k", "s", raw_data=True, url_override="ws://127.0.0.1:9/stream")

    assert stream._endpoint == "ws://127.0.0.1:9/stream"
    assert stream._ws is None
    for name in ("_connect", "_subscribe_trade_updates", "close"):
        assert inspect.iscoroutinefunction(getattr(stream, name))
        assert parameters(getattr(stream, name)) == []


def test_the_old_websockets_client_takes_the_deadlines_that_are_set() -> None:
    known = parameters(legacy.Connect.__init__) + parameters(legacy.WebSocketClientProtocol.__init__)
    known += parameters(legacy.WebSocketClientProtocol.__mro__[1].__init__)

    assert {"open_timeout", "ping_interval", "ping_timeout", "close_timeout", "max_queue"} <= set(known)


def test_the_addresses_are_the_librarys_own() -> None:
    from alpaca.common.enums import BaseURL

    assert BaseURL.TRADING_LIVE.value == LIVE.trading
    assert BaseURL.TRADING_PAPER.value == PAPER.trading
    assert BaseURL.DATA.value == LIVE.data == PAPER.data
    assert BaseURL.MARKET_DATA_STREAM.value == LIVE.stream
    assert BaseURL.TRADING_STREAM_LIVE.value == LIVE.trades
    assert BaseURL.TRADING_STREAM_PAPER.value == PAPER.trades


def test_an_endpoint_is_alpacas_or_on_this_machine() -> None:
    assert endpoint_of(is_live=True) is LIVE
    assert endpoint_of(is_live=False) is PAPER
    assert endpoint_of(is_live=False, url="http://localhost:80").trades == "ws://localhost:80/stream"
    for url in ("https://127.0.0.1:1", "http://10.0.0.1:80", "http://127.0.0.1", "ftp://localhost:1", "x"):
        with pytest.raises(UsageError, match=r"endpoint must be http://127\.0\.0\.1:PORT"):
            endpoint_of(is_live=False, url=url)
    with pytest.raises(UsageError, match="mode live must use Alpaca's own address"):
        endpoint_of(is_live=True, url="http://127.0.0.1:1")


def test_keys_of_one_account_are_not_used_at_the_other() -> None:
    check_key(PAPER, "PK123")
    check_key(LIVE, "AK123")
    check_key(LIVE, "anything")
    with pytest.raises(PermissionRefused, match="must be for the real account"):
        check_key(LIVE, "PK123")
    with pytest.raises(PermissionRefused, match="these are for the real account"):
        check_key(PAPER, "AK123")

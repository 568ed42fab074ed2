"""The parts of ccxt that the adapter holds on to: a version that moves them fails here, not with money."""

from __future__ import annotations

import inspect
from typing import Any

import ccxt
import ccxt.pro
import pytest
from ccxt.async_support.base.exchange import Exchange as Base
from ccxt.async_support.base.ws.client import Client

from tradebot.adapters.ccxt.declared import DECLARED
from tradebot.adapters.ccxt.library import open_exchange


def names(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_the_hooks_have_the_shape_that_is_overridden() -> None:
    wanted = [
        "self",
        "code",
        "reason",
        "url",
        "method",
        "headers",
        "body",
        "response",
        "requestHeaders",
        "requestBody",
    ]
    assert names(ccxt.pro.binance.handle_errors) == wanted
    assert len(names(ccxt.pro.kraken.handle_errors)) == len(wanted)
    assert names(ccxt.pro.binance.handle_message) == ["self", "client", "message"]
    assert names(Base.throttle) == ["self", "cost"]
    assert names(Base.fetch)[:5] == ["self", "url", "method", "headers", "body"]
    assert inspect.iscoroutinefunction(Base.close_ws_clients)


def test_a_socket_says_when_it_stands() -> None:
    assert "connected" in vars(Client)


def test_our_own_throttle_is_asked_for_every_request() -> None:
    source = inspect.getsource(Base.fetch2)

    assert "self.enableRateLimit" in source
    assert "await self.throttle(cost)" in source


@pytest.mark.parametrize("exchange", sorted(DECLARED))
def test_what_is_declared_of_an_exchange_exists(exchange: str) -> None:
    opened = open_exchange(exchange)
    row = opened.declared

    if row.subscribes:
        assert inspect.iscoroutinefunction(getattr(opened.raw, row.subscribes[0]))
    assert opened.raw.number is str
    assert opened.raw.options.get("maxRetriesOnFailure", 0) == 0
    assert "nonce" in inspect.getsource(type(opened.raw).__mro__[2]) or hasattr(opened.raw, "nonce")


def test_requests_are_signed_with_the_exchanges_time() -> None:
    raw = open_exchange("binance").raw
    raw.options["timeDifference"] = 60_000

    assert abs(raw.nonce() - (raw.milliseconds() - 60_000)) < 1000


def test_the_version_is_the_one_that_was_measured() -> None:
    assert tuple(int(part) for part in ccxt.__version__.split(".")[:2]) == (4, 5)


def test_no_address_of_an_exchange_is_left_when_an_emulator_is_meant() -> None:
    def every(urls: Any) -> list[str]:
        if isinstance(urls, dict):
            return [address for url in urls.values() for address in every(url)]
        return [urls] if isinstance(urls, str) and "://" in urls else []

    for exchange in ccxt.pro.exchanges:
        raw = open_exchange(exchange, endpoint="http://127.0.0.1:9").raw
        found = every(raw.urls["api"])
        assert found, exchange
        assert [address for address in found if "//127.0.0.1:9" not in address] == [], exchange

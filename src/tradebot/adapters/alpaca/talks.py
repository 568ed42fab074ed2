"""Speak Alpaca's socket protocols with the library's own clients, one connection at a time.

Owns the use of the library's private parts (connecting, subscribing, the socket itself); a test fails when
they move. Refuses their endless loop.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgpack
from alpaca.data.live.crypto import CryptoDataStream
from alpaca.data.live.stock import StockDataStream
from alpaca.data.live.websocket import DataStream
from alpaca.trading.stream import TradingStream

from tradebot.adapters.alpaca.endpoint import Endpoint
from tradebot.adapters.alpaca.line import Crowded, Denied

# A dead peer is noticed after the ping, the wait for its pong, and no later. `**` replaces the library's own.
_SOCKET: Mapping[str, Any] = {
    "ping_interval": 10,
    "ping_timeout": 20,
    "max_queue": 1024,
    "open_timeout": 10,
    "close_timeout": 1,
}
_DENIED = {401, 402, 409, 405}
_CROWDED = {406, 404}


async def _nobody(message: object) -> None:
    """Handle nothing: messages are taken from the socket, not from the library's dispatch."""


class MarketTalk:
    """Market data of stocks or of crypto. `wanted` maps channels ("bars", "quotes", ...) to symbols."""

    def __init__(
        self, endpoint: Endpoint, key: str, secret: str, feed: str, wanted: Mapping[str, Sequence[str]]
    ) -> None:
        url = endpoint.stream_of(feed)
        kind: type[StockDataStream] | type[CryptoDataStream]
        kind = CryptoDataStream if feed == "crypto" else StockDataStream
        self._stream: DataStream = kind(
            key, secret, raw_data=True, url_override=url, websocket_params=dict(_SOCKET)
        )
        self._key, self._secret = key, secret
        for channel, symbols in wanted.items():
            self._stream._handlers[channel].update(dict.fromkeys(symbols, _nobody))
        self._wanted = wanted

    async def open(self) -> None:
        await self._stream._connect()
        # The library's own `_auth` drops the code that tells wrong keys from a taken place.
        await self._ws.send(msgpack.packb({"action": "auth", "key": self._key, "secret": self._secret}))
        answers = await self.hear()
        _check(answers)
        if not any(a.get("T") == "success" and a.get("msg") == "authenticated" for a in answers):
            raise ValueError(f"must be authenticated, was told {answers}")
        await self._stream._send_subscribe_msg()
        granted: Mapping[str, Any] | None = None
        while granted is None:
            answers = await self.hear()
            _check(answers)
            granted = next((a for a in answers if a.get("T") == "subscription"), None)
        missing = [s for c, wanted in self._wanted.items() for s in wanted if s not in (granted.get(c) or ())]
        if missing:
            raise Denied(f"the subscription must hold {', '.join(missing)}, which it does not")

    async def hear(self) -> list[Any]:
        found = msgpack.unpackb(await self._ws.recv())
        messages = found if isinstance(found, list) else [found]
        return [m for m in messages if isinstance(m, dict)]

    async def close(self) -> None:
        await self._stream.close()

    @property
    def _ws(self) -> Any:
        return self._stream._ws


class TradeTalk:
    """Trade updates of the account."""

    def __init__(self, endpoint: Endpoint, key: str, secret: str) -> None:
        self._stream = TradingStream(
            key, secret, raw_data=True, url_override=endpoint.trades, websocket_params=dict(_SOCKET)
        )
        self._stream.subscribe_trade_updates(_nobody)
        self._key, self._secret = key, secret

    async def open(self) -> None:
        await self._stream._connect()  # type: ignore[no-untyped-call]
        who = {"key_id": self._key, "secret_key": self._secret}
        await self._ws.send(json.dumps({"action": "authenticate", "data": who}))
        while True:
            status = self._status(await self._read(), "authorization")
            if status == "unauthorized":
                raise Denied("the keys are not accepted (unauthorized)")
            if status == "authorized":
                break
        await self._stream._subscribe_trade_updates()
        while self._status(await self._read(), "listening") is None:
            pass

    async def hear(self) -> list[Any]:
        message = await self._read()
        return [message] if isinstance(message, dict) else []

    async def close(self) -> None:
        await self._stream.close()

    async def _read(self) -> Any:
        return json.loads(await self._ws.recv())

    @staticmethod
    def _status(message: object, stream: str) -> str | None:
        if not isinstance(message, dict) or message.get("stream") != stream:
            return None
        inner = message.get("data")
        return str(inner.get("status", "")) if isinstance(inner, dict) else ""

    @property
    def _ws(self) -> Any:
        return self._stream._ws


def _check(answers: Sequence[Any]) -> None:
    """Raise what an error message of the market data socket means."""
    for answer in answers:
        if answer.get("T") != "error":
            continue
        code, words = answer.get("code"), f"{answer.get('msg')} ({answer.get('code')})"
        if code in _DENIED:
            raise Denied(words)
        if code in _CROWDED:
            raise Crowded(words)
        raise ValueError(words)

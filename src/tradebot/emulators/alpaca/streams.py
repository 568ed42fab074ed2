"""Speak Alpaca's sockets: market data (msgpack or JSON) and trade updates.

Owns handshakes, subscriptions and the shape of messages. What is broken on the way is `wire`'s.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgpack
from aiohttp import web

from tradebot.core.messages import (
    VenueAcked,
    VenueCanceled,
    VenueExpired,
    VenueFilled,
    VenueRefused,
    VenueReplaced,
    VenueReport,
)
from tradebot.core.model import MINUTE, SECOND, AssetClass, Bar, Quote
from tradebot.emulators.alpaca import shown
from tradebot.emulators.alpaca.access import Access
from tradebot.emulators.alpaca.shown import Json
from tradebot.emulators.alpaca.texts import id_of, plain, stamp
from tradebot.emulators.house import Happened, House, OrderState
from tradebot.emulators.wire import Socket, Wire

TRADES = "trade_updates"
_CHANNELS = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "orderbooks")
_ERRORS = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    409: "insufficient subscription",
    500: "internal error",
}
_EVENTS: dict[type[VenueReport], str] = {
    VenueAcked: "new",
    VenueCanceled: "canceled",
    VenueExpired: "expired",
    VenueRefused: "rejected",
    VenueReplaced: "replaced",
}
_BACKLOG = 5000  # messages after which a client is too slow


@dataclass(slots=True, kw_only=True)
class _Subscriber:
    socket: Socket
    is_packed: bool
    is_crypto: bool
    wants: dict[str, dict[str, None]] = field(default_factory=dict)

    def says(self, rows: list[Json]) -> None:
        if self.is_packed:
            self.socket.push(msgpack.packb(rows, datetime=False))
        else:
            self.socket.push(json.dumps(rows, default=_text_of_time))

    def follows(self, channel: str, symbol: str) -> bool:
        wanted = self.wants.get(channel, {})
        return symbol in wanted or "*" in wanted


class Streams:
    """All sockets of one face. `auth_s`: how long a client may take to say who it is."""

    def __init__(
        self,
        house: House,
        wire: Wire,
        access: Access,
        order_json: Callable[[OrderState], Json],
        *,
        auth_s: float = 10.0,
        symbol_limit: int | None = None,
        is_binary: bool = True,
    ) -> None:
        self._house = house
        self._wire = wire
        self._access = access
        self._order_json = order_json
        self._auth_s = auth_s
        self._symbol_limit = symbol_limit
        self._is_binary = is_binary
        self._followers: list[_Subscriber] = []
        self._listeners: list[Socket] = []
        house.watch(self.show)
        house.listen(self._tell)

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/stream", self.trades)
        for path in ("/v2/iex", "/v2/sip", "/v2/test", "/v1beta3/crypto/us"):
            app.router.add_get(path, self.data)

    # --- market data ------------------------------------------------------------------------------

    def show(self, item: Bar | Quote, *, is_correction: bool = False) -> None:
        """Send a minute bar or quote to whoever follows it; a correction as an updated bar."""
        if isinstance(item, Quote):
            row: Json = {
                "T": "q", "S": item.instrument, "bp": item.bid, "bs": item.bid_qty, "bx": "V",
                "ap": item.ask, "as": item.ask_qty, "ax": "V", "c": ["R"], "z": "C", "t": _time(item.ts),
            }  # fmt: skip
            self.send("quotes", row)
        elif item.interval == MINUTE:
            self.send("updatedBars" if is_correction else "bars", {
                "T": "u" if is_correction else "b", "S": item.instrument, "o": item.open, "h": item.high,
                "l": item.low, "c": item.close, "v": item.volume, "n": 1,
                "vw": (item.high + item.low) / 2, "t": _time(item.ts - item.interval),
            })  # fmt: skip

    def status(self, symbol: str, code: str, words: str) -> None:
        """Say what the exchange lets one do with a symbol ("T" resumed, "H" halted)."""
        now = _time(self._house.clock.now())
        row: Json = {"T": "s", "S": symbol, "sc": code, "sm": words, "rc": "", "rm": "", "z": "C", "t": now}
        self.send("statuses", row)

    def send(self, channel: str, row: Json) -> None:
        """Send a message to whoever follows its symbol on a channel."""
        symbol = str(row["S"])
        instrument = self._house.instruments.get(symbol)
        is_crypto = instrument is not None and instrument.asset_class is AssetClass.CRYPTO
        for follower in self._followers:
            if follower.is_crypto == is_crypto and follower.follows(channel, symbol):
                follower.says([row])
                if follower.socket.waiting > _BACKLOG:
                    follower.says([_error(407)])

    async def data(self, request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        is_packed = request.headers.get("Content-Type") == "application/msgpack"
        socket = self._wire.socket("data", response, request)
        me = _Subscriber(socket=socket, is_packed=is_packed, is_crypto="crypto" in request.path)
        me.says([{"T": "success", "msg": "connected"}])
        key: str | None = None
        try:
            async with _patience(socket, self._auth_s) as admitted:
                async for said in socket.messages():
                    words = _unpacked(said)
                    if words is None:
                        me.says([_error(400)])
                    elif words.get("action") == "auth" and key is not None:
                        me.says([_error(403)])
                    elif words.get("action") == "auth":
                        key = self._enter(me, request.path, words)
                        if key is None:
                            await socket.close()
                            break
                        admitted.set()
                    elif key is None:
                        me.says([_error(401)])
                    else:
                        self._subscribe(me, words)
        finally:
            self._wire.gone(socket)
            if me in self._followers:
                self._followers.remove(me)
            if key is not None:
                self._access.leave(request.path, key, in_order=response.close_code in (1000, 1001))
        return response

    def _enter(self, me: _Subscriber, door: str, words: dict[str, object]) -> str | None:
        key = words.get("key")
        if not self._access.is_known(key, words.get("secret")):
            me.says([_error(402)])
            return None
        if not self._access.enter(door, str(key)):
            me.says([_error(406)])
            return None
        me.says([{"T": "success", "msg": "authenticated"}])
        self._followers.append(me)
        return str(key)

    def _subscribe(self, me: _Subscriber, words: dict[str, object]) -> None:
        action = words.get("action")
        if action not in ("subscribe", "unsubscribe"):
            me.says([_error(400)])
            return
        wants = {channel: dict(symbols) for channel, symbols in me.wants.items()}
        for channel in _CHANNELS:
            symbols = words.get(channel)
            for symbol in symbols if isinstance(symbols, list) else ():
                if action == "subscribe":
                    wants.setdefault(channel, {})[str(symbol)] = None
                else:
                    wants.get(channel, {}).pop(str(symbol), None)
        if self._symbol_limit is not None and sum(map(len, wants.values())) > self._symbol_limit:
            me.says([_error(405)])
            return
        me.wants = wants
        me.says([{"T": "subscription", **{c: list(wants.get(c, {})) for c in _CHANNELS}}])

    # --- trade updates ----------------------------------------------------------------------------

    async def trades(self, request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        socket = self._wire.socket(TRADES, response, request)
        key: str | None = None
        try:
            async for said in socket.messages():
                words = _unpacked(said) or {}
                inner = words.get("data")
                inner = inner if isinstance(inner, dict) else {}
                action = words.get("action")
                if action == "authenticate" and key is None:
                    known = self._access.is_known(inner.get("key_id"), inner.get("secret_key"))
                    key = str(inner.get("key_id")) if known else None
                    status = "authorized" if known else "unauthorized"
                    self._say(socket, "authorization", {"status": status, "action": "authenticate"})
                elif key is None:
                    self._say(socket, "authorization", {"status": "unauthorized", "action": str(action)})
                elif action == "listen":
                    wanted = inner.get("streams")
                    streams = [TRADES] if isinstance(wanted, list) and TRADES in wanted else []
                    if streams and socket not in self._listeners:
                        self._listeners.append(socket)
                    self._say(socket, "listening", {"streams": streams})
        finally:
            self._wire.gone(socket)
            if socket in self._listeners:
                self._listeners.remove(socket)
        return response

    def _say(self, socket: Socket, stream: str, inner: Json) -> None:
        text = json.dumps({"stream": stream, "data": inner})
        socket.push(text.encode() if self._is_binary else text)

    def _tell(self, happened: Happened) -> None:
        row = self._update(happened)
        if row is not None:
            for socket in self._listeners:
                self._say(socket, TRADES, row)

    def _update(self, happened: Happened) -> Json | None:
        report, state = happened.report, happened.state
        row: Json = {"order": self._order_json(state), "timestamp": stamp(report.ts)}
        if isinstance(report, VenueFilled):
            leaves = state.order.qty - state.filled_qty
            return row | {
                "event": "partial_fill" if leaves else "fill",
                "execution_id": id_of("execution", report.fill.fill_id),
                "price": plain(report.fill.price),
                "qty": plain(report.fill.qty),
                "position_qty": plain(happened.position),
            }
        event = _EVENTS.get(type(report))
        if event is None:
            return None
        instrument = self._house.instruments[state.order.instrument]
        if event == "new" and not shown.is_open(self._house, instrument):
            event = "accepted"
        return row | {"event": event, "execution_id": id_of("event", happened.seq)}


@asynccontextmanager
async def _patience(socket: Socket, seconds: float) -> AsyncIterator[asyncio.Event]:
    """Close a socket whose client is not admitted (the yielded event) within `seconds`."""
    admitted = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.wait_for(admitted.wait(), seconds)
        except TimeoutError:
            socket.push(json.dumps([_error(404)]))
            await socket.close()

    watching = asyncio.get_running_loop().create_task(wait())
    try:
        yield admitted
    finally:
        watching.cancel()


def _error(code: int) -> Json:
    return {"T": "error", "code": code, "msg": _ERRORS[code]}


def _unpacked(said: str | bytes) -> dict[str, object] | None:
    try:
        words = json.loads(said) if isinstance(said, str) or said[:1] == b"{" else msgpack.unpackb(said)
    except (ValueError, msgpack.exceptions.UnpackException):
        return None
    return words if isinstance(words, dict) else None


def _time(ts: int) -> msgpack.Timestamp:
    return msgpack.Timestamp(*divmod(ts, SECOND))


def _text_of_time(value: object) -> str:
    if isinstance(value, msgpack.Timestamp):
        return stamp(value.seconds * SECOND + value.nanoseconds)
    raise TypeError(f"cannot be JSON: {type(value).__name__}")

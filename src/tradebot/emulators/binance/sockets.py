"""Speak on Binance's WebSockets: market streams, and the user stream over the WebSocket API.

Owns who is subscribed to what and what each event looks like. Sockets and their faults are `wire`'s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tradebot.core.messages import VenueFilled
from tradebot.core.model import Bar, Quote
from tradebot.emulators.binance import words
from tradebot.emulators.binance.access import Access
from tradebot.emulators.binance.candles import INTERVALS, event
from tradebot.emulators.binance.desk import Desk
from tradebot.emulators.binance.refusal import Refusal
from tradebot.emulators.binance.words import MS, Json
from tradebot.emulators.house import Happened
from tradebot.emulators.wire import Socket, Wire

MARKET, USER = "market", "user"
_HEARTBEAT_S = 20.0


class Sockets:
    """Both kinds of sockets of one face. `book_ids` counts the changes of each symbol's book."""

    def __init__(self, desk: Desk, access: Access, wire: Wire) -> None:
        self._desk = desk
        self._access = access
        self._wire = wire
        self._clock = desk.house.clock
        self.book_ids = dict.fromkeys(desk.symbols, 1)
        self._levels: dict[str, tuple[float, float]] = {}
        self._streams: dict[Socket, dict[str, None]] = {}
        self._is_wrapped: dict[Socket, bool] = {}
        self._users: dict[Socket, int] = {}  # sockets with the user stream, by subscription
        self._trade_no = 0
        desk.house.listen(self._happened)
        desk.house.watch(self._moved)

    def add_to(self, app: web.Application) -> None:
        """Add both doors to an application."""
        for path in ("/ws", "/ws/{streams:.*}", "/stream", "/stream/ws", "/stream/ws/{n}"):
            app.router.add_get(path, self._market)
        app.router.add_get("/ws-api/v3", self._user)

    # --- ordered by tests and owners ----------------------------------------------------------------------

    def terminate(self) -> None:
        """End the user streams as a venue does when keys change; the connections stay up, and silent."""
        for socket in list(self._users):
            self._tell_user(socket, {"e": "eventStreamTerminated", "E": self._now()})
            del self._users[socket]

    def shut_down(self) -> None:
        """Announce on every socket that the server will be gone; who wants to lose nothing dials anew."""
        for socket in self._wire.on(MARKET):
            self._send(socket, {"e": "serverShutdown", "E": self._now()})
        for socket in self._wire.on(USER):
            self._tell_user(socket, {"e": "serverShutdown", "E": self._now()})

    # --- market streams -------------------------------------------------------------------------------

    async def _market(self, request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse(heartbeat=_HEARTBEAT_S)
        await response.prepare(request)
        socket = self._wire.socket(MARKET, response, request)
        named = request.query.get("streams", request.match_info.get("streams", ""))
        self._streams[socket] = dict.fromkeys(name for name in named.split("/") if name)
        self._is_wrapped[socket] = request.path == "/stream"
        try:
            async for said in socket.messages():
                self._send(socket, self._subscribed(socket, said), is_answer=True)
        finally:
            self._wire.gone(socket)
            self._streams.pop(socket, None)
            self._is_wrapped.pop(socket, None)
        return response

    def _subscribed(self, socket: Socket, said: str | bytes) -> Json:
        try:
            asked = json.loads(said)
            method, names, number = asked["method"], asked.get("params", []), asked.get("id")
        except (ValueError, KeyError, TypeError, AttributeError):
            return {"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}}
        streams = self._streams[socket]
        if method == "SUBSCRIBE":
            if bad := [name for name in names if not self._exists(str(name))]:
                return {
                    "error": {"code": 2, "msg": f"Invalid request: unknown stream {bad[0]}"},
                    "id": number,
                }
            streams.update(dict.fromkeys(map(str, names)))
        elif method == "UNSUBSCRIBE":
            for name in names:
                streams.pop(str(name), None)
        elif method == "LIST_SUBSCRIPTIONS":
            return {"result": list(streams), "id": number}
        else:
            return {"error": {"code": 2, "msg": f"Invalid request: unknown variant {method}"}, "id": number}
        return {"result": None, "id": number}

    def _exists(self, stream: str) -> bool:
        symbol, _, kind = stream.partition("@")
        kinds = {"trade", "aggTrade", "bookTicker", "depth", "depth@100ms", "ticker", "miniTicker"}
        kinds |= {f"kline_{name}" for name in INTERVALS}
        return symbol.upper() in self._desk.symbols and kind in kinds

    def _moved(self, item: Bar | Quote) -> None:
        symbol = self._desk.id_of(item.instrument)
        wanted = {stream for streams in self._streams.values() for stream in streams}
        told: list[tuple[str, Json]] = []
        if isinstance(item, Bar):
            told.append((f"{symbol.lower()}@trade", self._trade(symbol, item)))
        else:
            told.append((f"{symbol.lower()}@bookTicker", self._best(symbol, item)))
            told += [(f"{symbol.lower()}@{kind}", found) for kind, found in self._book(symbol, item).items()]
        for name, interval in INTERVALS.items():
            stream = f"{symbol.lower()}@kline_{name}"
            candles = self._desk.candles[item.instrument].of(interval) if stream in wanted else []
            if candles:
                k = event(candles[-1], symbol, name)
                told.append((stream, {"e": "kline", "E": self._now(), "s": symbol, "k": k}))
        for socket, streams in list(self._streams.items()):
            for stream, found in told:
                if stream in streams:
                    self._send(socket, found, stream)

    def _trade(self, symbol: str, bar: Bar) -> Json:
        self._trade_no += 1
        price, qty = f"{bar.close:.8f}", f"{bar.volume:.8f}"
        return {
            "e": "trade", "E": self._now(), "s": symbol, "t": self._trade_no, "p": price, "q": qty,
            "T": bar.ts // MS, "m": False, "M": True,
        }  # fmt: skip

    def _best(self, symbol: str, quote: Quote) -> Json:
        self.book_ids[symbol] += 1
        return {
            "u": self.book_ids[symbol], "s": symbol, "b": f"{quote.bid:.8f}", "B": f"{quote.bid_qty:.8f}",
            "a": f"{quote.ask:.8f}", "A": f"{quote.ask_qty:.8f}",
        }  # fmt: skip

    def _book(self, symbol: str, quote: Quote) -> dict[str, Json]:
        old = self._levels.get(symbol)
        self._levels[symbol] = (quote.bid, quote.ask)
        sides: list[list[list[str]]] = []
        for i, (price, qty) in enumerate(((quote.bid, quote.bid_qty), (quote.ask, quote.ask_qty))):
            gone = [[f"{old[i]:.8f}", "0.00000000"]] if old is not None and old[i] != price else []
            sides.append([*gone, [f"{price:.8f}", f"{qty:.8f}"]])
        number = self.book_ids[symbol]
        found: Json = {
            "e": "depthUpdate", "E": self._now(), "s": symbol, "U": number, "u": number, "b": sides[0], "a": sides[1],
        }  # fmt: skip
        return {"depth": found, "depth@100ms": found}

    # --- the user stream ------------------------------------------------------------------------------

    async def _user(self, request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse(heartbeat=_HEARTBEAT_S)
        await response.prepare(request)
        socket = self._wire.socket(USER, response, request)
        try:
            async for said in socket.messages():
                socket.push(json.dumps(self._asked(socket, said)))
        finally:
            self._wire.gone(socket)
            self._users.pop(socket, None)
        return response

    def _asked(self, socket: Socket, said: str | bytes) -> Json:
        number: object = None
        try:
            asked: Mapping[str, Any] = json.loads(said)
            number, method = asked.get("id"), asked["method"]
            result = self._done(socket, str(method), asked.get("params") or {})
        except Refusal as exc:
            return {"id": number, "status": exc.status, "error": exc.body(), "rateLimits": []}
        except (ValueError, KeyError, TypeError, AttributeError):
            return {"id": number, "status": 400, "error": {"code": -1000, "msg": "Invalid request."}}
        return {"id": number, "status": 200, "result": result, "rateLimits": []}

    def _done(self, socket: Socket, method: str, params: Mapping[str, object]) -> Json:
        if method == "ping":
            return {}
        if method == "time":
            return {"serverTime": self._now()}
        if method == "userDataStream.subscribe.signature":
            self._access.signed_words(params)
            if socket in self._users:
                raise Refusal(-2035, "User Data Stream is already subscribed on this connection.")
            self._users[socket] = 0
            return {"subscriptionId": 0}
        if method == "userDataStream.unsubscribe":
            self._users.pop(socket, None)
            return {}
        raise Refusal(-1000, f"Unknown method {method}.")

    def _happened(self, happened: Happened) -> None:
        if not self._users or not words.is_told(happened):
            return
        symbol = self._desk.id_of(happened.state.order.instrument)
        cancel_id = self._desk.cancel_ids.get(happened.state.number, "")
        trade_id = self._desk.trade_id(happened)
        report = words.report_json(happened, symbol, trade_id, cancel_id, self._clock.shown())
        for socket in self._users:
            self._tell_user(socket, report)
            if isinstance(happened.report, VenueFilled):
                self._tell_user(socket, self._position(happened))

    def _position(self, happened: Happened) -> Json:
        inst = self._desk.house.instruments[happened.state.order.instrument]
        total, locked = self._desk.totals(), self._desk.locked()
        balances = words.balances_json({a: total.get(a, words.ZERO) for a in (inst.base, inst.quote)}, locked)
        rows = [{"a": b["asset"], "f": b["free"], "l": b["locked"]} for b in balances]
        now = self._now()
        return {"e": "outboundAccountPosition", "E": now, "u": now, "B": rows}

    # --- out ------------------------------------------------------------------------------------------

    def _tell_user(self, socket: Socket, found: Json) -> None:
        number = self._users.get(socket, 0)
        socket.push(json.dumps({"subscriptionId": number, "event": found}))

    def _send(self, socket: Socket, found: Json, stream: str = "", *, is_answer: bool = False) -> None:
        if stream and self._is_wrapped.get(socket) and not is_answer:
            found = {"stream": stream, "data": found}
        socket.push(json.dumps(found))

    def _now(self) -> int:
        return self._clock.shown() // MS

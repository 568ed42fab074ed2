"""Bring an emulated venue's words over HTTP and WebSockets, whole or broken as was ordered.

Owns sockets (queues, faults, closing) and the middleware that breaks HTTP answers. Refuses meaning:
what is said is a face's business.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from enum import Enum
from typing import NamedTuple

from aiohttp import ClientConnectionResetError, WSMsgType, web
from aiohttp.typedefs import Handler, Middleware

from tradebot.emulators.faults import Fault, FaultKind, Faults

Payload = str | bytes

_PAGE = "<html><head><title>Please wait</title></head><body>We will be right back.</body></html>"
_KEPT = 10_000  # requests remembered


class Request(NamedTuple):
    """One request as it came. `fault` is the kind of fault it met, "" for none."""

    method: str
    path: str
    fault: str


class SocketFault(Enum):
    """What goes wrong with a socket from now on, or with the next messages that go out on it.

    MUTE swallows what is sent; HALF_OPEN reads nothing either and answers no ping; DROP cuts it without
    a closing word. LOSE, DUPLICATE and REORDER concern the next `count` messages (REORDER sends them
    backwards); DELAY holds every message for `seconds`. HEAL ends MUTE, HALF_OPEN and DELAY.
    """

    MUTE = "mute"
    HALF_OPEN = "half_open"
    DROP = "drop"
    CLOSE = "close"
    LOSE = "lose"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    DELAY = "delay"
    HEAL = "heal"


class Socket:
    """One client's socket: what is pushed goes out in order, by a task of its own."""

    def __init__(self, channel: str, response: web.WebSocketResponse, request: web.Request) -> None:
        self.channel = channel
        self.sent = 0
        self._response = response
        self._transport = request.transport
        self._queue: asyncio.Queue[Payload] = asyncio.Queue()
        self._is_mute = False
        self._flows = asyncio.Event()
        self._flows.set()
        self._delay = 0.0
        self._lose = self._twice = self._backwards = 0
        self._held: list[Payload] = []

    @property
    def waiting(self) -> int:
        """How many messages have not gone out: a slow client's backlog."""
        return self._queue.qsize()

    def push(self, payload: Payload) -> None:
        """Send a message when its turn comes."""
        if self._lose:
            self._lose -= 1
        elif self._backwards:
            self._held.insert(0, payload)
            self._backwards -= 1
            if not self._backwards:
                for held in self._held:
                    self._queue.put_nowait(held)
                self._held.clear()
        else:
            self._queue.put_nowait(payload)
            if self._twice:
                self._twice -= 1
                self._queue.put_nowait(payload)

    async def suffer(
        self, fault: SocketFault, *, count: int = 1, seconds: float = 0.0, code: int = 1001
    ) -> None:
        """Let `fault` happen."""
        if fault is SocketFault.MUTE:
            self._is_mute = True
        elif fault is SocketFault.HALF_OPEN:
            self._is_mute = True
            self._flows.clear()
        elif fault is SocketFault.DROP:
            if self._transport is not None:
                self._transport.abort()
        elif fault is SocketFault.CLOSE:
            await self._response.close(code=code)
        elif fault is SocketFault.LOSE:
            self._lose = count
        elif fault is SocketFault.DUPLICATE:
            self._twice = count
        elif fault is SocketFault.REORDER:
            self._backwards = count
        elif fault is SocketFault.DELAY:
            self._delay = seconds
        else:
            self._is_mute, self._delay = False, 0.0
            self._flows.set()

    async def close(self, code: int = 1000) -> None:
        """Close it in order, after what was pushed before."""
        while self._queue.qsize():
            await asyncio.sleep(0)
        await self._response.close(code=code)

    async def messages(self) -> AsyncIterator[Payload]:
        """Yield what the client sends until it goes."""
        writer = asyncio.get_running_loop().create_task(self._write())
        try:
            while True:
                await self._flows.wait()
                message = await self._response.receive()
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    yield message.data
                elif message.type is not WSMsgType.PONG and message.type is not WSMsgType.PING:
                    return
        finally:
            writer.cancel()
            self._flows.set()

    async def _write(self) -> None:
        while True:
            payload = await self._queue.get()
            if self._delay:
                await asyncio.sleep(self._delay)
            if self._is_mute:
                continue
            try:
                if isinstance(payload, str):
                    await self._response.send_str(payload)
                else:
                    await self._response.send_bytes(payload)
            except (ClientConnectionResetError, ConnectionError):
                return  # the reader sees it too, and ends the socket
            self.sent += 1


class Wire:
    """Everything between the clients and one face."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.requests: deque[Request] = deque(maxlen=_KEPT)
        self.by_method: Counter[str] = Counter()
        self.sockets: list[Socket] = []
        self._ends = asyncio.Event()

    def socket(self, channel: str, response: web.WebSocketResponse, request: web.Request) -> Socket:
        """Take up a client's socket; `gone` lets go of it."""
        found = Socket(channel, response, request)
        self.sockets.append(found)
        return found

    def gone(self, socket: Socket) -> None:
        if socket in self.sockets:
            self.sockets.remove(socket)

    def on(self, channel: str) -> tuple[Socket, ...]:
        """Return the sockets of a channel, oldest first; of all for "*"."""
        return tuple(s for s in self.sockets if channel in ("*", s.channel))

    async def end(self) -> None:
        """Let go of everything that hangs or listens."""
        self._ends.set()
        for socket in self.on("*"):
            await socket.suffer(SocketFault.HEAL)
            await socket.suffer(SocketFault.DROP)

    @property
    def middleware(self) -> Middleware:
        """Return the middleware that counts requests and breaks the ordered ones."""

        @web.middleware
        async def broken(request: web.Request, handler: Handler) -> web.StreamResponse:
            fault = self.faults.take(request.method, request.path)
            self.by_method[request.method] += 1
            self.requests.append(
                Request(request.method, request.path, "" if fault is None else fault.kind.value)
            )
            if fault is None:
                return await handler(request)
            return await self._break(fault, request, handler)

        return broken

    async def _break(self, fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
        kind = fault.kind
        if kind is FaultKind.DELAY and not fault.after:
            await asyncio.sleep(fault.seconds)
            return await handler(request)
        done = await handler(request) if fault.after else None
        if kind is FaultKind.DELAY:
            await asyncio.sleep(fault.seconds)
        elif kind is FaultKind.DROP:
            _cut(request)
        elif kind is FaultKind.HANG:
            await self._ends.wait()
            _cut(request)
        elif kind is FaultKind.STATUS:
            is_json = fault.body.lstrip().startswith(("{", "["))
            return web.Response(
                status=fault.status,
                text=fault.body,
                content_type="application/json" if is_json else "text/html",
                headers=dict(fault.headers),
            )
        elif kind is FaultKind.HTML:
            return web.Response(text=fault.body or _PAGE, content_type="text/html")
        elif kind is FaultKind.TRUNCATE:
            return await _truncated(request, done)
        return done if done is not None else web.Response(status=500)


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _truncated(request: web.Request, done: web.StreamResponse | None) -> web.StreamResponse:
    body = done.body if isinstance(done, web.Response) and isinstance(done.body, bytes) else b"{}"
    short = web.StreamResponse(status=200 if done is None else done.status)
    short.content_type = "application/json"
    short.content_length = len(body)
    await short.prepare(request)
    await short.write(body[: len(body) // 2])
    _cut(request)
    return short

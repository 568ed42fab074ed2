"""Listen for the owner: HTTP on a unix socket that only the daemon's own user, and root, may use.

Owns the socket, who may speak on it, how many, how much and how long. Refuses to know any verb: what is
asked goes to `control_verbs`. Whatever comes in, the loop behind it goes on.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import structlog
from aiohttp import web

from tradebot.daemon import places
from tradebot.daemon.control_words import Answer, Asked, refusal
from tradebot.errors import TradebotError, UsageError

_BACKLOG = 32
_UCRED = "3i"  # struct ucred: pid, uid, gid


class Peer(NamedTuple):
    """The process at the other end, as the kernel knows it."""

    pid: int
    uid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a client may take; seconds of the event loop. `look_every`: whether the socket is still there."""

    clients: int = 16
    body: int = 16_384
    ask_within: float = 2.0
    answer_within: float = 30.0
    look_every: float = 5.0


class ControlServer:
    """The socket of one daemon. Open it with the lock of the state folder held: an old socket is removed."""

    def __init__(
        self,
        path: Path,
        answer: Callable[[Asked], Awaitable[Answer]],
        *,
        bounds: Bounds = Bounds(),
        allowed: frozenset[int] | None = None,
        hide: Callable[[str], str] = str,
    ) -> None:
        """`allowed` are the user ids that may speak: this process's own and root's if None.

        `hide` takes secrets out of what is said of an error.
        """
        self.path = path
        self._answer = answer
        self._hide = hide
        self._bounds = bounds
        self._allowed = frozenset((os.geteuid(), 0)) if allowed is None else allowed
        self._log = structlog.get_logger("tradebot.control")
        # Noise of broken requests is of no interest; a bug of ours is, and is logged as an error.
        quiet = logging.getLogger("tradebot.control.http")
        self._server = web.Server(
            self._serve, access_log=None, logger=quiet, keepalive_timeout=0, lingering_time=0
        )
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._waiting: dict[asyncio.Transport, asyncio.TimerHandle] = {}  # have asked nothing yet
        self._open: list[asyncio.Transport] = []
        self._refusing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._listen()
        self._keeping = asyncio.get_running_loop().create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = {*self._refusing, *(one for one in (self._keeping, self._accepting) if one is not None)}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._socket is not None:
            self.path.unlink(missing_ok=True)
            self._socket.close()
        await self._server.shutdown(1.0)
        for timer in self._waiting.values():
            timer.cancel()

    # --- connections --------------------------------------------------------------------------------

    def _listen(self) -> None:
        self._socket = _bound(self.path)
        self._accepting = asyncio.get_running_loop().create_task(self._accept(self._socket))

    async def _keep(self) -> None:
        """Make the socket's file again when somebody removed it: nobody could say halt without."""
        while True:
            await asyncio.sleep(self._bounds.look_every)
            if self.path.exists():
                continue
            self._log.warning("control_socket_gone", path=str(self.path))
            before, accepting = self._socket, self._accepting
            try:
                self._listen()
            except OSError as exc:  # its folder is gone, too: look again
                self._log.warning("control_not_bound", reason=exc.strerror)
                continue
            if accepting is not None:
                accepting.cancel()
                await asyncio.wait({accepting})
            if before is not None:
                before.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as exc:  # gone before it was taken, or no descriptor left
                self._log.warning("control_accept_failed", reason=exc.strerror)
                await asyncio.sleep(0.05)
                continue
            connection.setblocking(False)
            peer = _peer(connection)
            self._open = [t for t in self._open if not t.is_closing()]
            if peer.uid not in self._allowed:
                self._log.warning("control_refused", uid=peer.uid, pid=peer.pid)
                self._refuse(
                    connection, 403, "PermissionRefused", "only the daemon's own user and root may ask"
                )
            elif len(self._open) >= self._bounds.clients:
                self._refuse(connection, 503, "Busy", f"at most {self._bounds.clients} may ask at a time")
            else:
                await self._let_in(connection)

    def _refuse(self, connection: socket.socket, status: int, kind: str, message: str) -> None:
        if len(self._refusing) >= _BACKLOG:
            connection.close()
            return
        task = asyncio.get_running_loop().create_task(_turn_away(connection, status, kind, message))
        self._refusing.add(task)
        task.add_done_callback(self._refusing.discard)

    async def _let_in(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(self._server, connection)
        except OSError:
            connection.close()
            return
        assert isinstance(transport, asyncio.Transport)
        self._open.append(transport)
        self._waiting[transport] = loop.call_later(self._bounds.ask_within, self._too_late, transport)

    def _too_late(self, transport: asyncio.Transport) -> None:
        self._waiting.pop(transport, None)
        transport.abort()

    # --- requests -----------------------------------------------------------------------------------

    async def _serve(self, request: web.BaseRequest) -> web.Response:
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        peer = _peer(transport.get_extra_info("socket"))
        try:
            asked = await self._asked(request)
            timer = self._waiting.pop(transport, None)
            if timer is not None:
                timer.cancel()
            if asked.method != "GET":
                self._log.info(
                    "control_asked", verb=asked.verb, uid=peer.uid, pid=peer.pid, body=str(asked.body)
                )
            async with asyncio.timeout(self._bounds.answer_within):
                answer = await self._answer(asked)
        except TimeoutError:
            answer = refusal(504, "Busy", f"no answer within {self._bounds.answer_within:g} s")
        except TradebotError as exc:
            answer = refusal(400, type(exc).__name__, self._hide(str(exc)))
        response = web.Response(
            status=answer.status,
            body=json.dumps(answer.body, allow_nan=False).encode(),
            content_type="application/json",
        )
        response.force_close()
        return response

    async def _asked(self, request: web.BaseRequest) -> Asked:
        limit = self._bounds.body
        if (request.content_length or 0) > limit:
            raise UsageError(
                f"a body must have at most {limit} bytes, was said to have {request.content_length}"
            )
        body = b""
        while chunk := await request.content.read(limit + 1 - len(body)):
            body += chunk
            if len(body) > limit:
                raise UsageError(f"a body must have at most {limit} bytes, has more")
        return Asked(
            method=request.method,
            path=request.path,
            query=dict(request.query),
            body=_object(body),
            key=request.headers.get("Idempotency-Key", ""),
        )


def _object(body: bytes) -> Mapping[str, Any]:
    if not body:
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise UsageError("a body must be a JSON object in UTF-8, is not") from exc
    if not isinstance(found, dict):
        raise UsageError(f"a body must be a JSON object, was a {type(found).__name__}")
    return found


def _bound(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listening.setblocking(False)
    # Born private: between a bind and a chmod anybody could connect.
    before = os.umask(0o177)
    try:
        with places.address(path) as address:
            listening.bind(address)
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(before)
    listening.listen(_BACKLOG)
    return listening


def _peer(connection: socket.socket) -> Peer:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(_UCRED))
    pid, uid, _ = struct.unpack(_UCRED, raw)
    return Peer(pid, uid)


async def _turn_away(connection: socket.socket, status: int, kind: str, message: str) -> None:
    """Say no, and take in what was asked meanwhile: a socket closed on unread bytes takes the answer back."""
    body = json.dumps(refusal(status, kind, message).body).encode()
    head = f"HTTP/1.1 {status} Refused\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    loop = asyncio.get_running_loop()
    with connection:
        try:
            async with asyncio.timeout(1.0):
                await loop.sock_sendall(connection, head.encode() + b"Connection: close\r\n\r\n" + body)
                connection.shutdown(socket.SHUT_WR)
                while await loop.sock_recv(connection, 4096):
                    pass
        except (OSError, TimeoutError):
            return  # it is gone, or takes its time

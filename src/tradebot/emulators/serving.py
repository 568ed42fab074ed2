"""Serve an emulated venue: its face on one port, the admin port on another, both on loopback.

Owns the listening and the ending. Refuses every address but 127.0.0.1: a venue without real money must
not be found by mistake.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from tradebot.emulators.admin import admin_app
from tradebot.emulators.house import House
from tradebot.emulators.wire import Wire

HOST = "127.0.0.1"
_BEAT = 0.05  # seconds between two looks at what time alone brings


class Face(Protocol):
    """A venue's protocol over one house."""

    house: House
    wire: Wire

    def app(self) -> web.Application:
        """Return the application; `Wire.middleware` is its first middleware."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Where a face and its admin port can be reached."""

    port: int
    admin_port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://{HOST}:{self.port}"

    @property
    def admin(self) -> str:
        return f"http://{HOST}:{self.admin_port}"


@asynccontextmanager
async def serve(face: Face, *, port: int = 0, admin_port: int = 0) -> AsyncIterator[Served]:
    """Listen until left. Port 0 takes a free one.

    Raises OSError when a port is taken.
    """
    runners: list[web.AppRunner] = []
    beat = asyncio.get_running_loop().create_task(_pass_time(face.house))
    try:
        ports = [
            await _listen(runners, app, wanted)
            for app, wanted in ((face.app(), port), (admin_app(face.house, face.wire), admin_port))
        ]
        yield Served(port=ports[0], admin_port=ports[1])
    finally:
        beat.cancel()
        await face.wire.end()
        for runner in runners:
            await runner.cleanup()


async def _listen(runners: list[web.AppRunner], app: web.Application, port: int) -> int:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    runners.append(runner)
    await runner.setup()
    site = web.TCPSite(runner, HOST, port)
    await site.start()
    return int(runner.addresses[0][1])


async def _pass_time(house: House) -> None:
    while True:
        await asyncio.sleep(_BEAT)
        house.pass_time()

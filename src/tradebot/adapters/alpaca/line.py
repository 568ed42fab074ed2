"""Keep one of Alpaca's sockets up, in a thread of its own, and hand over what it says.

Owns dialling, pauses between dials, silence and the end. The library's own loop is not used: it goes on
for ever on wrong keys, notices no mute socket and tells nobody that it was gone. Refuses to read meaning.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from websockets.exceptions import WebSocketException
from websockets.legacy.exceptions import InvalidStatusCode

from tradebot.errors import VenueError


class Denied(VenueError):
    """The keys, or what was asked for, are not accepted: dialling again changes nothing."""


class Crowded(VenueError):
    """The place is taken (often by our own session that was cut), or it was dialled too often."""


class Talk(Protocol):
    """One kind of socket."""

    async def open(self) -> None:
        """Connect, say who we are, subscribe. Raises Denied, Crowded, or what the library raises."""

    async def hear(self) -> list[Any]:
        """Wait for the next messages."""

    async def close(self) -> None:
        """Close it, whatever state it is in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """Seconds. The first pause, how it grows, the longest one; `crowded` where the place was taken.

    `open_within`: an attempt to connect takes no longer. `silent`: a socket that says nothing for so long is
    dialled anew, each time without effect twice as long later; None never.
    """

    first: float = 0.5
    factor: float = 2.0
    longest: float = 30.0
    crowded: float = 10.0
    open_within: float = 15.0
    silent: float | None = None
    longest_silent: float = 1800.0


PATIENT = Pauses()


class Events(Protocol):
    """Who is told, always in the event loop that called `Line.run`."""

    def up(self) -> None: ...

    def down(self, reason: str) -> None: ...

    def denied(self, reason: str) -> None: ...

    def said(self, messages: list[Any]) -> None: ...


class Line:
    """One socket and its thread."""

    def __init__(self, name: str, talk: Callable[[], Talk], pauses: Pauses = PATIENT) -> None:
        """`talk` is called in the line's own thread, for every connection anew."""
        self.name = name
        self._talk = talk
        self._pauses = pauses
        self._again: Callable[[], object] = lambda: None
        self.dials = 0

    async def run(self, events: Events) -> None:
        """Keep it up until cancelled; returns only when it was denied."""
        outer = asyncio.get_running_loop()
        is_over = asyncio.Event()
        failure: list[BaseException] = []
        inner = asyncio.new_event_loop()
        task = inner.create_task(self._keep_up(outer, events))

        def work() -> None:
            try:
                inner.run_until_complete(task)
            except asyncio.CancelledError:
                pass
            except BaseException as exc:
                failure.append(exc)
            finally:
                inner.close()
                if not outer.is_closed():
                    outer.call_soon_threadsafe(is_over.set)

        thread = threading.Thread(target=work, name=f"alpaca-{self.name}", daemon=True)
        thread.start()
        try:
            await is_over.wait()
        finally:
            await _ended(is_over, lambda: inner.call_soon_threadsafe(task.cancel))
            if is_over.is_set():
                thread.join()
        if failure:
            raise failure[0]

    def redial(self, reason: str) -> None:
        """Cut the connection and dial anew, from any thread."""
        self._again()

    async def _keep_up(self, outer: asyncio.AbstractEventLoop, events: Events) -> None:
        pauses, pause, silent = self._pauses, self._pauses.first, self._pauses.silent
        is_down = False
        while True:
            talk, wait, reason = self._talk(), 0.0, ""
            heard = False
            self.dials += 1
            try:
                async with asyncio.timeout(pauses.open_within):
                    await talk.open()
                outer.call_soon_threadsafe(events.up)
                is_down = False
                while True:
                    messages = await self._next(talk, silent)
                    heard, pause, silent = True, pauses.first, pauses.silent
                    outer.call_soon_threadsafe(events.said, messages)
            except Denied as exc:
                outer.call_soon_threadsafe(events.denied, str(exc))
                return
            except Crowded as exc:
                wait, reason = max(pauses.crowded, pause), str(exc)
            except _Quiet as exc:
                reason = str(exc)
                if silent is not None and not heard:
                    silent = min(silent * 2, pauses.longest_silent)
            except InvalidStatusCode as exc:
                if exc.status_code in (401, 403):
                    outer.call_soon_threadsafe(events.denied, f"the handshake was answered {exc.status_code}")
                    return
                reason = f"the handshake was answered {exc.status_code}"
                wait = pauses.crowded if exc.status_code == 429 else 0.0
            except (WebSocketException, OSError, TimeoutError, ValueError, EOFError) as exc:
                reason = f"{type(exc).__name__}: {exc}"
            finally:
                await _closed(talk)
            if not is_down:
                outer.call_soon_threadsafe(events.down, reason)
                is_down = True
            await asyncio.sleep(max(wait, pause))
            pause = min(pause * pauses.factor, pauses.longest)

    async def _next(self, talk: Talk, silent: float | None) -> list[Any]:
        """Wait for messages, or for the word to dial anew."""
        loop = asyncio.get_running_loop()
        again = loop.create_future()

        def cut() -> None:
            if not again.done():
                again.set_result(None)

        self._again = lambda: loop.call_soon_threadsafe(cut)
        hearing = loop.create_task(talk.hear())
        try:
            await asyncio.wait({hearing, again}, timeout=silent, return_when=asyncio.FIRST_COMPLETED)
            if hearing.done():
                return hearing.result()
            raise _Quiet("it has gone deaf" if again.done() else f"nothing was said for {silent:g} s")
        finally:
            self._again = lambda: None
            if not hearing.done():
                hearing.cancel()
                await asyncio.wait({hearing})


async def _ended(is_over: asyncio.Event, cancel: Callable[[], object]) -> None:
    """Cancel until it is over: the library's own waits swallow a cancel that comes at a bad moment.

    A thread that does not end at all is left behind: it is a daemon's, and holds nothing that is needed.
    """
    for _ in range(20):
        if is_over.is_set():
            return
        with suppress(RuntimeError):  # its loop has just ended
            cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await is_over.wait()


class _Quiet(Exception):
    pass


async def _closed(talk: Talk) -> None:
    try:
        async with asyncio.timeout(3.0):
            await talk.close()
    except (WebSocketException, OSError, TimeoutError, EOFError):
        pass  # it was lost already

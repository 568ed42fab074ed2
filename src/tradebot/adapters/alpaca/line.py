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
from typing import Any, NamedTuple, Protocol

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


class _End(NamedTuple):
    """How a connection ended. `is_final`: dialling again changes nothing."""

    reason: str
    is_final: bool = False
    is_crowded: bool = False
    was_silent: bool = False
    was_up: bool = False
    heard: bool = False


class Line:
    """One socket and its thread."""

    def __init__(self, name: str, talk: Callable[[], Talk], pauses: Pauses = PATIENT) -> None:
        """`talk` is called in the line's own thread, for every connection anew."""
        self.name = name
        self._talk = talk
        self._pauses = pauses
        self._again: Callable[[], object] = lambda: None
        self._heard = self._is_deaf = False
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
            end = await self._connection(silent, outer.call_soon_threadsafe, events)
            if end.is_final:
                outer.call_soon_threadsafe(events.denied, end.reason)
                return
            if end.was_up or not is_down:
                outer.call_soon_threadsafe(events.down, end.reason)
                is_down = True
            if end.heard:
                pause, silent = pauses.first, pauses.silent
            elif end.was_silent and silent is not None:
                silent = min(silent * 2, pauses.longest_silent)
            await asyncio.sleep(max(pause, pauses.crowded if end.is_crowded else 0.0))
            pause = min(pause * pauses.factor, pauses.longest)

    async def _connection(self, silent: float | None, post: Callable[..., object], events: Events) -> _End:
        """Dial once and listen; return how it ended."""
        talk, was_up = self._talk(), False
        self.dials += 1
        self._heard = self._is_deaf = False
        end = _End("")
        try:
            async with asyncio.timeout(self._pauses.open_within):
                await talk.open()
            was_up = True
            post(events.up)
            end = await self._listen(talk, silent, lambda messages: post(events.said, messages))
        except Denied as exc:
            end = _End(str(exc), is_final=True)
        except Crowded as exc:
            end = _End(str(exc), is_crowded=True)
        except InvalidStatusCode as exc:
            status = exc.status_code
            said = f"the handshake was answered {status}"
            end = _End(said, is_final=status in (401, 403), is_crowded=status == 429)
        except (WebSocketException, OSError, TimeoutError, ValueError, EOFError) as exc:
            end = _End(f"{type(exc).__name__}: {exc}")
        finally:
            await _closed(talk)
        return end._replace(was_up=was_up, heard=self._heard)

    async def _listen(self, talk: Talk, silent: float | None, hear: Callable[[list[Any]], object]) -> _End:
        """Hand over messages until silence or the word to dial anew."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(silent) as limit:

                def cut() -> None:
                    self._is_deaf = True
                    limit.reschedule(loop.time())

                self._again = lambda: loop.call_soon_threadsafe(cut)
                while not self._is_deaf:
                    hear(await talk.hear())
                    self._heard = True
                    if silent is not None:
                        limit.reschedule(loop.time() + silent)
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            self._again = lambda: None
        if self._is_deaf:
            return _End("it has gone deaf")
        return _End(f"nothing was said for {silent:g} s", was_silent=True)


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


async def _closed(talk: Talk) -> None:
    try:
        async with asyncio.timeout(3.0):
            await talk.close()
    except (WebSocketException, OSError, TimeoutError, EOFError):
        pass  # it was lost already

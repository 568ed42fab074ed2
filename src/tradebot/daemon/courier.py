"""Carry messages to where the owner reads them, outside the way of orders.

Owns a bounded queue per address, the retries and the count of what was lost. Telling something
returns at once and never raises, from any thread; what is sent is free of secrets.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tradebot.daemon.alerts import Alert, Desk, Message, Severity
from tradebot.daemon.redact import Redactor
from tradebot.daemon.secrets import Secret

if TYPE_CHECKING:
    from tradebot.config.models import Notify

# Sends a message to an address; returns why it did not arrive, None when it did.
Send = Callable[[Secret, Message], Awaitable[str | None]]
BACK_OFF_S = (5.0, 30.0, 120.0, 600.0, 1_800.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An address and from which severity on it wants to hear; `place` names it without its secrets."""

    url: Secret
    at_least: Severity
    place: str


@dataclass(slots=True)
class Counts:
    """What became of the messages."""

    sent: int = 0
    retried: int = 0
    given_up: int = 0
    dropped: int = 0  # the queue was full


@dataclass(slots=True)
class _Parcel:
    message: Message
    attempts: int = 0


class _Line:
    """The queue of one address: the most urgent first, the oldest of those; full, the least urgent goes."""

    def __init__(self, route: Route, size: int) -> None:
        self.route, self._size = route, size
        self._parcels: list[_Parcel] = []
        self._lock = threading.Lock()
        self.failures = 0  # in a row

    def __len__(self) -> int:
        return len(self._parcels)

    def put(self, parcel: _Parcel) -> bool:
        """Queue a parcel; return whether nothing had to be dropped for it."""
        with self._lock:
            self._parcels.append(parcel)
            if len(self._parcels) <= self._size:
                return True
            self._parcels.remove(min(self._parcels, key=lambda p: p.message.severity))
            return False

    def take(self) -> _Parcel | None:
        with self._lock:
            if not self._parcels:
                return None
            parcel = max(self._parcels, key=lambda p: p.message.severity)
            self._parcels.remove(parcel)
            return parcel


class Courier:
    """The one who is told: decides by its desk, queues, sends and retries."""

    def __init__(
        self,
        routes: Sequence[Route],
        desk: Desk,
        send: Send,
        redactor: Redactor,
        *,
        failed: Callable[[str, str], None] = lambda place, why: None,
        monotonic: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
        back_off_s: Sequence[float] = BACK_OFF_S,
        queue_size: int = 100,
    ) -> None:
        self.counts = Counts()
        self._desk, self._send, self._redactor, self._failed = desk, send, redactor, failed
        self._monotonic, self._wall_ns, self._back_off_s = monotonic, wall_ns, tuple(back_off_s)
        self._lines = [_Line(route, queue_size) for route in routes]
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: list[asyncio.Event] = []
        self._sending = 0
        for route in routes:
            redactor.add_url(route.url)

    def tell(self, severity: Severity, key: str, title: str, body: str = "") -> None:
        """Tell the owner unless the same was told a moment ago; returns at once, from any thread."""
        alert = Alert(severity=severity, key=key, title=title, body=body)
        with self._lock:
            message = self._desk.offer(alert, self._monotonic())
        self._queue(message)

    def summarise(self, lines: list[str]) -> None:
        """Send the message of the day."""
        with self._lock:
            message = self._desk.summary(lines, self._monotonic())
        self._queue(message)

    def tick(self) -> None:
        """Send the digest of a flood when it is due; called now and then."""
        with self._lock:
            message = self._desk.due(self._monotonic())
        self._queue(message)

    async def run(self) -> None:
        """Send what is queued until cancelled."""
        self._loop = asyncio.get_running_loop()
        self._wake = [asyncio.Event() for _ in self._lines]
        try:
            async with asyncio.TaskGroup() as tasks:
                for line, wake in zip(self._lines, self._wake, strict=True):
                    tasks.create_task(self._serve(line, wake))
                await asyncio.Event().wait()  # with nobody to tell, too: this task is watched
        finally:
            self._loop = None

    async def drain(self, timeout_s: float) -> bool:
        """Wait until everything queued was tried once, at most so long; return whether it was sent."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._sending or any(len(line) and not line.failures for line in self._lines):
                    await asyncio.sleep(0.01)
        return not self._sending and not any(len(line) for line in self._lines)

    async def test(self, label: str) -> list[tuple[str, str | None]]:
        """Send a test message to every address, once; return its place and why it failed (None: it did not)."""
        message = Message(
            severity=Severity.INFO,
            title=f"{label}: test message",
            body=f"tradebot can reach you here.\n{self._now()}",
        )
        results = await asyncio.gather(*(self._attempt(line.route, message) for line in self._lines))
        return [(line.route.place, why) for line, why in zip(self._lines, results, strict=True)]

    def _queue(self, message: Message | None) -> None:
        if message is None:
            return
        clean = Message(
            severity=message.severity,
            title=self._redactor.redact(message.title),
            body=self._redactor.redact(f"{message.body}\n{self._now()}"),
            is_summary=message.is_summary,
        )
        for line in self._lines:
            if clean.is_for(line.route.at_least) and not line.put(_Parcel(clean)):
                self.counts.dropped += 1
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop ended meanwhile: nobody is left to send
                loop.call_soon_threadsafe(self._wake_all, clean.severity)

    def _wake_all(self, severity: Severity) -> None:
        for line, wake in zip(self._lines, self._wake, strict=True):
            # A message that is not urgent does not cut short the pause after a failure.
            if not line.failures or severity is Severity.CRITICAL:
                wake.set()

    async def _serve(self, line: _Line, wake: asyncio.Event) -> None:
        while True:
            parcel = line.take()
            if parcel is None:
                await wake.wait()
            elif not await self._deliver(line, parcel):
                pause = self._back_off_s[min(line.failures, len(self._back_off_s)) - 1]
                with suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), pause)
            else:
                continue
            wake.clear()

    async def _deliver(self, line: _Line, parcel: _Parcel) -> bool:
        self._sending += 1
        try:
            why = await self._attempt(line.route, parcel.message)
        finally:
            self._sending -= 1
        if why is None:
            line.failures = 0
            self.counts.sent += 1
            return True
        line.failures += 1
        parcel.attempts += 1
        if parcel.attempts > len(self._back_off_s):
            self.counts.given_up += 1
        else:
            self.counts.retried += 1
            line.put(parcel)
        self._failed(line.route.place, why)
        return False

    async def _attempt(self, route: Route, message: Message) -> str | None:
        try:
            why = await self._send(route.url, message)
        except OSError as exc:  # no process, no memory for one, no network
            why = f"{type(exc).__name__}: {exc}"
        return None if why is None else self._redactor.redact(why)

    def _now(self) -> str:
        return datetime.fromtimestamp(self._wall_ns() // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def routes_of(notify: Sequence[Notify]) -> list[Route]:
    """Return the addresses for messages of a configuration, in its order."""
    return [
        Route(
            url=Secret(entry.url.get_secret_value()),
            at_least=Severity[entry.from_.upper()],
            place=f"notify[{i}] {urlsplit(entry.url.get_secret_value()).scheme}://***",
        )
        for i, entry in enumerate(notify)
        if entry.url is not None
    ]

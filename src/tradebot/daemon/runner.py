"""Run one account's engine: inputs in, facts committed, commands out.

Owns the queue and its order: an input is archived, decided on, its facts are committed, and only then
do its commands go to the outbox. Whatever raises on that way ends the run: nothing is sent after a fact
that could not be recorded, and starting again is recovery. Refuses sockets, schedules and venues' words;
those post inputs here.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol, TypeVar

from tradebot.core.engine import Engine
from tradebot.core.facts import OrderFilled, Recorded
from tradebot.core.messages import (
    BarsMissed,
    Command,
    Dividend,
    Input,
    Rate,
    SessionClose,
    SessionOpen,
    SetTimer,
    Slice,
    Split,
)
from tradebot.core.model import Bar, MarketData, Quote
from tradebot.core.ports import Clock, Timers
from tradebot.daemon.executor import Executor
from tradebot.daemon.outbox import Outbox
from tradebot.errors import InvariantError

T = TypeVar("T")
EventInput = SessionOpen | SessionClose | Split | Dividend | Rate
EVENTS = (SessionOpen, SessionClose, Split, Dividend, Rate)

QUEUE_LIMIT = 10_000
_BATCH = 64


class Record(Protocol):
    """Where facts are committed (`store.journal`)."""

    def append(self, facts: Sequence[Recorded], *, durable: bool, progress: Mapping[str, int]) -> None: ...


class Archive(Protocol):
    """Where inputs are kept, so that a day can be run again (`store.archive`)."""

    def append(self, inputs: Sequence[tuple[int, Input]]) -> None: ...


class _Entry(NamedTuple):
    message: Input
    at: int | None
    before_sending: Callable[[], None] | None = None
    done: asyncio.Future[None] | None = None
    since: float | None = None  # when it was queued, by the monotonic clock


class _Work(NamedTuple):
    commands: tuple[Command, ...]
    facts: tuple[Recorded, ...]


class Runner:
    """One engine with its queue. Everything but the deciding itself happens in the event loop."""

    def __init__(
        self,
        engine: Engine,
        *,
        record: Record,
        archive: Archive | None,
        clock: Clock,
        executor: Executor,
        watch: Callable[[Recorded], None] | None = None,
    ) -> None:
        """`watch` is told every committed fact, in order, in the event loop."""
        self.engine = engine
        self.outbox: Outbox | None = None
        self.timers: Timers | None = None
        self._record = record
        self._archive = archive
        self._clock = clock
        self._executor = executor
        self._watch = watch
        self._queue: deque[_Entry] = deque()
        self._wake = asyncio.Event()
        self._deciding = False
        self._abandoned = ""
        self._is_over = False
        self.conflated = 0
        self.cycles = 0  # batches that were decided, committed and handed on

    # --- in -----------------------------------------------------------------------------------------

    def post(self, message: Input, at: int | None = None) -> None:
        """Queue an input; `at` None: it is seen when its turn comes.

        When the queue is full the oldest quote makes room: a newer one says more. Raises
        InvariantError when there is none, because nothing else may be lost.
        """
        self._put(_Entry(message, at, since=time.monotonic()))

    async def settled(
        self,
        message: Input,
        at: int | None = None,
        before_sending: Callable[[], None] | None = None,
    ) -> None:
        """Queue an input and wait until it was decided on and all that follows was handed to the venue.

        Cancelled when `run` ends before that.
        """
        done = asyncio.get_running_loop().create_future()
        self._put(_Entry(message, at, before_sending, done, time.monotonic()))
        await done
        if self.outbox is not None:
            await self.outbox.idle()

    async def look(self, function: Callable[[], T]) -> T:
        """Run a function that reads the engine where nothing changes it meanwhile."""
        return await self._executor.run(function)

    def abandon(self, why: str) -> None:
        """Let nothing that is still being decided be recorded or sent: the process is about to end."""
        self._abandoned = why

    @property
    def depth(self) -> int:
        """Inputs that wait."""
        return len(self._queue)

    @property
    def is_quiet(self) -> bool:
        """True when nothing waits, is decided on, or is being sent."""
        return not self._queue and not self._deciding and (self.outbox is None or self.outbox.is_idle)

    def _put(self, entry: _Entry) -> None:
        if self._is_over:
            if entry.done is not None:
                entry.done.cancel()
            return
        if len(self._queue) >= QUEUE_LIMIT:
            self._make_room()
        self._queue.append(entry._replace(message=_without_secrets(entry.message, self.engine.setup.hide)))
        self._wake.set()

    def _make_room(self) -> None:
        for i, entry in enumerate(self._queue):
            if (
                entry.done is None
                and isinstance(entry.message, Slice)
                and all(isinstance(item, Quote) for item in entry.message.items)
            ):
                del self._queue[i]
                self.conflated += 1
                return
        raise InvariantError(f"the engine's queue must stay below {QUEUE_LIMIT} inputs that may not be lost")

    # --- through ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work the queue until cancelled. Raises what deciding or recording raised: then it is over.

        Whoever waits for an input that was not carried through is cancelled.
        """
        try:
            while True:
                if not self._queue:
                    self._wake.clear()
                    await self._wake.wait()
                await self._cycle()
        finally:
            self._is_over = True
            for entry in self._queue:
                if entry.done is not None:
                    entry.done.cancel()
            self._queue.clear()

    async def _cycle(self) -> None:
        batch = self._batch()
        self._deciding = True
        try:
            work = await self._executor.run(lambda: self._decide(batch))
            for entry in batch:
                if entry.before_sending is not None:
                    entry.before_sending()
            self._carry(work.commands, batch[0].since)
            if self._watch is not None:
                for recorded in work.facts:
                    self._watch(recorded)
            self.cycles += 1
            for entry in batch:
                if entry.done is not None and not entry.done.done():
                    entry.done.set_result(None)
        finally:
            self._deciding = False
            for entry in batch:
                if entry.done is not None:
                    entry.done.cancel()  # does nothing to one that has its answer

    def _batch(self) -> list[_Entry]:
        """Take inputs that may be committed together: up to one that somebody waits for."""
        batch: list[_Entry] = []
        while self._queue and len(batch) < _BATCH:
            batch.append(self._queue.popleft())
            if batch[-1].done is not None:
                break
        return batch

    def _decide(self, batch: Sequence[_Entry]) -> _Work:
        engine = self.engine
        seen: list[tuple[int, Input]] = []
        for entry in batch:
            at = self._clock.now() if entry.at is None else entry.at
            seen.append((max(at, seen[-1][0] if seen else engine.now), entry.message))
        if self._archive is not None:
            self._archive.append(seen)
        facts: list[Recorded] = []
        commands: list[Command] = []
        for at, message in seen:
            outcome = engine.decide(message, max(at, engine.now))
            facts += outcome.facts
            commands += outcome.commands
        if self._abandoned:
            raise InvariantError(f"nothing may be recorded or sent any more: {self._abandoned}")
        self._record.append(facts, durable=_must_last(facts, commands), progress=progress_of(batch))
        return _Work(tuple(commands), tuple(facts))

    def _carry(self, commands: Sequence[Command], since: float | None) -> None:
        for command in commands:
            if isinstance(command, SetTimer):
                if self.timers is not None:
                    self.timers.set_timer(command.key, command.at)
            elif self.outbox is not None:
                self.outbox.put(command, since)
            else:
                raise InvariantError("a command needs an outbox before it can be sent")


def _without_secrets(message: Input, hide: Callable[[str], str]) -> Input:
    """Return an input whose words, which a venue or a library may have chosen, can be written down."""
    for name in ("reason", "because"):
        words = getattr(message, name, "")
        hidden = hide(words) if words else words
        if hidden != words:
            message = replace(message, **{name: hidden})  # type: ignore[type-var]
    return message


def _must_last(facts: Sequence[Recorded], commands: Sequence[Command]) -> bool:
    """Return whether this must survive a loss of power: what precedes a command, and every fill."""
    return any(not isinstance(c, SetTimer) for c in commands) or any(
        isinstance(r.fact, OrderFilled) for r in facts
    )


def progress_of(batch: Sequence[_Entry]) -> dict[str, int]:
    """Return how far each stream of market data and events has come with this batch."""
    progress: dict[str, int] = {}
    for entry in batch:
        message = entry.message
        if isinstance(message, Slice):
            for item in message.items:
                progress[market_stream(item)] = item.ts
        elif isinstance(message, BarsMissed):
            for bar in message.bars:
                progress[market_stream(bar)] = bar.ts
        elif isinstance(message, EventInput):
            progress[event_stream(message)] = message.ts
    return progress


def market_stream(item: MarketData) -> str:
    """Return the name under which the progress of a series is kept."""
    return f"{item.instrument}/{item.interval if isinstance(item, Bar) else 0}"


def event_stream(event: EventInput) -> str:
    """Return the name under which the progress of sessions, corporate actions and rates is kept."""
    if isinstance(event, SessionOpen | SessionClose):
        return f"{type(event).__name__}/{event.calendar}"
    if isinstance(event, Rate):
        return f"Rate/{event.asset}/{event.base}"
    return f"{type(event).__name__}/{event.instrument}"

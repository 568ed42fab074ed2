"""Trade one account: start by recovering, run until something ends it, stop in order.

Owns the order of a start (replayed facts, halts, the venue's word, exits, warm-up) and of a stop, and the
tasks in between. One that fails ends them all: what went wrong is raised, and the next start recovers.
Refuses to build its parts: the composition root does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from tradebot.core import facts as f
from tradebot.core.messages import (
    End,
    HaltLevel,
    Reconciled,
    SetHalt,
    Slice,
    Start,
    StopTrading,
    WarmedUp,
)
from tradebot.core.ports import Clock
from tradebot.core.reconcile import Finding
from tradebot.daemon.executor import Executor
from tradebot.daemon.halts import Halt, HaltFlag
from tradebot.daemon.outbox import Outbox
from tradebot.daemon.reconciler import Reconciler
from tradebot.daemon.runner import Runner
from tradebot.errors import VenueError

_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0


class Phase(Enum):
    """Where an account is in its life."""

    REPLAYED = "replayed"
    WAITING = "waiting for the venue"
    RECONCILING = "reconciling"
    WARMING_UP = "warming up"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an account is made of.

    `catch_up` lets pass what happened while the daemon was down, `warm_up` gives past market data, `feed`
    runs until the data end.
    """

    name: str
    runner: Runner
    outbox: Outbox
    reconciler: Reconciler
    executor: Executor
    clock: Clock
    halts: HaltFlag
    feed: Callable[[], Awaitable[None]]
    catch_up: Callable[[], Awaitable[None]]
    warm_up: Callable[[], Iterable[Slice]]


class TradingAccount:
    """One account's life. `start`, then `run`; `stop` from anywhere in the loop."""

    def __init__(self, parts: Parts, start: Start, extra_halts: Iterable[Halt] = ()) -> None:
        """`extra_halts` are set at the start (a crash loop, a clock that is off)."""
        self.parts = parts
        self.phase = Phase.REPLAYED
        self.waits_since: float | None = None
        self.found: tuple[Finding, ...] = ()
        self.feed_is_over = False
        self._start = start
        self._extra_halts = tuple(extra_halts)
        self._stop = asyncio.Event()
        self._why = ""
        self._engine: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self.parts.name

    # --- start ------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Recover, in order, up to READY. Raises what makes trading impossible."""
        parts = self.parts
        self._engine = asyncio.get_running_loop().create_task(parts.runner.run())
        recovery = asyncio.get_running_loop().create_task(self._recover())
        sending = asyncio.get_running_loop().create_task(parts.outbox.failed())
        await asyncio.wait({self._engine, recovery, sending}, return_when=asyncio.FIRST_COMPLETED)
        if not recovery.done():
            recovery.cancel()
            await asyncio.wait({recovery})
        for task in (self._engine, sending):
            if task.done():
                await task
        sending.cancel()
        await recovery

    async def _recover(self) -> None:
        runner, clock = self.parts.runner, self.parts.clock
        await runner.settled(self._start)
        await self._halts_agree()
        await self.parts.catch_up()
        self.found = await self._venue_word()
        ready = Reconciled(ts=clock.now(), account=self.name)
        await runner.settled(ready)
        self.phase = Phase.WARMING_UP
        engine = runner.engine
        await runner.look(lambda: engine.warm_up(self.parts.warm_up()))
        await runner.settled(WarmedUp(ts=clock.now()))
        self.phase = Phase.READY

    async def _halts_agree(self) -> None:
        """Make facts of halts that only the flag knows, and flags of those that only the facts know."""
        parts = self.parts
        known = dict(parts.runner.engine.ledger.halts)
        for halt in (*parts.halts.all, *self._extra_halts):
            fact = known.pop(halt.scope, None)
            if fact is None or fact.level.value < halt.level.value:
                await parts.runner.settled(_as_input(halt, parts.clock.now()))
        for scope, fact in known.items():
            parts.halts.set(
                Halt(scope=scope, level=fact.level, reason=fact.reason, rule=fact.rule, since=fact.ts)
            )

    async def _venue_word(self) -> tuple[Finding, ...]:
        """Ask the venue until it answers; meanwhile nothing is sent."""
        wait = _FIRST_WAIT
        while True:
            self.phase = Phase.RECONCILING
            try:
                return await self.parts.reconciler.look(is_start=True)
            except VenueError:
                self.phase = Phase.WAITING
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)

    # --- run --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Trade until `stop`. Raises what ended it otherwise."""
        if self._engine is None:
            await self.start()
        assert self._engine is not None
        loop = asyncio.get_running_loop()
        feed = loop.create_task(self._fed())
        watch = loop.create_task(self.parts.reconciler.watch())
        stop = loop.create_task(self._stop.wait())
        sending = loop.create_task(self.parts.outbox.failed())
        tasks = [self._engine, sending, feed, watch]  # whoever waited for one of the first is only cancelled
        try:
            while not stop.done():
                await asyncio.wait({*tasks, stop}, return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in tasks if task.done()]:
                    await task  # raises what it raised
                    tasks.remove(task)
            async with self.parts.reconciler.at_rest:  # no instant is left half done
                for task in (feed, watch):
                    task.cancel()
            await asyncio.wait({feed, watch})
            await self._wind_down()
        except asyncio.CancelledError:
            if self._engine.done():
                await self._engine  # why nobody gets an answer any more
            raise
        finally:
            for each in (feed, watch, stop, sending):
                each.cancel()
            await self._close()

    async def _fed(self) -> None:
        await self.parts.feed()
        self.feed_is_over = True

    def stop(self, reason: str) -> None:
        """Ask for an orderly end: entries and quotes are cancelled, positions and protection stay."""
        self._why = self._why or reason
        self._stop.set()

    async def _wind_down(self) -> None:
        self.phase = Phase.STOPPING
        runner, clock = self.parts.runner, self.parts.clock
        await runner.settled(StopTrading(ts=clock.now(), reason=self._why))
        try:
            self.found = await self.parts.reconciler.look()
        except VenueError:
            pass  # what the venue did meanwhile is the next start's first question
        await runner.settled(End(ts=clock.now(), reason=self._why))
        self.phase = Phase.STOPPED

    async def _close(self) -> None:
        if self._engine is not None:
            self._engine.cancel()
            await asyncio.wait({self._engine})
        await self.parts.outbox.close()
        self.parts.executor.close()

    # --- the owner's word -------------------------------------------------------------------------

    async def halt(self, halt: Halt) -> None:
        """Latch a halt: the flag at once, so that nothing more leaves, then the fact.

        Level NONE lifts that of its scope.
        """
        self.parts.halts.set(halt)
        self.parts.runner.post(_as_input(halt, self.parts.clock.now()))

    def note(self, recorded: f.Recorded) -> None:
        """Keep the flag in step with the engine's own halts; for the runner's `watch`."""
        fact = recorded.fact
        if isinstance(fact, f.HaltSet):
            known = {halt.scope: halt for halt in self.parts.halts.all}.get(fact.scope)
            level = HaltLevel.NONE if known is None else known.level
            if level is not fact.level:
                self.parts.halts.set(
                    Halt(
                        scope=fact.scope,
                        level=fact.level,
                        reason=fact.reason,
                        rule=fact.rule,
                        since=fact.ts,
                    )
                )


def _as_input(halt: Halt, now: int) -> SetHalt:
    return SetHalt(ts=now, level=halt.level, reason=halt.reason, scope=halt.scope, rule=halt.rule)

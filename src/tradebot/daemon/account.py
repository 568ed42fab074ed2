"""Trade one account: start by recovering, run until something ends it, stop in order.

Owns the order of a start (replayed facts, halts, the venue's word, exits, warm-up) and of a stop, and the
tasks in between. One that fails ends them all: what went wrong is raised, and the next start recovers.
Refuses to build its parts: the composition root does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

from tradebot.core import facts as f
from tradebot.core.messages import End, Reconciled, Slice, Start, StopTrading, WarmedUp
from tradebot.core.ports import Clock
from tradebot.core.reconcile import Finding
from tradebot.core.rules import CONDITIONS
from tradebot.core.scope import HaltKey, HaltLevel
from tradebot.daemon.executor import Executor
from tradebot.daemon.halts import Halt, HaltFlag
from tradebot.daemon.outbox import Outbox
from tradebot.daemon.reconciler import Reconciler
from tradebot.daemon.runner import Runner
from tradebot.errors import VenueError

T = TypeVar("T")
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
    runs until the data end; with `until_end` the account stops then. `source` says
    in words where the data come from.
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
    until_end: bool = False
    source: str = ""
    venue: str = "sim"
    seen: int | None = None  # the time of the last market data that the run before decided on


class TradingAccount:
    """One account's life. `start`, then `run`; `stop` from anywhere in the loop."""

    def __init__(self, parts: Parts, start: Start, extra_halts: Iterable[Halt] = ()) -> None:
        """`extra_halts` are set at the start (a crash loop, a clock that is off)."""
        self.parts = parts
        self.phase = Phase.REPLAYED
        self.entered: Callable[[Phase], None] = lambda phase: None  # told of each new phase
        self.listeners: list[Callable[[f.Recorded], None]] = []  # told of each committed fact
        self.is_waiting = False  # for its venue, which did not answer
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
        """Recover, in order, up to READY, or to where `stop` ends it. Raises what makes trading impossible."""
        loop = asyncio.get_running_loop()
        self._engine = loop.create_task(self.parts.runner.run())
        recovery = loop.create_task(self._recover())
        sending = loop.create_task(self.parts.outbox.failed())
        stop = loop.create_task(self._stop.wait())
        await asyncio.wait({self._engine, recovery, sending, stop}, return_when=asyncio.FIRST_COMPLETED)
        is_cut_short = not recovery.done()
        broken = [task for task in (self._engine, sending) if task.done()]
        for one in (recovery, sending, stop):
            one.cancel()
        await asyncio.wait({recovery, sending, stop})
        for task in broken:
            await task
        if not is_cut_short:
            await recovery

    async def _recover(self) -> None:
        runner, clock = self.parts.runner, self.parts.clock
        await runner.settled(self._start)
        await self._halts_agree()
        await self._patiently(self.parts.catch_up)
        self.found = await self._patiently(self._compare)
        ready = Reconciled(ts=clock.now(), account=self.name)
        await runner.settled(ready)
        self._enter(Phase.WARMING_UP)
        engine = runner.engine
        await runner.look(lambda: engine.warm_up(self.parts.warm_up(), self.parts.seen))
        await runner.settled(WarmedUp(ts=clock.now()))
        self._enter(Phase.READY)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.entered(phase)

    async def _halts_agree(self) -> None:
        """Make flag and facts say the same; where they differ the stricter holds: a start lifts no latched halt.

        Conditions of the run before are over with it: what is still amiss is seen again.
        """
        parts = self.parts
        facts = map(_as_halt, parts.runner.engine.ledger.halts.values())
        for halt in {one.key: one for one in (*parts.halts.all, *facts) if one.rule in CONDITIONS}.values():
            over = replace(halt, level=HaltLevel.NONE, reason="looked at anew")
            parts.halts.set(over)
            await parts.runner.settled(over.said(parts.clock.now()))
        known = dict(parts.runner.engine.ledger.halts)
        for halt in (*parts.halts.all, *self._extra_halts):
            fact = known.get(halt.key)
            if fact is None or fact.level.value < halt.level.value:
                await parts.runner.settled(halt.said(parts.clock.now()))
        flagged = {halt.key: halt.level.value for halt in parts.halts.all}
        for key, fact in known.items():
            if flagged.get(key, 0) < fact.level.value:
                parts.halts.set(_as_halt(fact))
        for key, fact in parts.runner.engine.ledger.halts.items():
            parts.halts.booked(key, fact.level, fact.ts)

    async def _compare(self) -> tuple[Finding, ...]:
        self._enter(Phase.RECONCILING)
        return await self.parts.reconciler.look(is_start=True)

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer; meanwhile nothing is sent."""
        wait = _FIRST_WAIT
        while True:
            try:
                found = await ask()
            except VenueError:
                self.is_waiting = True
                self._enter(Phase.WAITING)
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
            else:
                self.is_waiting = False
                return found

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
                for ended in [task for task in tasks if task.done()]:
                    await ended  # raises what it raised
                    tasks.remove(ended)
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
            for one in (feed, watch, stop, sending):
                one.cancel()
            await self._close()

    async def _fed(self) -> None:
        await self.parts.feed()
        self.feed_is_over = True
        if self.parts.until_end:
            self.stop("the data have ended")

    def stop(self, reason: str) -> None:
        """Ask for an orderly end: entries and quotes are cancelled, positions and protection stay."""
        self._why = self._why or reason
        self._stop.set()

    async def _wind_down(self) -> None:
        self._enter(Phase.STOPPING)
        runner, clock = self.parts.runner, self.parts.clock
        await runner.settled(StopTrading(ts=clock.now(), reason=self._why))
        try:
            self.found = await self.parts.reconciler.last_look()
        except VenueError:
            pass  # what the venue did meanwhile is the next start's first question
        await runner.settled(End(ts=clock.now(), reason=self._why))
        self._enter(Phase.STOPPED)

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
        self.parts.runner.post(halt.said(self.parts.clock.now()))

    def note(self, recorded: f.Recorded) -> None:
        """Keep the flag in step with the engine's own halts; for the runner's `watch`."""
        fact = recorded.fact
        if isinstance(fact, f.HaltSet):
            known = self.parts.halts.of(fact.scope, fact.rule)
            level = HaltLevel.NONE if known is None else known.level
            if level is not fact.level:
                self.parts.halts.set(_as_halt(fact))
            self.parts.halts.booked(HaltKey(fact.scope, fact.rule), fact.level, fact.ts)
        for listener in self.listeners:
            listener(recorded)


def _as_halt(fact: f.HaltSet) -> Halt:
    return Halt(scope=fact.scope, level=fact.level, reason=fact.reason, rule=fact.rule, since=fact.ts)

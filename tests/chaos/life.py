"""One life of the daemon: the real parts round one engine, from start to kill.

Owns what the composition root of a real one would: journal, engine, runner, outbox, reconciler, account,
clock, timers and feed. `Kit` names the classes, so that mutants can take their places. Refuses to decide
when it dies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.chaos.disk import FILE, HALTS, Disk
from tests.chaos.loop import Agenda, VirtualLoop
from tests.chaos.venue import Link
from tradebot.core.engine import Engine
from tradebot.core.ledger import Ledger
from tradebot.core.messages import Input, Slice, Start, TimerDue
from tradebot.core.reconcile import Finding
from tradebot.core.rules import ANOTHER_LIFE, MISMATCH
from tradebot.core.scope import HaltLevel
from tradebot.core.setup import Setup
from tradebot.daemon.account import Parts, TradingAccount
from tradebot.daemon.executor import Inline
from tradebot.daemon.halts import Halt, HaltFlag
from tradebot.daemon.outbox import Outbox
from tradebot.daemon.reconciler import Patience, Reconciler
from tradebot.daemon.runner import Archive, Runner
from tradebot.store.journal import Identity, Journal

IDENTITY = Identity(instance="tb", venue="chaos", account="main", mode="paper")


class Clock:
    """The machine's wall clock, ns UTC: apart from the loop's time, and it may jump."""

    def __init__(self, agenda: Agenda, start: int) -> None:
        self._agenda = agenda
        self._start = start
        self.skew = 0.0

    def read(self) -> int:
        return self._start + int((self._agenda.now + self.skew) * 1e9)


class Steady:
    """A process's view of the wall clock, which never goes back; as `daemon.clock.WallClock`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def now(self) -> int:
        self._last = max(self._last, self._clock.read())
        return self._last


class LoopTimers:
    """Posts `TimerDue` when the wall clock says so."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Steady, post: Callable[[Input], None]) -> None:
        self._loop = loop
        self._clock = clock
        self._post = post
        self._due: dict[str, int] = {}

    def set_timer(self, key: str, at: int) -> None:
        self._due[key] = at
        self._wait(key, at)

    def _wait(self, key: str, at: int) -> None:
        # The wall clock may jump while a timer waits: it is looked at again now and then.
        wait = min(max((at - self._clock.now()) / 1e9, 0.0), 30.0)
        self._loop.call_later(wait, self._look, key, at)

    def _look(self, key: str, at: int) -> None:
        if self._due.get(key) != at:
            return
        if self._clock.now() < at:
            self._wait(key, at)
            return
        del self._due[key]
        self._post(TimerDue(ts=at, key=key))


@dataclass(frozen=True, slots=True)
class Kit:
    """The parts a daemon is made of; a mutant changes one."""

    runner: type[Runner] = Runner
    outbox: type[Outbox] = Outbox
    reconciler: type[Reconciler] = Reconciler
    link: type[Link] = Link
    after_replay: tuple[Callable[[Ledger], None], ...] = ()
    after_build: tuple[Callable[[Engine], None], ...] = ()


@dataclass(slots=True)
class Life:
    """A running process, and when it is to be killed."""

    disk: Disk
    link: Link
    loop: VirtualLoop
    account: TradingAccount
    ledger: Ledger
    engine: Engine
    main: asyncio.Task[None]
    kill_turn: int | None = None
    kill_commit: tuple[int, bool] | None = None
    post: Callable[[Input], None] = print
    early: list[Input] = field(default_factory=list)
    is_fed: bool = False

    def feed(self, message: Input) -> None:
        """Hand market data on, or keep them until the account is ready for them."""
        if self.is_fed:
            self.post(message)
        else:
            self.early.append(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """What a new process is given. `disk` makes the record of its journal."""

    folder: Path
    agenda: Agenda
    loop: VirtualLoop
    clock: Clock
    setup: Setup
    link: Link
    kit: Kit
    patience: Patience
    deadline: float
    number: int
    disk: Callable[[Journal, Path], Disk]
    replayed: Callable[[Ledger], None]
    past: Callable[[], Sequence[Slice]]
    missed: Callable[[dict[str, int]], Sequence[Input]]
    saw: Callable[[str], None]
    extra_halts: tuple[Halt, ...] = ()
    archive: Callable[[Path], Archive | None]
    surround: Callable[[TradingAccount, VirtualLoop], None]
    adopts: bool = False  # nothing but to take the venue's word, as `reconcile --adopt` without a daemon


def _counting(kind: type[Reconciler], saw: Callable[[str], None]) -> type[Reconciler]:
    """Return the same reconciler, which says each verdict that it comes to."""

    class Counting(kind):  # type: ignore[misc,valid-type]
        async def look(self, *, is_start: bool = False) -> tuple[Finding, ...]:
            found: tuple[Finding, ...] = await super().look(is_start=is_start)
            for finding in found:
                saw(f"verdict {finding.verdict.name}")
            return found

    return Counting


def _newest(setup: Setup, progress: Mapping[str, int]) -> int | None:
    """Return the time of the last market data that the life before this one was given."""
    market = [ts for stream, ts in progress.items() if stream.partition("/")[0] in setup.instruments]
    return max(market, default=None)


def begin(birth: Birth) -> Life:
    """Start a process on the files in its folder. Raises StoreError when they cannot be trusted."""
    folder, kit, loop = birth.folder, birth.kit, birth.loop
    journal = Journal.open(folder / FILE, create=True, identity=IDENTITY)
    ledger = Ledger(packs=True)
    journal.replay(ledger)
    birth.replayed(ledger)
    ledger.orders.pack(ledger.seen + 1)  # what is over is put away at once, not a day later: trades come late
    for change in kit.after_replay:
        change(ledger)
    disk = birth.disk(journal, folder)
    clock = Steady(birth.clock)
    engine = Engine(birth.setup, ledger)
    for alter in kit.after_build:
        alter(engine)
    progress = journal.progress()
    life: Life
    runner = kit.runner(
        engine,
        record=disk,
        archive=birth.archive(folder),
        clock=clock,
        executor=Inline(),
        watch=lambda recorded: life.account.note(recorded),
    )
    halts = HaltFlag(folder / HALTS, birth.setup.hide)
    link = birth.link
    outbox = kit.outbox(link, clock, halts, runner.post, deadline=birth.deadline)
    runner.outbox = outbox
    timers = LoopTimers(loop, clock, runner.post)
    runner.timers = timers
    link.listen(runner.post)
    reconciler = _counting(kit.reconciler, birth.saw)(
        runner,
        outbox,
        link,
        clock,
        instance=IDENTITY.instance,
        patience=birth.patience,
        adopts=birth.adopts,
    )
    last = [0]
    told: list[Input] = []

    def warm_up() -> Iterable[Slice]:
        past = birth.past()
        last[0] = past[-1].ts if past else 0
        return past

    async def catch_up() -> None:
        for event in birth.missed(progress):
            told.append(event)
            await runner.settled(event)

    async def feed() -> None:
        for message in life.early:
            if message not in told and (not isinstance(message, Slice) or message.ts > last[0]):
                runner.post(message)
        life.is_fed = True
        await asyncio.Event().wait()

    wall = clock.now() // 1_000_000_000
    account = TradingAccount(
        Parts(
            name="main",
            runner=runner,
            outbox=outbox,
            reconciler=reconciler,
            executor=Inline(),
            clock=clock,
            catch_up=catch_up,
            halts=halts,
            feed=feed,
            warm_up=warm_up,
            seen=_newest(birth.setup, progress),
        ),
        Start(ts=clock.now(), run_id=f"r{birth.number}", epoch=wall, config_digest="c", code_digest="d"),
        birth.extra_halts,
    )

    birth.surround(account, loop)

    async def live() -> None:
        await account.start()
        if birth.adopts:
            for halt in account.parts.halts.all:
                if halt.rule in (ANOTHER_LIFE, MISMATCH):
                    await account.halt(replace(halt, level=HaltLevel.NONE, reason="adopted"))
            account.stop("done directly")
        await account.run()

    life = Life(disk, link, loop, account, ledger, engine, loop.create_task(live()), post=runner.post)
    return life

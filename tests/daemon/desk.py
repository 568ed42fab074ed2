"""A daemon of one paper account in this process, whose market only moves when a test says so."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

from tests.core.world import COIN, GEM, START, Script, account, make_bar, spec
from tradebot.core import facts as f
from tradebot.core.engine import Engine
from tradebot.core.ledger import Ledger
from tradebot.core.messages import SetHalt, Slice, Start, TimerDue
from tradebot.core.model import HOUR
from tradebot.core.scope import HaltLevel, Scope
from tradebot.core.setup import Setup
from tradebot.daemon.account import Parts, TradingAccount
from tradebot.daemon.clock import DataClock
from tradebot.daemon.executor import OwnThread
from tradebot.daemon.halts import HaltFlag
from tradebot.daemon.outbox import Outbox
from tradebot.daemon.paper import PaperVenue
from tradebot.daemon.player import Player
from tradebot.daemon.process import Daemon
from tradebot.daemon.reconciler import Patience, Reconciler
from tradebot.daemon.runner import QUEUE_LIMIT, Runner
from tradebot.errors import ExitCode, InvariantError
from tradebot.sim.accounts import SimAccount
from tradebot.sim.exchange import Exchange
from tradebot.sim.timeline import Timeline
from tradebot.sim.venue import SimVenue

D = Decimal


class Kept(list[f.Recorded]):
    """Committed facts in memory."""

    def append_facts(self, facts: Sequence[f.Recorded]) -> None:
        self += facts


class _Record:
    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def append(self, facts: Sequence[f.Recorded], *, durable: bool, progress: Mapping[str, int]) -> None:
        self._kept.append_facts(facts)


class Desk:
    """What a test holds of the daemon: its parts, and words for what it wants to happen."""

    def __init__(self, folder: Path) -> None:
        self.kept, self.halts = Kept(), HaltFlag(folder / "halt")
        words = account(cash={"USD": D(10_000)})
        instruments = {i.id: i for i in (COIN, GEM)}
        half = {"capital": D("0.5"), "qty": 1.0}
        a, b = (spec(Script(1.0, 0.0), name=n, instrument=i, **half) for n, i in (("a", COIN), ("b", GEM)))
        setup = Setup(instruments=instruments, accounts=(words,), strategies=(a, b), quanta={})
        self.clock = DataClock(START)
        sim = SimVenue(
            instruments=instruments, accounts={"main": SimAccount(model=words.model, cash=dict(words.cash))}
        )
        self.venue = PaperVenue(Exchange(sim, "main"), self.clock)
        self.executor = OwnThread("desk")
        self.runner = Runner(
            Engine(setup, Ledger()),
            record=_Record(self.kept),
            archive=None,
            clock=self.clock,
            executor=self.executor,
            watch=lambda recorded: self.account.note(recorded),
        )
        outbox = self.runner.outbox = Outbox(self.venue, self.clock, self.halts, self.runner.post)
        timeline = self.runner.timers = Timeline(self.venue)
        patience = Patience(again=0.0)
        reconciler = Reconciler(self.runner, outbox, self.venue, self.clock, instance="tb", patience=patience)
        self.player = Player(self.runner, timeline, self.clock, (), at_rest=reconciler.at_rest)
        self._timeline = timeline
        parts = Parts(
            name="main",
            runner=self.runner,
            outbox=outbox,
            reconciler=reconciler,
            executor=self.executor,
            clock=self.clock,
            halts=self.halts,
            feed=self._silence,
            catch_up=self._nothing_missed,
            warm_up=lambda: (),
        )
        start = Start(ts=START, run_id="run", epoch=1, config_digest="c", code_digest="d")
        self.account = TradingAccount(parts, start)
        self.daemon = Daemon([self.account], mode="paper", started=1, config_digest="c0ffee")
        self.task: asyncio.Task[ExitCode] | None = None

    async def _nothing_missed(self) -> None:
        return

    async def _silence(self) -> None:
        await asyncio.Event().wait()

    @property
    def is_alive(self) -> bool:
        return self.task is not None and not self.task.done()

    async def ended(self) -> ExitCode:
        assert self.task is not None
        async with asyncio.timeout(10):
            return await self.task

    def levels(self) -> dict[tuple[str | None, str | None], HaltLevel]:
        """The halts that the engine's ledger knows."""
        return {key.scope[:2]: halt.level for key, halt in self.runner.engine.ledger.halts.items()}

    def reasons(self) -> list[str]:
        """Why runs ended."""
        return [r.fact.reason for r in self.kept if isinstance(r.fact, f.RunEnded)]

    async def trip(self, rule: str, instrument: str | None = None) -> None:
        """Let a rule stop new risk."""
        scope = Scope(None, instrument)
        halt = SetHalt(ts=START, level=HaltLevel.NO_NEW_RISK, reason=f"{rule} is 1", scope=scope, rule=rule)
        await self.runner.settled(halt)

    async def rest_an_entry(self) -> None:
        """Strategy a buys on the close of a bar: its order waits at the venue for the next one."""
        await self.bar(1)

    async def bar(self, number: int) -> None:
        """Let a bar close: strategy a wants to hold at the first, to be flat at the second."""
        ts = START + number * HOUR
        await self.player.follow(self._timeline.play(Slice(ts, (make_bar(COIN.id, ts, HOUR, 100.0),))))

    def held(self) -> Decimal:
        return self.runner.engine.ledger.subs["a"].qty(COIN.id)

    def working(self) -> int:
        return sum(len(rows) for rows in self.runner.engine.ledger.open.values())

    def venue_working(self) -> int:
        return len(self.venue.exchange.sim.blotter.orders)

    async def quiet(self) -> None:
        """Let everything that waits come to its end."""
        await self.player.follow(self._timeline.drain(self.clock.now()))
        await self.runner.settled(TimerDue(ts=START, key="quiet"))

    @asynccontextmanager
    async def stuck_engine(self) -> AsyncIterator[None]:
        """A strategy that does not return."""
        go = threading.Event()
        stuck = asyncio.create_task(self.runner.look(lambda: go.wait(20)))
        await asyncio.sleep(0)
        try:
            yield
        finally:
            go.set()
            await stuck

    def fill_the_queue(self) -> None:
        try:
            for _ in range(2 * QUEUE_LIMIT):
                self.runner.post(TimerDue(ts=START, key="noise"))
        except InvariantError:
            return
        raise AssertionError("the queue must be full")


@asynccontextmanager
async def opened_desk(folder: Path, before: Callable[[Desk], None] | None = None) -> AsyncIterator[Desk]:
    """A daemon that trades; `before` is done to it before it starts."""
    desk = Desk(folder)
    if before is not None:
        before(desk)
    desk.task = asyncio.create_task(desk.daemon.run())
    async with asyncio.timeout(10):
        while not desk.daemon.is_ready:
            await asyncio.sleep(0.001)
    try:
        yield desk
    finally:
        if desk.is_alive:
            desk.daemon.stop("the test is over")
        await desk.ended()

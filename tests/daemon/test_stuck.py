"""A strategy that does not come back is named with its line; one that comes back is not."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.core.world import COIN, START, account, make_bar, spec
from tests.daemon.test_paper_run import Kept
from tradebot.core.engine import Engine
from tradebot.core.ledger import Ledger
from tradebot.core.messages import Slice, Start
from tradebot.core.model import HOUR, Bar
from tradebot.core.scope import EVERYTHING, HaltLevel
from tradebot.core.setup import Setup
from tradebot.core.strategy import BarStrategy, Context, Target
from tradebot.daemon.clock import DataClock
from tradebot.daemon.executor import OwnThread
from tradebot.daemon.halts import Halt, HaltFlag
from tradebot.daemon.outbox import Outbox
from tradebot.daemon.paper import PaperVenue
from tradebot.daemon.runner import Runner
from tradebot.daemon.stuck import Budget, call_in
from tradebot.errors import InvariantError
from tradebot.sim.accounts import SimAccount
from tradebot.sim.exchange import Exchange
from tradebot.sim.venue import SimVenue


class Hangs(BarStrategy):
    """Wants all it can get, and stays in its second call until the test lets it go."""

    lookback = 1

    def __init__(self) -> None:
        self.bars, self.inside, self.let_go = 0, threading.Event(), threading.Event()

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        self.bars += 1
        if self.bars == 2:
            self.wait()
        return ctx.target(weight=1.0 if self.bars % 2 == 0 else 0.0)

    def wait(self) -> None:
        self.inside.set()
        self.let_go.wait()


class Desk:
    """An engine in a thread of its own, with a paper venue."""

    def __init__(self, hangs: Hangs) -> None:
        self.kept, self.clock, self.halts = Kept(), DataClock(START), HaltFlag(None)
        setup = Setup(
            instruments={COIN.id: COIN}, accounts=(account(),), strategies=(spec(hangs),), quanta={}
        )
        cash = SimAccount(model=account().model, cash=dict(account().cash))
        self.venue = PaperVenue(
            Exchange(SimVenue(instruments={COIN.id: COIN}, accounts={"main": cash}), "main"), self.clock
        )
        self.executor = OwnThread("main")
        self.runner = Runner(
            Engine(setup, Ledger()),
            record=self.kept,
            archive=None,
            clock=self.clock,
            executor=self.executor,
        )
        self.outbox = Outbox(self.venue, self.clock, self.halts, self.runner.post)
        self.runner.outbox = self.outbox
        self.working = asyncio.create_task(self.runner.run())

    async def begin(self) -> None:
        start = Start(ts=START, run_id="run", epoch=1, config_digest="c", code_digest="d")
        await self.runner.settled(start, START)
        await self.runner.settled(_bar(1), START + HOUR)


def _bar(number: int) -> Slice:
    return Slice(START + number * HOUR, (make_bar(COIN.id, START + number * HOUR, HOUR, 100.0),))


@pytest.fixture
def hangs() -> Iterator[Hangs]:
    strategy = Hangs()
    yield strategy
    strategy.let_go.set()


def run(hangs: Hangs, body: Callable[[Desk], Awaitable[None]]) -> None:
    async def main() -> None:
        desk = Desk(hangs)
        await desk.begin()
        try:
            await body(desk)
        finally:
            hangs.let_go.set()
            desk.working.cancel()
            await asyncio.wait({desk.working})
            desk.executor.close()

    asyncio.run(main())


async def _inside(hangs: Hangs) -> None:
    await asyncio.get_running_loop().run_in_executor(None, hangs.inside.wait)


def test_a_call_over_its_budget_is_named_with_its_line(hangs: Hangs) -> None:
    async def body(desk: Desk) -> None:
        desk.runner.post(_bar(2), START + 2 * HOUR)
        await _inside(hangs)
        budget, thread = Budget(10.0), desk.executor.ident

        assert budget.look(thread, 0.0) is None
        assert budget.look(thread, 9.9) is None
        over = budget.look(thread, 10.0)
        assert over is not None
        assert over.strategy == "s"
        line = next(
            i for i, t in enumerate(Path(__file__).read_text().splitlines(), 1) if "self.let_go.wait()" in t
        )
        assert over.reason == f"a call of s took longer than 10 s, in test_stuck.py:{line} (wait)"

    run(hangs, body)


def test_a_call_that_comes_back_begins_the_budget_anew(hangs: Hangs) -> None:
    async def body(desk: Desk) -> None:
        desk.runner.post(_bar(2), START + 2 * HOUR)
        await _inside(hangs)
        budget, thread = Budget(10.0), desk.executor.ident
        assert budget.look(thread, 0.0) is None
        hangs.let_go.set()
        await desk.runner.look(lambda: None)

        assert call_in(thread or 0) is None
        assert budget.look(thread, 60.0) is None

        hangs.inside.clear()
        hangs.let_go.clear()
        hangs.bars = 1
        desk.runner.post(_bar(3), START + 3 * HOUR)
        await _inside(hangs)
        assert budget.look(thread, 61.0) is None
        assert budget.look(thread, 70.0) is None
        assert budget.look(thread, 71.0) is not None

    run(hangs, body)


def test_nothing_of_an_abandoned_call_is_recorded_or_sent(hangs: Hangs) -> None:
    async def body(desk: Desk) -> None:
        desk.runner.post(_bar(2), START + 2 * HOUR)
        await _inside(hangs)
        before = len(desk.kept.facts)
        desk.runner.abandon("over its budget")
        hangs.let_go.set()

        with pytest.raises(InvariantError, match="nothing may be recorded or sent any more: over its budget"):
            await desk.working
        assert (len(desk.kept.facts), desk.outbox.sent) == (before, 0)

    run(hangs, body)


def test_a_halt_holds_at_once_with_a_strategy_that_does_not_come_back(hangs: Hangs) -> None:
    async def body(desk: Desk) -> None:
        loop = asyncio.get_running_loop()
        desk.runner.post(_bar(2), START + 2 * HOUR)
        await _inside(hangs)
        began = loop.time()
        desk.halts.set(
            Halt(scope=EVERYTHING, level=HaltLevel.NO_NEW_RISK, reason="owner", rule="owner", since=START)
        )
        assert loop.time() - began < 0.1
        hangs.let_go.set()
        await desk.runner.look(lambda: None)
        while not desk.runner.is_quiet:
            await asyncio.sleep(0)

        kinds = [type(r.fact).__name__ for r in desk.kept.facts]
        assert "OrderIntended" in kinds  # decided before anybody told the engine
        assert "OrderRejected" in kinds
        assert desk.outbox.sent == 0

    run(hangs, body)


def test_latency_runs_from_the_queued_input_to_the_venue(hangs: Hangs) -> None:
    async def body(desk: Desk) -> None:
        told: list[float] = []
        desk.outbox.latency = told.append
        hangs.let_go.set()
        await desk.runner.settled(_bar(2), START + 2 * HOUR)

        assert len(told) == desk.outbox.sent == 1
        assert 0.0 < told[0] < 60.0

    run(hangs, body)

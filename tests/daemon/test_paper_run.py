"""The daemon's way through recorded data gives the facts of the backtest, killed in between or not."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.core.world import COIN, GEM, START, Script, World, account, make_bar, spec
from tradebot.core import facts as f
from tradebot.core.codec import encode
from tradebot.core.engine import Engine
from tradebot.core.ledger import Ledger
from tradebot.core.messages import Slice, Start
from tradebot.core.model import HOUR, MINUTE, Bar
from tradebot.core.setup import ExecutionSpec, Setup, StrategySpec
from tradebot.daemon.clock import DataClock
from tradebot.daemon.executor import Inline, OwnThread
from tradebot.daemon.halts import HaltFlag
from tradebot.daemon.outbox import Outbox
from tradebot.daemon.paper import PaperVenue
from tradebot.daemon.paperfile import PaperFile
from tradebot.daemon.player import Player
from tradebot.daemon.runner import Runner
from tradebot.sim.accounts import SimAccount
from tradebot.sim.exchange import Exchange
from tradebot.sim.timeline import Timeline
from tradebot.sim.venue import SimVenue


class Kept:
    """Committed facts in memory."""

    def __init__(self) -> None:
        self.facts: list[f.Recorded] = []

    def append(self, facts: Sequence[f.Recorded], *, durable: bool, progress: Mapping[str, int]) -> None:
        self.facts += facts


def _bars(rng: random.Random, count: int) -> list[Bar]:
    bars, prices = [], {COIN.id: 100.0, GEM.id: 40.0}
    for i in range(1, count + 1):
        for name, price in list(prices.items()):
            close = round(price * (1.0 + rng.uniform(-0.03, 0.03)), 2)
            row = (price, max(price, close) + 0.5, min(price, close) - 0.5, close, rng.choice([5.0, 500.0]))
            bars.append(make_bar(name, START + i * HOUR, HOUR, *row))
            prices[name] = close
    return bars


def _strategies(rng: random.Random, count: int) -> list[StrategySpec]:
    words = [[rng.choice([None, 0.0, 0.5, 1.0, -1.0]) for _ in range(count)] for _ in range(2)]
    exits = {"stop_loss": 0.03, "take_profit": 0.04}
    twap = ExecutionSpec(kind="twap", slices=3, over=30 * MINUTE)
    return [
        spec(Script(*words[0]), name="a", instrument=COIN, exits=exits),
        spec(Script(*words[1]), name="b", instrument=GEM, execution=twap),
    ]


def _slices(bars: Sequence[Bar]) -> list[Slice]:
    times = dict.fromkeys(bar.ts for bar in bars)
    return [Slice(ts, tuple(bar for bar in bars if bar.ts == ts)) for ts in times]


async def _daemon(
    specs: Sequence[StrategySpec], slices: Sequence[Slice], executor: Any, path: Path
) -> list[f.Recorded]:
    instruments = {i.id: i for i in (COIN, GEM)}
    setup = Setup(instruments=instruments, accounts=(account(),), strategies=tuple(specs), quanta={})
    clock, kept = DataClock(START), Kept()
    sim = SimVenue(
        instruments=instruments,
        accounts={"main": SimAccount(model=account().model, cash=dict(account().cash))},
    )
    venue = PaperVenue(Exchange(sim, "main"), clock, PaperFile(path))
    runner = Runner(Engine(setup, Ledger()), record=kept, archive=None, clock=clock, executor=executor)
    runner.outbox = Outbox(venue, clock, HaltFlag(None), runner.post)
    timeline = Timeline(venue)
    runner.timers = timeline
    working = asyncio.create_task(runner.run())
    try:
        start = Start(ts=START, run_id="run", epoch=1, config_digest="c", code_digest="d")
        await runner.settled(start, START)
        await Player(runner, timeline, clock, slices, at_rest=asyncio.Lock()).run()
    finally:
        working.cancel()
        executor.close()
        venue.close()
    return kept.facts


def _lines(facts: Sequence[f.Recorded]) -> list[str]:
    return [f"{row.seq} {row.seen} {row.kind} {row.data}" for row in map(encode, facts)]


async def test_daemon_on_recorded_bars_gives_the_facts_of_the_backtest(
    rng: random.Random, tmp_path: Path
) -> None:
    seed, count = rng.random(), 150
    bars = _bars(random.Random(seed), count)
    world = World(*_strategies(random.Random(seed), count), instruments=(COIN, GEM)).play(_slices(bars))
    for executor in (Inline(), OwnThread("main")):
        path = tmp_path / f"{type(executor).__name__}.db"
        facts = await _daemon(_strategies(random.Random(seed), count), _slices(bars), executor, path)
        assert _lines(facts) == _lines(world.facts)
    assert sum(isinstance(r.fact, f.OrderFilled) for r in world.facts) > 20

"""Who waits for an engine that is over is told so, and does not wait for ever."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from tests.core.world import COIN, START, account
from tradebot.core.engine import Engine
from tradebot.core.facts import Recorded
from tradebot.core.messages import SetHalt, Start
from tradebot.core.scope import HaltLevel
from tradebot.core.setup import Setup
from tradebot.daemon.clock import DataClock
from tradebot.daemon.executor import Inline
from tradebot.daemon.runner import Runner
from tradebot.errors import StoreError


class Full:
    """A disk that takes the first commit and no other."""

    def __init__(self) -> None:
        self.commits = 0

    def append(self, facts: Sequence[Recorded], *, durable: bool, progress: Mapping[str, int]) -> None:
        self.commits += 1
        if self.commits > 1:
            raise StoreError("the disk is full")


def _halt(reason: str) -> SetHalt:
    return SetHalt(ts=START, level=HaltLevel.PAUSED, reason=reason)


async def test_nobody_waits_for_an_engine_whose_disk_is_full() -> None:
    setup = Setup(instruments={COIN.id: COIN}, accounts=(account(),), strategies=(), quanta={})
    runner = Runner(Engine(setup), record=Full(), archive=None, clock=DataClock(START), executor=Inline())
    engine = asyncio.create_task(runner.run())
    await runner.settled(Start(ts=START, run_id="r", epoch=1, config_digest="c", code_digest="d"))
    waiting = [asyncio.create_task(runner.settled(_halt(word))) for word in ("first", "queued behind it")]
    with pytest.raises(StoreError):
        await engine
    waiting.append(asyncio.create_task(runner.settled(_halt("too late"))))
    done, pending = await asyncio.wait(waiting, timeout=5.0)
    assert not pending
    assert all(task.cancelled() for task in done)

"""A daemon that is killed in the middle of an instant trades as the backtest of the same data.

`test_daemon` kills between instants. Here an instant is cut: after a decision that was never recorded,
after a commit whose orders were not sent or whose answer was not heard, anywhere while inputs of one bar or quote are under way.
"""

import asyncio
import itertools
import os
import random
import re
import threading
from pathlib import Path

import pytest

from tests.parity.test_daemon import (
    CASES,
    HEAD,
    Line,
    _assert_same,
    _backtest,
    _config,
    _facts,
    _lines,
    _open,
    _trade,
)
from tradebot.app.trading import Opened
from tradebot.config.loader import parse
from tradebot.core import facts as f

DEATHS = 12 if os.environ.get("TRADEBOT_PROVE") == "1" else 4
# What was not sent of these is not sent again as it was: a schedule begins anew, a quote is of its moment.
SLICED_OR_QUOTED = ("atr_breakout", "market_making")


class Killed(Exception):
    """The process is gone."""


async def _die(opened: Opened, how: str, when: int) -> None:
    """Trade so many decisions, and be killed in the middle of the next instant."""
    account, runner = opened.account, opened.account.parts.runner

    def told(recorded: f.Recorded) -> None:
        if how == "unbooked" and runner.cycles >= when and isinstance(recorded.fact, f.OrderAccepted):
            runner.abandon("killed")  # what the venue does with the order is recorded by nobody
        if runner.cycles < when or not isinstance(recorded.fact, f.OrderIntended):
            return
        if how == "unsent":  # the facts are on the disk; whoever would send the order runs no more
            for task in asyncio.all_tasks() - {us}:
                task.cancel()
        if how in ("unsent", "unheard"):
            raise Killed

    us = asyncio.current_task()
    await account.start()
    account.listeners.append(told)
    life = asyncio.create_task(account.run())
    while not life.done() and not account.feed_is_over:
        await asyncio.sleep(0.001)
        if runner.cycles < when:
            continue
        if how == "decided":
            runner.abandon("killed")  # what is decided from here on is not recorded
        elif how == "anywhere" and account.parts.reconciler.at_rest.locked():
            life.cancel()
    life.cancel()
    await asyncio.wait({life})
    for thread in threading.enumerate():
        if thread.name.startswith("engine-main"):
            thread.join()
    opened.let_go()


@pytest.mark.parametrize("case", CASES)
async def test_daemon_killed_inside_an_instant_trades_as_if_it_had_not_been(
    case: str, tmp_path: Path, rng: random.Random
) -> None:
    config = _config(case)
    wanted = _lines(_backtest(config, tmp_path))
    folder = tmp_path / "state"
    folder.mkdir()
    ways = ["decided", "unheard"] + ([] if case in SLICED_OR_QUOTED else ["unsent", "anywhere"])
    for i, how in zip(range(DEATHS), itertools.cycle(ways), strict=False):
        await _die(_open(config, tmp_path, folder, 1_800_000_000 + i), how, rng.randrange(10, 120))
    await _trade(_open(config, tmp_path, folder, 1_800_000_099))
    facts = _facts(folder / "journal.db")
    # An order that was decided on and never sent is found to be so, and another one goes out in its place.
    lost = {one.fact.client_order_id for one in facts if isinstance(one.fact, f.UnknownReleased)}
    sent = [one for one in facts if _order_id(one.fact) not in lost]
    _assert_same([_unpriced(line) for line in _lines(sent)], [_unpriced(line) for line in wanted])


def _unpriced(line: Line) -> Line:
    """Leave out the price beside an order: one that goes out again before the past was shown knows none."""
    return line._replace(text=re.sub(r'"price": [-+.e0-9]+, "compared"', '"compared"', line.text))


def _order_id(fact: f.Fact) -> str:
    return fact.order.client_order_id if isinstance(fact, f.OrderIntended) else ""


COUNTING = '''
from tradebot.api import BarStrategy


class Counting(BarStrategy):
    """Trade on every other bar and count what was filled."""

    lookback = 1

    def __init__(self, params=None):
        super().__init__(params)
        self.bars = self.fills = 0

    def on_bar(self, ctx, bar):
        self.bars += 1
        return ctx.target(weight=0.9 if self.bars % 4 < 2 else 0.1) if self.bars % 2 else None

    def on_fill(self, ctx, fill):
        self.fills += 1

    def save(self):
        return {"bars": self.bars, "fills": self.fills}

    def load(self, state):
        self.bars, self.fills = state["bars"], state["fills"]
'''

COUNTED = """
  - id: counting
    class: counting.py:Counting
    instruments: [SPX]
    interval: 1d
"""


async def _die_starting(opened: Opened, when: int) -> None:
    """Be killed right after a commit of the start: the one that many decisions into it."""
    account, runner = opened.account, opened.account.parts.runner

    def told(recorded: f.Recorded) -> None:
        if runner.cycles >= when:
            raise Killed

    account.listeners.append(told)
    with pytest.raises(Killed):
        await account.run()
    account.parts.executor.close()
    opened.let_go()


async def test_daemon_killed_at_each_commit_of_its_start_tells_every_fill_once(tmp_path: Path) -> None:
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "counting.py").write_text(COUNTING)
    text = HEAD.format(start="2008-01-01", end="2008-06-30") + COUNTED.strip("\n") + "\n"
    config = parse(text.encode(), "tradebot.yaml", (), env={}).config
    wanted = _lines(_backtest(config, tmp_path))
    folder = tmp_path / "state"
    folder.mkdir()
    epochs = itertools.count(1_800_000_000)
    for when in range(10):
        await _die(_open(config, tmp_path, folder, next(epochs)), "unbooked", 10)
        await _die_starting(_open(config, tmp_path, folder, next(epochs)), when)
    await _trade(_open(config, tmp_path, folder, next(epochs)))
    facts = [one.fact for one in _facts(folder / "journal.db")]
    fills = sum(isinstance(fact, f.OrderFilled) for fact in facts)
    last = [fact.state for fact in facts if isinstance(fact, f.StrategySaved)][-1]
    assert f'"fills":{fills}' in last
    assert _lines(_facts(folder / "journal.db")) == wanted
    assert _booked_untold(facts) > 5


def _booked_untold(facts: list[f.Fact]) -> int:
    """Count the fills that were booked before strategies had their memories back."""
    count = 0
    is_told = True
    for fact in facts:
        if isinstance(fact, f.RunStarted | f.StrategiesCaughtUp):
            is_told = isinstance(fact, f.StrategiesCaughtUp)
        elif isinstance(fact, f.OrderFilled) and not is_told:
            count += 1
    return count

"""The daemon on a replayed feed decides as the backtest of the same data, stopped in between or not.

Same means (docs/architecture.md): targets, orders, denials, fills, lots and corporate actions, in
order, with the time of the event; ids by first appearance; explaining numbers to 1e-9.
"""

import asyncio
import json
import math
import re
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tradebot.app.backtest import BacktestRequest, backtest
from tradebot.app.trading import Opened, Request, open_account
from tradebot.config.loader import parse
from tradebot.config.models import Config
from tradebot.core import facts as f
from tradebot.core.codec import encode
from tradebot.daemon.places import AccountPlaces
from tradebot.store import connect
from tradebot.store.replay import recorded

COMPARED = (
    f.TargetSet,
    f.QuotesSet,
    f.TargetSuspended,
    f.TargetReleased,
    f.OrderIntended,
    f.OrderDenied,
    f.OrderShrunk,
    f.OrderFilled,
    f.ParentOpened,
    f.ParentProgressed,
    f.SplitApplied,
    f.DividendAccrued,
    f.DividendPaid,
)

HEAD = """
version: 1
mode: paper
accounts:
  main:
    venue: sim
    feed: sample
    cash: 10000 USD
    model: margin
    replay: {{from: "{start}", to: "{end}"}}
backtest: {{from: "{start}", to: "{end}"}}
fees: {{kind: bps, maker: 1bps, taker: 5bps}}
limits: {{max_drawdown: 25%, max_daily_loss: 5%}}
strategies:
"""

CASES = {
    "ma_crossover": (
        "2006-06-01",
        "2008-12-31",
        """
  - id: trend
    class: ma_crossover.py:MovingAverageCrossover
    instruments: [SPX]
    interval: 1d
    params: {fast: 20, slow: 60}
    exits: {stop_loss: 6%, after_exit: next_signal}
""",
    ),
    "mean_reversion": (
        "2008-01-01",
        "2009-06-30",
        """
  - id: reversion
    class: mean_reversion.py:MeanReversion
    instruments: [SPX]
    interval: 1d
    params: {window: 20, enter: 2.0, leave: 0.5}
    sizing: {kind: fixed_risk, risk: 1%, stop: 5%}
    exits: {stop_loss: 5%, max_bars: 20}
""",
    ),
    "atr_breakout": (
        "2023-02-01",
        "2023-03-31",
        """
  - id: breakout
    class: atr_breakout.py:AtrBreakout
    instruments: [SYN/USD]
    interval: 1h
    params: {channel: 20, exit_channel: 10, atr: 14, stop: 2.0}
    sizing: {kind: volatility_target, target: 20%, lookback: 48}
    exits: {trailing: 5%}
    execution: {kind: twap, slices: 4, over: 20m}
""",
    ),
    "market_making": (
        "2023-12-30T00:00:00Z",
        "2023-12-30T02:00:00Z",
        """
  - id: maker
    class: market_making.py:MarketMaking
    instruments: [SYN/USD]
    params: {spread: 12bps, qty: 0.1, max_position: 1.0, tolerance_ticks: 3}
""",
    ),
    "robo_portfolio": (
        "2003-01-01",
        "2004-06-30",
        """
  - id: robo
    class: robo_portfolio.py:FixedWeights
    instruments: [SPX]
    interval: 1d
    params: {weights: {SPX: 60%}}
    schedule: {every: month}
    first_entry: at_once
    resize: always
""",
    ),
}


def _config(case: str) -> Config:
    start, end, words = CASES[case]
    text = HEAD.format(start=start, end=end) + words.strip("\n") + "\n"
    return parse(text.encode(), "tradebot.yaml", (), env={}).config


class Line(NamedTuple):
    """A fact as it is compared: its text with ids by first appearance, and its explaining numbers."""

    text: str
    explained: tuple[tuple[str, float], ...]


def _lines(facts: Iterable[f.Recorded]) -> list[Line]:
    names: dict[str, str] = {}

    def name(match: re.Match[str]) -> str:
        return names.setdefault(match[0], f"#{len(names) + 1}")

    lines = []
    for one in facts:
        if not isinstance(one.fact, COMPARED):
            continue
        row = encode(one)
        values = json.loads(row.data)
        explained = tuple((e["name"], e["value"]) for e in values.pop("explained", ()))
        text = re.sub(r"\b[pg]?(?:tb|t[0-9a-v])[0-9a-v]{11,}\b", name, json.dumps(values))
        lines.append(Line(f"{row.kind} {row.ts} {text}", explained))
    return lines


def _assert_same(found: list[Line], wanted: list[Line]) -> None:
    assert [line.text for line in found] == [line.text for line in wanted]
    for ours, theirs in zip(found, wanted, strict=True):
        assert [n for n, _ in ours.explained] == [n for n, _ in theirs.explained]
        for (_, x), (_, y) in zip(ours.explained, theirs.explained, strict=True):
            assert math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-9), (ours, theirs)


def _backtest(config: Config, project: Path) -> list[f.Recorded]:
    facts: list[f.Recorded] = []
    backtest(BacktestRequest(config=config, project=project, speed="engine", on_fact=facts.append))
    return facts


def _facts(path: Path) -> list[f.Recorded]:
    with closing(connect.open_reader(path)) as db:
        return list(recorded(db, path))


def _open(config: Config, project: Path, folder: Path, wall: int) -> Opened:
    places = AccountPlaces(folder=folder)
    return open_account(Request(config=config, project=project, account="main", places=places, wall=wall))


async def _trade(opened: Opened, *, kill_after: int | None = None) -> None:
    """Trade until the data end; or be killed between two instants, after so many decisions."""
    account = opened.account
    await account.start()
    life = asyncio.create_task(account.run())
    while not account.feed_is_over and not life.done():
        await asyncio.sleep(0.002)
        if kill_after is not None and account.parts.runner.cycles >= kill_after:
            async with account.parts.reconciler.at_rest:
                life.cancel()
                await asyncio.wait({life})
            opened.let_go()
            return
    account.stop("test")
    await life
    opened.close()


@pytest.mark.parametrize("case", CASES)
async def test_daemon_decides_as_the_backtest_of_the_same_data(case: str, tmp_path: Path) -> None:
    config = _config(case)
    wanted = _lines(_backtest(config, tmp_path))
    folder = tmp_path / "state"
    folder.mkdir()
    await _trade(_open(config, tmp_path, folder, 1_800_000_000))
    found = _lines(_facts(folder / "journal.db"))
    _assert_same(found, wanted)
    assert len(wanted) > 10


@pytest.mark.parametrize("case", CASES)
async def test_daemon_killed_between_bars_decides_as_if_it_had_not_been(
    case: str, tmp_path: Path, rng: Any
) -> None:
    config = _config(case)
    wanted = _lines(_backtest(config, tmp_path))
    folder = tmp_path / "state"
    folder.mkdir()
    for i in range(3):
        opened = _open(config, tmp_path, folder, 1_800_000_000 + i)
        await _trade(opened, kill_after=rng.randrange(40, 400))
    await _trade(_open(config, tmp_path, folder, 1_800_000_009))
    found = _lines(_facts(folder / "journal.db"))
    _assert_same(found, wanted)

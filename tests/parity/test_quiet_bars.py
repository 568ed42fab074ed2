"""A stretch of quiet bars passed at once leads to the same facts as bar by bar."""

import random

import pytest

from tests.conftest import PROVING
from tests.parity.cases import EPOCH, Case, make_case, setup_of
from tradebot.core.engine import Engine
from tradebot.core.facts import Recorded
from tradebot.core.messages import End, Slice, Start
from tradebot.core.model import HOUR, Bar
from tradebot.sim.accounts import AccountView, SimAccount
from tradebot.sim.replay import Replay
from tradebot.sim.settings import MarketAt
from tradebot.sim.venue import SimVenue

CASES = 600 if PROVING else 60


def play(case: Case, slices: list[Slice], *, one_by_one: bool) -> tuple[list[Recorded], AccountView]:
    engine = Engine(setup_of(case))
    venue = SimVenue(
        instruments={"X": case.instrument},
        accounts={"main": SimAccount(model=case.model, cash={"USD": case.cash})},
        settings=case.fills,
        fees=case.fees,
        slippage=case.slippage,
    )
    recorded: list[Recorded] = []
    first = case.fills.market_at is not MarketAt.SAME_CLOSE
    replay = Replay(engine, venue, events=case.sessions, on_fact=recorded.append, close_first=first)
    begin = EPOCH - HOUR
    replay.tell(Start(ts=begin, run_id="r", epoch=1, config_digest="", code_digest=""), begin)
    engine.warm_up(slices[: case.warm_up])
    # A driver that wants to be told of every bar is led bar by bar.
    replay.run(slices[case.warm_up :], (lambda ts: None) if one_by_one else None)
    last = slices[-1].ts
    replay.finish(last)
    replay.tell(End(ts=last, reason="end"), last)
    return recorded, venue.account("main")


def slices_of(case: Case, rng: random.Random) -> list[Slice]:
    """Return the case's bars, now and then one that cannot be true or comes again."""
    b = case.bars
    rows = zip(*(a.tolist() for a in (b.ts, b.open, b.high, b.low, b.close, b.volume)), strict=True)
    bars = [Bar("X", ts, case.interval, *row) for ts, *row in rows]
    for i in range(len(bars)):
        if i > case.warm_up and rng.random() < 0.02:
            wrong = rng.choice(("high", "open", "close", "volume"))
            bars[i] = rng.choice((bars[i - 1], bars[i]._replace(**{wrong: rng.choice((float("nan"), -1.0))})))
    return [Slice(b.ts[i].item(), (bar,)) for i, bar in enumerate(bars)]


@pytest.mark.parametrize("part", range(3))
def test_facts_and_the_venues_books_are_those_of_a_run_bar_by_bar(part: int, rng: random.Random) -> None:
    traded = 0
    for _ in range(CASES // 3):
        seed = f"{part}:{rng.random()}"
        case = make_case(seed)
        slices = slices_of(case, rng)

        recorded, books = play(case, slices, one_by_one=True)

        assert play(case, slices, one_by_one=False) == (recorded, books), seed
        traded += sum(type(r.fact).__name__ == "OrderFilled" for r in recorded)
    assert traded

"""A run that is cut anywhere and begun again from its journal goes on as if nothing had happened.

The second engine knows the facts, read back from their text, and is shown the last `lookback` bars of
each series. From there on it must decide what the unbroken run decides: targets, orders, denials,
fills with their lots, suspensions, halts. Ids differ by their epoch and are compared by first appearance.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.core.world import COIN, EURO, GEM, STOCK, D, World, account, spec
from tests.property.test_worlds import events, exits, fees, halts, settings, slices, style
from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.codec import encode
from tradebot.core.market import problem_of
from tradebot.core.model import HOUR, AccountModel, Bar, Book, Level, MarketData, Quote
from tradebot.core.setup import (
    ExecutionSpec,
    FirstEntry,
    LateEntry,
    Limits,
    Resize,
    RetryRules,
    Schedule,
    StrategySpec,
)
from tradebot.core.sizing import FixedNotional, FixedQty, FractionOfEquity, VolatilityTarget
from tradebot.core.strategy import (
    BarStrategy,
    Context,
    PortfolioStrategy,
    Quotes,
    QuoteStrategy,
    Target,
    Weights,
)
from tradebot.sim.latency import FixedLatency

PROVING = os.environ.get("TRADEBOT_PROVE") == "1"
SEED = int(os.environ.get("TRADEBOT_SEED", "0"))
COUNT = 600 if PROVING else 8
# Seeds and numbers of worlds that once differed after a cut, and of which each showed another mistake.
KNOWN = ((1, 3), (1, 5), (7005, 0))
LOOKBACK = 3

STREAM = (
    f.TargetSet,
    f.QuotesSet,
    f.TargetSuspended,
    f.TargetReleased,
    f.Skipped,
    f.OrderDenied,
    f.OrderShrunk,
    f.OrderIntended,
    f.ReplaceRequested,
    f.CancelRequested,
    f.OrderFilled,
    f.OrderRejected,
    f.RetrySet,
    f.ParentOpened,
    f.ParentProgressed,
    f.ParentClosed,
    f.SplitApplied,
    f.DividendPaid,
    f.HaltSet,
    f.StrategyFailed,
)
# What names another fact by an id of its run's epoch, or by its number: both are told by first appearance.
_NAME = re.compile(r'tb[0-9a-v]{11}|(?<="accrual":)\d+')


class Moody(BarStrategy):
    """Decides by its last bars and by a mood that only its saved memory knows."""

    def __init__(self, seed: float, calm: float) -> None:
        super().__init__(None)
        self.lookback = LOOKBACK
        self.seed, self.calm = seed, calm
        self.mood = 0
        self.closes: list[float] = []
        self.rings = 0

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        self.closes = [*self.closes, bar.close][-LOOKBACK:]
        rng = random.Random(f"{self.seed}:{bar.ts}:{self.mood}:{self.rings}:{sum(self.closes)}")
        if rng.random() < 0.1:
            self.mood += 1
        if rng.random() < 0.05:
            ctx.set_timer("ring", ctx.now + rng.randrange(1, 9) * HOUR // 2)
        if rng.random() < self.calm:
            return None
        if rng.random() < 0.15:
            return ctx.target(qty=round(rng.uniform(-30, 30), 4))
        return ctx.target(weight=rng.choice([-1.0, -0.5, 0.0, 0.0, 0.3, 0.7, 1.0, 1.0]))

    def on_timer(self, ctx: Context, key: str) -> Target | None:
        assert key == "ring"
        self.rings += 1
        return ctx.target(weight=0.25 * (self.rings % 3), reason="rang") if self.rings % 2 else None

    def save(self) -> dict[str, object]:
        return {"mood": self.mood, "rings": self.rings}

    def load(self, state: Mapping[str, object]) -> None:
        self.mood, self.rings = int(str(state["mood"])), int(str(state["rings"]))


class Steady(BarStrategy):
    """Says its word on every bar, as a frame strategy does; nothing to save."""

    def __init__(self, seed: float, calm: float) -> None:
        super().__init__(None)
        self.seed = seed

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        rng = random.Random(f"{self.seed}:{bar.ts // (9 * HOUR)}")
        return ctx.target(weight=rng.choice([-1.0, 0.0, 0.5, 1.0]))


class Shares(BarStrategy):
    """Wants weights of several instruments at once."""

    together = True

    def __init__(self, seed: float) -> None:
        super().__init__(None)
        self.seed = seed

    def on_bars(self, ctx: Context, bars: Any) -> Weights | None:
        rng = random.Random(f"{self.seed}:{ctx.now}:{sorted(bars)}:{ctx.missing}")
        if rng.random() < 0.6:
            return None
        return Weights(tuple((name, rng.choice([0.0, 0.2, 0.4, -0.3])) for name in bars))


class Folio(PortfolioStrategy):
    """Wants other weights in each period."""

    def __init__(self, seed: float) -> None:
        super().__init__(None)
        self.seed = seed

    def weights(self, ctx: Context, prices: Mapping[str, float]) -> Weights | None:
        rng = random.Random(f"{self.seed}:{ctx.now}")
        return Weights(tuple((name, rng.choice([0.1, 0.3, 0.5])) for name in prices))


class Maker(QuoteStrategy):
    """Quotes both sides at distances that its count of quotes decides."""

    def __init__(self, seed: float) -> None:
        super().__init__(None)
        self.seed, self.count = seed, 0

    def on_quote(self, ctx: Context, quote: Quote) -> Quotes | None:
        if not ctx.muted:
            self.count += 1
        rng = random.Random(f"{self.seed}:{self.count}")
        if rng.random() < 0.3:
            return None
        step = quote.mid * 0.001
        return Quotes(
            quote.instrument,
            tuple(Level(quote.mid - step * (i + rng.random()), rng.uniform(0.1, 5)) for i in range(2)),
            tuple(Level(quote.mid + step * (i + rng.random()), rng.uniform(0.1, 5)) for i in range(2)),
            tolerance_ticks=rng.randint(0, 3),
        )

    def save(self) -> dict[str, object]:
        return {"count": self.count}

    def load(self, state: Mapping[str, object]) -> None:
        self.count = int(str(state["count"]))


def terms(rng: random.Random, instrument: Any) -> dict[str, Any]:
    twap = ExecutionSpec(
        kind="twap", slices=rng.randint(2, 6), over=rng.randint(1, 10) * HOUR, on_late="catch_up"
    )
    return {
        "sizing": rng.choice(
            [
                FixedQty(qty=10.0),
                FixedNotional(notional=rng.uniform(100, 5000)),
                FractionOfEquity(fraction=rng.choice([0.3, 0.95, 1.5])),
                VolatilityTarget(annual=0.3, window=5, periods_per_year=8760, max_fraction=1.0),
            ]
        ),
        "exits": exits(rng),
        "style": style(rng, instrument),
        "execution": rng.choice([ExecutionSpec(), ExecutionSpec(), twap]),
        "resize": rng.choice(list(Resize)),
        "band": 0.1,
        "first_entry": rng.choice(list(FirstEntry)),
        "late_entry": rng.choice([LateEntry(), LateEntry(max_bars=1), LateEntry(max_move=0.001)]),
        "retry": RetryRules(times=rng.randint(0, 4)),
    }


def made_strategies(name: str) -> list[StrategySpec]:
    """Return the strategies of a world; each call makes new objects without memory."""
    rng = random.Random(f"{name}:restart")
    count = rng.randint(1, 3)
    share = (D(1) / count).quantize(D("0.01"))
    made: list[StrategySpec] = []
    for i in range(count):
        seed, calm, roll = rng.random(), rng.choice([0.3, 0.8, 0.95]), rng.random()
        common: dict[str, Any] = {"name": f"s{i}", "capital": share}
        if roll < 0.1:
            made.append(spec(Maker(seed), instrument=GEM, interval=0, **common))
        elif roll < 0.4:
            make: Callable[[float], Any] = Shares if roll < 0.25 else Folio
            chosen = dict.fromkeys(("COIN", "GEM"), make(seed))
            extra = {"schedule": rng.choice(list(Schedule)), "drift": rng.choice([None, 0.05])}
            made.append(spec(chosen, **common, **extra, **terms(rng, COIN)))
        else:
            instrument = rng.choice([COIN, COIN, GEM, EURO, STOCK])
            decider = rng.choice([Moody, Moody, Steady])(seed, calm)
            made.append(spec(decider, instrument=instrument, **common, **terms(rng, instrument)))
    return made


def shown_again(seen: list[m.Slice], strategies: list[StrategySpec]) -> list[m.Slice]:
    """Return what a restart is shown: the last bars that each series needs, and the last quote of each."""
    counts: dict[tuple[str, bool], int] = {}
    lookback = max(6 if isinstance(s.sizing, VolatilityTarget) else LOOKBACK for s in strategies)
    shown: list[m.Slice] = []
    for piece in reversed(seen):
        kept: list[MarketData] = []
        for item in reversed(piece.items):
            is_bar = isinstance(item, Bar)
            known = counts.get((item.instrument, is_bar), 0)
            if not _is_bad(item) and known < (lookback if is_bar else 1):
                counts[item.instrument, is_bar] = known + 1
                kept.append(item)
        if kept:
            shown.append(m.Slice(piece.ts, tuple(reversed(kept))))
    return shown[::-1]


def _is_bad(item: MarketData) -> bool:
    return not isinstance(item, Book) and bool(problem_of(item))


def run(name: str, *, cuts: int, delayed: bool) -> tuple[World, list[str]]:
    rng = random.Random(f"{name}:cut-world")
    happens, splits = events(rng)
    splits.clear()  # what a split does to bars of the past is the catalogue's to say
    happens = [e for e in happens if not isinstance(e, m.Split)]
    limits = Limits(
        max_daily_loss=rng.choice([None, 0.02]),
        max_drawdown=rng.choice([None, 0.03]),
        max_position=rng.choice([None, 20_000.0]),
        max_orders_per_day=rng.choice([None, None, 30]),
    )
    model = rng.choice(list(AccountModel))
    strategies = made_strategies(name)
    rules, charged = settings(rng), fees(rng)
    latency = FixedLatency(
        submit=rng.randrange(3 * HOUR), cancel=rng.randrange(3 * HOUR), replace=rng.randrange(3 * HOUR)
    )
    world = World(
        *strategies,
        accounts=[account({"USD": D(50_000), "EUR": D(20_000), "BNB": D(5)}, model=model, limits=limits)],
        events=happens,
        checks_rest=False,
        remembers=True,
        settings=rules,
        fees=charged,
        **({"latency": latency} if delayed else {}),
    )
    market, waiting = slices(rng, splits), halts(rng, len(strategies))
    rng_cut = random.Random(f"{name}:cuts")
    where = rng_cut.sample(range(1, len(market)), cuts)
    for i, piece in enumerate(market):
        if i in where:
            # The daemon may know up to which bar it was given data, or only when it last had to act.
            knows = rng_cut.random() < 0.5
            since = world.now if knows else world.ledger.seen
            # What strategies were shown since their memories were saved is shown again.
            since = min([since, *(s.bar_ts for s in world.ledger.saved.values() if s.bar_ts)])
            past = shown_again([p for p in market[:i] if p.ts <= since], strategies)
            past += [p for p in market[:i] if p.ts > since]
            world.restart(*made_strategies(name), warm_up=past, seen=world.now if knows else None)
        while waiting and waiting[0].ts <= piece.ts:
            halt = waiting.pop(0)
            world.tell(replace(halt, ts=max(halt.ts, world.now)))
        world.play([piece])
    world.compare()
    return world, stream(world)


def stream(world: World) -> list[str]:
    names: dict[str, str] = {}
    lines = []
    for recorded in world.facts:
        if isinstance(recorded.fact, STREAM):
            row = encode(recorded)
            text = _NAME.sub(lambda found: names.setdefault(found[0], f"o{len(names) + 1}"), row.data)
            lines.append(f"{row.seen} {row.kind} {text}")
    return lines


@pytest.mark.parametrize(
    ("seed", "number"), [*((SEED, number) for number in range(COUNT)), *(KNOWN if PROVING else ())]
)
def test_a_cut_run_decides_what_the_unbroken_one_does(seed: int, number: int) -> None:
    name, delayed = f"{seed}:{number}", number % 2 == 1
    _, unbroken = run(name, cuts=0, delayed=delayed)
    _, cut = run(name, cuts=1 + number % 5, delayed=delayed)
    for i, (left, right) in enumerate(zip(unbroken, cut, strict=False)):
        assert right == left, f"decision {i} of {len(unbroken)} differs"
    assert len(cut) == len(unbroken)


def test_cut_runs_reach_what_they_are_made_for() -> None:
    missing = {
        "StrategySaved",
        "BarsCounted",
        "WeightsAsked",
        "TargetSuspended",
        "OrderDenied",
        "ParentProgressed",
    }
    for number in range(12):
        world, _ = run(f"{SEED}:{number}", cuts=3, delayed=False)
        missing -= {type(recorded.fact).__name__ for recorded in world.facts}
        if not missing:
            return
    pytest.fail(f"never seen in 12 worlds: {sorted(missing)}")

"""Random worlds: whatever strategies want and markets do, books balance and promises hold.

Each world mixes strategies, instruments, currencies, account models, fees, caps, exits, parents,
sessions, corporate actions, halts and bad data. What must hold after every fact and every instant
is checked by `World` itself; a failing world is repeated by its number and the run's seed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.core.world import COIN, EURO, GEM, START, STOCK, D, World, account, sessions, spec
from tradebot.core import messages as m
from tradebot.core.codec import encode
from tradebot.core.model import (
    DAY,
    HOUR,
    MINUTE,
    AccountModel,
    Bar,
    Instrument,
    Level,
    LotMethod,
    OrderKind,
    Quote,
    Tif,
)
from tradebot.core.scope import EVERYTHING, HaltLevel, Scope
from tradebot.core.setup import (
    ExecutionSpec,
    FirstEntry,
    Limits,
    OrderStyle,
    Resize,
    RetryRules,
    StrategySpec,
)
from tradebot.core.sizing import FixedNotional, FixedQty, FixedRisk, FractionOfEquity, VolatilityTarget
from tradebot.core.strategy import BarStrategy, Context, Quotes, QuoteStrategy, Target, Weights
from tradebot.sim.fees import BpsFees, NoFees, PerShareFees, ReceivedAssetFees, ThirdAssetFees
from tradebot.sim.latency import Delays, FixedLatency
from tradebot.sim.settings import FillSettings, IntrabarPath, OnSplit, SameBar, StopThrough
from tradebot.sim.slippage import BpsSlippage, NoSlippage, TickSlippage

SEED = int(os.environ.get("TRADEBOT_SEED", "0"))
PROVING = os.environ.get("TRADEBOT_PROVE") == "1"
COUNT = 1_500 if PROVING else 32
DAYS = 6


class Whim(BarStrategy):
    """Wants something else now and then, for no reason; `calm` is how often it says nothing."""

    calm = 0.6

    def __init__(self, rng: random.Random) -> None:
        super().__init__(None)
        self.rng = rng

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        rng = self.rng
        if rng.random() < self.calm:
            return None
        if rng.random() < 0.15:
            return ctx.target(qty=round(rng.uniform(-30, 30), 4))
        return ctx.target(weight=rng.choice([-1.0, -0.5, 0.0, 0.0, 0.3, 0.7, 1.0, 1.0]), mood=rng.random())


class Allocation(BarStrategy):
    """Wants random weights of several instruments at once."""

    together = True

    def __init__(self, rng: random.Random) -> None:
        super().__init__(None)
        self.rng = rng

    def on_bars(self, ctx: Context, bars: Any) -> Weights | None:
        if self.rng.random() < 0.6:
            return None
        return Weights(tuple((name, self.rng.choice([0.0, 0.2, 0.4, -0.3])) for name in bars))


class Maker(QuoteStrategy):
    """Quotes both sides at random distances."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(None)
        self.rng = rng

    def on_quote(self, ctx: Context, quote: Quote) -> Quotes | None:
        rng = self.rng
        if rng.random() < 0.3:
            return None
        levels = range(rng.randint(0, 2))
        step = quote.mid * 0.001
        return Quotes(
            quote.instrument,
            tuple(Level(quote.mid - step * (i + rng.random()), rng.uniform(0.1, 5)) for i in levels),
            tuple(Level(quote.mid + step * (i + rng.random()), rng.uniform(0.1, 5)) for i in levels),
            tolerance_ticks=rng.randint(0, 3),
        )


@dataclass
class Plan:
    """One world before it is run."""

    world: World
    market: list[m.Slice]
    halts: list[m.SetHalt]


def sizing(rng: random.Random) -> Any:
    return rng.choice(
        [
            FixedQty(qty=rng.choice([1.0, 10.0, 33.333])),
            FixedNotional(notional=rng.uniform(100, 5000)),
            FractionOfEquity(fraction=rng.choice([0.3, 0.95, 1.5])),
            FixedRisk(risk=0.01, stop=0.05),
            VolatilityTarget(annual=0.3, window=5, periods_per_year=8760, max_fraction=1.0),
        ]
    )


def exits(rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.3:
        return {}
    found: dict[str, Any] = {}
    if rng.random() < 0.6:
        found["stop_loss"] = rng.uniform(0.005, 0.05)
    if rng.random() < 0.5:
        found["take_profit"] = rng.uniform(0.005, 0.05)
    if rng.random() < 0.3:
        found["trailing"] = rng.uniform(0.005, 0.05)
    if rng.random() < 0.3:
        found["max_bars"] = rng.randint(1, 8)
    found["after_exit"] = rng.choice(["next_signal", "at_once", 3])
    found["is_local"] = rng.random() < 0.2
    return found


def style(rng: random.Random, instrument: Instrument) -> OrderStyle:
    kind = rng.choice([OrderKind.MARKET, OrderKind.MARKET, OrderKind.LIMIT])
    auctions = [None, None, Tif.AT_OPEN, Tif.AT_CLOSE] if instrument is STOCK else [None]
    tif = rng.choice([Tif.GTC, Tif.DAY] if instrument is STOCK else [Tif.GTC, Tif.GTC, Tif.IOC])
    return OrderStyle(kind=kind, collar=rng.choice([-0.01, 0.0, 0.01]), tif=tif, auction=rng.choice(auctions))


def terms(rng: random.Random, instrument: Instrument) -> dict[str, Any]:
    twap = ExecutionSpec(
        kind="twap",
        slices=rng.randint(2, 6),
        over=rng.randint(1, 10) * HOUR,
        on_late=rng.choice(["catch_up", "expire"]),
    )
    return {
        "sizing": sizing(rng),
        "exits": exits(rng),
        "style": style(rng, instrument),
        "execution": rng.choice([ExecutionSpec(), ExecutionSpec(), twap]),
        "resize": rng.choice(list(Resize)),
        "band": 0.1,
        "first_entry": rng.choice(list(FirstEntry)),
        "retry": RetryRules(times=rng.randint(0, 4)),
    }


def strategies(rng: random.Random, *, joint: bool = True) -> list[StrategySpec]:
    count = rng.randint(1, 3)
    share = (D(1) / count).quantize(D("0.01"))
    made: list[StrategySpec] = []
    for i in range(count):
        seed = rng.random()
        roll = rng.random()
        if roll < 0.15:
            made.append(
                spec(Maker(random.Random(seed)), instrument=GEM, name=f"s{i}", capital=share, interval=0)
            )
        elif roll < 0.3:
            one = Allocation(random.Random(seed))
            chosen = dict.fromkeys(("COIN", "GEM"), one)
            made.append(spec(chosen, name=f"s{i}", capital=share, **terms(rng, COIN)))
        else:
            instrument = rng.choice([COIN, COIN, GEM, EURO, STOCK])
            made.append(
                spec(
                    Whim(random.Random(seed)),
                    instrument=instrument,
                    name=f"s{i}",
                    capital=share,
                    **terms(rng, instrument),
                )
            )
    return made


def fees(rng: random.Random) -> Any:
    return rng.choice(
        [
            NoFees(),
            BpsFees(maker=D("-0.5"), taker=D("7.5")),
            ReceivedAssetFees(maker=D(8), taker=D(10)),
            ThirdAssetFees(maker=D(5), taker=D(7), asset="BNB", per_quote=D("0.0033")),
            PerShareFees(rate=D("0.0035"), minimum=D("0.35"), cap=D("0.01")),
        ]
    )


def settings(rng: random.Random) -> FillSettings:
    return FillSettings(
        volume_cap=rng.choice([None, D("0.01"), D("0.1")]),
        intrabar_path=rng.choice([IntrabarPath.WORST_CASE, IntrabarPath.WORST_CASE, IntrabarPath.OHLC]),
        same_bar_entry_exit=rng.choice([SameBar.ALLOW, SameBar.ALLOW, SameBar.DEFER]),
        stop_through=rng.choice([StopThrough.TRIGGER_AT_ONCE] * 3 + [StopThrough.REJECT]),
        on_split=rng.choice(list(OnSplit)),
    )


def walk(rng: random.Random, instrument: Instrument, splits: dict[int, float]) -> Iterator[Bar | Quote]:
    """Yield hourly bars (STOCK: of its sessions only), for GEM quotes between them."""
    price = rng.uniform(20, 400)
    for hour in range(1, DAYS * 24 + 1):
        ts = START + hour * HOUR
        for at, ratio in splits.items():
            if ts - HOUR < at <= ts:
                price /= ratio
        in_session = 15 <= hour % 24 <= 21
        if (instrument is STOCK and not in_session) or rng.random() < 0.03:
            continue
        open_ = price * (1 + rng.gauss(0, 0.004))
        close = open_ * (1 + rng.gauss(0, 0.012))
        high = max(open_, close) * (1 + abs(rng.gauss(0, 0.006)))
        low = min(open_, close) * (1 - abs(rng.gauss(0, 0.006)))
        price = close
        row = [round(x, 2) for x in (open_, high, low, close)]
        if rng.random() < 0.01:
            row[rng.randrange(4)] = float("nan")
        if instrument is GEM:
            for minute in range(0, 60, 15):
                bid = round(price * (1 + rng.gauss(0, 0.002)), 2)
                at = ts - HOUR + (minute + 5) * MINUTE
                yield Quote(
                    "GEM", at, bid, rng.uniform(0, 5), bid + rng.choice([0.01, 0.05]), rng.uniform(0, 5)
                )
        yield Bar(instrument.id, ts, HOUR, *row, rng.choice([0.0, 50.0, 500.0, 5000.0]))


def slices(rng: random.Random, splits: dict[str, dict[int, float]]) -> list[m.Slice]:
    at: dict[int, list[Bar | Quote]] = {}
    for instrument in (COIN, GEM, EURO, STOCK):
        for item in walk(rng, instrument, splits.get(instrument.id, {})):
            at.setdefault(item.ts, []).append(item)
    return [m.Slice(ts, tuple(items)) for ts, items in sorted(at.items())]


def events(rng: random.Random) -> tuple[list[Any], dict[str, dict[int, float]]]:
    """Return sessions, splits, dividends and rates in order of time; splits also by instrument."""
    days = sessions(*[(d, 14.5, 21.0) for d in range(DAYS)])
    found: list[tuple[int, int, Any]] = [(e.ts, 1, e) for e in days]
    splits: dict[str, dict[int, float]] = {}
    opens = [START + d * DAY + int(14.5 * HOUR) for d in range(DAYS)]
    for name in ("STOCK", "COIN"):
        if rng.random() < 0.5:
            ts = rng.choice(opens[1:])
            ratio = rng.choice(["4", "1.5", "0.125", "0.1"])
            found.append((ts, 0, m.Split(ts=ts, instrument=name, ratio=D(ratio))))
            splits[name] = {ts: float(ratio)}
    for _ in range(rng.randint(0, 2)):
        day = rng.randrange(1, DAYS - 1)
        pays = opens[rng.randrange(day, DAYS)]
        amount = D(rng.choice(["0.25", "1.123456789", "0.00000003"]))
        dividend = m.Dividend(ts=opens[day], instrument="STOCK", amount=amount, pays_at=pays)
        found.append((opens[day], 0, dividend))
    found.append((START + 1, 2, m.Rate(ts=START + 1, asset="BNB", base="USD", rate=303.03)))
    for hour in range(0, DAYS * 24, 7):
        ts = START + hour * HOUR + 1
        found.append((ts, 2, m.Rate(ts=ts, asset="EUR", base="USD", rate=rng.uniform(1.0, 1.2))))
    return [event for _, _, event in sorted(found, key=lambda row: row[:2])], splits


def halts(rng: random.Random, count: int) -> list[m.SetHalt]:
    found = []
    for _ in range(rng.choice([0, 0, 1, 3, 6])):
        ts = START + rng.randrange(DAYS * 24) * HOUR + 2
        scope = rng.choice([EVERYTHING, Scope(f"s{rng.randrange(count)}", None), Scope(None, "COIN")])
        level = rng.choice([*HaltLevel, HaltLevel.NONE, HaltLevel.NONE])
        found.append(m.SetHalt(ts=ts, level=level, reason="whim", scope=scope))
    return sorted(found, key=lambda halt: halt.ts)


def plan(number: int, *, delayed: bool = False) -> Plan:
    rng = random.Random(f"{SEED}:{number}")
    made = strategies(rng)
    happens, splits = events(rng)
    limits = Limits(
        max_daily_loss=rng.choice([None, 0.02]),
        max_drawdown=rng.choice([None, 0.05]),
        max_position=rng.choice([None, 20_000.0]),
        max_orders_per_day=rng.choice([None, None, 30]),
    )
    model = rng.choice(list(AccountModel))
    money = {"USD": D("50000"), "EUR": D("20000.5"), "BNB": D(5)}
    rules = settings(rng)
    latency = FixedLatency(
        submit=rng.randrange(3 * HOUR), cancel=rng.randrange(3 * HOUR), replace=rng.randrange(3 * HOUR)
    )
    delays = Delays(
        data=rng.choice([0, rng.randrange(2 * HOUR)]), report=rng.choice([0, rng.randrange(3 * HOUR)])
    )
    world = World(
        *made,
        accounts=[account(money, model=model, limits=limits, lot_method=rng.choice(list(LotMethod)))],
        events=happens,
        checks_rest=not delayed,
        checks_protection=rules.stop_through is not StopThrough.REJECT,
        settings=rules,
        fees=fees(rng),
        slippage=rng.choice([NoSlippage(), BpsSlippage(bps=3.0), TickSlippage(ticks=2)]),
        **({"latency": latency, "delays": delays} if delayed else {}),
    )
    return Plan(world, slices(rng, splits), halts(rng, len(made)))


def run(number: int, *, delayed: bool = False, packs: bool = False) -> World:
    made = plan(number, delayed=delayed)
    waiting = list(made.halts)
    for piece in made.market:
        while waiting and waiting[0].ts <= piece.ts:
            halt = waiting.pop(0)
            made.world.tell(replace(halt, ts=max(halt.ts, made.world.now)))
        made.world.play([piece])
        if packs:
            made.world.ledger.orders.pack(made.world.now + 1)
    made.world.tell(m.End(ts=made.world.now, reason="end of data"))
    return made.world


@pytest.mark.parametrize("number", range(COUNT))
def test_books_balance_and_protection_holds_in_a_random_world(number: int) -> None:
    run(number).compare()


@pytest.mark.parametrize("number", range(COUNT // 3))
def test_books_balance_when_orders_data_and_reports_travel(number: int) -> None:
    run(number, delayed=True).compare()


@pytest.mark.parametrize("number", range(COUNT // 10))
def test_the_same_inputs_give_the_same_facts_byte_for_byte(number: int) -> None:
    once, again = run(number), run(number)
    assert [encode(r) for r in once.facts] == [encode(r) for r in again.facts]
    assert len(once.facts) > 20


@pytest.mark.parametrize("number", range(COUNT // 10))
@pytest.mark.parametrize("delayed", [False, True])
def test_orders_that_are_put_away_as_soon_as_they_are_over_change_no_fact(number: int, delayed: bool) -> None:
    put_away, kept = run(number, delayed=delayed, packs=True), run(number, delayed=delayed)
    assert [encode(r) for r in put_away.facts] == [encode(r) for r in kept.facts]
    put_away.compare()


def calm(number: int, *, is_fast: bool) -> list[Any]:
    """Return the facts of one strategy on one instrument, whose bars come one by one."""
    rng = random.Random(f"{SEED}:calm:{number}")
    instrument = rng.choice([COIN, STOCK, EURO])
    happens, splits = events(rng)
    whim = Whim(random.Random(rng.random()))
    whim.calm = 0.97
    limits = Limits(max_daily_loss=rng.choice([None, 0.01]), max_drawdown=rng.choice([None, 0.02]))
    world = World(
        spec(whim, instrument=instrument, **terms(rng, instrument)),
        accounts=[account({"USD": D(50_000), "EUR": D(20_000), "BNB": D(5)}, limits=limits)],
        events=happens,
        settings=settings(rng),
        fees=fees(rng),
        is_fast=is_fast,
        checks_protection=False,
    )
    world.play(list(walk(rng, instrument, splits.get(instrument.id, {}))))
    world.compare()
    return [encode(r) for r in world.facts]


@pytest.mark.parametrize("number", range(COUNT))
def test_calm_bars_that_pass_in_the_tight_loop_lead_to_the_same_facts(number: int) -> None:
    assert calm(number, is_fast=True) == calm(number, is_fast=False)


def test_random_worlds_reach_what_they_are_made_for() -> None:
    missing = {
        "OrderFilled",
        "OrderReplaced",
        "TargetSuspended",
        "OrderDenied",
        "SplitApplied",
        "ParentProgressed",
    }
    for number in range(9):
        missing -= {type(recorded.fact).__name__ for recorded in run(number).facts}
        if not missing:
            return
    pytest.fail(f"never seen in 9 worlds: {sorted(missing)}")

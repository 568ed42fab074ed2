"""What is traded in a seed: instruments, strategies that depend on nothing but the seed, limits.

Owns the drawing of a setup. Refuses to run it.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from decimal import Decimal

from tests.chaos.life import IDENTITY
from tests.core.world import COIN, GEM, START, STOCK
from tradebot.core.messages import Dividend, SessionClose, SessionOpen, Split
from tradebot.core.model import (
    MINUTE,
    AccountModel,
    Bar,
    ExitRules,
    Instrument,
    Level,
    OrderKind,
    Quote,
)
from tradebot.core.resting import FREELY, Beside, Resting
from tradebot.core.setup import AccountSpec, ExecutionSpec, Limits, OrderStyle, Setup, StrategySpec
from tradebot.core.sizing import FixedQty
from tradebot.core.strategy import BarStrategy, Context, Quotes, QuoteStrategy, Target

D = Decimal
PEAR = replace(GEM, id="PEAR", base="PEAR")
FIRST_PRICES = {"COIN": 100.0, "GEM": 40.0, "PEAR": 20.0, "STOCK": 50.0}
SESSIONS = ((30.0, 190.0), (250.0, 370.0), (430.0, 3_000.0))  # seconds at which STOCK is traded


class Words(BarStrategy):
    """Says a weight for each bar that depends on nothing but the seed and the bar."""

    def __init__(self, seed: str, silence: int) -> None:
        super().__init__(None)
        self._seed = seed
        self._silence = silence

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        draw = hashlib.blake2b(f"{self._seed}/{bar.ts}".encode(), digest_size=1).digest()[0]
        words = (0.0, 0.5, 1.0, 1.0, -1.0, -0.5)
        said = draw % (len(words) + self._silence)
        return ctx.target(weight=words[said]) if said < len(words) else None


class Maker(QuoteStrategy):
    """Rests one level on both sides, further away on the side of what it holds."""

    def on_quote(self, ctx: Context, quote: Quote) -> Quotes | None:
        lean = ctx.position() * 0.01
        bid, ask = quote.mid - 0.05 - lean, quote.mid + 0.05 - lean
        return Quotes(
            ctx.instrument,
            bids=(Level(min(bid, quote.bid), 3.0),),
            asks=(Level(max(ask, quote.ask), 3.0),),
            tolerance_ticks=2,
        )


def draw_setup(seed: int, rng: random.Random) -> Setup:
    """Return the accounts and strategies of a seed."""
    resting = draw_resting(rng)
    exits = _draw_exits(rng, resting)
    limit = OrderStyle(kind=OrderKind.LIMIT, collar=rng.choice([-0.002, 0.01]))
    twap = ExecutionSpec(kind="twap", slices=3, over=2 * MINUTE, on_late=rng.choice(["catch_up", "expire"]))
    specs = [
        _spec(seed, "a", COIN, 10.0, exits=exits),
        _spec(seed, "b", COIN, 7.0, style=rng.choice([limit, OrderStyle()])),
        _spec(seed, "c", GEM, 9.0, execution=twap, exits=rng.choice([exits, ExitRules()])),
        _spec(seed, "d", STOCK, 12.0, exits=rng.choice([exits, ExitRules()])),
        StrategySpec(
            id="q",
            account="main",
            instruments=(PEAR.id,),
            interval=0,
            deciders={PEAR.id: Maker(None)},
            sizing=FixedQty(qty=1.0),
            capital=D("0.2"),
        ),
    ]
    limits = Limits(
        max_orders_per_day=rng.choice([None, 12, 25]),
        max_order=rng.choice([None, None, 400.0]),
        max_position=rng.choice([None, None, 500.0, 900.0]),
        max_gross=rng.choice([None, None, 1_500.0]),
    )
    account = AccountSpec(
        name="main",
        model=AccountModel.MARGIN,
        base_currency="USD",
        cash={"USD": D(100_000)},
        limits=limits,
        tells_dividends=rng.random() < 0.5,
    )
    return Setup(
        instruments={i.id: i for i in (COIN, GEM, PEAR, STOCK)},
        accounts=(account,),
        strategies=tuple(specs),
        quanta={},
        instance=IDENTITY.instance,
        needs_reconcile=True,
        remembers=True,
        resting=resting,
    )


def draw_resting(rng: random.Random) -> Resting:
    """Return how the venue keeps protective orders: most take all beside them, as the simulated one."""
    if rng.random() < 0.6:
        return FREELY
    pairs = rng.random() < 0.5
    return Resting(beside=rng.choice([Beside.ADDING, Beside.NOTHING]), pairs=pairs)


def _draw_exits(rng: random.Random, resting: Resting) -> ExitRules:
    stop, target = rng.choice([None, 0.004, 0.01, 0.01]), rng.choice([None, 0.005, 0.015])
    trailing = rng.choice([None, None, 0.012])
    if resting.beside is not Beside.ALL:  # the rest is refused at the start: two cannot hold one position
        if trailing is not None:
            stop = target = None
        elif not resting.pairs and stop is not None:
            target = None
    after = rng.choice(["next_signal", "next_signal", "at_once", 2])
    return ExitRules(stop_loss=stop, take_profit=target, trailing=trailing, after_exit=after)


def _spec(seed: int, name: str, instrument: Instrument, qty: float, **terms: object) -> StrategySpec:
    return StrategySpec(
        id=name,
        account="main",
        instruments=(instrument.id,),
        interval=MINUTE,
        deciders={instrument.id: Words(f"{seed}/{name}", 0)},
        sizing=FixedQty(qty=qty),
        capital=D("0.2"),
        **terms,  # type: ignore[arg-type]
    )


def fresh(setup: Setup, seed: int) -> Setup:
    """Return the same with new strategy objects, as a new process has them."""
    specs = []
    for spec in setup.strategies:
        (name,) = spec.instruments
        silence = (2, 6, 12)[seed % 3]
        decider = Maker(None) if spec.id == "q" else Words(f"{seed}/{spec.id}", silence)
        specs.append(replace(spec, deciders={name: decider}))
    return replace(setup, strategies=tuple(specs))


def is_traded(name: str, at: float) -> bool:
    """Return whether an instrument's market is open `at` seconds."""
    return name != STOCK.id or any(opens <= at <= closes for opens, closes in SESSIONS)


def draw_events(rng: random.Random, strength: float) -> list[SessionOpen | SessionClose | Split | Dividend]:
    """Return the sessions of STOCK, and perhaps a split over a night and a dividend."""
    found: list[SessionOpen | SessionClose | Split | Dividend] = []
    for i, (opens, closes) in enumerate(SESSIONS):
        following = at(SESSIONS[i + 1][0]) if i + 1 < len(SESSIONS) else None
        found.append(SessionOpen(ts=at(opens), calendar=STOCK.calendar, closes_at=at(closes)))
        found.append(SessionClose(ts=at(closes), calendar=STOCK.calendar, opens_at=following))
    if rng.random() < 0.5 * strength:
        ratio = rng.choice([D(2), D(3), D("0.5")])
        found.append(Split(ts=at(rng.choice([215.0, 400.0])), instrument=STOCK.id, ratio=ratio))
    if rng.random() < 0.5 * strength:
        pays = at(rng.choice([300.0, 460.0]))
        found.append(Dividend(ts=at(250.0), instrument=STOCK.id, amount=D("0.25"), pays_at=pays))
    return sorted(found, key=lambda event: event.ts)


def at(second: float) -> int:
    """Return a moment of the run in ns UTC."""
    return START + int(second * 1e9)

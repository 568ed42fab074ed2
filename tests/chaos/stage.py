"""What is traded in a seed: instruments, strategies that depend on nothing but the seed, limits.

Owns the drawing of a setup. Refuses to run it.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from decimal import Decimal

from tests.chaos.life import IDENTITY
from tests.core.world import COIN, GEM
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
from tradebot.core.setup import AccountSpec, ExecutionSpec, Limits, OrderStyle, Setup, StrategySpec
from tradebot.core.sizing import FixedQty
from tradebot.core.strategy import BarStrategy, Context, Quotes, QuoteStrategy, Target

D = Decimal
PEAR = replace(GEM, id="PEAR", base="PEAR")
FIRST_PRICES = {"COIN": 100.0, "GEM": 40.0, "PEAR": 20.0}


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
    exits = ExitRules(
        stop_loss=rng.choice([None, 0.004, 0.01, 0.01]),
        take_profit=rng.choice([None, 0.005, 0.015]),
        trailing=rng.choice([None, None, 0.012]),
        after_exit=rng.choice(["next_signal", "next_signal", "at_once", 2]),
    )
    limit = OrderStyle(kind=OrderKind.LIMIT, collar=rng.choice([-0.002, 0.01]))
    twap = ExecutionSpec(kind="twap", slices=3, over=2 * MINUTE, on_late=rng.choice(["catch_up", "expire"]))
    specs = [
        _spec(seed, "a", COIN, 10.0, exits=exits),
        _spec(seed, "b", COIN, 7.0, style=rng.choice([limit, OrderStyle()])),
        _spec(seed, "c", GEM, 9.0, execution=twap, exits=rng.choice([exits, ExitRules()])),
        StrategySpec(
            id="q",
            account="main",
            instruments=(PEAR.id,),
            interval=0,
            deciders={PEAR.id: Maker(None)},
            sizing=FixedQty(qty=1.0),
            capital=D("0.25"),
        ),
    ]
    limits = Limits(max_orders_per_day=rng.choice([None, 12, 25]))
    account = AccountSpec(
        name="main",
        model=AccountModel.MARGIN,
        base_currency="USD",
        cash={"USD": D(100_000)},
        limits=limits,
    )
    return Setup(
        instruments={i.id: i for i in (COIN, GEM, PEAR)},
        accounts=(account,),
        strategies=tuple(specs),
        quanta={},
        instance=IDENTITY.instance,
        needs_reconcile=True,
        remembers=True,
    )


def _spec(seed: int, name: str, instrument: Instrument, qty: float, **terms: object) -> StrategySpec:
    return StrategySpec(
        id=name,
        account="main",
        instruments=(instrument.id,),
        interval=MINUTE,
        deciders={instrument.id: Words(f"{seed}/{name}", 0)},
        sizing=FixedQty(qty=qty),
        capital=D("0.25"),
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

"""Bars, walks and a context for testing strategies without an engine."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tradebot.core.model import MINUTE, Bar
from tradebot.core.strategy import Target
from tradebot.plugins.loader import load_strategy
from tradebot.plugins.params import build_params

SHIPPED = Path(__file__).resolve().parents[2] / "strategies"
START = 1_577_836_800_000_000_000  # 2020-01-01T00:00:00Z


@dataclass
class FakeContext:
    """What a strategy may look at, set by the test."""

    now: int = START
    instrument: str = "X"
    muted: bool = False
    missing: tuple[str, ...] = ()
    positions: Mapping[str, float] = field(default_factory=dict)
    prices: Mapping[str, float] = field(default_factory=dict)
    worth: float | None = 10_000.0
    bars: Mapping[tuple[int, str], Bar] = field(default_factory=dict)

    def position(self, instrument: str | None = None) -> float:
        return self.positions.get(instrument or self.instrument, 0.0)

    def price(self, instrument: str | None = None) -> float | None:
        return self.prices.get(instrument or self.instrument)

    def equity(self) -> float | None:
        return self.worth

    def bar(self, interval: int, instrument: str | None = None) -> Bar | None:
        return self.bars.get((interval, instrument or self.instrument))

    def target(
        self,
        weight: float | None = None,
        qty: float | None = None,
        *,
        reason: str = "",
        instrument: str | None = None,
        **explained: float,
    ) -> Target:
        return Target(instrument or self.instrument, weight, qty, reason, tuple(explained.items()))


def bars_of(
    cents: Sequence[int], *, interval: int = MINUTE, instrument: str = "X", first: int = 1
) -> list[Bar]:
    """Return bars that close at these cents and touch nothing else; bar k closes `first + k` intervals in."""
    return [
        Bar(instrument, START + (first + k) * interval, interval, c / 100, c / 100, c / 100, c / 100, 1.0)
        for k, c in enumerate(cents)
    ]


def walk(seed: int, length: int, *, start: int = 1_000, step: int = 3) -> list[int]:
    """Return a seeded walk in whole cents that often stands still, so that averages tie often."""
    rng = random.Random(seed)
    cents = [start]
    while len(cents) < length:
        cents.append(max(100, cents[-1] + rng.choice([0, 0, *range(-step, step + 1)])))
    return cents


def shipped(reference: str, **params: object) -> object:
    """Return a strategy of this project, built the way the configuration builds it."""
    loaded = load_strategy(reference, [SHIPPED])
    values, problems = build_params(loaded.cls, params)
    assert not problems, problems
    return loaded.create(values)

"""AtrBreakout against a plain retelling on lists of whole cents and fractions."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from typing import cast

import pytest

from tests.plugins.fakes import SHIPPED, START, FakeContext, shipped
from tradebot.core.model import MINUTE, Bar
from tradebot.core.strategy import BarStrategy, Target
from tradebot.plugins.loader import load_strategy
from tradebot.plugins.params import build_params

REFERENCE = "atr_breakout.py:AtrBreakout"
Cents = tuple[int, int, int]  # high, low, close


def breakout(**params: object) -> BarStrategy:
    return cast(BarStrategy, shipped(REFERENCE, **params))


def noisy(seed: int, length: int) -> list[Cents]:
    rng, close, out = random.Random(seed), 5_000, []
    drift = 0
    for k in range(length):
        drift = rng.choice([-6, 0, 6]) if k % 25 == 0 else drift
        close = max(500, close + drift + rng.randint(-12, 12))
        out.append((close + rng.randint(0, 9), close - rng.randint(0, 9), close))
    return out


def bars_from(cents: list[Cents]) -> list[Bar]:
    return [
        Bar("X", START + k * MINUTE, MINUTE, close / 100, high / 100, low / 100, close / 100, 1.0)
        for k, (high, low, close) in enumerate(cents)
    ]


def decided(strategy: BarStrategy, bars: list[Bar]) -> list[Target | None]:
    ctx = FakeContext()
    return [strategy.on_bar(ctx, bar) for bar in bars]


def retold(
    cents: list[Cents], *, channel: int, leave: int, atr: int, stop: int, quiet: Fraction, short: bool
) -> list[int]:
    """Return the position after each bar from bar `max(channel, atr - 1)` on."""
    side, level, value, out = 0, Fraction(0), Fraction(0), []
    for k, (high, low, close) in enumerate(cents):
        before = cents[k - 1][2] if k else close
        reach = max(high, before) - min(low, before)
        if k < atr:
            value += Fraction(reach, atr)
        else:
            value = (value * (atr - 1) + reach) / atr
        if k < max(channel, atr - 1):
            continue
        last = cents[k - leave : k]
        low, high = min(bar[1] for bar in last), max(bar[0] for bar in last)
        stopped = close < max(level, low) if side > 0 else close > min(level, high)
        side = 0 if side and stopped else side
        if side:
            level = max(level, close - stop * value) if side > 0 else min(level, close + stop * value)
        elif value > quiet * close:
            last = cents[k - channel : k]
            side = 1 if close > max(bar[0] for bar in last) else 0
            side = -1 if short and close < min(bar[1] for bar in last) else side
            level = close - side * stop * value
        out.append(side)
    return out


@pytest.mark.parametrize("mode", ["long_only", "long_short"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("channel", "leave", "stop", "quiet"), [(10, 5, 3, 0), (8, 8, 1, 0), (10, 5, 2, Fraction(3, 1000))]
)
def test_positions_are_those_of_the_retelling(
    mode: str, seed: int, channel: int, leave: int, stop: int, quiet: Fraction
) -> None:
    cents, atr = noisy(seed, 400), 4
    strategy = breakout(
        channel=channel, exit_channel=leave, atr=atr, stop=stop, min_atr=float(quiet), mode=mode
    )
    found = decided(strategy, bars_from(cents))
    expected = retold(
        cents,
        channel=channel,
        leave=leave,
        atr=atr,
        stop=stop,
        quiet=Fraction(quiet),
        short=mode == "long_short",
    )
    assert found[:channel] == [None] * channel
    assert [target.weight for target in found[channel:] if target] == expected
    assert set(expected) == ({0, 1} if mode == "long_only" else {-1, 0, 1})


def test_entry_and_exit_say_why_and_with_which_numbers() -> None:
    rising = [(1010 + 10 * k, 990 + 10 * k, 1000 + 10 * k) for k in range(3)]
    bars = bars_from([*rising, (1060, 1020, 1050), (1060, 900, 910)])
    *_, entry, leave = decided(breakout(channel=3, exit_channel=2, atr=2, stop=3.0), bars)
    assert entry is not None
    assert (entry.weight, entry.reason) == (1.0, "close 10.5 outside 9.9 to 10.3")
    assert dict(entry.explained) == pytest.approx({"atr": 0.3, "lower": 9.9, "upper": 10.3, "stop": 9.6})
    assert leave is not None
    assert (leave.weight, leave.reason) == (0.0, "close 9.1 through stop 9.6")


def test_after_a_restart_from_saved_json_the_decisions_are_those_of_an_unbroken_run() -> None:
    params = {"channel": 10, "exit_channel": 5, "atr": 4, "stop": 2, "mode": "long_short"}
    bars = bars_from(noisy(9, 300))
    unbroken = decided(breakout(**params), bars)
    for cut in (0, 3, 12, 57, 151, 233):
        first, second = breakout(**params), breakout(**params)
        before = decided(first, bars[:cut])
        second.load(json.loads(json.dumps(first.save())))
        assert before + decided(second, bars[cut:]) == unbroken


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"channel": 0}, ("channel", "must be >= 1 bar, was 0")),
        ({"exit_channel": 30}, ("exit_channel", "must be <= channel (20), was 30")),
        ({"stop": 0}, ("stop", "must be > 0 average true ranges, was 0")),
        ({"min_atr": 2}, ("min_atr", "must be a fraction of the price, 0 to 1, was 2")),
    ],
)
def test_impossible_parameters_are_refused(values: dict[str, object], problem: tuple[str, str]) -> None:
    assert build_params(load_strategy(REFERENCE, [SHIPPED]).cls, values)[1] == (problem,)

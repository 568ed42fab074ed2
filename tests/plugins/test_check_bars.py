"""Restarting a BarStrategy on its lookback: what forgets is left alone, what remembers is found."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from tradebot.core.indicators import Donchian, Ema, Sma, above, below, lookback_for
from tradebot.core.model import Bar, Fill
from tradebot.core.strategy import BarStrategy, Context, Input, Target
from tradebot.errors import PluginError
from tradebot.plugins.check_bars import check_bar_strategy
from tradebot.plugins.verdict import Fault

MINUTE = 60_000_000_000
HOUR = Input(60 * MINUTE)


def walk(count: int = 2_000, seed: int = 3) -> list[Bar]:
    rng = random.Random(seed)
    bars, close = [], 100.0
    for i in range(1, count + 1):
        close = round(max(20.0, close + rng.gauss(0.0, 0.4)), 2)
        bars.append(Bar("X", i * MINUTE, MINUTE, close, close + 0.1, close - 0.1, close, 1.0))
    return bars


class EmaTrend(BarStrategy):
    def __init__(self, lookback: int = lookback_for("ema", 30)) -> None:
        super().__init__(None)
        self.lookback = lookback
        self.average = Ema(30)

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        average = self.average.push(bar.close)
        return None if average is None else ctx.target(1.0 if above(bar.close, average) else 0.0)


class SavedEmaTrend(EmaTrend):
    def save(self) -> dict[str, object]:
        return {"average": self.average.save()}

    def load(self, state: Mapping[str, object]) -> None:
        saved = state["average"]
        assert isinstance(saved, dict)
        self.average.load(saved)


class Breakout(BarStrategy):
    """Depends on its position, which the engine remembers."""

    lookback = 21

    def __init__(self) -> None:
        super().__init__(None)
        self.channel = Donchian(20)

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        before = self.channel.value
        self.channel.push(bar.high, bar.low)
        if before is None:
            return None
        if ctx.position() == 0.0 and above(bar.close, before.upper):
            return ctx.target(qty=5.0)
        if ctx.position() > 0.0 and below(bar.close, before.middle):
            return ctx.target(qty=0.0)
        return None


class StopFromEntry(BarStrategy):
    """Remembers the price it was filled at, for longer than any lookback."""

    lookback = 11

    def __init__(self) -> None:
        super().__init__(None)
        self.average = Sma(10)
        self.entry: float | None = None

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        self.entry = float(fill.price) if fill.qty_signed > 0 else None

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        average = self.average.push(bar.close)
        if average is None:
            return None
        if self.entry is not None:
            return ctx.target(0.0) if abs(bar.close - self.entry) > 6.0 else None
        return ctx.target(1.0) if above(bar.close, average) else None


class SavedStopFromEntry(StopFromEntry):
    def save(self) -> dict[str, object]:
        return {"entry": self.entry}

    def load(self, state: Mapping[str, object]) -> None:
        entry = state["entry"]
        self.entry = entry if isinstance(entry, float) else None


class AboveTheHour(BarStrategy):
    lookback = 1

    def __init__(self) -> None:
        super().__init__(None)

    def inputs(self) -> tuple[Input, ...]:
        return (HOUR,)

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        hour = ctx.bar(HOUR.interval)
        assert hour is None or hour.ts <= ctx.now
        return None if hour is None else ctx.target(1.0 if above(bar.close, hour.close) else -1.0)


class Joint(BarStrategy):
    together = True


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("make", [EmaTrend, SavedEmaTrend, Breakout, SavedStopFromEntry])
def test_what_lookback_and_save_bring_back_decides_as_if_never_stopped(
    make: type[BarStrategy], quick: bool
) -> None:
    verdict = check_bar_strategy(make, walk(), quick=quick)
    assert verdict.ok, verdict.text
    assert verdict.changes >= 5
    assert "restarts in 2,000 bars decide as an unbroken run" in verdict.text


def test_further_series_are_seen_closed_only() -> None:
    bars = walk(600)
    hours = [bar._replace(interval=HOUR.interval) for bar in bars[59::60]]
    assert check_bar_strategy(AboveTheHour, bars, {HOUR: hours}).ok


def test_a_lookback_of_the_warm_up_only_is_too_short_for_an_exponential_average() -> None:
    verdict = check_bar_strategy(lambda: EmaTrend(lookback=30), walk())
    (finding,) = verdict.findings
    assert finding.fault is Fault.SHORT_LOOKBACK
    assert finding.enough in (60, 120, 240, 480)
    assert {finding.target, finding.honest} == {0.0, 1.0}
    assert check_bar_strategy(lambda: EmaTrend(lookback=480), walk()).ok


def test_memory_that_no_bars_bring_back_is_found_and_save_is_advised() -> None:
    verdict = check_bar_strategy(StopFromEntry, walk())
    (finding,) = verdict.findings
    assert finding.fault is Fault.SHORT_LOOKBACK
    assert "LOOKBACK TOO SHORT: first on bar" in verdict.text
    assert verdict.text.endswith("or return from save() what bars do not bring back")


def test_a_strategy_that_rolls_dice_is_not_repeatable() -> None:
    dice = random.Random(1)

    class Gambler(EmaTrend):
        def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
            return ctx.target(float(dice.random() > 0.5))

    (finding,) = check_bar_strategy(Gambler, walk(500)).findings
    assert finding.fault is Fault.NOT_REPEATABLE


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_target_that_is_no_number_keeps_what_was_wanted(number: float) -> None:
    class Unsure(EmaTrend):
        def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
            return super().on_bar(ctx, bar) if bar.ts // MINUTE % 3 else ctx.target(number)

    assert check_bar_strategy(Unsure, walk(500)).changes_in_all > 0


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("buy", "a strategy returns Target, Weights, Quotes or None, was 'buy'"),
        (Target("X", 1.0, 1.0), "a target has a weight or a qty, not both: 1.0 and 1.0"),
    ],
)
def test_a_word_that_is_no_intent_is_told_as_the_engine_tells_it(word: Target, said: str) -> None:
    class Babbling(EmaTrend):
        def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
            return word

    with pytest.raises((TypeError, ValueError), match=said):
        check_bar_strategy(Babbling, walk(50))


def test_fewer_bars_than_the_lookback_are_no_proof() -> None:
    verdict = check_bar_strategy(Breakout, walk(15))
    assert not verdict.ok
    assert "NOT CHECKED" in verdict.text


def test_a_strategy_of_several_instruments_is_refused() -> None:
    with pytest.raises(PluginError, match="Joint: only strategies of one instrument are checked"):
        check_bar_strategy(lambda: Joint(None), walk(50))

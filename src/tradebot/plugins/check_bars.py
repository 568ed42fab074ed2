"""Prove that a strategy which is called bar by bar can be restarted on its declared lookback.

Owns the proof for a `BarStrategy`. It cannot see the future, because nobody shows it one; what
can go wrong is memory: an indicator that remembers more than `lookback` bars, or a flag that no
number of bars brings back. So the strategy is run unbroken, then restarted before signal changes
and at random bars: a fresh object gets what `save` returned `lookback` bars earlier, is shown
those bars muted, and must then want what the unbroken one wants.

Not modelled: a market. A target is filled at once and in full at the close that led to it, both
runs see the position of the unbroken one, and weights are of a fixed equity.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from types import MappingProxyType
from typing import NamedTuple

from tradebot.core.model import Bar, Fill
from tradebot.core.strategy import BarStrategy, Input, Target, problem_of
from tradebot.errors import PluginError
from tradebot.plugins.replayed import COMPARED, EQUITY, TOLERANCE, Watch, fill_of, spread
from tradebot.plugins.verdict import Fault, Finding, Verdict

Others = Mapping[Input, Sequence[Bar]]
NO_BARS: Others = MappingProxyType({})

_RANDOM_RESTARTS = 300
_MOST_RESTARTS = 1_000  # at signal changes
_QUICK_RESTARTS = 10
_QUICK_BARS = 10_000

_HINT = "; or return from save() what bars do not bring back"


class Wanted(NamedTuple):
    """The target that stands after a bar: a weight or a quantity, both None before the first."""

    weight: float | None = None
    qty: float | None = None

    def like(self, other: Wanted) -> bool:
        """Return whether both want the same but for rounding."""
        return all(
            a is b or (a is not None and b is not None and abs(a - b) <= TOLERANCE * max(1.0, abs(a)))
            for a, b in zip(self, other, strict=True)
        )

    @property
    def number(self) -> float | None:
        return self.qty if self.weight is None else self.weight


NOTHING = Wanted()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbroken:
    """A run without restarts: what it wanted and held after each bar, fills it met before each."""

    wanted: Sequence[Wanted]
    held: Sequence[float]
    fills: Mapping[int, Fill]
    saved: Mapping[int, str]


def check_bar_strategy(
    make: Callable[[], BarStrategy],
    bars: Sequence[Bar],
    others: Others = NO_BARS,
    *,
    quick: bool = False,
    seed: int = 0,
    file: str = "",
) -> Verdict:
    """Return whether the strategy that `make` creates decides alike after a restart at any bar.

    Full: a restart before each signal change (at most 1,000 of them, evenly spread) and at 300
    random bars; `quick`: 10 of each on the last 10,000 bars. The following 30 targets are
    compared. Raises PluginError for a strategy that serves several instruments at once (they
    need an account), and whatever the strategy raises.
    """
    strategy = make()
    name = type(strategy).__name__
    if strategy.together:
        raise PluginError(f"{name}: only strategies of one instrument are checked, found together = True")
    lookback = strategy.lookback
    bars = bars[-max(_QUICK_BARS, 3 * lookback) :] if quick else bars
    trial = Trial(make=make, bars=bars, others=others)
    wanted = trial.unbroken(frozenset()).wanted
    changes = [i for i in range(1, len(bars)) if not wanted[i].like(wanted[i - 1])]
    picked = spread([i for i in changes if i >= lookback], _QUICK_RESTARTS if quick else _MOST_RESTARTS)
    late = range(lookback, len(bars))
    chosen = random.Random(seed).sample(late, min(_QUICK_RESTARTS if quick else _RANDOM_RESTARTS, len(late)))
    restarts = sorted({*picked, *chosen})
    verdict = Verdict(
        strategy=name,
        file=file,
        bars=len(bars),
        lookback=lookback,
        compared=len(restarts),
        changes=len(picked),
        changes_in_all=len(changes),
        sampled=quick,
        by_bar=True,
    )
    finding = trial.fault(wanted, restarts, lookback)
    return verdict if finding is None else replace(verdict, findings=(finding,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Runs of fresh strategies on the same bars."""

    make: Callable[[], BarStrategy]
    bars: Sequence[Bar]
    others: Others

    def fault(self, wanted: Sequence[Wanted], restarts: Sequence[int], lookback: int) -> Finding | None:
        """Return what is wrong first: another result without a restart, or after one."""
        unbroken = self.unbroken(frozenset(i - lookback for i in restarts))
        for i, (once, again) in enumerate(zip(wanted, unbroken.wanted, strict=True)):
            if not once.like(again):
                return self._finding(Fault.NOT_REPEATABLE, i, once, again)
        failing = [start for start in restarts if self.restarted(unbroken, start, lookback) is not None]
        if not failing:
            return None
        first = self.restarted(unbroken, failing[0], lookback)
        assert first is not None
        bar, instead = first
        finding = self._finding(Fault.SHORT_LOOKBACK, bar, unbroken.wanted[bar], instead)
        return replace(finding, hint=_HINT, enough=self._enough(failing, lookback))

    def unbroken(self, save_before: frozenset[int]) -> Unbroken:
        """Run over all bars; `save_before` are the bars before which the memory is kept."""
        strategy, watch = self._started()
        wanted: list[Wanted] = []
        held: list[float] = []
        fills: dict[int, Fill] = {}
        saved: dict[int, str] = {}
        now, qty = NOTHING, 0.0
        for i, bar in enumerate(self.bars):
            if i in save_before:
                saved[i] = json.dumps(strategy.save())
            after = _called(strategy, watch, bar, qty, fills.get(i), now)
            if not after.like(now):
                aim = after.qty if after.qty is not None else (after.weight or 0.0) * EQUITY / bar.close
                if aim != qty:
                    fills[i + 1] = fill_of(bar.instrument, aim - qty, bar.close, bar.ts)
                qty = aim
            now = after
            wanted.append(now)
            held.append(qty)
        return Unbroken(wanted=wanted, held=held, fills=fills, saved=saved)

    def restarted(self, unbroken: Unbroken, start: int, lookback: int) -> tuple[int, Wanted] | None:
        """Return the first bar where a strategy restarted at `start` wants something else, and what."""
        strategy, watch = self._started()
        begin = start - lookback
        memory = json.loads(unbroken.saved[begin])
        if memory:
            strategy.load(memory)
        # The target that stands is a fact and survives the restart; what was said while muted
        # counts only where the first word after it is "keep", as in the engine.
        now = NOTHING
        for i in range(begin, min(start + COMPARED, len(self.bars))):
            watch.muted = i < start
            if i == start and now is NOTHING:
                now = unbroken.wanted[start - 1]
            held = unbroken.held[i - 1] if i else 0.0
            now = _called(strategy, watch, self.bars[i], held, unbroken.fills.get(i), now)
            if i >= start and not now.like(unbroken.wanted[i]):
                return i, now
        return None

    def _enough(self, failing: Sequence[int], lookback: int) -> int | None:
        for longer in (lookback * factor for factor in (2, 4, 8, 16, 32)):
            starts = spread([start for start in failing if start >= longer], 9)
            if not starts:
                return None
            unbroken = self.unbroken(frozenset(start - longer for start in starts))
            if all(self.restarted(unbroken, start, longer) is None for start in starts):
                return longer
        return None

    def _started(self) -> tuple[BarStrategy, Watch]:
        strategy = self.make()
        name = self.bars[0].instrument if self.bars else ""
        series: dict[Input, Sequence[Bar]] = {
            Input(i.interval, i.instrument or name): bars for i, bars in self.others.items()
        }
        if self.bars:
            series[Input(self.bars[0].interval, name)] = self.bars
        watch = Watch(instrument=name, series=series)
        strategy.on_start(watch)
        return strategy, watch

    def _finding(self, fault: Fault, bar: int, full: Wanted, honest: Wanted) -> Finding:
        ts = self.bars[bar].ts
        return Finding(fault=fault, bar=bar, ts=ts, target=full.number, honest=honest.number)


def _called(
    strategy: BarStrategy, watch: Watch, bar: Bar, held: float, fill: Fill | None, before: Wanted
) -> Wanted:
    watch.held = {bar.instrument: held}
    if fill is not None:
        strategy.on_fill(watch, fill)
    watch.now = bar.ts
    return _heard(strategy.on_bar(watch, bar), before)


def _heard(intent: object, before: Wanted) -> Wanted:
    """Return what is wanted after a word: as the engine, which keeps what stood when it is not a number."""
    if intent is None:
        return before
    if (problem := problem_of(intent)) is not None:
        raise problem
    if not isinstance(intent, Target):
        raise TypeError(f"a strategy on one instrument returns Target or None, was {intent!r}")
    numbers = [value for value in (intent.weight, intent.qty) if value is not None]
    return Wanted(intent.weight, intent.qty) if any(map(isfinite, numbers)) else before

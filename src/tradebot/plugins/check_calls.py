"""Prove that a strategy on quotes, or on several instruments at once, can be restarted on its lookback.

Owns the proof for `QuoteStrategy`, `PortfolioStrategy` and a `BarStrategy` with `together`. As with
`check_bars`, nobody shows them a future; what can go wrong is memory. The strategy is run unbroken,
then a fresh object gets what `save` returned `lookback` calls earlier, is shown what came since
muted, and must from then on want what the unbroken one wants.

Not modelled: a market. Weights are held at once in full; a resting quote is filled whole by the next
quote that reaches it; equity is fixed; both runs see the fills of the unbroken one. Every moment at
which one of a portfolio's instruments has a bar is a call: nothing waits for late bars.
"""

from __future__ import annotations

import json
import random
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import NamedTuple

from tradebot.core.days import period_number
from tradebot.core.model import Bar, Fill, Quote
from tradebot.core.setup import Schedule
from tradebot.core.strategy import (
    BarStrategy,
    Input,
    Intent,
    PortfolioStrategy,
    Quotes,
    QuoteStrategy,
    Strategy,
    Target,
    Weights,
    problem_of,
)
from tradebot.errors import PluginError
from tradebot.plugins.replayed import COMPARED, EQUITY, TOLERANCE, Series, Watch, fill_of, spread
from tradebot.plugins.verdict import Fault, Finding, Verdict

Wanted = Mapping[str, float]

_RANDOM_RESTARTS = 300
_MOST_RESTARTS = 300  # where what is wanted changes, which quotes do all the time
_QUICK_RESTARTS = 10
_HINT = "; or return from save() what lookback calls do not bring back"


class Call(NamedTuple):
    """One moment at which the strategy is called: its own new items, and bars of further inputs."""

    ts: int
    own: tuple[Bar | Quote, ...]
    others: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbroken:
    """A run without restarts: what it wanted and held at each call, fills before each, saved memory."""

    wanted: Sequence[Wanted]
    held: Sequence[Mapping[str, float]]
    fills: Sequence[Sequence[Fill]]
    saved: Mapping[int, str]


def check_calls(
    make: Callable[[], Strategy],
    names: Sequence[str],
    interval: int,
    series: Series,
    *,
    schedule: Schedule = Schedule.DAY,
    quick: bool = False,
    seed: int = 0,
    file: str = "",
) -> Verdict:
    """Return whether what `make` creates wants the same after a restart at any call.

    `names` are its own instruments, whose series have `interval` (0: quotes); other keys of `series`
    are further inputs. `quick`: 10 restarts where what is wanted changes and 10 at random, else 300
    of each. Raises whatever the strategy raises.
    """
    strategy = make()
    trial = Trial(make=make, names=tuple(names), interval=interval, series=series, schedule=schedule)
    wanted, lookback = trial.unbroken(frozenset()).wanted, strategy.lookback
    changes = [i for i in range(1, len(wanted)) if _difference(wanted[i - 1], wanted[i])]
    picked = spread([i for i in changes if i >= lookback], _QUICK_RESTARTS if quick else _MOST_RESTARTS)
    late = range(lookback, len(wanted))
    chosen = random.Random(seed).sample(late, min(_QUICK_RESTARTS if quick else _RANDOM_RESTARTS, len(late)))
    restarts = sorted({*picked, *chosen})
    finding = trial.fault(wanted, restarts, lookback)
    return Verdict(
        strategy=type(strategy).__name__,
        file=file,
        bars=len(wanted),
        lookback=lookback,
        compared=len(restarts),
        changes=len(picked),
        changes_in_all=len(changes),
        sampled=quick,
        by_bar=True,
        unit="bar" if interval else "quote",
        findings=() if finding is None else (finding,),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Runs of fresh strategies on the same calls."""

    make: Callable[[], Strategy]
    names: tuple[str, ...]
    interval: int
    series: Series
    schedule: Schedule
    calls: list[Call] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "calls", _calls(self.names, self.interval, self.series))

    def fault(self, wanted: Sequence[Wanted], restarts: Sequence[int], lookback: int) -> Finding | None:
        """Return what is wrong first: another result without a restart, or after one."""
        unbroken = self.unbroken(frozenset(i - lookback for i in restarts))
        for i, (once, again) in enumerate(zip(wanted, unbroken.wanted, strict=True)):
            if (name := _difference(once, again)) is not None:
                return self._finding(Fault.NOT_REPEATABLE, i, name, once, again)
        failing = {s: found for s in restarts if (found := self.restarted(unbroken, s, lookback)) is not None}
        if not failing:
            return None
        i, now = next(iter(failing.values()))
        name = _difference(unbroken.wanted[i], now) or ""
        finding = self._finding(Fault.SHORT_LOOKBACK, i, name, unbroken.wanted[i], now)
        return replace(finding, hint=_HINT, enough=self._enough(list(failing), lookback))

    def _enough(self, failing: Sequence[int], lookback: int) -> int | None:
        for longer in (lookback * factor for factor in (2, 4, 8, 16, 32)):
            starts = spread([start for start in failing if start >= longer], 9)
            if not starts:
                return None
            unbroken = self.unbroken(frozenset(start - longer for start in starts))
            if all(self.restarted(unbroken, start, longer) is None for start in starts):
                return longer
        return None

    def unbroken(self, save_before: frozenset[int]) -> Unbroken:
        """Run through all calls; `save_before` are those before which the memory is kept."""
        strategy, watch = self._started()
        wanted: list[Wanted] = []
        held: list[Mapping[str, float]] = []
        fills: list[Sequence[Fill]] = []
        saved: dict[int, str] = {}
        now: Wanted = {}
        qty: Mapping[str, float] = {}
        for i, call in enumerate(self.calls):
            if i in save_before:
                saved[i] = json.dumps(strategy.save())
            watch.now = call.ts
            traded = _traded(now, qty, call, watch)
            qty = {**qty, **{f.instrument: qty.get(f.instrument, 0.0) + float(f.qty_signed) for f in traded}}
            fills.append(traded)
            held.append(qty)
            now = self._called(strategy, watch, i, qty, traded, now)
            wanted.append(now)
        return Unbroken(wanted=wanted, held=held, fills=fills, saved=saved)

    def restarted(self, unbroken: Unbroken, start: int, lookback: int) -> tuple[int, Wanted] | None:
        """Return the first call where a strategy restarted at `start` wants something else, and what."""
        strategy, watch = self._started()
        begin = start - lookback
        memory = json.loads(unbroken.saved[begin])
        if memory:
            strategy.load(memory)
        now: Wanted = {}
        for i in range(begin, min(start + COMPARED, len(self.calls))):
            watch.muted = i < start
            if i == start:
                now = unbroken.wanted[start - 1]  # what stands is a fact and survives the restart
            now = self._called(strategy, watch, i, unbroken.held[i], unbroken.fills[i], now)
            if i >= start and _difference(now, unbroken.wanted[i]):
                return i, now
        return None

    def _called(
        self,
        strategy: Strategy,
        watch: Watch,
        i: int,
        held: Mapping[str, float],
        fills: Sequence[Fill],
        before: Wanted,
    ) -> Wanted:
        call = self.calls[i]
        watch.held, watch.now = held, call.ts
        for fill in fills:
            strategy.on_fill(watch, fill)
        for bar in call.others:
            strategy.on_input(bar)
        said = before
        for intent in self._intents(strategy, watch, i):
            said = _heard(intent, said)
        return said

    def _intents(self, strategy: Strategy, watch: Watch, i: int) -> list[Intent | None]:
        call = self.calls[i]
        if isinstance(strategy, QuoteStrategy):
            quotes = [item for item in call.own if isinstance(item, Quote)]
            return [strategy.on_quote(watch, quote) for quote in quotes]
        bars = {item.instrument: item for item in call.own if isinstance(item, Bar)}
        if isinstance(strategy, BarStrategy):
            return [strategy.on_bars(watch, bars)]
        if not isinstance(strategy, PortfolioStrategy):
            raise PluginError(f"{type(strategy).__name__} must decide on quotes or on several instruments")
        if not watch.muted and i and self._period(i) == self._period(i - 1):
            return []
        prices = {name: price for name in self.names if (price := watch.price(name)) is not None}
        return [strategy.weights(watch, prices)]

    def _period(self, i: int) -> int:
        return period_number(self.calls[i].ts, self.schedule)

    def _started(self) -> tuple[Strategy, Watch]:
        strategy = self.make()
        watch = Watch(instrument=self.names[0], series=self.series)
        strategy.on_start(watch)
        return strategy, watch

    def _finding(self, fault: Fault, i: int, name: str, full: Wanted, honest: Wanted) -> Finding:
        return Finding(
            fault=fault,
            bar=i,
            ts=self.calls[i].ts,
            target=full.get(name),
            honest=honest.get(name),
            unit="bar" if self.interval else "quote",
            what=name,
        )


def _calls(names: Sequence[str], interval: int, series: Series) -> list[Call]:
    """Return the moments at which an own series has something new, with what came since the one before."""
    own = sorted(
        (item for key, items in series.items() if _is_own(key, names, interval) for item in items),
        key=lambda item: item.ts,
    )
    others = sorted(
        (
            item
            for key, items in series.items()
            if not _is_own(key, names, interval)
            for item in items
            if isinstance(item, Bar)
        ),
        key=lambda bar: bar.ts,
    )
    calls: list[Call] = []
    at = 0
    for item in own:
        if calls and calls[-1].ts == item.ts and interval:
            calls[-1] = calls[-1]._replace(own=(*calls[-1].own, item))
            continue
        upto = bisect_right(others, item.ts, key=lambda bar: bar.ts)
        calls.append(Call(item.ts, (item,), tuple(others[at:upto])))
        at = upto
    return calls


def _is_own(key: Input, names: Sequence[str], interval: int) -> bool:
    return key.interval == interval and key.instrument in names


def _heard(intent: object, before: Wanted) -> Wanted:
    if intent is None:
        return before
    if (problem := problem_of(intent)) is not None:
        raise problem
    if not isinstance(intent, Quotes):
        assert isinstance(intent, Target | Weights)  # what else there is to an intent
        said = (
            intent.weights
            if isinstance(intent, Weights)
            else ((intent.instrument, intent.qty if intent.weight is None else intent.weight),)
        )
        # As the engine, which keeps what stood when a word is not a number.
        heard = {f"weight of {name}": w for name, w in said if w is not None and isfinite(w)}
        return {**before, **heard}
    found: dict[str, float] = {}
    for side, levels in (("bid", intent.bids), ("ask", intent.asks)):
        for n, level in enumerate(levels, start=1):
            found[f"{side} {n}"], found[f"quantity of {side} {n}"] = level.price, level.qty
    return found


def _traded(wanted: Wanted, held: Mapping[str, float], call: Call, watch: Watch) -> list[Fill]:
    """Return what fills before a call: what weights ask for, or quotes that the new one reaches."""
    found: list[Fill] = []
    for name in [key.removeprefix("weight of ") for key in wanted if key.startswith("weight of ")]:
        price = watch.price(name)
        change = 0.0 if price is None else wanted[f"weight of {name}"] * EQUITY / price - held.get(name, 0.0)
        # Only a changed target is traded, or every price would be a fill.
        if price is not None and abs(change) > 0.02 * EQUITY / price:
            found.append(fill_of(name, change, price, call.ts))
    for item in call.own:
        if not isinstance(item, Quote):
            continue
        for side, sign, is_reached in (
            ("bid", 1.0, wanted.get("bid 1", 0.0) >= item.ask),
            ("ask", -1.0, 0.0 < wanted.get("ask 1", 0.0) <= item.bid),
        ):
            if is_reached:
                qty = sign * wanted[f"quantity of {side} 1"]
                found.append(fill_of(item.instrument, qty, wanted[f"{side} 1"], call.ts))
    return found


def _difference(a: Wanted, b: Wanted) -> str | None:
    """Return the name of the first number that differs by more than rounding."""
    for name in [*a, *(n for n in b if n not in a)]:
        x, y = a.get(name), b.get(name)
        if x is None or y is None or abs(x - y) > TOLERANCE * max(1.0, abs(x)):
            return name
    return None

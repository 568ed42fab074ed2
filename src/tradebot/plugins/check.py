"""Prove that a signal does not see the future and does not need more bars than it declares.

Owns the proof for strategies on frames. Knows nothing of trading: only which target a function
of bars gives.

How: the targets of the pass over all bars are compared with the target that exactly `lookback`
closed bars give, at every signal change and at random bars. Equal means both: no later bar can
have mattered, because none was there, and no earlier one. Where they differ, the same bar is
computed on all bars up to it. If that gives the target of the full pass, only the lookback is
too short; if not, the target came from the future. The kind of look-ahead is then told apart by
what cures it (the closed bars of the higher interval alone, n later bars) and by reading the
source. Before the first `lookback` bars, where nothing is traded but `bfill` shows, the future
alone is cut off.

A target that would be the same without the leak is not found: what is proven is that the
decisions are honest on these bars, not that the code is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tradebot.core.strategy import Input
from tradebot.errors import PluginError
from tradebot.plugins.blame import shown
from tradebot.plugins.frame import Columns, FrameStrategy, compute, to_frame
from tradebot.plugins.runner import NO_OTHERS, FrameRunner
from tradebot.plugins.suspects import Leak, Suspect, suspects
from tradebot.plugins.verdict import Fault, Finding, Verdict

Frames = Mapping[Input, pd.DataFrame]
Floats = npt.NDArray[np.float64]
Compute = Callable[[pd.DataFrame, Frames], pd.Series]
"""Targets of a strategy, one per row of its own bars (NaN = keep), given the further series.

Indexes are close stamps. A target at a row must need no row after it, in any of the frames.
Raises PluginError when the strategy raises.
"""

# Targets are weights: a difference that no sizer sees is rounding.
TOLERANCE = 1e-9

_RANDOM_BARS = 1_000
_QUICK_BARS = 26  # random ones; as many signal changes
_WARM_UP_BARS = 8  # of those before the first `lookback`
_MOST_CUTS = 300  # full recomputations spent on telling the faults apart
_MOST_STEPS = 1_000  # bars walked to find the first one that fails


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """A strategy to be checked: its function, the bars, and what it declares.

    `lookbacks` are those of the further series, in their own bars (missing: `lookback`).
    `source` is the text of its file and `class_names` its class and bases, used to name what was found.
    """

    name: str
    compute: Compute
    bars: pd.DataFrame
    lookback: int
    others: Frames = field(default_factory=dict)
    lookbacks: Mapping[Input, int] = field(default_factory=dict)
    source: str = ""
    file: str = ""
    class_names: tuple[str, ...] = ()

    def full(self) -> Floats:
        """Return the targets of the pass over all bars."""
        return _targets(self.compute(self.bars, self.others))

    def cut(self, bar: int, later: int = 0, others_later: bool = False) -> float:
        """Return the target at `bar` when only `later` more bars of any series exist.

        `others_later` leaves the further series whole.
        """
        end = min(bar + later, len(self.bars) - 1)
        others = self.others if others_later else self._closed_by(self.bars.index[end])
        return float(_targets(self.compute(self.bars.iloc[: end + 1], others))[bar])

    def window(self, bar: int, lookback: int | None = None) -> float | None:
        """Return the target at `bar` from exactly its lookback; None where history is too short."""
        own = self.lookback if lookback is None else lookback
        stretch = own / self.lookback
        others: dict[Input, pd.DataFrame] = {}
        for wanted, closed in self._closed_by(self.bars.index[bar]).items():
            bars = round(self.lookbacks.get(wanted, self.lookback) * stretch)
            if len(closed) < bars:
                return None
            others[wanted] = closed.iloc[len(closed) - bars :]
        if bar + 1 < own:
            return None
        return float(_targets(self.compute(self.bars.iloc[bar + 1 - own : bar + 1], others))[-1])

    def ts(self, bar: int) -> int:
        """Return the close stamp of `bar`, ns UTC."""
        index = self.bars.index
        return int(index.as_unit("ns").asi8[bar]) if isinstance(index, pd.DatetimeIndex) else bar

    def _closed_by(self, now: pd.Timestamp) -> dict[Input, pd.DataFrame]:
        return {
            i: frame.iloc[: frame.index.searchsorted(now, side="right")] for i, frame in self.others.items()
        }


def check_frame_strategy(
    strategy: FrameStrategy,
    bars: Columns,
    others: Mapping[Input, Columns] = NO_OTHERS,
    *,
    quick: bool = False,
    seed: int = 0,
    said: Floats | None = None,
) -> Verdict:
    """Return whether `strategy` is honest on these bars of one instrument; see `check`.

    `others` are the series that its `inputs()` declares, `said` its targets for all bars where the
    caller has them already. Splits are not re-based: a bar before
    and after one stays as it was traded, the same on both sides of each comparison.
    Raises PluginError when the strategy raises or breaks its contract.
    """

    def targets(own: pd.DataFrame, frames: Frames) -> pd.Series:
        return pd.Series(compute(strategy, own, frames).targets, index=own.index)

    runner, cls = FrameRunner(strategy, ""), type(strategy)
    file = cls.signals.__code__.co_filename
    subject = Subject(
        name=cls.__name__,
        compute=targets,
        bars=to_frame(bars),
        lookback=runner.lookback,
        others={wanted: to_frame(columns) for wanted, columns in others.items()},
        lookbacks=runner.lookbacks,
        source=source_of(file),
        file=shown(file),
        class_names=tuple(base.__name__ for base in cls.__mro__),
    )
    return check(subject, quick=quick, seed=seed, full=said)


def source_of(file: str) -> str:
    """Return the text of a strategy file, empty where there is none (a class typed into a shell)."""
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def check(subject: Subject, *, quick: bool = False, seed: int = 0, full: Floats | None = None) -> Verdict:
    """Return whether the targets of `subject` are honest on its bars.

    Full: every signal change and 1,000 random bars. `quick`: 26 of each, for the sample that
    every backtest runs. `seed` picks the random bars; `full` are the targets of the pass over
    all bars where the caller has them already. Raises PluginError when
    `subject.compute` does on at least `lookback` bars.
    """
    full = subject.full() if full is None else full
    most = _QUICK_BARS if quick else _RANDOM_BARS
    changes = _changes(full)
    picked = _spread(changes, most) if quick else changes
    chosen = random.Random(seed).sample(range(len(full)), min(most, len(full)))
    early = _spread(range(min(subject.lookback, len(full))), _WARM_UP_BARS)
    bars = sorted({*picked, *chosen, *early})
    verdict = Verdict(
        strategy=subject.name,
        file=subject.file,
        bars=len(full),
        lookback=subject.lookback,
        compared=len(bars) if len(full) >= subject.lookback else 0,
        changes=len(picked),
        changes_in_all=len(changes),
        sampled=quick,
    )
    failing = [bar for bar in bars if _fails(subject, full, bar)]
    if not failing:
        return verdict
    again = subject.full()
    if unlike := [int(i) for i in np.flatnonzero(_differ(full, again))]:
        first = unlike[0]
        return replace(
            verdict, findings=(_finding(subject, Fault.NOT_REPEATABLE, first, full, again[first]),)
        )
    return replace(verdict, findings=tuple(_findings(subject, full, bars, failing, walk=not quick)))


def _findings(
    subject: Subject, full: Floats, bars: Sequence[int], failing: Sequence[int], *, walk: bool
) -> Iterable[Finding]:
    # Cutting costs a pass over all bars before the cut, so a strategy that fails everywhere is
    # judged on the first failing bars and on some of the later ones.
    judged = [
        *failing[:_QUICK_BARS],
        *_spread(failing[_QUICK_BARS:], _MOST_CUTS if walk else _QUICK_BARS),
    ]
    ahead = [bar for bar in judged if _sees_future(subject, full, bar)]
    short = [bar for bar in judged if bar not in set(ahead)]
    if ahead:
        first = _first(lambda bar: _sees_future(subject, full, bar), bars, ahead[0]) if walk else ahead[0]
        yield _name(subject, full, first, ahead)
    if short:
        first = short[0]
        enough = _enough(subject, full, short)
        honest = subject.window(first)
        assert honest is not None  # only a computed window can have failed
        yield replace(_finding(subject, Fault.SHORT_LOOKBACK, first, full, honest), enough=enough)


def _fails(subject: Subject, full: Floats, bar: int) -> bool:
    windowed = subject.window(bar)
    if windowed is not None:
        return not _same(windowed, full[bar])
    return _sees_future(subject, full, bar)


def _sees_future(subject: Subject, full: Floats, bar: int) -> bool:
    try:
        return not _same(subject.cut(bar), full[bar])
    except PluginError:
        # No strategy has to work on fewer bars than it declares; on enough, the error counts.
        if bar + 1 >= subject.lookback:
            raise
        return False


def _first(fails: Callable[[int], bool], bars: Sequence[int], known: int) -> int:
    # The bars between the compared ones were not looked at: walk towards the known one, from the
    # start if that is near, else from the last compared bar that was in order.
    start = 0 if known <= _MOST_STEPS else max((bar + 1 for bar in bars if bar < known), default=0)
    for bar in range(max(start, known - _MOST_STEPS), known):
        if fails(bar):
            return bar
    return known


def _name(subject: Subject, full: Floats, first: int, ahead: Sequence[int]) -> Finding:
    finding = _finding(subject, Fault.LOOK_AHEAD, first, full, subject.cut(first))
    if subject.others and _same(subject.cut(first, others_later=True), full[first]):
        return replace(finding, leak=Leak.HIGHER_INTERVAL)
    reach = max(_reach(subject, full, bar) for bar in {first, *_spread(ahead, 4)})
    # A shift by 2 cannot explain a target that needs 5 later bars; of what can, the one with the
    # shortest stated reach explains most.
    able = [s for s in suspects(subject.source, subject.class_names) if s.reach is None or s.reach >= reach]
    able.sort(key=lambda s: (s.reach is None, s.leak is Leak.FULL_SAMPLE))
    leak = able[0].leak if able else Leak.UNNAMED
    at: tuple[Suspect, ...] = tuple(s for s in able if s.leak is leak)
    return replace(finding, leak=leak, at=at[:3], reach=reach)


def _reach(subject: Subject, full: Floats, bar: int) -> int:
    # Smallest number of later bars that gives the target of the full pass, by doubling and halving.
    most = len(full) - 1 - bar
    high = 1
    while high < most and not _same(subject.cut(bar, later=high), full[bar]):
        high *= 2
    low, high = high // 2, min(high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _same(subject.cut(bar, later=middle), full[bar]) else (middle, high)
    return high


def _enough(subject: Subject, full: Floats, short: Sequence[int]) -> int | None:
    for factor in (2, 4, 8, 16, 32):
        lookback = subject.lookback * factor
        windows = [(bar, subject.window(bar, lookback)) for bar in _spread(short, 9)]
        known = [(bar, window) for bar, window in windows if window is not None]
        if known and all(_same(window, full[bar]) for bar, window in known):
            return lookback
    return None


def _finding(subject: Subject, fault: Fault, bar: int, full: Floats, honest: float) -> Finding:
    return Finding(fault=fault, bar=bar, ts=subject.ts(bar), target=_plain(full[bar]), honest=_plain(honest))


def _changes(targets: Floats) -> list[int]:
    # NaN keeps: the wanted target changes where a number differs from the last number.
    kept: Floats = np.asarray(pd.Series(targets).ffill(), dtype=np.float64)
    before = np.concatenate(([np.nan], kept[:-1]))
    return [int(i) for i in np.flatnonzero(_differ(kept, before))]


def _spread(bars: Sequence[int], most: int) -> list[int]:
    if len(bars) <= most:
        return list(bars)
    return [bars[round(i * (len(bars) - 1) / (most - 1))] for i in range(most)]


def _targets(result: pd.Series) -> Floats:
    return result.to_numpy(dtype=np.float64, na_value=np.nan)


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= TOLERANCE or (a != a and b != b)


def _differ(a: Floats, b: Floats) -> npt.NDArray[np.bool_]:
    return ~((np.abs(a - b) <= TOLERANCE) | (np.isnan(a) & np.isnan(b)))


def _plain(target: float) -> float | None:
    return None if target != target else float(target)

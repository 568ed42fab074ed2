"""Run a `FrameStrategy` over time: over a whole history at once, or bar by bar on a window.

Owns the equality of the two: the meaning of a strategy is the last row computed on exactly
`lookback` closed bars of each series, and the pass over the full frame is an optimisation that
must give the same. Refuses trading: what comes out are targets.

Splits: a strategy sees prices as known at its bar. So the full pass is done anew from each split
on, with what lies before it re-based, and never shows a split that is still to come.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from tradebot.core.happenings import Split
from tradebot.core.model import Bar
from tradebot.core.strategy import Input
from tradebot.errors import InvariantError, PluginError
from tradebot.plugins.frame import KEEP, PRICES, Columns, Floats, FrameStrategy, Ints, Row, compute, to_frame

NO_OTHERS: Mapping[Input, Columns] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of one series as columns (the `Columns` that this module builds itself)."""

    ts: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PrecomputedTargets:
    """Targets of a whole history, one per bar, readable without numpy."""

    ts: array[int]
    targets: array[float]
    explained: Mapping[str, array[float]]

    def __len__(self) -> int:
        return len(self.ts)

    def target_at(self, i: int) -> float | None:
        """Return the weight wanted after bar `i`, None to keep."""
        target = self.targets[i]
        return target if target == target else None

    def explained_at(self, i: int) -> tuple[tuple[str, float], ...]:
        """Return the named numbers behind bar `i`; those that are not finite are left out."""
        columns = self.explained.items()
        return tuple([(name, x) for name, values in columns if (x := values[i]) - x == 0.0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class History:
    """Targets of a whole history as arrays: `targets` float64 with NaN = keep, for the kernel.

    `said` is what `signals` returned, warm-up included, where one pass gave it all.
    """

    ts: Ints
    targets: Floats
    explained: Mapping[str, Floats]
    said: Floats | None = None

    def plain(self) -> PrecomputedTargets:
        """Return the same for the engine, which knows no numpy."""
        return PrecomputedTargets(
            ts=array("q", self.ts.tobytes()),
            targets=array("d", self.targets.tobytes()),
            explained={name: array("d", values.tobytes()) for name, values in self.explained.items()},
        )


class FrameRunner:
    """Computes the targets of one strategy object on one instrument.

    `bars` are the instrument's own closed bars, `others` the series that `inputs()` declares,
    each reaching back before the first bar as far as `lookback_of` asks where there is history.
    Rows before `lookback` bars of every series exist are "keep".
    """

    def __init__(self, strategy: FrameStrategy, instrument: str) -> None:
        self.strategy = strategy
        self.instrument = instrument
        self.inputs = strategy.inputs()
        self.lookback = _at_least_one(strategy, "lookback", strategy.lookback)
        self.lookbacks = {
            i: _at_least_one(strategy, "lookback_of", strategy.lookback_of(i)) for i in self.inputs
        }

    def precompute(
        self, bars: Columns, others: Mapping[Input, Columns] = NO_OTHERS, splits: Sequence[Split] = ()
    ) -> History:
        """Return the target after each bar, in one pass over the full frame per split period.

        Raises PluginError when the strategy raises or breaks its contract, BadData for bars that
        cannot be in a frame.
        """
        self._check_declared(others)
        targets = np.full(len(bars.ts), np.nan)
        explained: dict[str, Floats] = {}
        said: Floats | None = None
        for first, end in _periods(bars.ts, splits):
            known = [split for split in splits if split.ts < bars.ts[first]]
            start = max(0, first - self.lookback + 1) if known else 0
            own = _rebased(_cut(bars, start, end), self.instrument, known)
            seen = {i: self._seen(i, others[i], bars.ts[first], bars.ts[end - 1], known) for i in self.inputs}
            signals = compute(self.strategy, to_frame(own), {i: to_frame(w) for i, w in seen.items()})
            warm = self._warm(own.ts, seen)[first - start :]
            targets[first:end] = np.where(warm, signals.targets[first - start :], np.nan)
            for name, values in signals.explained.items():
                column = explained.setdefault(name, np.full(len(bars.ts), np.nan))
                column[first:end] = np.where(warm, values[first - start :], np.nan)
            said = signals.targets if end - first == len(bars.ts) else None
        ts = np.array(bars.ts, dtype=np.int64)
        return History(ts=ts, targets=targets, explained=explained, said=said)

    def row_at(
        self,
        i: int,
        bars: Columns,
        others: Mapping[Input, Columns] = NO_OTHERS,
        splits: Sequence[Split] = (),
    ) -> Row:
        """Return what the strategy wants after bar `i`, from exactly the last `lookback` bars.

        This is the definition that `precompute` must agree with. KEEP while there are fewer.
        """
        self._check_declared(others)
        now = bars.ts[i]
        known = [split for split in splits if split.ts < now]
        own = _rebased(_cut(bars, max(0, i - self.lookback + 1), i + 1), self.instrument, known)
        return self.last_row(own, {j: self._seen(j, others[j], now, now, known) for j in self.inputs})

    def last_row(self, own: Columns, others: Mapping[Input, Columns]) -> Row:
        """Return the last row computed on these windows as they are; KEEP when one is too short."""
        short = any(len(others[i].ts) < n for i, n in self.lookbacks.items())
        if short or len(own.ts) < self.lookback:
            return KEEP
        frames = {i: to_frame(window) for i, window in others.items()}
        return compute(self.strategy, to_frame(own), frames).row(-1)

    def _seen(
        self, wanted: Input, bars: Columns, first: np.int64, last: np.int64, known: Sequence[Split]
    ) -> Window:
        start, end = np.searchsorted(bars.ts, [first, last], side="right")
        window = _cut(bars, max(0, int(start) - self.lookbacks[wanted]), int(end))
        return _rebased(window, wanted.instrument or self.instrument, known)

    def _warm(self, ts: Ints, others: Mapping[Input, Window]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        warm = np.arange(1, len(ts) + 1) >= self.lookback
        for wanted, window in others.items():
            warm &= np.searchsorted(window.ts, ts, side="right") >= self.lookbacks[wanted]
        return warm

    def _check_declared(self, others: Mapping[Input, Columns]) -> None:
        if set(others) != set(self.inputs):
            raise InvariantError(
                f"series given must be those of inputs() {self.inputs}, were {tuple(others)}"
            )


def as_columns(bars: Collection[Bar]) -> Window:
    """Return bars of one series as columns."""
    return Window(
        ts=np.array([bar.ts for bar in bars], dtype=np.int64),
        open=np.array([bar.open for bar in bars], dtype=np.float64),
        high=np.array([bar.high for bar in bars], dtype=np.float64),
        low=np.array([bar.low for bar in bars], dtype=np.float64),
        close=np.array([bar.close for bar in bars], dtype=np.float64),
        volume=np.array([bar.volume for bar in bars], dtype=np.float64),
    )


def _at_least_one(strategy: FrameStrategy, name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise PluginError(
            f"{type(strategy).__name__}.{name} must be a whole number of bars >= 1, was {value!r}"
        )
    return value


def _cut(bars: Columns, start: int, end: int) -> Window:
    return Window(**{name: getattr(bars, name)[start:end] for name in ("ts", *PRICES, "volume")})


def _periods(ts: Ints, splits: Sequence[Split]) -> list[tuple[int, int]]:
    # A split takes effect at the first bar that closes after it.
    cuts = {int(np.searchsorted(ts, split.ts, side="right")) for split in splits}
    edges = sorted({0, len(ts), *cuts})
    return list(pairwise(edges))


def _rebased(window: Window, instrument: str, known: Sequence[Split]) -> Window:
    # One split after the other, as the daemon meets them, so that both round alike.
    for split in known:
        if split.instrument == instrument and (before := window.ts <= split.ts).any():
            ratio = float(split.ratio)
            prices = {name: getattr(window, name) for name in PRICES}
            prices = {name: np.where(before, values / ratio, values) for name, values in prices.items()}
            volume = np.where(before, window.volume * ratio, window.volume)
            window = Window(ts=window.ts, volume=volume, **prices)
    return window

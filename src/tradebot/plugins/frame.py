"""Let a strategy be written as one function of a DataFrame, and check what it returns.

Owns the frame that a strategy sees, the alignment of further series and the contract of
`signals()`. Refuses to run over time: `plugins.runner` decides on which bars it is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tradebot.core.strategy import Input, Strategy
from tradebot.errors import BadData, Interrupted, PluginError
from tradebot.plugins.blame import raised_in

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PRICES = ("open", "high", "low", "close")
Aligned = TypeVar("Aligned", pd.Series, pd.DataFrame)


class Columns(Protocol):
    """Bars of one series as equal-length arrays, oldest first; `ts` is the close, ns UTC."""

    @property
    def ts(self) -> Ints: ...
    @property
    def open(self) -> Floats: ...
    @property
    def high(self) -> Floats: ...
    @property
    def low(self) -> Floats: ...
    @property
    def close(self) -> Floats: ...
    @property
    def volume(self) -> Floats: ...


class FrameStrategy(Strategy):
    """Decide from a frame of closed bars: the last row is what to hold now.

    `signals` must be a function of its bars alone: called on the last `lookback` bars it must
    give the same last row as on any longer history (`tradebot strategies check` proves it). So
    state that lasts longer than `lookback`, like "in position", is not kept here: NaN means
    "keep what was wanted", and the engine remembers.

    Further series are declared by `inputs()` and read inside `signals` with `self.frame(DAY)`;
    bring them onto the bars with `align`, never with `reindex` or `resample` of one's own.
    """

    _frames: Mapping[Input, pd.DataFrame] = MappingProxyType({})

    def signals(self, bars: pd.DataFrame) -> pd.Series | pd.DataFrame:
        """Return a target for each row of `bars`: a weight in [-1, 1], 0 = flat, NaN = keep.

        `bars` has the columns open, high, low, close, volume and an index of close stamps
        (UTC, ns). A Series (numbers, or booleans for 1 and 0) is the targets; a DataFrame holds
        them in `target` and named numbers that explain the decision in its other columns. Index
        and length must be those of `bars`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define signals(self, bars)")

    def lookback_of(self, wanted: Input) -> int:
        """Return how many bars of a further series decisions depend on; `lookback` if not overridden.

        Counted in bars of that series: 50 for an average over 50 daily bars, whatever the
        strategy's own interval is.
        """
        return self.lookback

    def frame(self, interval: int, instrument: str = "") -> pd.DataFrame:
        """Return the closed bars of a declared input; only inside `signals`.

        Index: close stamps. In a backtest's full pass it holds later bars too: use `align`.
        Raises PluginError for a series that `inputs()` does not name.
        """
        wanted = Input(interval, instrument)
        if wanted not in self._frames:
            declared = ", ".join(_input_name(i) for i in self._frames) or "none"
            raise PluginError(
                f"{type(self).__name__}.frame: {_input_name(wanted)} must be declared by inputs() and read "
                f"inside signals(); available now: {declared}"
            )
        return self._frames[wanted]


def align(higher: Aligned, index: pd.Index) -> Aligned:
    """Return for each stamp of `index` the last row of `higher` that was closed by then.

    A bar of a higher interval is visible from its own close on, never while it is forming; NaN
    before the first. Both indexes are close stamps, rising.
    """
    return higher.reindex(index, method="ffill")


class Row(NamedTuple):
    """What a strategy wants on one bar: `target` NaN = keep; named numbers behind it."""

    target: float
    explained: tuple[tuple[str, float], ...] = ()


KEEP = Row(float("nan"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Signals:
    """Checked result of `signals`: one target per bar (NaN = keep) and what explains it."""

    targets: Floats
    explained: Mapping[str, Floats]

    def row(self, i: int) -> Row:
        """Return row `i`; numbers that are not finite explain nothing and are left out."""
        numbers = ((name, float(values[i])) for name, values in self.explained.items())
        return Row(float(self.targets[i]), tuple(pair for pair in numbers if np.isfinite(pair[1])))


def to_frame(bars: Columns) -> pd.DataFrame:
    """Return `bars` as the frame a strategy sees; the arrays are copied.

    Raises BadData for a price or volume that is not finite or a price <= 0: such bars belong to
    the quality report, not into an average.
    """
    columns = {name: np.array(getattr(bars, name), dtype=np.float64) for name in (*PRICES, "volume")}
    for name, values in columns.items():
        good = np.isfinite(values) & (values > 0.0 if name != "volume" else values >= 0.0)
        if not good.all():
            i = int(np.argmin(good))
            what = "> 0" if name != "volume" else ">= 0"
            raise BadData(
                f"{name} must be a number {what}, was {values[i]} at bar {i} ({_stamp(bars.ts[i])})"
            )
    index = pd.DatetimeIndex(np.array(bars.ts, dtype=np.int64).view("datetime64[ns]")).tz_localize("UTC")
    if not index.is_monotonic_increasing or not index.is_unique:
        i = int(np.argmax(np.diff(bars.ts) <= 0)) + 1
        raise BadData(f"bars must have rising stamps, {_stamp(bars.ts[i])} follows {_stamp(bars.ts[i - 1])}")
    return pd.DataFrame(columns, index=index)


def compute(
    strategy: FrameStrategy, bars: pd.DataFrame, others: Mapping[Input, pd.DataFrame] = MappingProxyType({})
) -> Signals:
    """Call `strategy.signals` on these frames and return its checked result.

    Raises PluginError naming file and line when `signals` raises, and naming the first row when
    the result breaks the contract.
    """
    strategy._frames = others
    index = bars.index
    try:
        result = strategy.signals(bars)
    except (PluginError, Interrupted):
        raise
    except BaseException as exc:
        raise raised_in(type(strategy).signals.__code__.co_filename, "signals()", exc) from exc
    finally:
        strategy._frames = MappingProxyType({})
    return _checked(f"{type(strategy).__name__}.signals", result, index)


def _checked(who: str, result: object, index: pd.Index) -> Signals:
    if isinstance(result, pd.Series):
        columns = {"target": result}
    elif isinstance(result, pd.DataFrame):
        if not result.columns.is_unique or "target" not in result.columns:
            found = ", ".join(str(name) for name in result.columns) or "none"
            raise PluginError(
                f"{who} must return one column 'target' among uniquely named ones, found: {found}"
            )
        columns = {str(name): result[name] for name in result.columns}
    else:
        raise PluginError(
            f"{who} must return a Series of targets or a DataFrame with a column 'target', "
            f"returned {type(result).__name__}"
        )
    _check_index(who, result.index, index)
    arrays = {name: _floats(who, name, series) for name, series in columns.items()}
    targets = arrays.pop("target")
    _check_targets(who, targets, index)
    return Signals(targets=targets, explained=arrays)


def _check_index(who: str, found: pd.Index, wanted: pd.Index) -> None:
    if len(found) != len(wanted):
        raise PluginError(
            f"{who} must return one row per bar ({len(wanted)}), returned {len(found)}; "
            f"NaN means 'keep', so rows need not be dropped"
        )
    if not found.equals(wanted):
        i = next(i for i, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b)
        raise PluginError(
            f"{who} must return the index of its bars; row {i} is {found[i]}, must be {wanted[i]}"
        )


def _floats(who: str, name: str, series: pd.Series) -> Floats:
    try:
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as exc:
        raise PluginError(f"{who}: column '{name}' must hold numbers, holds {series.dtype} ({exc})") from exc


def _check_targets(who: str, targets: Floats, index: pd.Index) -> None:
    # Written so that NaN (keep) passes and infinities do not.
    wrong = np.abs(targets) > 1.0
    if wrong.any():
        i = int(np.argmax(wrong))
        raise PluginError(
            f"{who}: a target must be a weight in [-1, 1] or NaN to keep, was {targets[i]:g} in row {i} "
            f"({index[i].isoformat()}); sizes belong to `sizing` in the configuration"
        )


def _input_name(wanted: Input) -> str:
    of = f" of {wanted.instrument}" if wanted.instrument else ""
    return f"Input({wanted.interval}{of})"


def _stamp(ts: int | np.int64) -> str:
    return pd.Timestamp(int(ts), unit="ns", tz="UTC").isoformat()

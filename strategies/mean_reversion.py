"""Buy what fell too far and sell what rose too far, until it is back near its mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import pandas as pd

from tradebot.api import FrameStrategy, lookback_for, ta


class Stretch(NamedTuple):
    """A line, its middle, and the levels around it at which to enter and to leave."""

    line: pd.Series
    middle: pd.Series | float
    enter_below: pd.Series | float
    leave_below: pd.Series | float
    leave_above: pd.Series | float
    enter_above: pd.Series | float
    explained: dict[str, pd.Series]


class MeanReversion(FrameStrategy):
    """Hold against a stretch: long below the lower entry level, short above the upper one.

    Flat once the line is back between the two leave levels, or has jumped over its middle since
    the bar before. In between the position is kept. `long_only` is flat instead of short.
    """

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Params:
        kind: Literal["bollinger", "zscore", "rsi"] = "bollinger"
        window: int = 20  # bars
        enter: float | None = None  # from the middle: 2 standard deviations, or 20 points of RSI (30/70)
        leave: float | None = None  # 0.5 standard deviations, or 5 points of RSI
        mode: Literal["long_only", "long_short"] = "long_only"

        def __post_init__(self) -> None:
            if self.window < 2:
                raise ValueError(f"window: must be >= 2 bars, was {self.window}")
            if not 0.0 <= self.leave_at < self.enter_at:
                raise ValueError(
                    f"leave: must be >= 0 and < enter ({self.enter_at:g}), was {self.leave_at:g}"
                )
            if self.kind == "rsi" and self.enter_at >= 50.0:
                raise ValueError(f"enter: must be < 50 points of RSI, was {self.enter_at:g}")

        @property
        def enter_at(self) -> float:
            return self.enter if self.enter is not None else 20.0 if self.kind == "rsi" else 2.0

        @property
        def leave_at(self) -> float:
            return self.leave if self.leave is not None else 5.0 if self.kind == "rsi" else 0.5

    p: Params

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        # One bar more than the line itself needs, to see it jump over its middle.
        self.lookback = lookback_for(params.kind, params.window) + 1

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        s = self.stretch(bars["close"])
        low, high = ta.below(s.line, s.leave_below), ta.above(s.line, s.leave_above)
        # A long below the mean may wake up above it, past the leave levels: it has no business
        # there. Looking one bar back is enough, so no state reaches further than the lookback.
        side = ta.above(s.line, s.middle).astype(int) - ta.below(s.line, s.middle).astype(int)
        target = pd.Series(float("nan"), index=bars.index)
        target[(~low & ~high & s.line.notna()) | (side * side.shift(1) == -1)] = 0.0
        target[ta.below(s.line, s.enter_below)] = 1.0
        target[ta.above(s.line, s.enter_above)] = 0.0 if self.p.mode == "long_only" else -1.0
        return pd.DataFrame({"target": target, **s.explained})

    def stretch(self, close: pd.Series) -> Stretch:
        window, enter, leave = self.p.window, self.p.enter_at, self.p.leave_at
        if self.p.kind == "rsi":
            rsi = ta.rsi(close, window)
            return Stretch(rsi, 50.0, 50.0 - enter, 50.0 - leave, 50.0 + leave, 50.0 + enter, {"rsi": rsi})
        outer, inner = ta.bollinger(close, window, enter), ta.bollinger(close, window, leave)
        levels = (outer["lower"], inner["lower"], inner["upper"], outer["upper"])
        # The z-score says the same of the close as its bands do, in one number. It is explained, not
        # compared: next to 0 every rounding is a large part of it, next to a price none is.
        bands = {"low": outer["lower"], "high": outer["upper"]}
        explained = bands if self.p.kind == "bollinger" else {"z": ta.zscore(close, window)}
        return Stretch(close, outer["middle"], *levels, explained)

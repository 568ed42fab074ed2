"""Follow the trend with two moving averages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from tradebot.api import FrameStrategy, lookback_for, ta


class MovingAverageCrossover(FrameStrategy):
    """Hold while the fast average of the close is above the slow one; a tie changes nothing."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Params:
        fast: int = 50  # bars
        slow: int = 200  # bars
        kind: Literal["sma", "ema"] = "sma"
        mode: Literal["long_only", "long_short"] = "long_only"

        def __post_init__(self) -> None:
            if self.fast < 1:
                raise ValueError(f"fast: must be >= 1 bar, was {self.fast}")
            if self.fast >= self.slow:
                raise ValueError(f"fast: must be < slow ({self.slow}), was {self.fast}")

    p: Params

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.lookback = lookback_for(params.kind, params.slow)

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        average = ta.sma if self.p.kind == "sma" else ta.ema
        fast = average(bars["close"], self.p.fast)
        slow = average(bars["close"], self.p.slow)
        away = 0.0 if self.p.mode == "long_only" else -1.0
        target = np.select([ta.above(fast, slow), ta.below(fast, slow)], [1.0, away], np.nan)
        return pd.DataFrame({"target": target, "fast": fast, "slow": slow}, index=bars.index)

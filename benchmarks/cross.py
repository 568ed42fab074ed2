"""The common work as a strategy of ours: written as the tutorial would write it, not for speed."""

from __future__ import annotations

from dataclasses import dataclass

from tradebot.api import Bar, BarStrategy, Context, Sma, Target, above, below


class Cross(BarStrategy):
    """Hold while the fast average of the close is above the slow one; a tie changes nothing."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Params:
        fast: int = 50  # bars
        slow: int = 200  # bars

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.lookback = params.slow
        self.fast, self.slow = Sma(params.fast), Sma(params.slow)

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        fast, slow = self.fast.push(bar.close), self.slow.push(bar.close)
        if fast is None or slow is None:
            return None
        if above(fast, slow):
            return ctx.target(1.0)
        if below(fast, slow):
            return ctx.target(0.0)
        return None

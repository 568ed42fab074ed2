"""Keep a portfolio at fixed weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from tradebot.api import SECOND, Context, PortfolioStrategy, Weights


class FixedWeights(PortfolioStrategy):
    """Bring all instruments back to their weights at the first prices of a period, or when one drifted.

    `weights` are fractions of the strategy's equity; what is left stays cash. Periods are those
    of the UTC calendar. Prices must be in the currency of the equity. Waits until every
    instrument has a price. Needs `resize: always`: the weights stay the same, the quantities do not.
    """

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Params:
        weights: Mapping[str, float] = field(default_factory=dict)
        every: Literal["day", "week", "month", "quarter", "year", "never"] = "month"
        drift: float = 0.05  # distance of a weight from its target that does not wait for the period

        def __post_init__(self) -> None:
            if not self.weights:
                raise ValueError("weights: must name at least one instrument with its fraction")
            for name, weight in self.weights.items():
                if not 0.0 <= weight <= 1.0:
                    raise ValueError(f"weights: {name} must be a fraction from 0 to 1, was {weight:g}")
            if (total := sum(self.weights.values())) > 1.0 + 1e-9:
                raise ValueError(f"weights: must add up to at most 1, were {total:g}")
            if not 0.0 < self.drift <= 1.0:
                raise ValueError(f"drift: must be a fraction above 0 and up to 1, was {self.drift:g}")

    p: Params

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.period = ""

    def weights(self, ctx: Context, prices: Mapping[str, float]) -> Weights | None:
        if ctx.muted or any(name not in prices for name in self.p.weights):
            return None
        period = period_of(ctx.now, self.p.every)
        reason = f"first prices of {period}" if period != self.period else self.drifted(ctx, prices)
        if not reason:
            return None
        self.period = period
        return Weights(tuple(self.p.weights.items()), reason=reason)

    def drifted(self, ctx: Context, prices: Mapping[str, float]) -> str:
        equity = ctx.equity()
        if equity is None or equity <= 0.0:
            return ""
        now = {name: ctx.position(name) * prices[name] / equity for name in self.p.weights}
        name = max(now, key=lambda n: abs(now[n] - self.p.weights[n]))
        if abs(now[name] - self.p.weights[name]) < self.p.drift:
            return ""
        return f"{name} drifted to {now[name]:.1%}, wanted {self.p.weights[name]:.1%}"

    def save(self) -> dict[str, object]:
        return {"period": self.period}

    def load(self, state: Mapping[str, object]) -> None:
        self.period = str(state["period"])


def period_of(ts: int, every: str) -> str:
    """Return the name of the calendar period that `ts` (ns UTC) lies in: "2024-Q3"."""
    day = datetime.fromtimestamp(ts // SECOND, UTC)
    year, week, _ = day.isocalendar()
    names = {
        "day": f"{day:%Y-%m-%d}",
        "week": f"{year}-W{week:02}",
        "month": f"{day:%Y-%m}",
        "quarter": f"{day.year}-Q{(day.month + 2) // 3}",
        "year": f"{day.year}",
        "never": "the run",
    }
    return names[every]

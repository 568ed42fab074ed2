"""Work out the full size of a position: float in, float out, in one stated order of operations.

Owns the sizing formulas. Refuses grids and money: `quantize` turns the result into lots. The
compiled kernel repeats these operations in the same order in strict float64, so both sides
size alike to the last bit; do not rearrange them.

For all kinds the quantity is `weight * full`, with `full` in units of the base asset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from math import sqrt

from tradebot.core.model import Bar


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedQty:
    """full = qty."""

    qty: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedNotional:
    """full = notional / (price * multiplier); `notional` in the quote asset."""

    notional: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FractionOfEquity:
    """full = (fraction * equity) / (price * multiplier)."""

    fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VolatilityTarget:
    """full = (min(annual / realised, max_fraction) * equity) / (price * multiplier).

    `realised` is the sample standard deviation of the last `window` simple bar returns times
    sqrt(periods_per_year); no position before `window` returns are known or while it is 0.
    Ignores that volatility clusters within the window and that returns are not normal.
    """

    annual: float
    window: int
    periods_per_year: float
    max_fraction: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedRisk:
    """full = min(risk * equity / distance, max_fraction * equity / (price * multiplier)).

    `distance` is what a unit loses when the stop is hit: `stop * price * multiplier`, or
    `atr_multiple * ATR(atr_window) * multiplier` (Wilder, of the last 20 windows: what lies before them
    is 1e-9 of it, and no restart could know it). Ignores gaps through the stop.
    """

    risk: float
    stop: float | None = None
    atr_multiple: float | None = None
    atr_window: int = 14
    max_fraction: float = 1.0


SizingSpec = FixedQty | FixedNotional | FractionOfEquity | VolatilityTarget | FixedRisk


class Sizer:
    """A sizing rule with the little memory some of them need (returns, true ranges)."""

    def __init__(self, spec: SizingSpec, parts: int = 1) -> None:
        """`parts`: instruments that share the strategy's equity evenly."""
        self.spec = spec
        self.parts = parts
        self.needs_bars = isinstance(spec, VolatilityTarget) or (
            isinstance(spec, FixedRisk) and spec.atr_multiple is not None
        )
        self._close: float | None = None
        self._returns: list[float] = []
        self._atr: float | None = None  # of `_ranges`, once it was asked for
        self._ranges: deque[float] = deque(maxlen=max(self.lookback - 1, 0))

    @property
    def lookback(self) -> int:
        """Bars after which the memory no longer depends on what came before."""
        if isinstance(self.spec, VolatilityTarget):
            return self.spec.window + 1
        if isinstance(self.spec, FixedRisk) and self.spec.atr_multiple is not None:
            return 20 * self.spec.atr_window + 1  # the first range needs the close before it
        return 0

    def observe(self, bar: Bar) -> None:
        """Take a closed bar into the memory."""
        last, self._close = self._close, bar.close
        if isinstance(self.spec, VolatilityTarget):
            if last is not None:
                self._returns.append(bar.close / last - 1.0)
                if len(self._returns) > self.spec.window:
                    del self._returns[0]
        elif isinstance(self.spec, FixedRisk):
            high_low = bar.high - bar.low
            reach = high_low if last is None else max(high_low, abs(bar.high - last), abs(bar.low - last))
            self._ranges.append(reach)
            self._atr = None

    def forget(self) -> None:
        """Drop the memory, before it is shown the last bars again in other prices."""
        self._close = self._atr = None
        self._returns.clear()
        self._ranges.clear()

    def full(self, equity: float, price: float, multiplier: float) -> float | None:
        """Return the full size in base units, None while the memory is not warm.

        `equity` is in the instrument's quote asset, like `price`.
        """
        spec = self.spec
        if isinstance(spec, FixedQty):
            return spec.qty
        unit = price * multiplier
        if isinstance(spec, FixedNotional):
            return spec.notional / unit
        share = equity / self.parts
        if isinstance(spec, FractionOfEquity):
            return (spec.fraction * share) / unit
        if isinstance(spec, VolatilityTarget):
            realised = self._realised()
            if realised is None:
                return None
            return (min(spec.annual / realised, spec.max_fraction) * share) / unit
        distance = self._distance(price)
        if distance is None:
            return None
        return min(spec.risk * share / (distance * multiplier), spec.max_fraction * share / unit)

    def _realised(self) -> float | None:
        spec = self.spec
        if not isinstance(spec, VolatilityTarget) or len(self._returns) < spec.window:
            return None
        mean = sum(self._returns) / spec.window
        square = sum((r - mean) * (r - mean) for r in self._returns) / (spec.window - 1)
        return sqrt(square) * sqrt(spec.periods_per_year) if square > 0.0 else None

    def _distance(self, price: float) -> float | None:
        spec = self.spec
        if not isinstance(spec, FixedRisk):
            return None
        if spec.atr_multiple is not None:
            if self._atr is None and len(self._ranges) >= spec.atr_window:
                self._atr = _wilder(self._ranges, spec.atr_window)
            return spec.atr_multiple * self._atr if self._atr else None
        return spec.stop * price if spec.stop else None


def _wilder(ranges: Iterable[float], window: int) -> float:
    """Return Wilder's average: the mean of the first `window`, then each new one with the weight 1/window."""
    following = iter(ranges)
    average = sum(islice(following, window)) / window
    for reach in following:
        average += (reach - average) / window
    return average

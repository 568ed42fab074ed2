"""Say how much worse than the market's price a taker trades.

Owns the formulas in float, before the grid; the venue rounds the result against whoever trades.
Makers never slip: their price is their limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tradebot.core.model import Side


class Taking(NamedTuple):
    """What is about to be taken: `used` of `volume` was already taken by us in this bar or quote.

    `price` in the quote asset, `qty`, `used`, `volume` in units of the base asset (for a quote,
    `volume` is the displayed size of the side that is hit); `tick` is the instrument's tick.
    """

    side: Side
    price: float
    qty: float
    used: float
    volume: float
    tick: float


class SlippageModel(Protocol):
    """Returns the price after slippage."""

    def price(self, taking: Taking) -> float: ...


@dataclass(frozen=True, slots=True)
class NoSlippage:
    """Trade at the data's price. Ignores spread, depth and our own weight in the market."""

    def price(self, taking: Taking) -> float:
        return taking.price


@dataclass(frozen=True, slots=True, kw_only=True)
class BpsSlippage:
    """A fixed share of the price, in basis points. Ignores size, volatility and time of day."""

    bps: float

    def price(self, taking: Taking) -> float:
        return taking.price * (1.0 + taking.side.sign * self.bps * 1e-4)


@dataclass(frozen=True, slots=True, kw_only=True)
class TickSlippage:
    """A fixed number of ticks, always (not with a probability). Ignores size and volatility."""

    ticks: int

    def price(self, taking: Taking) -> float:
        return taking.price + taking.side.sign * self.ticks * taking.tick


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfSpread:
    """Half of a constant relative spread, in basis points, for data without quotes.

    Ignores that spreads widen at the open and in stress. Wrong on quotes, which carry their own.
    """

    spread_bps: float

    def price(self, taking: Taking) -> float:
        return taking.price * (1.0 + taking.side.sign * self.spread_bps * 0.5e-4)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeShareSlippage:
    """Impact that grows with the square of our share of the volume: impact x share^2.

    Share = (used + qty) / volume, at most `max_share` (100 %); no volume counts as `max_share`.
    It bounds the share in the formula only: the quantity is bounded by `volume_cap`. The source
    bounds both at 2.5 %; to bound the formula alone would let the largest orders pay almost nothing.
    Ignores permanent impact and decay between bars.
    Source: zipline's VolumeShareSlippage (price_impact 0.1).
    """

    impact: float = 0.1
    max_share: float = 1.0

    def price(self, taking: Taking) -> float:
        share = self.max_share
        if taking.volume > 0:
            share = min((taking.used + taking.qty) / taking.volume, self.max_share)
        return taking.price * (1.0 + taking.side.sign * self.impact * share * share)

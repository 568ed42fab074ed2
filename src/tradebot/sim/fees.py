"""Say what a fill costs: by value, by share, or nothing; in the quote, base or a third asset.

Owns the fee formulas, unrounded. The venue rounds once per fill to the asset's quantum.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol

from tradebot.core.model import Instrument, Liquidity, Side
from tradebot.core.quantize import LEDGER_CONTEXT

_ZERO = Decimal(0)
_BPS = Decimal("1e-4")


class FillCost(NamedTuple):
    """One fill and what its order traded before it.

    `notional` is price x qty x multiplier of this fill; `before_qty`, `before_notional` and
    `before_fee` are the order's earlier fills, so that a minimum holds per order.
    """

    instrument: Instrument
    side: Side
    liquidity: Liquidity
    qty: Decimal
    notional: Decimal
    before_qty: Decimal
    before_notional: Decimal
    before_fee: Decimal


class Fee(NamedTuple):
    """What is owed (negative: a rebate), unrounded, and in which asset."""

    amount: Decimal
    asset: str


class FeeModel(Protocol):
    """Prices one fill."""

    def fee(self, cost: FillCost) -> Fee: ...


class _ByLiquidity(Protocol):
    @property
    def maker(self) -> Decimal: ...
    @property
    def taker(self) -> Decimal: ...


def _bps(rates: _ByLiquidity, liquidity: Liquidity) -> Decimal:
    bps = rates.maker if liquidity is Liquidity.MAKER else rates.taker
    return LEDGER_CONTEXT.multiply(bps, _BPS)


@dataclass(frozen=True, slots=True)
class NoFees:
    """Trade for free. Ignores everything."""

    def fee(self, cost: FillCost) -> Fee:
        return Fee(_ZERO, cost.instrument.quote)


@dataclass(frozen=True, slots=True, kw_only=True)
class BpsFees:
    """A share of the traded value, by liquidity side, in the quote asset.

    `maker` and `taker` in basis points (10 = 0.1 %; negative maker = rebate).
    Ignores volume tiers and their 30-day windows.
    """

    maker: Decimal
    taker: Decimal

    def fee(self, cost: FillCost) -> Fee:
        return Fee(LEDGER_CONTEXT.multiply(cost.notional, _bps(self, cost.liquidity)), cost.instrument.quote)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedAssetFees:
    """A share of what is received: a buy pays in the base asset, a sell in the quote asset.

    So a bought position is smaller than the filled quantity. Basis points as in `BpsFees`.
    Ignores tiers.
    """

    maker: Decimal
    taker: Decimal

    def fee(self, cost: FillCost) -> Fee:
        rate = _bps(self, cost.liquidity)
        if cost.side is Side.BUY:
            return Fee(LEDGER_CONTEXT.multiply(cost.qty, rate), cost.instrument.base)
        return Fee(LEDGER_CONTEXT.multiply(cost.notional, rate), cost.instrument.quote)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThirdAssetFees:
    """A share of the traded value, paid in `asset` at a fixed exchange rate.

    `per_quote` is how many units of `asset` one unit of the quote asset is worth. A cash account that
    holds too little of `asset` has the order refused whole; a margin account goes below zero in it.
    Ignores that the rate moves, and any discount for paying this way (put it into the bps).
    """

    maker: Decimal
    taker: Decimal
    asset: str
    per_quote: Decimal

    def fee(self, cost: FillCost) -> Fee:
        rate = LEDGER_CONTEXT.multiply(_bps(self, cost.liquidity), self.per_quote)
        return Fee(LEDGER_CONTEXT.multiply(cost.notional, rate), self.asset)


@dataclass(frozen=True, slots=True, kw_only=True)
class PerShareFees:
    """An amount per share with a minimum per order and a cap, in the quote asset.

    Over an order's fills the total is min(max(`rate` x qty, `minimum`), `cap` x notional); each
    fill pays what the total grew by. `cap` is a fraction of the notional, None = no cap; it wins
    over the minimum, as at brokers with "at most 1 % of trade value".
    Ignores exchange, clearing and regulatory fees, and monthly tiers.
    """

    rate: Decimal
    minimum: Decimal = _ZERO
    cap: Decimal | None = None

    def fee(self, cost: FillCost) -> Fee:
        total = max(LEDGER_CONTEXT.multiply(cost.before_qty + cost.qty, self.rate), self.minimum)
        if self.cap is not None:
            total = min(total, LEDGER_CONTEXT.multiply(cost.before_notional + cost.notional, self.cap))
        return Fee(total - cost.before_fee, cost.instrument.quote)

"""Name how the simulated venue fills, charges, slips and delays: the settings of a backtest.

Names and values are those of the table that compares eight engines, so that each peer's rules
can be matched key by key. Says nothing about how a rule works; the models in `sim` do.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from tradebot.config.fields import (
    Call,
    KeysDisagree,
    NoneIsAKind,
    NotNegative,
    OrNone,
    Positive,
    PositiveBps,
    Section,
    Share,
)
from tradebot.config.times import Duration
from tradebot.config.units import Bps, Fraction, Whole, Word

_PENETRATE = Call(
    ("touch", "close_only"), "penetrate", Whole(at_least=1, at_most=1000), "or penetrate(n) with n ticks"
)
_FEE_ASSET = Word(r"base|quote|(?=[A-Z0-9]*[A-Z])[A-Z0-9]{2,12}", "base, quote or an asset such as BNB")


class Trail(Section):
    """How a trailing stop follows the price inside a bar."""

    lift: Literal["after_test", "before_test"] = Field(
        default="after_test",
        description="Whether a bar's high lifts the stop after or before its low tests it",
    )
    reference: Literal["high_low", "close"] = Field(
        default="high_low", description="The price that lifts the stop"
    )


class OrderRules(Section):
    """What happens to an order that is already through when it is placed."""

    stop_through: Literal["trigger_at_once", "reject"] = "trigger_at_once"


class End(Section):
    """How a forced exit at the end of the data is priced."""

    price: Literal["last_close", "last_open"] = "last_close"


class Fills(Section):
    """When and where the simulated venue fills an order against bars."""

    market_at: Literal["next_open", "same_close", "next_close"] = Field(
        default="next_open", description="Where a market order decided on a close fills"
    )
    limit_rule: Annotated[str | int, _PENETRATE] = Field(
        default="touch",
        description="touch | penetrate(n) | close_only; read as the word or the n of penetrate",
    )
    limit_improve: Literal["open_if_better", "at_limit"] = Field(
        default="open_if_better", description="Price of a limit when the bar opens on its better side"
    )
    stop_gap: Literal["open_if_worse", "at_stop", "freqtrade_rule", "close"] = Field(
        default="open_if_worse", description="Price of a stop when the bar opens beyond it"
    )
    intrabar_path: Literal["worst_case", "O-H-L-C", "adaptive", "colour", "finer_bars"] = Field(
        default="worst_case",
        description="Order of prices inside a bar, where stop and limit could both be hit",
    )
    same_bar_entry_exit: Literal["allow", "defer"] = Field(
        default="allow", description="Whether an exit may fill in the bar of its entry"
    )
    volume_cap: Annotated[float | None, OrNone(Fraction(above=0, at_most=1))] = Field(
        default=None,
        description="Share of a bar's volume that all orders of the bar may take; the rest carries over",
    )
    trail: Trail = Trail()
    order: OrderRules = OrderRules()
    end: End = End()


class NoFee(Section):
    """No fees."""

    kind: Literal["none"] = "none"


class BpsFee(Section):
    """Basis points of the notional by liquidity; `bps` sets maker and taker alike, and so
    does `taker` alone.

    A negative maker fee is a rebate. `asset` is what the fee is taken in; an asset that is
    neither base nor quote needs a rate.
    """

    kind: Literal["bps"]
    bps: Annotated[Decimal, Bps(at_least=0, at_most=10_000)] | None = None
    maker: Annotated[Decimal, Bps(at_least=-100, at_most=10_000)] | None = None
    taker: Annotated[Decimal, Bps(at_least=0, at_most=10_000)] | None = Field(
        default=None, validate_default=True
    )
    asset: Annotated[str, _FEE_ASSET] = "quote"

    @field_validator("taker")
    @classmethod
    def _one_way_of_saying_it(cls, taker: Decimal | None, info: ValidationInfo) -> Decimal | None:
        if not {"bps", "maker"} <= info.data.keys():
            return taker
        both, maker = info.data["bps"], info.data["maker"]
        if both is not None and not (maker is None and taker is None):
            raise KeysDisagree("must be absent when bps is given, which sets maker and taker")
        if both is None and taker is None:
            raise KeysDisagree("is required; or give bps for both sides")
        return taker

    @property
    def maker_bps(self) -> Decimal:
        """Fee of a fill that was resting liquidity."""
        return self.taker_bps if self.maker is None else self.maker

    @property
    def taker_bps(self) -> Decimal:
        """Fee of a fill that took liquidity."""
        value = self.bps if self.bps is not None else self.taker
        return Decimal(0) if value is None else value


class PerShareFee(Section):
    """`rate` per share in the quote asset, at least `min` an order, at most `cap` of its notional."""

    kind: Literal["per_share"]
    rate: NotNegative
    min: NotNegative = Decimal(0)
    cap: Share | None = None


class NoSlippage(Section):
    """Fills exactly where the fill rules say."""

    kind: Literal["none"] = "none"


class BpsSlippage(Section):
    """Every market-like fill is worse by a fixed share of its price."""

    kind: Literal["bps"]
    bps: PositiveBps


class TickSlippage(Section):
    """Worse by `ticks`; `probability` must be 100% so far, since nothing in a backtest is random."""

    kind: Literal["ticks"]
    ticks: Annotated[int, Whole(at_least=1, at_most=1000)]
    probability: Share = 1.0


class HalfSpreadSlippage(Section):
    """Worse by half of an assumed `spread` (full width, of the price); for data without quotes."""

    kind: Literal["half_spread"]
    spread: PositiveBps


class VolumeShareSlippage(Section):
    """Worse by `impact` times the square of the order's share of the bar's volume."""

    kind: Literal["volume_share"]
    impact: Positive = Decimal("0.1")


class Latency(Section):
    """Delays that the simulation puts between the market, us and the venue."""

    data: Annotated[int, Duration(at_least=0)] = Field(
        default=0, description="From an event to our seeing it"
    )
    order: Annotated[int, Duration(at_least=0)] = Field(
        default=0, description="From our command to the venue"
    )
    report: Annotated[int, Duration(at_least=0)] = Field(
        default=0, description="From the venue's report to us"
    )


Fees = Annotated[NoFee | BpsFee | PerShareFee, Field(discriminator="kind"), NoneIsAKind()]
Slippage = Annotated[
    NoSlippage | BpsSlippage | TickSlippage | HalfSpreadSlippage | VolumeShareSlippage,
    Field(discriminator="kind"),
    NoneIsAKind(),
]

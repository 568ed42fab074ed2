"""Name what a strategy may be told: what to trade, how much, how to get in and out.

`params` stay a free mapping here; the strategy's own Params checks them when it is loaded.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from tradebot.config.fields import (
    Amount,
    Call,
    Count,
    InstrumentId,
    KeysDisagree,
    Loss,
    Multiple,
    Name,
    Positive,
    Section,
    ShareOrAmount,
)
from tradebot.config.times import Duration
from tradebot.config.units import Fraction, Number, Whole, Word
from tradebot.core.model import SECOND

_BARS = Call(
    ("next_signal", "at_once"), "bars", Whole(at_least=1, at_most=1_000_000), "or bars(n) with n bars"
)
_RESIZE = Call(("on_change", "always"), "band", Fraction(above=0, below=1), "or band(5%)")
_CLASS = Word(
    r"(?:[A-Za-z0-9_.~-]+/|/)*[A-Za-z0-9_-]+\.py:[A-Za-z_][A-Za-z0-9_]*",
    "file.py:Class, such as ma_crossover.py:MovingAverageCrossover",
)


class FixedQty(Section):
    """The same quantity each time, in units of the base asset."""

    kind: Literal["fixed_qty"]
    qty: Positive


class FixedNotional(Section):
    """The same amount of money each time."""

    kind: Literal["fixed_notional"]
    notional: Amount


class FractionOfEquity(Section):
    """A fraction of the strategy's own equity (its sub-ledger); over 100% needs a margin account."""

    kind: Literal["fraction_of_equity"]
    fraction: Multiple


class VolatilityTarget(Section):
    """As much as makes the position's annualised volatility `target` of the strategy's equity."""

    kind: Literal["volatility_target"]
    target: Multiple
    lookback: Annotated[int, Whole(at_least=2, at_most=100_000)] = Field(
        default=20, description="Bars of the estimate"
    )
    max_fraction: Multiple = Field(default=1.0, description="Most of the equity that the position may be")


class AtrStop(Section):
    """A stop distance of `multiple` average true ranges over `bars` bars."""

    bars: Annotated[int, Whole(at_least=2, at_most=100_000)] = 14
    multiple: Annotated[Decimal, Number(above=0, at_most=100)] = Decimal(2)


class FixedRisk(Section):
    """As much as loses `risk` of the strategy's equity at the stop.

    The distance is `stop`, or `atr`, or else the strategy's own exits.stop_loss.
    """

    kind: Literal["fixed_risk"]
    risk: Loss
    stop: Loss | None = None
    atr: AtrStop | None = None
    max_fraction: Multiple = Field(default=1.0, description="Most of the equity that the position may be")

    @field_validator("atr")
    @classmethod
    def _one_distance(cls, atr: AtrStop | None, info: ValidationInfo) -> AtrStop | None:
        if atr is not None and info.data.get("stop") is not None:
            raise KeysDisagree("must be absent when stop is given; the stop distance has one source")
        return atr


Sizing = Annotated[
    FixedQty | FixedNotional | FractionOfEquity | VolatilityTarget | FixedRisk, Field(discriminator="kind")
]


class Exits(Section):
    """Protective exits, fractions of the average entry price, fixed when the position opens."""

    stop_loss: Loss | None = Field(default=None, description="Loss at which the position is closed")
    take_profit: Multiple | None = Field(default=None, description="Gain at which the position is closed")
    trailing: Loss | None = Field(default=None, description="Distance that a trailing stop keeps")
    max_bars: Count | None = Field(default=None, description="Bars of the interval after which it is closed")
    after_exit: Annotated[str | int, _BARS] = Field(
        default="next_signal",
        description="next_signal | bars(n) | at_once; read as the word or the n of bars",
    )
    where: Literal["venue", "engine"] = Field(
        default="venue", description="Where protective orders rest if they can"
    )


class Orders(Section):
    """How a decision becomes an order."""

    at: Literal["next_open", "opening_auction", "closing_auction"] = Field(
        default="next_open", description="next_open: at once while the session is open, else at its next open"
    )
    type: Literal["market", "limit"] = "market"
    collar: Loss | None = Field(
        default=None, description="Worst price accepted, as a distance from the last price"
    )
    tif: Literal["day", "gtc", "ioc", "fok"] = "gtc"


class Immediate(Section):
    """The whole difference as one order."""

    kind: Literal["immediate"] = "immediate"


class Twap(Section):
    """`slices` equal orders spread evenly `over` a time."""

    kind: Literal["twap"]
    slices: Annotated[int, Whole(at_least=2, at_most=1000)]
    over: Annotated[int, Duration(at_least=SECOND)]


Execution = Annotated[Immediate | Twap, Field(discriminator="kind")]


class LateEntry(Section):
    """Whether a signal to hold that came while the daemon was down is still acted on."""

    max_bars: Annotated[int, Whole(at_least=0, at_most=1_000_000)] = Field(
        default=0, description="Oldest signal, in bars"
    )
    max_move: Loss | None = Field(default=None, description="Largest move of the price since the signal")


class Retry(Section):
    """How often a refused difference is tried again before the target changes."""

    times: Annotated[int, Whole(at_least=0, at_most=100)] = 3
    first: Annotated[int, Duration(at_least=SECOND)] = Field(
        default=60 * SECOND, description="Wait before the first"
    )
    factor: Annotated[Decimal, Number(at_least=1, at_most=10)] = Field(
        default=Decimal(2), description="Growth of each further wait"
    )


class Schedule(Section):
    """When a portfolio strategy is asked: at set times, on drift from its weights, or both."""

    every: Literal["day", "week", "month", "quarter"] | None = None
    weekday: Literal["monday", "tuesday", "wednesday", "thursday", "friday"] | None = Field(
        default=None, description="Day of a weekly schedule; the next session if it is a holiday"
    )
    at: Annotated[
        str, Word(r"open|close|([01][0-9]|2[0-3]):[0-5][0-9]", 'open, close or a time such as "15:30"')
    ] = "close"
    drift: Annotated[Loss | None, Field(validate_default=True)] = Field(
        default=None, description="Distance of any weight from its target that asks for a rebalance"
    )

    @field_validator("weekday")
    @classmethod
    def _only_weekly(cls, weekday: str | None, info: ValidationInfo) -> str | None:
        if weekday is not None and info.data.get("every", "week") != "week":
            raise KeysDisagree("must be absent unless every: week")
        return weekday

    @field_validator("drift")
    @classmethod
    def _something_asks(cls, drift: float | None, info: ValidationInfo) -> float | None:
        if drift is None and info.data.get("every", "?") is None:
            raise KeysDisagree("is required when every is absent, else nothing ever asks the strategy")
        return drift


class Strategy(Section):
    """One strategy: its code, its instruments, its money and its way into the market."""

    id: Name = Field(description="Permanent: positions and history belong to it")
    class_path: Annotated[str, _CLASS] = Field(alias="class", description="file.py:Class")
    account: Name = Field(default="main", description="May be left out when there is one account")
    instruments: tuple[InstrumentId, ...] = Field(min_length=1)
    interval: Annotated[int, Duration(at_least=SECOND, what="an interval such as 1m, 1h or 1d")] | None = (
        Field(default=None, description="Length of the bars; absent for strategies on quotes")
    )
    params: dict[str, object] = Field(
        default_factory=dict, description="Checked by the strategy's own Params"
    )
    exits: Exits = Exits()
    sizing: Sizing | None = Field(default=None, validate_default=True)
    resize: Annotated[str | float, _RESIZE] = Field(
        default="on_change",
        description="on_change | always | band(x%); read as the word or the fraction of band",
    )
    orders: Orders = Orders()
    execution: Execution = Immediate()
    first_entry: Literal["next_signal", "at_once"] = Field(
        default="next_signal", description="Whether a signal already standing at start is acted on"
    )
    late_entry: LateEntry = LateEntry()
    capital: ShareOrAmount | None = Field(
        default=None, description="Share of the account, or an amount, that is its own"
    )
    retry: Retry = Retry()
    schedule: Schedule | None = None

    @field_validator("instruments")
    @classmethod
    def _each_once(cls, instruments: tuple[str, ...]) -> tuple[str, ...]:
        for instrument in instruments:
            if instruments.count(instrument) > 1:
                raise ValueError(
                    f"must name each instrument once, was {instrument} {instruments.count(instrument)} times"
                )
        return instruments

    @field_validator("sizing")
    @classmethod
    def _risk_has_a_distance(cls, sizing: Sizing | None, info: ValidationInfo) -> Sizing | None:
        if isinstance(sizing, FixedRisk) and sizing.stop is None and sizing.atr is None:
            exits = info.data.get("exits")
            if exits is not None and exits.stop_loss is None:
                raise KeysDisagree("must know the stop distance: give stop, atr, or exits.stop_loss")
        return sizing

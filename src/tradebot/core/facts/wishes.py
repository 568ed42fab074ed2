"""Facts about what strategies want and why it is not done."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from tradebot.core.facts.base import Fact
from tradebot.core.model import ExitRules, Explained


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSet(Fact):
    """What a strategy wants to hold, and the quantity it was sized to.

    `weight` in [-1, 1] or `asked_qty` is the strategy's word; `wanted_qty` (signed) what sizing
    and quantize made of it at `price`, with `equity` in the account's base currency. `because`
    is "signal", "resize", "flatten" ...; `explained` holds the strategy's named numbers.
    """

    VERSION: ClassVar[int] = 2

    strategy: str
    instrument: str
    weight: float | None
    asked_qty: float | None
    wanted_qty: Decimal
    price: float
    equity: float
    because: str
    reason: str
    explained: tuple[Explained, ...] = ()
    exits: ExitRules | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotesSet(Fact):
    """What a strategy wants to rest on both sides (after quantize): (price, qty) levels, best first."""

    strategy: str
    instrument: str
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSuspended(Fact):
    """A target rests until its wanted sign or size changes, or until `bars` more bars have closed."""

    strategy: str
    instrument: str
    because: str
    weight: float | None
    asked_qty: float | None
    bars: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailMoved(Fact):
    """The best price that a trailing exit kept by the engine has seen.

    `opened_ts` names the position it belongs to.
    """

    strategy: str
    instrument: str
    best: float
    opened_ts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitCrossed(Fact):
    """A price went through an exit that the engine keeps: `seen` at or beyond `level`."""

    strategy: str
    instrument: str
    exit: str
    level: float
    seen: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetReleased(Fact):
    """A suspended target counts again."""

    strategy: str
    instrument: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped(Fact):
    """A wanted difference was not acted on, and why; recorded when reason or target changes."""

    strategy: str
    instrument: str
    rule: str
    reason: str
    numbers: tuple[Explained, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipEnded(Fact):
    """How often a Skipped or OrderDenied repeated unchanged before something else happened."""

    strategy: str
    instrument: str
    rule: str
    repeats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySet(Fact):
    """A refused difference waits for its `attempt`th next try at `at`.

    `at` None = nothing is waited for: the try is being made now, or, with `is_last`, there is
    none until the target changes.
    """

    strategy: str
    instrument: str
    attempt: int
    at: int | None
    is_last: bool = False

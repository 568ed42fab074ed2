"""Define what a strategy is: four kinds, all returning what they want to hold or quote.

Owns the intents, the context a strategy may look at, and the base classes of the three kinds
that need no data frames (`FrameStrategy` lives in `plugins.frame`). Refuses orders: a strategy
states a wish, the engine works out the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from numbers import Integral, Real
from typing import ClassVar, NamedTuple, Protocol

from tradebot.core.model import Bar, Book, Fill, Level, Quote


class Target(NamedTuple):
    """Hold this much of `instrument`, until said otherwise.

    Exactly one of `weight` and `qty`. `weight` in [-1, 1] scales the sizer's full size (0 =
    flat, negative = short); `qty` is signed, in units of the base asset. `explained` are named
    numbers that led here; they are stored with the decision.
    """

    instrument: str
    weight: float | None = None
    qty: float | None = None
    reason: str = ""
    explained: tuple[tuple[str, float], ...] = ()


class Quotes(NamedTuple):
    """Rest exactly these levels and nothing else; best first on both sides, empty = no quote.

    A resting order within `tolerance_ticks` of a wanted price and with the wanted quantity
    stays where it is (and keeps its place in the queue).
    """

    instrument: str
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()
    tolerance_ticks: int = 0
    reason: str = ""


class Weights(NamedTuple):
    """Hold these fractions of the strategy's equity; instruments not named are kept as they are."""

    weights: tuple[tuple[str, float], ...]
    reason: str = ""


Intent = Target | Quotes | Weights


def problem_of(word: object) -> Exception | None:
    """Return what is wrong with a strategy's word, whatever its numbers mean; None when it is an intent."""
    match word:
        case Target():
            return _problem_of_target(word)
        case Weights():
            return _problem_of_pairs("weights", word.weights)
        case Quotes():
            return _problem_of_quotes(word)
        case _:
            return TypeError(f"a strategy returns Target, Weights, Quotes or None, was {word!r}")


def _problem_of_target(target: Target) -> Exception | None:
    numbers: tuple[object, ...] = (target.weight, target.qty)
    for value in numbers:
        if value is not None and not isinstance(value, Real):
            return TypeError(f"a target's weight and qty must be numbers, was {value!r}")
    if target.weight is not None and target.qty is not None:
        return ValueError(f"a target has a weight or a qty, not both: {target.weight} and {target.qty}")
    return _problem_of_pairs("what explains a target", target.explained)


def _problem_of_pairs(what: str, pairs: tuple[tuple[str, object], ...]) -> Exception | None:
    try:
        for name, value in pairs:
            if not isinstance(value, Real):
                return TypeError(f"{what} must be numbers, {name} was {value!r}")
    except (TypeError, ValueError):
        return TypeError(f"{what} must be pairs of name and number, was {pairs!r}")
    return None


def _problem_of_quotes(quotes: Quotes) -> Exception | None:
    ticks: object = quotes.tolerance_ticks
    if not isinstance(ticks, Integral):
        return TypeError(f"tolerance_ticks must be a whole number, was {ticks!r}")
    sides: tuple[object, ...] = (quotes.bids, quotes.asks)
    for levels in sides:
        if not isinstance(levels, tuple | list) or not all(isinstance(level, Level) for level in levels):
            return TypeError(f"bids and asks must be levels, Level(price, qty), was {levels!r}")
        for level in levels:
            # Without a number nobody knows what to rest, and what rests is priced by an older one.
            if not all(isinstance(value, Real) and isfinite(value) for value in level):
                return ValueError(f"prices and quantities of quotes must be finite numbers, was {level!r}")
    return None


class Input(NamedTuple):
    """A series a strategy wants to see besides its own: bars of `interval` ns of `instrument`.

    `instrument` empty = the strategy's own instrument at another interval.
    """

    interval: int
    instrument: str = ""


class Context(Protocol):
    """What a strategy may look at. Read-only; valid only during the call it is passed to."""

    @property
    def now(self) -> int:
        """The engine's now, ns UTC."""

    @property
    def instrument(self) -> str:
        """The instrument this call is about."""

    @property
    def muted(self) -> bool:
        """True while warming up: intents are ignored."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Inputs that had not arrived when the grace time ended."""

    def position(self, instrument: str | None = None) -> float:
        """Signed quantity held by this strategy (not by the account)."""

    def price(self, instrument: str | None = None) -> float | None:
        """Last close or mid, None before the first."""

    def equity(self) -> float | None:
        """Equity of this strategy's sub-ledger in the base currency; None while a rate is missing."""

    def bar(self, interval: int, instrument: str | None = None) -> Bar | None:
        """The last closed bar of a declared input; never one that is still forming."""

    def set_timer(self, key: str, at: int) -> None:
        """Have `on_timer(key)` called at `at` (ns UTC, later than now), also after a restart.

        A second timer under the same key takes the first one's place. Ignored while muted.
        """

    def target(
        self,
        weight: float | None = None,
        qty: float | None = None,
        *,
        reason: str = "",
        instrument: str | None = None,
        **explained: float,
    ) -> Target:
        """Build a Target for this call's instrument (or another of the strategy's)."""


class Strategy:
    """Base of all kinds. A strategy has a frozen `Params` dataclass whose fields match the YAML keys.

    `lookback` is the number of closed bars (of its own interval) after which its decisions no
    longer depend on what came before; it is set by `__init__`, at least 1.
    """

    lookback: int = 1

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Params:
        """No parameters."""

    def __init__(self, params: object) -> None:
        self.p = params

    def inputs(self) -> tuple[Input, ...]:
        """Return further series to see besides the strategy's own bars or quotes."""
        return ()

    def on_start(self, ctx: Context) -> None:
        """Called once, before the first data (again after a restart).

        After a restart `load` follows, once the bars that the saved memory covers were shown.
        """

    def on_input(self, bar: Bar) -> None:
        """Called with each closed bar of a further input, before the decision of the same instant."""

    def rebase(self, instrument: str, ratio: Decimal) -> bool:
        """Re-base memory of prices after a split (a share became `ratio` shares); True when done.

        False (the default) makes the engine build a new object and show it the last `lookback`
        bars again in the new prices.
        """
        return False

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        """Called after a fill of this strategy was booked."""

    def on_timer(self, ctx: Context, key: str) -> Intent | None:
        """Called when a timer that `ctx.set_timer` set came due; what it returns counts as ever."""
        return None

    def save(self) -> dict[str, object]:
        """Return memory that cannot be recomputed from `lookback` bars, as JSON values.

        Asked after each call on paper and live; what changed is kept.
        """
        return {}

    def load(self, state: Mapping[str, object]) -> None:
        """Take back what `save` returned."""


class BarStrategy(Strategy):
    """Decide on each closed bar, with memory of its own; one object per instrument.

    With `together = True` one object serves all instruments of the strategy: `on_bars` is
    called once per interval, when all bars have arrived or the grace time ended.
    """

    together: ClassVar[bool] = False

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        """Return what to hold from here on, or None to keep what was wanted."""
        raise NotImplementedError

    def on_bars(self, ctx: Context, bars: Mapping[str, Bar]) -> Weights | None:
        """As `on_bar` for several instruments at once (only with `together`)."""
        raise NotImplementedError


class QuoteStrategy(Strategy):
    """Decide on each quote or book; the returned quotes replace all resting ones."""

    def on_quote(self, ctx: Context, quote: Quote) -> Quotes | None:
        """Return what to rest, or None to leave resting orders as they are."""
        return None

    def on_book(self, ctx: Context, book: Book) -> Quotes | None:
        """As `on_quote`, for a feed that sends whole books."""
        return None


class PortfolioStrategy(Strategy):
    """Decide the weights of all instruments at once, on a schedule or when they drifted."""

    def weights(self, ctx: Context, prices: Mapping[str, float]) -> Weights | None:
        """Return wanted weights (fractions of the strategy's equity), or None to keep."""
        raise NotImplementedError


def is_joint(decider: Strategy) -> bool:
    """Return whether one object decides about all of its strategy's instruments at once."""
    return isinstance(decider, PortfolioStrategy) or (isinstance(decider, BarStrategy) and decider.together)

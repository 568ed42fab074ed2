"""Name every assumption a simulated fill rests on, with its values and its default.

Owns the settings only; `bars` and `quotes` act on them. docs/fills.md says which well-known
engine behaves like which value.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from tradebot.errors import UsageError


class MarketAt(Enum):
    """Which price a market order meets; quotes know only "next" and "same"."""

    NEXT_OPEN = "next_open"
    SAME_CLOSE = "same_close"
    NEXT_CLOSE = "next_close"


class LimitRule(Enum):
    """When a resting limit counts as traded."""

    TOUCH = "touch"
    PENETRATE = "penetrate"
    CLOSE_ONLY = "close_only"


class LimitImprove(Enum):
    """Which price a limit gets when the market opens better than it asks."""

    AT_LIMIT = "at_limit"
    OPEN_IF_BETTER = "open_if_better"


class StopGap(Enum):
    """Which price a stop gets when the bar opens beyond it.

    FREQTRADE_RULE: the open only if the whole bar lies beyond the stop, else the stop.
    CLOSE: a stop is elected by the bar's close alone, and fills there.
    """

    OPEN_IF_WORSE = "open_if_worse"
    AT_STOP = "at_stop"
    FREQTRADE_RULE = "freqtrade_rule"
    CLOSE = "close"


class IntrabarPath(Enum):
    """What is assumed of the way from open to close.

    WORST_CASE assumes nothing it can avoid (rules in `bars`). ADAPTIVE: the extreme nearer to
    the open first (equal: the low). COLOUR: a red bar goes up first, any other down first.
    FINER_BARS: the driver feeds the finer bars; each is met as WORST_CASE and the coarser bars
    of the instrument are only marks.
    """

    WORST_CASE = "worst_case"
    OHLC = "O-H-L-C"
    ADAPTIVE = "adaptive"
    COLOUR = "colour"
    FINER_BARS = "finer_bars"


class SameBar(Enum):
    """Whether an order born of a fill may act in the rest of that fill's bar."""

    ALLOW = "allow"
    DEFER = "defer"


class TrailLift(Enum):
    """Whether a trailing stop meets a bar before or after that bar lifts it."""

    AFTER_TEST = "after_test"
    BEFORE_TEST = "before_test"


class TrailReference(Enum):
    """What lifts a trailing stop: the bar's favourable extreme or its close."""

    HIGH_LOW = "high_low"
    CLOSE = "close"


class StopThrough(Enum):
    """What happens to a stop that the last known price is already through when it is sent."""

    TRIGGER_AT_ONCE = "trigger_at_once"
    REJECT = "reject"


class QuoteFill(Enum):
    """When a quote fills a resting limit: the opposite side reaches it, or goes beyond it."""

    CROSS = "cross"
    THROUGH = "through"


class ForcePrice(Enum):
    """Price of a position forced flat at the end of the data."""

    LAST_CLOSE = "last_close"
    LAST_OPEN = "last_open"


class OnSplit(Enum):
    """What a split does to resting orders: end them with a reason, or re-base price and quantity."""

    CANCEL = "cancel"
    ADJUST = "adjust"


@dataclass(frozen=True, slots=True, kw_only=True)
class FillSettings:
    """How orders meet the market. The defaults are what docs/fills.md calls the default.

    `penetrate_ticks`: how far beyond a limit the price must trade under PENETRATE.
    `volume_cap`: share of a bar's volume that all our orders of that bar may take together,
    None for no cap. `auction_cutoff` (ns before the auction) and `settle_sessions` (T+n of a cash
    account, counted in sessions of the instrument's calendar) are the venue's and the broker's.
    `ids_for_ever`: a client order id is never taken twice; False frees it when the order ended.
    `clip_slippage`: keep a slipped price inside the bar (off: an open plus slippage may leave it).
    """

    market_at: MarketAt = MarketAt.NEXT_OPEN
    limit_rule: LimitRule = LimitRule.TOUCH
    penetrate_ticks: int = 1
    limit_improve: LimitImprove = LimitImprove.OPEN_IF_BETTER
    stop_gap: StopGap = StopGap.OPEN_IF_WORSE
    intrabar_path: IntrabarPath = IntrabarPath.WORST_CASE
    same_bar_entry_exit: SameBar = SameBar.ALLOW
    volume_cap: Decimal | None = None
    trail_lift: TrailLift = TrailLift.AFTER_TEST
    trail_reference: TrailReference = TrailReference.HIGH_LOW
    stop_through: StopThrough = StopThrough.TRIGGER_AT_ONCE
    quote_fill: QuoteFill = QuoteFill.CROSS
    on_split: OnSplit = OnSplit.CANCEL
    auction_cutoff: int = 0
    settle_sessions: int = 0
    ids_for_ever: bool = True
    clip_slippage: bool = False

    def __post_init__(self) -> None:
        if self.volume_cap is not None and not 0 < self.volume_cap <= 1:
            raise UsageError(
                f"fill.volume_cap must be a fraction above 0 and at most 1 (0.1 = 10 %), was {self.volume_cap}"
            )
        if self.penetrate_ticks < 1:
            raise UsageError(f"fill.limit_rule penetrate(n) needs n >= 1, was {self.penetrate_ticks}")
        for name, value in (
            ("auction_cutoff", self.auction_cutoff),
            ("settle_sessions", self.settle_sessions),
        ):
            if value < 0:
                raise UsageError(f"{name} must not be negative, was {value}")

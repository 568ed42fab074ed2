"""Define what enters the core (inputs) and what it asks of the world (commands).

This is the door to all of them. What tells of a market only, and commands, are defined apart, in `happenings` and
`commands`: whoever needs no others, and must start fast, takes them there.

Inputs are what happened outside, each with `ts`, the moment it happened; when it was seen is given to
`Engine.decide` beside it. Commands are imperative and carry everything their receiver needs. Facts,
the third kind of message, live in `facts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from tradebot.core.commands import CancelOrder as CancelOrder
from tradebot.core.commands import Command as Command
from tradebot.core.commands import ReplaceOrder as ReplaceOrder
from tradebot.core.commands import SetTimer as SetTimer
from tradebot.core.commands import SubmitOrder as SubmitOrder
from tradebot.core.commands import SubmitPair as SubmitPair
from tradebot.core.happenings import Dividend as Dividend
from tradebot.core.happenings import Rate as Rate
from tradebot.core.happenings import SessionClose as SessionClose
from tradebot.core.happenings import SessionOpen as SessionOpen
from tradebot.core.happenings import Slice as Slice
from tradebot.core.happenings import Split as Split
from tradebot.core.model import AssetAmount, Bar, Explained, Fill
from tradebot.core.rules import OWNER
from tradebot.core.scope import EVERYTHING, HaltLevel, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class OfOrder:
    """What is said of one of our orders."""

    ts: int
    client_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueAcked(OfOrder):
    """The venue has the order."""

    venue_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueRefused(OfOrder):
    """The venue refused the order by a code it defines: the only proof that it does not exist."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueUnknown(OfOrder):
    """Nobody can say whether the venue has the order (time-out, reset, 5xx)."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueAbsent(OfOrder):
    """An unknown order was not found `checks` times over the agreed span."""

    checks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueFilled:
    """A trade of one of our orders; may arrive before the ack and after a cancel."""

    ts: int
    fill: Fill


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueTriggered(OfOrder):
    """A stop was elected: from here on it acts as a market or limit order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueCanceled(OfOrder):
    """The order is no longer working; `reason` is empty when we asked for it."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueExpired(OfOrder):
    """The order's time in force ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueCancelRefused(OfOrder):
    """The cancel found nothing to cancel, or the venue would not."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueReplaced(OfOrder):
    """`client_order_id` was taken over by `by`, atomically."""

    by: str


VenueReport = (
    VenueAcked
    | VenueRefused
    | VenueUnknown
    | VenueAbsent
    | VenueFilled
    | VenueTriggered
    | VenueCanceled
    | VenueExpired
    | VenueCancelRefused
    | VenueReplaced
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerDue:
    """A timer that the core set has come due; `key` is the one it was set under."""

    ts: int
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CashEvent:
    """Cash that moved at the venue for a reason it explains; `amount` is signed.

    `venue_ref` is the venue's id of it: the same one twice is booked once. `instrument`: whose dividend
    it is, empty where the venue does not say.
    """

    ts: int
    account: str
    asset: str
    amount: Decimal
    because: str
    strategy: str | None = None
    venue_ref: str = ""
    instrument: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionChanged:
    """A quantity that changed at the venue without an order of ours: the owner's trade, a transfer.

    `cash` is what moved with it, fees included; without any, `basis` is what an incoming quantity
    cost (None: what it is worth now). `venue_ref` is the venue's id: the same one twice is booked once.
    """

    ts: int
    account: str
    instrument: str
    qty_signed: Decimal
    because: str
    cash: tuple[AssetAmount, ...] = ()
    basis: Decimal | None = None
    venue_ref: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """An account's orders, fills, positions and cash were compared with the venue's and agree."""

    ts: int
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StillWorks(OfOrder):
    """The venue works an order of ours that counts as over here, look after look."""

    venue_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseUnknown(OfOrder):
    """The owner (or `unknown.release_after`) lets go of an order that stayed absent."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign:
    """The owner moves cash or quantity between unassigned and a strategy (positive: to it).

    Exactly one of `asset` and `instrument`. `basis` is the cost that goes with a quantity; None: its
    share of the cost of what it is taken from.
    """

    ts: int
    account: str
    strategy: str
    amount: Decimal
    asset: str | None = None
    instrument: str | None = None
    basis: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetHalt:
    """The owner (or a breaker in the shell, by its `rule` and `numbers`) sets or lifts one halt of a scope."""

    ts: int
    level: HaltLevel
    reason: str
    scope: Scope = EVERYTHING
    rule: str = OWNER
    numbers: tuple[Explained, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A run begins. `epoch` is the start's wall-clock second and must exceed every known one."""

    ts: int
    run_id: str
    epoch: int
    config_digest: str
    code_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmedUp:
    """Strategies have seen the past: differences to what stands as wanted are worked again."""

    ts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BarsMissed:
    """Bars of a time in which nobody watched, oldest first: they are past, and nothing is traded on them."""

    ts: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopTrading:
    """The daemon is about to end in order: entries and quotes are cancelled, nothing new is begun.

    Positions, what protects them and execution parents stay; the next run goes on with them.
    """

    ts: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A run ends; nothing is traded after it."""

    ts: int
    reason: str


Input = (
    Slice
    | VenueReport
    | TimerDue
    | SessionOpen
    | SessionClose
    | Rate
    | Split
    | Dividend
    | CashEvent
    | PositionChanged
    | Reconciled
    | StillWorks
    | ReleaseUnknown
    | Assign
    | SetHalt
    | Start
    | WarmedUp
    | BarsMissed
    | StopTrading
    | End
)

"""Define what enters the core (inputs) and what it asks of the world (commands).

Inputs are what happened outside, each with `ts`, the moment it happened; when it was seen is given to
`Engine.decide` beside it. Commands are imperative and carry everything their receiver needs. Facts,
the third kind of message, live in `facts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import NamedTuple

from tradebot.core.commands import CancelOrder as CancelOrder
from tradebot.core.commands import Command as Command
from tradebot.core.commands import ReplaceOrder as ReplaceOrder
from tradebot.core.commands import SetTimer as SetTimer
from tradebot.core.commands import SubmitOrder as SubmitOrder
from tradebot.core.happenings import Dividend as Dividend
from tradebot.core.happenings import Rate as Rate
from tradebot.core.happenings import SessionClose as SessionClose
from tradebot.core.happenings import SessionOpen as SessionOpen
from tradebot.core.happenings import Slice as Slice
from tradebot.core.happenings import Split as Split
from tradebot.core.model import AssetAmount, Bar, Explained, Fill
from tradebot.core.rules import OWNER


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueAcked:
    """The venue has the order."""

    ts: int
    client_order_id: str
    venue_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueRefused:
    """The venue refused the order by a code it defines: the only proof that it does not exist."""

    ts: int
    client_order_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueUnknown:
    """Nobody can say whether the venue has the order (time-out, reset, 5xx)."""

    ts: int
    client_order_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueAbsent:
    """An unknown order was not found `checks` times over the agreed span."""

    ts: int
    client_order_id: str
    checks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueFilled:
    """A trade of one of our orders; may arrive before the ack and after a cancel."""

    ts: int
    fill: Fill


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueTriggered:
    """A stop was elected: from here on it acts as a market or limit order."""

    ts: int
    client_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueCanceled:
    """The order is no longer working; `reason` is empty when we asked for it."""

    ts: int
    client_order_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueExpired:
    """The order's time in force ended."""

    ts: int
    client_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueCancelRefused:
    """The cancel found nothing to cancel, or the venue would not."""

    ts: int
    client_order_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueReplaced:
    """`client_order_id` was taken over by `by`, atomically."""

    ts: int
    client_order_id: str
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

    `venue_ref` is the venue's id of it: the same one twice is booked once.
    """

    ts: int
    account: str
    asset: str
    amount: Decimal
    because: str
    strategy: str | None = None
    venue_ref: str = ""


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
class ReleaseUnknown:
    """The owner (or `unknown.release_after`) lets go of an order that stayed absent."""

    ts: int
    client_order_id: str
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


class Scope(NamedTuple):
    """What a halt is about: everything, or only a strategy, an instrument, an account, where they are named."""

    strategy: str | None = None
    instrument: str | None = None
    account: str | None = None

    def covers(self, strategy: str | None, instrument: str | None, account: str | None) -> bool:
        """Return whether what is asked for lies inside."""
        return (
            self.strategy in (None, strategy)
            and self.instrument in (None, instrument)
            and self.account in (None, account)
        )


EVERYTHING = Scope()


class HaltKey(NamedTuple):
    """What a halt is known by: each reason stands and is lifted by itself."""

    scope: Scope
    rule: str


class HaltLevel(Enum):
    """How far a halt goes. NONE trades; PAUSED opens nothing new and manages exits."""

    NONE = 0
    PAUSED = 1
    NO_NEW_RISK = 2
    CANCEL_ENTRIES = 3
    FLATTEN = 4


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
    | ReleaseUnknown
    | Assign
    | SetHalt
    | Start
    | WarmedUp
    | BarsMissed
    | StopTrading
    | End
)

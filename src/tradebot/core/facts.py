"""Define the facts: what is now true, in the past tense, as the journal keeps them.

A fact is whole by itself: after each one, cash, positions, lots and sub-ledgers balance to the
quantum. `decide` chose everything in it; `Ledger.evolve` only books it, so a later change of a
rule never rewrites history on replay.

Each class has a `VERSION`. Changing fields without raising it fails a test (`codec.digest`),
because a fact is a file format.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, NamedTuple

from tradebot.core.messages import HaltLevel, Scope
from tradebot.core.model import AccountModel, ExitRules, Explained, Fill, Lot, Order, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Base of all facts; `ts` is when what it says happened."""

    VERSION: ClassVar[int] = 1

    ts: int


class Recorded(NamedTuple):
    """A fact with its place in history. `cause` is the seq of the fact that led to it, 0 = an input.

    `seen` is the engine's now when it was made.
    """

    seq: int
    seen: int
    cause: int
    fact: Fact


class AssetAmount(NamedTuple):
    """A signed amount of one asset."""

    asset: str
    amount: Decimal


# --- runs, accounts, strategies -----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Fact):
    """A run began; client order ids of this run carry `epoch`."""

    run_id: str
    epoch: int
    config_digest: str
    code_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Fact):
    """A run ended in order."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOpened(Fact):
    """An account became known; its first money follows as CashMoved."""

    account: str
    model: AccountModel
    base_currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyEnrolled(Fact):
    """A strategy got its sub-ledger in an account."""

    strategy: str
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentMade(Fact):
    """Cash or quantity moved between a strategy's sub-ledger and the unassigned one.

    Exactly one of `asset` and `instrument` is set; positive `amount` goes to the strategy.
    For an instrument, `basis` is the cost that goes with the quantity.
    """

    account: str
    strategy: str
    amount: Decimal
    asset: str | None = None
    instrument: str | None = None
    basis: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySaved(Fact):
    """A strategy's own memory, as JSON text."""

    strategy: str
    instrument: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyFailed(Fact):
    """A strategy raised; it is called no more in this run. Facts before this one stand."""

    strategy: str
    instrument: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputsMissed(Fact):
    """A strategy was called without some of its inputs, because the grace time ended."""

    strategy: str
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadDataSeen(Fact):
    """Market data that cannot be true was refused; the last good value stands."""

    instrument: str
    problem: str


# --- what is wanted -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSet(Fact):
    """What a strategy wants to hold, and the quantity it was sized to.

    `weight` in [-1, 1] or `asked_qty` is the strategy's word; `wanted_qty` (signed) what sizing
    and quantize made of it at `price`, with `equity` in the account's base currency. `because`
    is "signal", "resize", "flatten" ...; `explained` holds the strategy's named numbers.
    """

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
    """A refused difference is tried again at `at`, for the `attempt`th time; at=None: no more."""

    strategy: str
    instrument: str
    attempt: int
    at: int | None


# --- orders -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentOpened(Fact):
    """An execution parent began: `qty` to trade in `slices` at the times of `schedule`.

    `on_late` says what a slice whose time passed unseen does: catch_up or expire.
    """

    parent_id: str
    strategy: str
    instrument: str
    side: Side
    qty: Decimal
    algorithm: str
    schedule: tuple[int, ...]
    slices: tuple[Decimal, ...]
    purpose: str
    on_late: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentProgressed(Fact):
    """Slice number `slice` of a parent was handed on (or expired with quantity 0)."""

    parent_id: str
    slice: int
    qty: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentClosed(Fact):
    """A parent is over: done, superseded, expired."""

    parent_id: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntended(Fact):
    """An order is about to be sent; committed before the command leaves.

    `price` is the market price that the decision and its reservation used.
    """

    order: Order
    price: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDenied(Fact):
    """A pre-trade rule said no; `numbers` are what it compared."""

    strategy: str
    instrument: str
    side: Side
    qty: Decimal
    rule: str
    reason: str
    numbers: tuple[Explained, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderShrunk(Fact):
    """A pre-trade rule let a smaller quantity pass."""

    strategy: str
    instrument: str
    side: Side
    asked: Decimal
    allowed: Decimal
    rule: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAccepted(Fact):
    """The venue has the order."""

    client_order_id: str
    venue_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRejected(Fact):
    """The venue refused the order, with its reason."""

    client_order_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitUnknown(Fact):
    """Whether the venue has the order is unknown: it counts as live and fully exposed."""

    client_order_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitAbsent(Fact):
    """An unknown order stayed absent; exposure is kept until released."""

    client_order_id: str
    checks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTriggered(Fact):
    """A stop was elected."""

    client_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested(Fact):
    """A cancel is about to be sent."""

    client_order_id: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRefused(Fact):
    """The venue did not cancel; the order's own reports say what it is."""

    client_order_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceRequested(Fact):
    """`client_order_id` is about to be replaced by `order`; both ids are tracked."""

    client_order_id: str
    order: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReplaced(Fact):
    """The venue put `by` in the place of `client_order_id`."""

    client_order_id: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCanceled(Fact):
    """The order stopped working; a fill that arrives later is still booked."""

    client_order_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderExpired(Fact):
    """The order's time ended."""

    client_order_id: str


class LotClosed(NamedTuple):
    """Part or all of a lot was closed: `qty` (positive) for `proceeds`, costing `basis`."""

    lot_id: str
    qty: Decimal
    proceeds: Decimal
    basis: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilled(Fact):
    """A trade, with everything it moves.

    `cash` are the account's and the strategy's signed changes (notional and fee already in);
    `qty_signed` the change of position (a fee in the base asset already off). `closed` and
    `opened` are the account's lots; `basis` is the signed change of the strategy's cost basis,
    `realized` its profit in the quote asset, net of fees in that asset.
    """

    fill: Fill
    account: str
    strategy: str
    qty_signed: Decimal
    cash: tuple[AssetAmount, ...]
    closed: tuple[LotClosed, ...]
    opened: Lot | None
    basis: Decimal
    realized: Decimal
    settles_at: int


# --- money without an order ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CashMoved(Fact):
    """Cash moved for a known reason; to a strategy's sub-ledger, or to unassigned when None."""

    account: str
    asset: str
    amount: Decimal
    because: str
    strategy: str | None
    settles_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeCharged(Fact):
    """A fee that belongs to no fill (borrow, custody, data)."""

    account: str
    asset: str
    amount: Decimal
    because: str
    strategy: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InterestPaid(Fact):
    """Interest on cash; negative when we pay it."""

    account: str
    asset: str
    amount: Decimal
    strategy: str | None


class StrategyShare(NamedTuple):
    """A sub-ledger's part of something; `strategy` None = unassigned."""

    strategy: str | None
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class DividendAccrued(Fact):
    """Holders at the ex-date are owed money (a short owes it: negative), split by sub-ledger."""

    account: str
    instrument: str
    asset: str
    per_share: Decimal
    shares: tuple[StrategyShare, ...]
    pays_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DividendPaid(Fact):
    """What was accrued arrived as cash."""

    account: str
    instrument: str
    asset: str
    shares: tuple[StrategyShare, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitApplied(Fact):
    """Lots and positions were re-based: basis unchanged, quantities multiplied by `ratio`.

    `lots` are the lots after the split; `positions` the sub-ledger quantities after it. The
    fraction of a share that the grid cannot hold is paid out as `cash_in_lieu`.
    """

    account: str
    instrument: str
    ratio: Decimal
    lots: tuple[Lot, ...]
    positions: tuple[StrategyShare, ...]
    cash_in_lieu: tuple[StrategyShare, ...]
    asset: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolChanged(Fact):
    """An instrument goes by another id from here on."""

    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BasisAdjusted(Fact):
    """A lot's basis changed without a trade (wash sale, return of capital)."""

    account: str
    instrument: str
    lot_id: str
    amount: Decimal
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionAdjusted(Fact):
    """The account's quantity was set right from outside (transfer, owner's trade): unassigned."""

    account: str
    instrument: str
    qty_signed: Decimal
    basis: Decimal
    because: str
    closed: tuple[LotClosed, ...] = ()
    opened: Lot | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedInternally(Fact):
    """Two strategies traded with each other: sub-ledgers change, the account and its lots do not."""

    account: str
    buyer: str
    seller: str
    instrument: str
    qty: Decimal
    price: Decimal
    asset: str
    notional: Decimal
    buyer_basis: Decimal
    buyer_realized: Decimal
    seller_basis: Decimal
    seller_realized: Decimal


# --- time, sessions, halts ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerSet(Fact):
    """The core asked to be woken at `at` under `key`."""

    key: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired(Fact):
    """The timer under `key` came due."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened(Fact):
    """A calendar's session opened; it closes at `closes_at`."""

    calendar: str
    closes_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionClosed(Fact):
    """A calendar's session closed; the next opens at `opens_at`, None when unknown."""

    calendar: str
    opens_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSet(Fact):
    """One unit of `asset` is worth `rate` of `base`."""

    asset: str
    base: str
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltSet(Fact):
    """The halt level of a scope changed; latched until another HaltSet."""

    level: HaltLevel
    scope: Scope
    reason: str
    rule: str = "owner"
    numbers: tuple[Explained, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DayStarted(Fact):
    """A trading day began; daily limits are counted from `equity` (base currency)."""

    account: str
    day: str
    equity: float

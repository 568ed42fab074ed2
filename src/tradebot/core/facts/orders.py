"""Facts about orders, execution parents and fills."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, NamedTuple

from tradebot.core.facts.base import Fact
from tradebot.core.model import AssetAmount, Compared, Explained, Fill, Lot, Order, Side


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

    `price` is the market price that the decision and its reservation used, `compared` what the rules
    that let it pass had compared.
    """

    VERSION: ClassVar[int] = 2

    order: Order
    price: float
    compared: tuple[Compared, ...] = ()


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
class UnknownReleased(Fact):
    """An order that stayed absent counts no more; a fill that arrives later is still booked."""

    client_order_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReopened(Fact):
    """An order that counted as over works at the venue after all: it counts as working again."""

    client_order_id: str
    venue_order_id: str


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
    """`client_order_id` is about to be replaced by `order`; both ids are tracked. `compared` as in OrderIntended."""

    VERSION: ClassVar[int] = 2

    client_order_id: str
    order: Order
    compared: tuple[Compared, ...] = ()


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
    `realized` its profit in the quote asset, net of fees in that asset. `opens` says that the
    strategy held nothing it could trade before (nothing, less than a lot, or the other side):
    exits are measured from here.
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
    opens: bool

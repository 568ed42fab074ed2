"""Keep what is known of each order: one table of states, one record per client order id.

Owns the order states and their transitions. Refuses money: cash, positions and lots are booked
elsewhere. "Terminal" is nearly terminal: a fill that arrives after `canceled` is booked, because
it happened.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

from tradebot.core.model import Fill, Order
from tradebot.errors import InvariantError


class Status(Enum):
    """States in FIX words. Everything from PENDING_NEW to UNKNOWN counts as working."""

    PENDING_NEW = "pending_new"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    UNKNOWN = "unknown"
    FILLED = "filled"
    CANCELED = "canceled"
    REPLACED = "replaced"
    REJECTED = "rejected"
    EXPIRED = "expired"
    RELEASED = "released"


class Event(Enum):
    """What can be said of an order, other than a fill."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    CANCEL_REQUESTED = "cancel_requested"
    CANCEL_REFUSED = "cancel_refused"
    REPLACE_REQUESTED = "replace_requested"
    REPLACED = "replaced"
    CANCELED = "canceled"
    EXPIRED = "expired"
    RELEASED = "released"
    REOPENED = "reopened"


OPEN = (
    Status.PENDING_NEW,
    Status.NEW,
    Status.PARTIALLY_FILLED,
    Status.PENDING_CANCEL,
    Status.PENDING_REPLACE,
    Status.UNKNOWN,
)

_S, _E = Status, Event

# (status, event) -> status; a pair that is not here leaves the status as it is. NEW stands for
# "live at the venue" and becomes PARTIALLY_FILLED when something has filled (see `_live`).
_TABLE: dict[tuple[Status, Event], Status] = {
    (_S.PENDING_NEW, _E.ACCEPTED): _S.NEW,
    (_S.UNKNOWN, _E.ACCEPTED): _S.NEW,
    (_S.PENDING_NEW, _E.UNKNOWN): _S.UNKNOWN,
    **{(s, _E.REJECTED): _S.REJECTED for s in OPEN},
    **{(s, _E.CANCELED): _S.CANCELED for s in OPEN},
    **{(s, _E.EXPIRED): _S.EXPIRED for s in OPEN},
    **{(s, _E.REPLACED): _S.REPLACED for s in OPEN},
    **{(s, _E.RELEASED): _S.RELEASED for s in OPEN},
    (_S.PENDING_NEW, _E.CANCEL_REQUESTED): _S.PENDING_CANCEL,
    (_S.NEW, _E.CANCEL_REQUESTED): _S.PENDING_CANCEL,
    (_S.PARTIALLY_FILLED, _E.CANCEL_REQUESTED): _S.PENDING_CANCEL,
    (_S.UNKNOWN, _E.CANCEL_REQUESTED): _S.PENDING_CANCEL,
    (_S.PENDING_REPLACE, _E.CANCEL_REQUESTED): _S.PENDING_CANCEL,
    (_S.PENDING_NEW, _E.REPLACE_REQUESTED): _S.PENDING_REPLACE,
    (_S.NEW, _E.REPLACE_REQUESTED): _S.PENDING_REPLACE,
    (_S.PARTIALLY_FILLED, _E.REPLACE_REQUESTED): _S.PENDING_REPLACE,
    (_S.PENDING_CANCEL, _E.CANCEL_REFUSED): _S.NEW,
    (_S.PENDING_REPLACE, _E.CANCEL_REFUSED): _S.NEW,
    **{(s, _E.REOPENED): _S.NEW for s in (_S.CANCELED, _S.REPLACED, _S.REJECTED, _S.EXPIRED, _S.RELEASED)},
}


class OrderRecord:
    """What we know of one order. Only the ledger's booking functions write it."""

    __slots__ = (
        "accepted_at",
        "fill_ids",
        "filled_qty",
        "is_absent",
        "order",
        "qty",
        "reason",
        "reduced",
        "splits",
        "status",
        "venue_order_id",
    )

    def __init__(self, order: Order) -> None:
        self.order = order
        self.status = Status.PENDING_NEW
        self.qty = order.qty  # in today's units: a split while the order works changes it
        self.filled_qty = Decimal(0)
        self.reduced = Decimal(0)  # taken off by a one-cancels-other sibling's fills
        self.venue_order_id = ""
        self.accepted_at = 0  # since when the venue has it, as it says; 0 = not known to have it
        self.reason = ""
        self.is_absent = False  # unknown, and not found however often it was looked for
        self.splits: tuple[tuple[int, Decimal], ...] = ()  # (when, ratio) of those since it was intended
        self.fill_ids: dict[str, None] = {}

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def is_unknown(self) -> bool:
        """Whether nobody can say that the venue has it."""
        return self.is_open and (self.status is Status.UNKNOWN or self.is_absent)

    @property
    def leaves(self) -> Decimal:
        """Quantity still to trade, 0 or more; meaningful while open."""
        rest = self.qty - self.filled_qty - self.reduced
        return rest if rest > 0 else Decimal(0)

    @property
    def leaves_signed(self) -> Decimal:
        return self.leaves * self.order.side.sign

    def apply(self, event: Event, reason: str = "") -> None:
        """Move to the next status; a report that changes nothing is not an error."""
        status = _TABLE.get((self.status, event), self.status)
        if event is Event.ACCEPTED:
            self.is_absent = False
        elif event is Event.CANCEL_REFUSED and status is Status.NEW and not self.was_seen:
            status = Status.UNKNOWN  # "not known here" is no proof that it is not on its way
        self.status = self._live(status)
        if reason:
            self.reason = reason

    def apply_fill(self, fill: Fill) -> None:
        """Count a fill, in today's units. Raises InvariantError for a repeated id or more than was ordered."""
        if fill.fill_id in self.fill_ids:
            raise InvariantError(
                f"fill {fill.fill_id} of order {self.order.client_order_id} was already booked"
            )
        if self.filled_qty + fill.qty > self.qty and not self.splits:
            raise InvariantError(
                f"order {self.order.client_order_id}: fills must not exceed {self.qty}, "
                f"were {self.filled_qty} and now {fill.qty} more"
            )
        self.fill_ids[fill.fill_id] = None
        self.is_absent = False
        # What the lot could not hold was taken off at a split: of such an order more may fill than is left.
        self.filled_qty = min(self.filled_qty + fill.qty, self.qty)
        if self.filled_qty == self.qty or (self.is_open and not self.leaves):
            self.status = Status.FILLED
        else:
            self.status = self._live(Status.NEW if self.status is Status.UNKNOWN else self.status)

    def rebase(self, qty: Decimal, filled_qty: Decimal, reduced: Decimal) -> None:
        """Count in the units after a split from here on."""
        self.qty, self.filled_qty, self.reduced = qty, filled_qty, reduced

    @property
    def was_seen(self) -> bool:
        """Whether the venue has said that it has, or had, it."""
        return bool(self.venue_order_id or self.filled_qty)

    def _live(self, status: Status) -> Status:
        if self.filled_qty and status in (Status.NEW, Status.PENDING_NEW):
            return Status.PARTIALLY_FILLED
        return status

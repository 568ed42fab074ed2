"""Name what the engine's surroundings must offer: a venue that is asked, clocks, timers.

Owns the shapes that a venue answers in. Refuses wire formats and waiting: adapters translate into
these, the daemon decides how long to wait.

The venue port never raises for the fate of an order: what cannot be told is `VenueUnknown`. Reading
(`snapshot`, `find`) may raise VenueUnreachable, because nothing depends on a read having happened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Protocol

from tradebot.core.messages import CashEvent, ReplaceOrder, VenueReport
from tradebot.core.model import Fill, Order, OrderKind, Side


class IdPolicy(Enum):
    """For how long a venue keeps a client order id unique; an unknown order is re-sent under none."""

    FOR_EVER = "for_ever"
    WHILE_OPEN = "while_open"
    NONE = "none"


class Standing(Enum):
    """What a venue says an order is."""

    WORKING = "working"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """An order as the venue has it. `client_order_id` is empty for one without; `qty` in today's units.

    `by` is the order that replaced it. `is_triggered`: a stop that was elected.
    """

    client_order_id: str
    venue_order_id: str
    instrument: str
    side: Side
    kind: OrderKind
    qty: Decimal
    filled_qty: Decimal
    standing: Standing
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    by: str = ""
    reason: str = ""
    is_triggered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSnapshot:
    """Everything a venue says of one account at `ts`.

    `orders` are the working ones, ours and others'. `positions` are signed, without zeros; `cash` the
    total by asset. `fills` and `events` are those since the asked cursor, oldest first; a fill's
    `client_order_id` may be nobody's. `cursor` is what to ask with next time.
    """

    ts: int
    orders: tuple[VenueOrder, ...]
    positions: dict[str, Decimal] = field(default_factory=dict)
    cash: dict[str, Decimal] = field(default_factory=dict)
    fills: tuple[Fill, ...] = ()
    events: tuple[CashEvent, ...] = ()
    cursor: int = 0


class Venue(Protocol):
    """One account at one venue. All times ns UTC.

    `absence_is_proof`: an order that the venue does not know has never arrived and never will; true
    only of a venue in this process, where nothing can be on its way.
    """

    account: str
    id_policy: IdPolicy
    absence_is_proof: bool

    def listen(self, sink: Callable[[VenueReport], None]) -> None:
        """Hand every report to `sink` as it comes. A stream is a hint; what counts is read."""

    async def submit(self, order: Order) -> VenueReport | None:
        """Send an order once; None: its fate comes as a report."""

    async def cancel(self, client_order_id: str) -> VenueReport | None:
        """Cancel a working order; None: its fate comes as a report."""

    async def replace(self, command: ReplaceOrder) -> tuple[VenueReport, ...]:
        """Put an order in another's place; empty: both fates come as reports."""

    async def snapshot(self, since: int) -> VenueSnapshot:
        """Read the account, with what happened since a cursor (0: all that the venue remembers).

        Raises VenueUnreachable.
        """

    async def find(self, client_order_id: str) -> VenueOrder | None:
        """Look an order up by id in open orders and history. Raises VenueUnreachable."""


class Clock(Protocol):
    """Says what time it is where the market data come from."""

    def now(self) -> int:
        """Return ns UTC."""


class Timers(Protocol):
    """Wakes the engine: `TimerDue(key)` at `at`, once; a key set again takes the first one's place."""

    def set_timer(self, key: str, at: int) -> None: ...

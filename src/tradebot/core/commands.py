"""Define what the core asks of the world. A command carries everything that its receiver needs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from tradebot.core.model import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitOrder:
    """Send this order once; its fate comes back as reports."""

    order: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitPair:
    """Send a target and a stop of which one cancels the other, once and in one request; each has its own fate.

    Only to a venue that takes pairs (`resting`).
    """

    target: Order
    stop: Order

    @property
    def orders(self) -> tuple[Order, Order]:
        return self.target, self.stop


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    """Cancel a working order."""

    client_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceOrder:
    """Replace a working order by `order` (whose `replaces` names it), atomically where possible.

    What filled of the old one beyond the `filled` that the sender knew of (None: all until then) comes off.
    """

    client_order_id: str
    order: Order
    filled: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTimer:
    """Post `TimerDue(key)` at `at`; a second timer under the same key takes the first one's place."""

    key: str
    at: int


Command = SubmitOrder | SubmitPair | CancelOrder | ReplaceOrder | SetTimer

"""Know what may stand beside protective orders that rest at a venue.

Owns which orders are in each other's way there. A venue that holds a position for the orders that protect
it refuses every other order to close it, and one that sees two sides of one account refuses to add to it:
protection then makes way, and comes back after. Refuses to send and to cancel: `gate` and `guard` do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from tradebot.core.model import Order, Purpose, Side
from tradebot.core.orders import OrderRecord, Status


class Beside(Enum):
    """What a venue takes in an instrument while protective orders of the account rest there."""

    ALL = "all"
    ADDING = "adding"  # they hold what they protect: nothing else may close it
    NOTHING = "nothing"  # nor may anything add to it: it could trade with them


@dataclass(frozen=True, slots=True, kw_only=True)
class Resting:
    """How a venue keeps protective orders.

    `pairs`: a target and a stop rest as one group, sent in one request; `in_whole`: of whole units only.
    """

    beside: Beside = Beside.ALL
    pairs: bool = False
    in_whole: bool = False


FREELY = Resting()


def in_the_way(beside: Beside, order: Order, working: Iterable[OrderRecord]) -> list[OrderRecord]:
    """Return the working orders of an instrument that must have ended before `order` is sent."""
    if beside is Beside.ALL or order.purpose is Purpose.PROTECT:
        return []
    return [r for r in working if _is_in_the_way(beside, order, r)]


def _is_in_the_way(beside: Beside, order: Order, record: OrderRecord) -> bool:
    other = record.order
    is_alike = other.side is order.side
    if other.purpose is Purpose.PROTECT:
        # What the venue shows nowhere holds nothing; were it there after all, the venue would refuse `order`.
        return not record.is_absent and (beside is Beside.NOTHING or is_alike)
    if record.status is not Status.PENDING_CANCEL:
        return False
    # What is being taken back holds a part of what an exit closes whole, or would trade with it.
    return order.purpose is Purpose.FLATTEN if is_alike else beside is Beside.NOTHING


def keeps_away(beside: Beside, out: Side, sides: Iterable[Side]) -> bool:
    """Return whether orders of these sides, working or planned, keep exits on `out` from resting."""
    if beside is Beside.ALL:
        return False
    return any(beside is Beside.NOTHING or side is out for side in sides)

"""Hold what strategies want: targets, quotes, suspensions, retries, and execution parents.

Owns the containers. Refuses decisions: when a target is suspended or tried again is chosen in
`desk`; only the ledger writes here.
"""

from __future__ import annotations

from decimal import Decimal

from tradebot.core.books import ZERO
from tradebot.core.facts import (
    BarsCounted,
    ParentOpened,
    ParentProgressed,
    QuotesSet,
    TargetSet,
    TargetSuspended,
    TrailMoved,
)
from tradebot.core.model import ExitRules, Side

# Suspended for one of these, a leg is worked down to zero; for an exit only where the engine keeps it.
FLATTENING = ("time", "flatten", "overshoot", "crossed")
EXITS = ("stop_loss", "take_profit", "trailing_stop")
REMEMBERED = 1000  # orders of one target; no sensible limit of repeats is above


class WishState:
    """What one strategy wants of one instrument, and what became of it.

    `target` persists until replaced. `exits` are the protective terms of the entry that opened
    the position: a later target does not change them. `refused` is the (rule, reason) that last
    stood in the way, `attempts`/`retry_at`/`given_up` its bounded retries. `exits_lost` counts the
    protective orders that the venue refused or ended by itself since the last fill, `fee_qty` what
    fees in the base asset took from the fills towards this target: that much is not bought again.
    `skip_rule` is the rule of a run of refusals that was not closed yet, `counted` what timed rules
    have counted, `trail` the best price a trailing exit kept by the engine has seen, `traded` the last orders that traded towards this target: (when first, id, side).
    """

    __slots__ = (
        "attempts",
        "counted",
        "exits",
        "exits_lost",
        "fee_qty",
        "given_up",
        "quotes",
        "refused",
        "retry_at",
        "skip_rule",
        "suspended",
        "target",
        "traded",
        "trail",
    )

    def __init__(self) -> None:
        self.target: TargetSet | None = None
        self.quotes: QuotesSet | None = None
        self.exits: ExitRules | None = None
        self.exits_lost = 0
        self.fee_qty = ZERO
        self.suspended: TargetSuspended | None = None
        self.refused: tuple[str, str] | None = None
        self.attempts = 0
        self.retry_at: int | None = None
        self.given_up = False
        self.skip_rule = ""
        self.counted: BarsCounted | None = None
        self.trail: TrailMoved | None = None
        self.traded: list[tuple[int, str, str]] = []

    def set_target(self, fact: TargetSet) -> None:
        self.target = fact
        self.traded = []
        self.fee_qty = ZERO
        if fact.because != "retry":
            self.attempts, self.retry_at, self.given_up = 0, None, False
            self.refused = None

    def suspend(self, fact: TargetSuspended | None) -> None:
        """Rest, or rest no more; what was tried for the difference before says nothing about the next."""
        self.suspended = fact
        self.attempts, self.retry_at, self.given_up = 0, None, False

    def set_quotes(self, fact: QuotesSet) -> None:
        self.quotes = fact
        self.traded = []

    def note_trade(self, ts: int, order_id: str, side: Side) -> None:
        """Remember that an order traded; the last ones are enough to see it happen again and again."""
        if all(known != order_id for _, known, _ in self.traded):
            self.traded = [*self.traded, (ts, order_id, side.value)][-REMEMBERED:]

    @property
    def is_leaving(self) -> bool:
        """Whether the target rests and what is held is on its way out."""
        if self.suspended is None:
            return False
        because = self.suspended.because
        is_local = self.exits is not None and self.exits.is_local
        return because in FLATTENING or (is_local and because in EXITS)

    @property
    def wanted_qty(self) -> Decimal:
        return ZERO if self.target is None else self.target.wanted_qty


class ParentState:
    """How far an execution parent has come."""

    __slots__ = ("closed", "done", "opened", "ordered")

    def __init__(self, opened: ParentOpened) -> None:
        self.opened = opened
        self.done: list[Decimal] = []  # quantity handed on per slice, in order
        self.closed = False
        self.ordered = ZERO  # quantity of the orders that were sent for it

    def progressed(self, fact: ParentProgressed) -> None:
        self.done.append(fact.qty)

    @property
    def next_slice(self) -> int:
        return len(self.done)

    @property
    def unsent(self) -> Decimal:
        """Signed quantity not handed on yet."""
        if self.closed:
            return ZERO
        return (self.opened.qty - sum(self.done, ZERO)) * self.opened.side.sign

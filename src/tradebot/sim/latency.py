"""Say how long a command travels before the venue acts on it, and how long news travels to us."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tradebot.core.commands import CancelOrder, ReplaceOrder, SubmitOrder


class LatencyModel(Protocol):
    """Returns the nanoseconds between sending a command and its effect at the venue."""

    def delay(self, command: SubmitOrder | CancelOrder | ReplaceOrder) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedLatency:
    """The same delay for every command of a kind, in nanoseconds; 0 = effective at once.

    Ignores jitter, rate limits and the way back (the driver delays reports if it wants to). An
    order that becomes effective inside a bar waits for the next bar; see `bars`.
    """

    submit: int = 0
    cancel: int = 0
    replace: int = 0

    def delay(self, command: SubmitOrder | CancelOrder | ReplaceOrder) -> int:
        if isinstance(command, SubmitOrder):
            return self.submit
        return self.cancel if isinstance(command, CancelOrder) else self.replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """How much later than they happen market data and the venue's reports are seen, in nanoseconds.

    The same for all; ignores jitter. Sessions, splits, dividends and rates are known when they happen.
    """

    data: int = 0
    report: int = 0


NO_LATENCY = FixedLatency()
NO_DELAYS = Delays()

"""Add up a day for the owner: fills, profit, fees, refusals, halts, equity.

Owns the counts since the last summary and the question whether a day of market time is over. Reads no
clock and sends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from tradebot.core import facts as f
from tradebot.core.model import DAY, Instrument
from tradebot.core.scope import HaltLevel

_ZERO = Decimal(0)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What happened in one account since the last summary; amounts by asset."""

    fills: int = 0
    rejected: int = 0
    denied: int = 0
    failed: int = 0
    realized: dict[str, Decimal] = field(default_factory=dict)
    fees: dict[str, Decimal] = field(default_factory=dict)
    halts: dict[str, int] = field(default_factory=dict)  # by rule

    def take(self, fact: f.Fact, instruments: Mapping[str, Instrument]) -> None:
        """Count a fact."""
        match fact:
            case f.OrderFilled(fill=fill):
                self.fills += 1
                _add(self.realized, instruments[fill.instrument].quote, fact.realized)
                _add(self.fees, fill.fee_asset, fill.fee)
            case f.OrderRejected():
                self.rejected += 1
            case f.OrderDenied():
                self.denied += 1
            case f.StrategyFailed():
                self.failed += 1
            case f.HaltSet(level=level) if level is not HaltLevel.NONE:
                self.halts[fact.rule] = self.halts.get(fact.rule, 0) + 1

    def lines(self, account: str, worth: str) -> list[str]:
        """Return the summary of an account that is `worth` so much now."""
        said = [f"{account}: {worth}, {self.fills} fills"]
        for name, amounts in (("profit", self.realized), ("fees", self.fees)):
            if amounts:
                said.append(f"  {name} " + ", ".join(f"{amounts[a]:.2f} {a}" for a in sorted(amounts)))
        problems = {
            "refused by the venue": self.rejected,
            "denied": self.denied,
            "strategies failed": self.failed,
        }
        told = [f"{count} {name}" for name, count in problems.items() if count]
        told += [f"halted by {rule} ({count})" for rule, count in sorted(self.halts.items())]
        return [*said, *([f"  {', '.join(told)}"] if told else [])]


class Days:
    """Says when a day of market time is over: the UTC day, as daily limits count.

    `apart` in seconds keeps two summaries apart when market time runs faster than ours.
    """

    def __init__(self, apart: float = 0.0) -> None:
        self._apart = apart
        self._day: int | None = None
        self._since = 0.0

    def is_over(self, market_ns: int, now: float) -> bool:
        """Look at the time of the market and at `now` (seconds, monotonic); true once a day."""
        day = market_ns // DAY
        if self._day is None:
            self._day, self._since = day, now
            return False
        if day <= self._day or now - self._since < self._apart:
            return False
        self._day, self._since = day, now
        return True


def _add(amounts: dict[str, Decimal], asset: str, amount: Decimal) -> None:
    if amount:
        amounts[asset] = amounts.get(asset, _ZERO) + amount

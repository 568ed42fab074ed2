"""Facts about timers, sessions, rates, days and halts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tradebot.core.facts.base import Fact
from tradebot.core.model import Explained
from tradebot.core.rules import OWNER
from tradebot.core.scope import HaltLevel, Scope


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
    """One halt of a scope, known by its rule, was set, changed or (NONE) lifted; latched until another HaltSet."""

    VERSION: ClassVar[int] = 2

    level: HaltLevel
    scope: Scope
    reason: str
    rule: str = OWNER
    numbers: tuple[Explained, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DayStarted(Fact):
    """A day (UTC) began; daily limits count from `equity`, drawdown from `peak` (base currency).

    Said again within the day when money came or went: both moved by it; and, in a run that remembers,
    at each new peak.
    """

    account: str
    day: int
    equity: float
    peak: float

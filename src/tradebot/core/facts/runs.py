"""Facts about runs, accounts and strategies themselves."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from tradebot.core.facts.base import Fact
from tradebot.core.model import AccountModel, ExitRules


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Fact):
    """A run began; client order ids of this run carry `epoch`.

    `needs_reconcile`: no account increases its exposure before its AccountReconciled. `catches_up`:
    what happens before StrategiesCaughtUp is told to strategies only then.
    """

    VERSION: ClassVar[int] = 3

    run_id: str
    epoch: int
    config_digest: str
    code_digest: str
    needs_reconcile: bool = False
    catches_up: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingStopped(Fact):
    """Nothing new is begun in this run any more; it is about to end."""

    reason: str


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
class AccountReconciled(Fact):
    """What we hold of an account in this run is what the venue says."""

    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyEnrolled(Fact):
    """A strategy got its sub-ledger in an account."""

    strategy: str
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyConfigured(Fact):
    """A strategy runs with these settings from here on; open positions keep their entry's exit terms.

    `settings` is the text of its section of the file, `code` the digest of its class's file.
    """

    strategy: str
    settings: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentMade(Fact):
    """Cash or quantity moved between a strategy's sub-ledger and the unassigned one.

    Exactly one of `asset` and `instrument` is set; positive `amount` goes to the strategy.
    For an instrument, `basis` is the cost that goes with the quantity, `realized` what unassigned
    gains by giving or taking it at that cost, `exits` the protective terms of a position that this
    opens.
    """

    VERSION: ClassVar[int] = 3

    account: str
    strategy: str
    amount: Decimal
    asset: str | None = None
    instrument: str | None = None
    basis: Decimal = Decimal(0)
    because: str = ""
    exits: ExitRules | None = None
    realized: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySaved(Fact):
    """A strategy's own memory, as JSON text, after the data of `bar_ts`; it stands until the next one.

    `instrument` is the first one of the object whose memory it is.
    """

    VERSION: ClassVar[int] = 2

    strategy: str
    instrument: str
    state: str
    bar_ts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitPutOff(Fact):
    """An instrument of a strategy was split before that had its memory back: what is saved is of the prices before.

    `instrument` is the one that was split.
    """

    strategy: str
    instrument: str
    ratio: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategiesCaughtUp(Fact):
    """Strategies have their memories back and were told what happened before, in this run and those cut short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsAsked(Fact):
    """A portfolio strategy was asked for its weights in a period of its schedule."""

    strategy: str
    instrument: str
    period: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BarsCounted(Fact):
    """How many bars a position was held and a target has rested, up to the bar of `bar_ts`.

    `held_since` and `suspended_since` name the position and the rest that are counted.
    """

    strategy: str
    instrument: str
    bar_ts: int
    held_since: int
    held: int
    suspended_since: int
    suspended: int


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
class InputRefused(Fact):
    """What the owner asked for (`what` names the input) cannot be done, and why."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BadDataSeen(Fact):
    """Market data that cannot be true was refused; the last good value stands."""

    instrument: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotTaken(Fact):
    """All facts up to `upto_seq` led to the ledger whose snapshot has this sha256."""

    digest: str
    upto_seq: int

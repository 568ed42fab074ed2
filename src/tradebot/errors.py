"""Say what went wrong, whose move it is, and which exit code tells it to a script.

The only place where exit codes are defined; the command line, the daemon and the systemd
unit all read this table. Policy is a class attribute (`retryable`, `outcome_known`), never
a text comparison.

    TradebotError            1  what was asked did not hold
    ├─ UsageError            2  the command's words are off
    ├─ ConfigError          78  every problem of a configuration, listed at once
    ├─ PluginError          78  a strategy file or class cannot be loaded
    ├─ DataError             1
    │  ├─ BadData               a bar or quote that cannot be true
    │  ├─ DataGap               bars that should exist do not
    │  └─ StaleFeed             the feed went quiet
    ├─ NotRunning            3  no daemon answers
    ├─ TradingHalted         4  a daemon answers and refuses to trade
    ├─ VenueError           69  the venue or the way to it
    │  ├─ VenueUnreachable      retryable, nothing was sent
    │  ├─ RateLimited           retryable after a while
    │  ├─ OutcomeUnknown        not retryable: ask by id first
    │  └─ OrderRefused          final, with the venue's own reason
    ├─ Busy                 75  a second instance
    ├─ PermissionRefused    77  file modes, secrets, keys
    ├─ StoreError            1  cannot record, so cannot trade
    └─ InvariantError       70  a bug of ours
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Exit codes of every tradebot process; systemd does not restart on BUSY, PERMISSION, CONFIG."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    HALTED = 4
    UNAVAILABLE = 69
    BUG = 70
    BUSY = 75
    PERMISSION = 77
    CONFIG = 78


class Interrupted(KeyboardInterrupt):
    """The owner pressed Ctrl-C: told apart from a KeyboardInterrupt that a strategy raises by itself."""


class TradebotError(Exception):
    """Base of every error that a user may see; its text says what must hold and what was found."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    retryable: ClassVar[bool] = False
    outcome_known: ClassVar[bool] = True


class UsageError(TradebotError):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in a file: where it is, what must hold, what was found.

    `line` counts from 1 and is None when the problem belongs to the whole file; `key` is the
    dotted path of the value ("strategies[0].params.fast"), empty for syntax problems.
    """

    file: str
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class ConfigError(TradebotError):
    """A configuration that cannot be run; carries every problem, not only the first."""

    exit_code = ExitCode.CONFIG

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[Problem, ...]]]:
        """Cross to another process with its problems, not with their text."""
        return type(self), (self.problems,)


class PluginError(TradebotError):
    """A strategy file or class that cannot be loaded or does not keep the plugin contract."""

    exit_code = ExitCode.CONFIG


class DataError(TradebotError):
    """Market data that is missing or cannot be true."""


class BadData(DataError):
    """A bar or quote that cannot be true: NaN, a price of zero or less, high below low."""


class DataGap(DataError):
    """Bars that the calendar expects are not there."""


class StaleFeed(DataError):
    """The feed is connected but has said nothing for too long."""


class NotRunning(TradebotError):
    """No daemon answers; not the same as "no permission to ask it"."""

    exit_code = ExitCode.NOT_RUNNING


class TradingHalted(TradebotError):
    """The daemon answers and is halted."""

    exit_code = ExitCode.HALTED


class ClockSkew(TradebotError):
    """The venue's clock and the machine's differ by more than orders can bear."""


class VenueError(TradebotError):
    """Something at the venue or on the way to it."""

    exit_code = ExitCode.UNAVAILABLE


class VenueUnreachable(VenueError):
    """Nothing was sent: safe to try again."""

    retryable = True


class RateLimited(VenueError):
    """The venue asks for a pause; nothing was done."""

    retryable = True


class OutcomeUnknown(VenueError):
    """The request may or may not have been taken: never sent again, resolved by id."""

    outcome_known = False


class OrderRefused(VenueError):
    """The venue's own refusal, with its reason; the only proof that an order does not exist."""


class Busy(TradebotError):
    """Another instance holds the lock."""

    exit_code = ExitCode.BUSY


class PermissionRefused(TradebotError):
    """A file mode, a secret or a key stands in the way."""

    exit_code = ExitCode.PERMISSION


class StoreError(TradebotError):
    """A fact could not be recorded; what cannot be recorded must not be traded."""


class InvariantError(TradebotError):
    """Something that must always hold did not: a bug of ours, never of the user."""

    exit_code = ExitCode.BUG

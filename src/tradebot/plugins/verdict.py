"""What the honesty check of a strategy found, as numbers and as text.

Owns the wording. Refuses to compute: `plugins.check` and `plugins.check_bars` do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from tradebot.plugins.suspects import Leak, Suspect


class Fault(Enum):
    """What is wrong with a signal; the values are what a user reads."""

    LOOK_AHEAD = "look-ahead"
    SHORT_LOOKBACK = "lookback too short"
    NOT_REPEATABLE = "not a function of its bars"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault, at the first bar where it shows.

    `bar` counts from 0, `ts` is its close (ns UTC); `unit` says what is counted. `what` names the
    number that differs. `target` is what the pass over all bars
    says there, `honest` what is said without the future, or on exactly `lookback` bars (None =
    keep; of a strategy called bar by bar, the target that stands). `leak` and `at` name a
    look-ahead; `reach` is the number of later bars that a target was seen to need. `enough` is a
    lookback that was enough on the failing bars, if one was found.
    """

    fault: Fault
    bar: int
    ts: int
    target: float | None
    honest: float | None
    leak: Leak | None = None
    at: tuple[Suspect, ...] = ()
    reach: int | None = None
    enough: int | None = None
    hint: str = ""
    unit: str = "bar"
    what: str = "target"

    def text(self, lookback: int, file: str) -> str:
        """Return one line: what, where in the source, first bar, both values, what to do."""
        where = f"first on {self.unit} {self.bar} ({_time(self.ts)}): {self.what} {_target(self.target)}"
        if self.fault is Fault.NOT_REPEATABLE:
            return (
                f"{self.fault.value.upper()}: {where}, then {_target(self.honest)} from the same {self.unit}s; "
                f"remove randomness{' and memory from signals()' if self.what == 'target' else ''}"
            )
        if self.fault is Fault.SHORT_LOOKBACK:
            advice = (
                f"{self.enough} {self.unit}s were enough there"
                if self.enough
                else "no longer window was enough"
            )
            return (
                f"{self.fault.value.upper()}: {where}, but {_target(self.honest)} on exactly "
                f"{lookback} {self.unit}s; {advice}; see lookback_for" + self.hint
            )
        leak = self.leak or Leak.UNNAMED
        place = f" ({_places(self.at, file)})" if self.at else ""
        bars = "bar" if self.reach == 1 else "bars"
        needs = f"; it needs {self.reach} later {bars}" if self.reach else ""
        return (
            f"LOOK-AHEAD: {leak.value}{place}, {where}, but {_target(self.honest)} "
            f"when the future is cut off{needs}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Result of a check: `ok` when nothing was found and something was looked at.

    `compared` counts bars at which the target was recomputed; `changes` of them are bars where
    the signal changes, out of `changes_in_all`. `sampled` is True for the quick form. `by_bar`:
    a strategy that is called with one `unit` at a time, cannot see ahead and was restarted instead.
    """

    strategy: str
    file: str
    bars: int
    lookback: int
    compared: int
    changes: int
    changes_in_all: int
    sampled: bool
    by_bar: bool = False
    unit: str = "bar"
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.findings and self.compared > 0

    @property
    def text(self) -> str:
        """Return the verdict for a terminal, one line per finding."""
        if self.findings:
            return "\n".join(f"{self.strategy}: {f.text(self.lookback, self.file)}" for f in self.findings)
        if self.compared == 0:
            return (
                f"{self.strategy}: NOT CHECKED: there must be at least {self.lookback} {self.unit}s (the lookback), "
                f"found {self.bars}; give more history"
            )
        sampled = " (sampled)" if self.sampled else ""
        share = "all" if self.changes == self.changes_in_all else f"of {self.changes_in_all:,}"
        if self.by_bar:
            return (
                f"{self.strategy}: lookback {self.lookback} suffices{sampled}: {self.compared:,} restarts in "
                f"{self.bars:,} {self.unit}s decide as an unbroken run, {self.changes:,} signal changes ({share})"
            )
        seen = "no look-ahead seen" if self.sampled else "no look-ahead"
        return (
            f"{self.strategy}: {seen}{sampled}, lookback {self.lookback} suffices: {self.compared:,} of "
            f"{self.bars:,} bars recomputed, {self.changes:,} signal changes ({share})"
        )


def _places(at: tuple[Suspect, ...], file: str) -> str:
    return ", ".join(f"{file}:{s.line} `{s.code}`" if file else f"line {s.line} `{s.code}`" for s in at)


def _target(value: float | None) -> str:
    return "keep" if value is None else f"{value:g}"


def _time(ts: int) -> str:
    return datetime.fromtimestamp(ts / 1e9, UTC).isoformat(timespec="seconds")

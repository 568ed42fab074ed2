"""Say what a check of a series found: findings with severity, cases and thresholds by name.

Owns the words of a report, not the rules (see check).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Generic, TypeVar

from tradebot.core.model import HOUR
from tradebot.data.arrays import BarArrays, Ints, QuoteArrays
from tradebot.data.merge import utc_text


class Severity(Enum):
    """How sure and how bad a finding is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLimits:
    """Thresholds of the checks. Jumps and wicks are log returns, `deviations` their robust multiples.

    The robust deviation is 1.4826 * the median of |log return| (the standard deviation, if returns
    were normal): the larger one of the whole series and of the `local_bars` around a bar, because
    volatility comes in clusters. Nothing below `smallest_jump` counts, however quiet the market.

    gap_error: a hole in a 24/7 market from this length on (ns) is an error, else a warning.
    outlier_deviations: a close-to-close jump that stays. bad_print_deviations: one that is taken back
    by at least the fraction `bad_print_reversion` on the next bar. wick_deviations: a high or low
    away from open and close; from `wick_error` on it is an error. split_tolerance: how far the
    jump may be from n:1, or `split_deviations`, if that is more; split_volume: by what factor the
    day's volume may differ from the `volume_bars` before, split taken into account. stale_bars:
    bars equal in everything, volume included. flat_bars: bars without any movement. spread: the widest
    believable spread of a quote, as a fraction of its mid.
    """

    gap_error: int = 12 * HOUR
    local_bars: int = 61
    smallest_jump: float = 0.03
    outlier_deviations: float = 12.0
    bad_print_deviations: float = 8.0
    bad_print_reversion: float = 0.85
    wick_deviations: float = 12.0
    wick_error: float = 1.0
    split_tolerance: float = 0.04
    split_deviations: float = 1.5
    split_volume: float = 6.0
    volume_bars: int = 20
    stale_bars: int = 3
    flat_bars: int = 30
    spread: float = 0.2
    examples: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of trouble: how often, from when to when (ns UTC), and a few cases in words."""

    kind: str
    severity: Severity
    count: int
    first_ts: int
    last_ts: int
    message: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What was found in one series (interval 0: quotes); `ok` when nothing in it is an error."""

    instrument: str
    interval: int
    rows: int
    first_ts: int | None
    last_ts: int | None
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return all(finding.severity is not Severity.ERROR for finding in self.findings)

    @classmethod
    def of(cls, rows: BarArrays | QuoteArrays, findings: Sequence[Finding]) -> CheckReport:
        """Return the report on these rows."""
        return cls(
            instrument=rows.instrument,
            interval=rows.interval if isinstance(rows, BarArrays) else 0,
            rows=len(rows),
            first_ts=int(rows.ts[0]) if len(rows) else None,
            last_ts=int(rows.ts[-1]) if len(rows) else None,
            findings=tuple(findings),
        )

    def as_dict(self) -> dict[str, object]:
        """Return the report as plain JSON values; times as ISO text."""
        return {
            "instrument": self.instrument,
            "interval_ns": self.interval,
            "rows": self.rows,
            "first": None if self.first_ts is None else utc_text(self.first_ts),
            "last": None if self.last_ts is None else utc_text(self.last_ts),
            "ok": self.ok,
            "findings": [
                asdict(f)
                | {
                    "severity": f.severity.value,
                    "first_ts": utc_text(f.first_ts),
                    "last_ts": utc_text(f.last_ts),
                }
                for f in self.findings
            ],
        }


Rows = TypeVar("Rows", BarArrays, QuoteArrays)


class Findings(Generic[Rows]):
    """The bars or quotes under test and the list that the rules add to."""

    def __init__(self, rows: Rows, limits: CheckLimits, findings: list[Finding] | None = None) -> None:
        self.rows: Rows = rows
        self.limits = limits
        self.findings: list[Finding] = [] if findings is None else findings

    def add(
        self,
        kind: str,
        severity: Severity,
        rows: Ints,
        message: str,
        describe: Callable[[int], str] | None = None,
    ) -> None:
        """Record one finding about `rows` (nothing if there are none); `describe` words one of them."""
        words = [describe(i) if describe else "" for i in rows[: self.limits.examples].tolist()]
        self.add_times(kind, severity, self.rows.ts[rows], message, words)

    def add_times(
        self, kind: str, severity: Severity, times: Ints, message: str, words: Sequence[str] = ()
    ) -> None:
        """Record one finding about moments (ns UTC), which need not be those of any bar."""
        if not len(times):
            return
        shown: list[int] = times[: self.limits.examples].tolist()
        said = [*words, *[""] * len(shown)]
        self.findings.append(
            Finding(
                kind=kind,
                severity=severity,
                count=len(times),
                first_ts=int(times.min()),
                last_ts=int(times.max()),
                message=message,
                examples=tuple(
                    f"{utc_text(ts)} {text}".rstrip() for ts, text in zip(shown, said, strict=False)
                ),
            )
        )

"""Write a finished run as JSON for scripts.

Money and quantities are strings (exact), ratios are numbers or null, times are ns UTC with an ISO
text beside the run's own span. NaN and infinity never appear. The shape is versioned: fields are
added under the same `schema_version`, a changed or removed one raises it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from math import isfinite
from typing import Any

from tradebot.errors import InvariantError
from tradebot.report import words
from tradebot.report.metrics import CurveMetrics, Metrics
from tradebot.report.result import RunResult

SCHEMA_VERSION = 1

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

# Curves, candles and fills are data for charts and files, not for a summary on stdout.
_LEFT_OUT = frozenset(
    {"equity_ts", "equity", "benchmark_equity", "exposure", "net_exposure", "candles", "fills"}
)


def plain_value(value: object) -> Json:
    """Turn records into what JSON knows: Decimal to text, Enum to its value, dataclass to object.

    Raises InvariantError for NaN, infinity or a type that has no JSON form.
    """
    # Thousands of trades pass here: the usual types are found by one look-up.
    known = _BY_TYPE.get(type(value))
    if known is not None:
        return known(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain_value(getattr(value, name)) for name in field_names(type(value))}
    if isinstance(value, Enum):
        return plain_value(value.value)
    if isinstance(value, Mapping):
        return {str(k): plain_value(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return [plain_value(v) for v in value]
    raise InvariantError(f"no JSON form for {type(value).__name__}")


@lru_cache(maxsize=64)
def field_names(kind: type) -> tuple[str, ...]:
    """Return the names of a record type's fields, in order."""
    return tuple(f.name for f in fields(kind))


def _same(value: Any) -> Json:
    found: Json = value
    return found


def _number(value: Any) -> Json:
    if not isfinite(value):
        raise InvariantError(f"a figure in JSON must be finite or null, was {value!r}")
    return float(value)


def _exact(value: Any) -> Json:
    text = str(value)
    return text if "E" not in text else f"{value:f}"


_BY_TYPE: dict[type, Callable[[Any], Json]] = {
    type(None): _same,
    bool: _same,
    int: _same,
    str: _same,
    float: _number,
    Decimal: _exact,
}


def to_dict(result: RunResult, metrics: Metrics, *, trades: bool = True) -> dict[str, Json]:
    """Return the run and its figures as plain values; `trades=False` leaves the trade list out."""
    skip = _LEFT_OUT | (frozenset() if trades else {"trades"})
    run = {f.name: plain_value(getattr(result, f.name)) for f in fields(result) if f.name not in skip}
    run["start"], run["end"] = (_iso(ts) for ts in (result.start_ts, result.end_ts))
    run["instruments"] = [i.id for i in result.instruments]
    run["fill_count"] = len(result.fills)
    figures = {f.name: plain_value(getattr(metrics, f.name)) for f in fields(metrics)}
    figures["curve"] = _curve(metrics.curve)
    figures["benchmark"] = _curve(metrics.benchmark) if metrics.benchmark else None
    return {
        "schema_version": SCHEMA_VERSION,
        "run": run,
        "metrics": figures,
        "caveats": plain_value(words.caveats(result, metrics)),
    }


def _curve(curve: CurveMetrics) -> dict[str, Json]:
    # Equity is a float curve, but its ends and its largest fall are money: text, to the quantum.
    found = {f.name: plain_value(getattr(curve, f.name)) for f in fields(curve)}
    found["start"], found["end"] = (f"{value:.8f}" for value in (curve.start, curve.end))
    if curve.drawdown:
        fall = {f.name: plain_value(getattr(curve.drawdown, f.name)) for f in fields(curve.drawdown)}
        found["drawdown"] = {**fall, "money": f"{curve.drawdown.money:.8f}"}
    return found


def _iso(ts: int) -> str:
    return words.when(ts).strftime("%Y-%m-%dT%H:%M:%SZ")

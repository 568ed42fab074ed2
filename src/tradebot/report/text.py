"""Print a finished run as a small table: strategy beside benchmark, costs, caveats, how to repeat it.

Plain text everywhere; on a terminal the same lines get colour. The table itself is ASCII; other
signs and names fall back to ASCII when the stream cannot show them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from tradebot.report import words
from tradebot.report.metrics import CurveMetrics, Metrics
from tradebot.report.result import RunMode, RunResult

_LABEL_WIDTH, _COLUMN_WIDTH = 20, 16
_ASCII = str.maketrans({"…": "...", "\u2013": "-", "\u2014": "-", "€": "EUR ", "£": "GBP ", "·": "-"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of a line and its role: "plain", "label", "good", "bad", "warn", "live", "faint"."""

    text: str
    role: str = "plain"


Line = tuple[Part, ...]


def report_lines(result: RunResult, metrics: Metrics, *, report_path: str | None = None) -> tuple[Line, ...]:
    """Return the lines of the table; each part names its role, so a terminal can colour it."""
    return (
        _title(result),
        *_table(result, metrics),
        *_notes(result, metrics),
        *((_pair("Report", report_path),) if report_path else ()),
        *((_pair("Repeat", result.repeat_command),) if result.repeat_command else ()),
    )


def render_text(
    result: RunResult, metrics: Metrics, *, report_path: str | None = None, ascii_only: bool = False
) -> str:
    """Return the table as plain text, one line each, ending in a newline."""
    lines = report_lines(result, metrics, report_path=report_path)
    text = "\n".join("".join(part.text for part in line).rstrip() for line in lines) + "\n"
    return to_ascii(text) if ascii_only else text


def print_report(
    result: RunResult, metrics: Metrics, stream: TextIO, *, report_path: str | None = None
) -> None:
    """Write the table to `stream`, coloured when it is a terminal and NO_COLOR is not set."""
    if stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb":
        _print_rich(report_lines(result, metrics, report_path=report_path), stream)
        return
    text = render_text(result, metrics, report_path=report_path)
    stream.write(text if _can_show(text, stream) else to_ascii(text))


def to_ascii(text: str) -> str:
    """Return `text` with every sign outside ASCII replaced by a readable stand-in or its code."""
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def _can_show(text: str, stream: TextIO) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _print_rich(lines: tuple[Line, ...], stream: TextIO) -> None:
    from rich.console import Console
    from rich.text import Text

    styles = {
        "plain": "",
        "label": "bold",
        "good": "green",
        "bad": "red",
        "warn": "yellow",
        "live": "bold white on red",
        "faint": "dim",
    }
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    for line in lines:
        safe = ((p.text if _can_show(p.text, stream) else to_ascii(p.text), styles[p.role]) for p in line)
        console.print(Text.assemble(*safe), soft_wrap=True)


def _title(result: RunResult) -> Line:
    mode = Part(text=words.mode_words(result.mode), role="live" if result.mode is RunMode.LIVE else "label")
    what = words.names(tuple(i.id for i in result.instruments))
    parts = [
        Part(text="  "),
        mode,
        Part(text="  "),
        Part(text=result.label, role="label"),
        Part(text=f"  {what}  {words.interval_name(result.interval)}  {words.period(result)}"),
    ]
    if result.data_label:
        parts.append(Part(text=f"  ({words.data_words(result)})", role="warn"))
    return tuple(parts)


def _table(result: RunResult, metrics: Metrics) -> list[Line]:
    ours, trades, currency = metrics.curve, metrics.trades, result.base_currency
    curves = [c for c in (ours, metrics.benchmark) if c]
    ratios = "daily" if ours.period == "day" else "per bar"
    rate = words.percent(trades.win_rate, signed=False, digits=0)

    def both(label: str, show: Callable[[CurveMetrics], Part]) -> Line:
        return _row(label, *(show(curve) for curve in curves))

    def alone(label: str, text: str) -> Line:
        return _row(label, _cell(text), *(_cell(words.DASH) for _ in curves[1:]))

    heads = ("strategy", result.benchmark_name)[: len(curves)]
    return [
        _row("", *(_cell(head, role="label") for head in heads)),
        both("Return", lambda c: _signed(c.total_return)),
        both("Return per year", lambda c: _signed(c.cagr)),
        both("Max drawdown", lambda c: _cell(words.percent(c.drawdown.depth if c.drawdown else None))),
        both(f"Sharpe ({ratios})", lambda c: _cell(words.number(c.sharpe))),
        both(f"Sortino ({ratios})", lambda c: _cell(words.number(c.sortino))),
        alone("Trades / win rate", f"{trades.closed} / {rate}"),
        alone("Profit factor", words.number(trades.profit_factor)),
        alone("Time in market", words.percent(metrics.time_in_market, signed=False, digits=0)),
        alone(_cost_label(result), words.money(-result.costs.total, currency)),
        both("End equity", lambda c: _cell(words.money(c.end, currency))),
    ]


def _cost_label(result: RunResult) -> str:
    return "Fees, slip, finance" if result.costs.financing else "Fees + slippage"


def _notes(result: RunResult, metrics: Metrics) -> list[Line]:
    label = f" ({words.data_words(result)})" if result.data_label else ""
    notes: list[Line] = [
        _pair("Data", f"{result.data_source}{label}"),
        _pair("Worst-case fills", words.assumed_words(result)),
    ]
    if result.check_verdict:
        notes.append(_pair("Look-ahead check", result.check_verdict))
    notes += [
        (Part(text="  ! ", role="warn"), Part(text=c, role="warn")) for c in words.caveats(result, metrics)
    ]
    return notes


def _pair(label: str, text: str) -> Line:
    return (Part(text=f"  {label}: ", role="faint"), Part(text=text))


def _row(label: str, *cells: Part) -> Line:
    return (Part(text=f"  {label:<{_LABEL_WIDTH}}"), *cells)


def _cell(text: str, *, role: str = "plain") -> Part:
    return Part(text=f" {text:>{_COLUMN_WIDTH - 1}}", role=role)


def _signed(fraction: float | None) -> Part:
    role = "plain" if not fraction else "good" if fraction > 0 else "bad"
    return _cell(words.percent(fraction), role=role)

"""Say what was measured: ratios, goals, a table. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Found = Mapping[str, Mapping[str, Any]]

# The limits of whole commands were set on a machine where this peer needed 3.42 s; on another they are
# shares of what it needs in the same run.
PEER, PEER_SECONDS = "backtesting.py, CSV", 3.42

# section, ours, theirs: how many times less CPU time ours takes.
PAIRS = {
    "engine_vs_backtesting_py": ("engine", "tradebot engine", "backtesting.py"),
    "kernel_vs_vectorbt": ("kernel", "tradebot kernel", "vectorbt"),
    "process_csv_vs_backtesting_py": ("whole", "tradebot, CSV, table", PEER),
}
# What must hold, and what is aimed at.
GOALS = {
    "engine_vs_backtesting_py": (1.5, 2.5),
    "kernel_vs_vectorbt": (10.0, 11.0),
}
# Seconds on a wall clock, and MB, that a whole command may take where PEER takes PEER_SECONDS.
WHOLE = {
    "tradebot, CSV, table": (1.2, 420),
    "tradebot, CSV, JSON": (1.2, 420),
    "tradebot, catalogue, table": (1.0, 420),
    "tradebot, catalogue, JSON": (1.0, 420),
    "tradebot --help": (0.12, 420),
}


def ratios(found: Found) -> dict[str, float]:
    """Return peer's CPU time over ours, for every pair that was measured."""
    made: dict[str, float] = {}
    for name, (section, ours, theirs) in PAIRS.items():
        rows = found.get(section, {})
        if ours in rows and theirs in rows:
            made[name] = round(rows[theirs]["cpu_s"] / rows[ours]["cpu_s"], 2)
    return made


def text(report: Mapping[str, Any]) -> str:
    """Return the report as plain text."""
    return "\n".join(_lines(report))


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    machine, bars = report["machine"], report["bars"]
    yield f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}; {bars:,} one-minute bars"
    yield f"least CPU time of {report['rounds']} turns or more"
    yield ""
    yield f"{'':32}{'ms':>10}{'ns a bar':>10}{'wall ms':>10}{'peak MB':>9}{'trades':>8}{'end equity':>13}"
    peer = report.get("whole", {}).get(PEER)
    slower = peer["wall_s"] / PEER_SECONDS if peer else 1.0
    for section in ("engine", "kernel", "whole", "help", "parts"):
        for name, row in report.get(section, {}).items():
            per_bar = f"{row['cpu_s'] / bars * 1e9:,.1f}" if section in ("engine", "kernel") else ""
            yield (
                f"{name:32}{row['cpu_s'] * 1e3:10,.1f}{per_bar:>10}{row['wall_s'] * 1e3:10,.1f}"
                f"{row.get('peak_mb', 0):9,.0f}{row.get('trades', ''):>8}"
                f"{format(row['equity'], ',.4f') if 'equity' in row else '':>13}{_limits(name, slower)}"
            )
    yield ""
    for name, ratio in report["ratios"].items():
        must, goal = GOALS.get(name, (None, None))
        wanted = f"   must be {must}, goal {goal}" if must is not None else ""
        yield f"{name.replace('_', ' '):32}{ratio:8.2f} x{wanted}"
    heavy = report.get("help", {}).get("tradebot --help", {}).get("heavy_imports")
    if heavy is not None:
        yield f"imported by --help: {heavy or 'nothing heavy'}"


def _limits(name: str, slower: float) -> str:
    if name not in WHOLE:
        return ""
    seconds, most_mb = WHOLE[name]
    here = f" ({seconds * slower * 1e3:,.0f} here)" if slower != 1.0 else ""
    return f"   at most {seconds * 1e3:,.0f} ms{here}, {most_mb} MB"

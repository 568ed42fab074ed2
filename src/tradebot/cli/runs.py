"""Name, store and find runs for the commands that make and show them.

Owns the line that repeats a run and the note of which strategies it was about. The files of a
run belong to the run store.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.errors import StoreError, UsageError

if TYPE_CHECKING:
    from tradebot.config.models import Config
    from tradebot.report.result import RunResult
    from tradebot.report.runs import RunEntry, RunStore

_HEAD = "# backtest:"


def stored_config(config: Config, strategies: Sequence[str]) -> str:
    """Return the configuration as it is kept with a run; its first line names the strategies asked for."""
    from tradebot.config.schema import resolved_yaml

    return f"{_HEAD} {' '.join(strategies)}".rstrip() + f"\n{resolved_yaml(config)}"


def strategies_of(stored: str) -> tuple[str, ...]:
    """Return the strategies that a stored configuration was run for; none means all."""
    first = stored.partition("\n")[0]
    return tuple(first.removeprefix(_HEAD).split()) if first.startswith(_HEAD) else ()


def named(result: RunResult, store: RunStore) -> RunResult:
    """Return a fresh run under an id of its own, with the line that repeats it."""
    now = time.time_ns()
    run_id = store.claim(result.label, now)
    return replace(
        result,
        run_id=run_id,
        created_ts=now,
        repeat_command=f"tradebot backtest --from-run {shlex.quote(run_id)}",
    )


def find_run(store: RunStore, name: str | None) -> RunEntry:
    """Return a run by its id or the beginning of it, or the latest one.

    Raises UsageError when several fit, StoreError when none does or it is damaged.
    """
    entries = store.list()
    if not entries:
        raise StoreError(f"no run is stored in {store.root}.  Next: tradebot backtest")
    if name is None:
        found = max(entries, key=lambda e: (e.damaged is None, e.created_ts, e.run_id))
    else:
        fitting = [e for e in entries if e.run_id == name] or [
            e for e in entries if e.run_id.startswith(name)
        ]
        if len(fitting) > 1:
            raise UsageError(f"{name!r} could be {_names(fitting)}")
        if not fitting:
            raise StoreError(f"{store.root} has no run {name}; the latest are {_names(entries[-3:])}")
        found = fitting[0]
    if found.damaged is not None:
        raise StoreError(found.damaged)
    return found


def config_of(entry: RunEntry) -> tuple[str, Path]:
    """Return the text and place of the configuration that a run was made with."""
    from tradebot.report.runs import CONFIG

    path = entry.path / CONFIG
    if not path.is_file():
        raise StoreError(f"{entry.run_id} was stored without its configuration, so it cannot be repeated")
    return path.read_text(encoding="utf-8"), path


def _names(entries: Sequence[RunEntry]) -> str:
    return ", ".join(e.run_id for e in entries[:5]) + (" ..." if len(entries) > 5 else "")

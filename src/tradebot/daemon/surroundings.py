"""Look at what a daemon stands on before it starts: the clock and the disk.

Owns what must hold of them and what to say when it does not. Reads the machine only through what it is
given; refuses to set anything right.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tradebot.errors import StoreError, TradebotError

_MB = 1024 * 1024
LEAST_FREE = 50 * _MB
LITTLE_FREE = 200 * _MB
_FIRST_YEAR, _LAST_YEAR = 2024, 2100
_WAITS = 2  # seconds
_TIMESYNC = Path("/run/systemd/timesync")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is asked of the machine; a test gives its own."""

    wall: Callable[[], int] = lambda: int(time.time())
    sleep: Callable[[float], None] = time.sleep
    free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
    timesync: Path = _TIMESYNC


def start_second(machine: Machine, last: int) -> int:
    """Return the wall clock's second for a start after one at `last`; waits out the same second.

    Ids of orders carry it: it must be later than every start before. Raises TradebotError for a clock that
    cannot be right.
    """
    now = machine.wall()
    year = datetime.fromtimestamp(now, UTC).year if 0 <= now < 2**36 else 0
    if not _FIRST_YEAR <= year < _LAST_YEAR:
        raise TradebotError(f"the clock must be right, says {_shown(now)}. Set it: {_hint(machine)}")
    if last - _WAITS < now <= last:
        machine.sleep(last + 1 - now)
        now = machine.wall()
    if now <= last:
        raise TradebotError(
            f"the clock must be later than the last start ({_shown(last)}), says {_shown(now)}: it went back, or "
            f"was ahead then. Set it right and start again: {_hint(machine)}"
        )
    return now


def disk_warning(machine: Machine, folder: Path) -> str | None:
    """Return a warning about little room for `folder`, None when there is enough.

    Raises StoreError when there is too little to begin: what cannot be recorded must not be traded.
    """
    free = machine.free(folder)
    if free < LEAST_FREE:
        raise StoreError(
            f"{folder}: the disk must have at least {LEAST_FREE // _MB} MB free to start, has {free // _MB} MB; "
            "make room, or see: tradebot db prune"
        )
    if free < LITTLE_FREE:
        return f"{folder}: the disk has {free // _MB} MB left; below {LEAST_FREE // _MB} MB nothing starts"
    return None


def clock_warning(machine: Machine) -> str | None:
    """Return a warning when the machine keeps its clock by network time and has not reached it yet."""
    if machine.timesync.is_dir() and not (machine.timesync / "synchronized").exists():
        return f"the clock is not synchronised yet; see: {_hint(machine)}"
    return None


def _hint(machine: Machine) -> str:
    return "timedatectl status" if machine.timesync.is_dir() else "timedatectl set-ntp true"


def _shown(second: int) -> str:
    if not 0 <= second < 2**36:
        return f"second {second}"
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

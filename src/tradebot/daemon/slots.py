"""Name the moments of trading days at which something is to happen, and let each happen at most once.

Owns slots (so long after a session's open or close), the key of each (name and session date) and the book
of keys that have happened, which outlives the process. A slot that comes too late is left out, and said.
Time is an input; who waits is the `scheduler`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from tradebot.core.model import DAY, HOUR
from tradebot.errors import StoreError

_EPOCH = date(1970, 1, 1)
_AHEAD = 15 * DAY  # no exchange rests longer
_KEPT = 1_000


class Session(NamedTuple):
    """A session: its date in days since 1970-01-01, open and close in ns UTC."""

    day: int
    opens: int
    closes: int


class Anchor(Enum):
    """What a slot is counted from."""

    OPEN = "open"
    CLOSE = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A moment of every session: `offset` ns (negative: before) from its open or close.

    `grace`: how late it may still happen, when nobody was there in time.
    """

    name: str
    anchor: Anchor
    offset: int = 0
    grace: int = HOUR


class Due(NamedTuple):
    """One slot of one session: its durable key, and when it is (ns UTC)."""

    key: str
    at: int


# Returns the sessions that overlap the time between two moments (ns UTC), oldest first.
Sessions = Callable[[int, int], Sequence[Session]]


def dues(slot: Slot, sessions: Iterable[Session]) -> list[Due]:
    """Return a slot's moments in these sessions."""
    return [
        Due(_key(slot, s), (s.opens if slot.anchor is Anchor.OPEN else s.closes) + slot.offset)
        for s in sessions
    ]


def next_due(slot: Slot, sessions: Sessions, now: int, happened: Callable[[str], bool]) -> Due | None:
    """Return the next moment that has not happened and is not too late at `now`; None: none is known."""
    known = sessions(now - slot.grace - abs(slot.offset) - 2 * DAY, now + abs(slot.offset) + _AHEAD)
    fitting = [d for d in dues(slot, known) if d.at + slot.grace >= now and not happened(d.key)]
    return min(fitting, key=lambda due: due.at, default=None)


def missed(
    slot: Slot, sessions: Sessions, since: int, now: int, happened: Callable[[str], bool]
) -> list[Due]:
    """Return the moments after `since` that are too late at `now` and have not happened."""
    known = sessions(since - abs(slot.offset) - 2 * DAY, now + abs(slot.offset) + 2 * DAY)
    return [d for d in dues(slot, known) if since < d.at < now - slot.grace and not happened(d.key)]


class Book:
    """The keys that have happened, in a file."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises StoreError when it cannot be understood: nothing may happen twice by that."""
        self._path = path
        self._keys: dict[str, None] = {}
        if path.exists():
            self._keys = dict.fromkeys(_read(path))

    def has(self, key: str) -> bool:
        return key in self._keys

    def take(self, key: str) -> bool:
        """Note that a slot happens now; return whether it may: false when it has happened before.

        On disk before it is said: a process that dies in between leaves the slot out rather than twice.
        """
        if key in self._keys:
            return False
        self._keys[key] = None
        while len(self._keys) > _KEPT:
            del self._keys[next(iter(self._keys))]
        beside = self._path.with_name(f".{self._path.name}.new")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "w", encoding="utf-8") as file:
            json.dump({"version": 1, "happened": list(self._keys)}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self._path)
        return True


def _key(slot: Slot, session: Session) -> str:
    return f"slot/{slot.name}/{_EPOCH + timedelta(days=session.day)}"


def _read(path: Path) -> list[str]:
    try:
        return [str(key) for key in json.loads(path.read_text(encoding="utf-8"))["happened"]]
    except (ValueError, KeyError, TypeError) as exc:
        raise StoreError(f"{path} must be a list of what has happened, found {exc!r}; remove it") from exc

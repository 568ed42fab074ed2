"""Remember the starts of a daemon, so that one that keeps crashing does not keep trading.

Owns a short list in the state folder: when each start was (wall clock) and whether it ended in order. Says
how many starts of late did not, and which second the next start must be later than. Refuses to judge
what follows from it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

NAME = "starts"
WINDOW = 600  # seconds
TOO_MANY = 4  # the start that is the fourth in the window, after three that did not end in order
_KEPT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """One start: second of the wall clock, process, and whether it ended in order."""

    at: int
    pid: int
    is_clean: bool = False


class StartLog:
    """The starts of one state folder; held by who holds the folder's lock."""

    def __init__(self, folder: Path) -> None:
        """Read the list; one that cannot be read counts as empty, because it only makes us careful."""
        self._path = folder / NAME
        self._starts: list[Started] = _read(self._path)

    @property
    def last(self) -> int:
        """The second of the last start, 0 when there was none."""
        return max((s.at for s in self._starts), default=0)

    @property
    def ended_in_order(self) -> bool:
        """True when the last start did; a killed daemon could not say so."""
        return bool(self._starts) and self._starts[-1].is_clean

    def begin(self, now: int) -> int:
        """Note a start at second `now`; return which one it is in a row of starts that did not end in order.

        1 is a start after an orderly end or after a quiet time. Raises OSError when it cannot be written.
        """
        number = 1 + unclean(self._starts, now)
        self._starts = [*self._starts, Started(at=now, pid=os.getpid())][-_KEPT:]
        self._write()
        return number

    def end(self) -> None:
        """Note that the last start ended in order, which forgives those before it."""
        if self._starts:
            self._starts[-1] = replace(self._starts[-1], is_clean=True)
            self._write()

    def _write(self) -> None:
        beside = self._path.with_name(f".{NAME}.new")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "w", encoding="utf-8") as file:
            json.dump({"version": 1, "starts": [asdict(s) for s in self._starts]}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self._path)


def unclean(starts: Sequence[Started], now: int) -> int:
    """Return how many of the last starts in the window before `now` did not end in order."""
    count = 0
    for start in reversed(starts):
        if start.is_clean or now - start.at > WINDOW:
            break
        count += 1
    return count


def _read(path: Path) -> list[Started]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["starts"]
        return [Started(at=int(r["at"]), pid=int(r["pid"]), is_clean=bool(r["is_clean"])) for r in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return []

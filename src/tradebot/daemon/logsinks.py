"""Hold back what would drown a log, and write the rest where it is kept.

Owns the collapsing of repeats, the ceiling of bytes per minute and the file that never outgrows its
share of the disk. Knows nothing of levels' meaning or of how a line is made; time is an input.
"""

from __future__ import annotations

import os
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")
_MINUTE = 60.0


@dataclass(slots=True)
class _Window(Generic[T]):
    since: float
    last: T
    count: int = 0


@dataclass(slots=True, kw_only=True)
class Repeats(Generic[T]):
    """Let the first of equal lines pass and count the rest until `window_s` is over."""

    window_s: float = _MINUTE
    most_keys: int = 1_000
    collapsed: int = 0
    _open: dict[Hashable, _Window[T]] = field(default_factory=dict)

    def passes(self, key: Hashable, line: T, now: float) -> bool:
        """Return whether this line is the first of its kind; otherwise it is counted."""
        window = self._open.get(key)
        if window is None:
            self._open[key] = _Window(now, line)
            return True
        window.count += 1
        window.last = line
        self.collapsed += 1
        return False

    def over(self, now: float) -> list[tuple[T, int]]:
        """Return the last line and the count of each kind that was held back and whose window is over.

        A kind that goes on begins a new window, so that it is told once per window.
        """
        told: list[tuple[T, int]] = []
        # Oldest first: windows are in the order in which they were opened. Those that are opened here
        # stand behind, and are not over: the loop ends.
        while self._open:
            key, window = next(iter(self._open.items()))
            if now - window.since < self.window_s and len(self._open) <= self.most_keys:
                break
            del self._open[key]
            if window.count:
                told.append((window.last, window.count))
                if len(self._open) < self.most_keys:
                    self._open[key] = _Window(now, window.last)
        return told


@dataclass(slots=True, kw_only=True)
class Ceiling:
    """Let at most `bytes_per_minute` pass, twice as much for what is urgent; count the rest."""

    bytes_per_minute: int
    lines_dropped: int = 0
    bytes_dropped: int = 0
    _since: float = float("-inf")
    _used: int = 0
    _dropped_now: int = 0

    def passes(self, size: int, now: float, *, urgent: bool) -> bool:
        """Return whether a line of this many bytes may be written."""
        if self._used + size > self.bytes_per_minute * (2 if urgent else 1):
            self.lines_dropped += 1
            self.bytes_dropped += size
            self._dropped_now += 1
            return False
        self._used += size
        return True

    def turn(self, now: float) -> int:
        """Begin a new minute when the last is over; return how many lines it dropped, else 0."""
        if now - self._since < _MINUTE:
            return 0
        dropped, self._dropped_now = self._dropped_now, 0
        self._since, self._used = now, 0
        return dropped


class RotatingFile:
    """A file that is renamed to .1, .2, ... when full; the oldest goes. Private to its owner."""

    def __init__(self, path: Path, *, max_bytes: int, keep: int) -> None:
        self.path, self._max, self._keep = path, max_bytes, keep
        self._open()

    def write(self, text: str) -> None:
        """Append a line. Raises OSError as the disk does."""
        raw = f"{text}\n".encode("utf-8", "backslashreplace")
        if self._size and self._size + len(raw) > self._max:
            self._rotate()
        # One write per line: a line is whole in the file, or the disk is full.
        os.write(self._handle, raw)
        self._size += len(raw)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        self._handle = os.open(self.path, flags, 0o600)
        self._size = os.fstat(self._handle).st_size

    def _rotate(self) -> None:
        os.close(self._handle)
        for number in range(self._keep, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            newer = self.path if number == 1 else self.path.with_name(f"{self.path.name}.{number - 1}")
            if newer.exists():
                newer.replace(older)
        self._open()

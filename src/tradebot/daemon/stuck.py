"""Notice a strategy that does not come back, from outside of its thread.

Owns the time budget of a call. It reads the stack of the engine's thread now and then: that costs the
engine nothing, and says in which line of its file a strategy hangs. What then happens is its caller's.
Cannot see a call that keeps the interpreter's lock (a compiled loop): then nothing of this process
runs, and systemd's watchdog ends it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import tradebot
from tradebot.core.legs import Seat

_CALLERS = ("tradebot.core.callers", "tradebot.core.memory")  # whose functions call strategies
_OURS = str(Path(tradebot.__file__).parent)
_LIBRARIES = ("site-packages", "dist-packages", str(Path(asyncio.__file__).parents[1]))


class Call(NamedTuple):
    """A strategy that is being called: its id, where it is right now, and the frame that is this call."""

    strategy: str
    where: str
    frame: FrameType


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """A call that took longer than its budget (seconds)."""

    strategy: str
    where: str
    budget: float

    @property
    def reason(self) -> str:
        return f"a call of {self.strategy} took longer than {self.budget:g} s, in {self.where}"


def call_in(thread: int) -> Call | None:
    """Return the strategy that the thread is calling right now, None when it calls none."""
    inside: list[FrameType] = []
    for frame in _outwards(sys._current_frames().get(thread)):
        if frame.f_globals.get("__name__") in _CALLERS:
            seat = frame.f_locals.get("seat")
            if isinstance(seat, Seat) and inside and _is_strategy(inside[-1]):
                return Call(seat.spec.id, _place(inside), frame)
            return None
        inside.append(frame)
    return None


class Budget:
    """The time that one call may take, for one engine's thread."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._call: Call | None = None
        self._since = 0.0

    @property
    def every(self) -> float:
        """How often to look, in seconds: a call is noticed at most a tenth of its budget too late."""
        return min(max(self.seconds / 10, 0.01), 1.0)

    def look(self, thread: int | None, now: float) -> Overdue | None:
        """Look at a thread at `now` (seconds, monotonic); return the call that is over its budget."""
        call = None if thread is None else call_in(thread)
        if call is None or self._call is None or call.frame is not self._call.frame:
            self._call, self._since = call, now
            return None
        if now - self._since < self.seconds:
            return None
        self._call = None
        return Overdue(strategy=call.strategy, where=call.where, budget=self.seconds)


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_strategy(frame: FrameType) -> bool:
    # What the callers call is the strategy, or the desk with what it said.
    name = str(frame.f_globals.get("__name__"))
    return not name.startswith("tradebot.core.") or name == "tradebot.core.strategy"


def _place(frames: list[FrameType]) -> str:
    """Return file, line and function: the innermost ones that their author wrote."""
    own = [f for f in frames if not _is_library(f.f_code.co_filename)]
    frame = (own or frames)[0]
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} ({frame.f_code.co_name})"


def _is_library(file: str) -> bool:
    return file.startswith((_OURS, "<")) or any(part in file for part in _LIBRARIES)

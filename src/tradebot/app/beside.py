"""Work something out beside this process: in a copy of it, on another processor, while it goes on.

A copy knows all that was loaded, so nothing is sent to it; what it found comes back through a pipe.
Refuses to matter: where there is no second processor, where the system makes no copies or where other
threads run (a copy has none of them, and what they held stays held), the same is worked out here.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Beside(Generic[T]):
    """What `work` returns or raises, begun at once where that is possible, else when it is asked for."""

    def __init__(self, work: Callable[[], T], *, copy: bool) -> None:
        """`copy`: whether it takes long enough to be worth a copy (some milliseconds)."""
        self._work = work
        self._child: tuple[int, int] | None = None
        if copy and hasattr(os, "fork") and threading.active_count() == 1 and (os.cpu_count() or 1) > 1:
            self._child = self._begin()

    def result(self) -> T:
        """Return it, waiting where need be."""
        if self._child is None:
            return self._work()
        pid, pipe = self._child
        self._child = None
        with os.fdopen(pipe, "rb") as file:
            answer = file.read()
        os.waitpid(pid, 0)
        if not answer:
            return self._work()  # the copy died, or what it raised is better raised here
        found: T = pickle.loads(answer)
        return found

    def _begin(self) -> tuple[int, int] | None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # what waits to be written must not be written by both
        mine, theirs = os.pipe()
        try:
            with warnings.catch_warnings():
                # Threads of native libraries (pyarrow) wait for work that the copy never gives them.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
        except OSError:  # no room for another process
            os.close(mine)
            os.close(theirs)
            return None
        if pid:
            os.close(theirs)
            return pid, mine
        # In the copy: say what was found and vanish; nothing of ours is flushed or cleaned up twice.
        try:
            with os.fdopen(theirs, "wb") as file:
                file.write(pickle.dumps(self._work()))
        finally:
            os._exit(0)

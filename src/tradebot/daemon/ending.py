"""End the process in bounded time, whatever its threads do.

Python waits for every thread before it ends; a strategy that does not come back, or a disk that does not
answer, would keep a failed daemon from being started again. Owns that deadline and nothing else.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

WITHIN = 10.0  # seconds


def at_the_latest(
    code: int, within: float = WITHIN, ended: Callable[[int], None] = os._exit
) -> Callable[[], None]:
    """Let the process end with `code` in at most so many seconds; returns what calls that off."""
    called_off = threading.Event()

    def wait() -> None:
        if not called_off.wait(within):
            ended(code)

    # A daemon thread is not waited for: when the others end in time, nothing is left of this.
    threading.Thread(target=wait, name="ending", daemon=True).start()
    return called_off.set

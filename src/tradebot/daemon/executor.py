"""Run the engine where it belongs: in a thread of its own, or right here.

Owns the thread. One call at a time: the engine has one writer. In the daemon a strategy that never
returns then blocks its thread and not the loop, which keeps the sockets and the halt; a simulation runs
the same calls in line, so that one seed gives one order of things.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")


class Executor(Protocol):
    """Runs a function to its end, one at a time, in order."""

    async def run(self, function: Callable[[], T]) -> T: ...

    def close(self) -> None: ...


class Inline:
    """Runs it in the caller's own thread."""

    async def run(self, function: Callable[[], T]) -> T:
        return function()

    def close(self) -> None:
        """Nothing is kept."""


class OwnThread:
    """Runs it in one thread that lives as long as this object."""

    def __init__(self, name: str) -> None:
        self.ident: int | None = None  # of the thread, once it runs
        self._pool = ThreadPoolExecutor(
            max_workers=1, thread_name_prefix=f"engine-{name}", initializer=self._begin
        )

    def _begin(self) -> None:
        self.ident = threading.get_ident()

    async def run(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)

    def close(self) -> None:
        """Let the thread end once its work is done; one that is stuck is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

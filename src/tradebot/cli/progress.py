"""Show on a terminal how far long work is; silent everywhere else.

Owns the only progress display. It is on stderr and is wiped when the work ends.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tradebot.cli.out import wants_colour

Tell = Callable[[str, float], None]


@contextmanager
def progress() -> Iterator[Tell]:
    """Yield a function that is told (what is being done, share done from 0 to 1)."""
    if not wants_colour(sys.stderr):
        yield lambda what, done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("  {task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, done: float) -> None:
            for name, task in tasks.items():
                if name != what:
                    shown.update(task, visible=False)
            if what not in tasks:
                tasks[what] = shown.add_task(what, total=1.0)
            shown.update(tasks[what], completed=done)

        yield tell

"""`tradebot logs`: what the daemon said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import click

from tradebot.cli import operate, out
from tradebot.cli.lazy import command
from tradebot.cli.options import only_config, with_json
from tradebot.cli.starting import LOG, installed_for
from tradebot.errors import NotRunning

_LOOK_EVERY = 0.2  # seconds


@command("logs")
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come, until Ctrl-C.")
@click.option(
    "-n", "--lines", type=click.IntRange(0), default=50, show_default=True, help="So many lines first."
)
@only_config
@with_json
def logs(follow: bool, lines: int, config_file: str | None, as_json: bool) -> None:
    """Show what the daemon said last; an installed service's lines come from the journal of systemd.

    With --json each line is an object of its own.
    """
    installed = installed_for(config_file)
    if installed is not None:
        from tradebot.daemon.service import UNIT, Scope

        user = ["--user-unit"] if installed.scope is Scope.USER else ["--unit"]
        words = ["journalctl", *user, UNIT, "-n", str(lines), *(["-f"] if follow else [])]
        click.get_current_context().exit(subprocess.run([*words, "-o", "cat"], check=False).returncode)
    where = operate.find_daemon(config_file)
    log = _log(where.logs)
    for kept in operate.kept_accounts(where):
        operate.say_whose(kept, where)
    for line in tail(log, lines, follow=follow):
        out.show(_object(line) if as_json else pretty(line))
        if follow:
            sys.stdout.flush()


def _log(folder: Path) -> Path:
    found = [path for path in (folder / "tradebot.log", folder / LOG) if path.is_file()]
    if not found:
        raise NotRunning(f"no daemon has said anything in {folder} yet.  Next: tradebot start")
    return max(found, key=lambda path: path.stat().st_mtime)


def tail(path: Path, lines: int, *, follow: bool) -> Iterator[str]:
    """Yield the last lines of a file and, to follow it, those that come; a new file in its place is taken up."""
    file = path.open(encoding="utf-8", errors="replace")
    while True:
        with file:
            yield from (line.rstrip("\n") for line in deque(file, maxlen=lines))
            if not follow:
                return
            inode = os.fstat(file.fileno()).st_ino
            while _inode(path) in (inode, None):
                for line in file:
                    yield line.rstrip("\n")
                time.sleep(_LOOK_EVERY)
        file, lines = path.open(encoding="utf-8", errors="replace"), 1_000_000


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def pretty(line: str) -> str:
    """Return a line of the log as people read it; one that is no event of ours as it is."""
    found = _event(line)
    if found is None:
        return line
    at, level, event = (str(found.pop(name, "")) for name in ("at", "level", "event"))
    role = {"warning": "warn", "error": "bad", "critical": "bad"}.get(level)
    word = f"{level:<8}" if role is None else out.style(f"{level:<8}", role)
    fields = "  ".join(f"{name}={value}" for name, value in found.items())
    return f"{at[:19].replace('T', ' ')}  {word}  {event}  {fields}".rstrip()


def _object(line: str) -> str:
    return line if _event(line) is not None else json.dumps({"event": line})


def _event(line: str) -> dict[str, object] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "event" in found else None

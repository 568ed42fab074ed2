"""Run a real daemon in a process of its own, and read what it says."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.cli.conftest import environment
from tests.conftest import PATIENCE
from tradebot.daemon import places
from tradebot.daemon.startlog import StartLog

FLIP = '''
"""Long and flat in turns."""
from tradebot.api import Bar, BarStrategy, Context, Target


class Flip(BarStrategy):
    """Long and flat in turns."""

    lookback = 5

    def __init__(self, params: object) -> None:
        self.bars = 0

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        self.bars += 1
        {body}
        return ctx.target(weight=1.0 if self.bars % 2 else 0.0)
'''

CONFIG = """
version: 1
accounts:
  main: {{venue: sim, feed: sample, cash: 10000 USD, replay: {{from: {begin}, to: 2019-12-31{pace}}}}}
strategies:
  - {{id: flip, class: flip.py:Flip, account: main, instruments: [SPX], interval: 1d, sizing: {{kind: fixed_qty, qty: 1}}}}
metrics: {{port: 0}}
{more}
"""


class Project:
    """A project with one light strategy on the bundled daily bars, and a state folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root, self.base = folder / "project", folder / "state"
        (self.root / "strategies").mkdir(parents=True)
        self.write()

    def write(
        self, *, body: str = "pass", begin: str = "2010-01-01", pace: str = "14d", more: str = ""
    ) -> None:
        """Write configuration and strategy; `body` runs in each call, `more` is more configuration."""
        pace = f", pace: {pace}" if pace else ""
        text = CONFIG.format(begin=begin, pace=pace, more=more)
        (self.root / "tradebot.yaml").write_text(text, encoding="utf-8")
        (self.root / "strategies" / "flip.py").write_text(FLIP.format(body=body), encoding="utf-8")

    @property
    def state(self) -> Path:
        (found,) = (p for p in self.base.iterdir() if p.is_dir())
        return found

    @property
    def account(self) -> Path:
        return self.state / "paper-sim-main"

    def crashed(self, times: int) -> None:
        """Note so many starts that did not end in order, all in the second of the last one."""
        places.make(self.where)
        log = StartLog(self.where.state)
        for _ in range(times):
            log.begin(log.last or int(time.time()))

    @property
    def where(self) -> places.Places:
        """Where a daemon of this project keeps what it writes."""
        return places.find_places(self.root, {"TRADEBOT_STATE": str(self.base)})

    def start(
        self, *words: str, env: Mapping[str, str] | None = None, before: Callable[[], None] | None = None
    ) -> Running:
        """Start `tradebot run`; `before` is called in the child."""
        return Running(self, words, dict(env or {}), before)


class Running:
    """A daemon, and the events of its log as they come."""

    def __init__(
        self, project: Project, words: tuple[str, ...], env: dict[str, str], before: Callable[[], None] | None
    ) -> None:
        self.events: list[dict[str, Any]] = []
        self.text: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tradebot", "run", *words],
            cwd=project.root,
            env=environment() | {"TRADEBOT_STATE": str(project.base)} | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before,
        )
        self._lines = self._read()

    def until(self, event: str, **fields: object) -> dict[str, Any]:
        """Return the next event of that name and those fields; fails when the process ends before."""
        for found in self._lines:
            if found["event"] == event and all(found.get(k) == v for k, v in fields.items()):
                return found
        raise AssertionError(f"no event {event!r} with {fields}; the daemon said:\n" + "\n".join(self.text))

    def ended(self, number: signal.Signals | None = None) -> int:
        """Send a signal if there is one, and return the exit code once it has ended."""
        if number is not None:
            self.process.send_signal(number)
        for _ in self._lines:
            pass
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """End it as a lost power line would; what it had said is read."""
        self.ended(signal.SIGKILL)

    def close(self) -> None:
        """Leave no process behind."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> Iterator[dict[str, Any]]:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.text.append(line.rstrip())
            if line.startswith("{"):
                self.events.append(json.loads(line))
                yield self.events[-1]


def limited_files(size: int) -> Callable[[], None]:
    """Return what makes every file of a child end at `size` bytes, as a full disk would."""

    def before() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return before


class Systemd:
    """A socket that is told what systemd would be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def told(self) -> list[str]:
        """Return what was said so far."""
        found: list[str] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self._socket.recv(4096).decode())
        return found

    def __enter__(self) -> Systemd:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

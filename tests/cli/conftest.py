"""Run the command line as a user would: words in, two streams and an exit code out."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tradebot.cli.border import run

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """What one command line left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Tradebot = Callable[..., Ended]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def tradebot(here: Path, capfd: pytest.CaptureFixture[str]) -> Tradebot:
    """Run a command line in this process, in the empty working folder."""

    def call(*words: str) -> Ended:
        capfd.readouterr()
        code = run(words)
        captured = capfd.readouterr()
        return Ended(code, captured.out, captured.err)

    return call


@pytest.fixture
def project(here: Path, tradebot: Tradebot) -> Path:
    """A working folder in which `tradebot init` was called."""
    assert tradebot("init", "--defaults").code == 0
    return here


def process(
    *words: str, cwd: Path, env: Mapping[str, str] | None = None, program: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command line, or `program` with its words, in a process without stdin."""
    return subprocess.run(
        [sys.executable, *(("-c", program) if program else ("-m", "tradebot")), *words],
        cwd=cwd,
        env=environment() | dict(env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def environment() -> dict[str, str]:
    """Return the environment of a child: this one's without settings of ours, and the sources."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TRADEBOT")}
    return clean | {"PYTHONPATH": str(ROOT / "src")}


def write_bars(path: Path, days: int = 300) -> Path:
    """Write a CSV of daily bars from 2020-01-01 on, 40 days up and 40 days down in turns."""
    lines = ["date,open,high,low,close,volume"]
    price = 100
    for i in range(days):
        last, price = price, price + (1 if (i // 40) % 2 == 0 else -1)
        low, high = sorted((last, price))
        lines.append(f"{date(2020, 1, 1) + timedelta(days=i)},{last},{high},{low},{price},1000")
    path.write_text("\n".join(lines) + "\n")
    return path


def configured(*strategies: str, feed: str = "sample") -> str:
    """Return a small configuration with these lines of strategies."""
    head = f"version: 1\naccounts:\n  main: {{venue: sim, feed: {feed}, cash: 10000 USD}}\nstrategies:\n"
    return head + "\n".join(strategies) + "\n"


def entry(name: str, class_path: str, instrument: str = "SPX", interval: str = "1d", more: str = "") -> str:
    """Return one strategy as a line of YAML."""
    return f"  - {{id: {name}, class: {class_path}, instruments: [{instrument}], interval: {interval}" + (
        f", {more}}}" if more else "}"
    )

"""Weigh an idle daemon: memory, CPU and what it has mapped, with 20 instruments: `python -m benchmarks.idle`.

The real command in a process of its own: a breakout strategy (`BarStrategy`) on minute bars of twenty
instruments, replayed at the speed of a clock. Memory is resident size, which counts shared files fully.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.engine import INSTRUMENT
from tradebot.core.model import MINUTE
from tradebot.data.arrays import BarArrays
from tradebot.data.catalogue import Catalogue
from tradebot.data.series import Provenance

INSTRUMENTS = 20
BARS = 2 * 24 * 60
BEGIN = 1_700_006_400_000_000_000
HEAVY = ("numpy", "pandas", "pyarrow", "scipy", "llvmlite")
SHIPPED = Path(__file__).parents[1] / "strategies"
_READY = 60.0  # seconds

CONFIG = """\
version: 1
mode: paper
accounts:
  main: {{venue: sim, cash: 1000000 USD, model: margin, replay: {{from: "2023-11-15T12:00:00Z", pace: 1s}}}}
strategies:
  - id: breakout
    class: atr_breakout.py:AtrBreakout
    account: main
    instruments: [{names}]
    interval: 1m
    params: {{channel: 20, exit_channel: 10, atr: 14, stop: 2.0}}
    sizing: {{kind: fixed_qty, qty: 1}}
    exits: {{stop_loss: 5%}}
{more}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """What a daemon takes: resident and own memory in MB, share of one core, heavy libraries it mapped."""

    resident_mb: float
    own_mb: float
    cpu_share: float
    ready_s: float
    mapped: tuple[str, ...]


def project(folder: Path, more: str = "") -> Path:
    """Write a project with two days of minute bars of each instrument."""
    (folder / "strategies").mkdir(parents=True)
    (folder / "strategies" / "atr_breakout.py").write_text((SHIPPED / "atr_breakout.py").read_text("utf-8"))
    catalogue = Catalogue(folder / "data")
    names = [f"AS{i:02}/USD" for i in range(INSTRUMENTS)]
    for i, name in enumerate(names):
        steps = np.random.default_rng(i).normal(0.0, 0.05, BARS + 1)
        close = np.round(100.0 + np.cumsum(steps), 2)
        bars = BarArrays(
            instrument=name,
            interval=MINUTE,
            ts=BEGIN + np.arange(1, BARS + 1, dtype=np.int64) * MINUTE,
            open=close[:-1],
            high=np.maximum(close[:-1], close[1:]) + 0.02,
            low=np.minimum(close[:-1], close[1:]) - 0.02,
            close=close[1:],
            volume=np.full(BARS, 1_000.0),
        )
        catalogue.write_bars(
            replace(INSTRUMENT, id=name, base=name[:4]), bars, Provenance(source="a seeded walk")
        )
    (folder / "tradebot.yaml").write_text(CONFIG.format(names=", ".join(names), more=more))
    return folder


def weigh(root: Path, state: Path, seconds: float) -> Idle:
    """Run the daemon of a project until it is ready and `seconds` longer, and weigh it at the end."""
    begun = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "tradebot", "run"],
        cwd=root,
        env=os.environ | {"TRADEBOT_STATE": str(state)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            said: list[str] = []
            while not said or '"ready"' not in said[-1]:
                said.append(process.stderr.readline())
                if not said[-1]:
                    raise RuntimeError("the daemon ended:\n" + "".join(said))
            ready = time.monotonic() - begun
            before = cpu_seconds(process.pid)
            time.sleep(seconds)
            share = (cpu_seconds(process.pid) - before) / seconds
            memory = _memory(process.pid)
            maps = Path(f"/proc/{process.pid}/maps").read_text()
        finally:
            process.kill()
    return Idle(
        resident_mb=memory["Rss"],
        own_mb=memory["Anonymous"],
        cpu_share=share,
        ready_s=ready,
        mapped=tuple(name for name in HEAVY if f"/{name}" in maps),
    )


def cpu_seconds(pid: int) -> float:
    """Return what a process and the children that it waited for have used of processors so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> dict[str, float]:
    rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return {row[0].rstrip(":"): int(row[1]) / 1024 for row in rows}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = project(Path(folder) / "project")
        print(json.dumps(asdict(weigh(root, Path(folder) / "state", 70.0)), indent=1))


if __name__ == "__main__":
    main()

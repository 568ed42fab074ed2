"""Time tradebot beside its peers on one market in one run: `make bench`.

Owns the environment of the peers, the order of measuring and the table. Every engine is a process
of its own that is asked for one backtest at a time, in turn, so that a busy minute of the machine
falls on all of them; the least CPU time of each counts. Whole commands are timed by wall clock in
fresh processes. Figures of different machines, or of different runs, are not to be compared: ratios
are. Results go to `.bench/result.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import numpy as np  # noqa: E402 - the path comes first

from benchmarks import work  # noqa: E402
from benchmarks.engine import INSTRUMENT, NAME  # noqa: E402
from benchmarks.market import MINUTE_NS, Columns, market, opened_at, write_csv  # noqa: E402
from tradebot.data.arrays import BarArrays  # noqa: E402
from tradebot.data.catalogue import Catalogue  # noqa: E402
from tradebot.data.series import Provenance  # noqa: E402

ROOM = ROOT / ".bench"
PEERS = ROOT / ".bench-venv"
CONFIG = """\
version: 1
accounts: {{main: {{venue: sim, cash: {cash} USD, model: margin{feed}}}}}
fees: {{kind: bps, bps: {bps}}}
strategies:
  - id: cross
    class: ma_crossover.py:MovingAverageCrossover
    instruments: [{name}]
    interval: 1m
    params: {{fast: {fast}, slow: {slow}}}
    sizing: {{kind: fixed_qty, qty: {size}}}
    first_entry: at_once
"""


def prepare_peers() -> Path:
    """Build the peers' environment once; return its Python."""
    python = PEERS / "bin" / "python"
    if not (PEERS / ".ready").exists():
        print("building the peers' environment in .bench-venv", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        wanted = ["-r", str(ROOT / "benchmarks" / "requirements-peers.txt")]
        subprocess.run(
            [str(python), "-m", "pip", "install", "-q", "--only-binary", ":all:", *wanted], check=True
        )
        (PEERS / ".ready").touch()
    return python


def prepare_market() -> Columns:
    """Write the market as arrays, as a CSV and as a catalogue with a project around it."""
    ROOM.mkdir(exist_ok=True)
    bars = market()
    np.savez(ROOM / "bars.npz", **bars)
    write_csv(bars, ROOM / "bars.csv")
    arrays = BarArrays(
        instrument=NAME, interval=MINUTE_NS, ts=opened_at(len(bars["close"])) + MINUTE_NS, **bars
    )
    catalogue = Catalogue(ROOM / "data")
    catalogue.write_bars(INSTRUMENT, arrays, Provenance(source="benchmark", label="SYNTHETIC"))
    for name, feed in (("catalogue.yaml", ""), ("csv.yaml", ", feed: bars.csv")):
        text = CONFIG.format(
            cash=work.CASH,
            feed=feed,
            bps=Decimal(str(work.FEE)) * 10_000,
            name=NAME,
            fast=work.FAST,
            slow=work.SLOW,
            size=work.SIZE,
        )
        (ROOM / name).write_text(text, encoding="utf-8")
    return bars


class Contender:
    """An engine in a process of its own that runs one backtest per line it is sent."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            cwd=ROOT, env=environment(),
        )  # fmt: skip
        self.answers: list[dict[str, float | int | str]] = []

    def run(self) -> None:
        """Ask for one more backtest and wait for its answer."""
        if self.process.stdin is None or self.process.stdout is None:
            raise SystemExit("a contender lost its pipes")
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args} ended with {self.process.wait()}")
        self.answers.append(json.loads(line))

    def close(self) -> dict[str, float | int | str]:
        """End the process; return its answer with the least CPU time of all."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()
        return min(self.answers, key=lambda answer: float(answer["cpu_s"]))


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}


def contest(peers: Path, rounds: int) -> list[dict[str, float | int | str]]:
    """Run all engines in turn, `rounds` times, and return the best answer of each."""
    bars, ours = str(ROOM / "bars.npz"), sys.executable
    commands = [
        [ours, "-m", "benchmarks.engine", bars],
        [ours, "-m", "benchmarks.kernel", bars],
        [str(peers), str(ROOT / "benchmarks" / "peers" / "backtesting_py.py"), bars],
        [str(peers), str(ROOT / "benchmarks" / "peers" / "vectorbt_free.py"), bars],
    ]
    contenders = [Contender(command) for command in commands]
    for i in range(rounds):
        print(f"round {i + 1} of {rounds}", file=sys.stderr)
        for contender in contenders:
            contender.run()
    return [contender.close() for contender in contenders]


def command(*words: str) -> tuple[float, float]:
    """Run a tradebot command in a fresh process; return wall seconds and peak memory in MB."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "tradebot", *words], cwd=ROOM, env=environment(), stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"tradebot {' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - begin, used.ru_maxrss / 1024


def commands(rounds: int) -> list[dict[str, float | int | str]]:
    """Time whole commands; the kernel's code is compiled and kept before."""
    command("backtest", "-c", "catalogue.yaml", "--no-report", "--speed", "kernel")
    asked = {
        "--help": ("--help",),
        "backtest, table, catalogue": ("backtest", "-c", "catalogue.yaml", "--no-report"),
        "backtest, JSON, catalogue": ("backtest", "-c", "catalogue.yaml", "--no-report", "--json"),
        "backtest, table, CSV": ("backtest", "-c", "csv.yaml", "--no-report"),
        "backtest, JSON, CSV": ("backtest", "-c", "csv.yaml", "--no-report", "--json"),
        "backtest, with HTML, catalogue": ("backtest", "-c", "catalogue.yaml"),
    }
    best: dict[str, tuple[float, float]] = {}
    for _ in range(rounds):
        for name, words in asked.items():
            took, peak = command(*words)
            best[name] = min(best.get(name, (took, peak)), (took, peak))
    return [{"command": n, "wall_s": round(t, 3), "peak_mb": round(p, 1)} for n, (t, p) in best.items()]


def show(engines: list[dict[str, float | int | str]], whole: list[dict[str, float | int | str]]) -> None:
    """Print the tables and the ratios that count."""
    ns = {str(a["engine"]): float(a["cpu_s"]) / int(a["bars"]) * 1e9 for a in engines}
    print(f"{'engine':18}{'ns a bar':>12}{'peak MB':>10}{'trades':>8}{'equity':>14}")
    for a in engines:
        print(
            f"{a['engine']:18}{ns[str(a['engine'])]:>12,.1f}{a['peak_mb']:>10}{a['trades']:>8}{a['equity']:>14,.4f}"
        )
    event, kernel = ns["backtesting.py"] / ns["tradebot engine"], ns["vectorbt"] / ns["tradebot kernel"]
    print(
        f"\nengine: {event:.2f} times as fast as backtesting.py   kernel: {kernel:.1f} times as fast as vectorbt"
    )
    print(f"\n{'command, fresh process':34}{'wall s':>8}{'peak MB':>10}")
    for row in whole:
        print(f"{row['command']:34}{row['wall_s']:>8}{row['peak_mb']:>10}")
    print(f"\nload at the end: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    result = {"engines": engines, "commands": whole, "engine_ratio": event, "kernel_ratio": kernel}
    (ROOM / "result.json").write_text(json.dumps(result, indent=2), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Time tradebot beside its peers.")
    parser.add_argument("--rounds", type=int, default=5, help="backtests per engine; the best counts")
    rounds = parser.parse_args().rounds
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    peers = prepare_peers()
    prepare_market()
    show(contest(peers, rounds), commands(rounds))


if __name__ == "__main__":
    main()

"""Measure tradebot beside backtesting.py and vectorbt, all in one run: `make bench`.

Owns the order of measuring and the table. Peers live in an environment of their own (.bench-venv,
pinned by hash), engines run in processes of their own that take turns, and what counts is the least
CPU time of several turns: other work on the machine then hits all alike, and the ratios stay.

    python benchmarks/run.py [--rounds N] [--only engine,kernel,whole,parts,help] [--json FILE]

The result is printed and kept in .benchmarks/result.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks import table, work  # noqa: E402 - the checkout is on the path only now

HOME = ROOT / ".benchmarks"
PEERS = ROOT / ".bench-venv"
PEER = PEERS / "bin" / "python"
LOCK = ROOT / "benchmarks" / "requirements-peers.txt"
YEAR_NPZ, YEAR_CSV, PROJECT = HOME / "year.npz", HOME / "year.csv", HOME / "project"
SECTIONS = ("engine", "kernel", "whole", "parts", "help")

Row = dict[str, float | int | str]

_CONFIG = """\
version: 1
mode: paper
accounts:
  main: {{venue: sim, cash: 100000 USD, model: margin{feed}}}
strategies:
  - id: cross
    class: ma_crossover.py:MovingAverageCrossover
    account: main
    instruments: [BENCH/USD]
    interval: 1m
    params: {{fast: 50, slow: 200}}
    sizing: {{kind: fixed_qty, qty: 10}}
fees: {{kind: bps, maker: 10bps, taker: 10bps}}
"""


def main() -> None:
    words = argparse.ArgumentParser(description="Measure tradebot beside its peers.")
    words.add_argument("--rounds", type=int, default=5, help="turns of each; the least counts")
    words.add_argument("--only", default=",".join(SECTIONS), help="comma-separated sections")
    words.add_argument("--json", type=Path, default=HOME / "result.json", help="where the result is kept")
    asked = words.parse_args()
    only = asked.only.split(",")
    make_market()
    if {"engine", "kernel", "whole"} & set(only):
        make_peers()
    found: dict[str, dict[str, Row]] = {}
    if "engine" in only:
        found["engine"] = take_turns(
            {
                "tradebot engine": ours("benchmarks.engine"),
                "backtesting.py": theirs("backtesting_py.py"),
            },
            asked.rounds,
        )
    if "kernel" in only:
        found["kernel"] = take_turns(
            {"tradebot kernel": ours("benchmarks.kernel"), "vectorbt": theirs("vectorbt_free.py")},
            4 * asked.rounds,
        )
    if "whole" in only:
        found["whole"] = whole_commands(asked.rounds)
    if "parts" in only:
        found["parts"] = ask_once([sys.executable, "-m", "benchmarks.parts", str(PROJECT), str(YEAR_CSV)])
    if "help" in only:
        found["help"] = help_command(4 * asked.rounds)
    report = {
        "machine": machine(),
        "bars": work.BARS,
        "rounds": asked.rounds,
        "ratios": table.ratios(found),
        **found,
    }
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(report, indent=1) + "\n")
    print(table.text(report))


# --- what is measured -----------------------------------------------------------------------------


def ours(module: str) -> list[str]:
    return [sys.executable, "-m", module, str(YEAR_NPZ)]


def theirs(script: str) -> list[str]:
    return [str(PEER), str(ROOT / "benchmarks" / "peers" / script), str(YEAR_NPZ)]


def take_turns(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, Row]:
    """Let each command work once per round, one at a time; return its best answer by CPU time."""
    workers = {name: start(command) for name, command in commands.items()}
    best: dict[str, Row] = {}
    for _ in range(rounds):
        for name, worker in workers.items():
            answer = ask(worker, name)
            if name not in best or answer["cpu_s"] < best[name]["cpu_s"]:  # type: ignore[operator]
                best[name] = answer
    for worker in workers.values():
        worker.communicate()
    return best


def start(command: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env=environment(),
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def ask(worker: subprocess.Popen[str], name: str) -> Row:
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write("run\n")
    worker.stdin.flush()
    line = worker.stdout.readline()
    if not line:
        raise SystemExit(f"{name} ended without an answer; run it by hand to see why: {worker.args}")
    answer: Row = json.loads(line)
    return answer


def ask_once(command: Sequence[str]) -> dict[str, Row]:
    done = subprocess.run(command, env=environment(), cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    found: dict[str, Row] = json.loads(done.stdout)
    return found


def whole_commands(rounds: int) -> dict[str, Row]:
    """Return the cost of fresh processes, from start to end, that take turns."""
    make_project()
    tradebot = [sys.executable, "-m", "tradebot", "backtest", "-c"]
    stored, file = str(PROJECT / "stored.yaml"), str(PROJECT / "file.yaml")
    commands = {
        "tradebot, CSV, table": [*tradebot, file],
        "tradebot, CSV, JSON": [*tradebot, file, "--json"],
        "tradebot, catalogue, table": [*tradebot, stored],
        "tradebot, catalogue, JSON": [*tradebot, stored, "--json"],
        "backtesting.py, CSV": [str(PEER), str(ROOT / "benchmarks/peers/backtesting_py.py"), str(YEAR_CSV)],
    }
    once([*tradebot, stored, "--speed", "kernel"])  # compiles where that was not done before
    return fastest(commands, rounds)


def help_command(rounds: int) -> dict[str, Row]:
    found = fastest({"tradebot --help": [sys.executable, "-m", "tradebot", "--help"]}, rounds)
    seen = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "tradebot", "--help"],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    names = {line.rpartition("|")[2].strip().partition(".")[0] for line in seen.splitlines()}
    heavy = sorted(names & {"pandas", "numpy", "ccxt", "alpaca", "numba", "pyarrow", "pydantic"})
    found["tradebot --help"]["heavy_imports"] = " ".join(heavy)
    return found


def fastest(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, Row]:
    best: dict[str, Row] = {}
    for _ in range(rounds):
        for name, command in commands.items():
            row = once(command)
            if name not in best:
                best[name] = row
            known = best[name]
            for key, value in row.items():
                known[key] = (max if key == "peak_mb" else min)(known[key], value)  # type: ignore[call-overload]
    return best


def once(command: Sequence[str]) -> Row:
    """Run a command to its end; return its wall and CPU seconds and its peak memory in MB."""
    with tempfile.TemporaryFile() as errors:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command,
            env=environment(),
            cwd=PROJECT if PROJECT.is_dir() else ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{errors.read().decode()}")
    return {"wall_s": wall, "cpu_s": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}


# --- what it needs --------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    # Without byte code each process would compile our sources, as no installed program does.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}


def make_market() -> None:
    """Make the year of bars, unless it is there.

    In a process of its own: a child's peak memory as the system counts it begins with its parent's.
    """
    HOME.mkdir(exist_ok=True)
    if not (YEAR_NPZ.is_file() and YEAR_CSV.is_file()):
        make = [sys.executable, "-m", "benchmarks.market", str(YEAR_NPZ), str(YEAR_CSV)]
        subprocess.run(make, check=True, env=environment(), cwd=ROOT)


def make_peers() -> None:
    """Build the peers' environment, unless it is there as the lock says."""
    mark = PEERS / ".ready"
    if mark.is_file() and mark.read_text() == LOCK.read_text():
        return
    print(f"Building {PEERS.name} for backtesting.py and vectorbt (once; some minutes) ...", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(PEERS)], check=True)
    pip = [str(PEER), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    subprocess.run([*pip, "--require-hashes", "-r", str(LOCK)], check=True)
    mark.write_text(LOCK.read_text())


def make_project() -> None:
    """Make a project whose catalogue and whose feed file hold the year."""
    PROJECT.mkdir(exist_ok=True)
    (PROJECT / "stored.yaml").write_text(_CONFIG.format(feed=""))
    (PROJECT / "file.yaml").write_text(_CONFIG.format(feed=", feed: ../year.csv"))
    (PROJECT / "strategies").mkdir(exist_ok=True)
    shipped = ROOT / "strategies" / "ma_crossover.py"
    (PROJECT / "strategies" / shipped.name).write_text(shipped.read_text())
    if not (PROJECT / "data").is_dir():
        words = "--id BENCH/USD --class crypto --quote USD --tick-size 0.01 --lot-size 0.001 --calendar 24/7"
        tradebot = [sys.executable, "-m", "tradebot"]
        target = ["-c", str(PROJECT / "stored.yaml")]
        once([*tradebot, "data", "import", str(YEAR_CSV), *words.split(), "--interval", "1m", *target])


def machine() -> dict[str, str | int]:
    """Return what the figures depend on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [x.partition(":")[2].strip() for x in cpuinfo.read_text().splitlines() if "model name" in x]
        model = names[0] if names else model
    return {"cpu": model, "cores": os.cpu_count() or 0, "python": platform.python_version()}


if __name__ == "__main__":
    main()

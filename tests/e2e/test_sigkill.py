"""The real daemon is killed again and again; nothing acknowledged is lost and nothing is sent twice."""

import json
import os
import random
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import PROVING
from tradebot.core import facts as f
from tradebot.store import connect
from tradebot.store.replay import recorded
from tradebot.store.verify import verify

KILLS, BEGIN, PACE = (200, "2023-02-01", "12h") if PROVING else (3, "2023-10-15", "8d")

CONFIG = """\
version: 1
mode: paper
accounts:
  main:
    venue: sim
    feed: sample
    cash: 10000 USD
    model: margin
    replay: {from: %s, to: "2023-12-30T03:00:00Z", pace: %s}
strategies:
  - id: breakout
    class: atr_breakout.py:AtrBreakout
    instruments: [SYN/USD]
    interval: 1h
    params: {channel: 20, exit_channel: 10, atr: 14, stop: 2.0}
    sizing: {kind: fraction_of_equity, fraction: 50%%}
    exits: {stop_loss: 3%%, trailing: 5%%}
    execution: {kind: twap, slices: 4, over: 20m}
  - id: maker
    class: market_making.py:MarketMaking
    instruments: [SYN/USD]
    params: {spread: 12bps, qty: 0.1, max_position: 1.0, tolerance_ticks: 3}
fees: {kind: bps, maker: 1bps, taker: 5bps}
metrics: {port: none}
"""


class Process:
    """A `tradebot run` that says on a socket when it is ready, as it says it to systemd."""

    def __init__(self, project: Path, *words: str) -> None:
        self.address = project / f"notify-{time.monotonic_ns()}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.address))
        self.log = (project / "log").open("ab")
        env = {
            **os.environ,
            "NOTIFY_SOCKET": str(self.address),
            "TRADEBOT_STATE": str(project / "state"),
            "HOME": str(project),
        }
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tradebot", "run", "--log-level", "warning", *words],
            cwd=project,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )

    def wait_ready(self, within: float = 60.0) -> float:
        """Return after how many seconds it was ready."""
        self._socket.settimeout(1.0)
        while time.monotonic() - self.begun < within:
            assert self.process.poll() is None, f"it ended with {self.process.returncode} before it was ready"
            try:
                if b"READY=1" in self._socket.recv(4096):
                    return time.monotonic() - self.begun
            except TimeoutError:
                continue
        raise AssertionError(f"not ready within {within} s")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.close()

    def close(self) -> None:
        self._socket.close()
        self.address.unlink()
        self.log.close()


def _journal(project: Path) -> Path:
    (found,) = (project / "state").glob("*/paper-sim-main/journal.db")
    return found


def _acknowledged(project: Path) -> list[tuple[int, str]]:
    """Return what a reader beside the daemon sees committed right now: the last facts."""
    with closing(connect.open_reader(_journal(project))) as db:
        rows = db.execute("SELECT seq, data FROM journal ORDER BY seq DESC LIMIT 50").fetchall()
    return [(seq, data) for seq, data in rows]


def _still_there(project: Path, seen: list[tuple[int, str]]) -> bool:
    with closing(connect.open_reader(_journal(project))) as db:
        return all(
            db.execute("SELECT data FROM journal WHERE seq = ?", (seq,)).fetchone() == (data,)
            for seq, data in seen
        )


def _venue_fills(project: Path) -> list[dict[str, str]]:
    with closing(sqlite3.connect(_journal(project).with_name("venue.db"))) as db:
        return [json.loads(data) for (data,) in db.execute("SELECT data FROM fills ORDER BY n")]


@pytest.mark.parametrize("kills", [KILLS])
def test_daemon_killed_at_random_loses_nothing_and_sends_nothing_twice(
    kills: int, tmp_path: Path, rng: random.Random
) -> None:
    (tmp_path / "tradebot.yaml").write_text(CONFIG % (BEGIN, PACE))
    starts: list[float] = []
    seen: list[tuple[int, str]] = []
    for _ in range(kills):
        daemon = Process(tmp_path)
        starts.append(daemon.wait_ready())
        assert _still_there(tmp_path, seen)
        time.sleep(rng.uniform(0.05, 1.5))
        seen = _acknowledged(tmp_path)
        daemon.kill()
        (_journal(tmp_path).parents[1] / "starts").unlink(missing_ok=True)  # these are no crash loop
    last = Process(tmp_path, "--until-end", "--set", "accounts.main.replay.pace=20d")
    starts.append(last.wait_ready())
    assert last.process.wait(timeout=300) == 0
    last.close()
    p95 = statistics.quantiles(starts, n=20)[-1]
    took = f"p50 {statistics.median(starts):.2f} s, p95 {p95:.2f} s, most {max(starts):.2f} s"
    sys.stderr.write(f"\n{kills} kills; ready after {took}\n")

    report = verify(_journal(tmp_path))
    assert not report.findings, report.findings
    with closing(connect.open_reader(_journal(tmp_path))) as db:
        facts = [one.fact for one in recorded(db, _journal(tmp_path))]
    intended = [x.order.client_order_id for x in facts if isinstance(x, f.OrderIntended)]
    intended += [x.order.client_order_id for x in facts if isinstance(x, f.ReplaceRequested)]
    booked = {x.fill.fill_id: x.fill for x in facts if isinstance(x, f.OrderFilled)}
    there = _venue_fills(tmp_path)
    assert len(set(intended)) == len(intended)
    assert {x["fill_id"] for x in there} == set(booked)
    assert all(str(booked[x["fill_id"]].qty) == x["qty"] for x in there)
    assert len(booked) > 20
    assert not [
        x for x in facts if isinstance(x, f.HaltSet) and x.rule in ("mismatch", "unknown_order", "crash_loop")
    ]
    assert sum(isinstance(x, f.RunStarted) for x in facts) == kills + 1

"""A real daemon in the background, asked and stopped by the command line."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Ended, Tradebot
from tests.conftest import PATIENCE
from tradebot.daemon import places
from tradebot.errors import ExitCode

CONFIG = """\
version: 1
mode: paper
accounts:
  main: {venue: sim, feed: sample, cash: 10000 USD, model: margin, replay: {from: 2008-01-01, pace: PACE}}
strategies:
  - id: trend
    class: ma_crossover.py:MovingAverageCrossover
    account: main
    instruments: [SPX]
    interval: 1d
    params: {fast: 2, slow: 5}
    sizing: {kind: fraction_of_equity, fraction: 50%}
    exits: {stop_loss: 8%}
    first_entry: at_once
limits: {max_drawdown: 25%, max_orders_per_day: 20}
"""


@pytest.fixture
def tradebot_here(
    project: Path, tradebot: Tradebot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Tradebot]:
    """The command line in a project whose daemon, if one runs at the end, is ended."""
    monkeypatch.setenv("TRADEBOT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    # Forty days a second: it is in the middle of the data for as long as a test looks at it.
    (project / "tradebot.yaml").write_text(CONFIG.replace("PACE", "40d"))
    yield tradebot
    pid = holder(tmp_path / "state")
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def holder(state: Path) -> int | None:
    from tradebot.daemon import lock

    found = [lock.holder(folder) for folder in state.glob("*")]
    return next((one.pid for one in found if one is not None), None)


def started(tradebot: Tradebot) -> Ended:
    ended = tradebot("start", "--timeout", "60")
    assert ended.code == 0, ended.err
    return ended


def test_daemon_is_started_asked_halted_and_stopped(tradebot_here: Tradebot, tmp_path: Path) -> None:
    tradebot = tradebot_here
    assert "PAPER  sim main  running" in started(tradebot).out
    [socket] = (tmp_path / "state").glob("*/control.sock")
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600

    again = tradebot("start")
    assert (again.code, "a daemon runs" in again.err) == (ExitCode.BUSY, True)
    second = tradebot("run")
    assert (second.code, "is in use by process" in second.err) == (ExitCode.BUSY, True)

    status = tradebot("status", "--json")
    assert status.code == 0
    assert (status.json["mode"], status.json["running"], status.json["ready"]) == ("paper", True, True)
    assert status.json["schema_version"] == 1

    halted = tradebot("halt", "--level", "2", "--reason", "lunch")
    assert "everything: cancel entries, by owner" in halted.out
    status = tradebot("status")
    assert (status.code, "lunch" in status.out) == (ExitCode.HALTED, True)
    milder = tradebot("pause", "--json")
    assert milder.json["already"] == ["main"]

    resumed = tradebot("resume")
    assert "lifted: everything: cancel entries" in resumed.out
    assert tradebot("status").code == 0

    wrong = tradebot("halt", "--symbol", "SPY")
    assert (wrong.code, "no symbol 'SPY'; there are SPX" in wrong.err) == (ExitCode.USAGE, True)

    stopped = tradebot("stop", "--json")
    assert (stopped.code, stopped.json["stopped"]) == (0, True)
    assert holder(tmp_path / "state") is None
    assert not socket.exists()

    left = tradebot("status")
    assert (left.code, "PAPER  sim main  not running" in left.out) == (ExitCode.NOT_RUNNING, True)
    assert tradebot("stop").code == ExitCode.NOT_RUNNING


def test_a_journal_that_is_removed_is_missed_by_status_and_ends_the_daemon(
    tradebot_here: Tradebot, tmp_path: Path
) -> None:
    started(tradebot_here)
    [account] = (tmp_path / "state").glob("*/paper-sim-main")
    tradebot_here("halt")  # nothing is sent: the daemon has no need of it yet
    (account / "journal.db").rename(account / "elsewhere.db")

    status = tradebot_here("status")
    assert (status.code, "the journal of main must be in" in status.err) == (ExitCode.FAILED, True)
    assert tradebot_here("resume").code == 0
    until = time.monotonic() + PATIENCE
    while holder(tmp_path / "state") is not None:
        assert time.monotonic() < until, "it traded on all this time"
    (account / "elsewhere.db").rename(account / "journal.db")
    left = tradebot_here("status")
    assert (left.code, "by store" in left.out, "it was removed or replaced" in left.out) == (3, True, True)


ENDS_BADLY = """
import os, socket, sys
from pathlib import Path
from tradebot.daemon.lock import Lock
from tradebot.daemon.places import address
from tradebot.daemon.startlog import StartLog
state = Path(sys.argv[1])
Lock(state).take(lambda: 1)
StartLog(state).begin(1_900_000_000)
listening = socket.socket(socket.AF_UNIX)
with address(state / "control.sock") as path:
    listening.bind(path)
listening.listen()
print("up", flush=True)
asked, _ = listening.accept()
while b"}" not in asked.recv(65536):
    pass
body = b'{"schema_version": 1, "mode": "paper", "stopping": true}'
asked.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
os._exit(1)
"""


def test_stop_tells_when_the_daemon_ended_otherwise_than_in_order(
    tradebot_here: Tradebot, project: Path, tmp_path: Path
) -> None:
    where = places.find_places(project, {"TRADEBOT_STATE": str(tmp_path / "state")})
    places.make(where)
    daemon = subprocess.Popen([sys.executable, "-c", ENDS_BADLY, str(where.state)], stdout=subprocess.PIPE)
    with daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == b"up\n"
        ended = tradebot_here("stop")

    assert (ended.code, "PAPER  stopped" in ended.out) == (ExitCode.FAILED, True)
    assert "must end in order, was ended otherwise: what it should have cancelled may still work" in ended.err


def test_halt_without_a_daemon_holds_from_the_next_start_on(tradebot_here: Tradebot) -> None:
    tradebot = tradebot_here
    started(tradebot)
    assert tradebot("stop").code == 0

    typo = tradebot("halt", "--strategy", "trnd")
    assert (typo.code, "no strategy 'trnd'; there are trend" in typo.err) == (ExitCode.USAGE, True)
    typo = tradebot("pause", "--symbol", "SPY")
    assert (typo.code, "no symbol 'SPY'; there are SPX" in typo.err) == (ExitCode.USAGE, True)

    said = tradebot("halt", "--reason", "away")
    assert (said.code, "holds from the next start" in said.err) == (0, True)
    again = tradebot("pause", "--reason", "milder")
    assert "no new risk, by owner" in again.out
    assert "away (it did before)" in again.out
    left = tradebot("status")
    assert (left.code, left.out.count("Halted"), "away" in left.out) == (ExitCode.NOT_RUNNING, 1, True)

    up = tradebot("start", "--timeout", "60")
    assert (up.code, "away" in up.out) == (ExitCode.HALTED, True)
    assert tradebot("resume").code == 0
    assert tradebot("stop").code == 0


def test_a_killed_daemon_is_not_running_and_its_socket_is_taken_over(
    tradebot_here: Tradebot, tmp_path: Path
) -> None:
    tradebot = tradebot_here
    started(tradebot)
    pid = holder(tmp_path / "state")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while holder(tmp_path / "state") == pid:
        pass

    assert tradebot("status").code == ExitCode.NOT_RUNNING
    started(tradebot)
    assert tradebot("stop").code == 0


def test_a_start_that_fails_gives_what_was_said_and_its_code(tradebot_here: Tradebot, project: Path) -> None:
    text = (project / "tradebot.yaml").read_text()
    (project / "tradebot.yaml").write_text(text.replace("fast: 2", "fast: 9"))

    ended = tradebot_here("start", "--timeout", "60")

    assert ended.code == ExitCode.CONFIG
    assert "tradebot.yaml" in ended.err
    assert "the daemon ended with 78 before it traded" in ended.err


@pytest.mark.parametrize("words", [("status",), ("stop",), ("resume",), ("flatten",), ("halt",)])
def test_where_nothing_was_ever_traded_it_says_not_running(
    tradebot_here: Tradebot, words: tuple[str, ...]
) -> None:
    ended = tradebot_here(*words, "--json")

    assert ended.code == ExitCode.NOT_RUNNING
    assert json.loads(ended.out)["error"]["kind"] == "NotRunning"
    assert "tradebot start" in ended.err


@pytest.mark.parametrize(
    ("words", "mode", "told"),
    [
        (("--live",), "paper", "the file says mode: live, too; it says paper"),
        ((), "live", "real money is traded only with --live"),
        (("--live", "--paper"), "paper", "do not go together"),
    ],
)
def test_real_money_needs_file_and_command_line_to_agree(
    tradebot_here: Tradebot, project: Path, words: tuple[str, ...], mode: str, told: str
) -> None:
    text = (project / "tradebot.yaml").read_text()
    (project / "tradebot.yaml").write_text(text.replace("mode: paper", f"mode: {mode}"))

    ended = tradebot_here("run", *words)

    assert ended.code in (ExitCode.USAGE, ExitCode.CONFIG)
    assert told in ended.err or ended.code == ExitCode.CONFIG

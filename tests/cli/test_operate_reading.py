"""What a daemon has written, read beside it and after it: orders, trades, reasons, journals."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Tradebot
from tests.cli.test_operate import holder, started, tradebot_here
from tests.conftest import PATIENCE
from tradebot.errors import ExitCode

__all__ = ["tradebot_here"]


@pytest.fixture
def traded(tradebot_here: Tradebot) -> Tradebot:
    """A daemon that holds a position right now."""
    started(tradebot_here)
    until = time.monotonic() + PATIENCE
    while not tradebot_here("positions", "--json").json["accounts"][0]["positions"]:
        assert time.monotonic() < until, "no position in all this time"
    return tradebot_here


def test_orders_positions_and_trades_are_the_same_with_and_without_a_daemon(traded: Tradebot) -> None:
    tradebot = traded
    live = tradebot("trades", "--limit", "1")
    assert live.code == 0
    assert live.err.startswith("PAPER  sim main\n")
    assert tradebot("stop").code == 0

    for words in (("orders", "--all"), ("positions", "--flat"), ("trades",)):
        ended = tradebot(*words)
        assert ended.code == 0, ended.err
        assert "SPX" in ended.out
        assert "not running: as it was left" in ended.err
        as_json = tradebot(*words, "--json").json
        assert (as_json["running"], as_json["accounts"][0]["mode"]) == (False, "paper")
        assert as_json["accounts"][0][words[0]]
    assert tradebot("orders", "--account", "x").code == ExitCode.USAGE


def test_status_says_how_far_a_stop_trails_and_that_the_venue_holds_it(
    tradebot_here: Tradebot, project: Path
) -> None:
    text = (project / "tradebot.yaml").read_text()
    (project / "tradebot.yaml").write_text(text.replace("stop_loss: 8%", "trailing: 8%"))
    started(tradebot_here)
    until = time.monotonic() + PATIENCE
    while True:
        positions = tradebot_here("status", "--json").json["accounts"][0]["positions"]
        if positions and positions[0]["stop_at"]:
            break
        assert time.monotonic() < until, "no protected position in all this time"

    [held] = positions
    assert (held["stop"], held["trail"], held["stop_at"]) == (None, "0.08", "VENUE")
    assert tradebot_here("halt").code == 0  # it holds what it holds from here on
    shown = tradebot_here("status").out
    assert "trails 8 %" in shown or "No positions" in shown


def test_why_leads_from_the_bar_to_the_fill(traded: Tradebot) -> None:
    rows = traded("orders", "--all", "--json").json["accounts"][0]["orders"]
    entry = next(r for r in rows if r["purpose"] == "target" and r["status"] == "filled")

    steps = [s["step"] for s in traded("why", entry["id"], "--json").json["steps"]]
    assert [s for s in dict.fromkeys(steps) if s != "waited"][:5] == [
        "bar",
        "signal",
        "sizing",
        "rules",
        "order",
    ]
    assert steps[-1] == "fill"
    shown = traded("why", entry["id"])
    assert "x full size" in shown.out
    assert "of its equity" in shown.out
    assert "fast=" in shown.out

    unknown = traded("why", "t0nothere0001")
    assert (unknown.code, "no order 't0nothere0001'" in unknown.err) == (ExitCode.USAGE, True)


def test_why_not_knows_halts_and_times_without_a_daemon(traded: Tradebot) -> None:
    traded("halt", "--symbol", "SPX", "--reason", "odd prices")
    answer = traded("why-not", "SPX", "--json").json["answers"][0]
    assert (answer["strategy"], answer["reason"]) == ("trend", "halted")

    assert traded("stop").code == 0
    later = traded("why-not", "SPX", "--at", "2030-01-01", "--json").json["answers"][0]
    assert later["reason"] == "down"
    early = traded("why-not", "SPX", "--at", "2008-01-03", "--json").json["answers"][0]
    assert early["reason"] != "down"
    before = traded("why-not", "SPX", "--at", "1999-01-01", "--json").json["answers"][0]
    assert before["reason"] == "down"
    assert traded("why-not", "SPY").code == ExitCode.USAGE
    typo = traded("why-not", "SPX", "--strategy", "trnd")
    assert (typo.code, "no strategy 'trnd' has traded here; those that have: trend" in typo.err) == (
        ExitCode.USAGE,
        True,
    )
    assert traded("why-not", "SPX", "--at", "noon").code == ExitCode.USAGE


def test_risk_reconcile_logs_and_doctor_beside_a_daemon(traded: Tradebot) -> None:
    risk = traded("risk", "show")
    assert (risk.code, "max_drawdown" in risk.out, "25.00 %" in risk.out) == (0, True, True)
    agree = traded("reconcile")
    assert (agree.code, "ours and the venue's agree" in agree.out) == (0, True)
    assert traded("reconcile", "--adopt").code == ExitCode.USAGE
    nothing = traded("reconcile", "--adopt", "--reason", "none")
    assert (nothing.code, "nothing to adopt" in nothing.out) == (0, True)
    logs = traded("logs")
    assert logs.err.startswith("PAPER")
    assert "control_asked  verb=adopt" in logs.out
    assert '"event": "control_asked"' in traded("logs", "--json").out
    doctor = traded("doctor")
    assert (doctor.code, "runs and answers" in doctor.out) == (0, True), doctor.out


def test_journal_is_verified_backed_up_restored_and_pruned(traded: Tradebot, tmp_path: Path) -> None:
    assert "sound" in traded("db", "verify").out
    copy = tmp_path / "copy.db"
    assert traded("db", "backup", str(copy)).code == 0
    assert traded("db", "backup", str(copy)).code == ExitCode.FAILED  # never over another
    assert traded("db", "prune").code == ExitCode.BUSY
    assert traded("db", "restore", str(copy)).code == ExitCode.BUSY
    assert traded("stop").code == 0

    assert traded("db", "prune", "--keep", "1").code == 0
    older = traded("db", "restore", str(copy))
    assert older.code == ExitCode.FAILED
    forced = traded("db", "restore", str(copy), "--force", "--json")
    assert (forced.code, bool(forced.json["aside"])) == (0, True)
    assert traded("db", "verify").code == 0


def test_flatten_direct_closes_what_a_killed_daemon_left(
    traded: Tradebot, tmp_path: Path, project: Path
) -> None:
    busy = traded("flatten", "--direct")
    assert busy.code == ExitCode.BUSY
    pid = holder(tmp_path / "state")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while holder(tmp_path / "state") == pid:
        pass
    held = traded("positions", "--json").json["accounts"][0]["positions"]
    (project / "strategies" / "ma_crossover.py").write_text("raise SystemExit('broken')\n")

    closed = traded("flatten", "--direct", "--reason", "out of here")

    assert (closed.code, "closed" in closed.out) == (0, True), (held, closed)
    assert held
    assert not traded("positions", "--json").json["accounts"][0]["positions"]
    status = traded("status")
    assert "everything: flatten, by owner" in status.out
    assert "orphan" not in status.out


def test_flatten_direct_closes_one_strategy_and_leaves_the_others(traded: Tradebot, tmp_path: Path) -> None:
    assert traded("stop").code == 0
    held = traded("positions", "--json").json["accounts"][0]["positions"]
    one = held[0]["strategy"]

    nobody = traded("flatten", "--direct", "--strategy", "nobody")
    assert (nobody.code, "nothing is held or working of nobody" in nobody.err) == (ExitCode.USAGE, True)
    closed = traded("flatten", "--direct", "--strategy", one, "--reason", "one out")
    assert closed.code == 0, closed.err

    left = traded("positions", "--json").json["accounts"][0]["positions"]
    assert [row["strategy"] for row in left] == [r["strategy"] for r in held if r["strategy"] != one]
    status = traded("status", "--json").json["accounts"][0]
    assert [(h["strategy"], h["rule"]) for h in status["halts"]] == [(one, "owner")]


def test_a_start_refused_for_orders_of_another_life_is_helped_by_adopting(
    tradebot_here: Tradebot, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    started(tradebot_here)
    assert tradebot_here("db", "backup", str(copy)).code == 0
    until = time.monotonic() + PATIENCE
    while not tradebot_here("positions", "--json").json["accounts"][0]["positions"]:
        assert time.monotonic() < until, "no position in all this time"
    assert tradebot_here("stop").code == 0
    assert tradebot_here("db", "restore", str(copy), "--force").code == 0

    refused = tradebot_here("start")
    assert refused.code != 0
    assert "tradebot reconcile --adopt" in refused.err

    adopted = tradebot_here("reconcile", "--adopt", "--reason", "an old backup", "--json")
    assert adopted.code == 0, adopted.err
    assert adopted.json["adopted"]["main"]
    assert tradebot_here("start").code == 0
    assert not tradebot_here("status", "--json").json["accounts"][0]["halts"]
    assert tradebot_here("stop").code == 0


def test_a_recorded_run_comes_out_the_same_until_its_strategy_is_edited(
    traded: Tradebot, project: Path
) -> None:
    assert traded("stop").code == 0
    started(traded)
    assert traded("stop").code == 0
    runs = traded("replay", "--list", "--json").json["runs"]
    assert len(runs) == 2

    for run in runs:
        same = traded("replay", run["run_id"], "--json")
        assert (same.code, same.json["same"]) == (0, True), same.out
        assert same.json["facts"] > 10
    assert traded("db", "prune", "--keep", "1").code == 0
    assert traded("replay", runs[0]["run_id"]).code == 0

    text = (project / "tradebot.yaml").read_text()
    (project / "tradebot.yaml").write_text(text.replace("fraction: 50%", "fraction: 40%"))
    other = traded("replay", runs[0]["run_id"])
    assert (other.code, "differs" in other.out) == (ExitCode.FAILED, True)
    assert "the configuration is not the one of that run" in other.err
    assert traded("replay", "nothing").code == ExitCode.USAGE

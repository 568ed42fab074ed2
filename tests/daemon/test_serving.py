"""A real daemon: what it says, how it ends, and what it does about what goes wrong."""

import json
import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.served import Project, Systemd, limited_files
from tradebot.daemon import lock
from tradebot.daemon.control_client import Client
from tradebot.daemon.startlog import TOO_MANY
from tradebot.data.calendars import sessions
from tradebot.errors import ExitCode


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def page(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (x.rsplit(" ", 1) for x in lines if not x.startswith("#"))}


def halts(project: Project) -> list[dict[str, object]]:
    found = project.account / "halt"
    return json.loads(found.read_text())["halts"] if found.exists() else []


def starts(project: Project) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((project.state / "starts").read_text())["starts"]
    return found


def test_it_tells_of_its_start_its_orders_and_its_end(project: Project) -> None:
    with project.start("--log-level", "debug") as daemon:
        port = daemon.until("metrics_served")["port"]
        steps = [daemon.until("phase")["phase"] for _ in range(3)]
        assert steps == ["reconciling", "warming up", "ready"]
        assert daemon.until("ready")["start_s"] >= 0.0
        order = daemon.until("order_intended")["order"]
        fill = daemon.until("fill")
        assert (fill["order"], fill["strategy"], fill["instrument"]) == (order, "flip", "SPX")
        daemon.until("looked")
        figures = page(port)
        assert figures['tradebot_fills_total{account="main"}'] >= 1
        assert figures["tradebot_order_latency_seconds_count"] >= 1
        assert figures['tradebot_equity{account="main",asset="USD"}'] > 9_000
        assert figures['tradebot_last_bar_age_seconds{instrument="SPX"}'] < 7 * 86_400
        assert figures['tradebot_database_bytes{account="main",file="journal.db"}'] > 0
        assert daemon.ended(signal.SIGTERM) == ExitCode.OK

    assert [start["is_clean"] for start in starts(project)] == [True]
    assert all(event["mode"] == "paper" for event in daemon.events)
    assert [e["event"] for e in daemon.events][-1] == "stopped"
    assert (project.state / "logs" / "tradebot.log").read_text().count("\n") == len(daemon.events)


def test_two_accounts_start_trade_and_end_together(project: Project) -> None:
    file = project.root / "tradebot.yaml"
    main, flip = (
        next(x for x in file.read_text().splitlines() if f"{word}" in x) for word in ("  main:", "id: flip")
    )
    other = flip.replace("id: flip", "id: flop").replace("account: main", "account: side")
    text = (
        file.read_text()
        .replace(main, f"{main}\n{main.replace('main', 'side')}")
        .replace(flip, f"{flip}\n{other}")
    )
    file.write_text(text)
    with project.start() as daemon:
        assert daemon.until("ready")["accounts"] == "main, side"
        daemon.until("fill", account="main")
        daemon.until("fill")
        assert daemon.ended(signal.SIGTERM) == ExitCode.OK
    assert {e["account"] for e in daemon.events if e["event"] == "fill"} == {"main", "side"}
    assert {e["account"] for e in daemon.events if e.get("phase") == "stopped"} == {"main", "side"}
    assert not [e for e in daemon.events if e["level"] in ("error", "critical")]


def test_a_closed_terminal_ends_it_in_order(project: Project) -> None:
    # Whoever runs the tests may be told to outlive his terminal himself.
    with project.start(before=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)) as daemon:
        daemon.until("ready")
        assert daemon.ended(signal.SIGHUP) == ExitCode.OK
    assert [start["is_clean"] for start in starts(project)] == [True]
    assert daemon.events[-1]["event"] == "stopped"


def test_a_closed_terminal_is_outlived_where_that_was_asked_for(project: Project) -> None:
    with project.start(before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as daemon:
        daemon.until("ready")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.until("fill")
        assert daemon.ended(signal.SIGTERM) == ExitCode.OK


def test_a_start_that_is_stopped_keeps_its_lock_until_nothing_of_it_writes(project: Project) -> None:
    gate = project.folder / "gate"
    os.mkfifo(gate)
    code = project.root / "strategies" / "flip.py"
    code.write_text(f"open({str(gate)!r}).read()\n" + code.read_text())
    with project.start() as daemon:
        daemon.until("starting")
        with gate.open("w") as opened:  # once it reads there, it is in the middle of opening the account
            daemon.process.send_signal(signal.SIGTERM)
            daemon.until("stopping", reason="a signal, before anything was traded")
            held = lock.holder(project.state)
            assert held is not None
            assert held.pid == daemon.process.pid
            opened.write("\n")
        assert daemon.ended() == ExitCode.OK
    assert [start["is_clean"] for start in starts(project)] == [True]


def test_a_second_signal_ends_a_stop_that_hangs_and_the_log_says_so(project: Project) -> None:
    gate = project.folder / "gate"
    os.mkfifo(gate)
    project.write(body=f"self.bars < 10 or open({str(gate)!r}).read()", more="limits: {time_budget: 10m}")
    with project.start() as daemon:
        daemon.until("phase", phase="ready")
        with gate.open("w"):  # the strategy is in the middle of its call, and stays there
            daemon.process.send_signal(signal.SIGTERM)
            daemon.until("stopping", reason="SIGTERM")
            daemon.process.send_signal(signal.SIGTERM)
            cut = daemon.until("cut_short")
            assert daemon.ended() == ExitCode.FAILED
    assert (cut["reason"], cut["exit_code"]) == ("SIGTERM, and it was stopping already", 1)
    assert [start["is_clean"] for start in starts(project)] == [False]


def test_a_start_without_data_to_play_ends_with_78_and_names_the_account(project: Project) -> None:
    file = project.root / "tradebot.yaml"
    file.write_text(file.read_text().replace("2010-01-01", "2031-01-01").replace("2019-12-31", "2031-12-31"))
    with project.start() as daemon:
        assert daemon.ended() == ExitCode.CONFIG
    assert "accounts.main: there must be data to play: SPX: no data between" in "\n".join(daemon.text)
    assert [start["is_clean"] for start in starts(project)] == [
        True
    ]  # no crash: trying again changes nothing


def test_an_account_that_was_renamed_while_it_holds_refuses_to_start_and_is_named(project: Project) -> None:
    project.write(body="return ctx.target(weight=1.0 if self.bars > 7 else 0.0)")
    with project.start() as daemon:
        daemon.until("fill")
        assert daemon.ended(signal.SIGTERM) == ExitCode.OK
    file = project.root / "tradebot.yaml"
    file.write_text(file.read_text().replace("main", "other"))

    with project.start() as refused:
        assert refused.ended() == ExitCode.CONFIG
    said = " ".join("\n".join(refused.text).split())
    assert (
        "must name every account that still owns something, found without a place: main at sim: 1 SPX" in said
    )
    assert "tradebot flatten --account main" in said
    with project.start("--orphans", "keep") as kept:
        kept.until("ready")
        assert kept.ended(signal.SIGTERM) == ExitCode.OK


def test_a_start_slower_than_the_watch_is_watched_all_the_same(project: Project) -> None:
    code = project.root / "strategies" / "flip.py"
    code.write_text("import time\ntime.sleep(2.5)\n" + code.read_text())
    with project.start("--watch", "1") as daemon:
        daemon.until("ready")
        daemon.until("fill")
        assert daemon.ended(signal.SIGTERM) == ExitCode.OK
    assert not [e for e in daemon.events if e["event"] == "thread_crashed"]


def test_a_second_one_ends_with_75_and_names_the_first(project: Project) -> None:
    with project.start() as first:
        first.until("ready")
        with project.start() as second:
            assert second.ended() == ExitCode.BUSY
        assert f"is in use by process {first.process.pid} since" in "\n".join(second.text)
        assert first.ended(signal.SIGINT) == ExitCode.OK


def test_a_state_that_cannot_be_written_ends_with_77(project: Project) -> None:
    project.base.write_text("a file where a folder must be")

    with project.start() as daemon:
        assert daemon.ended() == ExitCode.PERMISSION
    assert "must be a folder that can be made" in "\n".join(daemon.text)


def test_a_file_that_is_wrong_ends_with_78_and_counts_as_no_crash(project: Project) -> None:
    project.write(more="limits: {max_drawdwn: 5%}")
    with project.start() as daemon:
        assert daemon.ended() == ExitCode.CONFIG

    project.write()
    (project.root / "strategies" / "flip.py").write_text("nothing = 1\n")
    with project.start() as daemon:
        assert daemon.ended() == ExitCode.CONFIG
    assert [start["is_clean"] for start in starts(project)] == [True]


def test_a_strategy_that_does_not_come_back_ends_the_process_and_is_not_called_again(
    project: Project,
) -> None:
    hang = "while self.bars > 8: pass"
    project.write(body=hang, more="limits: {time_budget: 1s}")
    with project.start() as daemon:
        over = daemon.until("time_budget")
        assert daemon.ended() == ExitCode.FAILED
    assert (over["strategy"], over["where"]) == ("flip", "flip.py:16 (on_bar)")
    (halt,) = halts(project)
    assert (halt["strategy"], halt["rule"], halt["level"]) == ("flip", "time_budget", "NO_NEW_RISK")

    with project.start() as again:
        again.until("halted", rule="time_budget", scope="flip")
        again.until("ready")
        # Market time goes on over the bars at which it hung, and it is not called.
        assert again.ended(signal.SIGTERM) == ExitCode.OK
    assert not any(e["event"] in ("time_budget", "order_intended") for e in again.events)


def test_a_strategy_that_wants_to_end_the_process_ends_only_itself(project: Project) -> None:
    project.write(
        body="import sys\n        if self.bars > 8: sys.exit('enough')", begin="2019-09-01", pace=""
    )
    with project.start() as daemon:
        failed = daemon.until("strategy_failed")
        assert (failed["strategy"], failed["error"]) == ("flip", "SystemExit: enough")
        daemon.until("feed_over")
        assert daemon.ended(signal.SIGTERM) == ExitCode.OK


def latched_after(project: Project) -> float:
    """Return the seconds from asking for a halt until it is in the flag file, the best of several."""
    took: list[float] = []
    for scope in ({"instrument": "SPX"}, {"strategy": "flip"}, {"instrument": "SPX", "strategy": "flip"}, {}):
        asked = time.time_ns()
        Client(project.where).post("halt", {"level": 1, "reason": "enough", **scope})
        took.append(((project.account / "halt").stat().st_mtime_ns - asked) / 1e9)
    return min(took)


def test_a_halt_holds_within_100_ms_of_being_asked_while_a_strategy_spins(project: Project) -> None:
    bare, more = Project(project.folder / "bare"), "limits: {time_budget: 5s}"
    bare.write(more=more)
    with bare.start() as daemon:
        daemon.until("ready")
        without = latched_after(bare)
        assert daemon.ended(signal.SIGTERM) == ExitCode.OK
    project.write(
        body="if self.bars > 8: open('spinning', 'w').close()\n        while self.bars > 8: pass", more=more
    )
    with project.start() as daemon:
        daemon.until("ready")
        spinning = project.root / "spinning"
        while not spinning.exists():
            assert daemon.process.poll() is None
        # The machine is shared with whatever else runs: the same request without the spinning is the measure.
        assert latched_after(project) <= without + 0.1
        assert [halt["rule"] for halt in halts(project)] == ["owner"] * 4
        assert daemon.ended() == ExitCode.FAILED  # the budget of the call
    assert {halt["rule"] for halt in halts(project)} == {"owner", "time_budget"}


def test_the_fourth_start_after_crashes_opens_nothing(project: Project) -> None:
    project.write(begin="2019-10-01")
    with project.start() as daemon:
        daemon.until("ready")
        daemon.kill()
    project.crashed(TOO_MANY - 2)  # more of the same
    project.write(pace="", begin="2019-10-01")
    with project.start() as fourth:
        assert fourth.until("crash_loop")["starts"] == TOO_MANY
        fourth.until("halted", rule="crash_loop", scope="everything")
        fourth.until("feed_over")
        assert fourth.ended(signal.SIGTERM) == ExitCode.OK
    opening = [e for e in fourth.events if e["event"] == "order_intended" and e["purpose"] == "target"]
    assert [e for e in opening if e["side"] == "buy"] == []
    assert [halt["rule"] for halt in halts(project)] == ["crash_loop"]


def test_a_disk_that_is_full_halts_and_ends_and_stays_halted(project: Project) -> None:
    project.write(pace="", begin="2001-01-01")
    with project.start(before=limited_files(400 * 1024)) as daemon:
        failed = daemon.until("failed")
        assert daemon.ended() == failed["exit_code"] == ExitCode.FAILED
    (halt,) = halts(project)
    assert (halt["rule"], halt["strategy"], halt["instrument"]) == ("store", None, None)
    assert "could not be recorded" in str(halt["reason"])

    with project.start() as again:
        again.until("halted", rule="store")
        again.until("ready")
        assert again.ended(signal.SIGTERM) == ExitCode.OK


def test_a_strategy_that_fails_while_warming_up_ends_with_78(project: Project) -> None:
    project.write(body="1 / 0")
    with project.start() as daemon:
        daemon.until("failed", exit_code=int(ExitCode.CONFIG))
        assert daemon.ended() == ExitCode.CONFIG


def test_a_port_that_is_taken_is_only_a_warning(project: Project) -> None:
    with project.start() as first:
        port = first.until("metrics_served")["port"]
        other = Project(project.folder / "other")
        other.write(more="")
        text = (other.root / "tradebot.yaml").read_text().replace("port: 0", f"port: {port}")
        (other.root / "tradebot.yaml").write_text(text)
        with other.start() as second:
            assert f"127.0.0.1:{port} must be free" in second.until("metrics_not_served")["why"]
            second.until("ready")
            assert second.ended(signal.SIGTERM) == ExitCode.OK


def test_nothing_heavy_that_trading_does_not_need_is_imported(project: Project) -> None:
    here = project.folder / "modules"
    body = f"import sys; open({str(here)!r}, 'w').write(' '.join(sys.modules))"
    project.write(body=body)
    sessions("XNYS")  # whoever is the first to need the calendar makes it
    with project.start() as daemon:
        daemon.until("ready")
        assert daemon.ended(signal.SIGTERM) == ExitCode.OK
    loaded = set(here.read_text().split())

    assert "tradebot.core.engine" in loaded
    assert loaded & {"numba", "plotly", "pandas", "ta", "scipy", "ccxt", "alpaca", "apprise"} == set()


FRAME = '''
"""Long always."""
import sys

import pandas as pd

from tradebot.api import FrameStrategy


class Flip(FrameStrategy):
    """Long always."""

    lookback = 5

    def signals(self, bars: pd.DataFrame) -> pd.Series:
        with open("modules", "w") as file:
            file.write(" ".join(sys.modules))
        return pd.Series(1.0, index=bars.index)
'''


def test_a_strategy_on_frames_brings_pandas_and_no_compiler(project: Project) -> None:
    (project.root / "strategies" / "flip.py").write_text(FRAME)
    with project.start() as daemon:
        daemon.until("ready")
        assert daemon.ended(signal.SIGTERM) == ExitCode.OK
    loaded = set((project.root / "modules").read_text().split())

    assert "pandas" in loaded
    assert loaded & {"numba", "llvmlite", "plotly", "ccxt", "alpaca", "apprise"} == set()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    with Systemd(tmp_path / "notify") as listening:
        yield listening


def test_systemd_is_told_of_the_start_the_life_and_the_end(project: Project, systemd: Systemd) -> None:
    env = {"NOTIFY_SOCKET": str(systemd.path), "WATCHDOG_USEC": "60000000"}
    with project.start(env=env) as daemon:
        daemon.until("ready")
        assert daemon.ended(signal.SIGTERM) == ExitCode.OK
    told = systemd.told()

    order = [
        next(i for i, t in enumerate(told) if t.startswith(w)) for w in ("EXTEND", "READY=1", "STOPPING=1")
    ]
    assert order == sorted(order)
    assert "STATUS=PAPER ready: main" in told[order[1]]
    assert "WATCHDOG=1" in told

"""How a command ends: exit codes, errors in words and in JSON, no traceback, no secret."""

import os
import random
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Tradebot, configured, entry, environment, process, write_bars
from tests.cli.test_words import commands
from tests.conftest import PROVING
from tradebot.cli import failure
from tradebot.cli.lazy import Group
from tradebot.data.atomic import locked
from tradebot.data.catalogue import folder_name
from tradebot.errors import ExitCode, InvariantError

GRID = ("--tick-size", "1", "--lot-size", "0.01")
BROKEN = """\
version: 1
mode: papr
accounts:
  main: {venue: sim, feed: sample, cash: 10000 USD}
strategies:
  - {id: trend, class: ma_crossover.py:MovingAverageCrossover, instruments: [SPX], interval: 1d}
limits: {max_drawdown: 15}
"""


def test_no_configuration_is_78_and_names_what_writes_one(tradebot: Tradebot) -> None:
    ended = tradebot("config", "validate")

    assert ended.code == ExitCode.CONFIG
    assert ended.err == (
        "Error: tradebot.yaml: does not exist, nor does config/tradebot.yaml; "
        "`tradebot init` writes one; -c FILE names another\n"
    )


def test_a_wrong_option_does_not_send_the_reader_to_the_file(tradebot: Tradebot, project: Path) -> None:
    ended = tradebot("backtest", "--set", "strategies.trend.sizing.fraction=95")

    assert ended.code == ExitCode.CONFIG
    assert ended.err == (
        "Error: --set strategies.trend.sizing.fraction  strategies[0].sizing.fraction\n"
        "  must be a fraction; 95 is ambiguous: write 95% or 0.95\n"
    )


def test_every_problem_of_a_configuration_at_once(tradebot: Tradebot, here: Path) -> None:
    (here / "tradebot.yaml").write_text(BROKEN)

    ended = tradebot("config", "validate")

    assert (ended.code, ended.out) == (ExitCode.CONFIG, "")
    assert ended.err == (
        "Error: tradebot.yaml:2  mode\n"
        '  must be one of paper, live, was "papr"; did you mean "paper"?\n'
        "Error: tradebot.yaml:7  limits.max_drawdown\n"
        "  must be a fraction; 15 is ambiguous: write 15% or 0.15\n"
        "2 problems.  Check again: tradebot config validate\n"
    )


def test_problems_of_a_named_file_are_checked_again_by_its_name(tradebot: Tradebot, here: Path) -> None:
    (here / "mine.yaml").write_text(BROKEN)

    assert tradebot("config", "show", "-c", "mine.yaml").err.endswith(
        "2 problems.  Check again: tradebot config validate -c mine.yaml\n"
    )


def test_an_error_is_an_object_on_stdout_when_json_is_asked_for(tradebot: Tradebot, here: Path) -> None:
    (here / "tradebot.yaml").write_text(BROKEN)

    ended = tradebot("backtest", "--json")

    assert ended.code == ended.json["error"]["exit_code"] == ExitCode.CONFIG
    assert ended.json["schema_version"] == 1
    assert [(p["line"], p["key"]) for p in ended.json["error"]["problems"]] == [
        (2, "mode"),
        (7, "limits.max_drawdown"),
    ]


def test_a_class_that_is_not_there_is_78_with_its_line(tradebot: Tradebot, project: Path) -> None:
    text = (project / "tradebot.yaml").read_text()
    (project / "tradebot.yaml").write_text(text.replace("MovingAverageCrossover", "MovingAverage"))
    line = text[: text.index("MovingAverageCrossover")].count("\n") + 1

    ended = tradebot("config", "validate")

    assert ended.code == ExitCode.CONFIG
    assert f"Error: tradebot.yaml:{line}  strategies[0].class\n" in ended.err
    assert "has no class 'MovingAverage'" in ended.err


def test_backtest_names_the_line_of_a_wrong_parameter(tradebot: Tradebot, project: Path) -> None:
    text = (project / "tradebot.yaml").read_text()
    (project / "tradebot.yaml").write_text(text.replace("fast: 50", "fast: 500"))
    line = text[: text.index("fast: 50")].count("\n") + 1

    ended = tradebot("backtest", "trend")

    assert ended.code == ExitCode.CONFIG
    assert f"Error: tradebot.yaml:{line}  strategies[0].params.fast\n" in ended.err


def test_what_does_not_hold_is_1(tradebot: Tradebot, project: Path) -> None:
    ended = tradebot("data", "check", "NOPE")

    assert (ended.code, ended.out) == (ExitCode.FAILED, "")
    assert "no instrument 'NOPE' is stored" in ended.err


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize(
    ("folder", "words"),
    [
        (".", ("init", "demo")),
        ("strategies", ("strategies", "new", "mine")),
        ("runs", ("backtest",)),
        ("data", ("data", "import", "bars.csv", "--id", "NEW/USD", *GRID)),
        ("data", ("data", "synthetic", "NEW/USD", "--days", "1")),
        ("data", ("data", "resample", "SPX", "--from", "1d", "--to", "1w")),
    ],
)
def test_a_folder_that_may_not_be_written_is_77(
    tradebot: Tradebot, project: Path, folder: str, words: tuple[str, ...]
) -> None:
    write_bars(project / "bars.csv")
    (project / folder).mkdir(parents=True, exist_ok=True)
    (project / folder).chmod(stat.S_IRUSR | stat.S_IXUSR)

    ended = tradebot(*words)
    (project / folder).chmod(stat.S_IRWXU)

    assert ended.code == ExitCode.PERMISSION
    assert "Permission denied" in ended.err


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("tradebot.yaml", ("config", "validate")),
        ("bars.csv", ("data", "import", "bars.csv", "--id", "NEW/USD", *GRID)),
    ],
)
def test_a_file_that_may_not_be_read_is_77(
    tradebot: Tradebot, project: Path, file: str, words: tuple[str, ...]
) -> None:
    write_bars(project / "bars.csv")
    (project / file).chmod(0)

    ended = tradebot(*words)

    assert ended.code == ExitCode.PERMISSION
    assert "Permission denied" in ended.err


@pytest.mark.parametrize(
    "error", ["PermissionError(13, 'Permission denied')", "OSError(30, 'Read-only file system')"]
)
def test_an_error_that_the_system_forbade_something_for_ends_with_77(tmp_path: Path, error: str) -> None:
    done = crash(
        f"from tradebot.errors import StoreError; raise StoreError('runs/x: lost') from {error}", cwd=tmp_path
    )

    assert (done.returncode, done.stderr) == (ExitCode.PERMISSION, "Error: runs/x: lost\n")


def test_a_refusal_of_the_system_names_the_file_and_ends_with_77(tmp_path: Path) -> None:
    refusal = "raise PermissionError(13, 'Permission denied', 'runs/x')"

    done = crash(refusal, cwd=tmp_path)

    assert (done.returncode, done.stderr) == (ExitCode.PERMISSION, "Error: runs/x: Permission denied\n")


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), -1))
from tradebot.cli.border import run
sys.exit(run(sys.argv[2:]))
"""
EARLY = """
import sys

class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == "tradebot.cli.failure":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Stop())
from tradebot.cli import main
main()
"""
posix = pytest.mark.skipif(os.name != "posix", reason="only POSIX bounds the size of a process's files")


@posix
def test_a_disk_that_fills_up_leaves_no_half_a_file_of_init(tmp_path: Path) -> None:
    full = process("700", "init", "--defaults", "demo", cwd=tmp_path, program=FULL)

    assert (full.returncode, full.stderr) == (ExitCode.FAILED, "Error: demo/tradebot.yaml: File too large\n")
    assert list((tmp_path / "demo").iterdir()) == []


@posix
def test_a_disk_that_fills_up_leaves_no_half_a_strategy(project: Path) -> None:
    full = process("100", "strategies", "new", "mine", cwd=project, program=FULL)

    assert full.returncode == ExitCode.FAILED
    assert "mine.py cannot be written: File too large" in full.stderr
    assert not (project / "strategies" / "mine.py").exists()


@posix
def test_a_disk_that_fills_up_keeps_stored_bars_and_names_the_file(project: Path, tradebot: Tradebot) -> None:
    words = ("--id", "UP/USD", "--tick-size", "1", "--lot-size", "1")
    assert tradebot("data", "import", str(write_bars(project / "bars.csv", 100)), *words).code == 0
    write_bars(project / "bars.csv", 300)

    full = process("2000", "data", "import", "bars.csv", *words, cwd=project, program=FULL)

    assert full.returncode == ExitCode.FAILED
    assert "data/UP%2FUSD/1d" in full.stderr and "File too large" in full.stderr
    rows = {s["instrument"]: s["rows"] for s in tradebot("data", "list", "--json").json["series"]}
    assert rows["UP/USD"] == 100


@posix
def test_a_backtest_that_cannot_be_stored_is_shown_and_ends_with_1(project: Path) -> None:
    full = process("1000", "backtest", "trend", "--no-report", cwd=project, program=FULL)

    assert full.returncode == ExitCode.FAILED
    assert "End equity" in full.stdout and "Repeat:" not in full.stdout
    assert "the run could not be stored: [Errno 27]" in full.stderr
    assert list((project / "runs").iterdir()) == []


def test_an_interrupt_while_the_program_still_loads_is_told_in_a_word(tmp_path: Path) -> None:
    done = process("data", "list", cwd=tmp_path, program=EARLY)

    assert (done.returncode, done.stderr) == (130, "Interrupted.\n")


def test_data_that_another_process_is_writing_is_75(tradebot: Tradebot, project: Path) -> None:
    bars = write_bars(project / "bars.csv")
    words = ("data", "import", str(bars), "--id", "UP/USD", "--tick-size", "1", "--lot-size", "1")
    assert tradebot(*words).code == 0

    with locked(project / "data" / folder_name("UP/USD")):
        ended = tradebot(*words)

    assert ended.code == ExitCode.BUSY


def test_a_broken_invariant_is_called_a_bug() -> None:
    told = failure.of_ours(InvariantError("rows of 'A' cannot be stored under 'B'"))

    assert told.paragraphs == ("this is a bug of tradebot: rows of 'A' cannot be stored under 'B'",)
    assert told.hint == "--debug shows the traceback."


def crash(statement: str, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line whose command executes `statement`."""
    program = (
        "from tradebot.cli.border import main\nfrom tradebot.cli.root import root\n"
        f"@root.command('crash')\ndef crash():\n    {statement}\nmain()\n"
    )
    return process("crash", *words, cwd=cwd, program=program)


LEAK = "raise ValueError('no luck with api_key=hunter2 and AKIA1234567890ABCDEF99xyz')"


def test_what_nobody_foresaw_is_70_without_traceback_or_secret(tmp_path: Path) -> None:
    done = crash(LEAK, cwd=tmp_path)

    assert done.returncode == ExitCode.BUG
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("Error: this is a bug of tradebot: ValueError")
    assert "--debug shows the traceback." in done.stderr
    assert "hunter2" not in done.stderr and "AKIA" not in done.stderr


def test_debug_shows_the_traceback_and_still_no_secret(tmp_path: Path) -> None:
    done = crash(LEAK, "--debug", cwd=tmp_path)

    assert done.returncode == ExitCode.BUG
    assert "Traceback (most recent call last)" in done.stderr
    assert "hunter2" not in done.stderr and "AKIA" not in done.stderr


def test_a_strategy_that_fails_while_it_warms_up_is_78(tradebot: Tradebot, project: Path) -> None:
    (project / "strategies" / "bad.py").write_text(
        "from tradebot.api import BarStrategy\n\n\nclass Bad(BarStrategy):\n    lookback = 3\n\n"
        "    def on_bar(self, ctx, bar):\n        return 'buy'\n"
    )
    (project / "tradebot.yaml").write_text(configured(entry("bad", "bad.py:Bad")))

    ended = tradebot("backtest", "--no-report", "--from", "2010-01-04")

    assert ended.code == ExitCode.CONFIG
    assert ended.err.startswith(
        "Error: strategy bad failed while warming up: TypeError: a strategy returns Target"
    )


def test_interrupted_is_130(tmp_path: Path) -> None:
    # A shell starts what it puts into the background with interrupts ignored, and children inherit that.
    program = (
        "import signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tradebot.cli.border import main\nfrom tradebot.cli.root import root\n"
        "@root.command('wait')\ndef wait():\n    print('waiting', flush=True)\n    time.sleep(60)\nmain()\n"
    )
    with piped("-c", program, "wait", cwd=tmp_path) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=30)

    assert (child.returncode, err) == (130, "Interrupted.\n")


def test_an_interrupt_that_a_library_turned_into_its_own_error_is_130(tmp_path: Path) -> None:
    program = (
        "import os, signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tradebot.cli.border import main\nfrom tradebot.cli.root import root\n"
        "@root.command('build')\ndef build():\n"
        "    try:\n        os.kill(os.getpid(), signal.SIGINT)\n"
        "    except KeyboardInterrupt as exc:\n        raise ValueError('cannot build') from exc\nmain()\n"
    )

    done = process("build", cwd=tmp_path, program=program)

    assert (done.returncode, done.stderr) == (130, "Interrupted.\n")


SPINNING = """
from tradebot.api import BarStrategy


class Spin(BarStrategy):
    def on_bar(self, ctx, bar):
        print("spinning", flush=True)
        while True:
            pass
"""


def test_an_interrupt_while_a_strategy_is_called_ends_the_command_and_not_the_strategy(
    tmp_path: Path,
) -> None:
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "spin.py").write_text(SPINNING)
    (tmp_path / "tradebot.yaml").write_text(configured(entry("spin", "spin.py:Spin")))
    program = (
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tradebot.cli.border import main\nmain()\n"
    )
    with piped("-c", program, "backtest", cwd=tmp_path) as child:
        assert child.stderr is not None
        while "spinning" not in child.stderr.readline():
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=30)

    assert (child.returncode, err.splitlines()[-1]) == (130, "Interrupted.")


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    with piped("-m", "tradebot", "config", "schema", cwd=tmp_path) as child:
        assert child.stdout is not None and child.stderr is not None
        child.stdout.close()
        err = child.stderr.read()

    assert (child.returncode, err) == (0, "")


def piped(*words: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=cwd,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_works_with_every_stream_closed(tmp_path: Path) -> None:
    call = f'"{sys.executable}" -m tradebot init --defaults <&- >&- 2>&-'

    done = subprocess.run(["/bin/sh", "-c", call], cwd=tmp_path, env=environment(), check=False)

    assert done.returncode == 0
    assert (tmp_path / "tradebot.yaml").is_file()


def test_a_stream_that_knows_only_ascii_gets_ascii(tmp_path: Path) -> None:
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "söndag.py").write_text("class :\n")

    done = process("strategies", "list", cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"})

    assert (done.returncode, done.stderr) == (0, "")
    assert "s\\xf6ndag.py" in done.stdout


def test_no_colour_reaches_a_pipe(tmp_path: Path) -> None:
    done = process("data", "list", cwd=tmp_path, env={"FORCE_COLOR": "1"})

    assert "\x1b" not in done.stdout + done.stderr


SHELF = (
    *(
        "",
        "-",
        "--",
        "..",
        "trend",
        "SPX",
        "SYN/USD",
        "bars.csv",
        "tradebot.yaml",
        "1d",
        "0",
        "-1",
        "nan",
        "1e9",
    ),
    *(
        "2010-01-01",
        "9999-99-99",
        "a=b",
        "limits.max_drawdown=10%",
        "strategies[9].id=x",
        "strategies.trend=1",
    ),
    *("close=open", "ts=", "💸", "x" * 300, "\udcff", "\x1b[31m", "%s{0}", "raw", "csv", "frame", "refuse"),
)


# What takes long, leaves something behind on the machine, or would ask somebody outside of it.
LASTING = ("backtest", "run", "start", "service", "emulate", "download")
FORESEEN = (0, ExitCode.FAILED, ExitCode.USAGE, ExitCode.NOT_RUNNING, ExitCode.CONFIG)


def test_no_words_find_a_bug(tradebot: Tradebot, project: Path, rng: random.Random) -> None:
    write_bars(project / "bars.csv")
    # One strategy whose check does not take long: the words are tried, not the strategies.
    one = entry("trend", "ma_crossover.py:MovingAverageCrossover", more="params: {fast: 2, slow: 5}")
    (project / "tradebot.yaml").write_text(configured(one, feed="bars.csv"))
    leaves = [(p, c) for p, c in commands() if not isinstance(c, Group) and not {*p} & {*LASTING}]
    for _ in range(400 if PROVING else 60):
        path, command = rng.choice(leaves)
        options = [o for p in command.params for o in p.opts if o.startswith("--")]
        words = [rng.choice([*options, *SHELF, *SHELF]) for _ in range(rng.randint(0, 6))]

        ended = tradebot(*path, *words)

        assert ended.code in FORESEEN, (path, words, ended)
        assert "Traceback" not in ended.err or "--debug" in words

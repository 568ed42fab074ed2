"""Names, beginnings of names, suggestions and help."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.cli.conftest import Tradebot, environment, process
from tradebot.cli.lazy import Group
from tradebot.cli.root import COMMANDS, root
from tradebot.errors import ExitCode

HEAVY = ("pandas", "numpy", "ccxt", "alpaca", "pydantic", "rich", "yaml", "pyarrow", "numba", "plotly", "ta")

HELP = """\
Usage: tradebot [OPTIONS] COMMAND ...

  Tests trading strategies and trades them, on paper by default.  New here?
  tradebot init

  Names may be shortened (tradebot back). Results go to stdout, everything
  else to stderr.

Options:
  --version   Show the version and exit.
  --debug     Show the traceback of an error.
  -h, --help  Show this message and exit.

Start      init        make a project: a configuration and example strategies
           doctor      is it ok? checks everything, changes nothing
Research   backtest    test strategies on stored history
           report      show a stored run again, or list them
           strategies  list, new, check: the files that decide
           data        list, import, download, check, resample, synthetic: bars, quotes
Operate    run         trade the accounts of the configuration, in the foreground
           start       start the daemon in the background, up to where it trades
           stop        stop it in order, and say what stays open
           status      what it is doing: health, equity, limits, positions
           pause       open nothing new, manage exits
           resume      lift a pause or halt
           halt        stop new risk at once
           flatten     cancel everything and close all positions
           orders      working orders
           positions   what each strategy holds
           trades      trades with fee and profit
           why         how an order came about
           why-not     why a symbol was not traded
           logs        what the daemon said
           reconcile   ours beside the venue's
           risk        show: limits and how near they are
           notify      test: messages to the owner
Machine    service     install, uninstall, show: the systemd unit
           db          verify, backup, restore, prune: the journals
           replay      run a recorded run again and compare
           config      validate, show, schema, paths: the YAML file
           venues      describe: what an exchange supports
           emulate     alpaca, binance: a venue on this machine, for tests
           completion  print the completion script of a shell

Exit codes: 0 ok, 1 failed: what was asked did not hold, 2 usage, 3 not running, 4 halted,
            69 venue or network, 70 bug, 75 busy, 77 permission, 78 configuration or strategy, 130 interrupted
"""


def commands(group: Group = root, *path: str) -> list[tuple[tuple[str, ...], click.Command]]:
    """Return every command with the words that call it."""
    found: list[tuple[tuple[str, ...], click.Command]] = []
    with click.Context(group) as ctx:
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            assert command is not None
            found.append(((*path, name), command))
            if isinstance(command, Group):
                found += commands(command, *path, name)
    return found


ALL = commands()
GROUPS = [path for path, command in ALL if isinstance(command, Group)]


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_first_page_of_help_is_this(tradebot: Tradebot, words: tuple[str, ...]) -> None:
    ended = tradebot(*words)

    assert (ended.code, ended.out, ended.err) == (0, HELP, "")


def test_help_names_every_exit_code_that_a_command_can_end_with() -> None:
    shown = {int(n) for n in re.findall(r"\d+", HELP.partition("Exit codes:")[2])}

    assert shown == {int(c) for c in ExitCode} | {130}


@pytest.mark.parametrize("path", [(), *GROUPS], ids=lambda p: " ".join(p) or "tradebot")
def test_help_imports_nothing_heavy(tmp_path: Path, path: tuple[str, ...]) -> None:
    probe = (
        "import sys\nfrom tradebot.cli.border import run\n"
        "assert run([*sys.argv[1:], '--help']) == 0\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)\n"
    )

    assert process(*path, cwd=tmp_path, program=probe).stderr == "[]\n"


def test_help_costs_little_more_than_importing_click(tmp_path: Path) -> None:
    # Time of a busy machine says little; what click takes on it at the same time is the measure.
    def took(*words: str) -> float:
        before = os.times()
        subprocess.run(
            [sys.executable, *words], env=environment(), cwd=tmp_path, stdout=subprocess.DEVNULL, check=True
        )
        after = os.times()
        return (after.children_user + after.children_system) - (before.children_user + before.children_system)

    pairs = [(took("-m", "tradebot", "--help"), took("-c", "import click")) for _ in range(7)]
    page, bare = min(p for p, _ in pairs), min(b for _, b in pairs)

    assert page < 2.0 * bare + 0.03, f"--help took {page * 1000:.0f} ms, importing click {bare * 1000:.0f} ms"


def test_summaries_on_the_first_page_name_what_the_groups_hold() -> None:
    for name, lazy in COMMANDS.items():
        command = lazy.load()
        assert command.name == name
        if isinstance(command, Group):
            assert set(command.commands) == set(lazy.summary.partition(":")[0].split(", "))


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(p) for p, _ in ALL])
def test_each_command_says_what_it_does_and_takes_json_and_debug(
    tradebot: Tradebot, path: tuple[str, ...], command: click.Command
) -> None:
    assert tradebot(*path, "--help").code == 0
    assert command.help
    if not isinstance(command, Group):
        options = {o for p in command.params for o in p.opts}
        assert {"--debug", "--json"} - options == (
            {"--json"} if path in (("completion",), ("run",)) else set()
        )


@pytest.mark.parametrize("words", [("conf", "sch"), ("strat", "li"), ("da", "l"), ("comp", "bash")])
def test_the_beginning_of_one_name_is_that_name(tradebot: Tradebot, words: tuple[str, ...]) -> None:
    assert tradebot(*words).code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("co",), "'co' could be config or completion."),
        (("bakctest",), "No such command 'bakctest'. Did you mean 'backtest'?"),
        (("data", "ls"), "No such command 'ls'."),
        (("data", "chek"), "No such command 'chek'. Did you mean 'check'?"),
        (("backtest", "--form", "2010-01-01"), "No such option '--form'."),
        (("config", "show", "--jsn"), "'--json'"),
        (("backtest", "--speed", "warp"), "'warp' is not one of 'auto', 'engine', 'kernel'"),
        (("strategies", "new"), "Missing argument 'NAME'."),
        (("--versoin",), "No such option '--versoin'. Did you mean '--version'?"),
    ],
)
def test_words_that_do_not_exist_end_with_2_and_what_was_meant(
    tradebot: Tradebot, words: tuple[str, ...], told: str
) -> None:
    ended = tradebot(*words)

    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert told in ended.err
    assert "--help shows the words it knows." in ended.err


def test_python_dash_m_knows_its_version(tmp_path: Path) -> None:
    assert re.fullmatch(r"tradebot \d+\.\d+\.\d+\S*\n", process("--version", cwd=tmp_path).stdout)


@pytest.mark.parametrize(
    ("shell", "start"),
    [
        ("bash", "_tradebot_completion()"),
        ("zsh", "#compdef tradebot"),
        ("fish", "function _tradebot_completion"),
    ],
)
def test_completion_script_of_each_shell(tradebot: Tradebot, shell: str, start: str) -> None:
    assert tradebot("completion", shell).out.startswith(start)


def test_completion_offers_the_commands_of_a_group(tmp_path: Path) -> None:
    asked = {"_TRADEBOT_COMPLETE": "bash_complete", "COMP_WORDS": "tradebot data ", "COMP_CWORD": "2"}

    offered = process(cwd=tmp_path, env=asked).stdout.split()

    assert offered == [
        f"plain,{name}" for name in ("list", "check", "import", "download", "resample", "synthetic")
    ]


@pytest.mark.parametrize("words", ["tradebot config validate -c", "tradebot data import"])
def test_completion_offers_files_where_a_file_is_asked_for(tmp_path: Path, words: str) -> None:
    count = str(len(words.split()))
    asked = {"_TRADEBOT_COMPLETE": "bash_complete", "COMP_WORDS": f"{words} ", "COMP_CWORD": count}

    done = process(cwd=tmp_path, env=asked)

    assert done.stdout == "file,\n"

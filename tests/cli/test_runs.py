"""backtest and report."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Tradebot, configured, entry
from tradebot.errors import ExitCode

CROSSOVER = "ma_crossover.py:MovingAverageCrossover"


@pytest.fixture
def small(here: Path, tradebot: Tradebot) -> Path:
    """A project with two strategies on a year of the bundled index."""
    fast = entry("fast", CROSSOVER, more="params: {fast: 5, slow: 20}")
    slow = entry("slow", CROSSOVER, more="params: {fast: 20, slow: 60}")
    text = configured(fast, slow) + "backtest: {from: 2010-01-01, to: 2010-12-31}\n"
    (here / "tradebot.yaml").write_text(text)
    return here


def test_backtest_prints_each_strategy_beside_holding_and_keeps_the_runs(
    tradebot: Tradebot, small: Path
) -> None:
    ended = tradebot("backtest")

    runs = sorted(p.name for p in (small / "runs").iterdir())
    assert (ended.code, ended.err) == (0, "")
    assert [re.sub(r"^[\dT:-]+-", "", r) for r in runs] == ["fast", "slow"]
    for words in (
        "BACKTEST  fast  SPX  1d  2010-01-04 to 2010-12-31",
        "buy & hold",
        "Fees + slippage",
        "Data:",
    ):
        assert words in ended.out
    for run in runs:
        assert f"Report: runs/{run}/report.html" in ended.out
        assert f"Repeat: tradebot backtest --from-run {run}" in ended.out
        assert (small / "runs" / run / "report.html").stat().st_size < 8_000_000


def test_backtest_of_one_strategy_runs_only_that(tradebot: Tradebot, small: Path) -> None:
    runs = tradebot("backtest", "slow", "--no-report", "--json").json["runs"]

    assert [r["run"]["label"] for r in runs] == ["slow"]
    assert runs[0]["report"] is None


def test_backtest_of_an_unknown_strategy_is_a_usage_error(tradebot: Tradebot, small: Path) -> None:
    ended = tradebot("backtest", "medium")

    assert ended.code == ExitCode.USAGE
    assert "there are: fast, slow" in ended.err
    assert not (small / "runs").exists()


def test_dates_and_settings_of_the_command_line_win(tradebot: Tradebot, small: Path) -> None:
    (run,) = tradebot(
        "backtest", "fast", "--from", "2012-01-01", "--to", "2012-06-30",
        "--set", "strategies.fast.params.fast=7", "--json", "--no-report",
    ).json["runs"]  # fmt: skip

    assert run["run"]["start"][:7] == "2012-01"
    assert run["run"]["end"][:10] == "2012-06-29"
    assert run["run"]["strategies"][0]["params"]["fast"] == "7"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--from", "yesterday"), "Error: --from  backtest.from\n  must be a day such as 2020-01-31"),
        (("--from", "2012-01-01", "--to", "2011-01-01"), "must be later than from"),
        (("--set", "strategies.fast.params.fsat=7"), "fsat"),
        (("--set", "nonsense"), "must be path=value"),
    ],
)
def test_wrong_settings_of_the_command_line_are_78(
    tradebot: Tradebot, small: Path, words: tuple[str, ...], told: str
) -> None:
    ended = tradebot("backtest", *words)

    assert ended.code == ExitCode.CONFIG
    assert told in ended.err


def test_days_without_data_are_1_and_name_the_days_there_are(tradebot: Tradebot, small: Path) -> None:
    ended = tradebot("backtest", "--from", "2030-01-01", "--to", "2031-01-01")

    assert ended.code == ExitCode.FAILED
    assert "2000-01-0" in ended.err and "2020-04-1" in ended.err


def test_a_run_repeats_itself_after_the_configuration_has_changed(tradebot: Tradebot, small: Path) -> None:
    change = ("--set", "strategies.fast.params.fast=7", "--from", "2012-01-01", "--to", "2012-12-31")
    (first,) = tradebot("backtest", "fast", *change, "--json", "--no-report").json["runs"]
    (small / "tradebot.yaml").write_text("broken: [")

    again = tradebot("backtest", "--from-run", first["run"]["run_id"], "-c", "tradebot.yaml", "--no-report")

    assert again.code == 0
    assert (
        f"Same configuration, code and data as {first['run']['run_id']}: the same end equity.\n" == again.err
    )
    (kept, repeated) = tradebot("report", "--list", "--json").json["runs"]
    assert kept["total_return"] == repeated["total_return"]


def test_a_repeated_run_that_differs_says_why(tradebot: Tradebot, small: Path) -> None:
    (first,) = tradebot("backtest", "fast", "--json", "--no-report").json["runs"]

    again = tradebot(
        "backtest",
        "--from-run",
        first["run"]["run_id"],
        "--set",
        "strategies.fast.params.fast=9",
        "--no-report",
    )

    assert again.err.startswith(
        f"Not the same as {first['run']['run_id']}: other config; another end equity ("
    )


def test_attempts_with_other_settings_are_counted(tradebot: Tradebot, small: Path) -> None:
    counts = [
        tradebot(
            "backtest", "fast", "--set", f"strategies.fast.params.fast={n}", "--json", "--no-report"
        ).json["runs"][0]["attempts"]
        for n in (5, 6, 6, 7)
    ]

    assert counts == [1, 2, 2, 3]


def test_secrets_are_not_stored_with_a_run(
    tradebot: Tradebot, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_URL", "tgram://123456:AAH-secret/42")
    with (small / "tradebot.yaml").open("a") as file:
        file.write('notify:\n  - {url: "${NOTIFY_URL}"}\n')

    (run,) = tradebot("backtest", "fast", "--json").json["runs"]

    for path in (small / "runs" / run["run"]["run_id"]).iterdir():
        assert b"AAH-secret" not in path.read_bytes()
    assert tradebot("backtest", "--from-run", run["run"]["run_id"], "--no-report").code == 0


def test_report_is_the_same_table_again(tradebot: Tradebot, small: Path) -> None:
    first = tradebot("backtest", "fast").out

    again = tradebot("report")

    assert (again.code, again.out) == (0, first)


def test_report_makes_the_page_that_was_not_made(tradebot: Tradebot, small: Path) -> None:
    (run,) = tradebot("backtest", "fast", "--no-report", "--json").json["runs"]

    ended = tradebot("report", "--html")

    path = small / "runs" / run["run"]["run_id"] / "report.html"
    assert ended.out == f"runs/{path.parent.name}/report.html\n"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs a folder where nobody may write")
def test_where_no_run_can_be_stored_the_table_is_shown_all_the_same(tradebot: Tradebot, small: Path) -> None:
    (small / "runs").symlink_to("/proc/self/task")

    ended = tradebot("backtest", "fast")

    assert ended.code == ExitCode.FAILED
    assert "End equity" in ended.out and "Repeat:" not in ended.out
    assert re.match(r"Error: runs/\S+-fast: the run cannot be stored: \[Errno", ended.err)


def test_a_page_that_cannot_be_made_hides_no_table(tradebot: Tradebot, small: Path) -> None:
    tradebot("backtest", "fast", "--no-report")
    (run,) = (small / "runs").iterdir()
    (run / "report.html").mkdir()

    ended = tradebot("report")

    assert ended.code == ExitCode.FAILED
    assert "End equity" in ended.out and "Report:" not in ended.out
    assert "report.html" in ended.err


def test_report_finds_a_run_by_the_beginning_of_its_id(tradebot: Tradebot, small: Path) -> None:
    (run,) = tradebot("backtest", "slow", "--no-report", "--json").json["runs"]

    found = tradebot("report", run["run"]["run_id"][:-1], "--json").json

    assert found["run"]["run_id"] == run["run"]["run_id"]
    assert found["schema_version"] == 1


def test_report_asks_which_of_several_runs_is_meant(tradebot: Tradebot, small: Path) -> None:
    tradebot("backtest", "--no-report")

    ended = tradebot("report", "20")

    assert ended.code == ExitCode.USAGE
    assert "'20' could be " in ended.err


def test_report_without_runs_is_1_and_says_what_to_do(tradebot: Tradebot, small: Path) -> None:
    ended = tradebot("report")

    assert (ended.code, ended.err) == (
        ExitCode.FAILED, "Error: no run is stored in runs.  Next: tradebot backtest\n",
    )  # fmt: skip


def test_a_damaged_run_is_listed_as_such_and_hides_no_other(tradebot: Tradebot, small: Path) -> None:
    (run,) = tradebot("backtest", "fast", "--no-report", "--json").json["runs"]
    tradebot("backtest", "slow", "--no-report")
    (small / "runs" / run["run"]["run_id"] / "result.json").write_text("{")

    listed = tradebot("report", "--list")
    shown = tradebot("report", run["run"]["run_id"])

    assert listed.code == 0
    assert "DAMAGED" in listed.out and "-slow" in listed.out
    assert shown.code == ExitCode.FAILED


def test_what_a_terminal_would_see_is_no_json(tradebot: Tradebot, small: Path) -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(tradebot("backtest", "fast", "--no-report").out)


def test_a_strategy_that_raises_is_named_with_its_line(tradebot: Tradebot, small: Path) -> None:
    (small / "strategies").mkdir()
    (small / "strategies" / "bad.py").write_text(
        "from tradebot.api import FrameStrategy\n\n\nclass Bad(FrameStrategy):\n    lookback = 3\n\n"
        "    def signals(self, bars):\n        return bars['clsoe']\n"
    )
    (small / "tradebot.yaml").write_text(configured(entry("bad", "bad.py:Bad")))

    ended = tradebot("backtest")

    assert ended.code == ExitCode.CONFIG
    assert ended.err.startswith("Error: strategies/bad.py:8: signals() raised KeyError: 'clsoe'")
    assert "Traceback" not in ended.err


def test_a_strategy_that_raises_at_a_bar_ends_itself_and_nothing_else(
    tradebot: Tradebot, small: Path
) -> None:
    (small / "strategies").mkdir()
    (small / "strategies" / "bad.py").write_text(
        "from tradebot.api import BarStrategy\n\n\nclass Bad(BarStrategy):\n"
        "    def on_bar(self, ctx, bar):\n        raise ValueError('no\\x1b[31m')\n"
    )
    (small / "tradebot.yaml").write_text(configured(entry("bad", "bad.py:Bad")))

    tested, checked = tradebot("backtest", "--no-report"), tradebot("strategies", "check")

    assert tested.code == 0
    raised = "ValueError: no\\x1b[31m"  # the sign that would colour the terminal is spelled out
    assert f"Look-ahead check: not checked: strategies/bad.py:6: Bad raised {raised}" in tested.out
    assert f"! bad failed and was not called again: {raised}" in tested.out
    assert checked.code == ExitCode.CONFIG
    assert checked.err.startswith(f"Error: strategies/bad.py:6: Bad raised {raised}")

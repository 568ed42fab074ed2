"""init, config and strategies."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Tradebot, configured, entry, environment, process
from tradebot.errors import ExitCode

SHIPPED = sorted(p.name for p in (ROOT / "strategies").glob("*.py"))
CROSSOVER = "ma_crossover.py:MovingAverageCrossover"

PEEKING = '''"""Buy what will rise."""

import pandas as pd

from tradebot.api import FrameStrategy


class Peeking(FrameStrategy):
    """Long when the next close is higher."""

    lookback = 2

    def signals(self, bars: pd.DataFrame) -> pd.Series:
        return (bars["close"].shift(-1) > bars["close"]).astype(float)
'''


def test_init_makes_a_project_that_is_valid_at_once(tradebot: Tradebot, here: Path) -> None:
    ended = tradebot("init", "demo")

    demo = here / "demo"
    assert ended.code == 0
    assert sorted(p.name for p in (demo / "strategies").iterdir()) == SHIPPED
    first = (demo / "tradebot.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=tradebot.schema.json"
    assert json.loads((demo / "tradebot.schema.json").read_text())["title"] == "tradebot.yaml"
    assert "cd demo && tradebot backtest" in ended.out
    assert tradebot("config", "validate", "-c", "demo/tradebot.yaml").code == 0


def test_init_keeps_the_configuration_to_its_owner(project: Path) -> None:
    assert stat.S_IMODE((project / "tradebot.yaml").stat().st_mode) == 0o600


def test_init_again_changes_nothing_and_adds_what_is_missing(tradebot: Tradebot, project: Path) -> None:
    (project / "tradebot.yaml").write_text("# mine\n")
    (project / "strategies" / SHIPPED[0]).write_text("# mine too\n")
    (project / "strategies" / SHIPPED[1]).unlink()

    ended = tradebot("init", "--json")

    assert (project / "tradebot.yaml").read_text() == "# mine\n"
    assert (project / "strategies" / SHIPPED[0]).read_text() == "# mine too\n"
    assert [f["path"] for f in ended.json["files"] if f["created"]] == [f"strategies/{SHIPPED[1]}"]


def test_init_does_not_hide_a_configuration_in_the_config_folder(tradebot: Tradebot, here: Path) -> None:
    (here / "config").mkdir()
    (here / "config" / "tradebot.yaml").write_text("# mine\n")

    assert tradebot("init").code == 0
    assert not (here / "tradebot.yaml").exists()


def test_init_where_a_file_is_is_a_usage_error(tradebot: Tradebot, here: Path) -> None:
    (here / "demo").write_text("")

    ended = tradebot("init", "demo")

    assert (ended.code, ended.err) == (ExitCode.USAGE, "Error: demo must be a folder, is a file\n")


def test_init_asks_nothing_without_a_terminal(tmp_path: Path) -> None:
    done = process("init", cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")


def test_show_is_the_file_language_again(tradebot: Tradebot, project: Path) -> None:
    change = ("--set", "limits.max_drawdown=10%")

    (project / "again.yaml").write_text(tradebot("config", "show", *change).out)

    first = tradebot("config", "show", *change, "--json").json
    again = tradebot("config", "show", "-c", "again.yaml", "--json").json
    assert first["config"]["limits"]["max_drawdown"] == "10%"
    assert first["digest"] == again["digest"]
    assert first["schema_version"] == 1


def test_nothing_shows_a_secret(tradebot: Tradebot, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_URL", "tgram://123456:AAH-secret/42")
    with (project / "tradebot.yaml").open("a") as file:
        file.write('\nnotify:\n  - {url: "${NOTIFY_URL}", from: warning}\n')

    for words in (("config", "show"), ("config", "show", "--json"), ("config", "validate")):
        ended = tradebot(*words)
        assert ended.code == 0
        assert "secret" not in ended.out + ended.err


def test_schema_is_for_editors(tradebot: Tradebot) -> None:
    assert tradebot("config", "schema").json["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_paths_of_a_configuration_in_the_config_folder_start_above_it(tradebot: Tradebot, here: Path) -> None:
    file = here / "config" / "tradebot.yaml"
    file.parent.mkdir()
    file.write_text(configured(entry("t", CROSSOVER)) + "data: {dir: bars}\n")

    for words in ((), ("-c", "config/tradebot.yaml"), ("-c", str(file))):
        paths = tradebot("config", "paths", *words, "--json").json["paths"]
        found = [paths[name] for name in ("config", "project", "data", "runs")]
        assert found == [str(p) for p in (file, here, here / "bars", here / "runs")]


def test_paths_without_a_configuration_say_so(tradebot: Tradebot) -> None:
    assert tradebot("config", "paths", "--json").json["paths"]["config"] is None


def test_list_shows_every_shipped_strategy_without_a_project(tradebot: Tradebot) -> None:
    listed = tradebot("strategies", "list", "--json").json["strategies"]

    assert sorted({Path(s["path"]).name for s in listed}) == SHIPPED
    assert {s["kind"] for s in listed} == {"frame", "bar", "quote", "portfolio"}


def test_list_names_a_file_that_is_no_python_and_goes_on(tradebot: Tradebot, project: Path) -> None:
    (project / "strategies" / "broken.py").write_text("class :\n")

    listed = tradebot("strategies", "list")

    assert listed.code == 0
    assert "strategies/broken.py:1:" in listed.out
    assert "MovingAverageCrossover" in listed.out


@pytest.mark.parametrize("kind", ["frame", "bar", "quote", "portfolio"])
def test_new_writes_a_strategy_that_can_be_configured(tradebot: Tradebot, project: Path, kind: str) -> None:
    ended = tradebot("strategies", "new", "my_idea", "--kind", kind)

    snippet = ended.out.split("\n\n")[1]
    (project / "tradebot.yaml").write_text(configured(snippet))
    assert (ended.code, ended.err) == (0, "")
    assert tradebot("config", "validate").out == "tradebot.yaml: ok, 1 strategy\n"


def test_new_never_overwrites(tradebot: Tradebot, project: Path) -> None:
    (project / "strategies" / "mine.py").write_text("# mine\n")

    ended = tradebot("strategies", "new", "mine")

    told = "Error: strategies/mine.py exists; choose another name or edit it\n"
    assert (ended.code, ended.err) == (ExitCode.FAILED, told)
    assert (project / "strategies" / "mine.py").read_text() == "# mine\n"


def test_check_finds_shipped_strategies_on_bars_honest(tradebot: Tradebot, project: Path) -> None:
    ended = tradebot("strategies", "check", "--quick", "trend", "reversion", "--json")

    found = [(s["strategy"], s["ok"]) for s in ended.json["strategies"]]
    assert (ended.code, found) == (0, [("trend", True), ("reversion", True)])


def test_check_names_a_look_ahead_and_ends_with_1(tradebot: Tradebot, project: Path) -> None:
    (project / "strategies" / "peeking.py").write_text(PEEKING)
    (project / "tradebot.yaml").write_text(configured(entry("peek", "peeking.py:Peeking")))

    ended = tradebot("strategies", "check", "--quick")

    assert ended.code == ExitCode.FAILED
    assert "FAILED  peek on SPX" in ended.out
    assert "LOOK-AHEAD" in ended.out and "shift(-1)" in ended.out


def test_check_of_an_unknown_strategy_names_those_there_are(tradebot: Tradebot, project: Path) -> None:
    ended = tradebot("strategies", "check", "trnd")

    assert ended.code == ExitCode.USAGE
    assert "there are: trend, reversion, breakout, maker" in ended.err


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_init_on_a_terminal_asks_until_the_answer_will_do(tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "tradebot", "init"],
        cwd=tmp_path,
        env=environment() | {"TERM": "dumb"},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    )
    os.close(theirs)
    os.write(ours, b"plenty\n20000 EUR\n10%\n")
    out, _ = child.communicate(timeout=60)
    asked = os.read(ours, 10_000).decode()
    os.close(ours)

    text = (tmp_path / "tradebot.yaml").read_text()
    assert child.returncode == 0
    assert 'must be an amount with its currency such as 5000 USD, was "plenty"' in asked
    assert "cash: 20000 EUR" in text and "max_drawdown: 10%" in text
    assert "created tradebot.yaml" in out

"""What `make run` does, under a limit: no process of it may ever hold more than 512 MB."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, environment

LIMIT_MB = 512


def recipe() -> list[list[str]]:
    """Return the words of each tradebot command in the Makefile's recipe for `run`."""
    (lines,) = re.findall(r"^run: setup\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    found = [re.search(r"^\t@(?:\S+=\S+ )*\$\(BIN\)/tradebot (.*)$", line) for line in lines.splitlines()]
    return [shlex.split(each[1]) for each in found if each is not None]


def peak_mb(words: list[str], folder: Path) -> tuple[int, float]:
    """Run a command to its end; return its exit code and the most memory that it held at once."""
    with (folder / "out.txt").open("a") as out, (folder / "err.txt").open("a") as err:
        child = subprocess.Popen(
            [sys.executable, "-m", "tradebot", *words],
            cwd=folder,
            env=environment() | {"TRADEBOT_STATE": str(folder / "state")},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, usage.ru_maxrss / 1024  # of the process, or of a child of its if that held more


@pytest.mark.prove
def test_the_demo_stays_below_512_mb(tmp_path: Path) -> None:
    for name in ("config", "strategies"):
        shutil.copytree(ROOT / name, tmp_path / name)
    commands = recipe()
    assert [words[0] for words in commands] == ["backtest", "run"]
    for words in commands:
        code, peak = peak_mb(words, tmp_path)
        assert code == 0, (tmp_path / "err.txt").read_text()
        assert peak <= LIMIT_MB, f"{' '.join(words)} held {peak:.0f} MB at once"
    assert "PAPER" in (tmp_path / "out.txt").read_text()

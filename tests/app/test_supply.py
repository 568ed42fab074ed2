"""What an account is given of stored data is the same from its own process and from another's tape."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from tests.app.conftest import imported
from tradebot.app.aside import supply_aside
from tradebot.app.stored import supply, taped
from tradebot.app.supply import Supply, Wanted
from tradebot.cli.border import run
from tradebot.config.loader import parse
from tradebot.core.messages import Slice
from tradebot.core.model import DAY, HOUR, Bar
from tradebot.errors import ConfigError, DataError
from tradebot.sim.gaps import FilledBar

GRID = ("--tick-size", "1", "--lot-size", "1")
CONFIG = """\
version: 1
accounts:
  main: {{venue: sim, cash: 10000 USD{more}}}
strategies:
  - {{id: hold, class: hold.py:Hold, instruments: [{names}], interval: 1d, sizing: {{kind: fixed_qty, qty: 1}}}}
data: {{gap_policy: {gaps}}}
"""


def wanted(project: Path, *names: str, more: str = "", gaps: str = "keep", **cut: int) -> Wanted:
    """Ask for three days before the daily bars of each name; `cut`: where its past ends."""
    text = CONFIG.format(names=", ".join(names), more=more, gaps=gaps)
    config = parse(text.encode(), "t.yaml", (), {}).config
    needs = {(name, DAY): 3 for name in names}
    return Wanted(config=config, project=project, account="main", needs=needs, named=names, **cut)


def rows(given: Supply) -> list[list[Slice]]:
    return [list(given.past()), list(given.missed()), list(given.coming())]


def kinds(parts: list[list[Slice]]) -> set[type]:
    return {type(item) for part in parts for piece in part for item in piece.items}


@pytest.fixture
def two(project: Path) -> Path:
    """A project with daily bars of two instruments; the second has fewer, and holes."""
    imported(project, "AAA/USD", *GRID, days=30)
    lines = (project / "bars.csv").read_text().splitlines(keepends=True)
    (project / "bars.csv").write_text("".join(lines[:5] + lines[7:20]))
    assert run(["data", "import", "bars.csv", "--id", "BBB/USD", *GRID]) == 0
    return project


@pytest.mark.parametrize(("gaps", "past"), [("keep", 8), ("fill_forward", 7)])
def test_a_process_of_its_own_gives_what_this_one_would(two: Path, gaps: str, past: int) -> None:
    bars = [piece.ts for piece in supply(wanted(two, "AAA/USD")).coming()]
    asked = wanted(two, "AAA/USD", "BBB/USD", gaps=gaps, seen=bars[7], missed=bars[11], remembered=bars[7])
    here = supply(asked)

    there = supply_aside(asked, two)

    assert there.outline == here.outline
    assert rows(there) == rows(here)
    assert [len(part) for part in rows(here)] == [past, 4, 18]
    assert kinds(rows(there)) == kinds(rows(here)) == ({Bar} if gaps == "keep" else {Bar, FilledBar})
    there.close()


@pytest.mark.parametrize("intervals", [(0,), (0, HOUR)], ids=["quotes", "quotes and bars"])
def test_quotes_of_one_instant_stay_apart_or_together_as_they_are_here(
    project: Path, intervals: tuple[int, ...]
) -> None:
    needs: Mapping[tuple[str, int], int] = {("SYN/USD", interval): 0 for interval in intervals}
    asked = replace(wanted(project, "SYN/USD", more=", feed: sample"), needs=needs)

    there = supply_aside(asked, project)

    assert list(islice(there.coming(), 5_000)) == list(islice(supply(asked).coming(), 5_000))
    there.close()


def test_the_process_that_reads_leaves_no_file_and_no_open_number(two: Path) -> None:
    before, numbers = sorted(two.iterdir()), os.listdir("/proc/self/fd")

    supply_aside(wanted(two, "AAA/USD"), two).close()

    assert sorted(two.iterdir()) == before
    assert os.listdir("/proc/self/fd") == numbers


def test_what_is_wrong_with_the_data_comes_back_as_it_was(two: Path) -> None:
    with pytest.raises(DataError, match=r"no instrument 'AAB/USD' is stored.*did you mean AAA/USD"):
        supply_aside(wanted(two, "AAB/USD"), two)
    with pytest.raises(ConfigError) as caught:
        supply_aside(wanted(two, "AAA/USD", more=", feed: ./nowhere"), two)

    assert [p.key for p in caught.value.problems] == ["accounts.main.feed"]


def test_a_reading_process_that_dies_is_said_with_its_last_word(
    two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(two / "nowhere"))
    monkeypatch.setenv("PYTHONHOME", str(two / "nowhere"))

    with pytest.raises(DataError, match=r"must end with 0, ended with 1.*then start again"):
        supply_aside(wanted(two, "AAA/USD"), two)


def test_a_tape_that_was_cut_is_said(two: Path) -> None:
    with tempfile.TemporaryFile() as file:
        tape = taped(wanted(two, "AAA/USD"), file).coming
        os.ftruncate(file.fileno(), tape.size - 8)

        with pytest.raises(DataError, match="must have 56 more bytes, had 48"):
            list(tape.slices(file.fileno()))

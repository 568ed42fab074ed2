"""Starts that keep failing are counted, and an orderly end forgives them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.daemon.startlog import NAME, TOO_MANY, WINDOW, Started, StartLog, unclean

NOON = 1_790_000_000


def begun(folder: Path, *moments: int) -> list[int]:
    """Return what each of several starts, none of which ended in order, was told."""
    return [StartLog(folder).begin(moment) for moment in moments]


def test_first_start_is_the_first(tmp_path: Path) -> None:
    assert begun(tmp_path, NOON) == [1]
    assert StartLog(tmp_path).last == NOON


def test_starts_that_died_are_counted(tmp_path: Path) -> None:
    assert begun(tmp_path, *(NOON + 10 * i for i in range(5))) == [1, 2, 3, TOO_MANY, 5]


def test_an_orderly_end_forgives(tmp_path: Path) -> None:
    begun(tmp_path, NOON, NOON + 10)
    log = StartLog(tmp_path)
    assert log.begin(NOON + 20) == 3
    log.end()

    assert begun(tmp_path, NOON + 30) == [1]


def test_quiet_time_forgives(tmp_path: Path) -> None:
    begun(tmp_path, NOON, NOON + 10, NOON + 20)

    assert begun(tmp_path, NOON + 21 + WINDOW) == [1]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"starts": [{"at": "x"}]}', '{"starts": 3}'])
def test_a_damaged_list_counts_as_empty_and_is_written_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text, encoding="utf-8")

    assert begun(tmp_path, NOON, NOON + 1) == [1, 2]
    assert (tmp_path / NAME).stat().st_mode & 0o077 == 0


def test_the_list_stays_short(tmp_path: Path) -> None:
    begun(tmp_path, *range(NOON, NOON + 80))

    assert (tmp_path / NAME).stat().st_size < 5_000


@given(st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=12))
def test_only_starts_after_the_last_orderly_end_and_in_the_window_count(
    steps: list[tuple[int, bool]],
) -> None:
    now, starts = NOON, []
    for wait, is_clean in steps:
        now += wait
        starts.append(Started(at=now, pid=1, is_clean=is_clean))
    found = unclean(starts, now)

    assert all(not s.is_clean and now - s.at <= WINDOW for s in starts[len(starts) - found :])
    if found < len(starts):
        before = starts[-found - 1]
        assert before.is_clean or now - before.at > WINDOW

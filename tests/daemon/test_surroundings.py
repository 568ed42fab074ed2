"""A clock that cannot be right and a disk without room stop a start, with words that help."""

from pathlib import Path

import pytest

from tradebot.daemon.surroundings import (
    LEAST_FREE,
    LITTLE_FREE,
    Machine,
    clock_warning,
    disk_warning,
    start_second,
)
from tradebot.errors import StoreError, TradebotError

NOON = 1_790_000_000


class Clock:
    """A wall clock that only sleeping moves."""

    def __init__(self, now: int) -> None:
        self.now, self.slept = now, 0.0

    def wall(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.now += int(seconds)


def machine(now: int = NOON, free: int = 10**12, timesync: Path = Path("/nowhere")) -> tuple[Machine, Clock]:
    clock = Clock(now)

    def free_there(folder: Path) -> int:
        return free

    return Machine(wall=clock.wall, sleep=clock.sleep, free=free_there, timesync=timesync), clock


def test_a_later_second_is_taken_without_waiting() -> None:
    here, clock = machine()

    assert start_second(here, NOON - 1) == NOON
    assert clock.slept == 0


@pytest.mark.parametrize("ahead", [0, 1])
def test_the_same_second_is_waited_out(ahead: int) -> None:
    here, clock = machine()

    assert start_second(here, NOON + ahead) == NOON + ahead + 1
    assert clock.slept <= 2


def test_a_clock_behind_the_last_start_is_refused_without_waiting() -> None:
    here, clock = machine()

    with pytest.raises(
        TradebotError, match=r"later than the last start \(2026-09-21 .* UTC\), says 2026-09-21"
    ):
        start_second(here, NOON + 3600)
    assert clock.slept == 0


@pytest.mark.parametrize("now", [0, -5, 946_684_800, 5_000_000_000, 2**60])
def test_a_year_that_cannot_be_is_refused(now: int) -> None:
    here, _ = machine(now)

    with pytest.raises(TradebotError, match=r"the clock must be right, says .*timedatectl"):
        start_second(here, 0)


def test_a_full_disk_refuses_and_a_filling_one_warns(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="at least 50 MB free to start, has 49 MB"):
        disk_warning(machine(free=LEAST_FREE - 1)[0], tmp_path)
    assert "has 199 MB left" in (disk_warning(machine(free=LITTLE_FREE - 1)[0], tmp_path) or "")
    assert disk_warning(machine(free=LITTLE_FREE)[0], tmp_path) is None


def test_a_clock_that_network_time_has_not_reached_is_told(tmp_path: Path) -> None:
    here, _ = machine(timesync=tmp_path)
    assert "not synchronised yet" in (clock_warning(here) or "")

    (tmp_path / "synchronized").touch()
    assert clock_warning(here) is None
    assert clock_warning(machine()[0]) is None

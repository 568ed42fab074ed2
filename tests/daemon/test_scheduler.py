"""Timers fire once and never early; moments of trading days happen at most once, whatever restarts."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from tradebot.core.messages import TimerDue
from tradebot.core.model import DAY, HOUR, MINUTE, SECOND
from tradebot.daemon.clock import WallClock
from tradebot.daemon.scheduler import Job, Scheduler
from tradebot.daemon.slots import Anchor, Book, Due, Session, Slot, dues, missed, next_due
from tradebot.errors import StoreError

MONDAY = (date(2026, 11, 23) - date(1970, 1, 1)).days
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOON_NS = MONDAY * DAY + 12 * HOUR
# The week of Thanksgiving in New York: no Thursday, half a Friday (ns UTC).
WEEK = [
    Session(MONDAY + day, (MONDAY + day) * DAY + 14 * HOUR + 30 * MINUTE, (MONDAY + day) * DAY + hours * HOUR)
    for day, hours in [(0, 21), (1, 21), (2, 21), (4, 18), (7, 21)]
]
SUMMARY = Slot(name="summary", anchor=Anchor.CLOSE, offset=15 * MINUTE)


def week(start: int, end: int) -> list[Session]:
    return [s for s in WEEK if s.closes > start and s.opens < end]


class Waiting:
    """A scheduler whose clock the test moves."""

    def __init__(self, traveller: time_machine.Traveller, book: Book | None) -> None:
        self.posted: list[TimerDue] = []
        self.done: list[Due] = []
        self.skipped: list[Due] = []
        self.scheduler = Scheduler(self.posted.append, WallClock(), book)
        self._traveller = traveller

    async def go_to(self, ns: int) -> None:
        """Let it be that moment, and everything happen that is due."""
        self._traveller.move_to(
            datetime.fromtimestamp(ns // SECOND, UTC).replace(microsecond=ns // 1_000 % 1_000_000)
        )
        for _ in range(5):  # a job that plans the next one may find that due, too
            self.scheduler.wake()
            for _ in range(10):
                await asyncio.sleep(0)

    def daily(self, since: int = NOON_NS) -> None:
        self.scheduler.add(
            Job(slot=SUMMARY, sessions=week, work=self.done.append, skipped=self.skipped.append), since
        )


def wait(
    body: Callable[[Waiting], Awaitable[None]], book: Book | None = None, at: datetime = NOON
) -> Waiting:
    async def main() -> Waiting:
        with time_machine.travel(at, tick=False) as traveller:
            waiting = Waiting(traveller, book)
            waiting.scheduler.start()
            try:
                await body(waiting)
            finally:
                waiting.scheduler.stop()
        return waiting

    return asyncio.run(main())


def test_a_timer_fires_once_at_its_time_and_not_before() -> None:
    async def body(w: Waiting) -> None:
        w.scheduler.set_timer("retry/a/X", NOON_NS + SECOND)
        await w.go_to(NOON_NS + SECOND - 1_000)
        assert w.posted == []
        await w.go_to(NOON_NS + SECOND)
        await w.go_to(NOON_NS + HOUR)

    assert wait(body).posted == [TimerDue(ts=NOON_NS + SECOND, key="retry/a/X")]


def test_a_timer_between_two_microseconds_waits_for_the_later_one() -> None:
    async def body(w: Waiting) -> None:
        w.scheduler.set_timer("t", NOON_NS + 1_001)
        await w.go_to(NOON_NS + 1_000)
        assert w.posted == []
        await w.go_to(NOON_NS + 2_000)
        assert [t.ts for t in w.posted] == [NOON_NS + 1_001]

    wait(body)


def test_a_timer_whose_time_has_passed_fires_at_once() -> None:
    async def body(w: Waiting) -> None:
        w.scheduler.set_timer("late", NOON_NS - 30 * DAY)
        await w.go_to(NOON_NS)

    assert wait(body).posted == [TimerDue(ts=NOON_NS - 30 * DAY, key="late")]


def test_a_timer_set_again_has_its_new_time_only() -> None:
    async def body(w: Waiting) -> None:
        w.scheduler.set_timer("t", NOON_NS + SECOND)
        w.scheduler.set_timer("t", NOON_NS + MINUTE)
        await w.go_to(NOON_NS + SECOND)
        assert w.posted == []
        await w.go_to(NOON_NS + MINUTE)

    assert [t.ts for t in wait(body).posted] == [NOON_NS + MINUTE]


def test_timers_that_were_due_together_all_fire() -> None:
    async def body(w: Waiting) -> None:
        for i in range(20):
            w.scheduler.set_timer(f"t{i}", NOON_NS + i * SECOND)
        await w.go_to(NOON_NS + HOUR)

    assert sorted(t.ts for t in wait(body).posted) == [NOON_NS + i * SECOND for i in range(20)]


def test_a_slot_follows_half_days_and_leaves_out_holidays(tmp_path: Path) -> None:
    async def body(w: Waiting) -> None:
        w.daily()
        for hour in range(14 * 24):
            await w.go_to(NOON_NS + hour * HOUR + 20 * MINUTE)

    done = wait(body, Book(tmp_path / "slots")).done
    assert [due.key for due in done] == [f"slot/summary/2026-11-{d}" for d in (23, 24, 25, 27, 30)]
    assert done[3].at == (MONDAY + 4) * DAY + 18 * HOUR + 15 * MINUTE


def test_a_slot_that_happened_does_not_happen_again_after_a_restart(tmp_path: Path) -> None:
    at = WEEK[0].closes + 15 * MINUTE

    async def body(w: Waiting) -> None:
        w.daily()
        await w.go_to(at)
        await w.go_to(at + MINUTE)

    first = wait(body, Book(tmp_path / "slots"))
    second = wait(body, Book(tmp_path / "slots"))
    assert ([d.at for d in first.done], second.done, second.skipped) == ([at], [], [])


def test_a_daemon_that_was_down_over_a_slot_does_it_within_its_grace_and_says_so_after(
    tmp_path: Path,
) -> None:
    async def soon(w: Waiting) -> None:
        w.daily()
        await w.go_to(WEEK[0].closes + HOUR)

    up = wait(soon, Book(tmp_path / "a"), at=datetime(2026, 11, 23, 22, tzinfo=UTC))
    assert ([d.key for d in up.done], up.skipped) == (["slot/summary/2026-11-23"], [])

    async def late(w: Waiting) -> None:
        w.daily()
        await w.go_to(WEEK[0].closes + 3 * HOUR)

    down = wait(late, Book(tmp_path / "b"), at=datetime(2026, 11, 24, 0, tzinfo=UTC))
    assert (down.done, [d.key for d in down.skipped]) == ([], ["slot/summary/2026-11-23"])


def test_a_book_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "slots").write_text("[]")

    with pytest.raises(StoreError, match="must be a list of what has happened"):
        Book(tmp_path / "slots")


@given(
    st.lists(st.integers(0, 9 * 24 * 60), min_size=1, max_size=30).map(sorted),
    st.sampled_from([0, HOUR, 30 * HOUR]),
)
def test_each_slot_happens_at_most_once_and_never_early(minutes: list[int], grace: int) -> None:
    slot = Slot(name="s", anchor=Anchor.OPEN, offset=-5 * MINUTE, grace=grace)
    happened: dict[str, int] = {}
    for minute in minutes:  # the moments at which somebody looks
        now = NOON_NS + minute * MINUTE
        while (due := next_due(slot, week, now, happened.__contains__)) is not None and due.at <= now:
            assert due.key not in happened
            assert now - grace <= due.at
            happened[due.key] = now
    lost = missed(slot, week, NOON_NS, now, happened.__contains__)
    assert not {d.key for d in lost} & happened.keys()
    past = {d.key for d in dues(slot, WEEK) if NOON_NS < d.at < now - grace}
    assert past <= happened.keys() | {d.key for d in lost}

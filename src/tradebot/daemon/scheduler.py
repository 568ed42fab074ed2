"""Wake the engine by the machine's clock, and do what is due at moments of trading days.

Owns the waiting, which is APScheduler's. A timer never trades: it posts `TimerDue`, and the engine decides.
What was due while nobody was there fires at once; what a slot may still do then is said by its grace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from tradebot.core.messages import TimerDue
from tradebot.core.ports import Clock
from tradebot.daemon.slots import Book, Due, Sessions, Slot, missed, next_due

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What happens once in each session; `skipped` is told of a slot that came too late."""

    slot: Slot
    sessions: Sessions
    work: Callable[[Due], None]
    skipped: Callable[[Due], None] = lambda due: None


class Scheduler:
    """The `Timers` of an account that trades by the wall clock; the event loop must run."""

    def __init__(self, post: Callable[[TimerDue], None], clock: Clock, book: Book | None = None) -> None:
        """`post` takes what is due to the engine's queue; `book` remembers slots, None without any."""
        self._post = post
        self._clock = clock
        self._book = book
        # None: however late, it fires; once, if it was due several times.
        defaults = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        self._jobs = AsyncIOScheduler(timezone=UTC, job_defaults=defaults)

    def start(self) -> None:
        """Begin to wait, in the running loop."""
        self._jobs.start()

    def stop(self) -> None:
        """Wait for nothing any more; what was set is asked for again by the next start."""
        self._jobs.shutdown(wait=False)

    def wake(self) -> None:
        """Look what is due now: for a clock that jumped."""
        self._jobs.wakeup()

    # --- the engine's timers ------------------------------------------------------------------------

    def set_timer(self, key: str, at: int) -> None:
        """Post `TimerDue(key)` at `at` (ns UTC), once; set again, the new time counts."""
        # A coroutine: APScheduler would run a plain function in another thread.
        self._at(f"timer/{key}", at, self._due, key, at)

    async def _due(self, key: str, at: int) -> None:
        self._post(TimerDue(ts=at, key=key))

    # --- moments of trading days ----------------------------------------------------------------------

    def add(self, job: Job, since: int) -> None:
        """Do a job once in every session; slots between `since` and now that are too late are said."""
        for late in missed(job.slot, job.sessions, since, self._clock.now(), self._happened):
            job.skipped(late)
        self._plan(job)

    def _plan(self, job: Job) -> None:
        due = next_due(job.slot, job.sessions, self._clock.now(), self._happened)
        if due is not None:
            self._at(f"job/{job.slot.name}", due.at, self._work, job, due)

    async def _work(self, job: Job, due: Due) -> None:
        if self._clock.now() > due.at + job.slot.grace:
            job.skipped(due)  # the machine slept over it
            self._take(due.key)
        elif self._take(due.key):
            job.work(due)
        self._plan(job)

    def _take(self, key: str) -> bool:
        return self._book is not None and self._book.take(key)

    def _happened(self, key: str) -> bool:
        return self._book is not None and self._book.has(key)

    def _at(self, name: str, at: int, work: Callable[..., object], *args: object) -> None:
        # Up to the next microsecond: a timer that fires before its time is ignored by the engine.
        moment = _EPOCH + timedelta(microseconds=-(-at // 1_000))
        self._jobs.add_job(work, DateTrigger(moment, UTC), args, id=name, replace_existing=True)

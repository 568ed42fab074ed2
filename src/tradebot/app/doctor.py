"""Answer "is it ok?": look at everything that a start or the next night depends on, and change nothing.

Owns the checks and what each advises. What a check asks of the machine comes in as `Machine`, so that each
can be shown failing. Refuses to repair.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tradebot.app.deciders import instruments_of, recipes
from tradebot.app.doctor_live import ask_places, live_accounts
from tradebot.app.market import feed_of, instrument_of
from tradebot.config.models import Config
from tradebot.core.model import DAY, SECOND
from tradebot.daemon import lock, places
from tradebot.daemon.control_state import halt_row
from tradebot.daemon.control_words import lifting
from tradebot.daemon.halts import HaltFlag
from tradebot.daemon.places import AccountPlaces, Places
from tradebot.daemon.secrets import Vault
from tradebot.daemon.surroundings import LEAST_FREE, LITTLE_FREE
from tradebot.data.calendars import sessions
from tradebot.data.intervals import interval_name
from tradebot.errors import TradebotError
from tradebot.store import story
from tradebot.store.connect import sqlite_notice
from tradebot.store.verify import quick_check
from tradebot.store.views import Views

_MB = 1024 * 1024
_EARLIEST = 1_735_689_600 * SECOND  # 2025-01-01: a machine that says less has lost its clock
_CALENDAR_AHEAD = 30 * DAY


class Verdict(Enum):
    """How a check ended. A NOTE is worth knowing and fails nothing."""

    OK = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was looked at, what was found, and what to do about it."""

    name: str
    verdict: Verdict
    text: str
    todo: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is asked of the machine: the time (ns UTC), free bytes, SQLite's version, a calendar's end (ns UTC)."""

    now: Callable[[], int] = time.time_ns
    free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    sqlite: tuple[int, ...] = sqlite3.sqlite_version_info
    calendar_until: Callable[[str], int] = lambda name: sessions(name).known_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is looked at. `config` None: it could not be read, and that was said."""

    config: Config | None
    project: Path
    where: Places
    accounts: Sequence[tuple[str, AccountPlaces]]
    answers: Callable[[], bool]
    vault: Vault | None = None  # None: no place is asked

    @property
    def stored(self) -> tuple[str, ...]:
        """The accounts that trade stored data."""
        if self.config is None:
            return ()
        live = live_accounts(self.config, self.project)
        return tuple(account for account in self.config.accounts if account not in live)


def examine(patient: Patient, machine: Machine = Machine()) -> Iterator[Check]:
    """Yield every check. A check that cannot be made is a bad one."""
    checks: dict[str, Callable[[Patient, Machine], Iterator[Check]]] = {
        "strategies": _strategies,
        "state": _state,
        "lock": _lock,
        "journal": _journals,
        "disk": _disk,
        "clock": _clock,
        "sqlite": _sqlite,
        "data": _data,
        "places": _places,
        "calendar": _calendars,
        "instance": _instances,
        "halts": _halts,
    }
    for name, check in checks.items():
        try:
            yield from check(patient, machine)
        except (TradebotError, OSError) as exc:
            yield _bad(name, str(exc))


def _ok(name: str, text: str) -> Check:
    return Check(name=name, verdict=Verdict.OK, text=text)


def _bad(name: str, text: str, todo: str = "") -> Check:
    return Check(name=name, verdict=Verdict.BAD, text=text, todo=todo)


def _note(name: str, text: str, todo: str = "") -> Check:
    return Check(name=name, verdict=Verdict.NOTE, text=text, todo=todo)


# --- the project ----------------------------------------------------------------------------------


def _strategies(patient: Patient, machine: Machine) -> Iterator[Check]:
    if patient.config is not None:
        made = recipes(patient.config, patient.project)
        yield _ok("strategies", f"{len(made)} load, their parameters fit")


def _data(patient: Patient, machine: Machine) -> Iterator[Check]:
    config = patient.config
    for account in patient.stored:
        assert config is not None
        mine = [r for r in recipes(config, patient.project) if r.words.account == account]
        feed = feed_of(config, patient.project, account, [n for r in mine for n in instruments_of(r)])
        for name, interval in dict.fromkeys(
            (n, r.words.interval or 0) for r in mine for n in r.words.instruments
        ):
            what = f"{name} {interval_name(interval)}" if interval else f"{name} quotes"
            try:
                info = feed.catalogue.info(name, interval)
            except TradebotError as exc:
                yield _bad("data", str(exc), "tradebot data list")
                continue
            if feed.live and info.last_ts < machine.now() - 7 * DAY:
                days = (machine.now() - info.last_ts) // DAY
                yield _note(
                    "data", f"{what}: the newest stored bar is {days} days old", "tradebot data import"
                )
            else:
                yield _ok("data", f"{what}: {info.rows} rows to {_day(info.last_ts)}")


def _places(patient: Patient, machine: Machine) -> Iterator[Check]:
    """Ask the places of live accounts; instruments that they name are looked up in their calendars, too."""
    if patient.config is None or patient.vault is None:
        return
    names: dict[str, None] = {}
    for answer in ask_places(patient.config, patient.project, patient.vault, machine.now()):
        for text in answer.said:
            yield _ok(answer.place, f"{answer.account}: {text}")
        if answer.wrong:
            yield _bad(answer.place, f"{answer.account}: {answer.wrong}")
        calendars = patient.config.calendars
        names |= dict.fromkeys(calendars.get(one.id, one.calendar) for one in answer.instruments)
    yield from _horizons(names, machine)


def _calendars(patient: Patient, machine: Machine) -> Iterator[Check]:
    config = patient.config
    names: dict[str, None] = {}
    for account in patient.stored:
        assert config is not None
        mine = [r for r in recipes(config, patient.project) if r.words.account == account]
        traded = [n for r in mine for n in r.words.instruments]
        catalogue = feed_of(config, patient.project, account, traded).catalogue
        for name in traded:
            names[instrument_of(catalogue, config, name).calendar] = None
    yield from _horizons(names, machine)


def _horizons(names: Iterable[str], machine: Machine) -> Iterator[Check]:
    for calendar in names:
        if not calendar or sessions(calendar).always_open:
            continue
        until = machine.calendar_until(calendar)
        if until < machine.now() + _CALENDAR_AHEAD:
            todo = "update exchange-calendars (pip install -U tradebot)"
            yield _bad("calendar", f"{calendar} is known to {_day(until)} only", todo)
        else:
            yield _ok("calendar", f"{calendar} is known to {_day(until)}")


# --- the state ------------------------------------------------------------------------------------


def _state(patient: Patient, machine: Machine) -> Iterator[Check]:
    state = patient.where.state
    if not state.exists():
        yield _note("state", f"{state} is not there yet: nothing was started", "tradebot start")
        return
    found = list(
        _open_to_others([state, *(f for _, a in patient.accounts for f in sorted(a.folder.glob("*")))])
    )
    yield from found
    if not found:
        yield _ok("state", f"{state} is private")


def _open_to_others(paths: Sequence[Path]) -> Iterator[Check]:
    for path in paths:
        mode, owner = stat.S_IMODE(path.stat().st_mode), path.stat().st_uid
        if owner != os.geteuid():
            yield _bad("state", f"{path} must belong to user {os.geteuid()}, belongs to {owner}")
        elif mode & 0o077:
            yield _bad("state", f"{path} must be private, has mode {mode:04o}", f"chmod go= {path}")


def _lock(patient: Patient, machine: Machine) -> Iterator[Check]:
    holder = lock.holder(patient.where.state)
    if holder is None:
        yield _note("daemon", "none runs", "tradebot start")
    elif patient.answers():
        yield _ok("daemon", f"process {holder.pid} runs and answers")
    else:
        yield _bad("daemon", f"process {holder.pid} holds the state and does not answer", "tradebot logs")


def _journals(patient: Patient, machine: Machine) -> Iterator[Check]:
    for name, account in patient.accounts:
        wrong = quick_check(account.journal)
        if wrong:
            yield _bad("journal", wrong, "tradebot db verify; tradebot db restore")
        else:
            yield _ok("journal", f"{name}: SQLite finds no fault (tradebot db verify looks at every fact)")


def _disk(patient: Patient, machine: Machine) -> Iterator[Check]:
    folder = next(p for p in (patient.where.state, *patient.where.state.parents) if p.exists())
    free = machine.free(folder)
    text = f"{free // _MB:,} MB free at {folder}"
    if free < LEAST_FREE:
        yield _bad("disk", f"{text}; below {LEAST_FREE // _MB} nothing starts", "free space")
    else:
        yield _note("disk", text, "tradebot db prune") if free < LITTLE_FREE else _ok("disk", text)


def _clock(patient: Patient, machine: Machine) -> Iterator[Check]:
    now, last = machine.now(), 0
    for _, account in patient.accounts:
        with Views.open(account.journal) as opened:
            last = max(last, *(run.epoch * SECOND for run in story.runs(opened)), 0)
    if now < max(_EARLIEST, last):
        why = (
            f"the last run began {_moment(last)}" if last > now else "that is before this program was written"
        )
        yield _bad("clock", f"the machine says {_moment(now)}, but {why}", "timedatectl")
    else:
        yield _ok("clock", f"{_moment(now)} UTC, after every run before")


def _sqlite(patient: Patient, machine: Machine) -> Iterator[Check]:
    notice = sqlite_notice(machine.sqlite)
    version = ".".join(map(str, machine.sqlite))
    yield _ok("sqlite", version) if notice is None else _note("sqlite", notice)


def _instances(patient: Patient, machine: Machine) -> Iterator[Check]:
    for project, state in places.lost_states(patient.where):
        todo = f"if it is this project, write its new place into {state / places.WHERE}"
        yield _bad("instance", f"{state} holds the state of {project}, which is gone", todo)
    known: dict[tuple[str, str], str] = {}
    for name, account in patient.accounts:
        with Views.open(account.journal) as opened:
            key = (opened.meta["instance"], opened.meta["venue"])
        if key in known and key[1] != "sim":
            yield _bad("instance", f"{name} and {known[key]} issue the same order ids at one venue")
        known[key] = name
    if known:
        yield _ok("instance", f"{len(known)} accounts, each with order ids of its own")


def _halts(patient: Patient, machine: Machine) -> Iterator[Check]:
    count = 0
    for name, account in patient.accounts:
        for halt in HaltFlag(account.halt).all:
            count += 1
            about = " in ".join(filter(None, halt.scope[:2])) or "everything"
            text = f"{name}: {about} is halted ({halt.level.name}) by {halt.rule}: {halt.reason}"
            yield _bad("halts", text, lifting(halt_row(name, halt)))
    if not count:
        yield _ok("halts", "none stands")


def _moment(ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(ns // SECOND))


def _day(ns: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(ns // SECOND))

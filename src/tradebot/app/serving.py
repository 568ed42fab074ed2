"""Serve: open every account of a configuration and run them as one daemon.

Owns the order of a start up to the accounts' own: folders, lock, log, disk, clock, crash loop, files; and
what surrounds the daemon (`daemon.shell`), put together from the configuration's words.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import structlog

from tradebot.app.adapters import place_of
from tradebot.app.misfits import refuse
from tradebot.app.opening import Opening
from tradebot.app.orphans import Choice, check_accounts
from tradebot.app.rehearsal import rehearsed
from tradebot.app.trading import Opened, Request
from tradebot.config.models import Config, Notify
from tradebot.config.schema import digest
from tradebot.core.model import SECOND
from tradebot.core.rules import CRASH_LOOP
from tradebot.core.scope import EVERYTHING, HaltLevel
from tradebot.daemon import places, surroundings
from tradebot.daemon.alerts import Desk
from tradebot.daemon.control import ControlServer
from tradebot.daemon.control_verbs import Control
from tradebot.daemon.courier import Courier, routes_of
from tradebot.daemon.executor import OwnThread
from tradebot.daemon.figures import Figures
from tradebot.daemon.halts import Halt
from tradebot.daemon.lock import Lock
from tradebot.daemon.logs import Logs, LogSettings
from tradebot.daemon.metrics import Metrics, Served
from tradebot.daemon.metrics import serve as serve_metrics
from tradebot.daemon.notify_systemd import Notifier, Watchdog
from tradebot.daemon.process import Daemon, ending_signals
from tradebot.daemon.reach import pings_of
from tradebot.daemon.redact import Redactor
from tradebot.daemon.reserve import Reserve
from tradebot.daemon.secrets import Vault, no_keys
from tradebot.daemon.sending import DeadMan, send_by_apprise
from tradebot.daemon.shell import Means, Shell
from tradebot.daemon.startlog import TOO_MANY, WINDOW, StartLog
from tradebot.daemon.telling import Log
from tradebot.errors import Busy, DataError, ExitCode, TradebotError

LOG_FILE = "tradebot.log"
_NOT_TRIED_AGAIN = (ExitCode.USAGE, ExitCode.BUSY, ExitCode.PERMISSION, ExitCode.CONFIG)
_APART = 3_600.0  # seconds between two summaries when market time is not ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What a daemon is given of the world.

    `until_end`: end when stored data that are played have ended. `orphans`: what becomes of strategies that
    the file no longer names. `never_on_paper`: strategies that may trade real money although they never
    ran on paper as they are. `vault` holds the keys of venues. `warnings` are what reading secrets had to say. `ending` is told the exit
    code before files are closed, sees to it that closing does not take for ever, and returns what calls
    that off.
    """

    env: Mapping[str, str] = field(default_factory=lambda: os.environ)
    vault: Vault = field(default_factory=no_keys)
    redactor: Redactor = field(default_factory=Redactor)
    warnings: Sequence[str] = ()
    log_level: str = "info"
    until_end: bool = False
    orphans: Choice = "refuse"
    never_on_paper: Sequence[str] = ()
    stream: TextIO | None = None
    machine: surroundings.Machine = field(default_factory=surroundings.Machine)
    wall_ns: Callable[[], int] = time.time_ns
    ending: Callable[[int], Callable[[], None]] = lambda code: lambda: None


async def serve(config: Config, project: Path, where: places.Places, outside: Outside) -> int:
    """Trade until stopped; returns the exit code. Raises TradebotError for what forbids a start."""
    _stop_by_signal()
    places.make(where)
    with ExitStack() as held:
        deadline = _Deadline(outside)
        held.callback(deadline.is_met)
        held.enter_context(_locked(where, outside))
        logs = held.enter_context(_logs(where, outside))
        log: Log = structlog.get_logger().bind(mode=config.mode)
        starts = StartLog(where.state)
        began = _began(config, where, outside, starts, log)
        held.push(partial(_note_end, starts))
        shell = _shell(config, project, where, outside, logs=logs, log=log)
        async with shell, _Page(config, shell, log), AsyncExitStack() as ends:
            opened = await _open(
                config, project, where, outside, began=began, held=held, ends=ends, deadline=deadline, log=log
            )
            daemon = Daemon(
                [one.account for one in opened],
                mode=config.mode,
                started=began.wall,
                config_digest=digest(config),
                hooks=shell.hooks,
            )
            _settle_memory()
            shell.surround(daemon, {o.account.name: o.journal.progress for o in opened})
            hide = outside.redactor.redact
            async with ControlServer(where.socket, Control(daemon).answer, hide=hide):
                code = int(await daemon.run())
        log.info("stopped", exit_code=code)
        return code


@dataclass(frozen=True, slots=True, kw_only=True)
class _Began:
    """The second of this start, and the halts it begins with."""

    wall: int
    halts: tuple[Halt, ...]


def _began(config: Config, where: places.Places, outside: Outside, starts: StartLog, log: Log) -> _Began:
    log.info("starting", pid=os.getpid(), state=str(where.state), accounts=", ".join(config.accounts))
    little = surroundings.disk_warning(outside.machine, where.state)
    wall = surroundings.start_second(outside.machine, starts.last)
    for text in (*outside.warnings, little, surroundings.clock_warning(outside.machine)):
        if text is not None:
            log.warning("warning", text=text)
    number = starts.begin(wall)
    if number < TOO_MANY:
        return _Began(wall=wall, halts=())
    reason = (
        f"this is start {number} within {WINDOW // 60} minutes, and those before it did not end in order; "
        "look into the log for why, then resume"
    )
    log.critical("crash_loop", starts=number)
    halt = Halt(
        scope=EVERYTHING, level=HaltLevel.NO_NEW_RISK, reason=reason, rule=CRASH_LOOP, since=wall * SECOND
    )
    return _Began(wall=wall, halts=(halt,))


async def _open(
    config: Config,
    project: Path,
    where: places.Places,
    outside: Outside,
    *,
    began: _Began,
    held: ExitStack,
    ends: AsyncExitStack,
    deadline: _Deadline,
    log: Log,
) -> list[Opened]:
    check_accounts(config, where, outside.orphans)
    opened: list[Opened] = []
    opener, opening = OwnThread("open"), Opening(outside.vault, ends)
    held.callback(opener.close)
    await opener.run(partial(rehearsed, config, project, where.state, although=outside.never_on_paper))
    for name in config.accounts:
        since = time.monotonic()
        mine = where.account(config.mode, config.accounts[name].venue, name)
        places.make_account(mine)
        request = Request(
            config=config,
            project=project,
            account=name,
            places=mine,
            wall=began.wall,
            extra_halts=began.halts,
            orphans=outside.orphans,
            until_end=outside.until_end,
            hide=outside.redactor.redact,
        )
        ready = await opening.of(request)
        # In a thread: a long replay must not keep us from asking systemd for time.
        with _playable(config, project, name):
            one = await _whole(opener.run(ready), deadline, log)
        held.callback(one.close)
        held.push(deadline.begins)
        opened.append(one)
        log.info("opened", account=name, after_s=round(time.monotonic() - since, 3))
    return opened


@contextmanager
def _playable(config: Config, project: Path, name: str) -> Iterator[None]:
    """Say of an account without stored data to play that somebody must act: starting again finds none either."""
    try:
        yield
    except DataError as exc:
        if place_of(config, project, name) is not None:
            raise
        raise refuse(f"accounts.{name}", f"there must be data to play: {exc}") from exc


async def _whole(work: Coroutine[Any, Any, Opened], deadline: _Deadline, log: Log) -> Opened:
    """Return what is being opened. A signal does not leave the thread behind: it writes under our lock."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError as exc:
        log.info("stopping", reason="a signal, before anything was traded")
        deadline.begins(type(exc), exc, None)
        await asyncio.wait({task})
        if task.exception() is None:
            task.result().close()
        raise


def _settle_memory() -> None:
    """Look for garbage more often than a short command does, and no more among what stays for good."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def _note_end(
    starts: StartLog, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
) -> None:
    """Note an orderly end; what somebody must set right first, and is not tried again, is one, too."""
    refused = isinstance(exc, TradebotError) and exc.exit_code in _NOT_TRIED_AGAIN
    if exc is None or refused or isinstance(exc, asyncio.CancelledError):
        starts.end()


class _Deadline:
    """Bounds how long the closing of files may take."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._call_off: Callable[[], None] | None = None

    def begins(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Begin to count, with the exit code that `exc` leads to; an `ExitStack` calls it."""
        failed = exc.exit_code if isinstance(exc, TradebotError) else ExitCode.BUG
        in_order = exc is None or isinstance(exc, asyncio.CancelledError)
        if self._call_off is None:
            self._call_off = self._outside.ending(int(ExitCode.OK if in_order else failed))

    def is_met(self) -> None:
        """Everything is closed."""
        if self._call_off is not None:
            self._call_off()


def _stop_by_signal() -> None:
    """Let a signal end a start that has not come as far as the daemon's own handling."""
    task = asyncio.current_task()
    if task is not None:
        for number in ending_signals():
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def _locked(where: places.Places, outside: Outside) -> Lock:
    lock = Lock(where.state)
    lock.take(outside.wall_ns)
    return lock


def _logs(where: places.Places, outside: Outside) -> Logs:
    settings = LogSettings(level=outside.log_level, file=where.logs / LOG_FILE)
    stream = sys.stderr if outside.stream is None else outside.stream
    return Logs(settings, outside.redactor, stream=stream, env=outside.env, wall_ns=outside.wall_ns)


def _shell(
    config: Config, project: Path, where: places.Places, outside: Outside, *, logs: Logs, log: Log
) -> Shell:
    def failed(place: str, why: str) -> None:
        log.warning("message_failed", place=place, why=why)

    label = config.mode.upper()
    courier = Courier(
        routes_of(config.notify),
        Desk(label),
        send_by_apprise,
        outside.redactor,
        failed=failed,
        wall_ns=outside.wall_ns,
    )
    files = {}
    for name, account in config.accounts.items():
        mine = where.account(config.mode, account.venue, name)
        files[name] = (mine.journal, mine.archive, mine.venue)
    notifier = Notifier(outside.env)
    means = Means(
        log=log,
        logs=logs,
        courier=courier,
        figures=Figures(Metrics(config.mode, outside.wall_ns), outside.wall_ns, files),
        notifier=notifier,
        watchdog=Watchdog(notifier, outside.env),
        dead_men=_dead_men(config.notify, outside.redactor, log),
    )
    return Shell(
        means,
        label=label,
        budget=config.limits.time_budget / SECOND,
        summaries_apart=_APART if any(_is_fast(config, project, name) for name in config.accounts) else 0.0,
        reserve=Reserve(where.state).release,
    )


def _is_fast(config: Config, project: Path, account: str) -> bool:
    """Return whether an account's market time may run faster than ours."""
    if place_of(config, project, account) is not None:
        return False
    pace = config.accounts[account].replay.pace
    return pace is None or pace > SECOND


def _dead_men(
    notify: Sequence[Notify], redactor: Redactor, log: Log
) -> list[Callable[[Callable[[], bool]], DeadMan]]:
    makers: list[Callable[[Callable[[], bool]], DeadMan]] = []
    for url, every, place in pings_of(notify):
        redactor.add_url(url)

        def failed(why: str, place: str = place) -> None:
            log.warning("ping_failed", place=place, why=redactor.redact(why))

        makers.append(partial(DeadMan, url, every, failed=failed))
    return makers


class _Page:
    """The page with figures, while the daemon lives; without it trading goes on."""

    def __init__(self, config: Config, shell: Shell, log: Log) -> None:
        self._port, self._metrics, self._log = config.metrics.port, shell.metrics, log
        self._served: Served | None = None

    async def __aenter__(self) -> None:
        if self._port is None:
            return
        try:
            self._served = await serve_metrics(self._metrics, port=self._port)
        except Busy as exc:
            self._log.warning("metrics_not_served", why=str(exc))
        else:
            self._log.info("metrics_served", port=self._served.port)

    async def __aexit__(self, *_: object) -> None:
        if self._served is not None:
            await self._served.close()

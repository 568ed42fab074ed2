"""Surround the accounts of a daemon with what tells of them: log, alerts, figures, systemd, the ping.

Owns the tasks beside trading and their rhythm, and what happens when a strategy does not come back. Nothing
here is in an order's way: a task that fails is told of and ends, trading goes on.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

from tradebot.core import facts as f
from tradebot.core.rules import STORE, TIME_BUDGET
from tradebot.core.scope import EVERYTHING, HaltLevel, Scope
from tradebot.daemon.account import Phase, TradingAccount
from tradebot.daemon.alerts import Severity
from tradebot.daemon.courier import Courier
from tradebot.daemon.ending import at_the_latest
from tradebot.daemon.executor import OwnThread
from tradebot.daemon.figures import Figures, Seen
from tradebot.daemon.halts import Halt
from tradebot.daemon.logs import Logs
from tradebot.daemon.notify_systemd import Notifier, Watchdog
from tradebot.daemon.process import Daemon, Hooks
from tradebot.daemon.sending import DeadMan
from tradebot.daemon.stuck import Budget, Overdue
from tradebot.daemon.summary import Days, Tally
from tradebot.daemon.telling import Log, Teller
from tradebot.errors import ExitCode, StoreError, TradebotError

_LOOK = 5.0  # seconds between two looks at figures
_TICK = 2.0
_BEATS_LATE = 30.0  # a heartbeat older than this is no life
_MORE_TIME = 30.0
_LONGEST_STEP = 1_800.0
_LAST_LINE = 1.0  # seconds that the log may take when nobody waits any more
_LAST_WORDS = 15.0  # seconds that a last message may take; loading its libraries is most of them

Streams = Callable[[], Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """By what the outside is reached. `ended` ends the process at once with a code."""

    log: Log
    logs: Logs
    courier: Courier
    figures: Figures
    notifier: Notifier
    watchdog: Watchdog
    dead_men: Sequence[Callable[[Callable[[], bool]], DeadMan]] = ()
    ended: Callable[[int], None] = os._exit
    monotonic: Callable[[], float] = time.monotonic


@dataclass(slots=True, kw_only=True)
class _Told:
    """What was already told of an account."""

    tally: Tally = field(default_factory=Tally)
    looks: int = 0
    feed_over: bool = False
    since: float = 0.0  # when its present phase began
    seen: Seen | None = None


class Shell:
    """What surrounds one daemon; entered before it runs and left after it has ended."""

    def __init__(
        self,
        means: Means,
        *,
        label: str,
        budget: float,
        summaries_apart: float = 0.0,
        reserve: Callable[[], None],
    ) -> None:
        """`label` is PAPER or LIVE; `budget` the seconds of one call; `reserve` frees a little disk."""
        self.hooks = Hooks(
            ready=self._ready,
            beat=self._beat,
            stopping=self._stopping,
            failing=self._failing,
            cut_short=self._cut_short,
        )
        self.metrics = means.figures.metrics
        self._means = means
        self._label = label
        self._budget = budget
        self._reserve = reserve
        self._days = Days(summaries_apart)
        self._teller = Teller(means.log, means.courier.tell)
        self._daemon: Daemon | None = None
        self._streams: dict[str, Streams] = {}
        self._told: dict[str, _Told] = {}
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._can_look = asyncio.Event()
        self._began = means.monotonic()
        self._lost = 0
        self._dropped = 0

    def surround(self, daemon: Daemon, streams: Mapping[str, Streams]) -> None:
        """Listen to the accounts of `daemon`; `streams` say how far each account's series have come."""
        self._daemon = daemon
        self._streams = dict(streams)
        for name, account in daemon.accounts.items():
            self._told[name] = _Told(since=self._means.monotonic())
            account.listeners.append(partial(self._fact, account))
            account.parts.outbox.latency = self.metrics.order_latency.observe
            account.entered = partial(self._entered, account)

    # --- life ---------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        means = self._means
        self._beside("courier", means.courier.run())
        self._beside("ticks", self._ticks())
        self._beside("figures", self._looks())
        self._beside("time budget", self._watch_calls())
        self._beside("start", self._more_time())
        for number, make in enumerate(means.dead_men):
            self._beside(f"ping {number}", make(self.is_trading).run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(exc, Exception):
            await self._say_failed(exc)
        await self._means.courier.drain(_LAST_WORDS)
        tasks = list(self._tasks)
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_TICK)

    def _beside(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = name
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        name = self._tasks.pop(task, None)
        if name is None or task.cancelled() or task.exception() is None:
            return
        self._means.log.critical("task_failed", task=name, exc_info=task.exception())
        self._means.courier.tell(
            Severity.CRITICAL,
            f"task/{name}",
            f"the task {name} failed",
            "Trading goes on without it. Please report this; the log has the details.",
        )

    def is_trading(self) -> bool:
        """Return whether all accounts are ready, not halted entirely, and their engines answer."""
        daemon = self._daemon
        if daemon is None or not daemon.trades or daemon.last_beat is None:
            return False
        if any(a.parts.halts.everything is not None for a in daemon.accounts.values()):
            return False
        return asyncio.get_running_loop().time() - daemon.last_beat < _BEATS_LATE

    # --- what the daemon says -------------------------------------------------------------------------

    def _fact(self, account: TradingAccount, recorded: f.Recorded) -> None:
        self._told[account.name].tally.take(recorded.fact, account.parts.runner.engine.setup.instruments)
        self._means.figures.fact(account.name, recorded)
        # Not now: the orders that follow from this fact are about to be sent, and writing takes its time.
        asyncio.get_running_loop().call_soon(self._teller.fact, account.name, recorded)

    def _entered(self, account: TradingAccount, phase: Phase) -> None:
        told, now = self._told[account.name], self._means.monotonic()
        self._means.log.info(
            "phase", account=account.name, phase=phase.value, after_s=round(now - told.since, 3)
        )
        told.since = now
        if phase is Phase.WARMING_UP:
            self._findings(account)
        if phase is not Phase.READY:
            self._means.notifier.status(f"{self._label} {account.name}: {phase.value}")

    def _ready(self) -> None:
        assert self._daemon is not None
        self._can_look.set()
        took = self._means.monotonic() - self._began
        names = ", ".join(self._daemon.accounts)
        self._means.notifier.ready(f"{self._label} ready: {names}")
        self._means.log.info("ready", accounts=names, start_s=round(took, 3))
        self._means.courier.tell(
            Severity.INFO, "start", "started", f"Ready after {took:.1f} s. Accounts: {names}."
        )

    def _beat(self) -> None:
        now = self._means.monotonic()
        self._means.watchdog.healthy_cycle(now)
        self._means.figures.metrics.cycle("engine", time.time_ns())

    def _stopping(self, reason: str) -> None:
        self._means.notifier.stopping(f"{self._label} stopping: {reason}")
        self._means.log.info("stopping", reason=reason)
        self._means.courier.tell(
            Severity.INFO, "stop", "stopping", f"{reason}. Positions and their exits stay."
        )

    def _cut_short(self, reason: str) -> None:
        """End the process now; a log that does not take the reason holds it up for a moment only."""
        code = int(ExitCode.FAILED)
        at_the_latest(code, _LAST_LINE, self._means.ended)
        self._means.log.critical("cut_short", reason=reason, exit_code=code)
        self._means.logs.stop()
        self._means.ended(code)

    def _failing(self, account: TradingAccount, exc: TradebotError) -> None:
        """Latch a halt when facts could not be recorded: a full disk must not trade again by itself."""
        if not isinstance(exc, StoreError) or account.phase not in (Phase.READY, Phase.STOPPING):
            return
        self._reserve()
        reason = f"facts could not be recorded: {exc}"
        self._latch(account, EVERYTHING, STORE, reason)

    def _latch(self, account: TradingAccount, scope: Scope, rule: str, reason: str) -> None:
        now = account.parts.clock.now()
        halt = Halt(scope=scope, level=HaltLevel.NO_NEW_RISK, reason=reason, rule=rule, since=now)
        try:
            account.parts.halts.set(halt)  # in memory first: nothing is sent, whatever the disk says
        except StoreError as exc:
            self._means.log.critical("halt_not_on_disk", account=account.name, error=str(exc))

    async def _say_failed(self, exc: Exception) -> None:
        code = int(exc.exit_code if isinstance(exc, TradebotError) else ExitCode.BUG)
        self._means.notifier.status(f"{self._label} failed: {exc}")
        # What a user must set right is said in words; the way there is for bugs only.
        trace = {} if isinstance(exc, TradebotError) and code != ExitCode.BUG else {"exc_info": exc}
        self._means.log.critical("failed", error=str(exc), exit_code=code, **trace)
        self._means.courier.tell(
            Severity.CRITICAL, f"failed/{type(exc).__name__}", f"ended with exit code {code}", str(exc)
        )

    # --- tasks beside trading ---------------------------------------------------------------------------

    async def _more_time(self) -> None:
        """Ask systemd for more time while a start goes on; a step that takes for ever gets no more."""
        step, since = "", self._began
        while self._daemon is None or not self._daemon.is_ready:
            accounts = () if self._daemon is None else self._daemon.accounts.values()
            now, present = self._means.monotonic(), " ".join(a.phase.name for a in accounts)
            if present != step or Phase.WAITING.name in present.split():
                step, since = present, now
            if now - since < _LONGEST_STEP:
                self._means.notifier.extend(_MORE_TIME)
            await asyncio.sleep(_MORE_TIME / 3)

    async def _ticks(self) -> None:
        means = self._means
        while True:
            means.logs.tick()
            means.courier.tick()
            self._teller.tick(means.monotonic())
            lost = means.courier.counts.given_up + means.courier.counts.dropped
            means.figures.metrics.alerts_lost.inc(lost - self._lost)
            dropped = means.logs.ceiling.lines_dropped
            means.figures.metrics.log_lines_dropped.inc(dropped - self._dropped)
            self._lost, self._dropped = lost, dropped
            await asyncio.sleep(_TICK)

    async def _looks(self) -> None:
        await self._can_look.wait()
        while True:
            await self.look()
            await asyncio.sleep(_LOOK)

    async def look(self) -> None:
        """Look at every account once: figures, findings, the end of a feed and of a day."""
        known = () if self._daemon is None else self._daemon.accounts.values()
        accounts = [a for a in known if a.phase is Phase.READY]  # one that ends has no thread any more
        for account in accounts:
            await self._look(account)
        if accounts:
            self._say_day(accounts)

    async def _look(self, account: TradingAccount) -> None:
        told = self._told[account.name]
        told.seen = await self._means.figures.look(account, self._streams[account.name])
        depth, equity = account.parts.runner.depth, told.seen.worth
        self._means.log.debug("looked", account=account.name, equity=equity, queue=depth)
        self._findings(account)
        if account.feed_is_over and not told.feed_over:
            told.feed_over = True
            self._teller.feed_over(account.name)

    def _findings(self, account: TradingAccount) -> None:
        told, reconciler = self._told[account.name], account.parts.reconciler
        if reconciler.looks != told.looks:
            told.looks = reconciler.looks
            self._teller.findings(account.name, reconciler.last)

    def _say_day(self, accounts: Sequence[TradingAccount]) -> None:
        market = max(account.parts.clock.now() for account in accounts)
        worth = {a.name: seen.worth for a in accounts if (seen := self._told[a.name].seen) is not None}
        self._means.notifier.status(f"{self._label} " + ", ".join(f"{n} {w}" for n, w in worth.items()))
        if not self._days.is_over(market, self._means.monotonic()):
            return
        lines = [line for name, what in worth.items() for line in self._told[name].tally.lines(name, what)]
        self._means.log.info("daily_summary", lines=lines)
        self._means.courier.summarise(lines)
        for told in self._told.values():
            told.tally = Tally()

    async def _watch_calls(self) -> None:
        """Look for calls over their budget, and how late this loop is."""
        loop, metrics = asyncio.get_running_loop(), self._means.figures.metrics
        budgets: dict[str, Budget] = {}
        pause = Budget(self._budget).every
        while True:
            due = loop.time() + pause
            await asyncio.sleep(pause)
            metrics.loop_lag.set(max(0.0, loop.time() - due))
            accounts = {} if self._daemon is None else self._daemon.accounts
            metrics.queue_depth.set(sum(a.parts.runner.depth for a in accounts.values()))
            for name, account in accounts.items():
                executor = account.parts.executor
                thread = executor.ident if isinstance(executor, OwnThread) else None
                over = budgets.setdefault(name, Budget(self._budget)).look(thread, loop.time())
                if over is not None:
                    await self._end_over(account, over)

    async def _end_over(self, account: TradingAccount, over: Overdue) -> None:
        """Halt a strategy that does not come back and end the process: its thread cannot be ended alone."""
        account.parts.runner.abandon(over.reason)
        self._latch(account, Scope(over.strategy, None), TIME_BUDGET, over.reason)
        self._means.log.critical(
            "time_budget",
            account=account.name,
            strategy=over.strategy,
            where=over.where,
            budget_s=over.budget,
        )
        self._means.courier.tell(
            Severity.CRITICAL,
            f"time_budget/{account.name}/{over.strategy}",
            f"{account.name}: strategy {over.strategy} does not come back",
            f"{over.reason}. It is halted, and not called after the restart that follows now. Mend it, "
            f"then: tradebot resume --strategy {over.strategy} "
            f"--rule {TIME_BUDGET} --reason TEXT, and restart.",
        )
        await self._means.courier.drain(_LAST_WORDS)
        self._means.logs.stop()
        self._means.ended(int(ExitCode.FAILED))

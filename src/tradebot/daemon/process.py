"""Be the process: all accounts of one daemon from start to end, signals, deadlines, exit codes.

Owns what is one per process: the stop by signal, the wait for READY, the heartbeat that proves that a
whole cycle works (loop, engine thread and back). One account that fails ends the process: starting again
is recovery, and systemd does that. Refuses trading; that is `account`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tradebot.daemon.account import Phase, TradingAccount
from tradebot.errors import ExitCode, TradebotError

_BEAT = 5.0  # seconds between two heartbeats
_STOP_WITHIN = 60.0
_END_WITHIN = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What the outside is told: `ready` once, `beat` after every whole cycle, `stopping` once.

    `failing`: an account ends by an error of ours. `cut_short`: the process ends now with code 1, in the
    middle of an orderly end, and why; it does not return.
    """

    ready: Callable[[], None] = lambda: None
    beat: Callable[[], None] = lambda: None
    stopping: Callable[[str], None] = lambda reason: None
    failing: Callable[[TradingAccount, TradebotError], None] = lambda account, exc: None
    cut_short: Callable[[str], None] = lambda reason: os._exit(int(ExitCode.FAILED))


def ending_signals() -> Sequence[signal.Signals]:
    """Return the signals that ask for an orderly end: a closed terminal does, unless we were told to outlive it."""
    found = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup leaves it
        found.append(signal.SIGHUP)
    return found


class Daemon:
    """The accounts of one process. `mode` is paper or live; `started` is the wall clock's second."""

    def __init__(
        self,
        accounts: Sequence[TradingAccount],
        *,
        mode: str,
        started: int,
        config_digest: str,
        hooks: Hooks = Hooks(),
    ) -> None:
        self.accounts: Mapping[str, TradingAccount] = {a.name: a for a in accounts}
        self.mode = mode
        self.started = started
        self.config_digest = config_digest
        self.last_beat: float | None = None
        self.is_stopping = False
        self._said_ready = False
        self._hooks = hooks
        self._signals = 0
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def is_ready(self) -> bool:
        """Whether accounts trade, and those that do not only wait for their venue to answer."""
        accounts = self.accounts.values()
        trades = [a.phase is Phase.READY for a in accounts]
        return any(trades) and all(
            a.is_waiting or is_ready for a, is_ready in zip(accounts, trades, strict=True)
        )

    @property
    def trades(self) -> bool:
        """Whether every account trades."""
        return all(a.phase is Phase.READY for a in self.accounts.values())

    async def run(self) -> ExitCode:
        """Start every account, trade until stopped. Raises what made one account fail."""
        loop = asyncio.get_running_loop()
        for number in ending_signals():
            loop.add_signal_handler(number, self._signalled, number.name)
        lives = [loop.create_task(self._live(account)) for account in self.accounts.values()]
        beat = loop.create_task(self._beat())
        try:
            await self._all_of({*lives, beat}, until=lives)
        finally:
            for task in (*lives, beat):
                task.cancel()
            # An engine that hangs holds nobody up: the process ends without it.
            await asyncio.wait({*lives, beat}, timeout=_END_WITHIN)
            if self._deadline is not None:
                self._deadline.cancel()
        return ExitCode.OK

    async def _all_of(self, tasks: set[asyncio.Task[None]], until: Sequence[asyncio.Task[None]]) -> None:
        waiting = set(tasks)
        while not all(task.done() for task in until):
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=until.__contains__, reverse=True):  # an account's own error first
                await task

    async def _live(self, account: TradingAccount) -> None:
        try:
            await account.start()
            self._say_ready()
            await account.run()
        except TradebotError as exc:
            self._hooks.failing(account, exc)
            raise

    def _say_ready(self) -> None:
        if self.is_ready and not self._said_ready:
            self._said_ready = True
            self._hooks.ready()

    async def _beat(self) -> None:
        """Say that everything works, each time that it has been seen to."""
        while True:
            self._say_ready()  # an account may have begun to wait after the others were ready
            for account in self.accounts.values():
                if account.phase not in (Phase.STOPPING, Phase.STOPPED):
                    await account.parts.runner.look(lambda: None)
            self.last_beat = asyncio.get_running_loop().time()
            self._hooks.beat()
            await asyncio.sleep(_BEAT)

    # --- stopping -----------------------------------------------------------------------------------

    def stop(self, reason: str) -> None:
        """Let every account end in order; what takes too long is left to the next start."""
        self.is_stopping = True
        self._hooks.stopping(reason)
        for account in self.accounts.values():
            account.stop(reason)
        if self._deadline is None:
            loop = asyncio.get_running_loop()
            reason = f"an orderly end must take at most {_STOP_WITHIN:g} s, did not come"
            self._deadline = loop.call_later(_STOP_WITHIN, self._hooks.cut_short, reason)

    def _signalled(self, name: str) -> None:
        self._signals += 1
        if self._signals > 1:
            # Recovery copes, as after any other end.
            self._hooks.cut_short(f"{name}, and it was stopping already")
        self.stop(name)

"""Act on an account with no daemon: its files are opened under the lock, and the usual engine does it.

Owns when it is done. The engine, the gate and the venue are those that a start would plug together. To
close, no strategy is loaded, because one of them may be why no daemon runs. Nothing is opened meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tradebot.app.opening import Opening
from tradebot.app.trading import Request
from tradebot.config.models import Config
from tradebot.core.engine import Engine
from tradebot.core.reconcile import Finding
from tradebot.core.rules import DIRECT, OWNER
from tradebot.core.scope import EVERYTHING, HaltLevel, Scope
from tradebot.daemon.account import Phase, TradingAccount
from tradebot.daemon.halts import Halt, HaltFlag
from tradebot.daemon.lock import Lock
from tradebot.daemon.places import Places
from tradebot.daemon.reconciler import halt_of
from tradebot.daemon.secrets import Vault
from tradebot.errors import VenueUnreachable

T = TypeVar("T")
_LOOK_EVERY = 0.05  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """On which accounts to act, why, and how long it may take (seconds)."""

    config: Config
    project: Path
    where: Places
    vault: Vault
    accounts: Sequence[str]
    reason: str
    within: float


def close_accounts(acting: Acting, scope: Scope) -> Mapping[str, Sequence[str]]:
    """Close what is our own in a scope; returns by account what is still held or working when time is over.

    Raises Busy while a daemon runs, and what forbids a start. The halt stays: nothing is opened again
    before a resume.
    """
    return _with_lock(acting, lambda name: _close(acting, name, scope))


def adopt_accounts(acting: Acting) -> Mapping[str, Sequence[Finding]]:
    """Take the venue's word for everything; returns by account what was adopted.

    Orders of our own that the journal does not know are ended first. Raises Busy while a daemon runs,
    VenueUnreachable when the venue does not answer in time.
    """
    return _with_lock(acting, lambda name: _adopt(acting, name))


def _with_lock(acting: Acting, act: Callable[[str], Awaitable[T]]) -> dict[str, T]:
    async def run(name: str) -> T:
        return await act(name)

    lock = Lock(acting.where.state)
    lock.take(time.time_ns)
    with lock:
        return {name: asyncio.run(run(name)) for name in acting.accounts}


async def _close(acting: Acting, name: str, scope: Scope) -> Sequence[str]:
    halt = Halt(scope=scope, level=HaltLevel.FLATTEN, reason=acting.reason, rule=OWNER, since=time.time_ns())
    files = acting.where.account(acting.config.mode, acting.config.accounts[name].venue, name)
    HaltFlag(files.halt).set(halt)  # first of all: it holds whatever happens to this process

    async def flat(account: TradingAccount) -> Sequence[str]:
        life = asyncio.get_running_loop().create_task(account.run())
        try:
            left = await _until_flat(account, life, acting.within, scope)
            await account.halt(replace(_held(), level=HaltLevel.NONE, reason="done"))
        finally:
            account.stop("done directly")
            await asyncio.wait({life}, timeout=acting.within)
        await life
        return left

    nobody = acting.config.model_copy(update={"strategies": ()})
    return await _opened(acting, name, nobody, flat, adopts=False)


async def _adopt(acting: Acting, name: str) -> Sequence[Finding]:
    async def compared(account: TradingAccount) -> Sequence[Finding]:
        try:
            async with asyncio.timeout(acting.within):
                await account.start()
        except TimeoutError as exc:
            raise VenueUnreachable(f"the venue of {name} must answer to be compared with, did not") from exc
        adopted = account.parts.reconciler.adopted
        for finding in adopted:
            key = halt_of(finding, name)
            halt = None if key is None else account.parts.halts.of(*key)
            if halt is not None:
                why = f"adopted: {acting.reason}"
                await account.halt(replace(halt, level=HaltLevel.NONE, reason=why, since=time.time_ns()))
        await account.halt(replace(_held(), level=HaltLevel.NONE, reason="done"))
        account.stop("done directly")
        await account.run()  # to its orderly end
        return adopted

    return await _opened(acting, name, acting.config, compared, adopts=True)


def _held() -> Halt:
    """Return the condition that keeps everything else back meanwhile."""
    return Halt(
        scope=EVERYTHING,
        level=HaltLevel.PAUSED,
        reason="opened without a daemon",
        rule=DIRECT,
        since=time.time_ns(),
    )


async def _opened(
    acting: Acting,
    name: str,
    config: Config,
    act: Callable[[TradingAccount], Awaitable[T]],
    *,
    adopts: bool,
) -> T:
    """Open an account and act on it; whatever happens, its files are closed."""
    request = Request(
        config=config,
        project=acting.project,
        account=name,
        places=acting.where.account(config.mode, config.accounts[name].venue, name),
        wall=int(time.time()),
        orphans="leave",
        extra_halts=(_held(),),
        adopts=adopts,
    )
    async with AsyncExitStack() as ends:
        opened = (await Opening(acting.vault, ends).of(request))()
        try:
            return await act(opened.account)
        finally:
            opened.close()


async def _until_flat(
    account: TradingAccount, life: asyncio.Task[None], within: float, scope: Scope
) -> Sequence[str]:
    """Wait until nothing is left, time is over, or no price comes any more; returns what is left."""
    loop = asyncio.get_running_loop()
    until, runner = loop.time() + within, account.parts.runner
    while loop.time() < until and not life.done() and not account.feed_is_over:
        if account.phase is Phase.READY and not await runner.look(lambda: left_of(runner.engine, scope)):
            break
        await asyncio.sleep(_LOOK_EVERY)
    return left_of(runner.engine, scope)


def left_of(engine: Engine, scope: Scope = EVERYTHING) -> Sequence[str]:
    """Return what strategies still hold in a scope, and orders that still work, in words."""
    ledger = engine.ledger
    held = [
        f"{position.qty.normalize():f} {name} of {strategy}"
        for strategy, sub in ledger.subs.items()
        for name, position in sub.positions.items()
        if position.qty and scope.covers(strategy, name, sub.account)
    ]
    working = [
        f"order {order_id} in {key[1]}"
        for key, rows in ledger.open.items()
        if scope.covers(*key, ledger.subs[key[0]].account)
        for order_id in rows
    ]
    return [*held, *working]

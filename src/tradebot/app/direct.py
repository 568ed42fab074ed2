"""Close an account with no daemon: its files are opened under the lock, and the usual engine does it.

Owns when it is done. The engine, the gate and the venue are those that a start would plug together; no
strategy is loaded, because one of them may be why no daemon runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tradebot.app.trading import Request, open_account
from tradebot.config.models import Config
from tradebot.core.engine import Engine
from tradebot.core.rules import ORPHAN, OWNER
from tradebot.core.scope import EVERYTHING, HaltLevel
from tradebot.daemon.account import Phase, TradingAccount
from tradebot.daemon.halts import Halt, HaltFlag
from tradebot.daemon.lock import Lock
from tradebot.daemon.places import Places

_LOOK_EVERY = 0.05  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What is to be closed, why, and how long it may take (seconds)."""

    config: Config
    project: Path
    where: Places
    accounts: Sequence[str]
    reason: str
    within: float


def close_accounts(closing: Closing) -> Mapping[str, Sequence[str]]:
    """Close everything of our own; returns by account what is still held or working when time is over.

    Raises Busy while a daemon runs, and what forbids a start. The halt stays: nothing is opened again
    before a resume.
    """
    lock = Lock(closing.where.state)
    lock.take(time.time_ns)
    with lock:
        return {name: asyncio.run(_close(closing, name)) for name in closing.accounts}


async def _close(closing: Closing, name: str) -> Sequence[str]:
    config, wall = closing.config, int(time.time())
    mine = closing.where.account(config.mode, config.accounts[name].venue, name)
    halt = Halt(
        scope=EVERYTHING, level=HaltLevel.FLATTEN, reason=closing.reason, rule=OWNER, since=wall * 10**9
    )
    HaltFlag(mine.halt).set(halt)  # first of all: it holds whatever happens to this process
    nobody = config.model_copy(update={"strategies": ()})
    opened = open_account(
        Request(config=nobody, project=closing.project, account=name, places=mine, wall=wall, orphans="close")
    )
    try:
        life = asyncio.get_running_loop().create_task(opened.account.run())
        try:
            await _until_flat(opened.account, life, closing.within)
            await _lift_what_closed(opened.account)
        finally:
            opened.account.stop("closed directly")
            await asyncio.wait({life}, timeout=closing.within)
        await life
        return left_of(opened.account.parts.runner.engine)
    finally:
        opened.close()


async def _until_flat(account: TradingAccount, life: asyncio.Task[None], within: float) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + within
    runner = account.parts.runner
    while loop.time() < until and not life.done():
        if account.phase is Phase.READY and not await runner.look(lambda: left_of(runner.engine)):
            return
        if account.feed_is_over:
            return  # no price comes any more
        await asyncio.sleep(_LOOK_EVERY)


async def _lift_what_closed(account: TradingAccount) -> None:
    """End the halts by which each strategy was closed: that of the whole account stands over them."""
    for halt in account.parts.halts.all:
        if halt.rule == ORPHAN:
            now = account.parts.clock.now()
            await account.halt(replace(halt, level=HaltLevel.NONE, reason="closed directly", since=now))


def left_of(engine: Engine) -> Sequence[str]:
    """Return what strategies still hold, and orders that still work, in words."""
    held = [
        f"{position.qty.normalize():f} {name} of {strategy}"
        for strategy, sub in engine.ledger.subs.items()
        for name, position in sub.positions.items()
        if position.qty
    ]
    working = [
        f"order {order_id} in {key[1]}" for key, rows in engine.ledger.open.items() for order_id in rows
    ]
    return [*held, *working]

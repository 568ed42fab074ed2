"""Do what the owner asks: each verb's way to the accounts of this process.

Owns what a verb may change and in which order; a halt holds before anything else is asked, and needs
neither the engine's thread nor the disk. Refuses sockets (`control`) and pictures (`control_state`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from tradebot.core.messages import CancelOrder, Input
from tradebot.core.model import Purpose
from tradebot.core.rules import OWNER
from tradebot.core.scope import EVERYTHING, HaltLevel, Scope
from tradebot.daemon import control_state as state
from tradebot.daemon import control_words as words
from tradebot.daemon.account import TradingAccount
from tradebot.daemon.adopting import adopt
from tradebot.daemon.control_words import Aim, Answer, Asked
from tradebot.daemon.halts import Halt
from tradebot.daemon.process import Daemon
from tradebot.errors import StoreError, UsageError

_ENGINE_ANSWERS_WITHIN = 0.5  # seconds of the event loop
_KEYS_KEPT = 256

Body = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Done:
    print: str
    task: asyncio.Task[Answer]


class Control:
    """The verbs of one daemon; `answer` is what a `ControlServer` calls."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._done: dict[str, _Done] = {}
        self._late: set[asyncio.Task[None]] = set()
        self._reads: Mapping[str, Callable[[Asked], Awaitable[Body]]] = {
            "status": self._status,
            "reconcile": self._compare,
        }
        self._writes: Mapping[str, Callable[[Asked], Coroutine[Any, Any, Body]]] = {
            "stop": self._stop,
            "pause": self._pause,
            "halt": self._halt,
            "flatten": self._flatten,
            "resume": self._resume,
            "adopt": self._adopt,
        }

    async def answer(self, asked: Asked) -> Answer:
        """Answer a request. Raises TradebotError for one that cannot be done as it is put."""
        read, write = self._reads.get(asked.verb), self._writes.get(asked.verb)
        if read is None and write is None:
            known = ", ".join(sorted({*self._reads, *self._writes}))
            return words.refusal(404, "UsageError", f"no such verb {asked.path[:60]!r}; there are {known}")
        if asked.method == "GET" and read is not None:
            return words.ok(await read(asked))
        if asked.method == "POST" and write is not None:
            return await self._once(asked, write)
        return words.refusal(405, "UsageError", f"{asked.verb} is not asked by {asked.method[:10]}")

    async def _once(self, asked: Asked, write: Callable[[Asked], Coroutine[Any, Any, Body]]) -> Answer:
        """Do it, unless a request under the same key did: then its answer is given again."""
        key = words.check_key(asked)
        fingerprint = json.dumps([asked.verb, asked.body], sort_keys=True)
        found = self._done.get(key)
        if found is None:

            async def act() -> Answer:
                return words.ok(await write(asked))

            found = self._done[key] = _Done(fingerprint, asyncio.get_running_loop().create_task(act()))
            while len(self._done) > _KEYS_KEPT:
                del self._done[next(iter(self._done))]
        elif found.print != fingerprint:
            return words.refusal(409, "UsageError", "this Idempotency-Key was used for another request")
        # Whoever asked may go away: what was begun is brought to its end.
        return await asyncio.shield(found.task)

    # --- reading ------------------------------------------------------------------------------------

    async def _status(self, asked: Asked) -> Body:
        return await state.picture(self._daemon, _ENGINE_ANSWERS_WITHIN)

    async def _compare(self, asked: Asked) -> Body:
        accounts = self._accounts(Aim(account=asked.query.get("account")))
        found = {a.name: [state.line(x) for x in await a.parts.reconciler.dry_run()] for a in accounts}
        return {"mode": self._daemon.mode, "findings": found}

    # --- the end ------------------------------------------------------------------------------------

    async def _stop(self, asked: Asked) -> Body:
        words.check_fields(asked, "reason")
        reason = words.field(asked, "reason", str) or "asked by the owner"
        if not self._daemon.is_stopping:
            self._daemon.stop(reason)
        return {"mode": self._daemon.mode, "stopping": True}

    # --- halting ------------------------------------------------------------------------------------

    async def _pause(self, asked: Asked) -> Body:
        return await self._latched(asked, HaltLevel.PAUSED)

    async def _halt(self, asked: Asked) -> Body:
        return await self._latched(asked, words.level_of(asked), "level")

    async def _flatten(self, asked: Asked) -> Body:
        return await self._latched(asked, HaltLevel.FLATTEN)

    async def _latched(self, asked: Asked, level: HaltLevel, *more: str) -> Body:
        words.check_fields(asked, "account", "strategy", "instrument", "reason", *more)
        aim = words.aim_of(asked)
        reason = words.field(asked, "reason", str) or f"{asked.verb} by the owner"
        accounts = self._accounts(aim)
        scope = Scope(aim.strategy, aim.instrument)
        stand = [(account, _stricter(account, scope, level)) for account in accounts]
        # First every flag: from here on nothing leaves, whatever becomes of the rest.
        latched = [
            (account, _latch(account, scope, level, reason)) for account, known in stand if known is None
        ]
        told = [await self._told(account, halt) for account, halt in latched]
        rows: list[Body] = [state.halt_row(account.name, halt) for account, halt in latched]
        rows += [state.halt_row(account.name, known) for account, known in stand if known is not None]
        return {
            "mode": self._daemon.mode,
            "halts": rows,
            "already": [account.name for account, known in stand if known is not None],
            "engine_answers": all(told),
        }

    async def _told(self, account: TradingAccount, halt: Halt) -> bool:
        """Have the engine book a halt; returns whether it did so soon, else cancels what it cannot."""
        if await self._settled(account, halt.said(halt.since)):
            return True
        if halt.level.value >= HaltLevel.CANCEL_ENTRIES.value:
            _cancel_entries(account, halt)
        return False

    async def _settled(self, account: TradingAccount, message: Input) -> bool:
        """Queue an input; returns whether it was carried through soon. It stays queued if not."""
        work = asyncio.get_running_loop().create_task(account.parts.runner.settled(message))
        self._late.add(work)
        work.add_done_callback(self._over)
        done, _ = await asyncio.wait({work}, timeout=_ENGINE_ANSWERS_WITHIN)
        # With a full queue it raises: the flag holds, and the next start makes a fact of it.
        return bool(done) and not work.cancelled() and work.exception() is None

    def _over(self, work: asyncio.Task[None]) -> None:
        self._late.discard(work)
        if not work.cancelled():
            work.exception()  # told in `_settled`, or nobody waits for it any more

    async def _resume(self, asked: Asked) -> Body:
        words.check_fields(asked, "account", "strategy", "instrument", "rule", "reason")
        aim = words.aim_of(asked)
        reason = words.field(asked, "reason", str) or ""
        rule = words.field(asked, "rule", str) or OWNER
        scope = Scope(aim.strategy, aim.instrument)
        lifted: list[Body] = []
        chosen = [(a, h) for a in self._accounts(aim) for h in a.parts.halts.all if _is_meant(h, scope, rule)]
        if rule != OWNER and chosen and not reason:
            named = "; ".join(f"{halt.rule}: {halt.reason}" for _, halt in chosen)
            raise UsageError(f"what a rule stopped is lifted with a reason only (--reason). It was {named}")
        told = True
        for account, halt in chosen:
            end = Halt(
                scope=halt.scope,
                level=HaltLevel.NONE,
                reason=reason or "resumed by the owner",
                rule=halt.rule,
                since=account.parts.clock.now(),
            )
            account.parts.halts.set(end)
            told = await self._told(account, end) and told
            lifted.append(state.halt_row(account.name, halt))
        left = [state.halt_row(a.name, h) for a in self._accounts(aim) for h in a.parts.halts.all]
        return {"mode": self._daemon.mode, "lifted": lifted, "left": left, "engine_answers": told}

    # --- the venue ----------------------------------------------------------------------------------

    async def _adopt(self, asked: Asked) -> Body:
        """Book what the venue says where nothing explains the difference; the halts it caused end."""
        words.check_fields(asked, "account", "reason")
        reason = words.field(asked, "reason", str)
        if not reason:
            raise UsageError("adopting is written down with a reason (--reason)")
        adopted: dict[str, object] = {}
        for account in self._accounts(words.aim_of(asked)):
            taken, ended = await adopt(account, asked.key)
            for key in ended:
                halt = account.parts.halts.of(*key)
                if halt is not None:
                    now = account.parts.clock.now()
                    end = replace(halt, level=HaltLevel.NONE, reason=f"adopted: {reason}", since=now)
                    account.parts.halts.set(end)
                    await self._told(account, end)
            adopted[account.name] = [state.line(finding) for finding in taken]
        return {"mode": self._daemon.mode, "adopted": adopted}

    # --- whom it is about ---------------------------------------------------------------------------

    def _accounts(self, aim: Aim) -> Sequence[TradingAccount]:
        known = self._daemon.accounts
        if aim.account is not None and aim.account not in known:
            raise UsageError(f"no account {aim.account!r}; there are {', '.join(known)}")
        chosen = [a for name, a in known.items() if aim.account in (None, name)]
        setups = {a.name: a.parts.runner.engine.setup for a in chosen}
        if aim.strategy is not None:
            strategies = [s.id for setup in setups.values() for s in setup.strategies]
            if aim.strategy not in strategies:
                raise UsageError(f"no strategy {aim.strategy!r}; there are {', '.join(strategies)}")
            chosen = [a for a in chosen if any(s.id == aim.strategy for s in setups[a.name].strategies)]
        if aim.instrument is not None:
            instruments = list(dict.fromkeys(name for setup in setups.values() for name in setup.instruments))
            if aim.instrument not in instruments:
                raise UsageError(f"no symbol {aim.instrument!r}; there are {', '.join(instruments)}")
            chosen = [a for a in chosen if aim.instrument in setups[a.name].instruments]
        return chosen


def _stricter(account: TradingAccount, scope: Scope, level: HaltLevel) -> Halt | None:
    """Return the owner's halt of this very scope that goes as far already: it is not made milder."""
    known = account.parts.halts.of(scope, OWNER)
    return known if known is not None and known.level.value >= level.value else None


def _latch(account: TradingAccount, scope: Scope, level: HaltLevel, reason: str) -> Halt:
    halt = Halt(scope=scope, level=level, reason=reason, rule=OWNER, since=account.parts.clock.now())
    with suppress(StoreError):  # it holds, and what the engine books of it outlasts this process
        account.parts.halts.set(halt)
    return halt


def _is_meant(halt: Halt, scope: Scope, rule: str) -> bool:
    """Return whether a resume of `scope` lifts a halt.

    It lifts what `rule` stopped on exactly that strategy or symbol, or on the whole account; one of
    everything lifts the owner's narrower halts, too.
    """
    if halt.rule != rule:
        return False
    return halt.scope[:2] == scope[:2] or (scope == EVERYTHING and rule == OWNER)


def _cancel_entries(account: TradingAccount, halt: Halt) -> None:
    """Cancel entries and quotes from the loop: the engine's thread is stuck, and so changes nothing."""
    for key, working in list(account.parts.runner.engine.ledger.open.items()):
        if halt.scope.covers(*key, account.name):
            for order_id, record in list(working.items()):
                if record.order.purpose not in (Purpose.PROTECT, Purpose.FLATTEN):
                    account.parts.outbox.put(CancelOrder(client_order_id=order_id))

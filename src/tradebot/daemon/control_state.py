"""Draw the picture that the daemon has of itself: phases, halts, ages, equity, limits.

Owns the form of `status`. What stands in the journal (orders, positions, trades) is read from the journal,
beside the daemon; here is what only the process knows. Nothing here waits for a stuck engine.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import tradebot
from tradebot.core.engine import Engine
from tradebot.core.model import DAY
from tradebot.core.reconcile import Finding
from tradebot.core.setup import Limits
from tradebot.daemon.account import TradingAccount
from tradebot.daemon.halts import Halt
from tradebot.daemon.process import Daemon

Body = dict[str, Any]


async def picture(daemon: Daemon, patience: float) -> Body:
    """Return the state of every account; an engine that does not answer within `patience` s is left out."""
    now = asyncio.get_running_loop().time()
    return {
        "mode": daemon.mode,
        "version": tradebot.__version__,
        "pid": os.getpid(),
        "started": daemon.started,
        "config_digest": daemon.config_digest,
        "ready": daemon.is_ready,
        "stopping": daemon.is_stopping,
        "beat_age": None if daemon.last_beat is None else round(now - daemon.last_beat, 3),
        "accounts": [await _account(account, patience) for account in daemon.accounts.values()],
    }


async def _account(account: TradingAccount, patience: float) -> Body:
    parts = account.parts
    runner = parts.runner
    inside: Body | None
    try:
        async with asyncio.timeout(patience):
            inside = await runner.look(lambda: _inside(runner.engine, account.name))
    except TimeoutError:
        inside = None
    return {
        "name": account.name,
        "venue": parts.venue,
        "phase": account.phase.value,
        "now": parts.clock.now(),
        "source": parts.source,
        "feed_is_over": account.feed_is_over,
        "queue": runner.depth,
        "conflated": runner.conflated,
        "cycles": runner.cycles,
        "sent": parts.outbox.sent,
        "halts": [halt_row(account.name, halt) for halt in parts.halts.all],
        "looks": parts.reconciler.looks,
        "found": [line(finding) for finding in account.found],
        "engine_answers": inside is not None,
        "engine": inside,
    }


def _inside(engine: Engine, account: str) -> Body:
    """Return what is asked of the engine itself; called where nothing changes it meanwhile."""
    ledger, spec = engine.ledger, next(a for a in engine.setup.accounts if a.name == account)
    is_open = account in ledger.accounts
    day = ledger.days.get(account)
    held: dict[str, float] = {}
    for lots in (ledger.accounts[account].lots,) if is_open else ():
        held = {name: float(sum(lot.qty for lot in of)) for name, of in lots.items() if of}
    marks = {name: engine.marks.get(name) for name in engine.setup.instruments}
    worth = [
        abs(qty) * mark * float(engine.setup.instruments[name].multiplier)
        for name, qty in held.items()
        if (mark := marks.get(name)) is not None
    ]
    equity = _equity(engine, account) if is_open else None
    return {
        "base": spec.base_currency,
        "equity": equity,
        "day_equity": None if day is None else day.equity,
        "peak": None if day is None else max(day.peak, equity or 0.0),
        "gross": sum(worth),
        "orders_today": sum(1 for at in ledger.order_times if at >= engine.now // DAY * DAY),
        "marks": marks,
        "kept_exits": {
            f"{strategy}/{instrument}": [{"exit": level.exit, "price": str(level.price)} for level in levels]
            for (strategy, instrument), levels in engine.kept_exits().items()
        },
        "limits": limits_set(spec.limits),
        "capital": None if spec.capital is None else str(spec.capital),
        "failed": {f"{s}/{i}": error for (s, i), error in ledger.failed.items()},
        "reconciled": ledger.reconciled.get(account),
        "open_orders": sum(len(rows) for rows in ledger.open.values()),
        "strategies": [s.id for s in engine.setup.strategies],
    }


def _equity(engine: Engine, account: str) -> float | None:
    try:
        equity = engine.equity(account)
    except KeyError:  # the run has not begun: nothing is valued yet
        return None
    return equity if equity is not None and math.isfinite(equity) else None


def limits_set(limits: Limits) -> Mapping[str, float | int]:
    """Return the limits that are set, by name."""
    found = {one.name: getattr(limits, one.name) for one in fields(Limits)}
    return {name: value for name, value in found.items() if value is not None}


def halt_row(account: str, halt: Halt) -> Body:
    """Return a halt for JSON."""
    return {
        "account": account,
        "strategy": halt.scope.strategy,
        "instrument": halt.scope.instrument,
        "level": halt.level.name,
        "rule": halt.rule,
        "reason": halt.reason,
        "since": halt.since,
    }


def line(finding: Finding) -> Body:
    """Return a line of a comparison with the venue for JSON."""
    return {
        "kind": finding.kind,
        "what": finding.what,
        "ours": finding.ours,
        "theirs": finding.theirs,
        "verdict": finding.verdict.name,
        "means": finding.verdict.value,
    }

"""Take the venue's word for an account that trades, because its owner says so.

Owns the order: orders of ours that the journal does not know are ended first, then what differs is
booked. Refuses to lift halts: it says which of them have lost their reason.
"""

from __future__ import annotations

from collections.abc import Sequence

from tradebot.core.adoption import adoption, differs
from tradebot.core.reconcile import Finding
from tradebot.core.rules import ANOTHER_LIFE, MISMATCH
from tradebot.core.scope import HaltKey
from tradebot.daemon.account import TradingAccount
from tradebot.daemon.reconciler import halt_of


async def adopt(account: TradingAccount, key: str) -> tuple[Sequence[Finding], Sequence[HaltKey]]:
    """Book what nothing explains; return that, and the halts that have lost their reason by it.

    `key` makes each booked once. Raises VenueError when the venue does not answer.
    """
    reconciler, runner = account.parts.reconciler, account.parts.runner
    strangers = await reconciler.take_over()
    findings = await reconciler.look()
    for message in adoption(findings, account.name, account.parts.clock.now(), key):
        await runner.settled(message)
    taken = [*strangers, *filter(differs, findings)]
    left = {halt_of(finding, account.name) for finding in await reconciler.dry_run()}
    stopped = (h.key for h in account.parts.halts.all if h.rule in (MISMATCH, ANOTHER_LIFE))
    return taken, [key for key in stopped if key not in left]

"""Ask the venue, compare, and have booked what follows: at every start, and again and again.

Owns when to look and how often before a word is believed. The verdicts are `core.reconcile`'s. Streams
are hints, what is read here is the truth; what nothing explains stops its symbol with both numbers.
Refuses to adopt anything silently.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tradebot.core.adoption import adoption, is_first_fee
from tradebot.core.ledger import Ledger
from tradebot.core.messages import ReleaseUnknown, SetHalt, VenueAbsent
from tradebot.core.orders import Status
from tradebot.core.ports import Clock, Venue, VenueOrder, VenueSnapshot
from tradebot.core.reconcile import (
    Finding,
    Question,
    Verdict,
    believed_over,
    compare_holdings,
    compare_orders,
    not_mine,
    unlisted,
)
from tradebot.core.resting import Beside
from tradebot.core.rules import ANOTHER_LIFE, MISMATCH, NOT_MINE
from tradebot.core.scope import HaltKey, HaltLevel, Scope
from tradebot.daemon.outbox import Outbox
from tradebot.daemon.runner import Runner
from tradebot.errors import StoreError, VenueError, VenueUnreachable

_ENDS_WITHIN = 10  # looks, after a cancel
_LAST_LOOKS = 5  # at most, before an orderly end


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to look before believing. Seconds of the event loop.

    `every`: distance of two looks; `doubtful` while an order is unknown or a cancel unanswered.
    `absent_looks` and `absent_for`: an unknown order must stay away so often and so long.
    `release_after`: one that stays away so long is let go of; None: only the owner does.
    `again`: distance of the looks that a difference in quantity or cash must survive, `looks` of them.
    """

    every: float = 60.0
    doubtful: float = 5.0
    absent_looks: int = 5
    absent_for: float = 60.0
    again: float = 1.0
    looks: int = 3
    release_after: float | None = None


class Reconciler:
    """Compares one account with its venue."""

    def __init__(
        self,
        runner: Runner,
        outbox: Outbox,
        venue: Venue,
        clock: Clock,
        *,
        instance: str,
        patience: Patience = Patience(),
        since: int = 0,
        is_opening: bool = False,
        adopts: bool = False,
        halts_strangers: bool = False,
    ) -> None:
        """`since` is the cursor of the first look; 0: everything that the venue remembers.

        `is_opening`: the account was never traded here, so what it holds at the first look is its owner's.
        `adopts`: the venue's word is taken for everything, as the owner said. `halts_strangers`: a position or
        an order of somebody else's halts its symbol (`not_mine: halt`).
        """
        self._runner = runner
        self._outbox = outbox
        self._venue = venue
        self._clock = clock
        self._instance = instance
        self._patience = patience
        self._cursor = since
        self._is_opening = is_opening
        self._adopts = adopts
        self._halts_strangers = halts_strangers
        self._rests = ""  # why the venue is not asked any more
        self._absent: dict[str, tuple[int, float]] = {}  # looks in vain and since when
        self._said: dict[str, None] = {}  # unknown orders that were called absent
        self._back: dict[str, int] = {}  # over here and working there: looks that showed it so
        self._hidden: dict[str, int] = {}  # filled there: looks at all trades that showed no more of them
        self._hint = asyncio.Event()
        self.at_rest = asyncio.Lock()  # held by whoever is in the middle of an instant
        self.looks = 0
        self.last: tuple[Finding, ...] = ()
        self.adopted: tuple[Finding, ...] = ()

    @property
    def _ledger(self) -> Ledger:
        return self._runner.engine.ledger

    def hint(self) -> None:
        """Say that something may have been missed (a stream came back): look soon."""
        self._hint.set()

    def rest(self, why: str) -> None:
        """Ask the venue nothing more in this run."""
        self._rests = why

    async def watch(self) -> None:
        """Look now and then until cancelled; a venue out of reach is asked again later."""
        while True:
            wait = self._patience.doubtful if await self._in_doubt() else self._patience.every
            try:
                async with asyncio.timeout(wait):
                    await self._hint.wait()
            except TimeoutError:
                pass
            self._hint.clear()
            try:
                await self.look()
            except VenueError:
                continue  # whether it answers is the feed's and the metrics' business

    async def look(self, *, is_start: bool = False) -> tuple[Finding, ...]:
        """Compare once and have everything booked that follows; returns what differed.

        Raises VenueError when the venue cannot be read, StoreError at a start that finds orders of our
        own which this journal has never heard of.
        """
        if self._rests:
            raise VenueUnreachable(self._rests)
        async with self.at_rest:
            findings = list(await self._orders())
            strangers = _strangers(findings)
            if strangers and self._adopts:
                await self._end(strangers)
                self.adopted += tuple(strangers)
                findings = list(await self._orders())
            elif strangers and is_start:
                raise StoreError(_another_life(strangers))
            elif strangers:  # it was on its way when this run began, or somebody else sends under our ids
                await self._halt(strangers[0], _another_life(strangers))
            for finding in findings:
                for message in finding.inputs:
                    await self._runner.settled(message)
            findings += await self._holdings()
            if self._halts_strangers:
                await self._halt_strangers(findings)
            self.looks += 1
            self.last = tuple(findings)
            return self.last

    async def last_look(self) -> tuple[Finding, ...]:
        """Look, and a few times more while protection that makes way has yet to end, so that it rests again.

        Raises as `look` does.
        """
        found = await self.look()
        for _ in range(_LAST_LOOKS if self._runner.engine.setup.resting.beside is not Beside.ALL else 0):
            if not await self._runner.look(lambda: _is_ending(self._ledger)):
                break
            await asyncio.sleep(self._patience.again)
            found = await self.look()
        return found

    async def take_over(self) -> Sequence[Finding]:
        """End orders of our own that this journal does not know, as the owner says; returns them.

        Raises VenueError when the venue cannot be read or keeps them.
        """
        async with self.at_rest:
            strangers = _strangers(await self._orders())
            if strangers:
                await self._end(strangers)
            return strangers

    async def _end(self, strangers: Sequence[Finding]) -> None:
        """End orders of our own that another life sent, and book what they traded as nobody's."""
        for _ in range(_ENDS_WITHIN):
            for one in strangers:
                for message in one.adopting:
                    await self._runner.settled(message)
            working = [one.what for one in strangers if one.kind == "order"]
            if not working:
                return
            for order_id in working:
                await self._venue.cancel(order_id)
            await asyncio.sleep(self._patience.again)
            strangers = _strangers(await self._orders())
        raise VenueUnreachable(f"{', '.join(working)} must end to be adopted, still work at the venue")

    async def dry_run(self) -> tuple[Finding, ...]:
        """Compare without booking anything."""
        async with self.at_rest:
            findings = list(await self._orders(keeps=False))
            snapshot = await self._venue.snapshot(self._cursor)
            return (*findings, *await self._compared(snapshot))

    # --- orders and trades --------------------------------------------------------------------------

    async def _orders(self, *, keeps: bool = True) -> Sequence[Finding]:
        ledger, account = self._ledger, self._venue.account
        before = await self._runner.look(lambda: frozenset(_open_ids(ledger)))
        judged = before - self._outbox.under_way()
        is_whole = not self._cursor
        snapshot = await self._venue.snapshot(self._cursor)
        ids = await self._runner.look(lambda: unlisted(ledger, snapshot, account))
        over = await self._runner.look(lambda: believed_over(ledger, snapshot))
        back = {order_id: self._back.get(order_id, 0) + 1 for order_id in over}
        found: dict[str, VenueOrder | None] = {}
        for order_id in ids:
            found[order_id] = await self._venue.find(order_id)
        question = Question(
            ledger=ledger,
            snapshot=snapshot,
            account=account,
            instance=self._instance,
            instruments=self._runner.engine.setup.instruments,
            found=found,
            may_judge=judged.__contains__,
            absence_is_proof=self._venue.absence_is_proof,
            is_back=lambda order_id: back.get(order_id, 0) >= self._patience.looks,
            is_told=lambda order_id: self._hidden.get(order_id, 0) >= self._patience.looks,
        )
        findings = await self._runner.look(lambda: compare_orders(question))
        if keeps:
            self._back = back
            hidden = [f.what for f in findings if f.verdict is Verdict.UNKNOWN and f.theirs == "filled"]
            self._hidden = {i: self._hidden.get(i, 0) + is_whole for i in hidden}
            # An order that is filled there and not here has trades that were not shown: look back to the start.
            self._cursor = 0 if hidden else snapshot.cursor
            await self._count_absent(findings, judged)
        return findings

    async def _count_absent(self, findings: Sequence[Finding], judged: frozenset[str]) -> None:
        now = asyncio.get_running_loop().time()
        absent = {f.what for f in findings if f.verdict is Verdict.UNKNOWN and f.theirs == "-"}
        for order_id in list(self._absent):
            if order_id not in absent:
                del self._absent[order_id]
        patience = self._patience
        for order_id in sorted(absent & judged):
            looks, since = self._absent.get(order_id, (0, now))
            looks += 1
            self._absent[order_id] = (looks, since)
            is_enough = looks >= patience.absent_looks and now - since >= patience.absent_for
            if is_enough and order_id not in self._said:
                self._said[order_id] = None
                absent_now = VenueAbsent(ts=self._clock.now(), client_order_id=order_id, checks=looks)
                await self._runner.settled(absent_now)
            limit = patience.release_after
            if order_id in self._said and limit is not None and now - since >= limit:
                reason = f"absent for {now - since:.0f} s"
                await self._runner.settled(
                    ReleaseUnknown(ts=self._clock.now(), client_order_id=order_id, reason=reason)
                )

    async def _in_doubt(self) -> bool:
        doubtful = (Status.UNKNOWN, Status.PENDING_NEW, Status.PENDING_CANCEL, Status.PENDING_REPLACE)
        ledger = self._ledger
        return bool(self._back or self._hidden) or await self._runner.look(
            lambda: any(r.status in doubtful for rows in ledger.open.values() for r in rows.values())
        )

    # --- quantities and cash ------------------------------------------------------------------------

    async def _holdings(self) -> Sequence[Finding]:
        """Return the differences that stay, however often one looks; they halt what they concern."""
        findings: Sequence[Finding] = ()
        for look in range(self._patience.looks):
            if look:
                await asyncio.sleep(self._patience.again)
                for finding in await self._orders():
                    for message in finding.inputs:
                        await self._runner.settled(message)
            snapshot = await self._venue.snapshot(self._cursor)
            findings = await self._compared(snapshot)
            if not findings or self._is_opening:
                break
        if self._is_opening or self._adopts:
            now, because = self._clock.now(), "adopted" if self._adopts else "opening"
            for message in adoption(findings, self._venue.account, now, f"{because}/{now}", because):
                await self._runner.settled(message)
            self.adopted += tuple(findings)
            findings = ()
        self._is_opening = False
        findings = await self._without_fee_assets(findings)
        for finding in findings:
            both = f"{finding.ours} here, {finding.theirs} at the venue"
            await self._halt(finding, f"{finding.what}: {both}, and nothing explains it")
        return findings

    async def _without_fee_assets(self, findings: Sequence[Finding]) -> Sequence[Finding]:
        """Book what its owner had of an asset that so far only fees were taken in; return the other differences."""
        setup, account = self._runner.engine.setup, self._venue.account
        own = {one.quote for one in setup.instruments.values()}
        own.add(self._ledger.accounts[account].base_currency)
        fees = [f for f in findings if is_first_fee(f, own)]
        now, because = self._clock.now(), "held before its first fee"
        for message in adoption(fees, account, now, f"fee/{now}", because):
            await self._runner.settled(message)
        return [f for f in findings if f not in fees]

    async def _compared(self, snapshot: VenueSnapshot) -> Sequence[Finding]:
        ledger, account = self._ledger, self._venue.account
        known = self._runner.engine.setup.instruments
        return await self._runner.look(lambda: compare_holdings(ledger, snapshot, account, known))

    async def _halt_strangers(self, findings: Sequence[Finding]) -> None:
        known, account = self._runner.engine.setup.instruments, self._venue.account
        found = await self._runner.look(lambda: not_mine(self._ledger, findings, account, known))
        for name, words in found.items():
            await self._stop(HaltKey(Scope(None, name), NOT_MINE), f"{name}: {words} is not tradebot's")

    async def _halt(self, finding: Finding, reason: str) -> None:
        key = halt_of(finding, self._venue.account)
        assert key is not None
        await self._stop(key, reason)

    async def _stop(self, key: HaltKey, reason: str) -> None:
        """Let nothing increase the risk in a scope, and say so once."""
        known = await self._runner.look(lambda: self._ledger.halts.get(key))
        if known is None or known.reason != reason:
            now = self._clock.now()
            halt = SetHalt(ts=now, level=HaltLevel.NO_NEW_RISK, reason=reason, scope=key.scope, rule=key.rule)
            await self._runner.settled(halt)


def halt_of(finding: Finding, account: str) -> HaltKey | None:
    """Return the halt that a finding asks for: of its symbol, or of the account when it is not about one."""
    if finding.verdict is Verdict.QTY_DIFFERS:
        return HaltKey(Scope(None, finding.what), MISMATCH)
    if finding.verdict is Verdict.CASH_DIFFERS:
        return HaltKey(Scope(account=account), MISMATCH)
    if finding.verdict is Verdict.FROM_ANOTHER_LIFE:
        return HaltKey(Scope(account=account), ANOTHER_LIFE)
    return None


def _strangers(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.verdict is Verdict.FROM_ANOTHER_LIFE]


def _open_ids(ledger: Ledger) -> list[str]:
    return [order_id for working in ledger.open.values() for order_id in working]


def _is_ending(ledger: Ledger) -> bool:
    """Return whether an order was asked to end and has not, though a look may have shown it as working."""
    return any(
        record.status is Status.PENDING_CANCEL or f"cancel/{order_id}" in ledger.timers
        for working in ledger.open.values()
        for order_id, record in working.items()
        if not record.is_absent
    )


def _another_life(strangers: Sequence[Finding]) -> str:
    named = ", ".join(f"{s.what} ({s.theirs})" for s in strangers[:5])
    return (
        f"the venue must know no order of this instance that the journal has not: found {named}. Another "
        "copy trades this account, or the journal was restored from a backup: stop the other one, then have "
        "these ended, and what they traded booked: tradebot reconcile --adopt --reason TEXT"
    )

"""Turn Alpaca's trade updates into reports, and into the wish to look where they do not tell everything.

Owns what a message of the private stream means. Reports of others' orders are not told: the account is
read instead. Everything here runs in the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tradebot.adapters.alpaca.known import Known
from tradebot.adapters.alpaca.parse import Symbols, Unreadable, Update, update_of
from tradebot.core.messages import VenueAcked, VenueCancelRefused, VenueFilled, VenueReport
from tradebot.core.model import SECOND
from tradebot.core.ports import (
    AuthFailed,
    Connected,
    Disconnected,
    LinkEvent,
    Standing,
    VenueOrder,
    VenueSnapshot,
)
from tradebot.errors import VenueError

_DEAF_AFTER = 10 * SECOND
_ENDS = ("canceled", "expired", "rejected")


class Hearing:
    """What is heard of one account."""

    def __init__(
        self,
        known: Known,
        symbols: Symbols,
        is_ours: Callable[[str], bool],
        find: Callable[[str], Awaitable[VenueOrder | None]],
        now: Callable[[], int],
    ) -> None:
        self.tell: Callable[[VenueReport], None] = lambda report: None
        self.links: Callable[[LinkEvent], None] = lambda event: None
        self.unreadable = 0
        self._known, self._symbols, self._is_ours = known, symbols, is_ours
        self._find, self._now = find, now
        self._up_since: int | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # --- the line's side --------------------------------------------------------------------------

    def up(self) -> None:
        self._up_since = self._now()
        self.links(Connected(ts=self._up_since))

    def down(self, reason: str) -> None:
        self._up_since = None
        self.links(Disconnected(ts=self._now(), reason=reason))

    def denied(self, reason: str) -> None:
        self._up_since = None
        self.links(AuthFailed(ts=self._now(), reason=reason))

    def said(self, messages: list[Any]) -> None:
        for message in messages:
            if message.get("stream") != "trade_updates":
                continue
            try:
                update = self._known.named(update_of(message.get("data"), self._symbols))
            except Unreadable:
                self.unreadable += 1
                self._look()
                continue
            if self._is_ours(update.order.client_order_id):
                self._take(update)
            elif update.fill is not None:
                self._look()  # somebody else's hand in this account

    # --- meaning ----------------------------------------------------------------------------------

    def is_deaf(self, found: VenueSnapshot) -> bool:
        """Return whether the account shows a trade of ours that a standing stream should have told of."""
        since, deaf = self._up_since, False
        for fill in found.fills:
            if self._is_ours(fill.client_order_id) and not self._known.is_told(fill.fill_id):
                deaf = deaf or (since is not None and since < fill.ts < found.ts - _DEAF_AFTER)
        return deaf

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, update: Update) -> None:
        order, ts = update.order, update.ts
        order_id, fill = order.client_order_id, update.fill
        before = self._known.traded(order_id)
        self._known.note(order)
        if fill is not None:
            if before and order.filled_qty > before + fill.qty:
                self._look()  # one in between was not told
            self._known.is_told(fill.fill_id)
            if order.standing is Standing.FILLED:
                sent = self._known.sent.pop(order_id, None)
                if sent is not None and sent.group_id is not None:
                    self._look()  # the end of the other half is not always told
            self.tell(VenueFilled(ts=ts, fill=fill))
        elif update.event in ("new", "accepted"):
            venue_id = order.venue_order_id
            self.tell(VenueAcked(ts=ts, client_order_id=order_id, venue_order_id=venue_id))
        elif update.event == "replaced":
            self._follow_up(self._succeeded(order_id, ts))
        elif update.event == "order_cancel_rejected":
            self.tell(VenueCancelRefused(ts=ts, client_order_id=order_id, reason="cancel rejected"))
        elif update.event == "order_replace_rejected":
            self._look()
        elif update.event in _ENDS:
            report = self._known.end_of(order, ts)
            if report is not None:
                self.tell(report)

    async def _succeeded(self, order_id: str, ts: int) -> None:
        """Find out what took an order's place (a message names it by Alpaca's id only), and tell."""
        try:
            found = await self._find(order_id)
        except VenueError:
            found = None
        report = None if found is None else self._known.end_of(found, ts)
        if report is None:
            self._look()
        else:
            self.tell(report)

    def _follow_up(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _look(self) -> None:
        """Have everything read: something happened that was not told whole."""
        self.links(Connected(ts=self._now()))

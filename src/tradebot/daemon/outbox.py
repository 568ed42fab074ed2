"""Send commands once, in order, and post what came of them.

Owns the way from a committed command to the venue: lanes (a strategy's commands in one instrument keep
their order, others do not wait for them), deadlines, the last look at the halt flag. Refuses to send
twice and to guess: what did not answer is unknown, and is asked for by id elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tradebot.core.messages import (
    CancelOrder,
    Input,
    ReplaceOrder,
    SubmitOrder,
    SubmitPair,
    VenueCancelRefused,
    VenueRefused,
    VenueReport,
    VenueUnknown,
)
from tradebot.core.model import Order
from tradebot.core.ports import Clock, Venue
from tradebot.daemon.halts import HaltFlag

Request = SubmitOrder | SubmitPair | CancelOrder | ReplaceOrder
Lane = tuple[str, str]

_LANES_KEPT = 20_000


class _Waiting(NamedTuple):
    command: Request
    since: float | None


class Outbox:
    """The only caller of a venue's submit, submit_pair, cancel and replace."""

    def __init__(
        self,
        venue: Venue,
        clock: Clock,
        halts: HaltFlag,
        post: Callable[[Input], None],
        *,
        deadline: float = 15.0,
    ) -> None:
        """`deadline` in seconds of the event loop, for each call."""
        self._venue = venue
        self._clock = clock
        self._halts = halts
        self._post = post
        self._deadline = deadline
        self._lanes: dict[Lane, deque[_Waiting]] = {}
        self._lane_of: dict[str, Lane] = {}
        self._tasks: dict[Lane, asyncio.Task[None]] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()
        self.sent = 0
        self.latency: Callable[[float], None] = lambda seconds: None

    def put(self, command: Request, since: float | None = None) -> None:
        """Take a command whose facts are committed.

        `since`: when the input behind it was queued, by the monotonic clock; `latency` is told how long it
        took from there to the venue.
        """
        lane = self._lane(command)
        if isinstance(command, CancelOrder) and self._take_back(lane, command.client_order_id):
            return
        self._lanes.setdefault(lane, deque()).append(_Waiting(command, since))
        if lane not in self._tasks:
            self._idle.clear()
            task = asyncio.get_running_loop().create_task(self._work(lane))
            task.add_done_callback(self._ended)
            self._tasks[lane] = task

    def _take_back(self, lane: Lane, order_id: str) -> bool:
        """Drop an order that still waits behind another command: the first of a lane may be under way."""
        waiting = self._lanes.get(lane, deque())
        for entry in list(waiting)[1:]:
            command = entry.command
            if any(order.client_order_id == order_id for order in _orders(command)):
                waiting.remove(entry)
                for report in self._not_sent(command, "taken back before it was sent"):
                    self._post(report)
                return True
        return False

    async def idle(self) -> None:
        """Wait until nothing is being sent. Raises what a lane raised."""
        await self._idle.wait()
        if self._failure is not None:
            raise self._failure

    async def failed(self) -> None:
        """Wait until a lane fails, and raise what it raised: what it was to send may have been sent."""
        await self._failed.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def is_idle(self) -> bool:
        return self._idle.is_set()

    def under_way(self) -> frozenset[str]:
        """Return the ids of orders that a command is being sent for, or waits to be."""
        return frozenset(i for lane in self._lanes.values() for w in lane for i in _ids(w.command))

    async def close(self) -> None:
        """End all lanes; a command on its way stays unknown until the next start asks."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- lanes ------------------------------------------------------------------------------------

    def _lane(self, command: Request) -> Lane:
        if isinstance(command, CancelOrder):
            return self._lane_of.get(command.client_order_id, ("", command.client_order_id))
        lane = ("", "")
        for order in _orders(command):
            lane = (order.strategy, order.instrument)
            self._lane_of[order.client_order_id] = lane
        while len(self._lane_of) > _LANES_KEPT:
            del self._lane_of[next(iter(self._lane_of))]
        return lane

    async def _work(self, lane: Lane) -> None:
        waiting = self._lanes[lane]
        try:
            while waiting:
                for report in await self._send(*waiting[0]):
                    self._post(report)
                waiting.popleft()
        finally:
            del self._lanes[lane], self._tasks[lane]
            if not self._tasks:
                self._idle.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and self._failure is None and task.exception() is not None:
            self._failure = task.exception()
            self._failed.set()

    async def _send(self, command: Request, since: float | None) -> Iterable[VenueReport]:
        if isinstance(command, CancelOrder):
            return await self._cancel(command.client_order_id)
        for order in _orders(command):
            if (halt := self._halts.stops(order)) is not None:
                return self._not_sent(command, f"halted before it was sent: {halt.reason}")
        self.sent += 1
        if since is not None:
            self.latency(time.monotonic() - since)
        if isinstance(command, SubmitOrder):
            return await self._submit(command.order)
        if isinstance(command, SubmitPair):
            return await self._submit_pair(command)
        return await self._replace(command)

    async def _submit(self, order: Order) -> Iterable[VenueReport]:
        try:
            async with asyncio.timeout(self._deadline):
                report = await self._venue.submit(order)
        except TimeoutError:
            report = self._unknown(order, "no answer")
        return () if report is None else (report,)

    async def _submit_pair(self, pair: SubmitPair) -> Iterable[VenueReport]:
        try:
            async with asyncio.timeout(self._deadline):
                return await self._venue.submit_pair(pair)
        except TimeoutError:
            return tuple(self._unknown(order, "no answer") for order in pair.orders)

    async def _cancel(self, order_id: str) -> Iterable[VenueReport]:
        try:
            async with asyncio.timeout(self._deadline):
                report = await self._venue.cancel(order_id)
        except TimeoutError:
            report = None  # it stays pending; reconciliation asks what became of it
        return () if report is None else (report,)

    async def _replace(self, command: ReplaceOrder) -> Iterable[VenueReport]:
        try:
            async with asyncio.timeout(self._deadline):
                return await self._venue.replace(command)
        except TimeoutError:
            return (self._unknown(command.order, "no answer to a replace"),)

    # --- words --------------------------------------------------------------------------------------

    def _unknown(self, order: Order, reason: str) -> VenueReport:
        now = self._clock.now()
        return VenueUnknown(
            ts=now, client_order_id=order.client_order_id, reason=f"{reason} in {self._deadline:g} s"
        )

    def _not_sent(self, command: Request, reason: str) -> Iterable[VenueReport]:
        # It never left: the only case in which we know by ourselves that no venue has it.
        now = self._clock.now()
        refused = tuple(
            VenueRefused(ts=now, client_order_id=order.client_order_id, reason=reason)
            for order in _orders(command)
        )
        if not isinstance(command, ReplaceOrder):
            return refused
        gone = VenueCancelRefused(ts=now, client_order_id=command.client_order_id, reason=reason)
        return (gone, *refused)


def _orders(command: Request) -> tuple[Order, ...]:
    """Return the orders that a command would bring to the venue."""
    if isinstance(command, CancelOrder):
        return ()
    return command.orders if isinstance(command, SubmitPair) else (command.order,)


def _ids(command: Request) -> tuple[str, ...]:
    ids = tuple(order.client_order_id for order in _orders(command))
    return ids if isinstance(command, SubmitOrder | SubmitPair) else (command.client_order_id, *ids)

"""Keep an account's venue at hand: its private stream, and a look at everything whenever it comes back.

Owns what a lost stream means: nothing new is opened before it is back and everything was compared. Reading by
request goes on meanwhile, so that trades are not missed. Refuses to dial: the adapter does.
"""

from __future__ import annotations

import asyncio

from tradebot.core.model import SECOND
from tradebot.core.ports import AuthFailed, Connected, Disconnected, LinkEvent, LiveVenue
from tradebot.core.rules import DISCONNECTED
from tradebot.daemon.conditions import Conditions
from tradebot.daemon.follower import MOST_OFFSET
from tradebot.daemon.reconciler import Reconciler
from tradebot.errors import ClockSkew, VenueError

VENUE = "venue"
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0


class Link:
    """One account's connection to its venue."""

    def __init__(self, venue: LiveVenue, reconciler: Reconciler, conditions: Conditions) -> None:
        self._venue = venue
        self._reconciler = reconciler
        self._conditions = conditions
        self._inbox: asyncio.Queue[LinkEvent] = asyncio.Queue()
        self.connects = 0

    def begin(self) -> None:
        """Nothing new is opened before the stream stands."""
        name = self._venue.account
        self._conditions.set(DISCONNECTED, f"the venue of {name} is not connected yet", source=VENUE)

    async def check_clock(self) -> None:
        """Raise ClockSkew when the venue's clock and ours differ by more than a second."""
        offset = await self._venue.offset()
        if abs(offset) > MOST_OFFSET:
            raise ClockSkew(
                f"the clocks of the venue of {self._venue.account} and of this machine must agree within a second, "
                f"they differ by {offset / SECOND:.1f} s: set the clock (timedatectl set-ntp true)"
            )

    async def run(self) -> None:
        """Keep it up until cancelled. Raises what the adapter should not have raised."""
        loop = asyncio.get_running_loop()
        stream = loop.create_task(self._venue.run(self._inbox.put_nowait))
        work = loop.create_task(self._work())
        try:
            await asyncio.wait({stream, work}, return_when=asyncio.FIRST_EXCEPTION)
            for task in (stream, work):
                if task.done():
                    await task
        finally:
            for task in (stream, work):
                task.cancel()
            await asyncio.wait({stream, work})

    async def _work(self) -> None:
        while True:
            event = await self._inbox.get()
            match event:
                case Connected():
                    self.connects += 1
                    if await self._compared():
                        self._conditions.lift(DISCONNECTED, source=VENUE)
                case Disconnected():
                    self._conditions.set(DISCONNECTED, f"the venue is lost: {event.reason}", source=VENUE)
                    self._reconciler.hint()  # what the stream no longer tells is asked for
                case AuthFailed():
                    self._reconciler.rest(f"the keys are not accepted: {event.reason}")
                    self._conditions.refuse_keys(f"the venue does not accept the keys: {event.reason}")

    async def _compared(self) -> bool:
        """Compare until it succeeds; false when the stream was lost again meanwhile."""
        wait = _FIRST_WAIT
        while self._inbox.empty():
            try:
                await self._reconciler.look()
            except VenueError:
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
            else:
                return self._inbox.empty()
        return False

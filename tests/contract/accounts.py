"""A whole account of the daemon on an emulated venue, or with simulated fills on its feed.

Everything is real but the time: the clock is the emulated venue's, which a test moves with the market.
`alpacas.py` and `binances.py` say what is each venue's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from tests.conftest import PATIENCE
from tests.daemon.live import STRATEGY
from tests.emulators.houses import asked
from tradebot.app.live import Ends, Means, open_live
from tradebot.app.trading import Opened, Request
from tradebot.config.loader import parse
from tradebot.core import facts as f
from tradebot.core.model import MINUTE, SECOND, Bar, Instrument
from tradebot.core.ports import Feed, LiveVenue
from tradebot.daemon.account import Phase, TradingAccount
from tradebot.daemon.executor import Inline
from tradebot.daemon.places import AccountPlaces
from tradebot.emulators.serving import Face

CASH = Decimal(100_000)

CONFIG = """\
version: 1
mode: paper
accounts:
  main: {{venue: {venue}, feed: {feed}, keys: k, model: margin{cash}}}
strategies:
  - id: above
    class: above.py:Above
    instruments: [{instrument}]
    interval: 1m
    sizing: {{kind: fixed_qty, qty: 10}}
    first_entry: at_once
    exits: {{{exits}}}
"""

# Holds always, with a stop that rests at the venue.
HOLDS = {
    "strategy": STRATEGY.replace("1.0 if bar.close > 100 else 0.0", "1.0"),
    "exits": "stop_loss: 8%, after_exit: next_signal",
}


class _Never:
    """A waker that is not needed: every minute brings a bar."""

    def set_timer(self, key: str, at: int) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


class Desk:
    """One process at a time on an emulated venue that outlives it."""

    name: ClassVar[str]  # of the venue in the configuration
    feeds: ClassVar[tuple[str, str]]  # of its feed: for simulated fills, and beside the venue
    orders: ClassVar[str]  # the path to which orders are sent
    dial: ClassVar[str]  # the path of the private stream
    stream: ClassVar[str]  # the channel of its sockets
    refusals: ClassVar[int]  # how often a dialler may be refused before a test takes too long
    stays: frozenset[str] = frozenset()  # rules that may halt all along

    def __init__(
        self,
        root: Path,
        face: Face,
        *,
        instrument: Instrument,
        is_sim: bool = False,
        strategy: str = STRATEGY,
        exits: str = "",
    ) -> None:
        self.root, self.face, self.instrument = root, face, instrument
        self.is_sim, self.exits = is_sim, exits
        self.house, self.wire = face.house, face.wire
        (root / "strategies").mkdir(parents=True)
        (root / "strategies" / "above.py").write_text(strategy)
        (root / "state").mkdir()
        self.facts: list[f.Recorded] = []
        self.opened: Opened | None = None
        self._life: asyncio.Task[None] | None = None
        self._ends: list[Feed | LiveVenue] = []
        self.now = self.house.clock.now()

    async def feed(self) -> Feed:
        """Open the venue's feed."""
        raise NotImplementedError

    async def venue(self) -> LiveVenue:
        """Open the venue."""
        raise NotImplementedError

    @staticmethod
    def is_ours(client_order_id: str) -> bool:
        return client_order_id.startswith("t")

    # --- a process ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin a process, up to where it trades."""
        clock = self.house.clock
        feed = await self.feed()
        venue = None if self.is_sim else await self.venue()
        self._ends = [feed] if venue is None else [feed, venue]
        ends = Ends(
            feed=feed, venue=venue, instruments={self.instrument.id: self.instrument}, holds={"USD": CASH}
        )
        request = Request(
            config=parse(self.words().encode(), "tradebot.yaml", (), env={}).config,
            project=self.root,
            account="main",
            places=AccountPlaces(folder=self.root / "state"),
            wall=clock.now() // SECOND + 1,
        )
        means = Means(clock=clock, executor=lambda name: Inline(), waker=lambda wake: _Never())
        self.opened = open_live(request, ends, means)
        self.opened.account.listeners.append(self.facts.append)
        self._life = asyncio.get_running_loop().create_task(self._live(self.opened))
        await self.until(lambda: self.account.phase is Phase.READY and not (self.rules() - self.stays))

    def words(self) -> str:
        """Return the configuration."""
        return CONFIG.format(
            venue="sim" if self.is_sim else self.name,
            feed=self.feeds[not self.is_sim],
            cash=f", cash: {CASH} USD" if self.is_sim else "",
            instrument=self.instrument.id,
            exits=self.exits,
        )

    async def _live(self, opened: Opened) -> None:
        await opened.account.start()
        await opened.account.run()

    async def kill(self) -> None:
        """End the process without a word to anybody."""
        if self._life is not None:
            self._life.cancel()
            with suppress(asyncio.CancelledError):
                await self._life
        if self.opened is not None:
            self.opened.let_go()
        for end in self._ends:
            await end.close()
        self.opened, self._life, self._ends = None, None, []

    async def hold(self) -> None:
        """Begin a process and let it buy."""
        await self.start()
        await self.minute(101.0)
        await self.minute(101.0)
        await self.until(lambda: len(self.fills()) == 1)

    async def hold_with_stop(self) -> None:
        """Begin a process that `HOLDS`, and let it buy and protect what it bought."""
        await self.hold()
        await self.until(lambda: len(self.house.working()) == 1)
        (stop,) = self.house.working()
        assert (stop.order.qty, stop.order.stop_price) == (Decimal(10), Decimal("92.92"))

    # --- the market ---------------------------------------------------------------------------------

    async def minute(self, close: float) -> None:
        """Let a minute pass, and what follows from it."""
        last = self.house.last(self.instrument.id)
        start = last.close if isinstance(last, Bar) else close
        self.now += MINUTE
        cycles = 0 if self.opened is None else self.account.parts.runner.cycles
        self.house.move(
            Bar(self.instrument.id, self.now, MINUTE, start, max(start, close), min(start, close), close, 1e6)
        )
        if self.opened is not None:
            await self.until(lambda: self.account.parts.runner.cycles > cycles)
        await self.settled()

    async def settled(self) -> None:
        """Wait until the process has seen everything and nothing is on its way."""
        if self.opened is None:
            return
        outbox = self.account.parts.outbox
        quiet, seen = 0, (0, 0)
        while quiet < 4:
            await asyncio.sleep(0.01)
            now = len(self.facts), len(self.wire.requests)
            quiet, seen = (quiet + 1 if seen == now and outbox.is_idle else 0), now

    async def look(self) -> None:
        """Let the process ask its venue about everything, and book what it learns."""
        await self.account.parts.reconciler.look()
        await self.settled()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                if self._life is not None and self._life.done():
                    self._life.result()
                await asyncio.sleep(0.005)

    # --- what is seen -------------------------------------------------------------------------------

    @property
    def account(self) -> TradingAccount:
        assert self.opened is not None
        return self.opened.account

    @property
    def ledger(self) -> Any:
        return self.account.parts.runner.engine.ledger

    def rules(self) -> set[str]:
        return {halt.rule for halt in self.account.parts.halts.all}

    def qty(self) -> Decimal:
        found: Decimal = self.ledger.accounts["main"].qty(self.instrument.id)
        return found

    def cash(self) -> Decimal:
        found: Decimal = self.ledger.accounts["main"].cash["USD"]
        return found

    def fills(self) -> list[tuple[str, Decimal, Decimal, int]]:
        """Return what was traded: side, quantity, price, when."""
        found = [r.fact.fill for r in self.facts if isinstance(r.fact, f.OrderFilled)]
        return [(x.side.value, x.qty, x.price, x.ts) for x in found]

    def posts(self) -> int:
        """Return how often an order was sent over the wire."""
        return asked(self.wire, "POST", self.orders)

    def books(self) -> tuple[Any, ...]:
        """Return what was traded, and what the account's ledger holds."""
        account = self.ledger.accounts["main"]
        return self.fills(), dict(account.cash), self.qty()

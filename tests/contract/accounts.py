"""An account of the daemon on Alpaca's feed, trading at the emulated Alpaca or with simulated fills.

Everything is real but the time: the clock is the emulated venue's, which a test moves with the market.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.contract.places import IMPATIENT, QUICK, SHARE
from tests.daemon.live import STRATEGY
from tests.emulators.alpacas import KEY, SECRET, Alpaca, alpaca
from tests.emulators.houses import COIN, T0, make_house
from tradebot.adapters.alpaca.endpoint import endpoint_of
from tradebot.adapters.alpaca.feed import AlpacaFeed
from tradebot.adapters.alpaca.rest import Rest
from tradebot.adapters.alpaca.venue import AlpacaVenue
from tradebot.app.live import Ends, Means, open_live
from tradebot.app.trading import Opened, Request
from tradebot.config.loader import parse
from tradebot.core import facts as f
from tradebot.core.model import HOUR, MINUTE, SECOND, Bar
from tradebot.daemon.account import Phase
from tradebot.daemon.executor import Inline
from tradebot.daemon.places import AccountPlaces
from tradebot.emulators.clock import VenueClock
from tradebot.sim.settings import FillSettings, OnSplit

MORNING = T0 - 7 * HOUR - 14 * MINUTE  # 15:00 UTC, 10:00 in New York
PAIR = replace(COIN, shortable=False)
CASH = Decimal(100_000)

CONFIG = """\
version: 1
mode: paper
accounts:
  main: {{venue: {venue}, feed: {feed}, keys: k, model: margin{cash}}}
strategies:
  - id: above
    class: above.py:Above
    instruments: [BTC/USD]
    interval: 1m
    sizing: {{kind: fixed_qty, qty: 10}}
    first_entry: at_once
"""


class _Never:
    """A waker that is not needed: every minute brings a bar."""

    def set_timer(self, key: str, at: int) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


class Desk:
    """One process at a time on an emulated Alpaca that outlives it."""

    instrument = PAIR
    strategy = STRATEGY
    exits = ""

    def __init__(self, root: Path, venue: Alpaca, *, is_sim: bool = False) -> None:
        self.root, self.alpaca, self.is_sim = root, venue, is_sim
        (root / "strategies").mkdir(parents=True)
        (root / "strategies" / "above.py").write_text(self.strategy)
        (root / "state").mkdir()
        self.facts: list[f.Recorded] = []
        self.opened: Opened | None = None
        self._life: asyncio.Task[None] | None = None
        self._ends: list[Any] = []
        self.now = venue.house.clock.now()

    @property
    def house(self) -> Any:
        return self.alpaca.house

    # --- a process ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin a process, up to where it trades."""
        clock = self.house.clock
        ends = await self.ends()
        self._ends = [ends.feed] if ends.venue is None else [ends.feed, ends.venue]
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
        await self.until(lambda: self.account.phase is Phase.READY and not self.rules())

    def words(self) -> str:
        """Return the configuration."""
        words = {"venue": "sim", "feed": "alpaca", "cash": f", cash: {CASH} USD"}
        text = CONFIG.format(**words if self.is_sim else {"venue": "alpaca", "feed": "iex", "cash": ""})
        return text.replace(PAIR.id, self.instrument.id) + self.exits

    async def ends(self) -> Ends:
        """Return the feed, and the venue unless fills are simulated here."""
        venue = None if self.is_sim else self._venue()
        feed = AlpacaFeed(self._rest(), key=KEY, secret=SECRET, now=self.house.clock.now, pauses=QUICK)
        return Ends(
            feed=feed, venue=venue, instruments={self.instrument.id: self.instrument}, holds={"USD": CASH}
        )

    async def _live(self, opened: Opened) -> None:
        await opened.account.start()
        await opened.account.run()

    async def kill(self) -> None:
        """End the process without a word to anybody."""
        if self._life is not None and self.opened is not None:
            self._life.cancel()
            with suppress(asyncio.CancelledError):
                await self._life
            self.opened.let_go()
            for end in self._ends:
                await end.close()
        self.opened = self._life = None

    def _rest(self) -> Rest:
        endpoint = endpoint_of(is_live=False, url=self.alpaca.served.url)
        return Rest(endpoint, KEY, SECRET, deadlines=IMPATIENT, per_minute=1_000_000)

    def _venue(self) -> AlpacaVenue:
        return AlpacaVenue(
            self._rest(),
            "main",
            {self.instrument.id: self.instrument},
            lambda order_id: order_id.startswith("t"),
            key=KEY,
            secret=SECRET,
            now=self.house.clock.now,
            pauses=QUICK,
        )

    # --- the market ---------------------------------------------------------------------------------

    async def minute(self, close: float) -> None:
        """Let a minute pass, and what follows from it."""
        last = self.house.last(self.instrument.id)
        start = close if last is None else last.close
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
        parts = self.account.parts
        quiet, count = 0, -1
        while quiet < 4:
            await asyncio.sleep(0.02)
            is_still = count == len(self.facts) and parts.outbox.is_idle
            quiet, count = (quiet + 1 if is_still else 0), len(self.facts)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                if self._life is not None and self._life.done():
                    self._life.result()
                await asyncio.sleep(0.005)

    # --- what is seen -------------------------------------------------------------------------------

    @property
    def account(self) -> Any:
        assert self.opened is not None
        return self.opened.account

    @property
    def ledger(self) -> Any:
        return self.account.parts.runner.engine.ledger

    def rules(self) -> set[str]:
        return {halt.rule for halt in self.account.parts.halts.all}

    def fills(self) -> list[tuple[str, Decimal, Decimal, int]]:
        """Return what was traded: side, quantity, price, when."""
        found = [r.fact.fill for r in self.facts if isinstance(r.fact, f.OrderFilled)]
        return [(x.side.value, x.qty, x.price, x.ts) for x in found]

    def posts(self) -> int:
        return int(self.alpaca.face.wire.by_method["POST"])


class ShareDesk(Desk):
    """Holds a share, always, with a stop that rests at the venue."""

    instrument = SHARE
    exits = "    exits: {stop_loss: 8%, after_exit: next_signal}\n"
    strategy = STRATEGY.replace("1.0 if bar.close > 100 else 0.0", "1.0")


@asynccontextmanager
async def share_desk(root: Path) -> AsyncIterator[ShareDesk]:
    """Open a market of shares on a morning in New York, at 100."""
    house = make_house(
        instruments=(SHARE,), cash={"USD": CASH}, settings=FillSettings(on_split=OnSplit.ADJUST)
    )
    house.clock = VenueClock(MORNING, 0.0)
    async with alpaca(house, ghost_s=0.0) as venue:
        house.move(Bar(SHARE.id, MORNING, MINUTE, 100.0, 100.0, 100.0, 100.0, 1e6))
        found = ShareDesk(root, venue)
        try:
            yield found
        finally:
            await found.kill()


@asynccontextmanager
async def desk(root: Path, *, is_sim: bool = False) -> AsyncIterator[Desk]:
    """Open a market with half an hour of the past, and nobody trading yet."""
    house = make_house(instruments=(PAIR,), cash={"USD": CASH})
    async with alpaca(house, ghost_s=0.0) as venue:
        past = [Bar(PAIR.id, T0 - n * MINUTE, MINUTE, 99.0, 99.0, 99.0, 99.0, 1e6) for n in range(30, 0, -1)]
        venue.face.market.remember(past)
        house.move(Bar(PAIR.id, T0, MINUTE, 99.0, 99.0, 99.0, 99.0, 1e6))
        found = Desk(root, venue, is_sim=is_sim)
        try:
            yield found
        finally:
            await found.kill()

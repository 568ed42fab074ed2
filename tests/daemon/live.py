"""Accounts on live data in virtual time: a market of minutes, a feed and a venue over a wire that can be lost.

Everything of ours is real (engine, files, follower); feed and venue are objects behind the ports, and the
event loop's time is the world's. Nothing sleeps.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from tests.chaos.loop import Agenda, VirtualLoop
from tests.instruments import make_coin
from tradebot.app.live import Ends, Means, open_live
from tradebot.app.trading import Opened, Request
from tradebot.config.loader import parse
from tradebot.config.models import Config
from tradebot.core import facts as f
from tradebot.core.messages import (
    CancelOrder,
    Dividend,
    ReplaceOrder,
    Slice,
    Split,
    SubmitOrder,
    VenueAcked,
    VenueRefused,
    VenueReport,
)
from tradebot.core.model import MINUTE, SECOND, AccountModel, Bar, Instrument, Order, OrderKind
from tradebot.core.ports import (
    AuthFailed,
    BarClosed,
    Connected,
    Disconnected,
    FeedEvent,
    IdPolicy,
    LinkEvent,
    Series,
    VenueOrder,
    VenueSnapshot,
)
from tradebot.core.resting import FREELY
from tradebot.daemon.account import Phase, TradingAccount
from tradebot.daemon.executor import Inline
from tradebot.daemon.places import AccountPlaces
from tradebot.errors import VenueUnreachable
from tradebot.sim.accounts import SimAccount
from tradebot.sim.exchange import Exchange
from tradebot.sim.timeline import Timeline
from tradebot.sim.venue import Request as Command
from tradebot.sim.venue import SimVenue

D = Decimal
BEGIN = 1_795_500_000 * SECOND // (60 * SECOND) * 60 * SECOND  # a full minute of a day without a name
COIN = make_coin("COIN/USD")

STRATEGY = '''\
"""Holds while the last close is above 100."""

from tradebot.api import BarStrategy


class Above(BarStrategy):
    def __init__(self, params):
        super().__init__(params)
        self.lookback = 2

    def on_bar(self, ctx, bar):
        return ctx.target(weight=1.0 if bar.close > 100 else 0.0)
'''

CONFIG = """\
version: 1
mode: paper
accounts:
  {name}: {{venue: {venue}, feed: house, keys: k, {cash}}}
strategies:
  - id: above
    class: above.py:Above
    instruments: [COIN/USD]
    interval: {interval}
    sizing: {{kind: fixed_qty, qty: 10}}
    first_entry: at_once
    {more}
"""


class WorldClock:
    """The world's time, with an error of our own clock if a test says so."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda

    def now(self) -> int:
        return BEGIN + round(self._agenda.now * SECOND)


class House:
    """Where the market is: prices by minute, and connections that a test cuts.

    `price` gives the close of the minute that ends at a moment. Bars come half a second after their end.
    """

    def __init__(self, agenda: Agenda, account: str) -> None:
        self.agenda = agenda
        self.clock = WorldClock(agenda)
        self.prices: dict[int, float] = {}
        self.last = 99.0
        self.is_reachable = True
        self.is_mute = False
        self.refuses_keys = ""
        self.ahead = 0  # ns by which the venue's clock is off
        self.feed: HouseFeed | None = None
        self.venue: HouseVenue | None = None
        self.asked: list[tuple[Series, int, int]] = []
        self.events: list[Split | Dividend] = []
        self.polled: tuple[int, ...] = ()  # intervals that are not streamed
        sim = SimVenue(
            instruments={COIN.id: COIN},
            accounts={account: SimAccount(model=AccountModel.CASH, cash={"USD": D(10_000)})},
        )
        self.exchange = Exchange(sim, account)
        self.sent: list[Order] = []
        self._timeline = Timeline(self.exchange)
        for n in range(-30, 0):
            self._close(n)
        self._next()

    # --- the market ---------------------------------------------------------------------------------

    def at(self, minute: int, price: float) -> None:
        """Let the price be this from the bar on that closes `minute` minutes after the beginning."""
        self.prices[minute] = price

    def bar(self, minute: int, interval: int = MINUTE) -> BarClosed:
        ts = BEGIN + minute * MINUTE
        price = self.price(minute)
        bar = Bar(COIN.id, ts, interval, price, price, price, price, 1_000.0)
        return BarClosed(bar=bar, feed="house")

    def price(self, minute: int) -> float:
        known = [n for n in self.prices if n <= minute]
        return self.prices[max(known)] if known else self.last

    def _next(self) -> None:
        n = int(self.agenda.now // 60) + 1
        self.agenda.at(n * 60.0 + 0.5, lambda: self._happen(n))

    def _happen(self, n: int) -> None:
        self._close(n)
        if self.feed is not None and not self.is_mute:
            self.feed.say(self.bar(n))
        self._next()

    def _close(self, n: int) -> None:
        for step in self._timeline.play(Slice(BEGIN + n * MINUTE, (self.bar(n).bar,))):
            if not isinstance(step.message, Slice) and self.venue is not None:
                self.venue.report(step.message)

    # --- outages ------------------------------------------------------------------------------------

    def lose(self, reason: str = "reset") -> None:
        """Cut all connections; nobody can be reached until `back`."""
        self.is_reachable = False
        for end in (self.feed, self.venue):
            if end is not None:
                end.lose(reason)

    def back(self) -> None:
        self.is_reachable = True
        for end in (self.feed, self.venue):
            if end is not None:
                end.dial()

    def reach(self) -> None:
        if not self.is_reachable:
            raise VenueUnreachable("house: no route")


class _End:
    """One connection of a process."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._sink: Callable[[object], None] | None = None
        self._over = asyncio.Event()

    def dial(self) -> None:
        if self._sink is None:
            return
        if self.house.refuses_keys:
            self._sink(AuthFailed(ts=self.house.clock.now(), reason=self.house.refuses_keys))
            self._over.set()
        elif self.house.is_reachable:
            self._sink(Connected(ts=self.house.clock.now()))

    def lose(self, reason: str) -> None:
        if self._sink is not None:
            self._sink(Disconnected(ts=self.house.clock.now(), reason=reason))

    def say(self, event: object) -> None:
        if self._sink is not None and self.house.is_reachable:
            self._sink(event)

    async def _up(self, sink: Callable[[object], None]) -> None:
        self._sink = sink
        self._over = asyncio.Event()
        try:
            self.dial()
            await self._over.wait()
        finally:
            self._sink = None

    async def offset(self) -> int:
        self.house.reach()
        return self.house.ahead

    async def close(self) -> None:
        """Nothing is kept."""


class HouseFeed(_End):
    """The port `core.ports.Feed`."""

    name = "house"

    async def instruments(self, names: Sequence[str]) -> dict[str, Instrument]:
        return dict.fromkeys(names, COIN)

    def streams(self, series: Series) -> bool:
        return series.interval not in self.house.polled

    async def run(self, wanted: Sequence[Series], sink: Callable[[FeedEvent], None]) -> None:
        await self._up(sink)

    async def history(self, series: Series, start: int, end: int) -> Sequence[BarClosed]:
        self.house.reach()
        self.house.asked.append((series, start, end))
        step = series.interval // MINUTE
        first = max(-(-(start - BEGIN + 1) // series.interval), -30 // step)
        last = (min(end, self.house.clock.now()) - BEGIN) // series.interval
        return [self.house.bar(n * step, series.interval) for n in range(first, last + 1)]

    async def actions(self, names: Sequence[str], start: int, end: int) -> Sequence[Split | Dividend]:
        self.house.reach()
        return [event for event in self.house.events if start < event.ts <= end]


class HouseVenue(_End):
    """The port `core.ports.LiveVenue`."""

    id_policy = IdPolicy.FOR_EVER
    absence_is_proof = False
    can_replace = True
    resting = FREELY

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.account = house.exchange.account

    def listen(self, sink: Callable[[VenueReport], None]) -> None:
        self._reports = sink

    def cannot_rest(self, kind: OrderKind, instrument: Instrument) -> str:
        return "the house has no trailing stops" if kind is OrderKind.TRAILING_STOP else ""

    def report(self, report: VenueReport) -> None:
        if self._sink is not None and self.house.is_reachable:
            self._reports(report)

    async def run(self, sink: Callable[[LinkEvent], None]) -> None:
        await self._up(sink)

    async def submit(self, order: Order) -> VenueReport | None:
        self.house.sent.append(order)
        reports = self._send(SubmitOrder(order=order))
        return next(r for r in reports if isinstance(r, VenueAcked | VenueRefused))

    async def cancel(self, client_order_id: str) -> VenueReport | None:
        return next(iter(self._send(CancelOrder(client_order_id=client_order_id))), None)

    async def replace(self, command: ReplaceOrder) -> tuple[VenueReport, ...]:
        return tuple(self._send(command))

    def _send(self, command: Command) -> list[VenueReport]:
        exchange = self.house.exchange
        at = max((mark.ts for mark in exchange.sim.marks.values()), default=0)
        exchange.send(command, at)
        return exchange.drain()

    async def snapshot(self, since: int) -> VenueSnapshot:
        self.house.reach()
        found = self.house.exchange.snapshot(self.house.clock.now(), 0)
        fills = tuple(fill for fill in found.fills if fill.ts >= since)
        return VenueSnapshot(
            ts=found.ts,
            orders=found.orders,
            positions=found.positions,
            cash=found.cash,
            fills=fills,
            events=found.events,
            cursor=found.ts,
        )

    async def find(self, client_order_id: str) -> VenueOrder | None:
        self.house.reach()
        return self.house.exchange.find(client_order_id)


class LoopWaker:
    """Calls back in the loop's time."""

    def __init__(self, clock: WorldClock, wake: Callable[[], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._set: dict[str, asyncio.TimerHandle] = {}

    def set_timer(self, key: str, at: int) -> None:
        self._cancel(key)
        wait = max(0.0, (at - self._clock.now()) / SECOND)
        self._set[key] = asyncio.get_running_loop().call_later(wait + 1e-6, self._wake)

    def stop(self) -> None:
        for key in list(self._set):
            self._cancel(key)

    def _cancel(self, key: str) -> None:
        known = self._set.pop(key, None)
        if known is not None:
            known.cancel()


@dataclass
class World:
    """One daemon process at a time in a world that goes on without it."""

    root: Path
    venue: str = "sim"
    interval: str = "1m"
    more: str = ""
    name: str = "main"
    agenda: Agenda = field(default_factory=Agenda)

    def __post_init__(self) -> None:
        (self.root / "strategies").mkdir(parents=True)
        (self.root / "strategies" / "above.py").write_text(STRATEGY)
        (self.root / "state").mkdir()
        self.house = House(self.agenda, self.name)
        self.facts: list[f.Recorded] = []
        self.opened: Opened | None = None
        self.loop: VirtualLoop | None = None
        self.life: asyncio.Task[None] | None = None

    def words(self) -> Config:
        cash = "cash: 10000 USD" if self.venue == "sim" else ""
        text = CONFIG.format(
            name=self.name, venue=self.venue, interval=self.interval, more=self.more, cash=cash
        )
        return parse(text.encode(), "tradebot.yaml", (), env={}).config

    # --- a process ----------------------------------------------------------------------------------

    def start(self, loop: VirtualLoop | None = None) -> None:
        """Begin a process, or an account beside another in its loop; it goes on in `run`."""
        self.loop = VirtualLoop(self.agenda, random.Random(1), 0.0) if loop is None else loop
        asyncio.events._set_running_loop(self.loop)
        try:
            house = self.house
            house.feed = feed = HouseFeed(house)
            house.venue = venue = None if self.venue == "sim" else HouseVenue(house)
            clock = house.clock
            means = Means(clock=clock, executor=lambda name: Inline(), waker=lambda w: LoopWaker(clock, w))
            request = Request(
                config=self.words(),
                project=self.root,
                account=self.name,
                places=AccountPlaces(folder=self.root / "state"),
                wall=clock.now() // SECOND + 1,
            )
            holds = {"USD": D(10_000)}
            ends = Ends(feed=feed, venue=venue, instruments={COIN.id: COIN}, holds=holds)
            self.opened = open_live(request, ends, means)
            self.opened.account.listeners.append(self.facts.append)
            self.life = self.loop.create_task(self._live(self.opened))
        finally:
            asyncio.events._set_running_loop(None)

    async def _live(self, opened: Opened) -> None:
        await opened.account.start()
        await opened.account.run()

    def run(self, minutes: float) -> None:
        """Let time pass. Raises what ended the process."""
        loop, life = self.loop, self.life
        assert loop is not None and life is not None
        until = self.agenda.now + minutes * 60.0
        is_over: list[None] = []
        self.agenda.at(until, lambda: is_over.append(None))
        while not is_over and not life.done():
            loop.turn()
        if life.done():
            life.result()

    def kill(self) -> None:
        """End the process as a kill does."""
        if self.loop is None or self.opened is None or self.loop.is_closed():
            return
        self.loop.bury()
        self.opened.let_go()
        self.house.feed = self.house.venue = None

    def pass_time(self, minutes: float) -> None:
        """Let the world go on without a process."""
        until = self.agenda.now + minutes * 60.0
        while self.agenda.next is not None and self.agenda.next <= until:
            self.agenda.step()
        self.agenda.now = until

    # --- what is seen -------------------------------------------------------------------------------

    @property
    def account(self) -> TradingAccount:
        assert self.opened is not None
        return self.opened.account

    @property
    def is_ready(self) -> bool:
        return bool(self.account.phase is Phase.READY)

    def of(self, *kinds: type[f.Fact]) -> list[f.Fact]:
        return [r.fact for r in self.facts if isinstance(r.fact, kinds)]

    def held(self) -> Decimal:
        subs = self.account.parts.runner.engine.ledger.subs
        return subs["above"].qty(COIN.id) if "above" in subs else D(0)

    def rules(self) -> set[str]:
        """The rules by which something is halted at present, by flag and by facts (which agree)."""
        flagged = {halt.rule for halt in self.account.parts.halts.all}
        booked = {key.rule for key in self.account.parts.runner.engine.ledger.halts}
        assert flagged == booked
        return flagged

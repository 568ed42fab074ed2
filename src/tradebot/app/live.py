"""Plug an account together whose market data arrive live: simulated fills, or a venue over a wire.

Owns what such an account is given before it starts (instruments, its venue's cash, the past) and how feed,
venue, follower and engine are joined. The engine, the store and the way of a start are those of stored data.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from tradebot.app.ahead import Ahead, depth
from tradebot.app.deciders import needs_of
from tradebot.app.misfits import base_currency, refuse
from tradebot.app.protection import check_exits
from tradebot.app.supply import Outline
from tradebot.app.trading import (
    ARCHIVE_CAP,
    Assembly,
    Opened,
    Request,
    opened_files,
    patience_of,
)
from tradebot.config.models import Config
from tradebot.config.units import Money
from tradebot.core.engine import Engine
from tradebot.core.happenings import in_todays_units
from tradebot.core.ledger import Ledger
from tradebot.core.messages import Rate, Slice
from tradebot.core.model import DAY, HOUR, SECOND, Bar, Instrument
from tradebot.core.ports import BarClosed, Clock, Feed, LiveVenue, Series
from tradebot.daemon.account import Parts, TradingAccount
from tradebot.daemon.carrier import Carrier, Elsewhere
from tradebot.daemon.clock import DataClock, WallClock
from tradebot.daemon.conditions import Conditions
from tradebot.daemon.executor import Executor, OwnThread
from tradebot.daemon.follower import Followed, Follower, Waker, slices
from tradebot.daemon.freshness import Freshness
from tradebot.daemon.halts import HaltFlag
from tradebot.daemon.link import Link
from tradebot.daemon.outbox import Outbox
from tradebot.daemon.paper import PaperVenue
from tradebot.daemon.reconciler import Reconciler
from tradebot.daemon.runner import Runner
from tradebot.daemon.scheduler import Scheduler
from tradebot.errors import VenueError
from tradebot.sim.settings import MarketAt
from tradebot.sim.timeline import Timeline
from tradebot.store.archive import Archive

if TYPE_CHECKING:
    from tradebot.sim.timeline import Event

_RATES_EVERY = HOUR
_OVERLAP = DAY  # how far before the last fact a venue over a wire is asked for what happened
_LOOK_AHEAD = 6 * 3_600.0  # seconds between two questions for what is coming


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """The two ends of an account, open and not connected. `venue` None: fills are simulated here.

    `holds` is the cash at the venue when the account is opened here for the first time.
    """

    feed: Feed
    venue: LiveVenue | None
    instruments: dict[str, Instrument]
    holds: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """Whose time it is, where the engine runs, and who wakes when time passes without data."""

    clock: Clock
    executor: Callable[[str], Executor]
    waker: Callable[[Callable[[], None]], Waker]


def usual_means() -> Means:
    """Return the machine's clock, a thread for the engine, and APScheduler."""
    clock = WallClock()

    def waker(wake: Callable[[], None]) -> Waker:
        scheduler = Scheduler(lambda due: wake(), clock)
        scheduler.start()
        return scheduler

    return Means(clock=clock, executor=OwnThread, waker=waker)


def open_live(request: Request, ends: Ends, means: Means) -> Opened:
    """Open an account's files, replay its facts and build everything round them; connects to nothing.

    Raises StoreError for files that cannot be trusted, ConfigError for what cannot be traded.
    """
    if ends.venue is not None:
        check_exits(request.config, request.account, ends.venue, ends.instruments)
    made, journal, ledger = opened_files(request)
    if ends.venue is not None:
        request = replace(request, config=_with_cash(request, ends, ledger))
    return _Live(request, made, journal, ledger).join(ends, means)


def _with_cash(request: Request, ends: Ends, ledger: Ledger) -> Config:
    """Return the configuration with an account's cash as its venue or, later, the journal has it."""
    config, name = request.config, request.account
    words = config.accounts[name]
    known = ledger.accounts.get(name)
    cash = ends.holds if known is None else known.cash
    quotes = [one.quote for one in ends.instruments.values()]
    base = words.base or (words.capital.asset if words.capital is not None else quotes[0])
    if not cash.get(base):
        raise refuse(f"accounts.{name}", f"must hold {base} at {words.venue} to trade, holds none")
    amounts = (
        Money(cash[base], base),
        *(Money(cash[a], a) for a in sorted(cash) if a != base and cash[a] > 0),
    )
    mine = words.model_copy(update={"cash": amounts, "base": base})
    return config.model_copy(update={"accounts": {**config.accounts, name: mine}})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Core:
    """The engine with its store and its venue. `matching` is the time of simulated fills."""

    runner: Runner
    archive: Archive
    executor: Executor
    halts: HaltFlag
    outbox: Outbox
    reconciler: Reconciler
    paper: PaperVenue | None
    matching: DataClock | None


class _Live(Assembly):
    """One account between opening and starting, whose past is fetched when it starts."""

    account: TradingAccount

    def join(self, ends: Ends, means: Means) -> Opened:
        start, outline = self._start(), self._outline(ends)
        core = self._core(ends, means, outline, start.run_id)
        joined = self._joined(ends, means, outline, core)
        core.runner.timers = joined.follower
        parts = Parts(
            name=self.name,
            runner=core.runner,
            outbox=core.outbox,
            reconciler=core.reconciler,
            executor=core.executor,
            clock=means.clock,
            halts=core.halts,
            feed=joined.follow,
            catch_up=joined.catch_up,
            warm_up=joined.warm_up,
            source=outline.source,
            venue=self.config.accounts[self.name].venue,
            seen=self._resumes_after(),
        )
        now = means.clock.now()
        self.account = TradingAccount(parts, replace(start, ts=now), self._halts(now))

        def let_go() -> None:
            core.archive.close()
            self.journal.close()

        def close() -> None:
            if core.paper is not None:
                core.paper.close()
            let_go()

        return Opened(account=self.account, journal=self.journal, close=close, let_go=let_go)

    def _core(self, ends: Ends, means: Means, outline: Outline, run_id: str) -> _Core:
        clock, matching = means.clock, None if ends.venue is not None else DataClock(self.ledger.seen)
        archive = Archive.open(self.request.places.archive, run_id=run_id, cap=ARCHIVE_CAP)
        executor = means.executor(self.name)
        runner = Runner(
            Engine(self.setup(outline, ends.venue), self.ledger),
            record=self.journal,
            archive=archive,
            clock=clock,
            executor=executor,
            watch=lambda recorded: self.account.note(recorded),
        )
        halts = HaltFlag(self.request.places.halt, self.request.hide)
        paper = None if matching is None else self._venue(ends.instruments, matching)
        venue = paper or ends.venue
        assert venue is not None
        venue.listen(runner.post)
        outbox = runner.outbox = Outbox(venue, clock, halts, runner.post)
        return _Core(
            runner=runner,
            archive=archive,
            executor=executor,
            halts=halts,
            outbox=outbox,
            reconciler=self._reconciler(runner, outbox, venue, clock),
            paper=paper,
            matching=matching,
        )

    def _joined(self, ends: Ends, means: Means, outline: Outline, core: _Core) -> _Joined:
        clock, feed, wall = means.clock, ends.feed, self.request.wall * SECOND
        seen = self._resumes_after()
        ahead = Ahead(feed, ends.instruments, self.progress, wall if seen is None else seen)
        conditions = Conditions(self.name, core.halts, core.runner.post, clock)
        timeline, at_rest = self._timeline_of(core.paper), core.reconciler.at_rest
        carrier = Carrier(core.runner, timeline, clock, matching=core.matching, at_rest=at_rest)
        series = self._series(ends)
        follower = Follower(
            feed,
            Followed(series=series, closes=ahead.closes),
            carrier,
            conditions,
            Freshness(series, ahead.opened, wall, patience=self.config.limits.max_data_age),
            clock=clock,
            waker=means.waker,
        )
        follower.keep = self._rates_from(core.runner)
        return _Joined(
            feed=feed,
            clock=clock,
            outline=outline,
            ahead=ahead,
            follower=follower,
            carrier=carrier,
            link=None if ends.venue is None else Link(ends.venue, core.reconciler, conditions),
            runner=core.runner,
            needs=self._needed(series, ends.instruments, clock.now()),
            seen=seen,
        )

    def _reconciler(
        self, runner: Runner, outbox: Outbox, venue: PaperVenue | LiveVenue, clock: Clock
    ) -> Reconciler:
        is_new, is_here = self.name not in self.ledger.accounts, isinstance(venue, PaperVenue)
        return Reconciler(
            runner,
            outbox,
            venue,
            clock,
            instance=self.journal.meta["instance"],
            patience=patience_of(self.config),
            since=0 if is_here else self._venue_since(is_new),
            is_opening=is_new and not is_here,
            adopts=self.request.adopts,
            halts_strangers=self.config.accounts[self.name].not_mine == "halt" and not is_here,
        )

    def _venue_since(self, is_new: bool) -> int:
        """Return from when on a venue is asked what happened: a first start leaves the past to its owner."""
        return (self.request.wall * SECOND if is_new else self.ledger.seen) - _OVERLAP * (not is_new)

    def _timeline_of(self, paper: PaperVenue | None) -> Timeline:
        market_at = MarketAt(self.config.fills_of(self.name).market_at)
        return Timeline(paper or Elsewhere(), close_first=market_at is not MarketAt.SAME_CLOSE)

    def _series(self, ends: Ends) -> tuple[Series, ...]:
        """Return what is followed: what strategies need, and the instruments that are rates."""
        needs = dict.fromkeys(Series(*key) for key in needs_of(self.recipes))
        followed = {one.instrument for one in needs if one.interval}
        for word in self.config.rates.values():
            if isinstance(word, str) and word in ends.instruments and word not in followed:
                needs[Series(word, _RATES_EVERY)] = None
        for orphan in self.orphans:
            for name in orphan.instruments:
                if name in ends.instruments and name not in followed:
                    needs[Series(name, DAY)] = None
        return tuple(needs)

    def _outline(self, ends: Ends) -> Outline:
        wall = self.request.wall * SECOND
        fixed = {a: w for a, w in self.config.rates.items() if isinstance(w, Money)}
        rates = [Rate(ts=wall, asset=a, base=w.asset, rate=float(w.amount)) for a, w in fixed.items()]
        where = "simulated fills" if ends.venue is None else self.config.accounts[self.name].venue
        return Outline(
            instruments=ends.instruments,
            begin=wall,
            last=wall,
            events=[],
            rates=rates,
            source=f"live data of {ends.feed.name}, {where}",
        )

    def _rates_from(self, runner: Runner) -> Callable[[BarClosed], None]:
        """Return what makes rates of the bars of instruments that `rates:` names."""
        named = {word: asset for asset, word in self.config.rates.items() if isinstance(word, str)}
        base = base_currency(self.config.accounts[self.name])

        def keep(event: BarClosed) -> None:
            asset = named.get(event.bar.instrument)
            if asset is not None:
                runner.post(Rate(ts=event.bar.ts, asset=asset, base=base, rate=event.bar.close))

        return keep

    def _needed(
        self, followed: Sequence[Series], instruments: Mapping[str, Instrument], now: int
    ) -> dict[Series, int]:
        """Return from when on the past of each series of bars is needed."""
        lookbacks, remembered = needs_of(self.recipes), self.wanted().remembered
        known = now if remembered is None else min(remembered, now)
        return {
            one: known - depth(lookbacks.get(one, 1), one.interval, instruments[one.instrument])
            for one in followed
            if one.interval
        }


@dataclass(kw_only=True)
class _Joined:
    """What an account's life asks of the live side: catching up, the past, the feed."""

    feed: Feed
    clock: Clock
    outline: Outline
    ahead: Ahead
    follower: Follower
    carrier: Carrier
    link: Link | None
    runner: Runner
    needs: Mapping[Series, int]  # from when on (ns UTC) the past of each series of bars is needed
    seen: int | None  # up to then market data were decided on in the runs before
    bars: list[Bar] = field(default_factory=list)

    async def catch_up(self) -> None:
        """Compare clocks, fetch the past, let pass what was missed. Raises VenueError: then it is tried again."""
        await self.follower.check_clock()
        if self.link is not None:
            await self.link.check_clock()
        now = self.clock.now()
        bars: list[Bar] = []
        for series, start in self.needs.items():
            bars += [one.bar for one in await self.feed.history(series, start, now)]
        self._add(await self.ahead.look(now))
        self.bars = sorted(bars, key=lambda bar: bar.ts)
        self.follower.begin((Series(bar.instrument, bar.interval), bar.ts) for bar in self.bars)
        if self.link is not None:
            self.link.begin()
        if self.seen is None:
            for rate in self.outline.rates:
                await self.runner.settled(rate)
        missed = [bar for bar in self.bars if self.seen is not None and bar.ts > self.seen]
        await self.carrier.missed(slices(missed), shows=False)
        await self.carrier.pass_until(now)

    def warm_up(self) -> Iterable[Slice]:
        """Return the past in today's units."""
        return in_todays_units(slices(self.bars), self.outline.events, self.clock.now())

    async def follow(self) -> None:
        """Follow feed and venue until cancelled. Raises what ended one of them."""
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self.follower.run()), loop.create_task(self._look_ahead())]
        if self.link is not None:
            tasks.append(loop.create_task(self.link.run()))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks:
                if task.done():
                    await task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _look_ahead(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_AHEAD)
            try:
                self._add(await self.ahead.look(self.clock.now()))
            except VenueError:
                continue  # asked again; sessions are known for a month

    def _add(self, events: Sequence[Event]) -> None:
        self.outline.events.extend(events)
        self.follower.add(events)

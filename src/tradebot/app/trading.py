"""Plug an account together for trading: recorded or live data, a venue, the engine, the store.

The composition root of the daemon. What differs between paper and live is decided here and nowhere else.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import tradebot
from tradebot.app import plan
from tradebot.app.capital import capital_of
from tradebot.app.deciders import Recipe, instruments_of, live_seat, needs_of, recipes
from tradebot.app.gaps import told_apart
from tradebot.app.loading import Market, load_market, resumed, with_rows
from tradebot.app.market import Feed, Loaded, events_of, feed_of, instrument_of, load_series, slices_of
from tradebot.app.orphans import Choice, closing, leaving, orphans_of, refused
from tradebot.app.rates import first_rates, rate_events, require_rates
from tradebot.app.simulated import sim_venue
from tradebot.config.models import Config
from tradebot.config.schema import digest as config_digest
from tradebot.config.schema import resolved
from tradebot.config.times import duration_text
from tradebot.core.engine import Engine
from tradebot.core.ledger import Ledger
from tradebot.core.messages import Slice, Split, Start
from tradebot.core.model import SECOND, Bar, Instrument, MarketData, rebased
from tradebot.core.recorder import base32
from tradebot.core.rules import TIME_BUDGET
from tradebot.core.setup import Setup, StrategySpec
from tradebot.daemon.account import Parts, TradingAccount
from tradebot.daemon.clock import DataClock
from tradebot.daemon.executor import OwnThread
from tradebot.daemon.halts import Halt, HaltFlag
from tradebot.daemon.outbox import Outbox
from tradebot.daemon.paper import PaperVenue
from tradebot.daemon.paperfile import PaperFile
from tradebot.daemon.places import AccountPlaces
from tradebot.daemon.player import Player
from tradebot.daemon.reconciler import Patience, Reconciler
from tradebot.daemon.runner import Runner, event_stream
from tradebot.errors import InvariantError
from tradebot.sim.exchange import Exchange
from tradebot.sim.settings import MarketAt
from tradebot.sim.timeline import Event, Timeline
from tradebot.store.archive import Archive
from tradebot.store.journal import Identity, Journal

ARCHIVE_CAP = 256 * 1024 * 1024  # bytes of packed inputs; the oldest go first


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be traded, where its files are, and the wall clock's second at which it starts.

    `since`: market data up to then (ns UTC) passed while the daemon was down. The venue has met them;
    strategies are shown them and not listened to.
    """

    config: Config
    project: Path
    account: str
    places: AccountPlaces
    wall: int
    extra_halts: tuple[Halt, ...] = ()
    orphans: Choice = "refuse"
    since: int | None = None
    until_end: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An account that is ready to start, with the files to close after it has stopped.

    `let_go` frees the files and writes nothing, as the end of a killed process does.
    """

    account: TradingAccount
    journal: Journal
    close: Callable[[], None]
    let_go: Callable[[], None]


def open_account(request: Request) -> Opened:
    """Open an account's files, replay its facts and build everything round them.

    Raises ConfigError for what this version cannot trade, StoreError for files that cannot be trusted.
    """
    words = request.config.accounts[request.account]
    if words.venue != "sim":
        raise plan.refuse(
            f"accounts.{request.account}.venue", f"must be sim in this version, was {words.venue}"
        )
    if request.config.mode != "paper":
        raise plan.refuse("mode", "must be paper in this version, which trades simulated accounts only")
    made = [r for r in recipes(request.config, request.project) if r.words.account == request.account]
    identity = Identity(
        instance=_instance(request), venue="sim", account=request.account, mode=request.config.mode
    )
    path = request.places.journal
    found = Journal.open(path, create=False, readonly=True) if path.is_file() else None
    if found is not None:
        identity = replace(identity, instance=found.meta["instance"])
        found.close()
    journal = Journal.open(
        path, create=True, identity=identity, now=request.wall * SECOND, program=tradebot.__version__
    )
    ledger = Ledger()
    journal.replay(ledger)
    return _Assembly(request, made, journal, ledger).build()


def past_engine(
    request: Request, journal: Journal, ledger: Ledger, seen: int | None
) -> tuple[Engine, Callable[[int], Iterable[Slice]]]:
    """Return the engine that a start with this ledger had, and the warm-up of that start at a moment.

    `seen` is the time of the last market data before it, None before the first. Writes nothing.
    """
    made = [r for r in recipes(request.config, request.project) if r.words.account == request.account]
    assembly = _Assembly(request, made, journal, ledger)
    assembly.progress = {} if seen is None else {"market": seen}
    market = assembly._market()
    assembly.events = assembly._events(market, *assembly._span(market))
    engine = Engine(assembly._setup(market, assembly.events), ledger)
    return engine, lambda now: assembly._warm_up(market, now)


def _instance(request: Request) -> str:
    """Return two characters that open the client order ids of this installation's account."""
    words = f"{request.places.folder} {request.wall}"
    number = int.from_bytes(hashlib.sha256(words.encode()).digest()[:4], "big")
    return "t" + base32(number % 32, 1)


class _Assembly:
    """One account between opening and starting."""

    def __init__(self, request: Request, recipes: Sequence[Recipe], journal: Journal, ledger: Ledger) -> None:
        self.request = request
        self.config = request.config
        self.name = request.account
        self.recipes = recipes
        self.journal = journal
        self.ledger = ledger
        self.progress = journal.progress()
        self.orphans = orphans_of(ledger, self.name, [r.words.id for r in recipes])
        if self.orphans and request.orphans == "refuse":
            raise refused(self.orphans)
        self.feed: Feed = feed_of(
            self.config, request.project, self.name, [n for r in recipes for n in instruments_of(r)]
        )

    def build(self) -> Opened:
        start = self._start()
        market = self._market()
        begin, last = self._span(market)
        self.events = events = self._events(market, begin, last)
        clock = DataClock(max(begin, self.ledger.seen, self.request.since or 0))
        venue = self._venue(market.instruments, clock)
        engine = Engine(self._setup(market, events), self.ledger)
        executor = OwnThread(self.name)
        archive = Archive.open(self.request.places.archive, run_id=start.run_id, cap=ARCHIVE_CAP)
        runner = Runner(
            engine,
            record=self.journal,
            archive=archive,
            clock=clock,
            executor=executor,
            watch=lambda recorded: account.note(recorded),
        )
        halts = HaltFlag(self.request.places.halt)
        outbox = Outbox(venue, clock, halts, runner.post)
        runner.outbox = outbox
        runner.timers = timeline = self._timeline(venue, events)
        instance = self.journal.meta["instance"]
        reconciler = Reconciler(
            runner, outbox, venue, clock, instance=instance, patience=_patience(self.config)
        )
        player = self._player(runner, timeline, clock, market, reconciler.at_rest)
        parts = Parts(
            name=self.name,
            runner=runner,
            outbox=outbox,
            reconciler=reconciler,
            executor=executor,
            clock=clock,
            halts=halts,
            feed=self._fed(player, runner, begin),
            catch_up=lambda: player.sleep_through(self._missed(market)),
            warm_up=lambda: self._warm_up(market, clock.now()),
            until_end=self.request.until_end,
            source=self._source(market),
            seen=self._resumes_after(),
        )
        account = TradingAccount(parts, replace(start, ts=clock.now()), self._halts(clock.now()))

        def let_go() -> None:
            archive.close()
            self.journal.close()

        def close() -> None:
            venue.close()
            let_go()

        return Opened(account=account, journal=self.journal, close=close, let_go=let_go)

    def _timeline(self, venue: PaperVenue, events: Sequence[Event]) -> Timeline:
        market_at = MarketAt(self.config.fills_of(self.name).market_at)
        return Timeline(
            venue,
            events=[e for e in events if e.ts > self.progress.get(event_stream(e), -1)],
            close_first=market_at is not MarketAt.SAME_CLOSE,
        )

    def _player(
        self, runner: Runner, timeline: Timeline, clock: DataClock, market: Market, at_rest: asyncio.Lock
    ) -> Player:
        pace = self.config.accounts[self.name].replay.pace
        return Player(runner, timeline, clock, self._slices(market), pace=pace, at_rest=at_rest)

    # --- data ---------------------------------------------------------------------------------------

    def _market(self) -> Market:
        words = self.config.accounts[self.name].replay
        market = load_market(self.config, self.name, self.feed, self.recipes, words.from_, words.to)
        self._add_orphans(market)
        after = self._resumes_after()
        if after is not None:
            market.series.update({key: resumed(one, after) for key, one in market.series.items()})
        self.missed_from = {key: one.start for key, one in market.series.items()}
        if self.request.since is not None:
            since = self.request.since
            market.series.update({key: resumed(one, since) for key, one in market.series.items()})
        return market

    def _add_orphans(self, market: Market) -> None:
        """Follow what nobody in the file trades any more, so that it has a price."""
        catalogue = self.feed.catalogue
        for name in dict.fromkeys(n for orphan in self.orphans for n in orphan.instruments):
            if name not in market.instruments:
                market.instruments[name] = instrument = instrument_of(catalogue, self.config, name)
                longest = max((i for i in catalogue.intervals(name) if i), default=0)
                words = self.config.accounts[self.name].replay
                market.series[name, longest] = load_series(
                    catalogue, instrument, longest, start=words.from_, end=words.to, lookback=0
                )

    def _halts(self, now: int) -> tuple[Halt, ...]:
        if self.request.orphans != "close":
            return self.request.extra_halts
        return (*self.request.extra_halts, *(closing(orphan, now) for orphan in self.orphans))

    def _resumes_after(self) -> int | None:
        """Return the time of the last market data that were decided on, None before the first."""
        seen = [ts for stream, ts in self.progress.items() if not stream.startswith(_NOT_MARKET)]
        return max(seen, default=None)

    def _span(self, market: Market) -> tuple[int, int]:
        """Return when the run begins and when its data end, as the backtest counts them."""
        series = market.series.values()
        starts = self.missed_from
        firsts = [int(s.columns.ts[min(starts[key], len(s.columns) - 1)]) for key, s in market.series.items()]
        begin = min(firsts) - max((s.interval for s in series), default=0)
        return begin, int(max(s.columns.ts[-1] for s in series))

    def _events(self, market: Market, begin: int, last: int) -> list[Event]:
        catalogue = self.feed.catalogue
        require_rates(self.config, self.name, market.instruments.values(), catalogue, begin)
        events = events_of(catalogue, list(market.instruments.values()), begin, last)
        return rate_events(self.config, catalogue, events, begin, last)

    def _slices(self, market: Market) -> Iterator[Slice]:
        left = [s for s in market.series.values() if s.start < len(s.columns)]
        return slices_of(left, dress=told_apart) if left else iter(())

    def _source(self, market: Market) -> str:
        """Return what is played, with the label of data that no market made, and how fast."""
        words = dict.fromkeys(f"{s.instrument} {s.label or s.source}" for s in market.series.values())
        pace = self.config.accounts[self.name].replay.pace
        speed = "as fast as it is traded" if pace is None else f"{duration_text(pace)} a second"
        return f"stored data ({', '.join(words)}), {speed}"

    def _missed(self, market: Market) -> Iterator[Slice]:
        """Return the market data that passed while the daemon was down."""
        missed = [
            with_rows(one, self.missed_from[key], one.start)
            for key, one in market.series.items()
            if self.missed_from[key] < one.start
        ]
        return slices_of(missed, dress=told_apart) if missed else iter(())

    def _shown_from(self) -> int | None:
        """Return up to where saved memories cover the past; None at a first start."""
        seen = self._resumes_after()
        saved = [s.bar_ts for s in self.ledger.saved.values() if s.bar_ts]
        return None if seen is None else min(seen, *saved) if saved else seen

    def _warm_up(self, market: Market, now: int) -> Iterable[Slice]:
        """Return the past in today's units: splits that have happened are in its prices."""
        splits = [e for e in self.events if isinstance(e, Split) and e.ts <= now]
        needs, shown = needs_of(self.recipes), self._shown_from()
        past: list[Loaded] = []
        for key, one in market.series.items():
            known = 0 if shown is None else int(np.searchsorted(one.columns.ts, shown, side="right"))
            first = max(0, known - max(needs.get(key, 0), 1))
            if first < one.start:
                past.append(with_rows(one, first, one.start))
        pieces = slices_of(past, dress=told_apart) if past else iter(())
        return pieces if not splits else (_in_todays_units(piece, splits) for piece in pieces)

    def _fed(self, player: Player, runner: Runner, begin: int) -> Callable[[], Awaitable[None]]:
        async def feed() -> None:
            if not self.progress:
                for rate in first_rates(self.config, self.feed.catalogue, begin):
                    await runner.settled(rate)
            await player.run()

        return feed

    # --- engine and venue ---------------------------------------------------------------------------

    def _setup(self, market: Market, events: Sequence[Event]) -> Setup:
        shares = capital_of(self.config, self.name)
        words = {str(section["id"]): section for section in resolved(self.config)["strategies"]}
        settings = {name: json.dumps(section, sort_keys=True) for name, section in words.items()}
        has_splits = any(isinstance(e, Split) for e in events)
        stuck = {
            halt.scope.strategy for halt in HaltFlag(self.request.places.halt).all if halt.rule == TIME_BUDGET
        }
        stuck |= {fact.scope.strategy for fact in self.ledger.halts.values() if fact.rule == TIME_BUDGET}
        specs: list[StrategySpec] = []
        for recipe in self.recipes:
            spec = plan.strategy_spec(
                recipe.words, live_seat(recipe), shares[recipe.words.id], market.instruments
            )
            if has_splits and not recipe.is_joint:
                spec = replace(spec, renew=recipe.renew)
            spec = replace(spec, is_disabled=recipe.words.id in stuck)
            specs.append(replace(spec, settings=settings[recipe.words.id], code=recipe.plugin.digest))
        if self.request.orphans == "close":
            specs += [leaving(orphan, self.name, market.instruments) for orphan in self.orphans]
        return Setup(
            instruments=market.instruments,
            accounts=(plan.account_spec(self.config, self.name),),
            strategies=tuple(specs),
            quanta={},
            instance=self.journal.meta["instance"],
            needs_reconcile=True,
            remembers=True,
            flatten_collar=0.01,
        )

    def _venue(self, instruments: dict[str, Instrument], clock: DataClock) -> PaperVenue:
        sim = sim_venue(self.config, self.name, instruments)
        return PaperVenue(Exchange(sim, self.name), clock, PaperFile(self.request.places.venue))

    def _start(self) -> Start:
        wall = self.request.wall
        if wall <= self.ledger.epoch:
            raise InvariantError(
                f"a run must start later than every one before it: the clock says second {wall}, the last run "
                f"started at {self.ledger.epoch}. Set the clock right (timedatectl), then start again"
            )
        code = hashlib.sha256("".join(r.plugin.digest for r in self.recipes).encode()).hexdigest()
        return Start(
            ts=0,
            run_id=f"{self.config.mode}-{wall}",
            epoch=wall,
            config_digest=config_digest(self.config),
            code_digest=code,
        )


def _in_todays_units(piece: Slice, splits: Sequence[Split]) -> Slice:
    items: list[MarketData] = []
    for item in piece.items:
        for split in splits:
            if isinstance(item, Bar) and split.instrument == item.instrument and item.ts <= split.ts:
                item = rebased(item, float(split.ratio))
        items.append(item)
    return Slice(piece.ts, tuple(items))


def _patience(config: Config) -> Patience:
    after = config.unknown.release_after
    return Patience(release_after=None if after is None else after / SECOND)


_NOT_MARKET = ("SessionOpen/", "SessionClose/", "Split/", "Dividend/", "Rate/")

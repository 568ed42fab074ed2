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

import tradebot
from tradebot.app import plan
from tradebot.app.capital import capital_of
from tradebot.app.deciders import Recipe, instruments_of, live_seat, needs_of, recipes
from tradebot.app.misfits import refuse
from tradebot.app.orphans import Choice, check, closing, leaving, orphans_of
from tradebot.app.simulated import sim_venue
from tradebot.app.supply import Outline, Supply, Wanted
from tradebot.config.models import Config
from tradebot.config.schema import digest as config_digest
from tradebot.config.schema import resolved
from tradebot.core.engine import Engine
from tradebot.core.happenings import in_todays_units
from tradebot.core.ledger import Ledger
from tradebot.core.messages import Rate, Slice, Split, Start
from tradebot.core.model import SECOND, Instrument
from tradebot.core.ports import LiveVenue
from tradebot.core.recorder import base32
from tradebot.core.resting import FREELY
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
from tradebot.errors import StoreError, TradebotError
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
    strategies are shown them and not listened to. `adopts`: the venue's word is taken for everything.
    `hide` takes secrets out of what a strategy's error and a venue's words say.
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
    adopts: bool = False
    hide: Callable[[str], str] = str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An account that is ready to start, with the files to close after it has stopped.

    `let_go` frees the files and writes nothing, as the end of a killed process does.
    """

    account: TradingAccount
    journal: Journal
    close: Callable[[], None]
    let_go: Callable[[], None]


def open_account(request: Request, supply: Callable[[Wanted], Supply] | None = None) -> Opened:
    """Open an account's files, replay its facts and build everything round them.

    `supply` reads stored data; None: in this process. Raises ConfigError for what this version cannot trade, StoreError for files that cannot be trusted.
    """
    words = request.config.accounts[request.account]
    if words.venue != "sim" or request.config.mode != "paper":
        raise refuse(f"accounts.{request.account}", "stored data are traded at venue: sim in mode: paper")
    assembly = Assembly(request, *opened_files(request))
    return assembly.build((supply or _held_here)(assembly.wanted()))


def opened_files(request: Request) -> tuple[list[Recipe], Journal, Ledger]:
    """Open an account's journal, or begin it, and replay it; returns its strategies, too."""
    made = [r for r in recipes(request.config, request.project) if r.words.account == request.account]
    identity = Identity(
        instance=_instance(request),
        venue=request.config.accounts[request.account].venue,
        account=request.account,
        mode=request.config.mode,
    )
    path = request.places.journal
    found = Journal.open(path, create=False, readonly=True) if path.is_file() else None
    if found is not None:
        identity = replace(identity, instance=found.meta["instance"])
        found.close()
    journal = Journal.open(
        path, create=True, identity=identity, now=request.wall * SECOND, program=tradebot.__version__
    )
    ledger = Ledger(packs=True)
    journal.replay(ledger)
    return made, journal, ledger


def past_engine(
    request: Request, journal: Journal, ledger: Ledger, seen: int | None
) -> tuple[Engine, Callable[[int], Iterable[Slice]]]:
    """Return the engine that a start with this ledger had, and the warm-up of that start at a moment.

    `seen` is the time of the last market data before it, None before the first. Writes nothing.
    """
    made = [r for r in recipes(request.config, request.project) if r.words.account == request.account]
    assembly = Assembly(request, made, journal, ledger)
    assembly.progress = {} if seen is None else {"market": seen}
    given = _held_here(assembly.wanted())
    engine = Engine(assembly.setup(given.outline), ledger)
    return engine, lambda now: in_todays_units(given.past(), given.outline.events, now)


def _instance(request: Request) -> str:
    """Return two characters that open the client order ids of this installation's account."""
    words = f"{request.places.folder} {request.wall}"
    number = int.from_bytes(hashlib.sha256(words.encode()).digest()[:4], "big")
    return "t" + base32(number % 32, 1)


class Assembly:
    """One account between opening and starting."""

    def __init__(self, request: Request, recipes: Sequence[Recipe], journal: Journal, ledger: Ledger) -> None:
        self.request = request
        self.config = request.config
        self.name = request.account
        self.recipes = recipes
        self.journal = journal
        self.ledger = ledger
        self.progress = journal.progress()
        named = {recipe.words.id: recipe.words.instruments for recipe in recipes}
        self.orphans = orphans_of(ledger, self.name, named)
        check(self.orphans, request.orphans)

    def build(self, given: Supply) -> Opened:
        start = self._start()
        outline = given.outline
        clock = DataClock(max(outline.begin, self.ledger.seen, self.request.since or 0))
        venue = self._venue(outline.instruments, clock)
        engine = Engine(self.setup(outline), self.ledger)
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
        halts = HaltFlag(self.request.places.halt, self.request.hide)
        outbox = Outbox(venue, clock, halts, runner.post)
        runner.outbox = outbox
        runner.timers = timeline = self._timeline(venue, outline.events)
        instance = self.journal.meta["instance"]
        reconciler = Reconciler(
            runner,
            outbox,
            venue,
            clock,
            instance=instance,
            patience=patience_of(self.config),
            adopts=self.request.adopts,
        )
        player = self._player(runner, timeline, clock, given.coming(), reconciler.at_rest)
        parts = Parts(
            name=self.name,
            runner=runner,
            outbox=outbox,
            reconciler=reconciler,
            executor=executor,
            clock=clock,
            halts=halts,
            feed=self._fed(player, runner, outline.rates),
            catch_up=lambda: player.sleep_through(given.missed()),
            warm_up=lambda: in_todays_units(given.past(), outline.events, clock.now()),
            until_end=self.request.until_end,
            source=outline.source,
            seen=self._resumes_after(),
        )
        account = TradingAccount(parts, replace(start, ts=clock.now()), self._halts(clock.now()))

        def let_go() -> None:
            given.close()
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
        self,
        runner: Runner,
        timeline: Timeline,
        clock: DataClock,
        coming: Iterator[Slice],
        at_rest: asyncio.Lock,
    ) -> Player:
        pace = self.config.accounts[self.name].replay.pace
        return Player(runner, timeline, clock, coming, pace=pace, at_rest=at_rest)

    # --- data ---------------------------------------------------------------------------------------

    def wanted(self) -> Wanted:
        """Return what is asked of stored data, going by what the ledger and the journal know."""
        seen = self._resumes_after()
        saved = [s.bar_ts for s in self.ledger.saved.values() if s.bar_ts]
        return Wanted(
            config=self.config.model_copy(update={"notify": ()}),  # no address leaves this process
            project=self.request.project,
            account=self.name,
            needs=needs_of(self.recipes),
            named=tuple(n for recipe in self.recipes for n in instruments_of(recipe)),
            orphans=tuple(dict.fromkeys(n for orphan in self.orphans for n in orphan.instruments)),
            seen=seen,
            missed=self.request.since,
            remembered=None if seen is None else min(seen, *saved) if saved else seen,
        )

    def _halts(self, now: int) -> tuple[Halt, ...]:
        if self.request.orphans != "close":
            return self.request.extra_halts
        return (*self.request.extra_halts, *(closing(orphan, now) for orphan in self.orphans))

    def _resumes_after(self) -> int | None:
        """Return the time of the last market data that were decided on, None before the first."""
        seen = [ts for stream, ts in self.progress.items() if not stream.startswith(_NOT_MARKET)]
        return max(seen, default=None)

    def _fed(self, player: Player, runner: Runner, rates: Sequence[Rate]) -> Callable[[], Awaitable[None]]:
        async def feed() -> None:
            if not self.progress:
                for rate in rates:
                    await runner.settled(rate)
            await player.run()

        return feed

    # --- engine and venue ---------------------------------------------------------------------------

    def setup(self, outline: Outline, venue: LiveVenue | None = None) -> Setup:
        """Describe the run to the engine; `venue` None: the simulated one."""
        shares = capital_of(self.config, self.name)
        words = {str(section["id"]): section for section in resolved(self.config)["strategies"]}
        settings = {name: json.dumps(section, sort_keys=True) for name, section in words.items()}
        has_splits = any(isinstance(e, Split) for e in outline.events)
        stuck = {
            halt.scope.strategy for halt in HaltFlag(self.request.places.halt).all if halt.rule == TIME_BUDGET
        }
        stuck |= {fact.scope.strategy for fact in self.ledger.halts.values() if fact.rule == TIME_BUDGET}
        specs: list[StrategySpec] = []
        for recipe in self.recipes:
            spec = plan.strategy_spec(
                recipe.words, live_seat(recipe), shares[recipe.words.id], outline.instruments
            )
            if has_splits and not recipe.is_joint:
                spec = replace(spec, renew=recipe.renew)
            spec = replace(spec, is_disabled=recipe.words.id in stuck)
            specs.append(replace(spec, settings=settings[recipe.words.id], code=recipe.plugin.digest))
        if self.request.orphans in ("close", "leave"):
            specs += [leaving(orphan, self.name, outline.instruments) for orphan in self.orphans]
        return Setup(
            instruments=outline.instruments,
            accounts=(plan.account_spec(self.config, self.name),),
            strategies=tuple(specs),
            quanta={},
            instance=self.journal.meta["instance"],
            needs_reconcile=True,
            remembers=True,
            flatten_collar=0.01,
            can_replace=venue is None or venue.can_replace,
            resting=FREELY if venue is None else venue.resting,
            hide=self.request.hide,
        )

    def _venue(self, instruments: dict[str, Instrument], clock: DataClock) -> PaperVenue:
        path, traded = self.request.places.venue, any(sub.positions for sub in self.ledger.subs.values())
        if traded and not path.exists():
            # One that begins anew knows no position and tells the trades to come under ids that were used.
            raise StoreError(
                f"{path} must be there: it is the paper venue of an account that has traded, and knows its cash and "
                f"positions. Put it back, or move {path.parent} away to begin a new paper account"
            )
        sim = sim_venue(self.config, self.name, instruments)
        return PaperVenue(Exchange(sim, self.name), clock, PaperFile(self.request.places.venue))

    def _start(self) -> Start:
        wall = self.request.wall
        if wall <= self.ledger.epoch:
            raise TradebotError(
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


def _held_here(wanted: Wanted) -> Supply:
    """Return the supply of an account as this process reads it."""
    from tradebot.app.stored import supply  # loads what a daemon leaves to a process of its own

    return supply(wanted)


def patience_of(config: Config) -> Patience:
    after = config.unknown.release_after
    return Patience(release_after=None if after is None else after / SECOND)


_NOT_MARKET = ("SessionOpen/", "SessionClose/", "Split/", "Dividend/", "Rate/")

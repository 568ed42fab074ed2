"""One seed: a market, strategies, a daemon that dies and starts again, and everything that goes wrong.

Owns the run: what happens when, the deaths and births of the process, and the moment at which faults end
and everything must come to rest. Refuses to judge (`checks`) and to know the daemon's insides (`life`).
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from tests.chaos.checks import Auditor, Broken, check_books, check_rest
from tests.chaos.disk import HALTS, Disk, Image, Killed
from tests.chaos.faults import Faults
from tests.chaos.life import IDENTITY, Birth, Clock, Kit, Life, begin
from tests.chaos.loop import Agenda, VirtualLoop
from tests.chaos.owner import Owner
from tests.chaos.stage import FIRST_PRICES, PEAR, at, draw_events, draw_setup, fresh, is_traded
from tests.chaos.venue import Asked, Server
from tests.core.world import COIN, GEM, START, STOCK
from tradebot.core import facts as f
from tradebot.core.happenings import in_todays_units
from tradebot.core.messages import Dividend, Input, Slice, Split
from tradebot.core.model import (
    MINUTE,
    Bar,
    Order,
    Quote,
)
from tradebot.core.ports import IdPolicy
from tradebot.core.rules import ANOTHER_LIFE
from tradebot.core.scope import EVERYTHING, HaltLevel
from tradebot.daemon.account import Phase, TradingAccount
from tradebot.daemon.adopting import adopt
from tradebot.daemon.halts import Halt, HaltFlag
from tradebot.daemon.reconciler import Patience
from tradebot.daemon.runner import Archive, event_stream
from tradebot.errors import InvariantError, StoreError
from tradebot.sim.accounts import SimAccount
from tradebot.sim.exchange import Exchange
from tradebot.sim.fees import BpsFees
from tradebot.sim.settings import FillSettings, OnSplit
from tradebot.sim.venue import SimVenue
from tradebot.store.journal import Journal

D = Decimal
TICK = 15.0  # seconds between two quotes
_EMPTY: list[Image] = []  # a new journal, made once
TICK_NS = int(TICK * 1e9)
_MONEY = (f.OrderFilled, f.CashMoved, f.AssignmentMade, f.PositionAdjusted, f.SplitApplied, f.DividendPaid)


# Ends of orders that only one branch leads to.
_BRANCHES = (
    "taken back before it was sent",
    "the venue filled it and shows no more trades of it",
    "makes way",
)
HONEST = Kit()


@dataclass(frozen=True, slots=True)
class Report:
    """What a seed showed."""

    seed: int
    counts: Mapping[str, int]
    trace: str
    orders: int
    lives: int


class World:
    """One run of one seed in `folder`, which is left empty. `run` raises Broken, saying how to replay."""

    quiet_after = 8 * 60.0
    rest = 240.0

    def __init__(self, seed: int, folder: Path, kit: Kit = HONEST, policy: IdPolicy | None = None) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.folder = folder
        self.kit = kit
        self.log: list[str] | None = None
        self.agenda = Agenda()
        self.clock = Clock(self.agenda, START)
        self.strength = self.rng.choice([0.0, 0.3, 1.0, 1.0, 1.0])
        self.faults = Faults(random.Random(self.rng.random()), self.strength)
        self.setup = draw_setup(seed, self.rng)
        self.auditor = Auditor(self.setup, IDENTITY.instance)
        self.events = draw_events(random.Random(self.rng.random()), self.strength)
        self.server = self._server(policy or self.rng.choice(list(IdPolicy)))
        self.auditor.server = self.server
        self.patience = Patience(
            every=self.rng.choice([20.0, 60.0]),
            doubtful=self.rng.choice([4.0, 8.0]),
            absent_looks=self.rng.choice([3, 5]),
            absent_for=self.rng.choice([20.0, 60.0]),
            release_after=self.rng.choice([None, None, 70.0, 120.0]),
        )
        self.deadline = self.rng.choice([3.0, 15.0])
        self.life: Life | None = None
        self.lives = 0
        self.is_over = False
        self.bars: list[Slice] = []
        self.digest = hashlib.sha256()
        self.orders = 0
        self._image = self._empty()
        self._backup: Image | None = None
        self._newest: Image | None = None  # set aside while a backup is tried
        self.broken: Broken | None = None
        self._unheard: list[Halt] = []
        self._starts: list[float] = []
        self._adopts = False  # the next process only takes the venue's word
        self.owner = Owner(self.server, random.Random(self.rng.random()), self.faults.saw)
        self._plan()

    # --- what there is ------------------------------------------------------------------------------

    def _server(self, policy: IdPolicy) -> Server:
        account = self.setup.accounts[0]
        sim = SimVenue(
            instruments=self.setup.instruments,
            accounts={"main": SimAccount(model=account.model, cash=dict(account.cash))},
            settings=FillSettings(
                ids_for_ever=policy is IdPolicy.FOR_EVER, on_split=self.rng.choice(list(OnSplit))
            ),
            fees=BpsFees(maker=D(2), taker=D(5)),
        )
        return Server(
            Exchange(sim, "main", tells_dividends=account.tells_dividends),
            self.agenda,
            self.faults,
            random.Random(self.rng.random()),
            start=START,
            policy=policy,
            calm_at=self.quiet_after,
            arrived=self._arrived,
            changed=self.auditor.looks,
            note=self.note,
            resting=self.setup.resting,
        )

    # --- what happens when --------------------------------------------------------------------------

    def _plan(self) -> None:
        end = self.quiet_after + self.rest
        for name, price in FIRST_PRICES.items():
            self._plan_market(name, price, end)
        for minute in range(1, int((end - 120.0) / 60.0) + 1):
            self.agenda.at(minute * 60.0 + 0.5, lambda minute=minute: self._bar(minute))
        self._plan_events()
        self._plan_troubles()
        self.agenda.at(0.2, self._begin)
        self.agenda.at(self.quiet_after, self._calm)
        self.agenda.at(self.quiet_after + 150.0, self._owner_takes)
        self.agenda.at(end, self._end)

    def _plan_troubles(self) -> None:
        """Draw what goes wrong or is done outside the wire, and when."""
        rng, strength = self.rng, self.strength
        acts: list[tuple[float, int, Callable[[], None]]] = [
            (0.3, 2, self.owner.trade),
            (0.2, 1, self.owner.rest),
            (0.2, 2, self.owner.transfer),
            (0.4, 5, self._owner_speaks),
            (0.3, 2, self._mute),
            (0.25, 3, self._clock_jumps),
            (0.15, 2, self._disk_fills),
            (0.15, 1, self._stop),
            (0.25, 1, self._back_up),
        ]
        for chance, most, act in acts:
            if rng.random() < chance * strength:
                if act == self._back_up:  # what makes a backup dangerous is an order that is still on its way
                    self.faults.rates["request very late"] = 0.2 * strength
                for _ in range(rng.randint(1, most)):
                    self.agenda.at(rng.uniform(5.0, self.quiet_after - 5.0), act)
        self._kills = 0.75 if strength else 0.0
        self._crash_loop = rng.random() < 0.05 * strength

    def _owner_speaks(self) -> None:
        self._hand_over(self.owner.word())

    def _hand_over(self, halt: Halt) -> None:
        """Say a word to the daemon; when it is down, to its flag file."""
        life = self.life
        self.note("==", halt)
        if life is None:
            self._unheard.append(halt)
        else:
            life.loop.create_task(life.account.halt(halt))

    def _mute(self) -> None:
        self.server.is_mute = True

        def over() -> None:
            self.server.is_mute = False
            if self.life is not None and self.life.is_fed:
                self.life.account.parts.reconciler.hint()

        self.agenda.after(self.rng.uniform(5.0, 120.0), over)

    def _clock_jumps(self) -> None:
        self.faults.saw("clock jumped")
        self.clock.skew += self.rng.choice([-2.0, 2.0, -90.0, 90.0, 3600.0])

    def _disk_fills(self) -> None:
        if self.life is not None:
            self.faults.saw("disk full")
            self.life.disk.fill_up()

    def _stop(self) -> None:
        if self.life is not None:
            self.life.account.stop("the owner stops it")

    def _back_up(self) -> None:
        if self.life is not None:
            self._backup = self.life.disk.image()

    def _plan_events(self) -> None:
        """Sessions and what companies do: the venue does it, the daemon hears of it now or when it is back."""
        for event in self.events:
            second = (event.ts - START) / 1e9
            self.agenda.at(second, lambda event=event: self.server.on_event(event))
            delay = self.rng.choice([0.01, 0.5])
            self.agenda.at(second + delay, lambda event=event: self._hears(event))
            if isinstance(event, Dividend):
                self.agenda.at((event.pays_at - START) / 1e9, self.server.pass_time)

    def _hears(self, event: Input) -> None:
        self.faults.saw(type(event).__name__)
        if self.life is not None:
            self.life.feed(event)

    def _plan_market(self, name: str, price: float, end: float) -> None:
        rng = random.Random(f"{self.seed}/{name}")
        self._prices: dict[str, list[float]] = getattr(self, "_prices", {})
        row = self._prices.setdefault(name, [])
        for i in range(1, int(end / TICK)):  # what trades at the very end could not be heard of any more
            if i * TICK < self.quiet_after:
                price = round(price * (1.0 + rng.uniform(-0.004, 0.004)), 2)
            shown = self._rebased(name, price, i * TICK)
            row.append(shown)
            if not is_traded(name, i * TICK):
                continue
            size = rng.choice([2.0, 5.0, 50.0]) if i * TICK < self.quiet_after else 50.0
            ts = START + int(i * TICK * 1e9)
            quote = Quote(name, ts, round(shown - 0.02, 2), size, round(shown + 0.02, 2), size)
            self.agenda.at(i * TICK, lambda quote=quote: self._quote(quote))

    def _rebased(self, name: str, price: float, second: float) -> float:
        """Return a price in the units that a split has left."""
        for event in self.events:
            is_due = isinstance(event, Split) and event.instrument == name and event.ts <= at(second)
            if is_due and isinstance(event, Split):
                price /= float(event.ratio)
        return round(price, 2)

    def _quote(self, quote: Quote) -> None:
        self.server.on_quote(quote)
        is_shown = self.agenda.now < self.quiet_after + 60.0
        if (
            is_shown
            and quote.instrument == PEAR.id
            and self.life is not None
            and (quote.ts - START) % (2 * TICK_NS) == 0
        ):
            self.life.feed(Slice(quote.ts, (quote,)))

    def _bar(self, minute: int) -> None:
        ts = START + minute * MINUTE
        per = int(60.0 / TICK)
        items = []
        for name in (COIN.id, GEM.id, STOCK.id):
            if not is_traded(name, minute * 60.0 - 55.0) or not is_traded(name, minute * 60.0):
                continue
            row = self._prices[name][(minute - 1) * per : minute * per]
            items.append(Bar(name, ts, MINUTE, row[0], max(row), min(row), row[-1], 100.0))
        piece = Slice(ts, tuple(items))
        self.bars.append(piece)
        if self.life is not None:
            self.life.feed(piece)

    def _calm(self) -> None:
        """Faults are over: from here on everything must come to rest."""
        self.faults.is_on = False
        self.server.is_mute = False
        self._backup = None
        self.clock.skew = max(self.clock.skew, 0.0)
        for scope in list(self.owner.words):
            if self.rng.random() < 0.7:
                del self.owner.words[scope]
                self._hand_over(self.owner.halt(scope, HaltLevel.NONE))
        if self.life is not None:
            self.life.kill_turn = self.life.kill_commit = None

    def _owner_takes(self) -> None:
        """Take what turned up under our ids and is unknown to a journal that was put back."""
        life = self.life
        if life is None or not any(halt.rule == ANOTHER_LIFE for halt in life.account.parts.halts.all):
            return
        self.faults.saw("another life taken")

        async def take() -> None:
            _, ended = await adopt(life.account, "taken")
            for halt in [h for h in life.account.parts.halts.all if h.key in ended]:
                await life.account.halt(replace(halt, level=HaltLevel.NONE, reason="adopted"))

        life.loop.create_task(take())

    def _end(self) -> None:
        self.is_over = True

    # --- births and deaths --------------------------------------------------------------------------

    def _empty(self) -> Image:
        if _EMPTY:
            return _EMPTY[0]
        folder = self.folder / "empty"
        folder.mkdir(parents=True)
        journal = Journal.open(folder / "journal.db", create=True, identity=IDENTITY)
        journal.close()
        _EMPTY.append(Image((folder / "journal.db").read_bytes(), b"", None))
        shutil.rmtree(folder)
        return _EMPTY[0]

    def _begin(self) -> None:
        self.lives += 1
        folder = self.folder / f"life{self.lives}"
        self._image.lay_out(folder)
        for halt in self._unheard:
            self.faults.saw("owner spoke to the flag file")
            HaltFlag(folder / HALTS).set(halt)
        self._unheard.clear()
        loop = VirtualLoop(self.agenda, random.Random(self.rng.random()), self.rng.choice([0.0, 0.1, 0.5]))
        link = self.kit.link(self.server, self._left)
        self.life = life = begin(
            Birth(
                folder=folder,
                agenda=self.agenda,
                loop=loop,
                clock=self.clock,
                setup=fresh(self.setup, self.seed),
                link=link,
                kit=self.kit,
                patience=self.patience,
                deadline=self.deadline,
                number=self.lives,
                disk=lambda journal, where: _Watched(self, journal, where),
                replayed=self.auditor.restart,
                saw=self.faults.saw,
                extra_halts=self._crash_guard(),
                archive=self.archive,
                surround=self.surround,
                adopts=self._adopts,
                past=self._past,
                missed=self._missed,
            )
        )
        if self.faults.is_on and self._crash_loop and self.lives < 6:
            life.kill_turn = self.rng.randint(1, 60)
        elif self.faults.is_on and self.rng.random() < self._kills:
            if self.rng.random() < 0.5:
                life.kill_turn = int(self.rng.choice([30, 300, 3000]) * self.rng.random()) + 1
            else:
                commit = int(self.rng.choice([5, 30, 100]) * self.rng.random()) + 1
                life.kill_commit = (commit, self.rng.random() < 0.5)

    def _crash_guard(self) -> tuple[Halt, ...]:
        """After four starts in ten minutes that did not end in order, trade nothing new."""
        now = self.agenda.now
        self._starts = [at for at in self._starts if now - at < 600.0] + [now]
        if not self._crash_loop or len(self._starts) < 4:
            return ()
        self.faults.saw("crash loop halted")
        halt = self.owner.halt(EVERYTHING, HaltLevel.NO_NEW_RISK)
        return (replace(halt, reason="it keeps crashing", rule="crash_loop"),)

    def _missed(self, progress: dict[str, int]) -> Sequence[Input]:
        now = self.server.now()
        return [e for e in self.events if progress.get(event_stream(e), -1) < e.ts <= now]

    def _past(self) -> list[Slice]:
        """Return the bars so far in today's units, as stored data are given to a start."""
        return list(in_todays_units(self.bars, self.events, self.server.now()))

    def _die(self, why: str) -> None:
        """The process is gone, at once; what it had sent is on its way, what it had committed is on disk."""
        life = self.life
        assert life is not None
        self.life = None
        self.faults.saw(why)
        power_lost = self.faults.is_on and self.rng.random() < 0.3
        if power_lost:
            self.faults.saw("power lost")
        self.note("---", f"{why}{', power lost' if power_lost else ''}")
        self._image = life.disk.image(power_lost=power_lost)
        self._bury(life)
        if self._newest is not None and life.account.phase is Phase.READY:
            self._newest = None  # the backup had all that matters: from here on it is the journal
        self._adopts = why == "refused a backup" and self._newest is None
        if self._adopts:
            self.faults.saw("another life taken at a start")
        elif self._newest is not None and why == "refused a backup":
            self._image, self._newest = self._newest, None  # the right file turns up again
        elif self._backup is not None and self.faults.is_on:
            self.faults.saw("backup restored")
            self._newest, self._image, self._backup = self._image, self._backup, None
        self.agenda.after(self.rng.choice([1.2, 5.0, 70.0]), self._begin)

    def archive(self, folder: Path) -> Archive | None:
        """Return where the inputs of a new process are kept."""
        return None

    def surround(self, account: TradingAccount, loop: VirtualLoop) -> None:
        """Put beside a new process whatever else is to live with it."""

    def _bury(self, life: Life) -> None:
        life.link.is_dead = True
        life.disk.is_dead = True
        life.loop.bury()
        life.disk.let_go()

    def _ended(self, life: Life) -> None:
        """The process ended by itself: that is a word of its own."""
        try:
            life.main.result()
            self._starts.clear()
            self._die("stopped in order")
        except Killed:
            self._die("killed at a commit")
        except StoreError as exc:
            is_refusal = "must know no order of this instance" in str(exc)
            self._die("refused a backup" if is_refusal else "stopped by its disk")
        except InvariantError as exc:
            if "epoch must exceed" not in str(exc):
                raise
            self._die("refused an old epoch")

    # --- watching -----------------------------------------------------------------------------------

    def _left(self, request: Asked) -> None:
        life = self.life
        flag: HaltFlag | None = None if life is None else life.account.parts.halts
        self.note("->", request)
        with self._judged():
            self.auditor.leaves(request, flag)

    def _arrived(self, order: Order) -> None:
        self.orders += 1
        self.digest.update(f"{self.agenda.now} {order}".encode())
        self.auditor.arrives(order)

    def committed(self, facts: Sequence[f.Recorded], durable: bool) -> None:
        """Follow what was committed."""
        for recorded in facts:
            name = type(recorded.fact).__name__
            self.digest.update(f"{recorded.seq} {recorded.seen} {name}".encode())
            self.faults.saw(name)
            word = getattr(recorded.fact, "reason", "") or getattr(recorded.fact, "because", "")
            if word in _BRANCHES:
                self.faults.saw(word)
            self.note("  ", recorded.fact)
        with self._judged():
            self.auditor.committed(facts, durable)
        if self.life is not None and any(isinstance(r.fact, _MONEY) for r in facts):
            check_books(self.life.ledger)

    # --- the run ------------------------------------------------------------------------------------

    def run(self) -> Report:
        """Live through it. Raises Broken."""
        try:
            while not self.is_over:
                life = self.life
                if life is None:
                    self.agenda.step()
                    continue
                life.loop.turn()
                if self.life is not life:
                    continue
                if life.kill_turn is not None and life.loop.turns >= life.kill_turn:
                    self._die("killed at an await")
                elif life.main.done():
                    self._ended(life)
                elif life.disk.is_dead:
                    self._die("killed at a commit")
                if self.broken is not None:
                    raise self.broken
                if life.loop.complaints:
                    raise Broken(life.loop.complaints[0])
            self._check_end()
        except Exception as exc:
            exc.add_note(f"seed {self.seed} at {self.agenda.now:.3f} s, life {self.lives}; {self.replay()}")
            raise
        finally:
            if self.life is not None:
                self._bury(self.life)
        return Report(self.seed, self.faults.counts, self.digest.hexdigest(), self.orders, self.lives)

    @contextmanager
    def _judged(self) -> Iterator[None]:
        """Keep what was broken inside the process: it may swallow its own exceptions, not these."""
        try:
            yield
        except Broken as exc:
            self.broken = self.broken or exc
            raise

    def note(self, mark: str, what: object) -> None:
        """Keep a line for whoever looks into one seed."""
        if self.log is not None:  # to put a fact into words costs as much as to decide it
            self.log.append(f"{self.agenda.now:9.3f} {self.lives} {mark} {what}")

    def replay(self) -> str:
        return f"to repeat it: make chaos ONE={self.seed}"

    def _check_end(self) -> None:
        life = self.life
        if life is None or life.account.phase is not Phase.READY:
            raise Broken(f"the daemon must be ready at the end, was {life and life.account.phase}")
        halts = life.account.parts.halts.all
        self.owner.check()
        acted = {e.instrument for e in self.events if isinstance(e, Split | Dividend)}
        check_rest(life.ledger, self.setup, self.server, halts, shrunk=self.auditor.shrunk, acted=acted)


class _Watched(Disk):
    """A disk on which the world looks at every commit, and at which it kills."""

    def __init__(self, world: World, journal: Journal, folder: Path) -> None:
        super().__init__(journal, folder)
        self._world = world

    def append(self, facts: Sequence[f.Recorded], *, durable: bool, progress: Mapping[str, int]) -> None:
        life = self._world.life
        kill = None if life is None else life.kill_commit
        is_last = kill is not None and kill[0] == self.commits + 1
        if is_last and kill is not None and kill[1]:
            self.is_dead = True
        super().append(facts, durable=durable, progress=progress)
        if facts:
            self._world.committed(facts, durable)
        if is_last:
            self.is_dead = True
            raise Killed

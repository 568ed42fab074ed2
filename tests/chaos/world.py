"""One seed: a market, strategies, a daemon that dies and starts again, and everything that goes wrong.

Owns the run: what happens when, the deaths and births of the process, and the moment at which faults end
and everything must come to rest. Refuses to judge (`checks`) and to know the daemon's insides (`life`).
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from tests.chaos.checks import Auditor, Broken, check_books, check_rest
from tests.chaos.disk import Disk, Image, Killed
from tests.chaos.faults import Faults
from tests.chaos.life import IDENTITY, Birth, Clock, Kit, Life, begin
from tests.chaos.loop import Agenda, VirtualLoop
from tests.chaos.venue import Server
from tests.core.world import COIN, GEM, START
from tradebot.core import facts as f
from tradebot.core.messages import Input, Slice
from tradebot.core.model import (
    MINUTE,
    AccountModel,
    Bar,
    ExitRules,
    Instrument,
    Level,
    Order,
    OrderKind,
    Quote,
)
from tradebot.core.ports import IdPolicy
from tradebot.core.setup import AccountSpec, ExecutionSpec, Limits, OrderStyle, Setup, StrategySpec
from tradebot.core.sizing import FixedQty
from tradebot.core.strategy import BarStrategy, Context, Quotes, QuoteStrategy, Target
from tradebot.daemon.account import Phase
from tradebot.daemon.halts import HaltFlag
from tradebot.daemon.reconciler import Patience
from tradebot.errors import InvariantError, StoreError
from tradebot.sim.accounts import SimAccount
from tradebot.sim.exchange import Exchange
from tradebot.sim.fees import BpsFees
from tradebot.sim.settings import FillSettings
from tradebot.sim.venue import Request, SimVenue
from tradebot.store.journal import Journal

D = Decimal
PEAR = replace(GEM, id="PEAR", base="PEAR")
TICK = 10.0  # seconds between two quotes
TICK_NS = int(TICK * 1e9)
_MONEY = (f.OrderFilled, f.CashMoved, f.AssignmentMade, f.PositionAdjusted, f.SplitApplied, f.DividendPaid)
_FIRST = {"COIN": 100.0, "GEM": 40.0, "PEAR": 20.0}


HONEST = Kit()


class Words(BarStrategy):
    """Says a weight for each bar that depends on nothing but the seed and the bar."""

    def __init__(self, seed: str) -> None:
        super().__init__(None)
        self._seed = seed

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        draw = hashlib.blake2b(f"{self._seed}/{bar.ts}".encode(), digest_size=1).digest()[0]
        weight = (None, None, 0.0, 0.5, 1.0, 1.0, -1.0, -0.5)[draw % 8]
        return None if weight is None else ctx.target(weight=weight)


class Maker(QuoteStrategy):
    """Rests one level on both sides, further away on the side of what it holds."""

    def on_quote(self, ctx: Context, quote: Quote) -> Quotes | None:
        lean = ctx.position() * 0.01
        bid, ask = quote.mid - 0.05 - lean, quote.mid + 0.05 - lean
        return Quotes(
            ctx.instrument,
            bids=(Level(min(bid, quote.bid), 3.0),),
            asks=(Level(max(ask, quote.ask), 3.0),),
            tolerance_ticks=2,
        )


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

    quiet_after = 10 * 60.0
    rest = 260.0

    def __init__(self, seed: int, folder: Path, kit: Kit = HONEST, policy: IdPolicy | None = None) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.folder = folder
        self.kit = kit
        self.log: list[str] | None = None
        self.agenda = Agenda()
        self.clock = Clock(self.agenda, START)
        self.faults = Faults(random.Random(self.rng.random()), self.rng.choice([0.0, 0.3, 1.0, 1.0]))
        self.setup = self._setup()
        self.auditor = Auditor(self.setup, IDENTITY.instance)
        self.server = self._server(policy or self.rng.choice(list(IdPolicy)))
        self.auditor.server = self.server
        self.patience = Patience(
            every=self.rng.choice([20.0, 60.0]),
            doubtful=self.rng.choice([2.0, 5.0]),
            absent_looks=self.rng.choice([3, 5]),
            absent_for=self.rng.choice([20.0, 60.0]),
        )
        self.deadline = self.rng.choice([3.0, 15.0])
        self.life: Life | None = None
        self.lives = 0
        self.is_over = False
        self.bars: list[Slice] = []
        self.digest = hashlib.sha256()
        self.orders = 0
        self._image = self._empty()
        self._plan()

    # --- what there is ------------------------------------------------------------------------------

    def _setup(self) -> Setup:
        rng = self.rng
        exits = ExitRules(
            stop_loss=rng.choice([None, 0.01, 0.02]),
            take_profit=rng.choice([None, 0.015]),
            trailing=rng.choice([None, None, 0.012]),
            after_exit=rng.choice(["next_signal", "at_once", 2]),
        )
        limit = OrderStyle(kind=OrderKind.LIMIT, collar=rng.choice([-0.002, 0.01]))
        twap = ExecutionSpec(
            kind="twap", slices=3, over=2 * MINUTE, on_late=rng.choice(["catch_up", "expire"])
        )
        specs = [
            self._spec("a", COIN, 10.0, exits=exits),
            self._spec("b", COIN, 7.0, style=rng.choice([limit, OrderStyle()])),
            self._spec("c", GEM, 9.0, execution=twap, exits=rng.choice([exits, ExitRules()])),
            StrategySpec(
                id="q",
                account="main",
                instruments=(PEAR.id,),
                interval=0,
                deciders={PEAR.id: Maker(None)},
                sizing=FixedQty(qty=1.0),
                capital=D("0.25"),
            ),
        ]
        limits = Limits(max_orders_per_day=rng.choice([None, 25, 60]))
        account = AccountSpec(
            name="main",
            model=AccountModel.MARGIN,
            base_currency="USD",
            cash={"USD": D(100_000)},
            limits=limits,
        )
        return Setup(
            instruments={i.id: i for i in (COIN, GEM, PEAR)},
            accounts=(account,),
            strategies=tuple(specs),
            quanta={},
            instance=IDENTITY.instance,
            needs_reconcile=True,
            remembers=True,
        )

    def _spec(self, name: str, instrument: Instrument, qty: float, **terms: object) -> StrategySpec:
        return StrategySpec(
            id=name,
            account="main",
            instruments=(instrument.id,),
            interval=MINUTE,
            deciders={instrument.id: Words(f"{self.seed}/{name}")},
            sizing=FixedQty(qty=qty),
            capital=D("0.25"),
            **terms,  # type: ignore[arg-type]
        )

    def _server(self, policy: IdPolicy) -> Server:
        account = self.setup.accounts[0]
        sim = SimVenue(
            instruments=self.setup.instruments,
            accounts={"main": SimAccount(model=account.model, cash=dict(account.cash))},
            settings=FillSettings(ids_for_ever=policy is IdPolicy.FOR_EVER),
            fees=BpsFees(maker=D(2), taker=D(5)),
        )
        return Server(
            Exchange(sim, "main"),
            self.agenda,
            self.faults,
            random.Random(self.rng.random()),
            start=START,
            policy=policy,
            arrived=self._arrived,
            changed=self.auditor.looks,
            note=self.note,
        )

    # --- what happens when --------------------------------------------------------------------------

    def _plan(self) -> None:
        end = self.quiet_after + self.rest
        for name, price in _FIRST.items():
            self._plan_market(name, price, end)
        for minute in range(1, int((end - 120.0) / 60.0) + 1):
            self.agenda.at(minute * 60.0 + 0.5, lambda minute=minute: self._bar(minute))
        self.agenda.at(0.2, self._begin)
        self.agenda.at(self.quiet_after, self._calm)
        self.agenda.at(end, self._end)

    def _plan_market(self, name: str, price: float, end: float) -> None:
        rng = random.Random(f"{self.seed}/{name}")
        self._prices: dict[str, list[float]] = getattr(self, "_prices", {})
        row = self._prices.setdefault(name, [])
        for i in range(1, int(end / TICK) + 1):
            if i * TICK < self.quiet_after:
                price = round(price * (1.0 + rng.uniform(-0.004, 0.004)), 2)
            row.append(price)
            size = rng.choice([2.0, 5.0, 50.0]) if i * TICK < self.quiet_after else 50.0
            ts = START + int(i * TICK * 1e9)
            quote = Quote(name, ts, round(price - 0.02, 2), size, round(price + 0.02, 2), size)
            self.agenda.at(i * TICK, lambda quote=quote: self._quote(quote))

    def _quote(self, quote: Quote) -> None:
        self.server.on_quote(quote)
        is_shown = self.agenda.now < self.quiet_after + 60.0
        if (
            is_shown
            and quote.instrument == PEAR.id
            and self.life is not None
            and quote.ts % (3 * TICK_NS) == START % (3 * TICK_NS)
        ):
            self.life.feed(Slice(quote.ts, (quote,)))

    def _bar(self, minute: int) -> None:
        ts = START + minute * MINUTE
        per = int(60.0 / TICK)
        items = []
        for name in (COIN.id, GEM.id):
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
        if self.life is not None:
            self.life.kill_turn = self.life.kill_commit = None

    def _end(self) -> None:
        self.is_over = True

    # --- births and deaths --------------------------------------------------------------------------

    def _empty(self) -> Image:
        folder = self.folder / "empty"
        folder.mkdir(parents=True)
        journal = Journal.open(folder / "journal.db", create=True, identity=IDENTITY)
        journal.close()
        image = Image((folder / "journal.db").read_bytes(), b"", None)
        shutil.rmtree(folder)
        return image

    def _begin(self) -> None:
        self.lives += 1
        folder = self.folder / f"life{self.lives}"
        self._image.lay_out(folder)
        loop = VirtualLoop(self.agenda, random.Random(self.rng.random()), self.rng.choice([0.0, 0.1, 0.5]))
        link = self.kit.link(self.server, self._left)
        self.life = life = begin(
            Birth(
                folder=folder,
                agenda=self.agenda,
                loop=loop,
                clock=self.clock,
                setup=self._fresh(),
                link=link,
                kit=self.kit,
                patience=self.patience,
                deadline=self.deadline,
                number=self.lives,
                disk=lambda journal, where: _Watched(self, journal, where),
                replayed=self.auditor.restart,
                past=lambda: list(self.bars),
                missed=self._missed,
            )
        )
        if self.faults.is_on and self.rng.random() < 0.75:
            if self.rng.random() < 0.5:
                life.kill_turn = int(self.rng.choice([30, 300, 3000]) * self.rng.random()) + 1
            else:
                commit = int(self.rng.choice([5, 30, 100]) * self.rng.random()) + 1
                life.kill_commit = (commit, self.rng.random() < 0.5)

    def _fresh(self) -> Setup:
        """A new process has new strategy objects."""
        fresh = []
        for spec in self.setup.strategies:
            (name,) = spec.instruments
            decider = Maker(None) if spec.id == "q" else Words(f"{self.seed}/{spec.id}")
            fresh.append(replace(spec, deciders={name: decider}))
        return replace(self.setup, strategies=tuple(fresh))

    def _missed(self, progress: dict[str, int]) -> Sequence[Input]:
        return ()

    def _die(self, why: str) -> None:
        """The process is gone, at once; what it had sent is on its way, what it had committed is on disk."""
        life = self.life
        assert life is not None
        self.life = None
        self.faults.saw(why)
        power_lost = self.faults.is_on and self.rng.random() < 0.3
        if power_lost:
            self.faults.saw("power lost")
        self.note(f"--- {why}{', power lost' if power_lost else ''}")
        self._image = life.disk.image(power_lost=power_lost)
        self._bury(life)
        self.agenda.after(self.rng.choice([1.2, 5.0, 70.0]), self._begin)

    def _bury(self, life: Life) -> None:
        life.link.is_dead = True
        life.disk.is_dead = True
        life.loop.bury()
        life.disk.let_go()

    def _ended(self, life: Life) -> None:
        """The process ended by itself: that is a word of its own."""
        try:
            life.main.result()
        except Killed:
            self._die("killed at a commit")
        except StoreError:
            self._die("stopped by its disk")
        except InvariantError as exc:
            if "epoch must exceed" not in str(exc):
                raise
            self._die("refused an old epoch")

    # --- watching -----------------------------------------------------------------------------------

    def _left(self, request: Request) -> None:
        life = self.life
        flag: HaltFlag | None = None if life is None else life.account.parts.halts
        self.note(f"-> {request}")
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
            self.note(f"   {recorded.fact}")
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
                if life.kill_turn is not None and life.loop.turns >= life.kill_turn:
                    self._die("killed at an await")
                elif life.main.done():
                    self._ended(life)
                elif life.disk.is_dead:
                    self._die("killed at a commit")
                elif life.loop.complaints:
                    raise Broken(life.loop.complaints[0])
            self._check_end()
        except Exception as exc:
            exc.add_note(f"seed {self.seed} at {self.agenda.now:.3f} s, life {self.lives}; {self.replay()}")
            raise
        finally:
            if self.life is not None:
                self._bury(self.life)
        return Report(self.seed, self.faults.counts, self.digest.hexdigest(), self.orders, self.lives)

    def note(self, line: str) -> None:
        """Keep a line for whoever looks into one seed."""
        if self.log is not None:
            self.log.append(f"{self.agenda.now:9.3f} {self.lives} {line}")

    def replay(self) -> str:
        return f"replay: make chaos SEED={self.seed}"

    def _check_end(self) -> None:
        life = self.life
        if life is None or life.account.phase is not Phase.READY:
            raise Broken(f"the daemon must be ready at the end, was {life and life.account.phase}")
        halts = life.account.parts.halts.all
        check_rest(life.ledger, self.setup, self.server, halts, self.auditor.shrunk)


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

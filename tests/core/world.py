"""A whole engine with a simulated venue on made-up bars, checked after every fact and every instant.

Used by the golden runs and the property tests. Everything goes through the public doors: inputs in,
facts and the venue's own books out. A broken promise raises `Broken` at the fact that broke it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import zip_longest
from typing import Any

from tests.core.ledger_text import ledger_text
from tests.instruments import make_coin, make_share
from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.codec import encode, recorded_of
from tradebot.core.engine import Engine
from tradebot.core.ledger import Ledger
from tradebot.core.model import (
    DAY,
    HOUR,
    AccountModel,
    AssetAmount,
    Bar,
    ExitRules,
    Instrument,
    MarketData,
    OrderKind,
    Purpose,
    Quote,
)
from tradebot.core.orders import Status
from tradebot.core.quantize import qty_down
from tradebot.core.resting import FREELY, Resting
from tradebot.core.setup import AccountSpec, Setup, StrategySpec
from tradebot.core.sizing import FixedQty
from tradebot.core.strategy import BarStrategy, Context, Quotes, QuoteStrategy, Strategy, Target
from tradebot.sim.accounts import SimAccount
from tradebot.sim.latency import NO_DELAYS, Delays
from tradebot.sim.replay import Replay
from tradebot.sim.timeline import Event
from tradebot.sim.venue import SimVenue

D = Decimal
ZERO = Decimal(0)
START = 1_704_067_200 * 1_000_000_000  # 2024-01-01 00:00 UTC, a Monday

COIN = make_coin()
GEM = make_coin("GEM")
EURO = make_coin("EURO", quote="EUR")
STOCK = make_share()


class Broken(AssertionError):
    """Something that must hold after every fact or instant does not."""


Word = float | None | Target | Quotes | Callable[[Context, Any], Any]


class Script(BarStrategy):
    """Says one word per bar: a weight, None to keep, a Target, or what a function returns."""

    def __init__(self, *words: Word, lookback: int = 1, inputs: Sequence[Any] = ()) -> None:
        super().__init__(None)
        self.lookback = lookback
        self.words = list(words)
        self.seen: list[Bar] = []
        self._inputs = tuple(inputs)

    def inputs(self) -> tuple[Any, ...]:
        return self._inputs

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        self.seen.append(bar)
        at = len(self.seen) - 1
        word = self.words[at] if at < len(self.words) else None
        if callable(word):
            word = word(ctx, bar)
        if word is None or isinstance(word, Target):
            return word
        assert isinstance(word, float | int)
        return ctx.target(weight=float(word))


class QuoteScript(QuoteStrategy):
    """Says one word per quote."""

    def __init__(self, *words: Word) -> None:
        super().__init__(None)
        self.words = list(words)
        self.count = 0

    def on_quote(self, ctx: Context, quote: Quote) -> Quotes | None:
        word = self.words[self.count] if self.count < len(self.words) else None
        self.count += 1
        return word(ctx, quote) if callable(word) else word  # type: ignore[return-value]


def spec(
    decider: Strategy | Mapping[str, Strategy],
    *,
    name: str = "s",
    instrument: Instrument = COIN,
    qty: float = 10.0,
    **terms: Any,
) -> StrategySpec:
    """Return a strategy of one instrument (or one per key of a mapping), sized to a fixed quantity."""
    deciders = decider if isinstance(decider, Mapping) else {instrument.id: decider}
    return StrategySpec(
        id=name,
        account=terms.pop("account", "main"),
        instruments=tuple(deciders),
        interval=terms.pop("interval", HOUR),
        deciders=deciders,
        sizing=terms.pop("sizing", FixedQty(qty=qty)),
        capital=terms.pop("capital", D(1)),
        exits=ExitRules(**terms.pop("exits", {})),
        **terms,
    )


def account(
    cash: Mapping[str, Decimal] | None = None, *, model: AccountModel = AccountModel.MARGIN, **terms: Any
) -> AccountSpec:
    """Return the account "main" with 100,000 USD."""
    return AccountSpec(
        name=terms.pop("name", "main"),
        model=model,
        base_currency=terms.pop("base_currency", "USD"),
        cash=cash if cash is not None else {"USD": D(100_000)},
        **terms,
    )


class World:
    """One run. `facts` are all facts in order; `play` feeds market data, `tell` anything else."""

    def __init__(
        self,
        *strategies: StrategySpec,
        instruments: Sequence[Instrument] = (COIN, GEM, EURO, STOCK),
        accounts: Sequence[AccountSpec] | None = None,
        events: Sequence[Event] = (),
        on_fact: Callable[[f.Recorded], None] | None = None,
        close_first: bool = True,
        checks_rest: bool = True,
        checks_protection: bool = True,
        is_fast: bool = False,
        needs_reconcile: bool = False,
        remembers: bool = False,
        flatten_collar: float | None = None,
        resting: Resting = FREELY,
        start: int = START,
        delays: Delays = NO_DELAYS,
        **venue: Any,
    ) -> None:
        """`venue`: settings, fees, slippage, latency. `checks_rest` False: reports travel, so that venue and
        ledger agree only later. `checks_protection` False: the venue may refuse protective orders.
        `is_fast`: nobody looks after each instant, so that calm bars pass in the tight loop of a backtest.
        """
        self.instruments = {i.id: i for i in instruments}
        self.accounts = tuple(accounts) if accounts is not None else (account(),)
        self._terms: dict[str, Any] = {
            "needs_reconcile": needs_reconcile,
            "remembers": remembers,
            "flatten_collar": flatten_collar,
            "resting": resting,
        }
        self.engine = Engine(self._setup(strategies))
        self.ledger = self.engine.ledger
        self.venue = SimVenue(
            instruments=self.instruments,
            accounts={a.name: SimAccount(model=a.model, cash=dict(a.cash)) for a in self.accounts},
            **venue,
        )
        self.facts: list[f.Recorded] = []
        self.replayed = Ledger()
        self._on_fact = on_fact
        self._instants = 0
        self._checks_rest = checks_rest
        self._checks_protection = checks_protection
        self._is_fast = is_fast
        self._children: dict[str, Decimal] = {}
        self.replay = Replay(
            self.engine,
            self.venue,
            events=events,
            on_fact=self._checked,
            close_first=close_first,
            delays=delays,
        )
        self.now = start
        self.tell(m.Start(ts=start, run_id="run", epoch=1, config_digest="c", code_digest="d"))

    def _setup(self, strategies: Sequence[StrategySpec]) -> Setup:
        return Setup(
            instruments=self.instruments,
            accounts=self.accounts,
            strategies=tuple(strategies),
            quanta={},
            **self._terms,
        )

    # --- driving --------------------------------------------------------------------------------

    def use_venue(self, venue: SimVenue) -> None:
        """Go on with another venue (one that was built from what the first wrote down)."""
        self.venue = venue
        self.replay.timeline.venue = self.replay.venue = venue

    def tell(self, message: m.Input) -> None:
        self.replay.tell(message, max(message.ts, self.now))

    def play(self, market: Iterable[m.Slice | MarketData]) -> World:
        """Feed slices (a lone bar or quote is one) in order of time."""
        self.replay.run((_slice(x) for x in market), after=None if self._is_fast else self._rested)
        self.now = max(self.now, self.engine.now)
        return self

    def bars(self, *rows: Sequence[float], instrument: Instrument = COIN, interval: int = HOUR) -> World:
        """Feed bars of one instrument from now on: (close,) or (open, high, low, close[, volume])."""
        return self.play(self._made(rows, instrument.id, interval))

    def _made(self, rows: Sequence[Sequence[float]], name: str, interval: int) -> Iterable[Bar]:
        for row in rows:
            self.now += interval
            yield make_bar(name, self.now, interval, *row)

    def until(self, ts: int) -> World:
        """Let time pass without market data."""
        self.replay.finish(ts)
        self.now = ts
        self._rested(ts)
        return self

    def owner_trades(
        self, qty: str, price: str = "100", *, instrument: Instrument = COIN, ref: str = "", told: int = 1
    ) -> World:
        """Let the owner trade by hand at the venue (signed quantity); the engine is told `told` times."""
        amount, cash = D(qty), -D(qty) * D(price)
        theirs = self.venue.blotter.accounts["main"]
        theirs.add_position(instrument.id, amount)
        theirs.add_cash(instrument.quote, cash)
        for _ in range(told):
            self.tell(
                m.PositionChanged(
                    ts=self.now,
                    account="main",
                    instrument=instrument.id,
                    qty_signed=amount,
                    because="owner's trade",
                    cash=(AssetAmount(instrument.quote, cash),),
                    venue_ref=ref,
                )
            )
        self._rested(self.now)
        return self

    def restart(
        self,
        *strategies: StrategySpec,
        warm_up: Iterable[m.Slice] = (),
        seen: int | None = None,
        told: Iterable[m.Input] = (),
    ) -> World:
        """Go on with another engine that knows what the journal holds, at the same venue.

        `told` is what it hears before it is shown the past, as a reconciling daemon does.
        """
        ledger = Ledger()
        for recorded in self.facts:
            ledger.evolve(recorded_of(encode(recorded)))
        self.engine = Engine(self._setup(strategies), ledger)
        self.ledger = ledger
        timeline = self.replay.timeline
        self.replay = Replay(self.engine, self.venue, on_fact=self._checked)
        self.replay.timeline = timeline
        epoch = ledger.epoch + 1
        self.tell(m.Start(ts=self.now, run_id=f"run{epoch}", epoch=epoch, config_digest="c", code_digest="d"))
        for message in told:
            self.tell(message)
        self.engine.warm_up(warm_up, seen)
        return self

    # --- looking --------------------------------------------------------------------------------

    def of(self, *kinds: type[f.Fact]) -> list[Any]:
        """Return the facts of these kinds, in order."""
        return [r.fact for r in self.facts if isinstance(r.fact, kinds)]

    def position(self, strategy: str = "s", instrument: str = "COIN") -> Decimal:
        return self.ledger.subs[strategy].qty(instrument)

    def working(self, strategy: str = "s", instrument: str = "COIN") -> list[tuple[str, str, Decimal]]:
        """Return (kind, purpose, signed quantity left) of every working order, oldest first."""
        return [
            (r.order.kind.value, r.order.purpose.value, r.leaves_signed)
            for r in self.ledger.open_orders((strategy, instrument))
        ]

    # --- what must always hold ------------------------------------------------------------------

    def _checked(self, recorded: f.Recorded) -> None:
        self.facts.append(recorded)
        if recorded.seq != len(self.facts):
            raise Broken(f"facts must be numbered without gaps, {recorded} came {len(self.facts)}th")
        fact = recorded.fact
        # The engine's own ledger has by now seen later facts of the same decision, too: what holds after
        # this one is seen on a ledger that knows only what the journal would give it.
        row = encode(recorded)
        read = recorded_of(row)
        if read != recorded or encode(read) != row:
            raise Broken(f"what is written must read back equal, {recorded} became {read}")
        self.replayed.evolve(read)
        self.replayed.check()
        if isinstance(fact, f.OrderFilled):
            self._check_fill(fact)
        elif isinstance(fact, f.OrderIntended) and fact.order.parent_id is not None:
            self._check_child(fact)
        if self._on_fact is not None:
            self._on_fact(recorded)

    def _check_fill(self, fact: f.OrderFilled) -> None:
        record = self.ledger.orders[fact.fill.client_order_id]
        if record.filled_qty > record.qty:
            raise Broken(f"order {record.order} must not fill beyond its quantity, did: {record.filled_qty}")
        quote = self.instruments[fact.fill.instrument].quote
        paid = -sum((a.amount for a in fact.cash if a.asset == quote), ZERO)
        if fact.basis - fact.realized != paid:
            raise Broken(f"basis less profit must be what was paid, {paid}, was {fact}")
        proceeds = sum((part.proceeds for part in fact.closed), ZERO)
        if (fact.opened.basis if fact.opened else ZERO) - proceeds != paid:
            raise Broken(f"lots must account for what was paid, {paid}, was {fact}")
        for name, book in self.ledger.accounts.items():
            for instrument, lots in book.lots.items():
                if len({lot.qty > 0 for lot in lots}) > 1:
                    raise Broken(f"the lots of {instrument} in {name} must have one sign, were {lots}")

    def _check_child(self, fact: f.OrderIntended) -> None:
        order = fact.order
        assert order.parent_id is not None
        sent = self._children.get(order.parent_id, ZERO) + order.qty
        self._children[order.parent_id] = sent
        parent = self.ledger.parents[order.parent_id].opened
        if sent > parent.qty or order.side is not parent.side:
            raise Broken(f"children must not exceed {parent}, were {sent}")

    def _rested(self, ts: int) -> None:
        """Check what must hold when an instant is over and nothing is on its way."""
        self.now = ts
        self._instants += 1
        # Writing out a ledger takes as long as it has orders: long runs do it now and then.
        if self._instants % (1 + len(self.ledger.orders) // 10) == 0:
            self.compare()
        self._check_at_rest()

    def compare(self) -> None:
        """Compare the ledger that lived the facts with the one that was replayed from the journal."""
        if ledger_text(self.replayed) != ledger_text(self.ledger):
            raise Broken(_first_difference(ledger_text(self.replayed), ledger_text(self.ledger)))

    def _check_at_rest(self) -> None:
        if not self._checks_rest:
            return
        for name, book in self.ledger.accounts.items():
            theirs = self.venue.account(name)
            for asset in sorted({*theirs.cash, *book.cash}):
                ours, real = book.cash.get(asset, ZERO), theirs.cash.get(asset, ZERO)
                if ours != real:
                    raise Broken(f"{name}: cash must be the venue's {real} {asset}, was {ours}")
            for instrument in sorted({*theirs.positions, *book.lots}):
                held, real = book.qty(instrument), theirs.positions.get(instrument, ZERO)
                if held != real:
                    raise Broken(f"{name}: position must be the venue's {real} {instrument}, was {held}")
        self._check_working()
        if not self._checks_protection:
            return
        for spec_ in self.engine.setup.strategies:
            for instrument in spec_.instruments:
                self._check_protection(spec_.id, instrument)

    def _check_working(self) -> None:
        ours = sorted(r.order.client_order_id for rs in self.ledger.open.values() for r in rs.values())
        theirs = sorted(o.client_order_id for name in self.instruments for o in self.venue.working(name))
        if ours != theirs:
            raise Broken(f"working orders must be the venue's {theirs}, were {ours}")

    def _check_protection(self, strategy: str, instrument: str) -> None:
        """One protective order of each declared kind, for exactly the position; none of what the engine keeps."""
        exits = self.ledger.wish((strategy, instrument)).exits
        held = self.ledger.subs[strategy].qty(instrument)
        size = qty_down(abs(held), self.instruments[instrument].lot_size)
        working = self.ledger.open_orders((strategy, instrument))
        resting = [r for r in working if r.order.purpose is Purpose.PROTECT]
        wanted: dict[OrderKind, Decimal] = {}
        if exits is not None and size and not exits.is_local:
            for kind, level in (
                (OrderKind.STOP, exits.stop_loss),
                (OrderKind.LIMIT, exits.take_profit),
                (OrderKind.TRAILING_STOP, exits.trailing),
            ):
                if level is not None:
                    wanted[kind] = -size if held > 0 else size
        found = [(r.order.kind, r.leaves_signed) for r in resting]
        if len(found) != len(wanted) or dict(found) != wanted:
            raise Broken(
                f"{strategy} holds {held} {instrument} and must rest {_kinds(wanted.items())}, "
                f"rests {_kinds(found)}"
            )
        if any(r.status in (Status.PENDING_CANCEL, Status.PENDING_REPLACE) for r in resting):
            raise Broken(f"nothing may be on its way at rest, was {resting}")


def _first_difference(replayed: str, lived: str) -> str:
    for left, right in zip_longest(replayed.splitlines(), lived.splitlines()):
        if left != right:
            return f"a ledger replayed from the facts must equal the one that lived them\n{left}\n{right}"
    return "equal"


def _kinds(pairs: Iterable[tuple[OrderKind, Decimal]]) -> str:
    return ", ".join(f"{kind.value} {qty}" for kind, qty in pairs) or "nothing"


def _slice(item: m.Slice | MarketData) -> m.Slice:
    return item if isinstance(item, m.Slice) else m.Slice(item.ts, (item,))


def make_bar(name: str, ts: int, interval: int, *row: float) -> Bar:
    """Return a bar of (close,) or (open, high, low, close[, volume])."""
    if len(row) == 1:
        row = (row[0],) * 4
    volume = row[4] if len(row) > 4 else 1000.0
    return Bar(name, ts, interval, *(float(price) for price in row[:4]), volume)


def sessions(*days: tuple[int, float, float], calendar: str = "XNYS") -> list[Event]:
    """Return session events: (days after START, hour of the open, hour of the close)."""
    found: list[Event] = []
    for i, (day, opens, closes) in enumerate(days):
        at, end = START + day * DAY + int(opens * HOUR), START + day * DAY + int(closes * HOUR)
        following = START + days[i + 1][0] * DAY + int(days[i + 1][1] * HOUR) if i + 1 < len(days) else None
        found.append(m.SessionOpen(ts=at, calendar=calendar, closes_at=end))
        found.append(m.SessionClose(ts=end, calendar=calendar, opens_at=following))
    return found

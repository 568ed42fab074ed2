"""Decide: one input in, facts and commands out.

Owns the way an input takes through the core (design: one flow). Each step lives in its own
module: reports become facts in `trades`, wishes become orders at the `desk`, exits are kept by
the `guard`, quotes by `quoting`, slices by `execution`; nothing leaves but through the `gate`.

`decide` is deterministic: no clock, no randomness, no I/O. A strategy that raises becomes a
fact, and the facts before it stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import Any

from tradebot.core import events
from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.alarms import Alarms
from tradebot.core.breakers import Breakers
from tradebot.core.callers import Callers
from tradebot.core.desk import Desk
from tradebot.core.enrolment import configure, enroll, open_account
from tradebot.core.execution import Parents
from tradebot.core.gate import Gate
from tradebot.core.guard import Guard
from tradebot.core.halting import Halts
from tradebot.core.hearing import Hearing
from tradebot.core.intake import Intake
from tradebot.core.ledger import Ledger
from tradebot.core.legs import Leg, Seat
from tradebot.core.lookout import Level, Lookout
from tradebot.core.market import Valuer
from tradebot.core.memory import Memory
from tradebot.core.model import Bar
from tradebot.core.quoting import Quoter
from tradebot.core.recorder import NOTHING, Outcome, Recorder
from tradebot.core.recovery import Recovery
from tradebot.core.reports import Reports
from tradebot.core.run_booking import STRATEGY_TIMER
from tradebot.core.setup import Setup
from tradebot.errors import InvariantError, PluginError


class Engine:
    """One engine for backtest, paper and live. Not thread-safe: one writer."""

    def __init__(self, setup: Setup, ledger: Ledger | None = None) -> None:
        self.setup = setup
        self.ledger = ledger if ledger is not None else Ledger()
        self.marks: dict[str, float] = {}
        self._rec = Recorder(self.ledger, setup.instance, setup.hide)
        self._legs: dict[tuple[str, str], Leg] = {}
        self._seats: list[Seat] = []
        self._accounts: dict[str, Valuer] = {}
        self._valuers: dict[str, Valuer] = {}
        self._gate = Gate(setup, self._rec, self.marks, self._accounts)
        self._parents = Parents(self._rec, self._gate)
        self._desk = Desk(self._rec, self._gate, self._parents, self.marks, self._valuers)
        self._parents.make_order = self._desk.order_for
        self._guard = Guard(self._rec, self._gate, setup.resting)
        self._lookout = Lookout(self._rec, self._desk, setup.resting)
        self._quoter = Quoter(self._rec, self._gate)
        self._breakers = Breakers(setup, self._rec, self._accounts, self.marks)
        self._memory = Memory(self._rec, self.marks, remembers=setup.remembers)
        self._hearing = Hearing(self._rec, self._desk, self._quoter, self.marks)
        self._callers = Callers(self._rec, self._desk, self._hearing, self._memory, self.marks)
        self._intake = Intake(
            self._rec,
            self._breakers,
            self._callers,
            self.marks,
            lookout=self._lookout,
            waiting=self._gate.waiting,
            work=self._desk.work,
        )
        self._gate.late = self._intake.last_of
        self._take = self._intake.take
        self._alarms = Alarms(
            self._rec, self._desk, self._guard, self._callers, self._gate, legs=self._legs, seats=self._seats
        )
        self._recovery = Recovery(
            setup,
            self._rec,
            self._desk,
            self._guard,
            self._gate,
            breakers=self._breakers,
            legs=self._legs,
            marks=self.marks,
        )
        self._halts = Halts(self._rec, self._desk, self._quoter, self._legs)
        self._reports = Reports(
            setup, self._rec, self._desk, self._guard, self._callers, halts=self._halts, legs=self._legs
        )
        self._inputs = self._handlers()

    def _handlers(self) -> dict[type, Callable[[Any], None]]:
        return {
            m.Start: self._start,
            m.WarmedUp: self._warmed_up,
            m.BarsMissed: self._bars_missed,
            m.StopTrading: self._stop_trading,
            m.End: self._end,
            m.VenueFilled: self._reports.filled,
            m.TimerDue: self._alarms.due,
            m.SessionOpen: self._session_open,
            m.SessionClose: self._session_close,
            m.Rate: self._rate,
            m.Split: self._split,
            m.Dividend: self._dividend,
            m.CashEvent: self._cash,
            m.PositionChanged: self._recovery.position_changed,
            m.Reconciled: self._recovery.reconciled,
            m.ReleaseUnknown: self._release,
            m.StillWorks: self._recovery.still_works,
            m.Assign: self._recovery.assign,
            m.SetHalt: self._halts.take,
        }

    # --- the public door ------------------------------------------------------------------------

    def decide(self, message: m.Input, seen: int) -> Outcome:
        """Take one input that was seen at `seen` (ns UTC, never going back); return what follows."""
        rec = self._rec
        if seen < rec.now:
            raise InvariantError(f"the engine's now must not go back from {rec.now}, was {seen}")
        rec.now = seen
        if type(message) is m.Slice:
            self._take(message)
        else:
            handler = self._inputs.get(type(message), self._reports.take)
            handler(message)
        if self._guard.away:
            self._guard.come_back()
        # Most bars lead to nothing, and asking costs less than calling.
        return rec.take() if rec.facts or rec.commands else NOTHING

    def glide(
        self, market: Iterator[m.Slice], until: int, mark: Callable[[str, Bar], None]
    ) -> tuple[m.Slice | None, Outcome | None]:
        """Take bars of `market` one by one, each seen at its own time, until something follows.

        For a driver in whose world nothing else happens before `until`, and no order rests: its way
        to pass a stretch of quiet bars at once. Returns the slice that ended it (None: the market
        did) with its outcome, which is None when that slice is still to be decided on. `mark` is told
        every bar that was taken.
        """
        self._memory.load()
        piece, is_taken = self._intake.glide(market, until, mark)
        return piece, self._rec.take() if is_taken else None

    def kept_exits(self) -> dict[tuple[str, str], list[Level]]:
        """Return the exits that the engine keeps for each (strategy, instrument) that it holds."""
        kept = {leg.key: self._lookout.levels(leg) for legs in self._lookout.watched.values() for leg in legs}
        return {key: levels for key, levels in kept.items() if levels}

    @property
    def now(self) -> int:
        """When the last input was seen, ns UTC."""
        return self._rec.now

    def warm_up(self, market: Iterable[m.Slice], seen: int | None = None) -> None:
        """Show past market data to the strategies with their intents muted.

        `seen` is the time of the last data that the run before this one was given; None: of its last
        fact. What comes later was missed. A saved memory is loaded after the data that it covers.
        `market` must begin `lookback` bars before the first bar that was missed or no memory covers.
        Raises PluginError when a strategy fails on it.
        """
        now, covered = self._rec.now, self._hearing.known_until
        if seen is not None:
            covered = self._hearing.known_until = max(covered, seen)
        self._mute(True)
        try:
            for piece in market:
                self._end_waits(piece.ts)
                self._memory.load_before(piece.ts, covered)
                self._rec.now = piece.ts
                self._intake.take(piece)
            self._end_waits(now)
            owed = {(fact.instrument, fact.ts): fact.per_share for fact in self.ledger.accrued.values()}
            for (instrument, ex_date), per_share in owed.items():
                if ex_date > self._intake.last_of(instrument)[0]:
                    self._go_ex(instrument, per_share)
            self._memory.load()
        finally:
            self._rec.now = now
            self._mute(False)
        outcome = self._rec.take()
        for failed in (r.fact for r in outcome.facts if isinstance(r.fact, f.StrategyFailed)):
            raise PluginError(f"strategy {failed.strategy} failed while warming up: {failed.error}")
        if outcome is not NOTHING:
            raise InvariantError("a muted strategy must lead to no facts")

    def _end_waits(self, until: int) -> None:
        """Call what waited for inputs that are missing in the past, when its wait was over then."""
        for seat in self._seats:
            over = seat.round_ts + seat.spec.grace
            if seat.round_bars and over <= until:
                self._rec.now = over
                self._callers.grace_over(seat)

    def _mute(self, muted: bool) -> None:
        self._rec.is_muted = muted
        for seat in self._seats:
            seat.context.muted = muted

    def _take_first(self, piece: m.Slice) -> None:
        """Take the first data of a run: what no warm-up loaded is loaded now."""
        self._take = self._intake.take
        self._memory.load()
        self._callers.catch_up()
        self._take(piece)

    def equity(self, account: str) -> float | None:
        """Return an account's equity in its base currency; None while a price or rate is missing."""
        return self._accounts[account].equity(self.marks)

    def is_flat(self, account: str) -> bool:
        """Return whether prices cannot move the account's equity."""
        return self._accounts[account].is_flat

    # --- run ------------------------------------------------------------------------------------

    def _start(self, start: m.Start) -> None:
        if start.epoch <= self.ledger.epoch:
            raise InvariantError(
                f"a run's epoch must exceed every known one ({self.ledger.epoch}), was {start.epoch}: check the clock"
            )
        self._hearing.known_until = self.ledger.seen
        self._rec.fact(
            f.RunStarted(
                ts=start.ts,
                run_id=start.run_id,
                epoch=start.epoch,
                config_digest=start.config_digest,
                code_digest=start.code_digest,
                needs_reconcile=self.setup.needs_reconcile,
                catches_up=self.setup.remembers,
            )
        )
        self._rec.restart_ids()
        self._alarms.set_again()
        for account in self.setup.accounts:
            if account.name not in self.ledger.accounts:
                open_account(self._rec, account)
            book = self.ledger.accounts[account.name]
            self._accounts[account.name] = Valuer(
                self.ledger,
                book,
                account.base_currency,
                self.setup.instruments,
                owned_only=account.capital is not None,
            )
        for spec in self.setup.strategies:
            if spec.id not in self.ledger.subs:
                enroll(self.setup, self._rec, spec)
            configure(self._rec, spec)
        self._seat_strategies()

    def _seat_strategies(self) -> None:
        for spec in self.setup.strategies:
            account = self.ledger.accounts[spec.account]
            valuer = Valuer(
                self.ledger, self.ledger.subs[spec.id], account.base_currency, self.setup.instruments
            )
            self._valuers[spec.id] = valuer
            legs = {name: Leg(spec, self.setup.instruments[name], self.ledger) for name in spec.instruments}
            for leg in legs.values():
                self._legs[leg.key] = leg
            self._lookout.watch(legs.values())
            own: list[Seat] = []
            for name, decider in spec.deciders.items():
                seat = next((s for s in own if s.decider is decider), None)
                if seat is None:
                    seat = Seat(spec, decider, {name: legs[name]}, self.ledger, valuer)
                    own.append(seat)
                else:
                    seat.add_leg(name, legs[name])
            self._seats.extend(own)
        self._intake.seat(self._seats)
        self._memory.recall(self._seats)
        for seat in self._seats:
            if not seat.is_failed:
                self._memory.greet(seat)
        self._take = self._take_first
        self._put_off_again()

    def _put_off_again(self) -> None:
        """Have told later what the runs before this one had booked and did not live to tell."""
        for fact in self.ledger.untold:
            if isinstance(fact, f.TimerFired):
                self._alarms.ring(fact.key.removeprefix(STRATEGY_TIMER))
            elif isinstance(fact, f.OrderFilled):
                leg = self._legs.get((fact.strategy, fact.fill.instrument))
                if leg is not None:
                    self._callers.on_fill(leg, fact.fill)
            else:
                leg = self._legs.get((fact.strategy, fact.instrument))
                if leg is not None and leg.seat is not None:
                    self._memory.split_while_away(leg.seat, fact.instrument, fact.ratio)

    def _warmed_up(self, warmed: m.WarmedUp | m.BarsMissed) -> None:
        self._callers.catch_up()
        for leg in self._legs.values():
            if not self._guard.is_leaving(leg):
                self._desk.work(leg)

    def _bars_missed(self, missed: m.BarsMissed) -> None:
        """Show bars that nobody watched: what is said to them is judged as after a restart."""
        for leg in self._legs.values():
            leg.miss()
        self._hearing.known_until = missed.bars[0].ts - 1
        self.warm_up(m.Slice(ts, tuple(bars)) for ts, bars in groupby(missed.bars, attrgetter("ts")))
        self._warmed_up(missed)

    def _stop_trading(self, stop: m.StopTrading) -> None:
        self._rec.fact(f.TradingStopped(ts=stop.ts, reason=stop.reason))
        for leg in self._legs.values():
            self._quoter.pull(leg, "stopping")

    def _end(self, end: m.End) -> None:
        for leg in self._legs.values():
            leg.end_skip(self._rec)
        self._rec.fact(f.RunEnded(ts=end.ts, reason=end.reason))

    # --- time -----------------------------------------------------------------------------------

    def _session_open(self, session: m.SessionOpen) -> None:
        self._rec.fact(f.SessionOpened(ts=session.ts, calendar=session.calendar, closes_at=session.closes_at))
        for leg in self._legs.values():
            if leg.instrument.calendar == session.calendar:
                for parent in self.ledger.active_parents(leg.key):
                    self._desk.advance(leg, parent)
                self._desk.work(leg)

    def _session_close(self, session: m.SessionClose) -> None:
        self._rec.fact(f.SessionClosed(ts=session.ts, calendar=session.calendar, opens_at=session.opens_at))

    # --- the outside world ----------------------------------------------------------------------

    def _rate(self, rate: m.Rate) -> None:
        self._rec.fact(f.RateSet(ts=rate.ts, asset=rate.asset, base=rate.base, rate=rate.rate))

    def _split(self, split: m.Split) -> None:
        events.split_applied(self.setup, self._rec, split, self.marks)
        if split.instrument in self.marks:
            self.marks[split.instrument] /= float(split.ratio)
        for leg in self._legs.values():
            if leg.instrument.id == split.instrument:
                self._desk.rebase(leg, split.ratio)
                self._lookout.rebase(leg, split.ratio)
                self._guard.protect(leg)  # dust may have become a lot
                self._callers.rebase(leg, split.ratio)

    def _dividend(self, dividend: m.Dividend) -> None:
        events.dividend_accrued(self.setup, self._rec, dividend)
        self._go_ex(dividend.instrument, dividend.amount)

    def _go_ex(self, instrument: str, per_share: Decimal) -> None:
        """Take a dividend off the last price: what is owed counts apart, and the next price will not hold it."""
        mark = self.marks.get(instrument, 0.0)
        if mark > float(per_share):
            self.marks[instrument] = mark - float(per_share)

    def _cash(self, event: m.CashEvent) -> None:
        if self._recovery.is_repeat(event.account, event.venue_ref):
            return
        rest = events.dividend_told(self._rec, event) if event.because == "dividend" else event
        if rest is not None:
            events.cash_moved(self._rec, rest)
            self._breakers.flow(rest)

    def _release(self, release: m.ReleaseUnknown) -> None:
        record = self._recovery.release(release)
        if record is not None:
            self._halts.lift_unknown(record.order.instrument, release.ts)
            self._reports.over(record, was_asked=True)

"""Decide: one input in, facts and commands out.

Owns the way an input takes through the core (design: one flow). Each step lives in its own
module: reports become facts in `trades`, wishes become orders at the `desk`, exits are kept by
the `guard`, quotes by `quoting`, slices by `execution`; nothing leaves but through the `gate`.

`decide` is deterministic: no clock, no randomness, no I/O. A strategy that raises becomes a
fact, and the facts before it stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
from tradebot.core.intake import Intake
from tradebot.core.ledger import Ledger
from tradebot.core.legs import Leg, Seat
from tradebot.core.market import Valuer
from tradebot.core.model import Bar, Fill, OrderKind, Purpose, Side
from tradebot.core.orders import OrderRecord, Status
from tradebot.core.quoting import Quoter
from tradebot.core.recorder import NOTHING, Outcome, Recorder
from tradebot.core.recovery import Recovery
from tradebot.core.setup import Setup
from tradebot.core.trades import filled_fact, report_fact
from tradebot.errors import InvariantError

_BECAUSE = {
    OrderKind.STOP: "stop_loss",
    OrderKind.LIMIT: "take_profit",
    OrderKind.TRAILING_STOP: "trailing_stop",
}

_UNKNOWN = "unknown_order"


class Engine:
    """One engine for backtest, paper and live. Not thread-safe: one writer."""

    def __init__(self, setup: Setup, ledger: Ledger | None = None) -> None:
        self.setup = setup
        self.ledger = ledger if ledger is not None else Ledger()
        self.marks: dict[str, float] = {}
        self._rec = Recorder(self.ledger, setup.instance)
        self._legs: dict[tuple[str, str], Leg] = {}
        self._seats: list[Seat] = []
        self._accounts: dict[str, Valuer] = {}
        self._valuers: dict[str, Valuer] = {}
        self._gate = Gate(setup, self._rec, self.marks, self._accounts)
        self._parents = Parents(self._rec, self._gate)
        self._desk = Desk(self._rec, self._gate, self._parents, self.marks, self._valuers)
        self._parents.make_order = self._desk.order_for
        self._guard = Guard(self._rec, self._gate)
        self._quoter = Quoter(self._rec, self._gate)
        self._breakers = Breakers(setup, self._rec, self._accounts, self.marks)
        self._callers = Callers(self._rec, self._desk, self._quoter, self.marks)
        self._intake = Intake(self._rec, self._breakers, self._callers, self.marks)
        self._alarms = Alarms(
            self._rec, self._desk, self._guard, self._callers, legs=self._legs, seats=self._seats
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
        self._settle = {a.name: a.settle_after for a in setup.accounts}
        self._inputs: dict[type, Callable[[Any], None]] = {
            m.Start: self._start,
            m.WarmedUp: self._warmed_up,
            m.StopTrading: self._stop_trading,
            m.End: self._end,
            m.VenueFilled: self._filled,
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
            m.Assign: self._recovery.assign,
            m.SetHalt: self._halt,
        }

    # --- the public door ------------------------------------------------------------------------

    def decide(self, message: m.Input, seen: int) -> Outcome:
        """Take one input that was seen at `seen` (ns UTC, never going back); return what follows."""
        rec = self._rec
        if seen < rec.now:
            raise InvariantError(f"the engine's now must not go back from {rec.now}, was {seen}")
        rec.now = seen
        if type(message) is m.Slice:
            self._intake.take(message)
        else:
            handler = self._inputs.get(type(message), self._report)
            handler(message)
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
        piece, is_taken = self._intake.glide(market, until, mark)
        return piece, self._rec.take() if is_taken else None

    @property
    def now(self) -> int:
        """When the last input was seen, ns UTC."""
        return self._rec.now

    def warm_up(self, market: Iterable[m.Slice]) -> None:
        """Show past market data to the strategies with their intents muted."""
        self._mute(True)
        try:
            for piece in market:
                self._intake.take(piece)
        finally:
            self._mute(False)
        if self._rec.take() is not NOTHING:
            raise InvariantError("a muted strategy must lead to no facts")

    def _mute(self, muted: bool) -> None:
        self._callers.muted = muted
        for seat in self._seats:
            seat.context.muted = muted

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
        self._rec.fact(
            f.RunStarted(
                ts=start.ts,
                run_id=start.run_id,
                epoch=start.epoch,
                config_digest=start.config_digest,
                code_digest=start.code_digest,
                needs_reconcile=self.setup.needs_reconcile,
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
        for seat in self._seats:
            if not seat.is_failed:
                self._callers.start(seat)

    def _warmed_up(self, warmed: m.WarmedUp) -> None:
        for leg in self._legs.values():
            self._desk.work(leg)

    def _stop_trading(self, stop: m.StopTrading) -> None:
        self._rec.fact(f.TradingStopped(ts=stop.ts, reason=stop.reason))
        for leg in self._legs.values():
            self._quoter.pull(leg, "stopping")

    def _end(self, end: m.End) -> None:
        for leg in self._legs.values():
            leg.end_skip(self._rec)
        self._rec.fact(f.RunEnded(ts=end.ts, reason=end.reason))

    # --- venue reports --------------------------------------------------------------------------

    def _report(self, report: m.VenueReport) -> None:
        fact = report_fact(report)
        order_id = getattr(report, "client_order_id", "")
        record = self.ledger.orders.get(order_id)
        if fact is None or record is None:
            return  # not ours: reconciliation's business
        was_open, asked = record.is_open, record.status is Status.PENDING_CANCEL
        self._rec.fact(fact)
        if isinstance(fact, f.SubmitAbsent):
            scope = m.Scope(None, record.order.instrument)
            self._stop_risk(scope, f"order {order_id} stayed unknown", _UNKNOWN)
        if was_open and not record.is_open:
            self._order_over(record, was_asked=asked or isinstance(fact, f.OrderReplaced))

    def _filled(self, report: m.VenueFilled) -> None:
        fill = report.fill
        record = self.ledger.orders.get(fill.client_order_id)
        if record is None:
            scope = m.Scope(None, fill.instrument)
            self._stop_risk(scope, f"fill {fill.fill_id} is of an order that is not ours", "foreign_fill")
            return
        if fill.fill_id in record.fill_ids:
            return  # venues repeat themselves
        order = record.order
        fact = filled_fact(self.setup, self._rec, record, fill, self._settle[order.account])
        self._rec.fact(fact)
        leg = self._legs.get((order.strategy, order.instrument))
        if leg is None:
            return
        if order.purpose is Purpose.PROTECT:
            self._protected(leg, record)
        if fact.opens and (order.purpose is not Purpose.TARGET or self._is_unwanted(leg, fill)):
            # An exit met another one on its way and went through zero: nobody wants the other side.
            self._desk.suspend(leg, "overshoot")
            self._desk.work(leg)
        self._guard.protect(leg)
        self._callers.on_fill(leg, fill)
        if not record.is_open:
            self._order_over(record, was_asked=True)
        if fill.side is Side.SELL:
            for other in self._legs.values():
                if other.spec.account == order.account:
                    self._desk.cash_came(other)

    def _is_unwanted(self, leg: Leg, fill: Fill) -> bool:
        """Return whether a target that rests meanwhile never wanted the side that a fill opened."""
        return leg.wish.suspended is not None and fill.side.sign * leg.wish.wanted_qty <= 0

    def _protected(self, leg: Leg, record: OrderRecord) -> None:
        """A protective exit traded: the target rests, so that a stop-out is not bought back."""
        after = leg.after_exit
        if self.ledger.wish(leg.key).suspended is None and after != "at_once":
            bars = after if isinstance(after, int) else None
            self._desk.suspend(leg, _BECAUSE.get(record.order.kind, "exit"), bars)

    def _order_over(self, record: OrderRecord, *, was_asked: bool) -> None:
        """A working order ended: work the difference again, or later when nobody asked for the end."""
        order = record.order
        leg = self._legs.get((order.strategy, order.instrument))
        if leg is None:
            return
        if order.purpose is Purpose.PROTECT:
            self._guard.ended(leg, was_asked=was_asked)
            if record.status is Status.FILLED and leg.after_exit == "at_once":
                self._desk.work(leg)
            return
        if was_asked or record.status is Status.EXPIRED:
            self._desk.work(leg)  # an order's time ends once a session: nothing to keep a distance from
        elif self.ledger.wish(leg.key).quotes is None:
            self._desk.retry(leg)

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
                self._guard.protect(leg)  # dust may have become a lot
                self._callers.rebase(leg, split)

    def _dividend(self, dividend: m.Dividend) -> None:
        events.dividend_accrued(self.setup, self._rec, dividend)
        mark = self.marks.get(dividend.instrument, 0.0)
        if mark > float(dividend.amount):
            # What is owed counts from here on; the last price still holds it, the next will not.
            self.marks[dividend.instrument] = mark - float(dividend.amount)

    def _cash(self, event: m.CashEvent) -> None:
        if self._recovery.is_repeat(event.account, event.venue_ref):
            return
        events.cash_moved(self._rec, event)
        self._breakers.flow(event)

    def _release(self, release: m.ReleaseUnknown) -> None:
        record = self._recovery.release(release)
        if record is None:
            return
        scope = m.Scope(None, record.order.instrument)
        halt = self.ledger.halts.get(scope)
        if (
            halt is not None
            and halt.rule == _UNKNOWN
            and not self._recovery.remains_unknown(scope.instrument or "")
        ):
            reason = "every unknown order was let go of"
            self._halt(
                m.SetHalt(ts=release.ts, level=m.HaltLevel.NONE, reason=reason, scope=scope, rule=_UNKNOWN)
            )
        self._order_over(record, was_asked=True)

    def _halt(self, halt: m.SetHalt) -> None:
        before = {leg.key: self.ledger.halt_level(*leg.key)[0] for leg in self._legs.values()}
        self._rec.fact(
            f.HaltSet(
                ts=self._rec.now,
                level=halt.level,
                scope=halt.scope,
                reason=halt.reason,
                rule=halt.rule,
                numbers=halt.numbers,
            )
        )
        for leg in self._legs.values():
            strategy, instrument = halt.scope
            if strategy not in (None, leg.spec.id) or instrument not in (None, leg.instrument.id):
                continue
            if halt.level is m.HaltLevel.FLATTEN:
                self._desk.suspend(leg, "flatten")
            elif halt.level is m.HaltLevel.CANCEL_ENTRIES:
                self._quoter.pull(leg, "halted")
            elif before[leg.key] is not self.ledger.halt_level(*leg.key)[0] is m.HaltLevel.NONE:
                self._desk.resume(leg)
            self._desk.work(leg)

    def _stop_risk(self, scope: m.Scope, reason: str, rule: str) -> None:
        """Let nothing new out for a scope; a stricter halt that stands there already is kept."""
        halt, level = self.ledger.halts.get(scope), m.HaltLevel.NO_NEW_RISK
        if halt is None or halt.level.value < level.value:
            self._rec.fact(f.HaltSet(ts=self._rec.now, level=level, scope=scope, reason=reason, rule=rule))

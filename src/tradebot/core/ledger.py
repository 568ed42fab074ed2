"""Book facts: the one place where state changes.

Owns everything the engine knows that must survive a restart: accounts, sub-ledgers, orders,
targets, parents, halts, sessions, rates, timers. `evolve` only books what a fact says; it
decides nothing, reads no clock and never fails on a fact that was accepted once.

The booking functions live beside what they book: money in `booking`, runs and strategies in
`run_booking`, everything else here.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import getcontext, localcontext, setcontext

from tradebot.core import booking, run_booking
from tradebot.core import facts as f
from tradebot.core.books import AccountBook, SubLedger, check_balance
from tradebot.core.model import Purpose
from tradebot.core.orderbook import OrderBook
from tradebot.core.orders import Event, OrderRecord, Status
from tradebot.core.quantize import LEDGER_CONTEXT
from tradebot.core.scope import HaltKey, HaltLevel
from tradebot.core.wishes import ParentState, WishState

Key = tuple[str, str]  # (strategy, instrument)


class Ledger:
    """What is true so far. Written by `evolve` alone; read by everybody."""

    def __init__(self, *, packs: bool = False) -> None:
        """`packs`: take little room for what was over the day before, as who lives long must."""
        self.seq = 0
        self.seen = 0  # when the last fact was made
        self.epoch = 0
        self.run_id = ""
        self.is_stopping = False
        self.needs_reconcile = False
        self.reconciled: dict[str, int] = {}  # account -> when, in this run
        self.venue_refs: dict[tuple[str, str], int] = {}  # (account, the venue's id) -> seq of what it became
        self.accounts: dict[str, AccountBook] = {}
        self.subs: dict[str, SubLedger] = {}
        self.orders = OrderBook(packs=packs)
        self.open: dict[Key, dict[str, OrderRecord]] = {}
        self.groups: dict[str, list[OrderRecord]] = {}
        self.wishes: dict[Key, WishState] = {}
        self.parents: dict[str, ParentState] = {}
        self.running: dict[str, ParentState] = {}
        self.configured: dict[str, tuple[str, str]] = {}  # strategy -> settings, digest of its code
        self.saved: dict[Key, f.StrategySaved] = {}
        self.periods: dict[Key, int] = {}  # of a portfolio, by its first instrument
        self.failed: dict[Key, str] = {}
        self.is_catching_up = False  # strategies do not have their memories back yet
        self.untold: list[f.OrderFilled | f.TimerFired | f.SplitPutOff] = []  # what they will be told then
        self.halts: dict[HaltKey, f.HaltSet] = {}
        self.sessions: dict[str, f.SessionOpened | f.SessionClosed] = {}
        self.rates: dict[tuple[str, str], float] = {}
        self.timers: dict[str, int] = {}
        self.days: dict[str, f.DayStarted] = {}
        self.accrued: dict[int, f.DividendAccrued] = {}  # by the seq of the fact, until paid
        self.order_times: list[int] = []  # when orders of the last day were intended
        self.message_times: list[int] = []  # when orders, replaces and cancels of the last second were
        self.version = 0  # grows whenever money or positions change; lets readers cache

    def evolve(self, recorded: f.Recorded) -> None:
        """Book one fact. Raises InvariantError when it contradicts what is booked already."""
        before = getcontext()
        setcontext(LEDGER_CONTEXT)
        try:
            self.seq, self.seen = recorded.seq, recorded.seen
            book = _BOOKS.get(type(recorded.fact))
            if book is not None:
                book(self, recorded.fact)
        finally:
            setcontext(before)

    def check(self) -> None:
        """Raise InvariantError unless every account balances with its sub-ledgers to the quantum."""
        with localcontext(LEDGER_CONTEXT):  # the usual 28 digits do not hold every sum that is booked
            for account in self.accounts.values():
                subs = (s for s in self.subs.values() if s.account == account.name)
                check_balance(account, subs)

    def wish(self, key: Key) -> WishState:
        """Return the wish of a strategy for an instrument, an empty one if there never was any."""
        found = self.wishes.get(key)
        if found is None:
            found = self.wishes[key] = WishState()
        return found

    def open_orders(self, key: Key) -> list[OrderRecord]:
        """Return the working orders of a strategy in an instrument, oldest first."""
        working = self.open.get(key)
        return list(working.values()) if working else []

    def active_parents(self, key: Key) -> list[ParentState]:
        """Return the execution parents of a strategy in an instrument that are not over."""
        if not self.running:
            return []
        return [p for p in self.running.values() if (p.opened.strategy, p.opened.instrument) == key]

    def sub_or_unassigned(self, account: str, strategy: str | None) -> SubLedger:
        return self.accounts[account].unassigned if strategy is None else self.subs[strategy]

    def halt_level(self, strategy: str | None, instrument: str | None) -> tuple[HaltLevel, str]:
        """Return the strictest halt that covers a strategy and an instrument, and its reason."""
        worst, why = HaltLevel.NONE, ""
        sub = None if strategy is None else self.subs.get(strategy)
        account = None if sub is None else sub.account
        for halt in self.halts.values():
            if halt.level.value > worst.value and halt.scope.covers(strategy, instrument, account):
                worst, why = halt.level, halt.reason
        return worst, why

    def is_reconciled(self, account: str) -> bool:
        """Return whether an account may increase its exposure: it was compared with the venue, or need not be."""
        return not self.needs_reconcile or account in self.reconciled

    def is_session_open(self, calendar: str) -> bool:
        """Return whether the calendar's session is open; one never heard of counts as open."""
        return not isinstance(self.sessions.get(calendar), f.SessionClosed)


# --- wishes, parents ------------------------------------------------------------------------------


def _trail_moved(ledger: Ledger, fact: f.TrailMoved) -> None:
    ledger.wish((fact.strategy, fact.instrument)).trail = fact


def _bars_counted(ledger: Ledger, fact: f.BarsCounted) -> None:
    ledger.wish((fact.strategy, fact.instrument)).counted = fact


def _target_set(ledger: Ledger, fact: f.TargetSet) -> None:
    ledger.wish((fact.strategy, fact.instrument)).set_target(fact)


def _quotes_set(ledger: Ledger, fact: f.QuotesSet) -> None:
    ledger.wish((fact.strategy, fact.instrument)).set_quotes(fact)


def _suspended(ledger: Ledger, fact: f.TargetSuspended) -> None:
    ledger.wish((fact.strategy, fact.instrument)).suspend(fact)


def _released(ledger: Ledger, fact: f.TargetReleased) -> None:
    ledger.wish((fact.strategy, fact.instrument)).suspend(None)


def _skipped(ledger: Ledger, fact: f.Skipped | f.OrderDenied) -> None:
    wish = ledger.wish((fact.strategy, fact.instrument))
    wish.refused, wish.skip_rule = (fact.rule, fact.reason), fact.rule


def _skip_ended(ledger: Ledger, fact: f.SkipEnded) -> None:
    ledger.wish((fact.strategy, fact.instrument)).skip_rule = ""


def _retry_set(ledger: Ledger, fact: f.RetrySet) -> None:
    wish = ledger.wish((fact.strategy, fact.instrument))
    wish.attempts = fact.attempt
    wish.retry_at = fact.at
    wish.given_up = fact.is_last


def _parent_opened(ledger: Ledger, fact: f.ParentOpened) -> None:
    ledger.parents[fact.parent_id] = ledger.running[fact.parent_id] = ParentState(fact)


def _parent_progressed(ledger: Ledger, fact: f.ParentProgressed) -> None:
    ledger.parents[fact.parent_id].progressed(fact)


def _parent_closed(ledger: Ledger, fact: f.ParentClosed) -> None:
    ledger.running.pop(fact.parent_id).closed = True


# --- orders ---------------------------------------------------------------------------------------


def _intended(ledger: Ledger, fact: f.OrderIntended) -> None:
    booking.open_order(ledger, fact.order)
    booking.count_order(ledger, fact.ts)
    parent = None if fact.order.parent_id is None else ledger.parents.get(fact.order.parent_id)
    if parent is not None:
        parent.ordered += fact.order.qty
    if fact.order.parent_id is None and fact.order.purpose is Purpose.TARGET:
        ledger.wish((fact.order.strategy, fact.order.instrument)).refused = None


def _replace_requested(ledger: Ledger, fact: f.ReplaceRequested) -> None:
    ledger.orders[fact.client_order_id].apply(Event.REPLACE_REQUESTED)
    booking.open_order(ledger, fact.order)
    booking.count_order(ledger, fact.ts)


def _accepted(ledger: Ledger, fact: f.OrderAccepted) -> None:
    record = ledger.orders[fact.client_order_id]
    record.apply(Event.ACCEPTED)
    record.venue_order_id = fact.venue_order_id
    record.accepted_at = min(record.accepted_at or fact.ts, fact.ts)


def _replaced(ledger: Ledger, fact: f.OrderReplaced) -> None:
    booking.end_order(ledger, fact.client_order_id, Event.REPLACED, "")


def _rejected(ledger: Ledger, fact: f.OrderRejected) -> None:
    _count_lost_exit(ledger, ledger.orders[fact.client_order_id])
    booking.end_order(ledger, fact.client_order_id, Event.REJECTED, fact.reason)


def _count_lost_exit(ledger: Ledger, record: OrderRecord) -> None:
    order = record.order
    replaced = None if order.replaces is None else ledger.orders[order.replaces]
    if (
        order.purpose is Purpose.PROTECT
        and record.is_open
        and record.status is not Status.PENDING_CANCEL
        and record.leaves  # nothing left: its sibling filled, which is how it should end
        and (replaced is None or replaced.is_open)  # what it was to replace was gone: no word against it
    ):
        ledger.wish((order.strategy, order.instrument)).exits_lost += 1


def _unknown(ledger: Ledger, fact: f.SubmitUnknown) -> None:
    ledger.orders[fact.client_order_id].apply(Event.UNKNOWN, fact.reason)


def _absent(ledger: Ledger, fact: f.SubmitAbsent) -> None:
    ledger.orders[fact.client_order_id].is_absent = True


def _unknown_released(ledger: Ledger, fact: f.UnknownReleased) -> None:
    booking.end_order(ledger, fact.client_order_id, Event.RELEASED, fact.reason)


def _cancel_requested(ledger: Ledger, fact: f.CancelRequested) -> None:
    ledger.orders[fact.client_order_id].apply(Event.CANCEL_REQUESTED, fact.because)
    booking.count_message(ledger, fact.ts)


def _cancel_refused(ledger: Ledger, fact: f.CancelRefused) -> None:
    ledger.orders[fact.client_order_id].apply(Event.CANCEL_REFUSED, fact.reason)


def _canceled(ledger: Ledger, fact: f.OrderCanceled) -> None:
    _count_lost_exit(ledger, ledger.orders[fact.client_order_id])
    booking.end_order(ledger, fact.client_order_id, Event.CANCELED, fact.reason)


def _expired(ledger: Ledger, fact: f.OrderExpired) -> None:
    booking.end_order(ledger, fact.client_order_id, Event.EXPIRED, "")


def _filled(ledger: Ledger, fact: f.OrderFilled) -> None:
    booking.filled(ledger, fact)
    run_booking.put_off(ledger, fact)
    wish = ledger.wish((fact.strategy, fact.fill.instrument))
    wish.exits_lost = 0
    if ledger.orders[fact.fill.client_order_id].order.purpose is Purpose.TARGET:
        wish.note_trade(fact.ts, fact.fill.client_order_id, fact.fill.side)
    if fact.opens and ledger.orders[fact.fill.client_order_id].order.purpose is Purpose.TARGET:
        # The position keeps the exit terms of the entry that opened it, whatever comes later.
        wish.exits = None if wish.target is None else wish.target.exits


# --- time, sessions, halts ------------------------------------------------------------------------


def _timer_set(ledger: Ledger, fact: f.TimerSet) -> None:
    ledger.timers.pop(fact.key, None)  # kept in the order in which they were set
    ledger.timers[fact.key] = fact.at


def _timer_fired(ledger: Ledger, fact: f.TimerFired) -> None:
    ledger.timers.pop(fact.key, None)
    run_booking.put_off(ledger, fact)


def _session(ledger: Ledger, fact: f.SessionOpened | f.SessionClosed) -> None:
    ledger.sessions[fact.calendar] = fact


def _rate_set(ledger: Ledger, fact: f.RateSet) -> None:
    ledger.rates[fact.asset, fact.base] = fact.rate
    ledger.version += 1


def _halt_set(ledger: Ledger, fact: f.HaltSet) -> None:
    key = HaltKey(fact.scope, fact.rule)
    if fact.level is HaltLevel.NONE:
        ledger.halts.pop(key, None)
    else:
        ledger.halts[key] = fact


_BOOKS: dict[type[f.Fact], Callable[[Ledger, f.Fact], None]] = {}


def _register(kind: type[f.Fact], book: Callable[..., None]) -> None:
    _BOOKS[kind] = book


for _kind, _book in (
    (f.RunStarted, run_booking.run_started),
    (f.TradingStopped, run_booking.trading_stopped),
    (f.AccountOpened, run_booking.account_opened),
    (f.AccountReconciled, run_booking.reconciled),
    (f.StrategyEnrolled, run_booking.enrolled),
    (f.StrategyConfigured, run_booking.configured),
    (f.StrategySaved, run_booking.saved),
    (f.SplitPutOff, run_booking.put_off),
    (f.StrategiesCaughtUp, run_booking.caught_up),
    (f.WeightsAsked, run_booking.weights_asked),
    (f.BarsCounted, _bars_counted),
    (f.TrailMoved, _trail_moved),
    (f.StrategyFailed, run_booking.failed),
    (f.TargetSet, _target_set),
    (f.QuotesSet, _quotes_set),
    (f.TargetSuspended, _suspended),
    (f.TargetReleased, _released),
    (f.Skipped, _skipped),
    (f.OrderDenied, _skipped),
    (f.SkipEnded, _skip_ended),
    (f.RetrySet, _retry_set),
    (f.ParentOpened, _parent_opened),
    (f.ParentProgressed, _parent_progressed),
    (f.ParentClosed, _parent_closed),
    (f.OrderIntended, _intended),
    (f.ReplaceRequested, _replace_requested),
    (f.OrderAccepted, _accepted),
    (f.OrderReplaced, _replaced),
    (f.OrderRejected, _rejected),
    (f.SubmitUnknown, _unknown),
    (f.SubmitAbsent, _absent),
    (f.UnknownReleased, _unknown_released),
    (f.OrderReopened, booking.reopen_order),
    (f.CancelRequested, _cancel_requested),
    (f.CancelRefused, _cancel_refused),
    (f.OrderCanceled, _canceled),
    (f.OrderExpired, _expired),
    (f.OrderFilled, _filled),
    (f.AssignmentMade, booking.assigned),
    (f.CashMoved, booking.cash_moved),
    (f.FeeCharged, booking.fee_charged),
    (f.InterestPaid, booking.interest_paid),
    (f.DividendAccrued, booking.dividend_accrued),
    (f.DividendPaid, booking.dividend_paid),
    (f.SplitApplied, booking.split_applied),
    (f.BasisAdjusted, booking.basis_adjusted),
    (f.PositionAdjusted, booking.position_adjusted),
    (f.CrossedInternally, booking.crossed),
    (f.SymbolChanged, booking.symbol_changed),
    (f.TimerSet, _timer_set),
    (f.TimerFired, _timer_fired),
    (f.SessionOpened, _session),
    (f.SessionClosed, _session),
    (f.RateSet, _rate_set),
    (f.HaltSet, _halt_set),
    (f.DayStarted, booking.day_started),
):
    _register(_kind, _book)

"""Be a venue: orders in, reports out, own books; deterministic, without clock or randomness.

Owns arrival (latency, checks, replace), time (sessions, expiry, corporate actions) and the choice
of matcher. Knows nothing of engines, strategies or wire formats: the backtest, the paper account
and the emulated venues all drive this class.

How to drive it: for every item of market data, in order of time, call `on_market` if
`has_work(instrument)`, else `mark(instrument, item)`. Between two reports of `on_market` the caller
may `send`; what it sends takes part in the rest of the same bar where the rules of `bars` allow it.
`drain` returns what was reported outside `on_market`. At one instant feed `SessionOpen`, then market
data, then `SessionClose`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from heapq import heappop, heappush

from tradebot.core.market import problem_of
from tradebot.core.messages import (
    CancelOrder,
    Dividend,
    ReplaceOrder,
    SessionClose,
    SessionOpen,
    Split,
    SubmitOrder,
    VenueAcked,
    VenueCancelRefused,
    VenueRefused,
    VenueReplaced,
    VenueReport,
)
from tradebot.core.model import DEFAULT_QUANTUM, Bar, Instrument, Liquidity, Order, Purpose, Quote, Side, Tif
from tradebot.sim import checks, corporate
from tradebot.sim.accounts import Account, AccountView, SimAccount
from tradebot.sim.bars import BarMatch
from tradebot.sim.blotter import Blotter, Budget
from tradebot.sim.fees import FeeModel, NoFees
from tradebot.sim.gaps import FilledBar
from tradebot.sim.latency import NO_LATENCY, LatencyModel
from tradebot.sim.quotes import Depth, QuoteMatch
from tradebot.sim.seen import is_covered, span_of, start_of, widened
from tradebot.sim.sessions import Session
from tradebot.sim.settings import FillSettings, ForcePrice, MarketAt
from tradebot.sim.slippage import NoSlippage, SlippageModel
from tradebot.sim.taking import budget_of, take
from tradebot.sim.working import ZERO, Role, Working

Request = SubmitOrder | CancelOrder | ReplaceOrder

# When it arrives, its sequence, the command, and for a replace what had filled when it was sent.
_Underway = tuple[int, int, Request, Decimal]


class SimVenue:
    """The simulated venue. Units, rounding and what is not modelled: see the modules it names."""

    def __init__(
        self,
        *,
        instruments: Mapping[str, Instrument],
        accounts: Mapping[str, SimAccount],
        settings: FillSettings | None = None,
        fees: FeeModel | None = None,
        slippage: SlippageModel | None = None,
        latency: LatencyModel = NO_LATENCY,
        quantum: Decimal = DEFAULT_QUANTUM,
    ) -> None:
        self.blotter = Blotter(
            instruments=instruments,
            accounts={name: Account(config) for name, config in accounts.items()},
            settings=settings or FillSettings(),
            fees=fees or NoFees(),
            slippage=slippage or NoSlippage(),
            quantum=quantum,
        )
        self.latency = latency
        self.marks: dict[str, Bar | Quote] = {}
        self.depths = {name: Depth() for name in instruments}
        self.pending: dict[str, list[_Underway]] = {name: [] for name in instruments}
        self.expiries: dict[str, list[tuple[int, int, str]]] = {name: [] for name in instruments}
        self.sessions: dict[str, Session] = {}
        self.payables: list[corporate.Payable] = []
        self.paid: Callable[[corporate.Payable], None] = lambda payable: None  # told of each payment
        self.places: dict[str, str] = {}
        self._matching: BarMatch | None = None
        self.seq = 0
        # Whether a bar or quote can make anything happen, and how to remember one that cannot: the dicts'
        # own methods, because a backtest asks this on every bar and most bars meet no order.
        self.has_work: Callable[[str], bool] = self.blotter.busy.__contains__
        self.mark: Callable[[str, Bar | Quote], None] = self.marks.__setitem__

    # --- the caller's side --------------------------------------------------------------------

    def send(self, command: Request, now: int) -> None:
        """Take a command sent at `now`; it is effective at `now` plus its latency."""
        if isinstance(command, CancelOrder):
            place = self.places.get(command.client_order_id, "")
        else:
            place = command.order.instrument
            self.places.setdefault(command.order.client_order_id, place)
        at = now + self.latency.delay(command)
        filled = ZERO
        if isinstance(command, ReplaceOrder):
            old = self.blotter.orders.get(command.client_order_id)
            filled = (ZERO if old is None else old.filled) if command.filled is None else command.filled
        if at > now and place in self.pending:
            self.seq += 1
            heappush(self.pending[place], (at, self.seq, command, filled))
            self.blotter.work_came(place)
        else:
            self._apply(command, at, filled)

    def drain(self) -> list[VenueReport]:
        """Return the reports not yet taken, in order, and forget them."""
        taken = list(self.blotter.reports)
        self.blotter.reports.clear()
        return taken

    def on_market(self, item: Bar | Quote) -> Iterator[VenueReport]:
        """Let the instrument's orders meet `item`; yield each report as it happens.

        Not met are: what lies outside the calendar's sessions, a bar that reaches back over time which
        a finer bar or a quote has covered, a made-up bar (`FilledBar`), and data that go back in time or
        cannot be true (the engine reports those). An open or close outside [low, high] widens the bar.
        """
        name, last = item.instrument, self.marks.get(item.instrument)
        if (last is not None and item.ts < last.ts) or problem_of(item):
            return
        if isinstance(item, Quote):
            yield from self._on_quote(item)
            return
        start = start_of(item, last, self._session(name))
        self._release(name, start)
        yield from self._flush()
        is_new = not isinstance(item, FilledBar) and not is_covered(item, last)
        match: BarMatch | None = None
        if is_new and self._is_in_session(item):
            self._matching = match = BarMatch(self.blotter, widened(item), start, self._session(name))
            try:
                for _ in match.run():
                    yield from self._flush()
            finally:
                self._matching = None
        if is_new:
            self.marks[name] = item
        self._release(name, item.ts)
        for _ in () if match is None else match.closing_auction():
            yield from self._flush()
        yield from self._flush()

    def advance(self, now: int) -> None:
        """Let time pass without market data: late commands, expiries, payments due by `now`.

        Call it after all market data up to `now`.
        """
        for name in self.pending:
            self._release(name, now)
        self._pay(now)

    @property
    def is_idle(self) -> bool:
        """True while no instrument has work."""
        return not self.blotter.busy

    @property
    def is_at_rest(self) -> bool:  # outside a bar, with no report left to take
        return self._matching is None and not self.blotter.reports

    def account(self, name: str) -> AccountView:
        """Return a copy of the account's books."""
        return self.blotter.accounts[name].view()

    def working(self, instrument: str) -> tuple[Order, ...]:
        """Return the orders working on `instrument`, in order of arrival."""
        return tuple(w.order for w in self.blotter.books[instrument].values())

    # --- sessions and corporate actions -------------------------------------------------------

    def on_session(self, event: SessionOpen | SessionClose) -> None:
        """Open or close a calendar's session; a close ends the day orders sent before it."""
        self._pay(event.ts)
        if isinstance(event, SessionOpen):
            last = self.sessions.get(event.calendar)
            before = None if last is None else last.closes_at
            self.sessions[event.calendar] = Session(
                opened_at=event.ts, closes_at=event.closes_at, is_open=True, before=before
            )
            for account in self.blotter.accounts.values():
                account.session_opened(event.calendar)
            return
        session = self.sessions.setdefault(
            event.calendar, Session(opened_at=event.ts, closes_at=event.ts, is_open=False)
        )
        session.is_open, session.closes_at, session.opens_at = False, event.ts, event.opens_at
        for name, inst in self.blotter.instruments.items():
            if inst.calendar == event.calendar:
                self._release(name, event.ts)
                self._end_of_day(name, event.ts, session)

    def on_split(self, event: Split) -> None:
        """Apply a split; call it before the first bar of the ex-day."""
        corporate.split(self.blotter, event, self._last(event.instrument, Side.SELL))

    def on_dividend(self, event: Dividend) -> None:
        """Note who is owed a dividend at the ex-date; it is paid once time reaches `pays_at`."""
        self.payables += corporate.dividend(self.blotter, event)
        self._pay(event.ts)

    def force_close(self, instrument: str, rule: ForcePrice = ForcePrice.LAST_CLOSE) -> None:
        """Fill what is waiting to get flat, now, at the last bar's close or open.

        For the end of the data: concerns orders of purpose FLATTEN and market orders that are
        reduce-only, whole, without slippage or volume cap. The caller marks them as no decision of a strategy.
        """
        mark = self.marks.get(instrument)
        if mark is None:
            return
        for w in list(self.blotter.books[instrument].values()):
            flat = w.order.purpose is Purpose.FLATTEN or (w.order.reduce_only and w.role is Role.MARKET)
            if not flat or w.client_order_id not in self.blotter.orders:
                continue
            if isinstance(mark, Bar):
                price = mark.open if rule is ForcePrice.LAST_OPEN else mark.close
            else:
                price = mark.ask if w.is_buy else mark.bid
            whole, span = Budget(None, 0.0), span_of(mark)
            take(self.blotter, w, whole, mark.ts, price, Liquidity.TAKER, span=span, slip=False)

    # --- arrival ------------------------------------------------------------------------------

    def _apply(self, command: Request, at: int, filled: Decimal) -> None:
        if isinstance(command, SubmitOrder):
            self._submit(command.order, at)
        elif isinstance(command, CancelOrder):
            self._cancel(command.client_order_id, at)
        else:
            self._replace(command, at, filled)

    def _submit(self, order: Order, at: int) -> None:
        w, reason = self._admit(order, at)
        if w is None:
            self._report(VenueRefused(ts=at, client_order_id=order.client_order_id, reason=reason))
            return
        self._acked(w, at)
        self.blotter.add(w)
        self._after_arrival(w, at)

    def _admit(self, order: Order, at: int) -> tuple[Working | None, str]:
        blotter, settings = self.blotter, self.blotter.settings
        known = order.client_order_id in blotter.orders
        if known or (settings.ids_for_ever and order.client_order_id in blotter.ended):
            return None, f"client_order_id must be unique, {order.client_order_id!r} was used before"
        reason = checks.place_refusal(order, blotter.instruments, blotter.accounts, blotter)
        if reason:
            return None, reason
        inst = blotter.instruments[order.instrument]
        reason = checks.terms_refusal(order, inst, at) or checks.session_refusal(
            order, inst, self._session(order.instrument), settings.auction_cutoff, at
        )
        if reason:
            return None, reason
        self.seq += 1
        w = Working(order, inst, self.seq, at)
        price = self._last(order.instrument, order.side)
        reason = checks.market_refusal(w, price, settings) or checks.holding_refusal(
            order, inst, blotter.accounts[order.account], blotter
        )
        if reason:
            return None, reason
        if price is not None:
            w.takes = w.role is not Role.LIMIT or w.is_marketable(price)
        return w, ""

    def _acked(self, w: Working, at: int) -> None:
        self._report(VenueAcked(ts=at, client_order_id=w.client_order_id, venue_order_id=w.venue_id))

    def _after_arrival(self, w: Working, at: int) -> None:
        order = w.order
        if order.expires_at is not None:
            heappush(self.expiries[order.instrument], (order.expires_at, w.seq, order.client_order_id))
        if w.is_trailing and w.activated != ZERO:  # a sleeping leg starts at its parent's fill
            price = self._last(order.instrument, order.side)
            if price is not None:
                w.lift(price)
        mark = self.marks.get(order.instrument)
        same = self.blotter.settings.market_at is MarketAt.SAME_CLOSE and w.role is Role.MARKET
        if not same or mark is None or mark.ts != at or self.blotter.born is not None:
            return
        if order.tif in (Tif.AT_OPEN, Tif.AT_CLOSE) or not w.open_qty or not self._is_in_session(mark):
            return
        if isinstance(mark, Bar):
            budget, span = budget_of(self.blotter, mark), span_of(mark)
            take(self.blotter, w, budget, at, mark.close, Liquidity.TAKER, span=span)
        else:
            depth = self.depths[order.instrument]
            side, price = (depth.ask, mark.ask) if w.is_buy else (depth.bid, mark.bid)
            take(self.blotter, w, side, at, price, Liquidity.TAKER)

    def _cancel(self, order_id: str, at: int) -> None:
        w = self.blotter.orders.get(order_id)
        if w is None:
            self._report(VenueCancelRefused(ts=at, client_order_id=order_id, reason=self._why_gone(order_id)))
        else:
            self.blotter.cancel(w, at)

    def _replace(self, command: ReplaceOrder, at: int, filled: Decimal) -> None:
        """Put the new order in the old one's place; what filled since it was sent comes off it."""
        gone, order = command.client_order_id, command.order
        old = self.blotter.orders.get(gone)
        new: Working | None = None
        if old is None:
            reason = self._why_gone(gone)
        elif old.filled - filled >= order.qty:
            reason = f"{old.filled - filled} filled before the replace arrived, {order.qty} was wanted"
        else:
            new, reason = self._admit(replace(order, activated_by=old.parent), at)
        if old is None or new is None:
            self._report(VenueCancelRefused(ts=at, client_order_id=gone, reason=reason))
            self._report(VenueRefused(ts=at, client_order_id=order.client_order_id, reason=reason))
            return
        new.reduced = old.filled - filled
        self._report(VenueReplaced(ts=at, client_order_id=gone, by=order.client_order_id))
        self._acked(new, at)
        self.blotter.hand_over(old, new)
        self._after_arrival(new, at)

    def _why_gone(self, order_id: str) -> str:
        return "the order is finished" if order_id in self.blotter.ended else "the order is not known here"

    # --- time ---------------------------------------------------------------------------------

    def _on_quote(self, quote: Quote) -> Iterator[VenueReport]:
        name = quote.instrument
        self._release(name, quote.ts)
        self.marks[name] = quote
        yield from self._flush()
        if not self._is_in_session(quote):
            return
        for _ in QuoteMatch(self.blotter, quote, self.depths[name]).run():
            yield from self._flush()

    def _session(self, instrument: str) -> Session | None:
        return self.sessions.get(self.blotter.instruments[instrument].calendar)

    def _is_in_session(self, item: Bar | Quote) -> bool:
        session = self._session(item.instrument)
        return session is None or session.has(item)

    def _last(self, instrument: str, side: Side) -> float | None:
        match = self._matching
        if match is not None and match.bar.instrument == instrument:
            return match.q
        return checks.last_price(self.marks.get(instrument), side)

    def _release(self, instrument: str, upto: int) -> None:
        """Let everything become effective that was due by `upto`."""
        pending = self.pending.get(instrument, [])
        while pending and pending[0][0] <= upto:
            at, _, command, filled = heappop(pending)
            self._apply(command, at, filled)
            self.blotter.work_went(instrument)
        expiries = self.expiries.get(instrument, [])
        while expiries and expiries[0][0] <= upto:
            at, _, order_id = heappop(expiries)
            w = self.blotter.orders.get(order_id)
            if w is not None:
                self.blotter.expire(w, at)
        if self.payables:
            self._pay(upto)

    def _end_of_day(self, instrument: str, ts: int, session: Session) -> None:
        for w in list(self.blotter.books[instrument].values()):
            if w.client_order_id not in self.blotter.orders or w.since >= ts:
                continue
            missed = w.order.tif is Tif.AT_OPEN and w.since <= session.opened_at
            if missed or w.order.tif in (Tif.DAY, Tif.AT_CLOSE):
                self.blotter.expire(w, ts)

    def _pay(self, now: int) -> None:
        for payable in (p for p in self.payables if p.pays_at <= now):
            self.blotter.accounts[payable.account].add_cash(payable.asset, payable.amount)
            self.paid(payable)
        self.payables = [p for p in self.payables if p.pays_at > now]

    def _flush(self) -> Iterator[VenueReport]:
        while self.blotter.reports:
            yield self.blotter.reports.popleft()

    def _report(self, report: VenueReport) -> None:
        self.blotter.reports.append(report)

"""Let resting orders meet one bar, event by event.

A bar tells four prices, not the way between them. Orders effective at the bar's start take part;
one that becomes effective inside the bar waits for the next (its price at that moment is not
known). Every fill carries the bar's `ts`, the first moment it can be known.

**At the open** (certain). In this order, each class by arrival: market orders (and elected stops
left over from earlier bars), stops that the open is through, limits that the open satisfies.
After every event the table is read again, so an order born of a fill at the open takes part at
the open: a stop already through sells at the open, too.

**Inside, worst case** (`IntrabarPath.WORST_CASE`). One principle: *a stop fills if its price may
have been met, a limit only if it must have been.* Precisely, with q = the price of the last event
(first: the open):

1. A stop acts if its level lies in [low, high], whatever happened before.
2. A limit alive since the open acts if the bar reaches it (`limit_rule`). A limit born inside the
   bar acts only if its level lies in the range the bar certainly visits after its birth: after an
   event at p of an order alive since the open, from p to the extreme on p's side of the open and
   on to the close; after any other event, from p to the close.
3. A limit waits for a rival stop (same account and side, or same one-cancels-other group) that can
   act, unless the limit lies on the way from q to that stop.
4. Of what may act, the nearest to q goes first; at equal distance stops before limits, then the
   order of arrival. The event's price becomes q; the table is read again.
5. An order born inside the bar whose condition q already satisfies acts at q.

A fill is `assumed` when a rival limit had to wait for it (3), when the stop was born inside the bar
and its level lies outside the certain range (2), or when a one-cancels-other sibling on the other
side of q could have acted first (4).

**Inside, known path** (other settings). The price walks straight lines between the path's points;
orders act where it passes them, at equal prices stops first, then by arrival.

**At the close**: limits under `close_only`, stops under `StopGap.CLOSE`, market orders under
`next_close` (and, under `same_close`, those sent in reaction to this bar), then the auction, which
what became effective inside the bar has not missed: unlike other prices, its time is known.

**Afterwards** trailing stops are lifted by what the bar showed since their birth (`after_test`;
under `before_test` they were lifted right after the open and stand at that level inside the bar).
Market, IOC and FOK orders sent while a bar is matched wait for the next price. An elected stop that found no
volume is a market order at the next open. Each order trades at most once per bar.

Not modelled: the spread (unless by slippage), queue position, and prices between two ticks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

from tradebot.core.model import Bar, Liquidity, Tif
from tradebot.sim.blotter import Blotter, Book, Budget
from tradebot.sim.intrabar import next_on_leg, next_worst, path_of
from tradebot.sim.sessions import Session
from tradebot.sim.settings import (
    LimitImprove,
    LimitRule,
    MarketAt,
    SameBar,
    StopGap,
    TrailLift,
    TrailReference,
)
from tradebot.sim.taking import budget_of, take
from tradebot.sim.working import ZERO, Alive, Role, Working

_PriceOf = Callable[[Working], float | Decimal]
_IMMEDIATE = (Tif.IOC, Tif.FOK)
_AUCTION = (Tif.AT_OPEN, Tif.AT_CLOSE)
_SPECIAL = (*_IMMEDIATE, *_AUCTION)


class BarMatch:
    """One bar on its way through the order table; `run` yields after every event."""

    def __init__(self, blotter: Blotter, bar: Bar, start: int, session: Session | None) -> None:
        self.blotter = blotter
        self.bar = bar
        self.start = start
        self.session = session
        self.rules = blotter.settings
        self.book: Book = blotter.books[bar.instrument]
        inst = blotter.instruments[bar.instrument]
        self.beyond = 0.0
        self.budget = Budget(ZERO, 0.0)
        if self.rules.limit_rule is LimitRule.PENETRATE:
            self.beyond = self.rules.penetrate_ticks * float(inst.tick_size)
        self.span = (bar.low, bar.high)
        self.q = bar.open
        self.must = (bar.low, bar.high)
        self.phase = Alive.OPEN

    def run(self) -> Iterator[None]:
        """Match the whole bar."""
        blotter, bar = self.blotter, self.bar
        for w in self.book.values():
            w.tried = False
            awake = w.since <= self.start and (w.activated is None or w.activated > 0)
            w.alive = Alive.OPEN if awake else Alive.ASLEEP
            w.fresh = awake
        if self._is_quiet():
            self._lift_afterwards()
            return
        self.budget = budget_of(blotter, bar)
        blotter.born = self._born
        try:
            yield from self._at_point(bar.open, self._open_price)
            yield from self._end_immediate(later=False)
            if self.rules.trail_lift is TrailLift.BEFORE_TEST:
                self._lift_awake(bar.open)
            self.phase = Alive.MID
            path = path_of(self.rules.intrabar_path, bar)
            yield from self._inside_worst() if path is None else self._inside_path(path)
            self.phase = Alive.ASLEEP
            yield from self._at_close(self.book.values())
            yield from self._end_immediate(later=True)
        finally:
            blotter.born = None
        self._lift_afterwards()

    def _is_quiet(self) -> bool:
        """Return whether no order can act in this bar, so that only trailing stops follow it.

        A resting order acts only at a price inside the bar, whatever the rules are.
        """
        low, high = self.bar.low, self.bar.high
        for w in self.book.values():
            if w.role is Role.MARKET or w.order.tif in _SPECIAL or w.order.expires_at is not None:
                return False
            if w.alive is Alive.ASLEEP:
                continue
            if w.role is Role.STOP:
                if w.is_trailing and self.rules.trail_lift is TrailLift.BEFORE_TEST:
                    return False
                if w.is_through(high if w.is_buy else low):
                    return False
            elif w.is_marketable(low if w.is_buy else high):
                return False
        return True

    def closing_auction(self) -> Iterator[None]:
        """Let orders that came while the bar was under way meet its auction: that price has a time."""
        late = [w for w in self.book.values() if w.order.tif is Tif.AT_CLOSE]
        if late:
            self.budget = budget_of(self.blotter, self.bar)
            yield from self._at_close(late)

    # --- births -------------------------------------------------------------------------------

    def _born(self, w: Working) -> None:
        if w.order.instrument != self.bar.instrument:
            return
        w.tried = False
        deferred = self.rules.same_bar_entry_exit is SameBar.DEFER
        if w.role is Role.MARKET or deferred or self.phase is Alive.ASLEEP or w.order.tif in _SPECIAL:
            w.alive, w.fresh = Alive.ASLEEP, False
            return
        w.alive, w.fresh, w.must = self.phase, True, self.must

    # --- one price ----------------------------------------------------------------------------

    def _at_point(self, price: float, fill_price: _PriceOf) -> Iterator[None]:
        """Let fresh orders meet one certain price until nothing more happens there."""
        self.q = price
        while True:
            best: tuple[int, int] | None = None
            chosen: Working | None = None
            for w in self.book.values():
                if w.fresh:
                    rank = self._rank_at(w, price)
                    if rank is not None and w.open_qty and (best is None or (rank, w.seq) < best):
                        best, chosen = (rank, w.seq), w
            if chosen is None:
                break
            chosen.fresh = False
            self._act_at_point(chosen, price, fill_price)
            yield
        for w in self.book.values():
            w.fresh = False

    def _rank_at(self, w: Working, price: float) -> int | None:
        if w.role is Role.MARKET:
            return 0 if self._market_takes_part(w) else None
        if w.order.tif is Tif.AT_CLOSE or (w.order.tif is Tif.AT_OPEN and not self._in_opening(w)):
            return None
        if w.role is Role.STOP:
            return 1 if self.rules.stop_gap is not StopGap.CLOSE and w.is_through(price) else None
        if self.rules.limit_rule is LimitRule.CLOSE_ONLY and w.order.tif is not Tif.AT_OPEN:
            return None
        return 2 if w.is_marketable(price, self.beyond) else None

    def _market_takes_part(self, w: Working) -> bool:
        tif = w.order.tif
        if tif is Tif.AT_OPEN:
            return self._in_opening(w)
        return tif is not Tif.AT_CLOSE and self.rules.market_at is not MarketAt.NEXT_CLOSE

    def _in_opening(self, w: Working) -> bool:
        return self.session is not None and w.since <= self.session.opened_at - self.rules.auction_cutoff

    def _open_price(self, w: Working) -> float | Decimal:
        """Price of a stop that the open is through: the bar's, or the stop's own."""
        assert w.level is not None and w.stop_price is not None
        rule, bar = self.rules.stop_gap, self.bar
        if rule is StopGap.AT_STOP:
            return w.stop_price
        if rule is StopGap.FREQTRADE_RULE:
            wholly = bar.low > w.level + w.snap if w.is_buy else bar.high < w.level - w.snap
            return bar.open if wholly else w.stop_price
        return bar.open

    def _act_at_point(self, w: Working, price: float, fill_price: _PriceOf) -> None:
        if w.role is Role.STOP:
            stop_price = fill_price(w)
            if self.blotter.trigger(w, self.bar.ts) is Role.MARKET:
                self._take(w, stop_price, Liquidity.TAKER)
            elif w.is_marketable(price, self.beyond):
                self._take_limit(w, price, Liquidity.TAKER)
        elif w.role is Role.MARKET:
            self._take(w, price, Liquidity.TAKER)
        else:
            self._take_limit(w, price, Liquidity.TAKER if w.takes else Liquidity.MAKER)

    def _take_limit(self, w: Working, price: float, liquidity: Liquidity) -> None:
        improve = self.rules.limit_improve is LimitImprove.OPEN_IF_BETTER and not w.order.post_only
        if improve:
            self._take(w, price, liquidity)
        else:
            self._take_exact(w, liquidity)

    def _take(self, w: Working, price: float | Decimal, liquidity: Liquidity) -> None:
        take(self.blotter, w, self.budget, self.bar.ts, price, liquidity, span=self.span)

    def _take_exact(self, w: Working, liquidity: Liquidity, *, assumed: bool = False) -> None:
        price = w.order.limit_price if w.role is Role.LIMIT else w.stop_price
        assert price is not None
        take(self.blotter, w, self.budget, self.bar.ts, price, liquidity, assumed=assumed, span=self.span)

    def _end_immediate(self, *, later: bool) -> Iterator[None]:
        """End what trades at one price only: after the open, or after the close where that is its price."""
        for w in list(self.book.values()):
            if w.alive is not Alive.OPEN or w.client_order_id not in self.book:
                continue
            if w.order.tif in _IMMEDIATE and later is self._meets_close_only(w):
                self.blotter.cancel(w, self.bar.ts, f"{w.order.tif.value}: not filled at once")
            elif w.order.tif is Tif.AT_OPEN and self._in_opening(w):
                self.blotter.expire(w, self.bar.ts)
            elif w.role is Role.LIMIT and w.order.expires_at is not None and w.order.expires_at < self.bar.ts:
                self.blotter.expire(w, w.order.expires_at)
            else:
                continue
            yield

    def _meets_close_only(self, w: Working) -> bool:
        if w.role is Role.MARKET:
            return self.rules.market_at is MarketAt.NEXT_CLOSE
        return self.rules.limit_rule is LimitRule.CLOSE_ONLY

    # --- between open and close ---------------------------------------------------------------

    def _inside_worst(self) -> Iterator[None]:
        while True:
            event = next_worst(self._candidates(), self.q, self.bar)
            if event is None:
                return
            w, level, assumed = event
            self.must = self._certain_after(w, level)
            yield from self._act_inside(w, level, assumed=assumed)

    def _certain_after(self, w: Working, p: float) -> tuple[float, float]:
        bar = self.bar
        if w.alive is Alive.OPEN and p != bar.open:
            return (min(p, bar.close), bar.high) if p > bar.open else (bar.low, max(p, bar.close))
        return (min(p, bar.close), max(p, bar.close))

    def _inside_path(self, path: tuple[float, ...]) -> Iterator[None]:
        for end in path[1:]:
            while True:
                event = next_on_leg(self._candidates(), self.q, end)
                if event is None:
                    break
                yield from self._act_inside(*event, assumed=False)
            self.q = end
            if self.rules.trail_lift is TrailLift.BEFORE_TEST:
                self._lift_awake(end)

    def _candidates(self) -> list[tuple[Working, float]]:
        pairs = ((w, self._level(w)) for w in self.book.values())
        return [(w, level) for w, level in pairs if level is not None]

    def _level(self, w: Working) -> float | None:
        """Return the price at which `w` acts inside the bar, None if it does not take part."""
        if w.tried or w.alive is Alive.ASLEEP or w.role is Role.MARKET or w.order.tif in _AUCTION:
            return None
        if w.activated is not None and not w.open_qty:
            return None
        if w.role is Role.STOP:
            return None if self.rules.stop_gap is StopGap.CLOSE else w.level
        if self.rules.limit_rule is LimitRule.CLOSE_ONLY or w.limit is None:
            return None
        return w.limit - self.beyond if w.is_buy else w.limit + self.beyond

    def _act_inside(self, w: Working, level: float, *, assumed: bool) -> Iterator[None]:
        self.q = level
        if w.role is Role.LIMIT:
            self._take_exact(w, Liquidity.MAKER)
        else:
            stop_price = w.stop_price
            assert stop_price is not None
            if self.blotter.trigger(w, self.bar.ts) is Role.MARKET or w.is_marketable(level, self.beyond):
                ts, budget = self.bar.ts, self.budget
                take(
                    self.blotter, w, budget, ts, stop_price, Liquidity.TAKER, assumed=assumed, span=self.span
                )
            else:
                w.alive, w.must = Alive.MID, self.must
        yield
        yield from self._at_point(level, lambda _: level)

    # --- close and after ----------------------------------------------------------------------

    def _at_close(self, orders: Iterable[Working]) -> Iterator[None]:
        close = self.q = self.bar.close
        for w in list(orders):
            if w.client_order_id not in self.book or w.tried or not self._acts_at_close(w, close):
                continue
            role, takes = w.role, w.takes
            if role is Role.STOP:
                role, takes = self.blotter.trigger(w, self.bar.ts), True
            if role is Role.MARKET:
                self._take(w, close, Liquidity.TAKER)
            elif w.is_marketable(close):
                self._take_limit(w, close, Liquidity.TAKER if takes else Liquidity.MAKER)
            yield

    def _acts_at_close(self, w: Working, close: float) -> bool:
        if not w.open_qty:
            return False
        if w.order.tif is Tif.AT_CLOSE:
            return self._in_closing(w) and (w.role is Role.MARKET or w.is_marketable(close))
        if w.order.tif is Tif.AT_OPEN:
            return False
        if w.role is Role.MARKET:
            if self.rules.market_at is MarketAt.SAME_CLOSE:
                return w.alive is Alive.ASLEEP and w.since == self.bar.ts
            return self.rules.market_at is MarketAt.NEXT_CLOSE and w.alive is not Alive.ASLEEP
        if w.alive is Alive.ASLEEP:
            return False
        if w.role is Role.STOP:
            return self.rules.stop_gap is StopGap.CLOSE and w.is_through(close)
        return self.rules.limit_rule is LimitRule.CLOSE_ONLY and w.is_marketable(close)

    def _in_closing(self, w: Working) -> bool:
        session = self.session
        if session is None or session.closes_at is None or self.bar.ts < session.closes_at:
            return False
        return w.since <= session.closes_at - self.rules.auction_cutoff and w.since < self.bar.ts

    def _lift_awake(self, price: float) -> None:
        """Lift under `before_test`: by the whole bar in the worst case, by `price` on a known path."""
        known = path_of(self.rules.intrabar_path, self.bar) is not None
        for w in self.book.values():
            if w.role is Role.STOP and w.is_trailing and w.alive is not Alive.ASLEEP:
                if self.rules.trail_reference is TrailReference.CLOSE:
                    w.lift(self.bar.close)
                elif known:
                    w.lift(price)
                elif w.alive is Alive.OPEN:
                    w.lift(self.bar.low if w.is_buy else self.bar.high)

    def _lift_afterwards(self) -> None:
        for w in self.book.values():
            if w.alive is Alive.ASLEEP:
                continue
            w.takes = False
            if w.role is Role.STOP and w.is_trailing:
                if self.rules.trail_reference is TrailReference.CLOSE:
                    w.lift(self.bar.close)
                else:
                    lo, hi = (self.bar.low, self.bar.high) if w.alive is Alive.OPEN else w.must
                    w.lift(lo if w.is_buy else hi)

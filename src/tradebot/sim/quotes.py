"""Let resting orders meet one quote.

Each order meets a quote once, in this order, each class by arrival: market orders (and elected
stops), stops, limits; after every event the table is read again. Takers pay the ask or get the
bid, at most the displayed size; the rest waits for the next quote (IOC ends, FOK takes all or
nothing). What we took from a price stays taken until that side's price changes; size added at the
same price is new.

A resting limit fills as maker at its own price when the opposite side reaches it (`cross`) or
goes a tick beyond it (`through`), at most the opposite side's displayed size; one that is
marketable on arrival takes. Stops are elected, and trailing stops lifted, by the side they would
trade against: a sell by the bid, a buy by the ask.

Not modelled: our place in the queue, trades at our price while the opposite side stays away (so
`cross` fills fewer passive orders than a real book would), depth beyond the best price, hidden
orders, and the market's answer to our own orders.
"""

from __future__ import annotations

from collections.abc import Iterator

from tradebot.core.model import Liquidity, Quote, Tif
from tradebot.core.quantize import qty_for
from tradebot.sim.blotter import Blotter, Budget
from tradebot.sim.settings import MarketAt, QuoteFill, SameBar
from tradebot.sim.taking import take
from tradebot.sim.working import ZERO, Alive, Role, Working

_IMMEDIATE = (Tif.IOC, Tif.FOK)
_AUCTION = (Tif.AT_OPEN, Tif.AT_CLOSE)


class Depth:
    """Both sides of one instrument's quote, remembering what we took from each price."""

    __slots__ = ("ask", "ask_price", "bid", "bid_price")

    def __init__(self) -> None:
        self.bid = self.ask = Budget(ZERO, 0.0)
        self.bid_price = self.ask_price = 0.0

    def see(self, blotter: Blotter, quote: Quote) -> None:
        """Renew the sizes; what was taken from an unchanged price stays taken."""
        lot = blotter.instruments[quote.instrument].lot_size
        bid_used = self.bid.used if quote.bid == self.bid_price else ZERO
        ask_used = self.ask.used if quote.ask == self.ask_price else ZERO
        self.bid = Budget(max(qty_for(quote.bid_qty, lot) - bid_used, ZERO), quote.bid_qty, bid_used)
        self.ask = Budget(max(qty_for(quote.ask_qty, lot) - ask_used, ZERO), quote.ask_qty, ask_used)
        self.bid_price, self.ask_price = quote.bid, quote.ask


class QuoteMatch:
    """One quote on its way through the order table; `run` yields after every event."""

    def __init__(self, blotter: Blotter, quote: Quote, depth: Depth) -> None:
        self.blotter = blotter
        self.quote = quote
        self.depth = depth
        self.rules = blotter.settings
        self.book = blotter.books[quote.instrument]
        tick = float(blotter.instruments[quote.instrument].tick_size)
        self.beyond = tick if self.rules.quote_fill is QuoteFill.THROUGH else 0.0

    def run(self) -> Iterator[None]:
        """Match the quote."""
        blotter, quote = self.blotter, self.quote
        self.depth.see(blotter, quote)
        for w in self.book.values():
            w.tried = False
            awake = w.activated is None or w.activated > ZERO
            w.alive = Alive.OPEN if awake else Alive.ASLEEP
        blotter.born = self._born
        try:
            while (event := self._next()) is not None:
                self._act(event)
                yield
        finally:
            blotter.born = None
        for w in list(self.book.values()):
            if w.alive is Alive.ASLEEP:
                continue
            w.takes = False
            if w.order.tif in _IMMEDIATE:
                blotter.cancel(w, quote.ts, f"{w.order.tif.value}: not filled at once")
                yield
            elif w.role is Role.STOP and w.is_trailing:
                w.lift(self._opposite(w))

    def _born(self, w: Working) -> None:
        if w.order.instrument != self.quote.instrument:
            return
        waits = w.role is Role.MARKET and self.rules.market_at is not MarketAt.SAME_CLOSE
        defer = self.rules.same_bar_entry_exit is SameBar.DEFER
        w.tried = False
        w.alive = Alive.ASLEEP if waits or defer else Alive.OPEN

    def _opposite(self, w: Working) -> float:
        return self.quote.ask if w.is_buy else self.quote.bid

    def _next(self) -> Working | None:
        best: tuple[int, int] | None = None
        chosen: Working | None = None
        for w in self.book.values():
            rank = self._rank(w)
            if rank is not None and (best is None or (rank, w.seq) < best):
                best, chosen = (rank, w.seq), w
        return chosen

    def _rank(self, w: Working) -> int | None:
        if w.tried or w.alive is Alive.ASLEEP or w.order.tif in _AUCTION or not w.open_qty:
            return None
        if w.role is Role.MARKET:
            return 0
        if w.role is Role.STOP:
            return 1 if w.is_through(self._opposite(w)) else None
        return 2 if w.is_marketable(self._opposite(w), 0.0 if w.takes else self.beyond) else None

    def _act(self, w: Working) -> None:
        ts, price = self.quote.ts, self._opposite(w)
        budget = self.depth.ask if w.is_buy else self.depth.bid
        role, takes = w.role, w.takes
        if role is Role.STOP:
            role, takes = self.blotter.trigger(w, ts), True
            if role is Role.LIMIT and not w.is_marketable(price):
                w.tried = True
                return
        if role is Role.MARKET or takes:
            take(self.blotter, w, budget, ts, price, Liquidity.TAKER)
        else:
            assert w.order.limit_price is not None
            take(self.blotter, w, budget, ts, w.order.limit_price, Liquidity.MAKER)

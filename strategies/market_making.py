"""Quote both sides of a market and lean against what has been collected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tradebot.api import Book, Context, Level, Quote, Quotes, QuoteStrategy


class MarketMaking(QuoteStrategy):
    """Rest one bid and one ask a fixed spread apart around the mid price.

    Both move down while long and up while short, by `skew` half spreads at `max_position`, so
    that the side which reduces it is the better price. A side that would go beyond
    `max_position` is not quoted. A price never reaches the other side of the market: it
    joins the best price on its own side instead. Not modelled: adverse selection, volatility.
    """

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Params:
        spread: float = 0.001  # between own bid and ask, in `unit`
        unit: Literal["fraction", "price"] = "fraction"  # of the mid (write 10bps), or in the quote asset
        qty: float = 1.0  # per side, in units of the base asset
        max_position: float = 5.0  # either way, in units of the base asset
        skew: float = 1.0  # half spreads at full position
        tolerance_ticks: int = 0  # a resting order this close to its price stays

        def __post_init__(self) -> None:
            for name in ("spread", "qty", "max_position"):
                if getattr(self, name) <= 0.0:
                    raise ValueError(f"{name}: must be > 0, was {getattr(self, name):g}")
            for name in ("skew", "tolerance_ticks"):
                if getattr(self, name) < 0:
                    raise ValueError(f"{name}: must be >= 0, was {getattr(self, name):g}")
            if self.unit == "fraction" and self.spread >= 2.0:
                raise ValueError(f"spread: must be < 2 (200%), or the bid is below 0, was {self.spread:g}")

    p: Params

    def on_quote(self, ctx: Context, quote: Quote) -> Quotes | None:
        p, mid, held = self.p, quote.mid, ctx.position()
        half = (p.spread * mid if p.unit == "fraction" else p.spread) / 2.0
        centre = mid - p.skew * half * max(-1.0, min(1.0, held / p.max_position))
        bid, ask = centre - half, centre + half
        if bid >= quote.ask:
            bid = quote.bid
        if ask <= quote.bid:
            ask = quote.ask
        return Quotes(
            quote.instrument,
            bids=_level(bid, min(p.qty, p.max_position - held)),
            asks=_level(ask, min(p.qty, p.max_position + held)),
            tolerance_ticks=p.tolerance_ticks,
            reason=f"mid {mid:g}, holding {held:g}",
        )

    def on_book(self, ctx: Context, book: Book) -> Quotes | None:
        if not book.bids or not book.asks:
            return Quotes(book.instrument, reason="a side of the market is empty")
        bid, ask = book.bids[0], book.asks[0]
        return self.on_quote(ctx, Quote(book.instrument, book.ts, bid.price, bid.qty, ask.price, ask.qty))


def _level(price: float, qty: float) -> tuple[Level, ...]:
    return (Level(price, qty),) if qty > 0.0 and price > 0.0 else ()

"""Keep the last prices and value what is held at them.

Owns marks and equity. All floats: equity sizes positions and feeds breakers, it is never booked.
One order of operations, so that the kernel can repeat it: cash first, then positions in the
order they were first held.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import inf

from tradebot.core.books import ZERO, AccountBook, SubLedger
from tradebot.core.ledger import Ledger
from tradebot.core.model import Bar, Instrument, Quote
from tradebot.core.underway import Way


def problem_of(item: Bar | Quote) -> str:
    """Return what cannot be true about a bar or quote, empty when it can.

    A bar's open and close may lie outside [low, high]: real feeds do that, and the matching
    core widens the range. NaN fails every comparison, so it is caught by each of them.
    """
    if isinstance(item, Bar):
        if not 0.0 < item.low <= item.high < inf:
            return f"0 < low <= high must hold, was low {item.low!r}, high {item.high!r}"
        if not (0.0 < item.open < inf and 0.0 < item.close < inf):
            return f"prices must be finite and above 0, was open {item.open!r}, close {item.close!r}"
        return "" if 0.0 <= item.volume < inf else f"volume must be 0 or more, was {item.volume!r}"
    if not (0.0 < item.bid < inf and 0.0 < item.ask < inf):
        return f"prices must be finite and above 0, was bid {item.bid!r}, ask {item.ask!r}"
    return "" if item.bid <= item.ask else f"bid must not exceed ask, was {item.bid!r} over {item.ask!r}"


class Valuer:
    """Value an account or a sub-ledger in the account's base currency.

    Caches the float image of what is held until the ledger's `version` moves, so that the
    price of valuing on every bar is one multiplication per holding.
    """

    __slots__ = (
        "_account",
        "_book",
        "_cash",
        "_held",
        "_instruments",
        "_ledger",
        "_missing",
        "_unowned",
        "_version",
        "base",
    )

    def __init__(
        self,
        ledger: Ledger,
        book: AccountBook | SubLedger,
        base: str,
        instruments: Mapping[str, Instrument],
        *,
        owned_only: bool = False,
    ) -> None:
        """`owned_only`: leave out what no strategy owns, the owner's own money in the account."""
        self._unowned = book.unassigned if owned_only and isinstance(book, AccountBook) else None
        self._ledger = ledger
        self._book = book
        self._account = book.name if isinstance(book, AccountBook) else book.account
        self._instruments = instruments
        self.base = base
        self._version = -1
        self._cash = 0.0
        self._held: list[tuple[str, float]] = []
        self._missing = ""

    def equity(self, marks: Mapping[str, float]) -> float | None:
        """Return cash plus holdings at `marks`; None while a price or rate is missing (see `missing`)."""
        if self._version != self._ledger.version:
            self._refresh()
        if self._missing:
            return None
        value = self._cash
        for instrument, units in self._held:
            mark = marks.get(instrument)
            if mark is None:
                return None
            value += units * mark
        return value

    @property
    def is_flat(self) -> bool:
        """True when prices cannot change the equity."""
        return self._version == self._ledger.version and not self._held

    @property
    def missing(self) -> str:
        """The rate that is missing ("EUR/USD"), empty when none is."""
        return self._missing

    def gross(self, marks: Mapping[str, float], ways: Mapping[str, Way]) -> float:
        """Return the sum of the largest position values that `ways` may lead to (unknown prices count 0)."""
        if self._version != self._ledger.version:
            self._refresh()
        total = sum(abs(units * marks.get(name, 0.0)) for name, units in self._held if name not in ways)
        held = dict(self._quantities())
        for name, way in ways.items():
            instrument = self._instruments[name]
            rate = self.rate(instrument.quote) or 0.0
            most = float(way.most(held.get(name, ZERO)) * instrument.multiplier)
            total += most * rate * marks.get(name, 0.0)
        return total

    def _refresh(self) -> None:
        self._version = self._ledger.version
        self._missing = ""
        self._cash = 0.0
        for asset, amount in self._book.cash.items():
            own = amount if self._unowned is None else amount - self._unowned.cash.get(asset, ZERO)
            if own:
                self._cash += float(own) * self._known_rate(asset)
        for asset, owed in self._receivable():
            self._cash += float(owed) * self._known_rate(asset)
        self._held = []
        for name, qty in self._quantities():
            if qty:
                instrument = self._instruments[name]
                rate = self._known_rate(instrument.quote)
                self._held.append((name, float(qty * instrument.multiplier) * rate))

    def _receivable(self) -> list[tuple[str, Decimal]]:
        """Return dividends owed since their ex-date: the price has fallen by them, the cash is to come."""
        name = self._account
        return [
            (fact.asset, share.amount)
            for fact in self._ledger.accrued.values()
            for share in fact.shares
            if fact.account == name and self.counts(share.strategy)
        ]

    def counts(self, strategy: str | None) -> bool:
        """Return whether what `strategy` owns (None: what nobody owns) is a part of the equity."""
        if isinstance(self._book, AccountBook):
            return self._unowned is None or strategy is not None
        return strategy == self._book.strategy

    def _quantities(self) -> list[tuple[str, Decimal]]:
        if isinstance(self._book, AccountBook):
            rest = self._unowned
            return [
                (name, self._book.qty(name) - (ZERO if rest is None else rest.qty(name)))
                for name in self._book.lots
            ]
        return [(name, p.qty) for name, p in self._book.positions.items()]

    def rate(self, asset: str) -> float | None:
        """Return what one unit of `asset` is worth in the base currency, None when nobody said."""
        return 1.0 if asset == self.base else self._ledger.rates.get((asset, self.base))

    def _known_rate(self, asset: str) -> float:
        rate = self.rate(asset)
        if rate is None:
            self._missing = f"{asset}/{self.base}"
            return 0.0
        return rate

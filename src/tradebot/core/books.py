"""Hold what accounts and strategies own: cash, lots, positions.

Owns the containers and their sums. Refuses decisions: which lot is closed and what it cost is
chosen in `lots`; only the ledger's booking functions write here.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from tradebot.core.model import AccountModel, Lot
from tradebot.errors import InvariantError

ZERO = Decimal(0)


class Position:
    """A strategy's holding of one instrument, at average cost.

    `qty` is signed; `basis` its total cost in the quote asset (negative for a short: what was
    received), fees included; `realized` the profit booked so far, net of fees in the quote
    asset. `entry_notional / entry_qty` is the average entry price without fees, from which
    protective exits measure: both grow with entries and stay when the position is reduced.
    """

    __slots__ = ("basis", "entry_notional", "entry_qty", "fees", "opened_ts", "qty", "realized")

    def __init__(self) -> None:
        self.qty = ZERO
        self.basis = ZERO
        self.entry_notional = ZERO
        self.entry_qty = ZERO
        self.realized = ZERO
        self.fees = ZERO
        self.opened_ts = 0

    @property
    def entry_price(self) -> float | None:
        """Average entry price: one float division of two exact amounts; None when flat."""
        return float(self.entry_notional) / float(self.entry_qty) if self.entry_qty else None


class SubLedger:
    """What one strategy owns inside an account (or nobody: the unassigned rest)."""

    __slots__ = ("account", "cash", "positions", "strategy")

    def __init__(self, account: str, strategy: str | None) -> None:
        self.account = account
        self.strategy = strategy
        self.cash: dict[str, Decimal] = {}
        self.positions: dict[str, Position] = {}

    def position(self, instrument: str) -> Position:
        """Return the position to look at, a flat one if there never was any.

        Looking leaves no trace: the order of the positions is that in which they are valued.
        """
        found = self.positions.get(instrument)
        return Position() if found is None else found

    def position_to_book(self, instrument: str) -> Position:
        """Return the position to write to, a new one if there never was any."""
        found = self.positions.get(instrument)
        if found is None:
            found = self.positions[instrument] = Position()
        return found

    def qty(self, instrument: str) -> Decimal:
        found = self.positions.get(instrument)
        return ZERO if found is None else found.qty

    def add_cash(self, asset: str, amount: Decimal) -> None:
        self.cash[asset] = self.cash.get(asset, ZERO) + amount


class AccountBook:
    """What the venue says is ours: cash with what has not settled yet, and lots by instrument."""

    __slots__ = ("base_currency", "cash", "lots", "model", "name", "unassigned", "unsettled")

    def __init__(self, name: str, model: AccountModel, base_currency: str) -> None:
        self.name = name
        self.model = model
        self.base_currency = base_currency
        self.cash: dict[str, Decimal] = {}
        self.unsettled: list[tuple[int, str, Decimal]] = []  # (settles_at, asset, amount), part of cash
        self.lots: dict[str, list[Lot]] = {}
        self.unassigned = SubLedger(name, None)

    def qty(self, instrument: str) -> Decimal:
        """Return the signed quantity held: the sum of the lots."""
        return sum((lot.qty for lot in self.lots.get(instrument, ())), ZERO)

    def settled(self, asset: str, now: int) -> Decimal:
        """Return the cash of `asset` that may be withdrawn: without proceeds still to settle."""
        waiting = sum((a for at, name, a in self.unsettled if name == asset and at > now and a > 0), ZERO)
        return self.cash.get(asset, ZERO) - waiting

    def add_cash(self, asset: str, amount: Decimal, settles_at: int, now: int) -> None:
        self.cash[asset] = self.cash.get(asset, ZERO) + amount
        if settles_at > now and amount > 0:
            self.unsettled = [u for u in self.unsettled if u[0] > now]
            self.unsettled.append((settles_at, asset, amount))


def check_balance(book: AccountBook, subs: Iterator[SubLedger]) -> None:
    """Raise InvariantError unless sub-ledgers and unassigned add up to the account, to the quantum."""
    cash = dict(book.unassigned.cash)
    qty = {name: p.qty for name, p in book.unassigned.positions.items()}
    for sub in subs:
        for asset, amount in sub.cash.items():
            cash[asset] = cash.get(asset, ZERO) + amount
        for name, position in sub.positions.items():
            qty[name] = qty.get(name, ZERO) + position.qty
    for asset in sorted(cash.keys() | book.cash.keys()):
        have, parts = book.cash.get(asset, ZERO), cash.get(asset, ZERO)
        if have != parts:
            raise InvariantError(f"account {book.name}: sub-ledgers must sum to {have} {asset}, were {parts}")
    for name in sorted(qty.keys() | book.lots.keys()):
        held, parts = book.qty(name), qty.get(name, ZERO)
        if held != parts:
            raise InvariantError(f"account {book.name}: sub-ledgers must sum to {held} {name}, were {parts}")

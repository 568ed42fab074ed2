"""Keep the venue's own books: cash by asset, settled and not, and positions by instrument.

Independent of the engine's ledger on purpose: tests compare the two. Refuses judgement about
whether a trade is wise; it only says whether the account can pay for it.

Not modelled: interest on negative cash, borrow fees and recalls of shorts, margin calls and
liquidation, money held back for resting orders (an order is paid for when it fills).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

from tradebot.core.model import AccountModel

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimAccount:
    """How an account starts: its model and its cash by asset."""

    model: AccountModel
    cash: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """The books at one moment. `cash` is the total, `unsettled` the part of it not yet settled.

    `positions` are signed, without zeros. Copies: later trades do not change a view.
    """

    model: AccountModel
    cash: Mapping[str, Decimal]
    unsettled: Mapping[str, Decimal]
    positions: Mapping[str, Decimal]

    def buying_power(self, asset: str) -> Decimal | None:
        """Return what a cash account may spend of `asset`; None for margin: the venue sets no limit."""
        if self.model is AccountModel.MARGIN:
            return None
        return self.cash.get(asset, ZERO) - self.unsettled.get(asset, ZERO)


class _Claim:
    __slots__ = ("amount", "asset", "calendar", "sessions")

    def __init__(self, asset: str, amount: Decimal, calendar: str, sessions: int) -> None:
        self.asset, self.amount, self.calendar, self.sessions = asset, amount, calendar, sessions


class Account:
    """The books of one account; only the venue writes them."""

    def __init__(self, config: SimAccount) -> None:
        self.model = config.model
        self.cash: dict[str, Decimal] = dict(config.cash)
        self.positions: dict[str, Decimal] = {}
        self.claims: list[_Claim] = []

    @property
    def is_cash(self) -> bool:
        return self.model is AccountModel.CASH

    def position(self, instrument: str) -> Decimal:
        return self.positions.get(instrument, ZERO)

    def add_cash(self, asset: str, amount: Decimal) -> None:
        self.cash[asset] = self.cash.get(asset, ZERO) + amount

    def add_position(self, instrument: str, qty_signed: Decimal) -> None:
        qty = self.position(instrument) + qty_signed
        if qty:
            self.positions[instrument] = qty
        else:
            self.positions.pop(instrument, None)

    def settle_later(self, asset: str, amount: Decimal, calendar: str, sessions: int) -> None:
        """Note that `amount`, already in `cash`, may be spent after `sessions` more session opens."""
        self.claims.append(_Claim(asset, amount, calendar, sessions))

    def session_opened(self, calendar: str) -> None:
        """Bring what settles by this calendar one session nearer."""
        for claim in self.claims:
            if claim.calendar == calendar:
                claim.sessions -= 1
        self.claims = [c for c in self.claims if c.sessions > 0]

    def unsettled(self, asset: str) -> Decimal:
        return sum((c.amount for c in self.claims if c.asset == asset), ZERO)

    def spendable(self, asset: str) -> Decimal:
        return self.cash.get(asset, ZERO) - self.unsettled(asset)

    def view(self) -> AccountView:
        assets = {c.asset: None for c in self.claims}
        return AccountView(
            model=self.model,
            cash=dict(self.cash),
            unsettled={a: self.unsettled(a) for a in assets},
            positions=dict(self.positions),
        )

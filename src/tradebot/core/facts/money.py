"""Facts about money and quantities that moved without an order of ours."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, NamedTuple

from tradebot.core.facts.base import Fact
from tradebot.core.facts.orders import LotClosed
from tradebot.core.model import AssetAmount, Lot


@dataclass(frozen=True, slots=True, kw_only=True)
class CashMoved(Fact):
    """Cash moved for a known reason; to a strategy's sub-ledger, or to unassigned when None."""

    VERSION: ClassVar[int] = 2

    account: str
    asset: str
    amount: Decimal
    because: str
    strategy: str | None
    settles_at: int
    venue_ref: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeCharged(Fact):
    """A fee that belongs to no fill (borrow, custody, data)."""

    VERSION: ClassVar[int] = 2

    account: str
    asset: str
    amount: Decimal
    because: str
    strategy: str | None
    venue_ref: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterestPaid(Fact):
    """Interest on cash; negative when we pay it."""

    VERSION: ClassVar[int] = 2

    account: str
    asset: str
    amount: Decimal
    strategy: str | None
    venue_ref: str = ""


class StrategyShare(NamedTuple):
    """A sub-ledger's part of something; `strategy` None = unassigned."""

    strategy: str | None
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class DividendAccrued(Fact):
    """Holders at the ex-date are owed money (a short owes it: negative), split by sub-ledger."""

    account: str
    instrument: str
    asset: str
    per_share: Decimal
    shares: tuple[StrategyShare, ...]
    pays_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DividendPaid(Fact):
    """What was accrued by the fact with seq `accrual` arrived as cash; `venue_ref` is the venue's id of it."""

    VERSION: ClassVar[int] = 2

    accrual: int
    account: str
    instrument: str
    asset: str
    shares: tuple[StrategyShare, ...]
    venue_ref: str = ""


class RebasedPosition(NamedTuple):
    """A sub-ledger's holding after a split; `realized` is the profit of the fraction it sold."""

    strategy: str | None
    qty: Decimal
    basis: Decimal
    realized: Decimal


class RebasedOrder(NamedTuple):
    """What a working order counts after a split, as a venue that adjusts orders has it."""

    client_order_id: str
    qty: Decimal
    filled_qty: Decimal
    reduced: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitApplied(Fact):
    """Lots and positions were re-based: quantities multiplied by `ratio`, basis unchanged.

    Except for the fraction of a share that the grid cannot hold: it is sold for `cash_in_lieu`,
    closes its part of the lots (`closed`) and takes its part of the basis. `lots` are the lots
    after the split. `since` is when the split happened, which may be long before we heard of it.
    """

    VERSION: ClassVar[int] = 2

    account: str
    instrument: str
    since: int
    ratio: Decimal
    lots: tuple[Lot, ...]
    closed: tuple[LotClosed, ...]
    positions: tuple[RebasedPosition, ...]
    cash_in_lieu: tuple[StrategyShare, ...]
    asset: str
    orders: tuple[RebasedOrder, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolChanged(Fact):
    """An instrument goes by another id from here on."""

    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BasisAdjusted(Fact):
    """A lot's basis changed without a trade (wash sale, return of capital)."""

    account: str
    instrument: str
    lot_id: str
    amount: Decimal
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionAdjusted(Fact):
    """The account's quantity changed from outside (transfer, owner's trade): unassigned.

    `cash` are the account's signed changes that came with it, `basis` and `realized` what it does to
    the unassigned position, as in OrderFilled.
    """

    VERSION: ClassVar[int] = 2

    account: str
    instrument: str
    qty_signed: Decimal
    basis: Decimal
    because: str
    closed: tuple[LotClosed, ...] = ()
    opened: Lot | None = None
    realized: Decimal = Decimal(0)
    cash: tuple[AssetAmount, ...] = ()
    settles_at: int = 0
    venue_ref: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedInternally(Fact):
    """Two strategies traded with each other: sub-ledgers change, the account and its lots do not."""

    account: str
    buyer: str
    seller: str
    instrument: str
    qty: Decimal
    price: Decimal
    asset: str
    notional: Decimal
    buyer_basis: Decimal
    buyer_realized: Decimal
    seller_basis: Decimal
    seller_realized: Decimal

"""Answer what is: orders, fills, positions, cash, lots, targets, halts, as the journal's file has them.

Owns reading of the derived tables, for command line, control and reports; works beside the daemon and
without one. Refuses writing, and judgement: what a row means for the owner is said elsewhere.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar, get_type_hints

from tradebot.store import connect
from tradebot.store.journal import RUN_PREFIX, Journal


class OrderRow(NamedTuple):
    """An order as far as it has come. `created`, `updated` in ns UTC; `leaves` is 0 once it is over."""

    id: str
    account: str
    strategy: str
    instrument: str
    side: str
    kind: str
    tif: str
    purpose: str
    qty: Decimal
    filled: Decimal
    leaves: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    trail: Decimal | None
    status: str
    is_open: int
    venue_id: str
    reason: str
    parent: str | None
    group_id: str | None
    replaces: str | None
    created: int
    updated: int
    first_seq: int
    last_seq: int


class FillRow(NamedTuple):
    """A trade; `realized` is the profit it booked, net of fees in the quote asset."""

    venue: str
    account: str
    fill_id: str
    seq: int
    ts: int
    order_id: str
    strategy: str
    instrument: str
    side: str
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    liquidity: str
    realized: Decimal


class PositionRow(NamedTuple):
    """What a strategy holds, or nobody (`strategy` None); as in `core.books.Position`."""

    account: str
    strategy: str | None
    instrument: str
    qty: Decimal
    basis: Decimal
    realized: Decimal
    fees: Decimal
    entry_qty: Decimal
    entry_notional: Decimal
    opened: int


class CashRow(NamedTuple):
    """Cash of a strategy, or of nobody (`strategy` None). Their sum is the account's."""

    account: str
    strategy: str | None
    asset: str
    amount: Decimal


class LotRow(NamedTuple):
    """A lot that the account holds."""

    account: str
    instrument: str
    lot_id: str
    qty: Decimal
    basis: Decimal
    opened: int
    order_id: str
    tags: str


class TargetRow(NamedTuple):
    """What a strategy wants of an instrument, since when, and what stands in the way."""

    strategy: str
    instrument: str
    since: int | None
    weight: float | None
    asked_qty: float | None
    wanted_qty: Decimal | None
    price: float | None
    equity: float | None
    because: str | None
    reason: str | None
    quotes_since: int | None
    suspended_since: int | None
    suspended_because: str | None
    suspended_bars: int | None
    refused_rule: str | None
    refused_reason: str | None
    attempts: int
    retry_at: int | None
    given_up: int


class HaltRow(NamedTuple):
    """A change of a halt level; scope None = all strategies, all instruments."""

    seq: int
    ts: int
    strategy: str | None
    instrument: str | None
    level: str
    rule: str
    reason: str


R = TypeVar("R", bound=tuple[Any, ...])


@cache
def _converted(kind: type[tuple[Any, ...]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return which columns of a row are amounts, and in which an empty text stands for nobody."""
    hints = list(get_type_hints(kind).items())
    amounts = tuple(i for i, (_, hint) in enumerate(hints) if hint in (Decimal, Decimal | None))
    nobody = tuple(
        i for i, (name, hint) in enumerate(hints) if name in ("strategy", "instrument") and hint == str | None
    )
    return amounts, nobody


def typed(kind: type[R], row: tuple[Any, ...]) -> R:
    """Return a row of a table in its type: amounts as Decimal, nobody as None."""
    amounts, nobody = _converted(kind)
    values = list(row)
    for i in amounts:
        if values[i] is not None:
            values[i] = Decimal(values[i])
    for i in nobody:
        values[i] = values[i] or None
    return kind(*values)


class Views:
    """An open file to ask. `db` is for this room."""

    def __init__(self, journal: Journal) -> None:
        self.path = journal.path
        self.meta = journal.meta
        self.db = journal.db
        self._journal = journal

    @classmethod
    def open(cls, path: Path) -> Views:
        """Open the journal at `path` to ask it. Raises StoreError as `Journal.open` does."""
        return cls(Journal.open(path, create=False, readonly=True))

    def close(self) -> None:
        self._journal.close()

    def __enter__(self) -> Views:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, kind: type[R], query: str, values: tuple[object, ...] = ()) -> tuple[R, ...]:
        """Return the rows of a query whose columns are those of `kind`."""
        with connect.explained(self.path, "reading"):
            return tuple(typed(kind, row) for row in self.db.execute(query, values).fetchall())

    def last_seq(self) -> int:
        """Return the seq of the newest fact."""
        with connect.explained(self.path, "reading"):
            found: int = self.db.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()[0]
            return found

    def last_seen(self) -> int:
        """Return when the newest fact was made, ns UTC of the market's time; 0 without facts."""
        with connect.explained(self.path, "reading"):
            row = self.db.execute("SELECT seen FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
        return 0 if row is None else int(row[0])

    def progress(self) -> dict[str, int]:
        """Return up to which ts each stream was seen."""
        query = "SELECT stream, ts FROM progress WHERE substr(stream, 1, ?) <> ? ORDER BY stream"
        with connect.explained(self.path, "reading"):
            return dict(self.db.execute(query, (len(RUN_PREFIX), RUN_PREFIX)).fetchall())


def orders(
    views: Views,
    *,
    is_open: bool | None = None,
    strategy: str | None = None,
    instrument: str | None = None,
    since: int = 0,
    limit: int = -1,
) -> tuple[OrderRow, ...]:
    """Return orders, newest first; `since` (ns UTC) is about their last change, None means any."""
    # Said as `is_open`, not as a value, so that the index of open orders is used.
    words = {None: "", True: " AND is_open", False: " AND NOT is_open"}[is_open]
    where, values = _where(strategy=strategy, instrument=instrument)
    query = f"SELECT * FROM orders WHERE updated >= ?{words}{where} ORDER BY first_seq DESC LIMIT ?"
    return views.ask(OrderRow, query, (since, *values, limit))


def order(views: Views, order_id: str) -> OrderRow | None:
    """Return one order by its client order id or the venue's; None when there is none."""
    query = "SELECT * FROM orders WHERE id = ? UNION ALL SELECT * FROM orders WHERE venue_id = ? LIMIT 1"
    return next(iter(views.ask(OrderRow, query, (order_id, order_id))), None)


def fills(
    views: Views,
    *,
    strategy: str | None = None,
    instrument: str | None = None,
    order_id: str | None = None,
    since: int = 0,
    limit: int = -1,
) -> tuple[FillRow, ...]:
    """Return trades, newest first, those at or after `since` (ns UTC)."""
    where, values = _where(strategy=strategy, instrument=instrument, order_id=order_id)
    query = f"SELECT * FROM fills WHERE ts >= ?{where} ORDER BY ts DESC, seq DESC LIMIT ?"
    return views.ask(FillRow, query, (since, *values, limit))


def positions(views: Views, *, strategy: str | None = None, flat: bool = False) -> tuple[PositionRow, ...]:
    """Return what is held; with `flat`, also what was held and made a profit or loss."""
    where, values = _where(strategy=strategy)
    held = "" if flat else " AND qty <> '0'"
    return views.ask(PositionRow, f"SELECT * FROM positions WHERE 1{held}{where}", values)


def cash(views: Views) -> tuple[CashRow, ...]:
    """Return the cash of every sub-ledger."""
    return views.ask(CashRow, "SELECT * FROM cash")


def lots(views: Views, *, instrument: str | None = None) -> tuple[LotRow, ...]:
    """Return open lots, oldest first."""
    where, values = _where(instrument=instrument)
    query = f"SELECT * FROM lots WHERE 1{where} ORDER BY account, instrument, opened, lot_id"
    return views.ask(LotRow, query, values)


def targets(
    views: Views, *, strategy: str | None = None, instrument: str | None = None
) -> tuple[TargetRow, ...]:
    """Return what is wanted now."""
    where, values = _where(strategy=strategy, instrument=instrument)
    return views.ask(TargetRow, f"SELECT * FROM targets WHERE 1{where}", values)


def halts(views: Views, *, history: bool = False) -> tuple[HaltRow, ...]:
    """Return the halts in force, or with `history` every change of one, newest first."""
    if history:
        return views.ask(HaltRow, "SELECT * FROM halts ORDER BY seq DESC")
    latest = "SELECT max(seq) FROM halts GROUP BY strategy, instrument, rule"
    query = f"SELECT * FROM halts WHERE seq IN ({latest}) AND level <> 'NONE' ORDER BY seq DESC"
    return views.ask(HaltRow, query)


def _where(**wanted: str | None) -> tuple[str, tuple[str, ...]]:
    given = {column: value for column, value in wanted.items() if value is not None}
    return "".join(f" AND {column} = ?" for column in given), tuple(given.values())

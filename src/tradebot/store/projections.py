"""Write the derived tables: what a person or a page asks the journal about.

Owns how state and history become rows. State (orders, positions, cash, lots, targets) is copied from
the ledger for what was touched; history (fills, decisions, halts, runs) comes from the facts. Refuses
booking: it never computes an amount, so it cannot disagree with the ledger.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from decimal import Decimal

from tradebot.core import facts as f
from tradebot.core.books import SubLedger
from tradebot.core.ledger import Ledger
from tradebot.core.model import Lot
from tradebot.core.orders import OrderRecord
from tradebot.core.wishes import WishState
from tradebot.store.touched import NOBODY, OrderSpan, Touched


def project(db: sqlite3.Connection, venue: str, facts: Iterable[f.Recorded], ledger: Ledger) -> None:
    """Follow `facts`, the newest that `ledger` has booked. The caller holds the transaction."""
    touched = Touched(ledger)
    for recorded in facts:
        record_history(db, venue, recorded)
        touched.add(recorded)
    write_state(db, touched)


def text(amount: Decimal) -> str:
    """Return an amount in one spelling: no exponent, no trailing zeros."""
    plain = format(amount, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain == "-0" else plain


# --- state ----------------------------------------------------------------------------------------

_ORDER = """
INSERT INTO orders VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
ON CONFLICT (id) DO UPDATE SET qty=excluded.qty, filled=excluded.filled, leaves=excluded.leaves,
    status=excluded.status, is_open=excluded.is_open, venue_id=excluded.venue_id, reason=excluded.reason,
    updated=CASE WHEN excluded.last_seq THEN excluded.updated ELSE updated END,
    last_seq=CASE WHEN excluded.last_seq THEN excluded.last_seq ELSE last_seq END
"""
_WISH = "INSERT OR REPLACE INTO targets VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_POSITION = "INSERT OR REPLACE INTO positions VALUES (?,?,?,?,?,?,?,?,?,?)"
_LOT = "INSERT OR REPLACE INTO lots VALUES (?,?,?,?,?,?,?,?)"


def write_state(db: sqlite3.Connection, touched: Touched) -> None:
    """Copy what was touched from the ledger into its rows; what is no more loses its row."""
    ledger = touched.ledger
    for order_id, span in touched.orders.items():
        db.execute(_ORDER, _order_row(ledger.orders[order_id], span))
    for account, strategy, asset in touched.cash:
        amount = _sub(ledger, account, strategy).cash.get(asset)
        if amount is not None:
            db.execute(
                "INSERT OR REPLACE INTO cash VALUES (?,?,?,?)", (account, strategy, asset, text(amount))
            )
    for account, strategy, instrument in touched.positions:
        _write_position(db, _sub(ledger, account, strategy), instrument)
    for account, instrument in touched.instruments:
        db.execute("DELETE FROM lots WHERE account=? AND instrument=?", (account, instrument))
        for lot in ledger.accounts[account].lots.get(instrument, ()):
            db.execute(_LOT, _lot_row(account, instrument, lot))
    for (account, instrument), ids in touched.lots.items():
        _write_lots(db, ledger, account, instrument, ids)
    for strategy, instrument in touched.wishes:
        _write_wish(db, strategy, instrument, ledger.wishes[strategy, instrument])


def _order_row(record: OrderRecord, span: OrderSpan) -> tuple[object, ...]:
    order = record.order
    first, last, updated = span
    prices = (order.limit_price, order.stop_price, order.trail)
    return (
        order.client_order_id,
        order.account,
        order.strategy,
        order.instrument,
        order.side.value,
        order.kind.value,
        order.tif.value,
        order.purpose.value,
        text(record.qty),
        text(record.filled_qty),
        text(record.leaves) if record.is_open else "0",
        *(None if price is None else text(price) for price in prices),
        record.status.value,
        int(record.is_open),
        record.venue_order_id,
        record.reason,
        order.parent_id,
        order.group_id,
        order.replaces,
        order.ts,
        updated,
        first,
        last,
    )


def _sub(ledger: Ledger, account: str, strategy: str) -> SubLedger:
    return ledger.sub_or_unassigned(account, strategy if strategy != NOBODY else None)


def _write_position(db: sqlite3.Connection, sub: SubLedger, instrument: str) -> None:
    key = (sub.account, sub.strategy or NOBODY, instrument)
    held = sub.positions.get(instrument)
    if held is None or not (held.qty or held.realized or held.fees or held.opened_ts):
        db.execute("DELETE FROM positions WHERE account=? AND strategy=? AND instrument=?", key)
        return
    amounts = (held.qty, held.basis, held.realized, held.fees, held.entry_qty, held.entry_notional)
    db.execute(_POSITION, (*key, *map(text, amounts), held.opened_ts))


def _write_lots(
    db: sqlite3.Connection, ledger: Ledger, account: str, instrument: str, ids: Iterable[str]
) -> None:
    held = {lot.lot_id: lot for lot in ledger.accounts[account].lots.get(instrument, ())}
    for lot_id in ids:
        lot = held.get(lot_id)
        if lot is not None:
            db.execute(_LOT, _lot_row(account, instrument, lot))
        else:
            key = (account, instrument, lot_id)
            db.execute("DELETE FROM lots WHERE account=? AND instrument=? AND lot_id=?", key)


def _lot_row(account: str, instrument: str, lot: Lot) -> tuple[object, ...]:
    amounts = (text(lot.qty), text(lot.basis))
    return (account, instrument, lot.lot_id, *amounts, lot.opened_ts, lot.order_id, json.dumps(lot.tags))


def _write_wish(db: sqlite3.Connection, strategy: str, instrument: str, wish: WishState) -> None:
    target, rest, quotes = wish.target, wish.suspended, wish.quotes
    rule, reason = wish.refused or (None, None)
    if target is None:
        wanted: tuple[object, ...] = (None,) * 8
    else:
        sized = (text(target.wanted_qty), target.price, target.equity)
        wanted = (target.ts, target.weight, target.asked_qty, *sized, target.because, target.reason)
    row = (
        strategy,
        instrument,
        *wanted,
        None if quotes is None else quotes.ts,
        *((None, None, None) if rest is None else (rest.ts, rest.because, rest.bars)),
        rule,
        reason,
        wish.attempts,
        wish.retry_at,
        int(wish.given_up),
    )
    db.execute(_WISH, row)


# --- history --------------------------------------------------------------------------------------


def record_history(db: sqlite3.Connection, venue: str, recorded: f.Recorded) -> None:
    """Add the rows of a fact that stay as they are whatever happens later."""
    write = _HISTORY.get(type(recorded.fact))
    if write is not None:
        write(db, venue, recorded.seq, recorded.seen, recorded.fact)


def _decision(strategy: str, instrument: str, rule: str) -> Callable[..., None]:
    """Return the writer for decisions whose fact has these attributes ('' = has none)."""

    def write(db: sqlite3.Connection, _venue: str, seq: int, _seen: int, fact: f.Fact) -> None:
        names = tuple(getattr(fact, name) if name else NOBODY for name in (strategy, instrument))
        why = getattr(fact, rule) if rule else NOBODY
        row = (*names, fact.ts, seq, type(fact).__name__, why)
        db.execute("INSERT INTO decisions VALUES (?,?,?,?,?,?)", row)

    return write


def _fill(db: sqlite3.Connection, venue: str, seq: int, _seen: int, fact: f.OrderFilled) -> None:
    fill = fact.fill
    row = (
        venue,
        fact.account,
        fill.fill_id,
        seq,
        fill.ts,
        fill.client_order_id,
        fact.strategy,
        fill.instrument,
        fill.side.value,
        text(fill.qty),
        text(fill.price),
        text(fill.fee),
        fill.fee_asset,
        fill.liquidity.value,
        text(fact.realized),
    )
    db.execute("INSERT INTO fills VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", row)


def _halt(db: sqlite3.Connection, _venue: str, seq: int, _seen: int, fact: f.HaltSet) -> None:
    scope = (fact.scope.strategy or NOBODY, fact.scope.instrument or NOBODY)
    row = (seq, fact.ts, *scope, fact.level.name, fact.rule, fact.reason)
    db.execute("INSERT INTO halts VALUES (?,?,?,?,?,?,?)", row)


def _run_started(db: sqlite3.Connection, _venue: str, seq: int, seen: int, fact: f.RunStarted) -> None:
    row = (seq, fact.run_id, fact.epoch, seen, fact.config_digest, fact.code_digest)
    db.execute("INSERT INTO runs VALUES (?,?,?,?,NULL,NULL,?,?)", row)


def _run_ended(db: sqlite3.Connection, _venue: str, seq: int, seen: int, fact: f.RunEnded) -> None:
    latest = "(SELECT max(seq) FROM runs WHERE seq < ?)"
    db.execute(f"UPDATE runs SET ended=?, reason=? WHERE seq={latest}", (seen, fact.reason, seq))


_HISTORY: dict[type[f.Fact], Callable[..., None]] = {
    f.OrderFilled: _fill,
    f.HaltSet: _halt,
    f.RunStarted: _run_started,
    f.RunEnded: _run_ended,
    f.TargetSet: _decision("strategy", "instrument", "because"),
    f.QuotesSet: _decision("strategy", "instrument", ""),
    f.TargetSuspended: _decision("strategy", "instrument", "because"),
    f.ExitCrossed: _decision("strategy", "instrument", "exit"),
    f.TargetReleased: _decision("strategy", "instrument", "because"),
    f.Skipped: _decision("strategy", "instrument", "rule"),
    f.SkipEnded: _decision("strategy", "instrument", "rule"),
    f.OrderDenied: _decision("strategy", "instrument", "rule"),
    f.OrderShrunk: _decision("strategy", "instrument", "rule"),
    f.RetrySet: _decision("strategy", "instrument", ""),
    f.StrategyFailed: _decision("strategy", "instrument", ""),
    f.InputsMissed: _decision("strategy", "", ""),
    f.BadDataSeen: _decision("", "instrument", ""),
}
HISTORY_KINDS = frozenset(_HISTORY)

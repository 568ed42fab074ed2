"""Turn venue reports into facts: what a fill moves, and what became of an order.

Owns the translation. A report about an order we do not know is left to reconciliation; a fill
that was booked before is dropped, because venues repeat themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.books import ZERO
from tradebot.core.facts import AssetAmount
from tradebot.core.lots import trade_average, trade_lots
from tradebot.core.model import Fill, Instrument, Lot, LotMethod, Side
from tradebot.core.orders import OrderRecord
from tradebot.core.quantize import money, on_grid, share_of
from tradebot.core.recorder import Recorder
from tradebot.core.setup import Setup
from tradebot.errors import InvariantError

_ONE = Decimal(1)
_FINE = Decimal("1E-18")


def filled_fact(
    setup: Setup, recorder: Recorder, record: OrderRecord, fill: Fill, settle: int
) -> f.OrderFilled:
    """Return everything a fill moves, to the quantum.

    Notional and each fee are rounded once to their asset's quantum. A fee in the base asset
    makes the position change smaller; a fee in a third asset moves only that asset's cash.
    """
    ledger = recorder.ledger
    instrument = setup.instruments[fill.instrument]
    order = record.order
    account = ledger.accounts[order.account]
    quantum = setup.quantum(instrument.quote)
    notional = money(fill.qty * fill.price * instrument.multiplier, quantum)
    change = fill.qty_signed
    cash = -notional if fill.side is Side.BUY else notional
    moves: list[AssetAmount] = []
    if fill.fee:
        if fill.fee_asset == instrument.quote:
            cash -= fill.fee
        elif fill.fee_asset == instrument.base:
            change -= fill.fee
        else:
            moves.append(AssetAmount(fill.fee_asset, -fill.fee))
    moves.insert(0, AssetAmount(instrument.quote, cash))
    lots = trade_lots(
        account.lots.get(fill.instrument, ()),
        change,
        cash,
        new_lot=Lot(
            lot_id=f"{fill.client_order_id}-{len(record.fill_ids) + 1}",
            instrument=fill.instrument,
            qty=ZERO,
            basis=ZERO,
            opened_ts=fill.ts,
            order_id=fill.client_order_id,
        ),
        quantum=quantum,
        method=_method(setup, order.account),
    )
    held = ledger.subs[order.strategy].qty(fill.instrument)
    average = trade_average(ledger.subs[order.strategy].position(fill.instrument), change, cash, quantum)
    return f.OrderFilled(
        ts=fill.ts,
        fill=fill,
        account=order.account,
        strategy=order.strategy,
        qty_signed=change,
        cash=tuple(moves),
        closed=lots.closed,
        opened=lots.opened,
        basis=average.basis,
        realized=average.realized,
        settles_at=fill.ts + settle,
        opens=_opens(held, held + change, instrument.lot_size),
    )


def rebased_fill(record: OrderRecord, fill: Fill, units: Decimal) -> Fill:
    """Return a fill in today's units: one that is heard of late may be from before a split.

    `units` is the quantum of the quantity.
    """
    ratio = _ONE
    for since, times in record.splits:
        if fill.ts < since:
            ratio *= times
    if ratio == _ONE:
        return fill
    return replace(
        fill,
        qty=money(fill.qty * ratio, units),
        price=_price(fill.price, ratio),
        data_price=None if fill.data_price is None else _price(fill.data_price, ratio),
    )


def _price(price: Decimal, ratio: Decimal) -> Decimal:
    return money(share_of(price, _ONE, ratio), _FINE)  # off the tick, so that the money stays the same


def _opens(before: Decimal, after: Decimal, lot_size: Decimal) -> bool:
    # What is left below a lot (a fee in the base asset) is no position: it could never be sold.
    return bool(after) and (abs(before) < lot_size or (before > 0) != (after > 0))


def _method(setup: Setup, account: str) -> LotMethod:
    for spec in setup.accounts:
        if spec.name == account:
            return spec.lot_method
    raise InvariantError(f"account {account} is not in the setup")


def report_fact(report: m.VenueReport) -> f.Fact | None:
    """Return the fact of a report that moves no money; None for a fill."""
    match report:
        case m.VenueAcked():
            return f.OrderAccepted(
                ts=report.ts, client_order_id=report.client_order_id, venue_order_id=report.venue_order_id
            )
        case m.VenueRefused():
            return f.OrderRejected(ts=report.ts, client_order_id=report.client_order_id, reason=report.reason)
        case m.VenueUnknown():
            return f.SubmitUnknown(ts=report.ts, client_order_id=report.client_order_id, reason=report.reason)
        case m.VenueAbsent():
            return f.SubmitAbsent(ts=report.ts, client_order_id=report.client_order_id, checks=report.checks)
        case m.VenueTriggered():
            return f.OrderTriggered(ts=report.ts, client_order_id=report.client_order_id)
        case m.VenueCanceled():
            return f.OrderCanceled(ts=report.ts, client_order_id=report.client_order_id, reason=report.reason)
        case m.VenueExpired():
            return f.OrderExpired(ts=report.ts, client_order_id=report.client_order_id)
        case m.VenueCancelRefused():
            return f.CancelRefused(ts=report.ts, client_order_id=report.client_order_id, reason=report.reason)
        case m.VenueReplaced():
            return f.OrderReplaced(ts=report.ts, client_order_id=report.client_order_id, by=report.by)
        case m.VenueFilled():
            return None


def grid_problem(instrument: Instrument, qty: Decimal, prices: Mapping[str, Decimal | None]) -> str:
    """Return what keeps an order off the venue's grid, empty when nothing does."""
    if qty <= 0 or not on_grid(qty, instrument.lot_size):
        return f"qty must be a positive multiple of {instrument.lot_size}, was {qty}"
    for name, price in prices.items():
        if price is not None and (price <= 0 or not on_grid(price, instrument.tick_size)):
            return f"{name} must be a positive multiple of {instrument.tick_size}, was {price}"
    return ""

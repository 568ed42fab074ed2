"""Apply splits and dividends to the venue's books and resting orders."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

from tradebot.core.messages import Dividend, Split
from tradebot.core.model import Order
from tradebot.core.quantize import (
    LEDGER_CONTEXT,
    money,
    price_for,
    price_nearest,
    qty_down,
    share_of,
    stop_price_for,
)
from tradebot.sim.blotter import Blotter
from tradebot.sim.settings import OnSplit
from tradebot.sim.working import ZERO, Working


class Payable(NamedTuple):
    """A dividend on its way: negative when a short owes it."""

    pays_at: int
    account: str
    asset: str
    amount: Decimal


def dividend(blotter: Blotter, event: Dividend) -> list[Payable]:
    """Return what every holder (a short: negative) is owed, rounded once per account."""
    inst = blotter.instruments[event.instrument]
    found = []
    for name, account in blotter.accounts.items():
        held = account.position(inst.id)
        if held:
            amount = money(LEDGER_CONTEXT.multiply(held, event.amount), blotter.quantum)
            found.append(Payable(event.pays_at, name, inst.quote, amount))
    return found


def split(blotter: Blotter, event: Split, last: float | None) -> None:
    """Re-base positions and resting orders by `event.ratio`.

    Positions round toward zero to the lot; the rest is paid as cash in lieu at `last` (the last
    raw price before the split, put on the tick) / ratio; without a known price the position keeps
    the fraction. Orders are cancelled with a reason, or adjusted: quantity x ratio down to the lot,
    prices / ratio rounded as a new order's would be, what has filled counted in new units.
    """
    inst, ratio = blotter.instruments[event.instrument], event.ratio
    for account in blotter.accounts.values():
        held = account.position(inst.id)
        if not held:
            continue
        exact = money(LEDGER_CONTEXT.multiply(held, ratio), blotter.quantum)
        whole = exact if last is None else qty_down(exact, inst.lot_size)
        account.add_position(inst.id, whole - held)
        if last is not None and exact != whole:
            price = price_nearest(last, inst.tick_size)
            account.add_cash(inst.quote, money(share_of(exact - whole, price, ratio), blotter.quantum))
    for w in list(blotter.books[inst.id].values()):
        if w.client_order_id not in blotter.orders:
            continue
        if blotter.settings.on_split is OnSplit.CANCEL:
            blotter.cancel(w, event.ts, f"split: {inst.id} splits {ratio} for 1")
        else:
            _adjust(blotter, w, event)


def _adjust(blotter: Blotter, w: Working, event: Split) -> None:
    order, lot, tick = w.order, w.instrument.lot_size, w.instrument.tick_size
    qty, left = (_scaled(x, event.ratio, lot) for x in (order.qty, w.cap - w.filled - w.reduced))
    if left <= ZERO:
        blotter.cancel(w, event.ts, f"split: less than a lot of {lot} is left of {order.qty}")
        return
    ratio = float(event.ratio)
    # What has filled is what is no longer open: rounded by itself it could leave more to trade than there was.
    w.reduced = min(_scaled(w.reduced, event.ratio, lot), qty - left)
    w.filled = qty - left - w.reduced
    if w.activated is not None:
        w.activated = _scaled(w.activated, event.ratio, lot)
    if w.reference is not None:
        w.reference /= ratio
    w.set_terms(_adjusted(order, qty, ratio, tick, w.stop_price))


def _adjusted(order: Order, qty: Decimal, ratio: float, tick: Decimal, stop: Decimal | None) -> Order:
    limit = order.limit_price
    trail = order.trail
    if trail is not None and not order.trail_is_fraction:
        trail = price_nearest(float(trail) / ratio, tick)
    return replace(
        order,
        qty=qty,
        limit_price=None if limit is None else price_for(order.side, float(limit) / ratio, tick),
        stop_price=None if stop is None else stop_price_for(order.side, float(stop) / ratio, tick),
        trail=trail,
    )


def _scaled(qty: Decimal, ratio: Decimal, lot: Decimal) -> Decimal:
    return qty_down(LEDGER_CONTEXT.multiply(qty, ratio), lot)

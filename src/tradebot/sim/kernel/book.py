"""Book fills in integers: value, fee, cash, position, average entry price.

Owns what `sim.blotter.fill`, `sim.fees` and `core.booking` do for one leg. Cash is in quanta of
1e-8, quantities in units (`layout`), prices in ticks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradebot.sim.kernel import layout as k
from tradebot.sim.kernel.grid import OUT_OF_RANGE, divide_half_even, fits, ratio, scale_half_even
from tradebot.sim.kernel.jit import helper

if TYPE_CHECKING:
    from tradebot.sim.kernel.layout import Ints, Order, State

_MOST = 9007199254740992  # 2**53: beyond it a float no longer holds every integer
_QUANTA = 100_000_000.0


@helper
def bail(m: State, reason: int) -> None:
    """Stop: the engine must run. The first reason stands."""
    if m.status == k.DONE:
        m.status = reason
        m.bailed_at = m.now


@helper
def price_of(m: State, ticks: int) -> float:
    """Return a grid price as the float that its Decimal would become."""
    return ratio(ticks * m.tick, m.price_scale)


@helper
def refresh(m: State) -> None:
    """Take over cash and position as floats, as `core.market.Valuer` sees them."""
    m.cash_f = ratio(m.cash, _QUANTA)
    if m.pos == 0:
        m.units_f = 0.0
        return
    if not fits(m.pos, m.mult) or abs(m.pos * m.mult) > _MOST:
        bail(m, k.TOO_LARGE)
        return
    m.units_f = ratio(m.pos * m.mult, m.units_scale)


@helper
def notional_of(m: State, qty: int, price: int) -> int:
    """Return qty x price x multiplier in quanta, rounded once half to even."""
    if not fits(qty, price):
        bail(m, k.TOO_LARGE)
        return 0
    value = scale_half_even(qty * price, m.value_num, m.value_den)
    if value == OUT_OF_RANGE:
        bail(m, k.TOO_LARGE)
        return 0
    return value


@helper
def _share_fee(m: State, w: Order, qty: int, notional: int) -> int:
    """Return the growth of min(max(rate x qty, minimum), cap x notional) over the order's fills."""
    traded, value = w.filled + qty, w.notional + notional
    if not (fits(traded, m.share_qty) and fits(value, m.share_cap) and fits(w.fee, m.share_scale)):
        bail(m, k.TOO_LARGE)
        return 0
    total = max(traded * m.share_qty, m.share_min)
    if m.share_cap >= 0:
        total = min(total, value * m.share_cap)
    return divide_half_even(total - w.fee * m.share_scale, m.share_scale)


@helper
def fee_of(m: State, w: Order, qty: int, notional: int, is_maker: bool) -> int:
    """Return the fee in quanta of its asset (see `pays_in_base`)."""
    kind = m.fee_kind
    if kind == k.NO_FEE:
        return 0
    if kind == k.PER_SHARE_FEE:
        return _share_fee(m, w, qty, notional)
    num, den = (m.maker_num, m.maker_den) if is_maker else (m.taker_num, m.taker_den)
    amount = notional
    if pays_in_base(m, w):
        # `fee_unit` units of quantity make a quantum of 1e-8.
        amount, den = qty, den * m.fee_unit
    fee = scale_half_even(amount, num, den)
    if fee == OUT_OF_RANGE:
        bail(m, k.TOO_LARGE)
        return 0
    return fee


@helper
def pays_in_base(m: State, w: Order) -> bool:
    """Return whether the order's fill pays its fee in the base asset."""
    return m.fee_kind == k.RECEIVED_FEE and w.side > 0


@helper
def _cannot_carry(m: State, side: int, qty: int, cost: int) -> bool:
    if side < 0:
        return m.pos < qty and (m.is_cash_account == 1 or m.is_shortable == 0)
    return m.is_cash_account == 1 and cost > m.cash + m.rest_cash


@helper
def _book_entry(m: State, change: int, price: int) -> None:
    """Follow the average entry price and the bar a position was opened in; what is below a lot is none."""
    held = m.pos
    after = held + change
    if not fits(after, price) or not fits(change, price):
        bail(m, k.TOO_LARGE)
        return
    flips = (held > 0) != (after > 0)
    opens = after != 0 and (abs(held) < m.lot or flips)
    if opens or after == 0:
        m.entry_qty = abs(after)
        m.entry_notional = abs(after) * price
    elif abs(after) > abs(held):
        m.entry_qty += abs(change)
        m.entry_notional += abs(change) * price
    if opens or held == 0 or flips:
        m.opened = m.now


@helper
def _write(m: State, w: Order, log: Ints, qty: int, price: int, fee: int, flags: int) -> None:
    row = m.fills_at + m.fills * k.FILL_WIDTH
    log[row + k.F_BAR] = m.now
    log[row + k.F_NUMBER] = w.number
    log[row + k.F_KIND] = w.kind
    log[row + k.F_QTY] = w.side * qty
    log[row + k.F_PRICE] = price
    log[row + k.F_FEE] = fee
    log[row + k.F_IN_BASE] = flags & 1
    log[row + k.F_IS_MAKER] = (flags >> 1) & 1
    log[row + k.F_IS_ASSUMED] = (flags >> 2) & 1
    log[row + k.F_DECIDED] = w.decided
    log[row + k.F_CASH] = m.cash
    log[row + k.F_POS] = m.pos
    log[row + k.F_DATA_PRICE] = m.data_price
    m.fills += 1


@helper
def book_fill(m: State, w: Order, log: Ints, qty: int, price: int, is_maker: bool, is_assumed: bool) -> None:
    """Trade `qty` of an order at `price`, or say why the engine must run."""
    if m.fills_at + (m.fills + 1) * k.FILL_WIDTH > m.fills_end:
        bail(m, k.MORE_ROOM)
        return
    if price <= 0:
        bail(m, k.BAD_FILL_PRICE)
        return
    side = w.side
    notional = notional_of(m, qty, price)
    fee = fee_of(m, w, qty, notional, is_maker)
    in_base = pays_in_base(m, w)
    quote_fee = 0 if in_base else fee
    if _cannot_carry(m, side, qty, notional + quote_fee):
        bail(m, k.CANNOT_CARRY)
    if m.status != k.DONE:
        return
    change = side * qty
    if in_base:
        change -= fee * m.fee_unit
    m.cash -= side * notional + quote_fee
    if abs(m.cash) + abs(m.rest_cash) > _MOST:
        bail(m, k.TOO_LARGE)
    _book_entry(m, change, price)
    m.pos += change
    if w.kind == k.TARGET:
        m.fee_qty += side * qty - change
    w.filled += qty
    w.notional += notional
    w.fee += fee
    refresh(m)
    flags = (1 if in_base else 0) + (2 if is_maker else 0) + (4 if is_assumed else 0)
    _write(m, w, log, qty, price, fee, flags)

"""Trade one order at one price: what is left to take, slippage, the grid.

Owns what `sim.taking` and `sim.slippage` do, followed by the reaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradebot.sim.kernel import layout as k
from tradebot.sim.kernel.book import bail, book_fill, price_of
from tradebot.sim.kernel.grid import (
    CEILING,
    FLOOR,
    NEAREST,
    OUT_OF_RANGE,
    TOWARD_ZERO,
    ratio,
    to_grid,
)
from tradebot.sim.kernel.jit import helper
from tradebot.sim.kernel.orders import leaves
from tradebot.sim.kernel.react import after_fill

if TYPE_CHECKING:
    from tradebot.sim.kernel.layout import Ints, Order, Orders, State


@helper
def open_budget(m: State) -> None:
    """See what the bar's volume allows our orders together, once per bar."""
    if m.budget_bar == m.now:
        return
    m.budget_bar = m.now
    m.used = 0
    if m.is_capped == 1:
        lots = to_grid(m.cap * m.bar_volume, m.qty_scale, m.lot, TOWARD_ZERO)
        m.budget = lots * m.lot
        if lots == OUT_OF_RANGE:
            bail(m, k.TOO_LARGE)


@helper
def _slipped(m: State, side: int, qty: int, price: float) -> float:
    kind = m.slip_kind
    if kind == k.BPS_SLIP:
        return price * (1.0 + side * m.slip_bps * 1e-4)
    if kind == k.HALF_SPREAD_SLIP:
        return price * (1.0 + side * m.slip_bps * 0.5e-4)
    if kind == k.TICK_SLIP:
        return price + (side * m.slip_ticks) * m.tick_f
    share = m.max_share
    if m.bar_volume > 0.0:
        used, asked = ratio(m.used, m.qty_scale), ratio(qty, m.qty_scale)
        share = min((used + asked) / m.bar_volume, m.max_share)
    return price * (1.0 + side * m.impact * share * share)


@helper
def _inside(m: State, ticks: int) -> int:
    """Return a grid price brought into the bar's range, where a grid point lies in it."""
    low = to_grid(m.bar_low, m.price_scale, m.tick, CEILING)
    high = to_grid(m.bar_high, m.price_scale, m.tick, FLOOR)
    if low == OUT_OF_RANGE or high == OUT_OF_RANGE:
        bail(m, k.TOO_LARGE)
    return min(max(ticks, low), high) if low <= high else ticks


@helper
def _slip(m: State, w: Order, qty: int, ticks: int) -> int:
    """Return the price after slippage, on the grid against us, never beyond the order's limit."""
    side = w.side
    price = _slipped(m, side, qty, price_of(m, ticks))
    exact = to_grid(price, m.price_scale, m.tick, CEILING if side > 0 else FLOOR)
    if exact == OUT_OF_RANGE:
        bail(m, k.TOO_LARGE)
        return 0
    if m.clip == 1:
        exact = _inside(m, exact)
    if w.kind == k.LIMIT:
        exact = min(exact, w.price) if side > 0 else max(exact, w.price)
    return exact


@helper
def _tradable(m: State, w: Order) -> int:
    """Return what an order may trade now, within the position it may only reduce."""
    qty = leaves(w)
    if w.reducing == 0:
        return qty
    reducible = max(-m.pos if w.side > 0 else m.pos, 0)
    if reducible < qty:
        qty = reducible // m.lot * m.lot
        is_flattening = m.suspended == k.BY_TIME or m.suspended == k.BY_FLATTEN
        if qty == 0 and w.kind == k.FLATTEN and is_flattening:
            w.on = 0  # the venue ends it; when the engine tries again there is nothing to do
        elif qty == 0:
            bail(m, k.NOTHING_TO_REDUCE)
    return qty


@helper
def take_ticks(
    m: State,
    orders: Orders,
    log: Ints,
    w: Order,
    ticks: int,
    is_maker: bool,
    is_assumed: bool,
) -> None:
    """Fill as much of an order at a grid price as position and budget allow."""
    w.tried = 1
    qty = _tradable(m, w)
    if m.is_capped == 1 and m.budget < qty:
        qty = m.budget // m.lot * m.lot
    if qty <= 0 or m.status != k.DONE:
        return
    exact = m.data_price = ticks
    if not is_maker and m.slip_kind != k.NO_SLIP:
        exact = _slip(m, w, qty, ticks)
    book_fill(m, w, log, qty, exact, is_maker, is_assumed)
    if m.status != k.DONE:
        return
    m.used += qty
    m.budget -= qty
    after_fill(m, orders, log, w, qty)


@helper
def take(
    m: State,
    orders: Orders,
    log: Ints,
    w: Order,
    price: float,
    is_maker: bool,
) -> None:
    """As `take_ticks` at a price of the data, which goes to the nearest grid point inside the bar."""
    ticks = to_grid(price, m.price_scale, m.tick, NEAREST)
    if ticks == OUT_OF_RANGE:
        bail(m, k.TOO_LARGE)
        return
    take_ticks(m, orders, log, w, _inside(m, ticks), is_maker, False)

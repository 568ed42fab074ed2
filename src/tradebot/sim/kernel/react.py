"""React to a fill as the engine does: suspend, protect, work the difference.

Owns the order of these steps (`core.engine._filled`), protective exits (`core.guard`) and the
difference (`core.desk`). Reports that change nothing any more (the end of an order that was
cancelled at the same moment) are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradebot.sim.kernel import layout as k
from tradebot.sim.kernel.book import bail
from tradebot.sim.kernel.gate import ask_reducing, ask_target
from tradebot.sim.kernel.grid import CEILING, FLOOR, OUT_OF_RANGE, ratio, to_grid
from tradebot.sim.kernel.jit import helper
from tradebot.sim.kernel.orders import leaves, place_exit, place_market, remember_time

if TYPE_CHECKING:
    from tradebot.sim.kernel.layout import Ints, Order, Orders, State


@helper
def note(m: State, log: Ints, what: int) -> None:
    """Log a suspension or its end."""
    row = m.events_at + m.events * k.EVENT_WIDTH
    if row + k.EVENT_WIDTH > m.events_end:
        bail(m, k.MORE_ROOM)
        return
    log[row] = m.now
    log[row + 1] = what
    m.events += 1


@helper
def suspend(m: State, orders: Orders, log: Ints, because: int, bars: int) -> None:
    """Let the target rest and end what is on the way to it."""
    m.suspended = because
    m.suspended_bar = m.now
    m.suspended_bars = bars
    note(m, log, because)
    orders[k.TARGET].on = 0


# --- protective exits -------------------------------------------------------------------------------


@helper
def _is_used(m: State, kind: int) -> bool:
    if kind == k.STOP:
        return m.has_stop == 1
    return m.has_limit == 1 if kind == k.LIMIT else m.has_trail == 1


@helper
def _exit_price(m: State, kind: int, side: int, entry: float) -> int:
    """Return the grid price of a stop or limit measured from the average entry price."""
    if kind == k.TRAIL:
        return 0
    away = 1.0 if side < 0 else -1.0
    if kind == k.STOP:
        raw, mode = entry * (1.0 - away * m.stop_loss), CEILING if side > 0 else FLOOR
    else:
        raw, mode = entry * (1.0 + away * m.take_profit), FLOOR if side > 0 else CEILING
    ticks = to_grid(raw, m.price_scale, m.tick, mode)
    if ticks == OUT_OF_RANGE:
        bail(m, k.TOO_LARGE)
        return 0
    return ticks


@helper
def protect(m: State, orders: Orders, log: Ints) -> None:
    """Place, replace or cancel protective orders after the position changed."""
    size = abs(m.pos) // m.lot * m.lot
    side = -1 if m.pos > 0 else 1
    is_wanted = size != 0 and m.entry_qty != 0
    for kind in range(k.STOP, k.KINDS):
        if not is_wanted or orders[kind].side != side:
            orders[kind].on = 0
    if not is_wanted:
        return
    if abs(float(m.entry_notional)) * m.tick >= 4e18:
        bail(m, k.TOO_LARGE)
        return
    entry = ratio(m.entry_notional * m.tick, m.entry_scale) / ratio(m.entry_qty, m.qty_scale)
    for kind in range(k.STOP, k.KINDS):
        if not _is_used(m, kind):
            continue
        w, price = orders[kind], _exit_price(m, kind, side, entry)
        is_same = w.on == 1 and leaves(w) == size and (kind == k.TRAIL or w.price == price)
        if not is_same:
            ask_reducing(m, kind, size, price)
            place_exit(m, w, side, size, price)
            remember_time(m, log)


# --- the difference ---------------------------------------------------------------------------------


@helper
def _whole_lots(diff: int, lot: int) -> int:
    if lot == 1:
        return diff
    return diff // lot * lot if diff >= 0 else -(-diff // lot * lot)


@helper
def _send(m: State, orders: Orders, log: Ints, diff: int, kind: int) -> None:
    if m.is_closed == 1:
        m.session_closed += 1  # it is worked again when the session opens
        return
    side = 1 if diff > 0 else -1
    if kind == k.FLATTEN:
        ask_reducing(m, kind, abs(diff), 0)
    else:
        ask_target(m, log, side, abs(diff))
    place_market(m, orders[kind], side, abs(diff))
    remember_time(m, log)


@helper
def work(m: State, orders: Orders, log: Ints) -> None:
    """Send the difference between what is wanted and what is held, if there is one."""
    target, flatten = orders[k.TARGET], orders[k.FLATTEN]
    flattening = leaves(flatten) * flatten.side
    if m.suspended != 0:
        if m.suspended != k.BY_TIME and m.suspended != k.BY_FLATTEN:
            return
        diff = _whole_lots(-m.pos - flattening, m.lot)
        if diff != 0 and flatten.on == 1:
            bail(m, k.FLATTEN_CROSSING)
        elif diff != 0:
            _send(m, orders, log, diff, k.FLATTEN)
        return
    wanted = m.wanted - (m.pos + m.fee_qty + flattening)
    if m.has_target == 0 or _whole_lots(wanted - leaves(target) * target.side, m.lot) == 0:
        return
    if flatten.on == 1 and m.is_limited == 1:
        bail(m, k.FLATTEN_CROSSING)  # the rules look at both orders together
        return
    if m.is_ending == 1:
        return  # an order was cancelled at this close: what follows waits for its end
    if target.on == 1 and m.arrived == 1 and m.market_at == k.SAME_CLOSE:
        bail(m, k.CLOSE_CROSSING)
        return
    target.on = 0
    diff = _whole_lots(wanted, m.lot)
    if diff != 0:
        _send(m, orders, log, diff, k.TARGET)


# --- after a fill -----------------------------------------------------------------------------------


@helper
def _is_done(w: Order) -> bool:
    return w.filled + w.reduced >= w.qty


@helper
def _carry(orders: Orders, w: Order, qty: int) -> bool:
    """Take the fill off the one-cancels-other siblings; returns whether the order is done."""
    is_done = _is_done(w)
    if is_done:
        w.on = 0
    if w.kind >= k.STOP:
        for kind in range(k.STOP, k.KINDS):
            other = orders[kind]
            if kind != w.kind and other.on == 1:
                other.reduced += qty
                if is_done or _is_done(other):
                    other.on = 0
    return is_done


@helper
def after_fill(m: State, orders: Orders, log: Ints, w: Order, qty: int) -> None:
    """Do what follows a booked fill of `qty` of an order."""
    is_done = _carry(orders, w, qty)
    if w.kind >= k.STOP:
        if m.fee_kind == k.RECEIVED_FEE and w.side > 0:
            # What is left of the short keeps exits that its fill has just ended at the venue.
            bail(m, k.SHORT_EXIT_IN_BASE)
            return
        if m.suspended == 0 and m.after_bars != k.AT_ONCE:
            suspend(m, orders, log, w.kind, m.after_bars)
    protect(m, orders, log)
    if is_done and (w.kind < k.STOP or m.after_bars == k.AT_ONCE):
        work(m, orders, log)

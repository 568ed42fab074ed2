"""Keep the orders a leg can have working: to the target, to get flat, stop, limit, trailing stop.

Owns what `sim.working` and `sim.venue` do on arrival. A leg never has two of a kind, because
a new one always replaces or follows the old.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradebot.sim.kernel import layout as k
from tradebot.sim.kernel.book import bail, price_of
from tradebot.sim.kernel.grid import CEILING, FLOOR, OUT_OF_RANGE, to_grid
from tradebot.sim.kernel.jit import helper

if TYPE_CHECKING:
    from tradebot.sim.kernel.layout import Ints, Order, Orders, State


@helper
def leaves(w: Order) -> int:
    """Return what is open of an order, 0 when its place is empty."""
    if w.on == 0:
        return 0
    return max(w.qty - w.filled - w.reduced, 0)


@helper
def is_through(m: State, w: Order, price: float) -> bool:
    """Return whether `price` elects a stop."""
    if w.has_level == 0:
        return False
    return price >= w.level - m.snap if w.side > 0 else price <= w.level + m.snap


@helper
def is_marketable(m: State, w: Order, price: float, beyond: float) -> bool:
    """Return whether `price` satisfies a limit, `beyond` it by that much."""
    if w.side > 0:
        return price <= w.level - beyond + m.snap
    return price >= w.level + beyond - m.snap


@helper
def lift(m: State, w: Order, price: float) -> None:
    """Move a trailing stop after a favourable price; it never moves back."""
    is_buy = w.side > 0
    seen = w.reference
    if seen == seen and (price >= seen if is_buy else price <= seen):
        return
    w.reference = price
    distance = m.trailing
    raw = price * (1.0 + distance) if is_buy else price * (1.0 - distance)
    ticks = to_grid(raw, m.price_scale, m.tick, CEILING if is_buy else FLOOR)
    if ticks == OUT_OF_RANGE:
        bail(m, k.TOO_LARGE)
        return
    if w.has_level == 0 or (ticks < w.price if is_buy else ticks > w.price):
        w.has_level = 1
        w.price = ticks
        w.level = price_of(m, ticks)


@helper
def remember_time(m: State, log: Ints) -> None:
    """Count an order that left, with the moment it did."""
    if m.times_room > 0:
        log[m.sent % m.times_room] = m.now_ts
    m.sent += 1


@helper
def _fill_in(m: State, w: Order, side: int, qty: int) -> None:
    m.next_seq += 1
    w.on = 1
    w.seq = m.next_seq
    w.side = side
    w.qty = qty
    w.filled = w.reduced = w.notional = w.fee = 0
    w.tried = w.fresh = w.has_level = 0
    w.alive = k.ASLEEP
    w.takes = 1
    w.number = m.sent
    w.decided = m.target_bar
    w.since = m.now


@helper
def place_market(m: State, w: Order, side: int, qty: int) -> None:
    """Let a market order arrive; while a bar is matched it waits for the next price."""
    _fill_in(m, w, side, qty)
    w.role = k.AS_MARKET
    w.reducing = 1 if w.kind == k.FLATTEN else 0
    if m.phase == k.NOT_MATCHING:
        m.arrived = 1


@helper
def _be_born(m: State, w: Order) -> None:
    if m.phase == k.NOT_MATCHING or m.phase == k.ASLEEP or m.defer == 1:
        return
    w.alive = m.phase
    w.fresh = 1
    w.must_low = m.certain_low
    w.must_high = m.certain_high


@helper
def place_exit(m: State, w: Order, side: int, qty: int, price: int) -> None:
    """Let a protective order arrive, in the place of the one of its kind.

    A trailing stop keeps what the market has shown the one it replaces.
    """
    shown = w.reference if w.on == 1 and w.side == side else float("nan")
    _fill_in(m, w, side, qty)
    w.reducing = 1
    w.price = price
    w.role = k.AS_LIMIT if w.kind == k.LIMIT else k.AS_STOP
    w.reference = float("nan")
    if w.kind != k.TRAIL:
        w.has_level = 1
        w.level = price_of(m, price)
    if w.kind == k.LIMIT:
        w.takes = 1 if is_marketable(m, w, m.q, 0.0) else 0
    if w.kind == k.STOP and m.reject_through == 1 and is_through(m, w, m.q):
        bail(m, k.STOP_REJECTED)
    if w.kind == k.TRAIL and shown == shown:
        lift(m, w, shown)
    _be_born(m, w)
    if w.kind == k.TRAIL:
        lift(m, w, m.q)


@helper
def next_by_arrival(orders: Orders, after: int, upto: int) -> int:
    """Return the kind of the first order with after < seq <= upto, k.NOBODY when there is none."""
    chosen, first = k.NOBODY, upto + 1
    for kind in range(k.KINDS):
        w = orders[kind]
        if w.on == 1 and after < w.seq < first:
            chosen, first = kind, w.seq
    return chosen


@helper
def note_quiet(m: State, orders: Orders) -> None:
    """Note the price range inside which no resting order acts, and what lifts the trailing stop.

    An order at market, or a trailing stop lifted before it is tested, leaves no bar quiet.
    """
    low, high = 0.0, 1e308
    lift_low, lift_high = -1.0, 1e308
    is_busy = 0
    for kind in range(k.KINDS):
        w = orders[kind]
        if w.on == 0:
            continue
        is_busy = 1
        level, is_buy = w.level, w.side > 0
        if w.role == k.AS_MARKET or (kind == k.TRAIL and m.lift_before == 1):
            low, high = 1e308, 0.0
        elif w.role == k.AS_STOP:
            if w.has_level == 1:
                if is_buy:
                    high = min(high, level - m.snap)
                else:
                    low = max(low, level + m.snap)
        elif is_buy:
            low = max(low, level + m.snap)
        else:
            high = min(high, level - m.snap)
        if kind == k.TRAIL and w.role == k.AS_STOP:
            seen = w.reference
            if is_buy:
                lift_low = seen
            else:
                lift_high = seen
    m.busy = is_busy
    m.quiet_low, m.quiet_high = low, high
    m.lift_low, m.lift_high = lift_low, lift_high

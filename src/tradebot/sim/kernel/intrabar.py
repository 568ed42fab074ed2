"""Choose which order acts next between a bar's open and its close, as `sim.intrabar` does.

All exits of a leg stand on one side and in one group, so every stop is a rival of the limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradebot.sim.kernel import layout as k
from tradebot.sim.kernel.jit import helper

if TYPE_CHECKING:
    from tradebot.sim.kernel.layout import Order, Orders, State

_FAR = 1e308


@helper
def _acts(m: State, w: Order) -> bool:
    if w.on == 0 or w.tried == 1 or w.alive == k.ASLEEP:
        return False
    if w.role == k.AS_STOP:
        return m.stop_gap != k.GAP_CLOSE and w.has_level == 1
    return w.role == k.AS_LIMIT and m.limit_rule != k.CLOSE_ONLY


@helper
def level_of(m: State, w: Order) -> float:
    """Return the price at which an order acts inside the bar."""
    if w.role == k.AS_STOP:
        return w.level
    return w.level - m.beyond if w.side > 0 else w.level + m.beyond


@helper
def _is_met(m: State, w: Order) -> bool:
    """Return whether the bar may (stop) or must (limit) bring an order its price."""
    if not _acts(m, w):
        return False
    low, high = m.bar_low, m.bar_high
    if w.role != k.AS_STOP and w.alive != k.OPEN:
        low, high = w.must_low, w.must_high
    return low - m.snap <= level_of(m, w) <= high + m.snap


@helper
def _is_blocked(m: State, limit: Order, stop: Order) -> bool:
    """Return whether the limit must wait for a stop that can act."""
    if stop.role != k.AS_STOP or not _is_met(m, stop):
        return False
    level, to = level_of(m, limit), stop.level
    return not (m.q >= level > to or m.q <= level < to)


@helper
def _goes_before(a: Order, a_away: float, b: Order, b_away: float) -> bool:
    """Return whether a acts before b: the nearer, at equal distance stops, then by arrival."""
    if a_away != b_away:
        return a_away < b_away
    if (a.role == k.AS_STOP) != (b.role == k.AS_STOP):
        return a.role == k.AS_STOP
    return a.seq < b.seq


@helper
def _is_across(m: State, orders: Orders, chosen: int) -> bool:
    """Return whether a sibling on the other side of q could have acted first."""
    away = level_of(m, orders[chosen]) - m.q
    for kind in range(k.STOP, k.KINDS):
        w = orders[kind]
        if kind != chosen and _is_met(m, w) and away * (level_of(m, w) - m.q) < 0.0:
            return True
    return False


@helper
def next_worst(m: State, orders: Orders) -> tuple[int, bool]:
    """Return the kind of the order that acts next in the worst case, and whether it is an assumption."""
    stop_blocks = trail_blocks = False
    if _is_met(m, orders[k.LIMIT]):
        stop_blocks = _is_blocked(m, orders[k.LIMIT], orders[k.STOP])
        trail_blocks = _is_blocked(m, orders[k.LIMIT], orders[k.TRAIL])
    chosen, best = k.NOBODY, _FAR
    for kind in range(k.STOP, k.KINDS):
        w = orders[kind]
        if not _is_met(m, w) or (kind == k.LIMIT and (stop_blocks or trail_blocks)):
            continue
        away = abs(level_of(m, w) - m.q)
        if chosen == k.NOBODY or _goes_before(w, away, orders[chosen], best):
            chosen, best = kind, away
    if chosen == k.NOBODY or chosen == k.LIMIT:
        return chosen, False
    w = orders[chosen]
    if _is_across(m, orders, chosen):
        return chosen, True
    is_certain = w.must_low - m.snap <= w.level <= w.must_high + m.snap
    is_rival = stop_blocks if chosen == k.STOP else trail_blocks
    return chosen, is_rival or (w.alive == k.MID and not is_certain)


@helper
def next_on_leg(m: State, orders: Orders, end: float) -> int:
    """Return the kind of the first order that a straight line from q to `end` meets."""
    low, high, is_up = min(m.q, end), max(m.q, end), end >= m.q
    chosen, best = k.NOBODY, _FAR
    for kind in range(k.STOP, k.KINDS):
        w = orders[kind]
        if not _acts(m, w) or ((w.side > 0) == is_up) != (w.role == k.AS_STOP):
            continue
        level = level_of(m, w)
        if not low - m.snap <= level <= high + m.snap:
            continue
        away = abs(level - m.q)
        if chosen == k.NOBODY or _goes_before(w, away, orders[chosen], best):
            chosen, best = kind, away
    return chosen

"""Take a strategy's word at a bar's close: count bars, size, set the target, work it.

Owns what `core.callers`, `core.legs.count_bar`, `core.sizing` and `core.desk.want` do for one leg,
in the same order of float operations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradebot.sim.kernel import layout as k
from tradebot.sim.kernel.book import bail
from tradebot.sim.kernel.grid import OUT_OF_RANGE, TOWARD_ZERO, ratio, to_grid
from tradebot.sim.kernel.jit import helper
from tradebot.sim.kernel.orders import next_by_arrival
from tradebot.sim.kernel.react import note, suspend, work
from tradebot.sim.kernel.take import open_budget, take

if TYPE_CHECKING:
    from tradebot.sim.kernel.layout import Ints, Orders, State

_SLACK = 1e-9
_NEVER = 2**62
_DAY = 86_400_000_000_000

# Why a target is set
SIGNAL, STANDING, BARS_PASSED = 0, 1, 2


# --- sizing -----------------------------------------------------------------------------------------


@helper
def _full(m: State, equity: float, price: float) -> float:
    """Return the full size in base units, as `core.sizing.Sizer.full`."""
    kind = m.sizing
    if kind == k.FIXED_QTY:
        return m.size_qty
    unit = price * m.multiplier
    if kind == k.FIXED_NOTIONAL:
        return m.size_notional / unit
    if kind == k.FRACTION_OF_EQUITY:
        return (m.fraction * equity) / unit
    distance = m.risk_stop * price
    by_risk = m.risk * equity / (distance * m.multiplier)
    return min(by_risk, m.max_fraction * equity / unit)


@helper
def _wanted(m: State, weight: float) -> int:
    """Return the wanted quantity in units; OUT_OF_RANGE when there is no equity to size with."""
    if not abs(weight) <= 1.0 + _SLACK:
        m.weight_range += 1
        return OUT_OF_RANGE
    if weight == 0.0:
        return 0
    equity = m.cash_f + m.units_f * m.mark
    if equity <= 0.0:
        m.no_equity += 1
        return OUT_OF_RANGE
    wanted = weight * _full(m, equity, m.mark)
    lots = to_grid(wanted, m.qty_scale, m.lot, TOWARD_ZERO)
    if lots == OUT_OF_RANGE:
        bail(m, k.TOO_LARGE)
        return OUT_OF_RANGE
    return lots * m.lot


@helper
def _is_worth_resizing(m: State, wanted: int) -> bool:
    change = abs(wanted - m.wanted)
    if m.resize == k.RESIZE_BAND:
        before = abs(ratio(m.wanted, m.qty_scale))
        return ratio(change, m.qty_scale) > m.band * before
    return change != 0


@helper
def want(m: State, log: Ints, weight: float, because: int) -> bool:
    """Set the target; returns whether the target or its size changed."""
    same = m.has_target == 1 and m.weight == weight
    resizing = same and because == SIGNAL
    if resizing and (m.suspended != 0 or m.resize == k.ON_CHANGE):
        return False
    wanted = _wanted(m, weight)
    if wanted == OUT_OF_RANGE or (resizing and not _is_worth_resizing(m, wanted)):
        return False
    if m.suspended != 0 and because == SIGNAL:
        m.suspended = 0
        note(m, log, k.RELEASED_BY_SIGNAL)
    m.has_target = 1
    m.wanted = wanted
    m.fee_qty = 0
    m.target_bar = m.now
    m.weight = weight
    if wanted == 0 and weight != 0.0:
        m.too_small += 1
    return True


# --- what bars alone bring about --------------------------------------------------------------------


@helper
def leave_in_time(m: State, orders: Orders, log: Ints) -> None:
    """Let a time exit act. The engine counts bars one by one; here they are a difference of rows."""
    is_leaving = m.suspended == k.BY_TIME or m.suspended == k.BY_FLATTEN
    if m.now - m.opened >= m.max_bars and abs(m.pos) >= m.lot and not is_leaving:
        m.is_ending = orders[k.TARGET].on
        suspend(m, orders, log, k.BY_TIME, 1 if m.after_bars == k.AT_ONCE else m.after_bars)
        work(m, orders, log)


@helper
def release_rested(m: State, orders: Orders, log: Ints) -> None:
    """End a suspension whose bars have passed, unless the strategy just said something new."""
    is_timed = m.suspended != 0 and m.suspended_bars >= 0
    if is_timed and m.now - m.suspended_bar >= m.suspended_bars:
        m.suspended = 0
        note(m, log, k.RELEASED_BY_BARS)
        if m.has_target == 1:
            want(m, log, m.weight, BARS_PASSED)
        work(m, orders, log)


@helper
def next_deadline(m: State) -> int:
    """Return the row at whose close a time exit or the end of a suspension is due."""
    row = _NEVER
    is_leaving = m.suspended == k.BY_TIME or m.suspended == k.BY_FLATTEN
    if m.max_bars >= 0 and abs(m.pos) >= m.lot and not is_leaving:
        row = m.opened + m.max_bars
    if m.suspended != 0 and m.suspended_bars >= 0:
        row = min(row, m.suspended_bar + m.suspended_bars)
    return row


# --- the word ---------------------------------------------------------------------------------------


@helper
def _go_live(m: State, orders: Orders, log: Ints, target: float, muted: float) -> None:
    """Judge the first word after the start: act on it, or let a standing signal rest."""
    said = target if target == target else muted
    if said != said:
        return
    m.is_live = 1
    is_standing = muted != muted or muted == said
    if want(m, log, said, SIGNAL if target == target else STANDING):
        if m.next_signal == 1 and is_standing and said != 0.0:
            suspend(m, orders, log, k.BY_START, k.UNLIMITED)
        work(m, orders, log)


@helper
def hear(m: State, orders: Orders, log: Ints, target: float, muted: float) -> None:
    """Take a strategy's word (NaN: none); `muted` is what it last said while warming up."""
    if m.is_live == 0:
        _go_live(m, orders, log, target, muted)
    elif target == target and want(m, log, target, SIGNAL):
        work(m, orders, log)


@helper
def fill_at_close(m: State, orders: Orders, log: Ints) -> None:
    """Let market orders that arrived after the bar meet its close (`same_close`)."""
    open_budget(m)
    done = 0
    while m.arrived == 1 and m.status == k.DONE:
        kind = next_by_arrival(orders, done, m.next_seq)
        if kind == k.NOBODY:
            return
        w = orders[kind]
        done = w.seq
        if w.role == k.AS_MARKET and w.since == m.now and w.tried == 0:
            take(m, orders, log, w, m.mark, False)


# --- breakers ---------------------------------------------------------------------------------------


@helper
def watch(m: State) -> None:
    """Compare the account's equity with its loss limits; a UTC day begins with the last prices before."""
    cash = ratio(m.cash + m.rest_cash, 100_000_000.0)
    day = m.now_ts // _DAY
    if day != m.day:
        m.day = day
        m.day_equity = cash + m.units_f * m.last_mark
        m.peak = max(m.peak, m.day_equity)
    equity = cash + m.units_f * m.mark
    m.peak = max(m.peak, equity)
    if m.max_loss_total >= 0.0 and m.peak > 0.0:
        if 1.0 - equity / m.peak > m.max_loss_total + _SLACK:
            bail(m, k.LOSS_LIMIT)
    if m.max_loss_day >= 0.0 and m.day_equity > 0.0:
        if 1.0 - equity / m.day_equity > m.max_loss_day + _SLACK:
            bail(m, k.LOSS_LIMIT)

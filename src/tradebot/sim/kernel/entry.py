"""Run the loop over all bars: what the compiler starts from.

Importing this module loads the compiler, so only compiling does; `run` calls what was compiled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tradebot.sim.kernel import layout as k
from tradebot.sim.kernel.book import refresh
from tradebot.sim.kernel.decide import (
    fill_at_close,
    hear,
    leave_in_time,
    next_deadline,
    release_rested,
    watch,
)
from tradebot.sim.kernel.jit import helper
from tradebot.sim.kernel.match import match_bar
from tradebot.sim.kernel.orders import next_by_arrival, note_quiet
from tradebot.sim.kernel.react import suspend, work
from tradebot.sim.kernel.take import take

if TYPE_CHECKING:
    from tradebot.sim.kernel.layout import Floats, Ints, Orders, State

# Rows are counted unsigned in these two: an index that might be negative costs a test per row.


@helper
def pass_idle(m: State, first: int, end: int, closes: Floats, targets: Floats, equity: Floats) -> int:
    """Value the rows from `first` on which nothing rests and nothing new is said; return the next."""
    cash, units, weight = m.cash_f, m.units_f, m.weight
    top, floor, worst = m.top, m.floor, m.max_drawdown
    has_curve, row = equity.shape[0] > 0, end
    for i in range(np.uint64(first), np.uint64(end)):
        target = targets[i]
        if target == target and target != weight:
            row = np.int64(i)  # type: ignore[assignment]  # int() would leave it unsigned
            break
        value = cash + units * closes[i]
        if has_curve:
            equity[i] = value
        if value > top:
            top = value
            floor = top * (1.0 - worst)
        elif value < floor:
            floor = value
            worst = max(worst, 1.0 - value / top)
    m.top, m.floor, m.max_drawdown = top, floor, worst
    return row


@helper
def pass_guarded(
    m: State,
    first: int,
    end: int,
    opens: Floats,
    highs: Floats,
    lows: Floats,
    closes: Floats,
    targets: Floats,
    equity: Floats,
) -> int:
    """As `pass_idle` while orders rest: rows whose prices stay inside what they wait for."""
    cash, units, weight = m.cash_f, m.units_f, m.weight
    quiet_low, quiet_high = max(m.quiet_low, m.lift_low), min(m.quiet_high, m.lift_high)
    top, floor, worst = m.top, m.floor, m.max_drawdown
    has_curve, row = equity.shape[0] > 0, end
    for i in range(np.uint64(first), np.uint64(end)):
        target, close = targets[i], closes[i]
        low, high = min(lows[i], opens[i], close), max(highs[i], opens[i], close)
        if (target == target and target != weight) or not (quiet_low < low and high < quiet_high):
            row = np.int64(i)  # type: ignore[assignment]  # int() would leave it unsigned
            break
        value = cash + units * close
        if has_curve:
            equity[i] = value
        if value > top:
            top = value
            floor = top * (1.0 - worst)
        elif value < floor:
            floor = value
            worst = max(worst, 1.0 - value / top)
    m.top, m.floor, m.max_drawdown = top, floor, worst
    return row


@helper
def open_session(m: State, orders: Orders, log: Ints, i: int, ts: int) -> None:
    """Work what waited for the session that opens before bar `i`."""
    m.now, m.now_ts, m.is_closed, m.q = i, ts, 0, m.mark
    work(m, orders, log)
    m.arrived = 0
    note_quiet(m, orders)


@helper
def decide(m: State, orders: Orders, log: Ints, target: float, muted: float) -> None:
    """Hear the strategy at the close that stands in the state."""
    if m.has_breakers == 1:
        watch(m)
    if m.status == k.DONE:
        if m.max_bars >= 0:
            leave_in_time(m, orders, log)
        hear(m, orders, log, target, muted)
        release_rested(m, orders, log)
        if m.is_ending == 1:
            m.is_ending = 0
            work(m, orders, log)
        if m.market_at == k.SAME_CLOSE:
            fill_at_close(m, orders, log)
    m.arrived = 0


@helper
def force_flat(m: State, orders: Orders, log: Ints) -> None:
    """Close what is held at the last close or open: whole, without slippage or volume cap."""
    m.is_closed = 0  # the last bar may have ended a session, and nothing would leave any more
    suspend(m, orders, log, k.BY_FLATTEN, k.UNLIMITED)
    work(m, orders, log)
    if m.market_at == k.SAME_CLOSE:
        fill_at_close(m, orders, log)
    price = m.bar_open if m.end == k.FORCE_OPEN else m.bar_close
    m.slip_kind, m.is_capped = k.NO_SLIP, 0
    done, last = 0, m.next_seq
    while m.status == k.DONE:
        chosen = next_by_arrival(orders, done, last)
        if chosen == k.NOBODY:
            return
        done = orders[chosen].seq
        if orders[chosen].role == k.AS_MARKET and orders[chosen].reducing == 1:
            take(m, orders, log, orders[chosen], price, False)


@helper
def value_row(m: State, equity: Floats, i: int) -> None:
    """Value one row after its decision."""
    value = m.cash_f + m.units_f * m.mark
    if equity.shape[0] > 0:
        equity[i] = value
    m.top = max(m.top, value)
    if m.top > 0.0:
        m.max_drawdown = max(m.max_drawdown, 1.0 - value / m.top)
    m.floor = m.top * (1.0 - m.max_drawdown)


@helper
def show(
    m: State, i: int, ts: Ints, opens: Floats, highs: Floats, lows: Floats, closes: Floats, volumes: Floats
) -> None:
    """Put a bar into the state; an open or close outside its range widens it.

    What nobody will ask for stays where it is: a row that was not read for long costs more to
    fetch than all that is done with it.
    """
    m.now, m.bar_close = i, closes[i]
    if m.needs_time == 1:
        m.now_ts = ts[i]
    if m.busy == 1 or m.needs_range == 1:
        m.bar_open = opens[i]
        m.bar_high = max(highs[i], m.bar_open, m.bar_close)
        m.bar_low = min(lows[i], m.bar_open, m.bar_close)
        m.bar_volume = volumes[i]


def replay(
    state: Orders,
    orders: Orders,
    log: Ints,
    ts: Ints,
    opens: Floats,
    highs: Floats,
    lows: Floats,
    closes: Floats,
    volumes: Floats,
    targets: Floats,
    sessions: Ints,
    muted: float,
    equity: Floats,
) -> None:
    """Run over all bars; see `layout.REPLAY` for the arguments. The log and the state tell what happened."""
    m: State = state[0]  # type: ignore[assignment]
    refresh(m)
    n, has_sessions = ts.shape[0], sessions.shape[0] > 0
    is_calm = m.has_breakers == 0 and m.resize == k.ON_CHANGE and not has_sessions
    i = 0
    while i < n and m.status == k.DONE:
        if is_calm and m.is_live == 1:
            # On most bars no order acts and the word is the old one.
            end = max(min(n, next_deadline(m)), i)
            if m.busy == 0:
                i = pass_idle(m, i, end, closes, targets, equity)
            else:
                i = pass_guarded(m, i, end, opens, highs, lows, closes, targets, equity)
            if i == n:
                break
        m.mark = m.last_mark = closes[max(i - 1, 0)]
        if has_sessions:
            m.is_closed = sessions[i - 1] & k.CLOSED if i > 0 else 0
            if sessions[i] & k.OPENED:
                open_session(m, orders, log, i, ts[i])
        show(m, i, ts, opens, highs, lows, closes, volumes)
        if m.busy == 1 and not (has_sessions and sessions[i] & k.OUTSIDE):
            match_bar(m, orders, log)
        m.mark = m.q = closes[i]
        m.is_closed = sessions[i] & k.CLOSED if has_sessions else 0
        if m.status == k.DONE:
            decide(m, orders, log, targets[i], muted)
        note_quiet(m, orders)
        value_row(m, equity, i)
        i += 1
    if m.status == k.DONE and m.end != k.LEAVE and n > 0:
        last = n - 1
        m.needs_range = 1
        show(m, last, ts, opens, highs, lows, closes, volumes)
        m.mark = m.q = closes[last]
        force_flat(m, orders, log)
        value_row(m, equity, last)

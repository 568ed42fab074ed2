"""Let the leg's orders meet one bar, event by event: `sim.bars` for one leg.

The rules are written down there; names follow it so that the two can be read side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradebot.sim.kernel import layout as k
from tradebot.sim.kernel.intrabar import level_of, next_on_leg, next_worst
from tradebot.sim.kernel.jit import helper
from tradebot.sim.kernel.orders import is_marketable, is_through, lift, next_by_arrival
from tradebot.sim.kernel.take import open_budget, take, take_ticks

if TYPE_CHECKING:
    from tradebot.sim.kernel.layout import Ints, Order, Orders, State

_AT_MARKET, _AT_STOP, _AT_LIMIT, _NO_RANK = 0, 1, 2, 9


@helper
def _begin(m: State, orders: Orders) -> None:
    """Wake every order."""
    for kind in range(k.KINDS):
        w = orders[kind]
        w.tried = 0
        w.alive = k.OPEN
        w.fresh = 1
    m.phase = k.OPEN
    m.certain_low, m.certain_high = m.bar_low, m.bar_high
    open_budget(m)


# --- one price --------------------------------------------------------------------------------------


@helper
def _rank_at(m: State, w: Order, price: float) -> int:
    if w.on == 0 or w.fresh == 0:
        return _NO_RANK
    if w.role == k.AS_MARKET:
        return _NO_RANK if m.market_at == k.NEXT_CLOSE else _AT_MARKET
    if w.role == k.AS_STOP:
        return _AT_STOP if m.stop_gap != k.GAP_CLOSE and is_through(m, w, price) else _NO_RANK
    acts = m.limit_rule != k.CLOSE_ONLY and is_marketable(m, w, price, m.beyond)
    return _AT_LIMIT if acts else _NO_RANK


@helper
def _gets_its_price(m: State, w: Order) -> bool:
    """Return whether a stop that the open is through fills at its own price, not at the open."""
    if m.stop_gap == k.FREQTRADE_RULE:
        is_buy = w.side > 0
        return not (m.bar_low > w.level + m.snap if is_buy else m.bar_high < w.level - m.snap)
    return m.stop_gap == k.AT_STOP


@helper
def _take_limit(m: State, orders: Orders, log: Ints, w: Order, price: float) -> None:
    is_maker = w.takes == 0
    if m.improve == k.OPEN_IF_BETTER:
        take(m, orders, log, w, price, is_maker)
    else:
        take_ticks(m, orders, log, w, w.price, is_maker, False)


@helper
def _first_at(m: State, orders: Orders, price: float) -> tuple[int, int]:
    chosen, best = k.NOBODY, _NO_RANK
    for kind in range(k.KINDS):
        rank = _rank_at(m, orders[kind], price)
        is_earlier = chosen != k.NOBODY and rank == best and orders[kind].seq < orders[chosen].seq
        if rank < best or is_earlier:
            chosen, best = kind, rank
    return chosen, best


@helper
def _at_point(m: State, orders: Orders, log: Ints, price: float, is_open: bool) -> None:
    """Let fresh orders meet one certain price until nothing more happens there."""
    m.q = price
    while m.status == k.DONE:
        chosen, rank = _first_at(m, orders, price)
        if chosen == k.NOBODY:
            break
        w = orders[chosen]
        w.fresh = 0
        if rank == _AT_LIMIT:
            _take_limit(m, orders, log, w, price)
        else:
            w.role = k.AS_MARKET
            if is_open and rank == _AT_STOP and _gets_its_price(m, w):
                take_ticks(m, orders, log, w, w.price, False, False)
            else:
                take(m, orders, log, w, price, False)
    for kind in range(k.KINDS):
        orders[kind].fresh = 0


# --- between open and close -------------------------------------------------------------------------


@helper
def _note_certain(m: State, w: Order, p: float) -> None:
    """Note the range that the bar certainly visits after an event at `p`."""
    m.certain_low, m.certain_high = min(p, m.bar_close), max(p, m.bar_close)
    if w.alive == k.OPEN and p > m.bar_open:
        m.certain_high = m.bar_high
    elif w.alive == k.OPEN and p < m.bar_open:
        m.certain_low = m.bar_low


@helper
def _act_inside(m: State, orders: Orders, log: Ints, w: Order, is_assumed: bool) -> None:
    m.q = level = level_of(m, w)
    is_maker = w.role == k.AS_LIMIT
    if not is_maker:
        w.role = k.AS_MARKET
    take_ticks(m, orders, log, w, w.price, is_maker, is_assumed)
    _at_point(m, orders, log, level, False)


@helper
def _inside_worst(m: State, orders: Orders, log: Ints) -> None:
    while m.status == k.DONE:
        chosen, is_assumed = next_worst(m, orders)
        if chosen == k.NOBODY:
            return
        w = orders[chosen]
        _note_certain(m, w, level_of(m, w))
        _act_inside(m, orders, log, w, is_assumed)


@helper
def _path_point(m: State, step: int) -> float:
    """Return the `step`-th point of the assumed path after the open (0, 1: extremes, 2: close)."""
    if step == 2:
        return m.bar_close
    if m.path == k.OHLC:
        high_first = True
    elif m.path == k.ADAPTIVE:
        high_first = m.bar_high - m.bar_open < m.bar_open - m.bar_low
    else:
        high_first = m.bar_close < m.bar_open
    return m.bar_high if high_first == (step == 0) else m.bar_low


@helper
def _inside_path(m: State, orders: Orders, log: Ints) -> None:
    for step in range(3):
        end = _path_point(m, step)
        while m.status == k.DONE:
            chosen = next_on_leg(m, orders, end)
            if chosen == k.NOBODY:
                break
            _act_inside(m, orders, log, orders[chosen], False)
        m.q = end
        if m.lift_before == 1:
            _lift_awake(m, orders[k.TRAIL], end)


# --- close and after --------------------------------------------------------------------------------


@helper
def _acts_at_close(m: State, w: Order) -> bool:
    if w.role == k.AS_MARKET:
        if m.market_at == k.SAME_CLOSE:
            return w.alive == k.ASLEEP and w.since == m.now
        return m.market_at == k.NEXT_CLOSE and w.alive != k.ASLEEP
    if w.alive == k.ASLEEP:
        return False
    if w.role == k.AS_STOP:
        return m.stop_gap == k.GAP_CLOSE and is_through(m, w, m.bar_close)
    return m.limit_rule == k.CLOSE_ONLY and is_marketable(m, w, m.bar_close, 0.0)


@helper
def _at_close(m: State, orders: Orders, log: Ints) -> None:
    m.q = m.bar_close
    last, done = m.next_seq, 0  # what is born at the close waits for the next bar
    while m.status == k.DONE:
        chosen = next_by_arrival(orders, done, last)
        if chosen == k.NOBODY:
            return
        w = orders[chosen]
        done = w.seq
        if w.tried == 1 or not _acts_at_close(m, w):
            continue
        if w.role == k.AS_LIMIT:
            _take_limit(m, orders, log, w, m.bar_close)
        else:
            w.role = k.AS_MARKET
            take(m, orders, log, w, m.bar_close, False)


@helper
def _lift_awake(m: State, trail: Order, price: float) -> None:
    """Lift under `before_test`: by the whole bar in the worst case, by `price` on a known path."""
    if trail.on == 0 or trail.role != k.AS_STOP or trail.alive == k.ASLEEP:
        return
    if m.lift_close == 1:
        lift(m, trail, m.bar_close)
    elif m.path != k.WORST_CASE:
        lift(m, trail, price)
    elif trail.alive == k.OPEN:
        lift(m, trail, m.bar_low if trail.side > 0 else m.bar_high)


@helper
def _lift_afterwards(m: State, orders: Orders) -> None:
    """Lift the trailing stop by what the bar showed since its birth; nobody takes any more."""
    for kind in range(k.KINDS):
        w = orders[kind]
        if w.on == 0 or w.alive == k.ASLEEP:
            continue
        w.takes = 0
        if kind != k.TRAIL or w.role != k.AS_STOP:
            continue
        is_buy, is_whole = w.side > 0, w.alive == k.OPEN
        low, high = (m.bar_low, m.bar_high) if is_whole else (w.must_low, w.must_high)
        shown = low if is_buy else high
        lift(m, w, m.bar_close if m.lift_close == 1 else shown)


@helper
def match_bar(m: State, orders: Orders, log: Ints) -> None:
    """Match the bar in the state; one inside the quiet range only moves the trailing stop."""
    if m.bar_low > m.quiet_low and m.bar_high < m.quiet_high:
        for kind in range(k.KINDS):
            orders[kind].alive = k.OPEN
        _lift_afterwards(m, orders)
        return
    _begin(m, orders)
    _at_point(m, orders, log, m.bar_open, True)
    if m.lift_before == 1:
        _lift_awake(m, orders[k.TRAIL], m.bar_open)
    m.phase = k.MID
    if m.path == k.WORST_CASE:
        _inside_worst(m, orders, log)
    else:
        _inside_path(m, orders, log)
    m.phase = k.ASLEEP
    _at_close(m, orders, log)
    _lift_afterwards(m, orders)
    m.phase = k.NOT_MATCHING

"""Ask whether an order may leave; what the engine would deny or cut, the engine must run.

Owns the pre-trade rules of `core.risk` and the arrival checks of `sim.checks` that one leg can
meet, as one question with the answers yes and "bail". Protective and reducing orders are asked
only about minimums, as there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradebot.sim.kernel import layout as k
from tradebot.sim.kernel.book import bail, price_of
from tradebot.sim.kernel.grid import ratio
from tradebot.sim.kernel.jit import helper

if TYPE_CHECKING:
    from tradebot.sim.kernel.layout import Ints, State

_MINUTE = 60_000_000_000
_DAY = 86_400_000_000_000
_NEAR = 1.0 + 1e-9  # the venue compares a minimum exactly, the gate in float: close calls go to the engine


@helper
def _above_minimum(m: State, qty: int, price: float) -> None:
    if qty < m.min_qty:
        bail(m, k.BELOW_MINIMUM)
    if m.min_notional > 0.0:
        unit = min(price, m.q)
        if ratio(qty, m.qty_scale) * unit * m.multiplier < m.min_notional * _NEAR:
            bail(m, k.BELOW_MINIMUM)


@helper
def _within_limits(m: State, side: int, qty: int) -> None:
    unit = m.mark * m.multiplier
    if m.max_order >= 0.0 and ratio(qty, m.qty_scale) * unit > m.max_order:
        bail(m, k.OVER_LIMIT)
    if m.max_position >= 0.0:
        after = abs(m.pos + side * qty)
        if ratio(after, m.qty_scale) * unit > m.max_position:
            bail(m, k.OVER_LIMIT)
    if m.max_gross >= 0.0:
        value = ratio(qty, m.qty_scale) * m.mark * m.multiplier
        if abs(m.units_f * m.mark) + value > m.max_gross:
            bail(m, k.OVER_LIMIT)


@helper
def _within_rate(m: State, log: Ints, limit: int, span: int) -> None:
    sent = m.sent
    if limit < 0 or sent < limit:
        return
    if limit == 0 or log[(sent - limit) % m.times_room] > m.now_ts - span:
        bail(m, k.TOO_MANY_ORDERS)


@helper
def _covered(m: State, side: int, qty: int) -> None:
    if side < 0:
        may_short = m.is_cash_account == 0 and m.is_shortable == 1
        if not may_short and m.pos - qty < 0:
            bail(m, k.DENIED_SHORT)
    elif m.is_cash_account == 1:
        cost = ratio(qty, m.qty_scale) * m.mark * m.multiplier
        free = ratio(m.cash + m.rest_cash, 100_000_000.0)
        if not cost <= free * (1.0 + 1e-12):
            bail(m, k.NO_BUYING_POWER)


@helper
def ask_target(m: State, log: Ints, side: int, qty: int) -> None:
    """Judge the market order that works towards a target."""
    _above_minimum(m, qty, m.mark)
    held = m.pos
    if held != 0 and (held > 0) == (side < 0) and qty <= abs(held):
        return
    _covered(m, side, qty)
    _within_rate(m, log, m.orders_per_minute, _MINUTE)
    _within_rate(m, log, m.orders_per_day, _DAY)
    _within_limits(m, side, qty)


@helper
def ask_reducing(m: State, kind: int, qty: int, price: int) -> None:
    """Judge a protective or flattening order; `price` in ticks, of a limit or stop."""
    if kind in (k.STOP, k.LIMIT) and price <= 0:
        bail(m, k.BAD_EXIT_PRICE)
        return
    unit = price_of(m, price) if kind == k.LIMIT else m.mark
    _above_minimum(m, qty, unit)

"""Trade one order at one price: liquidity left, slippage, the grid, immediate-or-cancel.

Shared by bar and quote matching. Owns the share of a bar's volume that our orders may take.
"""

from __future__ import annotations

from decimal import Decimal

from tradebot.core.model import Bar, Liquidity, Side, Tif
from tradebot.core.quantize import price_for, price_nearest, price_worse_for, qty_down, qty_for
from tradebot.sim.blotter import Blotter, Budget
from tradebot.sim.slippage import NoSlippage, Taking
from tradebot.sim.working import ZERO, Working


def budget_of(blotter: Blotter, bar: Bar) -> Budget:
    """Return what is left of `bar` for our orders: floor(cap x volume) to the lot, less what they took."""
    known = blotter.budgets.get(bar.instrument)
    if known is not None and known[0] == bar.ts:
        return known[1]
    cap, volume = blotter.settings.volume_cap, bar.volume
    left = None if cap is None else qty_for(float(cap) * volume, blotter.instruments[bar.instrument].lot_size)
    budget = Budget(left, volume)
    blotter.budgets[bar.instrument] = (bar.ts, budget)
    return budget


def take(
    blotter: Blotter,
    w: Working,
    budget: Budget,
    ts: int,
    price: float | Decimal,
    liquidity: Liquidity,
    *,
    assumed: bool = False,
    span: tuple[float, float] | None = None,
    slip: bool = True,
) -> None:
    """Fill as much of `w` at `price` as position, budget and account allow.

    A float price is the data's and goes to the nearest grid point, inside `span` (the bar's low and
    high) where one lies there; a Decimal is the order's own. Takers slip and round against
    themselves, beyond the bar unless the settings forbid it; a limit is never exceeded. FOK ends
    here unless all of it trades.
    """
    w.tried = True
    qty = blotter.tradable(w, ts)
    if not qty:
        return
    if budget.left is not None and budget.left < qty:
        if w.order.tif is Tif.FOK:
            blotter.cancel(w, ts, f"fok: {qty} wanted, {budget.left} available")
            return
        qty = qty_down(budget.left, w.instrument.lot_size)
    if qty <= ZERO:
        return
    exact = price if isinstance(price, Decimal) else _on_grid(price, w.instrument.tick_size, span)
    before = exact
    if slip and liquidity is Liquidity.TAKER and not isinstance(blotter.slippage, NoSlippage):
        exact = _slipped(blotter, w, budget, qty, exact, span)
    if blotter.fill(w, qty, exact, ts, liquidity, assumed=assumed, before=before):
        budget.spend(qty)


def _slipped(
    blotter: Blotter,
    w: Working,
    budget: Budget,
    qty: Decimal,
    price: Decimal,
    span: tuple[float, float] | None,
) -> Decimal:
    side, tick = w.order.side, w.instrument.tick_size
    taking = Taking(side, float(price), float(qty), float(budget.used), budget.volume, float(tick))
    slipped = blotter.slippage.price(taking)
    exact = price_worse_for(side, slipped, tick)
    if span is not None and blotter.settings.clip_slippage:
        exact = _inside(exact, span, tick)
    limit = w.order.limit_price
    if limit is not None:
        exact = min(exact, limit) if w.is_buy else max(exact, limit)
    return exact


def _on_grid(price: float, tick: Decimal, span: tuple[float, float] | None) -> Decimal:
    exact = price_nearest(price, tick)
    return exact if span is None or float(exact) == price else _inside(exact, span, tick)


def _inside(exact: Decimal, span: tuple[float, float], tick: Decimal) -> Decimal:
    """Return the grid point nearest to `exact` among those from low to high; without any, `exact`."""
    low, high = price_for(Side.SELL, span[0], tick), price_for(Side.BUY, span[1], tick)
    return min(max(exact, low), high) if low <= high else exact

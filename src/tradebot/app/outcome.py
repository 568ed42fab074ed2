"""Turn what a strategy did into the curves and amounts that reports read.

A strategy's equity is rebuilt from its cash and quantity steps and the prices, in one vectorised pass,
so that the run itself pays nothing for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from tradebot.app.market import Loaded
from tradebot.core.happenings import Dividend, Split
from tradebot.core.model import Fill, Instrument, OrderKind
from tradebot.core.quantize import LEDGER_CONTEXT
from tradebot.data.arrays import BarArrays
from tradebot.report.result import FloatArray, TsArray

if TYPE_CHECKING:
    from tradebot.app.collector import Collector
    from tradebot.sim.timeline import Event

END_OF_DATA = "end of data"
EXIT_NAMES = {
    OrderKind.STOP: "stop_loss",
    OrderKind.LIMIT: "take_profit",
    OrderKind.TRAILING_STOP: "trailing_stop",
}


def base_qty_of_fee(fill: Fill, instrument: Instrument) -> Decimal:
    """Return the units of the base asset that the venue kept as its fee."""
    in_base = fill.fee_asset == instrument.base and fill.fee_asset != instrument.quote
    return fill.fee if in_base else Decimal(0)


def fee_in_quote(fill: Fill, instrument: Instrument) -> Decimal:
    """Return a fee's value in the quote asset: one kept in base counts at the fill's price."""
    kept = base_qty_of_fee(fill, instrument)
    return LEDGER_CONTEXT.multiply(kept, fill.price) if kept else fill.fee


def slippage_of(fill: Fill, instrument: Instrument) -> Decimal:
    """Return what the fill model took beside the data's price, in the quote asset."""
    if fill.data_price is None or fill.data_price == fill.price:
        return Decimal(0)
    worse = (fill.price - fill.data_price) * fill.side.sign
    return LEDGER_CONTEXT.multiply(LEDGER_CONTEXT.multiply(worse, fill.qty), instrument.multiplier)


# --- curves ---------------------------------------------------------------------------------------


def prices_of(series: Loaded) -> tuple[TsArray, FloatArray]:
    """Return stamps and closes (or mids) of the traded part of a series."""
    columns, rows = series.columns, series.traded
    if isinstance(columns, BarArrays):
        return columns.ts[rows], columns.close[rows]
    return columns.ts[rows], (columns.bid[rows] + columns.ask[rows]) * 0.5


def axis_of(series: Sequence[Loaded]) -> TsArray:
    """Return the moments at which a curve over these series has a point: all their stamps, once each."""
    stamps: TsArray = np.sort(np.concatenate([s.columns.ts[s.traded] for s in series]), kind="stable")
    # numpy.unique hashes: a sixth of a second for a year of minutes that are in order as they are.
    is_new = np.ones(len(stamps), bool)
    np.not_equal(stamps[1:], stamps[:-1], out=is_new[1:])
    return stamps if is_new.all() else stamps[is_new]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curves:
    """A strategy's value along an axis, in the base currency; exposures as fractions of equity."""

    equity: FloatArray
    gross: FloatArray
    net: FloatArray


def curves_of(
    collector: Collector,
    strategy: str,
    axis: TsArray,
    series: Sequence[Loaded],
    instruments: Mapping[str, Instrument],
    base: str,
) -> Curves:
    """Rebuild equity and exposure of a strategy along `axis`, in the currency `base`."""

    def rate(asset: str) -> FloatArray | float:
        return 1.0 if asset == base else collector.rates[asset].along(axis)

    equity, gross, net = np.zeros(len(axis)), np.zeros(len(axis)), np.zeros(len(axis))
    for (owner, asset), steps in [*collector.cash.items(), *collector.owed.items()]:
        if owner == strategy:
            equity += steps.along(axis) * rate(asset)
    for one in series:
        held = collector.qty.get((strategy, one.instrument))
        if held is None:
            continue
        instrument = instruments[one.instrument]
        worth = (
            held.along(axis) * prices_along(one, axis) * float(instrument.multiplier) * rate(instrument.quote)
        )
        equity += worth
        net += worth
        gross += np.abs(worth)
    with np.errstate(divide="ignore", invalid="ignore"):
        safe = np.where(equity > 0.0, equity, np.nan)
        return Curves(equity=equity, gross=np.nan_to_num(gross / safe), net=np.nan_to_num(net / safe))


def prices_along(series: Loaded, axis: TsArray) -> FloatArray:
    """Return the price standing at each moment of `axis`; the first one before there is any."""
    stamps, closes = prices_of(series)
    if stamps is axis or np.array_equal(stamps, axis):
        return closes  # the axis of a single series is its own stamps
    place = np.searchsorted(stamps, axis, side="right") - 1
    found: FloatArray = closes[np.maximum(place, 0)]
    return found


def hold_curve(
    capital: float,
    axis: TsArray,
    series: Sequence[Loaded],
    events: Sequence[Event],
    rates: Mapping[str, FloatArray | float],
) -> FloatArray:
    """Return buy and hold: the capital in equal parts at first prices, left alone along `axis`.

    `rates` holds, by instrument, what its quote asset is worth along `axis`. Splits multiply what is
    held; dividends are kept as cash in their currency from the ex-date on. Ignores fees, slippage and
    lot sizes, so it is a little better than anyone could do.
    """
    total = np.zeros(len(axis))
    for one in series:
        price, rate = prices_along(one, axis), np.broadcast_to(rates[one.instrument], axis.shape)
        units = np.full(len(axis), capital / len(series) / (price[0] * rate[0]))
        cash = np.zeros(len(axis))
        for event in events:
            if not isinstance(event, Split | Dividend) or event.instrument != one.instrument:
                continue
            later = axis >= event.ts
            if later.all() or not later.any():
                continue
            if isinstance(event, Split):
                units[later] *= float(event.ratio)
            else:
                cash[later] += units[~later][-1] * float(event.amount)
        total += (units * price + cash) * rate
    return total

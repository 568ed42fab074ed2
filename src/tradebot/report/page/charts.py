"""Pick the numbers that the page draws: curves, candles and fills, few enough to read.

Only numbers and labels; how they look is the script's and the stylesheet's business. Times are
milliseconds of wall clock in the run's zone, because the chart library knows no zones. Text meant
for hover boxes is escaped: the chart library reads some tags in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from html import escape

import numpy as np

from tradebot.core.model import DAY, Side
from tradebot.report import words
from tradebot.report.jsonout import Json
from tradebot.report.ratios import underwater_curve
from tradebot.report.result import Candles, FillRecord, FloatArray, RunResult, TsArray
from tradebot.report.series import thin

CURVE_POINTS = 900
ALL_CANDLES = 12_000  # over all instruments, which bounds the size of the page
MAX_CHARTS = 24


def chart_data(result: RunResult) -> dict[str, Json]:
    """Return everything the page's script draws, ready for JSON."""
    shown, left = charted(result)
    return {
        "currency": result.base_currency,
        "benchmark": result.benchmark_name,
        "zone": result.time_zone,
        "equity": equity_data(result),
        "prices": [price_data(result, candles, len(shown)) for candles in shown],
        "notCharted": list(left),
    }


def charted(result: RunResult) -> tuple[tuple[Candles, ...], tuple[str, ...]]:
    """Return the candles that get a chart, most traded first, and the names of the rest."""
    count: dict[str, int] = {}
    for fill in result.fills:
        count[fill.instrument] = count.get(fill.instrument, 0) + 1
    ranked = sorted(result.candles, key=lambda c: -count.get(c.instrument, 0))
    return tuple(ranked[:MAX_CHARTS]), tuple(c.instrument for c in ranked[MAX_CHARTS:])


def equity_data(result: RunResult) -> dict[str, Json]:
    """Return equity, drawdown, benchmark and exposure at the same, thinned moments."""
    fall = underwater_curve(result.equity)
    picks = [thin(result.equity, CURVE_POINTS), thin(fall, CURVE_POINTS)]
    extra = (result.benchmark_equity, result.exposure, result.net_exposure)
    picks += [thin(curve, CURVE_POINTS // 2) for curve in extra if curve is not None]
    at = np.unique(np.concatenate(picks))
    benchmark = result.benchmark_equity
    gross, net = result.exposure, result.net_exposure
    return {
        "t": wall_clock(result.equity_ts[at], result.interval, result.time_zone),
        "equity": short(result.equity[at]),
        "drawdown": short(fall[at] * 100),
        "benchmark": None if benchmark is None else short(benchmark[at]),
        "benchmarkDrawdown": None if benchmark is None else short(underwater_curve(benchmark)[at] * 100),
        "exposure": None if gross is None else short(gross[at] * 100),
        "netExposure": None if net is None else short(net[at] * 100),
    }


def price_data(result: RunResult, candles: Candles, charts: int = 1) -> dict[str, Json]:
    """Return one instrument's candles and its fills, one marker per candle and side."""
    most = max(ALL_CANDLES // max(charts, 1), 50)
    join = -(-len(candles.ts) // min(most, 1500))
    candles = candles if join <= 1 else _joined(candles, join)
    fills = [f for f in result.fills if f.instrument == candles.instrument]
    return {
        "name": candles.instrument,
        "label": escape(candles.instrument),
        "span": words.span(candles.interval),
        "t": wall_clock(candles.ts, candles.interval, result.time_zone),
        "daily": candles.interval >= DAY,
        "open": short(candles.open),
        "high": short(candles.high),
        "low": short(candles.low),
        "close": short(candles.close),
        "fills": len(fills),
        "buys": _markers(fills, Side.BUY, candles),
        "sells": _markers(fills, Side.SELL, candles),
    }


def wall_clock(ts: TsArray, interval: int, time_zone: str) -> Json:
    """Return `ts` as milliseconds of the zone's wall clock; daily and longer bars as their date."""
    whole_days = interval >= DAY
    found: list[Json] = []
    for stamp in ts.tolist():
        local = words.when(stamp - 1 if whole_days else stamp, time_zone)
        offset = local.utcoffset()
        shift = 0 if offset is None else int(offset.total_seconds() * 1000)
        ms = (stamp - 1 if whole_days else stamp) // 1_000_000 + shift
        found.append(ms // 86_400_000 * 86_400_000 if whole_days else ms)
    return found


def short(values: FloatArray) -> Json:
    """Return floats with seven significant digits: what a screen can show, at half the size."""
    return [float(f"{v:.7g}") for v in values.tolist()]


def _joined(candles: Candles, join: int) -> Candles:
    starts = np.arange(0, len(candles.ts), join)
    stops = np.minimum(starts + join, len(candles.ts)) - 1
    return Candles(
        instrument=candles.instrument,
        interval=candles.interval * join,
        ts=candles.ts[stops],
        open=candles.open[starts],
        high=np.maximum.reduceat(candles.high, starts),
        low=np.minimum.reduceat(candles.low, starts),
        close=candles.close[stops],
    )


@dataclass(slots=True)
class _Marker:
    # Fills of one side inside one candle.
    count: int = 0
    qty: Decimal = Decimal(0)
    value: Decimal = Decimal(0)
    assumed: int = 0
    reasons: dict[str, None] = field(default_factory=dict)

    def add(self, fill: FillRecord) -> None:
        self.count += 1
        self.qty += fill.qty
        self.value += fill.qty * fill.price
        self.assumed += fill.assumed
        self.reasons[fill.reason or fill.purpose.value] = None

    def words(self, side: Side) -> str:
        price = words.plain((self.value / self.qty).quantize(Decimal("1e-8")))
        fills = "" if self.count == 1 else f" in {self.count} fills"
        why = escape(", ".join(list(self.reasons)[:3]))
        worst = f"<br>worst case assumed: {self.assumed}" if self.assumed else ""
        return f"{side.value} {words.plain(self.qty)} at {price}{fills}<br>{why}{worst}"


def _markers(fills: Sequence[FillRecord], side: Side, candles: Candles) -> dict[str, Json]:
    ours = [f for f in fills if f.side is side]
    stamps = np.array([f.ts for f in ours], dtype=np.int64)
    places = np.minimum(np.searchsorted(candles.ts, stamps), len(candles.ts) - 1)
    markers: dict[int, _Marker] = {}
    for place, fill in zip(places.tolist(), ours, strict=True):
        markers.setdefault(place, _Marker()).add(fill)
    return {
        "x": list(markers),
        "y": [float(f"{m.value / m.qty:.7g}") for m in markers.values()],
        "size": [round(8 + 2 * float(np.log2(m.count)), 1) for m in markers.values()],
        "assumed": [m.assumed > 0 for m in markers.values()],
        "text": [m.words(side) for m in markers.values()],
    }

"""Cut curves to a coarser grid: days for statistics, months for the table, pixels for the chart.

Pure numpy. All times are ns UTC; an array of times is strictly increasing and a value belongs to
the moment it was known, so a bar that closes at midnight belongs to the day that ends there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tradebot.core.annual import ALL_DAYS, periods_per_year
from tradebot.core.model import DAY, Instrument
from tradebot.errors import InvariantError
from tradebot.report.result import Candles, FloatArray, TsArray

IndexArray = npt.NDArray[np.intp]


def statistics_periods(interval: int, instruments: tuple[Instrument, ...]) -> float:
    """Return the periods a year of the returns that statistics are made of.

    These are daily for bars up to a day and for quotes, per bar above. With several calendars the
    busiest counts, because the account's equity has a point on each of its days.
    """
    step = max(interval, DAY)
    return max((periods_per_year(step, i.calendar) for i in instruments), default=ALL_DAYS)


def period_ends(ts: TsArray, interval: int) -> IndexArray:
    """Return the index of the last point of each UTC day that has one; all indices if bars are longer.

    A session that runs past midnight UTC is split over two days.
    """
    if interval > DAY:
        return np.arange(len(ts))
    first, last = (int(ts[0]) - 1) // DAY, (int(ts[-1]) - 1) // DAY
    midnights = (np.arange(first, last + 1, dtype=np.int64) + 1) * DAY
    ends = np.searchsorted(ts, midnights, side="right") - 1
    keep = np.ones(len(ends), dtype=bool)
    keep[1:] = ends[1:] != ends[:-1]
    return ends[keep]


def sampled_equity(ts: TsArray, equity: FloatArray, interval: int) -> FloatArray:
    """Return the starting equity followed by the last equity of each UTC day (or of each longer bar).

    Intraday equity is sampled before any ratio is computed: minute returns are mostly zeros and
    bounces, and scaling them by the square root of 525,600 invents precision.
    """
    ends = period_ends(ts, interval)
    return equity[ends] if ends[0] == 0 else np.concatenate((equity[:1], equity[ends]))


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyReturns:
    """Simple returns by calendar month (UTC): `months[year][month - 1]`, None where there was no point."""

    months: dict[int, list[float | None]]
    years: dict[int, float | None]


def monthly_returns(ts: TsArray, equity: FloatArray) -> MonthlyReturns:
    """Return month and year returns, each from the last point before it to its last point.

    The first month starts at the first point. None where the equity before is not positive, and for
    a month that holds nothing but the first point.
    """
    stamps = (ts - 1).astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    ends = np.flatnonzero(np.append(stamps[1:] != stamps[:-1], True))
    before = np.concatenate(([0], ends[:-1]))
    months: dict[int, list[float | None]] = {}
    span: dict[int, tuple[int, int]] = {}
    for start, end in zip(before.tolist(), ends.tolist(), strict=True):
        year, month = divmod(int(stamps[end]), 12)
        year += 1970
        months.setdefault(year, [None] * 12)[month] = _change(equity, start, end)
        span[year] = (span.get(year, (start, end))[0], end)
    return MonthlyReturns(months=months, years={y: _change(equity, *s) for y, s in span.items()})


def _change(equity: FloatArray, start: int, end: int) -> float | None:
    before = float(equity[start])
    return float(equity[end]) / before - 1.0 if before > 0 and end > start else None


def thin(values: FloatArray, most: int) -> IndexArray:
    """Return at most `most` indices that keep the look of a line: both ends, each bucket's low and high.

    Nothing is averaged, so the deepest drawdown and the highest peak stay on the chart.
    """
    size = len(values)
    if size <= max(most, 4):
        return np.arange(size)
    starts = np.linspace(0, size, num=max((most - 2) // 2, 1), endpoint=False).astype(np.intp)
    stops = np.append(starts[1:], size)
    picks = [0, size - 1]
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        window = values[start:stop]
        picks += (start + int(window.argmin()), start + int(window.argmax()))
    return np.unique(np.array(picks, dtype=np.intp))


def candles_of(
    instrument: str,
    ts: TsArray,
    open_: FloatArray,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    *,
    interval: int,
    most: int = 1500,
) -> Candles:
    """Join neighbouring bars into at most `most` candles of equal bar count.

    Each candle carries the close time of its last bar. Bars are joined by count, not by clock, so a
    gap never becomes an empty candle; the last one may hold fewer bars. Raises InvariantError when
    there are no bars.
    """
    size = len(ts)
    if size == 0:
        raise InvariantError(f"{instrument}: candles need at least one bar, had none")
    join = -(-size // max(most, 1))
    starts = np.arange(0, size, join)
    stops = np.minimum(starts + join, size) - 1
    return Candles(
        instrument=instrument,
        interval=interval * join,
        ts=np.ascontiguousarray(ts[stops]),
        open=np.ascontiguousarray(open_[starts]),
        high=np.maximum.reduceat(high, starts),
        low=np.minimum.reduceat(low, starts),
        close=np.ascontiguousarray(close[stops]),
    )


def candles_from_prices(instrument: str, ts: TsArray, price: FloatArray, *, most: int = 1500) -> Candles:
    """Make at most `most` candles out of single prices (mids of a run on quotes), by equal count."""
    span = int(ts[-1] - ts[0]) // max(len(ts) - 1, 1) if len(ts) else 0
    return candles_of(instrument, ts, price, price, price, price, interval=span, most=most)

"""Put numbers into words a person reads: per cent, money, spans, dates, and the caveats of a run.

The one place that decides how a figure looks and when a result deserves a warning, shared by the
text table and the HTML page. An undefined figure is a dash.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tradebot.core.model import DAY, HOUR, MINUTE, SECOND, WEEK
from tradebot.report.metrics import MIN_TRADES, Metrics
from tradebot.report.result import RunMode, RunResult

DASH = "-"
_SIGNS = {"USD": "$", "EUR": "€", "GBP": "£"}
_CENT = Decimal("0.01")
# A year of daily returns leaves a Sharpe ratio uncertain by about one.
MIN_DAYS = 252

# Reasons of a venue that are said one by one; the rest as a number.
MOST_REASONS = 5


def percent(fraction: float | None, *, signed: bool = True, digits: int = 1) -> str:
    """Return 0.124 as "+12.4 %"; without `signed` the plus is left out.

    What would read as zero but is not gets three digits (a market maker's drawdown of 0.006 %).
    """
    if fraction is None:
        return DASH
    value = round(fraction * 100, digits) + 0.0
    if not value and abs(fraction) >= 5e-6:
        digits = 3
        value = round(fraction * 100, digits)
    plus = "+" if signed and value > 0 else ""
    return f"{plus}{value:,.{digits}f} %"


def number(value: float | Decimal | None, digits: int = 2) -> str:
    """Return a plain figure with a fixed number of digits."""
    if value is None:
        return DASH
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if not text.strip("-0.,") else text


def money(amount: Decimal | float | None, currency: str, *, signed: bool = False) -> str:
    """Return an amount rounded to cents for reading: "-$41.20", "1,204.00 CHF"."""
    if amount is None:
        return DASH
    exact = amount if isinstance(amount, Decimal) else Decimal(repr(amount))
    cents = exact.quantize(_CENT, rounding=ROUND_HALF_EVEN)
    sign = "-" if cents < 0 else "+" if signed and cents > 0 else ""
    figure = f"{abs(cents):,.2f}"
    glyph = _SIGNS.get(currency)
    return f"{sign}{glyph}{figure}" if glyph else f"{sign}{figure} {currency}"


def plain(value: Decimal | None, places: int = 0) -> str:
    """Return a Decimal as written by hand: no exponent, no zeros beyond `places` decimals."""
    if value is None:
        return DASH
    whole, _, part = f"{value:f}".partition(".")
    part = part.rstrip("0").ljust(places, "0")
    return f"{whole}.{part}" if part else whole


def span(ns: int | None) -> str:
    """Return a duration in its two largest fitting units: "1 y 35 d", "3 d 4 h", "12 min"."""
    if ns is None:
        return DASH
    units = ((365 * DAY, "y"), (DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"))
    for k, (size, name) in enumerate(units):
        if ns >= size:
            first, rest = divmod(ns, size)
            if k + 1 < len(units) and (second := rest // units[k + 1][0]) and first < 100:
                return f"{first} {name} {second} {units[k + 1][1]}"
            return f"{first} {name}"
    return "0 s" if ns == 0 else "under 1 s"


def interval_name(ns: int) -> str:
    """Return the interval of bars as configured: "1d", "15m"; "quotes" for 0."""
    if ns == 0:
        return "quotes"
    for size, name in ((WEEK, "w"), (DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")):
        if ns % size == 0:
            return f"{ns // size}{name}"
    return f"{ns}ns"


@lru_cache(maxsize=8)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None


def when(ts: int, time_zone: str = "UTC") -> datetime:
    """Return `ts` (ns UTC) as an aware datetime; an unknown zone name falls back to UTC."""
    return datetime.fromtimestamp(ts // SECOND, tz=UTC).astimezone(_zone(time_zone) or UTC)


def date(ts: int | None, time_zone: str = "UTC") -> str:
    """Return the date on which the instant *before* `ts` fell: a close at midnight is that day's."""
    return DASH if ts is None else when(ts - 1, time_zone).strftime("%Y-%m-%d")


def moment(ts: int | None, time_zone: str = "UTC", *, seconds: bool = False) -> str:
    """Return date and time in `time_zone`, without its name."""
    return (
        DASH
        if ts is None
        else when(ts, time_zone).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")
    )


def period(result: RunResult) -> str:
    """Return the run's span: dates, or times of day when it is shorter than two days."""
    show = moment if result.end_ts - result.start_ts < 2 * DAY and result.interval < DAY else date
    return f"{show(result.start_ts, result.time_zone)} to {show(result.end_ts, result.time_zone)}"


def names(items: tuple[str, ...], most: int = 4) -> str:
    """Return a short list: the first `most` names and how many follow."""
    shown = ", ".join(items[:most])
    return shown if len(items) <= most else f"{shown} +{len(items) - most} more"


def data_words(result: RunResult) -> str:
    """Return "SYNTHETIC DATA" in capitals, or "" for market data."""
    return f"{result.data_label.upper()} DATA" if result.data_label else ""


def assumed_words(result: RunResult) -> str:
    """Return how many fills a worst-case assumption decided, out of how many."""
    total = len(result.fills)
    share = f" ({percent(result.assumed_fills / total, signed=False)})" if total else ""
    return f"{result.assumed_fills:,} of {total:,}{share}"


def caveats(result: RunResult, metrics: Metrics) -> tuple[str, ...]:
    """Return what a reader must know before believing the figures: our warnings, then the run's own."""
    found = []
    if result.data_label:
        found.append(f"{data_words(result)}: the result says nothing about a real market")
    found += _trade_caveats(metrics)
    if 0 < metrics.curve.days < MIN_DAYS and metrics.curve.period == "day":
        error = metrics.curve.sharpe_error
        wide = f", standard error {number(error, 1)}" if error is not None else ""
        found.append(
            f"{_count(metrics.curve.days, 'daily return')} (under a year): the Sharpe ratio is mostly noise{wide}"
        )
    if result.trials > 1:
        found.append(
            f"selected from {result.trials} parameter sets: the best of many looks better than it is"
        )
    if result.open_orders:
        found.append(f"{_count(len(result.open_orders), 'order')} still open at the end")
    if result.denials:
        rules = ", ".join(f"{rule} {count}" for rule, count in sorted(result.denials.items()))
        found.append(f"{_count(sum(result.denials.values()), 'wish', 'wishes')} not acted on: {rules}")
    found += _rejections(result)
    return (*found, *result.warnings)


def _rejections(result: RunResult) -> list[str]:
    """Say why the venue refused orders, the most frequent reasons first."""
    often = sorted(result.rejections, key=lambda r: (-r.count, r.first_ts))
    found = [
        f"{_count(r.count, 'order')} rejected by the venue, first on {date(r.first_ts, result.time_zone)}: {r.reason}"
        for r in often[:MOST_REASONS]
    ]
    rest = sum(r.count for r in often[MOST_REASONS:])
    return [*found, f"{_count(rest, 'order')} rejected by the venue for other reasons"] if rest else found


def _trade_caveats(metrics: Metrics) -> list[str]:
    closed, error = metrics.trades.closed, metrics.trades.win_rate_error
    if not metrics.too_few_trades:
        return []
    if error is None:
        return ["no closed trade: nothing to judge trading by"]
    are = "trade is" if closed == 1 else "trades are"
    return [
        f"{closed} closed {are} too few to tell skill from luck: "
        f"under {MIN_TRADES}, chance alone moves the win rate by {error * 100:.0f} points or more"
    ]


def _count(n: int, noun: str, many: str | None = None) -> str:
    return f"{n} {noun if n == 1 else many or noun + 's'}"


def mode_words(mode: RunMode) -> str:
    """Return the mode typed out in capitals."""
    return mode.value.upper()

"""Compute the figures that judge a series of returns or an equity curve: one formula, one function.

Returns are simple and per period (0.01 = 1 %). `periods_per_year` annualises; `risk_free` is a
yearly rate, spread evenly over the periods. Whatever is undefined (too few points, no
variance, a division by zero, an account that reached zero) is None, never NaN or infinity.

None of these know about costs, taxes or deposits: they see the equity they are given.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np

from tradebot.core.model import DAY
from tradebot.report.result import FloatArray, TsArray

YEAR = 365.25 * DAY
# Growth of less than a month raised to a year says nothing: a good hour becomes millions of per cent.
MIN_ANNUALISED = 30 * DAY
# Below this, relative to the size of the returns, a spread is rounding noise.
_NOISE = 1e-13


def finite(value: float) -> float | None:
    """Return `value`, or None when it is NaN or infinite."""
    value = float(value)
    return value if isfinite(value) else None


def returns_of(equity: FloatArray) -> FloatArray | None:
    """Return simple returns equity[i] / equity[i-1] - 1; None if any equity is zero or less.

    An account that reached zero has no returns after it, and a mean over the rest would praise it.
    """
    if len(equity) == 0 or float(equity.min()) <= 0.0:
        return None
    return equity[1:] / equity[:-1] - 1.0


def total_return(equity: FloatArray) -> float | None:
    """Return last / first - 1; None when the first value is not positive."""
    if len(equity) == 0 or equity[0] <= 0:
        return None
    return finite(float(equity[-1]) / float(equity[0]) - 1.0)


def cagr(start: float, end: float, span: int) -> float | None:
    """Return the compound annual growth rate (end / start) ** (1 / years) - 1.

    `span` in ns of calendar time, 365.25 days a year. None below 30 days, or when either value is
    not positive (an end of exactly zero gives -1), or when the growth is beyond a float.
    """
    if span < MIN_ANNUALISED or start <= 0 or end < 0:
        return None
    try:
        return finite((end / start) ** (YEAR / span) - 1.0)
    except OverflowError:
        return None


def volatility(returns: FloatArray, periods_per_year: float) -> float | None:
    """Return sample stdev (n-1) * sqrt(periods_per_year); None below 2 returns.

    The square-root scaling takes periods as independent.
    """
    return finite(returns.std(ddof=1) * sqrt(periods_per_year)) if len(returns) > 1 else None


def sharpe(returns: FloatArray, periods_per_year: float, *, risk_free: float = 0.0) -> float | None:
    """Return the annualised Sharpe ratio of per-period simple returns.

    mean(r - rf) / sample stdev (n-1) * sqrt(periods_per_year); None below 2 returns or without
    variance. Source: Sharpe (1994), "The Sharpe Ratio". Ignores skew and fat tails; overstates when
    returns are positively autocorrelated (Lo 2002).
    """
    if len(returns) < 2:
        return None
    excess = returns - risk_free / periods_per_year
    return _ratio(excess.mean(), _spread(excess), sqrt(periods_per_year))


def sharpe_error(returns: FloatArray, periods_per_year: float) -> float | None:
    """Return the standard error of the annualised Sharpe ratio: sqrt((1 + S^2 / 2) / n), annualised.

    S is the per-period ratio, n the number of returns. None where `sharpe` is. Source: Lo (2002),
    "The Statistics of Sharpe Ratios", independent identically distributed normal returns.
    """
    ratio = sharpe(returns, 1.0)
    if ratio is None:
        return None
    return finite(sqrt((1.0 + ratio * ratio / 2.0) / len(returns) * periods_per_year))


def sortino(returns: FloatArray, periods_per_year: float, *, target: float = 0.0) -> float | None:
    """Return the annualised Sortino ratio against a yearly `target` rate.

    mean(r - t) / sqrt(mean(min(r - t, 0)^2)) * sqrt(periods_per_year): the downside deviation divides by
    all n, not by the number of losses. None below 2 returns or without a return under target.
    Source: Sortino & Price (1994); Rollinger & Hoffman (2013) on the divisor.
    """
    if len(returns) < 2:
        return None
    excess = returns - target / periods_per_year
    below = np.minimum(excess, 0.0)
    return _ratio(excess.mean(), sqrt(float(below @ below) / len(excess)), sqrt(periods_per_year))


def calmar(growth: float | None, depth: float | None) -> float | None:
    """Return CAGR / |maximum drawdown| over the whole run; None when either is None or no drawdown.

    Source: Young (1991), who used 36 months; here it is the run, so only equal spans compare.
    """
    return None if growth is None or not depth else finite(growth / abs(depth))


def value_at_risk(returns: FloatArray, *, level: float = 0.95) -> float | None:
    """Return the one-period historical value at risk: -quantile(r, 1 - level), positive = a loss.

    Linear interpolation between order statistics. None when fewer than 1 / (1 - level) returns
    (20 at 95 %), since the tail would be empty. Assumes the future draws from this past.
    """
    if len(returns) * (1.0 - level) < 1.0 - 1e-9:
        return None
    return finite(-np.quantile(returns, 1.0 - level))


def conditional_value_at_risk(returns: FloatArray, *, level: float = 0.95) -> float | None:
    """Return the mean loss of the periods at or beyond the value at risk, positive = a loss.

    None where `value_at_risk` is. Source: Rockafellar & Uryasev (2000), in its plain empirical form.
    """
    risk = value_at_risk(returns, level=level)
    if risk is None:
        return None
    tail = returns[returns <= -risk]
    return finite(-tail.mean()) if len(tail) else None


def tail_ratio(returns: FloatArray, *, level: float = 0.95) -> float | None:
    """Return |quantile(r, level)| / |quantile(r, 1 - level)|: above 1, gains reach further than losses.

    None with fewer returns than `value_at_risk` needs or when the lower quantile is zero.
    """
    if len(returns) * (1.0 - level) < 1.0 - 1e-9:
        return None
    low, high = np.quantile(returns, [1.0 - level, level]).tolist()
    return finite(abs(high) / abs(low)) if low else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """How a series moves with its benchmark. `alpha` is a yearly rate, `beta` and `correlation` plain."""

    alpha: float
    beta: float
    correlation: float | None


def regress(
    returns: FloatArray, benchmark: FloatArray, periods_per_year: float, *, risk_free: float = 0.0
) -> Regression | None:
    """Return alpha and beta of `returns` on `benchmark` (same periods), by least squares.

    beta = cov(r, b) / var(b); alpha = (mean(r - rf) - beta * mean(b - rf)) * periods_per_year, not
    compounded. None below 2 returns or when the benchmark does not move. Source: Jensen (1968).
    One factor only; a strategy that is rarely invested has a low beta for that reason alone.
    """
    if len(returns) < 2 or len(returns) != len(benchmark):
        return None
    spread_b, spread_r = _spread(benchmark), _spread(returns)
    if not spread_b:
        return None
    rate = risk_free / periods_per_year
    mean_r, mean_b = float(returns.mean()), float(benchmark.mean())
    covariance = float((returns - mean_r) @ (benchmark - mean_b)) / (len(returns) - 1)
    beta = covariance / spread_b**2
    alpha = (mean_r - rate - beta * (mean_b - rate)) * periods_per_year
    correlation = covariance / (spread_b * spread_r) if spread_r else None
    return Regression(alpha=alpha, beta=beta, correlation=correlation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawdown:
    """The falls of an equity curve below its highest value so far, on every point it has.

    `depth` is the deepest as a fraction (-0.06), `money` the largest in currency (positive; it may be
    another fall). `peak_ts`, `low_ts`, `end_ts` belong to the deepest: `end_ts` is the first point back
    at the peak, None if it never came. `length` is peak to end (or to the last point), `longest` the
    longest of all, both in ns. `underwater` is the share of points below the peak.
    """

    depth: float
    money: float
    peak_ts: int
    low_ts: int
    end_ts: int | None
    length: int
    longest: int
    underwater: float


def underwater_curve(equity: FloatArray) -> FloatArray:
    """Return equity / highest so far - 1, at most 0; 0 while the highest is not positive."""
    peak = np.maximum.accumulate(equity)
    with np.errstate(divide="ignore", invalid="ignore"):
        curve: FloatArray = equity / peak - 1.0
    if peak[0] <= 0:
        curve[peak <= 0] = 0.0
    return curve


def drawdown(ts: TsArray, equity: FloatArray) -> Drawdown | None:
    """Measure the drawdowns of `equity`; None when it starts at zero or less.

    Uses every point, not daily closes. What happens inside a bar is not seen.
    """
    if len(equity) == 0 or equity[0] <= 0:
        return None
    peak = np.maximum.accumulate(equity)
    at_peak = np.flatnonzero(equity >= peak)
    curve = equity / peak - 1.0
    low = int(curve.argmin())
    if curve[low] >= 0:
        first = int(ts[0])
        return Drawdown(
            depth=0.0,
            money=0.0,
            peak_ts=first,
            low_ts=first,
            end_ts=first,
            length=0,
            longest=0,
            underwater=0.0,
        )
    after = int(np.searchsorted(at_peak, low))
    start = int(at_peak[after - 1])
    end = int(at_peak[after]) if after < len(at_peak) else None
    return Drawdown(
        depth=float(curve[low]),
        money=float((peak - equity).max()),
        peak_ts=int(ts[start]),
        low_ts=int(ts[low]),
        end_ts=None if end is None else int(ts[end]),
        length=int(ts[-1 if end is None else end] - ts[start]),
        longest=_longest(ts, at_peak),
        underwater=1.0 - len(at_peak) / len(equity),
    )


def _longest(ts: TsArray, at_peak: np.ndarray[tuple[int], np.dtype[np.intp]]) -> int:
    # Only spans with a point under water count: neighbouring peaks are no drawdown.
    edges = np.append(at_peak, len(ts) - 1)
    spans = np.where(np.diff(edges) > 1, np.diff(ts[edges]), 0)
    if at_peak[-1] == len(ts) - 2:  # the last point alone is under water
        spans[-1] = ts[-1] - ts[-2]
    return int(spans.max(initial=0))


def _spread(values: FloatArray) -> float:
    # Sample stdev, with rounding noise around a constant taken for what it is: zero.
    spread = float(values.std(ddof=1))
    return spread if spread > _NOISE * max(1.0, float(np.abs(values).max())) else 0.0


def _ratio(mean: float, spread: float, scale: float) -> float | None:
    return finite(float(mean) / spread * scale) if spread else None

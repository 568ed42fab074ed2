"""Judge a finished run: its curve, its benchmark's curve, its trades.

Gathers the figures of `ratios` for one `RunResult`. Ratios that need returns (volatility, Sharpe,
Sortino, VaR, CVaR, tail ratio, alpha, beta, best and worst) use **daily** returns: the last equity
of each UTC day, also for minute bars and quotes; bars longer than a day count as they are.
Drawdowns use every point. Undefined figures are None, never NaN.

Ignored: taxes, deposits and withdrawals, dividends that the equity does not hold, and the number of
attempts before this one (see `RunResult.trials` and the run store).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from math import sqrt

import numpy as np

from tradebot.core.model import DAY
from tradebot.report import ratios
from tradebot.report.ratios import Drawdown
from tradebot.report.result import FillRecord, FloatArray, RunResult, TradeRecord, TsArray
from tradebot.report.series import sampled_equity, statistics_periods

# With n trades, chance alone moves the win rate by 1.96 * sqrt(0.25 / n), nineteen times in twenty: 10
# points at 96 trades, 20 at 24. Under a hundred, a fair coin passes for an edge.
MIN_TRADES = 100
_QUANTUM = Decimal("1e-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveMetrics:
    """What an equity curve says. Fractions, not per cent; ratios yearly; None where undefined.

    `days` counts the returns behind the ratios and `period` names them ("day", or "bar" when bars
    are longer). `sharpe_error` is the standard error of `sharpe`. `var_95`, `cvar_95` are losses as
    positive numbers. `recovery_factor` is profit over the largest drawdown, both in currency.
    """

    start: float
    end: float
    days: int
    period: str
    total_return: float | None
    cagr: float | None
    volatility: float | None
    sharpe: float | None
    sharpe_error: float | None
    sortino: float | None
    calmar: float | None
    drawdown: Drawdown | None
    recovery_factor: float | None
    var_95: float | None
    cvar_95: float | None
    tail_ratio: float | None
    best: float | None
    worst: float | None
    positive: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeMetrics:
    """What the round trips say. Money in the base currency, net of fees, exact to 1e-8.

    A trade counts as won when its net P&L is above zero; at exactly zero it is neither won nor lost.
    `profit_factor` is gross profit / gross loss, None without a loss. `payoff` is average win /
    average loss. `expectancy` is the mean P&L of a closed trade. `win_rate_error` is half the width
    of the 95 % range in which a fair coin's win rate falls with this many trades.
    """

    closed: int
    open: int
    won: int
    lost: int
    win_rate: float | None
    win_rate_error: float | None
    profit_factor: float | None
    expectancy: Decimal | None
    average_win: Decimal | None
    average_loss: Decimal | None
    payoff: float | None
    best: Decimal | None
    worst: Decimal | None
    bars_held: float | None
    losing_streak: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Everything measured about one run.

    `time_in_market` is the share of points with a position, `exposure` the mean gross exposure (1.0 =
    all equity). `turnover` is half the traded value over the mean equity, for the whole run;
    `turnover_per_year` the same per 365.25 days, None below 30 days. `alpha` is yearly.
    """

    curve: CurveMetrics
    benchmark: CurveMetrics | None
    trades: TradeMetrics
    periods_per_year: float
    risk_free: float
    alpha: float | None
    beta: float | None
    correlation: float | None
    time_in_market: float | None
    exposure: float | None
    turnover: float | None
    turnover_per_year: float | None

    @property
    def too_few_trades(self) -> bool:
        return self.trades.closed < MIN_TRADES


def measure(result: RunResult, *, periods_per_year: float | None = None, risk_free: float = 0.0) -> Metrics:
    """Compute every figure of `result`.

    `periods_per_year` annualises the daily (or longer) returns; by default it follows from the
    interval and the calendars (`series.statistics_periods`). `risk_free` is a yearly rate.
    """
    periods = periods_per_year or statistics_periods(result.interval, result.instruments)
    ts, interval = result.equity_ts, result.interval
    curve = measure_curve(ts, result.equity, interval, periods, risk_free=risk_free)
    benchmark = None
    regression = None
    if result.benchmark_equity is not None:
        benchmark = measure_curve(ts, result.benchmark_equity, interval, periods, risk_free=risk_free)
        ours = ratios.returns_of(sampled_equity(ts, result.equity, interval))
        theirs = ratios.returns_of(sampled_equity(ts, result.benchmark_equity, interval))
        if ours is not None and theirs is not None:
            regression = ratios.regress(ours, theirs, periods, risk_free=risk_free)
    turnover = turnover_of(result.fills, result.equity)
    span = int(ts[-1] - ts[0])
    yearly = None if turnover is None or span < ratios.MIN_ANNUALISED else turnover * ratios.YEAR / span
    exposure = result.exposure
    return Metrics(
        curve=curve,
        benchmark=benchmark,
        trades=measure_trades(result.trades),
        periods_per_year=periods,
        risk_free=risk_free,
        alpha=regression.alpha if regression else None,
        beta=regression.beta if regression else None,
        correlation=regression.correlation if regression else None,
        time_in_market=None if exposure is None else float(np.count_nonzero(exposure) / len(exposure)),
        exposure=None if exposure is None else ratios.finite(exposure.mean()),
        turnover=turnover,
        turnover_per_year=yearly,
    )


def measure_curve(
    ts: TsArray, equity: FloatArray, interval: int, periods_per_year: float, *, risk_free: float = 0.0
) -> CurveMetrics:
    """Compute the figures of one equity curve; see the module's words on daily returns."""
    sampled = sampled_equity(ts, equity, interval)
    returns = ratios.returns_of(sampled)
    if returns is None:
        returns = np.empty(0)
    start, end = float(equity[0]), float(equity[-1])
    growth = ratios.cagr(start, end, int(ts[-1] - ts[0]))
    fall = ratios.drawdown(ts, equity)
    many = len(returns) > 0
    return CurveMetrics(
        start=start,
        end=end,
        days=len(returns),
        period="day" if interval <= DAY else "bar",
        total_return=ratios.total_return(equity),
        cagr=growth,
        volatility=ratios.volatility(returns, periods_per_year),
        sharpe=ratios.sharpe(returns, periods_per_year, risk_free=risk_free),
        sharpe_error=ratios.sharpe_error(returns, periods_per_year),
        sortino=ratios.sortino(returns, periods_per_year, target=risk_free),
        calmar=ratios.calmar(growth, fall.depth if fall else None),
        drawdown=fall,
        recovery_factor=ratios.finite((end - start) / fall.money) if fall and fall.money else None,
        var_95=ratios.value_at_risk(returns),
        cvar_95=ratios.conditional_value_at_risk(returns),
        tail_ratio=ratios.tail_ratio(returns),
        best=ratios.finite(returns.max()) if many else None,
        worst=ratios.finite(returns.min()) if many else None,
        positive=float(np.count_nonzero(returns > 0) / len(returns)) if many else None,
    )


def measure_trades(trades: Sequence[TradeRecord]) -> TradeMetrics:
    """Compute the figures of round trips; open ones are counted and otherwise left out."""
    pnls = [t.pnl_base for t in trades if t.pnl_base is not None]
    wins, losses = [p for p in pnls if p > 0], [p for p in pnls if p < 0]
    profit, loss = sum(wins, Decimal(0)), -sum(losses, Decimal(0))
    average_win, average_loss = _mean(profit, len(wins)), _mean(-loss, len(losses))
    held = [t.bars_held for t in trades if t.bars_held is not None]
    closed = len(pnls)
    return TradeMetrics(
        closed=closed,
        open=sum(t.is_open for t in trades),
        won=len(wins),
        lost=len(losses),
        win_rate=len(wins) / closed if closed else None,
        win_rate_error=1.96 * sqrt(0.25 / closed) if closed else None,
        profit_factor=float(profit / loss) if loss else None,
        expectancy=_mean(profit - loss, closed),
        average_win=average_win,
        average_loss=average_loss,
        payoff=float(average_win / -average_loss) if average_win and average_loss else None,
        best=max(pnls, default=None),
        worst=min(pnls, default=None),
        bars_held=sum(held) / len(held) if held else None,
        losing_streak=_longest_run(pnls),
    )


def turnover_of(fills: Sequence[FillRecord], equity: FloatArray) -> float | None:
    """Return half the traded value (buys plus sells, base currency) over the mean equity.

    One full buy and sell of everything is 1.0. None when the mean equity is not positive.
    """
    mean = float(equity.mean())
    if mean <= 0:
        return None
    traded = sum(float(f.qty) * float(f.price) * float(f.multiplier) * float(f.rate) for f in fills)
    return ratios.finite(traded / 2.0 / mean)


def _mean(total: Decimal, count: int) -> Decimal | None:
    return (total / count).quantize(_QUANTUM, rounding=ROUND_HALF_EVEN) if count else None


def _longest_run(pnls: Sequence[Decimal]) -> int:
    longest = current = 0
    for pnl in pnls:
        current = current + 1 if pnl < 0 else 0
        longest = max(longest, current)
    return longest

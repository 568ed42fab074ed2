"""Show the figures of a run: five large ones, then all of them beside the benchmark, each with its formula.

Texts only: every value arrives computed and leaves escaped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from tradebot.report import words
from tradebot.report.metrics import CurveMetrics, Metrics
from tradebot.report.page.markup import Html, join, table, tag
from tradebot.report.result import RunResult


def tiles(result: RunResult, metrics: Metrics) -> Html:
    """Return the five figures people look for first."""
    ours, theirs, trades = metrics.curve, metrics.benchmark, metrics.trades

    def versus(show: Callable[[CurveMetrics], str]) -> str:
        return f"{result.benchmark_name} {show(theirs)}" if theirs else ""

    def tile(label: str, value: str, note: str, sign: float | None = None) -> Html:
        tone = None if not sign else "up" if sign > 0 else "down"
        return tag(
            "div",
            tag("div", label, class_="tile-label"),
            tag("div", value, class_=f"tile-value {tone}" if tone else "tile-value"),
            tag("div", note.replace(" %", "\u00a0%"), class_="tile-note"),
            class_="tile",
        )

    rate = words.percent(trades.win_rate, signed=False, digits=0)
    cost = result.costs.total
    share = float(cost) / ours.start if ours.start > 0 else None
    return tag(
        "div",
        tile("Return", words.percent(ours.total_return), versus(_return), ours.total_return),
        tile("Max drawdown", _depth(ours), versus(_depth)),
        tile(
            "Sharpe (daily)" if ours.period == "day" else "Sharpe (per bar)", _sharpe(ours), versus(_sharpe)
        ),
        tile("Closed trades", f"{trades.closed:,}", f"win rate {rate}"),
        tile(
            "Costs",
            words.money(-cost, result.base_currency),
            f"{words.percent(None if share is None else -share)} of the starting equity",
        ),
        class_="tiles",
        id="tiles",
    )


def _return(curve: CurveMetrics) -> str:
    return words.percent(curve.total_return)


def _depth(curve: CurveMetrics) -> str:
    return words.percent(curve.drawdown.depth if curve.drawdown else None)


def _sharpe(curve: CurveMetrics) -> str:
    return words.number(curve.sharpe)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of the figures: its name, our value, the benchmark's, and how it is computed."""

    name: str
    ours: str
    theirs: str
    how: str


def figures(result: RunResult, metrics: Metrics) -> tuple[tuple[str, tuple[Figure, ...]], ...]:
    """Return every figure in groups, as text."""
    return (
        ("Return", _return_figures(metrics, result.base_currency)),
        ("Risk", _risk_figures(metrics, result.base_currency)),
        ("Trading", _trade_figures(metrics, result.base_currency)),
    )


def _both(metrics: Metrics, name: str, show: Callable[[CurveMetrics], str], how: str) -> Figure:
    theirs = show(metrics.benchmark) if metrics.benchmark else words.DASH
    return Figure(name=name, ours=show(metrics.curve), theirs=theirs, how=how)


def _ours(name: str, value: str, how: str) -> Figure:
    return Figure(name=name, ours=value, theirs=words.DASH, how=how)


def _return_figures(metrics: Metrics, currency: str) -> tuple[Figure, ...]:
    pct, num = words.percent, words.number
    period = metrics.curve.period
    return (
        _both(metrics, "Total return", _return, "last equity / first - 1"),
        _both(
            metrics,
            "Return per year",
            lambda c: pct(c.cagr),
            "compound growth over 365.25 days; none under 30 days",
        ),
        _both(
            metrics, "End equity", lambda c: words.money(c.end, currency), "value of the account at the end"
        ),
        _both(metrics, f"Best {period}", lambda c: pct(c.best, digits=2), f"highest return of one {period}"),
        _both(metrics, f"Worst {period}", lambda c: pct(c.worst, digits=2), f"lowest return of one {period}"),
        _both(
            metrics,
            f"Positive {period}s",
            lambda c: pct(c.positive, signed=False, digits=0),
            f"share of {period}s with a return above zero",
        ),
        _ours("Alpha per year", pct(metrics.alpha), "return beside what beta explains, not compounded"),
        _ours("Beta", num(metrics.beta), "slope of our returns on the benchmark's"),
        _ours("Correlation", num(metrics.correlation), "of the same returns"),
    )


def _risk_figures(metrics: Metrics, currency: str) -> tuple[Figure, ...]:
    pct, num, span = words.percent, words.number, words.span
    year = f"annualised with {metrics.periods_per_year:g} periods a year"

    def sharpe(c: CurveMetrics) -> str:
        return num(c.sharpe) if c.sharpe_error is None else f"{num(c.sharpe)} ± {num(c.sharpe_error)}"

    def fall(show: Callable[[CurveMetrics], str]) -> Callable[[CurveMetrics], str]:
        return lambda c: show(c) if c.drawdown else words.DASH

    return (
        _both(
            metrics,
            "Volatility",
            lambda c: pct(c.volatility, signed=False),
            f"sample deviation of returns, {year}",
        ),
        _both(metrics, "Sharpe ratio", sharpe, f"mean / deviation, {year}; ± one standard error (Lo 2002)"),
        _both(metrics, "Sortino ratio", lambda c: num(c.sortino), f"mean / downside deviation, {year}"),
        _both(metrics, "Calmar ratio", lambda c: num(c.calmar), "return per year / maximum drawdown"),
        _both(metrics, "Max drawdown", _depth, "deepest fall from a peak, on every point"),
        _both(
            metrics,
            "Its length",
            fall(lambda c: span(c.drawdown.length if c.drawdown else None)),
            "from the peak until it is reached again, or to the end",
        ),
        _both(
            metrics,
            "Longest drawdown",
            fall(lambda c: span(c.drawdown.longest if c.drawdown else None)),
            "longest time below a peak",
        ),
        _both(
            metrics,
            "Time under water",
            fall(lambda c: pct(c.drawdown.underwater if c.drawdown else None, signed=False, digits=0)),
            "share of points below the peak so far",
        ),
        *_tail_figures(metrics, currency),
    )


def _tail_figures(metrics: Metrics, currency: str) -> tuple[Figure, ...]:
    pct, num = words.percent, words.number
    return (
        _both(
            metrics,
            "Recovery factor",
            lambda c: num(c.recovery_factor),
            f"profit / largest drawdown, both in {currency}",
        ),
        _both(
            metrics,
            "Value at risk 95 %",
            lambda c: pct(c.var_95, signed=False, digits=2),
            "loss that one period in twenty exceeded",
        ),
        _both(
            metrics,
            "Expected shortfall 95 %",
            lambda c: pct(c.cvar_95, signed=False, digits=2),
            "mean loss of those periods (CVaR)",
        ),
        _both(
            metrics,
            "Tail ratio",
            lambda c: num(c.tail_ratio),
            "95 % quantile / 5 % quantile of returns, sizes only",
        ),
    )


def _trade_figures(metrics: Metrics, currency: str) -> tuple[Figure, ...]:
    t, pct, num = metrics.trades, words.percent, words.number

    def cash(amount: Decimal | None) -> str:
        return words.money(amount, currency, signed=True)

    rate = pct(t.win_rate, signed=False, digits=0)
    chance = (
        "" if t.win_rate_error is None else f"; chance alone reaches ± {t.win_rate_error * 100:.0f} points"
    )
    return (
        _ours("Closed trades", f"{t.closed:,}", "entry and exit order pairs, first in first out"),
        _ours("Still open", f"{t.open:,}", "valued in the equity, in no other figure of this group"),
        _ours("Win rate", rate, f"share of closed trades with a net gain{chance}"),
        _ours("Profit factor", num(t.profit_factor), "gross profit / gross loss"),
        _ours("Expectancy", cash(t.expectancy), "mean net result of a closed trade"),
        _ours("Average win", cash(t.average_win), "net of fees"),
        _ours("Average loss", cash(t.average_loss), "net of fees"),
        _ours("Payoff", num(t.payoff), "average win / average loss"),
        _ours("Best trade", cash(t.best), "net of fees"),
        _ours("Worst trade", cash(t.worst), "net of fees"),
        _ours("Longest losing streak", f"{t.losing_streak:,}", "closed trades in a row with a net loss"),
        _ours(
            "Average holding",
            words.DASH if t.bars_held is None else f"{t.bars_held:,.1f} bars",
            "bar closes between entry and exit",
        ),
        _ours(
            "Time in market",
            pct(metrics.time_in_market, signed=False, digits=0),
            "share of points with a position",
        ),
        _ours("Average exposure", pct(metrics.exposure, signed=False, digits=0), "gross positions / equity"),
        _ours(
            "Turnover per year",
            num(metrics.turnover_per_year, 1),
            "half the traded value / mean equity, per year",
        ),
    )


def figure_tables(result: RunResult, metrics: Metrics) -> Html:
    """Return the figures as one table per group, the computation as each row's title."""
    blocks = (_group(name, rows, result.benchmark_name) for name, rows in figures(result, metrics))
    return tag("div", *blocks, class_="columns", id="figure-tables")


def _group(name: str, rows: tuple[Figure, ...], benchmark: str) -> Html:
    # A benchmark that has nothing to say in a group gets no column there.
    wide = any(f.theirs != words.DASH for f in rows)

    def row(f: Figure) -> tuple[Html, ...]:
        cells = (tag("th", f.name, scope="row", title=f.how), tag("td", f.ours))
        return (*cells, tag("td", f.theirs)) if wide else cells

    head = (name, "strategy", *((benchmark,) if wide else ()))
    return tag("div", table(head, map(row, rows), name=f"figures-{name.lower()}"), class_="figures")


def definitions(result: RunResult, metrics: Metrics) -> Html:
    """Return how each figure is computed, folded away."""
    rows = [f for _, group in figures(result, metrics) for f in group]
    items = (join((tag("dt", f.name), tag("dd", f.how))) for f in rows)
    return tag(
        "details", tag("summary", "How these figures are computed"), tag("dl", *items), id="definitions"
    )

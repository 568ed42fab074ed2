"""Build the tables of the report: months, trades, costs, and what identifies the run.

Plain HTML that reads without a script; the script only adds sorting. All texts go through
`markup`, which escapes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from tradebot.core.model import Side
from tradebot.report import words
from tradebot.report.page.markup import Html, join, left_head, table, tag
from tradebot.report.result import RunResult, TradeRecord
from tradebot.report.series import monthly_returns

MAX_TRADES = 500
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def months(result: RunResult) -> Html:
    """Return month and year returns, shaded by size."""
    found = monthly_returns(result.equity_ts, result.equity)
    values = [abs(v) for row in found.months.values() for v in row if v is not None]
    scale = max(values, default=0.0) or 1.0
    rows = (
        (
            str(year),
            *(_heat(v, scale) for v in row),
            tag("td", words.percent(found.years[year]), class_="total"),
        )
        for year, row in found.months.items()
    )
    return table(("Year", *_MONTHS, "Year total"), rows, name="months", class_="heat")


def _heat(value: float | None, scale: float) -> Html:
    if value is None:
        return tag("td", "", class_="none")
    tone = "up" if value > 0 else "down" if value < 0 else "none"
    shade = 0.12 + 0.55 * abs(value) / scale if value else 0.0
    return tag(
        "td", words.percent(value).removesuffix(" %"), class_=f"{tone}-shade", style=f"--v:{shade:.2f}"
    )


def trades(result: RunResult) -> Html:
    """Return the latest round trips, newest last, with a note when some are left out."""
    shown = result.trades[-MAX_TRADES:]
    many = len({t.strategy for t in result.trades}) > 1
    texts = [left_head(name) for name in ("Strategy", "Side", "Entry", "Exit", "Exit reason")]
    strategy, side, entry, exit_, why = texts
    head = ("Instrument", *((strategy,) if many else ()), side, "Qty", entry, "Price", exit_, "Price")
    head += ("Net P&L", "Return", "Fees", "Bars", why)
    left = len(result.trades) - len(shown)
    note = (
        f"The latest {MAX_TRADES} of {len(result.trades):,}; the run's folder holds them all." if left else ""
    )
    if not shown:
        return tag("p", "No trades.", id="no-trades")
    places = {i.id: _places(i.tick_size) for i in result.instruments}
    rows = (_trade_row(t, result.time_zone, many, places.get(t.instrument, 0)) for t in shown)
    body = table(head, rows, name="trades", class_="sortable")
    return join((tag("p", note, class_="note", id="trades-note") if note else Html(""), body))


def _trade_row(t: TradeRecord, zone: str, many: bool, places: int) -> tuple[str, ...]:
    return (
        tag("th", t.instrument, scope="row"),
        *((tag("td", t.strategy, class_="text"),) if many else ()),
        tag("td", "long" if t.side is Side.BUY else "short", class_="text"),
        _number(words.plain(t.qty), t.qty),
        tag("td", words.moment(t.entry_ts, zone), data_v=t.entry_ts, class_="text"),
        _number(words.plain(t.entry_price, places), t.entry_price),
        tag(
            "td",
            "open" if t.exit_ts is None else words.moment(t.exit_ts, zone),
            data_v=t.exit_ts or "",
            class_="text",
        ),
        _number(words.plain(t.exit_price, places), t.exit_price),
        _number(words.number(t.pnl), t.pnl, toned=True),
        _number(words.percent(t.return_on_entry, digits=2), t.return_on_entry, toned=True),
        _number(words.number(t.fees), t.fees),
        _number(words.DASH if t.bars_held is None else f"{t.bars_held:,}", t.bars_held),
        tag("td", t.exit_reason + (" *" if t.assumed else ""), class_="text", title=t.exit_reason),
    )


def _places(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def _number(text: str, value: Decimal | float | None, *, toned: bool = False) -> Html:
    tone = None if not toned or not value else "up" if value > 0 else "down"
    return tag("td", text, data_v="" if value is None else f"{value:f}", class_=tone)


def breakdown(result: RunResult) -> Html:
    """Return trading and its costs by strategy and instrument, in the base currency."""
    rows: dict[tuple[str, str], list[Decimal]] = {}
    counts: dict[tuple[str, str], list[int]] = {}
    for fill in result.fills:
        key = (fill.strategy, fill.instrument)
        sums = rows.setdefault(key, [Decimal(0)] * 4)
        for k, amount in enumerate((fill.notional, fill.fee, fill.slippage)):
            sums[k] += amount * fill.rate
        counts.setdefault(key, [0, 0, 0])[0] += 1
    for trade in result.trades:
        key = (trade.strategy, trade.instrument)
        if trade.pnl_base is not None and key in rows:
            rows[key][3] += trade.pnl_base
            counts[key][1] += 1
            counts[key][2] += trade.pnl_base > 0
    return table(
        (
            "Strategy",
            left_head("Instrument"),
            "Fills",
            "Traded value",
            "Fees",
            "Slippage",
            "Closed trades",
            "Win rate",
            "Net P&L",
        ),
        (_breakdown_row(key, rows[key], counts[key], result.base_currency) for key in rows),
        name="breakdown",
        class_="sortable",
    )


def _breakdown_row(
    key: tuple[str, str], sums: list[Decimal], counts: list[int], currency: str
) -> tuple[str, ...]:
    traded, fees, slippage, pnl = sums
    fills, closed, won = counts
    rate = won / closed if closed else None
    return (
        tag("th", key[0], scope="row"),
        tag("td", key[1], class_="text"),
        _number(f"{fills:,}", fills),
        *(_number(words.money(amount, currency), amount) for amount in (traded, fees, slippage)),
        _number(f"{closed:,}", closed),
        _number(words.percent(rate, signed=False, digits=0), rate),
        _number(words.money(pnl, currency), pnl, toned=True),
    )


def costs(result: RunResult) -> Html:
    """Return what trading cost, and what that is per closed trade and of the traded value."""
    c, currency = result.costs, result.base_currency
    traded = sum((f.notional * f.rate for f in result.fills), Decimal(0))

    def row(name: str, amount: Decimal) -> tuple[str, str, str]:
        share = f"{float(amount / traded) * 10_000:,.2f} bps" if traded else words.DASH
        return name, words.money(amount, currency), share

    lines = (
        row("Fees", c.fees),
        row("Slippage", c.slippage),
        row("Financing", c.financing),
        row("Total", c.total),
        ("Traded value", words.money(traded, currency), ""),
    )
    return table(("Cost", "Amount", "Of traded value"), lines, name="costs")


def identity(result: RunResult) -> Html:
    """Return what is needed to know and to repeat the run."""
    rows: list[tuple[str, str]] = [
        ("Run", result.run_id),
        *(("Strategy", _strategy_words(s.id, s.class_path, s.params.items())) for s in result.strategies),
        ("Instruments", ", ".join(i.id for i in result.instruments)),
        ("Data", result.data_source + (f" ({words.data_words(result)})" if result.data_label else "")),
        ("Config digest", result.config_digest or words.DASH),
        ("Code digest", result.code_digest or words.DASH),
        ("Data digest", result.data_digest or words.DASH),
        ("Parameter sets tried", f"{result.trials:,}"),
        ("Version", f"tradebot {result.version}" if result.version else words.DASH),
    ]
    found = ((tag("th", name, scope="row"), tag("td", value, class_="text")) for name, value in rows)
    return table(("", ""), found, name="identity", class_="pairs")


def _strategy_words(name: str, class_path: str, params: Iterable[tuple[str, str]]) -> str:
    values = ", ".join(f"{k}={v}" for k, v in params)
    return " · ".join(part for part in (name, class_path, values) if part)

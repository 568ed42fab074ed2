"""Write a finished run as one HTML file that needs nothing else: no network, no folder of parts.

Assembles the page; its tables, chart numbers, style and script live in `page`. The chart library's
script comes out of the plotly package and is embedded once, which is most of the file's size. A
content policy in the page forbids any request, so a report opened from a mail stays silent.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from tradebot.report import words
from tradebot.report.metrics import Metrics, measure
from tradebot.report.page import figures, tables
from tradebot.report.page.charts import chart_data, charted
from tradebot.report.page.markup import Html, join, tag
from tradebot.report.result import RunMode, RunResult

_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"

_GENERAL = (
    "Orders meet bars, not a real market: inside a bar only open, high, low and close are known.",
    "When a stop and a limit could both have been hit inside one bar, the worse one is assumed.",
    "Nobody reacts to our orders; impact is only what the slippage model adds.",
)


# Where the chart library goes. It is put in as the bytes it is stored as: as text it would be 10 MB, and
# each element around it another copy. No text of a page can look like this, because "<" is escaped.
_LIBRARY = Html("<script>/* chart library */</script>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The parts of a page that take long, and that neither the run's id nor its verdict is part of."""

    trades: Html
    data: str
    library: bytes


def draft(result: RunResult) -> Draft:
    """Make those parts, for a page that is written once all is known."""
    return Draft(trades=tables.trades(result), data=_json(result), library=_plotly())


def render_html(result: RunResult, metrics: Metrics | None = None) -> str:
    """Return the page as text, about 5 MB of which the chart library is 4.8."""
    return b"".join(_page(result, metrics, draft(result))).decode()


def _page(result: RunResult, metrics: Metrics | None, parts: Draft) -> tuple[bytes, ...]:
    before, found, after = _page_without_library(result, metrics, parts).partition(_LIBRARY)
    assert found
    return before.encode(), b"<script>", parts.library, b"</script>", after.encode()


def _page_without_library(result: RunResult, metrics: Metrics | None, parts: Draft) -> str:
    found = metrics or measure(result)
    body = join(
        (
            _header(result),
            tag("main", *_sections(result, found, parts)),
            tag(
                "footer",
                f"tradebot {result.version}".strip(),
                " · past results, simulated or not, promise nothing",
            ),
            Html(f'<script type="application/json" id="run-data">{parts.data}</script>'),
            _LIBRARY,
            Html(f"<script>{_asset('report.js')}</script>"),
        )
    )
    title = f"{result.label} · {words.mode_words(result.mode)}"
    head = join(
        (
            Html(
                '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
            ),
            Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
            Html('<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'),
            tag("title", title),
            Html(f"<style>{_asset('report.css')}</style>"),
        )
    )
    page = tag(
        "html",
        tag("head", head),
        tag("body", body),
        lang="en",
        data_run=result.run_id,
        data_mode=result.mode.value,
        data_label=result.data_label or None,
    )
    return f"<!doctype html>\n{page}\n"


def write_html(
    path: Path, result: RunResult, metrics: Metrics | None = None, parts: Draft | None = None
) -> Path:
    """Write the page to `path`, whole or not at all, and return the path; `parts` are made where not given."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.writelines(_page(result, metrics, parts or draft(result)))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _header(result: RunResult) -> Html:
    what = words.names(tuple(i.id for i in result.instruments), 8)
    badges = [tag("span", words.mode_words(result.mode), class_=f"badge {result.mode.value}", id="mode")]
    if result.data_label:
        badges.append(tag("span", words.data_words(result), class_="badge data", id="data-label"))
    facts = (what, words.interval_name(result.interval), words.period(result), result.data_source)
    zone = f"times in {result.time_zone}"
    made = f"made {words.moment(result.created_ts, result.time_zone)}" if result.created_ts else ""
    return tag(
        "header",
        tag("div", tag("h1", result.label), *badges, class_="title"),
        tag("p", *(tag("span", f) for f in (*facts, zone, made) if f), class_="subtitle"),
    )


def _sections(result: RunResult, metrics: Metrics, parts: Draft) -> list[Html]:
    kind = "" if result.mode is RunMode.LIVE else "How fills are decided"
    sections = [
        figures.tiles(result, metrics),
        _caveats(result, metrics),
        _section("Equity and drawdown", tag("div", id="equity-chart", class_="chart tall")),
    ]
    if result.candles:
        sections.append(_section("Prices and fills", *_price_parts(result)))
    sections += [
        _section("Figures", figures.figure_tables(result, metrics), figures.definitions(result, metrics)),
        _section("Returns by month, %", tables.months(result)),
        _section("Trades", parts.trades),
        _section("Costs", tag("div", tables.costs(result), tables.breakdown(result), class_="costs")),
        _section(kind or "How orders were filled", _rules(result)),
        _section("This run", tables.identity(result), _repeat(result)),
    ]
    return sections


def _section(title: str, *parts: Html) -> Html:
    name = title.split(",")[0].lower().replace(" ", "-")
    return tag("section", tag("h2", title), *parts, id=f"section-{name}")


def _caveats(result: RunResult, metrics: Metrics) -> Html:
    found = words.caveats(result, metrics)
    if not found:
        return Html("")
    items = (tag("li", c) for c in found)
    return tag("aside", tag("h2", "Before you believe it"), tag("ul", *items), id="caveats")


def _price_parts(result: RunResult) -> list[Html]:
    shown, left = charted(result)
    options = (tag("option", c.instrument, value=k) for k, c in enumerate(shown))
    choice = tag("label", "Instrument ", tag("select", *options, id="instrument"), class_="choice")
    parts = [choice] if len(shown) > 1 else []
    parts += [tag("p", "", class_="note", id="price-note"), tag("div", id="price-chart", class_="chart")]
    if left:
        parts.append(tag("p", f"Not charted: {', '.join(left)}.", class_="note", id="not-charted"))
    return parts


def _rules(result: RunResult) -> Html:
    general = () if result.mode is RunMode.LIVE else _GENERAL
    items = [tag("li", a) for a in (*result.assumptions, *general)]
    items.append(
        tag(
            "li",
            f"A worst-case assumption decided {words.assumed_words(result)} fills; "
            "trades with one carry a star.",
        )
    )
    if result.check_verdict:
        items.append(tag("li", f"Look-ahead check: {result.check_verdict}."))
    return tag("ul", *items, id="rules", data_assumed=result.assumed_fills, data_fills=len(result.fills))


def _repeat(result: RunResult) -> Html:
    if not result.repeat_command:
        return Html("")
    return tag("p", "Repeat: ", tag("code", result.repeat_command), id="repeat")


def _json(result: RunResult) -> str:
    # Inside a script element only "</" and "<!--" could end or change it, and "<" is escaped everywhere.
    text = json.dumps(chart_data(result), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    return files("tradebot.report.page").joinpath(name).read_text(encoding="utf-8")


def _plotly() -> bytes:
    script = files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
    return script.replace(b"</script", b"<\\/script").replace(b"<!--", b"<\\!--")

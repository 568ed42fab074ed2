"""The HTML report: one silent file, right in its words, drawn by a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.report.runs_for_tests import (
    make_fill,
    make_instrument,
    make_quotes_run,
    make_result,
    make_walk,
    make_year,
)
from tradebot.core.model import DAY, Side
from tradebot.report.html import render_html, write_html
from tradebot.report.page.charts import ALL_CANDLES, MAX_CHARTS, chart_data
from tradebot.report.page.tables import MAX_TRADES
from tradebot.report.result import RunMode, RunResult, StrategyRef
from tradebot.report.roundtrips import round_trips
from tradebot.report.series import candles_from_prices

EVIL = "</script><script>document.documentElement.dataset.pwned='1'</script><img src=x onerror=\"alert(1)\">"


def without_library(page: str) -> str:
    """The page without the chart library, so that searches mean what we wrote."""
    scripts = sorted(re.findall(r"<script>.*?</script>", page, flags=re.S), key=len)
    return page.replace(scripts[-1], "")


def data_of(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="run-data">(.*?)</script>', page, flags=re.S)
    assert found is not None
    data = json.loads(found.group(1))
    assert isinstance(data, dict)
    return data


@pytest.fixture(scope="module")
def year() -> RunResult:
    return make_year()


@pytest.fixture(scope="module")
def page(year: RunResult) -> str:
    return render_html(year)


def test_the_page_says_what_kind_of_run_and_data_it_shows(page: str) -> None:
    text = without_library(page)
    assert 'data-mode="backtest"' in text and 'data-label="SYNTHETIC"' in text
    assert '<span class="badge backtest" id="mode">BACKTEST</span>' in text
    assert '<span class="badge data" id="data-label">SYNTHETIC DATA</span>' in text
    assert "SYNTHETIC DATA: the result says nothing about a real market" in text


@pytest.mark.parametrize("mode", list(RunMode))
def test_the_mode_is_typed_out(mode: RunMode) -> None:
    text = without_library(render_html(make_result([1.0, 2.0], mode=mode)))
    assert f'id="mode">{mode.value.upper()}</span>' in text


def test_every_part_has_its_id_and_no_id_is_used_twice(page: str) -> None:
    ids = re.findall(r'\sid="([^"]+)"', without_library(page))
    assert len(ids) == len(set(ids))
    for part in [
        "tiles",
        "caveats",
        "equity-chart",
        "price-chart",
        "figures-return",
        "figures-risk",
        "figures-trading",
        "definitions",
        "months",
        "trades",
        "costs",
        "breakdown",
        "rules",
        "identity",
        "repeat",
        "run-data",
    ]:
        assert part in ids, part


def test_the_file_asks_for_nothing_and_forbids_asking(page: str) -> None:
    text = without_library(page)
    assert "default-src 'none'" in text and "connect-src" not in text
    assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?(https?:)?//""", text)
    assert page.count("plotly.js v") <= 1


def test_a_year_of_minutes_is_small_and_quick(year: RunResult) -> None:
    begin = time.process_time()
    size = len(render_html(year).encode())
    assert time.process_time() - begin < 1.5
    assert size < 8_000_000


def test_many_instruments_stay_under_the_size_and_name_those_left_out() -> None:
    count, bars = MAX_CHARTS + 3, 3000
    names = tuple(f"I{k:02d}" for k in range(count))
    ts = np.arange(1, bars + 1, dtype=np.int64) * DAY
    candles = tuple(candles_from_prices(n, ts, make_walk(bars, seed=k)) for k, n in enumerate(names))
    fills = tuple(make_fill(Side.BUY, "1", "100", n=k + 1, instrument=n) for k, n in enumerate(names))
    result = make_result(
        make_walk(bars),
        ts,
        instruments=tuple(make_instrument(n) for n in names),
        candles=candles,
        fills=fills,
    )
    page = render_html(result)
    prices = chart_data(result)["prices"]
    assert isinstance(prices, list) and len(prices) == MAX_CHARTS
    assert sum(len(p["t"]) for p in prices) <= ALL_CANDLES  # type: ignore[index, arg-type, call-overload]
    assert "Not charted: I24, I25, I26." in page
    assert len(page.encode()) < 8_000_000


def test_charts_draw_few_points_and_keep_the_deepest_fall(year: RunResult) -> None:
    data = chart_data(year)
    equity, prices = data["equity"], data["prices"]
    assert isinstance(equity, dict) and isinstance(prices, list) and isinstance(prices[0], dict)
    assert isinstance(equity["t"], list) and len(equity["t"]) < 4000
    assert isinstance(prices[0]["t"], list) and len(prices[0]["t"]) <= 1500
    peak = np.maximum.accumulate(year.equity)
    deepest = float(((year.equity / peak - 1) * 100).min())
    assert min(equity["drawdown"]) == pytest.approx(deepest, rel=1e-6)  # type: ignore[type-var, arg-type]


def test_fills_inside_a_candle_share_one_marker_at_their_average_price() -> None:
    ts = np.arange(1, 11, dtype=np.int64) * DAY
    fills = (
        make_fill(Side.BUY, "1", "100", n=0, ts=int(ts[4]), reason="dip"),
        make_fill(Side.BUY, "3", "104", n=1, ts=int(ts[4]), assumed=True),
        make_fill(Side.SELL, "4", "105", n=2, ts=int(ts[9])),
    )
    result = make_result(
        [1.0] * 10, ts, candles=(candles_from_prices("SPX", ts, make_walk(10)),), fills=fills
    )
    prices = chart_data(result)["prices"]
    assert isinstance(prices, list) and isinstance(prices[0], dict)
    assert prices[0]["buys"] == {
        "x": [4],
        "y": [103.0],
        "size": [10.0],
        "assumed": [True],
        "text": ["buy 4 at 103 in 2 fills<br>dip, target<br>worst case assumed: 1"],
    }
    assert prices[0]["sells"]["x"] == [9]  # type: ignore[index, call-overload]


def test_times_are_the_wall_clock_of_the_run_s_zone() -> None:
    ts = np.array([1_704_205_800_000_000_000], dtype=np.int64)  # 2024-01-02T14:30Z, 09:30 in New York
    data = chart_data(make_result([1.0], ts, interval=0, time_zone="America/New_York"))
    assert data["equity"]["t"] == [1_704_187_800_000]  # type: ignore[index, call-overload]


def test_the_trade_table_is_capped_with_a_note() -> None:
    fills = tuple(
        make_fill(Side.BUY if n % 2 == 0 else Side.SELL, "1", "100", n=n) for n in range(2 * MAX_TRADES + 20)
    )
    text = without_library(render_html(make_result([1.0, 2.0], fills=fills, trades=round_trips(fills))))
    table = text[text.index('id="trades"') : text.index("</table>", text.index('id="trades"'))]
    assert table.count("<tr>") == MAX_TRADES + 1
    assert f"The latest {MAX_TRADES} of {MAX_TRADES + 10}" in text


def test_a_price_keeps_the_decimals_of_its_tick() -> None:
    fills = (make_fill(Side.BUY, "1", "100"), make_fill(Side.SELL, "1", "100.5", n=1))
    text = without_library(render_html(make_result([1.0, 2.0], fills=fills, trades=round_trips(fills))))
    assert '<td data-v="100">100.00</td>' in text and '<td data-v="100.5">100.50</td>' in text


def test_names_and_reasons_never_become_markup() -> None:
    result = evil_run()
    text = without_library(render_html(result))
    assert "<img" not in text
    assert "data-pwned" not in text and "dataset.pwned='1'</script>" not in text
    assert "&lt;/script&gt;" in text
    assert data_of(render_html(result))["benchmark"] == EVIL


def evil_run() -> RunResult:
    ts = np.arange(1, 11, dtype=np.int64) * DAY
    fills = (
        make_fill(Side.BUY, "1", "100", n=0, ts=int(ts[1]), instrument=EVIL, reason=EVIL, strategy=EVIL),
        make_fill(Side.SELL, "1", "100", n=1, ts=int(ts[3]), instrument=EVIL, reason=EVIL, strategy=EVIL),
    )
    return make_result(
        np.linspace(1, 2, 10),
        ts,
        label=EVIL,
        run_id=EVIL,
        data_source=EVIL,
        data_label=EVIL,
        benchmark_name=EVIL,
        benchmark_equity=np.linspace(1, 2, 10),
        base_currency=EVIL,
        strategies=(StrategyRef(id=EVIL, class_path=EVIL, params={EVIL: EVIL}),),
        instruments=(make_instrument(EVIL),),
        candles=(candles_from_prices(EVIL, ts, make_walk(10)),),
        fills=fills,
        trades=round_trips(fills),
        warnings=(EVIL,),
        assumptions=(EVIL,),
        check_verdict=EVIL,
        repeat_command=EVIL,
        config_digest=EVIL,
        denials={EVIL: 1},
        version=EVIL,
        time_zone=EVIL,
    )


def test_an_empty_run_still_makes_a_page() -> None:
    text = without_library(render_html(make_result([0.0])))
    assert '<p id="no-trades">No trades.</p>' in text
    assert "nan" not in re.sub(r"<script>.*?</script>", "", text, flags=re.S).lower().replace("financ", "")


def test_writing_replaces_the_file_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    assert write_html(target, make_result([1.0, 2.0])) == target
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [target]


def test_a_page_that_cannot_be_put_in_its_place_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(IsADirectoryError):
        write_html(tmp_path / "report.html", make_result([1.0, 2.0]))
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_plotly_is_loaded_only_when_a_page_is_made() -> None:
    code = (
        "import sys, tradebot.report.html; before = 'plotly' in sys.modules; "
        "print(before, 'pandas' in sys.modules, 'pyarrow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]


def dom_of(page: Path, profile: Path, *more: str) -> str:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not installed; the page's script is not run")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--virtual-time-budget=8000",
        "--dump-dom",
    ]
    command = [chromium, *flags, f"--user-data-dir={profile}", *more, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.parametrize("kind", ["year", "quotes", "evil"])
def test_a_browser_draws_the_charts(tmp_path: Path, year: RunResult, kind: str) -> None:
    result = {"year": lambda: year, "quotes": make_quotes_run, "evil": evil_run}[kind]()
    dom = dom_of(
        write_html(tmp_path / "report.html", result), tmp_path / "profile", "--window-size=1280,1600"
    )
    root = dom[: dom.index("<head>")]
    assert 'data-drawn="yes"' in root
    assert "data-pwned" not in root
    expected = len(result.candles[0].ts)
    assert re.search(rf'id="price-chart"[^>]* data-candles="{expected}"', dom)
    assert dom.count('class="main-svg"') >= 4  # two drawings of two layers each
    if kind == "evil":
        assert "<img" not in dom[dom.index("<body") :]


def test_a_browser_sorts_a_table_by_value(tmp_path: Path) -> None:
    prices = ["100", "9", "25", "1000"]
    fills = []
    for k, price in enumerate(prices):
        fills.append(make_fill(Side.BUY, "1", price, n=2 * k))
        fills.append(make_fill(Side.SELL, "1", "50", n=2 * k + 1))
    page = write_html(
        tmp_path / "report.html", make_result([1.0, 2.0], fills=tuple(fills), trades=round_trips(fills))
    )
    click = "<script>document.querySelectorAll('#trades thead th')[4].click()</script></body>"
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", click), encoding="utf-8")
    dom = dom_of(page, tmp_path / "profile")
    table = dom[dom.index('id="trades"') :]
    rows = re.findall(r"<tr>.*?</tr>", table[: table.index("</table>")], flags=re.S)[1:]
    entries = [re.findall(r'<td data-v="(\d+)">', row)[1] for row in rows]  # after the quantity
    assert 'aria-sort="ascending"' in table
    assert entries == ["9", "25", "100", "1000"]


def test_a_benchmark_less_run_has_no_benchmark_column() -> None:
    text = without_library(render_html(replace(make_quotes_run(seconds=20), benchmark_equity=None)))
    assert "buy &amp; hold" not in text

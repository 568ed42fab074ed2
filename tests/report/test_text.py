"""The table on the terminal: every line of it, its fallbacks, and what it must not load."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from tests.report.runs_for_tests import START, days, make_fill, make_instrument, make_result
from tradebot.core.model import DAY, OrderKind, Side
from tradebot.report import words
from tradebot.report.metrics import measure
from tradebot.report.result import Costs, OpenOrder, Rejection, RunMode, RunResult
from tradebot.report.roundtrips import round_trips
from tradebot.report.text import print_report, render_text, to_ascii


@pytest.fixture
def year() -> RunResult:
    """400 daily points of two instruments: a straight rise with one dip, two closed trades."""
    equity = np.linspace(10_000.0, 11_240.0, 400)
    equity[200:210] -= 500.0
    benchmark = np.linspace(10_000.0, 11_890.0, 400)
    benchmark[300] = 9_000.0
    fills = (
        make_fill(Side.BUY, "10", "100", n=10, fee="1", slippage=Decimal("0.10")),
        make_fill(Side.SELL, "10", "110", n=50, fee="1.1", assumed=True),
        make_fill(Side.BUY, "10", "110", n=60, fee="1.1"),
        make_fill(Side.SELL, "10", "105", n=80, fee="1"),
    )
    return make_result(
        equity,
        label="sma_cross",
        instruments=(make_instrument("AAPL"), make_instrument("MSFT")),
        data_source="bundled bars",
        data_label="SAMPLE",
        benchmark_equity=benchmark,
        exposure=np.where(np.arange(400) % 4 == 0, 0.0, 0.5),
        fills=fills,
        trades=round_trips(fills),
        costs=Costs(fees=Decimal("37.20"), slippage=Decimal("4.00")),
        assumed_fills=1,
        check_verdict="no look-ahead in 50 sampled bars",
        repeat_command="tradebot backtest --from-run 2024-06-01T0910-trend",
    )


def test_the_table_shows_strategy_beside_benchmark(year: RunResult) -> None:
    assert render_text(year, measure(year), report_path="runs/x/report.html") == (
        "  BACKTEST  sma_cross  AAPL, MSFT  1d  2024-01-01 to 2025-02-03  (SAMPLE DATA)\n"
        "                              strategy      buy & hold\n"
        "  Return                       +12.4 %         +18.9 %\n"
        "  Return per year              +11.3 %         +17.2 %\n"
        "  Max drawdown                  -4.7 %         -21.2 %\n"
        "  Sharpe (daily)                  1.39            0.53\n"
        "  Sortino (daily)                 2.02            0.86\n"
        "  Trades / win rate           2 / 50 %               -\n"
        "  Profit factor                   1.88               -\n"
        "  Time in market                  75 %               -\n"
        "  Fees + slippage              -$41.20               -\n"
        "  End equity                $11,240.00      $11,890.00\n"
        "  Data: bundled bars (SAMPLE DATA)\n"
        "  Worst-case fills: 1 of 4 (25.0 %)\n"
        "  Look-ahead check: no look-ahead in 50 sampled bars\n"
        "  ! SAMPLE DATA: the result says nothing about a real market\n"
        "  ! 2 closed trades are too few to tell skill from luck: under 100, chance alone moves the win rate by 69 points"
        " or more\n"
        "  Report: runs/x/report.html\n"
        "  Repeat: tradebot backtest --from-run 2024-06-01T0910-trend\n"
    )


def test_without_benchmark_or_trades_the_gaps_are_dashes_and_said() -> None:
    result = make_result([100.0, 101.0])
    text = render_text(result, measure(result))
    assert "buy & hold" not in text
    assert "  Trades / win rate              0 / -\n" in text
    assert "  Return per year                    -\n" in text
    assert "  ! no closed trade: nothing to judge trading by\n" in text
    assert "nan" not in text.lower() and "None" not in text


def test_large_amounts_of_a_currency_with_a_long_name_stay_apart() -> None:
    ts = days(2)
    result = make_result([1_000_000.0, 1_000_001.0], ts, base_currency="USDC", benchmark_name="buy & hold",
                         benchmark_equity=np.array([1_000_000.0, 1_025_873.69]))  # fmt: skip
    assert "1,000,001.00 USDC 1,025,873.69 USDC\n" in render_text(result, measure(result))


def test_everything_that_lowers_trust_is_said() -> None:
    order = OpenOrder(
        order_id="a", strategy="t", instrument="X", side=Side.BUY, kind=OrderKind.LIMIT, qty=Decimal(1)
    )
    result = make_result(
        [100.0, 101.0, 100.5],
        trials=40,
        open_orders=(order, order),
        denials={"max_position": 2, "collar": 1},
        rejections=(
            Rejection(reason="insufficient cash: needs 7 USD, has 5", count=1, first_ts=86_400 * 10**9),
            Rejection(reason="ACME cannot be shorted", count=12, first_ts=2 * 86_400 * 10**9),
        ),
        warnings=("3 bars were missing",),
    )
    found = words.caveats(result, measure(result))
    assert "selected from 40 parameter sets: the best of many looks better than it is" in found
    assert "2 orders still open at the end" in found
    assert "3 wishes not acted on: collar 1, max_position 2" in found
    assert found[-3:-1] == (
        "12 orders rejected by the venue, first on 1970-01-02: ACME cannot be shorted",
        "1 order rejected by the venue, first on 1970-01-01: insufficient cash: needs 7 USD, has 5",
    )
    assert found[-1] == "3 bars were missing"
    assert any(c.startswith("2 daily returns (under a year)") for c in found)


@pytest.mark.parametrize("mode", list(RunMode))
def test_the_mode_is_typed_out(mode: RunMode) -> None:
    result = make_result([1.0, 1.0], mode=mode)
    assert render_text(result, measure(result)).startswith(f"  {mode.value.upper()}  ")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_colour_and_the_same_words(year: RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    print_report(replace(year, mode=RunMode.LIVE), measure(year), stream)
    assert "\x1b[32m" in stream.getvalue()  # a gain in green
    assert "\x1b[1;37;41m" in stream.getvalue()  # LIVE on red
    assert "selected" not in stream.getvalue()


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_is_left_out_when_asked(
    year: RunResult, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    stream = Terminal()
    print_report(year, measure(year), stream)
    assert stream.getvalue() == render_text(year, measure(year))


def test_a_stream_without_unicode_gets_ascii() -> None:
    result = make_result([1.0, 1.0], label="größe…", base_currency="EUR")
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    print_report(result, measure(result), stream)
    stream.flush()
    text = raw.getvalue().decode("ascii")
    assert r"gr\xf6\xdfe..." in text
    assert "EUR 1.00" in text


def test_ascii_keeps_ascii() -> None:
    assert to_ascii("a ! b +1.0 %") == "a ! b +1.0 %"


def test_dates_are_shown_in_the_run_s_zone() -> None:
    ts = START + DAY * np.array([1, 2], dtype=np.int64) + 3 * 3_600_000_000_000
    result = make_result([1.0, 1.0], ts, time_zone="America/New_York")
    assert "2024-01-01 to 2024-01-02" in render_text(result, measure(result))
    assert "2024-01-02 to 2024-01-03" in render_text(replace(result, time_zone="UTC"), measure(result))
    assert words.date(int(days(1)[0])) == "2024-01-01"  # a close at midnight is the day before's


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (words.percent(-0.000001), "0.0 %"),
        (words.percent(-0.00006), "-0.006 %"),
        (words.percent(0.5, signed=False, digits=0), "50 %"),
        (words.number(-0.001), "0.00"),
        (words.money(Decimal("-41.205"), "USD"), "-$41.20"),
        (words.money(Decimal("1204"), "CHF", signed=True), "+1,204.00 CHF"),
        (words.plain(Decimal("1E+3")), "1000"),
        (words.plain(Decimal("0.10000000")), "0.1"),
        (words.span(400 * DAY), "1 y 35 d"),
        (words.span(0), "0 s"),
        (words.interval_name(0), "quotes"),
        (words.interval_name(900_000_000_000), "15m"),
        (words.names(("a", "b", "c", "d", "e", "f")), "a, b, c, d +2 more"),
    ],
)
def test_figures_read_well(found: str, expected: str) -> None:
    assert found == expected


def test_printing_and_measuring_load_neither_pandas_nor_plotly_nor_rich() -> None:
    code = (
        "import sys; import tradebot.report.text, tradebot.report.metrics, tradebot.report.jsonout, "
        "tradebot.report.runs, tradebot.report.html; "
        "print([m for m in ('pandas', 'plotly', 'rich', 'pyarrow', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

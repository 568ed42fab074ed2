"""Each kind of trouble is found once, at its bar; clean series raise no error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from tradebot.core.messages import Split
from tradebot.core.model import ALWAYS_OPEN, DAY, HOUR, MINUTE, Instrument
from tradebot.data.arrays import BarArrays, QuoteArrays
from tradebot.data.calendars import sessions
from tradebot.data.check import check_series
from tradebot.data.check_quotes import check_quotes
from tradebot.data.findings import CheckLimits, CheckReport, Finding
from tradebot.data.importing import ImportOptions, read_bar_file
from tradebot.data.merge import utc_text

MakeBars = Callable[..., BarArrays]
DROP = ImportOptions(bad_rows="drop")


def found(report: CheckReport, kind: str) -> Finding | None:
    return next((finding for finding in report.findings if finding.kind == kind), None)


def only(report: CheckReport) -> Finding:
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


def changed(bars: BarArrays, row: int, **values: float) -> BarArrays:
    columns = {name: getattr(bars, name).copy() for name in values}
    for name, value in values.items():
        columns[name][row] = value
    return replace(bars, **columns)


def moved(bars: BarArrays, rows: slice, factor: float, volume: float = 1.0) -> BarArrays:
    """Multiply the prices and volumes of some rows."""
    columns = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for name, values in columns.items():
        values[rows] *= volume if name == "volume" else factor
    return replace(bars, **columns)


@pytest.fixture
def hours(make_bars: MakeBars) -> BarArrays:
    return make_bars(400, interval=HOUR, start=0)


def test_a_clean_series_has_no_finding(hours: BarArrays) -> None:
    report = check_series(hours, sessions(ALWAYS_OPEN))
    assert report.findings == ()
    assert report.ok
    assert report.as_dict()["ok"] is True


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"close": np.nan}, "bad_price"),
        ({"low": 0.0}, "bad_price"),
        ({"open": np.inf}, "bad_price"),
        ({"volume": -1.0}, "bad_price"),
        ({"high": 1.0}, "bad_ohlc"),
        ({"open": 900.0}, "bad_ohlc"),
    ],
)
def test_prices_that_cannot_be_true_are_errors(hours: BarArrays, values: dict[str, float], kind: str) -> None:
    finding = found(check_series(changed(hours, 7, **values)), kind)
    assert finding is not None
    assert (finding.count, finding.first_ts, finding.severity.value) == (1, hours.ts[7], "error")


def test_repeated_and_misplaced_bars_are_errors(hours: BarArrays) -> None:
    order = np.arange(400)
    order[10], order[20:22] = 9, (21, 20)
    report = check_series(hours.take(order), None)
    duplicate, disorder = found(report, "duplicate"), found(report, "disorder")
    assert duplicate is not None and disorder is not None
    assert (duplicate.count, duplicate.first_ts) == (1, hours.ts[9])
    assert (disorder.count, disorder.first_ts) == (1, hours.ts[20])
    assert not report.ok


def test_short_holes_are_warnings_and_long_ones_errors(hours: BarArrays) -> None:
    rows = np.arange(400)
    keep = (rows != 50) & ~((rows >= 100) & (rows < 113))
    report = check_series(hours.take(keep), sessions(ALWAYS_OPEN))
    error, warning = report.findings
    assert (error.severity.value, error.count, error.first_ts) == ("error", 1, hours.ts[113])
    assert "13 bars are missing" in error.message and "follows 13 missing bars" in error.examples[0]
    assert (warning.severity.value, warning.count, warning.first_ts) == ("warning", 1, hours.ts[51])


def test_a_jump_that_is_taken_back_is_a_bad_print_and_one_that_stays_an_outlier(hours: BarArrays) -> None:
    bad = only(check_series(moved(hours, slice(100, 101), 1.3)))
    assert (bad.kind, bad.severity.value, bad.count, bad.first_ts) == ("bad_print", "error", 1, hours.ts[100])
    stays = only(check_series(moved(hours, slice(100, None), 1.3)))
    assert (stays.kind, stays.severity.value, stays.first_ts) == ("outlier", "warning", hours.ts[100])


@pytest.mark.filterwarnings("error")
def test_a_jump_where_prices_stand_still_is_told_without_deviations(hours: BarArrays) -> None:
    still = np.full(400, 10.0)
    report = check_series(
        moved(replace(hours, open=still, high=still, low=still, close=still), slice(300, None), 1.31)
    )
    jump = found(report, "outlier")
    assert jump is not None
    assert jump.examples[0].endswith("close 10 -> 13.1 (where prices stand still)")


@pytest.mark.parametrize(("factor", "ratio"), [(2.0, "2:1"), (1 / 8, "1:8"), (1.5, "1.5:1"), (7.0, "7:1")])
def test_a_split_is_recognised_by_price_and_volume(hours: BarArrays, factor: float, ratio: str) -> None:
    even = replace(hours, volume=np.full(400, 100.0))
    finding = only(check_series(moved(even, slice(200, None), 1 / factor, factor)))
    assert (finding.kind, finding.severity.value, finding.first_ts) == ("split", "error", hours.ts[200])
    assert finding.examples[0].endswith(f"looks like a split of {ratio}")


def test_a_halving_on_news_volume_is_not_taken_for_a_split(hours: BarArrays) -> None:
    news = moved(replace(hours, volume=np.full(400, 100.0)), slice(200, None), 0.5)
    volume = news.volume.copy()
    volume[200] = 3000.0
    assert only(check_series(replace(news, volume=volume))).kind == "outlier"


def test_a_known_split_is_only_worth_knowing(hours: BarArrays) -> None:
    even = moved(replace(hours, volume=np.full(400, 100.0)), slice(200, None), 0.5, 2.0)
    split = Split(ts=int(hours.ts[199]), instrument=hours.instrument, ratio=Decimal(2))
    report = check_series(even, splits=[split])
    assert only(report).kind == "known_split"
    assert report.ok


def test_wicks_are_warnings_and_absurd_ones_errors(hours: BarArrays) -> None:
    wick = only(check_series(changed(hours, 9, high=float(hours.high[9]) * 1.4)))
    assert (wick.kind, wick.severity.value, wick.first_ts) == ("wick", "warning", hours.ts[9])
    absurd = only(check_series(changed(hours, 9, low=float(hours.low[9]) / 17)))
    assert (absurd.kind, absurd.severity.value) == ("bad_wick", "error")


def test_copied_bars_are_stale_and_standing_prices_flat(hours: BarArrays) -> None:
    copied = np.concatenate([np.arange(300), np.full(5, 299), np.arange(300, 395)])
    stale = only(check_series(replace(hours.take(copied), ts=hours.ts)))
    assert (stale.kind, stale.severity.value, stale.count, stale.first_ts) == (
        "stale",
        "error",
        1,
        hours.ts[299],
    )
    assert stale.examples[0].endswith("6 bars")
    still = replace(hours.take(copied), ts=hours.ts)
    flat = check_series(replace(still, volume=hours.volume), limits=CheckLimits(flat_bars=6))
    assert only(flat).kind == "flat" and flat.ok


def test_missing_volume_is_told(hours: BarArrays) -> None:
    some = only(check_series(changed(hours, 3, volume=0.0)))
    assert (some.kind, some.severity.value) == ("zero_volume", "warning")
    assert only(check_series(replace(hours, volume=np.zeros(400)))).kind == "no_volume"


def test_sessions_without_bars_and_bars_without_session_are_errors(make_bars: MakeBars) -> None:
    calendar = sessions("XNYS")
    start = 19_662 * DAY  # 2023-11-01
    _, closes = calendar.between(start, start + 60 * DAY)
    bars = replace(make_bars(len(closes), interval=DAY), ts=closes)
    assert check_series(bars, calendar).ok
    missing = bars.take(np.arange(len(bars)) != 16)
    gap = only(check_series(missing, calendar))
    assert (gap.kind, gap.severity.value, gap.first_ts) == ("gap", "error", closes[16])
    assert utc_text(gap.first_ts) == "2023-11-24T18:00:00Z"
    full_day = replace(bars, ts=np.where(np.arange(len(bars)) == 16, closes + 3 * HOUR, closes))
    report = check_series(full_day, calendar)
    assert [finding.kind for finding in report.findings] == ["gap", "off_calendar"]


def test_minutes_are_checked_inside_sessions_only(make_bars: MakeBars) -> None:
    calendar = sessions("XNYS")
    start = 19_685 * DAY  # 2023-11-24, a half-day
    opens, closes = calendar.between(start, start + 4 * DAY)
    ts = np.concatenate([np.arange(a + MINUTE, b + 1, MINUTE) for a, b in zip(opens, closes, strict=True)])
    bars = replace(make_bars(len(ts), interval=MINUTE), ts=ts)
    assert len(ts) == 210 + 390
    assert check_series(bars, calendar).findings == ()
    gap = only(check_series(bars.take((np.arange(len(ts)) < 50) | (np.arange(len(ts)) > 52)), calendar))
    assert (gap.severity.value, gap.count) == ("warning", 3)


def test_bars_in_extended_hours_are_told_as_such(make_bars: MakeBars) -> None:
    calendar = sessions("XNYS")
    start = 19_685 * DAY  # 2023-11-24, a half-day that ends at 18:00 UTC
    ts = np.arange(start + 10 * HOUR, start + 20 * HOUR, HOUR // 2)
    report = check_series(replace(make_bars(len(ts), interval=HOUR // 2), ts=ts), calendar)
    told = only(report)
    assert (told.kind, told.severity.value, told.count) == ("off_session", "warning", 13)
    assert told.message == (
        "bars outside the sessions of XNYS (extended hours): strategies see them, no order fills on one"
    )
    assert (told.first_ts, told.last_ts) == (ts[0], ts[-1])


def test_an_empty_series_is_ok_and_says_so() -> None:
    report = check_series(BarArrays.empty("X", HOUR), sessions(ALWAYS_OPEN))
    assert report.ok and report.rows == 0 and report.first_ts is None


def test_a_report_is_plain_values(hours: BarArrays) -> None:
    record = check_series(changed(hours, 7, close=np.nan)).as_dict()
    findings = record["findings"]
    assert isinstance(findings, list)
    assert findings[0]["severity"] == "error"
    assert findings[0]["first_ts"] == utc_text(int(hours.ts[7]))


def test_quotes_are_checked_for_order_prices_and_spreads(make_quotes: Callable[..., QuoteArrays]) -> None:
    quotes = make_quotes(100)
    assert check_quotes(quotes).findings == ()
    bid, ask, ts = quotes.bid.copy(), quotes.ask.copy(), quotes.ts.copy()
    bid[3], ask[5], ask[7], ts[9], ts[50:] = 200.0, np.nan, 300.0, 0, ts[50:] + DAY
    report = check_quotes(replace(quotes, bid=bid, ask=ask, ts=ts))
    assert {finding.kind: (finding.severity.value, finding.first_ts) for finding in report.findings} == {
        "disorder": ("error", 0),
        "bad_price": ("error", ts[5]),
        "crossed": ("error", ts[3]),
        "wide_spread": ("warning", ts[7]),
        "gap": ("warning", ts[50]),
    }
    assert not report.ok and report.interval == 0


def changed_quotes(quotes: QuoteArrays, row: int | slice, **values: float) -> QuoteArrays:
    columns = {name: getattr(quotes, name).copy() for name in values}
    for name, value in values.items():
        columns[name][row] = value
    return replace(quotes, **columns)


@pytest.mark.parametrize(
    ("kind", "severity", "row", "values"),
    [
        ("bad_price", "error", 4, {"bid": 0.0}),
        ("bad_price", "error", 4, {"ask": np.nan}),
        ("bad_price", "error", 4, {"ask_qty": -1.0}),
        ("bad_price", "error", 4, {"bid_qty": np.inf}),
        ("crossed", "error", 4, {"bid": 106.0}),
        ("wide_spread", "warning", 4, {"ask": 300.0}),
        ("no_quantity", "warning", 4, {"bid_qty": 0.0}),
        ("bad_print", "error", 50, {"bid": 140.0, "ask": 141.0}),
        ("outlier", "warning", slice(50, 79), {"bid": 240.0, "ask": 241.0}),
        ("stale", "warning", slice(50, 90), {"bid": 100.0, "ask": 101.0}),
    ],
)
def test_a_quote_that_is_off_is_found_under_its_name(
    make_quotes: Callable[..., QuoteArrays],
    kind: str,
    severity: str,
    row: int | slice,
    values: dict[str, float],
) -> None:
    quotes = make_quotes(100)

    report = check_quotes(changed_quotes(quotes, row, **values))

    finding = only(report)
    first = row.start if isinstance(row, slice) else row
    assert (finding.kind, finding.severity.value, finding.first_ts) == (kind, severity, quotes.ts[first])


def test_a_copy_of_a_quote_is_not_a_second_quote_of_its_moment(
    make_quotes: Callable[..., QuoteArrays],
) -> None:
    quotes = make_quotes(10)
    again = quotes.take(np.array([0, 1, 1, 2, 3]))

    assert only(check_quotes(again)).kind == "duplicate"
    assert check_quotes(changed_quotes(again, 2, ask_qty=7.0)).findings == ()


def test_quotes_are_held_against_their_calendar(make_quotes: Callable[..., QuoteArrays]) -> None:
    nyse = sessions("XNYS")
    opens, closes = nyse.between(1_577_836_800 * 10**9, 1_578_700_800 * 10**9)
    days = [make_quotes(400).ts * 60 + a for a in opens.tolist()]  # a quote a minute, to ten after the close
    days = [ts[ts <= c] for ts, c in zip(days, closes.tolist(), strict=True)]
    row = make_quotes(sum(len(ts) for ts in days))
    whole = replace(row, ts=np.concatenate(days))
    assert check_quotes(whole, nyse).findings == ()

    without = replace(make_quotes(len(whole) - len(days[2])), ts=np.concatenate([*days[:2], *days[3:]]))
    assert (only(check_quotes(without, nyse)).message, check_quotes(without, nyse).ok) == (
        "1 sessions of XNYS have no quote",
        False,
    )
    hole = (whole.ts < opens[1] + HOUR) | (whole.ts > opens[1] + 3 * HOUR)
    silence = only(check_quotes(whole.take(hole), nyse))
    assert (silence.kind, silence.severity.value, silence.count) == ("gap", "warning", 1)

    late = whole.ts.copy()
    late[-1] = closes[-1] + 30 * MINUTE
    assert only(check_quotes(replace(whole, ts=late), nyse)).kind == "off_session"


# -- recorded data -----------------------------------------------------------------------------

SPLITS = {
    "lean_raw/AAPL": ["2000-06-21", "2005-02-28", "2014-06-09", "2020-08-31"],
    "lean_raw/BAC": ["2004-08-30"],
    "lean_raw/EEM": ["2005-06-09", "2008-07-24"],
    "lean_raw/IBM": ["1999-05-27"],
    "lean_raw/QQQ": ["2000-03-20"],
    "lean_raw/USO": ["2020-04-29"],
    "etf_raw/EFA": ["2005-06-09"],
    "etf_raw/IJH": ["2005-06-09"],
    "etf_raw/IWM": ["2005-06-09"],
    "etf_raw/QQQ": ["2000-03-20"],
    "etf_raw/VTI": ["2008-06-18"],
    "etf_raw/VWO": ["2008-06-18"],
}


@pytest.mark.parametrize("name", SPLITS)
def test_every_unadjusted_split_of_real_funds_and_stocks_is_found(
    shared_data: Path, stock: Instrument, name: str
) -> None:
    bars, _ = read_bar_file(shared_data / "equity_daily" / f"{name}.csv", stock)
    finding = found(check_series(bars, sessions("XNYS")), "split")
    assert finding is not None
    assert [example[:10] for example in finding.examples] == SPLITS[name]


def test_adjusted_stocks_have_no_false_split_and_their_known_holes_are_found(
    shared_data: Path, stock: Instrument
) -> None:
    missing: dict[str, list[str]] = {}
    for path in sorted((shared_data / "equity_daily" / "stocks_split_adjusted").glob("*.csv")):
        bars, report = read_bar_file(path, stock, DROP)
        checked = check_series(bars, sessions("XNYS"), limits=CheckLimits(examples=99))
        assert found(checked, "split") is None, path
        gap = found(checked, "gap")
        assert gap is not None and gap.count >= len(report.issues)
        missing[path.stem] = [example[:10] for example in gap.examples]
    for name in ("AABA", "AAPL", "AMZN", "CSCO", "INTC", "MSFT"):
        assert "2010-04-01" in missing[name]
    assert "2009-08-11" in missing["MRK"]


def test_the_bid_for_yahoo_is_an_outlier_and_no_error(shared_data: Path, stock: Instrument) -> None:
    path = shared_data / "equity_daily" / "stocks_split_adjusted" / "AABA.csv"
    bars, _ = read_bar_file(path, stock, DROP)
    outlier = found(check_series(bars), "outlier")
    assert outlier is not None and outlier.severity.value == "warning"
    assert any(example.startswith("2008-02-01") for example in outlier.examples)


def test_the_years_without_qqq_are_one_gap(shared_data: Path, stock: Instrument) -> None:
    bars, _ = read_bar_file(shared_data / "equity_daily" / "lean_raw" / "QQQ.csv", stock)
    gap = found(check_series(bars, sessions("XNYS")), "gap")
    assert gap is not None and gap.count == 1588
    assert (utc_text(gap.first_ts)[:10], utc_text(gap.last_ts)[:10]) == ("2004-12-01", "2011-03-22")


def test_the_bad_prints_of_bitfinex_are_found(shared_data: Path, coin: Instrument) -> None:
    bars, _ = read_bar_file(shared_data / "crypto_bars" / "other_hour" / "BTCUSD.csv", coin)
    report = check_series(bars, sessions(ALWAYS_OPEN))
    bad = found(report, "bad_print")
    assert bad is not None and not report.ok
    assert bad.examples == ("2013-10-02T16:00:00Z close 115.24 -> 88.62 (27 deviations)",)


def test_a_split_between_two_sessions_of_minutes_is_found(shared_data: Path, stock: Instrument) -> None:
    bars, _ = read_bar_file(shared_data / "equity_intraday" / "minute" / "AAPL_trade.csv", stock)
    finding = found(check_series(bars, sessions("XNYS")), "split")
    assert finding is not None
    assert finding.examples[0].startswith("2014-06-09") and finding.examples[0].endswith("7:1")


@pytest.mark.parametrize(
    "name",
    [
        *(
            f"equity_daily/etf_raw/{fund}"
            for fund in ("SPY", "TLT", "AGG", "GLD", "VNQ", "DIA", "XLE", "XLF")
        ),
        *(f"crypto_bars/{coin}USDT_1d_to_2021" for coin in ("BTC", "LTC", "ADA")),
        "crypto_bars/BTCUSDT_1h_2017_2020",
        "crypto_bars/APTUSDT_15m",
        "crypto_bars/BTCPERP_1m_202201",
        *(f"crypto_bars/five_minute_jan2018/{c}_BTC-5m" for c in ("ETH", "LTC", "XMR", "DASH", "ZEC", "XLM")),
        "equity_intraday/hour/BAC",
        "equity_intraday/hour/IBM",
        "equity_intraday/minute/SPY_trade",
        "equity_intraday/minute/IBM_trade",
    ],
)
def test_clean_recorded_series_raise_no_error(
    shared_data: Path, coin: Instrument, stock: Instrument, name: str
) -> None:
    instrument = coin if name.startswith("crypto") else stock
    bars, _ = read_bar_file(shared_data / f"{name}.csv", instrument)
    report = check_series(bars, sessions(instrument.calendar))
    assert report.ok, report.findings

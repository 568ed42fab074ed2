"""Settings that a backtest cannot honour are said, never dropped in silence."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cli.conftest import Tradebot, configured, entry, write_bars
from tradebot.errors import ExitCode

CROSSOVER = "ma_crossover.py:MovingAverageCrossover"


@pytest.fixture
def small(here: Path) -> Path:
    text = configured(entry("fast", CROSSOVER, more="params: {fast: 5, slow: 20}"))
    (here / "tradebot.yaml").write_text(text + "backtest: {from: 2010-01-01, to: 2010-06-30}\n")
    return here


@pytest.mark.parametrize(
    "setting",
    [
        "backtest.seed=1",
        "strategies.fast.late_entry={max_bars: 3}",
    ],
)
def test_a_setting_without_effect_is_named_below_the_table(
    tradebot: Tradebot, small: Path, setting: str
) -> None:
    ended = tradebot("backtest", "--no-report", "--set", setting)

    assert ended.code == 0
    assert f"! {setting.partition('=')[0]} has no effect on a backtest" in ended.out


def test_an_accounts_capital_is_what_its_strategies_start_with(tradebot: Tradebot, small: Path) -> None:
    words = ("backtest", "--json", "--no-report", "--set", "accounts.main.cash=10000 USD")
    run = tradebot(*words, "--set", "accounts.main.capital=5000 USD").json["runs"][0]

    assert run["metrics"]["curve"]["start"] == "5000.00000000"


@pytest.mark.parametrize(
    "setting",
    [
        "strategies.fast.orders={type: market, collar: 1%}",
        "strategies.fast.schedule={every: week, weekday: monday}",
        "strategies.fast.schedule={every: week}",
        "strategies.fast.orders={at: opening_auction, tif: day}",
    ],
)
def test_a_setting_that_would_change_trades_is_refused(tradebot: Tradebot, small: Path, setting: str) -> None:
    ended = tradebot("backtest", "--no-report", "--set", setting)

    assert ended.code == ExitCode.CONFIG
    assert setting.partition("=")[0].removeprefix("strategies.fast.") in ended.err


def test_a_backtest_names_the_exits_that_the_engine_kept(tradebot: Tradebot, small: Path) -> None:
    words = ("backtest", "--json", "--no-report", "--set")
    kept = tradebot(*words, "strategies.fast.exits={stop_loss: 2%, where: engine}").json["runs"][0]
    trades = kept["run"]["trades"]
    assert "stop_loss" in {trade["exit_reason"] for trade in trades}


def test_what_slippage_took_is_counted_among_the_costs(tradebot: Tradebot, small: Path) -> None:
    """Fixed quantities, so that both runs trade alike and only prices differ."""
    words = ("backtest", "--json", "--no-report", "--to", "2011-06-30")
    words += ("--set", "backtest.close_open_positions_at_end=force")
    words += ("--set", "strategies.fast.sizing={kind: fixed_qty, qty: 3}")
    free = tradebot(*words).json["runs"][0]
    slipped = tradebot(*words, "--set", "slippage={kind: bps, bps: 25}").json["runs"][0]

    def paid(run: dict[str, dict[str, list[dict[str, str]]]]) -> Decimal:
        trades = run["run"]["trades"]
        return sum((Decimal(t["entry_value"]) - Decimal(t["exit_value"]) for t in trades), Decimal(0))

    assert len(slipped["run"]["trades"]) > 3
    assert all(t["exit_value"] for t in slipped["run"]["trades"])
    assert free["run"]["costs"]["slippage"] == "0"
    assert Decimal(slipped["run"]["costs"]["slippage"]) == paid(slipped) - paid(free) > 0


@pytest.mark.parametrize("price", ["last_close", "last_open"])
@pytest.mark.parametrize(
    "more", ["", "exits: {stop_loss: 50%, take_profit: 50%}", "execution: {kind: twap, slices: 3, over: 3d}"]
)
def test_open_positions_are_closed_at_the_end_when_asked(
    tradebot: Tradebot, here: Path, price: str, more: str
) -> None:
    text = configured(entry("fast", CROSSOVER, more=f"params: {{fast: 5, slow: 20}}, {more}".rstrip(", ")))
    (here / "tradebot.yaml").write_text(text + "backtest: {from: 2010-01-01, to: 2011-04-01}\n")
    end = ("--set", f"fills.end.price={price}")
    left = tradebot("backtest", "--json", "--no-report", *end).json["runs"][0]["run"]
    end += ("--set", "backtest.close_open_positions_at_end=force")
    forced = tradebot("backtest", "--json", "--no-report", *end).json["runs"][0]["run"]

    assert left["trades"][-1]["exit_price"] is None
    assert [t for t in forced["trades"] if t["exit_price"] is None] == []
    assert forced["open_orders"] == []
    assert forced["warnings"] == left["warnings"]
    last = forced["trades"][-1]
    assert last["exit_reason"] == "end of data"
    assert last["exit_price"] == {"last_close": "1332.410034", "last_open": "1329.479980"}[price]


@pytest.mark.parametrize(
    ("settings", "must"),
    [
        (["accounts.main.cash=[10000 USD, 1 BTC]"], "rates.BTC\n  is required"),
        (["accounts.main.cash=[10000 USD, 1 BTC]", "rates={BTC: 9000 EUR}"], "rates.BTC\n  must be in USD"),
        (["accounts.main.cash=10000 EUR"], "rates.USD\n  is required"),
        (["accounts.main.base=EUR"], "rates.USD\n  is required"),
    ],
)
def test_money_that_cannot_be_added_up_is_refused(
    tradebot: Tradebot, small: Path, settings: list[str], must: str
) -> None:
    ended = tradebot("backtest", "--no-report", *(word for s in settings for word in ("--set", s)))

    assert ended.code == ExitCode.CONFIG
    assert must in ended.err


@pytest.mark.parametrize("feed", ["prices/none.csv", "none.csv", "~/none"])
def test_a_feed_that_is_a_path_to_nothing_is_refused(tradebot: Tradebot, small: Path, feed: str) -> None:
    ended = tradebot("backtest", "--no-report", "--set", f"accounts.main.feed={feed}")

    assert ended.code == ExitCode.CONFIG
    assert "accounts.main.feed\n  must be a file or folder of bars, there is no" in ended.err


def test_a_file_is_not_taken_for_several_instruments(tradebot: Tradebot, small: Path) -> None:
    write_bars(small / "prices.csv")
    both = ("--set", "strategies.fast.instruments=[SPX, SYN/USD]")

    ended = tradebot("backtest", "--no-report", *both, "--set", "accounts.main.feed=prices.csv")

    assert ended.code == ExitCode.CONFIG
    assert "is one file, which holds one instrument; SPX, SYN/USD are traded" in ended.err


def test_a_feed_that_only_trading_can_follow_is_named(tradebot: Tradebot, small: Path) -> None:
    ended = tradebot("backtest", "--no-report", "--set", "accounts.main.feed=binance")

    assert ended.code == 0
    assert "! accounts.main.feed: binance is not followed, the backtest reads what is stored" in ended.out


@pytest.mark.parametrize(
    "setting",
    ["interval=1h", "exits={stop_loss: 5%}", "sizing={kind: fixed_qty, qty: 5}", "orders={type: limit}"],
)
def test_what_a_market_maker_has_no_use_for_is_refused(
    tradebot: Tradebot, project: Path, setting: str
) -> None:
    ended = tradebot("backtest", "maker", "--no-report", "--set", f"strategies.maker.{setting}")

    assert ended.code == ExitCode.CONFIG
    assert f"strategies[3].{setting.partition('=')[0]}\n  must be absent: market_making.py" in ended.err


def test_a_fee_in_a_third_asset_is_refused_where_prices_are_in_two(tradebot: Tradebot, small: Path) -> None:
    write_bars(small / "prices.csv")
    words = ("--id", "ABC/EUR", "--class", "crypto", "--tick-size", "0.01", "--lot-size", "0.01")
    assert tradebot("data", "import", "prices.csv", *words).code == 0
    settings = (
        "strategies.fast.instruments=[SYN/USD, ABC/EUR]",
        "backtest={}",
        "accounts.main.cash=[10000 USD, 1 BNB]",
        "rates={BNB: 300 USD, EUR: 1.1 USD}",
        "fees={kind: bps, bps: 10, asset: BNB}",
    )

    ended = tradebot("backtest", "--no-report", *(word for s in settings for word in ("--set", s)))

    assert ended.code == ExitCode.CONFIG
    assert (
        "fees.asset\n  must be quote or base where instruments are priced in EUR and USD alike" in ended.err
    )


def test_what_the_venue_refused_is_said_with_its_reason(tradebot: Tradebot, small: Path) -> None:
    # What was sized at the close costs more at the open.
    words = (
        "backtest",
        "--no-report",
        "--set",
        "strategies.fast.sizing={kind: fraction_of_equity, fraction: 100%}",
    )
    words += ("--set", "strategies.fast.first_entry=at_once", "--set", "slippage={kind: bps, bps: 50}")
    text, run = tradebot(*words).out, tradebot(*words, "--json").json["runs"][0]

    (rejection,) = run["run"]["rejections"]
    assert rejection["count"] > 1
    assert rejection["reason"].startswith("insufficient cash: needs 1")
    assert f"! {rejection['count']} orders rejected by the venue, first on 2010-" in text


def test_halts_are_counted_with_the_day_of_the_first(tradebot: Tradebot, small: Path) -> None:
    ended = tradebot(
        *("backtest", "--no-report", "--set", "limits.max_daily_loss=20bps"),
        *("--set", "strategies.fast.first_entry=at_once"),
    )

    (line,) = [x for x in ended.out.splitlines() if "halted" in x and "!" in x and "max_daily_loss" in x]
    assert re.search(r"! trading was halted \d+ times, first on 2010-\d\d-\d\d: max_daily_loss", line)


def test_a_run_that_only_waited_for_another_signal_says_so(tradebot: Tradebot, small: Path) -> None:
    text = configured(
        entry("still", "robo_portfolio.py:FixedWeights", more="params: {weights: {SPX: 50%}, every: never}")
    )
    (small / "tradebot.yaml").write_text(text)

    ended = tradebot("backtest", "--no-report")

    assert "! nothing was traded" in ended.out
    assert "first_entry: at_once" in ended.out


FAST = "strategies.fast"


@pytest.mark.parametrize(
    "settings",
    [
        [f"{FAST}.orders={{type: market, collar: 1%}}"],
        [f"{FAST}.orders={{at: opening_auction, tif: day}}"],
        [f"{FAST}.orders={{at: closing_auction}}", "calendars={SPX: 24/7}"],
        [f"{FAST}.schedule={{every: week}}"],
        [f"{FAST}.sizing={{kind: fixed_notional, notional: 100 EUR}}"],
        [f"{FAST}.capital=20000 USD"],
        [f"{FAST}.capital=5 EUR"],
        ["accounts.main.base=EUR"],
        ["accounts.main.cash=[10000 USD, 5 BTC]"],
        ["accounts.main.cash=[10000 USD, 5 BTC]", "rates={BTC: 1 EUR}"],
        ["accounts.main.feed=nowhere.csv"],
        ["limits.max_order=100 EUR", "limits.max_gross=5 EUR"],
        ["fees={kind: bps, bps: 5, asset: BNB}", "rates={BNB: SPX}"],
        ["fees={kind: bps, bps: 5, asset: BNB}"],
        ["slippage={kind: ticks, ticks: 1, probability: 50%}"],
        ["fills.intrabar_path=finer_bars"],
        ["rates={EUR: SPX}"],
    ],
)
def test_validate_says_what_a_backtest_would_refuse(
    tradebot: Tradebot, small: Path, settings: list[str]
) -> None:
    words = [word for setting in settings for word in ("--set", setting)]

    refused, validated = tradebot("backtest", "--no-report", *words), tradebot("config", "validate", *words)

    assert refused.code == ExitCode.CONFIG
    assert (validated.code, validated.err) == (refused.code, refused.err)


def test_validate_says_at_once_what_is_wrong_with_several_sections(tradebot: Tradebot, small: Path) -> None:
    (small / "tradebot.yaml").write_text(
        (small / "tradebot.yaml").read_text()
        + "limits: {max_order: 100 EUR}\nslippage: {kind: ticks, ticks: 1, probability: 50%}\nrates: {EUR: SPX}\n"
    )

    ended = tradebot("config", "validate", "--set", f"{FAST}.schedule={{every: week}}")

    assert ended.code == ExitCode.CONFIG
    for key in ("limits.max_order", "slippage.probability", "rates.EUR", "strategies[0].schedule"):
        assert f"  {key}\n" in ended.err


def test_validate_takes_an_instrument_that_is_not_stored_yet_as_it_is_said(
    tradebot: Tradebot, small: Path
) -> None:
    words = ("--set", f"{FAST}.instruments=[SOON]")
    fees = ("--set", "fees={kind: bps, bps: 5, asset: BNB}", "--set", "rates={BNB: 300 USD}")

    assert tradebot("config", "validate", *words).code == 0
    assert tradebot("config", "validate", *words, *fees).code == 0


@pytest.mark.parametrize("limit", ["max_orders_per_day", "max_orders_per_minute", "max_messages_per_second"])
def test_each_account_has_its_own_count_of_what_was_sent(tradebot: Tradebot, small: Path, limit: str) -> None:
    more = "params: {fast: 5, slow: 20}, account: "
    one, two = entry("one", CROSSOVER, more=f"{more}a"), entry("two", CROSSOVER, more=f"{more}b")
    text = (
        configured(one, two)
        .replace("main:", "a:")
        .replace("strategies:", "  b: {venue: sim, feed: sample, cash: 10000 USD}\nstrategies:")
    )
    span = "backtest: {from: 2010-01-01, to: 2010-06-30}\n"
    (small / "tradebot.yaml").write_text(f"{text}{span}limits: {{{limit}: 1}}\n")

    both = [run["run"] for run in tradebot("backtest", "--no-report", "--json").json["runs"]]

    assert both[0]["trades"]
    assert [run["denials"] for run in both] == [{}, {}]


def test_bars_that_cannot_be_made_are_missing_data_and_no_wrong_word(tradebot: Tradebot, small: Path) -> None:
    ended = tradebot("backtest", "--no-report", "--set", f"{FAST}.interval=2d")

    assert (ended.code, ended.err) == (
        ExitCode.FAILED,
        "Error: no such bars of SPX are stored, and none can be made: "
        "an interval must divide a day, or be 1d or 1w; was 2d\n",
    )

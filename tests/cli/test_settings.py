"""Settings that a backtest cannot honour are said, never dropped in silence."""

from pathlib import Path

import pytest

from tests.cli.conftest import Tradebot, configured, entry
from tradebot.errors import ExitCode

CROSSOVER = "ma_crossover.py:MovingAverageCrossover"


@pytest.fixture
def small(here: Path) -> Path:
    text = configured(entry("fast", CROSSOVER, more="params: {fast: 5, slow: 20}"))
    (here / "tradebot.yaml").write_text(text + "backtest: {from: 2010-01-01, to: 2010-06-30}\n")
    return here


@pytest.mark.parametrize(
    "setting",
    ["limits.collar=1%", "limits.max_data_age=1h", "accounts.main.capital=5000 USD", "backtest.seed=1"],
)
def test_a_setting_without_effect_is_named_below_the_table(
    tradebot: Tradebot, small: Path, setting: str
) -> None:
    ended = tradebot("backtest", "--no-report", "--set", setting)

    assert ended.code == 0
    assert f"! {setting.partition('=')[0]} has no effect on a backtest" in ended.out


@pytest.mark.parametrize(
    "setting",
    [
        "strategies.fast.orders={type: market, collar: 1%}",
        "strategies.fast.schedule={every: week, weekday: monday}",
        "strategies.fast.exits={stop_loss: 5%, where: engine}",
        "latency={data: 1s}",
    ],
)
def test_a_setting_that_would_change_trades_is_refused(tradebot: Tradebot, small: Path, setting: str) -> None:
    ended = tradebot("backtest", "--no-report", "--set", setting)

    assert ended.code == ExitCode.CONFIG
    assert setting.partition("=")[0].removeprefix("strategies.fast.") in ended.err


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

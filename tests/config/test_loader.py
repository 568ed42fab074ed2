"""What a file means: every field typed, defaults, the environment, overrides, anchors."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from tradebot.config.find import find_config
from tradebot.config.loader import Loaded, load_config, parse
from tradebot.config.models import Config
from tradebot.config.simulation import BpsFee, Fills
from tradebot.config.strategies import FixedQty, FractionOfEquity, Immediate, Twap
from tradebot.config.units import Money
from tradebot.core.model import DAY, HOUR, MINUTE, SECOND, AccountModel
from tradebot.errors import ConfigError

ROOT = Path(__file__).parents[2]
USD = "USD"

SECTION_11 = """\
version: 1
mode: paper                      # live also needs `--live` on the command line
accounts:
  main: {venue: sim, feed: sample, cash: 10000 USD}
strategies:
  - id: trend                    # permanent: positions and history belong to it
    class: ma_crossover.py:MovingAverageCrossover
    account: main
    instruments: [SPX]
    interval: 1d
    params: {fast: 50, slow: 200}
    sizing: {kind: fraction_of_equity, fraction: 95%}
    exits: {stop_loss: 8%, after_exit: next_signal}
    execution: {kind: immediate}
limits: {max_drawdown: 15%, max_daily_loss: 3%, max_orders_per_day: 20}
"""

LIVE = """\
version: 1
mode: live
accounts: {main: {venue: alpaca, account_id: "123", keys: alpaca-live, feed: iex, capital: 5000 USD, not_mine: ignore}}
strategies:
  - id: trend
    class: ma_crossover.py:MovingAverageCrossover
    instruments: [SPY]
    interval: 1d
    orders: {at: next_open, type: limit, collar: 1%}
limits: {max_drawdown: 15%, max_daily_loss: 3%, max_orders_per_day: 20, max_order: 5000 USD, max_position: 5000 USD, max_gross: 5000 USD}
notify: [{url: "${NOTIFY_URL}", from: warning}, {ping: "${HEALTH_PING}", every: 5m}]
"""

SHORT = "version: 1\nstrategies:\n  - {id: a, class: a.py:A, instruments: [SPX], interval: 1h}\n"


def config(text: str, *overrides: str, env: dict[str, str] | None = None) -> Config:
    return loaded(text, *overrides, env=env).config


def loaded(text: str, *overrides: str, env: dict[str, str] | None = None) -> Loaded:
    return parse(text.encode(), "t.yaml", overrides, env or {})


def said(text: str, *overrides: str, env: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config(text, *overrides, env=env)
    return [str(problem) for problem in caught.value.problems]


def test_the_shape_of_the_documentation_loads_with_exact_types() -> None:
    c = config(SECTION_11)
    (trend,) = c.strategies
    assert c.accounts["main"].cash == (Money(Decimal(10000), USD),)
    assert c.accounts["main"].model is AccountModel.CASH
    assert trend.class_path == "ma_crossover.py:MovingAverageCrossover"
    assert trend.instruments == ("SPX",)
    assert trend.interval == DAY
    assert trend.params == {"fast": 50, "slow": 200}
    assert trend.sizing == FractionOfEquity(kind="fraction_of_equity", fraction=0.95)
    assert trend.exits.stop_loss == 0.08
    assert trend.exits.after_exit == "next_signal"
    assert trend.execution == Immediate()
    assert (c.limits.max_drawdown, c.limits.max_daily_loss, c.limits.max_orders_per_day) == (0.15, 0.03, 20)


def test_the_live_example_of_the_documentation_loads() -> None:
    c = config(LIVE, env={"NOTIFY_URL": "ntfy://topic", "HEALTH_PING": "https://ping.example/abc"})
    assert c.accounts["main"].capital == Money(Decimal(5000), USD)
    assert c.strategies[0].orders.collar == 0.01
    assert c.strategies[0].account == "main"
    first, second = c.notify
    assert first.url is not None
    assert first.url.get_secret_value() == "ntfy://topic"
    assert second.every == 5 * MINUTE


def test_live_without_limits_says_which_are_needed() -> None:
    without = LIVE.replace(", max_order: 5000 USD, max_position: 5000 USD", "")
    env = {"NOTIFY_URL": "a://b", "HEALTH_PING": "a://b"}
    assert said(without, env=env) == ["t.yaml:10: limits: must hold max_order, max_position in live mode"]
    assert said(LIVE[: LIVE.index("limits")]) == [
        "t.yaml:2: limits: must hold max_drawdown, max_daily_loss, max_orders_per_day, max_order, max_position,"
        " max_gross in live mode"
    ]


def test_live_needs_a_real_account_and_its_id() -> None:
    env = {"NOTIFY_URL": "a://b", "HEALTH_PING": "a://b"}
    assert said(LIVE.replace('account_id: "123", ', ""), env=env) == [
        "t.yaml:3: accounts.main.account_id: is required in live mode: the venue's own id, so that no other account"
        " is traded"
    ]
    assert said(LIVE.replace("venue: alpaca", "venue: sim, cash: 1 USD"), env=env) == [
        "t.yaml:2: mode: must be paper when every account is simulated; live needs an account at a real venue"
    ]


def test_the_shipped_example_loads() -> None:
    c = load_config(ROOT / "config" / "tradebot.yaml", env={})
    assert [s.id for s in c.strategies] == ["trend", "reversion", "breakout", "maker"]
    assert c.strategies[3].interval is None
    assert isinstance(c.strategies[2].execution, Twap)


def test_the_smallest_file_gets_a_simulated_account_and_every_default() -> None:
    c = config(SHORT)
    assert c.mode == "paper"
    assert c.accounts["main"].venue == "sim"
    assert c.accounts["main"].cash == (Money(Decimal(10000), USD),)
    assert c.strategies[0].account == "main"
    assert c.strategies[0].first_entry == "next_signal"
    assert c.strategies[0].resize == "on_change"
    assert c.fills == Fills()
    assert c.fills.market_at == "next_open"
    assert c.fills.volume_cap is None


def test_every_choice_of_a_section_is_reached() -> None:
    c = config(
        SHORT
        + "fills: {limit_rule: penetrate(2), volume_cap: 10%, trail: {reference: close}, end: {price: last_open}}\n"
        + "slippage: {kind: ticks, ticks: 2, probability: 50%}\nlatency: {order: 50ms}\n"
        + "rates: {USDT: 1 USD, BTC: BTC/USD}\ncalendars: {SPX: XNYS, BTC/USD: 24/7}\n"
        + "unknown: {release_after: 1h}\nbacktest: {from: 1970-01-02, to: 1970-01-03T00:00:00Z, benchmark: none}\n",
        "strategies.a.sizing={kind: fixed_qty, qty: 0.10}",
        "strategies.a.exits.after_exit=bars(3)",
        "strategies.a.resize=band(5%)",
        "strategies.a.capital=500 USD",
        "strategies.a.execution={kind: twap, slices: 4, over: 20m}",
        "strategies.a.retry={times: 2, first: 30s, factor: 1.5}",
    )
    a = c.strategies[0]
    assert c.fills.limit_rule == 2
    assert c.fills.volume_cap == 0.1
    assert (c.fills.trail.reference, c.fills.trail.lift) == ("close", "after_test")
    assert c.latency.order == 50_000_000
    assert c.rates == {"USDT": Money(Decimal(1), USD), "BTC": "BTC/USD"}
    assert (c.backtest.from_, c.backtest.to) == (DAY, 2 * DAY)
    assert c.unknown.release_after == HOUR
    assert a.sizing == FixedQty(kind="fixed_qty", qty=Decimal("0.10"))
    assert (a.exits.after_exit, a.resize, a.capital) == (3, 0.05, Money(Decimal(500), USD))
    assert a.execution == Twap(kind="twap", slices=4, over=20 * MINUTE)
    assert (a.retry.first, a.retry.factor) == (30 * SECOND, Decimal("1.5"))


def test_an_account_changes_only_the_fill_rules_it_names() -> None:
    c = config(
        SHORT
        + "fills: {market_at: same_close, volume_cap: 10%, trail: {lift: before_test}}\nfees: {kind: bps, bps: 10}\n"
        + "accounts: {main: {venue: sim, cash: 1 USD, fills: {volume_cap: none, trail: {reference: close}}, fees: none}}\n"
    )
    fills = c.fills_of("main")
    assert (fills.market_at, fills.volume_cap) == ("same_close", None)
    assert (fills.trail.lift, fills.trail.reference) == ("before_test", "close")
    assert c.fees_of("main").kind == "none"
    assert isinstance(c.fees, BpsFee)
    assert (c.fees.maker_bps, c.fees.taker_bps) == (Decimal(10), Decimal(10))


def test_the_shares_of_an_account_cannot_exceed_it() -> None:
    two = (
        SHORT.replace("1h}", "1h, capital: 60%}")
        + "  - {id: b, class: b.py:B, instruments: [SPX], capital: 0.41}\n"
    )
    assert said(two) == [
        "t.yaml:4: strategies[1].capital: the shares of one account must add up to at most 100%, was 101%"
    ]
    assert config(two.replace("0.41", "0.4")).strategies[1].capital == 0.4
    assert config(two.replace("0.41", "9000 USD")).strategies[1].capital == Money(Decimal(9000), USD)


def test_a_strategy_for_which_no_money_is_left_is_refused_where_it_stands() -> None:
    taken = SHORT.replace("1h}", "1h, capital: 100%}") + "  - {id: b, class: b.py:B, instruments: [SPX]}\n"
    assert said(taken) == [
        "t.yaml:4: strategies[1].capital: is required: the other strategies' shares are 100% of the account, "
        "nothing is left"
    ]
    assert config(taken.replace("100%", "99%")).strategies[1].capital is None


# ---- environment


def test_variables_are_filled_in_with_the_type_of_their_field() -> None:
    text = SHORT.replace("interval: 1h}", 'interval: "${EVERY:-1h}"}').replace("[SPX]", '["${SYMBOL}"]')
    c = config(text, "strategies.a.params.fast=${FAST}", env={"SYMBOL": "ON", "FAST": "20", "EVERY": "5m"})
    assert c.strategies[0].instruments == ("ON",)
    assert c.strategies[0].interval == 5 * MINUTE
    assert c.strategies[0].params["fast"] == 20


def test_a_doubled_dollar_is_text() -> None:
    c = config(SHORT.replace("interval: 1h}", 'params: {label: "$${NAME} ${NAME}"}}'), env={"NAME": "x"})
    assert c.strategies[0].params["label"] == "${NAME} x"


def test_a_value_from_the_environment_is_never_shown() -> None:
    secret = "hunter2-hunter2"
    text = SHORT + 'limits: {max_drawdown: "${LIMIT}"}\nnotify: [{url: "${URL}"}]\nmode: ${MODE}\n'
    texts = said(
        text, "strategies.a.params.x=${P}", env=dict.fromkeys(["LIMIT", "URL", "MODE"], secret) | {"P": "012"}
    )
    assert texts == [
        "t.yaml:4: limits.max_drawdown: must be a fraction such as 8% or 0.08, was the value of ${LIMIT}",
        "t.yaml:5: notify[0].url: must be a URL such as ${NOTIFY_URL}, was the value of ${URL}",
        "t.yaml:6: mode: must be one of paper, live, was the value of ${MODE}",
        "--set strategies.a.params.x: strategies[0].params.x: must be a plain value or text in quotes, was the value"
        " of ${P}",
    ]


def test_variables_with_the_prefix_override_the_file() -> None:
    env = {
        "TRADEBOT__LIMITS__MAX_DRAWDOWN": "10%",
        "TRADEBOT__STRATEGIES__A__PARAMS__FAST": "5",
        "OTHER": "x",
    }
    c = config(SHORT, env=env)
    assert c.limits.max_drawdown == 0.1
    assert c.strategies[0].params == {"fast": 5}
    assert said(SHORT, env={"TRADEBOT__LIMTS__X": "1"}) == [
        'TRADEBOT__LIMTS__X: limts: is not a known key; did you mean "limits"?'
    ]
    assert said(SHORT, env={"TRADEBOT____X": "1"}) == [
        "TRADEBOT____X: must name keys with __ between them, such as TRADEBOT__LIMITS__MAX_DRAWDOWN"
    ]


# ---- overrides


def test_overrides_win_over_the_environment_and_the_file() -> None:
    env = {"TRADEBOT__LIMITS__MAX_DRAWDOWN": "10%"}
    text = SHORT + "limits: {max_drawdown: 5%}\n"
    assert (
        config(text, "limits.max_drawdown=20%", "limits.max_drawdown=30%", env=env).limits.max_drawdown == 0.3
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("limits", "--set limits: must be path=value, such as limits.max_drawdown=10%"),
        ("=5", "--set : must be path=value, such as limits.max_drawdown=10%"),
        ("a..b=5", "--set a..b: must be path=value, such as limits.max_drawdown=10%"),
        ("strategies.b.id=c", "--set strategies.b.id: must name an entry that exists; b is none of a"),
        ("strategies[1].id=c", "--set strategies[1].id: must name an entry that exists; 1 is none of a"),
        ("version.x=1", "--set version.x: version: must be 1, the only version this tradebot reads, was a mapping"),
        ("mode=lve", '--set mode: mode: must be one of paper, live, was "lve"; did you mean "live"?'),
        ("mode=", "--set mode: mode: has no value; write one, or remove it"),
        ("mode=[", "--set mode: a value must stand here; found a mark that cannot start one"),
        ("limits.max_drawdwn=5%", '--set limits.max_drawdwn: limits.max_drawdwn: is not a known key; did you mean "max_drawdown"?'),
    ],
)  # fmt: skip
def test_a_wrong_override_names_itself(override: str, message: str) -> None:
    assert said(SHORT, override) == [message]


def test_an_override_below_an_alias_changes_one_place() -> None:
    text = "version: 1\nstrategies:\n  - &a {id: a, class: a.py:A, instruments: [SPX], params: {n: 1}}\n  - {<<: *a, id: b}\n"
    c = config(text, "strategies.b.params.n=2")
    assert [s.params["n"] for s in c.strategies] == [1, 2]


# ---- anchors


def test_merge_keys_fill_what_is_absent_and_their_mistakes_are_said_once() -> None:
    text = (
        "version: 1\nstrategies:\n  - &a\n    id: a\n    class: a.py:A\n    instruments: [SPX]\n    interval: 1h\n"
        "    params: {n: 1}\n  - <<: *a\n    id: b\n    params: {n: 2}\n"
    )
    c = config(text)
    assert [(s.id, s.interval, s.params["n"]) for s in c.strategies] == [("a", HOUR, 1), ("b", HOUR, 2)]
    assert said(text.replace("1h", "1x")) == [
        't.yaml:7: strategies[0].interval: must be an interval such as 1m, 1h or 1d, was "1x"'
    ]


def test_aliases_cannot_multiply_without_bound() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert said("\n".join(lines)) == ["t.yaml:5: must hold at most 20000 values, aliases counted each time"]


# ---- whole files


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "t.yaml:1: must hold a configuration, was empty; `tradebot init` writes one"),
        (b"# only a comment\n", "t.yaml:1: must hold a configuration, was empty; `tradebot init` writes one"),
        (b"- a\n", "t.yaml:1: must be a mapping of settings (version: 1, ...), was a list"),
        (b"hello\n", "t.yaml:1: must be a mapping of settings (version: 1, ...), was a single value"),
        (b"\xff\xfea\x00", "t.yaml:1: must be UTF-8, was UTF-16; save it again as UTF-8"),
        (b"version: 1\nmode: \xe9\n", "t.yaml:2: must be UTF-8, was the byte 0xe9"),
        (b"a" * 300_000, "t.yaml:1: must be at most 256 KB, was 292 KB"),
    ],
    ids=["empty", "comment", "list", "scalar", "utf16", "latin1", "huge"],
)
def test_a_file_that_is_no_configuration_says_why(raw: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(raw, "t.yaml", env={})
    assert [str(p) for p in caught.value.problems] == [message]


def test_a_byte_order_mark_and_windows_line_ends_are_read() -> None:
    c = parse(b"\xef\xbb\xbf" + SHORT.replace("\n", "\r\n").encode(), "t.yaml", env={}).config
    assert c.strategies[0].id == "a"


def test_every_problem_is_listed_in_the_order_of_the_file() -> None:
    text = (
        SECTION_11.replace("mode: paper", "mode: papr")
        .replace("95%", "95")
        .replace("3%", "x")
        .replace("SPX", "NO")
    )
    assert [line.split(": ")[0] for line in said(text)] == ["t.yaml:2", "t.yaml:9", "t.yaml:12", "t.yaml:15"]


def test_later_checks_can_still_name_a_line() -> None:
    found = loaded(SECTION_11, "strategies.trend.exits.max_bars=5")
    assert str(found.problem("strategies[0].params.fast", "must be < slow")) == (
        "t.yaml:11: strategies[0].params.fast: must be < slow"
    )
    assert found.problem("strategies[0].params.missing.deep", "?").line == 11
    assert found.problem("strategies[0]", "?").line == 6
    assert found.problem("nothing", "?").line == 1
    assert found.problem("strategies[0].exits.max_bars", "?").file == "--set strategies.trend.exits.max_bars"


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist; `tradebot init` writes one"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path)


def test_the_configuration_is_found_beside_before_inside_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find_config(tmp_path)
    missing = f"{tmp_path / 'tradebot.yaml'}: does not exist, nor does {tmp_path / 'config/tradebot.yaml'};"
    assert str(caught.value).startswith(missing)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "tradebot.yaml").write_text(SHORT)
    assert find_config(tmp_path) == tmp_path / "config" / "tradebot.yaml"
    (tmp_path / "tradebot.yaml").write_text(SHORT)
    assert find_config(tmp_path) == tmp_path / "tradebot.yaml"


def test_secrets_that_stray_into_the_file_are_never_repeated() -> None:
    key = "PKQ7ZT4M9XW2LVB8"
    text = (
        SECTION_11.replace("venue: sim", f"venue: sim, api_key: {key}, keys: {key}")
        .replace("{fast: 50", f"{{fast: .nan{key}, {key}: 012")
        .replace("mode: paper", f"mode: {key}")
        + f"secret: {key}\n{key}: 1\n"
    )
    report = "\n".join(said(text))
    assert key not in report
    assert "accounts.main.api_key: is not a known key; secrets never belong in this file" in report
    assert key not in "\n".join(said(text + f"x: *{key}\n"))
    assert key not in "\n".join(said(text + f"x: &{key} 1\ny: &{key} 1\n"))
    assert key not in "\n".join(said(text + f"x: !{key} 1\n"))


def test_loading_brings_in_nothing_heavy() -> None:
    code = (
        "import sys; from tradebot.config.loader import load_config; load_config(sys.argv[1], env={})\n"
        "heavy = {'pandas', 'numpy', 'numba', 'scipy', 'pyarrow', 'click', 'rich', 'asyncio', 'difflib'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    path = str(ROOT / "config" / "tradebot.yaml")
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

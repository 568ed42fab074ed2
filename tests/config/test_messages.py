"""Every message that a person may read about a configuration file, with its line."""

from __future__ import annotations

import pytest

from tradebot.config.loader import parse
from tradebot.errors import ConfigError, ExitCode

BASE = """\
version: 1
mode: paper
accounts:
  main: {venue: sim, feed: sample, cash: 10000 USD}
strategies:
  - id: trend
    class: ma_crossover.py:MovingAverageCrossover
    account: main
    instruments: [SPX]
    interval: 1d
    params: {fast: 50, slow: 200}
    sizing: {kind: fraction_of_equity, fraction: 95%}
    exits: {stop_loss: 8%, after_exit: next_signal}
    execution: {kind: immediate}
  - id: other
    class: strategies/mine.py:Mine
    instruments: [SYN/USD]
    interval: 1h
    sizing: {kind: fixed_qty, qty: 1}
limits: {max_drawdown: 15%, max_daily_loss: 3%, max_orders_per_day: 20}
fees: {kind: bps, maker: 1bps, taker: 5bps}
"""


def problems(text: str | bytes, *overrides: str, env: dict[str, str] | None = None) -> list[str]:
    raw = text.encode() if isinstance(text, str) else text
    with pytest.raises(ConfigError) as caught:
        parse(raw, "t.yaml", overrides, env or {})
    assert caught.value.exit_code == ExitCode.CONFIG
    return [str(problem) for problem in caught.value.problems]


def changed(old: str, new: str) -> str:
    assert BASE.count(old) >= 1, old
    return BASE.replace(old, new, 1)


# (what stands there, what somebody wrote instead, everything that is said about it)
ONE_MISTAKE = [
    # values without or with the wrong unit
    ("95%", "95", "t.yaml:12: strategies[0].sizing.fraction: must be a fraction; 95 is ambiguous: write 95% or 0.95"),
    ("95%", "1.5", "t.yaml:12: strategies[0].sizing.fraction: must be a fraction; 1.5 is ambiguous: write 1.5% or 0.015, or 150% if 1.5 times is meant"),
    ("95%", "-5%", "t.yaml:12: strategies[0].sizing.fraction: must be above 0% and at most 1000%, was -5%"),
    ("95%", "most", 't.yaml:12: strategies[0].sizing.fraction: must be a fraction such as 8% or 0.08, was "most"'),
    ("95%", "[95%]", "t.yaml:12: strategies[0].sizing.fraction: must be a fraction such as 8% or 0.08, was a list"),
    ("95%", "null", "t.yaml:12: strategies[0].sizing.fraction: must be a fraction such as 8% or 0.08, was null"),
    ("95%", ".nan", "t.yaml:12: strategies[0].sizing.fraction: must be a finite number, was .nan"),
    ("95%", "1e-30", "t.yaml:12: strategies[0].sizing.fraction: must be a fraction such as 8% or 0.08 between 1e-18 and 1e18 in size, was 1e-30"),
    ("8%", "1", "t.yaml:13: strategies[0].exits.stop_loss: must be above 0% and below 100%, was 1 (100%)"),
    ("8%", "0", "t.yaml:13: strategies[0].exits.stop_loss: must be above 0% and below 100%, was 0"),
    ("10000 USD", "10000", "t.yaml:4: accounts.main.cash: must be an amount with its currency such as 5000 USD, was 10000; write 10000 USD"),
    ("10000 USD", "10000 usd", 't.yaml:4: accounts.main.cash: must be an amount with its currency such as 5000 USD, was "10000 usd"; write 10000 USD'),
    ("10000 USD", "$10000", 't.yaml:4: accounts.main.cash: must be an amount with its currency such as 5000 USD, was "$10000"; write 10000 USD'),
    ("10000 USD", "'10,000 USD'", 't.yaml:4: accounts.main.cash: must be an amount with its currency such as 5000 USD, was "10,000 USD"; write 10000 USD'),
    ("10000 USD", "0 USD", 't.yaml:4: accounts.main.cash: must be above 0, was "0 USD"'),
    ("10000 USD", "much USD", 't.yaml:4: accounts.main.cash: must be an amount with its currency such as 5000 USD, was "much USD"'),
    ("10000 USD", "[1 USD, 5 btc]", 't.yaml:4: accounts.main.cash[1]: must be an amount with its currency such as 5000 USD, was "5 btc"; write 5 BTC'),
    ("interval: 1d", "interval: 60", "t.yaml:10: strategies[0].interval: must be an interval such as 1m, 1h or 1d; 60 has no unit: write 60s or 60m"),
    ("interval: 1d", "interval: 1M", 't.yaml:10: strategies[0].interval: must be an interval such as 1m, 1h or 1d, was "1M"; m is minutes, months are not a length'),
    ("interval: 1d", "interval: 1:30", 't.yaml:10: strategies[0].interval: must be an interval such as 1m, 1h or 1d, was "1:30" (YAML reads 1:30 as the base-60 number 90)'),
    ("interval: 1d", "interval: 5ms", 't.yaml:10: strategies[0].interval: must be at least 1s, was "5ms"'),
    ("qty: 1}", "qty: one}", 't.yaml:19: strategies[1].sizing.qty: must be a number, was "one"'),
    ("qty: 1}", "qty: 0}", "t.yaml:19: strategies[1].sizing.qty: must be above 0, was 0"),
    ("qty: 1}", "qty: 012}", "t.yaml:19: strategies[1].sizing.qty: must be a number without leading zeros, was 012 (YAML reads 012 as the octal number 10); write 12"),
    ("qty: 1}", "qty: 1_000}", "t.yaml:19: strategies[1].sizing.qty: must be a number without separators, was 1_000; write 1000"),
    ("qty: 1}", "qty: 0x10}", "t.yaml:19: strategies[1].sizing.qty: must be a decimal number, was 0x10 (YAML reads 0x10 as the number 16)"),
    ("qty: 1}", "qty: .inf}", "t.yaml:19: strategies[1].sizing.qty: must be a finite number, was .inf"),
    ("per_day: 20", "per_day: 20.5", "t.yaml:20: limits.max_orders_per_day: must be a whole number, was 20.5"),
    ("per_day: 20", "per_day: 0", "t.yaml:20: limits.max_orders_per_day: must be at least 1 and at most 1000000000, was 0"),
    ("maker: 1bps", "maker: 1 pip", 't.yaml:21: fees.maker: must be basis points such as 10, 10bps or 0.1%, was "1 pip"'),
    ("taker: 5bps", "taker: -5bps", "t.yaml:21: fees.taker: must be at least 0 and at most 10000 basis points, was -5bps"),
    # words
    ("version: 1", "version: 2", "t.yaml:1: version: must be 1, the only version this tradebot reads, was 2"),
    ("mode: paper", "mode: papr", 't.yaml:2: mode: must be one of paper, live, was "papr"; did you mean "paper"?'),
    ("mode: paper", "mode: on", 't.yaml:2: mode: must be one of paper, live, was "on" (YAML reads on as true)'),
    ("venue: sim", "venue: alpacca", 't.yaml:4: accounts.main.venue: must be sim, alpaca or an exchange\'s id, was "alpacca"; did you mean "alpaca"?'),
    ("venue: sim", "venue: My Venue", 't.yaml:4: accounts.main.venue: must be sim, alpaca or an exchange\'s id such as binance, was "My Venue"'),
    ("id: trend", "id: Trend!", 't.yaml:6: strategies[0].id: must be a name of a-z, 0-9, - and _ that starts with a letter, was "Trend!"'),
    ("id: trend", "id: NO", 't.yaml:6: strategies[0].id: must be a name of a-z, 0-9, - and _ that starts with a letter; without quotes YAML reads NO as false: write "NO"'),
    ("[SPX]", "[ON]", 't.yaml:9: strategies[0].instruments[0]: must be an instrument such as SPX, SYN/USD or BTC/USDT@binance; without quotes YAML reads ON as true: write "ON"'),
    ("[SPX]", "[600519]", 't.yaml:9: strategies[0].instruments[0]: must be an instrument such as SPX, SYN/USD or BTC/USDT@binance; without quotes YAML reads 600519 as a number: write "600519"'),
    ("[SPX]", "[2020-01-01]", 't.yaml:9: strategies[0].instruments[0]: must be an instrument such as SPX, SYN/USD or BTC/USDT@binance; without quotes YAML reads 2020-01-01 as a date: write "2020-01-01"'),
    ("[SPX]", "[null]", "t.yaml:9: strategies[0].instruments[0]: must be an instrument such as SPX, SYN/USD or BTC/USDT@binance, was null"),
    ("[SPX]", "[S\u200bX]", 't.yaml:9: strategies[0].instruments[0]: must be an instrument such as SPX, SYN/USD or BTC/USDT@binance, was "S\\u200bX"'),
    ("[SPX]", "[SPX, SPX]", "t.yaml:9: strategies[0].instruments: must name each instrument once, was SPX 2 times"),
    ("[SPX]", "SPX", 't.yaml:9: strategies[0].instruments: must be a list, was "SPX"; write [SPX]'),
    ("[SPX]", "[]", "t.yaml:9: strategies[0].instruments: must not be empty"),
    ("[SPX]", "{SPX: 1}", "t.yaml:9: strategies[0].instruments: must be a list, was a mapping"),
    ("strategies/mine.py:Mine", "mine.Mine", 't.yaml:16: strategies[1].class: must be file.py:Class, such as ma_crossover.py:MovingAverageCrossover, was "mine.Mine"'),
    ("next_signal", "5 bars", 't.yaml:13: strategies[0].exits.after_exit: must be one of next_signal, at_once, or bars(n) with n bars, was "5 bars"'),
    ("next_signal", "bars(0)", "t.yaml:13: strategies[0].exits.after_exit: inside bars( ): must be at least 1 and at most 1000000, was 0"),
    ("fraction_of_equity", "fraction_of_equty", 't.yaml:12: strategies[0].sizing.kind: must be one of fixed_qty, fixed_notional, fraction_of_equity, volatility_target, fixed_risk, was "fraction_of_equty"; did you mean "fraction_of_equity"?'),
    ("{kind: fraction_of_equity, fraction: 95%}", "95%", "t.yaml:12: strategies[0].sizing: must be a mapping such as {kind: fixed_risk, ...}, was 95%"),
    ("{stop_loss: 8%, after_exit: next_signal}", "8%", "t.yaml:13: strategies[0].exits: must be a mapping such as {stop_loss: ...}, was 8%"),
    # free params
    ("fast: 50", "fast: 012", "t.yaml:11: strategies[0].params.fast: must be a number without leading zeros, was 012 (YAML reads 012 as the octal number 10); write 12"),
    ("fast: 50", "fast: 1:30", "t.yaml:11: strategies[0].params.fast: must be a plain number, was 1:30 (YAML reads 1:30 as the base-60 number 90)"),
    ("fast: 50", "fast: -.INF", "t.yaml:11: strategies[0].params.fast: must be a finite number, was -.INF"),
    ("fast: 50", "fast: nan", "t.yaml:11: strategies[0].params.fast: must be a finite number, was nan"),
    ("fast: 50", "fast: 1e400", "t.yaml:11: strategies[0].params.fast: must be a number below 1e308, was 1e400"),
    ("fast: 50", "fast: yes", 't.yaml:11: strategies[0].params.fast: must be true or false, or text in quotes; YAML reads yes as true; write "yes" for text'),
    ("fast: 50", "fast: 2020-01-01", 't.yaml:11: strategies[0].params.fast: must be in quotes where text is meant; YAML reads 2020-01-01 as a date; write "2020-01-01"'),
    ("fast: 50", "fast:", "t.yaml:11: strategies[0].params.fast: has no value; write one, or remove the key; a comma inside a value needs quotes"),
    # keys
    ("id: trend", "idd: trend", 't.yaml:6: strategies[0].idd: is not a known key; did you mean "id"?'),
    ("instruments: [SPX]", "symbols: [SPX]", 't.yaml:9: strategies[0].symbols: is not a known key; did you mean "instruments"?'),
    ("interval: 1d", "timeframe: 1d", 't.yaml:10: strategies[0].timeframe: is not a known key; did you mean "interval"?'),
    ("venue: sim", "exchange: sim", 't.yaml:4: accounts.main.exchange: is not a known key; did you mean "venue"?'),
    ("kind: fraction_of_equity", "knd: fraction_of_equity", 't.yaml:12: strategies[0].sizing.knd: is not a known key; did you mean "kind"?'),
    ("limits:", "limts:", 't.yaml:20: limts: is not a known key; did you mean "limits"?'),
    ("limits:", "stop_loss: 3%\nlimits:", "t.yaml:20: stop_loss: is not a known key here; it belongs in strategies[].exits"),
    ("fees:", "leverage: 3\nfees:", "t.yaml:21: leverage: is not a known key; known here: version, mode, accounts, strategies, limits, backtest, data, fills, fees, slippage, latency, notify, metrics, calendars, rates, unknown"),
    ("{max_drawdown: 15%,", "{max_drawdown: 15%, max_drawdown: 5%,", "t.yaml:20: limits.max_drawdown: must be given once, was given again (first on line 20)"),
    ("fees: {", "mode: live\nfees: {", "t.yaml:21: mode: must be given once, was given again (first on line 2)"),
    ("limits: {", "1.5: a\nlimits: {", 't.yaml:20: 1.5: a key that is not text must be in quotes: YAML reads 1.5 as a number; write "1.5"'),
    ("limits: {", "[a]: b\nlimits: {", "t.yaml:20: a key must be a word, was a list or a mapping"),
    ("version: 1\n", "", "t.yaml:1: version: is required: version: 1, the language of this file"),
    ("    class: strategies/mine.py:Mine\n", "", "t.yaml:15: strategies[1].class: is required: file.py:Class"),
    ("kind: fraction_of_equity, ", "", "t.yaml:12: strategies[0].sizing.kind: is required: one of fixed_qty, fixed_notional, fraction_of_equity, volatility_target, fixed_risk"),
    (", qty: 1}", "}", "t.yaml:19: strategies[1].sizing.qty: is required"),
    ("interval: 1h", "interval:", "t.yaml:18: strategies[1].interval: has no value; write one, or remove the key"),
    ("[SYN/USD]", "\n    -", "t.yaml:18: strategies[1].instruments[0]: has no value; write one, or remove it"),
    # names that refer to each other, and rules over several keys
    ("id: other", "id: trend", 't.yaml:15: strategies[1].id: must be unique; "trend" is also the id of strategies[0] (line 6)'),
    ("account: main", "account: mian", 't.yaml:8: strategies[0].account: must name an account (main), was "mian"; did you mean "main"?'),
    ("accounts:\n", "accounts:\n  spare: {venue: sim, cash: 1 USD}\n", "t.yaml:16: strategies[1].account: is required when there are several accounts; there are spare, main"),
    (", cash: 10000 USD", "", "t.yaml:4: accounts.main.cash: is required for venue sim, such as 10000 USD"),
    ("venue: sim", "venue: binance", "t.yaml:4: accounts.main.keys: is required for a real venue: the NAME of its stored API keys"),
    ("  main: {venue: sim, feed: sample, cash: 10000 USD}\n", "  {}\n", "t.yaml:3: accounts: must not be empty"),
    ("  main: {", "  Main: {", 't.yaml:4: accounts.Main: this name must be a name of a-z, 0-9, - and _ that starts with a letter, was "Main"'),
    (", taker: 5bps", "", "t.yaml:21: fees.taker: is required; or give bps for both sides"),
    (", maker: 1bps, taker: 5bps", "", "t.yaml:21: fees.taker: is required; or give bps for both sides"),
    ("maker: 1bps", "bps: 1", "t.yaml:21: fees.taker: must be absent when bps is given, which sets maker and taker"),
    ("kind: fixed_qty, qty: 1", "kind: fixed_risk, risk: 1%", "t.yaml:19: strategies[1].sizing: must know the stop distance: give stop, atr, or exits.stop_loss"),
    ("kind: fixed_qty, qty: 1", "kind: fixed_risk, risk: 1%, stop: 2%, atr: {}", "t.yaml:19: strategies[1].sizing.atr: must be absent when stop is given; the stop distance has one source"),
    ("interval: 1h", "schedule: {at: open}", "t.yaml:18: strategies[1].schedule.drift: is required when every is absent, else nothing ever asks the strategy"),
    ("interval: 1h", "schedule: {every: day, weekday: monday}", "t.yaml:18: strategies[1].schedule.weekday: must be absent unless every: week"),
    ("interval: 1h", "schedule: {every: day, at: 15:30}", 't.yaml:18: strategies[1].schedule.at: must be open, close or a time such as "15:30"; without quotes YAML reads 15:30 as the base-60 number 930: write "15:30"'),
    ("fees:", "backtest: {from: 2020-01-02, to: 2020-01-01}\nfees:", "t.yaml:21: backtest.to: must be later than from (2020-01-02T00:00:00Z), was 2020-01-02T00:00:00Z"),
    ("fees:", "backtest: {from: 2020-02-30}\nfees:", 't.yaml:21: backtest.from: must be a day such as 2020-01-31 or a moment such as 2020-01-31T14:30:00Z, was "2020-02-30", which no calendar has'),
    ("fees:", "backtest: {from: 2020-02-03 10:00}\nfees:", 't.yaml:21: backtest.from: must name its time zone, was "2020-02-03 10:00"; write Z after it for UTC'),
    ("fees:", "backtest: {from: 1066-10-14}\nfees:", 't.yaml:21: backtest.from: must be between the years 1800 and 2200, was "1066-10-14"'),
    ("fees:", "notify: [{from: info}]\nfees:", "t.yaml:21: notify[0]: must have either url (for messages) or ping (proof of life), had neither"),
    ("fees:", "notify: [{url: me}]\nfees:", 't.yaml:21: notify[0].url: must be a URL such as ${NOTIFY_URL}, was "me"'),
    ("fees:", 'notify: [{url: "${NOTIFY_URL}"}]\nfees:', "t.yaml:21: notify[0].url: needs the environment variable NOTIFY_URL, which is not set"),
    ("fees:", "notify: [{url: ${NOTIFY_URL}}]\nfees:", "t.yaml:21: a mapping that opens with { must close with }, with commas between its entries; ${VAR} inside { } or [ ] must be in quotes"),
    ("mode: paper", "mode: ${MODE:paper}", "t.yaml:2: mode: must give a default as ${MODE:-default}; only :- is known"),
    ("mode: paper", "mode: ${}", "t.yaml:2: mode: must name a variable as ${NAME} or ${NAME:-default}; $${ is a plain ${"),
    # syntax
    ("    interval: 1d", "\tinterval: 1d", "t.yaml:10: indentation must be spaces, was a tab"),
    ("    interval: 1d", "   interval: 1d", "t.yaml:10: this line must line up with the lines above it, and every quote above must close (it starts on line 6)"),
    ("mode: paper", "mode: a: b", "t.yaml:2: a second ': ' on one line must be inside quotes or on a line of its own"),
    ("mode: paper", "mode paper", "t.yaml:2: must be 'key: value'; no ': ' was found"),
    ("[SPX]", "[SPX", "t.yaml:10: a list that opens with [ must close with ], with commas between its values (it starts on line 9)"),
    ("{kind: immediate}", "{kind: immediate", "t.yaml:15: a mapping that opens with { must close with }, with commas between its entries (it starts on line 14)"),
    ("[SPX]", "@SPX", "t.yaml:9: text that starts with @, ` or % must be in quotes"),
    ("[SPX]", "*spx", "t.yaml:9: *name must repeat an anchor (&name) defined above; put text that starts with * in quotes"),
    ("[SPX]", "&a [*a]", "t.yaml:9: an alias must not stand inside its own anchor"),
    ("paper", "&a paper\nlimits: &a {}", "t.yaml:3: an anchor must be defined once, was &a again"),
    ("paper", "!!str paper", 't.yaml:2: mode: must have no tag, was "tag:yaml.org,2002:str"; values need no type here'),
    ("params: {", "params: {<<: 1, ", "t.yaml:11: strategies[0].params: << must name mappings to merge, such as <<: *base"),
    ("paper", '"pa\\qper"', "t.yaml:2: a backslash in \"double quotes\" must start a known escape; use 'single quotes'"),
    ("paper", '"\\UFFFFFFFF"', "t.yaml:2: must be valid YAML; this line has an impossible escape"),
    ("paper", "pa\x07per", "t.yaml:2: must hold printable characters only, was U+0007"),
    ("fees:", "---\nfees:", "t.yaml:21: must hold one document; a second one starts here"),
    ("paper", "[" * 40, "t.yaml:2: must be nested at most 24 deep"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "said"), ONE_MISTAKE, ids=[f"{o}->{n}"[:60] for o, n, _ in ONE_MISTAKE]
)
def test_each_mistake_is_said_once_at_its_line(old: str, new: str, said: str) -> None:
    assert problems(changed(old, new)) == [said]

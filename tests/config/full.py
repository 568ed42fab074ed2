"""A configuration that uses every section and every key, as a tree that tests may change.

Scalars are the text of the file, so that a test decides how they are spelt.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

Tree = dict[str, Any]

_STRATEGY: Tree = {
    "class": "strategies/trend.py:Trend",
    "account": "main",
    "instruments": ["SPX", "SYN/USD"],
    "interval": "1h",
    "params": {"fast": "50", "kind": "ema", "band": "2%", "nested": {"deep": ["1", "2.5", "x"]}},
    "exits": {"stop_loss": "8%", "take_profit": "20%", "trailing": "5%", "max_bars": "30", "after_exit": "bars(3)",
              "where": "engine"},
    "resize": "band(5%)",
    "orders": {"at": "opening_auction", "type": "limit", "collar": "1%", "tif": "day"},
    "first_entry": "at_once",
    "late_entry": {"max_bars": "3", "max_move": "2%"},
    "retry": {"times": "5", "first": "30s", "factor": "1.5"},
}  # fmt: skip

SIZINGS: list[Tree] = [
    {"kind": "fixed_qty", "qty": "0.5"},
    {"kind": "fixed_notional", "notional": "1000 USD"},
    {"kind": "fraction_of_equity", "fraction": "150%"},
    {"kind": "volatility_target", "target": "15%", "lookback": "30", "max_fraction": "200%"},
    {"kind": "fixed_risk", "risk": "1%", "stop": "3%", "max_fraction": "100%"},
    {"kind": "fixed_risk", "risk": "1%", "atr": {"bars": "14", "multiple": "2.5"}},
]
FEES: list[Tree] = [
    {"kind": "none"},
    {"kind": "bps", "bps": "10bps", "asset": "BNB"},
    {"kind": "bps", "maker": "-1bps", "taker": "5bps"},
    {"kind": "per_share", "rate": "0.005", "min": "1", "cap": "1%"},
]
SLIPPAGES: list[Tree] = [
    {"kind": "none"},
    {"kind": "bps", "bps": "2bps"},
    {"kind": "ticks", "ticks": "2", "probability": "50%"},
    {"kind": "half_spread", "spread": "4bps"},
    {"kind": "volume_share", "impact": "0.1"},
]
SCHEDULE: Tree = {"every": "week", "weekday": "monday", "at": "'15:30'", "drift": "5%"}
EXECUTIONS: list[Tree] = [{"kind": "immediate"}, {"kind": "twap", "slices": "4", "over": "20m"}]


def full(sizings: Sequence[int] = range(len(SIZINGS))) -> Tree:
    """Return the tree, fresh, with a strategy for each of the named sizings."""
    strategies = []
    for index in sizings:
        extra = {"capital": "10%"} if index else {"capital": "500 USD", "schedule": dict(SCHEDULE)}
        execution = dict(EXECUTIONS[index % 2])
        strategies.append(
            {"id": f"s{index}"}
            | deepcopy(_STRATEGY)
            | {"sizing": deepcopy(SIZINGS[index]), "execution": execution}
            | extra
        )
    accounts = {
        "main": {"venue": "sim", "feed": "sample", "cash": ["10000 USD", "1.5 BTC"], "model": "margin", "base": "USD",
                 "fees": deepcopy(FEES[1]), "slippage": deepcopy(SLIPPAGES[2]), "latency": {"order": "50ms"},
                 "fills": {"volume_cap": "none", "trail": {"reference": "close"}},
                 "replay": {"from": "2010-01-01", "to": "2019-12-31", "pace": "1d"}},
        "broker": {"venue": "alpaca", "feed": "iex", "account_id": "'12345'", "keys": "alpaca-paper",
                   "capital": "5000 USD", "shares": "fractional", "not_mine": "halt", "fees": deepcopy(FEES[3]), "slippage": deepcopy(SLIPPAGES[4])},
        "coins": {"venue": "binance", "keys": "binance-paper", "fees": deepcopy(FEES[2]), "slippage": deepcopy(SLIPPAGES[3])},
    }  # fmt: skip
    return {
        "version": "1",
        "mode": "paper",
        "accounts": accounts,
        "strategies": strategies,
        "limits": {"max_drawdown": "15%", "max_daily_loss": "0.03", "max_orders_per_day": "20",
                   "max_orders_per_minute": "5", "max_order": "5000 USD", "max_position": "5000 USD",
                   "max_gross": "9000 USD", "collar": "2%", "max_data_age": "5m",
                   "max_order_qty": "12.5", "duplicate_window": "1s", "max_repeats": "9",
                   "max_messages_per_second": "10",
                   "time_budget": "5s"},
        "backtest": {"from": "2005-01-01", "to": "2019-12-31", "benchmark": "SPX",
                     "close_open_positions_at_end": "force", "seed": "7"},
        "data": {"dir": "data/bars", "gap_policy": "fill_forward"},
        "fills": {"market_at": "same_close", "limit_rule": "penetrate(2)", "limit_improve": "at_limit",
                  "stop_gap": "at_stop", "intrabar_path": "O-H-L-C", "same_bar_entry_exit": "defer",
                  "volume_cap": "10%", "trail": {"lift": "before_test", "reference": "high_low"},
                  "order": {"stop_through": "reject"}, "end": {"price": "last_open"}},
        "fees": deepcopy(FEES[0]),
        "slippage": deepcopy(SLIPPAGES[1]),
        "latency": {"data": "10ms", "order": "20ms", "report": "30ms"},
        "notify": [{"url": "ntfy://topic", "from": "error"}, {"ping": "https://ping.example/x", "every": "1m"}],
        "metrics": {"port": "9000"},
        "calendars": {"SPX": "XNYS", "SYN/USD": "24/7"},
        "rates": {"USDT": "1 USD", "BTC": "BTC/USD"},
        "unknown": {"release_after": "1h"},
    }  # fmt: skip


def to_yaml(value: Any, indent: int = 0) -> str:
    """Return the tree as block YAML; lists of (key, value) pairs are mappings with repeated keys."""
    pad = "  " * indent
    if isinstance(value, dict):
        value = list(value.items()) or "{}"
    if isinstance(value, str):
        return f" {value}\n"
    if not value:
        return " []\n"
    lines = "\n" if indent else ""
    for item in value:
        if isinstance(item, tuple):
            lines += f"{pad}{item[0]}:{to_yaml(item[1], indent + 1)}"
        else:
            lines += f"{pad}-{to_yaml(item, indent + 1)}"
    return lines

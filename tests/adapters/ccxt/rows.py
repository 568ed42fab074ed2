"""Small markets, orders and answers in the shapes that ccxt gives and takes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tradebot.adapters.ccxt.symbols import Symbols, symbols_of
from tradebot.core.model import Order, OrderKind, Side, Tif

D = Decimal
TICK_SIZE = 4


def make_market(symbol: str = "BTC/USDT", **changed: Any) -> dict[str, Any]:
    base, quote = symbol.split("/")
    return {
        "id": base + quote, "symbol": symbol, "base": base, "quote": quote, "type": "spot", "spot": True,
        "active": True, "contract": False,
        "precision": {"amount": "0.00001", "price": "0.01"},
        "limits": {"amount": {"min": "0.00001"}, "cost": {"min": "5"}},
    } | changed  # fmt: skip


def make_symbols(*names: str) -> Symbols:
    wanted = names or ("BTC/USDT",)
    return symbols_of("binance", {name: make_market(name) for name in wanted}, wanted, TICK_SIZE)


def make_order(kind: str = "limit", **terms: Any) -> Order:
    given: dict[str, Any] = {
        "client_order_id": "t1abc", "account": "main", "strategy": "s", "instrument": "BTC/USDT",
        "side": Side.BUY, "qty": D("0.5"), "ts": 1, "tif": Tif.GTC,
        "limit_price": D("100.01") if "limit" in kind else None,
        "stop_price": D("99") if "stop" in kind else None,
    }  # fmt: skip
    return Order(kind=OrderKind(kind), **(given | terms))


def raw_order(**changed: Any) -> dict[str, Any]:
    return {
        "id": "7", "clientOrderId": "t1abc", "symbol": "BTC/USDT", "type": "limit", "side": "buy",
        "price": "100.01", "amount": "0.50000", "filled": "0", "status": "open", "info": {},
    } | changed  # fmt: skip


def raw_trade(**changed: Any) -> dict[str, Any]:
    return {
        "id": "55", "order": "7", "symbol": "BTC/USDT", "side": "buy", "price": "100.01", "amount": "0.3",
        "timestamp": 1_700_000_000_123, "takerOrMaker": "maker",
        "fee": {"cost": "0.0003", "currency": "BTC"}, "info": {"c": "t1abc"},
    } | changed  # fmt: skip

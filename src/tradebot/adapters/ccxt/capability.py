"""Say what an exchange supports, and what tradebot therefore does not do there. Asks nobody: ccxt's own tables.

Owns the list of what trading needs. Refuses to trade where something of it is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tradebot.adapters.ccxt.candles import intervals_of
from tradebot.adapters.ccxt.library import Exchange
from tradebot.core.model import OrderKind
from tradebot.core.ports import IdPolicy
from tradebot.errors import ConfigError, Problem

# What must be there to trade, by ccxt's names; one of each line's is enough.
_NEEDED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("spot markets", ("spot",)),
    ("placing orders", ("createOrder",)),
    ("cancelling orders", ("cancelOrder",)),
    ("listing working orders", ("fetchOpenOrders",)),
    ("looking up an order", ("fetchOrder", "fetchClosedOrders")),
    ("the account's trades", ("fetchMyTrades",)),
    ("balances", ("fetchBalance",)),
    ("a stream of the account's orders", ("watchOrders",)),
)
_NEEDED_FOR_DATA: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("spot markets", ("spot",)),
    ("candles", ("fetchOHLCV",)),
    ("a stream of prices", ("watchBidsAsks", "watchOrderBook", "watchOHLCV")),
)
_IDS = {
    IdPolicy.FOR_EVER: "for ever",
    IdPolicy.WHILE_OPEN: "among working orders only",
    IdPolicy.NONE: "not known",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What is known of an exchange without asking it. `facts` are topic and text; `missing` stops trading."""

    id: str
    name: str
    is_proven: bool
    facts: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    not_done: tuple[str, ...]


def missing_for_trading(exchange: Exchange) -> tuple[str, ...]:
    """Return what trading needs and the exchange lacks, empty when nothing."""
    return _missing(exchange, _NEEDED)


def require(exchange: Exchange, *, is_data: bool) -> None:
    """Raise ConfigError when an exchange cannot be traded at (or followed, for data alone)."""
    missing = _missing(exchange, _NEEDED_FOR_DATA if is_data else _NEEDED)
    if missing:
        message = f"cannot be used: ccxt gives it no {', no '.join(missing)}"
        raise ConfigError([Problem(file=exchange.id, line=None, key="venue", message=message)])


def rests_stops(exchange: Exchange) -> bool:
    """Return whether a stop can rest at an exchange."""
    create = _features(exchange.raw.features, "createOrder")
    return bool(create.get("stopLossPrice") or create.get("triggerPrice"))


def describe(exchange: Exchange) -> Description:
    """Return what an exchange supports and what is not done there."""
    row, raw = exchange.declared, exchange.raw
    create = _features(raw.features, "createOrder")
    has_stops = rests_stops(exchange)
    kinds = ["market", "limit", *(["stop", "stop-limit"] if has_stops else [])]
    kinds += [] if OrderKind.TRAILING_STOP in row.refuses else ["trailing stop"]
    kinds += ["a target and a stop as one-cancels-other"] if row.sends_pair else []
    names = intervals_of(exchange)
    facts = (
        ("orders", ", ".join(kinds)),
        ("time in force", ", ".join(t.value for t in row.tifs)),
        ("post-only", "yes" if (create.get("timeInForce") or {}).get("PO") else "no"),
        ("protective orders", "rest at the exchange" if has_stops else "not at the exchange"),
        ("client order ids", f"at most {row.longest_id} characters, unique {_IDS[row.id_policy]}"),
        ("orders found by our id", "asked for" if row.finds_by_client_id else "by searching lists"),
        (
            "refusals",
            "known by code" if row.has_refusals else "none is known: every failure counts as unknown",
        ),
        ("fees", row.fee_asset),
        ("lots", row.lots),
        (
            "dead-man switch",
            "the exchange has one; tradebot does not use it" if row.dead_man else "none used",
        ),
        ("bars", ", ".join(names[i] for i in sorted(names))),
        ("quotes", _quotes(exchange)),
        ("deposits and withdrawals", _money(exchange)),
    )
    return Description(
        id=exchange.id,
        name=str(raw.name),
        is_proven=row.is_proven,
        facts=facts,
        missing=missing_for_trading(exchange),
        not_done=tuple(_not_done(exchange, has_stops)),
    )


def _not_done(exchange: Exchange, has_stops: bool) -> list[str]:
    row = exchange.declared
    found = [
        "replace an order in one step: it is cancelled, and sent anew once that is confirmed",
        "trade derivatives or on margin, or sell short",
        "hold two instruments with one base asset in one account",
    ]
    if not row.sends_pair:
        found.append(
            "join two exits as one-cancels-other at the exchange: give a strategy a stop or a target, not both"
        )
    if OrderKind.TRAILING_STOP in row.refuses:
        found.append("rest a trailing stop at the exchange")
    if not has_stops:
        found.append("rest a stop at the exchange: a position is unprotected while the daemon is down")
    if not row.has_refusals:
        found.append(
            "believe a refusal: an order that fails stays unknown and its symbol waits until it is found"
        )
    if not exchange.has("fetchDeposits"):
        found.append("explain deposits and withdrawals: a changed balance halts until it is adopted")
    if not row.is_proven:
        found.append("promise anything: it was never run against this exchange or an emulator of it")
    return found


def _missing(exchange: Exchange, needed: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[str, ...]:
    return tuple(what for what, names in needed if not any(exchange.has(name) for name in names))


def _features(features: Any, method: str) -> Mapping[str, Any]:
    spot = features.get("spot") if isinstance(features, Mapping) else None
    found = spot.get(method) if isinstance(spot, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _quotes(exchange: Exchange) -> str:
    if exchange.has("watchBidsAsks"):
        return "best bid and ask"
    return "best of the order book" if exchange.has("watchOrderBook") else "none"


def _money(exchange: Exchange) -> str:
    return "read, where the key may see them" if exchange.has("fetchDeposits") else "not told by the exchange"

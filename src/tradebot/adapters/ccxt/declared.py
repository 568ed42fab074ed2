"""Declare, per exchange, what its interface cannot tell and an order's safety hangs on.

Owns the table. An exchange that is not in it gets the most careful row: its refusals prove nothing and
its orders are looked for by listing. Refuses what ccxt can be asked: that is `capability`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tradebot.core.model import OrderKind, Tif
from tradebot.core.ports import IdPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What is known of an exchange's spot interface.

    `finds_by_client_id`: one order can be asked for and cancelled by our id; else lists are searched.
    `trade_client_id` are the fields of a raw trade of the private stream that hold our id, best first.
    `refuses` are order kinds that the exchange has and that are not sent there, with the reason.
    `options` go into ccxt's own. `time_in_force` beside ccxt's words. `has_refusals`: `refusals` has a table.
    `has_full_pages`: a page of trades that is not full is the last one.
    `orders_from` and `trades_from` are the parameters that ask for orders and trades from one of the exchange's
    ids on; empty: none does.
    `subscribes` is the method of ccxt that returns once the private stream stands; empty: none does.
    `account_key` is where a raw balance says whose account it is, `withdraws` the question whether a key may
    withdraw and the field of its answer; empty: the exchange does not tell.
    `sends_pair` is the method of ccxt that sends a target and a stop of which one cancels the other; empty: they
    cannot rest together.
    `dead_man`: the exchange cancels everything when it does not hear from us; not used yet.
    """

    id_policy: IdPolicy
    finds_by_client_id: bool
    longest_id: int
    has_refusals: bool
    fee_asset: str
    lots: str
    has_full_pages: bool = False
    orders_from: str = ""
    trades_from: str = ""
    subscribes: tuple[str, ...] = ()
    account_key: str = ""
    withdraws: tuple[str, ...] = ()
    sends_pair: str = ""
    dead_man: bool = False
    trade_client_id: tuple[str, ...] = ()
    tifs: tuple[Tif, ...] = (Tif.GTC, Tif.IOC, Tif.FOK)
    refuses: Mapping[OrderKind, str] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    is_proven: bool = False


_TRAILING = {OrderKind.TRAILING_STOP: "a trailing stop is not sent to exchanges in this version"}

_BINANCE = Declared(
    id_policy=IdPolicy.WHILE_OPEN,
    finds_by_client_id=True,
    longest_id=36,
    has_refusals=True,
    fee_asset="what is received, or BNB when the account says so",
    lots="none: trades only",
    has_full_pages=True,
    orders_from="orderId",
    trades_from="fromId",
    subscribes=("ensure_user_data_stream_ws_subscribe_signature", "spot"),
    trade_client_id=("c",),
    account_key="uid",
    withdraws=("sapi_get_account_apirestrictions", "enableWithdrawals"),
    sends_pair="private_post_orderlist_oco",
    # One request instead of six at the start, and none to derivatives' hosts.
    options={
        "fetchMarkets": {"types": ["spot"]},
        "fetchCurrencies": False,
        "fetchMargins": False,
        "fetchOpenOrders": {"warnWithoutSymbol": False},
        "defaultType": "spot",
        "recvWindow": 5000,
    },
    is_proven=True,
)

_KRAKEN = Declared(
    id_policy=IdPolicy.WHILE_OPEN,
    finds_by_client_id=False,  # ccxt sends it in the field of another kind of id
    longest_id=18,
    has_refusals=True,
    fee_asset="the quote asset",
    lots="none: trades only",
    dead_man=True,
    trade_client_id=("cl_ord_id",),
    refuses=_TRAILING,
)

UNDECLARED = Declared(
    id_policy=IdPolicy.NONE,
    finds_by_client_id=False,
    longest_id=18,
    has_refusals=False,
    fee_asset="as each trade says",
    lots="none: trades only",
    refuses=_TRAILING,
)

DECLARED: Mapping[str, Declared] = {"binance": _BINANCE, "binanceus": _BINANCE, "kraken": _KRAKEN}


def declared(exchange: str) -> Declared:
    """Return what is declared of an exchange; the most careful row when nothing is."""
    return DECLARED.get(exchange, UNDECLARED)

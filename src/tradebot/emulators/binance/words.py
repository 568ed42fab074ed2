"""Write orders, trades, balances and symbols as Binance's JSON.

Pure; the shapes are those of Binance's public documents, spelling mistakes included.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tradebot.core.messages import (
    VenueAcked,
    VenueCanceled,
    VenueExpired,
    VenueFilled,
    VenueReplaced,
    VenueTriggered,
)
from tradebot.core.model import Fill, Instrument, Liquidity, Order, OrderKind, Side, Tif
from tradebot.core.ports import Standing
from tradebot.emulators.house import Happened, OrderState

MS = 1_000_000
ZERO = Decimal(0)
Json = dict[str, Any]

TYPES = {
    OrderKind.MARKET: "MARKET",
    OrderKind.LIMIT: "LIMIT",
    OrderKind.STOP: "STOP_LOSS",
    OrderKind.TRAILING_STOP: "STOP_LOSS",
    OrderKind.STOP_LIMIT: "STOP_LOSS_LIMIT",
}
TIFS = {Tif.GTC: "GTC", Tif.IOC: "IOC", Tif.FOK: "FOK"}
_STATUS = {
    Standing.FILLED: "FILLED",
    Standing.CANCELED: "CANCELED",
    Standing.EXPIRED: "EXPIRED",
    Standing.REJECTED: "REJECTED",
    Standing.REPLACED: "CANCELED",
}
_EXECUTIONS = {
    VenueAcked: "NEW",
    VenueFilled: "TRADE",
    VenueCanceled: "CANCELED",
    VenueReplaced: "CANCELED",
    VenueExpired: "EXPIRED",
    VenueTriggered: "NEW",
}


def text(amount: Decimal | None) -> str:
    """Return an amount with eight places, as everywhere at Binance."""
    return f"{amount or ZERO:.8f}"


def symbol_id(instrument: Instrument) -> str:
    """Return the symbol of an instrument at Binance."""
    return f"{instrument.base}{instrument.quote}"


def status(state: OrderState) -> str:
    """Return the word for where an order stands."""
    if state.is_working:
        return "PARTIALLY_FILLED" if state.filled_qty else "NEW"
    if state.standing is Standing.CANCELED and (_is_immediate(state.order) or state.reason.startswith("oco")):
        return "EXPIRED"
    return _STATUS[state.standing]


def _is_immediate(order: Order) -> bool:
    # Nobody has the time to cancel one: what it leaves has expired.
    return order.kind is OrderKind.MARKET or order.tif in (Tif.IOC, Tif.FOK)


def list_id(order: Order) -> int:
    """Return the number of an order's list, -1 for a single one."""
    return -1 if order.group_id is None else int(order.group_id)


def kind(order: Order) -> str:
    return "LIMIT_MAKER" if order.post_only else TYPES[order.kind]


def _common(state: OrderState, symbol: str, client_id: str) -> Json:
    order = state.order
    return {
        "symbol": symbol,
        "orderId": state.number,
        "orderListId": list_id(order),
        "clientOrderId": client_id,
        "price": text(order.limit_price),
        "origQty": text(order.qty),
        "executedQty": text(state.filled_qty),
        "origQuoteOrderQty": text(ZERO),
        "cummulativeQuoteQty": text(state.notional),
        "status": status(state),
        "timeInForce": TIFS.get(order.tif, "GTC"),
        "type": kind(order),
        "side": order.side.value.upper(),
    }


def order_json(state: OrderState, symbol: str) -> Json:
    """Return an order as GET /api/v3/order shows it."""
    order = state.order
    is_stop = order.stop_price is not None or order.kind is OrderKind.TRAILING_STOP
    is_waiting = is_stop and not state.is_triggered and not state.filled_qty
    return {
        **_common(state, symbol, order.client_order_id),
        "stopPrice": text(order.stop_price),
        "icebergQty": text(ZERO),
        "time": state.created // MS,
        "updateTime": state.updated // MS,
        **({} if order.trail is None else {"trailingDelta": int(order.trail * 10_000)}),
        "isWorking": state.is_working and not is_waiting,
        "workingTime": -1 if is_waiting else state.created // MS,
        "selfTradePreventionMode": "NONE",
    }


def placed_json(state: OrderState, symbol: str, trades: list[Json], now: int) -> Json:
    """Return the FULL answer to a new order."""
    found = _common(state, symbol, state.order.client_order_id)
    found |= {"transactTime": now // MS, "workingTime": now // MS, "selfTradePreventionMode": "NONE"}
    if state.order.stop_price is not None:
        found["stopPrice"] = text(state.order.stop_price)
    return {**found, "fills": trades}


def canceled_json(state: OrderState, symbol: str, cancel_id: str, now: int) -> Json:
    """Return the answer to a cancel: `clientOrderId` is the cancel's own."""
    found = _common(state, symbol, cancel_id)
    found |= {"origClientOrderId": state.order.client_order_id, "transactTime": now // MS}
    return {**found, "selfTradePreventionMode": "NONE"}


def fill_json(fill: Fill, trade_id: int) -> Json:
    """Return a trade as part of a FULL answer."""
    return {
        "price": text(fill.price),
        "qty": text(fill.qty),
        "commission": text(fill.fee),
        "commissionAsset": fill.fee_asset,
        "tradeId": trade_id,
    }


def trade_json(fill: Fill, state: OrderState, trade_id: int, symbol: str) -> Json:
    """Return a trade as GET /api/v3/myTrades shows it."""
    return {
        "symbol": symbol,
        "id": trade_id,
        "orderId": state.number,
        "orderListId": list_id(state.order),
        "price": text(fill.price),
        "qty": text(fill.qty),
        "quoteQty": text(fill.qty * fill.price),
        "commission": text(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": fill.ts // MS,
        "isBuyer": fill.side is Side.BUY,
        "isMaker": fill.liquidity is Liquidity.MAKER,
        "isBestMatch": True,
    }


def report_json(happened: Happened, symbol: str, trade_id: int, cancel_id: str, now: int) -> Json:
    """Return an executionReport: of a cancel, `C` is the order's id and `c` the cancel's."""
    state, report = happened.state, happened.report
    order = state.order
    fill = report.fill if isinstance(report, VenueFilled) else None
    is_cancel = isinstance(report, VenueCanceled) and status(state) == "CANCELED"
    found: Json = {
        "e": "executionReport",
        "E": now // MS,
        "s": symbol,
        "c": cancel_id if is_cancel else order.client_order_id,
        "S": order.side.value.upper(),
        "o": kind(order),
        "f": TIFS.get(order.tif, "GTC"),
        "q": text(order.qty),
        "p": text(order.limit_price),
        "P": text(order.stop_price),
        "F": text(ZERO),
        "g": list_id(order),
        "C": order.client_order_id if is_cancel else "",
        "x": "EXPIRED" if status(state) == "EXPIRED" else _EXECUTIONS[type(report)],
        "X": status(state),
        "r": "NONE",
        "i": state.number,
        "l": text(None if fill is None else fill.qty),
        "z": text(state.filled_qty),
        "L": text(None if fill is None else fill.price),
        "n": text(fill.fee) if fill is not None and fill.fee else "0",
        "N": fill.fee_asset if fill is not None and fill.fee else None,
        "T": report.ts // MS,
        "t": trade_id,
        "I": happened.seq,
        "w": state.is_working and order.stop_price is None,
        "m": fill is not None and fill.liquidity is Liquidity.MAKER,
        "M": False,
        "O": state.created // MS,
        "Z": text(state.notional),
        "Y": text(None if fill is None else fill.qty * fill.price),
        "Q": text(ZERO),
        "W": state.created // MS,
        "V": "NONE",
    }
    return found


def is_told(happened: Happened) -> bool:
    """Return whether the user stream speaks of it: a refused order never existed."""
    return type(happened.report) in _EXECUTIONS


def balances_json(total: Mapping[str, Decimal], locked: Mapping[str, Decimal]) -> list[Json]:
    """Return balances as GET /api/v3/account shows them."""
    return [
        {"asset": a, "free": text(q - locked.get(a, ZERO)), "locked": text(locked.get(a))}
        for a, q in total.items()
    ]


def symbol_json(inst: Instrument, trading: str) -> Json:
    """Return a symbol of exchangeInfo with its filters."""
    return {
        "symbol": symbol_id(inst),
        "status": trading,
        "baseAsset": inst.base,
        "baseAssetPrecision": 8,
        "quoteAsset": inst.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT"],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": False,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": False,
        "amendAllowed": False,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": text(inst.tick_size), "maxPrice": "9000000.00000000",
             "tickSize": text(inst.tick_size)},
            {"filterType": "LOT_SIZE", "minQty": text(max(inst.min_qty, inst.lot_size)),
             "maxQty": text(MOST), "stepSize": text(inst.lot_size)},
            {"filterType": "MARKET_LOT_SIZE", "minQty": text(ZERO), "maxQty": text(MOST), "stepSize": text(ZERO)},
            {"filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": str(BAND), "bidMultiplierDown": f"{1 / BAND}",
             "askMultiplierUp": str(BAND), "askMultiplierDown": f"{1 / BAND}", "avgPriceMins": 5},
            {"filterType": "NOTIONAL", "minNotional": text(inst.min_notional), "applyMinToMarket": True,
             "maxNotional": "9000000.00000000", "applyMaxToMarket": False, "avgPriceMins": 5},
            {"filterType": "TRAILING_DELTA", "minTrailingAboveDelta": 10, "maxTrailingAboveDelta": 2000,
             "minTrailingBelowDelta": 10, "maxTrailingBelowDelta": 2000},
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": MOST_ORDERS},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }  # fmt: skip


MOST = Decimal(9000)  # units of base in one order
MOST_ORDERS = 200
BAND = Decimal(5)  # a limit may be five times the market, or a fifth of it

"""Show a house as Alpaca shows it: orders, account, positions, activities, assets, clock, calendar.

Owns the JSON shapes. Every function takes the thing as it was at one moment. Refuses to decide anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from tradebot.core.messages import VenueFilled
from tradebot.core.model import DAY, AccountModel, AssetClass, Bar, Fill, Instrument, OrderKind, Side, Tif
from tradebot.core.ports import Standing
from tradebot.core.quantize import decimal_of
from tradebot.data.calendars import sessions
from tradebot.emulators.alpaca.texts import id_of, new_york, plain, plain_or_none, stamp, stamp_or_none
from tradebot.emulators.house import ZERO, Happened, House, OrderState

TIFS = {
    Tif.DAY: "day",
    Tif.GTC: "gtc",
    Tif.IOC: "ioc",
    Tif.FOK: "fok",
    Tif.AT_OPEN: "opg",
    Tif.AT_CLOSE: "cls",
}
CLASSES = {AssetClass.STOCK: "us_equity", AssetClass.CRYPTO: "crypto"}
_ENDED = {
    Standing.FILLED: "filled",
    Standing.CANCELED: "canceled",
    Standing.EXPIRED: "expired",
    Standing.REJECTED: "rejected",
    Standing.REPLACED: "replaced",
}
_MULTIPLIER = 4  # of a margin account's equity
_CENT = Decimal("0.01")
_KINDS = {"dividend": "DIV", "interest": "INT", "fee": "FEE", "deposit": "CSD", "withdrawal": "CSW"}

Json = dict[str, object]


def order_id(state: OrderState) -> str:
    return id_of("order", state.number)


def is_open(house: House, instrument: Instrument) -> bool:
    """Return whether the instrument trades now; a calendar that nobody opened is always open."""
    session = house.exchange.sim.sessions.get(instrument.calendar)
    return session is None or session.is_open


def status_of(house: House, state: OrderState) -> str:
    """Return Alpaca's word for where an order stands."""
    if not state.is_working:
        return _ENDED[state.standing]
    if state.filled_qty:
        return "partially_filled"
    parent = state.order.activated_by
    if parent is not None:
        found = house.find(parent)
        if found is not None and not found.filled_qty:
            return "held"
    return "new" if is_open(house, house.instruments[state.order.instrument]) else "accepted"


def order_json(house: House, state: OrderState, *, status: str = "", notional: Decimal | None = None) -> Json:
    """Return an order; `status` instead of the one it has, `notional` if it was sent as one."""
    order = state.order
    instrument = house.instruments[order.instrument]
    ends = {state.standing: state.ended} if state.ended is not None else {}
    replaced_by = house.find(state.by) if state.by else None
    replaces = house.find(order.replaces) if order.replaces else None
    is_percent = order.kind is OrderKind.TRAILING_STOP and order.trail_is_fraction
    is_amount = order.kind is OrderKind.TRAILING_STOP and not order.trail_is_fraction
    trail = order.trail or ZERO
    return {
        "id": order_id(state),
        "client_order_id": order.client_order_id,
        "created_at": stamp(state.created),
        "updated_at": stamp(state.updated),
        "submitted_at": stamp(state.created),
        "filled_at": stamp_or_none(ends.get(Standing.FILLED)),
        "expired_at": stamp_or_none(ends.get(Standing.EXPIRED)),
        "expires_at": stamp(_expiry(state)),
        "canceled_at": stamp_or_none(ends.get(Standing.CANCELED)),
        "failed_at": stamp_or_none(ends.get(Standing.REJECTED)),
        "replaced_at": stamp_or_none(ends.get(Standing.REPLACED)),
        "replaced_by": None if replaced_by is None else order_id(replaced_by),
        "replaces": None if replaces is None else order_id(replaces),
        "asset_id": id_of("asset", instrument.id),
        "symbol": instrument.id,
        "asset_class": CLASSES[instrument.asset_class],
        "notional": plain_or_none(notional),
        "qty": None if notional is not None else plain(qty_of(house, state)),
        "filled_qty": plain(state.filled_qty),
        "filled_avg_price": plain(_average(state)) if state.filled_qty else None,
        "order_class": "",
        "order_type": order.kind.value,
        "type": order.kind.value,
        "side": order.side.value,
        "position_intent": f"{order.side.value}_to_{'open' if order.side is Side.BUY else 'close'}",
        "time_in_force": TIFS[order.tif],
        "limit_price": plain_or_none(order.limit_price),
        "stop_price": plain_or_none(_stop_of(house, state)),
        "trail_percent": plain(trail * 100) if is_percent else None,
        "trail_price": plain(trail) if is_amount else None,
        "hwm": None,
        "status": status or status_of(house, state),
        "extended_hours": False,
        "legs": None,
        "subtag": None,
        "source": "access_key",
    }


def _expiry(state: OrderState) -> int:
    """Return when an order is to end: with the session it is for, or after ninety days."""
    if state.order.tif is Tif.GTC:
        return state.created + 90 * DAY
    _, closes = sessions("XNYS").between(state.created, state.created + 7 * DAY)
    return int(closes[0])


def _stop_of(house: House, state: OrderState) -> Decimal | None:
    working = house.exchange.sim.blotter.orders.get(state.order.client_order_id)
    return state.order.stop_price if working is None else working.stop_price


def _average(state: OrderState) -> Decimal:
    return round(state.notional / state.filled_qty, 9)


# --- the account --------------------------------------------------------------------------------------


def price_of(house: House, symbol: str) -> Decimal:
    """Return the last known price (the middle of a quote), 0 when there is none."""
    mark = house.last(symbol)
    if mark is None:
        return ZERO
    return decimal_of(mark.close if isinstance(mark, Bar) else mark.mid)


def held_for(house: House, symbol: str, side: Side) -> Decimal:
    """Return the quantity that open orders of one side hold; siblings of a group hold it once."""
    groups: dict[str, Decimal] = {}
    for state in house.working():
        order = state.order
        if order.instrument == symbol and order.side is side and status_of(house, state) != "held":
            key = order.group_id or order.client_order_id
            groups[key] = max(groups.get(key, ZERO), qty_of(house, state) - state.filled_qty)
    return sum(groups.values(), ZERO)


def qty_of(house: House, state: OrderState) -> Decimal:
    """Return an order's quantity; what the other half of its group traded has come off it."""
    working = house.exchange.sim.blotter.orders.get(state.order.client_order_id)
    return state.order.qty - (ZERO if working is None else working.reduced)


def buying_power(house: House) -> Decimal:
    """Return what may be spent: cash (margin: four times equity), less positions and open buys."""
    books = house.books()
    long, short = _values(house)
    held = ZERO
    for state in house.working():
        order = state.order
        if order.side is Side.BUY and order.group_id is None:
            price = order.limit_price or order.stop_price or price_of(house, order.instrument)
            held += (order.qty - state.filled_qty) * price
    cash = books.cash.get("USD", ZERO)
    if books.model is AccountModel.CASH:
        return max(cash - held, ZERO)
    equity = cash + long + short
    return max(equity * _MULTIPLIER - long + short - held, ZERO)


def _values(house: House) -> tuple[Decimal, Decimal]:
    long = short = ZERO
    for symbol, qty in house.books().positions.items():
        value = qty * price_of(house, symbol)
        if qty > 0:
            long += value
        else:
            short += value
    return long, short


def account_json(house: House) -> Json:
    books, (long, short) = house.books(), _values(house)
    cash, power = books.cash.get("USD", ZERO), buying_power(house)
    is_cash = books.model is AccountModel.CASH
    equity = plain(round(cash + long + short, 2))
    money = plain(round(cash, 2))
    return {
        "id": id_of("account", house.exchange.account),
        "account_number": "PA00EMULATED",
        "status": "ACTIVE",
        "crypto_status": "ACTIVE",
        "currency": "USD",
        "cash": money,
        "buying_power": plain(round(power, 2)),
        "regt_buying_power": plain(round(power, 2)),
        "non_marginable_buying_power": money,
        "options_buying_power": money,
        "effective_buying_power": plain(round(power, 2)),
        "equity": equity,
        "last_equity": equity,
        "portfolio_value": equity,
        "long_market_value": plain(round(long, 2)),
        "short_market_value": plain(round(short, 2)),
        "position_market_value": plain(round(long + short, 2)),
        "initial_margin": "0",
        "maintenance_margin": "0",
        "last_maintenance_margin": "0",
        "accrued_fees": "0",
        "sma": "0",
        "multiplier": "1" if is_cash else str(_MULTIPLIER),
        "shorting_enabled": not is_cash,
        "account_blocked": False,
        "trading_blocked": False,
        "transfers_blocked": False,
        "trade_suspended_by_user": False,
        "created_at": "2020-01-02T15:04:05Z",
        "options_approved_level": 0,
        "options_trading_level": 0,
    }


def position_symbol(instrument: Instrument) -> str:
    """Return the symbol in positions and activities, where pairs lose their slash."""
    return instrument.id.replace("/", "")


def position_json(house: House, symbol: str, qty: Decimal) -> Json:
    instrument, price = house.instruments[symbol], price_of(house, symbol)
    side = Side.SELL if qty > 0 else Side.BUY
    available = max(abs(qty) - held_for(house, symbol, side), ZERO)
    value, cost = qty * price, _cost(house, symbol, qty)
    gain = value - cost
    return {
        "asset_id": id_of("asset", symbol),
        "symbol": position_symbol(instrument),
        "exchange": "CRYPTO" if instrument.asset_class is AssetClass.CRYPTO else "ARCA",
        "asset_class": CLASSES[instrument.asset_class],
        "asset_marginable": instrument.asset_class is AssetClass.STOCK,
        "qty": plain(qty),
        "qty_available": plain(available if qty > 0 else -available),
        "avg_entry_price": plain(round(cost / qty, 9)),
        "side": "long" if qty > 0 else "short",
        "market_value": plain(value),
        "cost_basis": plain(cost),
        "unrealized_pl": plain(gain),
        "unrealized_plpc": plain(round(gain / abs(cost), 9)) if cost else "0",
        "unrealized_intraday_pl": plain(gain),
        "unrealized_intraday_plpc": "0",
        "current_price": plain(price),
        "lastday_price": plain(price),
        "change_today": "0",
    }


def _cost(house: House, symbol: str, qty: Decimal) -> Decimal:
    """Return the cost of what is held, by average price over the trades since it was flat."""
    held = cost = ZERO
    for fill in house.exchange.fills:
        if fill.instrument != symbol:
            continue
        signed = fill.qty_signed
        if held * signed >= 0:
            cost += signed * fill.price
        elif abs(signed) <= abs(held):
            cost += cost / held * signed
        else:
            cost = (held + signed) * fill.price
        held += signed
    return cost if held == qty else qty * price_of(house, symbol)


# --- activities ---------------------------------------------------------------------------------------


def activities(house: House) -> list[Json]:
    """Return everything that moved shares or money, oldest first."""
    rows = [*_fills(house), *_flows(house)]
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def activity_id(ts: int, kind: str, name: str) -> str:
    at = new_york(ts)
    return f"{at:%Y%m%d%H%M%S}{ts // 1_000_000 % 1000:03d}::{id_of(kind, name)}"


def _fills(house: House) -> Iterator[tuple[tuple[int, int], Json]]:
    for happened in house.history:
        if isinstance(happened.report, VenueFilled):
            yield (happened.report.ts, happened.seq), _fill_json(house, happened, happened.report.fill)


def _fill_json(house: House, happened: Happened, fill: Fill) -> Json:
    state = happened.state
    leaves = state.order.qty - state.filled_qty
    return {
        "id": activity_id(fill.ts, "execution", fill.fill_id),
        "account_id": id_of("account", house.exchange.account),
        "activity_type": "FILL",
        "transaction_time": stamp(fill.ts),
        "type": "partial_fill" if leaves else "fill",
        "price": plain(fill.price),
        "qty": plain(fill.qty),
        "side": fill.side.value,
        "symbol": position_symbol(house.instruments[fill.instrument]),
        "leaves_qty": plain(leaves),
        "order_id": order_id(state),
        "cum_qty": plain(state.filled_qty),
        "order_status": "partially_filled" if leaves else "filled",
    }


def _flows(house: House) -> Iterator[tuple[tuple[int, int], Json]]:
    for i, event in enumerate(house.exchange.events):
        kind = next((k for word, k in _KINDS.items() if word in event.because.lower()), "JNLC")
        row: Json = {
            "id": activity_id(event.ts, "flow", event.venue_ref),
            "account_id": id_of("account", house.exchange.account),
            "activity_type": kind,
            "date": f"{new_york(event.ts):%Y-%m-%d}",
            "net_amount": plain(event.amount.quantize(_CENT)),
            "description": event.because,
            "status": "executed",
        }
        yield (event.ts, i), row


# --- what is traded, and when -------------------------------------------------------------------------


def asset_json(instrument: Instrument, *, is_tradable: bool = True) -> Json:
    is_crypto = instrument.asset_class is AssetClass.CRYPTO
    found: Json = {
        "id": id_of("asset", instrument.id),
        "class": CLASSES[instrument.asset_class],
        "exchange": "CRYPTO" if is_crypto else "ARCA",
        "symbol": instrument.id,
        "name": f"{instrument.id} (emulated)",
        "status": "active" if is_tradable else "inactive",
        "tradable": is_tradable,
        "marginable": not is_crypto,
        "shortable": instrument.shortable and not is_crypto,
        "easy_to_borrow": instrument.shortable and not is_crypto,
        "fractionable": instrument.lot_size < 1,
        "maintenance_margin_requirement": 30 if not is_crypto else 100,
        "attributes": [],
    }
    if is_crypto:
        found |= {
            "min_order_size": plain(max(instrument.min_qty, instrument.lot_size)),
            "min_trade_increment": plain(instrument.lot_size),
            "price_increment": plain(instrument.tick_size),
        }
    return found


def nearest(moments: Iterable[int], now: int) -> int | None:
    """Return the first of ascending moments after `now`."""
    return next((at for at in moments if at > now), None)

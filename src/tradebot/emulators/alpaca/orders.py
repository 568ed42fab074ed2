"""Read an order request as Alpaca does, and refuse it in Alpaca's words.

Owns the rules of acceptance that the simulated venue does not have: ids for ever, time in force by asset
class, fractional and notional orders, sub-penny prices, buying power, held quantities, wash trades.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal, InvalidOperation

from tradebot.core.model import AccountModel, AssetClass, Instrument, Order, OrderKind, Side, Tif
from tradebot.emulators.alpaca.shown import TIFS, buying_power, held_for, is_open, position_symbol, price_of
from tradebot.emulators.alpaca.texts import Refusal, id_of, plain
from tradebot.emulators.house import ZERO, House

_TIF_OF = {word: tif for tif, word in TIFS.items()}
_CRYPTO_KINDS = (OrderKind.MARKET, OrderKind.LIMIT, OrderKind.STOP_LIMIT)
_LONGEST_ID = 128
_NINE = Decimal("1e-9")

Words = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that was taken: its orders (a parent first), its class, its notional if it named one."""

    orders: tuple[Order, ...]
    order_class: str
    notional: Decimal | None = None
    extended_hours: bool = False


def read_order(house: House, words: Words) -> Asked:
    """Return the orders that a POST asks for. Raises Refusal."""
    instrument = _instrument(house, words)
    order_class = str(words.get("order_class") or "simple")
    if order_class not in ("simple", "bracket", "oto", "oco"):
        raise Refusal(422, 40010001, f"invalid order_class: {order_class}")
    notional = _amount(words, "notional")
    qty = _amount(words, "qty")
    if (qty is None) == (notional is None):
        raise Refusal(422, 40010001, "qty or notional is required, not both")
    if notional is not None:
        price = price_of(house, instrument.id)
        if not price:
            raise Refusal(403, 40310000, f"no price of {instrument.id} to compute the quantity with")
        step = max(instrument.lot_size, _NINE)
        qty = (notional / price / step).to_integral_value(ROUND_DOWN) * step
    assert qty is not None
    order = _terms(house, instrument, words, qty, order_class)
    asked = Asked(
        orders=(order, *_legs(house, order, words, order_class)),
        order_class="" if order_class == "simple" else order_class,
        notional=notional,
        extended_hours=words.get("extended_hours") is True,
    )
    _check_shape(house, instrument, asked, order_class)
    _check_wash(house, order)
    _check_means(house, instrument, order, notional)
    return asked


def replacement(house: House, old: Order, words: Words) -> Order:
    """Return the order that a PATCH asks for in place of `old`. Raises Refusal."""
    client_id = str(words.get("client_order_id") or id_of("client", f"{len(house.orders)}"))
    _check_id(house, client_id)
    order = replace(
        old,
        client_order_id=client_id,
        ts=house.clock.now(),
        replaces=old.client_order_id,
        qty=_amount(words, "qty") or old.qty,
        limit_price=_amount(words, "limit_price") or old.limit_price,
        stop_price=_amount(words, "stop_price") or old.stop_price,
        tif=_TIF_OF.get(str(words.get("time_in_force")), old.tif),
    )
    trail = _amount(words, "trail")
    if trail is not None:
        order = replace(order, trail=trail / 100 if old.trail_is_fraction else trail)
    _check_prices(house.instruments[old.instrument], order)
    return order


def symbol_of(house: House, name: str) -> str | None:
    """Return the instrument that a symbol (with or without slash) or an asset id names."""
    for symbol, instrument in house.instruments.items():
        if name in (symbol, position_symbol(instrument), id_of("asset", symbol)):
            return symbol
    return None


def _instrument(house: House, words: Words) -> Instrument:
    name = str(words.get("symbol") or "")
    symbol = symbol_of(house, name)
    if symbol is None:
        raise Refusal(422, 42210000, f'asset "{name}" not found')
    return house.instruments[symbol]


def _terms(house: House, instrument: Instrument, words: Words, qty: Decimal, order_class: str) -> Order:
    kinds = {kind.value: kind for kind in OrderKind}
    kind = kinds.get(str(words.get("type") or words.get("order_type")))
    sides = {side.value: side for side in Side}
    side = sides.get(str(words.get("side")))
    tif = _TIF_OF.get(str(words.get("time_in_force")))
    for name, found in (("type", kind), ("side", side), ("time_in_force", tif)):
        if found is None:
            raise Refusal(422, 40010001, f"invalid {name}: {words.get(name)}")
    assert kind is not None and side is not None and tif is not None
    client_id = str(words.get("client_order_id") or id_of("client", f"{len(house.orders)}"))
    _check_id(house, client_id)
    percent, distance = _amount(words, "trail_percent"), _amount(words, "trail_price")
    limit = _amount(words, "limit_price")
    if order_class == "oco":
        kind = OrderKind.LIMIT
        profit = words.get("take_profit")
        limit = limit or (_amount(profit, "limit_price") if isinstance(profit, dict) else None)
    return Order(
        client_order_id=client_id,
        account=house.exchange.account,
        strategy="",
        instrument=instrument.id,
        side=side,
        kind=kind,
        qty=qty,
        ts=house.clock.now(),
        limit_price=limit,
        stop_price=_amount(words, "stop_price"),
        trail=distance if percent is None else percent / 100,
        trail_is_fraction=percent is not None,
        tif=tif,
        group_id=client_id if order_class == "oco" else None,
    )


def _legs(house: House, order: Order, words: Words, order_class: str) -> tuple[Order, ...]:
    """Return the orders that a bracket, OTO or OCO brings along."""
    if order_class == "simple":
        return ()
    profit, loss = words.get("take_profit"), words.get("stop_loss")
    has_profit, has_loss = isinstance(profit, dict), isinstance(loss, dict)
    if order_class in ("bracket", "oco") and not (has_profit and has_loss):
        raise Refusal(422, 40010001, f"{order_class} orders require take_profit and stop_loss")
    if order_class == "oto" and has_profit == has_loss:
        raise Refusal(422, 40010001, "oto orders require either take_profit or stop_loss")
    is_oco = order_class == "oco"
    base = replace(
        order,
        side=order.side if is_oco else order.side.opposite,
        group_id=order.client_order_id,
        activated_by=None if is_oco else order.client_order_id,
        limit_price=None,
        stop_price=None,
        trail=None,
    )
    legs: list[Order] = []
    if isinstance(profit, dict) and not is_oco:
        limit = _amount(profit, "limit_price")
        legs.append(replace(base, kind=OrderKind.LIMIT, limit_price=limit))
    if isinstance(loss, dict):
        stop, limit = _amount(loss, "stop_price"), _amount(loss, "limit_price")
        kind = OrderKind.STOP if limit is None else OrderKind.STOP_LIMIT
        legs.append(replace(base, kind=kind, stop_price=stop, limit_price=limit))
    count = len(house.orders)
    return tuple(
        replace(leg, client_order_id=id_of("client", f"{count}/leg{i}")) for i, leg in enumerate(legs)
    )


def _check_id(house: House, client_id: str) -> None:
    if len(client_id) > _LONGEST_ID:
        raise Refusal(422, 40010001, f"client_order_id must be no more than {_LONGEST_ID} characters")
    if house.find(client_id) is not None:
        raise Refusal(422, 40010001, "client_order_id must be unique")


def _check_shape(house: House, instrument: Instrument, asked: Asked, order_class: str) -> None:
    order = asked.orders[0]
    is_crypto = instrument.asset_class is AssetClass.CRYPTO
    if order.qty <= 0:
        raise Refusal(422, 40010001, "qty must be > 0")
    if is_crypto:
        if order_class != "simple":
            raise Refusal(422, 42210000, "crypto orders must be simple orders")
        if order.kind not in _CRYPTO_KINDS:
            raise Refusal(422, 42210000, "invalid order type for crypto order")
        if order.tif not in (Tif.GTC, Tif.IOC):
            raise Refusal(422, 42210000, "invalid crypto time_in_force")
    is_fractional = asked.notional is not None or order.qty != order.qty.to_integral_value()
    if is_fractional and not is_crypto:
        if instrument.lot_size >= 1:
            raise Refusal(403, 40310000, f'asset "{instrument.id}" is not fractionable')
        if order.tif is not Tif.DAY:
            raise Refusal(422, 42210000, "fractional orders must be DAY orders")
        if order_class != "simple":
            raise Refusal(422, 42210000, "fractional orders must be simple orders")
    if asked.extended_hours and (
        order.kind is not OrderKind.LIMIT or order.tif not in (Tif.DAY, Tif.GTC) or is_fractional
    ):
        raise Refusal(422, 42210000, "extended hours order must be DAY or GTC limit orders")
    for one in asked.orders:
        _check_prices(instrument, one)
    price = price_of(house, instrument.id)
    if order.kind is OrderKind.STOP and order.stop_price is not None and price:
        if order.side is Side.SELL and order.stop_price > price:
            raise Refusal(422, 42210000, "stop price must be less than current price")
        if order.side is Side.BUY and order.stop_price < price:
            raise Refusal(422, 42210000, "stop price must be greater than current price")


def _check_prices(instrument: Instrument, order: Order) -> None:
    for name, price in (("limit_price", order.limit_price), ("stop_price", order.stop_price)):
        needed = {
            "limit_price": order.kind in (OrderKind.LIMIT, OrderKind.STOP_LIMIT),
            "stop_price": order.kind in (OrderKind.STOP, OrderKind.STOP_LIMIT),
        }[name]
        if price is None and needed:
            raise Refusal(422, 40010001, f"{order.kind.value} orders require {name}")
        if price is None or instrument.asset_class is AssetClass.CRYPTO:
            continue
        tick = Decimal("0.01") if price >= 1 else Decimal("0.0001")
        if price % tick:
            raise Refusal(
                422,
                42210000,
                f"invalid {name} {plain(price)}. sub-penny increment does not fulfill minimum pricing criteria",
            )


def _check_wash(house: House, order: Order) -> None:
    """Refuse what could trade with an order of the same account on the other side."""
    if order.group_id is not None:
        return
    for state in house.working():
        other = state.order
        if other.instrument != order.instrument or other.side is order.side:
            continue
        if other.activated_by is not None:
            continue
        reason = ""
        if other.kind is not OrderKind.LIMIT:
            reason = "opposite side market/stop order exists"
        elif _crosses(order, other):
            reason = "opposite side limit order exists"
        if reason:
            raise Refusal(
                403,
                40310000,
                "potential wash trade detected. use complex orders",
                existing_order_id=id_of("order", state.number),
                reject_reason=reason,
            )


def _crosses(order: Order, other: Order) -> bool:
    """Return whether a new order could trade with a resting limit order: at its limit, or its stop."""
    if order.kind is OrderKind.TRAILING_STOP or other.limit_price is None:
        return False
    price = order.limit_price if order.limit_price is not None else order.stop_price
    return price is None or (price - other.limit_price) * order.side.sign >= 0


def _check_means(house: House, instrument: Instrument, order: Order, notional: Decimal | None) -> None:
    symbol, books = instrument.id, house.books()
    held = books.positions.get(symbol, ZERO)
    price = order.limit_price or order.stop_price or price_of(house, symbol)
    if order.side is Side.BUY:
        cost = order.qty * price if notional is None else notional
        closes = min(max(-held, ZERO), order.qty) * price
        power = buying_power(house)
        if cost - closes > power:
            raise Refusal(
                403,
                40310000,
                "insufficient buying power",
                buying_power=plain(round(power, 2)),
                cost_basis=plain(round(cost, 2)),
            )
        return
    held_back = held_for(house, symbol, Side.SELL)
    available = max(held - held_back, ZERO)
    if order.qty <= available:
        return
    is_crypto = instrument.asset_class is AssetClass.CRYPTO
    may_short = books.model is AccountModel.MARGIN and instrument.shortable and not is_crypto
    if held > 0 or not may_short:
        if held <= 0 and not is_crypto:
            raise Refusal(403, 40310000, "account is not allowed to short")
        raise Refusal(
            403,
            40310000,
            f"insufficient qty available for order (requested: {plain(order.qty)}, available: {plain(available)})",
            available=plain(available),
            existing_qty=plain(held),
            held_for_orders=plain(held_back),
            symbol=symbol,
        )
    if order.qty != order.qty.to_integral_value():
        raise Refusal(422, 42210000, "fractional orders cannot be sold short")


def check_replaceable(house: House, order: Order, status: str, *, is_notional: bool) -> None:
    """Refuse to replace what Alpaca would not. Raises Refusal."""
    if status in ("filled", "canceled", "expired", "rejected", "replaced"):
        raise Refusal(422, 42210000, f'order is already in "{status}" state')
    if status in ("accepted", "pending_new", "pending_cancel", "pending_replace", "held"):
        raise Refusal(422, 42210000, f"cannot replace order in {status} status")
    if is_notional:
        raise Refusal(422, 42210000, "notional orders cannot be replaced")
    if not is_open(house, house.instruments[order.instrument]):
        raise Refusal(422, 42210000, "cannot replace order in accepted status")


def _amount(words: Words, name: str) -> Decimal | None:
    value = words.get(name)
    if value is None or value == "":
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation as exc:
        raise Refusal(422, 40010001, f"{name} is malformed: {value}") from exc
    if not amount.is_finite():
        raise Refusal(422, 40010001, f"{name} is malformed: {value}")
    return amount

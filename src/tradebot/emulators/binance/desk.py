"""Do at the house what Binance's requests ask: place, cancel, look up, and know what an account can spend.

Owns symbols, trade numbers, locked balances and what the house's refusals are called here. Refuses HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from tradebot.core.messages import VenueCancelRefused, VenueFilled
from tradebot.core.model import Bar, Instrument, Order, OrderKind, Quote, Side
from tradebot.core.ports import Standing
from tradebot.emulators.binance import refusal as no
from tradebot.emulators.binance import words
from tradebot.emulators.binance.candles import Candles
from tradebot.emulators.binance.lists import Lists
from tradebot.emulators.binance.orders import check_filters, client_id, order_of
from tradebot.emulators.binance.refusal import Refusal
from tradebot.emulators.binance.words import Json
from tradebot.emulators.house import Happened, House, OrderState
from tradebot.errors import UsageError

ZERO = Decimal(0)
# What the matching core says of a refusal, in order of looking, and what it is called here.
_WORDS = (("must be unique", no.TWICE), ("already through", no.THROUGH), ("post_only", no.TAKES))


class Desk:
    """The trading part of an emulated Binance, over one house.

    `trading` says what each symbol is open for: TRADING, HALT, BREAK. Raises UsageError for instruments that
    would share a balance.
    """

    def __init__(self, house: House) -> None:
        self.house = house
        self.symbols: dict[str, Instrument] = {}
        self.bases: dict[str, str] = {}
        for name, inst in house.instruments.items():
            if inst.base in self.bases:
                raise UsageError(f"{name} and {self.bases[inst.base]} share the balance of {inst.base}")
            self.symbols[words.symbol_id(inst)] = inst
            self.bases[inst.base] = name
        self.trading = dict.fromkeys(self.symbols, "TRADING")
        self.candles = {name: Candles() for name in house.instruments}
        self.trades: list[Happened] = []
        self.trade_ids: dict[str, int] = {}
        self.cancel_ids: dict[int, str] = {}  # order number -> the id of its cancel
        self.lists = Lists(house)
        house.listen(self._note)
        house.watch(lambda item: self.candles[item.instrument].take(item))

    def symbol(self, params: Mapping[str, str]) -> tuple[str, Instrument]:
        """Return the symbol a request names. Raises Refusal."""
        name = params.get("symbol", "")
        if not name:
            raise no.missing("symbol")
        if name not in self.symbols:
            raise Refusal(*no.NO_SYMBOL)
        return name, self.symbols[name]

    def id_of(self, instrument: str) -> str:
        return words.symbol_id(self.house.instruments[instrument])

    def price(self, inst: Instrument, side: Side) -> float | None:
        """Return what `side` would trade at now."""
        mark = self.house.last(inst.id)
        if isinstance(mark, Quote):
            return mark.ask if side is Side.BUY else mark.bid
        return mark.close if isinstance(mark, Bar) else None

    # --- balances -----------------------------------------------------------------------------------

    def totals(self) -> dict[str, Decimal]:
        """Return what the account holds, by asset."""
        books = self.house.books()
        total = dict(books.cash)
        for base, name in self.bases.items():
            total[base] = total.get(base, ZERO) + books.positions.get(name, ZERO)
        return total

    def locked(self) -> dict[str, Decimal]:
        """Return what working orders hold back, by asset."""
        held: dict[str, Decimal] = {}
        for state in self.house.working():
            order, inst = state.order, self.house.instruments[state.order.instrument]
            leaves = order.qty - state.filled_qty
            other = self.lists.other(state)
            if other is not None and other.number < state.number:
                continue  # both halves of a list sell the same
            if order.side is Side.SELL:
                held[inst.base] = held.get(inst.base, ZERO) + leaves
            elif (price := order.limit_price or order.stop_price) is not None:
                held[inst.quote] = held.get(inst.quote, ZERO) + leaves * price
        return held

    # --- orders ---------------------------------------------------------------------------------------

    def place(self, params: Mapping[str, str]) -> OrderState:
        """Take a new order, which may trade at once. Raises Refusal."""
        name, inst = self.symbol(params)
        now, number = self.house.clock.now(), len(self.house.orders) + 1
        order = order_of(params, inst, self.house.exchange.account, f"auto{number}", now)
        self._check(name, inst, order)
        return self._sent(order)

    def place_pair(self, params: Mapping[str, str]) -> Json:
        """Take a pair of which one cancels the other, whole or not at all. Raises Refusal."""
        name, inst = self.symbol(params)
        sides = {side.value.upper(): side for side in Side}
        side = sides.get(params.get("side", ""), Side.SELL)
        above, below = self.lists.read(params, inst, self.price(inst, side))
        for order in (above, below):
            if (known := self.house.find(order.client_order_id)) is not None and known.is_working:
                raise Refusal(*no.TWICE)
            self._check(name, inst, order)
        return self.lists.answer(name, (self._sent(above), self._sent(below)))

    def _check(self, name: str, inst: Instrument, order: Order) -> None:
        if self.trading[name] != "TRADING":
            raise Refusal(*no.CLOSED)
        market = self.price(inst, order.side)
        working = sum(1 for s in self.house.working() if s.order.instrument == inst.id)
        check_filters(order, inst, market, working)
        if order.kind is OrderKind.MARKET and market is None:
            raise no.filtered("MARKET_LOT_SIZE")  # there is no book to take from
        asset, cost = inst.base, order.qty
        if order.side is Side.BUY:
            price = order.limit_price or order.stop_price or Decimal(str(market or 0))
            asset, cost = inst.quote, order.qty * price
        if cost > self.totals().get(asset, ZERO) - self.locked().get(asset, ZERO):
            raise Refusal(*no.POOR)

    def _sent(self, order: Order) -> OrderState:
        number = len(self.house.orders) + 1
        self.house.submit(order)
        state = self.house.orders[number - 1]
        if state.standing is Standing.REJECTED and not state.fills:
            raise Refusal(*next((row for word, row in _WORDS if word in state.reason), no.POOR))
        return state

    def cancel(self, params: Mapping[str, str]) -> OrderState:
        """Cancel a working order. Raises Refusal."""
        _, inst = self.symbol(params)
        state = self._named(params, inst)
        if state is None or not state.is_working:
            raise Refusal(*no.NOT_OPEN)
        self.cancel_ids[state.number] = client_id(params, "newClientOrderId", f"cancel{state.number}")
        other = self.lists.other(state)
        happened = self.house.cancel(state.order.client_order_id)
        if any(isinstance(h.report, VenueCancelRefused) for h in happened):
            raise Refusal(*no.NOT_OPEN)
        if other is not None:  # a list ends whole
            self.cancel_ids[other.number] = self.cancel_ids[state.number]
            self.house.cancel(other.order.client_order_id)
        return self.house.orders[state.number - 1]

    def find(self, params: Mapping[str, str]) -> OrderState:
        """Return the order a request names. Raises Refusal."""
        _, inst = self.symbol(params)
        state = self._named(params, inst)
        if state is None:
            raise Refusal(*no.NO_ORDER)
        return state

    def known(self, inst: Instrument) -> list[OrderState]:
        """Return all orders of a symbol that ever stood, oldest first."""
        return [s for s in self.house.orders if s.order.instrument == inst.id and _stood(s)]

    def _named(self, params: Mapping[str, str], inst: Instrument) -> OrderState | None:
        number, order_id = params.get("orderId"), params.get("origClientOrderId")
        if number is None and order_id is None:
            raise Refusal(-1128, "Combination of optional parameters invalid.")
        if number is not None:
            if not number.isdigit():
                raise no.illegal("orderId")
            found = self.house.orders[int(number) - 1] if 0 < int(number) <= len(self.house.orders) else None
        else:
            found = self.house.find(order_id or "")
        if found is None or found.order.instrument != inst.id or not _stood(found):
            return None
        return found

    def trade_id(self, happened: Happened) -> int:
        """Return the number of a trade, -1 for what is none."""
        report = happened.report
        return self.trade_ids[report.fill.fill_id] if isinstance(report, VenueFilled) else -1

    def _note(self, happened: Happened) -> None:
        if isinstance(happened.report, VenueFilled):
            self.trades.append(happened)
            self.trade_ids[happened.report.fill.fill_id] = len(self.trades)


def _stood(state: OrderState) -> bool:
    return state.standing is not Standing.REJECTED

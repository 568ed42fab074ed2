"""What the venue holds of ours never exceeds what the limits allowed when it was decided.

Owns the amounts: one order, a position with everything that works on its side, all positions together.
Judges at the moment an order arrives, from the venue's own trades and working orders. Refuses cases in
which no rule could have known better: what got us out of a position had traded and was not heard of yet,
or an order that counted as over turned up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from tests.chaos.venue import Server
from tradebot.core import facts as f
from tradebot.core.ledger import Ledger
from tradebot.core.model import Order, Purpose, Quote
from tradebot.core.recorder import is_own_id
from tradebot.core.setup import Limits

ZERO = Decimal(0)
_SLACK = 1.05  # prices move while an order is on its way
_ENDS = (f.OrderCanceled, f.OrderRejected, f.OrderExpired, f.UnknownReleased)


@dataclass(frozen=True, slots=True)
class _Known:
    """What was on disk when an order was decided on."""

    price: float
    foreign: dict[str, Decimal]
    fills: frozenset[str]
    ended: frozenset[str]


class LimitsKept:
    """Follows commits; `excess` says what an arriving order breaks."""

    def __init__(self, limits: Limits, instance: str) -> None:
        self._limits = limits
        self._instance = instance
        self._is_on = any(x is not None for x in (limits.max_order, limits.max_position, limits.max_gross))
        self._orders: dict[str, Order] = {}
        self._exempt: dict[str, None] = {}
        self._foreign: dict[str, Decimal] = {}
        self._fills: dict[str, None] = {}
        self._ended: dict[str, None] = {}
        self._let_go: dict[str, None] = {}
        self._known: dict[str, _Known] = {}
        self._split: dict[str, None] = {}

    def restart(self, ledger: Ledger) -> None:
        """Take over what a journal says."""
        if not self._is_on:
            return
        self._fills = {x: None for r in ledger.orders.values() for x in r.fill_ids}
        self._ended = {i: None for i, r in ledger.orders.items() if not r.is_open}
        self._orders = {i: r.order for i, r in ledger.orders.items()}
        book = ledger.accounts.get("main")
        self._foreign = {} if book is None else {name: book.qty(name) for name in book.lots}
        for record in ledger.orders.values():
            name, traded = record.order.instrument, record.filled_qty * record.order.side.sign
            self._foreign[name] = self._foreign.get(name, ZERO) - traded

    def committed(self, fact: f.Fact, *, is_reducing: bool = False) -> None:
        """Take a fact that is on disk; of an order, whether it only takes back what its strategy holds."""
        if not self._is_on:
            return
        if isinstance(fact, f.OrderIntended | f.ReplaceRequested):
            self._decided(fact, is_reducing=is_reducing)
        elif isinstance(fact, f.OrderFilled):
            self._fills[fact.fill.fill_id] = None
        elif isinstance(fact, f.PositionAdjusted):
            self._foreign[fact.instrument] = self._foreign.get(fact.instrument, ZERO) + fact.qty_signed
        elif isinstance(fact, _ENDS):
            self._ended[fact.client_order_id] = None
            if isinstance(fact, f.UnknownReleased):
                self._let_go[fact.client_order_id] = None
        elif isinstance(fact, f.SplitApplied):
            self._split[fact.instrument] = None

    def _decided(self, fact: f.OrderIntended | f.ReplaceRequested, *, is_reducing: bool) -> None:
        order = fact.order
        price = fact.price if isinstance(fact, f.OrderIntended) else float(order.limit_price or 0)
        self._orders[order.client_order_id] = order
        if order.purpose is not Purpose.TARGET or is_reducing:
            self._exempt[order.client_order_id] = None
            return
        self._known[order.client_order_id] = _Known(
            price, dict(self._foreign), frozenset(self._fills), frozenset(self._ended)
        )

    # --- at the venue -----------------------------------------------------------------------------

    def excess(self, order: Order, server: Server) -> str:
        """Return the limit that an order breaks by arriving, empty when none."""
        known = self._known.get(order.client_order_id)
        if known is None or order.client_order_id in self._let_go:
            return ""  # nobody counted with it any more: that is what letting go of an unknown order risks
        most, value = self._limits.max_order, float(order.qty) * known.price
        if most is not None and value > most * (1 + 1e-9):
            return f"one order must be worth at most {most:g}, {order} is worth {value:g}"
        names = sorted({o.instrument for o in self._orders.values()})
        worth = {name: self._worst(name, order, known, server) for name in names}
        mine, most = worth[order.instrument], self._limits.max_position
        if most is not None and mine is not None and mine > most * _SLACK:
            return f"a position must be worth at most {most:g}, may become {mine:g} by {order}"
        most = self._limits.max_gross
        found = [x for x in worth.values() if x is not None]
        if most is not None and len(found) == len(names) and sum(found) > most * _SLACK:
            return f"all positions must be worth at most {most:g}, may become {sum(found):g} by {order}"
        return ""

    def _worst(self, name: str, order: Order, known: _Known, server: Server) -> float | None:
        """Return the largest value a position may come to have; None when nobody could have known it."""
        if name in self._split:
            return None
        held = known.foreign.get(name, ZERO)
        for fill in server.exchange.fills:
            order_id = fill.client_order_id.partition("~")[0]
            if fill.instrument != name or order_id not in self._orders:
                continue
            if fill.fill_id not in known.fills and (order_id in self._exempt or order_id in known.ended):
                return None
            held += fill.qty_signed
        buys = sells = ZERO
        for working, left in self._working(name, server):
            if working.client_order_id == order.replaces:
                continue
            if working.client_order_id.partition("~")[0] not in self._orders:
                continue  # of a life that the journal knows nothing of
            if working.client_order_id in known.ended or (
                working.ts >= order.ts and self._is_exempt(working)
            ):
                return None
            buys, sells = (buys + left, sells) if working.side.sign > 0 else (buys, sells + left)
        if name == order.instrument:
            buys, sells = (buys + order.qty, ZERO) if order.side.sign > 0 else (ZERO, sells + order.qty)
            return float((held + buys) if buys else (sells - held)) * known.price
        mark = server.exchange.sim.marks[name]
        price = (mark.bid + mark.ask) / 2 if isinstance(mark, Quote) else mark.close
        return float(max(abs(held + buys), abs(held - sells))) * price

    def _working(self, name: str, server: Server) -> Iterator[tuple[Order, Decimal]]:
        for w in server.exchange.sim.blotter.orders.values():
            order = w.order
            if order.instrument == name and is_own_id(order.client_order_id, self._instance):
                if order.purpose is not Purpose.PROTECT:
                    yield order, w.open_qty

    def _is_exempt(self, order: Order) -> bool:
        return order.client_order_id.partition("~")[0] in self._exempt

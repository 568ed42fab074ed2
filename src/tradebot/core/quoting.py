"""Keep resting quotes in step with what a market maker wants to rest.

Owns the comparison of wanted levels with working limit orders, side by side. An order within
tolerance stays (and keeps its place in the queue); one that is off is replaced by a missing
level where there is one, else cancelled; what is then still missing is sent.
"""

from __future__ import annotations

from decimal import Decimal

from tradebot.core import facts as f
from tradebot.core.gate import Gate
from tradebot.core.legs import Leg
from tradebot.core.model import Level, Order, OrderKind, Purpose, Side, Tif
from tradebot.core.orders import OrderRecord, Status
from tradebot.core.quantize import price_for, qty_for
from tradebot.core.recorder import Recorder
from tradebot.core.scope import HaltLevel
from tradebot.core.strategy import Quotes

Levels = tuple[tuple[Decimal, Decimal], ...]


class Quoter:
    """Works wanted quotes into resting orders."""

    def __init__(self, recorder: Recorder, gate: Gate) -> None:
        self._rec = recorder
        self._ledger = recorder.ledger
        self._gate = gate

    def want(self, leg: Leg, quotes: Quotes) -> None:
        """Take a strategy's word for one instrument and work it."""
        if self._ledger.is_stopping:
            return
        if leg.wish.suspended is not None:
            level, _ = self._ledger.halt_level(leg.spec.id, leg.instrument.id)
            if level is not HaltLevel.NONE:
                return  # being flattened: a resting quote would trade beside it
            name = leg.instrument.id
            fact = f.TargetReleased(
                ts=self._rec.now, strategy=leg.spec.id, instrument=name, because="resumed"
            )
            self._rec.fact(fact)
        bids = self._levels(leg, Side.BUY, quotes.bids)
        asks = self._levels(leg, Side.SELL, quotes.asks)
        slack = leg.instrument.tick_size * quotes.tolerance_ticks
        if self._rests(leg, Side.BUY, bids, slack) and self._rests(leg, Side.SELL, asks, slack):
            return
        before = leg.wish.quotes
        if before is None or before.bids != bids or before.asks != asks:
            self._rec.fact(
                f.QuotesSet(
                    ts=self._rec.now, strategy=leg.spec.id, instrument=leg.instrument.id, bids=bids, asks=asks
                )
            )
        self._work_side(leg, Side.BUY, bids, slack)
        self._work_side(leg, Side.SELL, asks, slack)

    def pull(self, leg: Leg, because: str) -> None:
        """Cancel all resting quotes of a leg."""
        for record in self._ledger.open_orders(leg.key):
            if record.order.purpose is Purpose.TARGET:
                self._gate.cancel(record, because)

    def _levels(self, leg: Leg, side: Side, levels: tuple[Level, ...]) -> Levels:
        grid = [
            (
                price_for(side, level.price, leg.instrument.tick_size),
                qty_for(level.qty, leg.instrument.lot_size),
            )
            for level in levels
        ]
        return tuple((price, qty) for price, qty in grid if price > 0 and qty > 0)

    def _rests(self, leg: Leg, side: Side, levels: Levels, slack: Decimal) -> bool:
        """Return whether exactly the wanted levels rest already, within tolerance."""
        resting = self._resting(leg, side)
        if len(resting) != len(levels):
            return False
        missing = list(levels)
        for record in resting:
            fits = next((level for level in missing if _fits(record, level, slack)), None)
            if fits is None:
                return False
            missing.remove(fits)
        return True

    def _resting(self, leg: Leg, side: Side) -> list[OrderRecord]:
        return [
            record
            for record in self._ledger.open_orders(leg.key)
            if record.order.side is side
            and record.order.kind is OrderKind.LIMIT
            and record.order.purpose is Purpose.TARGET
            and record.status not in (Status.PENDING_CANCEL, Status.PENDING_REPLACE)
        ]

    def _work_side(self, leg: Leg, side: Side, levels: Levels, slack: Decimal) -> None:
        missing = list(levels)
        spare: list[OrderRecord] = []
        for record in self._resting(leg, side):
            fits = next((level for level in missing if _fits(record, level, slack)), None)
            if fits is None:
                spare.append(record)
            else:
                missing.remove(fits)
        for record in spare[len(missing) :]:
            self._gate.cancel(record, "quote no longer wanted")
        for record, level in zip(spare, missing, strict=False):
            if record.status is Status.UNKNOWN:
                continue  # it keeps the level's place until it is known what became of it
            self._gate.replace(leg, record, self._order(leg, side, level))
        for level in missing[len(spare) :]:
            self._gate.send(leg, self._order(leg, side, level))

    def _order(self, leg: Leg, side: Side, level: tuple[Decimal, Decimal]) -> Order:
        price, qty = level
        return self._gate.new_order(
            leg,
            side,
            qty,
            Purpose.TARGET,
            kind=OrderKind.LIMIT,
            limit_price=price,
            tif=Tif.GTC,
            post_only=True,
        )


def _fits(record: OrderRecord, level: tuple[Decimal, Decimal], slack: Decimal) -> bool:
    price, qty = level
    resting = record.order.limit_price
    return resting is not None and abs(resting - price) <= slack and record.leaves == qty

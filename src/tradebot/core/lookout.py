"""Keep the protective exits that do not rest at the venue: see them crossed, and leave.

Owns `exits.where: engine`, and what does not rest at a venue that takes little beside it (`resting`):
what has made way, was refused, or is shown nowhere. Every quote and every closed bar of an instrument is
held against the levels before the strategies are called; a level that was reached ends the position with a
market order, and the target rests as it does after any exit. What it knows beyond the position, the best
price a trailing stop has seen, is a fact and survives a restart.

Refuses orders at the venue (`guard`). Not modelled, because it cannot be: nobody watches while the
daemon is down, and a closed bar is seen at its end, so the way out is the price after it.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from tradebot.core.books import Position
from tradebot.core.desk import Desk
from tradebot.core.exits import stop_of, target_of, trail_of
from tradebot.core.facts import ExitCrossed, TrailMoved
from tradebot.core.legs import Leg
from tradebot.core.model import Bar, OrderKind, Purpose, Quote, Side
from tradebot.core.recorder import Recorder
from tradebot.core.resting import Beside, Resting

_EXITS = {
    OrderKind.STOP: "stop_loss",
    OrderKind.TRAILING_STOP: "trailing_stop",
    OrderKind.LIMIT: "take_profit",
}


class _Seen(NamedTuple):
    """What prices did to a position: the worst, the best and the last it could have been closed at."""

    worst: float
    best: float
    last: float


class Level(NamedTuple):
    """An exit and the price at which it gets out."""

    exit: str
    price: Decimal


class Lookout:
    """Watches the legs whose exits the engine keeps."""

    def __init__(self, recorder: Recorder, desk: Desk, resting: Resting) -> None:
        self._rec = recorder
        self._ledger = recorder.ledger
        self._desk = desk
        self._stands_in = resting.beside is not Beside.ALL
        self.watched: dict[str, list[Leg]] = {}

    def watch(self, legs: Iterable[Leg]) -> None:
        """Watch those of `legs` that need it; a position keeps the terms of its entry."""
        for leg in legs:
            terms = [exits for exits in (leg.spec.exits, leg.wish.exits) if exits is not None]
            if any(exits.is_local or (self._stands_in and exits.any) for exits in terms):
                self.watched.setdefault(leg.instrument.id, []).append(leg)

    def look(self, item: Bar | Quote) -> None:
        """Hold a price that can be true against the levels."""
        for leg in self.watched.get(item.instrument, ()):
            if not leg.wish.is_leaving:
                self._look(leg, item)

    def levels(self, leg: Leg) -> list[Level]:
        """Return the exits that are kept for a position, the worst for it first."""
        exits, position = leg.wish.exits, self._position(leg)
        entry = None if position is None else position.entry_price
        if exits is None or position is None or entry is None:
            return []
        if not exits.is_local and not self._stands_in:
            return []
        if abs(position.qty) < leg.instrument.lot_size:
            return []
        out, tick = Side.of(-position.qty), leg.instrument.tick_size
        found = (
            ("stop_loss", stop_of(exits, out, entry, tick)),
            ("trailing_stop", trail_of(exits, out, self._best(leg, position, entry), tick)),
            ("take_profit", target_of(exits, out, entry, tick)),
        )
        resting = () if exits.is_local else self._resting(leg)
        return [Level(name, price) for name, price in found if price is not None and name not in resting]

    def rebase(self, leg: Leg, ratio: Decimal) -> None:
        """Bring the best price seen into the units after a split."""
        trail = leg.wish.trail
        if trail is not None:
            self._moved(leg, trail.best / float(ratio), trail.opened_ts)

    def _look(self, leg: Leg, item: Bar | Quote) -> None:
        levels, position = self.levels(leg), self._position(leg)
        if not levels or position is None:
            return
        out = Side.of(-position.qty)
        seen = _seen(item, out, position.opened_ts)
        if self._leave_at(leg, levels, out, seen):
            return
        exits, entry = leg.wish.exits, position.entry_price
        if exits is None or exits.trailing is None or entry is None:
            return
        best, tick = self._best(leg, position, entry), leg.instrument.tick_size
        if out.sign * (seen.best - best) < 0:
            if trail_of(exits, out, seen.best, tick) != trail_of(exits, out, best, tick):
                self._moved(leg, seen.best, position.opened_ts)
            # How far it fell from a new best is known only of the last price.
            self._leave_at(leg, self.levels(leg), out, seen._replace(worst=seen.last))

    def _leave_at(self, leg: Leg, levels: list[Level], out: Side, seen: _Seen) -> bool:
        """Leave if a level was reached, at the worst one of several."""
        for name, price in levels:
            level = float(price)
            reached = seen.best if name == "take_profit" else seen.worst
            gap = (reached - level) * out.sign
            if gap > 0.0 if name == "take_profit" else gap < 0.0:
                continue
            self._rec.fact(
                ExitCrossed(
                    ts=self._rec.now,
                    strategy=leg.spec.id,
                    instrument=leg.instrument.id,
                    exit=name,
                    level=level,
                    seen=reached,
                )
            )
            is_local = leg.wish.exits is not None and leg.wish.exits.is_local
            self._desk.leave(leg, name if is_local else "crossed")
            return True
        return False

    def _resting(self, leg: Leg) -> list[str]:
        """Return the exits that rest, or may rest, at the venue: what it shows nowhere does not."""
        return [
            _EXITS[record.order.kind]
            for record in self._ledger.open_orders(leg.key)
            if record.order.purpose is Purpose.PROTECT and not record.is_absent
        ]

    def _position(self, leg: Leg) -> Position | None:
        return self._ledger.subs[leg.spec.id].positions.get(leg.instrument.id)

    def _best(self, leg: Leg, position: Position, entry: float) -> float:
        trail = leg.wish.trail
        return trail.best if trail is not None and trail.opened_ts == position.opened_ts else entry

    def _moved(self, leg: Leg, best: float, opened_ts: int) -> None:
        self._rec.fact(
            TrailMoved(
                ts=self._rec.now,
                strategy=leg.spec.id,
                instrument=leg.instrument.id,
                best=best,
                opened_ts=opened_ts,
            )
        )


def _seen(item: Bar | Quote, out: Side, since: int) -> _Seen:
    """Return what an item says of a position held `since`, which `out` closes.

    A bar that began before says with its end only: its range may lie before the entry.
    """
    if isinstance(item, Quote):
        price = item.bid if out is Side.SELL else item.ask
        return _Seen(price, price, price)
    if item.ts - item.interval < since:
        return _Seen(item.close, item.close, item.close)
    low, high = min(item.low, item.open, item.close), max(item.high, item.open, item.close)
    return _Seen(low, high, item.close) if out is Side.SELL else _Seen(high, low, item.close)

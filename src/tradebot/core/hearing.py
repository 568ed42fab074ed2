"""Take a strategy's word to the desk, and judge the first one after a start.

Owns what a word means before a leg is live: said while muted, standing at the start
(`first_entry`), come while nobody was watching (`late_entry`). A leg that was live in the run before
goes on as if there had been no break: only what was said to bars after that run is late. Refuses
calling strategies.
"""

from __future__ import annotations

from collections.abc import Mapping

from tradebot.core.desk import Desk
from tradebot.core.legs import Leg, Seat
from tradebot.core.quoting import Quoter
from tradebot.core.recorder import Recorder
from tradebot.core.setup import FirstEntry, Resize
from tradebot.core.strategy import Quotes, Target, Weights, problem_of


class Hearing:
    """Hears what strategies say; while muted it only remembers."""

    def __init__(self, recorder: Recorder, desk: Desk, quoter: Quoter, marks: Mapping[str, float]) -> None:
        self._rec = recorder
        self._ledger = recorder.ledger
        self._desk = desk
        self._quoter = quoter
        self._marks = marks
        self.known_until = 0  # what lies before was seen by the run before this one

    def take(self, seat: Seat, intent: object) -> None:
        """Take what a strategy returned; a word that is none fails it."""
        if intent is not None and (problem := problem_of(intent)) is not None:
            seat.fail(self._rec, problem)
            return
        if isinstance(intent, Quotes):
            leg = self._leg_of(seat, intent.instrument)
            if leg is not None and not self._rec.is_muted:
                self._quoter.want(leg, intent)
            return
        wanted = [intent] if isinstance(intent, Target) else []
        if isinstance(intent, Weights):
            wanted = [Target(name, weight, None, intent.reason) for name, weight in intent.weights]
        if any(self._leg_of(seat, target.instrument) is None for target in wanted):
            return
        said = {target.instrument: target for target in wanted if _says(target)}
        for name, leg in seat.legs.items():
            target_or_none = said.get(name)
            if self._rec.is_muted:
                self._remember(leg, target_or_none)
            elif target_or_none is not None or not leg.is_live:
                self._listen(leg, target_or_none)

    def _leg_of(self, seat: Seat, instrument: object) -> Leg | None:
        leg = seat.legs.get(instrument) if isinstance(instrument, str) else None
        if leg is None:
            known = ", ".join(seat.legs)
            problem = ValueError(f"an intent names {instrument!r}, the strategy has {known}")
            seat.fail(self._rec, problem)
        return leg

    def _listen(self, leg: Leg, target: Target | None) -> None:
        if not leg.is_live and not self._go_live(leg, target):
            return
        if target is None:
            return
        if self._desk.want(leg, target.weight, target.qty, reason=target.reason, explained=target.explained):
            self._desk.work(leg)

    def _remember(self, leg: Leg, target: Target | None) -> None:
        if leg.was_live and self._rec.now <= self.known_until:
            return  # acted on, or not, in the run before
        leg.muted_bars += 1
        if leg.seat is not None:
            leg.seat.is_new = True
        if target is not None and leg.muted != (target.weight, target.qty):
            leg.muted = (target.weight, target.qty)
            leg.muted_bars = 0
            leg.muted_price = self._marks.get(leg.instrument.id, 0.0)

    def _go_live(self, leg: Leg, target: Target | None) -> bool:
        """Judge the first word after a start; returns whether to go on as usual with it.

        A signal that already stands is acted on or suspended by `first_entry`; one that came
        while nobody was watching, by `late_entry`.
        """
        said = leg.muted if target is None else (target.weight, target.qty)
        if said is None:
            return False
        leg.is_live = True
        leg.ignores_repeats = leg.spec.resize is Resize.ON_CHANGE
        if leg.seat is not None:
            leg.seat.is_new = any(not other.is_live for other in leg.seat.legs.values())
        if leg.was_live and leg.muted is None:
            return True  # nothing was said while nobody was watching
        known = self._ledger.wish(leg.key).target
        if known is not None and (known.weight, known.asked_qty) == said:
            return True
        is_standing = leg.muted is None or leg.muted == said
        because = ""
        if known is None and not leg.was_live:
            if leg.spec.first_entry is FirstEntry.NEXT_SIGNAL and is_standing and any(said):
                because = "standing at start"
        elif any(said) and is_standing and self._is_late(leg):  # getting out is never too late
            because = "late"
        weight, qty = said
        why = Target(leg.instrument.id, weight, qty) if target is None else target
        if self._desk.want(
            leg,
            weight,
            qty,
            because="standing" if target is None else "signal",
            reason=why.reason,
            explained=why.explained,
        ):
            if because:
                self._desk.suspend(leg, because)
            self._desk.work(leg)
        return False

    def _is_late(self, leg: Leg) -> bool:
        rules = leg.spec.late_entry
        if rules.max_bars is not None and leg.muted_bars > rules.max_bars:
            return True
        price = self._marks.get(leg.instrument.id)
        if rules.max_move is None or price is None or not leg.muted_price:
            return False
        return abs(price / leg.muted_price - 1.0) > rules.max_move


def _says(target: Target) -> bool:
    """Return whether a target holds a word: None and not a number keep what was wanted."""
    weight, qty = target.weight, target.qty
    return (weight is not None and weight == weight) or (qty is not None and qty == qty)

"""Call the strategies and take their word to the desk.

Owns the calling: what is set in the context, what happens when a strategy raises, what follows after.
What its word means is `hearing`'s; the barrier's bookkeeping is in `legs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from tradebot.core import facts as f
from tradebot.core.days import period_number
from tradebot.core.desk import Desk
from tradebot.core.hearing import Hearing
from tradebot.core.legs import Leg, Seat
from tradebot.core.memory import Memory
from tradebot.core.messages import SetTimer
from tradebot.core.model import Bar, Book, Fill, Quote, rebased
from tradebot.core.recorder import Recorder
from tradebot.core.strategy import (
    BarStrategy,
    Intent,
    PortfolioStrategy,
    QuoteStrategy,
    Strategy,
    Target,
)
from tradebot.errors import InvariantError


class Callers:
    """Calls deciders in their seats; while muted they are shown data and not listened to."""

    def __init__(
        self, recorder: Recorder, desk: Desk, hearing: Hearing, memory: Memory, marks: Mapping[str, float]
    ) -> None:
        self._rec = recorder
        self._ledger = recorder.ledger
        self._desk = desk
        self._take = hearing.take
        self._memory = memory
        self._marks = marks
        self._later: list[tuple[Seat, Callable[[], None]]] = []

    # --- bars -----------------------------------------------------------------------------------

    def arrive(self, seat: Seat, bar: Bar) -> bool:
        """Take a bar to a seat that waits for several; returns whether its round is complete."""
        need = (bar.instrument, bar.interval)
        if seat.is_failed or need not in seat.needs:
            return False
        if seat.round_bars and bar.ts > seat.round_ts:
            self._close_round(seat)
        seat.bars[need] = bar
        if bar.interval != seat.interval or bar.instrument not in seat.legs:
            try:
                seat.decider.on_input(bar)
            except BaseException as exc:
                seat.fail(self._rec, exc)
                return False
        if bar.ts <= seat.done_ts:
            return False  # its round was called without it
        seat.round_ts = bar.ts
        seat.round_bars[need] = bar
        missing = seat.missing()
        if not missing:
            return True
        if len(seat.round_bars) == 1 and not self._rec.is_muted:
            self._rec.command(SetTimer(key=f"grace/{seat.name}", at=self._rec.now + seat.spec.grace))
            self._rec.fact(
                f.TimerSet(ts=self._rec.now, key=f"grace/{seat.name}", at=self._rec.now + seat.spec.grace)
            )
        return False

    def grace_over(self, seat: Seat) -> None:
        """The wait for missing inputs is over."""
        if seat.round_bars:
            self._close_round(seat)

    def _close_round(self, seat: Seat) -> None:
        missing = seat.missing()
        if missing:
            names = tuple(f"{name} {interval}" for name, interval in missing)
            seat.context.missing = names
            if not self._rec.is_muted:
                self._rec.fact(f.InputsMissed(ts=self._rec.now, strategy=seat.spec.id, missing=names))
        if any((name, seat.interval) in seat.round_bars for name in seat.legs):
            self.call_round(seat)
        seat.done_ts, seat.round_bars = seat.round_ts, {}
        seat.context.missing = ()

    def call_single(self, seat: Seat) -> None:
        """Call a strategy whose only input is the bar in its seat: the hot path of a backtest."""
        bar, leg = seat.bar, seat.leg
        if seat.is_failed or bar is None or leg is None:
            return
        seat.context.now = self._rec.now
        if seat.needs_counting or seat.keeps_history:
            self._count(seat)
        try:
            intent = seat.on_bar(seat.context, bar)
        except BaseException as exc:
            seat.fail(self._rec, exc)
            return
        # Most strategies repeat their word on every bar: saying the same again changes nothing.
        target = leg.wish.target
        if intent is None:
            if seat.is_new:
                self._take(seat, None)
        elif target is leg.repeated and intent == leg.repeat:
            pass
        elif (
            target is not None
            and leg.ignores_repeats
            and type(intent) is Target
            and intent.weight == target.weight
            and intent.qty == target.asked_qty
            and intent.instrument == bar.instrument
        ):
            leg.repeated, leg.repeat = target, intent
        else:
            self._take(seat, intent)
        if seat.has_more:
            self._release_rested(seat)
            self._memory.keep(seat, bar.ts)

    def call_round(self, seat: Seat) -> None:
        """Call a strategy that waits for several bars with its round."""
        if seat.is_failed:
            return
        seat.context.now = self._rec.now
        self._count(seat)
        try:
            if seat.is_joint:
                intent = self._joint(seat, seat.decider)
            else:
                intent = seat.on_bar(seat.context, seat.own_bar())
        except BaseException as exc:
            seat.fail(self._rec, exc)
            return
        seat.done_ts, seat.round_bars = seat.round_ts, {}
        if intent is not None or seat.is_new:
            self._take(seat, intent)
        if seat.has_more:
            self._release_rested(seat)
            self._memory.keep(seat, seat.done_ts)

    def _joint(self, seat: Seat, decider: object) -> Intent | None:
        if isinstance(decider, PortfolioStrategy):
            period = period_number(self._rec.now, seat.spec.schedule)
            if period == seat.period and not self._has_drifted(seat):
                return None
            if not seat.context.muted:  # a warm-up uses up no period: its answer is not acted on
                self._memory.asked_weights(seat, period)
            prices = {name: self._marks[name] for name in seat.legs if name in self._marks}
            return decider.weights(seat.context, prices)
        if isinstance(decider, BarStrategy):
            bars = {
                n: seat.bars[n, seat.interval] for n in seat.legs if (n, seat.interval) in seat.round_bars
            }
            return decider.on_bars(seat.context, bars)
        raise InvariantError(f"{type(decider).__name__} cannot serve several instruments")

    def _has_drifted(self, seat: Seat) -> bool:
        """Return whether a holding's share of the equity is `drift` away from its last target."""
        drift, equity = seat.spec.drift, seat.context.equity()
        if drift is None or equity is None or equity <= 0.0:
            return False
        for name, leg in seat.legs.items():
            target, mark = self._ledger.wish(leg.key).target, self._marks.get(name)
            if target is None or target.weight is None or mark is None:
                continue
            held = seat.context.position(name) * mark * float(leg.instrument.multiplier)
            if abs(held / equity - target.weight) > drift:
                return True
        return False

    def _count(self, seat: Seat) -> None:
        for name, leg in seat.legs.items():
            bar = seat.bar if seat.is_single else seat.round_bars.get((name, seat.interval))
            if bar is None:
                continue
            if seat.keeps_history:
                seat.history.append(bar)
            if leg.sizer.needs_bars:
                leg.sizer.observe(bar)
            leg.count_bar(self._ledger, bar)
            if self._rec.is_muted:
                continue
            wish = leg.wish
            self._memory.counted(leg, bar.ts)
            limit = None if wish.exits is None else wish.exits.max_bars
            if limit is not None and leg.bars_held >= limit and self._is_held(leg) and not wish.is_leaving:
                self._desk.leave(leg, "time")

    def _release_rested(self, seat: Seat) -> None:
        """End the suspensions whose bars have passed, unless the strategy just said something new."""
        if self._rec.is_muted or seat.is_failed:
            return
        for leg in seat.legs.values():
            if leg.has_rested:
                self._desk.release(leg, "bars passed")

    def _is_held(self, leg: Leg) -> bool:
        return abs(self._ledger.subs[leg.spec.id].qty(leg.instrument.id)) >= leg.instrument.lot_size

    # --- quotes, fills --------------------------------------------------------------------------

    def call_quote(self, seat: Seat, item: Quote | Book) -> None:
        """Call a quote strategy; a context names the instrument of the quote."""
        decider = seat.decider
        if seat.is_failed or not isinstance(decider, QuoteStrategy):
            return
        seat.context.now = self._rec.now
        seat.context.instrument = item.instrument
        try:
            if isinstance(item, Quote):
                quotes = decider.on_quote(seat.context, item)
            else:
                quotes = decider.on_book(seat.context, item)
        except BaseException as exc:
            seat.fail(self._rec, exc)
            return
        if quotes is not None:
            self._take(seat, quotes)
        if seat.has_more:
            self._memory.keep(seat, item.ts)

    def on_fill(self, leg: Leg, fill: Fill) -> None:
        """Tell the strategy that a fill of its was booked."""
        seat = leg.seat
        if seat is None or seat.is_failed:
            return
        if not self._memory.is_loaded:
            self._later.append((seat, lambda: self.on_fill(leg, fill)))
            return
        seat.context.now = self._rec.now
        try:
            seat.decider.on_fill(seat.context, fill)
        except BaseException as exc:
            seat.fail(self._rec, exc)
            return
        if seat.has_more:
            self._memory.keep(seat, seat.shown_ts)

    def on_timer(self, seat: Seat, instrument: str, key: str) -> None:
        """Tell the strategy that a timer of its came due, and take its word."""
        if seat.is_failed:
            return
        if not self._memory.is_loaded:
            self._later.append((seat, lambda: self.on_timer(seat, instrument, key)))
            return
        seat.context.now = self._rec.now
        usual, seat.context.instrument = seat.context.instrument, instrument
        try:
            intent = seat.decider.on_timer(seat.context, key)
        except BaseException as exc:
            seat.fail(self._rec, exc)
            return
        finally:
            seat.context.instrument = usual
        if intent is not None:
            self._take(seat, intent)
        self._memory.keep(seat, seat.shown_ts)

    def catch_up(self) -> None:
        """Tell strategies what happened before they had their memories back, and save what that left in them."""
        later, self._later = self._later, []
        for seat, tell in later:
            self._memory.must_keep(seat)
            tell()
        self._memory.replace_stale()
        if self._ledger.is_catching_up:
            self._rec.fact(f.StrategiesCaughtUp(ts=self._rec.now))

    # --- splits, failures -----------------------------------------------------------------------

    def rebase(self, leg: Leg, ratio: Decimal) -> None:
        """Bring a strategy's memory into the new prices.

        One that cannot do so itself is built anew and shown its last bars again, muted.
        """
        seat = leg.seat
        if seat is None or seat.is_failed:
            return
        if not self._memory.is_loaded:
            self._memory.split_while_away(seat, leg.instrument.id, ratio)
            if self._ledger.is_catching_up:
                strategy, name = leg.key
                self._rec.fact(
                    f.SplitPutOff(ts=self._rec.now, strategy=strategy, instrument=name, ratio=ratio)
                )
            return
        try:
            renewed = None
            if not seat.decider.rebase(leg.instrument.id, ratio) and seat.spec.renew is not None:
                renewed = seat.spec.renew(leg.instrument.id)
        except BaseException as exc:
            seat.fail(self._rec, exc)
            return
        if renewed is not None:
            self._show_again(seat, leg, renewed, float(ratio))
        self._memory.must_keep(seat)  # what is written down is of the prices before
        self._memory.keep(seat, seat.shown_ts)

    def _show_again(self, seat: Seat, leg: Leg, renewed: Strategy, ratio: float) -> None:
        bars = [rebased(bar, ratio) for bar in seat.history]
        counted = leg.counted()
        seat.sit(renewed)
        seat.history.clear()
        leg.sizer.forget()
        self._rec.is_muted = seat.context.muted = True
        try:
            self._memory.greet(seat)
            for bar in bars:
                seat.bar = bar
                self.call_single(seat)
        finally:
            self._rec.is_muted = seat.context.muted = False
            leg.count_from(counted)  # what the bars were counted for has been counted before

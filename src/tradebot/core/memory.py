"""Keep what strategies and their seats must not forget over a restart, and give it back.

Owns the saving: a strategy's own memory, its timers, the portfolio's period, the bars counted for
timed rules. Refuses what bars can tell again: that is rebuilt by showing them, muted. Only a run
that `remembers` writes anything; a backtest does not.

What changed is saved after a call that led to something, and now and then; what a strategy was shown
between and led to nothing can be shown again. On the way back in, the memory is loaded where it was
saved, and what came later is shown, muted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal

from tradebot.core import facts as f
from tradebot.core.legs import Leg, Seat
from tradebot.core.messages import SetTimer
from tradebot.core.recorder import Recorder
from tradebot.core.run_booking import STRATEGY_TIMER
from tradebot.core.strategy import Strategy

_QUIET_CALLS = 100  # calls without consequence after which a memory is saved all the same


class Memory:
    """Saves and restores; `remembers` is whether this run writes it down."""

    def __init__(self, recorder: Recorder, marks: Mapping[str, float], *, remembers: bool) -> None:
        self._rec = recorder
        self._ledger = recorder.ledger
        self._marks = marks
        self.remembers = remembers
        self._waiting: list[Seat] = []  # with a saved memory that is not loaded yet
        self._splits: dict[str, list[tuple[str, Decimal]]] = {}  # what happened to prices before it is
        self._stale: list[Seat] = []  # whose saved memory is of the prices before a split
        self.is_loaded = False  # strategies are what they were

    # --- back in --------------------------------------------------------------------------------

    def recall(self, seats: Iterable[Seat]) -> None:
        """Give seats their counters back and note whose memory is to be loaded."""
        self.is_loaded = False
        for seat in seats:
            seat.has_more = seat.needs_counting or (self.remembers and seat.saves)
            seat.period = self._ledger.periods.get(seat.key, -1)
            for leg in seat.legs.values():
                wish = leg.wish
                leg.was_live = wish.target is not None or wish.refused is not None
                if self.remembers:
                    leg.skip_rule = wish.skip_rule
                    leg.closes_skips = True
                if wish.counted is not None:
                    leg.recount(self._ledger, wish.counted)
            if seat.key in self._ledger.saved:
                self._waiting.append(seat)

    def greet(self, seat: Seat) -> None:
        """Tell a strategy that it begins."""
        seat.context.marks = self._marks
        try:
            seat.decider.on_start(seat.context)
        except BaseException as exc:
            seat.fail(self._rec, exc)

    def load(self) -> None:
        """Load the memories that wait for it."""
        self.is_loaded = True
        waiting, self._waiting = self._waiting, []
        for seat in waiting:
            self.load_into(seat)

    def split_while_away(self, seat: Seat, instrument: str, ratio: Decimal) -> None:
        """Note a split that came before the seat's memory was loaded: that is of the prices before."""
        self._splits.setdefault(seat.name, []).append((instrument, ratio))

    def load_before(self, ts: int, covered: int) -> None:
        """Load the memories that were saved before data of `ts`; one without its place, before `covered`.

        One that knows a round which still waits for inputs is loaded once that was called.
        """
        for seat in self._waiting[:]:
            saved_at = self._ledger.saved[seat.key].bar_ts or covered
            is_ahead = bool(seat.round_bars) and seat.round_ts <= saved_at
            if ts > saved_at and not is_ahead:
                self._waiting.remove(seat)
                self.load_into(seat)

    def load_into(self, seat: Seat) -> None:
        """Give a strategy its saved memory, if there is one."""
        saved = self._ledger.saved.get(seat.key)
        splits = self._splits.pop(seat.name, [])
        if saved is None or seat.is_failed:
            return
        if splits:
            self._stale.append(seat)
        is_renewed = seat.spec.renew is not None
        if splits and is_renewed and type(seat.decider).rebase is Strategy.rebase:
            return  # it would have been made anew at the split; the bars it was shown are all it may know
        try:
            seat.decider.load(json.loads(saved.state))
            for instrument, ratio in splits:
                if not seat.decider.rebase(instrument, ratio) and is_renewed:
                    raise ValueError(f"its memory is of the prices before the split of {instrument}")
        except BaseException as exc:
            seat.fail(self._rec, exc)

    # --- out ------------------------------------------------------------------------------------

    def keep(self, seat: Seat, bar_ts: int) -> None:
        """Write down what a call left behind; `bar_ts` is that of the last data it was shown."""
        if self._rec.is_muted:
            return
        if seat.context.asked:
            self._set_timers(seat)
        if not self.remembers or seat.is_failed or not seat.saves:
            return
        seat.unsaved += 1
        is_quiet = not self._rec.facts and seat.unsaved < _QUIET_CALLS
        if is_quiet and not seat.is_quoting:  # quotes are kept by nobody, so they cannot be shown again
            return
        seat.unsaved = 0
        try:
            state = json.dumps(seat.decider.save(), separators=(",", ":"), allow_nan=False)
        except BaseException as exc:
            seat.fail(self._rec, exc)
            return
        known = self._ledger.saved.get(seat.key)
        if state != ("{}" if known is None else known.state):
            strategy, instrument = seat.key
            self._rec.fact(
                f.StrategySaved(
                    ts=self._rec.now, strategy=strategy, instrument=instrument, state=state, bar_ts=bar_ts
                )
            )

    def replace_stale(self) -> None:
        """Write memories down again that were of the prices before a split: it is told once."""
        stale, self._stale = self._stale, []
        for seat in stale:
            self.must_keep(seat)
            self.keep(seat, seat.shown_ts)

    def must_keep(self, seat: Seat) -> None:
        """Have the next `keep` of a seat write its memory down, though no fact of this moment asks for it."""
        seat.unsaved = _QUIET_CALLS

    def _set_timers(self, seat: Seat) -> None:
        for instrument, key, at in seat.context.asked:
            name = f"{STRATEGY_TIMER}{seat.spec.id}/{instrument}/{key}"
            self._rec.fact(f.TimerSet(ts=self._rec.now, key=name, at=at))
            self._rec.command(SetTimer(key=name, at=at))
        seat.context.asked.clear()

    def asked_weights(self, seat: Seat, period: int) -> None:
        """Note for which period a portfolio was asked."""
        seat.period = period
        if self.remembers:
            strategy, instrument = seat.key
            self._rec.fact(
                f.WeightsAsked(ts=self._rec.now, strategy=strategy, instrument=instrument, period=period)
            )

    def counted(self, leg: Leg, bar_ts: int) -> None:
        """Write down how many bars a timed rule has counted."""
        wish = leg.wish
        timed = (wish.exits is not None and wish.exits.max_bars is not None) or (
            wish.suspended is not None and wish.suspended.bars is not None
        )
        if not self.remembers or not timed:
            return
        held_since, held, suspended_since, suspended = leg.counted()
        before = wish.counted
        if before is not None and (before.held_since, before.held) == (held_since, held):
            if (before.suspended_since, before.suspended) == (suspended_since, suspended):
                return
        self._rec.fact(
            f.BarsCounted(
                ts=self._rec.now,
                strategy=leg.spec.id,
                instrument=leg.instrument.id,
                bar_ts=bar_ts,
                held_since=held_since,
                held=held,
                suspended_since=suspended_since,
                suspended=suspended,
            )
        )

"""Seat the strategies: who decides about what, what it may look at, when all its inputs are there.

Owns the barrier (a strategy is called once per interval, when all its bars arrived or the grace
time ended) and the counters that follow from bars alone. Refuses decisions about orders.

Nothing here is a fact: after a restart it is rebuilt by showing the last bars again, muted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from tradebot.core.facts import BarsCounted, SkipEnded, StrategyFailed, TargetSet
from tradebot.core.ledger import Key, Ledger
from tradebot.core.market import Valuer
from tradebot.core.model import Bar, ExitRules, Instrument
from tradebot.core.recorder import Recorder
from tradebot.core.setup import StrategySpec
from tradebot.core.sizing import Sizer
from tradebot.core.strategy import (
    BarStrategy,
    Context,
    QuoteStrategy,
    Strategy,
    Target,
    is_joint,
)
from tradebot.errors import Interrupted, InvariantError

# Intervals below a day close on multiples of themselves in UTC, so it is known when another
# series must have a bar too; longer ones follow session calendars and are never waited for.
_ALIGNED_BELOW = 86_400 * 1_000_000_000


# Called on every bar, past `Target`'s own constructor, which costs as much as all the rest.
_new = tuple.__new__


class Leg:
    """One strategy in one instrument: sizing memory and bar counters."""

    __slots__ = (
        "bars_held",
        "closes_skips",
        "counted_ts",
        "held_since",
        "ignores_repeats",
        "instrument",
        "is_live",
        "key",
        "muted",
        "muted_bars",
        "muted_price",
        "repeat",
        "repeated",
        "repeats",
        "seat",
        "sizer",
        "skip_rule",
        "spec",
        "suspended_bars",
        "suspended_since",
        "was_live",
        "wish",
    )

    def __init__(self, spec: StrategySpec, instrument: Instrument, ledger: Ledger) -> None:
        self.spec = spec
        self.instrument = instrument
        self.key: Key = (spec.id, instrument.id)
        self.wish = ledger.wish(self.key)
        # Weights of a joint decider are fractions of the whole; others share it evenly.
        self.sizer = Sizer(
            spec.sizing, 1 if is_joint(spec.deciders[instrument.id]) else len(spec.instruments)
        )
        self.seat: Seat | None = None
        self.held_since = 0
        self.bars_held = 0
        self.suspended_since = 0
        self.suspended_bars = 0
        self.counted_ts = 0  # bars up to here were counted in the run before
        self.skip_rule = ""
        self.repeats = 0
        self.closes_skips = False  # each run of refusals gets its closing fact, repeated or not
        self.was_live = False  # the strategy was heard about it in a run before
        # What the strategy wanted while muted, since how many bars and from which price.
        self.is_live = False
        self.ignores_repeats = False  # live, and a standing target is not sized anew on each bar
        # The last word that repeated a target, to know the next one by a single comparison.
        self.repeat: Target | None = None
        self.repeated: TargetSet | None = None
        self.muted: tuple[float | None, float | None] | None = None
        self.muted_bars = 0
        self.muted_price = 0.0

    def miss(self) -> None:
        """Forget that it is live: what is shown next was not watched, and is judged as after a restart."""
        if self.is_live:
            self.is_live, self.was_live, self.ignores_repeats = False, True, False
            self.muted, self.muted_bars, self.muted_price = None, 0, 0.0
            self.repeat = None

    def count_bar(self, ledger: Ledger, bar: Bar) -> None:
        """Count a closed bar for time exits and timed suspensions."""
        if bar.ts <= self.counted_ts:
            return
        position = ledger.subs[self.spec.id].positions.get(self.instrument.id)
        if position is not None and position.qty:
            if position.opened_ts != self.held_since:
                self.held_since, self.bars_held = position.opened_ts, 0
            if bar.ts > position.opened_ts:
                self.bars_held += 1
        wish = ledger.wishes.get(self.key)
        if wish is not None and wish.suspended is not None:
            if wish.suspended.ts != self.suspended_since:
                self.suspended_since, self.suspended_bars = wish.suspended.ts, 0
            if bar.ts > wish.suspended.ts:
                self.suspended_bars += 1

    @property
    def has_rested(self) -> bool:
        """Whether the bars of a timed suspension have passed; they count from the bar after it began."""
        rest = self.wish.suspended
        if rest is None or rest.bars is None or rest.ts != self.suspended_since:
            return False  # the count is still that of the suspension before
        return self.suspended_bars >= rest.bars

    def counted(self) -> tuple[int, int, int, int]:
        """Return the counters, to put them back after bars were shown again."""
        return self.held_since, self.bars_held, self.suspended_since, self.suspended_bars

    def count_from(self, counted: tuple[int, int, int, int]) -> None:
        """Go on counting from what `counted` returned."""
        self.held_since, self.bars_held, self.suspended_since, self.suspended_bars = counted

    def recount(self, ledger: Ledger, known: BarsCounted) -> None:
        """Go on from what the run before had counted, where it still counts."""
        position = ledger.subs[self.spec.id].positions.get(self.instrument.id)
        self.counted_ts = known.bar_ts
        if position is not None and position.qty and position.opened_ts == known.held_since:
            self.held_since, self.bars_held = known.held_since, known.held
        rest = self.wish.suspended
        if rest is not None and rest.ts == known.suspended_since:
            self.suspended_since, self.suspended_bars = known.suspended_since, known.suspended

    @property
    def after_exit(self) -> str | int:
        """What follows an exit: the terms of the entry that opened the position, else today's."""
        return (self.wish.exits or self.spec.exits).after_exit

    def note_skip(self, recorder: Recorder, rule: str) -> None:
        """Begin a run of refusals under `rule`, closing the one before."""
        if self.repeats:
            self.end_skip(recorder)
        self.skip_rule = rule

    def end_skip(self, recorder: Recorder) -> None:
        """Close a run of refusals; how often it repeated is a fact when it did."""
        if self.skip_rule and (self.repeats or self.closes_skips):
            recorder.fact(
                SkipEnded(
                    ts=recorder.now,
                    strategy=self.spec.id,
                    instrument=self.instrument.id,
                    rule=self.skip_rule,
                    repeats=self.repeats,
                )
            )
        self.skip_rule, self.repeats = "", 0


def _counts_bars(exits: ExitRules) -> bool:
    """Return whether exits leave or let a target rest by bars; what the engine itself leaves rests one at least."""
    return (
        exits.max_bars is not None
        or isinstance(exits.after_exit, int)
        or (exits.is_local and exits.after_exit == "at_once")
    )


class Seat:
    """A deciding object with its legs and the inputs it waits for."""

    __slots__ = (
        "bar",
        "bars",
        "context",
        "decider",
        "done_ts",
        "has_more",
        "history",
        "interval",
        "is_failed",
        "is_joint",
        "is_new",
        "is_quoting",
        "is_single",
        "keeps_history",
        "key",
        "leg",
        "legs",
        "name",
        "needs",
        "needs_counting",
        "on_bar",
        "period",
        "round_bars",
        "round_ts",
        "saves",
        "spec",
        "unsaved",
    )

    def __init__(
        self, spec: StrategySpec, decider: Strategy, legs: Mapping[str, Leg], ledger: Ledger, valuer: Valuer
    ) -> None:
        self.spec = spec
        self.sit(decider)
        self.leg: Leg | None = None  # of a single seat
        self.legs: dict[str, Leg] = {}
        self.interval = spec.interval
        self.is_quoting = isinstance(decider, QuoteStrategy)
        self.is_joint = is_joint(decider)
        self.is_failed = spec.is_disabled
        self.is_new = False  # warmed up, and a leg's first word has not been judged yet
        self.is_single = False
        self.needs: tuple[tuple[str, int], ...] = ()
        self.bar: Bar | None = None  # the last bar of a single seat
        self.bars: dict[tuple[str, int], Bar] = {}  # last closed bar of each input
        self.round_ts = 0
        self.done_ts = 0  # the last round that was called, or given up for want of an own bar
        self.round_bars: dict[tuple[str, int], Bar] = {}
        self.period = -1
        self.history: deque[Bar] = deque(maxlen=max(decider.lookback, 1))
        self.keeps_history = spec.renew is not None
        self.needs_counting = _counts_bars(spec.exits)
        self.unsaved = 0  # calls since its memory was saved
        self.has_more = False  # something is to be done after each call
        self.key: Key = (spec.id, next(iter(legs)))
        self.name = "/".join(self.key)
        for name, leg in legs.items():
            self.add_leg(name, leg)
        self.context = SeatContext(self, ledger, valuer)

    def sit(self, decider: Strategy) -> None:
        """Let `decider` decide from here on."""
        self.decider = decider
        self.on_bar = decider.on_bar if isinstance(decider, BarStrategy) else _no_bars
        self.saves = type(decider).save is not Strategy.save

    def add_leg(self, name: str, leg: Leg) -> None:
        """Let the seat decide about one more instrument."""
        self.legs[name] = leg
        leg.seat = self
        own = [(instrument, self.interval) for instrument in self.legs]
        first = next(iter(self.legs))
        further = [(i.instrument or first, i.interval) for i in self.decider.inputs()]
        self.needs = tuple(dict.fromkeys(own + further))
        self.is_single = len(self.needs) == 1 and not self.is_joint
        self.leg = leg if self.is_single else None
        # A position keeps the terms of its entry, whatever is configured today.
        exits, rest = leg.wish.exits, leg.wish.suspended
        timed = (exits is not None and _counts_bars(exits)) or (rest is not None and rest.bars is not None)
        self.needs_counting = self.needs_counting or leg.sizer.needs_bars or timed
        self.history = deque(maxlen=max(self.decider.lookback, leg.sizer.lookback, 1))

    def own_bar(self) -> Bar:
        """Return the bar the current call is about."""
        bar = self.bar if self.is_single else self.bars.get((self.context.instrument, self.interval))
        if bar is None:
            raise InvariantError(f"seat {self.name} was called without a bar")
        return bar

    @property
    def shown_ts(self) -> int:
        """The time of the last bar its strategy was called with."""
        return self.done_ts if self.bar is None else self.bar.ts

    def missing(self) -> list[tuple[str, int]]:
        """Return the inputs that must have a bar closing at the round's time and do not yet."""
        ts = self.round_ts
        return [
            need
            for need in self.needs
            if need not in self.round_bars
            and (need[1] == self.interval or (need[1] < _ALIGNED_BELOW and ts % need[1] == 0))
        ]

    def fail(self, recorder: Recorder, exc: BaseException) -> None:
        """Call the strategy no more, whatever it raised; the owner's Ctrl-C during a call is none of its."""
        if isinstance(exc, Interrupted):
            raise exc
        self.is_failed = True
        what = recorder.hide(f"{type(exc).__name__}: {exc}")
        for name in self.legs:
            recorder.fact(StrategyFailed(ts=recorder.now, strategy=self.spec.id, instrument=name, error=what))


def _no_bars(context: Context, bar: Bar) -> Target | None:
    raise InvariantError(f"a strategy that takes no bars was called with one of {bar.instrument}")


class SeatContext:
    """What a strategy sees; see `strategy.Context`. Reused between calls."""

    __slots__ = ("_ledger", "_seat", "_valuer", "asked", "instrument", "marks", "missing", "muted", "now")

    def __init__(self, seat: Seat, ledger: Ledger, valuer: Valuer) -> None:
        self._seat = seat
        self._ledger = ledger
        self._valuer = valuer
        self.now = 0
        self.instrument = next(iter(seat.legs))
        self.muted = False
        self.missing: tuple[str, ...] = ()
        self.marks: Mapping[str, float] = {}
        self.asked: list[tuple[str, str, int]] = []  # timers: (instrument, key, at)

    def set_timer(self, key: str, at: int) -> None:
        if self.muted:
            return
        if at <= self.now:
            raise ValueError(f"a timer must be set for a moment after {self.now} (ns), was {at!r}")
        self.asked.append((self.instrument, key, at))
        self._seat.has_more = True

    def position(self, instrument: str | None = None) -> float:
        return float(self._ledger.subs[self._seat.spec.id].qty(instrument or self.instrument))

    def price(self, instrument: str | None = None) -> float | None:
        return self.marks.get(instrument or self.instrument)

    def equity(self) -> float | None:
        return self._valuer.equity(self.marks)

    def bar(self, interval: int, instrument: str | None = None) -> Bar | None:
        return self._seat.bars.get((instrument or self.instrument, interval))

    def target(
        self,
        weight: float | None = None,
        qty: float | None = None,
        *,
        reason: str = "",
        instrument: str | None = None,
        **explained: float,
    ) -> Target:
        numbers = tuple(explained.items()) if explained else ()
        return _new(Target, (instrument or self.instrument, weight, qty, reason, numbers))

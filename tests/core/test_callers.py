"""Who is called when, with what, and what their word means."""

from __future__ import annotations

import math
from asyncio import CancelledError
from typing import Any

import pytest

from tests.core.test_desk import fills
from tests.core.world import GEM, START, D, Script, World, make_bar, spec
from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.model import HOUR, MINUTE, Bar, Book, Level, Quote
from tradebot.core.setup import FirstEntry, LateEntry
from tradebot.core.strategy import BarStrategy, Context, Input, Quotes, QuoteStrategy, Target, Weights
from tradebot.errors import Interrupted


def bar(name: str, ts: int, close: float = 100.0, interval: int = HOUR) -> Bar:
    return make_bar(name, ts, interval, close)


# --- the barrier ----------------------------------------------------------------------------------


class Watcher(Script):
    """Notes when it was called, with which own bar, what it could see and what was missing."""

    def __init__(self, *inputs: Input) -> None:
        super().__init__(inputs=inputs)
        self.calls: list[tuple[int, int, dict[str, int | None], tuple[str, ...]]] = []

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        others = {i.instrument or "own": ctx.bar(i.interval, i.instrument or None) for i in self.inputs()}
        sees = {name: None if other is None else other.ts for name, other in others.items()}
        self.calls.append((ctx.now, bar.ts, sees, ctx.missing))
        return None


def test_a_strategy_is_called_once_all_its_inputs_are_there_and_never_sees_a_later_bar() -> None:
    watcher = Watcher(Input(HOUR, "GEM"))
    world = World(spec(watcher))
    one, two = START + HOUR, START + 2 * HOUR
    world.play(
        [m.Slice(one, (bar("GEM", one), bar("COIN", one))), m.Slice(two, (bar("COIN", two), bar("GEM", two)))]
    )
    assert watcher.calls == [(one, one, {"GEM": one}, ()), (two, two, {"GEM": two}, ())]


def test_a_higher_interval_is_seen_only_once_it_closed() -> None:
    watcher = Watcher(Input(4 * HOUR))
    world = World(spec(watcher))
    for n in range(1, 9):
        ts = START + n * HOUR
        items = (bar("COIN", ts),) + ((bar("COIN", ts, interval=4 * HOUR),) if n % 4 == 0 else ())
        world.play([m.Slice(ts, items)])
    seen = [None if ts["own"] is None else (ts["own"] - START) // HOUR for _, _, ts, _ in watcher.calls]
    assert seen == [None, None, None, 4, 4, 4, 4, 8]


def test_a_missing_input_is_waited_for_until_the_grace_time_ends_and_then_named() -> None:
    watcher = Watcher(Input(HOUR, "GEM"))
    world = World(spec(watcher, grace=5 * MINUTE))
    one, two = START + HOUR, START + 2 * HOUR
    world.play([m.Slice(one, (bar("COIN", one),)), m.Slice(two, (bar("COIN", two), bar("GEM", two)))])
    missing = (f"GEM {HOUR}",)
    assert watcher.calls == [
        (one + 5 * MINUTE, one, {"GEM": None}, missing),
        (two, two, {"GEM": two}, ()),
    ]
    assert [x.missing for x in world.of(f.InputsMissed)] == [missing]


def test_without_its_own_bar_a_strategy_is_not_called() -> None:
    # GEM has traded for longer than COIN: on its first bars there is nothing to decide about.
    watcher = Watcher(Input(HOUR, "GEM"))
    world = World(spec(watcher))
    one, two, three = (START + n * HOUR for n in (1, 2, 3))
    world.play(
        [
            bar("GEM", one),
            m.Slice(two, (bar("GEM", two), bar("COIN", two))),
            bar("GEM", three),
        ]
    ).until(three + HOUR)
    assert world.of(f.StrategyFailed) == []
    assert [own for _, own, _, _ in watcher.calls] == [two]


def test_an_input_that_comes_after_the_grace_time_does_not_call_again() -> None:
    watcher = Watcher(Input(HOUR, "GEM"))
    world = World(spec(watcher, grace=MINUTE))
    one = START + HOUR
    world.play([bar("COIN", one)]).until(one + 2 * MINUTE)
    world.play([m.Slice(one + 3 * MINUTE, (bar("GEM", one),))])
    world.until(one + 10 * MINUTE)
    assert [own for _, own, _, _ in watcher.calls] == [one]
    two = START + 2 * HOUR
    world.play([m.Slice(two, (bar("COIN", two), bar("GEM", two)))])
    assert [own for _, own, _, _ in watcher.calls] == [one, two]


# --- bad data, bad words --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ((math.nan, 101.0, 99.0, 100.0), "prices must be finite and above 0, was open nan, close 100.0"),
        ((100.0, math.nan, 99.0, 100.0), "0 < low <= high must hold, was low 99.0, high nan"),
        ((100.0, 99.0, 101.0, 100.0), "0 < low <= high must hold, was low 101.0, high 99.0"),
        ((100.0, 101.0, 0.0, 100.0), "0 < low <= high must hold, was low 0.0, high 101.0"),
        ((100.0, 101.0, 99.0, -1.0), "prices must be finite and above 0, was open 100.0, close -1.0"),
        ((100.0, 101.0, 99.0, 100.0, math.nan), "volume must be 0 or more, was nan"),
        ((100.0, 101.0, 99.0, 100.0, -5.0), "volume must be 0 or more, was -5.0"),
        ((100.0, math.inf, 99.0, 100.0), "0 < low <= high must hold, was low 99.0, high inf"),
    ],
)
def test_a_bar_that_cannot_be_true_is_refused_and_the_last_good_price_stands(
    row: tuple[float, ...], problem: str
) -> None:
    script = Script(None, 1.0, 1.0)
    world = World(spec(script)).bars((90,), row, (100,))
    assert [x.problem for x in world.of(f.BadDataSeen)] == [problem]
    assert [b.close for b in script.seen] == [90.0, 100.0]


def test_a_bar_that_goes_back_in_time_or_comes_twice_is_refused() -> None:
    script = Script()
    world = World(spec(script))
    world.bars((100,), (101,))
    for ts in (START + HOUR, START + 2 * HOUR):
        world.play([m.Slice(START + 3 * HOUR, (bar("COIN", ts, 90.0),))])
    assert len(script.seen) == 2
    assert world.engine.marks["COIN"] == 101.0
    assert len(world.of(f.BadDataSeen)) == 2


@pytest.mark.parametrize(
    ("word", "error"),
    [
        (1.0, "TypeError: a strategy returns Target, Weights, Quotes or None, was 1.0"),
        ("long", "TypeError: a strategy returns Target, Weights, Quotes or None, was 'long'"),
        (Target("GEM", 1.0), "ValueError: an intent names 'GEM', the strategy has COIN"),
        (Target("COIN", "much"), "TypeError: a target's weight and qty must be numbers, was 'much'"),
        (Target(["COIN"], 1.0), "ValueError: an intent names ['COIN'], the strategy has COIN"),  # type: ignore[arg-type]
        (
            Target("COIN", 1.0, explained={"why": 1.0}),  # type: ignore[arg-type]
            "TypeError: what explains a target must be pairs of name and number, was {'why': 1.0}",
        ),
        (Weights({"COIN": 1.0}), "TypeError: weights must be pairs of name and number, was {'COIN': 1.0}"),  # type: ignore[arg-type]
        (Weights((("COIN", "all"),)), "TypeError: weights must be numbers, COIN was 'all'"),  # type: ignore[arg-type]
        (
            Quotes("COIN", (Level(math.nan, 1.0),)),
            "ValueError: prices and quantities of quotes must be finite numbers, was Level(price=nan, qty=1.0)",
        ),
        (
            Quotes("COIN", ((99.0, 1.0),)),  # type: ignore[arg-type]
            "TypeError: bids and asks must be levels, Level(price, qty), was ((99.0, 1.0),)",
        ),
        (
            Quotes("COIN", tolerance_ticks=0.5),  # type: ignore[arg-type]
            "TypeError: tolerance_ticks must be a whole number, was 0.5",
        ),
        (Target("COIN", 1.0, 5.0), "ValueError: a target has a weight or a qty, not both: 1.0 and 5.0"),
    ],
)
def test_a_word_that_is_none_fails_the_strategy_and_not_the_run(word: Any, error: str) -> None:
    class Wrong(BarStrategy):
        def on_bar(self, ctx: Context, bar: Bar) -> Any:
            return word

    world = World(
        spec(Wrong(None), name="wrong", capital=D("0.5")),
        spec(Script(1.0), name="right", capital=D("0.5")),
    ).bars((100,), (100,), (100,))
    assert [(x.strategy, x.error) for x in world.of(f.StrategyFailed)] == [("wrong", error)]
    assert world.position("right") == D(10)


def test_a_strategy_that_raises_is_called_no_more_and_its_facts_stand() -> None:
    def fail(ctx: Context, bar: Bar) -> None:
        raise ZeroDivisionError("no spread")

    failing = Script(1.0, None, fail, 0.0)
    world = World(
        spec(failing, name="a", capital=D("0.5"), exits={"stop_loss": 0.1}),
        spec(Script(None, None, None, 1.0), name="b", capital=D("0.5")),
    ).bars((100,), (100,), (100,), (100,), (100,), (80,))
    assert [x.error for x in world.of(f.StrategyFailed)] == ["ZeroDivisionError: no spread"]
    assert len(failing.seen) == 3
    assert world.position("a") == 0  # its stop still works
    assert world.position("b") == D(10)


@pytest.mark.parametrize(
    "raised", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), CancelledError(), MemoryError()], ids=repr
)
def test_a_strategy_that_wants_to_end_the_program_ends_only_itself(raised: BaseException) -> None:
    def leave(ctx: Context, bar: Bar) -> None:
        raise raised

    world = World(
        spec(Script(1.0, leave), name="a", capital=D("0.5")),
        spec(Script(None, None, 1.0), name="b", capital=D("0.5")),
    ).bars((100,), (100,), (100,), (100,))
    assert [(x.strategy, x.error.partition(":")[0]) for x in world.of(f.StrategyFailed)] == [
        ("a", type(raised).__name__)
    ]
    assert world.position("b") == D(10)


def test_the_owners_interrupt_during_a_call_is_not_taken_for_the_strategys() -> None:
    def pressed(ctx: Context, bar: Bar) -> None:
        raise Interrupted

    world = World(spec(Script(pressed)))
    with pytest.raises(KeyboardInterrupt):
        world.bars((100,))
    assert world.of(f.StrategyFailed) == []


class Listener(QuoteStrategy):
    """Notes what it was shown."""

    def __init__(self) -> None:
        super().__init__(None)
        self.shown: list[Quote | Book] = []

    def on_quote(self, ctx: Context, quote: Quote) -> Quotes | None:
        self.shown.append(quote)
        return None

    def on_book(self, ctx: Context, book: Book) -> Quotes | None:
        self.shown.append(book)
        return None


def test_a_quote_that_cannot_be_true_reaches_no_strategy_and_books_do() -> None:
    listener = Listener()
    world = World(spec(listener, instrument=GEM, interval=0), spec(Script(), name="b", capital=D(0)))
    good, crossed = Quote("GEM", START + 1, 9.0, 1.0, 9.5, 1.0), Quote("GEM", START + 1, 10.0, 1.0, 9.0, 1.0)
    book = Book("GEM", START + 2, (Level(9.0, 1.0),), (Level(9.5, 1.0),))
    world.engine.decide(m.Slice(START + 1, (crossed, good)), START + 1)
    world.engine.decide(m.Slice(START + 2, (book,)), START + 2)
    assert listener.shown == [good, book]


# --- counting -------------------------------------------------------------------------------------


def test_a_time_exit_leaves_after_that_many_bars_and_rests() -> None:
    world = World(spec(Script(1.0), exits={"max_bars": 3})).bars(*[(100 + n,) for n in range(9)])
    # Filled at the open of bar 2; bars 3, 4 and 5 are held; out at the open of bar 6.
    assert fills(world) == [("buy", D(10), D(101)), ("sell", D(10), D(105))]
    assert [x.because for x in world.of(f.TargetSuspended)] == ["time"]


def test_a_split_does_not_count_held_bars_twice() -> None:
    class Renewed(Script):
        def rebase(self, instrument: str, ratio: Any) -> bool:
            return False

    split = m.Split(ts=START + 4 * HOUR + 1, instrument="COIN", ratio=D(2))
    script = Renewed(1.0, lookback=10)
    world = World(
        spec(script, exits={"max_bars": 6}, renew=lambda name: Renewed(lookback=10)), events=[split]
    )
    world.bars((100,), (100,), (100,), (100,), (50,), (50,), (50,), (50,))
    assert world.position() == D(20)
    world.bars((50,))
    assert world.position() == 0


@pytest.mark.parametrize("where", ["rebase", "renew", "on_start", "on_bar"])
def test_a_strategy_that_fails_at_a_split_fails_alone(where: str) -> None:
    class Failing(Script):
        """The object of before the split; or, with `fails`, the one that was made anew."""

        fails = False

        def rebase(self, instrument: str, ratio: Any) -> bool:
            if where == "rebase":
                raise ValueError("no rebase")
            return False

        def on_start(self, ctx: Context) -> None:
            if self.fails and where == "on_start":
                raise ValueError("no on_start")

        def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
            if self.fails and where == "on_bar":
                raise ValueError("no on_bar")
            return super().on_bar(ctx, bar)

    def renew(name: str) -> Failing:
        if where == "renew":
            raise ValueError("no renew")
        made = Failing()
        made.fails = True
        return made

    split = m.Split(ts=START + 3 * HOUR + 1, instrument="COIN", ratio=D(2))
    world = World(
        spec(Failing(1.0), name="a", capital=D("0.5"), renew=renew, exits={"stop_loss": 0.1}),
        spec(Script(None, None, None, 1.0), name="b", capital=D("0.5")),
        events=[split],
    ).bars((100,), (100,), (100,), (50,), (50,), (40,))
    assert [(x.strategy, x.error) for x in world.of(f.StrategyFailed)] == [("a", f"ValueError: no {where}")]
    assert (world.position("a"), world.position("b")) == (0, D(10))


def test_bars_passed_release_the_target_only_after_the_strategy_had_its_say() -> None:
    # The word of the bar on which the rest ends is flat: nothing is bought and cancelled again.
    words = Script(1.0, None, None, None, 0.0)
    world = World(spec(words, exits={"stop_loss": 0.10, "after_exit": 2}))
    world.bars((100,), (100,), (100, 100, 85, 88), (88,), (88,), (88,), (88,))
    assert fills(world) == [("buy", D(10), D(100)), ("sell", D(10), D(90))]
    assert world.of(f.CancelRequested) == []


def test_bars_passed_buy_back_what_is_still_wanted() -> None:
    world = World(spec(Script(1.0), exits={"stop_loss": 0.10, "after_exit": 2}))
    world.bars((100,), (100,), (100, 100, 85, 88), (88,), (88,), (89,), (89,))
    assert fills(world)[2:] == [("buy", D(10), D(89))]


def test_each_rest_is_counted_from_its_own_beginning() -> None:
    # Held for a bar, resting for a bar, again and again: the count of one rest is not the next one's.
    world = World(spec(Script(1.0), exits={"max_bars": 1, "after_exit": 1}))
    world.bars(*[(100 + n,) for n in range(9)])
    assert fills(world) == [
        ("buy", D(10), D(101)),
        ("sell", D(10), D(103)),
        ("buy", D(10), D(104)),
        ("sell", D(10), D(106)),
        ("buy", D(10), D(107)),
    ]


# --- first and late -------------------------------------------------------------------------------


def warmed(*muted: float | None, price: float = 100.0, **terms: Any) -> World:
    """Return a world whose strategy has said `muted` while warming up at 100."""
    world = World(spec(Script(*muted, *[muted[-1]] * 10), **terms))
    world.engine.warm_up(m.Slice(START + n, (bar("COIN", START + n),)) for n in range(len(muted)))
    return world.bars((price,), (price,), (price,))


def test_a_signal_standing_at_the_start_is_acted_on_at_once_or_waits() -> None:
    assert warmed(1.0, 1.0, first_entry=FirstEntry.AT_ONCE).position() == D(10)
    waits = warmed(1.0, 1.0, first_entry=FirstEntry.NEXT_SIGNAL)
    assert waits.position() == 0
    assert [x.because for x in waits.of(f.TargetSuspended)] == ["standing at start"]


def test_a_flat_signal_standing_at_the_start_needs_no_rest() -> None:
    world = warmed(0.0, 0.0, first_entry=FirstEntry.NEXT_SIGNAL)
    assert world.of(f.TargetSuspended) == []


def test_the_next_signal_after_a_standing_one_is_acted_on() -> None:
    world = World(spec(Script(1.0, 1.0, 1.0, 0.0, 1.0), first_entry=FirstEntry.NEXT_SIGNAL))
    world.engine.warm_up(m.Slice(START + n, (bar("COIN", START + n),)) for n in range(2))
    world.bars((100,), (100,), (100,), (100,))
    assert world.position() == D(10)


def restarted(late: LateEntry, muted: list[float], price: float) -> World:
    """Return a world that was flat, went down, and came back over `muted` signals."""
    world = World(spec(Script(0.0, *muted, *[muted[-1]] * 10), late_entry=late))
    world.bars((100,))
    # A second run in the same ledger: nothing of the first one's memory is left but the ledger.
    from tradebot.core.engine import Engine

    again = Engine(world.engine.setup, world.ledger)
    back = world.now + HOUR
    again.decide(m.Start(ts=back, run_id="two", epoch=2, config_digest="c", code_digest="d"), back)
    past = [world.now + (n + 1) * MINUTE for n in range(len(muted))]
    again.warm_up(m.Slice(ts, (bar("COIN", ts),)) for ts in past)
    again.decide(m.Slice(back + HOUR, (bar("COIN", back + HOUR, price),)), back + HOUR)
    world.engine = again
    return world


@pytest.mark.parametrize(
    ("late", "muted", "price", "acts"),
    [
        (LateEntry(), [1.0, 1.0, 1.0], 100.0, True),
        (LateEntry(max_bars=2), [1.0, 1.0, 1.0], 100.0, True),
        (LateEntry(max_bars=1), [1.0, 1.0, 1.0], 100.0, False),
        (LateEntry(max_move=0.02), [1.0], 101.0, True),
        (LateEntry(max_move=0.02), [1.0], 103.0, False),
    ],
)
def test_a_signal_that_came_while_down_is_acted_on_within_its_limits(
    late: LateEntry, muted: list[float], price: float, acts: bool
) -> None:
    world = restarted(late, muted, price)
    wish = world.ledger.wish(("s", "COIN"))
    assert (wish.suspended is None) is acts
    assert bool(world.ledger.open_orders(("s", "COIN"))) is acts

"""Golden runs: whole stories as text, each with what it must show.

`UPDATE_GOLDEN=1` writes them anew; a changed one must be explained in its commit. The head of each
file says what the run must show; read it against what follows before committing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from inspect import cleandoc
from pathlib import Path

import pytest

from tests.core.test_desk import Basket
from tests.core.world import (
    EURO,
    GEM,
    START,
    STOCK,
    D,
    QuoteScript,
    Script,
    World,
    account,
    make_bar,
    sessions,
    spec,
)
from tests.golden.rendering import Story
from tradebot.core import messages as m
from tradebot.core.model import DAY, HOUR, MINUTE, AccountModel, Bar, Level, Quote, Tif
from tradebot.core.scope import HaltLevel, Scope
from tradebot.core.setup import ExecutionSpec, FirstEntry, Limits, OrderStyle, Resize
from tradebot.core.sizing import FractionOfEquity
from tradebot.core.strategy import Context, Input, Quotes, Target
from tradebot.sim.fees import BpsFees
from tradebot.sim.latency import Delays

FOLDER = Path(__file__).parent
RUNS: dict[str, Callable[[], World]] = {}
DIP = (100, 100, 88, 90)  # opens at 100, falls through a stop at 90


def golden(run: Callable[[], World]) -> Callable[[], World]:
    RUNS[run.__name__] = run
    return run


def hourly(*closes: float, names: tuple[str, ...] = ("COIN",), start: int = START) -> list[m.Slice]:
    """Return slices in which all `names` have a bar."""
    times = [start + (i + 1) * HOUR for i in range(len(closes))]
    return [
        m.Slice(ts, tuple(make_bar(name, ts, HOUR, close) for name in names))
        for ts, close in zip(times, closes, strict=True)
    ]


def halt(world: World, level: HaltLevel, reason: str, *scope: str | None) -> None:
    world.tell(m.SetHalt(ts=world.now, level=level, reason=reason, scope=Scope(*scope)))


# --- exits ----------------------------------------------------------------------------------------


@golden
def stop_out_next_signal() -> World:
    """A stop-out is not bought back while the signal stands.

    Long 10, stopped out at 90. The strategy says 1 on every bar: nothing happens. It says 0, then 1
    again: only then it buys.
    """
    world = World(spec(Script(1, 1, 1, 1, 1, 1, 0, 0, 1), exits={"stop_loss": 0.10}))
    return world.bars((100,), (100,), DIP, (92,), (93,), (94,), (95,), (96,), (97,), (98,))


@golden
def stop_out_bars() -> World:
    """A stop-out is bought back once two more bars have closed, sized anew at that price."""
    sizing = FractionOfEquity(fraction=0.1)
    world = World(spec(Script(*[1] * 9), sizing=sizing, exits={"stop_loss": 0.10, "after_exit": 2}))
    return world.bars((100,), (100,), DIP, (92,), (93,), (94,), (95,))


@golden
def stop_out_at_once() -> World:
    """A stop-out is bought back at the next price, because the configuration says so."""
    world = World(spec(Script(*[1] * 9), exits={"stop_loss": 0.10, "after_exit": "at_once"}))
    return world.bars((100,), (100,), DIP, (92,), (93,))


@golden
def stop_kept_by_the_engine() -> World:
    """No order rests at the venue; the dip is seen at the bar's end and the position leaves at the next price.

    It is not bought back while the signal stands.
    """
    world = World(spec(Script(1, 1, 1, 1, 1, 1, 0, 1), exits={"stop_loss": 0.10, "is_local": True}))
    return world.bars((100,), (100,), DIP, (92,), (93,), (94,), (95,), (96,), (97,))


@golden
def trailing_stop_kept_by_the_engine() -> World:
    """The best price is a fact each time the level moves; a fall of 10 % from it ends the position."""
    world = World(spec(Script(1), exits={"trailing": 0.10, "is_local": True}))
    return world.bars(
        (100,), (100,), (101, 120, 101, 118), (118, 119, 110, 112), (112, 113, 107, 109), (110,)
    )


@golden
def stop_and_target_in_one_bar() -> World:
    """Stop and take-profit both lie inside one bar: the worse is assumed and the fill says so."""
    world = World(spec(Script(1), exits={"stop_loss": 0.05, "take_profit": 0.05}))
    return world.bars((100,), (100,), (100, 106, 94, 101), (101,))


@golden
def short_stop() -> World:
    """A short is stopped out above its entry and not sold again while the signal stands."""
    world = World(spec(Script(-1, -1, -1, -1), exits={"stop_loss": 0.05, "take_profit": 0.2}))
    return world.bars((100,), (100,), (101, 107, 101, 106), (106,), (106,))


@golden
def time_exit() -> World:
    """After three bars held the position is closed at the next open; the standing signal rests."""
    world = World(spec(Script(*[1] * 9), exits={"max_bars": 3, "stop_loss": 0.5}))
    return world.bars((100,), (101,), (102,), (103,), (104,), (105,), (106,))


@golden
def time_exit_across_sessions() -> World:
    """One daily bar held after the entry's, over a weekend: the exit is decided at Monday's close and waits for the open."""
    days = sessions((3, 14.5, 21), (4, 14.5, 21), (7, 14.5, 21), (8, 14.5, 21))
    world = World(
        spec(Script(1, 1, 1, 1), instrument=STOCK, interval=DAY, exits={"max_bars": 1}), events=days
    )
    closes = ((3, 100.0), (4, 101.0), (7, 102.0), (8, 103.0))
    return world.play(make_bar("STOCK", START + d * DAY + 21 * HOUR, DAY, c) for d, c in closes)


@golden
def partial_fills_and_protection() -> World:
    """Protection follows every partial fill of entry and exit; it is replaced, never doubled."""
    from tradebot.sim.settings import FillSettings

    world = World(
        spec(Script(1), exits={"stop_loss": 0.10, "take_profit": 0.20}),
        settings=FillSettings(volume_cap=D("0.01")),
    )
    rows = ((100, 400), (100, 600), (125, 300), (85, 400), (85, 5000))
    return world.bars((100,), *((c, c, c, c, v) for c, v in rows))


@golden
def split_with_a_working_stop() -> World:
    """4:1 while a stop rests: a quarter of the price, four times the quantity, no signal.

    The lot's basis is unchanged; the strategy keeps its position.
    """
    days = sessions(*[(d, 14.5, 21) for d in range(5)])
    split = m.Split(ts=START + 3 * DAY + int(14.5 * HOUR), instrument="STOCK", ratio=D(4))
    events = sorted([*days, split], key=lambda e: e.ts)
    world = World(
        spec(Script(1, 1, 1, 1, 1), instrument=STOCK, interval=DAY, exits={"stop_loss": 0.10}), events=events
    )
    closes = (100.0, 102.0, 104.0, 26.0, 22.0)
    return world.play(make_bar("STOCK", START + d * DAY + 21 * HOUR, DAY, c) for d, c in enumerate(closes))


@golden
def dividends() -> World:
    """A dividend is owed from the ex-date's open, counts as equity, and is paid at its date.

    The short owes what the long is owed.
    """
    days = sessions(*[(d, 14.5, 21) for d in range(6)])
    ex, pays = START + 2 * DAY + int(14.5 * HOUR), START + 4 * DAY + int(14.5 * HOUR)
    dividend = m.Dividend(ts=ex, instrument="STOCK", amount=D("0.25"), pays_at=pays)
    events = sorted([*days, dividend], key=lambda e: e.ts)
    half = D("0.5")
    world = World(
        spec(Script(1), instrument=STOCK, interval=DAY, name="long", capital=half),
        spec(Script(-0.4), instrument=STOCK, interval=DAY, name="short", capital=half),
        events=events,
    )
    return world.play(make_bar("STOCK", START + d * DAY + 21 * HOUR, DAY, 100.0) for d in range(6))


# --- the difference -------------------------------------------------------------------------------


@golden
def rejected_a_bounded_number_of_times() -> World:
    """The venue refuses (no cash): tried at growing distances, given up, tried again on a new target.

    The market is 30 % up at each open, so that what the gate lets pass the venue cannot pay.
    """
    world = World(
        spec(Script(1, 1, 1, 1, 1, 1, 0.5, 0.5), sizing=FractionOfEquity(fraction=0.95)),
        accounts=[account({"USD": D(10_000)}, model=AccountModel.CASH)],
    )
    up = [(100 * 1.3**n,) for n in range(1, 8)]
    minutes = [
        (make_bar("COIN", START + HOUR + n * MINUTE, MINUTE, 100 * 1.3 ** (n + 1))) for n in range(1, 12)
    ]
    world.bars((100,))
    world.play(minutes)
    world.now = START + HOUR
    return world.bars(*up)


@golden
def denied_a_bounded_number_of_times() -> World:
    """A rule denies: once as a fact, its repeats counted; given up until the target changes."""
    world = World(spec(Script(-1, -1, -1, 0, 1)), accounts=[account(model=AccountModel.CASH)])
    return world.bars((100,), (100,), (100,), (100,), (100,), (100,))


@golden
def equity_wobble_on_change() -> World:
    """Resize on_change: equity moves, the standing target does not re-order."""
    world = World(spec(Script(*[1] * 9), sizing=FractionOfEquity(fraction=0.5), resize=Resize.ON_CHANGE))
    return world.bars((100,), (100,), (110,), (95,), (105,), (100,))


@golden
def equity_wobble_always() -> World:
    """Resize always: the standing target is sized anew at each bar."""
    world = World(spec(Script(*[1] * 9), sizing=FractionOfEquity(fraction=0.5), resize=Resize.ALWAYS))
    return world.bars((100,), (100,), (110,), (95,), (100,))


@golden
def equity_wobble_band() -> World:
    """Resize in a band of 10 %: small moves are left, the large one is traded."""
    world = World(
        spec(Script(*[1] * 9), sizing=FractionOfEquity(fraction=0.5), resize=Resize.BAND, band=0.10)
    )
    return world.bars((100,), (100,), (104,), (96,), (150,), (150,))


@golden
def twap() -> World:
    """A parent of four slices: the first at once, the rest evenly; the target falls in the middle."""
    execution = ExecutionSpec(kind="twap", slices=4, over=8 * HOUR)
    world = World(spec(Script(1, *[None] * 4, 0.5), execution=execution))
    return world.bars(*[(100,)] * 10)


@golden
def fees_and_lots() -> World:
    """Two entries and one exit with fees: profit is at average cost, the account's lots go first in, first out."""
    world = World(spec(Script(0.5, None, 1, None, 0.3)), fees=BpsFees(maker=D(5), taker=D(10)))
    return world.bars((100,), (100,), (110,), (110,), (120,), (120,))


# --- time -----------------------------------------------------------------------------------------


@golden
def decision_on_close_fills_at_next_open() -> World:
    """Decided on the close of 100, filled at the next bar's open of 103, not at any price seen before."""
    return World(spec(Script(1))).bars((99, 101, 98, 100), (103, 104, 102, 102))


@golden
def resting_order_meets_the_bar_before_the_strategy() -> World:
    """The take-profit fills inside the bar; the strategy's word on that same bar comes after it."""
    world = World(spec(Script(1, None, -1), exits={"take_profit": 0.05}))
    return world.bars((100,), (100,), (101, 106, 100, 104), (104,))


@golden
def waits_for_the_open() -> World:
    """A decision on a daily close waits as a fact and goes out at the next open.

    Day 3 is a half-day, day 4 a holiday: the decision of the half-day's close waits over both.
    """
    days = sessions((1, 14.5, 21), (2, 14.5, 21), (3, 14.5, 18), (7, 14.5, 21))
    world = World(spec(Script(1, 1, 0, 0), instrument=STOCK, interval=DAY), events=days)
    ends = ((1, 21, 100.0), (2, 21, 101.0), (3, 18, 102.0), (7, 21, 99.0))
    return world.play(make_bar("STOCK", START + d * DAY + h * HOUR, DAY, c) for d, h, c in ends)


@golden
def data_and_reports_under_way() -> World:
    """A bar is seen a minute, a fill two minutes after it happened.

    The order that the bar led to is late for the next open and trades at the one after; the bar that comes
    before the fill was told changes nothing, though by then the position is there.
    """
    delays = Delays(data=MINUTE, report=2 * MINUTE)
    world = World(spec(Script(1, 1, 1, 0, 0)), delays=delays, checks_rest=False)
    return world.bars((100,), (101,), (102,), (103,), (104,), (105,), (106,)).until(world.now + HOUR)


@golden
def opening_auction() -> World:
    """With `at: opening_auction` the decision is sent at once as an auction order and fills at the open."""
    days = sessions((1, 14.5, 21), (2, 14.5, 21), (3, 14.5, 18))
    style = OrderStyle(auction=Tif.AT_OPEN)
    world = World(spec(Script(1, 0), instrument=STOCK, interval=DAY, style=style), events=days)
    rows = ((1, 21, (100, 100, 100, 100)), (2, 21, (103, 104, 101, 102)), (3, 18, (101, 101, 99, 100)))
    return world.play(make_bar("STOCK", START + d * DAY + h * HOUR, DAY, *row) for d, h, row in rows)


@golden
def bad_bar() -> World:
    """A bar with NaN is refused: the strategy is not called, the last good price stands."""
    world = World(spec(Script(0, 1)))
    return world.bars((100,), (float("nan"), 101, 99, 100), (101,), (102,))


# --- several at once ------------------------------------------------------------------------------


class Peeking(Script):
    """Says in its reason what it can see of the other series."""

    def on_bar(self, ctx: Context, bar: Bar) -> Target | None:
        hour = ctx.bar(HOUR, "GEM")
        four = ctx.bar(4 * HOUR)
        told = [f"own {bar.close:g}"]
        told.append(f"GEM {'-' if hour is None else format(hour.close, 'g')}")
        told.append(f"4h {'-' if four is None else format(four.close, 'g')}")
        if ctx.missing:
            told.append("missing " + " ".join(ctx.missing))
        self.seen.append(bar)
        return ctx.target(qty=float(len(self.seen)), reason=", ".join(told))


@golden
def no_look_ahead_across_series() -> World:
    """COIN decides on itself, on GEM and on its own 4-hour bars; GEM's bar of hour 3 never comes.

    It sees only what closed by its own bar, waits for GEM a minute, goes on without it and names it.
    """
    peeking = Peeking(inputs=(Input(HOUR, "GEM"), Input(4 * HOUR)))
    world = World(spec(peeking))
    market = []
    for hour in range(1, 6):
        ts = START + hour * HOUR
        items = [make_bar("COIN", ts, HOUR, 100 + hour)]
        if hour != 3:
            items.append(make_bar("GEM", ts, HOUR, 200 + hour))
        if hour == 4:
            items.append(make_bar("COIN", ts, 4 * HOUR, 104))
        market.append(m.Slice(ts, tuple(items)))
    return world.play(market)


@golden
def capital_shares() -> World:
    """Two strategies share one account 70:30; fraction of equity means of their own part."""
    sizing = FractionOfEquity(fraction=0.5)
    world = World(
        spec(Script(1), name="big", capital=D("0.7"), sizing=sizing),
        spec(Script(1), name="small", capital=D("0.3"), sizing=sizing),
    )
    return world.bars((100,), (100,), (110,))


@golden
def missing_rate() -> World:
    """Without a rate for EUR nothing is sized in it, with the reason; with one it is."""
    world = World(
        spec(Script(1, 1, 1, 1), instrument=EURO, sizing=FractionOfEquity(fraction=0.5)),
        accounts=[account({"USD": D(10_000)})],
    )
    world.bars((100,), (100,), instrument=EURO)
    world.tell(m.Rate(ts=world.now, asset="EUR", base="USD", rate=1.25))
    return world.bars((100,), (100,), instrument=EURO)


@golden
def quotes_within_tolerance() -> World:
    """A quote that moves by less than its tolerance leaves the resting orders where they are.

    Then the market walks: orders are replaced; then a bid is hit and quoted again.
    """

    def around(ctx: Context, quote: Quote) -> Quotes:
        return Quotes("GEM", (Level(quote.mid - 1, 2.0),), (Level(quote.mid + 1, 2.0),), tolerance_ticks=5)

    world = World(spec(QuoteScript(*[around] * 9), instrument=GEM, interval=0))
    rows = ((99.99, 100.01), (100.01, 100.03), (100.49, 100.51), (98.9, 99.4), (98.9, 99.4))
    quotes = [Quote("GEM", START + (n + 1) * MINUTE, b, 50.0, a, 50.0) for n, (b, a) in enumerate(rows)]
    return world.play(quotes)


@golden
def strategy_that_raises() -> World:
    """One strategy raises: it is a fact, its stop still works, the other one goes on."""

    def fail(ctx: Context, bar: Bar) -> None:
        raise ZeroDivisionError("no spread")

    half = D("0.5")
    world = World(
        spec(Script(1, None, fail), name="failing", capital=half, exits={"stop_loss": 0.1}),
        spec(Script(None, None, None, 1), name="sound", instrument=GEM, capital=half),
    )
    return world.play(hourly(100, 100, 100, 100, 100, 85, names=("COIN", "GEM")))


@golden
def rebalance_in_a_cash_account() -> World:
    """From one coin to the other with all the money: the purchase waits for the sale's cash."""
    one = Basket({"COIN": 1.0, "GEM": 0.0}, {}, {"COIN": 0.0, "GEM": 1.0})
    world = World(
        spec({"COIN": one, "GEM": one}, sizing=FractionOfEquity(fraction=1.0)),
        accounts=[account({"USD": D(10_000)}, model=AccountModel.CASH)],
    )
    return world.play(hourly(100, 100, 100, 100, 100, 100, names=("COIN", "GEM")))


# --- start, halts ---------------------------------------------------------------------------------


def _warmed(first: FirstEntry) -> World:
    world = World(spec(Script(1, 1, 1, 1, 0, 1, 1), first_entry=first))
    world.engine.warm_up(m.Slice(START + n, (make_bar("COIN", START + n, HOUR, 100),)) for n in range(2))
    return world.bars((100,), (100,), (100,), (100,), (100,))


@golden
def first_entry_at_once() -> World:
    """A signal that stands at the start is acted on."""
    return _warmed(FirstEntry.AT_ONCE)


@golden
def first_entry_next_signal() -> World:
    """A signal that stands at the start rests; the next change is acted on."""
    return _warmed(FirstEntry.NEXT_SIGNAL)


@golden
def pause_and_resume() -> World:
    """Paused: no new entry, the exit is managed; resumed: what was not done meanwhile is not chased."""
    half = D("0.5")
    world = World(
        spec(Script(1), name="held", capital=half, exits={"stop_loss": 0.1}),
        spec(Script(None, None, 1, 1, 1, 1, 0.5), name="waiting", instrument=GEM, capital=half),
    )
    both = ("COIN", "GEM")
    world.play(hourly(100, 100, names=both))
    halt(world, HaltLevel.PAUSED, "lunch")
    world.play(hourly(100, 85, names=both, start=world.now))
    halt(world, HaltLevel.NONE, "back")
    return world.play(hourly(85, 85, 85, 85, names=both, start=world.now))


@golden
def flatten_one_strategy() -> World:
    """One strategy is flattened, the other one of the same instrument keeps its position."""
    half = D("0.5")
    world = World(
        spec(Script(1, 1, 1, 1, 1), name="out", capital=half, exits={"stop_loss": 0.2}),
        spec(Script(1, 1, 1, 1, 1), name="stays", capital=half),
    )
    world.bars((100,), (100,))
    halt(world, HaltLevel.FLATTEN, "enough", "out")
    world.bars((100,), (100,))
    halt(world, HaltLevel.NONE, "again", "out")
    return world.bars((100,), (100,))


@golden
def drawdown_halts_new_risk() -> World:
    """The drawdown breaker trips and stays: entries are denied, the exit still goes out."""
    world = World(
        spec(Script(1, *[None] * 3, 0, 1), qty=90.0, interval=DAY),
        accounts=[account({"USD": D(10_000)}, limits=Limits(max_drawdown=0.10))],
    )
    return world.bars((100,), (100,), (95,), (88,), (88,), (88,), (88,), interval=DAY)


@golden
def daily_loss_ends_with_the_day() -> World:
    """The daily loss limit trips on the bar that brings the loss and is lifted by the next day."""
    world = World(
        spec(Script(1, *[None] * 5, 0.5, 1), qty=90.0, interval=6 * HOUR),
        accounts=[account({"USD": D(10_000)}, limits=Limits(max_daily_loss=0.05))],
    )
    return world.bars(
        (100,), (100,), (93,), (93,), (93,), (93,), (93,), (93,), (93,), (93,), interval=6 * HOUR
    )


@pytest.mark.parametrize("name", list(RUNS))
def test_golden_run(name: str) -> None:
    run = RUNS[name]
    world = run()
    world.compare()
    head = [f"# {line}".rstrip() for line in cleandoc(run.__doc__ or "").splitlines()]
    text = "\n".join([*head, "", *Story().lines(world.facts)]) + "\n"
    path = FOLDER / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(text)
    assert path.exists(), f"{path.name} is missing: run with UPDATE_GOLDEN=1, read it, commit it"
    assert text == path.read_text(), f"{path.name} changed: if that is right, run with UPDATE_GOLDEN=1"

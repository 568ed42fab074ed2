"""From what is wanted to orders: the difference, its retries, what stands in its way."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.core.world import EURO, START, STOCK, D, QuoteScript, Script, World, account, sessions, spec
from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.model import DAY, HOUR, AccountModel, Bar, Level, OrderKind, Quote, Tif
from tradebot.core.setup import ExecutionSpec, Limits, OrderStyle
from tradebot.core.sizing import FixedNotional, FractionOfEquity
from tradebot.core.strategy import BarStrategy, Context, Quotes, Target, Weights


def fills(world: World, strategy: str = "s") -> list[tuple[str, Any, Any]]:
    return [
        (x.fill.side.value, x.fill.qty, x.fill.price)
        for x in world.of(f.OrderFilled)
        if x.strategy == strategy
    ]


SLOW = ExecutionSpec(kind="twap", slices=5, over=20 * HOUR)
TWAP = ExecutionSpec(kind="twap", slices=10, over=10 * HOUR)


def test_a_smaller_target_in_the_middle_of_a_parent_is_met_without_trading_back() -> None:
    # Half-way between two slices, when nothing works: the parent's rest must not be counted as there.
    world = World(spec(Script(1.0, None, None, None, 0.5), execution=SLOW))
    world.bars(*[(100,)] * 30)
    assert world.position() == D(5)
    assert {side for side, _, _ in fills(world)} == {"buy"}


def test_a_slice_the_gate_denies_is_tried_again_later_and_then_given_up() -> None:
    limits = Limits(max_orders_per_day=2)
    world = World(spec(Script(1.0), execution=TWAP), accounts=[account(limits=limits)])
    world.bars(*[(100,)] * 12)
    assert world.position() == D(2)
    tries = world.of(f.RetrySet)
    assert tries and tries[-1].is_last
    assert len(world.of(f.ParentOpened)) <= 5


def test_a_rejected_slice_does_not_end_the_rest_of_the_parent() -> None:
    # A cash account: the third slice costs more than is left; the rest is given up, nothing is sold.
    world = World(
        spec(Script(1.0), execution=TWAP), accounts=[account({"USD": D(250)}, model=AccountModel.CASH)]
    )
    world.bars(*[(100,)] * 30)
    assert world.position() == D(2)
    assert {side for side, _, _ in fills(world)} == {"buy"}


@pytest.mark.parametrize("word", [math.nan, None])
def test_no_word_and_not_a_number_keep_the_target(word: float | None) -> None:
    world = World(spec(Script(1.0, lambda ctx, bar: Target("COIN", word))))
    world.bars((100,), (100,), (100,))
    assert len(world.of(f.TargetSet)) == 1
    assert world.position() == D(10)
    assert world.of(f.Skipped, f.StrategyFailed) == []


@pytest.mark.parametrize("word", [1.5, -2.0, math.inf])
def test_a_weight_beyond_one_is_refused_and_says_so(word: float) -> None:
    world = World(spec(Script(word)))
    world.bars((100,), (100,))
    assert world.position() == 0
    (no,) = world.of(f.Skipped)
    assert no.rule == "weight_range"
    assert no.reason == f"a weight must lie between -1 and 1, was {word!r}"


@pytest.mark.parametrize("qty", [1e30, -1e300])
def test_a_quantity_that_nobody_can_mean_is_refused_and_says_so(qty: float) -> None:
    world = World(spec(Script(lambda ctx, bar: Target("COIN", None, qty))))
    world.bars((100,), (100,))
    (no,) = world.of(f.Skipped)
    assert (no.rule, no.reason) == (
        "too_large",
        f"the wanted quantity must be at most 1e+15, was {qty:g}",
    )


@pytest.mark.parametrize("level", [Level(99.0, 1e100), Level(1e100, 1.0)])
def test_a_quote_of_more_than_can_be_counted_is_denied(level: Level) -> None:
    world = World(spec(QuoteScript(lambda ctx, quote: Quotes("COIN", (), (level,))), interval=0))
    world.play([Quote("COIN", START + i, 99.9, 1.0, 100.1, 1.0) for i in (1, 2)])
    assert {denied.rule for denied in world.of(f.OrderDenied)} == {"grid"}


def test_explaining_numbers_that_are_not_finite_are_left_out() -> None:
    world = World(spec(Script(lambda ctx, bar: ctx.target(weight=1.0, z=math.nan, slope=2))))
    world.bars((100,))
    (target,) = world.of(f.TargetSet)
    assert [(x.name, x.value) for x in target.explained] == [("slope", 2.0)]


def test_a_target_worked_again_after_an_exit_keeps_what_explained_it() -> None:
    rules = {"stop_loss": 0.05, "after_exit": 2}
    word = Script(lambda ctx, bar: ctx.target(weight=1.0, reason="up", slope=2.0))
    world = World(spec(word, exits=rules))
    world.bars((100,), (100,), (90,), (90,), (90,), (90,))
    first, again = world.of(f.TargetSet)
    assert again.because != "signal"
    assert (again.reason, again.explained) == (first.reason, first.explained)


def test_sizing_converts_equity_into_the_quote_asset() -> None:
    world = World(
        spec(Script(1.0), instrument=EURO, sizing=FractionOfEquity(fraction=0.5)),
        accounts=[account({"USD": D(10_000)})],
    )
    world.tell(m.Rate(ts=START, asset="EUR", base="USD", rate=1.25))
    world.bars((100,), (100,), instrument=EURO)
    assert world.position(instrument="EURO") == D(40)  # half of 8,000 EUR at 100 EUR


def test_a_missing_rate_stops_sizing_with_a_reason() -> None:
    world = World(spec(Script(1.0), instrument=EURO, sizing=FractionOfEquity(fraction=0.5)))
    world.bars((100,), (100,), instrument=EURO)
    assert world.position(instrument="EURO") == 0
    (no,) = world.of(f.Skipped)
    assert (no.rule, no.reason) == ("rate_missing", "equity needs the rate EUR/USD")


def test_a_fixed_notional_is_in_the_quote_asset_already() -> None:
    world = World(spec(Script(1.0), instrument=EURO, sizing=FixedNotional(notional=500.0)))
    world.tell(m.Rate(ts=START, asset="EUR", base="USD", rate=1.25))
    world.bars((100,), (100,), instrument=EURO)
    assert world.position(instrument="EURO") == D(5)


class Basket(BarStrategy):
    """Says the same weights for several instruments, one row per bar."""

    together = True

    def __init__(self, *rows: dict[str, float]) -> None:
        super().__init__(None)
        self.rows = list(rows)

    def on_bars(self, ctx: Context, bars: Any) -> Weights | None:
        row = self.rows.pop(0) if self.rows else None
        return None if row is None else Weights(tuple(row.items()))


def both(world: World, *prices: float) -> World:
    """Feed bars of COIN and GEM that close together."""
    for price in prices:
        ts = world.now + HOUR
        world.play(
            [m.Slice(ts, tuple(Bar(n, ts, HOUR, *[float(price)] * 4, 1000.0) for n in ("COIN", "GEM")))]
        )
    return world


def test_a_rebalance_in_a_cash_account_buys_once_its_sale_has_brought_the_cash() -> None:
    one = Basket({"COIN": 1.0, "GEM": 0.0}, {"COIN": 0.0, "GEM": 1.0})
    world = World(
        spec({"COIN": one, "GEM": one}, sizing=FractionOfEquity(fraction=1.0)),
        accounts=[account({"USD": D(10_000)}, model=AccountModel.CASH)],
    )
    both(world, 100, 100, 100, 100, 100, 100)
    assert world.position(instrument="COIN") == 0
    assert world.position(instrument="GEM") == D(100)


def test_a_day_order_that_expires_goes_out_again_without_using_up_the_retries() -> None:
    style = OrderStyle(kind=OrderKind.LIMIT, collar=-0.05, tif=Tif.DAY)
    days = [(d, 14.5, 21.0) for d in range(9)]
    world = World(spec(Script(1.0), instrument=STOCK, style=style, interval=DAY), events=sessions(*days))
    world.play(
        Bar("STOCK", START + d * DAY + 21 * HOUR, DAY, 100.0, 100.0, 99.0, 100.0, 1e6) for d in range(8)
    )
    assert world.of(f.RetrySet) == []
    assert len(world.of(f.OrderIntended)) == 7
    assert len(world.of(f.OrderExpired)) == 7


def test_a_strategy_in_a_cash_account_cannot_sell_what_another_one_holds() -> None:
    world = World(
        spec(Script(1.0), name="holder", capital=D("0.5")),
        spec(Script(None, None, -1.0), name="seller", capital=D("0.5")),
        accounts=[account(model=AccountModel.CASH)],
    )
    world.bars((100,), (100,), (100,), (100,), (100,))
    assert (world.position("holder"), world.position("seller")) == (D(10), D(0))
    assert world.of(f.OrderDenied)[0].rule == "short"

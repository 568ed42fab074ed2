"""Protective exits follow the position: never doubled, never missing, never a loop."""

from __future__ import annotations

from tests.core.world import D, Script, World, spec
from tradebot.core import facts as f
from tradebot.core.model import Purpose
from tradebot.core.setup import Resize
from tradebot.sim.settings import FillSettings, StopThrough

SHARE = D("0.5")


def protective(world: World) -> list[f.OrderIntended | f.ReplaceRequested]:
    return [x for x in world.of(f.OrderIntended, f.ReplaceRequested) if x.order.purpose is Purpose.PROTECT]


def test_opposite_strategies_on_one_account_are_each_stopped_out() -> None:
    # The account is flat, each strategy is not: what protects one is no reduction of the account.
    long = spec(Script(1.0), name="long", capital=SHARE, exits={"stop_loss": 0.05})
    short = spec(Script(-1.0), name="short", capital=SHARE, exits={"stop_loss": 0.05})
    world = World(long, short).bars((100,), (100,), (100, 100, 90, 100), (100, 110, 100, 100))
    assert world.position("long") == 0
    assert world.position("short") == 0
    assert [x.fill.price for x in world.of(f.OrderFilled)[2:]] == [D(95), D(105)]


def test_a_protective_order_the_venue_refuses_is_tried_a_bounded_number_of_times() -> None:
    # Bought on, the average falls and the stop is to move; the market is already through its new level.
    words = Script(0.5, None, 1.0)
    world = World(
        spec(words, exits={"stop_loss": 0.10}, resize=Resize.ON_CHANGE),
        settings=FillSettings(stop_through=StopThrough.REJECT),
        checks_rest=False,
    )
    world.bars((100,), (100,), (100,), (80, 80, 80, 80), (80,), (80,))
    assert len(protective(world)) < 12

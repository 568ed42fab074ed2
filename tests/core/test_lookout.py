"""Exits that the engine keeps: seen, left, not bought back, the same after a restart and a split."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.world import START, STOCK, D, QuoteScript, Script, World, make_bar, sessions, spec
from tradebot.core import facts as f
from tradebot.core import messages as m
from tradebot.core.model import DAY, HOUR, AccountModel, Bar, Quote, Side
from tradebot.core.setup import RetryRules
from tradebot.core.strategy import Context, Quotes
from tradebot.sim.accounts import SimAccount
from tradebot.sim.settings import FillSettings
from tradebot.sim.venue import SimVenue


def kept(**rules: Any) -> dict[str, Any]:
    return {**rules, "is_local": True}


def crossed(world: World) -> list[tuple[str, float, float]]:
    return [(fact.exit, fact.level, fact.seen) for fact in world.of(f.ExitCrossed)]


def test_a_short_leaves_when_a_bar_reached_its_stop_above_the_entry() -> None:
    world = World(spec(Script(-1, -1, -1), exits=kept(stop_loss=0.05)))
    world.bars((100,), (100,), (101, 105, 100, 101), (102,), (102,))
    assert crossed(world) == [("stop_loss", 105.0, 105.0)]
    assert not world.position()


def test_a_target_is_taken_at_the_price_after_the_bar_that_reached_it() -> None:
    world = World(spec(Script(1, 1, 1), exits=kept(take_profit=0.05, stop_loss=0.05)))
    world.bars((100,), (100,), (101, 105, 99, 103), (102,), (102,))
    assert crossed(world) == [("take_profit", 105.0, 105.0)]
    assert [fill.fill.price for fill in world.of(f.OrderFilled)] == [D(100), D(102)]


def test_a_bar_that_reached_both_counts_as_the_loss() -> None:
    world = World(spec(Script(1), exits=kept(take_profit=0.05, stop_loss=0.05)))
    world.bars((100,), (100,), (100, 106, 94, 101), (101,))
    assert [name for name, _, _ in crossed(world)] == ["stop_loss"]


def test_prices_that_lie_before_the_entry_are_not_held_against_it() -> None:
    world = World(spec(Script(1), exits=kept(stop_loss=0.10))).bars((100,), (100,))
    assert world.position() == 10
    # Two hours long: it began before the entry, at the second bar's open.
    ts = world.now + 1
    world.play([Bar("COIN", ts, 2 * HOUR, 100.0, 101.0, 50.0, 99.0, 1e6)])
    assert crossed(world) == []


def test_a_quote_through_the_level_is_enough_and_the_side_that_closes_counts() -> None:
    def once(ctx: Context, quote: Quote) -> Quotes | None:
        return None

    quoting = spec(QuoteScript(*[once] * 4), name="q")
    holding = spec(Script(1), exits=kept(stop_loss=0.10))
    world = World(holding, quoting)
    world.bars((100,), (100,))
    for bid, ask in ((90.5, 90.5), (90.01, 90.2), (89.99, 91.0)):
        world.now += 1_000_000_000
        world.play([Quote("COIN", world.now, bid, 50.0, ask, 50.0)])
    assert crossed(world) == [("stop_loss", 90.0, 89.99)]


def test_partial_ways_out_go_on_until_nothing_is_held() -> None:
    world = World(spec(Script(1), exits=kept(stop_loss=0.10)), settings=FillSettings(volume_cap=D("0.01")))
    rows = ((100, 2000), (100, 2000), (85, 400), (85, 400), (85, 400), (85, 400), (85, 400))
    world.bars(*((c, c, c, c, v) for c, v in rows))
    assert not world.position()
    assert len(crossed(world)) == 1
    assert sum(fill.fill.qty_signed for fill in world.of(f.OrderFilled)) == 0


def test_the_best_price_is_known_after_a_restart() -> None:
    strategy = spec(Script(1), exits=kept(trailing=0.10))
    world = World(strategy).bars((100,), (100,), (100, 120, 100, 118))
    world.restart(spec(Script(None), exits=kept(trailing=0.10)))
    world.bars((118,), (109, 109, 107, 108), (108,))
    assert crossed(world) == [("trailing_stop", 108.0, 107.0)]
    assert not world.position()


def test_a_split_moves_the_trail_and_signals_nothing() -> None:
    days = sessions(*[(d, 14.5, 21) for d in range(5)])
    split = m.Split(ts=START + 3 * DAY + int(14.5 * HOUR), instrument="STOCK", ratio=D(4))
    world = World(
        spec(Script(1), instrument=STOCK, interval=DAY, exits=kept(trailing=0.10)),
        events=sorted([*days, split], key=lambda event: event.ts),
    )
    closes = (100.0, 100.0, 120.0, 30.0)
    world.play(make_bar("STOCK", START + d * DAY + 21 * HOUR, DAY, c) for d, c in enumerate(closes))
    levels = world.engine.kept_exits()["s", "STOCK"]
    assert [(level.exit, level.price) for level in levels] == [("trailing_stop", D(27))]
    assert crossed(world) == []


def test_what_was_left_is_bought_back_after_the_bars_that_the_configuration_says() -> None:
    world = World(spec(Script(*[1] * 9), exits=kept(stop_loss=0.10, after_exit=2)))
    world.bars((100,), (100,), (100, 100, 88, 90), (92,), (93,), (94,), (95,))
    assert [fill.fill.qty_signed for fill in world.of(f.OrderFilled)] == [10, -10, 10]


class NoWayOut(SimVenue):
    """Refuses to sell."""

    def send(self, command: Any, now: int) -> None:
        if isinstance(command, m.SubmitOrder) and command.order.side is Side.SELL:
            order_id = command.order.client_order_id
            refusal = m.VenueRefused(ts=now, client_order_id=order_id, reason="sales are suspended")
            self.blotter.reports.append(refusal)
        else:
            super().send(command, now)


def test_what_was_left_at_once_is_bought_back_at_the_next_bar() -> None:
    world = World(spec(Script(1), exits=kept(stop_loss=0.10, after_exit="at_once")))
    world.bars((100,), (100,), (88,), (92,), (95,))
    assert [(x.fill.side.value, x.fill.price) for x in world.of(f.OrderFilled)] == [
        ("buy", D(100)),
        ("sell", D(92)),
        ("buy", D(95)),
    ]


def test_a_way_out_that_is_refused_too_often_is_said_to_be_open() -> None:
    strategy = spec(Script(1), exits=kept(stop_loss=0.10), retry=RetryRules(times=2, first=HOUR, factor=1.0))
    world = World(strategy)
    world.use_venue(
        NoWayOut(
            instruments=world.instruments,
            accounts={"main": SimAccount(model=AccountModel.MARGIN, cash={"USD": D(100_000)})},
        )
    )
    world.bars((100,), (100,), (100, 100, 85, 85), *[(85,)] * 5)
    assert [fact.rule for fact in world.of(f.Skipped)] == ["unprotected"]
    assert len(world.of(f.OrderRejected)) == 3


@pytest.mark.parametrize("sold", ["-10", "-4"])
def test_what_the_owner_sells_meanwhile_is_not_sold_twice(sold: str) -> None:
    world = World(spec(Script(1), exits=kept(stop_loss=0.10))).bars((100,), (100,))
    world.owner_trades(sold)
    world.bars((100, 100, 85, 85), (85,), (85,))
    assert not world.position()
    assert world.ledger.accounts["main"].qty("COIN") == 0

"""A venue that is written down and built again does what the first one would have done."""

import json
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.core.world import COIN, GEM, START, STOCK, Script, World, account, make_bar, sessions, spec
from tradebot.core.messages import SubmitOrder, VenueFilled
from tradebot.core.model import DAY, HOUR, MINUTE, Bar, Order, OrderKind, Quote, Side
from tradebot.core.setup import ExecutionSpec
from tradebot.errors import InvariantError, StoreError
from tradebot.sim.accounts import SimAccount
from tradebot.sim.fees import BpsFees
from tradebot.sim.latency import FixedLatency
from tradebot.sim.state import dump, load
from tradebot.sim.venue import SimVenue


def _bars(rng: random.Random, count: int) -> Iterator[Bar]:
    prices = {COIN.id: 100.0, GEM.id: 40.0, STOCK.id: 50.0}
    for i in range(1, count + 1):
        for name, price in list(prices.items()):
            close = round(price * (1.0 + rng.uniform(-0.03, 0.03)), 2)
            high, low = max(price, close) + 0.5, min(price, close) - 0.5
            prices[name] = close
            yield make_bar(name, START + i * HOUR, HOUR, price, high, low, close, rng.choice([5.0, 500.0]))


def _words(rng: random.Random, count: int) -> list[Any]:
    return [rng.choice([None, 0.0, 0.5, 1.0, -1.0]) for _ in range(count)]


def _world(rng: random.Random, count: int, terms: dict[str, Any]) -> World:
    exits = {"stop_loss": 0.03, "take_profit": 0.04, "trailing": 0.05}
    return World(
        spec(Script(*_words(rng, count)), name="a", instrument=COIN, exits=exits),
        spec(
            Script(*_words(rng, count)),
            name="b",
            instrument=GEM,
            execution=ExecutionSpec(kind="twap", slices=3, over=30 * MINUTE),
        ),
        spec(Script(*_words(rng, count)), name="c", instrument=STOCK, exits=exits),
        accounts=[account()],
        events=sessions(*((day, 9.5, 16.0) for day in range(9))),
        checks_rest=False,
        checks_protection=False,
        **terms,
    )


def _terms() -> dict[str, Any]:
    return {
        "fees": BpsFees(maker=Decimal(1), taker=Decimal(5)),
        "latency": FixedLatency(submit=90 * MINUTE, cancel=HOUR),
    }


def _replaced(world: World, terms: dict[str, Any]) -> None:
    """Put a venue built from the written state in the place of the one that wrote it."""
    written = json.loads(json.dumps(dump(world.venue), allow_nan=False))
    accounts = {a.name: SimAccount(model=a.model, cash=dict(a.cash)) for a in world.accounts}
    venue = SimVenue(instruments=world.instruments, accounts=accounts, **terms)
    load(venue, written)
    assert dump(venue) == dump(world.venue)
    world.use_venue(venue)


def test_venue_written_and_read_between_bars_goes_on_as_if_nothing_had_happened(rng: random.Random) -> None:
    seed, count = rng.random(), 120
    bars = list(_bars(random.Random(seed), count))
    unbroken = _world(random.Random(seed), count, _terms()).play(bars)
    broken, terms = _world(random.Random(seed), count, _terms()), _terms()
    for i, bar in enumerate(bars):
        broken.play([bar])
        if i % 7 == 0:
            _replaced(broken, terms)
    assert [r.fact for r in broken.facts] == [r.fact for r in unbroken.facts]
    assert any(type(r.fact).__name__ == "OrderFilled" for r in broken.facts)


def test_quote_depth_already_taken_stays_taken_after_a_restart() -> None:
    def venue() -> SimVenue:
        return SimVenue(
            instruments={COIN.id: COIN},
            accounts={"main": SimAccount(model=account().model, cash={"USD": Decimal(100_000)})},
        )

    def bought(at: SimVenue, order_id: str) -> list[Decimal]:
        at.send(SubmitOrder(order=_market_order(order_id, "2")), START)
        quote = Quote(COIN.id, START + HOUR, 99.0, 2.0, 101.0, 3.0)
        reports = [*at.drain(), *at.on_market(quote)]
        return [r.fill.qty for r in reports if isinstance(r, VenueFilled)]

    first = venue()
    assert bought(first, "one") == [Decimal(2)]
    second = venue()
    load(second, dump(first))
    assert bought(second, "two") == [Decimal(1)]


def _market_order(order_id: str, qty: str) -> Order:
    return Order(
        client_order_id=order_id,
        account="main",
        strategy="s",
        instrument=COIN.id,
        side=Side.BUY,
        kind=OrderKind.MARKET,
        qty=Decimal(qty),
        ts=START,
    )


def test_state_of_another_version_is_refused_by_number() -> None:
    venue = SimVenue(instruments={}, accounts={})
    with pytest.raises(StoreError, match="must be of version 1, was 2"):
        load(venue, {**dump(venue), "version": 2})


def test_venue_with_untold_reports_cannot_be_written() -> None:
    world = World(spec(Script(1.0)), events=sessions((0, 9.5, 16.0)))
    world.bars((100.0,))
    venue = world.venue
    order = venue.working(COIN.id)[0]
    venue.blotter.cancel(venue.blotter.orders[order.client_order_id], START + DAY)
    with pytest.raises(InvariantError, match="at rest"):
        dump(venue)

"""Recorded answers of Alpaca, as they are and mangled: read, or named as unreadable, and never half."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROVING
from tests.emulators.houses import COIN, STOCK
from tradebot.adapters.alpaca.parse import (
    STANDINGS,
    Symbols,
    Unreadable,
    amount_or_none,
    order_of,
    read_time,
    row_of,
    update_of,
)
from tradebot.core.ports import Standing

SYMBOLS = Symbols({COIN.id: COIN, STOCK.id: STOCK})
Json = Any


def bodies(folder: Path) -> Iterator[Json]:
    """Yield every JSON body that was recorded, and every object inside it."""
    for name in ("rest_from_alpaca_py_tests", "bodies_from_go_sdk_tests", "examples_from_docs"):
        for line in (folder / f"{name}.jsonl").read_text().splitlines():
            yield from inside(json.loads(line)["body"])


def inside(value: Json) -> Iterator[Json]:
    yield value
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            if isinstance(part, dict | list):
                yield from inside(part)


def is_order(row: Json) -> bool:
    return isinstance(row, dict) and {"filled_qty", "time_in_force", "status", "side"} <= row.keys()


def is_update(row: Json) -> bool:
    return isinstance(row, dict) and {"event", "execution_id", "order"} <= row.keys()


@pytest.fixture(scope="module")
def recorded(shared_data: Path) -> list[Json]:
    return list(bodies(shared_data / "payloads" / "alpaca"))


def test_every_recorded_order_is_read(recorded: list[Json]) -> None:
    rows = [row for row in recorded if is_order(row)]

    found = [order_of(row, SYMBOLS) for row in rows]

    assert len(found) >= 20
    assert all(order.venue_order_id for order in found)
    assert {order.standing for order in found} >= {Standing.WORKING, Standing.FILLED}


def test_the_recorded_trade_update_is_read(recorded: list[Json]) -> None:
    (row,) = [row for row in recorded if is_update(row)]

    update = update_of(row, SYMBOLS)

    assert update.fill is not None
    assert (str(update.fill.qty), str(update.fill.price)) == ("1790.86", "105.8988475")
    assert update.fill.fill_id == "a5be8f5e-fdfa-41f5-a644-7a74fe947a8f/1790.86"
    assert update.ts == read_time("2022-04-19T13:45:05.024916716-04:00")


def test_every_status_of_the_published_description_has_a_meaning(shared_data: Path) -> None:
    import yaml

    text = (shared_data / "payloads/alpaca/openapi_trading.yaml").read_text()
    named = yaml.safe_load(text)["components"]["schemas"]["OrderStatus"]["enum"]

    assert set(named) <= set(STANDINGS)


VALUES: tuple[Callable[[random.Random], Json], ...] = (
    lambda rng: None,
    lambda rng: "",
    lambda rng: "NaN",
    lambda rng: "Infinity",
    lambda rng: "1e400",
    lambda rng: -rng.random(),
    lambda rng: rng.choice(("-1", "0", "1.5", "9" * 40)),
    lambda rng: True,
    lambda rng: [],
    lambda rng: {"a": 1},
    lambda rng: "\x00\ud7ff" + "x" * rng.randint(0, 300),
    lambda rng: 10**30,
    lambda rng: "2022-13-45T99:99:99Z",
)


def mangled(value: Json, rng: random.Random) -> Json:
    """Return a copy in which one thing somewhere is missing, new or of another kind."""
    copy = json.loads(json.dumps(value))
    places = [part for part in inside(copy) if part and isinstance(part, dict)]
    if not places:
        return rng.choice(VALUES)(rng)
    part = rng.choice(places)
    key = rng.choice(sorted(part))
    deed = rng.randint(0, 2)
    if deed == 0:
        del part[key]
    elif deed == 1:
        part[key] = rng.choice(VALUES)(rng)
    else:
        part[f"{key}_new"] = part.pop(key)
    return copy


def test_mangled_answers_are_read_or_named(recorded: list[Json], rng: random.Random) -> None:
    rows = [row for row in recorded if is_order(row) or is_update(row)]
    unreadable = 0

    for _ in range(50_000 if PROVING else 2_000):
        row = mangled(rng.choice(rows), rng)
        try:
            if is_update(row):
                update = update_of(row, SYMBOLS)
                assert update.fill is None or update.fill.qty > 0 < update.fill.price
            else:
                order = order_of(row_of(row), SYMBOLS)
                assert order.qty >= order.filled_qty >= 0
        except Unreadable:
            unreadable += 1

    assert unreadable


@pytest.mark.parametrize("value", ["1.2e-07", "0.057436865", 12, 0.1, "1790.86"])
def test_an_amount_is_what_the_venue_wrote(value: object) -> None:
    assert str(amount_or_none({"x": value}, "x")) == {"1.2e-07": "1.2E-7"}.get(str(value), str(value))


def test_times_keep_nine_decimals_and_need_a_zone() -> None:
    assert read_time("2022-04-28T14:07:45.485843765-04:00") % 1_000_000_000 == 485_843_765
    assert read_time("2021-03-16T18:38:01.9Z") - read_time("2021-03-16T18:38:01Z") == 900_000_000
    for text in ("2021-03-16T18:38:01", "yesterday", "2021-03-16", ".5Z"):
        with pytest.raises(Unreadable):
            read_time(text)

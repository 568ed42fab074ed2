"""Recorded answers and messages of exchanges through ccxt's own parsing and ours, whole and mangled."""

from __future__ import annotations

import copy
import gzip
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.ccxt.accounts import account
from tests.conftest import PROVING
from tests.emulators.binance.exchanges import make_pair
from tradebot.adapters.ccxt.candles import bar_of
from tradebot.adapters.ccxt.library import Exchange, open_exchange
from tradebot.adapters.ccxt.symbols import Symbols, symbols_of
from tradebot.adapters.ccxt.wire import fill_of, order_of
from tradebot.core.model import MINUTE, Fill
from tradebot.core.ports import Series, VenueOrder
from tradebot.emulators.faults import Fault, FaultKind
from tradebot.errors import BadData, ConfigError, VenueError

Json = Any


def lines(path: Path) -> Iterator[Json]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line[line.index("{") :])


def read(path: Path) -> Json:
    return json.loads(path.read_text("utf-8"))


def spot(shared_data: Path) -> Path:
    return shared_data / "payloads" / "crypto_api" / "binance" / "spot"


@pytest.fixture
async def binance(shared_data: Path) -> AsyncIterator[Exchange]:
    """ccxt with the markets that Binance had when they were recorded."""
    exchange = open_exchange("binance")
    raw = exchange.raw
    info = next(lines(shared_data / "payloads" / "crypto_raw" / "binance_rest.jsonl.gz"))["payload"]
    raw.options |= {"crossMarginPairsData": [], "isolatedMarginPairsData": []}
    raw.set_markets([raw.parse_market(symbol) for symbol in info["symbols"]])
    yield exchange
    await exchange.close()


def table(symbol: str) -> Symbols:
    """A table in which one market is traded, whatever the exchange calls it."""
    return Symbols("x", {symbol: make_pair()}, {symbol: symbol})


# --- whole ------------------------------------------------------------------------------------------------


def test_nearly_every_recorded_market_is_an_instrument(binance: Exchange) -> None:
    taken = 0
    for symbol, market in binance.raw.markets.items():
        try:
            symbols_of("binance", {symbol: market | {"active": True}}, [symbol], binance.raw.precisionMode)
            taken += 1
        except ConfigError:
            pass
    assert taken > 0.99 * len(binance.raw.markets)


def test_every_recorded_order_and_trade_of_binance_is_read(binance: Exchange, shared_data: Path) -> None:
    folder = spot(shared_data) / "http_json"
    orders = [read(folder / f"{n}_response.json") for n in ("order", "new_order_full", "cancel_order")]
    orders += [*read(folder / "open_orders_response.json"), *read(folder / "all_orders_response.json")]
    for body in orders:
        parsed = binance.raw.parse_order(body)
        found = order_of(parsed, table(parsed["symbol"]), "binance")
        assert found is not None
        assert f"{found.qty:f}".rstrip("0").rstrip(".") == body["origQty"].rstrip("0").rstrip(".")
        assert found.venue_order_id == str(body["orderId"])
    trades = read(folder / "account_trades_response.json")
    assert trades
    for body in trades:
        parsed = binance.raw.parse_trade(body)
        fill = fill_of(parsed, table(parsed["symbol"]), "")
        assert fill is not None
        assert (str(fill.price), str(fill.fee), fill.fee_asset) == (
            body["price"], body["commission"], body["commissionAsset"],
        )  # fmt: skip


async def test_every_recorded_event_of_the_user_stream_is_read(binance: Exchange, shared_data: Path) -> None:
    troubles: list[str] = []
    binance.on_stream(troubles.append)
    client = binance.raw.client("ws://127.0.0.1:1/ws-api/v3")
    client.subscriptions["spot"] = True
    binance.raw.balance["spot"] = {}
    for path in sorted((spot(shared_data) / "user_data_json").glob("*.json")):
        binance.raw.handle_message(client, read(path))

    assert troubles == []
    for raw in binance.raw.orders:
        assert order_of(raw, table(raw["symbol"]), "binance") is not None
    fills = [fill_of(raw, table(raw["symbol"]), "") for raw in binance.raw.myTrades]
    assert fills
    assert None not in fills


async def test_two_minutes_and_more_of_recorded_market_streams_are_read(
    binance: Exchange, shared_data: Path
) -> None:
    troubles: list[str] = []
    binance.on_stream(troubles.append)
    client = binance.raw.client("ws://127.0.0.1:1/stream/ws/0")
    folder = shared_data / "payloads" / "crypto_raw"
    messages = [m["payload"] for m in lines(folder / "binance_ws.jsonl.gz") if m["kind"] == "ws_recv"]
    messages += list(lines(folder / "binance_spot_btcusdt_ws_first_2min.txt.gz"))
    for message in messages:
        binance.raw.handle_message(client, message)

    assert len(messages) > 14_000
    assert troubles == []
    series = Series("NKN/USDT", MINUTE)
    assert all(bar_of(list(row), series) for row in binance.raw.ohlcvs["NKN/USDT"]["1m"])


OTHERS = [
    ("kraken", "http_open_orders.json", ("result", "open"), "order"),
    ("kraken", "http_closed_orders.json", ("result", "closed"), "order"),
    ("kraken", "http_trades_history.json", ("result", "trades"), "trade"),
    ("bybit", "http_get_orders_history.json", ("result", "list"), "order"),
    ("bybit", "http_get_orders_realtime.json", ("result", "list"), "order"),
    ("bybit", "http_get_order_partially_filled_rejected.json", ("result", "list"), "order"),
    ("bybit", "http_get_executions.json", ("result", "list"), "trade"),
    ("coinbase", "http_orders_list.json", ("orders",), "order"),
    ("coinbase", "http_fills.json", ("fills",), "trade"),
]


@pytest.mark.parametrize(
    ("exchange", "name", "way", "kind"), OTHERS, ids=lambda v: v if isinstance(v, str) else ""
)
async def test_recorded_orders_and_trades_of_other_exchanges_are_read(
    shared_data: Path, exchange: str, name: str, way: tuple[str, ...], kind: str
) -> None:
    opened = open_exchange(exchange)
    body = read(next((shared_data / "payloads" / "crypto_api" / exchange).rglob(name)))
    for key in way:
        body = body[key]
    rows = [{"id": key, **row} for key, row in body.items()] if isinstance(body, dict) else body
    assert rows
    words = {"id": "XY", "symbol": "X/Y", "base": "X", "quote": "Y", "spot": True, "type": "spot"}
    market = opened.raw.safe_market_structure(words)
    if exchange == "kraken":  # it looks its trades' markets up by another name of theirs
        opened.raw.markets_by_id = {row["pair"]: [market] for row in rows if "pair" in row}
    for row in rows:
        parsed = (opened.raw.parse_order if kind == "order" else opened.raw.parse_trade)(row, market)
        symbols = table(str(parsed["symbol"]))
        found = order_of(parsed, symbols, exchange) if kind == "order" else fill_of(parsed, symbols, "")
        assert found is not None
    await opened.close()


# --- mangled ----------------------------------------------------------------------------------------------

STRANGE: list[Any] = [
    None, True, False, 0, -1, 1.5, 10**30, "", "NaN", "inf", "-1", "1e400", "0x10", "abc", "\u0000", "٣", [], [[]], {},
    {"a": None}, "9" * 50, "0.00000000000000000001",
]  # fmt: skip


def mangled(body: Json, rng: random.Random) -> Json:
    """Return a copy with one to three things in it changed, lost or doubled."""
    body = copy.deepcopy(body)
    for _ in range(rng.randint(1, 3)):
        inside = body
        while isinstance(inside, dict | list) and inside:
            key = rng.choice(list(inside) if isinstance(inside, dict) else range(len(inside)))
            if isinstance(inside[key], dict | list) and inside[key] and rng.random() < 0.7:
                inside = inside[key]
                continue
            what = rng.random()
            if what < 0.25:
                del inside[key]
            elif what < 0.35 and isinstance(inside, list):
                inside.append(copy.deepcopy(inside[key]))
            else:
                inside[key] = copy.deepcopy(rng.choice(STRANGE))
            break
    return body


def taken(parse: Callable[[Any], Any], body: Json, ours: Callable[[Any, Symbols], Any]) -> Any:
    """Return what comes of a body; whatever ccxt raises is caught where it is asked (`Exchange.ask`)."""
    try:
        parsed = parse(body)
    except Exception:
        return None
    symbol = parsed.get("symbol") if isinstance(parsed, dict) else None
    try:
        return ours(parsed, table(symbol if isinstance(symbol, str) else "X/Y"))
    except BadData:
        return None


def test_mangled_orders_and_trades_are_read_right_or_not_at_all(
    binance: Exchange, shared_data: Path, rng: random.Random
) -> None:
    folder, raw = spot(shared_data) / "http_json", binance.raw
    orders = [read(folder / "order_response.json"), read(folder / "new_order_full_response.json")]
    trades = read(folder / "account_trades_response.json")
    read_whole = 0
    for _ in range(50_000 if PROVING else 1_000):
        if rng.random() < 0.5:
            order = taken(
                raw.parse_order, mangled(rng.choice(orders), rng), lambda p, s: order_of(p, s, "binance")
            )
            read_whole += order is not None
            assert order is None or is_sane_order(order)
        else:
            fill = taken(raw.parse_trade, mangled(rng.choice(trades), rng), lambda p, s: fill_of(p, s, "t1"))
            read_whole += fill is not None
            assert fill is None or is_sane_fill(fill)
    assert read_whole > 100


def is_sane_order(order: VenueOrder) -> bool:
    prices = [p for p in (order.limit_price, order.stop_price) if p is not None]
    amounts = [order.qty, order.filled_qty, *prices]
    return (
        bool(order.venue_order_id)
        and order.qty > 0 <= order.filled_qty
        and all(a.is_finite() for a in amounts)
    )


def is_sane_fill(fill: Fill) -> bool:
    is_paid = not fill.fee or bool(fill.fee_asset)
    return bool(fill.fill_id) and fill.qty > 0 and fill.price > 0 and fill.ts > 0 and is_paid


async def test_mangled_messages_never_end_the_reader(
    binance: Exchange, shared_data: Path, rng: random.Random
) -> None:
    troubles: list[str] = []
    binance.on_stream(troubles.append)
    user = [read(path) for path in sorted((spot(shared_data) / "user_data_json").glob("*.json"))]
    folder = shared_data / "payloads" / "crypto_raw"
    market = [m["payload"] for m in lines(folder / "binance_ws.jsonl.gz") if m["kind"] == "ws_recv"]
    clients = [binance.raw.client(f"ws://127.0.0.1:1{path}") for path in ("/ws-api/v3", "/stream/ws/0")]
    clients[0].subscriptions["spot"] = True
    binance.raw.balance["spot"] = {}
    for _ in range(50_000 if PROVING else 1_000):
        is_user = rng.random() < 0.5
        message = mangled(rng.choice(user if is_user else market), rng)
        binance.raw.handle_message(clients[0] if is_user else clients[1], message)

    assert binance.raw.orders
    for raw in binance.raw.orders:
        taken(lambda raw: raw, raw, lambda p, s: order_of(p, s, "binance"))
    assert binance.raw.myTrades
    for raw in binance.raw.myTrades:
        fill = taken(lambda raw: raw, raw, lambda p, s: fill_of(p, s, ""))
        assert fill is None or is_sane_fill(fill)


async def test_mangled_answers_over_the_wire_are_a_snapshot_or_none(
    shared_data: Path, rng: random.Random
) -> None:
    folder = spot(shared_data) / "http_json"
    names = {
        "openOrders": "open_orders",
        "myTrades": "account_trades",
        "account": "account",
        "order": "order",
    }
    bodies = {path: read(folder / f"{name}_response.json") for path, name in names.items()}
    async with account() as place:
        for n in range(1_000 if PROVING else 60):
            path = rng.choice(list(bodies))
            text = (
                json.dumps(mangled(bodies[path], rng))
                .replace("LTCBTC", "BTCUSDT")
                .replace("BNBBTC", "BTCUSDT")
            )
            route = f"GET /api/v3/{path}"
            place.face.wire.faults.add(Fault(route=route, kind=FaultKind.STATUS, status=200, body=text))
            if n % 20 == 0:
                await place.venue.offset()
            try:
                if path == "order":
                    await place.venue.find("t1never")
                else:
                    await place.venue.snapshot(0)
            except VenueError:
                pass
            place.face.wire.faults.clear()
        await place.venue.offset()

        assert (await place.venue.snapshot(0)).positions == {}

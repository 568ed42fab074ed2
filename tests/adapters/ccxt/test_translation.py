"""Between ccxt's words and ours: markets, orders, trades, and what error answers prove. No network."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.adapters.ccxt.rows import (
    TICK_SIZE,
    make_market,
    make_order,
    make_symbols,
    raw_order,
    raw_trade,
)
from tradebot.adapters.ccxt.declared import DECLARED, UNDECLARED, declared
from tradebot.adapters.ccxt.refusals import Answer, Meaning, meaning_of
from tradebot.adapters.ccxt.symbols import amount, symbols_of
from tradebot.adapters.ccxt.wire import call_of, client_id_of, fill_of, order_of, refusal
from tradebot.core.model import Liquidity, OrderKind, Side, Tif
from tradebot.core.ports import Standing
from tradebot.errors import BadData, ConfigError

D = Decimal
BINANCE = declared("binance")


# --- markets ----------------------------------------------------------------------------------------


def test_a_market_becomes_an_instrument_on_its_grid() -> None:
    inst = make_symbols("BTC/USDT").instruments["BTC/USDT"]

    assert (inst.base, inst.quote, inst.shortable) == ("BTC", "USDT", False)
    assert (inst.tick_size, inst.lot_size, inst.min_qty, inst.min_notional) == (
        D("0.01"), D("0.00001"), D("0.00001"), D(5),
    )  # fmt: skip


def test_a_name_may_carry_its_exchange_and_is_looked_up_both_ways() -> None:
    table = symbols_of("kraken", {"BTC/USD": make_market("BTC/USD")}, ["BTC/USD@kraken"], TICK_SIZE)

    assert table.symbol("BTC/USD@kraken") == "BTC/USD"
    found = table.instrument("BTC/USD")
    assert found is not None and found.id == "BTC/USD@kraken"
    assert table.instrument("ETH/USD") is None


def test_decimal_places_are_a_grid_too() -> None:
    market = make_market(precision={"amount": "3", "price": "2"})

    inst = symbols_of("x", {"BTC/USDT": market}, ["BTC/USDT"], 2).instruments["BTC/USDT"]

    assert (inst.lot_size, inst.tick_size) == (D("0.001"), D("0.01"))


@pytest.mark.parametrize(
    ("markets", "names", "said"),
    [
        ({"BTC/USDT": make_market()}, ["BTCUSDT"], "has no such market; it has BTC/USDT"),
        ({"BTC/USDT": make_market(spot=False, type="swap")}, ["BTC/USDT"], "derivatives are not traded"),
        ({"BTC/USDT": make_market(active=False)}, ["BTC/USDT"], "not open for trading"),
        ({"BTC/USDT": make_market(precision={})}, ["BTC/USDT"], "names no grid for its price"),
        ({n: make_market(n) for n in ("BTC/USDT", "BTC/EUR")}, ["BTC/USDT", "BTC/EUR"], "share the balance of BTC"),
        ({n: make_market(n) for n in ("BTC/USDT", "ETH/BTC")}, ["BTC/USDT", "ETH/BTC"], "pays with (BTC)"),
    ],
)  # fmt: skip
def test_what_cannot_be_traded_is_refused_by_name(markets: Any, names: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        symbols_of("binance", markets, names, TICK_SIZE)

    assert said in str(caught.value)


def is_taken(exchange: str, market: dict[str, Any]) -> bool:
    try:
        symbols_of(exchange, {market["symbol"]: market}, [market["symbol"]], TICK_SIZE)
    except ConfigError:
        return False
    return True


def test_nearly_every_recorded_market_can_be_traded(shared_data: Any) -> None:
    for exchange in ("binance", "kraken", "coinbaseexchange"):
        path = shared_data / "payloads" / "ccxt_markets" / f"{exchange}_markets.json.gz"
        rows = json.loads(gzip.decompress(path.read_bytes()))["markets"]
        taken = sum(is_taken(exchange, row | {"spot": row["type"] == "spot", "active": True}) for row in rows)

        assert taken > 0.9 * len(rows), exchange


# --- orders -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "kind", "price", "params"),
    [
        (make_order("market"), "market", None, {}),
        (make_order("limit"), "limit", "100.01", {"timeInForce": "GTC"}),
        (make_order("limit", tif=Tif.IOC), "limit", "100.01", {"timeInForce": "IOC"}),
        (make_order("limit", post_only=True), "limit", "100.01", {"postOnly": True}),
        (make_order("stop"), "market", None, {"stopLossPrice": "99"}),
        (make_order("stop_limit"), "limit", "100.01", {"stopLossPrice": "99", "timeInForce": "GTC"}),
    ],
)
def test_an_order_is_sent_in_exact_words_with_its_own_id(
    order: Any, kind: str, price: str | None, params: dict[str, Any]
) -> None:
    call = call_of(order, make_symbols())

    assert (call.symbol, call.kind, call.side, call.qty, call.price) == (
        "BTC/USDT",
        kind,
        "buy",
        "0.5",
        price,
    )
    assert call.params == {"clientOrderId": "t1abc", **params}


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (make_order(qty=D("0.000001")), "multiple of 0.00001"),
        (make_order(limit_price=D("100.001")), "multiples of 0.01"),
        (make_order(qty=D("0.01"), limit_price=D("100")), "at least 5 USDT"),
        (make_order(tif=Tif.AT_OPEN), "time in force must be one of gtc, ioc, fok"),
        (make_order(client_order_id="x" * 37), "at most 36 characters"),
        (make_order("trailing_stop", stop_price=None, trail=D("1")), "trails by a hundredth of a percent"),
        (make_order(activated_by="p"), "waits for another one"),
    ],
)
def test_what_the_exchange_would_refuse_is_not_sent(order: Any, said: str) -> None:
    assert said in refusal(order, make_symbols().instruments["BTC/USDT"], BINANCE)


@given(
    qty=st.integers(1, 10**9).map(lambda n: D(n).scaleb(-5)),
    price=st.integers(1, 10**9).map(lambda n: D(n).scaleb(-2)),
)
def test_what_passes_the_filters_reaches_the_wire_unchanged(qty: Decimal, price: Decimal) -> None:
    order = make_order(qty=qty, limit_price=price)
    if refusal(order, make_symbols().instruments["BTC/USDT"], BINANCE):
        assert qty * price < 5
        return

    call = call_of(order, make_symbols())

    assert (D(call.qty), D(call.price or "0")) == (qty, price)
    assert "e" not in call.qty.lower()


@pytest.mark.parametrize(
    ("changed", "standing"),
    [
        ({}, Standing.WORKING),
        ({"filled": "0.2"}, Standing.WORKING),
        ({"status": "closed", "filled": "0.5"}, Standing.FILLED),
        ({"status": "closed", "filled": "0.2"}, Standing.CANCELED),
        ({"status": "canceled", "filled": "0.2"}, Standing.CANCELED),
        ({"status": "expired"}, Standing.EXPIRED),
        ({"status": "rejected"}, Standing.REJECTED),
    ],
)
def test_an_order_stands_as_the_exchange_says(changed: dict[str, Any], standing: Standing) -> None:
    order = order_of(raw_order(**changed), make_symbols(), "binance")

    assert order is not None
    assert (order.client_order_id, order.standing) == ("t1abc", standing)
    assert (order.qty, order.limit_price, order.kind) == (D("0.5"), D("100.01"), OrderKind.LIMIT)


def test_a_stop_is_a_stop_and_elected_once_it_works() -> None:
    raw = raw_order(type="market", price=None, triggerPrice="90", info={"isWorking": False})
    waiting = order_of(raw, make_symbols(), "binance")
    elected = order_of(raw | {"info": {"isWorking": True}}, make_symbols(), "binance")

    assert waiting is not None and elected is not None
    assert (waiting.kind, waiting.stop_price, waiting.limit_price) == (OrderKind.STOP, D(90), None)
    assert (waiting.is_triggered, elected.is_triggered) == (False, True)


def test_a_trade_keeps_its_fee_in_its_own_asset() -> None:
    fill = fill_of(raw_trade(), make_symbols(), "t1abc")

    assert fill is not None
    assert (fill.fill_id, fill.qty, fill.price) == ("BTC/USDT:55", D("0.3"), D("100.01"))
    assert (fill.fee, fill.fee_asset, fill.liquidity, fill.side) == (
        D("0.0003"), "BTC", Liquidity.MAKER, Side.BUY,
    )  # fmt: skip
    assert fill.ts == 1_700_000_000_123_000_000
    assert client_id_of(raw_trade(), BINANCE) == "t1abc"


BROKEN_ORDERS = [
    None, [], "<html>", raw_order(id=None), raw_order(id=""), raw_order(amount=None), raw_order(amount="NaN"),
    raw_order(status=None), raw_order(status="FOO"), raw_order(side="long"), raw_order(symbol=None),
    raw_order(filled="-1"), raw_order(amount="1e999999"), raw_order(amount=True),
]  # fmt: skip
BROKEN_TRADES = [
    None, raw_trade(id=None), raw_trade(price="0"), raw_trade(amount="-1"), raw_trade(timestamp=None),
    raw_trade(fee={"cost": "1", "currency": None}), raw_trade(fee={"cost": "x", "currency": "BTC"}),
    raw_trade(fees=[{"cost": "1", "currency": "A"}, {"cost": "1", "currency": "B"}]),
]  # fmt: skip


@pytest.mark.parametrize("raw", BROKEN_ORDERS)
def test_what_is_no_order_is_bad_data(raw: Any) -> None:
    with pytest.raises(BadData):
        order_of(raw, make_symbols(), "binance")


@pytest.mark.parametrize("raw", BROKEN_TRADES)
def test_what_is_no_trade_is_bad_data(raw: Any) -> None:
    with pytest.raises(BadData):
        fill_of(raw, make_symbols(), "")


def test_other_markets_are_none_of_our_business() -> None:
    assert order_of(raw_order(symbol="DOGE/USDT"), make_symbols(), "binance") is None
    assert fill_of(raw_trade(symbol="DOGE/USDT"), make_symbols(), "") is None


def test_a_number_is_taken_as_it_was_written() -> None:
    assert amount("0.30000000") == D("0.3")
    assert amount(None) is None
    for bad in ("abc", "inf", True, "1e400"):
        with pytest.raises(BadData):
            amount(bad)


# --- what an answer proves ----------------------------------------------------------------------------


def said(code: object, msg: str = "") -> str:
    return json.dumps({"code": code, "msg": msg})


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (None, Meaning.UNKNOWN),
        (Answer(status=504, body=said(-1007)), Meaning.UNKNOWN),
        (Answer(status=503, body=said(-2010, "Account has insufficient balance")), Meaning.UNKNOWN),
        (Answer(status=200, body="<html>"), Meaning.UNKNOWN),
        (Answer(status=200, body='{"symbol": "BTCUSDT", "ord'), Meaning.UNKNOWN),
        (Answer(status=400, body=said(-1000)), Meaning.UNKNOWN),
        (Answer(status=400, body=said(-1006)), Meaning.UNKNOWN),
        (Answer(status=400, body=said(-987654)), Meaning.UNKNOWN),
        (Answer(status=400, body=said(-2010, "Duplicate order sent.")), Meaning.UNKNOWN),
        (Answer(status=400, body="[]"), Meaning.UNKNOWN),
        (Answer(status=429, body=""), Meaning.UNKNOWN),
        (Answer(status=429, body=said(-1003)), Meaning.RATE),
        (Answer(status=400, body=said(-2010, "Account has insufficient balance")), Meaning.REFUSED),
        (Answer(status=400, body=said(-1013, "Filter failure: LOT_SIZE")), Meaning.REFUSED),
        (Answer(status=400, body=said(-1121, "Invalid symbol.")), Meaning.REFUSED),
        (Answer(status=400, body=said(-1102)), Meaning.REFUSED),
        (Answer(status=400, body=said(-1021)), Meaning.CLOCK),
        (Answer(status=400, body=said(-1022)), Meaning.AUTH),
        (Answer(status=401, body=said(-2015)), Meaning.AUTH),
        (Answer(status=400, body=said(-2011, "Unknown order sent.")), Meaning.GONE),
        (Answer(status=400, body=said(-2013)), Meaning.GONE),
    ],
)
def test_only_a_known_code_of_binance_proves_something(answer: Answer | None, meaning: Meaning) -> None:
    assert meaning_of("binance", answer).meaning is meaning


@pytest.mark.parametrize(
    ("errors", "meaning"),
    [
        (["EOrder:Insufficient funds"], Meaning.REFUSED),
        (["EOrder:Unknown order"], Meaning.GONE),
        (["EAPI:Invalid key"], Meaning.AUTH),
        (["EAPI:Invalid nonce"], Meaning.CLOCK),
        (["EAPI:Rate limit exceeded"], Meaning.RATE),
        (["EService:Unavailable"], Meaning.UNKNOWN),
        (["EGeneral:Internal error"], Meaning.UNKNOWN),
        (["EOrder:Insufficient funds", "EService:Timeout"], Meaning.UNKNOWN),
        ([], Meaning.UNKNOWN),
    ],
)
def test_kraken_says_it_in_words_with_status_200(errors: list[str], meaning: Meaning) -> None:
    answer = Answer(status=200, body=json.dumps({"error": errors, "result": {}}))

    assert meaning_of("kraken", answer).meaning is meaning


def test_an_exchange_without_a_table_never_refuses() -> None:
    assert not UNDECLARED.has_refusals
    for exchange in ("bybit", "okx", "coinbase"):
        assert exchange not in DECLARED
        assert meaning_of(exchange, Answer(status=400, body=said(-2010))).meaning is Meaning.UNKNOWN


@given(status=st.integers(100, 599), body=st.one_of(st.text(), st.binary().map(lambda b: b.decode("latin1"))))
def test_noise_proves_nothing(status: int, body: str) -> None:
    assert meaning_of("binance", Answer(status=status, body=body)).meaning is Meaning.UNKNOWN

"""What the emulated Alpaca takes and refuses, in Alpaca's words and shapes."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.emulators.alpacas import Alpaca, alpaca
from tests.emulators.houses import STOCK, T0, bar, make_house, make_order, quote
from tradebot.core.messages import Dividend, SessionClose, SessionOpen, Split
from tradebot.core.model import DAY, HOUR, MINUTE, SECOND, AccountModel


@pytest.fixture
async def venue() -> AsyncIterator[Alpaca]:
    async with alpaca() as served:
        yield served


async def test_a_market_order_is_answered_pending_and_filled_when_asked_again(venue: Alpaca) -> None:
    status, taken = await venue.order(qty="2", client_order_id="mine")

    assert (status, taken["status"], taken["filled_qty"]) == (200, "pending_new", "0")
    _, found = await venue.ask("GET", f"/v2/orders/{taken['id']}")
    assert (found["status"], found["filled_qty"], found["filled_avg_price"]) == ("filled", "2", "100")
    _, same = await venue.ask("GET", "/v2/orders:by_client_order_id", client_order_id="mine")
    assert same == found


REFUSED: list[tuple[dict[str, Any], int, int, str]] = [
    ({"symbol": "NONE"}, 422, 42210000, 'asset "NONE" not found'),
    ({"side": "up"}, 422, 40010001, "invalid side: up"),
    ({"qty": None}, 422, 40010001, "qty or notional is required, not both"),
    ({"qty": "abc"}, 422, 40010001, "qty is malformed: abc"),
    ({"qty": "-1"}, 422, 40010001, "qty must be > 0"),
    ({"type": "limit"}, 422, 40010001, "limit orders require limit_price"),
    ({"qty": "0.5", "time_in_force": "gtc"}, 422, 42210000, "fractional orders must be DAY orders"),
    (
        {"qty": "0.5", "order_class": "oto", "stop_loss": {"stop_price": "80"}},
        422,
        42210000,
        "fractional orders must be simple orders",
    ),
    ({"qty": "0.5", "side": "sell"}, 422, 42210000, "fractional orders cannot be sold short"),
    (
        {"type": "limit", "limit_price": "99.001"},
        422,
        42210000,
        "invalid limit_price 99.001. sub-penny increment does not fulfill minimum pricing criteria",
    ),
    (
        {"side": "sell", "type": "stop", "stop_price": "101"},
        422,
        42210000,
        "stop price must be less than current price",
    ),
    ({"qty": "5000"}, 403, 40310000, "insufficient buying power"),
    ({"symbol": "BTC/USD", "qty": "0.01"}, 422, 42210000, "invalid crypto time_in_force"),
    (
        {"symbol": "BTC/USD", "qty": "0.01", "time_in_force": "gtc", "type": "stop", "stop_price": "1"},
        422,
        42210000,
        "invalid order type for crypto order",
    ),
    (
        {"symbol": "BTC/USD", "qty": "0.01", "time_in_force": "gtc", "side": "sell"},
        403,
        40310000,
        "insufficient qty available for order (requested: 0.01, available: 0)",
    ),
    ({"extended_hours": True}, 422, 42210000, "extended hours order must be DAY or GTC limit orders"),
    ({"order_class": "bracket"}, 422, 40010001, "bracket orders require take_profit and stop_loss"),
    (
        {"client_order_id": "x" * 129},
        422,
        40010001,
        "client_order_id must be no more than 128 characters",
    ),
]


@pytest.mark.parametrize(("terms", "status", "code", "message"), REFUSED, ids=[r[3][:40] for r in REFUSED])
async def test_an_order_is_refused_with_code_and_words(
    venue: Alpaca, terms: dict[str, Any], status: int, code: int, message: str
) -> None:
    found, body = await venue.order(**terms)

    assert (found, body["code"], body["message"]) == (status, code, message)
    assert venue.house.orders == []


async def test_an_id_is_taken_once_for_ever(venue: Alpaca) -> None:
    await venue.order(client_order_id="mine")

    status, body = await venue.order(client_order_id="mine")

    assert (status, body) == (422, {"code": 40010001, "message": "client_order_id must be unique"})


async def test_what_an_open_order_holds_cannot_be_sold_again(venue: Alpaca) -> None:
    await venue.order(qty="3")
    await venue.order(qty="2", side="sell", type="stop", stop_price="90", time_in_force="gtc")

    status, body = await venue.order(qty="2", side="sell")

    assert status == 403
    assert body == {
        "code": 40310000,
        "message": "insufficient qty available for order (requested: 2, available: 1)",
        "available": "1",
        "existing_qty": "3",
        "held_for_orders": "2",
        "symbol": "SPY",
    }


async def test_an_order_against_ones_own_stop_is_a_wash_trade(venue: Alpaca) -> None:
    await venue.order(qty="3")
    await venue.order(qty="3", side="sell", type="stop", stop_price="90", time_in_force="gtc")

    status, body = await venue.order(qty="1")

    assert (status, body["code"], body["reject_reason"]) == (
        403,
        40310000,
        "opposite side market/stop order exists",
    )


async def test_a_notional_order_has_no_quantity_and_cannot_be_replaced(venue: Alpaca) -> None:
    _, taken = await venue.order(qty=None, notional="50", type="limit", limit_price="90")

    assert (taken["qty"], taken["notional"]) == (None, "50")
    status, body = await venue.ask("PATCH", f"/v2/orders/{taken['id']}", {"limit_price": "91"})
    assert (status, body["message"]) == (422, "notional orders cannot be replaced")


async def test_a_replaced_order_names_its_successor_and_the_other_way_round(venue: Alpaca) -> None:
    _, old = await venue.order(type="limit", limit_price="90", client_order_id="old")

    _, new = await venue.ask(
        "PATCH", f"/v2/orders/{old['id']}", {"limit_price": "91", "client_order_id": "new"}
    )

    _, gone = await venue.ask("GET", f"/v2/orders/{old['id']}")
    assert (gone["status"], gone["replaced_by"]) == ("replaced", new["id"])
    assert (new["replaces"], new["limit_price"], new["client_order_id"]) == (old["id"], "91", "new")
    status, body = await venue.ask("PATCH", f"/v2/orders/{old['id']}", {"limit_price": "92"})
    assert (status, body["message"]) == (422, 'order is already in "replaced" state')


async def test_a_cancel_is_answered_empty_and_refused_once_it_is_over(venue: Alpaca) -> None:
    _, taken = await venue.order(type="limit", limit_price="90")

    assert await venue.ask("DELETE", f"/v2/orders/{taken['id']}") == (204, None)
    status, body = await venue.ask("DELETE", f"/v2/orders/{taken['id']}")
    assert (status, body["code"], body["message"]) == (
        422,
        42210000,
        'order is already in "canceled" state',
    )
    assert (await venue.ask("DELETE", "/v2/orders/nobody"))[0] == 404


async def test_a_bracket_wakes_its_legs_and_one_cancels_the_other(venue: Alpaca) -> None:
    _, taken = await venue.order(
        qty="2",
        order_class="bracket",
        take_profit={"limit_price": "110"},
        stop_loss={"stop_price": "90"},
    )
    _, found = await venue.ask("GET", f"/v2/orders/{taken['id']}", nested="true")
    assert [leg["status"] for leg in found["legs"]] == ["new", "new"]

    venue.house.move(quote(110.0, 111.0, ts=T0 + SECOND))

    _, found = await venue.ask("GET", f"/v2/orders/{taken['id']}", nested="true")
    assert [leg["status"] for leg in found["legs"]] == ["filled", "canceled"]
    assert venue.house.books().positions == {}


async def test_outside_the_session_an_order_is_accepted_and_waits(venue: Alpaca) -> None:
    venue.house.happen(SessionClose(ts=T0 + SECOND, calendar="XNYS", opens_at=T0 + HOUR))

    _, taken = await venue.order(type="limit", limit_price="100")

    assert taken["status"] == "accepted"
    status, body = await venue.ask("PATCH", f"/v2/orders/{taken['id']}", {"limit_price": "99"})
    assert (status, body["message"]) == (422, "cannot replace order in accepted status")
    venue.house.happen(SessionOpen(ts=T0 + HOUR, calendar="XNYS", closes_at=T0 + 2 * HOUR))
    venue.house.move(quote(99.0, 100.0, ts=T0 + HOUR + SECOND))
    assert (await venue.ask("GET", f"/v2/orders/{taken['id']}"))[1]["status"] == "filled"


async def test_activities_come_in_pages_without_a_gap(venue: Alpaca) -> None:
    for i in range(5):
        await venue.order(client_order_id=f"o{i}")
    venue.house.clock.move(T0 + SECOND)
    venue.house.transfer("USD", Decimal(-50), "withdrawal")
    venue.house.happen(Dividend(ts=T0 + DAY, instrument="SPY", amount=Decimal("1.5"), pays_at=T0 + DAY))

    rows: list[Any] = []
    token: dict[str, str] = {}
    while True:
        _, page = await venue.ask("GET", "/v2/account/activities", direction="asc", page_size="2", **token)
        rows += page
        if len(page) < 2:
            break
        token = {"page_token": page[-1]["id"]}

    assert [r["activity_type"] for r in rows] == [*["FILL"] * 5, "CSW", "DIV"]
    assert [r["net_amount"] for r in rows[5:]] == ["-50", "7.5"]
    assert len({r["id"] for r in rows}) == 7


async def test_wrong_keys_and_too_many_requests_are_turned_away() -> None:
    async with alpaca(per_minute=2) as venue:
        async with venue.client.get(f"{venue.served.url}/v2/account") as answer:
            assert (answer.status, await answer.json()) == (401, {"message": "unauthorized."})

        statuses = [(await venue.ask("GET", "/v2/account"))[0] for _ in range(3)]

    assert statuses == [200, 200, 429]


async def test_bars_come_in_pages_and_longer_ones_are_made_of_minutes(venue: Alpaca) -> None:
    start = T0 // HOUR * HOUR
    for i in range(1, 121):
        venue.house.move(bar(100.0 + i, ts=start + HOUR + i * MINUTE))
    query = {"symbols": "SPY", "start": "2023-11-01T00:00:00Z", "end": "2023-12-01T00:00:00Z"}

    rows: list[Any] = []
    token: dict[str, str] = {}
    while True:
        _, page = await venue.ask("GET", "/v2/stocks/bars", timeframe="1Min", limit="50", **query, **token)
        rows += page["bars"]["SPY"]
        if page["next_page_token"] is None:
            break
        token = {"page_token": page["next_page_token"]}
    _, hours = await venue.ask("GET", "/v2/stocks/bars", timeframe="1Hour", **query)
    _, none = await venue.ask(
        "GET", "/v2/stocks/bars", timeframe="1Hour", symbols="SPY", start="2020-01-01", end="2020-01-02"
    )

    assert [r["c"] for r in rows] == [100.0 + i for i in range(1, 121)]
    assert [r["c"] for r in hours["bars"]["SPY"]] == [160.0, 220.0]
    assert none["bars"] is None


async def test_corporate_actions_are_listed_by_kind(venue: Alpaca) -> None:
    venue.face.market.actions += [
        Split(ts=T0, instrument="SPY", ratio=Decimal(4)),
        Split(ts=T0, instrument="SPY", ratio=Decimal("0.125")),
        Dividend(ts=T0, instrument="SPY", amount=Decimal("0.5"), pays_at=T0 + DAY),
    ]

    _, found = await venue.ask("GET", "/v1/corporate-actions", symbols="SPY", start="2023-11-14")

    groups = found["corporate_actions"]
    assert [(g, len(rows)) for g, rows in groups.items()] == [
        ("forward_splits", 1),
        ("reverse_splits", 1),
        ("cash_dividends", 1),
    ]
    assert (groups["reverse_splits"][0]["new_rate"], groups["reverse_splits"][0]["old_rate"]) == (1, 8)


async def test_answers_have_the_keys_of_the_published_description(venue: Alpaca, shared_data: Path) -> None:
    described = yaml.safe_load((shared_data / "payloads/alpaca/openapi_trading.yaml").read_text())
    schemas = described["components"]["schemas"]
    await venue.order(qty="2")
    _, orders = await venue.ask("GET", "/v2/orders", status="all")
    _, account = await venue.ask("GET", "/v2/account")
    _, positions = await venue.ask("GET", "/v2/positions")
    _, assets = await venue.ask("GET", "/v2/assets")
    _, clock = await venue.ask("GET", "/v2/clock")
    _, fills = await venue.ask("GET", "/v2/account/activities/FILL")

    # What Alpaca has taken out of its answers since the description was published.
    gone = {
        "pattern_day_trader", "daytrade_count", "daytrading_buying_power", "pending_transfer_in",
        "pending_transfer_out", "position_intent",
    }  # fmt: skip
    for name, row in (
        ("Order", orders[0]),
        ("Account", account),
        ("Position", positions[0]),
        ("Assets", assets[0]),
        ("Clock", clock),
        ("TradingActivities", fills[0]),
    ):
        described_keys = set(schemas[name]["properties"])
        assert described_keys - set(row) - gone <= {
            "min_order_size",
            "min_trade_increment",
            "price_increment",
            "last_maintenance_margin",
        }, name


async def test_a_cash_account_may_not_sell_short() -> None:
    house = make_house(instruments=(STOCK,), model=AccountModel.CASH)
    house.move(quote(99.0, 100.0))
    async with alpaca(house) as venue:
        status, body = await venue.order(side="sell")

    assert (status, body["message"]) == (403, "account is not allowed to short")


async def test_the_owners_hand_shows_in_the_account(venue: Alpaca) -> None:
    venue.house.submit(make_order("by-hand", "buy", "2"))

    _, positions = await venue.ask("GET", "/v2/positions")

    assert [(p["symbol"], p["qty"], p["side"]) for p in positions] == [("SPY", "2", "long")]

"""The emulated Alpaca's answers against Alpaca's own description of them (OpenAPI).

It comes in the wheel `alpaca-mcp-server`, of which nothing is imported: its files are read with `jsonschema`.
"""

import json
from importlib.metadata import files
from typing import Any

import jsonschema

from tests.emulators.alpacas import Alpaca, alpaca
from tests.emulators.houses import T0, bar, quote
from tradebot.core.messages import Dividend, Split
from tradebot.core.model import DAY, MINUTE, SECOND


def description(name: str) -> dict[str, Any]:
    found = [file for file in files("alpaca-mcp-server") or () if file.name == name]
    text: dict[str, Any] = json.loads(found[0].locate().read_text())
    return text


class Described:
    """Checks values against the schemas of one description."""

    def __init__(self, name: str) -> None:
        self._schemas = description(name)

    def check(self, schema: str, value: Any) -> None:
        whole = {**self._schemas, "$ref": f"#/components/schemas/{schema}"}
        jsonschema.Draft202012Validator(whole).validate(value)

    def keys(self, schema: str) -> set[str]:
        return set(self._schemas["components"]["schemas"][schema]["properties"])


async def _orders(venue: Alpaca) -> list[Any]:
    await venue.order(qty="2")
    await venue.order(qty="2", type="limit", limit_price="90", time_in_force="gtc")
    await venue.order(qty="0.5")
    await venue.order(qty=None, notional="50")
    await venue.order(qty="1", side="sell", type="trailing_stop", trail_percent="5", time_in_force="gtc")
    await venue.order(
        symbol="BTC/USD",
        qty="0.01",
        type="stop_limit",
        stop_price="1100",
        limit_price="1101",
        time_in_force="gtc",
    )
    venue.house.move(quote(98.0, 99.0, ts=T0 + SECOND))
    _, rows = await venue.ask("GET", "/v2/orders", status="all")
    return list(rows)


async def test_trading_answers_are_as_alpaca_describes_them() -> None:
    described = Described("trading-api.json")
    async with alpaca() as venue:
        orders = await _orders(venue)
        _, account = await venue.ask("GET", "/v2/account")
        _, positions = await venue.ask("GET", "/v2/positions")
        _, assets = await venue.ask("GET", "/v2/assets")
        _, clock = await venue.ask("GET", "/v2/clock")
        _, calendar = await venue.ask("GET", "/v2/calendar", start="2024-11-25", end="2024-12-01")
        venue.house.transfer("USD", venue.house.books().cash["USD"] / -10, "withdrawal")
        _, activities = await venue.ask("GET", "/v2/account/activities")

    assert len(orders) == 6
    for row in orders:
        described.check("Order", row)
        assert set(row) <= described.keys("Order") | {"source", "subtag", "expires_at", "position_intent"}
    described.check("Account", account)
    for schema, rows in (("Position", positions), ("Assets", assets), ("legacy_calendar_day", calendar)):
        for row in rows:
            described.check(schema, row)
    described.check("legacy_clock", clock)
    for row in activities:
        kind = "TradingActivities" if row["activity_type"] == "FILL" else "NonTradeActivities"
        described.check(kind, row)


async def test_market_data_answers_are_as_alpaca_describes_them() -> None:
    described = Described("market-data-api.json")
    async with alpaca() as venue:
        venue.house.move(bar(101.0, ts=T0 + MINUTE))
        venue.house.move(quote(101.0, 102.0, ts=T0 + MINUTE + 1))
        one = venue.house.books().cash["USD"] * 0 + 1
        venue.face.market.actions += [
            Split(ts=T0, instrument="SPY", ratio=one * 4),
            Dividend(ts=T0, instrument="SPY", amount=one, pays_at=T0 + DAY),
        ]
        _, bars = await venue.ask(
            "GET", "/v2/stocks/bars", symbols="SPY", timeframe="1Min", start="2023-11-14"
        )
        _, latest = await venue.ask("GET", "/v2/stocks/quotes/latest", symbols="SPY")
        _, actions = await venue.ask("GET", "/v1/corporate-actions", symbols="SPY", start="2023-11-01")

    described.check("stock_bars_resp", bars)
    described.check("stock_latest_quotes_resp", latest)
    described.check("corporate_actions_resp", actions)

"""Answer Alpaca's trading REST: orders, positions, account, activities, assets, clock, calendar."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from decimal import Decimal

from aiohttp import web

from tradebot.core.model import DAY, AssetClass, Order, OrderKind, Side, Tif
from tradebot.core.ports import Standing
from tradebot.data.calendars import sessions
from tradebot.emulators.alpaca import shown
from tradebot.emulators.alpaca.access import Access
from tradebot.emulators.alpaca.orders import Asked, check_replaceable, read_order, replacement, symbol_of
from tradebot.emulators.alpaca.shown import Json
from tradebot.emulators.alpaca.texts import NEW_YORK, Refusal, id_of, new_york, read_stamp
from tradebot.emulators.house import House, OrderState

Answer = Callable[[web.Request], Awaitable[object]]
_STOCKS = "XNYS"
_MOST_ORDERS = 500
_PAGE = 100


class Rest:
    """The trading API over one house."""

    def __init__(self, house: House, access: Access) -> None:
        self._house = house
        self._access = access
        self.asked: dict[int, Asked] = {}  # by order number: what a parent was asked with
        self.inactive: set[str] = set()
        self._leg_classes: dict[str, str] = {}  # by client id

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        routes: tuple[tuple[str, str, Answer], ...] = (
            ("GET", "/v2/account", self.account),
            ("GET", "/v2/account/activities", self.activities),
            ("GET", "/v2/account/activities/{type}", self.activities),
            ("GET", "/v2/clock", self.clock),
            ("GET", "/v2/calendar", self.calendar),
            ("GET", "/v2/assets", self.assets),
            ("GET", "/v2/assets/{symbol:.+}", self.asset),
            ("GET", "/v2/orders:by_client_order_id", self.by_client_id),
            ("GET", "/v2/orders", self.orders),
            ("POST", "/v2/orders", self.submit),
            ("DELETE", "/v2/orders", self.cancel_all),
            ("GET", "/v2/orders/{id}", self.order),
            ("PATCH", "/v2/orders/{id}", self.replace),
            ("DELETE", "/v2/orders/{id}", self.cancel),
            ("GET", "/v2/positions", self.positions),
            ("GET", "/v2/positions/{symbol:.+}", self.position),
            ("DELETE", "/v2/positions/{symbol:.+}", self.close_position),
        )
        for method, path, answer in routes:
            app.router.add_route(method, path, answering(self._access, answer))

    # --- orders -----------------------------------------------------------------------------------

    async def submit(self, request: web.Request) -> object:
        words = await _body(request)
        asked = read_order(self._house, words)
        for i, order in enumerate(asked.orders):
            self._house.submit(order)
            state = self._state(order.client_order_id)
            if not i:
                self.asked[state.number] = asked
                self._leg_classes |= {leg.client_order_id: asked.order_class for leg in asked.orders[1:]}
                if state.standing is Standing.REJECTED:
                    raise Refusal(422, 42210000, state.reason)
        first = self._house.find(asked.orders[0].client_order_id)
        assert first is not None
        taken = OrderState(
            order=first.order,
            number=first.number,
            standing=Standing.WORKING,
            created=first.created,
            updated=first.created,
        )
        is_open = shown.is_open(self._house, self._house.instruments[first.order.instrument])
        return self.shown(taken, status="pending_new" if is_open else "accepted", nested=True)

    async def orders(self, request: web.Request) -> object:
        query = request.query
        wanted = query.get("status", "open")
        symbols = {s for s in query.get("symbols", "").split(",") if s}
        after = read_stamp(query["after"]) if "after" in query else None
        until = read_stamp(query["until"]) if "until" in query else None
        limit = min(int(query.get("limit", "50")), _MOST_ORDERS)
        found = [
            state
            for state in self._house.orders
            if (wanted == "all" or state.is_working == (wanted == "open"))
            and (not symbols or state.order.instrument in symbols)
            and (after is None or state.created > after)
            and (until is None or state.created < until)
        ]
        if query.get("direction", "desc") == "desc":
            found.reverse()
        nested = query.get("nested", "").lower() == "true"
        legs = {o.client_order_id for a in self.asked.values() for o in a.orders[1:]} if nested else set()
        rows = [s for s in found if s.order.client_order_id not in legs]
        return [self.shown(state, nested=nested) for state in rows[:limit]]

    async def order(self, request: web.Request) -> object:
        nested = request.query.get("nested", "").lower() == "true"
        return self.shown(self._by_id(request.match_info["id"]), nested=nested)

    async def by_client_id(self, request: web.Request) -> object:
        state = self._house.find(request.query.get("client_order_id", ""))
        if state is None:
            raise Refusal(404, 40410000, "order not found")
        return self.shown(state)

    async def replace(self, request: web.Request) -> object:
        words = await _body(request)
        old = self._by_id(request.match_info["id"])
        asked = self.asked.get(old.number)
        check_replaceable(
            self._house,
            old.order,
            shown.status_of(self._house, old),
            is_notional=asked is not None and asked.notional is not None,
        )
        order = replacement(self._house, old.order, words)
        self._house.replace(old.order.client_order_id, order)
        state = self._state(order.client_order_id)
        if state.standing is Standing.REJECTED:
            raise Refusal(422, 42210000, state.reason)
        return self.shown(state, status="pending_new")

    async def cancel(self, request: web.Request) -> object:
        state = self._by_id(request.match_info["id"])
        if not state.is_working:
            status = shown.status_of(self._house, state)
            raise Refusal(422, 42210000, f'order is already in "{status}" state')
        self._house.cancel(state.order.client_order_id)
        for other in self._house.working():  # a group ends whole
            if state.order.group_id is not None and other.order.group_id == state.order.group_id:
                self._house.cancel(other.order.client_order_id)
        return web.Response(status=204)

    async def cancel_all(self, request: web.Request) -> object:
        rows: list[Json] = []
        for state in self._house.working():
            now = self._state(state.order.client_order_id)
            if now.is_working:
                self._house.cancel(state.order.client_order_id)
                rows.append({"id": shown.order_id(state), "status": 200})
        return web.json_response(rows, status=207)

    def shown(self, state: OrderState, *, status: str = "", nested: bool = False) -> Json:
        """Return an order as it was asked for: its class, its notional, its legs if wanted."""
        asked = self.asked.get(state.number)
        notional = None if asked is None else asked.notional
        row = shown.order_json(self._house, state, status=status, notional=notional)
        row["order_class"] = self._leg_classes.get(state.order.client_order_id, "")
        if asked is not None:
            row["order_class"] = asked.order_class
            row["extended_hours"] = asked.extended_hours
            if nested and len(asked.orders) > 1:
                legs = [self._house.find(o.client_order_id) for o in asked.orders[1:]]
                row["legs"] = [self.shown(leg) for leg in legs if leg is not None]
        return row

    def _state(self, client_order_id: str) -> OrderState:
        found = self._house.find(client_order_id)
        if found is None:
            raise Refusal(404, 40410000, "order not found")
        return found

    def _by_id(self, order_id: str) -> OrderState:
        for state in reversed(self._house.orders):
            if shown.order_id(state) == order_id:
                return state
        raise Refusal(404, 40410000, f"order not found for {order_id}")

    # --- the account ------------------------------------------------------------------------------

    async def account(self, request: web.Request) -> object:
        return shown.account_json(self._house)

    async def positions(self, request: web.Request) -> object:
        held = self._house.books().positions
        return [shown.position_json(self._house, symbol, qty) for symbol, qty in held.items()]

    async def position(self, request: web.Request) -> object:
        symbol, qty = self._held(request)
        return shown.position_json(self._house, symbol, qty)

    async def close_position(self, request: web.Request) -> object:
        symbol, qty = self._held(request)
        wanted = request.query.get("qty")
        is_crypto = self._house.instruments[symbol].asset_class is AssetClass.CRYPTO
        order = Order(
            client_order_id=id_of("client", f"{len(self._house.orders)}"),
            account=self._house.exchange.account,
            strategy="",
            instrument=symbol,
            side=Side.SELL if qty > 0 else Side.BUY,
            kind=OrderKind.MARKET,
            qty=abs(qty) if wanted is None else Decimal(wanted),
            ts=self._house.clock.now(),
            tif=Tif.GTC if is_crypto else Tif.DAY,
        )
        self._house.submit(order)
        return self.shown(self._state(order.client_order_id))

    def _held(self, request: web.Request) -> tuple[str, Decimal]:
        name = request.match_info["symbol"]
        symbol = symbol_of(self._house, name)
        qty = None if symbol is None else self._house.books().positions.get(symbol)
        if symbol is None or qty is None:
            raise Refusal(404, 40410000, "position does not exist")
        return symbol, qty

    async def activities(self, request: web.Request) -> object:
        query = request.query
        wanted = request.match_info.get("type") or query.get("activity_types", "")
        types = {t for t in wanted.split(",") if t}
        rows = [r for r in shown.activities(self._house) if not types or r["activity_type"] in types]
        category = query.get("category")
        if category is not None:
            rows = [r for r in rows if (r["activity_type"] == "FILL") == (category == "trade_activity")]
        if "after" in query:
            rows = [r for r in rows if _when(r) > read_stamp(query["after"])]
        if "until" in query:
            rows = [r for r in rows if _when(r) < read_stamp(query["until"])]
        if query.get("direction", "desc") == "desc":
            rows.reverse()
        token = query.get("page_token")
        if token is not None:
            ids = [r["id"] for r in rows]
            if token not in ids:
                raise Refusal(422, 40010001, f"invalid page_token: {token}")
            rows = rows[ids.index(token) + 1 :]
        size = int(query.get("page_size", str(_PAGE)))
        if not 1 <= size <= _PAGE:
            raise Refusal(422, 40010001, f"page_size must be between 1 and {_PAGE}")
        return rows[:size]

    # --- what is traded, and when -----------------------------------------------------------------

    async def assets(self, request: web.Request) -> object:
        wanted = request.query.get("asset_class")
        rows = [self._asset(symbol) for symbol in self._house.instruments]
        return [r for r in rows if wanted in (None, r["class"])]

    async def asset(self, request: web.Request) -> object:
        symbol = symbol_of(self._house, request.match_info["symbol"])
        if symbol is None:
            raise Refusal(404, 40410000, f"asset not found for {request.match_info['symbol']}")
        return self._asset(symbol)

    def _asset(self, symbol: str) -> Json:
        is_tradable = symbol not in self.inactive
        return shown.asset_json(self._house.instruments[symbol], is_tradable=is_tradable)

    async def clock(self, request: web.Request) -> object:
        now = self._house.clock.shown()
        opens, closes = (m.tolist() for m in sessions(_STOCKS).between(now - 5 * DAY, now + 10 * DAY))
        session = self._house.exchange.sim.sessions.get(_STOCKS)
        return {
            "timestamp": _local(now),
            "is_open": session is None or session.is_open,
            "next_open": _local(shown.nearest(opens, now) or now),
            "next_close": _local(shown.nearest(closes, now) or now),
        }

    async def calendar(self, request: web.Request) -> object:
        now = new_york(self._house.clock.now()).date()
        start = date.fromisoformat(request.query.get("start", f"{now.year}-01-01")[:10])
        end = date.fromisoformat(request.query.get("end", f"{now.year}-12-31")[:10])
        rows: list[Json] = []
        opens, closes = (
            m.tolist() for m in sessions(_STOCKS).between(_midnight(start), _midnight(end) + DAY)
        )
        for opened, closed in zip(opens, closes, strict=True):
            first, last = new_york(opened), new_york(closed)
            rows.append(
                {
                    "date": f"{first:%Y-%m-%d}",
                    "open": f"{first:%H:%M}",
                    "close": f"{last:%H:%M}",
                    "session_open": "0400",
                    "session_close": "2000",
                    "settlement_date": f"{first:%Y-%m-%d}",
                }
            )
        return rows


def answering(access: Access, answer: Answer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return a handler: who is let in gets the answer as JSON, or the refusal."""

    async def handler(request: web.Request) -> web.StreamResponse:
        headers: dict[str, str] = {}
        try:
            headers = access.admit(request)
            found = await answer(request)
        except Refusal as refused:
            return web.json_response(refused.body, status=refused.status, headers=headers)
        if isinstance(found, web.Response):
            found.headers.update(headers)
            return found
        return web.json_response(found, headers=headers)

    return handler


async def _body(request: web.Request) -> dict[str, object]:
    try:
        words = await request.json()
    except json.JSONDecodeError as exc:
        raise Refusal(400, 40010000, "request body format is invalid") from exc
    if not isinstance(words, dict):
        raise Refusal(400, 40010000, "request body format is invalid")
    return words


def _when(row: Json) -> int:
    return read_stamp(str(row.get("transaction_time") or row.get("date")))


def _midnight(day: date) -> int:
    return int(datetime.combine(day, datetime.min.time(), NEW_YORK).timestamp()) * 1_000_000_000


def _local(ts: int) -> str:
    at = new_york(ts)
    offset = at.strftime("%z")
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ts % 1_000_000_000:09d}{offset[:3]}:{offset[3:]}"

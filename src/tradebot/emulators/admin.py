"""The admin port of an emulated venue: move the market, act as the owner, break things, look behind.

All JSON. Owns the words of that port. Refuses nothing a test may want; it exists on loopback only.

    GET  /state                       cash, positions, orders, fills, sockets, time
    GET  /requests                    what clients asked, oldest first
    POST /market                      {"bars": [...], "quotes": [...]}, in order; ts (ns) defaults to now
    POST /orders, DELETE /orders/ID   the owner trades by hand
    POST /transfers                   {"asset", "amount", "because"}; without "because" cash just changes
    POST /sessions                    {"calendar", "open": true, "closes_at"} or {"open": false, "opens_at"}
    POST /splits, POST /dividends     {"instrument", "ratio"}, {"instrument", "amount"}
    POST /faults, DELETE /faults      the fields of `faults.Fault`
    POST /sockets                     {"channel", "fault", "count", "seconds", "code"}
    POST /clock                       {"skew_s"} what clients are told; {"to"} ns, go on to
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from aiohttp import web

from tradebot.core.messages import Dividend, SessionClose, SessionOpen, Split
from tradebot.core.model import DAY, MINUTE, SECOND, Bar, Order, OrderKind, Quote, Side, Tif
from tradebot.emulators.faults import fault_of
from tradebot.emulators.house import House, OrderState
from tradebot.emulators.wire import SocketFault, Wire
from tradebot.errors import UsageError

Words = dict[str, Any]


class _Admin:
    def __init__(self, house: House, wire: Wire) -> None:
        self._house = house
        self._wire = wire
        self._owners = 0

    async def state(self, request: web.Request) -> web.Response:
        books = self._house.books()
        return web.json_response(
            {
                "now": self._house.clock.now(),
                "cash": _texts(books.cash),
                "positions": _texts(books.positions),
                "orders": [_shown(state) for state in self._house.orders],
                "fills": len(self._house.exchange.fills),
                "sockets": [{"channel": s.channel, "sent": s.sent} for s in self._wire.sockets],
            }
        )

    async def requests(self, request: web.Request) -> web.Response:
        return web.json_response([r._asdict() for r in self._wire.requests])

    async def market(self, words: Words) -> object:
        now = self._house.clock.now()
        items: list[Bar | Quote] = [bar_of(row, now) for row in words.get("bars", ())]
        items += [quote_of(row, now) for row in words.get("quotes", ())]
        for item in items:
            self._house.move(item)
        return {"moved": len(items)}

    async def order(self, words: Words) -> object:
        self._owners += 1
        order = _order_of(words, f"owner-{self._owners}", self._house)
        self._house.submit(order)
        state = self._house.find(order.client_order_id)
        return None if state is None else _shown(state)

    async def cancel(self, request: web.Request) -> web.Response:
        happened = self._house.cancel(request.match_info["id"])
        return web.json_response({"happened": len(happened)})

    async def transfer(self, words: Words) -> object:
        amount = _decimal(words, "amount")
        if words.get("because"):
            self._house.transfer(str(words["asset"]), amount, str(words["because"]))
        else:
            self._house.exchange.lose_cash(str(words["asset"]), -amount)
        return {}

    async def session(self, words: Words) -> object:
        now, calendar = int(words.get("ts", self._house.clock.now())), str(words["calendar"])
        if words.get("open"):
            closes = int(words.get("closes_at", now + DAY))
            self._house.happen(SessionOpen(ts=now, calendar=calendar, closes_at=closes))
        else:
            opens = words.get("opens_at")
            at = None if opens is None else int(opens)
            self._house.happen(SessionClose(ts=now, calendar=calendar, opens_at=at))
        return {}

    async def split(self, words: Words) -> object:
        now = int(words.get("ts", self._house.clock.now()))
        self._house.happen(Split(ts=now, instrument=str(words["instrument"]), ratio=_decimal(words, "ratio")))
        return {}

    async def dividend(self, words: Words) -> object:
        now = int(words.get("ts", self._house.clock.now()))
        pays_at = int(words.get("pays_at", now))
        self._house.happen(
            Dividend(
                ts=now,
                instrument=str(words["instrument"]),
                amount=_decimal(words, "amount"),
                pays_at=pays_at,
            )
        )
        return {}

    async def fault(self, words: Words) -> object:
        self._wire.faults.add(fault_of(words))
        return {}

    async def no_faults(self, request: web.Request) -> web.Response:
        self._wire.faults.clear()
        return web.json_response({})

    async def socket(self, words: Words) -> object:
        sockets = self._wire.on(str(words.get("channel", "*")))
        fault = SocketFault(str(words["fault"]))
        for socket in sockets:
            await socket.suffer(
                fault,
                count=int(words.get("count", 1)),
                seconds=float(words.get("seconds", 0.0)),
                code=int(words.get("code", 1001)),
            )
        return {"sockets": len(sockets)}

    async def clock(self, words: Words) -> object:
        if "skew_s" in words:
            self._house.clock.skew = int(float(words["skew_s"]) * SECOND)
        if "to" in words:
            self._house.clock.move(int(words["to"]))
            self._house.pass_time()
        return {"now": self._house.clock.now()}


def admin_app(house: House, wire: Wire) -> web.Application:
    """Return the admin port's application."""
    admin = _Admin(house, wire)
    app = web.Application()
    posts: dict[str, Callable[[Words], Awaitable[object]]] = {
        "/market": admin.market,
        "/orders": admin.order,
        "/transfers": admin.transfer,
        "/sessions": admin.session,
        "/splits": admin.split,
        "/dividends": admin.dividend,
        "/faults": admin.fault,
        "/sockets": admin.socket,
        "/clock": admin.clock,
    }
    for path, act in posts.items():
        app.router.add_post(path, _taking(act))
    app.router.add_get("/state", admin.state)
    app.router.add_get("/requests", admin.requests)
    app.router.add_delete("/orders/{id}", admin.cancel)
    app.router.add_delete("/faults", admin.no_faults)
    return app


def _taking(
    act: Callable[[Words], Awaitable[object]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        try:
            words = await request.json()
            if not isinstance(words, dict):
                raise UsageError(f"the body must be a JSON object, was {type(words).__name__}")
            return web.json_response(await act(words))
        except (UsageError, KeyError, ValueError, InvalidOperation, TypeError) as exc:
            return web.json_response({"error": f"{type(exc).__name__}: {exc}"}, status=400)

    return handler


def bar_of(row: Mapping[str, Any], now: int) -> Bar:
    """Return the bar that JSON names; without open, high and low they are the close."""
    close = float(row["close"])
    return Bar(
        str(row["instrument"]),
        int(row.get("ts", now)),
        int(row.get("interval", MINUTE)),
        float(row.get("open", close)),
        float(row.get("high", max(close, float(row.get("open", close))))),
        float(row.get("low", min(close, float(row.get("open", close))))),
        close,
        float(row.get("volume", 0.0)),
    )


def quote_of(row: Mapping[str, Any], now: int) -> Quote:
    """Return the quote that JSON names; sizes default to a million."""
    return Quote(
        str(row["instrument"]),
        int(row.get("ts", now)),
        float(row["bid"]),
        float(row.get("bid_qty", 1e6)),
        float(row["ask"]),
        float(row.get("ask_qty", 1e6)),
    )


def _order_of(words: Words, default_id: str, house: House) -> Order:
    return Order(
        client_order_id=str(words.get("client_order_id", default_id)),
        account=house.exchange.account,
        strategy="owner",
        instrument=str(words["instrument"]),
        side=Side(str(words["side"])),
        kind=OrderKind(str(words.get("kind", "market"))),
        qty=_decimal(words, "qty"),
        ts=house.clock.now(),
        limit_price=_decimal(words, "limit_price") if "limit_price" in words else None,
        stop_price=_decimal(words, "stop_price") if "stop_price" in words else None,
        tif=Tif(str(words.get("tif", "gtc"))),
    )


def _decimal(words: Words, name: str) -> Decimal:
    text = words[name]
    if isinstance(text, float):
        raise UsageError(f"{name} must be a text or a whole number, was the float {text}")
    return Decimal(str(text))


def _texts(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {name: f"{amount:f}" for name, amount in amounts.items()}


def _shown(state: OrderState) -> dict[str, object]:
    order = state.order
    return {
        "number": state.number,
        "client_order_id": order.client_order_id,
        "instrument": order.instrument,
        "side": order.side.value,
        "qty": f"{order.qty:f}",
        "filled_qty": f"{state.filled_qty:f}",
        "standing": state.standing.value,
        "reason": state.reason,
    }

"""Answer Binance's REST requests for spot.

Owns routes, their weights and paging. What is done is `desk`'s, who may ask `access`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.typedefs import Handler

from tradebot.core.messages import CashEvent, VenueFilled
from tradebot.core.model import DAY, Bar, Quote, Side
from tradebot.emulators.binance import refusal as no
from tradebot.emulators.binance import words
from tradebot.emulators.binance.access import Access
from tradebot.emulators.binance.candles import INTERVALS, row
from tradebot.emulators.binance.desk import Desk
from tradebot.emulators.binance.refusal import Refusal
from tradebot.emulators.binance.words import MS, Json

Params = Mapping[str, str]
Answer = Callable[[Params], object]


class Rest:
    """The routes. `book_ids` counts changes of each symbol's book, as the streams do."""

    def __init__(self, desk: Desk, access: Access, book_ids: Mapping[str, int]) -> None:
        self._desk = desk
        self._access = access
        self._book_ids = book_ids
        self._house = desk.house

    def add_to(self, app: web.Application) -> None:
        """Add every route to an application."""
        public: dict[str, tuple[int, Answer]] = {
            "/api/v3/ping": (1, lambda params: {}),
            "/api/v3/time": (1, lambda params: {"serverTime": self._house.clock.shown() // MS}),
            "/api/v3/exchangeInfo": (20, self._info),
            "/api/v3/klines": (2, self._klines),
            "/api/v3/depth": (5, self._depth),
            "/api/v3/ticker/bookTicker": (2, self._book),
            "/api/v3/ticker/24hr": (2, self._day),
            "/api/v3/ticker/price": (2, self._price),
            "/api/v3/trades": (25, self._trades),
        }
        signed: dict[tuple[str, str], tuple[int, Answer]] = {
            ("POST", "/api/v3/order"): (1, self._place),
            ("POST", "/api/v3/orderList/oco"): (1, self._desk.place_pair),
            ("GET", "/api/v3/order"): (4, self._order),
            ("DELETE", "/api/v3/order"): (1, self._cancel),
            ("GET", "/api/v3/openOrders"): (6, self._open),
            ("DELETE", "/api/v3/openOrders"): (1, self._cancel_all),
            ("GET", "/api/v3/allOrders"): (20, self._all),
            ("GET", "/api/v3/myTrades"): (20, self._mine),
            ("GET", "/api/v3/account"): (20, self._account),
            ("GET", "/api/v3/rateLimit/order"): (40, self._limits),
            ("GET", "/sapi/v1/capital/deposit/hisrec"): (1, self._deposits),
            ("GET", "/sapi/v1/capital/withdraw/history"): (1, self._withdrawals),
            ("GET", "/sapi/v1/account/apiRestrictions"): (1, self._restrictions),
        }
        for path, (weight, answer) in public.items():
            app.router.add_get(path, self._public(weight, answer))
        for (method, path), (weight, answer) in signed.items():
            app.router.add_route(method, path, self._signed(weight, answer))

    # --- who asks -------------------------------------------------------------------------------------

    def _public(self, weight: int, answer: Answer) -> Handler:
        async def handler(request: web.Request) -> web.Response:
            return self._answered(weight, lambda: answer(dict(request.query)))

        return handler

    def _signed(self, weight: int, answer: Answer) -> Handler:
        async def handler(request: web.Request) -> web.Response:
            body = await request.text()
            key = request.headers.get("X-MBX-APIKEY", "")

            def act() -> object:
                return answer(self._access.signed(key, request.rel_url.raw_query_string, body))

            return self._answered(weight, act, is_order=request.method == "POST")

        return handler

    def _answered(self, weight: int, act: Callable[[], object], *, is_order: bool = False) -> web.Response:
        headers: dict[str, str] = {}
        try:
            headers = self._access.spend(weight)
            if is_order:
                headers |= self._access.ordered()
            return web.json_response(act(), headers=headers)
        except Refusal as exc:
            if exc.status == 429:
                headers["Retry-After"] = str(self._access.retry_after())
            return web.json_response(exc.body(), status=exc.status, headers=headers)

    # --- the market -----------------------------------------------------------------------------------

    def _info(self, params: Params) -> Json:
        wanted = params.get("symbol")
        if wanted is not None and wanted not in self._desk.symbols:
            raise Refusal(*no.NO_SYMBOL)
        found = [
            words.symbol_json(inst, self._desk.trading[name])
            for name, inst in self._desk.symbols.items()
            if wanted in (None, name)
        ]
        limits = [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": self._access.weight_limit,
            },
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
        ]
        now = self._house.clock.shown() // MS
        return {
            "timezone": "UTC",
            "serverTime": now,
            "rateLimits": limits,
            "exchangeFilters": [],
            "symbols": found,
            "sors": [],
        }

    def _klines(self, params: Params) -> list[list[object]]:
        _, inst = self._desk.symbol(params)
        interval = INTERVALS.get(params.get("interval", ""))
        if interval is None:
            raise Refusal(-1120, "Invalid interval.")
        start, end, limit = _range(params, 500)
        found = [c for c in self._desk.candles[inst.id].of(interval) if start <= c.start // MS <= end]
        return [row(c) for c in (found[:limit] if "startTime" in params else found[-limit:])]

    def _quote(self, params: Params) -> tuple[str, float, float, float, float]:
        name, inst = self._desk.symbol(params)
        mark = self._house.last(inst.id)
        if isinstance(mark, Quote):
            return name, mark.bid, mark.bid_qty, mark.ask, mark.ask_qty
        if isinstance(mark, Bar):
            tick = float(inst.tick_size)
            return name, mark.close - tick, mark.volume, mark.close + tick, mark.volume
        return name, 0.0, 0.0, 0.0, 0.0

    def _depth(self, params: Params) -> Json:
        name, bid, bid_qty, ask, ask_qty = self._quote(params)
        sides = [[[f"{p:.8f}", f"{q:.8f}"]] if p > 0 else [] for p, q in ((bid, bid_qty), (ask, ask_qty))]
        return {"lastUpdateId": self._book_ids[name], "bids": sides[0], "asks": sides[1]}

    def _book(self, params: Params) -> Json:
        name, *numbers = self._quote(params)
        keys = ("bidPrice", "bidQty", "askPrice", "askQty")
        return {"symbol": name, **{k: f"{n:.8f}" for k, n in zip(keys, numbers, strict=True)}}

    def _day(self, params: Params) -> Json:
        name, inst = self._desk.symbol(params)
        now = self._house.clock.shown()
        candles = [c for c in self._desk.candles[inst.id].of(INTERVALS["1m"]) if c.end > now - DAY]
        first, last = (candles[0].open, candles[-1].close) if candles else (0.0, 0.0)
        volume = sum(c.volume for c in candles)
        book = self._book(params)
        return {
            "symbol": name, "priceChange": f"{last - first:.8f}",
            "priceChangePercent": f"{(last / first - 1) * 100 if first else 0:.3f}",
            "weightedAvgPrice": f"{last:.8f}", "prevClosePrice": f"{first:.8f}", "lastPrice": f"{last:.8f}",
            "lastQty": "0.00000000", **{k: v for k, v in book.items() if k != "symbol"},
            "openPrice": f"{first:.8f}", "highPrice": f"{max((c.high for c in candles), default=0.0):.8f}",
            "lowPrice": f"{min((c.low for c in candles), default=0.0):.8f}", "volume": f"{volume:.8f}",
            "quoteVolume": f"{volume * last:.8f}", "openTime": (now - DAY) // MS, "closeTime": now // MS,
            "firstId": 0, "lastId": 0, "count": sum(c.trades for c in candles),
        }  # fmt: skip

    def _price(self, params: Params) -> Json:
        name, inst = self._desk.symbol(params)
        return {"symbol": name, "price": f"{self._desk.price(inst, Side.SELL) or 0.0:.8f}"}

    def _trades(self, params: Params) -> list[Json]:
        _, inst = self._desk.symbol(params)
        candles = [c for c in self._desk.candles[inst.id].of(INTERVALS["1m"]) if c.is_closed]
        return [
            {"id": i, "price": f"{c.close:.8f}", "qty": f"{c.volume:.8f}", "quoteQty": f"{c.volume * c.close:.8f}",
             "time": c.end // MS - 1, "isBuyerMaker": False, "isBestMatch": True}
            for i, c in enumerate(candles[-500:])
        ]  # fmt: skip

    # --- orders ---------------------------------------------------------------------------------------

    def _place(self, params: Params) -> Json:
        state = self._desk.place(params)
        trades = [words.fill_json(f, self._desk.trade_ids[f.fill_id]) for f in state.fills]
        now = self._house.clock.shown()
        found = words.placed_json(state, params["symbol"], trades, now)
        kind = params.get("newOrderRespType", "FULL")
        if kind == "ACK":
            keys = ("symbol", "orderId", "orderListId", "clientOrderId", "transactTime")
            return {k: found[k] for k in keys}
        if kind == "RESULT":
            del found["fills"]
        return found

    def _order(self, params: Params) -> Json:
        return words.order_json(self._desk.find(params), params["symbol"])

    def _cancel(self, params: Params) -> Json:
        state = self._desk.cancel(params)
        return words.canceled_json(
            state, params["symbol"], self._desk.cancel_ids[state.number], self._house.clock.shown()
        )

    def _open(self, params: Params) -> list[Json]:
        wanted = self._desk.symbol(params)[1].id if "symbol" in params else None
        working = self._house.working()
        return [
            words.order_json(s, self._desk.id_of(s.order.instrument))
            for s in working
            if wanted in (None, s.order.instrument)
        ]

    def _cancel_all(self, params: Params) -> list[Json]:
        name, inst = self._desk.symbol(params)
        working = [s for s in self._house.working() if s.order.instrument == inst.id]
        if not working:
            raise Refusal(*no.NOT_OPEN)
        return [self._cancel({"symbol": name, "orderId": str(s.number)}) for s in working]

    def _all(self, params: Params) -> list[Json]:
        name, inst = self._desk.symbol(params)
        start, end, limit = _range(params, 500)
        least = int(params.get("orderId", "0"))
        found = [s for s in self._desk.known(inst) if s.number >= least and start <= s.created // MS <= end]
        is_from = "orderId" in params or "startTime" in params
        return [words.order_json(s, name) for s in (found[:limit] if is_from else found[-limit:])]

    def _mine(self, params: Params) -> list[Json]:
        name, inst = self._desk.symbol(params)
        start, end, limit = _range(params, 500)
        if "startTime" in params and "endTime" in params and end - start > DAY // MS:
            raise Refusal(-1127, "More than 24 hours between startTime and endTime.")
        least, order_id = int(params.get("fromId", "0")), params.get("orderId")
        found: list[Json] = []
        for number, trade in enumerate(self._desk.trades, start=1):
            report = trade.report
            assert isinstance(report, VenueFilled)
            is_asked = number >= least and start <= report.fill.ts // MS <= end
            if report.fill.instrument == inst.id and is_asked and order_id in (None, str(trade.state.number)):
                found.append(words.trade_json(report.fill, trade.state, number, name))
        is_from = "fromId" in params or "startTime" in params
        return found[:limit] if is_from else found[-limit:]

    # --- the account ----------------------------------------------------------------------------------

    def _account(self, params: Params) -> Json:
        rates = {"maker": "0.00100000", "taker": "0.00100000", "buyer": "0.00000000", "seller": "0.00000000"}
        balances = words.balances_json(self._desk.totals(), self._desk.locked())
        if params.get("omitZeroBalances") == "true":
            balances = [b for b in balances if b["free"] != "0.00000000" or b["locked"] != "0.00000000"]
        return {
            "makerCommission": 10, "takerCommission": 10, "buyerCommission": 0, "sellerCommission": 0,
            "commissionRates": rates, "canTrade": True, "canWithdraw": False, "canDeposit": True,
            "brokered": False, "requireSelfTradePrevention": False, "preventSor": False,
            "updateTime": self._house.clock.shown() // MS, "accountType": "SPOT", "balances": balances,
            "permissions": ["SPOT"], "uid": 354937868,
        }  # fmt: skip

    def _limits(self, params: Params) -> list[Json]:
        return [
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100, "count": 0}
        ]

    def _moved(self, params: Params, sign: int) -> list[CashEvent]:
        start, end, _ = _range(params, 1000)
        return [
            e
            for e in self._house.exchange.events
            if e.amount * sign > 0 and params.get("coin", e.asset) == e.asset and start <= e.ts // MS <= end
        ]

    def _deposits(self, params: Params) -> list[Json]:
        return [
            {"id": e.venue_ref, "amount": f"{e.amount:f}", "coin": e.asset, "network": e.asset, "status": 1,
             "address": "", "addressTag": "", "txId": e.venue_ref, "insertTime": e.ts // MS, "transferType": 0,
             "confirmTimes": "1/1", "unlockConfirm": 1, "walletType": 0}
            for e in self._moved(params, 1)
        ]  # fmt: skip

    def _withdrawals(self, params: Params) -> list[Json]:
        return [
            {"id": e.venue_ref, "amount": f"{-e.amount:f}", "transactionFee": "0", "coin": e.asset, "status": 6,
             "address": "", "txId": e.venue_ref, "network": e.asset, "transferType": 0, "confirmNo": 1,
             "applyTime": datetime.fromtimestamp(e.ts // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S"),
             "info": "", "walletType": 0, "txKey": ""}
            for e in self._moved(params, -1)
        ]  # fmt: skip

    def _restrictions(self, params: Params) -> Json:
        return {
            "ipRestrict": False, "createTime": 1_600_000_000_000, "enableReading": True,
            "enableWithdrawals": self._access.may_withdraw, "enableInternalTransfer": False, "enableMargin": False,
            "enableFutures": False, "permitsUniversalTransfer": False, "enableVanillaOptions": False,
            "enableSpotAndMarginTrading": True, "enablePortfolioMarginTrading": False, "enableFixApiTrade": False,
        }  # fmt: skip


def _range(params: Params, usual: int) -> tuple[int, int, int]:
    try:
        start, end = int(params.get("startTime", "0")), int(params.get("endTime", str(10**15)))
        return start, end, max(1, min(int(params.get("limit", str(usual))), 1000))
    except ValueError:
        raise no.illegal("limit") from None

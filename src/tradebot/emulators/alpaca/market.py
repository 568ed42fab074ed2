"""Answer Alpaca's market data REST: bars with paging, the latest bar and quote, corporate actions.

Owns the bars that this house has seen or was given; a longer timeframe is made of the shorter bars.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

from aiohttp import web

from tradebot.core.messages import Dividend, Split
from tradebot.core.model import DAY, HOUR, MINUTE, AssetClass, Bar, Quote
from tradebot.data.calendars import sessions
from tradebot.emulators.alpaca.access import Access
from tradebot.emulators.alpaca.rest import answering
from tradebot.emulators.alpaca.shown import Json
from tradebot.emulators.alpaca.texts import Refusal, id_of, new_york, plain, read_stamp, stamp
from tradebot.emulators.house import House

_TIMEFRAME = re.compile(r"(\d+)(Min|T|Hour|H|Day|D)")
_UNITS = {"Min": MINUTE, "T": MINUTE, "Hour": HOUR, "H": HOUR, "Day": DAY, "D": DAY}
_MOST = 10_000


class MarketData:
    """What can be asked about the past."""

    def __init__(self, house: House, access: Access) -> None:
        self._house = house
        self._access = access
        self._bars: dict[tuple[str, int], dict[int, Bar]] = {}
        self._quotes: dict[str, Quote] = {}
        self.actions: list[Split | Dividend] = []
        house.watch(self.see)

    def see(self, item: Bar | Quote) -> None:
        """Remember market data; a bar of a known time takes the older one's place."""
        if isinstance(item, Quote):
            self._quotes[item.instrument] = item
        else:
            self._bars.setdefault((item.instrument, item.interval), {})[item.ts] = item

    def remember(self, bars: Iterable[Bar]) -> None:
        """Take in bars from before the first moment of this house."""
        for bar in bars:
            self.see(bar)

    def add_to(self, app: web.Application) -> None:
        for path, answer in (
            ("/v2/stocks/bars", self.bars),
            ("/v1beta3/crypto/us/bars", self.bars),
            ("/v2/stocks/bars/latest", self.latest_bars),
            ("/v1beta3/crypto/us/latest/bars", self.latest_bars),
            ("/v2/stocks/quotes/latest", self.latest_quotes),
            ("/v1beta3/crypto/us/latest/quotes", self.latest_quotes),
            ("/v2/stocks/snapshots", self.snapshots),
            ("/v1/corporate-actions", self.corporate_actions),
        ):
            app.router.add_get(path, answering(self._access, answer))

    async def bars(self, request: web.Request) -> object:
        query = request.query
        found = _TIMEFRAME.fullmatch(query.get("timeframe", ""))
        if found is None:
            raise Refusal(400, 40010001, f"invalid timeframe: {query.get('timeframe')}")
        interval = int(found[1]) * _UNITS[found[2]]
        now = self._house.clock.now()
        start = read_stamp(query["start"]) if "start" in query else now - DAY
        end = read_stamp(query["end"]) if "end" in query else now
        if end < start:
            raise Refusal(400, 40010001, "end should not be before start")
        limit = min(int(query.get("limit", "1000")), _MOST)
        rows = [
            (symbol, bar)
            for symbol in sorted(_symbols(request))
            for bar in self._past(symbol, interval)
            if start <= self._began(bar) <= end
        ]
        if query.get("sort") == "desc":
            rows.sort(key=lambda row: row[1].ts, reverse=True)
            rows.sort(key=lambda row: row[0])
        first = _offset(query.get("page_token"))
        page = rows[first : first + limit]
        more = first + limit if first + limit < len(rows) else None
        by_symbol: dict[str, list[Json]] = {}
        for symbol, bar in page:
            by_symbol.setdefault(symbol, []).append(bar_json(bar, self._began(bar)))
        return {"bars": by_symbol or None, "next_page_token": None if more is None else _token(more)}

    async def latest_bars(self, request: web.Request) -> object:
        rows = {s: self._past(s, MINUTE) for s in _symbols(request)}
        return {"bars": {s: bar_json(bars[-1], self._began(bars[-1])) for s, bars in rows.items() if bars}}

    async def latest_quotes(self, request: web.Request) -> object:
        return {"quotes": {s: quote_json(self._quotes[s]) for s in _symbols(request) if s in self._quotes}}

    async def snapshots(self, request: web.Request) -> object:
        found: Json = {}
        for symbol in _symbols(request):
            row: Json = {}
            bars = self._past(symbol, MINUTE)
            if bars:
                row["minuteBar"] = bar_json(bars[-1], self._began(bars[-1]))
            if symbol in self._quotes:
                row["latestQuote"] = quote_json(self._quotes[symbol])
            found[symbol] = row
        return found

    async def corporate_actions(self, request: web.Request) -> object:
        query = request.query
        start, end = query.get("start", "0000-00-00")[:10], query.get("end", "9999-99-99")[:10]
        groups: dict[str, list[Json]] = {}
        for action in self.actions:
            day = f"{new_york(action.ts):%Y-%m-%d}"
            if action.instrument in _symbols(request) and start <= day <= end:
                name, row = _action_json(action, day)
                groups.setdefault(name, []).append(row)
        return {"corporate_actions": groups, "next_page_token": None}

    def _past(self, symbol: str, interval: int) -> list[Bar]:
        """Return what is stored of an interval, and after it what the shorter bars make."""
        stored = self._bars.get((symbol, interval), {})
        bars = {ts: stored[ts] for ts in sorted(stored)}
        since = max(bars, default=0)
        shorter = [i for s, i in self._bars if s == symbol and i < interval and not interval % i]
        for bar in self._past(symbol, max(shorter)) if shorter else ():
            end = self._end(symbol, interval, bar.ts)
            if bar.ts > since and end is not None:
                bars[end] = _joined(bars.get(end), bar, interval, end)
        now = self._house.clock.now()
        return [bar for ts, bar in bars.items() if ts <= now]

    def _end(self, symbol: str, interval: int, ts: int) -> int | None:
        """Return when the bar that holds a moment ends; None outside of the sessions of a stock's days."""
        instrument = self._house.instruments.get(symbol)
        if interval != DAY or instrument is None or instrument.asset_class is not AssetClass.STOCK:
            return -(-ts // interval) * interval
        _, closes = sessions("XNYS").between(ts - 1, ts)
        return int(closes[0]) if len(closes) else None

    def _began(self, bar: Bar) -> int:
        """Return the time Alpaca gives a bar: its start; a stock's day begins at New York's midnight."""
        instrument = self._house.instruments.get(bar.instrument)
        is_stock = instrument is not None and instrument.asset_class is AssetClass.STOCK
        if bar.interval != DAY or not is_stock:
            return bar.ts - bar.interval
        calendar = sessions("XNYS")
        return calendar.day_start(calendar.day_of(bar.ts - 1))


def bar_json(bar: Bar, began: int) -> Json:
    return {
        "t": stamp(began),
        "o": bar.open,
        "h": bar.high,
        "l": bar.low,
        "c": bar.close,
        "v": bar.volume,
        "n": 1,
        "vw": (bar.open + bar.high + bar.low + bar.close) / 4,
    }


def quote_json(quote: Quote) -> Json:
    return {
        "t": stamp(quote.ts),
        "ax": "V",
        "ap": quote.ask,
        "as": quote.ask_qty,
        "bx": "V",
        "bp": quote.bid,
        "bs": quote.bid_qty,
        "c": ["R"],
        "z": "C",
    }


def _action_json(action: Split | Dividend, day: str) -> tuple[str, Json]:
    base: Json = {
        "id": id_of("action", f"{action.instrument}/{action.ts}"),
        "symbol": action.instrument,
        "cusip": "000000000",
        "ex_date": day,
        "record_date": day,
        "process_date": day,
    }
    if isinstance(action, Dividend):
        pays = f"{new_york(action.pays_at):%Y-%m-%d}"
        return "cash_dividends", base | {
            "rate": float(action.amount),
            "payable_date": pays,
            "special": False,
            "foreign": False,
        }
    rates: Json = {
        "new_rate": float(plain(action.ratio if action.ratio >= 1 else type(action.ratio)(1))),
        "old_rate": float(plain(1 / action.ratio)) if action.ratio < 1 else 1,
        "payable_date": day,
    }
    return ("forward_splits" if action.ratio >= 1 else "reverse_splits"), base | rates


def _joined(so_far: Bar | None, bar: Bar, interval: int, end: int) -> Bar:
    if so_far is None:
        return bar._replace(ts=end, interval=interval)
    return so_far._replace(
        high=max(so_far.high, bar.high),
        low=min(so_far.low, bar.low),
        close=bar.close,
        volume=so_far.volume + bar.volume,
    )


def _symbols(request: web.Request) -> set[str]:
    return {s for s in request.query.get("symbols", "").split(",") if s}


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(f"page|{offset}".encode()).decode()


def _offset(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token).decode().split("|")[1])
    except (ValueError, IndexError) as exc:
        raise Refusal(400, 40010001, "invalid page_token") from exc

"""Read an Alpaca account: cash, positions, open orders, trades and money that moved since a cursor.

Owns paging and cursors. A row that cannot be read is passed over where it is not ours, and makes the
account unreadable where it is: a missing position must not look like none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from tradebot.adapters.alpaca.parse import (
    Row,
    Symbols,
    Unreadable,
    amount,
    amount_or_none,
    is_pair,
    moment,
    order_of,
    orders_of,
    row_of,
    side_of,
    text,
    traded,
)
from tradebot.adapters.alpaca.refusals import is_absent
from tradebot.adapters.alpaca.rest import Json, Refused, Rest
from tradebot.core.messages import CashEvent
from tradebot.core.model import DAY, HOUR, MINUTE, SECOND, Fill, OrderKind
from tradebot.core.ports import Standing, VenueOrder, VenueSnapshot
from tradebot.core.recorder import target_id
from tradebot.errors import VenueUnreachable

T = TypeVar("T")

NEW_YORK: Final = ZoneInfo("America/New_York")
_OVERLAP = 5 * MINUTE  # trades may be listed late
_DAYS_BACK = 4 * DAY  # what moves money has a date only, and is listed days later
_CENT = Decimal("0.01")
_BLOCKS = ("trading_blocked", "account_blocked", "trade_suspended_by_user")
_ORDERS = 500
_PAGE = 100
_PAIRED_WITHIN = 5 * SECOND
_KEPT = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who the keys belong to. `problem` says why the account cannot trade, empty when it can."""

    account_id: str
    number: str
    problem: str


class Account:
    """What can be read of one account."""

    def __init__(self, rest: Rest, account: str, symbols: Symbols) -> None:
        self._rest = rest
        self._account = account
        self._symbols = symbols
        self._floor: int | None = None  # the first cursor: what happened before is never told
        self._past: set[str] = set()  # ids of what moved cash before the account was opened here
        self._client_ids: dict[str, str] = {}  # by venue id, for trades that name only that

    async def snapshot(self, since: int) -> VenueSnapshot:
        """Return everything. Trades are read last: what orders and positions show has been told by then."""
        clock = _object(await self._get("/clock"))
        now = _reading(lambda: moment(clock, "timestamp"))
        is_opening = self._floor is None and since > now - HOUR
        if self._floor is None:
            self._floor = since
        orders = await self._open_orders()
        positions = await self._positions()
        cash = await self._cash()
        flows = await self._flows(max(since - _DAYS_BACK, self._floor))
        rows = await self._activities("FILL", max(since - _OVERLAP, self._floor))
        fills = await self._fills(rows)
        if is_opening:
            # Rows of the day carry no hour: what is listed by now is in the cash that the account opened with.
            self._past = {event.venue_ref for event in flows}
        flows = [event for event in flows if event.venue_ref not in self._past]
        return VenueSnapshot(
            ts=now,
            orders=tuple(orders),
            positions=positions,
            cash={"USD": cash},
            cash_step=_CENT,
            fills=tuple(fills),
            events=tuple(flows),
            cursor=max((fill.ts for fill in fills), default=max(since, self._floor)),
        )

    async def find(self, client_order_id: str) -> VenueOrder | None:
        """Return an order by client id, working or over; None when Alpaca says that there is none."""
        target = target_id(client_order_id)
        row = await self._maybe("/orders:by_client_order_id", {"client_order_id": target or client_order_id})
        if row is None:
            return None
        if target is not None:
            return await self._stop_of(text(_object(row), "id"), client_order_id)
        found = _reading(lambda: order_of(row_of(row), self._symbols))
        self._note(found)
        heir = _object(row).get("replaced_by")
        if found.standing is Standing.REPLACED and isinstance(heir, str):
            return replace(found, by=await self._client_id(heir))
        return found

    async def _stop_of(self, venue_id: str, client_order_id: str) -> VenueOrder | None:
        """Return the stop that was sent as a pair with a target; None when that was sent alone."""
        row = await self._maybe(f"/orders/{venue_id}", {"nested": "true"})
        orders = [] if row is None else _reading(lambda: orders_of(row_of(row), self._symbols))
        for order in orders[1:]:
            if order.client_order_id == client_order_id:
                self._note(order)
                return order
        return None

    async def offset(self, now: Callable[[], int]) -> int:
        """Return by how many ns the venue's clock is ahead, seen from the middle of the question."""
        before = now()
        clock = _object(await self._get("/clock"))
        after = now()
        return _reading(lambda: moment(clock, "timestamp")) - (before + after) // 2

    async def identity(self) -> Identity:
        """Return whose account it is. Raises VenueUnreachable, PermissionRefused."""
        row = _object(await self._get("/account"))
        account_id, status = _reading(lambda: (text(row, "id"), text(row, "status")))
        problems = [name for name in _BLOCKS if row.get(name) is True]
        if status != "ACTIVE":
            problems.append(f"status {status}")
        return Identity(
            account_id=account_id,
            number=str(row.get("account_number") or ""),
            problem=", ".join(problems),
        )

    # --- pieces -----------------------------------------------------------------------------------

    async def _cash(self) -> Decimal:
        row = _object(await self._get("/account"))
        return _reading(lambda: amount(row, "cash"))

    async def _positions(self) -> dict[str, Decimal]:
        found: dict[str, Decimal] = {}
        for item in _rows(await self._get("/positions")):
            name = self._symbols.find(item.get("symbol"))
            if name is None:
                continue  # the owner's, in something that is not traded here
            qty = _reading(lambda: amount(item, "qty"), f"position of {name}")  # noqa: B023
            if item.get("side") == "short" and qty > 0:
                qty = -qty
            if qty:
                found[name] = qty
        return found

    async def _open_orders(self) -> list[VenueOrder]:
        found: dict[str, VenueOrder] = {}
        after: dict[str, str] = {}
        while True:
            params = {"status": "open", "limit": str(_ORDERS), "direction": "asc", "nested": "true"}
            page = _rows(await self._get("/orders", params | after))
            fresh = 0
            for row in page:
                try:
                    orders = orders_of(row, self._symbols)
                except Unreadable:
                    continue  # ours are then asked for by id; others' are not our business
                fresh += orders[0].venue_order_id not in found
                for order in orders:
                    found[order.venue_order_id] = order
                    self._note(order)
            if len(page) < _ORDERS or not fresh:
                return [order for order in found.values() if order.standing is Standing.WORKING]
            after = {"after": text(page[-1], "submitted_at")}

    async def _activities(self, kind: str, after: int) -> list[Row]:
        """Return the account's history of one kind, oldest first, without a gap between pages."""
        params = {"activity_types": kind} if kind == "FILL" else {"category": kind}
        params |= {"direction": "asc", "page_size": str(_PAGE)}
        if after > 0:
            params["after"] = stamp(after)
        found: dict[str, Row] = {}
        while True:
            page = _rows(await self._get("/account/activities", params))
            before = len(found)
            for row in page:
                found[_reading(lambda: text(row, "id"), "activity")] = row  # noqa: B023
            if len(page) < _PAGE or len(found) == before:
                return list(found.values())
            params["page_token"] = str(page[-1]["id"])

    async def _fills(self, rows: Iterable[Row]) -> list[Fill]:
        found: list[Fill] = []
        for row in rows:
            name = self._symbols.find(row.get("symbol"))
            if name is None:
                continue
            try:
                venue_id, cumulative = text(row, "order_id"), amount(row, "cum_qty")
                order = VenueOrder(
                    client_order_id=await self._client_id(venue_id),
                    venue_order_id=venue_id,
                    instrument=name,
                    side=side_of(row),
                    kind=OrderKind.MARKET,
                    qty=cumulative,
                    filled_qty=cumulative,
                    standing=Standing.WORKING,
                )
                ts = moment(row, "transaction_time")
                found.append(traded(row, order=order, cumulative=cumulative, ts=ts))
            except Unreadable as exc:
                raise VenueUnreachable(
                    f"a trade of {name} in Alpaca's history cannot be read: {exc}"
                ) from exc
        return found

    async def _flows(self, start: int) -> list[CashEvent]:
        """Return what moved cash since a day; rows have a date, and the hour of it only at times."""
        found: list[CashEvent] = []
        for row in await self._activities("non_trade_activity", start - 2 * DAY):
            try:
                moved = amount_or_none(row, "net_amount")
                if not moved or row.get("status") in ("canceled", "rejected") or not _is_since(row, start):
                    continue
                kind = text(row, "activity_type")
                found.append(
                    CashEvent(
                        ts=_when(row),
                        account=self._account,
                        asset="USD",
                        amount=moved,
                        because=_WORDS.get(kind, str(row.get("description") or kind)),
                        venue_ref=text(row, "id"),
                        instrument=self._symbols.find(row.get("symbol")) or "",
                    )
                )
            except Unreadable as exc:
                raise VenueUnreachable(f"money that moved at Alpaca cannot be read: {exc}") from exc
        return found

    async def _client_id(self, venue_id: str) -> str:
        """Return the client id of an order that is named by the venue's, "" when there is none."""
        known = self._client_ids.get(venue_id)
        if known is None:
            row = await self._maybe(f"/orders/{venue_id}", {})
            known = "" if row is None else str(_object(row).get("client_order_id") or "")
            if row is not None and is_pair(_object(row)):
                await self._note_pairs(_object(row))
                known = self._client_ids.get(venue_id, known)
            self._remember(venue_id, known)  # last: a stop's own id, taken for ours, makes it somebody else's
        return known

    async def _note_pairs(self, half: Row) -> None:
        """Learn whose stop it is: no order names the one it came with, so those of the moment are listed."""
        sent = _reading(lambda: moment(half, "submitted_at"))
        params = {
            "status": "all",
            "symbols": text(half, "symbol"),
            "after": stamp(sent - _PAIRED_WITHIN),
            "until": stamp(sent + _PAIRED_WITHIN),
            "limit": str(_ORDERS),
            "direction": "asc",
            "nested": "true",
        }
        for row in _rows(await self._get("/orders", params)):
            for order in _reading(lambda: orders_of(row, self._symbols)):  # noqa: B023
                self._note(order)

    def _note(self, order: VenueOrder) -> None:
        self._remember(order.venue_order_id, order.client_order_id)

    def _remember(self, venue_id: str, client_id: str) -> None:
        self._client_ids[venue_id] = client_id
        while len(self._client_ids) > _KEPT:
            del self._client_ids[next(iter(self._client_ids))]

    async def _maybe(self, path: str, params: dict[str, str]) -> Json | None:
        try:
            return await self._rest.get(path, params)
        except Refused as exc:
            if is_absent(exc.said):
                return None
            raise VenueUnreachable(f"Alpaca did not answer {path}: {exc}") from exc

    async def _get(self, path: str, params: dict[str, str] | None = None) -> Json:
        try:
            return await self._rest.get(path, params)
        except Refused as exc:
            raise VenueUnreachable(f"Alpaca did not answer {path}: {exc}") from exc


_WORDS = {
    "DIV": "dividend",
    "INT": "interest",
    "FEE": "fee",
    "CFEE": "crypto fee",
    "CSD": "deposit",
    "CSW": "withdrawal",
}


def stamp(ts: int) -> str:
    """Return RFC 3339 in UTC with nine decimals."""
    seconds, rest = divmod(ts, SECOND)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z"


def _hour(row: Row) -> int | None:
    """Return when something happened to the second, None where the row has a date only."""
    for name in ("created_at", "transaction_time"):
        if isinstance(row.get(name), str):
            return moment(row, name)
    return None


def _when(row: Row) -> int:
    hour = _hour(row)
    return new_york_midnight(text(row, "date")) if hour is None else hour


def _is_since(row: Row, start: int) -> bool:
    hour = _hour(row)
    return _when(row) + DAY > start if hour is None else hour >= start


def new_york_midnight(day: str) -> int:
    """Return when a date began in New York. Raises Unreadable."""
    try:
        found = datetime.combine(date.fromisoformat(day), datetime.min.time(), NEW_YORK)
    except ValueError:
        raise Unreadable(f"a date must be YYYY-MM-DD, was {day!r}") from None
    return int(found.timestamp()) * SECOND


def _rows(answer: Json) -> list[Row]:
    if answer is None:
        return []
    if not isinstance(answer, list):
        raise VenueUnreachable(f"Alpaca must answer with a list, answered with {type(answer).__name__}")
    return [_object(row) for row in answer]


def _object(answer: Json) -> Row:
    return _reading(lambda: row_of(answer))


def _reading(read: Callable[[], T], what: str = "answer") -> T:
    try:
        return read()
    except Unreadable as exc:
        raise VenueUnreachable(f"Alpaca's {what} cannot be read: {exc}") from exc

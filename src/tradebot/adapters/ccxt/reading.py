"""Read an account at an exchange: open orders, trades, balances, deposits; each question until it is answered.

Owns paging, and what is left out because it is not ours to see. What is not understood is counted and makes
the reading fail: half a snapshot would be taken for the whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, ParamSpec, TypeVar

from tradebot.adapters.ccxt.known import Known
from tradebot.adapters.ccxt.library import Exchange, Reply
from tradebot.adapters.ccxt.refusals import Meaning
from tradebot.adapters.ccxt.symbols import Symbols, amount
from tradebot.adapters.ccxt.wire import MS, fill_of, order_of
from tradebot.core.messages import CashEvent
from tradebot.core.model import SECOND, Fill
from tradebot.core.ports import VenueOrder
from tradebot.errors import BadData, PermissionRefused, VenueUnreachable

P = ParamSpec("P")
T = TypeVar("T")

PAGE = 1000
_MOST_PAGES = 200
_FEW = 10  # markets that are asked one by one; of more, all are asked for at once


class Reader:
    """The questions to one account. `quarantined` counts what could not be understood."""

    def __init__(self, exchange: Exchange, symbols: Symbols, known: Known, account: str) -> None:
        self._exchange = exchange
        self._symbols = symbols
        self._known = known
        self._account = account
        self._has_events = True
        self.quarantined = 0
        self.fee_assets: dict[str, None] = {}

    # --- orders -----------------------------------------------------------------------------------------

    async def open_orders(self) -> tuple[VenueOrder, ...]:
        """Return the working orders in our markets, whoever sent them."""
        markets = [symbol for _, symbol in self._symbols]
        asked: Sequence[str | None] = markets if len(markets) <= _FEW else [None]
        rows: list[Any] = []
        for symbol in asked:
            rows += _rows(await self._exchange.read("fetch_open_orders", symbol))
        found = [self._understood(self._noted, row) for row in rows]
        return tuple(order for order in found if order is not None)

    async def find(self, client_id: str) -> VenueOrder | None:
        """Return an order by our id, working or over; None when the exchange says that it has none."""
        known = self._known.order(client_id)
        symbols = [known.symbol] if known is not None else [symbol for _, symbol in self._symbols]
        for symbol in symbols:
            row = await self._row(client_id, symbol, "" if known is None else known.venue_id)
            if row is not None:
                return self._understood(self._noted, row, client_id)
        return None

    async def _row(self, client_id: str, symbol: str, venue_id: str) -> Any | None:
        if self._exchange.declared.finds_by_client_id:
            asked = (None, symbol, {"clientOrderId": client_id})
            reply = await self._exchange.read("fetch_order", *asked, is_urgent=True)
            return None if reply.meaning is Meaning.GONE else reply.value
        if venue_id:
            reply = await self._exchange.read("fetch_order", venue_id, symbol, is_urgent=True)
            return None if reply.meaning is Meaning.GONE else reply.value
        for has, method in (
            ("fetchOpenOrders", "fetch_open_orders"),
            ("fetchClosedOrders", "fetch_closed_orders"),
            ("fetchCanceledOrders", "fetch_canceled_orders"),
        ):
            if self._exchange.has(has):
                rows = _rows(await self._exchange.read(method, symbol, is_urgent=True))
                for row in rows:
                    if isinstance(row, Mapping) and row.get("clientOrderId") == client_id:
                        return row
        return None

    def _noted(self, row: Any, client_id: str = "") -> VenueOrder | None:
        order = order_of(row, self._symbols, self._exchange.id, client_id)
        if order is not None:
            symbol = self._symbols.symbol(order.instrument)
            self._known.match(symbol, order.venue_order_id, order.client_order_id)
            if client_id:
                self._known.add(client_id, symbol, order.venue_order_id)
        return order

    # --- trades -----------------------------------------------------------------------------------------

    async def trades(self, since: int) -> list[Fill]:
        """Return this account's trades in our markets from `since` (ns) on, oldest first."""
        found: list[Fill] = []
        for _, symbol in self._symbols:
            found += await self.trades_of(symbol, since)
        return sorted(found, key=_age)

    async def trades_of(self, symbol: str, since: int) -> list[Fill]:
        """Return this account's trades in one market.

        Raises VenueUnreachable when there are more of one millisecond than the exchange can show.
        """
        row = self._exchange.declared
        fills: dict[str, Fill] = {}
        start = max(since // MS, 1)
        words: tuple[object, ...] = (symbol, start, PAGE)
        for _ in range(_MOST_PAGES):
            rows = _rows(await self._exchange.read("fetch_my_trades", *words))
            before, latest = len(fills), start
            for fill in await self._fills(symbol, rows):
                fills[fill.fill_id] = fill
                latest = max(latest, fill.ts // MS)
            if len(fills) == before or (len(rows) < PAGE and row.has_full_pages):
                return sorted(fills.values(), key=_age)
            if row.trades_from:
                words = (symbol, None, PAGE, {row.trades_from: str(_last_id(rows) + 1)})
            elif len(rows) >= PAGE and latest == start:
                break
            else:
                start = latest  # the same millisecond again: it may hold more than was shown
                words = (symbol, start, PAGE)
        raise VenueUnreachable(f"{self._exchange.id}: more trades of {symbol} than it can show")

    async def trades_for(self, order: VenueOrder) -> list[Fill]:
        """Return the trades of one order of ours."""
        symbol = self._symbols.symbol(order.instrument)
        if self._exchange.has("fetchOrderTrades"):
            words: tuple[object, ...] = ("fetch_order_trades", order.venue_order_id, symbol)
        else:
            words = ("fetch_my_trades", symbol)
        self._known.match(symbol, order.venue_order_id, order.client_order_id)
        method, *rest = words
        rows = _rows(await self._exchange.read(str(method), *rest, is_urgent=True))
        found = await self._fills(symbol, rows)
        return [fill for fill in found if fill.client_order_id == order.client_order_id]

    async def _fills(self, symbol: str, rows: Sequence[Any]) -> list[Fill]:
        found: list[Fill] = []
        await self._learn(symbol, rows)
        for row in rows:
            client_id = await self._whose(symbol, row)
            fill = self._understood(fill_of, row, self._symbols, client_id)
            if fill is not None:
                self.note_fee(fill)
                found.append(fill)
        return found

    def note_fee(self, fill: Fill) -> None:
        """Remember in which assets fees were taken: the account's amounts of them are ours to see."""
        instrument = self._symbols.instruments[fill.instrument]
        if (
            fill.fee_asset
            and fill.client_order_id
            and fill.fee_asset not in (instrument.base, instrument.quote)
        ):
            self.fee_assets[fill.fee_asset] = None

    async def _learn(self, symbol: str, rows: Sequence[Any]) -> None:
        """Ask for many unknown orders at once, where that can be done."""
        ids = {row.get("order") for row in rows if isinstance(row, Mapping)}
        unknown = sorted(
            int(i)
            for i in ids
            if isinstance(i, str) and i.isdigit() and self._known.client_id(symbol, i) is None
        )
        since = self._exchange.declared.orders_from
        while len(unknown) > _FEW and since:
            words = (symbol, None, PAGE, {since: str(unknown[0])})
            reply = await self._exchange.read("fetch_orders", *words)
            seen = -1
            for raw in _rows(reply):
                venue_id = raw.get("id") if isinstance(raw, Mapping) else None
                if isinstance(venue_id, str) and venue_id.isdigit():
                    seen = max(seen, int(venue_id))
                    self._known.match(symbol, venue_id, str(raw.get("clientOrderId") or ""))
            if seen < unknown[0]:
                return
            unknown = [i for i in unknown if i > seen]

    async def _whose(self, symbol: str, row: Any) -> str:
        venue_id = row.get("order") if isinstance(row, Mapping) else None
        if not isinstance(venue_id, str) or not venue_id:
            return ""
        known = self._known.client_id(symbol, venue_id)
        if known is not None:
            return known
        reply = await self._exchange.read("fetch_order", venue_id, symbol, is_urgent=True)
        raw = reply.value if isinstance(reply.value, Mapping) else {}
        client_id = raw.get("clientOrderId")
        if reply.meaning is not Meaning.GONE and raw.get("id") != venue_id:
            self.quarantined += 1
            raise VenueUnreachable(
                f"{self._exchange.id}: order {venue_id} was asked for, something else came"
            )
        found = client_id if isinstance(client_id, str) else ""
        self._known.match(symbol, venue_id, found)
        return found

    # --- money ------------------------------------------------------------------------------------------

    async def check_key(self, account_id: str, *, is_live: bool) -> None:
        """Raise PermissionRefused for keys of another account, or that may withdraw real money.

        Asked once. What an exchange does not tell is not checked.
        """
        row = self._exchange.declared
        if account_id and row.account_key:
            value = (await self._exchange.read("fetch_balance")).value
            info = value.get("info") if isinstance(value, Mapping) else None
            found = str(info.get(row.account_key, "")) if isinstance(info, Mapping) else ""
            if found != account_id:
                raise PermissionRefused(
                    f"the keys must be those of account {account_id} at {self._exchange.id}, they are of {found or 'no account it names'}"
                )
        if is_live and row.withdraws:
            method, field = row.withdraws
            reply = await self._exchange.ask(method)
            if isinstance(reply.value, Mapping) and reply.value.get(field) is True:
                raise PermissionRefused(
                    f"the key at {self._exchange.id} must not be able to withdraw, it is: make one that may read and trade only"
                )

    async def balances(self) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
        """Return positions by instrument and cash by asset, of the assets that we trade or pay fees in.

        What else lies in the account is nobody's business here.
        """
        value = (await self._exchange.read("fetch_balance")).value
        totals = value.get("total") if isinstance(value, Mapping) else None
        if not isinstance(totals, Mapping):
            self.quarantined += 1
            raise VenueUnreachable(f"{self._exchange.id}: balances must have totals, had none")
        positions: dict[str, Decimal] = {}
        cash: dict[str, Decimal] = {}
        instruments = self._symbols.instruments.values()
        bases = {inst.base: inst.id for inst in instruments}
        for asset in [*bases, *(inst.quote for inst in instruments), *self.fee_assets]:
            total = self._understood(amount, totals.get(asset))
            if total and asset in bases:
                positions[bases[asset]] = total
            elif total:
                cash[asset] = total
        return positions, cash

    async def events(self, since: int) -> tuple[CashEvent, ...]:
        """Return deposits and withdrawals of the assets that we pay with, fees too; none where the key may not see them.

        Those of a traded asset change a quantity without a price: they are left to be found as a difference.
        """
        found: list[CashEvent] = []
        quotes = {inst.quote for inst in self._symbols.instruments.values()} | set(self.fee_assets)
        for has, method in (("fetchDeposits", "fetch_deposits"), ("fetchWithdrawals", "fetch_withdrawals")):
            if not self._has_events or not self._exchange.has(has):
                continue
            # Of a whole second: a time is told to the second, and ccxt drops what lies before the one asked for.
            start = max(since // SECOND * 1000, 1) if since else None
            reply = await self._exchange.ask(method, None, start)
            if reply.meaning in (Meaning.AUTH, Meaning.REFUSED):
                self._has_events = False
                continue
            if reply.said is not None:
                raise VenueUnreachable(f"{self._exchange.id} {method}: {reply.said.text}")
            sign = -1 if method == "fetch_withdrawals" else 1
            for row in _rows(reply):
                event = self._understood(self._event, row, quotes, sign)
                if event is not None and event.ts >= since:
                    found.append(event)
        return tuple(sorted(found, key=lambda event: event.ts))

    def _event(self, row: Any, quotes: set[str], sign: int) -> CashEvent | None:
        if not isinstance(row, Mapping):
            raise BadData("a transfer must be a record")
        asset, ref, ts = row.get("currency"), row.get("id") or row.get("txid"), row.get("timestamp")
        if asset not in quotes or row.get("status") != "ok":
            return None
        qty = amount(row.get("amount"))
        fee = row.get("fee")
        cost = amount(fee.get("cost")) if isinstance(fee, Mapping) and sign < 0 else None
        if qty is None or qty <= 0 or not isinstance(ref, str) or not isinstance(ts, int):
            raise BadData(f"a transfer must have an amount, an id and a time, was {qty}, {ref!r}, {ts!r}")
        because = "deposit" if sign > 0 else "withdrawal"
        return CashEvent(
            ts=ts * MS,
            account=self._account,
            asset=str(asset),
            amount=sign * (qty + (cost or 0)),
            because=because,
            venue_ref=f"{because}:{ref}",
        )

    def _understood(self, read: Callable[P, T], *args: P.args, **words: P.kwargs) -> T:
        try:
            return read(*args, **words)
        except BadData as exc:
            self.quarantined += 1
            raise VenueUnreachable(
                f"{self._exchange.id} said something that is not understood: {exc}"
            ) from exc


def _age(fill: Fill) -> tuple[int, int, str]:
    # Within a millisecond by the exchange's count: ccxt sorts the numbers as texts.
    return fill.ts, len(fill.fill_id), fill.fill_id


def _last_id(rows: Sequence[Any]) -> int:
    ids = [row.get("id") for row in rows if isinstance(row, Mapping)]
    return max((int(i) for i in ids if isinstance(i, str) and i.isdigit()), default=0)


def _rows(reply: Reply) -> list[Any]:
    """Return the rows of an answer. Raises VenueUnreachable when some of them got lost in the reading."""
    if not isinstance(reply.value, list):
        raise VenueUnreachable(f"a list must come, came {type(reply.value).__name__}")
    if reply.body.lstrip().startswith("["):
        sent = len(json.loads(reply.body))
        if sent != len(reply.value):
            raise VenueUnreachable(f"{sent} rows came, {len(reply.value)} of them could be read")
    return list(reply.value)

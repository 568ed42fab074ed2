"""Be one account at one exchange of ccxt behind the venue port.

Owns the fate of orders: what was sent once is acknowledged, refused by the exchange's own code, or unknown.
An end is never told before the trades that led to it. Streams are `private`'s, reading is `reading`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from tradebot.adapters.ccxt import pairs
from tradebot.adapters.ccxt.capability import rests_stops
from tradebot.adapters.ccxt.known import Known
from tradebot.adapters.ccxt.library import Exchange, Reply
from tradebot.adapters.ccxt.private import Private
from tradebot.adapters.ccxt.reading import Reader
from tradebot.adapters.ccxt.refusals import Meaning
from tradebot.adapters.ccxt.symbols import Symbols
from tradebot.adapters.ccxt.wire import MS, call_of, fill_of, order_of, refusal
from tradebot.core.messages import (
    ReplaceOrder,
    SubmitPair,
    VenueAcked,
    VenueCanceled,
    VenueCancelRefused,
    VenueExpired,
    VenueFilled,
    VenueRefused,
    VenueReport,
    VenueUnknown,
)
from tradebot.core.model import SECOND, Fill, Instrument, Order, OrderKind, Purpose
from tradebot.core.ports import LinkEvent, Standing, VenueOrder, VenueSnapshot
from tradebot.core.resting import Beside, Resting
from tradebot.errors import BadData, RateLimited, VenueError

OVERLAP = 60 * SECOND  # a look reaches back beyond the last one: what was late is not missed
_NO_REPLACE = "an exchange does not replace an order in one step: it is cancelled, then sent anew"


class CcxtVenue:
    """One account at one exchange.

    `is_ours` tells client ids of this installation, so that trades of orders sent before a restart are
    told by the stream, too. `since` (ns): what happened before is not looked at. `account_id` is the exchange's
    own id of the account, compared before the first look; `is_live`: its money is real.
    """

    absence_is_proof = False
    can_replace = False

    def __init__(
        self,
        exchange: Exchange,
        symbols: Symbols,
        account: str,
        *,
        is_ours: Callable[[str], bool] = lambda client_id: False,
        since: int = 0,
        account_id: str = "",
        is_live: bool = False,
    ) -> None:
        self.account = account
        self.id_policy = exchange.declared.id_policy
        self.resting = Resting(beside=Beside.ADDING, pairs=bool(exchange.declared.sends_pair))
        self.known = Known()
        self.reader = Reader(exchange, symbols, self.known, account)
        self._exchange = exchange
        self._symbols = symbols
        self._is_ours = is_ours
        self._since = since
        self._account_id, self._is_live = account_id, is_live
        self._is_checked = False
        self._sink: Callable[[VenueReport], None] | None = None
        self.private = Private(exchange, self._stream_order, self._stream_trade)

    def listen(self, sink: Callable[[VenueReport], None]) -> None:
        self._sink = sink

    # --- sending ----------------------------------------------------------------------------------------

    async def submit(self, order: Order) -> VenueReport | None:
        order_id, why = order.client_order_id, self._inability(order)
        if why:
            return self._refused(order_id, f"not sent: {why}")
        call = call_of(order, self._symbols)
        known = self.known.add(order_id, call.symbol)
        if known.was_sent:
            return self._unknown(order_id, "it was sent before, and nothing is sent twice")
        known.was_sent = True
        words = (call.symbol, call.kind, call.side, call.qty, call.price, dict(call.params))
        is_urgent = order.reduce_only or order.purpose in (Purpose.PROTECT, Purpose.FLATTEN)
        reply = await self._send("create_order", *words, is_urgent=is_urgent)
        if reply.said is not None:
            return self._not_taken(order_id, reply)
        raw = reply.value
        venue_id = raw.get("id") if isinstance(raw, Mapping) else None
        if (
            not isinstance(venue_id, str)
            or not venue_id
            or raw.get("clientOrderId") not in (order_id, None, "")
        ):
            # A page with status 200 looks like this, and the order may stand all the same.
            return self._unknown(order_id, "the answer names no order of ours")
        return self._taken(order_id, call.symbol, venue_id, raw)

    async def submit_pair(self, pair: SubmitPair) -> tuple[VenueReport, ...]:
        """Send a target and its stop in one request, once."""
        why = pairs.refusal(pair) or next(filter(None, map(self._inability, pair.orders)), "")
        if why:
            return tuple(self._refused(o.client_order_id, f"not sent: {why}") for o in pair.orders)
        symbol = self._symbols.symbol(pair.target.instrument)
        for order in pair.orders:
            known = self.known.add(order.client_order_id, symbol)
            if known.was_sent:
                text = "it was sent before, and nothing is sent twice"
                return tuple(self._unknown(o.client_order_id, text) for o in pair.orders)
            known.was_sent = True
        words = pairs.binance_words(pair, self._exchange.market_id(symbol))
        reply = await self._send(self._exchange.declared.sends_pair, words, is_urgent=True)
        if reply.said is not None:
            return tuple(self._not_taken(o.client_order_id, reply) for o in pair.orders)
        named = pairs.ids_of(reply.value)
        reports = (self._paired(o.client_order_id, symbol, named) for o in pair.orders)
        return tuple(report for report in reports if report is not None)

    async def _send(self, method: str, *words: object, is_urgent: bool) -> Reply:
        reply = await self._exchange.ask(method, *words, is_urgent=is_urgent)
        if reply.meaning is Meaning.CLOCK:
            with suppress(VenueError):
                await self._exchange.offset()  # for the next one; this one is over
        return reply

    def _paired(self, order_id: str, symbol: str, named: Mapping[str, str]) -> VenueReport | None:
        if order_id not in named:
            return self._unknown(order_id, "the answer names no order of ours")
        venue_id = named[order_id]
        self.known.add(order_id, symbol, venue_id).is_acked = True
        acked = VenueAcked(ts=self._exchange.now(), client_order_id=order_id, venue_order_id=venue_id)
        if self._sink is None:
            return acked
        self._sink(acked)
        for trade in self.known.held(symbol, venue_id):
            self._tell_trade(trade, order_id)
        return None

    def _inability(self, order: Order) -> str:
        instrument = self._symbols.instruments.get(order.instrument)
        if instrument is None:
            return f"{order.instrument} is not traded at {self._exchange.id}"
        return refusal(order, instrument, self._exchange.declared)

    def _taken(self, order_id: str, symbol: str, venue_id: str, raw: Mapping[str, Any]) -> VenueReport | None:
        self.known.add(order_id, symbol, venue_id).is_acked = True
        acked = VenueAcked(ts=self._exchange.now(), client_order_id=order_id, venue_order_id=venue_id)
        if self._sink is None:
            return acked
        self._sink(acked)
        for trade in (*self._trades_within(raw), *self.known.held(symbol, venue_id)):
            self._tell_trade(trade, order_id)
        end = self._read_order(raw, order_id)
        if end is not None and self._is_all_told(end):
            self._tell_end(end)
        return None

    def _not_taken(self, order_id: str, reply: Reply) -> VenueReport:
        assert reply.said is not None
        if not reply.was_sent:
            return self._refused(order_id, f"not sent: {reply.said.text}")
        if reply.meaning is Meaning.AUTH:
            self.private.doubt(f"keys refused: {reply.said.text}")
        if reply.said.meaning.is_proof:
            return self._refused(order_id, reply.said.text)
        return self._unknown(order_id, reply.said.text)

    async def cancel(self, client_order_id: str) -> VenueReport | None:
        try:
            return await self._cancel(client_order_id)
        except RateLimited as exc:
            return self._cancel_refused(client_order_id, str(exc))
        except VenueError:
            return None  # it stays pending; a later look finds what became of it

    async def _cancel(self, order_id: str) -> VenueReport | None:
        known = self.known.order(order_id)
        if known is None or (not known.venue_id and not self._exchange.declared.finds_by_client_id):
            found = await self.reader.find(order_id)
            if found is None:
                return self._cancel_refused(order_id, "the exchange does not know the order")
            known = self.known.add(order_id, self._symbols.symbol(found.instrument), found.venue_order_id)
        if self._exchange.declared.finds_by_client_id:
            words: tuple[object, ...] = (None, known.symbol, {"clientOrderId": order_id})
        else:
            words = (known.venue_id, known.symbol)
        reply = await self._exchange.ask("cancel_order", *words, is_urgent=True)
        if reply.meaning is Meaning.CLOCK:
            await self._exchange.offset()
            reply = await self._exchange.ask("cancel_order", *words, is_urgent=True)
        if reply.said is None or reply.meaning is Meaning.GONE:
            return await self._after_cancel(order_id)
        if reply.said.meaning.is_proof or not reply.was_sent:
            return self._cancel_refused(order_id, reply.said.text)
        return None

    async def _after_cancel(self, order_id: str) -> VenueReport | None:
        """Say what a cancel came to: only after the trades that the order had until then."""
        found = await self.reader.find(order_id)
        if found is None:
            return self._cancel_refused(order_id, "the exchange does not know the order")
        if found.standing is Standing.WORKING:
            return None  # asked for, not done
        await self._end(found)
        if found.standing is Standing.FILLED:
            return self._cancel_refused(order_id, "it has traded whole")
        return None

    async def replace(self, command: ReplaceOrder) -> tuple[VenueReport, ...]:
        gone = self._cancel_refused(command.client_order_id, _NO_REPLACE)
        return (gone, self._refused(command.order.client_order_id, _NO_REPLACE))

    # --- asked ------------------------------------------------------------------------------------------

    async def snapshot(self, since: int) -> VenueSnapshot:
        """As the port says; the first one raises PermissionRefused for keys that must not be used."""
        began = self._exchange.now()
        if not self._is_checked:
            await self.reader.check_key(self._account_id, is_live=self._is_live)
            self._is_checked = True
            if since > began - OVERLAP:
                self._since = since  # an account that is opened: what was before is in what it holds
        since = max(since, self._since)
        orders = await self.reader.open_orders()
        fills = await self.reader.trades(since)
        positions, cash = await self.reader.balances()
        events = await self.reader.events(since)
        self.private.compare(
            [f for f in fills if self._is_mine(f.client_order_id) and not self.known.was_told(f)]
        )
        return VenueSnapshot(
            ts=self._exchange.now(),
            orders=orders,
            positions=positions,
            cash=cash,
            fills=tuple(fills),
            events=events,
            cursor=max(began - OVERLAP, 1),
        )

    async def find(self, client_order_id: str) -> VenueOrder | None:
        return await self.reader.find(client_order_id)

    def cannot_rest(self, kind: OrderKind, instrument: Instrument) -> str:
        """Return why a protective order of this kind cannot rest at the exchange; "" when it can."""
        if kind is OrderKind.STOP and not rests_stops(self._exchange):
            return f"{self._exchange.id} has no stop orders"
        return self._exchange.declared.refuses.get(kind, "")

    async def offset(self) -> int:
        return await self._exchange.offset()

    async def run(self, sink: Callable[[LinkEvent], None]) -> None:
        await self.private.run(sink)

    async def close(self) -> None:
        await self._exchange.close()

    # --- what the private stream says -------------------------------------------------------------------

    def _is_mine(self, order_id: str) -> bool:
        return bool(order_id) and (self.known.order(order_id) is not None or self._is_ours(order_id))

    def _stream_trade(self, raw: Mapping[str, Any], client_id: str) -> None:
        symbol, venue_id = str(raw.get("symbol")), str(raw.get("order"))
        order_id = client_id or self.known.client_id(symbol, venue_id)
        if order_id is None:
            self.known.hold(symbol, venue_id, raw)
        elif self._is_mine(order_id):
            self._tell_trade(raw, order_id)

    async def _stream_order(self, raw: Mapping[str, Any]) -> None:
        order = self._read_order(raw, "")
        if order is None or not self._is_mine(order.client_order_id):
            return
        symbol = self._symbols.symbol(order.instrument)
        known = self.known.add(order.client_order_id, symbol, order.venue_order_id)
        if not known.is_acked and self._sink is not None and order.standing is not Standing.REJECTED:
            known.is_acked = True
            now, order_id = self._exchange.now(), order.client_order_id
            self._sink(VenueAcked(ts=now, client_order_id=order_id, venue_order_id=order.venue_order_id))
        for trade in self.known.held(symbol, order.venue_order_id):
            self._tell_trade(trade, order.client_order_id)
        if order.standing is not Standing.WORKING:
            await self._end(order)
        elif not self._exchange.has("watchMyTrades"):
            await self._catch_up(order)

    async def _end(self, order: VenueOrder) -> None:
        """Tell an order's last trades, then its end; without the trades nothing is told."""
        await self._catch_up(order)
        if self._is_all_told(order):
            self._tell_end(order)

    async def _catch_up(self, order: VenueOrder) -> None:
        """Read and tell the trades that an order has had and that were not told; if it cannot be now, later."""
        if self._is_all_told(order):
            return
        try:
            for fill in await self.reader.trades_for(order):
                self._tell(fill)
        except VenueError:
            return

    def _is_all_told(self, order: VenueOrder) -> bool:
        known = self.known.order(order.client_order_id)
        return known is not None and known.told >= order.filled_qty

    # --- telling ----------------------------------------------------------------------------------------

    def _trades_within(self, raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return the trades that came with the answer to an order: they say less than others do."""
        trades = raw.get("trades")
        rows = [t for t in trades if isinstance(t, Mapping)] if isinstance(trades, list) else []
        ts = raw.get("lastUpdateTimestamp") or raw.get("timestamp") or self._exchange.now() // MS
        return [
            {
                **t,
                "symbol": raw.get("symbol"),
                "side": t.get("side") or raw.get("side"),
                "timestamp": t.get("timestamp") or ts,
            }
            for t in rows
        ]

    def _tell_trade(self, raw: Mapping[str, Any], order_id: str) -> None:
        try:
            fill = fill_of(raw, self._symbols, order_id)
        except BadData as exc:
            self.private.doubt(f"a trade was not understood: {exc}")
            self.reader.quarantined += 1
            return
        if fill is not None:
            self._tell(fill)

    def _tell(self, fill: Fill) -> None:
        self.reader.note_fee(fill)
        if self.known.is_new(fill) and self._sink is not None:
            self._sink(VenueFilled(ts=fill.ts, fill=fill))

    def _tell_end(self, order: VenueOrder) -> None:
        known = self.known.order(order.client_order_id)
        if known is None or known.is_over or self._sink is None:
            return
        now, order_id = self._exchange.now(), order.client_order_id
        report: VenueReport
        if order.standing is Standing.CANCELED:
            report = VenueCanceled(ts=now, client_order_id=order_id)
        elif order.standing is Standing.EXPIRED:
            report = VenueExpired(ts=now, client_order_id=order_id)
        elif order.standing is Standing.REJECTED and not order.filled_qty:
            report = VenueRefused(ts=now, client_order_id=order_id, reason="rejected by the exchange")
        else:
            return  # filled: its trades have said so
        known.is_over = True
        self._sink(report)

    def _read_order(self, raw: object, order_id: str) -> VenueOrder | None:
        try:
            return order_of(raw, self._symbols, self._exchange.id, order_id)
        except BadData:
            self.reader.quarantined += 1
            return None  # what became of it is read

    def _refused(self, order_id: str, reason: str) -> VenueRefused:
        return VenueRefused(ts=self._exchange.now(), client_order_id=order_id, reason=reason)

    def _unknown(self, order_id: str, reason: str) -> VenueUnknown:
        return VenueUnknown(ts=self._exchange.now(), client_order_id=order_id, reason=reason)

    def _cancel_refused(self, order_id: str, reason: str) -> VenueCancelRefused:
        return VenueCancelRefused(ts=self._exchange.now(), client_order_id=order_id, reason=reason)

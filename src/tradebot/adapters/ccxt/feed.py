"""Give an exchange's live market data behind the feed port: closed bars, quotes, what trades and what does not.

Owns the connection's life: what is watched, when it counts as standing, when silence means that it is lost.
When a bar is closed is `closing`'s, the past is `candles`'.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from tradebot.adapters.ccxt.candles import CandleReader, bar_of, intervals_of
from tradebot.adapters.ccxt.closing import Closer
from tradebot.adapters.ccxt.library import ENDINGS, Exchange
from tradebot.adapters.ccxt.pauses import Pauses
from tradebot.adapters.ccxt.symbols import Symbols, symbols_of
from tradebot.adapters.ccxt.wire import MS
from tradebot.core.market import problem_of
from tradebot.core.messages import Dividend, Split
from tradebot.core.model import DAY, Bar, Instrument, Quote
from tradebot.core.ports import BarClosed, Connected, Disconnected, FeedEvent, Series, SymbolStatus, Trading
from tradebot.errors import VenueError

_DIAL_S = 10.0
_MUTE_S = 60.0  # without one word over all sockets the connection counts as lost
_LONGEST_MUTE_S = 900.0
_STATUS_S = 60.0
Sink = Callable[[FeedEvent], None]


class CcxtFeed:
    """Market data of one exchange; needs no keys. `mute_s` and `status_s` are its patience, in seconds."""

    def __init__(self, exchange: Exchange, *, mute_s: float = _MUTE_S, status_s: float = _STATUS_S) -> None:
        self.name = exchange.id
        self.quarantined = 0
        self._exchange = exchange
        self._mute_s = mute_s
        self._status_s = status_s
        self._symbols = Symbols(exchange.id, {}, {})
        self._closers: dict[tuple[str, str], Closer] = {}
        self._said: dict[str, Trading] = {}
        self._latest: dict[str, int] = {}
        self._heard = asyncio.Event()
        self._end = asyncio.Event()
        self._patience = mute_s
        exchange.on_message(self._heard.set)
        exchange.on_candle(self._closed_by_flag)
        exchange.on_stream(self._told_off)

    # --- asked ------------------------------------------------------------------------------------------

    async def instruments(self, names: Sequence[str]) -> dict[str, Instrument]:
        await self._exchange.read("load_markets")
        raw = self._exchange.raw
        found = symbols_of(self._exchange.id, raw.markets, names, raw.precisionMode)
        self._symbols = self._symbols.joined(found)
        return found.instruments

    async def _learn(self, wanted: Sequence[Series]) -> None:
        """Know what is followed: an account may go on with what an earlier start had been told."""
        if any(not self._symbols.knows(series.instrument) for series in wanted):
            await self.instruments([series.instrument for series in wanted])

    def streams(self, series: Series) -> bool:
        interval = series.interval
        return interval == 0 or (interval in intervals_of(self._exchange) and DAY % interval == 0)

    async def history(self, series: Series, start: int, end: int) -> Sequence[BarClosed]:
        await self._learn([series])
        reader = CandleReader(self._exchange, self._symbols)
        return [BarClosed(bar=bar, feed=self.name) for bar in await reader.past(series, start, end)]

    async def actions(self, names: Sequence[str], start: int, end: int) -> Sequence[Split | Dividend]:
        return ()

    async def offset(self) -> int:
        return await self._exchange.offset()

    async def close(self) -> None:
        await self._exchange.close()

    # --- live -------------------------------------------------------------------------------------------

    async def run(self, wanted: Sequence[Series], sink: Sink) -> None:
        pauses = Pauses()
        while True:
            why, has_stood = await self._session(wanted, sink)
            sink(Disconnected(ts=self._exchange.now(), reason=why))
            await self._exchange.raw.close_ws_clients()
            await asyncio.sleep(pauses.after(has_stood=has_stood))

    async def _session(self, wanted: Sequence[Series], sink: Sink) -> tuple[str, bool]:
        """Live through one connection; returns why it ended and whether it ever stood."""
        try:
            self._end.clear()
            await self._exchange.offset()
            await self._learn(wanted)
        except VenueError as exc:
            return str(exc), False
        reader = CandleReader(self._exchange, self._symbols)
        bars = [series for series in wanted if series.interval and self.streams(series)]
        quotes = [self._symbols.symbol(s.instrument) for s in wanted if not s.interval]
        told: Sink = sink
        if (
            not bars and not quotes
        ):  # bars that are only read: quotes are listened to, so that a silence is heard
            quotes, told = list({self._symbols.symbol(s.instrument): None for s in wanted}), _nobody
        self._closers = {
            (self._symbols.symbol(s.instrument), reader.name(s.interval)): Closer(
                s, reader, self._exchange.now, self._telling(sink)
            )
            for s in bars
        }
        work: list[Coroutine[Any, Any, str]] = [*self._watching_bars(), *self._watching_quotes(quotes, told)]
        watching = [asyncio.ensure_future(c) for c in work]
        rest = [asyncio.ensure_future(self._watch_status(sink))]
        try:
            why = await self._until_it_stands(watching)
            if why:
                return why, False
            rest += [asyncio.ensure_future(closer.run()) for closer in self._closers.values()]
            rest += [asyncio.ensure_future(c) for c in (self._until_mute(), self._until_told_off())]
            sink(Connected(ts=self._exchange.now()))
            done, _ = await asyncio.wait([*watching, *rest], return_when=asyncio.FIRST_COMPLETED)
            return str(next(iter(done)).result()), True
        finally:
            for task in (*watching, *rest):
                task.cancel()
            await asyncio.gather(*watching, *rest, return_exceptions=True)
            self.quarantined += reader.quarantined

    async def _until_it_stands(self, watching: Sequence[asyncio.Future[str]]) -> str:
        """Wait until every socket that was asked for is open; returns why it will not be."""
        raw = self._exchange.raw
        try:
            async with asyncio.timeout(_DIAL_S):
                while watching and not (
                    raw.clients and all(c.connected.done() for c in raw.clients.values())
                ):
                    failed = next((task for task in watching if task.done()), None)
                    if failed is not None:
                        return str(failed.result())
                    await asyncio.sleep(0.02)
        except TimeoutError:
            return f"no connection within {_DIAL_S:g} s"
        return ""

    def _told_off(self, why: str) -> None:
        """Take that the server will be gone; a message that was not understood is only counted."""
        if why in ENDINGS:
            self._end.set()
        else:
            self.quarantined += 1

    async def _until_told_off(self) -> str:
        await self._end.wait()
        return "the exchange announced its end"

    async def _until_mute(self) -> str:
        """Wait for a silence that is too long; each one that dialling does not end is allowed to last longer."""
        while True:
            self._heard.clear()
            patience = self._patience
            try:
                async with asyncio.timeout(patience):
                    await self._heard.wait()
            except TimeoutError:
                self._patience = min(patience * 2, max(_LONGEST_MUTE_S, self._mute_s))
                return f"nothing was heard for {patience:g} s"
            self._patience = self._mute_s
            await asyncio.sleep(self._mute_s / 4)

    # --- bars -------------------------------------------------------------------------------------------

    def _telling(self, sink: Sink) -> Callable[[Bar, bool], None]:
        def tell(bar: Bar, is_correction: bool) -> None:
            sink(BarClosed(bar=bar, feed=self.name, is_correction=is_correction))

        return tell

    def _watching_bars(self) -> list[Coroutine[Any, Any, str]]:
        pairs = [[symbol, name] for symbol, name in self._closers]
        if not pairs:
            return []
        if self._exchange.has("watchOHLCVForSymbols"):
            return [self._watch_all_bars(pairs)]
        if self._exchange.has("watchOHLCV"):
            return [self._watch_bars(symbol, name) for symbol, name in pairs]
        return []

    async def _watch_all_bars(self, pairs: list[list[str]]) -> str:
        while True:
            reply = await self._exchange.ask("watch_ohlcv_for_symbols", pairs, waits=True)
            if reply.said is not None:
                return reply.said.text
            for symbol, names in reply.value.items() if isinstance(reply.value, Mapping) else ():
                for name, rows in names.items():
                    self._forming(symbol, name, rows)

    async def _watch_bars(self, symbol: str, name: str) -> str:
        while True:
            reply = await self._exchange.ask("watch_ohlcv", symbol, name, waits=True)
            if reply.said is not None:
                return reply.said.text
            self._forming(symbol, name, reply.value)

    def _forming(self, symbol: str, name: str, rows: object) -> None:
        closer = self._closers.get((symbol, name))
        if closer is not None and isinstance(rows, Sequence) and rows:
            bar = bar_of(list(rows[-1]), closer.series)
            if bar is not None:
                closer.said_forming(bar.ts - bar.interval)

    def _closed_by_flag(self, candle: Mapping[str, Any]) -> None:
        """Take Binance's own word for it, which ccxt drops."""
        raw = self._exchange.raw
        closer = self._closers.get(
            (raw.safe_symbol(candle.get("s"), None, None, "spot"), str(candle.get("i")))
        )
        if closer is not None:
            bar = bar_of([candle.get(key) for key in "tohlcv"], closer.series)
            if bar is not None:
                closer.said_closed(bar)

    # --- quotes -----------------------------------------------------------------------------------------

    def _watching_quotes(self, symbols: list[str], sink: Sink) -> list[Coroutine[Any, Any, str]]:
        if not symbols:
            return []
        if self._exchange.has("watchBidsAsks"):
            return [self._watch_best(symbols, sink)]
        return [self._watch_book(symbol, sink) for symbol in symbols]

    async def _watch_best(self, symbols: list[str], sink: Sink) -> str:
        seen: dict[str, object] = {}
        while True:
            reply = await self._exchange.ask("watch_bids_asks", symbols, waits=True)
            if reply.said is not None:
                return reply.said.text
            # What is returned is one message's; others may have come since the last look.
            known = self._exchange.raw.bidsasks
            for symbol in symbols:
                best = known.get(symbol)
                if best is not None and best is not seen.get(symbol):
                    seen[symbol] = best
                    words = [best.get(key) for key in ("bid", "bidVolume", "ask", "askVolume")]
                    self._tell_quote(symbol, words, best.get("timestamp"), sink)

    async def _watch_book(self, symbol: str, sink: Sink) -> str:
        while True:
            reply = await self._exchange.ask("watch_order_book", symbol, waits=True)
            if reply.said is not None and reply.said.text.startswith("ChecksumError"):
                continue  # a change was missed: the next call begins with a whole book
            if reply.said is not None:
                return reply.said.text
            bids, asks = reply.value.get("bids"), reply.value.get("asks")
            if bids and asks:
                words = [*bids[0][:2], *asks[0][:2]]
                self._tell_quote(symbol, words, reply.value.get("timestamp"), sink)

    def _tell_quote(self, symbol: str, words: Sequence[object], at: object, sink: Sink) -> None:
        instrument = self._symbols.instrument(symbol)
        if instrument is None:
            return
        ts = at * MS if isinstance(at, int) and not isinstance(at, bool) else self._exchange.now()
        try:
            bid, bid_qty, ask, ask_qty = (float(str(word)) for word in words)
        except ValueError:
            self.quarantined += 1
            return
        ts = self._latest[instrument.id] = max(ts, self._latest.get(instrument.id, 0))
        quote = Quote(instrument.id, ts, bid, bid_qty, ask, ask_qty)
        if problem_of(quote):
            self.quarantined += 1
        else:
            sink(quote)

    # --- what trades ------------------------------------------------------------------------------------

    async def _watch_status(self, sink: Sink) -> str:
        while True:
            for name, symbol in self._symbols:
                market = (self._exchange.raw.markets or {}).get(symbol)
                is_active = market is not None and market.get("active") is not False
                trading = Trading.OPEN if is_active else Trading.CANCEL_ONLY
                if self._said.get(name) is not trading:
                    self._said[name] = trading
                    reason = "" if is_active else "the exchange does not list it as trading"
                    sink(
                        SymbolStatus(ts=self._exchange.now(), instrument=name, trading=trading, reason=reason)
                    )
            await asyncio.sleep(self._status_s)
            await self._exchange.ask("load_markets", True)


def _nobody(event: FeedEvent) -> None:
    """Tell nobody."""

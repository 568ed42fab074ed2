"""Be the feed port over Alpaca: live bars and quotes of stocks and crypto, and their past.

Owns the two market data sockets (stocks and crypto are apart there) and what their messages mean. A bar
that Alpaca sends is closed; one it sends again is a correction. Refuses forming (daily) bars.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tradebot.adapters.alpaca.history import History
from tradebot.adapters.alpaca.line import PATIENT, Line, Pauses
from tradebot.adapters.alpaca.parse import Row, Unreadable, price, text
from tradebot.adapters.alpaca.rest import Rest
from tradebot.adapters.alpaca.talks import MarketTalk
from tradebot.core.messages import Dividend, Split
from tradebot.core.model import MINUTE, AssetClass, Instrument, Quote
from tradebot.core.ports import (
    AuthFailed,
    BarClosed,
    Connected,
    Disconnected,
    FeedEvent,
    Series,
    SymbolStatus,
    Trading,
)
from tradebot.errors import VenueError, VenueUnreachable

# Two minutes without a bar of anything: perhaps night, perhaps a mute socket.
WATCHFUL = replace(PATIENT, silent=150.0)
_HALTS = ("H", "2", "P")
_OPENS = ("T", "3", "5")


class AlpacaFeed:
    """Alpaca's market data. `feed`: "iex" (one exchange's trades) or "sip" (all of them)."""

    def __init__(
        self,
        rest: Rest,
        feed: str = "iex",
        *,
        key: str,
        secret: str,
        now: Callable[[], int] = time.time_ns,
        pauses: Pauses = WATCHFUL,
        is_fractional: bool = False,
        page: int = 10_000,
    ) -> None:
        """`is_fractional`: stocks that can be split are traded in millionths. `page`: bars asked for at once."""
        self.name = f"alpaca/{feed}"
        self._rest = rest
        self._feed = feed
        self._key, self._secret = key, secret
        self._now = now
        self._pauses = pauses
        self._history = History(rest, feed, now=now, is_fractional=is_fractional, page=page)
        self._instruments: dict[str, Instrument] = {}
        self.unreadable = 0

    async def instruments(self, names: Sequence[str]) -> dict[str, Instrument]:
        """Return what Alpaca says of these. Raises ConfigError naming those it does not trade."""
        missing = [name for name in names if name not in self._instruments]
        self._instruments |= await self._history.instruments(missing)
        return {name: self._instruments[name] for name in names}

    def streams(self, series: Series) -> bool:
        """Return whether a series comes by itself: quotes and minute bars do."""
        return series.interval in (0, MINUTE)

    async def run(self, wanted: Sequence[Series], sink: Callable[[FeedEvent], None]) -> None:
        """Hand over what comes until cancelled; returns only after AuthFailed."""
        await self._learn([series.instrument for series in wanted], sink)
        halves: dict[str, list[Series]] = {}
        for series in wanted:
            is_crypto = self._instruments[series.instrument].asset_class is AssetClass.CRYPTO
            halves.setdefault("crypto" if is_crypto else self._feed, []).append(series)
        both = _Both(len(halves), sink, self._now)
        tasks = [
            asyncio.get_running_loop().create_task(self._half(name, series, both))
            for name, series in halves.items()
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _learn(self, names: Sequence[str], sink: Callable[[FeedEvent], None]) -> None:
        """Know what is followed, however long that takes: an account may go on with what it was told before."""
        pause = self._pauses.first
        while True:
            try:
                await self.instruments(names)
                return
            except VenueError as exc:
                sink(Disconnected(ts=self._now(), reason=str(exc)))
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._pauses.longest)

    async def history(self, series: Series, start: int, end: int) -> Sequence[BarClosed]:
        """Return the closed bars with start < ts <= end, oldest first."""
        instrument = (await self.instruments([series.instrument]))[series.instrument]
        feed, is_partial = self._source(instrument)
        bars = await self._history.bars(instrument, series.interval, start, end)
        return [BarClosed(bar=bar, feed=feed, is_partial_volume=is_partial) for bar in bars]

    async def actions(self, names: Sequence[str], start: int, end: int) -> Sequence[Split | Dividend]:
        """Return splits and dividends of stocks with start < ts <= end, oldest first."""
        found = await self.instruments(names)
        stocks = [n for n in names if found[n].asset_class is AssetClass.STOCK]
        return await self._history.actions(stocks, start, end)

    async def offset(self) -> int:
        """Return by how many ns Alpaca's clock is ahead of ours, seen from the middle of the question."""
        before = self._now()
        theirs = await self._history.clock()
        return theirs - (before + self._now()) // 2

    async def close(self) -> None:
        """Let go of connections."""
        self._rest.close()

    # --- live -------------------------------------------------------------------------------------

    async def _half(self, name: str, wanted: Sequence[Series], both: _Both) -> None:
        bars = sorted({s.instrument for s in wanted if s.interval == MINUTE})
        quotes = sorted({s.instrument for s in wanted if s.interval == 0})
        # Of what is only read (bars of a day) minutes are listened to, so that a silence is heard.
        others = {s.instrument for s in wanted} - {*bars, *quotes}
        channels: dict[str, list[str]] = {}
        if bars or others:
            channels["bars"] = sorted({*bars, *others})
        if bars:
            channels["updatedBars"] = bars
        if quotes:
            channels["quotes"] = quotes
        if name != "crypto":
            channels["statuses"] = sorted({s.instrument for s in wanted})
        line = Line(
            f"data-{name}",
            lambda: MarketTalk(self._rest.endpoint, self._key, self._secret, name, channels),
            self._pauses,
        )
        await line.run(_Half(self, both, others))

    def read(self, message: Row) -> FeedEvent | None:
        """Return what a message says, None when it is none of the market's. Raises Unreadable."""
        kind = message.get("T")
        if kind not in ("b", "u", "q", "s"):
            return None
        name = text(message, "S")
        instrument = self._instruments.get(name)
        if instrument is None:
            raise Unreadable(f"S must be a symbol that was asked for, was {name!r}")
        if kind == "q":
            return _quote(message, name)
        if kind == "s":
            return _status(message, name)
        try:
            bar = self._history.bar(message, name, MINUTE)
        except VenueUnreachable as exc:
            raise Unreadable(str(exc)) from exc
        assert bar is not None
        feed, is_partial = self._source(instrument)
        return BarClosed(bar=bar, feed=feed, is_partial_volume=is_partial, is_correction=kind == "u")

    def _source(self, instrument: Instrument) -> tuple[str, bool]:
        if instrument.asset_class is AssetClass.CRYPTO:
            return "alpaca/crypto", False
        return self._feed, self._feed != "sip"


class _Both:
    """Tells that the feed stands once all of its sockets do, and that it is lost once one is."""

    def __init__(self, count: int, sink: Callable[[FeedEvent], None], now: Callable[[], int]) -> None:
        self.sink = sink
        self._count = count
        self._now = now
        self._up = 0

    def up(self) -> None:
        self._up += 1
        if self._up == self._count:
            self.sink(Connected(ts=self._now()))

    def down(self, reason: str, *, was_up: bool) -> None:
        self._up -= was_up
        self.sink(Disconnected(ts=self._now(), reason=reason))

    def denied(self, reason: str) -> None:
        self.sink(AuthFailed(ts=self._now(), reason=reason))


class _Half:
    """Hears one socket."""

    def __init__(self, feed: AlpacaFeed, both: _Both, others: set[str]) -> None:
        """`others`: whose bars nobody wants."""
        self._feed = feed
        self._both = both
        self._others = others
        self._is_up = False

    def up(self) -> None:
        self._is_up = True
        self._both.up()

    def down(self, reason: str) -> None:
        was_up, self._is_up = self._is_up, False
        self._both.down(reason, was_up=was_up)

    def denied(self, reason: str) -> None:
        self._both.denied(reason)

    def said(self, messages: list[Any]) -> None:
        for message in messages:
            try:
                event = self._feed.read(message)
            except Unreadable:
                self._feed.unreadable += 1  # REST has the bar, the next quote is near
                continue
            is_unwanted = isinstance(event, BarClosed) and event.bar.instrument in self._others
            if event is not None and not is_unwanted:
                self._both.sink(event)


def _quote(message: Row, name: str) -> Quote:
    return Quote(
        name,
        _moment(message),
        price(message, "bp"),
        price(message, "bs"),
        price(message, "ap"),
        price(message, "as"),
    )


def _status(message: Row, name: str) -> SymbolStatus | None:
    code, words = str(message.get("sc")), str(message.get("sm") or message.get("rm") or "")
    if code in _OPENS:
        return SymbolStatus(ts=_moment(message), instrument=name, trading=Trading.OPEN, reason=words)
    if code in _HALTS:
        return SymbolStatus(ts=_moment(message), instrument=name, trading=Trading.HALTED, reason=words)
    return None


def _moment(message: Row) -> int:
    stamp = message.get("t")
    try:
        return int(stamp.to_unix_nano())  # type: ignore[union-attr]
    except AttributeError:
        raise Unreadable(f"t must be a timestamp, was {stamp!r}") from None

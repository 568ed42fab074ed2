"""Keep an exchange's private stream up, and notice when it has gone deaf.

Owns dialling, pauses between tries, and the comparison with what was read: a trade that a look found and the
stream never told means the stream is deaf. Refuses to translate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from tradebot.adapters.ccxt.library import Exchange
from tradebot.adapters.ccxt.pauses import Pauses
from tradebot.adapters.ccxt.refusals import Meaning, meaning_of
from tradebot.adapters.ccxt.wire import client_id_of
from tradebot.core.model import SECOND, Fill
from tradebot.core.ports import AuthFailed, Connected, Disconnected, LinkEvent

_LATE = 5 * SECOND  # a trade so old should have been told
_TRIES = 3  # refusals of keys that were good before; of new ones the first is enough
_SETTLE_S = 1.0  # where nothing tells that a subscription stands


class Private:
    """The private stream of one account. `dials` counts how often it was dialled."""

    def __init__(
        self,
        exchange: Exchange,
        on_order: Callable[[Mapping[str, Any]], Awaitable[None]],
        on_trade: Callable[[Mapping[str, Any], str], None],
    ) -> None:
        self._exchange = exchange
        self._on_order = on_order
        self._on_trade = on_trade
        self._doubt = ""
        self._doubted = asyncio.Event()
        self._since: int | None = None  # the exchange's time of the connection that stands
        self._was_good = False
        self.dials = 0
        self.pauses = Pauses()
        exchange.on_stream(self.doubt)

    def doubt(self, why: str) -> None:
        """Let the stream be dialled anew."""
        self._doubt = why
        self._doubted.set()

    def compare(self, untold: Sequence[Fill]) -> None:
        """Take the trades that a look found and nobody had told: late ones show a deaf stream."""
        since, now = self._since, self._exchange.now()
        if since is not None and any(since < fill.ts < now - _LATE for fill in untold):
            self.doubt("the stream is deaf: a trade was found that it did not tell")

    async def run(self, sink: Callable[[LinkEvent], None]) -> None:
        """Keep it up until cancelled; returns only when the keys are not accepted."""
        refusals = 0
        while True:
            self.dials += 1
            self._doubted.clear()
            why = await self._session(sink)
            has_stood = self._since is not None
            if has_stood:
                refusals, self._since = 0, None
            sink(Disconnected(ts=self._exchange.now(), reason=why))
            answer = self._exchange.stream_answer
            if meaning_of(self._exchange.id, answer).meaning is Meaning.AUTH:
                refusals += 1
                self._exchange.raw.tradebot_stream_answer = None
                if refusals >= (_TRIES if self._was_good else 1):
                    sink(AuthFailed(ts=self._exchange.now(), reason=why))
                    return
            await self._exchange.raw.close_ws_clients()
            await asyncio.sleep(self.pauses.after(has_stood=has_stood))

    async def _session(self, sink: Callable[[LinkEvent], None]) -> str:
        """Live through one connection; returns why it ended."""
        row = self._exchange.declared
        if row.subscribes:
            method, *words = row.subscribes
            reply = await self._exchange.ask(method, *words)
            if reply.said is not None:
                return reply.said.text
        work: list[Coroutine[Any, Any, Any]] = [self._orders(), self._doubted.wait()]
        if self._exchange.has("watchMyTrades"):
            work.append(self._trades())
        tasks = [asyncio.ensure_future(c) for c in work]
        try:
            if not row.subscribes:
                await asyncio.wait(tasks, timeout=_SETTLE_S, return_when=asyncio.FIRST_COMPLETED)
            if not any(task.done() for task in tasks):
                self._since, self._was_good = self._exchange.now(), True
                sink(Connected(ts=self._since))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._doubted.is_set():
                return self._doubt
            failed = next(task for task in tasks if task.done())
            return str(failed.result())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _orders(self) -> str:
        while True:
            rows = await self._watched("watch_orders")
            if isinstance(rows, str):
                return rows
            for row in rows:
                await self._on_order(row)

    async def _trades(self) -> str:
        while True:
            rows = await self._watched("watch_my_trades")
            if isinstance(rows, str):
                return rows
            for row in rows:
                self._on_trade(row, client_id_of(row, self._exchange.declared))

    async def _watched(self, method: str) -> list[Mapping[str, Any]] | str:
        """Return what is new, or why the stream is over; there is no deadline: silence is no news."""
        reply = await self._exchange.ask(method, waits=True)
        if reply.said is not None:
            return reply.said.text
        rows = reply.value if isinstance(reply.value, list) else []
        return [row for row in rows if isinstance(row, Mapping)]

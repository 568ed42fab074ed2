"""Open one exchange of ccxt, and ask it things in a way whose outcome is always known or called unknown.

The only module that imports ccxt, and only when an exchange is opened (half a second and 70 MB). Owns what
is switched off in it (retries, its own queue), deadlines, and the answer behind each error. Refuses to read
answers: `wire` translates, `refusals` judges.
"""

from __future__ import annotations

import asyncio
import contextvars
import ipaddress
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tradebot.adapters.ccxt.budget import Budget
from tradebot.adapters.ccxt.declared import Declared, declared
from tradebot.adapters.ccxt.refusals import Answer, Meaning, Said, meaning_of
from tradebot.errors import ConfigError, Problem, RateLimited, UsageError, VenueUnreachable

DEADLINE_S = 10.0
_QUERY = re.compile(r"\?\S+")
_WITHOUT_MARKETS = ("load_markets", "fetch_time")
# ccxt 4.5.90 tells nobody of these (the first) or does not know them (the second).
ENDINGS = ("eventStreamTerminated", "serverShutdown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What signs requests; `password` where the exchange has a passphrase. Never shown."""

    key: str = field(repr=False)
    secret: str = field(repr=False)
    password: str = field(default="", repr=False)


@dataclass(slots=True)
class _Call:
    """What is known of the request that runs in this task."""

    is_urgent: bool
    sent_at: int = 0
    answered_at: int = 0
    answer: Answer | None = None

    @property
    def was_sent(self) -> bool:
        return self.sent_at > 0


_CALL: contextvars.ContextVar[_Call | None] = contextvars.ContextVar("call", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What became of a request: a `value`, or what was `said` instead.

    `was_sent` is False when it never left this process; `halfway` (ns) is the middle between sending and
    answer. A value is not yet believable.
    """

    value: Any = None
    said: Said | None = None
    was_sent: bool = True
    halfway: int = 0
    body: str = ""

    @property
    def meaning(self) -> Meaning | None:
        return None if self.said is None else self.said.meaning


class Exchange:
    """One exchange with one account (or none): a ccxt object that is asked with `ask`."""

    def __init__(
        self, exchange: str, raw: Any, budget: Budget, wall: Callable[[], int], deadline_s: float
    ) -> None:
        self.id = exchange
        self.raw = raw
        self.budget = budget
        self.declared: Declared = declared(exchange)
        self.ahead = 0  # ns that the exchange's clock is ahead of ours, as last measured
        self.deadline_s = deadline_s
        self._wall = wall

    def has(self, method: str) -> bool:
        """Return whether ccxt has a method for this exchange ("fetchTime")."""
        return bool(self.raw.has.get(method))

    def market_id(self, symbol: str) -> str:
        """Return what the exchange itself calls a market, ccxt's name of it while markets were not read."""
        row = (self.raw.markets or {}).get(symbol)
        return str(row["id"]) if isinstance(row, Mapping) else symbol

    def now(self) -> int:
        """Return the exchange's time, as far as it was measured."""
        return self._wall() + self.ahead

    def on_stream(self, told: Callable[[str], None]) -> None:
        """Tell `told` when a stream announces its end, or a message could not be read."""
        self.raw.tradebot_told = told

    def on_message(self, told: Callable[[], None]) -> None:
        """Tell `told` of every message on every socket, whatever it says."""
        self.raw.tradebot_heard = told

    def on_candle(self, told: Callable[[Mapping[str, Any]], None]) -> None:
        """Tell `told` of candles that the exchange itself calls closed (Binance does)."""
        self.raw.tradebot_candle = told

    @property
    def stream_answer(self) -> Answer | None:
        """The last error that came over a socket."""
        found: Answer | None = self.raw.tradebot_stream_answer
        return found

    async def offset(self) -> int:
        """Measure by how many ns the exchange's clock is ahead of ours, and sign with its time from here on.

        Half the way there and back is taken for the way there. Raises VenueUnreachable.
        """
        if not self.has("fetchTime"):
            return 0
        reply = await self.read("fetch_time")
        if not isinstance(reply.value, int):
            raise VenueUnreachable(f"{self.id}: the time must be a number, was {str(reply.value)[:40]!r}")
        self.ahead = reply.value * 1_000_000 - reply.halfway
        self.raw.options["timeDifference"] = -self.ahead // 1_000_000
        return self.ahead

    async def read(self, method: str, *args: object, is_urgent: bool = False) -> Reply:
        """Ask for something that changes nothing; a wrong clock is set right and the question put again.

        Raises RateLimited and VenueUnreachable; an order that is not there (GONE) is an answer.
        """
        reply = await self.ask(method, *args, is_urgent=is_urgent)
        if reply.meaning is Meaning.CLOCK and method != "fetch_time":
            await self.offset()
            reply = await self.ask(method, *args, is_urgent=is_urgent)
        if reply.said is None or reply.meaning is Meaning.GONE:
            return reply
        text = f"{self.id} {method}: {reply.said.text}"
        raise RateLimited(text) if reply.meaning is Meaning.RATE else VenueUnreachable(text)

    async def ask(self, method: str, *args: object, is_urgent: bool = False, waits: bool = False) -> Reply:
        """Call a method of ccxt once, within the deadline unless it `waits` for what may never come.

        Raises nothing but cancellation: whatever goes wrong becomes what was said.
        """
        deadline = None if waits else self.deadline_s
        if self.raw.markets is None and method not in _WITHOUT_MARKETS:
            reply = await self.ask("load_markets")
            if reply.said is not None:
                return Reply(said=reply.said, was_sent=False)
        call = _Call(is_urgent)
        token = _CALL.set(call)
        try:
            async with asyncio.timeout(deadline):
                value = await getattr(self.raw, method)(*args)
        except TimeoutError:
            return self._failed(call, f"no answer in {self.deadline_s:g} s")
        except RateLimited as exc:
            return Reply(said=Said(meaning=Meaning.RATE, text=str(exc)), was_sent=call.was_sent)
        except Exception as exc:
            return self._failed(call, f"{type(exc).__name__}: {exc}"[:300])
        finally:
            _CALL.reset(token)
        if call.answer is not None and not call.answer.body.lstrip().startswith(("{", "[")):
            return self._failed(call, f"a page that is no JSON: {call.answer.body[:60]!r}")
        halfway = (call.sent_at + call.answered_at) // 2
        return Reply(
            value=value,
            was_sent=call.was_sent,
            halfway=halfway,
            body="" if call.answer is None else call.answer.body,
        )

    def _failed(self, call: _Call, cause: str) -> Reply:
        cause = _QUERY.sub("?...", cause)  # signatures are nobody's business
        said = meaning_of(self.id, call.answer)
        if said.meaning is Meaning.UNKNOWN and not said.code:
            said = Said(meaning=Meaning.UNKNOWN, text=cause)
        return Reply(said=said, was_sent=call.was_sent)

    async def close(self) -> None:
        await self.raw.close()


def exchanges() -> tuple[str, ...]:
    """Return the ids of the exchanges that ccxt can stream from."""
    import ccxt.pro

    return tuple(ccxt.pro.exchanges)


def open_exchange(
    exchange: str,
    *,
    credentials: Credentials | None = None,
    endpoint: str | None = None,
    is_sandbox: bool = False,
    budget: Budget | None = None,
    wall: Callable[[], int] = time.time_ns,
    deadline_s: float = DEADLINE_S,
) -> Exchange:
    """Return an exchange that has sent nothing yet.

    `endpoint` ("http://127.0.0.1:8080") sends everything to an emulator and must be on loopback;
    `is_sandbox` to the exchange's own test system. Raises ConfigError for an exchange that ccxt does not have.
    """
    import ccxt.pro

    if exchange not in ccxt.pro.exchanges:
        raise _not_there(exchange, ccxt.pro.exchanges)
    vendor = getattr(ccxt.pro, exchange)
    row = declared(exchange)
    settings: dict[str, object] = {
        "enableRateLimit": True,  # its queue is ours, see _Tap.throttle
        "timeout": int(deadline_s * 1000),
        # A burst of trades overwrites what was not read yet; ten thousand are a few megabytes.
        "options": {**row.options, "tradesLimit": 10_000, "ordersLimit": 10_000},
    }
    if credentials is not None:
        settings |= {"apiKey": credentials.key, "secret": credentials.secret}
        if credentials.password:
            settings["password"] = credentials.password
    raw = type(exchange, (_Tap, vendor), {})(settings)
    raw.number = str  # Decimal loses fills and fees in ccxt 4.5.90; its strings are the exchange's
    if is_sandbox:
        if not raw.urls.get("test"):
            raise _no_test_system(exchange)
        raw.set_sandbox_mode(True)
    if endpoint is not None:
        raw.urls["api"] = _redirected(raw.urls["api"], _loopback(endpoint))
    pace = 1000.0 / float(raw.rateLimit)
    # What is limited is a minute: a burst and what flows in during it are together no more than that.
    raw.tradebot_budget = made = budget or Budget(per_second=pace * 0.8, capacity=max(pace * 12, 20.0))
    raw.tradebot_wall = wall
    return Exchange(exchange, raw, made, wall, deadline_s)


class _Tap:
    """Sits between ccxt and the wire: sees what leaves and what comes back."""

    tradebot_budget: Budget
    tradebot_wall: Callable[[], int] = staticmethod(time.time_ns)
    tradebot_stream_answer: Answer | None = None

    @staticmethod
    def tradebot_told(event: str) -> None:
        """Replaced by whoever listens to the streams."""

    @staticmethod
    def tradebot_heard() -> None:
        """Replaced by whoever watches for silence."""

    @staticmethod
    def tradebot_candle(candle: Mapping[str, Any]) -> None:
        """Replaced by whoever follows bars."""

    def handle_message(self, client: Any, message: Any) -> Any:
        try:
            self._listened(message)
            return super().handle_message(client, message)  # type: ignore[misc]
        except Exception as exc:
            # Raised any further it would end ccxt's reader, and nobody would be told.
            self.tradebot_told(f"a message was not understood: {type(exc).__name__}: {exc}"[:200])

    def _listened(self, message: Any) -> None:
        self.tradebot_heard()
        inner = message.get("event") if isinstance(message, dict) else None
        found = inner if isinstance(inner, dict) else message
        event = found.get("e") if isinstance(found, dict) else None
        if event in ENDINGS:
            self.tradebot_told(event)
        candle = found.get("k") if event == "kline" else None
        if isinstance(candle, dict) and candle.get("x") is True:
            self.tradebot_candle(candle)

    def milliseconds(self) -> int:
        return self.tradebot_wall() // 1_000_000

    async def throttle(self, cost: float | None = None) -> None:
        call = _CALL.get()
        await self.tradebot_budget.take(float(cost or 1.0), is_urgent=call is not None and call.is_urgent)

    async def fetch(self, *args: Any, **kwargs: Any) -> Any:
        call = _CALL.get()
        if call is not None:
            call.sent_at = self.tradebot_wall()
        return await super().fetch(*args, **kwargs)  # type: ignore[misc]

    def handle_errors(self, code: int, reason: str, url: str, *rest: Any) -> Any:
        # rest: method, headers, body, parsed body, headers and body of the request
        headers, body = rest[1], rest[2]
        if url.startswith("ws"):  # Binance's own code stands where the status does
            self.tradebot_stream_answer = Answer(status=400, body=body or "")
            return super().handle_errors(code, reason, url, *rest)  # type: ignore[misc]
        self.tradebot_budget.heard(int(code), headers or {})
        call = _CALL.get()
        if call is not None:
            call.answered_at = self.tradebot_wall()
            call.answer = Answer(status=int(code), body=body or "")
        return super().handle_errors(code, reason, url, *rest)  # type: ignore[misc]


def _not_there(exchange: str, known: list[str]) -> ConfigError:
    near = get_close_matches(exchange, known, n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    message = f"must be an exchange that ccxt streams from{hint}"
    return ConfigError([Problem(file=exchange, line=None, key="", message=message)])


def _no_test_system(exchange: str) -> ConfigError:
    message = f"{exchange} has no test system for paper mode: trade `venue: sim` with `feed: {exchange}`"
    return ConfigError([Problem(file=exchange, line=None, key="mode", message=message)])


def _loopback(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    try:
        is_near = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_near = False
    if parts.scheme != "http" or not is_near or parts.port is None:
        raise UsageError(
            f"an endpoint must be an emulator on this machine (http://127.0.0.1:PORT), was {endpoint!r}"
        )
    return parts.netloc


def _redirected(urls: object, netloc: str) -> object:
    """Return the same addresses, all of them at `netloc` and without encryption."""
    if isinstance(urls, Mapping):
        return {name: _redirected(url, netloc) for name, url in urls.items()}
    if not isinstance(urls, str) or "://" not in urls:
        return urls
    parts = urlsplit(urls)
    scheme = "ws" if parts.scheme in ("ws", "wss") else "http"
    path = parts.path
    if scheme == "ws" and "stream" in parts.netloc and "/stream" not in path:
        path = f"/stream{path}"  # ccxt knows Binance's spot streams by this word in the address
    return urlunsplit((scheme, netloc, path, "", ""))

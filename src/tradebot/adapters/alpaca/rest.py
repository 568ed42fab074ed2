"""Ask Alpaca over HTTP through alpaca-py, with a deadline, once, and say plainly what came of it.

Owns the library's clients (one for each thread), their threads, and the only place where its exceptions
are read. Three things can come of a request: an answer, words of the venue that refuse it (`Refused`), or
nothing that one could rely on (`Unclear`). Refuses to repeat anything.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import requests
from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient
from alpaca.data.historical import CryptoHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.trading.client import TradingClient
from requests.adapters import HTTPAdapter

from tradebot.adapters.alpaca.budget import Budget, Need
from tradebot.adapters.alpaca.endpoint import Endpoint
from tradebot.adapters.alpaca.refusals import NO_CODE, Said, is_unauthorized
from tradebot.errors import PermissionRefused, RateLimited, VenueUnreachable

Json = Any
Params = Mapping[str, str]
_LONGEST_WORDS = 200  # characters of a body that is quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Seconds to connect, between two bytes of an answer, and for all of it."""

    connect: float = 3.0
    read: float = 8.0
    whole: float = 12.0


class Refused(Exception):
    """The venue's own words."""

    def __init__(self, said: Said) -> None:
        super().__init__(str(said))
        self.said = said


class Unclear(Exception):
    """No answer, or none that means anything: what was asked for may have happened."""


class NotSent(Exception):
    """The request never left: the only other proof that nothing happened."""


class _Mounted(HTTPAdapter):
    """Puts a deadline on every request of a session, and shows each answer's headers to the budget."""

    def __init__(self, deadlines: Deadlines, budget: Budget) -> None:
        super().__init__(max_retries=0)
        self._timeout = (deadlines.connect, deadlines.read)
        self._budget = budget

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = self._timeout
        answer = super().send(request, *args, **kwargs)
        self._budget.heard(answer.status_code, answer.headers)
        return answer


class _Lane:
    """One client of the library and the one thread that uses it (its session is not promised thread-safe)."""

    def __init__(self, name: str, client: RESTClient, deadlines: Deadlines, budget: Budget) -> None:
        self.client = client
        client._retry = 0  # else it repeats every method on 429 and 504, orders too
        for scheme in ("http://", "https://"):
            client._session.mount(scheme, _Mounted(deadlines, budget))
        self.pool = ThreadPoolExecutor(1, thread_name_prefix=f"alpaca-{name}")

    def close(self) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.client._session.close()


_Make = Callable[[], RESTClient]
ORDERS: Final = ("orders-1", "orders-2")


class Rest:
    """Everything that is asked of one account over HTTP. Close it."""

    def __init__(
        self,
        endpoint: Endpoint,
        key: str,
        secret: str,
        *,
        deadlines: Deadlines = Deadlines(),
        per_minute: int = 200,
    ) -> None:
        self.endpoint = endpoint
        self._deadlines = deadlines
        self._budget = Budget(time.monotonic, per_minute)

        def trading() -> RESTClient:
            return TradingClient(key, secret, raw_data=True, url_override=endpoint.trading)

        makers: dict[str, _Make] = {
            **dict.fromkeys((*ORDERS, "cancel", "read"), trading),
            "stocks": lambda: StockHistoricalDataClient(
                key, secret, raw_data=True, url_override=endpoint.data
            ),
            "crypto": lambda: CryptoHistoricalDataClient(
                key, secret, raw_data=True, url_override=endpoint.data
            ),
            "actions": lambda: CorporateActionsClient(key, secret, raw_data=True, url_override=endpoint.data),
        }
        self._makers = makers
        self._lanes: dict[str, _Lane] = {}
        self._turn = 0

    async def post(self, path: str, body: Mapping[str, object]) -> Json:
        """Send an order. Raises Refused, Unclear, NotSent."""
        return await self._order(lambda client: client.post(path, dict(body)))

    async def patch(self, path: str, body: Mapping[str, object]) -> Json:
        """Change an order. Raises Refused, Unclear, NotSent."""
        return await self._order(lambda client: client.patch(path, dict(body)))

    async def delete(self, path: str) -> Json:
        """Cancel; waits for a pause that the venue asked for. Raises Refused, Unclear."""
        while wait := self._budget.wait(Need.CANCEL):
            await asyncio.sleep(wait)
        return await self._do("cancel", lambda client: client.delete(path))

    async def get(self, path: str, params: Params | None = None, *, lane: str = "read") -> Json:
        """Read. Raises Refused with the venue's words, VenueUnreachable, RateLimited, PermissionRefused."""
        wait = self._budget.wait(Need.READ)
        if wait:
            raise RateLimited(f"Alpaca is asked too often: {path} may be asked again in {wait:.1f} s")
        try:
            return await self._do(lane, lambda client: client.get(path, dict(params or {})))
        except Unclear as exc:
            raise VenueUnreachable(f"Alpaca did not answer {path}: {exc}") from exc
        except Refused as exc:
            if exc.said.status == 429:
                raise RateLimited(f"Alpaca is asked too often: {exc}") from exc
            if is_unauthorized(exc.said):
                raise PermissionRefused(
                    f"Alpaca must accept the keys, said: {exc}; set the right ones for {self.endpoint.trading}"
                ) from exc
            raise

    def close(self) -> None:
        """Let go of connections; a thread in the middle of a request ends with its deadline."""
        for lane in self._lanes.values():
            lane.close()

    async def _order(self, ask: Callable[[RESTClient], Json]) -> Json:
        wait = self._budget.wait(Need.ORDER)
        if wait:
            raise NotSent(f"not sent: Alpaca's request limit leaves room again in {wait:.1f} s")
        self._turn += 1
        return await self._do(ORDERS[self._turn % len(ORDERS)], ask)

    async def _do(self, lane: str, ask: Callable[[RESTClient], Json]) -> Json:
        found = self._lanes.get(lane)
        if found is None:
            found = self._lanes[lane] = _Lane(lane, self._makers[lane](), self._deadlines, self._budget)
        client = found.client
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._deadlines.whole):
                return await loop.run_in_executor(found.pool, _answer, lambda: ask(client))
        except TimeoutError as exc:
            raise Unclear(f"no whole answer in {self._deadlines.whole:g} s") from exc


def _answer(ask: Callable[[], Json]) -> Json:
    try:
        return ask()
    except APIError as exc:
        raise _read_error(exc) from exc
    except Exception as exc:
        # Whatever it is: the request was handed over, so nobody knows.
        raise Unclear(f"{type(exc).__name__}: {exc}"[:_LONGEST_WORDS]) from exc


def _read_error(error: APIError) -> Refused | Unclear:
    """Return what an error status means; only a JSON object with a message is the venue's own word."""
    status, text = error.status_code, str(error)
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if status is None or status >= 500 or not isinstance(body, dict) or "message" not in body:
        return Unclear(f"status {status}: {text}"[:_LONGEST_WORDS])
    code = body.get("code")
    known = code if isinstance(code, int) and not isinstance(code, bool) else NO_CODE
    return Refused(Said(status, known, str(body["message"])[:_LONGEST_WORDS]))

"""Let in who has a key, not too often, and not twice at the same door.

Owns keys, the request budget and the connection limit with its ghosts: a session that ended without a
closing word counts for a while.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

from aiohttp import web

from tradebot.emulators.alpaca.texts import Refusal


class Access:
    """Who may come in. `per_minute` requests of a key, None for no limit; `ghost_s` seconds of real time."""

    def __init__(
        self, keys: Mapping[str, str], *, per_minute: int | None = 200, ghost_s: float = 90.0
    ) -> None:
        self.keys = dict(keys)
        self.per_minute = per_minute
        self.ghost_s = ghost_s
        self._asked: dict[str, deque[float]] = {}
        self._inside: dict[tuple[str, str], int] = {}
        self._ghosts: dict[tuple[str, str], list[float]] = {}

    def is_known(self, key: object, secret: object) -> bool:
        return isinstance(key, str) and self.keys.get(key) == secret and secret is not None

    def admit(self, request: web.Request) -> dict[str, str]:
        """Return the rate headers of an accepted request. Raises Refusal."""
        key = request.headers.get("APCA-API-KEY-ID", "")
        if not self.is_known(key, request.headers.get("APCA-API-SECRET-KEY")):
            refused = Refusal(401, 0, "unauthorized.")
            del refused.body["code"]
            raise refused
        if self.per_minute is None:
            return {}
        now = asyncio.get_running_loop().time()
        asked = self._asked.setdefault(key, deque())
        while asked and asked[0] <= now - 60.0:
            asked.popleft()
        left = self.per_minute - len(asked)
        reset = int(60.0 - (now - asked[0])) + 1 if asked else 60
        headers = {
            "X-RateLimit-Limit": str(self.per_minute),
            "X-RateLimit-Remaining": str(max(left - 1, 0)),
            "X-RateLimit-Reset": str(reset),
        }
        if left <= 0:
            raise web.HTTPTooManyRequests(
                text='{"code": 42910000, "message": "rate limit exceeded"}',
                content_type="application/json",
                headers={**headers, "Retry-After": str(reset)},
            )
        asked.append(now)
        return headers

    def enter(self, door: str, key: str) -> bool:
        """Take the only place of a key at a door; False while somebody, or a ghost, has it."""
        place = (door, key)
        now = asyncio.get_running_loop().time()
        self._ghosts[place] = ghosts = [at for at in self._ghosts.get(place, []) if at > now]
        if self._inside.get(place, 0) or ghosts:
            return False
        self._inside[place] = 1
        return True

    def leave(self, door: str, key: str, *, in_order: bool) -> None:
        """Give the place back, at once or, without a closing word, after a while."""
        place = (door, key)
        self._inside[place] = 0
        if not in_order:
            until = asyncio.get_running_loop().time() + self.ghost_s
            self._ghosts.setdefault(place, []).append(until)

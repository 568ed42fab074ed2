"""Let in who signs right: keys, signatures over query and body, the time window, request weight.

Owns what a request may cost and for how long it is fresh. Refuses to know routes: they say what they cost.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl

from tradebot.core.model import MINUTE, SECOND
from tradebot.emulators.binance import refusal as no
from tradebot.emulators.binance.refusal import Refusal
from tradebot.emulators.clock import VenueClock

MS = 1_000_000
_LONGEST_WINDOW = 60_000  # ms


class Access:
    """Who may ask, and how much. `keys` maps API keys to secrets; a revoked key is taken out."""

    def __init__(self, clock: VenueClock, keys: Mapping[str, str], weight_limit: int = 6000) -> None:
        self.keys = dict(keys)
        self.weight_limit = weight_limit
        self.may_withdraw = False
        self._clock = clock
        self._minute = -1
        self.used = 0
        self._orders: list[int] = []

    def spend(self, weight: int) -> dict[str, str]:
        """Count a request; returns the headers that tell. Raises Refusal (429) beyond the limit."""
        now = self._clock.now()
        if now // MINUTE != self._minute:
            self._minute, self.used = now // MINUTE, 0
        self.used += weight
        if self.used > self.weight_limit:
            code, text = no.TOO_MANY
            raise Refusal(code, text.format(limit=self.weight_limit), 429)
        return {"X-MBX-USED-WEIGHT": str(self.used), "X-MBX-USED-WEIGHT-1M": str(self.used)}

    def ordered(self) -> dict[str, str]:
        """Count an order; returns the headers that tell."""
        now = self._clock.now()
        self._orders = [at for at in self._orders if at > now - 10 * SECOND] + [now]
        return {
            "X-MBX-ORDER-COUNT-10S": str(len(self._orders)),
            "X-MBX-ORDER-COUNT-1D": str(len(self._orders)),
        }

    def retry_after(self) -> int:
        """Return the seconds until the next minute begins."""
        return max(1, (MINUTE - self._clock.now() % MINUTE) // SECOND)

    def signed(self, key: str, query: str, body: str) -> dict[str, str]:
        """Return the parameters of a signed request, without what signs it.

        The signature covers query string and body as they were sent, one after the other. Raises Refusal.
        """
        parts = [part for text in (query, body) for part in text.split("&") if part]
        given = [part[len("signature=") :] for part in parts if part.startswith("signature=")]
        words = [
            ("&".join(p for p in text.split("&") if not p.startswith("signature="))) for text in (query, body)
        ]
        secret = self._secret(key)
        if len(given) != 1:
            raise no.missing("signature")
        self._check(secret, "".join(words), given[0])
        pairs = parse_qsl("&".join(word for word in words if word), keep_blank_values=True)
        return self._fresh(dict(pairs))

    def signed_words(self, params: Mapping[str, object]) -> dict[str, str]:
        """Return the parameters of a signed WebSocket request; its signature covers them sorted by name."""
        texts = {name: str(value) for name, value in params.items()}
        given = texts.pop("signature", "")
        secret = self._secret(texts.get("apiKey", ""))
        if not given:
            raise no.missing("signature")
        self._check(secret, "&".join(f"{name}={texts[name]}" for name in sorted(texts)), given)
        return self._fresh(texts)

    def _secret(self, key: str) -> str:
        if key not in self.keys:
            raise Refusal(*no.NO_KEY, 401)
        return self.keys[key]

    def _check(self, secret: str, payload: str, given: str) -> None:
        right = hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(right, given.lower()):
            raise Refusal(*no.BAD_SIGNATURE)

    def _fresh(self, params: dict[str, str]) -> dict[str, str]:
        stamp, window = params.pop("timestamp", ""), params.pop("recvWindow", "5000")
        if not stamp.isdigit():
            raise no.missing("timestamp")
        if not window.isdigit() or not 0 < int(window) <= _LONGEST_WINDOW:
            raise Refusal(-1131, "recvWindow must be less than 60000.")
        now = self._clock.shown() // MS
        if int(stamp) >= now + 1000:
            raise Refusal(*no.AHEAD)
        if now - int(stamp) > int(window):
            raise Refusal(*no.LATE)
        return params

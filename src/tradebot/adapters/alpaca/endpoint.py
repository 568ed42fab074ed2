"""Say where Alpaca is: the paper account, the real one, or an emulated one on this machine.

Refuses an address that is none of these, and paper keys at the real account or the reverse: the library
would take any of them silently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from tradebot.errors import PermissionRefused, UsageError

_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_DATA = "https://data.alpaca.markets"
_STREAM = "wss://stream.data.alpaca.markets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Base addresses. `is_live` is true where real money trades."""

    trading: str
    data: str
    trades: str
    stream: str
    is_live: bool

    def stream_of(self, feed: str) -> str:
        """Return the address of a market data socket: "iex", "sip", or "crypto"."""
        return f"{self.stream}/v1beta3/crypto/us" if feed == "crypto" else f"{self.stream}/v2/{feed}"


PAPER = Endpoint(
    trading="https://paper-api.alpaca.markets",
    data=_DATA,
    trades="wss://paper-api.alpaca.markets/stream",
    stream=_STREAM,
    is_live=False,
)
LIVE = Endpoint(
    trading="https://api.alpaca.markets",
    data=_DATA,
    trades="wss://api.alpaca.markets/stream",
    stream=_STREAM,
    is_live=True,
)


def endpoint_of(*, is_live: bool, url: str | None = None) -> Endpoint:
    """Return Alpaca's paper or real address, or with `url` an emulated one, which must be on this machine.

    Raises UsageError for an address elsewhere, and for an emulated account in live mode.
    """
    if url is None:
        return LIVE if is_live else PAPER
    if is_live:
        raise UsageError(f"mode live must use Alpaca's own address, an endpoint was given: {url}")
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK or parts.port is None:
        raise UsageError(f"endpoint must be http://127.0.0.1:PORT of an emulated venue, was {url}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    base = f"{host}:{parts.port}"
    return Endpoint(
        trading=f"http://{base}",
        data=f"http://{base}",
        trades=f"ws://{base}/stream",
        stream=f"ws://{base}",
        is_live=False,
    )


def check_key(endpoint: Endpoint, key: str) -> None:
    """Refuse a key whose kind is not that of the address: paper keys begin with PK, real ones with AK.

    Raises PermissionRefused, without showing the key.
    """
    kind = {"PK": False, "AK": True}.get(key[:2].upper())
    if kind is None or kind is endpoint.is_live:
        return
    kinds = {True: "the real account", False: "the paper account"}
    raise PermissionRefused(
        f"keys must be for {kinds[endpoint.is_live]} ({endpoint.trading}), these are for {kinds[kind]}; "
        "take the keys of the other account, or change `mode`"
    )

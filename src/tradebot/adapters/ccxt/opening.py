"""Open an exchange as a feed or a venue, from the configuration's words. Neither connects nor waits.

Owns which system of an exchange is meant: an emulator's address, its own test system in paper mode, or the
real one. Market data are always the real ones, unless an emulator's address is given.
"""

from __future__ import annotations

from collections.abc import Mapping

from tradebot.adapters.ccxt.capability import require
from tradebot.adapters.ccxt.feed import CcxtFeed
from tradebot.adapters.ccxt.library import Credentials, Exchange, open_exchange
from tradebot.adapters.ccxt.symbols import symbols_for
from tradebot.adapters.ccxt.venue import CcxtVenue
from tradebot.core.model import Instrument
from tradebot.core.ports import Connection
from tradebot.core.recorder import is_own_id
from tradebot.errors import ConfigError, PermissionRefused, Problem


def open_feed(connection: Connection) -> CcxtFeed:
    """Return a place's market data. Raises ConfigError for one that cannot be followed."""
    exchange = open_exchange(connection.place, endpoint=connection.url or None)
    require(exchange, is_data=True)
    return CcxtFeed(exchange)


def open_venue(connection: Connection, instruments: Mapping[str, Instrument]) -> CcxtVenue:
    """Return an account at a place.

    Raises ConfigError for a place that cannot be traded at, PermissionRefused without keys.
    """
    place = connection.place
    if not connection.key or not connection.secret:
        raise PermissionRefused(f"trading at {place} needs keys, has none; `venue: sim` trades without")
    exchange = open_exchange(
        place,
        credentials=Credentials(key=connection.key, secret=connection.secret, password=connection.passphrase),
        endpoint=connection.url or None,
        is_sandbox=connection.mode == "paper" and not connection.url,
    )
    require(exchange, is_data=False)
    _check_credentials(exchange, connection)
    return CcxtVenue(
        exchange,
        symbols_for(place, instruments),
        connection.account,
        is_ours=_is_ours,
        account_id=connection.account_id,
        is_live=connection.mode == "live",
    )


def _check_credentials(exchange: Exchange, connection: Connection) -> None:
    needed = {name for name, is_needed in exchange.raw.requiredCredentials.items() if is_needed}
    if strange := sorted(needed - {"apiKey", "secret", "password"}):
        message = f"cannot be used: {exchange.id} signs with {', '.join(strange)}, tradebot with a key and its secret"
        raise ConfigError([Problem(file=exchange.id, line=None, key="venue", message=message)])
    if "password" in needed and not connection.passphrase:
        raise PermissionRefused(
            f"keys of {exchange.id} come with a passphrase, which must be beside them: a line passphrase=... in "
            "their file; these have none"
        )


def _is_ours(client_order_id: str) -> bool:
    # Which installation's it is, reconciliation decides; here it parts ours from what people send.
    return client_order_id.startswith("t") and is_own_id(client_order_id, client_order_id[:2])

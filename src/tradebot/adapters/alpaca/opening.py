"""Open Alpaca as a feed or a venue, from the configuration's words. Neither connects nor waits.

Owns which of Alpaca's systems is meant: the paper account, the real one, or an emulated one on this machine.
"""

from __future__ import annotations

from collections.abc import Mapping

from tradebot.adapters.alpaca.endpoint import check_key, endpoint_of
from tradebot.adapters.alpaca.feed import AlpacaFeed
from tradebot.adapters.alpaca.rest import Rest
from tradebot.adapters.alpaca.venue import AlpacaVenue
from tradebot.core.model import Instrument
from tradebot.core.ports import Connection
from tradebot.core.recorder import is_own_id
from tradebot.errors import PermissionRefused, UsageError

_FEEDS = ("iex", "sip")


def open_feed(connection: Connection) -> AlpacaFeed:
    """Return Alpaca's market data. Raises PermissionRefused without keys, UsageError for an unknown feed."""
    feed = connection.feed or _FEEDS[0]
    if feed not in _FEEDS:
        raise UsageError(f"accounts.{connection.account}.feed must be iex or sip at Alpaca, was {feed}")
    rest = _rest(connection, "market data of Alpaca need keys, those of a free paper account will do")
    return AlpacaFeed(
        rest, feed, key=connection.key, secret=connection.secret, is_fractional=connection.is_fractional
    )


def open_venue(connection: Connection, instruments: Mapping[str, Instrument]) -> AlpacaVenue:
    """Return an account at Alpaca. Raises PermissionRefused for keys that are missing or of the other kind."""
    rest = _rest(connection, "trading at Alpaca needs keys")
    check_key(rest.endpoint, connection.key)
    return AlpacaVenue(
        rest,
        connection.account,
        dict(instruments),
        _is_ours,
        key=connection.key,
        secret=connection.secret,
        account_id=connection.account_id,
    )


def _rest(connection: Connection, why: str) -> Rest:
    if not connection.key or not connection.secret:
        raise PermissionRefused(f"accounts.{connection.account}.keys must name stored keys: {why}")
    endpoint = endpoint_of(is_live=connection.mode == "live", url=connection.url or None)
    return Rest(endpoint, connection.key, connection.secret)


def _is_ours(client_order_id: str) -> bool:
    # Which installation's it is, reconciliation decides; here it parts ours from what people send.
    return client_order_id.startswith("t") and is_own_id(client_order_id, client_order_id[:2])

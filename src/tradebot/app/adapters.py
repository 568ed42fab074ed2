"""Find the adapter that a configuration's word means, and import that one only.

Owns which words mean live market data or a venue over a wire, and what an adapter is opened with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from tradebot.app.misfits import refuse
from tradebot.config.models import VENUE, Config
from tradebot.core.model import Instrument
from tradebot.core.ports import Connection, Feed, LiveVenue
from tradebot.daemon.secrets import Vault

_ALPACA = "alpaca"


def place_of(config: Config, project: Path, account: str) -> str | None:
    """Return the place whose market data an account follows live; None: it plays stored data."""
    words = config.accounts[account]
    if words.venue != "sim":
        return words.venue
    word = words.feed
    if word is None or word == "sample" or not re.fullmatch(VENUE, word) or (project / word).exists():
        return None
    return word


def connection_of(config: Config, place: str, account: str, vault: Vault) -> Connection:
    """Return what the adapter of an account is opened with. Raises PermissionRefused for keys."""
    words = config.accounts[account]
    keys = None if words.keys is None else vault.keys(words.keys, place)
    return Connection(
        place=place,
        account=account,
        mode=config.mode,
        feed="" if words.venue == "sim" or words.feed is None else words.feed,
        account_id=words.account_id or "",
        url=words.url or "",
        is_fractional=words.shares == "fractional",
        key="" if keys is None else keys.key.reveal(),
        secret="" if keys is None else keys.secret.reveal(),
        passphrase="" if keys is None or keys.passphrase is None else keys.passphrase.reveal(),
    )


def open_feed(connection: Connection) -> Feed:
    """Open the feed of a place; nothing is connected yet."""
    feed: Feed = _opening(connection).open_feed(connection)
    return feed


def open_venue(connection: Connection, instruments: Mapping[str, Instrument]) -> LiveVenue:
    """Open an account's venue; nothing is connected yet."""
    venue: LiveVenue = _opening(connection).open_venue(connection, instruments)
    return venue


def _opening(connection: Connection) -> Any:
    name = _ALPACA if connection.place == _ALPACA else "ccxt"
    where = f"tradebot.adapters.{name}.opening"
    try:
        return import_module(where)
    except ModuleNotFoundError as exc:
        if exc.name is None or not exc.name.startswith(where.rpartition(".")[0]):
            raise
        raise refuse(
            f"accounts.{connection.account}", f"{connection.place} cannot be traded by this version"
        ) from exc

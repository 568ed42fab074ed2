"""Open the two ends of an account that trades on live data: its feed and, where it has one, its venue.

Owns what must be known before an account can be built: what its instruments are, and what a venue holds when
it is traded for the first time. What the venue said of instruments is kept, so that a later start needs
nobody to answer; the first one does.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from tradebot.app.adapters import connection_of, open_feed, open_venue
from tradebot.app.deciders import instruments_of, recipes
from tradebot.app.live import Ends
from tradebot.config.models import Config
from tradebot.core.model import Instrument
from tradebot.core.ports import Connection, Feed, LiveVenue
from tradebot.daemon.places import AccountPlaces
from tradebot.daemon.secrets import Vault
from tradebot.daemon.shared import SharedFeed
from tradebot.data.instruments import instrument_from_text, instrument_to_text
from tradebot.errors import VenueError

_FOLDER = "instruments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Whose ends are opened, and where its files are."""

    config: Config
    project: Path
    account: str
    place: str
    files: AccountPlaces
    vault: Vault


class Feeds:
    """The feeds of a daemon: accounts with the same words share one."""

    def __init__(self) -> None:
        self._known: dict[Connection, SharedFeed] = {}

    def open(self, connection: Connection) -> Feed:
        """Return an account's feed; nothing is connected yet."""
        same = replace(connection, account="", account_id="")
        if same not in self._known:
            self._known[same] = SharedFeed(open_feed(connection))
        return self._known[same].tap()


async def reach(asked: Reach, feeds: Feeds, ends: AsyncExitStack) -> Ends:
    """Open an account's ends, which `ends` lets go of.

    Raises VenueError when a first start gets no answer, PermissionRefused for keys.
    """
    words = asked.config.accounts[asked.account]
    connection = connection_of(asked.config, asked.place, asked.account, asked.vault)
    feed = feeds.open(connection)
    ends.push_async_callback(feed.close)
    instruments = await _instruments(asked, feed)
    if words.venue == "sim":
        return Ends(feed=feed, venue=None, instruments=instruments)
    venue = open_venue(connection, instruments)
    ends.push_async_callback(venue.close)
    holds = {} if asked.files.journal.is_file() else await _holds(venue)
    return Ends(feed=feed, venue=venue, instruments=instruments, holds=holds)


async def _holds(venue: LiveVenue) -> Mapping[str, Decimal]:
    return (await venue.snapshot(time.time_ns())).cash  # what happened before is not asked for


async def _instruments(asked: Reach, feed: Feed) -> dict[str, Instrument]:
    names = _named(asked)
    kept = _kept(asked.files.folder / _FOLDER, names)
    try:
        found = await feed.instruments(names)
    except VenueError:
        if kept is None:
            raise
        found = kept
    else:
        _keep(asked.files.folder / _FOLDER, found.values())
    calendars = asked.config.calendars
    return {name: replace(one, calendar=calendars.get(name, one.calendar)) for name, one in found.items()}


def _named(asked: Reach) -> list[str]:
    """Return every instrument of the account's strategies, and those that are rates."""
    made = [r for r in recipes(asked.config, asked.project) if r.words.account == asked.account]
    names = [name for recipe in made for name in instruments_of(recipe)]
    names += [word for word in asked.config.rates.values() if isinstance(word, str)]
    return list(dict.fromkeys(names))


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name.replace('/', '%2F')}.json"


def _kept(folder: Path, names: Sequence[str]) -> dict[str, Instrument] | None:
    files = {name: _file(folder, name) for name in names}
    if not all(file.is_file() for file in files.values()):
        return None
    return {name: instrument_from_text(f.read_text("utf-8"), str(f)) for name, f in files.items()}


def _keep(folder: Path, instruments: Iterable[Instrument]) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    for one in instruments:
        _file(folder, one.id).write_text(instrument_to_text(one), encoding="utf-8")

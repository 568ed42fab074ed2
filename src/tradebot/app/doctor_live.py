"""Ask the places whose live data or orders a configuration names: keys, account, symbols, clocks.

Owns those checks of `doctor` that leave the machine. Each account is asked by itself, with a deadline; reading
only, and nothing is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from tradebot.app.adapters import connection_of, open_feed, open_venue, place_of
from tradebot.app.deciders import instruments_of, recipes
from tradebot.config.models import Config
from tradebot.core.model import SECOND, Instrument
from tradebot.core.ports import Feed, LiveVenue
from tradebot.daemon.follower import MOST_OFFSET
from tradebot.daemon.secrets import Vault
from tradebot.errors import TradebotError

_DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a place said of an account: lines that are well, the first that is not, and its instruments."""

    account: str
    place: str
    said: tuple[str, ...]
    wrong: str
    instruments: tuple[Instrument, ...]


def live_accounts(config: Config, project: Path) -> dict[str, str]:
    """Return the accounts that follow live data, with their place."""
    found = {account: place_of(config, project, account) for account in config.accounts}
    return {account: place for account, place in found.items() if place is not None}


def ask_places(config: Config, project: Path, vault: Vault, now: int) -> Iterator[Answer]:
    """Ask for each live account, one after the other."""
    for account, place in live_accounts(config, project).items():
        questions = _Questions(config, project, account, place, vault)
        yield asyncio.run(questions.ask(now))


class _Questions:
    """What one account's place is asked, in order; the first bad answer ends it."""

    def __init__(self, config: Config, project: Path, account: str, place: str, vault: Vault) -> None:
        self._config, self._project, self._vault = config, project, vault
        self._account, self._place = account, place
        self._said: list[str] = []
        self._instruments: dict[str, Instrument] = {}

    async def ask(self, now: int) -> Answer:
        wrong = ""
        try:
            async with asyncio.timeout(_DEADLINE_S), AsyncExitStack() as ends:
                await self._ask(now, ends)
        except TradebotError as exc:
            wrong = str(exc)
        except TimeoutError:
            wrong = f"no answer in {_DEADLINE_S:g} s"
        return Answer(
            account=self._account,
            place=self._place,
            said=tuple(self._said),
            wrong=wrong,
            instruments=tuple(self._instruments.values()),
        )

    async def _ask(self, now: int, ends: AsyncExitStack) -> None:
        connection = connection_of(self._config, self._place, self._account, self._vault)
        feed = open_feed(connection)
        ends.push_async_callback(feed.close)
        made = [r for r in recipes(self._config, self._project) if r.words.account == self._account]
        names = list(dict.fromkeys(n for recipe in made for n in instruments_of(recipe)))
        self._instruments = await feed.instruments(names)
        self._said.append(f"{', '.join(names)} can be followed by {feed.name}")
        await self._compare_clocks(feed)
        if self._config.accounts[self._account].venue != "sim":
            venue = open_venue(connection, self._instruments)
            ends.push_async_callback(venue.close)
            await self._look(venue, now)

    async def _compare_clocks(self, feed: Feed) -> None:
        offset = await feed.offset()
        if abs(offset) > MOST_OFFSET:
            raise TradebotError(
                f"its clock and ours must agree within {MOST_OFFSET / SECOND:g} s, they differ by "
                f"{offset / SECOND:.1f} s: timedatectl set-ntp true"
            )
        self._said.append(f"its clock and ours differ by {abs(offset) / 1e6:.0f} ms")

    async def _look(self, venue: LiveVenue, now: int) -> None:
        found = await venue.snapshot(now)
        cash = ", ".join(f"{amount.normalize():f} {asset}" for asset, amount in found.cash.items())
        held = ", ".join(f"{qty.normalize():f} {name}" for name, qty in found.positions.items())
        self._said.append(
            f"the keys are accepted; it holds {cash or 'no cash'}{f' and {held}' if held else ''}"
        )

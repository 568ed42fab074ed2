"""Find out how an account is opened: on stored data, or on the live ones that its words name.

Loads what live data need only where an account has them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from tradebot.app.adapters import place_of
from tradebot.app.aside import supply_aside
from tradebot.app.trading import Opened, Request, open_account
from tradebot.daemon.secrets import Vault

if TYPE_CHECKING:
    from tradebot.app.reach import Feeds


class Opening:
    """Opens the accounts of one process; `ends` lets go of their connections."""

    def __init__(self, vault: Vault, ends: AsyncExitStack) -> None:
        self._vault = vault
        self._ends = ends
        self._feeds: Feeds | None = None

    async def of(self, request: Request) -> Callable[[], Opened]:
        """Return what opens an account; it takes its time and needs no event loop.

        Raises VenueError when a first start gets no answer from its venue, PermissionRefused for keys.
        """
        place = place_of(request.config, request.project, request.account)
        if place is None:
            return partial(open_account, request, partial(supply_aside, folder=request.places.folder))
        from tradebot.app.live import open_live, usual_means
        from tradebot.app.reach import Feeds, Reach, reach

        self._feeds = self._feeds or Feeds()
        asked = Reach(
            config=request.config,
            project=request.project,
            account=request.account,
            place=place,
            files=request.places,
            vault=self._vault,
        )
        return partial(open_live, request, await reach(asked, self._feeds, self._ends), usual_means())

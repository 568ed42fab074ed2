"""Try every address of a configuration once, and say which ones answered.

What `notify test` does; nothing is queued, retried or remembered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tradebot.daemon.alerts import Desk
from tradebot.daemon.courier import Courier, routes_of
from tradebot.daemon.redact import Redactor
from tradebot.daemon.secrets import Secret
from tradebot.daemon.sending import ping, send_by_apprise

if TYPE_CHECKING:
    from tradebot.config.models import Notify


async def reach(notify: Sequence[Notify], label: str) -> list[tuple[str, str | None]]:
    """Send a test message or a ping to each; return its place and why it failed (None: it did not)."""
    redactor = Redactor()
    messages = Courier(routes_of(notify), Desk(label), send_by_apprise, redactor)
    pings = pings_of(notify)
    for url, _, _ in pings:
        redactor.add_url(url)
    told, answers = await asyncio.gather(
        messages.test(label), asyncio.gather(*(ping(url) for url, _, _ in pings))
    )
    answered = [
        (place, None if why is None else redactor.redact(why))
        for (_, _, place), why in zip(pings, answers, strict=True)
    ]
    return sorted([*told, *answered])


def pings_of(notify: Sequence[Notify]) -> list[tuple[Secret, float, str]]:
    """Return the addresses that prove life, how often in seconds, and their places without secrets."""
    found: list[tuple[Secret, float, str]] = []
    for i, entry in enumerate(notify):
        if entry.ping is not None:
            url = entry.ping.get_secret_value()
            found.append((Secret(url), entry.every / 1e9, f"notify[{i}] {urlsplit(url).scheme}://***"))
    return found

"""Reach the outside: a message through apprise, a proof of life by a plain request.

apprise runs in a process of its own, for the seconds that a message takes: its libraries would be a
third of an idle daemon's memory, and a service that hangs can be killed. The address goes there by
stdin, never as an argument that other users see.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aiohttp

from tradebot.daemon.alerts import Message, Severity
from tradebot.daemon.secrets import Secret

_CHILD = ("-m", "tradebot.daemon.apprise_child")
# What the child needs of our environment: how to find Python's things, names and proxies. No keys.
_PASSED = (
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "PYTHONHOME", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip
_KINDS = {
    Severity.INFO: "info",
    Severity.WARNING: "warning",
    Severity.ERROR: "failure",
    Severity.CRITICAL: "failure",
}


async def send_by_apprise(url: Secret, message: Message, timeout_s: float = 40.0) -> str | None:
    """Send a message to an apprise address; return why it failed, None when it arrived."""
    order = {
        "url": url.reveal(),
        "title": message.title,
        "body": message.body,
        "kind": _KINDS[message.severity],
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *_CHILD,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={name: os.environ[name] for name in _PASSED if name in os.environ},
    )
    try:
        async with asyncio.timeout(timeout_s):
            answer, _ = await child.communicate(json.dumps(order).encode())
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    try:
        why = json.loads(answer)["why"]
    except (ValueError, KeyError, TypeError):
        return f"the sending process ended with {child.returncode} and no answer"
    return None if why is None else str(why)


async def ping(url: Secret, timeout_s: float = 15.0) -> str | None:
    """Request an address once; return why it did not answer with success, None when it did."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s), trust_env=True) as session,
            session.get(url.reveal()) as answer,
        ):
            return None if answer.status < 400 else f"answered with status {answer.status}"
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
        return f"{type(exc).__name__}: {exc}"


class DeadMan:
    """Tell a watchman elsewhere, every so often, that trading goes on; silence makes him call the owner.

    `is_trading` is asked each time: a process that lives and does not trade must not be reported
    well. A failed request is tried again soon, so that one lost packet raises no alarm.
    """

    def __init__(
        self,
        url: Secret,
        every_s: float,
        is_trading: Callable[[], bool],
        *,
        failed: Callable[[str], None] = lambda why: None,
        request: Callable[[Secret], Awaitable[str | None]] = ping,
        retry_s: tuple[float, ...] = (5.0, 15.0),
    ) -> None:
        self._url, self._every_s, self._is_trading = url, every_s, is_trading
        self._failed, self._request, self._retry_s = failed, request, retry_s

    async def run(self) -> None:
        """Ping until cancelled."""
        while True:
            await self.beat()
            await asyncio.sleep(self._every_s)

    async def beat(self) -> bool:
        """Ping once if trading goes on, with retries; return whether the watchman heard it."""
        why: str | None = None
        for pause in (0.0, *self._retry_s):
            if pause:
                await asyncio.sleep(pause)
            if not self._is_trading():
                return False
            why = await self._request(self._url)
            if why is None:
                return True
        self._failed(why or "")
        return False

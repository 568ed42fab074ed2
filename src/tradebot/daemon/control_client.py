"""Ask a running daemon over its socket, and tell apart why it does not answer.

The other end of `control`: the standard library only, so that a command costs little. Nothing there is
"not running", a closed door is "no permission", and a lock without a socket is a daemon that starts.
"""

from __future__ import annotations

import http.client
import json
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tradebot.daemon import lock, places
from tradebot.daemon.control_words import BASE, error_of
from tradebot.errors import Busy, InvariantError, NotRunning, PermissionRefused

_LARGEST_ANSWER = 16_000_000


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with places.address(self._path) as address:
            self.sock.connect(address)


class Client:
    """Asks the daemon of some places. Every method raises what the daemon answered with, if that is an error."""

    def __init__(self, where: places.Places, timeout: float = 40.0) -> None:
        self.where = where
        self._timeout = timeout

    def get(self, verb: str, **query: str | None) -> Mapping[str, Any]:
        """Ask a reading verb. Raises NotRunning, PermissionRefused, Busy while it starts or does not answer."""
        given = {name: value for name, value in query.items() if value is not None}
        return self._ask("GET", f"{verb}?{urlencode(given)}" if given else verb, None, {})

    def post(self, verb: str, body: Mapping[str, object], key: str = "") -> Mapping[str, Any]:
        """Ask for something to be done, once however often it is asked under the same `key`."""
        headers = {"Idempotency-Key": key or secrets.token_hex(8), "Content-Type": "application/json"}
        given = {name: value for name, value in body.items() if value is not None}
        return self._ask("POST", verb, json.dumps(given).encode(), headers)

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Mapping[str, Any]:
        connection = _Connection(self.where.socket, self._timeout)
        try:
            connection.request(method, BASE + path, body, dict(headers))
            answer = connection.getresponse().read(_LARGEST_ANSWER)
        except (FileNotFoundError, ConnectionRefusedError) as exc:
            raise self._absent() from exc
        except PermissionError as exc:
            raise PermissionRefused(
                f"{self.where.socket} must be open to you, is not: ask as the user the daemon runs as "
                "(sudo -u tradebot tradebot ..., for a service), or as root"
            ) from exc
        except TimeoutError as exc:
            raise Busy(
                f"the daemon did not answer within {self._timeout:g} s; tradebot logs may say why"
            ) from exc
        except (OSError, http.client.HTTPException) as exc:
            raise NotRunning(f"the daemon ended while it was asked ({type(exc).__name__})") from exc
        finally:
            connection.close()
        return _read(answer)

    def _absent(self) -> NotRunning | Busy:
        holder = lock.holder(self.where.state)
        if holder is not None:
            return Busy(
                f"process {holder.pid} holds {self.where.state} and does not listen yet: it is starting"
            )
        return NotRunning(f"no daemon runs for {self.where.project}.  Next: tradebot start")


def _read(answer: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(answer)
    except ValueError as exc:
        raise InvariantError(f"the daemon must answer in JSON, answered {answer[:80]!r}") from exc
    if not isinstance(body, dict):
        raise InvariantError(f"the daemon must answer with an object, answered {answer[:80]!r}")
    error = error_of(body)
    if error is not None:
        raise error
    return body

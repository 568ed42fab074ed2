"""Agree on the words between daemon and command line: what may be asked, and how answers look.

Owns the form of requests and answers, and checks every field of a request. Shared by both ends, so it
imports nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from tradebot import errors
from tradebot.core.rules import OWNER
from tradebot.core.scope import HaltLevel
from tradebot.errors import TradebotError, UsageError

SCHEMA_VERSION = 1
BASE = "/v1/"
_LONGEST = 500  # characters of a reason
_KEY = re.compile(r"[A-Za-z0-9_-]{8,64}")
LEVELS = {1: HaltLevel.NO_NEW_RISK, 2: HaltLevel.CANCEL_ENTRIES, 3: HaltLevel.FLATTEN}

T = TypeVar("T", str, int, bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it came. `key` makes a repeated one harmless."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Mapping[str, Any]
    key: str = ""

    @property
    def verb(self) -> str:
        return self.path.removeprefix(BASE) if self.path.startswith(BASE) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back: an HTTP status and a JSON object."""

    status: int
    body: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What a word is about: None stands for all of them."""

    account: str | None = None
    strategy: str | None = None
    instrument: str | None = None


def ok(body: Mapping[str, object]) -> Answer:
    """Return an answer that did what was asked."""
    return Answer(status=200, body={"schema_version": SCHEMA_VERSION, **body})


def refusal(status: int, kind: str, message: str) -> Answer:
    """Return an answer that says no: `kind` is the name of one of our errors."""
    code = _error_class(kind).exit_code
    error = {"kind": kind, "exit_code": int(code), "message": message}
    return Answer(status=status, body={"schema_version": SCHEMA_VERSION, "error": error})


def error_of(body: Mapping[str, Any]) -> TradebotError | None:
    """Return the error that an answer carries, None when it is none."""
    error = body.get("error")
    if not isinstance(error, dict):
        return None
    kind = _error_class(str(error.get("kind")))
    return kind(str(error.get("message")))


def _error_class(kind: str) -> type[TradebotError]:
    found = getattr(errors, kind, None)
    if isinstance(found, type) and issubclass(found, TradebotError) and found is not errors.ConfigError:
        return found
    return TradebotError


# --- fields ---------------------------------------------------------------------------------------


def check_key(asked: Asked) -> str:
    """Return the idempotency key. Raises UsageError unless there is a fit one."""
    if not _KEY.fullmatch(asked.key):
        raise UsageError("Idempotency-Key must be 8 to 64 letters, digits, - or _")
    return asked.key


def check_fields(asked: Asked, *known: str) -> None:
    """Raise UsageError for a field that the verb does not know."""
    for name in asked.body:
        if name not in known:
            raise UsageError(f"{asked.verb}: unknown field {name[:40]!r}; it knows {', '.join(known)}")


def field(asked: Asked, name: str, kind: type[T], default: T | None = None) -> T | None:
    """Return a field of the body. Raises UsageError when it has another type or is no plain text."""
    value = asked.body.get(name)
    if value is None:
        return default
    # A bool is an int to Python, and not to anybody else.
    if type(value) is not kind:
        raise UsageError(f"{asked.verb}.{name} must be {kind.__name__}, was {type(value).__name__}")
    _check_line(asked, name, value)
    return value


def _check_line(asked: Asked, name: str, value: object) -> None:
    if isinstance(value, str) and (len(value) > _LONGEST or not value.isprintable()):
        raise UsageError(f"{asked.verb}.{name} must be a line of at most {_LONGEST} characters")


def aim_of(asked: Asked) -> Aim:
    """Return what a request is about."""
    return Aim(
        account=field(asked, "account", str),
        strategy=field(asked, "strategy", str),
        instrument=field(asked, "instrument", str),
    )


def lifting(row: Mapping[str, Any]) -> str:
    """Return the command that lifts a halt, given as it stands in an answer."""
    words = ["tradebot resume", f"--account {row['account']}"]
    words += [f"--strategy {row['strategy']}"] if row["strategy"] else []
    words += [f"--symbol {row['instrument']}"] if row["instrument"] else []
    words += [f"--rule {row['rule']} --reason TEXT"] if row["rule"] != OWNER else []
    return " ".join(words)


def level_of(asked: Asked) -> HaltLevel:
    """Return the level of a halt, 1 if none is named. Raises UsageError for another than 1, 2, 3."""
    number = field(asked, "level", int, 1)
    if number not in LEVELS:
        raise UsageError(f"{asked.verb}.level must be 1, 2 or 3, was {number}")
    return LEVELS[number]

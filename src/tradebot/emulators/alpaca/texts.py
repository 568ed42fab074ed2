"""Write times, amounts, ids and refusals as Alpaca writes them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from tradebot.core.model import SECOND

NEW_YORK = ZoneInfo("America/New_York")
_SPACE = uuid.UUID("6ba7b814-9dad-11d1-80b4-00c04fd430c8")


class Refusal(Exception):
    """What a request is refused with: HTTP status, Alpaca's code and words, further fields."""

    def __init__(self, status: int, code: int, message: str, **more: str) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, object] = {"code": code, "message": message, **more}


def stamp(ts: int) -> str:
    """Return RFC 3339 in UTC, with as many of the nine decimals as it takes."""
    seconds, rest = divmod(ts, SECOND)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}".rstrip("0").rstrip(".") + "Z"


def stamp_or_none(ts: int | None) -> str | None:
    return None if ts is None else stamp(ts)


def read_stamp(text: str) -> int:
    """Return ns UTC of RFC 3339 or a plain date (its midnight UTC). Raises Refusal."""
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError as exc:
        raise Refusal(422, 42210000, f"invalid time {text}") from exc
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return int(found.timestamp()) * SECOND + found.microsecond * 1000


def new_york(ts: int) -> datetime:
    """Return the wall clock in New York."""
    return datetime.fromtimestamp(ts // SECOND, NEW_YORK)


def plain(amount: Decimal) -> str:
    """Return an amount without exponent and trailing zeros."""
    return f"{amount.normalize():f}"


def plain_or_none(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)


@lru_cache(maxsize=1 << 16)
def id_of(kind: str, name: str | int) -> str:
    """Return the id of a thing, the same in every run."""
    return str(uuid.uuid5(_SPACE, f"{kind}/{name}"))

"""Know which of Alpaca's answers prove that an order was refused.

A code alone proves nothing: one code covers many things, some of which happen to orders that are live.
Proof is a known status and code with words that this table knows. Everything else is unclear.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

NO_CODE: Final = 0


class Said(NamedTuple):
    """An error that the venue itself wrote: a JSON body with a message."""

    status: int
    code: int
    message: str

    def __str__(self) -> str:
        return f"{self.message} ({self.status}/{self.code})"


_USED = re.compile(r"client[\s_-]?order[\s_-]?id must be unique", re.IGNORECASE)

# What was said of requests that it took no order from: published documents and recorded answers.
_PROOFS: dict[tuple[int, int], re.Pattern[str]] = {
    (400, 40010000): re.compile(r"request body format is invalid"),
    (422, 40010001): re.compile(
        r"^(invalid |qty |notional |side |type |symbol |limit_price |stop_price |trail|\w+ is (malformed|required)"
        r"|\w+ is required|.*orders? requires? |us_equity orders not allowed for account"
        r"|client_order_id must be no more than)"
    ),
    (403, 40310000): re.compile(
        r"^(insufficient (buying power|qty|balance|day ?trading)|asset \".*\" (is not|cannot)|potential wash trade"
        r"|account is not (allowed|eligible|authorized)|trade denied|trading denied|new orders are rejected"
        r"|account is restricted)"
    ),
    (403, 40310100): re.compile(r"^trade denied"),
    (422, 42210000): re.compile(
        r"^(fractional orders|stop price must be|invalid |asset \".*\" |crypto orders|cost basis must be"
        r"|extended hours|\w+ orders? (must|cannot|require)|order type|limit price must|take_profit|stop_loss"
        r"|stop_price|qty must|notional|.*sub-penny increment|potential wash trade|\"?\w+\"? is not (active|tradable))"
    ),
    (401, NO_CODE): re.compile(r"^unauthorized"),
    (403, 40110000): re.compile(r"^request is not authorized"),
    (401, 40110000): re.compile(r"^request is not authorized"),
}
_OVER = re.compile(
    r"order is already in \"?(\w+)\"? state|order is not cancelable|unable to cancel", re.IGNORECASE
)
_KEPT = re.compile(
    r"cannot replace order|orders cannot be replaced|order is already in|order parameters are not changed|qty must|"
    r"sub-penny increment",
    re.IGNORECASE,
)


def is_proof(said: Said) -> bool:
    """Return whether these words prove that no order was made of the request."""
    pattern = _PROOFS.get((said.status, said.code))
    return pattern is not None and pattern.search(said.message) is not None and not is_used_id(said)


def is_used_id(said: Said) -> bool:
    """Return whether an order of this id exists: ours, for nobody else makes such ids."""
    return _USED.search(said.message) is not None


def is_over(said: Said) -> bool:
    """Return whether a cancel was refused because the order is over."""
    return said.status == 422 and _OVER.search(said.message) is not None


def keeps_the_old(said: Said) -> bool:
    """Return whether a replace was refused and changed nothing."""
    return said.status in (403, 422) and (_KEPT.search(said.message) is not None or is_proof(said))


def is_absent(said: Said) -> bool:
    """Return whether the venue says that there is no such thing."""
    return said.status == 404 and (said.code in (40410000, NO_CODE)) and "not found" in said.message.lower()


def is_unauthorized(said: Said) -> bool:
    """Return whether the keys are not accepted."""
    words = said.message.lower()
    return said.status == 401 or (
        said.status == 403 and ("not authorized" in words or words.startswith("forbidden"))
    )

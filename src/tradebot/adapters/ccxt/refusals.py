"""Say what an exchange's answer proves, from a table of its own error codes.

Owns the tables and the one question: refused, gone, keys not accepted, ask later, clock wrong, or
unknown. The default is unknown, whatever class of error ccxt made of it: its leaf `ExchangeError` also
stands for a torn answer of an accepted order.

Sources: the error lists in Binance's and Kraken's documentation. A 5xx never proves anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Meaning(Enum):
    """What an answer says of the request."""

    REFUSED = "refused"
    GONE = "gone"  # there is no such order (any more)
    AUTH = "auth"
    RATE = "rate"
    CLOCK = "clock"
    UNKNOWN = "unknown"

    @property
    def is_proof(self) -> bool:
        """Whether the request certainly did nothing."""
        return self in (Meaning.REFUSED, Meaning.AUTH, Meaning.RATE, Meaning.CLOCK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back over the wire: the HTTP status and the body's text."""

    status: int
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A meaning with the exchange's own words (ours, where it said nothing we know)."""

    meaning: Meaning
    text: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    code: str  # a pattern of the whole code
    meaning: Meaning
    text: str = ""  # a pattern found in the message; empty: any


# The first row that matches counts. A code that is not here is unknown.
_BINANCE = (
    _Row(r"-2010", Meaning.UNKNOWN, r"(?i)duplicate"),  # an order with this id is open: it may be this one
    _Row(r"-2010|-1013|-1014|-1015|-1016|-1020|-2016|-2026", Meaning.REFUSED),
    _Row(r"-11(0[0-68]|11|12|14|15|16|17|18|19|20|21|27|28|30|31|34|35|45|51)", Meaning.REFUSED),
    _Row(r"-1021", Meaning.CLOCK),
    _Row(r"-1003", Meaning.RATE),
    _Row(r"-1002|-1022|-2008|-2014|-2015", Meaning.AUTH),
    _Row(r"-2011|-2013", Meaning.GONE),
)
_KRAKEN = (
    _Row(r"EOrder:(Unknown order|Invalid order)", Meaning.GONE),
    _Row(r"EOrder:.*[Dd]uplicate.*", Meaning.UNKNOWN),
    _Row(r"EOrder:(Rate limit exceeded|Domain rate limit exceeded)", Meaning.RATE),
    _Row(r"EOrder:.*", Meaning.REFUSED),
    _Row(r"EGeneral:(Invalid arguments.*|Permission denied)|EQuery:Unknown asset pair", Meaning.REFUSED),
    _Row(r"EAPI:(Invalid key|Invalid signature)", Meaning.AUTH),
    _Row(r"EAPI:Invalid nonce", Meaning.CLOCK),
    _Row(r"EAPI:Rate limit exceeded|EGeneral:Temporary lockout", Meaning.RATE),
)
_TABLES: dict[str, Sequence[_Row]] = {"binance": _BINANCE, "binanceus": _BINANCE, "kraken": _KRAKEN}


def meaning_of(exchange: str, answer: Answer | None) -> Said:
    """Return what an answer to a request proves; None is no answer at all."""
    if answer is None:
        return Said(meaning=Meaning.UNKNOWN, text="no answer")
    if not 200 <= answer.status < 500:
        return Said(meaning=Meaning.UNKNOWN, text=f"HTTP {answer.status}, which proves nothing")
    found = _code(answer.body)
    if found is None:
        return Said(
            meaning=Meaning.UNKNOWN, text=f"HTTP {answer.status} with a body that is no error of theirs"
        )
    code, text = found
    for row in _TABLES.get(exchange, ()):
        if re.fullmatch(row.code, code) and re.search(row.text, text):
            return Said(meaning=row.meaning, text=text, code=code)
    return Said(meaning=Meaning.UNKNOWN, text=f"{code} {text}".strip(), code=code)


def _code(body: str) -> tuple[str, str] | None:
    """Return the code and the words of an error body: {"code": -1, "msg": ...} or {"error": ["E..."]}."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return None
    if not isinstance(parsed, dict):
        return None
    errors = parsed.get("error")
    if isinstance(errors, list) and errors:
        # With several, the least certain would decide; none of the tables knows such an answer.
        return (str(errors[0]), str(errors[0])) if len(errors) == 1 else ("", "; ".join(map(str, errors)))
    code = parsed.get("code")
    if isinstance(code, int | str) and not isinstance(code, bool):
        return str(code), str(parsed.get("msg", ""))
    return None

"""Write what entered the core as text and read it back: the archive's line format.

Owns the text of every input. Market data are short lists, because there are many of them, and may
hold NaN: what cannot be true was seen all the same. Everything else is an object by field name.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, NamedTuple, cast, get_args

from tradebot.core import messages as m
from tradebot.core.forms import Form, form_of, read_as
from tradebot.core.model import Bar, Book, Level, MarketData, Quote
from tradebot.errors import InvariantError, StoreError

# Raise it when any input's fields change: lines of another version are not read.
INPUTS_VERSION = 2

_LISTS: dict[type, str] = {Bar: "b", Quote: "q", Book: "k"}
_SLICE, _RATE = "slice", "rate"  # a rate may be NaN too
_FORMS: dict[str, Form] = {
    kind.__name__: form_of(kind) for kind in get_args(m.Input) if kind not in (m.Slice, m.Rate)
}
_WRITE = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class Seen(NamedTuple):
    """An input and when it was seen (ns UTC)."""

    seen: int
    message: m.Input


def schema_digest() -> str:
    """Return the sha256 of what is written: it changes when a field of any input does."""
    listed = (*_LISTS, Level, m.Slice)
    words = [f"{kind.__name__}:{','.join(getattr(kind, '_fields'))}" for kind in listed]  # noqa: B009
    words += [f"Rate:{form_of(m.Rate).schema}", *(form.schema for form in _FORMS.values())]
    return sha256("\n".join(words).encode()).hexdigest()


def encode_input(seen: int, message: m.Input) -> str:
    """Return an input as one line. Raises InvariantError for what is no input."""
    if isinstance(message, m.Slice):
        return _WRITE((seen, _SLICE, (message.ts, [(_LISTS[type(x)], *x) for x in message.items])))
    if isinstance(message, m.Rate):
        return _WRITE((seen, _RATE, (message.ts, message.asset, message.base, message.rate)))
    kind = type(message).__name__
    form = _FORMS.get(kind)
    if form is None:
        raise InvariantError(f"{kind} must be one of the inputs in core.messages to be archived")
    return _WRITE((seen, kind, form.write(message)))


def decode_input(line: str) -> Seen:
    """Return the input of a line. Raises StoreError when it does not fit."""
    try:
        seen, kind, values = json.loads(line)
        if kind == _SLICE:
            ts, items = values
            return Seen(int(seen), m.Slice(ts, tuple(map(_market_data, items))))
        if kind == _RATE:
            ts, asset, base, rate = values
            return Seen(int(seen), m.Rate(ts=ts, asset=asset, base=base, rate=float(rate)))
        form = _FORMS[kind]
    except (ValueError, TypeError, LookupError) as exc:
        raise StoreError(f"an archived input must be a line of this program's, was {line[:80]!r}") from exc
    return Seen(int(seen), cast(m.Input, read_as(form, values, kind)))


def _market_data(item: list[Any]) -> MarketData:
    word, *values = item
    if word == "b":
        return Bar(*values)
    if word == "q":
        return Quote(*values)
    if word != "k":
        raise ValueError(word)
    instrument, ts, bids, asks = values
    levels = (tuple(Level(price, qty) for price, qty in side) for side in (bids, asks))
    return Book(instrument, ts, *levels)

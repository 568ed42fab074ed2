"""Write facts as JSON text and read them back: the journal's file format.

Owns the text of every fact on disk and the digest that notices when it changes; how each type looks
is said in `forms`. Refuses storage: where the text goes is the store's business.

What is written is read back equal, and written again gives the same text. NaN and infinities are
refused: a fact that holds one is a bug.

To change a fact's fields: raise its VERSION and add to UPCASTERS the function that turns the old
version's values into the next one's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import NamedTuple, cast

from tradebot.core import facts
from tradebot.core.facts import Fact, Recorded
from tradebot.core.forms import Form, Plain, form_of, read_as
from tradebot.errors import InvariantError, StoreError

Upcaster = Callable[[dict[str, Plain]], dict[str, Plain]]


def _with(**values: Plain) -> Upcaster:
    """Return an upcaster that adds fields an old version did not have, with what they then meant."""
    return lambda old: {**old, **values}


def _rests_at_the_venue(old: dict[str, Plain]) -> dict[str, Plain]:
    exits = old["exits"]
    return {**old, "exits": {**exits, "is_local": False}} if isinstance(exits, dict) else old


# (kind, version) -> what turns that version's values into those of version + 1.
UPCASTERS: Mapping[tuple[str, int], Upcaster] = {
    ("AssignmentMade", 1): _with(because="", exits=None, realized="0"),
    ("AssignmentMade", 2): _rests_at_the_venue,
    ("CashMoved", 1): _with(venue_ref=""),
    ("DividendPaid", 1): _with(venue_ref=""),
    ("FeeCharged", 1): _with(venue_ref=""),
    ("HaltSet", 1): lambda old: {**old, "scope": {**cast(dict[str, Plain], old["scope"]), "account": None}},
    ("InterestPaid", 1): _with(venue_ref=""),
    ("OrderIntended", 1): _with(compared=[]),
    ("PositionAdjusted", 1): _with(realized="0", cash=[], settles_at=0, venue_ref=""),
    ("ReplaceRequested", 1): _with(compared=[]),
    ("SplitApplied", 1): lambda old: {**old, "since": old["ts"]},
    ("RunStarted", 1): _with(needs_reconcile=False),
    ("RunStarted", 2): _with(catches_up=False),
    ("StrategySaved", 1): _with(bar_ts=0),
    ("TargetSet", 1): _rests_at_the_venue,
}


class Row(NamedTuple):
    """A recorded fact as a row of the journal."""

    seq: int
    ts: int
    seen: int
    kind: str
    version: int
    cause: int
    data: str


def encode(recorded: Recorded) -> Row:
    """Return the journal's row of a fact. Raises InvariantError for NaN, infinities and unknown kinds."""
    fact = recorded.fact
    kind = type(fact).__name__
    form = _FORMS.get(kind)
    if form is None:
        raise InvariantError(f"{kind} must be one of the facts in core.facts to be written")
    data = _WRITE(form.write(fact))
    return Row(recorded.seq, fact.ts, recorded.seen, kind, type(fact).VERSION, recorded.cause, data)


def decode(kind: str, version: int, data: str) -> Fact:
    """Return the fact a row holds, in today's form.

    Raises StoreError when the kind is unknown, the version newer than this program, or the data
    do not fit.
    """
    form = _FORMS.get(kind)
    if form is None:
        raise StoreError(f"fact {kind!r} is not known here; a newer program wrote it, start that one")
    current = _KINDS[kind].VERSION
    if not 1 <= version <= current:
        raise StoreError(
            f"{kind} is known here up to version {current}, was {version}; a newer program wrote it"
        )
    try:
        values, end = _READ(data)
        if end != len(data):
            raise ValueError(f"it ends at {end} of {len(data)}")
    except ValueError as exc:
        raise StoreError(f"{kind}: the data must be JSON, {exc}") from exc
    if not isinstance(values, dict):
        raise StoreError(f"{kind}: the data must be an object, was {data[:80]}")
    if version != current:
        values = upgraded(kind, version, current, values, UPCASTERS)
    return cast(Fact, read_as(form, values, kind))


def upgraded(
    kind: str,
    version: int,
    current: int,
    values: dict[str, Plain],
    upcasters: Mapping[tuple[str, int], Upcaster],
) -> dict[str, Plain]:
    """Return the values of an old version in the form of the `current` one, one version at a time."""
    for old in range(version, current):
        upcaster = upcasters.get((kind, old))
        if upcaster is None:
            raise StoreError(f"{kind} version {old} cannot be read: no upcaster leads to version {old + 1}")
        values = upcaster(values)
    return values


def recorded_of(row: Row) -> Recorded:
    """Return the recorded fact of a row; the other half of `encode`."""
    return Recorded(row.seq, row.seen, row.cause, decode(row.kind, row.version, row.data))


def kinds() -> tuple[str, ...]:
    """Return the names of all facts, sorted."""
    return tuple(sorted(_KINDS))


def version_of(kind: str) -> int:
    """Return the version a fact is written in."""
    return _KINDS[kind].VERSION


def schema(kind: str) -> str:
    """Return field names and types of a fact as text, nested types written out."""
    return _FORMS[kind].schema


def schema_digest(kind: str) -> str:
    """Return the sha256 of `schema`: it changes when what is written changes."""
    return sha256(schema(kind).encode()).hexdigest()


def _all_kinds() -> dict[str, type[Fact]]:
    named = {name: getattr(facts, name) for name in facts.__all__}
    return {
        name: found
        for name, found in named.items()
        if isinstance(found, type) and issubclass(found, Fact) and found is not Fact
    }


_KINDS: dict[str, type[Fact]] = _all_kinds()
_FORMS: dict[str, Form] = {name: form_of(kind) for name, kind in _KINDS.items()}


def _refuse_constant(word: str) -> Plain:
    raise ValueError(f"{word} is no number a fact may hold")


# Made once: `json.dumps` and `json.loads` would make one for every fact.
_WRITE = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
_READ = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode

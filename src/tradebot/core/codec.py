"""Write facts as JSON text and read them back: the journal's file format.

Owns the form of every fact on disk and the digest that notices when it changes. Refuses storage:
where the text goes is the store's business.

Amounts are text ("0.10" stays "0.10"), floats the shortest digits that read back the same, enums
their values, nested records objects by field name. What is written is read back equal, and
written again gives the same text. NaN and infinities are refused: a fact that holds one is a bug.

To change a fact's fields: raise its VERSION and add to UPCASTERS the function that turns the old
version's values into the next one's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from hashlib import sha256
from math import isfinite
from types import NoneType, UnionType
from typing import NamedTuple, Union, cast, get_args, get_origin, get_type_hints

from tradebot.core import facts
from tradebot.core.facts import Fact, Recorded
from tradebot.errors import InvariantError, StoreError

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
Upcaster = Callable[[dict[str, Plain]], dict[str, Plain]]


def _with(**values: Plain) -> Upcaster:
    """Return an upcaster that adds fields an old version did not have, with what they then meant."""
    return lambda old: {**old, **values}


# (kind, version) -> what turns that version's values into those of version + 1.
UPCASTERS: Mapping[tuple[str, int], Upcaster] = {
    ("AssignmentMade", 1): _with(because="", exits=None, realized="0"),
    ("CashMoved", 1): _with(venue_ref=""),
    ("FeeCharged", 1): _with(venue_ref=""),
    ("InterestPaid", 1): _with(venue_ref=""),
    ("PositionAdjusted", 1): _with(realized="0", cash=[], settles_at=0, venue_ref=""),
    ("RunStarted", 1): _with(needs_reconcile=False),
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
    data = json.dumps(form.write(fact), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
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
        values: Plain = json.loads(data, parse_constant=_refuse_constant)
    except ValueError as exc:
        raise StoreError(f"{kind}: the data must be JSON, {exc}") from exc
    if not isinstance(values, dict):
        raise StoreError(f"{kind}: the data must be an object, was {data[:80]}")
    return cast(Fact, form.read(upgraded(kind, version, current, values, UPCASTERS), kind))


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


# --- forms: one per type, made once at import -----------------------------------------------------


class _Form(NamedTuple):
    """How values of one type are written and read; `read` is told where it is, for messages."""

    schema: str
    write: Callable[[object], Plain]
    read: Callable[[Plain, str], object]


def _refuse_constant(word: str) -> Plain:
    raise ValueError(f"{word} is no number a fact may hold")


def _misfit(where: str, what: str, found: object) -> StoreError:
    return StoreError(f"{where} must be {what}, was {found!r}")


def _write_float(value: object) -> Plain:
    number = float(cast(float, value))  # a strategy may hand on numpy's floats, or an int
    if not isfinite(number):
        raise InvariantError(f"a fact must hold finite numbers only, was {value!r}")
    return number


def _read_float(value: Plain, where: str) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _misfit(where, "a number", value)
    return float(value)


def _write_decimal(value: object) -> Plain:
    if not isinstance(value, Decimal) or not value.is_finite():
        raise InvariantError(f"an amount must be a finite Decimal, was {value!r}")
    return str(value)


def _read_decimal(value: Plain, where: str) -> object:
    try:
        amount = Decimal(value) if isinstance(value, str) else None
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite():
        raise _misfit(where, "an amount as text", value)
    return amount


def _same(kind: type, name: str) -> _Form:
    """Return the form of what JSON holds as it is."""

    def write(value: object) -> Plain:
        if type(value) is not kind:
            raise InvariantError(f"a fact's field must hold {name}, was {value!r}")
        return cast(Plain, value)

    def read(value: Plain, where: str) -> object:
        if type(value) is not kind:
            raise _misfit(where, name, value)
        return value

    return _Form(kind.__name__, write, read)


_SCALARS: dict[object, _Form] = {
    int: _same(int, "a whole number"),
    str: _same(str, "text"),
    bool: _same(bool, "true or false"),
    float: _Form("float", _write_float, _read_float),
    Decimal: _Form("Decimal", _write_decimal, _read_decimal),
}


def _form_of(hint: object) -> _Form:
    found = _SCALARS.get(hint)
    if found is not None:
        return found
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _union(args)
    if origin is tuple:
        return _sequence(args[0]) if args[1:] == (Ellipsis,) else _fixed(args)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum(hint)
    if isinstance(hint, type) and (is_dataclass(hint) or issubclass(hint, tuple)):
        return _record(hint)
    raise InvariantError(f"a fact's field cannot be of type {hint}: the journal has no form for it")


def _union(options: tuple[object, ...]) -> _Form:
    """Return the form of `X | None`, or of a choice of scalars that JSON tells apart."""
    forms = [_form_of(option) for option in options if option is not NoneType]
    text = "|".join(form.schema for form in forms)
    inner = forms[0] if len(forms) == 1 else _choice(options, forms)
    if NoneType not in options:
        return _Form(text, inner.write, inner.read)

    def write(value: object) -> Plain:
        return None if value is None else inner.write(value)

    def read(value: Plain, where: str) -> object:
        return None if value is None else inner.read(value, where)

    return _Form(f"{text}|None", write, read)


def _choice(options: tuple[object, ...], forms: list[_Form]) -> _Form:
    kinds_ = [option for option in options if option is not NoneType]
    if any(kind not in (int, str) for kind in kinds_):
        raise InvariantError(f"the journal tells only int and str apart in one field, was {options}")
    by_kind = dict(zip(kinds_, forms, strict=True))

    def write(value: object) -> Plain:
        form = by_kind.get(type(value))
        if form is None:
            raise InvariantError(f"a fact's field must hold one of {options}, was {value!r}")
        return form.write(value)

    def read(value: Plain, where: str) -> object:
        form = by_kind.get(type(value))
        if form is None:
            raise _misfit(where, "text or a whole number", value)
        return form.read(value, where)

    return _Form("", write, read)


def _enum(kind: type[Enum]) -> _Form:
    names = "|".join(str(member.value) for member in kind)
    by_value: dict[object, Enum] = {member.value: member for member in kind}

    def read(value: Plain, where: str) -> object:
        member = None if isinstance(value, list | dict | bool) else by_value.get(value)
        if member is None:
            raise _misfit(where, f"one of {names}", value)
        return member

    return _Form(f"{kind.__name__}<{names}>", lambda value: cast(Plain, cast(Enum, value).value), read)


def _sequence(item: object) -> _Form:
    form = _form_of(item)

    def read(value: Plain, where: str) -> object:
        if not isinstance(value, list):
            raise _misfit(where, "a list", value)
        return tuple(form.read(part, f"{where}[{i}]") for i, part in enumerate(value))

    return _Form(
        f"[{form.schema}]", lambda value: [form.write(part) for part in cast(tuple[object, ...], value)], read
    )


def _fixed(items: tuple[object, ...]) -> _Form:
    forms = [_form_of(item) for item in items]

    def write(value: object) -> Plain:
        parts = cast(tuple[object, ...], value)
        return [form.write(part) for form, part in zip(forms, parts, strict=True)]

    def read(value: Plain, where: str) -> object:
        if not isinstance(value, list) or len(value) != len(forms):
            raise _misfit(where, f"a list of {len(forms)}", value)
        return tuple(
            form.read(part, f"{where}[{i}]") for i, (form, part) in enumerate(zip(forms, value, strict=True))
        )

    return _Form("(" + ",".join(form.schema for form in forms) + ")", write, read)


def _record(kind: type) -> _Form:
    """Return the form of a dataclass or NamedTuple: an object with exactly its fields."""
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)] if is_dataclass(kind) else list(_fields_of(kind))
    forms = {name: _form_of(hints[name]) for name in names}
    text = ",".join(f"{name}:{form.schema}" for name, form in forms.items())

    def write(value: object) -> Plain:
        return {name: form.write(getattr(value, name)) for name, form in forms.items()}

    def read(value: Plain, where: str) -> object:
        if not isinstance(value, dict) or value.keys() != forms.keys():
            found = sorted(value) if isinstance(value, dict) else value
            raise _misfit(where, f"an object with {', '.join(names)}", found)
        return kind(**{name: form.read(value[name], f"{where}.{name}") for name, form in forms.items()})

    return _Form(f"{kind.__name__}{{{text}}}", write, read)


def _fields_of(kind: type) -> tuple[str, ...]:
    found: tuple[str, ...] = getattr(kind, "_fields")  # noqa: B009 - mypy knows no such thing of `type`
    return found


def _all_kinds() -> dict[str, type[Fact]]:
    named = {name: getattr(facts, name) for name in facts.__all__}
    return {
        name: found
        for name, found in named.items()
        if isinstance(found, type) and issubclass(found, Fact) and found is not Fact
    }


_KINDS: dict[str, type[Fact]] = _all_kinds()
_FORMS: dict[str, _Form] = {name: _record(kind) for name, kind in _KINDS.items()}

_OTHERS: dict[object, _Form] = {}


def to_plain(kind: object, value: object) -> Plain:
    """Return a value of a type that facts are made of (a record, amounts, tuples of them) for JSON."""
    return _form_for(kind).write(value)


def from_plain(kind: object, plain: Plain) -> object:
    """Read what `to_plain` wrote. Raises StoreError when it does not fit."""
    return _form_for(kind).read(plain, getattr(kind, "__name__", str(kind)))


def _form_for(kind: object) -> _Form:
    form = _OTHERS.get(kind)
    if form is None:
        form = _OTHERS[kind] = _form_of(kind)
    return form

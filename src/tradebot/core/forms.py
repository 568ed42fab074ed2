"""Turn typed values into plain JSON values and back, one form per type.

Owns how each type looks on disk and the text that describes it. Refuses what the journal could not
tell apart, amounts and numbers that are not finite, and whatever does not fit when read.

Amounts are text ("0.10" stays "0.10"), floats numbers, enums their values, nested records objects by
field name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from math import isfinite
from types import NoneType, UnionType
from typing import NamedTuple, Union, cast, get_args, get_origin, get_type_hints

from tradebot.errors import InvariantError, StoreError

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


class Form(NamedTuple):
    """How values of one type are written and read. `read` raises Misfit: see `read_as`.

    Values of type `as_is` need no reading: half of all fields are, and asking costs less than calling.
    """

    schema: str
    write: Callable[[object], Plain]
    read: Callable[[Plain], object]
    as_is: type = Enum  # no JSON value is one


class Misfit(Exception):
    """A value that does not fit its form; its place is put together on the way out.

    Reading is done tens of thousands of times at a start and nearly always fits: the place is
    worked out only when it does not.
    """

    def __init__(self, what: str, found: object, place: str = "") -> None:
        super().__init__(what)
        self.what, self.found, self.place = what, found, place

    def under(self, step: str) -> Misfit:
        return Misfit(self.what, self.found, step + self.place)


def read_as(form: Form, value: Plain, where: str) -> object:
    """Return the value in its type. Raises StoreError that names the place when it does not fit."""
    try:
        return form.read(value)
    except Misfit as exc:
        raise StoreError(f"{where}{exc.place} must be {exc.what}, was {exc.found!r}") from None


# --- scalars --------------------------------------------------------------------------------------


def _write_float(value: object) -> Plain:
    number = float(cast(float, value))  # a strategy may hand on numpy's floats, or an int
    if not isfinite(number):
        raise InvariantError(f"a fact must hold finite numbers only, was {value!r}")
    return number


def _read_float(value: Plain) -> object:
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    raise Misfit("a number", value)


def _write_decimal(value: object) -> Plain:
    if not isinstance(value, Decimal) or not value.is_finite():
        raise InvariantError(f"an amount must be a finite Decimal, was {value!r}")
    return str(value)


def _read_decimal(value: Plain) -> object:
    try:
        amount = Decimal(value) if type(value) is str else None
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite():
        raise Misfit("an amount as text", value)
    return amount


def _same(kind: type, name: str) -> Form:
    """Return the form of what JSON holds as it is."""

    def write(value: object) -> Plain:
        if type(value) is not kind:
            raise InvariantError(f"a fact's field must hold {name}, was {value!r}")
        return cast(Plain, value)

    def read(value: Plain) -> object:
        if type(value) is not kind:
            raise Misfit(name, value)
        return value

    return Form(kind.__name__, write, read, kind)


_SCALARS: dict[object, Form] = {
    int: _same(int, "a whole number"),
    str: _same(str, "text"),
    bool: _same(bool, "true or false"),
    float: Form("float", _write_float, _read_float, float),
    Decimal: Form("Decimal", _write_decimal, _read_decimal),
}


# --- what is made of others -----------------------------------------------------------------------


def form_of(hint: object) -> Form:
    """Return the form of a type. Raises InvariantError when there is none for it."""
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


def _union(options: tuple[object, ...]) -> Form:
    """Return the form of `X | None`, or of a choice of scalars that JSON tells apart."""
    forms = [form_of(option) for option in options if option is not NoneType]
    text = "|".join(form.schema for form in forms)
    inner = forms[0] if len(forms) == 1 else _choice(options, forms)
    if NoneType not in options:
        return Form(text, inner.write, inner.read)
    inner_write, inner_read = inner.write, inner.read

    def write(value: object) -> Plain:
        return None if value is None else inner_write(value)

    def read(value: Plain) -> object:
        return None if value is None else inner_read(value)

    return Form(f"{text}|None", write, read, NoneType)


def _choice(options: tuple[object, ...], forms: list[Form]) -> Form:
    kinds = [option for option in options if option is not NoneType]
    if any(kind not in (int, str) for kind in kinds):
        raise InvariantError(f"the journal tells only int and str apart in one field, was {options}")
    by_kind = dict(zip(kinds, forms, strict=True))

    def write(value: object) -> Plain:
        form = by_kind.get(type(value))
        if form is None:
            raise InvariantError(f"a fact's field must hold one of {options}, was {value!r}")
        return form.write(value)

    def read(value: Plain) -> object:
        form = by_kind.get(type(value))
        if form is None:
            raise Misfit("text or a whole number", value)
        return form.read(value)

    return Form("", write, read)


def _enum(kind: type[Enum]) -> Form:
    names = "|".join(str(member.value) for member in kind)
    by_value: dict[object, Enum] = {member.value: member for member in kind}
    texts: dict[Enum, Plain] = {member: member.value for member in kind}

    def read(value: Plain) -> object:
        member = None if isinstance(value, list | dict | bool) else by_value.get(value)
        if member is None:
            raise Misfit(f"one of {names}", value)
        return member

    return Form(f"{kind.__name__}<{names}>", lambda value: texts[cast(Enum, value)], read)


def _sequence(item: object) -> Form:
    schema, write_part, read_part, _ = form_of(item)

    def write(value: object) -> Plain:
        return [write_part(part) for part in cast(tuple[object, ...], value)]

    def read(value: Plain) -> object:
        if type(value) is not list:
            raise Misfit("a list", value)
        try:
            return tuple([read_part(part) for part in value])
        except Misfit:
            raise _placed(value, [read_part] * len(value)) from None

    return Form(f"[{schema}]", write, read)


def _fixed(items: tuple[object, ...]) -> Form:
    forms = [form_of(item) for item in items]
    readers = [form.read for form in forms]

    def write(value: object) -> Plain:
        parts = cast(tuple[object, ...], value)
        return [form.write(part) for form, part in zip(forms, parts, strict=True)]

    def read(value: Plain) -> object:
        if type(value) is not list or len(value) != len(forms):
            raise Misfit(f"a list of {len(forms)}", value)
        try:
            return tuple([reader(part) for reader, part in zip(readers, value, strict=True)])
        except Misfit:
            raise _placed(value, readers) from None

    return Form("(" + ",".join(form.schema for form in forms) + ")", write, read)


def _placed(values: list[Plain], readers: list[Callable[[Plain], object]]) -> Misfit:
    """Return what does not fit in a list, with its place there."""
    for i, (value, reader) in enumerate(zip(values, readers, strict=True)):
        try:
            reader(value)
        except Misfit as exc:
            return exc.under(f"[{i}]")
    raise InvariantError("what did not fit must not fit when read again")


def _record(kind: type) -> Form:
    """Return the form of a dataclass or NamedTuple: an object with exactly its fields."""
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)] if is_dataclass(kind) else list(_fields_of(kind))
    forms = {name: form_of(hints[name]) for name in names}
    text = ",".join(f"{name}:{form.schema}" for name, form in forms.items())
    writers = [(name, form.write) for name, form in forms.items()]
    readers = [(name, form.as_is, form.read) for name, form in forms.items()]
    count = len(readers)

    def write(value: object) -> Plain:
        return {name: writer(getattr(value, name)) for name, writer in writers}

    def read(value: Plain) -> object:
        if type(value) is dict and len(value) == count:
            try:
                return kind(
                    **{
                        name: part if type(part := value[name]) is as_is else reader(part)
                        for name, as_is, reader in readers
                    }
                )
            except (Misfit, KeyError):
                pass  # which of them, is found out below
        return kind(**explained(value))

    def explained(value: Plain) -> dict[str, object]:
        if not isinstance(value, dict) or value.keys() != forms.keys():
            found = sorted(value) if isinstance(value, dict) else value
            raise Misfit(f"an object with {', '.join(names)}", found)
        parts = {}
        for name, _, reader in readers:
            try:
                parts[name] = reader(value[name])
            except Misfit as exc:
                raise exc.under(f".{name}") from None
        return parts

    return Form(f"{kind.__name__}{{{text}}}", write, read)


def _fields_of(kind: type) -> tuple[str, ...]:
    found: tuple[str, ...] = getattr(kind, "_fields")  # noqa: B009 - mypy knows no such thing of `type`
    return found


# --- single values --------------------------------------------------------------------------------

_KEPT: dict[object, Form] = {}


def to_plain(kind: object, value: object) -> Plain:
    """Return a value of a type that has a form, for JSON."""
    return _kept(kind).write(value)


def from_plain(kind: object, plain: Plain) -> object:
    """Read what `to_plain` wrote. Raises StoreError when it does not fit."""
    return read_as(_kept(kind), plain, getattr(kind, "__name__", str(kind)))


def _kept(kind: object) -> Form:
    form = _KEPT.get(kind)
    if form is None:
        form = _KEPT[kind] = form_of(kind)
    return form

"""Read records back from the plain values that `jsonout` made of them, field by field, by type.

The other half of `jsonout.plain_value`, for JSON and for CSV rows (where everything is text and an
empty cell is None). Refuses what does not fit instead of guessing; unknown fields are ignored, so
that a newer file opens in an older program.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from operator import attrgetter
from typing import TypeVar, Union, get_args, get_origin, get_type_hints

from tradebot.errors import DataError
from tradebot.report.jsonout import field_names

T = TypeVar("T")
_Read = Callable[[object, str], object]


def record_of(kind: type[T], values: Mapping[str, object], where: str, **given: object) -> T:
    """Build a `kind` out of plain values; `given` fields are taken as they are.

    `where` names the source for messages. A missing field takes its default; DataError when it
    has none or when a value cannot be what the field wants.
    """
    found: dict[str, object] = dict(given)
    for name, (read, required) in _readers(kind).items():
        if name in found:
            continue
        if name in values:
            found[name] = read(values[name], f"{where}: {name}")
        elif required:
            raise DataError(f"{where}: {name} is missing")
    return kind(**found)


def rows_of(kind: type, records: Iterable[object]) -> Iterator[Sequence[object]]:
    """Return one CSV row per record, a cell per field of `kind`, as `csv.writer` takes them.

    Decimals stay exact, None becomes an empty cell, enums their value, booleans 1 and 0.
    """
    names = field_names(kind)
    take = attrgetter(*names)
    changed = tuple(k for k, hint in enumerate(get_type_hints(kind)[n] for n in names) if _needs_words(hint))
    for record in records:
        row = list(take(record))
        for k in changed:
            value = row[k]
            row[k] = value.value if isinstance(value, Enum) else int(value)
        yield row


def _needs_words(hint: object) -> bool:
    return isinstance(hint, type) and (hint is bool or issubclass(hint, Enum))


# Type hints are worked out once a type; there are as many types as this package defines.
_KNOWN: dict[type, dict[str, tuple[_Read, bool]]] = {}


def _readers(kind: type) -> dict[str, tuple[_Read, bool]]:
    if kind not in _KNOWN:
        hints = get_type_hints(kind)
        _KNOWN[kind] = {
            f.name: (_reader(hints[f.name]), f.default is MISSING and f.default_factory is MISSING)
            for f in fields(kind)
            if f.init
        }
    return _KNOWN[kind]


def _reader(hint: object) -> _Read:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = [a for a in args if a is not type(None)]
        if len(inner) == 1:
            return _optional(_reader(inner[0]))
    if origin is tuple:
        return _many(_reader(args[0]))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(_reader(args[1]))
    if isinstance(hint, type):
        if is_dataclass(hint):
            return lambda value, where: record_of(hint, _as_mapping(value, where), where)
        if issubclass(hint, Enum):
            return _guarded(hint)
        if hint in _PLAIN:
            return _PLAIN[hint]
    return _array


def _array(value: object, where: str) -> object:
    # Curves and candles live in their own files and are handed over as they are.
    raise DataError(f"{where}: cannot be read from text")


def _guarded(make: Callable[[object], object]) -> _Read:
    def read(value: object, where: str) -> object:
        try:
            return make(value)
        except (ValueError, TypeError, InvalidOperation) as exc:
            raise DataError(f"{where}: cannot be {value!r}") from exc

    return read


def _optional(read: _Read) -> _Read:
    return lambda value, where: None if value is None or value == "" else read(value, where)


def _many(read: _Read) -> _Read:
    def read_all(value: object, where: str) -> object:
        if not isinstance(value, list):
            raise DataError(f"{where}: must be a list, was {type(value).__name__}")
        return tuple(read(v, f"{where}[{k}]") for k, v in enumerate(value))

    return read_all


def _mapping(read: _Read) -> _Read:
    return lambda value, where: {k: read(v, f"{where}.{k}") for k, v in _as_mapping(value, where).items()}


def _as_mapping(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise DataError(f"{where}: must be an object, was {type(value).__name__}")
    return value


def _decimal(value: object) -> Decimal:
    number = Decimal(value) if isinstance(value, str | int) else None
    if number is None or not number.is_finite():
        raise ValueError(value)
    return number


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(value)
    return int(value)


def _truth(value: object) -> bool:
    if value in (True, "1"):
        return True
    if value in (False, "0"):
        return False
    raise ValueError(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(value)
    return value


def _float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(value)
    return float(value)


_PLAIN: dict[type, _Read] = {
    Decimal: _guarded(_decimal),
    bool: _guarded(_truth),
    int: _guarded(_integer),
    float: _guarded(_float),
    str: _guarded(_text),
}

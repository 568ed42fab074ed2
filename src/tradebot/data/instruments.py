"""Keep an instrument as JSON: decimals as text, enums by value, nothing lost on the way back."""

from __future__ import annotations

import json
from dataclasses import MISSING, Field, fields
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any

from tradebot.core.model import AssetClass, Instrument
from tradebot.errors import DataError

_VERSION = 1


def instrument_to_text(instrument: Instrument) -> str:
    """Return the instrument as indented JSON that ends in a newline."""
    values = {field.name: _plain(getattr(instrument, field.name)) for field in fields(Instrument)}
    return json.dumps({"version": _VERSION, **values}, indent=2, ensure_ascii=False) + "\n"


def instrument_from_text(text: str, where: str) -> Instrument:
    """Read back what `instrument_to_text` wrote; `where` names the file in messages.

    Raises DataError that names the key that is missing, unknown or of the wrong kind.
    """
    try:
        record = json.loads(text)
    except ValueError as exc:
        raise DataError(f"{where}: not JSON: {exc}") from exc
    if not isinstance(record, dict) or record.pop("version", None) != _VERSION:
        raise DataError(f"{where}: must be an instrument of version {_VERSION}")
    known = {field.name: field for field in fields(Instrument)}
    unknown = sorted(set(record) - set(known))
    if unknown:
        raise DataError(f"{where}: unknown key {unknown[0]!r}; known: {', '.join(known)}")
    required = [n for n, f in known.items() if f.default is MISSING and n not in record]
    if required:
        raise DataError(f"{where}: {required[0]} is missing")
    values: dict[str, Any] = {name: _typed(known[name], value, where) for name, value in record.items()}
    return Instrument(**values)


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.value if isinstance(value, Enum) else value


def _typed(field: Field[Any], value: object, where: str) -> object:
    # Annotations are text here (`from __future__ import annotations` in the model).
    kinds: dict[object, type] = {"str": str, "bool": bool}
    if field.type in kinds and isinstance(value, kinds[field.type]):
        return value
    try:
        if field.type == "Decimal" and isinstance(value, str):
            number = Decimal(value)
            if number.is_finite() and number >= 0:
                return number
        if field.type == "AssetClass":
            return AssetClass(value)
    except (InvalidOperation, ValueError):
        pass
    raise DataError(
        f"{where}: {field.name} must be {_WANTED.get(str(field.type), field.type)}, was {value!r}"
    )


_WANTED = {
    "Decimal": "a number of 0 or more, written as text",
    "AssetClass": "one of " + ", ".join(kind.value for kind in AssetClass),
    "str": "text",
    "bool": "true or false",
}

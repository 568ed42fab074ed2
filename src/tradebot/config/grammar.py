"""Know which keys may stand where, from the models themselves.

For messages only: near matches, the section in which a misplaced key belongs, and the kinds of a
section that has a choice of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from tradebot.config.fields import Section
from tradebot.config.models import Config

Part = str | int

# What other bots call the same thing; a difflib match would never find these.
OTHER_NAMES = {
    "broker": "venue",
    "exchange": "venue",
    "symbol": "instruments",
    "symbols": "instruments",
    "pair": "instruments",
    "pairs": "instruments",
    "instrument": "instruments",
    "timeframe": "interval",
    "name": "id",
    "parameters": "params",
    "balance": "cash",
    "commission": "fees",
    "commissions": "fees",
    "risk": "limits",
    "strategy": "strategies",
    "account": "accounts",
    "start": "from",
    "end": "to",
    "takeprofit": "take_profit",
    "tp": "take_profit",
    "sl": "stop_loss",
    "trailing_stop": "trailing",
}


def keys_of(model: type[Section]) -> dict[str, Any]:
    """Return the keys of a section as the file spells them, with their types."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def sections_at(path: Sequence[Part]) -> list[type[Section]]:
    """Return the sections that may stand at `path`; several where a `kind` chooses."""
    types: list[Any] = [Config]
    for part in path:
        types = [inner for outer in types for inner in _step(outer, part)]
    return [t for outer in types for t in _members(outer) if _is_section(t)]


def kinds_at(path: Sequence[Part]) -> tuple[str, ...]:
    """Return the kinds that a section at `path` chooses from, () when it has no choice."""
    return tuple(
        word
        for section in sections_at(path)
        if "kind" in section.model_fields
        for word in get_args(section.model_fields["kind"].annotation)
    )


def keys_at(path: Sequence[Part], kind: str | None) -> list[str]:
    """Return the keys that may stand at `path`, of the section with `kind` where there is a choice."""
    sections = sections_at(path)
    if kind is not None and kind in kinds_at(path):
        sections = [s for s in sections if kind in get_args(s.model_fields["kind"].annotation)]
    return list(dict.fromkeys(key for section in sections for key in keys_of(section)))


def homes_of(key: str) -> list[str]:
    """Return the sections ("limits", "strategies[].exits") in which `key` may stand."""
    return sorted({home for home, section in _walk(Config, "", 0) if key in keys_of(section)})


def near(word: str, choices: Sequence[str]) -> str | None:
    """Return the choice that `word` most likely meant, if any is near."""
    from difflib import get_close_matches  # only a wrong file pays for it

    plain = re.sub(r"[-\s]", "_", word.lower())
    other = OTHER_NAMES.get(plain)
    if other in choices:
        return other
    matches = get_close_matches(plain, list(choices), n=1, cutoff=0.7)
    matches = matches or [c for c in choices if c.replace("_", "") == plain.replace("_", "")]
    return matches[0] if matches else None


def _walk(model: type[Section], path: str, depth: int) -> Iterator[tuple[str, type[Section]]]:
    yield path, model
    if depth < 5:
        for key, annotation in keys_of(model).items():
            for inner, mark in _contents(annotation):
                yield from _walk(inner, f"{path}.{key}{mark}" if path else f"{key}{mark}", depth + 1)


def _contents(annotation: Any) -> list[tuple[type[Section], str]]:
    found: list[tuple[type[Section], str]] = []
    for member in _members(annotation):
        origin, args = get_origin(member), get_args(member)
        if _is_section(member):
            found.append((member, ""))
        elif origin is tuple:
            found += [(m, "[]") for m in _members(args[0]) if _is_section(m)]
        elif origin is dict:
            found += [(m, ".NAME") for m in _members(args[1]) if _is_section(m)]
    return found


def _members(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [m for arg in get_args(annotation) for m in _members(arg)]
    return [] if origin is Literal else [annotation]


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _step(annotation: Any, part: Part) -> list[Any]:
    inner: list[Any] = []
    for member in _members(annotation):
        origin, args = get_origin(member), get_args(member)
        if _is_section(member) and part in keys_of(member):
            inner.append(keys_of(member)[str(part)])
        elif origin is tuple and isinstance(part, int):
            inner.append(args[0])
        elif origin is dict and isinstance(part, str):
            inner.append(args[1])
    return inner

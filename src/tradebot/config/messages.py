"""Say each mistake once, at its line, in the words of the file.

Turns what the models refused into problems: what must hold, what was found, what was probably
meant. One mistake gives one problem: a misspelt key is not also a missing one, and a value that
was already reported is not reported again. Never repeats the value of an unknown key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tradebot.config import grammar
from tradebot.config.fields import KeysDisagree
from tradebot.config.nodes import MapNode, Mark, Node, ScalarNode, dotted
from tradebot.config.plain import other_reading
from tradebot.config.shown import Text, found, safe, secret_name
from tradebot.errors import Problem

_NO_SECRETS = (
    "secrets never belong in this file; keep them in the environment or a credentials file"
    " and name them with keys: NAME"
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an error is: its path as the file spells it, its node (None: the key is missing)."""

    path: tuple[str | int, ...]
    node: Node | None
    parent: Node
    key_mark: Mark
    known_bad: bool


def problems_of(errors: Iterable[Any], root: MapNode) -> list[Problem]:
    """Return one problem for each mistake among the errors of `Config.model_validate`."""
    located = [(error, _locate(error["loc"], root)) for error in errors]
    unknown = [place for error, place in located if error["type"] == "extra_forbidden"]
    meant = {(id(place.parent), _meant(place)) for place in unknown}
    misspelt = {parent for parent, key in meant if key is not None}
    problems: dict[tuple[int, str], Problem] = {}
    for error, place in located:
        parent = id(place.parent)
        if place.known_bad or (error["type"] == "missing" and (parent, place.path[-1]) in meant):
            continue
        if parent in misspelt and isinstance(error.get("ctx", {}).get("error"), KeysDisagree):
            continue  # the misspelt key may be the one that the rule misses
        problem = _problem(error, place)
        if problem is not None:
            # An alias repeats its anchor's mistakes under other keys; the file has them once.
            where = place.parent if place.node is None else place.node
            problems.setdefault((id(where), f"{place.path[-1:]} {problem.message}"), problem)
    return list(problems.values())


def lost(node: MapNode, path: Sequence[str | int], key: str) -> bool:
    """Return whether `key` is absent from `node` only because it is misspelt there."""
    if key in node.items:
        return False
    known = grammar.keys_at(path, _kind(node))
    return any(name not in known and grammar.near(name, known) == key for name in node.items)


def _locate(loc: Sequence[str | int], root: MapNode) -> _Place:
    path: list[str | int] = []
    node: Node | None = root
    parent: Node = root
    mark, bad, tagged = root.mark, False, False
    for part in loc:
        if part == "[key]":
            break
        if isinstance(node, MapNode) and not tagged and part in grammar.kinds_at(path):
            tagged = True  # pydantic puts the chosen kind into the location
            continue
        if node is None or isinstance(node, ScalarNode):
            continue  # one value that stood for a list of one
        tagged, parent = False, node
        path.append(part)
        if isinstance(node, MapNode):
            mark = node.key_marks.get(str(part), mark)
            bad = bad or str(part) in node.bad_keys
            node = node.items.get(str(part))
        else:
            node = node.items[part] if isinstance(part, int) and part < len(node.items) else None
            mark = node.mark if node is not None else mark
        bad = bad or (node is not None and node.bad)
    return _Place(tuple(path), node, parent, mark, bad)


def _problem(error: Any, place: _Place) -> Problem | None:
    kind, ctx = error["type"], error.get("ctx", {})
    path, mark = place.path, place.key_mark
    is_key = bool(error["loc"]) and error["loc"][-1] == "[key]"
    if isinstance(place.node, ScalarNode) and not is_key and place.node.mark.line is not None:
        mark = place.node.mark
    value = _value(place.node)
    if kind == "value_error":
        message = str(ctx["error"])
        if is_key:
            message = "this name " + message
    elif kind == "missing":
        message = _required(path)
    elif kind == "extra_forbidden":
        message = _unknown_key(place)
    elif kind in ("literal_error", "enum"):
        message = _one_of(re.findall(r"'([^']*)'", ctx["expected"]), value)
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        return _kind_problem(place)
    elif kind in ("model_type", "model_attributes_type", "dict_type"):
        message = f"must be a mapping{_example(path)}, was {found(value)}"
    elif kind in ("tuple_type", "list_type"):
        inside = (
            f"; write [{value}]"
            if isinstance(value, Text) and not value.from_env and safe(value) == value
            else ""
        )
        message = f"must be a list, was {found(value)}{inside}"
    elif kind == "too_short":
        if place.node is not None and not isinstance(place.node, ScalarNode) and place.node.items:
            return None  # it counts only what was accepted; each other one has its own problem
        message = "must not be empty"
    else:
        message = f"{error['msg']} ({kind})"
    return Problem(file=mark.file, line=mark.line, key=dotted(path), message=message)


def _value(node: Node | None) -> object:
    if isinstance(node, ScalarNode):
        if node.plain and not node.from_env and node.text in ("null", "~", "Null", "NULL"):
            return None
        return Text.of(node.text, plain=node.plain, source=node.source, from_env=node.from_env)
    if node is None:
        return None
    return {} if isinstance(node, MapNode) else []


def _required(path: Sequence[str | int]) -> str:
    for section in grammar.sections_at(path[:-1]):
        for name, field in section.model_fields.items():
            if (field.alias or name) == path[-1] and field.description:
                return f"is required: {field.description}"
    return "is required"


def _meant(place: _Place) -> str | None:
    assert isinstance(place.parent, MapNode)
    known = grammar.keys_at(place.path[:-1], _kind(place.parent))
    absent = [key for key in known if key not in place.parent.items]
    name = str(place.path[-1])
    return grammar.near(name, absent) or grammar.near(name, known)


def _unknown_key(place: _Place) -> str:
    name = str(place.path[-1])
    if secret_name(name):
        return f"is not a known key; {_NO_SECRETS}"
    meant = _meant(place)
    if meant is not None:
        return f'is not a known key; did you mean "{meant}"?'
    homes = [home or "the top level" for home in grammar.homes_of(name)]
    if homes:
        return f"is not a known key here; it belongs in {' or '.join(homes[:3])}"
    known = grammar.keys_at(place.path[:-1], _kind(place.parent))
    return f"is not a known key; known here: {', '.join(known)}"


def _one_of(words: Sequence[str], value: object) -> str:
    message = f"must be one of {', '.join(words)}, was {found(value)}"
    if not isinstance(value, Text) or value.from_env:
        return message
    meant = grammar.near(value, words)
    if meant is not None:
        return f'{message}; did you mean "{meant}"?'
    reading = other_reading(value) if value.plain else None
    return message if reading is None or reading.endswith("a number") else f"{message} (YAML reads {reading})"


def _kind(node: Node) -> str | None:
    kind = node.items.get("kind") if isinstance(node, MapNode) else None
    return kind.text if isinstance(kind, ScalarNode) else None


def _kind_problem(place: _Place) -> Problem | None:
    path, mark, node = place.path, place.key_mark, place.node
    kinds = grammar.kinds_at(path)
    if not isinstance(node, MapNode):
        mark = node.mark if isinstance(node, ScalarNode) and node.mark.line is not None else mark
        message = f"must be a mapping such as {{kind: {kinds[-1]}, ...}}, was {found(_value(node))}"
        return Problem(file=mark.file, line=mark.line, key=dotted(path), message=message)
    kind = node.items.get("kind")
    if kind is None:
        misspelt = [name for name in node.items if grammar.near(name, ["kind"]) is not None]
        if misspelt:
            mark, path = node.key_marks[misspelt[0]], (*path, misspelt[0])
            message = 'is not a known key; did you mean "kind"?'
        else:
            path, message = (*path, "kind"), f"is required: one of {', '.join(kinds)}"
        return Problem(file=mark.file, line=mark.line, key=dotted(path), message=message)
    if kind.bad:
        return None
    mark = kind.mark if isinstance(kind, ScalarNode) else node.key_marks["kind"]
    message = _one_of(kinds, _value(kind))
    return Problem(file=mark.file, line=mark.line, key=dotted((*path, "kind")), message=message)


def _example(path: Sequence[str | int]) -> str:
    keys = grammar.keys_at(path, None)
    return f" such as {{{keys[0]}: ...}}" if keys else ""

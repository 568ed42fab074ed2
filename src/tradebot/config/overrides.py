"""Put values from `--set path=value` and from `TRADEBOT__A__B` variables into the tree.

A path is written as messages write it, with a strategy or list entry by number or by its id:
`limits.max_drawdown=10%`, `strategies[0].params.fast=20`, `strategies.trend.params.fast=20`.
The value is YAML: `instruments=[SPX, SYN/USD]`. What the value may be is checked later, with
everything else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tradebot.config.nodes import MapNode, Mark, Node, ScalarNode, SeqNode, clone, compose_value
from tradebot.config.shown import safe
from tradebot.errors import ConfigError, Problem

PREFIX = "TRADEBOT__"
_PART = re.compile(r"(?P<name>[^.\[\]]+)|\[(?P<index>[0-9]{1,6})\]")


def apply_overrides(root: MapNode, overrides: Sequence[str], problems: list[Problem]) -> None:
    """Change the tree by each "path=value", in order; later ones win."""
    for override in overrides:
        path, sep, value = override.partition("=")
        origin = f"--set {safe(path.strip())}"
        parts = parts_of(path.strip())
        if not sep or parts is None:
            message = "must be path=value, such as limits.max_drawdown=10%"
            problems.append(Problem(file=origin, line=None, key="", message=message))
            continue
        _apply(root, parts, value, origin, problems)


def apply_environment(root: MapNode, env: Mapping[str, str], problems: list[Problem]) -> None:
    """Change the tree by each `TRADEBOT__LIMITS__MAX_DRAWDOWN`-like variable, in the order of names."""
    for name in sorted(env):
        if name.startswith(PREFIX):
            parts: list[str | int] = [p.lower() for p in name[len(PREFIX) :].split("__")]
            if not all(parts):
                message = f"must name keys with __ between them, such as {PREFIX}LIMITS__MAX_DRAWDOWN"
                problems.append(Problem(file=name, line=None, key="", message=message))
                continue
            _apply(root, parts, env[name], name, problems)


def parts_of(path: str) -> list[str | int] | None:
    """Return "strategies[0].id" as its parts, None when it is not a path."""
    parts: list[str | int] = []
    position = 0
    while position < len(path):
        if parts and path[position] == ".":
            position += 1
        match = _PART.match(path, position)
        if match is None:
            return None
        parts.append(match["name"] if match["name"] is not None else int(match["index"]))
        position = match.end()
    return parts or None


def _apply(root: MapNode, parts: list[str | int], text: str, origin: str, problems: list[Problem]) -> None:
    def problem(message: str) -> None:
        problems.append(Problem(file=origin, line=None, key="", message=message))

    try:
        value = compose_value(text, origin, problems)
    except ConfigError as exc:
        problems.extend(exc.problems)
        return
    node: Node = root
    for depth, part in enumerate(parts):
        last = depth == len(parts) - 1
        if isinstance(node, MapNode):
            key = str(part)
            if last:
                _put(node, key, value, origin)
                return
            if key not in node.items or isinstance(node.items[key], ScalarNode):
                _put(node, key, MapNode(Mark(origin, None)), origin)
            # An alias or merge shares its values; a change meant for one place must stay there.
            node.items[key] = clone(node.items[key])
            node = node.items[key]
        elif isinstance(node, SeqNode):
            index = _index(node, part)
            if index is None:
                problem(f"must name an entry that exists; {safe(str(part))} is none of {_entries(node)}")
                return
            if last:
                node.items[index] = value
                return
            node.items[index] = clone(node.items[index])
            node = node.items[index]
        else:
            problem(f"must name a key inside a mapping; {safe(str(parts[depth - 1]))} holds a single value")
            return


def _put(node: MapNode, key: str, value: Node, origin: str) -> None:
    node.items[key] = value
    node.key_marks[key] = Mark(origin, None)


def _index(node: SeqNode, part: str | int) -> int | None:
    if isinstance(part, int) or re.fullmatch(r"[0-9]{1,6}", part):
        return int(part) if int(part) < len(node.items) else None
    for index, item in enumerate(node.items):
        if isinstance(item, MapNode):
            name = item.items.get("id")
            if isinstance(name, ScalarNode) and part in (name.text, name.text.lower()):
                return index
    return None


def _entries(node: SeqNode) -> str:
    names = []
    for index, item in enumerate(node.items):
        name = item.items.get("id") if isinstance(item, MapNode) else None
        names.append(safe(name.text) if isinstance(name, ScalarNode) else f"[{index}]")
    return ", ".join(names) or "an empty list"

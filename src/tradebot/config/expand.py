"""Fill `${VAR}` and `${VAR:-default}` into values, and turn the tree into plain Python.

A variable that is not set is a problem, never an empty text. `$${` is a plain `${`. Keys are not
filled in. The result keeps, per scalar, whether it was quoted (`shown.Text`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tradebot.config.nodes import Node, ScalarNode, SeqNode, dotted
from tradebot.config.plain import read_plain
from tradebot.config.shown import Text, safe
from tradebot.errors import Problem

_VARIABLE = re.compile(r"\$(?P<escaped>\$\{)|\$\{(?P<name>[^}:]*)(?P<rest>:-[^}]*|:[^}]*)?\}|(?P<open>\$\{)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FREE = "params"

# Stands for a value that has been reported: no field accepts it, so no rule goes on with a guess.
BAD = object()


class Builder:
    """Turns a tree into what the models read, and marks the values that it had to report."""

    def __init__(self, env: Mapping[str, str], problems: list[Problem]) -> None:
        self.env, self.problems = env, problems
        self._expanded: set[int] = set()

    def build(self, node: Node, path: tuple[str | int, ...] = (), *, free: bool = False) -> object:
        """Return mapping, list or scalar; problems found on the way are added, their nodes marked bad."""
        if isinstance(node, ScalarNode):
            return self._scalar(node, path, free)
        if isinstance(node, SeqNode):
            return [self.build(item, (*path, i), free=free) for i, item in enumerate(node.items)]
        strategy = len(path) == 2 and path[0] == "strategies"
        return {
            key: self.build(value, (*path, key), free=free or (strategy and key == _FREE))
            for key, value in node.items.items()
        }

    def _scalar(self, node: ScalarNode, path: tuple[str | int, ...], free: bool) -> object:
        if id(node) not in self._expanded:
            self._expanded.add(id(node))
            if "${" in node.text:
                self._expand(node, path)
        if node.bad:
            return BAD
        if node.plain and node.text == "" and not node.from_env:
            self._problem(node, path, "has no value; write one, or remove it")
            return BAD
        if not free:
            if node.plain and not node.from_env and node.text in ("null", "~", "Null", "NULL"):
                return None
            return Text.of(node.text, plain=node.plain, source=node.source, from_env=node.from_env)
        if not node.plain:
            return node.text
        try:
            return read_plain(node.text)
        except ValueError as exc:
            hidden = f"must be a plain value or text in quotes, was the value of {safe(node.source)}"
            self._problem(node, path, hidden if node.from_env else str(exc))
            return BAD

    def _expand(self, node: ScalarNode, path: tuple[str | int, ...]) -> None:
        troubles: list[str] = []

        def fill(match: re.Match[str]) -> str:
            if match["escaped"] is not None:
                return "${"
            name, rest = match["name"], match["rest"]
            if match["open"] is not None or _NAME.fullmatch(name or "") is None:
                troubles.append("must name a variable as ${NAME} or ${NAME:-default}; $${ is a plain ${")
            elif rest is not None and not rest.startswith(":-"):
                troubles.append(f"must give a default as ${{{safe(name)}:-default}}; only :- is known")
            elif name in self.env:
                return self.env[name]
            elif rest is not None:
                return str(rest[2:])
            else:
                troubles.append(f"needs the environment variable {safe(name)}, which is not set")
            return ""

        filled = _VARIABLE.sub(fill, node.text)
        for trouble in troubles[:1]:
            self._problem(node, path, trouble)
        node.from_env = any(m["escaped"] is None for m in _VARIABLE.finditer(node.text))
        node.text = filled

    def _problem(self, node: ScalarNode, path: tuple[str | int, ...], message: str) -> None:
        node.bad = True
        problem = Problem(file=node.mark.file, line=node.mark.line, key=dotted(path), message=message)
        self.problems.append(problem)

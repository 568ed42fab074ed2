"""Read YAML text into a tree in which every key and value knows its line.

Stops at the shape of the file: syntax, duplicate keys, anchors and merges, tags, size, depth.
What a scalar means is left to the field that wants it, so nothing is guessed here: a scalar
keeps its text and whether it was quoted.

Anchors, aliases and merge keys (`<<`) are allowed; tags and a second document are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import yaml

from tradebot.config.plain import other_reading
from tradebot.config.shown import quoted, safe
from tradebot.errors import ConfigError, Problem

MAX_BYTES = 256 * 1024
MAX_DEPTH = 24
# An alias repeats its whole anchor; without a cap nine short lines can ask for 10^9 values.
MAX_NODES = 20_000


class Mark(NamedTuple):
    """A place: `line` and `column` count from 1; `line` is None outside a file (`--set`)."""

    file: str
    line: int | None
    column: int = 0


@dataclass(slots=True, eq=False)
class ScalarNode:
    """One value. `text` after, `source` before `${VAR}` is filled in.

    `bad` nodes have been reported; what else they break is not worth a second message.
    """

    mark: Mark
    text: str
    plain: bool
    source: str = ""
    from_env: bool = False
    bad: bool = False


@dataclass(slots=True, eq=False)
class SeqNode:
    """A list of values."""

    mark: Mark
    items: list[Node] = field(default_factory=list)
    bad: bool = False


@dataclass(slots=True, eq=False)
class MapNode:
    """Keys with their own marks, in the order of the file."""

    mark: Mark
    items: dict[str, Node] = field(default_factory=dict)
    key_marks: dict[str, Mark] = field(default_factory=dict)
    bad_keys: set[str] = field(default_factory=set)
    bad: bool = False


Node = ScalarNode | SeqNode | MapNode

# What PyYAML says, and what the person in front of the file needs to hear.
_SYNTAX = (
    (r"found character '\\t'", "indentation must be spaces, was a tab"),
    (
        r"mapping values are not allowed",
        "a second ': ' on one line must be inside quotes or on a line of its own",
    ),
    (r"could not find expected ':'", "must be 'key: value'; no ': ' was found"),
    (
        r"expected <block end>",
        "this line must line up with the lines above it, and every quote above must close",
    ),
    (r"expected ',' or '\]'", "a list that opens with [ must close with ], with commas between its values"),
    (
        r"expected ',' or '}'",
        "a mapping that opens with { must close with }, with commas between its entries",
    ),
    (r"unexpected end of stream", "a quote that opens must close; the file ended first"),
    (r"unexpected document separator", "a quote that opens must close; a document mark came first"),
    (r"expected the node content", "a value must stand here; found a mark that cannot start one"),
    (r"found character '[@`%]'", "text that starts with @, ` or % must be in quotes"),
    (
        r"unknown escape character",
        "a backslash in \"double quotes\" must start a known escape; use 'single quotes'",
    ),
    (r"expected <document start>", "the file must hold one mapping; something follows its end"),
)


def compose(raw: bytes, file: str, problems: list[Problem]) -> MapNode:
    """Return the tree of one configuration file; shape problems are added to `problems`.

    Raises ConfigError at once where reading cannot go on (syntax, encoding, size, depth).
    """
    text = decode(raw, file)
    root = _Composer(text, file, problems).document()
    if root is None:
        raise _fatal(Mark(file, 1), "must hold a configuration, was empty; `tradebot init` writes one")
    if not isinstance(root, MapNode):
        found = "a list" if isinstance(root, SeqNode) else "a single value"
        raise _fatal(root.mark, f"must be a mapping of settings (version: 1, ...), was {found}")
    return root


def compose_value(text: str, file: str, problems: list[Problem]) -> Node:
    """Return the tree of one value given outside a file (`--set`, environment)."""
    node = _Composer(text, file, problems, in_file=False).document()
    return ScalarNode(Mark(file, None), "", plain=True) if node is None else node


def decode(raw: bytes, file: str) -> str:
    """Return the text of a file, which must be UTF-8 (a byte order mark is allowed)."""
    if len(raw) > MAX_BYTES:
        raise _fatal(Mark(file, 1), f"must be at most {MAX_BYTES // 1024} KB, was {len(raw) // 1024} KB")
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise _fatal(Mark(file, 1), "must be UTF-8, was UTF-16; save it again as UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        raise _fatal(Mark(file, line), f"must be UTF-8, was the byte 0x{raw[exc.start]:02x}") from exc


def _fatal(mark: Mark, message: str) -> ConfigError:
    return ConfigError([Problem(file=mark.file, line=mark.line, key="", message=message)])


class _Composer:
    """Builds the tree from parser events (the event parser does not recurse; this does, bounded)."""

    def __init__(self, text: str, file: str, problems: list[Problem], *, in_file: bool = True) -> None:
        self.file, self.problems, self.in_file, self.text = file, problems, in_file, text
        self.anchors: dict[str, Node] = {}
        self.open: set[str] = set()
        self.nodes = 0
        self.events = self._events(text)
        self.ahead: yaml.Event = next(self.events)

    def document(self) -> Node | None:
        self._advance()
        if isinstance(self.ahead, yaml.StreamEndEvent):
            return None
        self._advance()
        bare = isinstance(self.ahead, yaml.ScalarEvent) and self.ahead.value == "" and self.ahead.implicit[0]
        node = self._node((), 0)
        self._advance()
        if not isinstance(self.ahead, yaml.StreamEndEvent):
            mark = self._mark(self.ahead)
            raise _fatal(mark, "must hold one document; a second one starts here")
        return None if bare and isinstance(node, ScalarNode) and not node.text else node

    def _events(self, text: str) -> Iterator[yaml.Event]:
        loader: yaml.SafeLoader | None = None
        try:
            loader = yaml.SafeLoader(text)
            while True:
                yield loader.get_event()  # type: ignore[no-untyped-call]
        except yaml.reader.ReaderError as exc:
            line = text.count("\n", 0, exc.position) + 1
            code = exc.character if isinstance(exc.character, int) else ord(exc.character)
            raise _fatal(self._at(line), f"must hold printable characters only, was U+{code:04X}") from exc
        except yaml.MarkedYAMLError as exc:
            raise self._syntax(exc) from exc
        except (ValueError, OverflowError) as exc:
            # PyYAML passes "\UFFFFFFFF" to chr() and %YAML numbers to int() unchecked.
            line = loader.line + 1 if loader is not None else 1
            raise _fatal(self._at(line), "must be valid YAML; this line has an impossible escape") from exc

    def _syntax(self, exc: yaml.MarkedYAMLError) -> ConfigError:
        said = exc.problem or "cannot be read"
        mark = exc.problem_mark or exc.context_mark
        if "could not find expected ':'" in said:
            mark = exc.context_mark or mark  # the line without ':', not the one where that became clear
        line = mark.line + 1 if mark is not None else 1
        # PyYAML may quote the file's text, which may be a key: keep its words, not the quotes.
        words = re.sub(r"'[^']{2,}'|\"[^\"]{2,}\"", "...", said)
        known = (message for pattern, message in _SYNTAX if re.search(pattern, said))
        message = next(known, f"must be valid YAML: {words}")
        start = exc.context_mark
        if start is not None and start.line + 1 != line:
            message += f" (it starts on line {start.line + 1})"
        if "${" in "".join(self.text.splitlines()[line - 1 : line]):
            message += "; ${VAR} inside { } or [ ] must be in quotes"
        return _fatal(self._at(line), message)

    def _at(self, line: int, column: int = 0) -> Mark:
        return Mark(self.file, line if self.in_file else None, column)

    def _mark(self, event: yaml.Event) -> Mark:
        start = event.start_mark
        return self._at(1) if start is None else self._at(start.line + 1, start.column + 1)

    def _advance(self) -> yaml.Event:
        event = self.ahead
        if not isinstance(event, yaml.StreamEndEvent):
            self.ahead = next(self.events)
        return event

    def _problem(self, mark: Mark, path: tuple[str, ...], message: str) -> None:
        self.problems.append(Problem(file=mark.file, line=mark.line, key=dotted(path), message=message))

    def _node(self, path: tuple[str, ...], depth: int) -> Node:
        event = self._advance()
        mark = self._mark(event)
        if depth > MAX_DEPTH:
            raise _fatal(mark, f"must be nested at most {MAX_DEPTH} deep")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, mark)
        assert isinstance(event, yaml.NodeEvent)
        self._count(mark)
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._problem(mark, path, f"must have no tag, was {quoted(str(tag))}; values need no type here")
        if event.anchor is not None and event.anchor in self.anchors | dict.fromkeys(self.open):
            raise _fatal(mark, f"an anchor must be defined once, was &{safe(event.anchor)} again")
        node = self._built(event, mark, path, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _built(self, event: yaml.NodeEvent, mark: Mark, path: tuple[str, ...], depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return ScalarNode(mark, event.value, plain=event.style is None, source=event.value)
        if event.anchor is not None:
            self.open.add(event.anchor)
        node: Node
        if isinstance(event, yaml.SequenceStartEvent):
            node = SeqNode(mark)
            while not isinstance(self.ahead, yaml.SequenceEndEvent):
                node.items.append(self._node((*path, f"[{len(node.items)}]"), depth + 1))
        else:
            node = self._mapping(mark, path, depth, flow=bool(getattr(event, "flow_style", False)))
        self._advance()
        if event.anchor is not None:
            self.open.discard(event.anchor)
        return node

    def _mapping(self, mark: Mark, path: tuple[str, ...], depth: int, *, flow: bool) -> MapNode:
        node = MapNode(mark)
        merged: list[MapNode] = []
        while not isinstance(self.ahead, yaml.MappingEndEvent):
            plain = isinstance(self.ahead, yaml.ScalarEvent) and self.ahead.style is None
            key_mark = self._mark(self.ahead)
            key = self._node(path, depth + 1)
            if not isinstance(key, ScalarNode):
                self._problem(key_mark, path, "a key must be a word, was a list or a mapping")
                self._node(path, depth + 1)
                continue
            value = self._node((*path, key.text), depth + 1)
            if plain and key.text == "<<":
                merged += self._merge(value, key_mark, path)
            else:
                self._put(node, key, value, path, flow)
        for base in merged:
            for name, value in base.items.items():
                if name not in node.items:
                    node.items[name], node.key_marks[name] = value, base.key_marks[name]
        return node

    def _put(self, node: MapNode, key: ScalarNode, value: Node, path: tuple[str, ...], flow: bool) -> None:
        name = key.text
        if name in node.items:
            first = node.key_marks[name].line
            where = "" if first is None else f" (first on line {first})"
            self._problem(key.mark, (*path, name), f"must be given once, was given again{where}")
            return
        node.items[name], node.key_marks[name] = value, key.mark
        if isinstance(value, ScalarNode) and value.plain and value.text == "":
            # Keep it: a key without value is not also a missing key.
            hint = "; a comma inside a value needs quotes" if flow else ""
            value.bad = True
            node.bad_keys.add(name)
            self._problem(key.mark, (*path, name), f"has no value; write one, or remove the key{hint}")
        else:
            self._check_key(key, node, (*path, name))

    def _check_key(self, key: ScalarNode, node: MapNode, path: tuple[str, ...]) -> None:
        if key.plain and (reading := other_reading(key.text)) is not None:
            node.bad_keys.add(key.text)
            write = f'; write "{safe(key.text)}"' if key.text else ""
            self._problem(
                key.mark, path, f"a key that is not text must be in quotes: YAML reads {reading}{write}"
            )

    def _merge(self, value: Node, mark: Mark, path: tuple[str, ...]) -> list[MapNode]:
        bases = value.items if isinstance(value, SeqNode) else [value]
        maps = [base for base in bases if isinstance(base, MapNode)]
        if len(maps) != len(bases) or not maps:
            self._problem(mark, path, "<< must name mappings to merge, such as <<: *base")
        return maps

    def _alias(self, event: yaml.AliasEvent, mark: Mark) -> Node:
        if event.anchor in self.open:
            raise _fatal(mark, "an alias must not stand inside its own anchor")
        node = self.anchors.get(event.anchor or "")
        if node is None:
            raise _fatal(
                mark,
                "*name must repeat an anchor (&name) defined above; put text that starts with * in quotes",
            )
        self._count(mark, _size(node))
        return node

    def _count(self, mark: Mark, more: int = 1) -> None:
        self.nodes += more
        if self.nodes > MAX_NODES:
            raise _fatal(mark, f"must hold at most {MAX_NODES} values, aliases counted each time")


def _size(node: Node) -> int:
    if isinstance(node, ScalarNode):
        return 1
    children = node.items if isinstance(node, SeqNode) else list(node.items.values())
    return 1 + sum(_size(child) for child in children)


def clone(node: Node) -> Node:
    """Return a mapping or list of its own with the same values, so that changing it changes no alias."""
    if isinstance(node, MapNode):
        return MapNode(node.mark, dict(node.items), dict(node.key_marks), set(node.bad_keys), node.bad)
    return SeqNode(node.mark, list(node.items), node.bad) if isinstance(node, SeqNode) else node


def dotted(path: tuple[str, ...] | tuple[str | int, ...]) -> str:
    """Return `("strategies", "[0]", "id")` or `("strategies", 0, "id")` as `strategies[0].id`."""
    out = ""
    for part in path:
        if isinstance(part, int):
            part = f"[{part}]"
        part = part if part.startswith("[") else safe(part)
        out += part if part.startswith("[") or not out else f".{part}"
    return out

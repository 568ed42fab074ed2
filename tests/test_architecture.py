"""The source keeps the rules that make it replayable and readable.

Every file of src is parsed, never imported. The rules see through import aliases
(`from time import time as t`) but not through values: what they cannot see, the determinism
tests must. import-linter holds the floors; this file holds what happens inside a room.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "tradebot"
FILES = sorted(SRC.rglob("*.py"))

FILE_CEILING = 400
FUNCTION_CEILING = 60

# Same inputs, same facts, byte for byte: in these rooms time, chance and the outside are inputs.
PURE_ROOMS = ("core", "sim")
IMPURE = {
    *("asyncio", "concurrent", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets"),
    *("select", "shutil", "signal", "socket", "sqlite3", "structlog", "subprocess", "tempfile"),
    *("threading", "time", "urllib", "uuid", "numpy.random", "warnings"),
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"),
    *("breakpoint", "eval", "exec", "globals", "hash", "id", "input", "open", "print", "vars"),
}
# The words that are fine as names of things and wrong only as the builtin function.
BUILTINS = {word for word in IMPURE if "." not in word and hasattr(__import__("builtins"), word)}

# Research must run where these do not exist.
LINUX_ONLY = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "spwd", "syslog", "termios", "tty"}
LINUX_ROOMS = ("daemon",)

# Market data is float: the fields of Bar, Quote and Level.
FLOAT_FIELDS = {"open", "high", "low", "close", "volume", "bid", "ask", "bid_qty", "ask_qty", "mid"}

# Where anything at all may be raised by code that is not ours. `path: reason`; each must be in use.
BROAD_EXCEPT: dict[str, str] = {
    "adapters/alpaca/line.py": "what ends a socket's thread is carried to the loop that waits for it",
    "adapters/alpaca/rest.py": "whatever a library raises once it was handed an order leaves the order's fate open",
    "adapters/ccxt/library.py": "what ccxt raises on hostile answers is anything: it becomes an unknown outcome",
    "app/honesty.py": "a strategy is called to be checked: what it raises is reported with file and line",
    "cli/border.py": "the border to the shell: whatever is raised inside becomes an exit code and a line",
    "core/callers.py": "a strategy is its user's code: whatever it raises becomes a fact",
    "daemon/logs.py": "a line may hold anything, and what it cannot show must not end what it tells of",
    "core/memory.py": "a strategy is its user's code: what save, load and on_start raise becomes a fact",
    "plugins/frame.py": "signals() is its user's code: what it raises is reported with file and line",
    "plugins/loader.py": "a strategy file is executed: what it raises is reported with file and line",
    "plugins/params.py": "Params and its types are the user's code",
}

SAFE_AROUND_SETS = {"sorted", "set", "frozenset", "any", "all", "len", "min", "max"}
ORDERED_FROM = {"list", "tuple", "iter", "enumerate", "reversed", "zip", "map", "filter", "next", "sum"}
SET_WORDS = {"set", "frozenset", "Set", "AbstractSet", "MutableSet"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

Rule = Callable[["Module"], Iterator[tuple[int, str]]]
Binding = tuple[ast.AST | None, str]  # where a name is bound (None: an attribute, anywhere), and the name


class Module:
    """A parsed file of src: its path inside the package, its tree and what its names stand for."""

    def __init__(self, path: str, text: str) -> None:
        self.path, self.text, self.tree = path, text, ast.parse(text, filename=path)
        self.nodes = list(ast.walk(self.tree))
        self.parents = {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}
        self.aliases: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for a in node.names:
                    self.aliases[a.asname or a.name.split(".")[0]] = (
                        a.name if a.asname else a.name.split(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom) and node.module:
                self.aliases |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}

    @property
    def room(self) -> str:
        return self.path.split("/")[0]

    def meaning(self, node: ast.AST) -> str:
        """Return the dotted name that an expression stands for; empty when it is none."""
        if isinstance(node, ast.Name):
            return self.aliases.get(node.id, node.id)
        if isinstance(node, ast.Attribute) and (owner := self.meaning(node.value)):
            return f"{owner}.{node.attr}"
        return ""

    def scopes(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the functions around `node`, innermost first, then the module."""
        while node is not self.tree:
            node = self.parents[node]
            if isinstance(node, (*FUNCTIONS, ast.Lambda, ast.Module)):
                yield node

    def known(self, is_kind: Callable[["Module", ast.AST], bool], words: set[str]) -> set[Binding]:
        """Return what is annotated with one of `words` or bound to a value of that kind.

        Attributes are known in the whole module, names in the function that binds them.
        """
        found: set[Binding] = set()
        for node in self.nodes:
            match node:
                case ast.AnnAssign(target=target, annotation=annotation) if _annotated(annotation, words):
                    found.add(self._binding(target))
                case ast.arg(arg=name, annotation=ast.expr() as annotation) if _annotated(annotation, words):
                    found.add((next(self.scopes(node)), name))
                case ast.Assign(targets=[ast.Name() | ast.Attribute() as target], value=value) if is_kind(
                    self, value
                ):
                    found.add(self._binding(target))
        return found

    def _binding(self, target: ast.AST) -> Binding:
        if isinstance(target, ast.Attribute):
            return None, target.attr
        return next(self.scopes(target)), ast.unparse(target)

    def is_known(self, node: ast.AST, known: set[Binding]) -> bool:
        if isinstance(node, ast.Attribute):
            return (None, node.attr) in known
        return isinstance(node, ast.Name) and any((scope, node.id) in known for scope in self.scopes(node))


def _annotated(annotation: ast.expr, words: set[str]) -> bool:
    if isinstance(annotation, ast.BinOp):  # set[str] | None
        return _annotated(annotation.left, words) or _annotated(annotation.right, words)
    base = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return ast.unparse(base).split(".")[-1] in words


def says_what_it_is(module: Module) -> Iterator[tuple[int, str]]:
    if not ast.get_docstring(module.tree):
        yield 1, "a module opens with what it owns and what it refuses"


def stays_below_the_ceilings(module: Module) -> Iterator[tuple[int, str]]:
    if (lines := len(module.text.splitlines())) > FILE_CEILING:
        yield 1, f"a file has at most {FILE_CEILING} lines, this one {lines}: it is two"
    for node in module.nodes:
        if isinstance(node, FUNCTIONS) and (lines := _own_lines(node)) > FUNCTION_CEILING:
            yield node.lineno, f"a function has at most {FUNCTION_CEILING} lines, {node.name} has {lines}"


def _own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    # What is said about a function is not counted against it.
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        doc = function.body[0]
        lines -= (doc.end_lineno or doc.lineno) - doc.lineno + 1
    return lines


def is_pure(module: Module) -> Iterator[tuple[int, str]]:
    if module.room not in PURE_ROOMS:
        return
    for node in module.nodes:
        names = []
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{a.name}" for a in node.names]
        elif isinstance(node, ast.Attribute) and "." in module.meaning(node):
            names = [module.meaning(node)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            names = [name] if (name := module.meaning(node.func)) in BUILTINS else []
        for name in names:
            if banned := _impure_part(name, module):
                yield node.lineno, f"{banned} is not for {module.room}: it must come in as an input"


def _impure_part(name: str, module: Module) -> str:
    parts = name.split(".")
    if "." in name and parts[0] not in {a.split(".")[0] for a in module.aliases.values()}:
        return ""  # an attribute of something local that happens to be called `time` or `id`
    heads = (".".join(parts[: i + 1]) for i in range(len(parts)))
    return next((h for h in heads if h in IMPURE and not ("." in name and h in BUILTINS)), "")


def never_depends_on_the_order_of_a_set(module: Module) -> Iterator[tuple[int, str]]:
    if module.room not in PURE_ROOMS:
        return
    known = module.known(_is_set_display, SET_WORDS)

    def is_set(node: ast.AST) -> bool:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
            return is_set(node.left) or is_set(node.right)
        return module.is_known(node, known) or _is_set_display(module, node)

    for node in module.nodes:
        walked: list[ast.expr] = []
        match node:
            case ast.For(iter=source):
                walked = [source]
            case ast.ListComp() | ast.DictComp() | ast.GeneratorExp():
                around = module.parents[node]
                safe = isinstance(around, ast.Call) and module.meaning(around.func) in SAFE_AROUND_SETS
                walked = [] if safe else [g.iter for g in node.generators]
            case ast.Call(func=ast.Name(id=name), args=args) if name in ORDERED_FROM:
                walked = args
            case ast.Call(func=ast.Attribute(attr="join"), args=args):
                walked = args
            case ast.Starred(value=source) if not isinstance(module.parents[node], ast.Set):
                walked = [source]
        if any(is_set(source) for source in walked):
            yield node.lineno, "a set has no order that a replay could repeat: sort it"


def _is_set_display(module: Module, node: ast.AST) -> bool:
    made = isinstance(node, ast.Call) and module.meaning(node.func) in {"set", "frozenset"}
    return made or isinstance(node, ast.Set | ast.SetComp)


def makes_no_decimal_of_a_float(module: Module) -> Iterator[tuple[int, str]]:
    if module.path == "core/quantize.py":
        return
    floats = module.known(_is_float_display, {"float"})
    # Outside the pure rooms a float may be shown as its shortest text; inside, that too is `quantize`'s.
    through = {"abs", "round", "min", "max", *({"str", "repr"} if module.room in PURE_ROOMS else ())}

    def is_float(node: ast.expr) -> bool:
        match node:
            case ast.UnaryOp(operand=operand):
                return is_float(operand)
            case ast.BinOp(left=left, right=right):
                return is_float(left) or is_float(right)
            case ast.Call(func=ast.Name(id=name), args=args) if name in through:
                return any(is_float(a) for a in args)
            case ast.Attribute(attr=name) if name in FLOAT_FIELDS:
                return True
        return module.is_known(node, floats) or _is_float_display(module, node)

    for node in module.nodes:
        made = module.meaning(node.func) if isinstance(node, ast.Call) else ""
        of_float = made == "decimal.Decimal" and any(is_float(a) for a in node.args)
        if of_float or made == "decimal.Decimal.from_float":
            yield node.lineno, "a float becomes a Decimal in core/quantize.py only: 0.1 is not a tenth"


def _is_float_display(module: Module, node: ast.AST) -> bool:
    constant = isinstance(node, ast.Constant) and isinstance(node.value, float)
    return constant or (isinstance(node, ast.Call) and module.meaning(node.func) == "float")


def catches_narrowly(module: Module) -> Iterator[tuple[int, str]]:
    if module.path in BROAD_EXCEPT:
        return
    yield from (
        (line, "catch what you can name, or give the reason in BROAD_EXCEPT") for line in _broad(module)
    )


def _broad(module: Module) -> Iterator[int]:
    for node in module.nodes:
        caught: list[ast.expr | None] = []
        if isinstance(node, ast.ExceptHandler):
            caught = list(node.type.elts) if isinstance(node.type, ast.Tuple) else [node.type]
        elif isinstance(node, ast.Call) and module.meaning(node.func) == "contextlib.suppress":
            caught = list(node.args)
        if any(c is None or module.meaning(c) in {"Exception", "BaseException"} for c in caught):
            yield node.lineno


def runs_where_linux_is_not(module: Module) -> Iterator[tuple[int, str]]:
    if module.room in LINUX_ROOMS:
        return
    for node in module.tree.body:
        names = []
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        if linux := LINUX_ONLY.intersection(names):
            yield node.lineno, f"{linux.pop()} exists on Linux only: import it where it is used"


RULES: tuple[Rule, ...] = (
    says_what_it_is,
    stays_below_the_ceilings,
    is_pure,
    never_depends_on_the_order_of_a_set,
    makes_no_decimal_of_a_float,
    catches_narrowly,
    runs_where_linux_is_not,
)


def broken(rule: Rule, path: str, text: str) -> list[str]:
    return [f"src/tradebot/{path}:{line}: {why}" for line, why in rule(Module(path, text))]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module(rule: Rule) -> None:
    texts = {p.relative_to(SRC).as_posix(): p.read_text("utf-8") for p in FILES}

    found = [problem for path, text in texts.items() for problem in broken(rule, path, text)]

    assert len(texts) >= 5
    assert not found, "\n" + "\n".join(found)


def test_every_reason_to_catch_broadly_is_still_needed() -> None:
    idle = [p for p in BROAD_EXCEPT if not list(_broad(Module(p, (SRC / p).read_text("utf-8"))))]

    assert not idle


DOC = '"""Own nothing."""\n'
LONG_BODY = "    x = 1\n" * FUNCTION_CEILING

BREAKING = [
    (says_what_it_is, "cli/main.py", "x = 1"),
    (says_what_it_is, "cli/main.py", '""\nx = 1'),
    (stays_below_the_ceilings, "cli/main.py", "x = 1\n" * (FILE_CEILING + 1)),
    (stays_below_the_ceilings, "cli/main.py", "def f():\n" + LONG_BODY),
    (stays_below_the_ceilings, "cli/main.py", "class A:\n async def f(self):\n" + LONG_BODY),
    (is_pure, "core/a.py", "import time"),
    (is_pure, "core/a.py", "from time import time as t"),
    (is_pure, "core/a.py", "import datetime as dt\nx = dt.datetime.now()"),
    (is_pure, "core/a.py", "from datetime import datetime as d\nx = d.utcnow()"),
    (is_pure, "core/a.py", "from datetime import date\nclock = date.today"),
    (is_pure, "core/a.py", "def f():\n import random"),
    (is_pure, "core/a.py", "from uuid import uuid4"),
    (is_pure, "core/a.py", "import logging.handlers"),
    (is_pure, "core/a.py", "x = open('a')"),
    (is_pure, "core/a.py", "x = hash('a')"),
    (is_pure, "sim/a.py", "print(1)"),
    (is_pure, "sim/a.py", "import asyncio"),
    (is_pure, "sim/a.py", "import numpy as np\nx = np.random.default_rng()"),
    (is_pure, "sim/a.py", "from numpy.random import default_rng"),
    (is_pure, "sim/a.py", "from numpy import random as chance"),
    (never_depends_on_the_order_of_a_set, "core/a.py", "for x in {1, 2}: pass"),
    (never_depends_on_the_order_of_a_set, "core/a.py", "y = [x for x in set(z)]"),
    (never_depends_on_the_order_of_a_set, "core/a.py", "y = list({x for x in z})"),
    (never_depends_on_the_order_of_a_set, "core/a.py", "y = ','.join(frozenset(z))"),
    (never_depends_on_the_order_of_a_set, "core/a.py", "y = (*{1, 2},)"),
    (never_depends_on_the_order_of_a_set, "core/a.py", "def f(z):\n s = set(z)\n for x in s: pass"),
    (never_depends_on_the_order_of_a_set, "core/a.py", "def f(s: set[str] | None):\n return tuple(s)"),
    (never_depends_on_the_order_of_a_set, "sim/a.py", "self.ids: set[str] = g()\nfor x in a.ids - b: pass"),
    (makes_no_decimal_of_a_float, "store/a.py", "from decimal import Decimal\nx = Decimal(0.1)"),
    (makes_no_decimal_of_a_float, "store/a.py", "from decimal import Decimal as D\nx = D(-float(y))"),
    (makes_no_decimal_of_a_float, "store/a.py", "import decimal\nx = decimal.Decimal(y * 1.5)"),
    (makes_no_decimal_of_a_float, "store/a.py", "import decimal\nx = decimal.Decimal.from_float(y)"),
    (makes_no_decimal_of_a_float, "core/a.py", "from decimal import Decimal\ndef f(x: float): Decimal(x)"),
    (makes_no_decimal_of_a_float, "core/a.py", "from decimal import Decimal\nx = Decimal(str(bar.close))"),
    (catches_narrowly, "cli/main.py", "try: f()\nexcept: pass"),
    (catches_narrowly, "cli/main.py", "try: f()\nexcept Exception as e: pass"),
    (catches_narrowly, "cli/main.py", "try: f()\nexcept (OSError, BaseException): pass"),
    (catches_narrowly, "cli/main.py", "import contextlib\nwith contextlib.suppress(Exception): f()"),
    (runs_where_linux_is_not, "store/a.py", "import fcntl"),
    (runs_where_linux_is_not, "cli/main.py", "from resource import getrusage"),
]

KEEPING = [
    (stays_below_the_ceilings, "cli/main.py", 'def f():\n    """' + "say\n" * 90 + '"""\n    return 1'),
    (is_pure, "core/a.py", "from datetime import timedelta"),
    (is_pure, "core/a.py", "def f(bar):\n return bar.open, bar.time.time, order.id"),
    (is_pure, "core/a.py", "from tradebot.core.model import Bar\nx = Bar.open"),
    (is_pure, "sim/a.py", "import numpy as np\nx = np.sqrt(2)"),
    (is_pure, "daemon/a.py", "import time\nx = time.time()"),
    (never_depends_on_the_order_of_a_set, "core/a.py", "for x in sorted({1, 2}): pass"),
    (never_depends_on_the_order_of_a_set, "core/a.py", "y = any(x > 1 for x in {1, 2})"),
    (never_depends_on_the_order_of_a_set, "core/a.py", "y = {x + 1 for x in {1, 2}}"),
    (never_depends_on_the_order_of_a_set, "core/a.py", "def f():\n s = {1}\ndef g(s):\n for x in s: pass"),
    (never_depends_on_the_order_of_a_set, "report/a.py", "for x in {1, 2}: pass"),
    (
        makes_no_decimal_of_a_float,
        "core/a.py",
        "from decimal import Decimal\nx = Decimal('0.1') + Decimal(2)",
    ),
    (makes_no_decimal_of_a_float, "report/a.py", "from decimal import Decimal\nx = Decimal(str(bar.close))"),
    (makes_no_decimal_of_a_float, "core/quantize.py", "from decimal import Decimal\nx = Decimal(0.1)"),
    (
        makes_no_decimal_of_a_float,
        "core/a.py",
        "from decimal import Decimal\ndef f(x: float): ...\ndef g(x: str): Decimal(x)",
    ),
    (catches_narrowly, "cli/main.py", "try: f()\nexcept (OSError, ValueError): pass"),
    (runs_where_linux_is_not, "daemon/a.py", "import fcntl"),
    (runs_where_linux_is_not, "store/a.py", "def f():\n import fcntl"),
]


@pytest.mark.parametrize(("rule", "path", "text"), BREAKING)
def test_rule_finds_what_breaks_it(rule: Rule, path: str, text: str) -> None:
    text = text if rule is says_what_it_is else DOC + text

    assert broken(rule, path, text)


@pytest.mark.parametrize(("rule", "path", "text"), KEEPING)
def test_rule_lets_pass_what_keeps_it(rule: Rule, path: str, text: str) -> None:
    assert broken(rule, path, DOC + text) == []

"""Read a strategy's source for the ways in which pandas code sees the future.

Owns the names of these ways. Proves nothing: whether one of them changes a signal is found by
running it (`plugins.check`); this only says what the finding is called and on which line it is.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum


class Leak(Enum):
    """How a value of a bar came to depend on later bars; the values are what a user reads."""

    NEGATIVE_SHIFT = "negative shift"
    CENTRED_WINDOW = "centred rolling window"
    BACKWARD_FILL = "backward fill"
    LEFT_LABEL = "left-labelled resampling"
    HIGHER_INTERVAL = "higher interval seen before it closed"
    WHOLE_GROUP = "value of a whole group on each of its bars"
    REVERSED = "series turned around"
    FULL_SAMPLE = "full-sample statistic"
    UNNAMED = "unnamed look-ahead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """One place in the source. `reach`: how many later bars it can read; None = any number."""

    leak: Leak
    line: int
    code: str
    reach: int | None = None


_SHIFTS = {"shift", "diff", "pct_change"}
_BACKWARD = {"bfill", "backfill"}
_WINDOWED = {"rolling", "expanding", "ewm", "groupby", "resample"}
_STATISTICS = {"mean", "std", "var", "min", "max", "median", "quantile", "sum", "rank", "skew", "kurt"}
_STATISTICS |= {
    "idxmax",
    "idxmin",
    "corr",
    "cov",
    "zscore",
    "average",
    "percentile",
    "ptp",
    "nanmean",
    "nanstd",
}
_FITS = {"fit", "fit_transform", "fit_predict", "polyfit"}
# Periods that pandas labels by their end unless told otherwise.
_RIGHT_BY_DEFAULT = ("W", "M", "ME", "Q", "QE", "Y", "YE", "A", "BM", "BME", "BQE", "BYE")


def suspects(source: str, class_names: Collection[str] = ()) -> tuple[Suspect, ...]:
    """Return the suspicious places of Python `source`, in order of lines.

    With `class_names` (a class and its bases) the bodies of other classes are left out. Source that does not parse has
    none (its loader has already said so).
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return ()
    body = [
        n for n in tree.body if not (class_names and isinstance(n, ast.ClassDef)) or n.name in class_names
    ]
    windows = _windowed_names(tree)
    found: list[tuple[int, int, Suspect]] = []
    for node in (
        n for statement in body for n in ast.walk(statement) if isinstance(n, (ast.Call, ast.Slice))
    ):
        # Its end, because of a chain of calls over several lines the last one is meant.
        line, column = node.end_lineno or node.lineno, node.end_col_offset or 0
        for leak, reach in _leaks(node, windows):
            code = _short(ast.get_source_segment(source, node) or "")
            found.append((line, column, Suspect(leak=leak, line=line, code=code, reach=reach)))
    return tuple(suspect for _, _, suspect in sorted(found, key=lambda f: f[:2]))


def _leaks(node: ast.Call | ast.Slice, windows: set[str]) -> Iterator[tuple[Leak, int | None]]:
    if isinstance(node, ast.Slice):
        if _number(node.step) == -1:
            yield Leak.REVERSED, None
        return
    if not isinstance(node.func, (ast.Attribute, ast.Name)):
        return
    name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
    keywords = {k.arg: k.value for k in node.keywords if k.arg}
    first = node.args[0] if node.args else None
    by = keywords.get("periods", first) if name in _SHIFTS else None
    if name == "roll":
        by = keywords.get("shift", node.args[1] if len(node.args) > 1 else None)
    if _is_negative(by):
        yield Leak.NEGATIVE_SHIFT, _reach(by)
    elif name in ("rolling", "ewm") and _text(keywords.get("center")) == "True":
        window = _number(keywords.get("window", first))
        yield Leak.CENTRED_WINDOW, None if window is None else window // 2
    elif _fills_backward(name, keywords):
        yield Leak.BACKWARD_FILL, None
    elif name == "resample" and _text(keywords.get("label")) != "right" and not _ends_right(first):
        yield Leak.LEFT_LABEL, None
    elif name == "transform" and "groupby" in _chain(node.func):
        yield Leak.WHOLE_GROUP, None
    elif isinstance(node.func, ast.Name) and name in ("min", "max", "sum"):
        return  # Python's own, of numbers
    elif name in _FITS or (name in _STATISTICS and not _is_windowed(node, windows)):
        yield Leak.FULL_SAMPLE, None


def _fills_backward(name: str, keywords: dict[str, ast.expr]) -> bool:
    if name in _BACKWARD or name == "interpolate":  # interpolation draws a line to the next value
        return True
    if name in ("fillna", "reindex", "asfreq", "reindex_like"):
        return _text(keywords.get("method")) in ("bfill", "backfill", "nearest")
    return name == "merge_asof" and _text(keywords.get("direction")) in ("forward", "nearest")


def _is_windowed(call: ast.Call, windows: set[str]) -> bool:
    keywords = {k.arg: k.value for k in call.keywords}
    if _text(keywords.get("axis")) in ("1", "columns"):
        return True  # across columns of one bar
    chain = _chain(call.func)
    return bool(chain & (_WINDOWED | windows))


def _windowed_names(scope: ast.AST) -> set[str]:
    # Names that hold a window object: `r = close.rolling(20)` makes `r.mean()` innocent.
    names: set[str] = set()
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            func = node.value.func
            if isinstance(func, ast.Attribute) and func.attr in _WINDOWED:
                names |= {t.id for t in node.targets if isinstance(t, ast.Name)}
    return names


def _chain(node: ast.AST) -> set[str]:
    # Names along a.b(c).d: {"a", "b", "d"}.
    names: set[str] = set()
    while True:
        if isinstance(node, ast.Attribute):
            names.add(node.attr)
            node = node.value
        elif isinstance(node, (ast.Call, ast.Subscript)):
            node = node.func if isinstance(node, ast.Call) else node.value
        else:
            return names | ({node.id} if isinstance(node, ast.Name) else set())


def _is_negative(node: ast.expr | None) -> bool:
    value = _number(node)
    if value is not None:
        return value < 0
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)


def _reach(node: ast.expr | None) -> int | None:
    value = _number(node)
    return None if value is None else -value


def _number(node: ast.expr | None) -> int | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand)
        return None if inner is None else -inner
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, int) else None


def _text(node: ast.expr | None) -> str | None:
    return str(node.value) if isinstance(node, ast.Constant) else None


def _ends_right(rule: ast.expr | None) -> bool:
    return (_text(rule) or "").lstrip("0123456789").split("-")[0] in _RIGHT_BY_DEFAULT


def _short(code: str) -> str:
    line = " ".join(code.split())
    return line if len(line) <= 60 else "..." + line[-57:]

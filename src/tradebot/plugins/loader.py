"""Load one strategy class from one file, named `file.py:Class`.

Owns the search path and the messages for everything that can be wrong with such a file. Refuses
to scan: no other file is executed, and listing reads files without running them.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Literal

import tradebot
from tradebot.core.strategy import BarStrategy, Input, PortfolioStrategy, QuoteStrategy, Strategy
from tradebot.errors import PluginError
from tradebot.plugins.blame import printable, raised_in, shown
from tradebot.plugins.params import fields_of

Kind = Literal["frame", "bar", "quote", "portfolio"]
KINDS: dict[str, Kind] = {
    "FrameStrategy": "frame",
    "BarStrategy": "bar",
    "QuoteStrategy": "quote",
    "PortfolioStrategy": "portfolio",
}

# What a class of each kind must define: one of these.
DECIDES: dict[Kind, tuple[str, ...]] = {
    "frame": ("signals",),
    "bar": ("on_bar", "on_bars"),
    "quote": ("on_quote", "on_book"),
    "portfolio": ("weights",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A strategy class with where it came from; `digest` is the sha256 of the file's bytes."""

    cls: type[Strategy]
    kind: Kind
    path: Path
    digest: str

    @property
    def reference(self) -> str:
        return f"{self.path.name}:{self.cls.__name__}"

    def create(self, params: object) -> Strategy:
        """Return a new strategy object. Raises PluginError when it raises, or has no fit lookback or inputs."""
        doing = "__init__"
        try:
            made = self.cls(params)
            doing = "lookback"
            lookback: object = made.lookback
            doing = "inputs()"
            inputs: object = made.inputs()
        except (Exception, SystemExit) as exc:
            raise raised_in(str(self.path), f"{self.cls.__name__}.{doing}", exc) from exc
        if not isinstance(lookback, int) or isinstance(lookback, bool) or lookback < 1:
            raise PluginError(
                f"{shown(str(self.path))}: {self.cls.__name__}.lookback must be a whole number of bars >= 1, "
                f"was {lookback!r}"
            )
        if not isinstance(inputs, tuple | list) or not all(_is_input(wanted) for wanted in inputs):
            raise PluginError(
                f"{shown(str(self.path))}: {self.cls.__name__}.inputs() must return a tuple of "
                f"Input(interval in ns above 0, instrument), was {printable(repr(inputs))}"
            )
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A strategy class found by reading a file; nothing was executed.

    `problem` is set, and `name` empty, for a file that cannot be read as Python.
    """

    path: Path
    line: int
    name: str
    kind: Kind | None
    summary: str
    problem: str = ""

    @property
    def reference(self) -> str:
        return f"{self.path.name}:{self.name}"


def search_path(project: Path | None = None) -> tuple[Path, ...]:
    """Return the folders where strategy files are looked for, first wins.

    The project's `strategies/`, then those that come with tradebot (inside the wheel, or the
    checkout's own folder).
    """
    package = Path(tradebot.__file__).resolve().parent
    shipped = [package / "_bundled" / "strategies", package.parent.parent / "strategies"]
    wanted = [(project or Path()).resolve() / "strategies", *shipped]
    return tuple(dict.fromkeys(folder for folder in wanted if folder.is_dir()))


def load_strategy(reference: str, folders: Sequence[Path]) -> Loaded:
    """Execute the file of `file.py:Class` and return the class.

    `folders` are searched in order; an absolute file name is taken as it is. The bytes that are
    executed are the bytes of the digest. Raises PluginError saying what must hold, what was
    found and what would have matched; the exception of a failing file is its `__cause__`.
    """
    path, name = _resolve(reference, folders)
    source = _read(path)
    module = _execute(path, source)
    cls = getattr(module, name, None)
    if cls is None:
        raise PluginError(_no_class(path, name, _defined(module)))
    kind = kind_of(cls)
    if kind is None:
        found = _defined(module)
        raise PluginError(
            f"{shown(str(path))}: {name} must derive from {', '.join(KINDS)}; "
            + (f"strategies in this file: {', '.join(found)}" if found else "no class in this file does")
        )
    _check_class(path, cls, kind)
    return Loaded(cls=cls, kind=kind, path=path, digest=hashlib.sha256(source).hexdigest())


def kind_of(cls: object) -> Kind | None:
    """Return which kind of strategy a class is, None when it is none."""
    if not isinstance(cls, type) or not issubclass(cls, Strategy):
        return None
    bases: list[tuple[type, Kind]] = [
        (BarStrategy, "bar"),
        (QuoteStrategy, "quote"),
        (PortfolioStrategy, "portfolio"),
    ]
    # Only a file that uses frames has imported them (and pandas); nothing else can derive from it.
    frames = sys.modules.get("tradebot.plugins.frame")
    if frames is not None:
        bases.append((frames.FrameStrategy, "frame"))
    return next((kind for base, kind in bases if issubclass(cls, base) and cls is not base), None)


def list_strategies(folders: Sequence[Path]) -> tuple[Listed, ...]:
    """Return the strategy classes in the folders' `*.py` files, by reading them only.

    A file in an earlier folder hides one of the same name in a later folder, as in loading.
    """
    files: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.py")):
            files.setdefault(path.name, path)
    return tuple(found for path in files.values() for found in _listed(path))


def _check_class(path: Path, cls: type[Strategy], kind: Kind) -> None:
    if not any(getattr(cls, method) is not getattr(_base_of(cls), method) for method in DECIDES[kind]):
        raise PluginError(f"{shown(str(path))}: {cls.__name__} must define {' or '.join(DECIDES[kind])}")
    try:
        fields_of(cls)
    except PluginError as exc:
        raise PluginError(f"{shown(str(path))}: {exc}") from exc


def _base_of(cls: type[Strategy]) -> type:
    return next(
        base for base in cls.__mro__ if base.__name__ in KINDS and base.__module__.startswith("tradebot.")
    )


def _is_input(wanted: object) -> bool:
    if not isinstance(wanted, Input):
        return False
    interval, instrument = tuple[object, object](wanted)
    return isinstance(interval, int) and interval > 0 and isinstance(instrument, str)


# --- finding ------------------------------------------------------------------------------------


def _resolve(reference: str, folders: Sequence[Path]) -> tuple[Path, str]:
    file, colon, name = reference.rpartition(":")
    if not colon or not name.isidentifier() or not file.endswith(".py") or ".." in Path(file).parts:
        raise PluginError(
            f"a strategy must be named file.py:Class (ma_crossover.py:MovingAverageCrossover), was {reference!r}"
        )
    for path in [Path(file)] if Path(file).is_absolute() else [folder / file for folder in folders]:
        if path.is_file():
            return path, name
    names = sorted({path.name for folder in folders for path in folder.glob("*.py")})
    near = get_close_matches(file, names, n=1)
    looked = ", ".join(shown(str(folder)) for folder in folders) or "no folder: there is no strategies/ here"
    raise PluginError(
        f"there is no strategy file {file} (looked in {looked})"
        + (f"; did you mean {near[0]}?" if near else "")
    )


def _no_class(path: Path, name: str, found: Sequence[str]) -> str:
    if not found:
        return f"{shown(str(path))} has no class '{name}'; it defines no strategy at all"
    near = get_close_matches(name, found, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{shown(str(path))} has no class '{name}'; it defines: {', '.join(found)}{hint}"


def _defined(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if kind_of(value) is not None and value.__module__ == module.__name__
    ]


# --- executing ----------------------------------------------------------------------------------


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise PluginError(f"{shown(str(path))} cannot be read: {exc.strerror}") from exc


def _execute(path: Path, source: bytes) -> ModuleType:
    # A name of its own per content, so that two files of one name never stand in for each other;
    # registered because dataclasses look their module up while the class is being made.
    stem = re.sub(r"\W", "_", path.stem)
    name = f"tradebot_strategy_{stem}_{hashlib.sha256(source).hexdigest()[:12]}"
    spec = importlib.util.spec_from_loader(name, loader=None, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
    except (Exception, SystemExit) as exc:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise raised_in(str(path), "import", exc) from exc
    return module


# --- listing ------------------------------------------------------------------------------------


def _listed(path: Path) -> list[Listed]:
    try:
        tree = ast.parse(_read(path), str(path))
    except (SyntaxError, ValueError) as exc:
        line = exc.lineno if isinstance(exc, SyntaxError) and exc.lineno is not None else 1
        text = exc.msg if isinstance(exc, SyntaxError) else str(exc)
        return [Listed(path=path, line=line, name="", kind=None, summary="", problem=text)]
    kinds: dict[str, Kind] = dict(KINDS)
    found: list[Listed] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and (kind := _kind_by_bases(node, kinds)) is not None:
            kinds[node.name] = kind
            summary = (ast.get_docstring(node) or "").partition("\n")[0]
            found.append(Listed(path=path, line=node.lineno, name=node.name, kind=kind, summary=summary))
    return found


def _kind_by_bases(node: ast.ClassDef, kinds: dict[str, Kind]) -> Kind | None:
    names = [base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases]
    return next((kinds[name] for name in names if name in kinds), None)

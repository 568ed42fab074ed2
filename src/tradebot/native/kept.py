"""Keep compiled functions on disk and call them.

Owns where the code lies and when it is stale: what is kept is for one state of the sources, one version
of the compiler and one kind of CPU, and anything else is compiled anew. Refuses arguments that are not
exactly what the code was compiled for, because compiled code does not look.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tradebot.errors import InvariantError
from tradebot.native.elf import MOST_ALIGNED, Image, link
from tradebot.native.machine import Words, described, loaded, mapped, recognised

Argument = NDArray[Any] | int | float

_DIGITS = 64  # of the digest that a file begins with


class Parameter(NamedTuple):
    """What an argument must be: a "number", or a flat contiguous array that is read ("in") or written."""

    dtype: np.dtype[Any]
    use: Literal["number", "in", "out"]


class Code(NamedTuple):
    """Machine code that needs nothing but itself, as an object file, and the symbol to enter it by."""

    symbol: str
    machine: bytes


class Native:
    """A function of `parameters` that is compiled once per machine and then loaded from disk.

    `sources` are the packages and modules whose text the code depends on; the code is kept beside the
    first, or where that is read-only in the user's cache folder. `compile_code` is called when there
    is none that fits.
    """

    def __init__(
        self,
        name: str,
        parameters: tuple[Parameter, ...],
        *,
        sources: tuple[str, ...],
        compile_code: Callable[[], Code],
    ) -> None:
        self.name, self.parameters = name, parameters
        self._sources, self._compile = sources, compile_code
        self._loaded: Words | None = None

    def __call__(self, *arguments: Argument) -> None:
        """Run it; the first call loads the code, or compiles it where none is kept."""
        self._ready()(*self._exploded(arguments))

    def is_ready(self) -> bool:
        """Return whether it can be called without compiling; loads the code when it can."""
        if self._loaded is None:
            found = (_open(path, self._kinds) for path in self._places())
            self._loaded = next((words for words in found if words is not None), None)
        return self._loaded is not None

    def make_ready(self) -> None:
        """Load the code, or compile and keep it where there is none."""
        self._ready()

    def _ready(self) -> Words:
        if self._loaded is None and not self.is_ready():
            code = self._compile()
            self._keep(code)
            self._loaded = loaded(code.symbol, code.machine, self._kinds)
        assert self._loaded is not None
        return self._loaded

    # --- arguments ----------------------------------------------------------------------------------

    # numba passes an array as seven words: two owners (none: Python keeps it alive), the number of
    # items, their size, the address, the length and the step.

    @cached_property
    def _kinds(self) -> list[Any]:
        kinds: list[Any] = []
        for dtype, use in self.parameters:
            if use == "number":
                kinds.append(ctypes.c_double if dtype.kind == "f" else ctypes.c_int64)
            else:
                words = (ctypes.c_void_p, ctypes.c_void_p, *(ctypes.c_int64,) * 2, ctypes.c_void_p)
                kinds += [*words, ctypes.c_int64, ctypes.c_int64]
        return kinds

    def _exploded(self, arguments: tuple[Argument, ...]) -> Iterator[int | float | None]:
        for place, (argument, (dtype, use)) in enumerate(zip(arguments, self.parameters, strict=True)):
            if not isinstance(argument, np.ndarray):
                if use != "number":
                    raise InvariantError(f"{self.name}: argument {place} must be an array of {dtype}")
                yield argument
                continue
            is_fit = argument.ndim == 1 and argument.dtype == dtype and argument.flags.c_contiguous
            if use == "number" or not is_fit or (use == "out" and not argument.flags.writeable):
                raise InvariantError(
                    f"{self.name}: argument {place} must be a flat {use} array of {dtype}, was {argument.ndim}-d "
                    f"of {argument.dtype}, contiguous {argument.flags.c_contiguous}, writeable "
                    f"{argument.flags.writeable}"
                )
            size, step = len(argument), dtype.itemsize
            yield from (None, None, size, step, argument.ctypes.data, size, step)

    # --- places -------------------------------------------------------------------------------------

    def _places(self) -> tuple[Path, ...]:
        import platformdirs

        beside = _files(self._sources[0])[0].parent / "__pycache__"
        name = f"{self.name}-{self._state}.native"
        return beside / name, platformdirs.user_cache_path("tradebot") / name

    @cached_property
    def _state(self) -> str:
        """A digest of everything but the CPU that the code depends on."""
        sha = hashlib.sha256(f"{version('numba')} {version('llvmlite')} {self.parameters}".encode())
        for source in (*self._sources, "tradebot.native"):  # which says how code is made, and kept
            for path in _files(source):
                sha.update(path.read_bytes())
        return sha.hexdigest()[:16]

    def _keep(self, code: Code) -> None:
        """Write a line that says what it is, then the linked block if it could be linked, then the object."""
        image = link(code.machine, code.symbol) or Image(b"", 0)
        head = {
            "for": described(),
            "known": recognised(),
            "symbol": code.symbol,
            "linked": len(image.block),
            "start": image.start,
        }
        line = json.dumps(head).encode()
        line += b" " * (-(_DIGITS + len(line) + 2) % MOST_ALIGNED) + b"\n"
        rest = line + image.block + code.machine
        for path in self._places():
            part = path.with_name(f".{path.name}.{os.getpid()}.part")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                part.write_bytes(_digest(rest) + b" " + rest)
                part.replace(path)
            except OSError:
                continue  # read-only: the next place, or none, and the next process compiles again
            return


def _files(source: str) -> list[Path]:
    """Return the files of a module, or of all modules that lie in a package."""
    spec = find_spec(source)
    assert spec is not None and spec.origin is not None
    origin = Path(spec.origin)
    return sorted(origin.parent.glob("*.py")) if spec.submodule_search_locations else [origin]


def _open(path: Path, kinds: list[Any]) -> Words | None:
    """Return what is kept at `path`, if it is whole and for this kind of CPU."""
    try:
        digest, _, rest = path.read_bytes().partition(b" ")
        if digest != _digest(rest):
            return None
        line, _, body = rest.partition(b"\n")
        head = json.loads(line)
        # The system may describe the same CPU in new words after an update; LLVM's are exact, but slow.
        if (not head["known"] or head["known"] != recognised()) and head["for"] != described():
            return None
        found = None
        if head["linked"]:
            found = mapped(path, len(digest) + len(line) + 2 + head["start"], kinds)
        return found or loaded(head["symbol"], body[head["linked"] :], kinds)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()

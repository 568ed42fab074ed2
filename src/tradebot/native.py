"""Keep compiled functions on disk as machine code, and load them without the compiler that made them.

Owns where the code lies, for what it was made, and the way into it. numba compiles, and importing it
takes longer than most backtests; llvmlite alone loads what it made. Kept code is for one state of the
sources, one version of the compiler and one kind of CPU: anything else is compiled anew. It refuses
arguments that are not exactly what the code was compiled for, because compiled code does not look.
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

Argument = NDArray[Any] | int | float
Entry = Callable[..., None]


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
        self._loaded: Entry | None = None

    def __call__(self, *arguments: Argument) -> None:
        """Run it; the first call loads the code, or compiles it where none is kept."""
        if self._loaded is None and not self.is_ready():
            code = self._compile()
            self._keep(code)
            self._loaded = _entry(code, self._kinds)
        assert self._loaded is not None
        self._loaded(*self._exploded(arguments))

    def is_ready(self) -> bool:
        """Return whether it can be called without compiling; loads the code when it can."""
        if self._loaded is None:
            code = next(filter(None, map(_read, self._places())), None)
            self._loaded = None if code is None else _entry(code, self._kinds)
        return self._loaded is not None

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
        for source in self._sources:
            for path in _files(source):
                sha.update(path.read_bytes())
        return sha.hexdigest()[:16]

    def _keep(self, code: Code) -> None:
        head = {"for": _machine(), "symbol": code.symbol, "sha256": hashlib.sha256(code.machine).hexdigest()}
        for path in self._places():
            part = path.with_name(f".{path.name}.{os.getpid()}.part")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                part.write_bytes(json.dumps(head).encode() + b"\n" + code.machine)
                part.replace(path)
            except OSError:
                continue  # read-only: the next place, or none, and the next process compiles again
            return


def emit(symbol: str, assembly: str) -> Code:
    """Return optimised LLVM assembly as machine code for this CPU.

    Raises InvariantError when it would need anything that is not in it.
    """
    import llvmlite.binding as llvm

    target = _target()
    module = llvm.parse_assembly(assembly)
    outside = [f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")]
    if outside:
        raise InvariantError(f"compiled code must stand alone, it calls {', '.join(outside)}")
    return Code(symbol, target.emit_object(module))


def _files(source: str) -> list[Path]:
    """Return the files of a module, or of all modules that lie in a package."""
    spec = find_spec(source)
    assert spec is not None and spec.origin is not None
    origin = Path(spec.origin)
    return sorted(origin.parent.glob("*.py")) if spec.submodule_search_locations else [origin]


def _read(path: Path) -> Code | None:
    """Return what is kept at `path`, if it is whole and for this kind of CPU."""
    try:
        head, _, machine = path.read_bytes().partition(b"\n")
        found = json.loads(head)
        is_whole = found["sha256"] == hashlib.sha256(machine).hexdigest()
        return Code(found["symbol"], machine) if is_whole and found["for"] == _machine() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _machine() -> list[str]:
    import llvmlite.binding as llvm

    return [llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]


def _target() -> Any:
    """Return the target that numba compiles for: this very CPU, as it runs."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple, cpu, features = _machine()
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu,
        features=features,
        opt=3,
        reloc="static" if triple.startswith("x86") else "default",
        codemodel="jitdefault",
        jit=True,
    )


def _entry(code: Code, kinds: list[Any]) -> Entry:
    import llvmlite.binding as llvm

    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code.machine))
    engine.finalize_object()
    address = engine.get_function_address(code.symbol)
    # The first two words are where numba puts a result and an exception; there is neither.
    words = (ctypes.c_void_p, ctypes.c_void_p)
    function = ctypes.CFUNCTYPE(ctypes.c_int32, *words, *kinds)(address)
    room = (ctypes.c_int64 * 2)()
    result, raised = ctypes.addressof(room), ctypes.addressof(room) + 8

    def call(*arguments: int | float | None) -> None:
        assert engine is not None and room is not None  # both must live as long as the function
        status = function(result, raised, *arguments)
        if status not in (0, -2):  # numba's words for done, and for done with None
            raise InvariantError(f"{code.symbol}: compiled code must end with status 0, ended with {status}")

    return call

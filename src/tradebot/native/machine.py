"""Say what this computer is, make machine code for it, and make that callable.

The only place that knows how code gets into memory. Code that `elf` could link is mapped from its file
and runs; LLVM, whose library takes 0.1 s and 100 MB, loads what else there is. Both give the same function.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tradebot.errors import InvariantError

Words = Callable[..., None]  # called with plain words: numbers and addresses


def described() -> list[str]:
    """Return what code is compiled for, in LLVM's words: triple, CPU and its features."""
    import llvmlite.binding as llvm

    return [llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]


def recognised() -> str:
    """Return a digest by which this very CPU is known again without LLVM; empty where there is none."""
    try:
        with Path("/proc/cpuinfo").open("rb") as file:
            first = file.read(1 << 16).partition(b"\n\n")[0]
    except OSError:
        return ""
    lines = [
        line for line in first.splitlines() if line.startswith((b"vendor", b"cpu family", b"model", b"flags"))
    ]
    return hashlib.sha256(b"\n".join(lines)).hexdigest() if len(lines) > 1 else ""


def assembled(assembly: str) -> bytes:
    """Return optimised LLVM assembly as an object file for this CPU.

    Raises InvariantError when it would need anything that is not in it.
    """
    import llvmlite.binding as llvm

    target = _target()
    module = llvm.parse_assembly(assembly)
    outside = [f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")]
    if outside:
        raise InvariantError(f"compiled code must stand alone, it calls {', '.join(outside)}")
    machine: bytes = target.emit_object(module)
    return machine


def mapped(path: Path, start: int, kinds: list[Any]) -> Words | None:
    """Return the function at byte `start` of a file of linked code; None where files may not be run."""
    try:
        with path.open("rb") as file:
            memory = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC)
    except (OSError, AttributeError):  # a mount without execution; a system without these flags
        return None
    return _callable(np.frombuffer(memory, np.uint8).ctypes.data + start, kinds, memory)


def loaded(symbol: str, machine: bytes, kinds: list[Any]) -> Words:
    """Return the function of an object file, loaded by LLVM."""
    import llvmlite.binding as llvm

    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())
    engine.add_object_file(llvm.ObjectFileRef.from_data(machine))
    engine.finalize_object()
    return _callable(engine.get_function_address(symbol), kinds, engine)


def _target() -> Any:
    """Return this very CPU as a target: numba's, but with code that may lie anywhere."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple, cpu, features = described()
    is_linked = triple.startswith("x86_64")
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu,
        features=features,
        opt=3,
        reloc="pic" if is_linked else "default",
        codemodel="small" if is_linked else "jitdefault",
        jit=True,
    )


def _callable(address: int, kinds: list[Any], owner: object) -> Words:
    # The first two words are where numba puts a result and an exception; there is neither.
    function = ctypes.CFUNCTYPE(ctypes.c_int32, *(ctypes.c_void_p,) * 2, *kinds)(address)
    room = (ctypes.c_int64 * 2)()
    result, raised = ctypes.addressof(room), ctypes.addressof(room) + 8

    def call(*words: int | float | None) -> None:
        assert owner is not None and room is not None  # both live as long as the function
        status = function(result, raised, *words)
        if status not in (0, -2):  # numba's words for done, and for done with None
            raise InvariantError(f"compiled code must end with status 0, ended with {status}")

    return call

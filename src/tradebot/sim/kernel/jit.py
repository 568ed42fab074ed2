"""Compile functions strictly, and know when what was compiled is no longer the source.

Owns the numba settings of the kernel: strict IEEE float64 (no fastmath, so LLVM neither reorders
nor contracts to fused multiply-add), division without Python's zero check, no interpreter lock.

numba keeps compiled code under the entry function's own file only; it does not see that a helper in
another file has changed. So every helper is registered here, and the digest of those an entry uses
is part of what it is cached under.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any, ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")

_njit: Any = numba.njit  # the options below are missing in its stubs
# Arrays come from Python and outlive the call: counting references to them would be atomic and for nothing.
_STRICT = {"error_model": "numpy", "fastmath": False, "nogil": True, "_nrt": False}
_sources: dict[str, list[str]] = {}


def helper(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function that only compiled code calls."""
    code = cast(FunctionType, function).__code__
    names = (*code.co_names, *(repr(c) for c in code.co_consts))
    _sources.setdefault(function.__module__, []).append(f"{code.co_name} {code.co_code.hex()} {names}")
    compiled: Callable[P, R] = _njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_STRICT)(function)
    return compiled


def entry(signature: object) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a function that Python calls, for one signature, and keep it on disk.

    The function must be a closure over a `digest`, and use it: numba makes the values of an entry's
    closure part of its cache key.
    """

    def compile_now(function: Callable[P, R]) -> Callable[P, R]:
        with _without_scipy():
            compiled: Callable[P, R] = _njit(signature, cache=True, **_STRICT)(function)
        return compiled

    return compile_now


def digest(*modules: ModuleType) -> int:
    """Return a number that changes with any helper, and any numeric constant, of these modules."""
    parts: list[str] = [repr(_STRICT)]
    for module in modules:
        parts += _sources.get(module.__name__, [])
        parts.append(repr({n: v for n, v in module.__dict__.items() if isinstance(v, int | float)}))
    return int(hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12], 16)


@contextmanager
def _without_scipy() -> Iterator[None]:
    """Keep numba from importing scipy's linear algebra, which takes as long as numba itself.

    numba only looks whether it is there; the first use of a matrix product imports it still.
    """
    name = "scipy.linalg"
    hides = name not in sys.modules
    if hides:
        sys.modules[name] = cast(ModuleType, None)
    try:
        yield
    finally:
        if hides:
            del sys.modules[name]
            arraymath = sys.modules.get("numba.np.arraymath")
            if arraymath is not None:
                arraymath.__dict__["_HAVE_BLAS"] = True

"""Compile functions strictly, and know when what was compiled is no longer the source.

Owns the numba settings of the kernel: strict IEEE float64 (no fastmath, so LLVM neither reorders
nor contracts to fused multiply-add), division without Python's zero check, no interpreter lock.

numba keeps compiled code under the entry function's own file only; it does not see that a helper in
another file has changed. So every helper is registered here, and the digest of them all is part of
what the entry is cached under.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")

_njit: Any = numba.njit  # the options below are missing in its stubs
_STRICT = {"error_model": "numpy", "fastmath": False, "nogil": True}
_sources: list[str] = []


def helper(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function that only compiled code calls."""
    _register(function)
    compiled: Callable[P, R] = _njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_STRICT)(function)
    return compiled


def entry(signature: object) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a function that Python calls, for one signature, and keep it on disk.

    The function must be a closure over `digest()`; see there.
    """

    def compile_now(function: Callable[P, R]) -> Callable[P, R]:
        compiled: Callable[P, R] = _njit(signature, cache=True, **_STRICT)(function)
        return compiled

    return compile_now


def digest() -> int:
    """Return a number that changes with the code of any helper registered so far.

    numba makes the values of an entry's closure part of its cache key.
    """
    return int(hashlib.sha256("\n".join(_sources).encode()).hexdigest()[:12], 16)


def _register(function: Callable[P, R]) -> None:
    code = function.__code__
    names = {name: function.__globals__.get(name) for name in code.co_names}
    constants = {n: v for n, v in names.items() if isinstance(v, int | float)}
    _sources.append(f"{code.co_name} {code.co_code.hex()} {code.co_consts!r} {code.co_names} {constants}")


def register_constants(names: dict[str, object]) -> None:
    """Make named numbers of a module part of the digest (helpers read them as attributes)."""
    _sources.append(repr({n: v for n, v in names.items() if isinstance(v, int | float)}))

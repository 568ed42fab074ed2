"""Compile functions strictly.

Owns the numba settings of the kernel: strict IEEE float64 (no fastmath, so LLVM neither reorders
nor contracts to fused multiply-add), division without Python's zero check. Only what compiles imports
this: what was compiled is kept and loaded by `tradebot.native`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, ParamSpec, TypeVar, cast

import numba

from tradebot.native import Code, Parameter
from tradebot.native.machine import assembled

P = ParamSpec("P")
R = TypeVar("R")

_njit: Any = numba.njit  # the options below are missing in its stubs
# Arrays come from Python and outlive the call: counting references to them would be atomic and for nothing.
_STRICT = {"error_model": "numpy", "fastmath": False, "_nrt": False}


def helper(function: Callable[P, R]) -> Callable[P, R]:
    """Let compiled code call this function."""
    compiled: Callable[P, R] = _njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_STRICT)(function)
    return compiled


def compiled(function: Callable[..., None], parameters: tuple[Parameter, ...]) -> Code:
    """Return the machine code of a function for exactly these parameters."""
    signature = numba.void(*map(_type, parameters))
    with _without_scipy():
        made: Any = _njit(signature, no_cpython_wrapper=True, no_cfunc_wrapper=True, **_STRICT)(function)
    (kind,) = made.signatures
    return Code(made.overloads[kind].fndesc.llvm_func_name, assembled(made.inspect_llvm(kind)))


def _type(parameter: Parameter) -> Any:
    item = numba.from_dtype(parameter.dtype)
    if parameter.use == "number":
        return item
    return numba.types.Array(item, 1, "C", readonly=parameter.use == "in")


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

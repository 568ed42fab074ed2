"""Compiled functions: kept on disk as machine code, loaded without the compiler that made them.

`kept` owns where the code lies, for what it was made, and the way into it; `machine` what this
computer is and how code becomes callable; `elf` the linking of an object file. numba (the compiler)
is imported by what compiles, never by what only calls.
"""

from tradebot.native.kept import Code, Native, Parameter

__all__ = ["Code", "Native", "Parameter"]

"""Say which line of a strategy file an exception came from.

Owns the wording of "your file raised". Keeps no traceback: that stays reachable as `__cause__`.
"""

from __future__ import annotations

import os
import traceback

from tradebot.errors import PluginError


def raised_in(file: str, doing: str, exc: BaseException) -> PluginError:
    """Return a PluginError that names the deepest line of `file` that `exc` passed through.

    `doing` says what was going on ("signals()", "import"). Raise it `from exc`, so that
    `--debug` can show the traceback.
    """
    line = _line_of(file, exc)
    place = shown(file) if line is None else f"{shown(file)}:{line}"
    text = printable(exc.msg if isinstance(exc, SyntaxError) else str(exc))
    if isinstance(exc, ModuleNotFoundError):
        text += "; a strategy file stands alone: code that several share must be an installed package"
    return PluginError(f"{place}: {doing} raised {type(exc).__name__}" + (f": {text}" if text else ""))


def printable(text: str) -> str:
    """Return a text of somebody else's with its control signs spelled out: they would reach the terminal."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def shown(file: str) -> str:
    """Return `file` relative to the working directory when it lies below it, else as it is."""
    relative = os.path.relpath(file)
    return file if relative.startswith(os.pardir) else relative


def _line_of(file: str, exc: BaseException) -> int | None:
    if isinstance(exc, SyntaxError) and exc.filename == file:
        return exc.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(exc.__traceback__) if frame.filename == file]
    return lines[-1] if lines else None

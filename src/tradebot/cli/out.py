"""Write to the two streams: data to stdout, words to stderr, colour only where someone sees it.

Owns tables, JSON and the decision whether a stream is a terminal that wants colour. Computes nothing.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, redirect_stdout
from typing import TextIO

from tradebot.cli.words import SCHEMA_VERSION

_NUMBER = re.compile(r"-|[-+]?[0-9][0-9,.]*( ?%)?")
_CODES = {"bad": "31;1", "warn": "33", "good": "32", "label": "1", "faint": "2"}


def wants_colour(stream: TextIO) -> bool:
    """Return whether `stream` is a terminal and NO_COLOR is not set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def style(text: str, role: str, stream: TextIO | None = None) -> str:
    """Return `text` coloured for `role` if the stream (stdout if None) wants colour."""
    if not wants_colour(stream or sys.stdout):
        return text
    return f"\x1b[{_CODES[role]}m{text}\x1b[0m"


def show(text: str = "") -> None:
    """Write a line of data.

    Not by click, which would send UTF-8 to a stream that says it knows only ASCII.
    """
    sys.stdout.write(f"{text}\n")


def note(text: str) -> None:
    """Write a line that is not data."""
    sys.stderr.write(f"{text}\n")


def prints_aside() -> AbstractContextManager[object]:
    """Return a context in which what a strategy prints goes to stderr: stdout carries our data alone."""
    return redirect_stdout(sys.stderr)


def as_json(value: Mapping[str, object]) -> None:
    """Write one JSON object; indented where someone reads it, on one line for a program."""
    body = value if "schema_version" in value else {"schema_version": SCHEMA_VERSION, **value}
    indent = 2 if sys.stdout.isatty() else None
    show(json.dumps(body, allow_nan=False, ensure_ascii=True, indent=indent))


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows under their heads; columns of numbers to the right, None as "-"."""
    cells = [["-" if value is None else str(value) for value in row] for row in rows]
    columns = list(zip(heads, *cells, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]
    right = [len(column) > 1 and all(_NUMBER.fullmatch(cell) for cell in column[1:]) for column in columns]

    def line(row: Sequence[str]) -> str:
        padded = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True))
        return "  ".join(padded).rstrip()

    show(style(line(heads), "label"))
    for row in cells:
        show(line(row))

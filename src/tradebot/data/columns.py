"""Take Arrow columns apart into numpy, and text into numbers, without pandas and without guessing.

pyarrow's own conversions import pandas or its compute kernels (0.3 s and 0.05 s), which a fresh
backtest cannot afford; the buffers are read directly instead.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tradebot.data.arrays import Floats, Mask

# What spreadsheets, databases and pandas write when there is nothing.
EMPTY_WORDS = frozenset({"", "nan", "null", "none", "na", "n/a", "#n/a", "#na", "nil"})
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def fixed_width(column: pa.ChunkedArray, dtype: type[np.generic]) -> tuple[NDArray[Any], Mask | None]:
    """Return (values, nulls) of a column of fixed-width values; nulls is None when there are none.

    Values at nulls are arbitrary. No copy is made of a single chunk.
    """
    width = np.dtype(dtype).itemsize
    values: list[NDArray[Any]] = []
    nulls: list[Mask] = []
    for chunk in column.chunks:
        bitmap, content = chunk.buffers()
        values.append(np.frombuffer(content, dtype=dtype, count=len(chunk), offset=width * chunk.offset))
        if chunk.null_count and bitmap is not None:
            bits = np.unpackbits(np.frombuffer(bitmap, np.uint8), bitorder="little")
            nulls.append(bits[chunk.offset : chunk.offset + len(chunk)] == 0)
        else:
            nulls.append(np.zeros(len(chunk), bool))
    if not values:
        return np.empty(0, dtype), None
    flat = values[0] if len(values) == 1 else np.concatenate(values)
    return flat, np.concatenate(nulls) if column.null_count else None


def is_text(column: pa.ChunkedArray) -> bool:
    """Return whether the column holds strings."""
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def texts(column: pa.ChunkedArray) -> list[str]:
    """Return a string column's cells stripped, "" for nulls and words that mean nothing."""
    cells = ("" if cell is None else cell.strip() for cell in column.to_pylist())
    return ["" if cell.lower() in EMPTY_WORDS else cell for cell in cells]


def floats(column: pa.ChunkedArray, name: str) -> tuple[Floats, dict[int, str]]:
    """Return (values, reasons): a column as float64, NaN where it holds no number, and why.

    Takes float, integer and text columns; "1,5" and "1_000" are no numbers. Infinite values pass:
    whether a price can be infinite is the caller's question.
    """
    if is_text(column):
        return _parsed(texts(column), name)
    kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        values, nulls = fixed_width(column, kind.to_pandas_dtype())
        wide = values.astype(np.float64, copy=nulls is not None)
        if nulls is not None:
            wide[nulls] = np.nan
        return wide, dict.fromkeys(np.flatnonzero(np.isnan(wide)).tolist(), f"{name} is empty")
    cells = [] if pa.types.is_null(kind) else column.to_pylist()
    return _parsed(["" if cell is None else str(cell) for cell in cells] or [""] * len(column), name)


def _parsed(cells: list[str], name: str) -> tuple[Floats, dict[int, str]]:
    values = np.full(len(cells), np.nan)
    reasons: dict[int, str] = {}
    for i, cell in enumerate(cells):
        if _NUMBER.fullmatch(cell):
            values[i] = float(cell)
        else:
            reasons[i] = f"{name} must be a number, was {cell[:40]!r}" if cell else f"{name} is empty"
    return values, reasons

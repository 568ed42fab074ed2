"""Store the arrays of a run exactly: curves as Parquet, charted candles as a numpy archive.

pyarrow is loaded when a file is written or read, never by importing this module, and always by
buffers: its own conversions from and to numpy would load pandas (0.3 s).
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tradebot.errors import DataError
from tradebot.report.result import Candles, FloatArray, RunResult, TsArray

_CURVES = ("equity", "benchmark_equity", "exposure", "net_exposure")
_PARTS = ("ts", "open", "high", "low", "close")


def write_curves(path: Path, result: RunResult) -> None:
    """Write time, equity and the optional curves of `result` to one Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {"ts": _column(pa, result.equity_ts, pa.int64())}
    for name in _CURVES:
        curve: FloatArray | None = getattr(result, name)
        if curve is not None:
            columns[name] = _column(pa, curve, pa.float64())
    # Times are nearly regular, so their differences take almost no room.
    pq.write_table(
        pa.table(columns),
        path,
        compression="zstd",
        use_dictionary=False,
        write_statistics=False,
        column_encoding={"ts": "DELTA_BINARY_PACKED"},
    )


def read_curves(path: Path) -> dict[str, TsArray | FloatArray | None]:
    """Return the curves by the names they have in `RunResult`; DataError when the file is not one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as exc:
        raise DataError(f"{path}: cannot be read as curves: {exc}") from exc
    wanted = {"ts": pa.int64()} | {name: pa.float64() for name in _CURVES if name in table.column_names}
    for name, kind in wanted.items():
        if name not in table.column_names or table.column(name).type != kind or table.column(name).null_count:
            raise DataError(f"{path}: column {name} must be {kind} without nulls")
    found: dict[str, TsArray | FloatArray | None] = dict.fromkeys(_CURVES)
    found |= {n: _values(table.column(n), np.dtype(np.float64)) for n in wanted if n != "ts"}
    return {"equity_ts": _values(table.column("ts"), np.dtype(np.int64)), **found}


def write_candles(path: Path, candles: Sequence[Candles]) -> None:
    """Write the charted prices of every instrument to one archive."""
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "instruments": np.array([c.instrument for c in candles], dtype=np.str_),
        "intervals": np.array([c.interval for c in candles], dtype=np.int64),
    }
    for k, candle in enumerate(candles):
        arrays |= {f"{k}_{part}": getattr(candle, part) for part in _PARTS}
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_candles(path: Path) -> tuple[Candles, ...]:
    """Return what `write_candles` wrote; DataError when the file is not such an archive."""
    try:
        with np.load(path, allow_pickle=False) as found:
            names, intervals = found["instruments"].tolist(), found["intervals"].tolist()
            return tuple(
                Candles(
                    instrument=name,
                    interval=interval,
                    **{part: found[f"{k}_{part}"] for part in _PARTS},
                )
                for k, (name, interval) in enumerate(zip(names, intervals, strict=True))
            )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as exc:
        raise DataError(f"{path}: cannot be read as candles: {exc}") from exc


def _column(pa: Any, values: TsArray | FloatArray, kind: Any) -> Any:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _values(column: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    parts = [
        np.frombuffer(chunk.buffers()[1], dtype=dtype, count=len(chunk), offset=dtype.itemsize * chunk.offset)
        for chunk in column.chunks
        if len(chunk)
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype)

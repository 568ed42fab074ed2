"""Keep every finished run on disk, so that results can be repeated and attempts are counted.

One folder per run, `<UTC minute>-<name>`, written beside and moved into place whole; a stored run is
never changed or overwritten. Only this module knows the files inside:

    result.json     the run and its figures, and the size and SHA-256 of the files below
    curves.parquet  ts, equity, and benchmark, exposure, net_exposure where the run has them
    candles.npz     prices as charted
    fills.csv       every fill, exact; trades.csv every round trip
    config.yaml     the configuration as it was, when given
    report.html     the report, when asked for; it can be made again and is not checked

A folder that cannot be read is listed as damaged with the reason; it hides no other run.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from tradebot.errors import DataError, StoreError
from tradebot.report import curves, words
from tradebot.report.codec import record_of, rows_of
from tradebot.report.html import Draft, write_html
from tradebot.report.jsonout import Json, field_names, plain_value, to_dict
from tradebot.report.metrics import Metrics, measure
from tradebot.report.result import FillRecord, RunResult, StrategyRef, TradeRecord

STORE_VERSION = 1
RESULT, CURVES, CANDLES, FILLS, TRADES = (
    "result.json",
    "curves.parquet",
    "candles.npz",
    "fills.csv",
    "trades.csv",
)
CONFIG, REPORT = "config.yaml", "report.html"
_PART = ".part"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,119}")
_ELSEWHERE = frozenset(
    {"equity_ts", "equity", "benchmark_equity", "exposure", "net_exposure", "candles", "fills", "trades"}
)
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEntry:
    """One line of the list of runs. `damaged` says why a run cannot be read, else it is None.

    The figures are None where the run had none, and always for a damaged entry.
    """

    run_id: str
    path: Path
    damaged: str | None = None
    label: str = ""
    mode: str = ""
    data_label: str = ""
    strategies: tuple[StrategyRef, ...] = ()
    created_ts: int = 0
    trials: int = 1
    digests: tuple[str, str, str] = ("", "", "")
    total_return: float | None = None
    max_drawdown: float | None = None
    sharpe: float | None = None
    closed_trades: int | None = None
    has_report: bool = False


class RunStore:
    """The runs under one folder. Several processes may save at the same time."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def claim(self, label: str, created_ts: int) -> str:
        """Reserve and return a free run id for `label` at `created_ts` (ns UTC).

        The report and the line that repeats a run name its id, so it is needed before saving. A claim
        that is never saved leaves a hidden folder and no run. Raises StoreError when the disk refuses.
        """
        stamp = words.when(created_ts).strftime("%Y-%m-%dT%H%M")
        name = re.sub(r"[^A-Za-z0-9_.+-]+", "_", label).strip("._-")[:60] or "run"
        self._make_root()
        for k in range(1, 100_000):
            run_id = f"{stamp}-{name}" if k == 1 else f"{stamp}-{name}-{k}"
            if self._take(run_id):
                return run_id
        raise StoreError(f"{self.root}: no free name left for {stamp}-{name}")

    def save(
        self,
        result: RunResult,
        metrics: Metrics | None = None,
        *,
        config: str | None = None,
        report: bool = True,
        page: Draft | None = None,
    ) -> Path:
        """Store `result` under its `run_id` and return its folder.

        `config` is the text of the configuration; `report` adds the HTML page, of which `page` are parts
        that were made before. Raises StoreError when
        the id is not a plain name, is already stored, or the disk refuses; nothing is left half done.
        """
        final = self._folder(result.run_id)
        if final.exists():
            raise StoreError(f"{final} is already stored; a run is never overwritten")
        self._make_root()
        part = self.root / f".{result.run_id}.{os.getpid()}{_PART}"
        try:
            part.mkdir()
            self._write(part, result, metrics or measure(result), config=config, report=report, page=page)
            part.rename(final)  # fails when another process stored this id first: its folder is not empty
            _sync(self.root)
        except OSError as exc:
            raise StoreError(f"{final}: the run could not be stored: {exc}") from exc
        finally:
            shutil.rmtree(part, ignore_errors=True)
            # Not before the run is in its place: until then only the claim says that the name is taken.
            shutil.rmtree(self._claim(result.run_id), ignore_errors=True)
        return final

    def list(self) -> tuple[RunEntry, ...]:
        """Return every run, oldest first, damaged ones among them; an absent folder holds none."""
        if not self.root.is_dir():
            return ()
        folders = sorted(p for p in self.root.iterdir() if p.is_dir() and not p.name.startswith("."))
        return tuple(_entry(p) for p in folders)

    def load(self, run_id: str) -> RunResult:
        """Return a stored run, every file checked against what was written.

        Raises StoreError when there is no such run, DataError when it is damaged.
        """
        folder = self._folder(run_id)
        if not folder.is_dir():
            known = ", ".join(e.run_id for e in self.list()[-5:])
            raise StoreError(
                f"{self.root} has no run {run_id}" + (f"; the latest are: {known}" if known else "")
            )
        head = _head(folder)
        _check_files(folder, head, digests=True)
        return record_of(
            RunResult,
            _object(head, "run", folder),
            str(folder / RESULT),
            **curves.read_curves(folder / CURVES),
            candles=curves.read_candles(folder / CANDLES),
            fills=_read_csv(folder / FILLS, FillRecord),
            trades=_read_csv(folder / TRADES, TradeRecord),
        )

    def write_report(self, run_id: str) -> Path:
        """Make the HTML page of a stored run again and return its path."""
        result = self.load(run_id)
        return write_html(self._folder(run_id) / REPORT, result)

    def trials(self, strategy: str) -> int:
        """Count the attempts made with `strategy`: its id, its class path, or the class name alone.

        Runs with equal config, code and data digests are one attempt; a run that was selected from
        many counts as many. Damaged runs are not counted: nobody knows what they tried.
        """
        seen: dict[tuple[str, ...], int] = {}
        for entry in self.list():
            if entry.damaged is None and any(_is(ref, strategy) for ref in entry.strategies):
                key = entry.digests if any(entry.digests) else (entry.run_id,)
                seen[key] = max(seen.get(key, 0), entry.trials)
        return sum(seen.values())

    def _folder(self, run_id: str) -> Path:
        if not _ID.fullmatch(run_id):
            raise StoreError(f"a run id is letters, digits and _.+- (at most 120), was {run_id!r}")
        return self.root / run_id

    def _claim(self, run_id: str) -> Path:
        return self.root / f".{run_id}.claim"

    def _take(self, run_id: str) -> bool:
        if self._folder(run_id).exists():
            return False
        try:
            self._claim(run_id).mkdir()
        except FileExistsError:
            return False
        except OSError as exc:
            raise StoreError(f"{self._folder(run_id)}: the run cannot be stored: {exc}") from exc
        # Another process may have stored a run of its own under this name in between.
        if self._folder(run_id).exists():
            self._claim(run_id).rmdir()
            return False
        return True

    def _make_root(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise StoreError(f"{self.root}: the folder for runs cannot be made: {exc}") from exc

    def _write(
        self,
        folder: Path,
        result: RunResult,
        metrics: Metrics,
        *,
        config: str | None,
        report: bool,
        page: Draft | None,
    ) -> None:
        # Compressing the curves needs no interpreter, so all else is written beside it.
        with ThreadPoolExecutor(max_workers=1) as beside:
            compressed = beside.submit(curves.write_curves, folder / CURVES, result)
            curves.write_candles(folder / CANDLES, result.candles)
            _write_csv(folder / FILLS, FillRecord, result.fills)
            _write_csv(folder / TRADES, TradeRecord, result.trades)
            if config is not None:
                (folder / CONFIG).write_text(config, encoding="utf-8")
            if report:
                write_html(folder / REPORT, result, metrics, page)
            compressed.result()
        files = {p.name: _mark(p) for p in sorted(folder.iterdir()) if p.name != REPORT}
        summary = to_dict(result, metrics, trades=False)
        run = {
            f.name: plain_value(getattr(result, f.name)) for f in fields(result) if f.name not in _ELSEWHERE
        }
        head = {"store_version": STORE_VERSION, **summary, "run": run, "files": files}
        (folder / RESULT).write_text(json.dumps(head, allow_nan=False, indent=1), encoding="utf-8")
        for path in (*folder.iterdir(), folder):
            _sync(path)


def _is(ref: StrategyRef, strategy: str) -> bool:
    return strategy in (ref.id, ref.class_path, ref.class_path.rpartition(":")[2])


def _mark(path: Path) -> Json:
    return {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _head(folder: Path) -> Mapping[str, object]:
    path = folder / RESULT
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise DataError(f"{path}: cannot be read: {exc}") from exc
    if not isinstance(head, dict):
        raise DataError(f"{path}: must be an object, was {type(head).__name__}")
    version = head.get("store_version")
    if version != STORE_VERSION:
        raise DataError(f"{path}: this tradebot reads runs of version {STORE_VERSION}, was {version!r}")
    return head


def _object(head: Mapping[str, object], name: str, folder: Path) -> Mapping[str, object]:
    value = head.get(name)
    if not isinstance(value, dict):
        raise DataError(f"{folder / RESULT}: {name} must be an object, was {type(value).__name__}")
    return value


def _check_files(folder: Path, head: Mapping[str, object], *, digests: bool) -> None:
    marks = _object(head, "files", folder)
    for name in [n for n in (CURVES, CANDLES, FILLS, TRADES) if n not in marks]:
        raise DataError(f"{folder / RESULT}: {name} is not among the files")
    for name, mark in marks.items():
        path = folder / Path(name).name
        if not path.is_file():
            raise DataError(f"{path} is missing")
        wanted = mark if isinstance(mark, dict) else {}
        size = path.stat().st_size
        if size != wanted.get("bytes"):
            raise DataError(f"{path}: must have {wanted.get('bytes')} bytes, has {size}")
        if digests and _mark(path) != wanted:
            raise DataError(f"{path}: its content is not what was stored (SHA-256 differs)")


def _entry(folder: Path) -> RunEntry:
    try:
        head = _head(folder)
        _check_files(folder, head, digests=False)
        run = _object(head, "run", folder)
        known = {**run, **_figures(_object(head, "metrics", folder))}
        return record_of(RunEntry, known, str(folder / RESULT), **_listed(folder, run))
    except DataError as exc:
        return RunEntry(run_id=folder.name, path=folder, damaged=str(exc))


def _listed(folder: Path, run: Mapping[str, object]) -> dict[str, object]:
    return {
        "run_id": folder.name,
        "path": folder,
        "digests": tuple(str(run.get(f"{k}_digest", "")) for k in ("config", "code", "data")),
        "has_report": (folder / REPORT).is_file(),
        "damaged": None,
    }


def _figures(metrics: Mapping[str, object]) -> dict[str, object]:
    curve, trades = metrics.get("curve"), metrics.get("trades")
    curve = curve if isinstance(curve, dict) else {}
    trades = trades if isinstance(trades, dict) else {}
    fall = curve.get("drawdown")
    return {
        "total_return": curve.get("total_return"),
        "max_drawdown": fall.get("depth") if isinstance(fall, dict) else None,
        "sharpe": curve.get("sharpe"),
        "closed_trades": trades.get("closed"),
    }


def _write_csv(path: Path, kind: type, records: Sequence[object]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field_names(kind))
        writer.writerows(rows_of(kind, records))


def _read_csv(path: Path, kind: type[R]) -> tuple[R, ...]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return tuple(record_of(kind, row, f"{path}:{k}") for k, row in enumerate(rows, start=2))

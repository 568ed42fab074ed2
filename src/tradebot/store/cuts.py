"""Keep what was cut from the journal: compressed files of rows beside it.

Owns their format, and which facts may be cut at all. Refuses money, lots, orders, halts and runs:
those stay in the journal for good.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from tradebot.core import facts as f
from tradebot.core.codec import Row
from tradebot.errors import StoreError
from tradebot.store.connect import sync_folder

# What only led to something that other facts or the snapshot say again.
MAY_BE_CUT = tuple(
    kind.__name__
    for kind in (
        f.TargetSet,
        f.QuotesSet,
        f.TargetSuspended,
        f.TargetReleased,
        f.Skipped,
        f.SkipEnded,
        f.RetrySet,
        f.OrderDenied,
        f.OrderShrunk,
        f.TimerSet,
        f.TimerFired,
        f.SessionOpened,
        f.SessionClosed,
        f.RateSet,
        f.StrategySaved,
        f.StrategiesCaughtUp,
        f.WeightsAsked,
        f.BarsCounted,
        f.TrailMoved,
        f.ExitCrossed,
        f.InputsMissed,
        f.BadDataSeen,
    )
)


def write_cut(path: Path, rows: Iterable[Row]) -> tuple[int, str]:
    """Write rows to a new file that is on disk when this returns; returns their number and its sha256."""
    count = 0
    part = path.with_name(path.name + ".part")
    try:
        fd = os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(fd, "wb") as raw:
            with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:
                for row in rows:
                    packed.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
                    count += 1
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(path)
        sync_folder(path)
        return count, digest(path)
    except OSError as exc:
        part.unlink(missing_ok=True)
        raise StoreError(f"{path} cannot be written: {exc.strerror}; nothing was cut") from exc


def read_cut(path: Path, wanted: str) -> Iterator[Row]:
    """Yield the rows of a cut file. Raises StoreError unless it is there with the sha256 `wanted`."""
    if not path.is_file():
        raise StoreError(f"{path} must be there: it holds facts that were cut from the journal; put it back")
    if digest(path) != wanted:
        raise StoreError(f"{path} is damaged: its sha256 must be {wanted}; restore it from a backup")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield Row(*json.loads(line))


def digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        found = sha256()
        for piece in iter(lambda: file.read(1 << 20), b""):
            found.update(piece)
        return found.hexdigest()

"""Look for secrets in everything that was written: plain, as programs write them, and packed."""

from __future__ import annotations

import base64
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path


def found(canaries: Iterable[str], what: str, data: bytes) -> list[str]:
    """Return which canaries are in some bytes, plain or as programs write them."""
    lower = data.lower()
    return [
        f"{canary} in {what}"
        for canary in canaries
        if canary.encode() in lower
        or canary.encode().hex().encode() in lower
        or base64.b64encode(canary.encode())[2:-4] in data
    ]


def written(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every file below a folder, and what is packed inside of the archive."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()
        if path.name == "archive.db":
            with closing(sqlite3.connect(path)) as db:
                for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                    for row in db.execute(f"SELECT * FROM {name}"):
                        for value in row:
                            if isinstance(value, bytes):
                                yield f"{path}:{name}", _unpacked(value)


def _unpacked(value: bytes) -> bytes:
    try:
        return zlib.decompress(value)
    except zlib.error:
        return value

"""Replace files so that a reader or a crash sees the old content or the new, never a mixture.

Owns the temporary file, the flush to disk, the rename and the lock that keeps two writers apart.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tradebot.errors import Busy


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to disk and rename it over `path`.

    If `write` raises or the process dies, what was at `path` before is untouched. A process that
    is killed may leave `.<name>.<pid>.part` behind; `remove_leftovers` clears those away.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(temporary)
        _sync(temporary)
        os.replace(temporary, path)
    except OSError as exc:
        if exc.filename is None or Path(str(exc.filename)) == temporary:
            exc.filename = str(path)  # a full disk names no file, and the temporary one says nothing
        raise
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files of killed writers; call it only while holding the folder's lock."""
    for leftover in folder.glob(".*.part"):
        leftover.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Replace the file's content with `text` in UTF-8."""
    replace_file(path, lambda temporary: _write_text(temporary, text))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's write lock; the system drops it when the process dies.

    Raises Busy if another process holds it: waiting would hide which import came second.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            _take(handle)
        except OSError as exc:
            raise Busy(
                f"{folder} is being written by another process; try again when it has finished"
            ) from exc
        yield
    finally:
        os.close(handle)


if sys.platform == "win32":
    import msvcrt

    def _take(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

    def _sync_folder(folder: Path) -> None:
        # Windows has no handle on a folder to flush; the rename itself is journalled.
        return
else:
    import fcntl

    def _take(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _sync_folder(folder: Path) -> None:
        # Without this a power cut can undo the rename although the file itself is on disk.
        _sync(folder)


def _write_text(path: Path, text: str) -> None:
    # newline="" keeps the bytes, and so digests, equal on every system.
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(text)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

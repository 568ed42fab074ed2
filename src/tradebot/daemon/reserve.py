"""Keep a little disk back, so that a full one still takes the word that trading is halted."""

from __future__ import annotations

import os
from pathlib import Path

NAME = "reserve"
_BYTES = 256 * 1024


class Reserve:
    """A file that takes room until it is let go of."""

    def __init__(self, folder: Path) -> None:
        """Take the room; where there is none, nothing is kept back."""
        self._path = folder / NAME
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError:
            return
        try:
            os.posix_fallocate(handle, 0, _BYTES)
        except OSError:
            pass  # what is there already is kept
        finally:
            os.close(handle)

    def release(self) -> None:
        """Give the room back; the next start takes it again."""
        self._path.unlink(missing_ok=True)

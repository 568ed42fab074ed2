"""Find the example strategies, the configuration and the unit that come with tradebot.

Inside the wheel they lie in `_bundled`; in a checkout they are the repository's own folders.
"""

from __future__ import annotations

from pathlib import Path

import tradebot
from tradebot.errors import InvariantError

_PACKAGE = Path(tradebot.__file__).resolve().parent


def folder(name: str) -> Path:
    """Return the folder of shipped "strategies", "config" or "systemd"."""
    for place in (_PACKAGE / "_bundled" / name, _PACKAGE.parent.parent / name):
        if place.is_dir():
            return place
    raise InvariantError(
        f"tradebot is installed without its {name}: {_PACKAGE / '_bundled' / name} is missing"
    )

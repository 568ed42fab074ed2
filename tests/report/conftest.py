"""Make runs to report on: small ones written by hand, large ones from a seeded walk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def shared_data() -> Path:
    """Return the folder of recorded market data, which is not part of the repository."""
    root = os.environ.get("TRADEBOT_SHARED_DATA")
    path = Path(root) if root else Path(__file__).parents[2] / ".." / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"recorded market data not found at {path}; set TRADEBOT_SHARED_DATA")
    return path

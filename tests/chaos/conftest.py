"""What the seeds of the simulation share: a heap that is not searched all the time."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def seldom_collected() -> Iterator[None]:
    """Look for garbage seldom, and not in what was there before: it is a sixth of a seed's time."""
    usual = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 10, 10)
    yield
    gc.set_threshold(*usual)
    gc.unfreeze()

"""What the seeds of the simulation share: a folder in memory, and a heap that is not searched all the time."""

from __future__ import annotations

import gc
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where the machine has one: files are real, and flushing them costs nothing."""
    shared = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
    yield folder
    shutil.rmtree(folder)


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

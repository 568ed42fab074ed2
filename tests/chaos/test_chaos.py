"""The whole daemon survives everything, seed by seed; `make chaos SEEDS=n` runs as many as you like.

A seed that fails says the line that repeats it. Kills, losses of power and faults are drawn from the seed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.world import Report, World
from tests.conftest import PROVING, SEED

_BLOCKS = 40
_SEEDS = int(os.environ.get("TRADEBOT_CHAOS_SEEDS") or (100_000 if PROVING else 400))
_ONE = os.environ.get("TRADEBOT_CHAOS_SEED")


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where the machine has one: files are real, and flushing them costs nothing."""
    shared = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
    yield folder
    shutil.rmtree(folder)


def _run(seed: int, folder: Path) -> Report:
    return World(seed, folder / f"s{seed}").run()


@pytest.mark.parametrize("block", range(_BLOCKS))
def test_the_daemon_comes_to_rest_in_agreement_with_its_venue(block: int, memory: Path) -> None:
    if _ONE is not None:
        seeds = [int(_ONE)] if block == 0 else []
    else:
        first = SEED * 1_000_003
        seeds = [first + i for i in range(block, _SEEDS, _BLOCKS)]
    for seed in seeds:
        _run(seed, memory)


def test_one_seed_gives_one_trace(memory: Path) -> None:
    for seed in range(SEED, SEED + 3):
        assert _run(seed, memory) == World(seed, memory / "again").run()

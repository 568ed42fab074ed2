"""Give every test run its seeds and say them, so that a failure can be repeated.

`make test` passes a fresh TRADEBOT_SEED; `make test SEED=n` repeats a run. `make prove` sets
TRADEBOT_PROVE=1, which raises the counts of generated cases.
"""

import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

PROVING = os.environ.get("TRADEBOT_PROVE") == "1"
PATIENCE = 60.0  # seconds until a test gives up waiting; none should need them
SEED = int(os.environ.get("TRADEBOT_SEED", "0"))

# Two busy cores make any single example slow now and then: time is no reason to fail here.
_SHARED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}
settings.register_profile("sample", max_examples=50, **_SHARED)
settings.register_profile("prove", max_examples=2_000, **_SHARED)
settings.load_profile("prove" if PROVING else "sample")

_MEMORY = Path("/dev/shm")


def _takes_all_tests(folder: Path) -> bool:
    """Return whether tests can write, and run, whatever they like there; containers often forbid both."""
    if not folder.is_dir():
        return False
    there = os.statvfs(folder)
    return there.f_bavail * there.f_frsize > 4e9 and not there.f_flag & os.ST_NOEXEC


# What tests write lies in memory where the machine has plenty: the files are real, and flushing them to the
# disk, which no test can look at, costs nothing.
if _takes_all_tests(_MEMORY):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


def pytest_report_header() -> str:
    counts = "thousands (prove)" if PROVING else "a sample"
    return f"tradebot: seed {SEED}, {counts} of generated cases; repeat with: make test SEED={SEED}"


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """A generator of this run's seed and this test's name: fresh each run, repeatable by SEED."""
    return random.Random(f"{SEED}:{request.node.nodeid}")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded market data, never part of the repository: tests skip where it is absent."""
    default = Path(__file__).parents[2] / "shared" / "data"
    path = Path(os.environ.get("TRADEBOT_SHARED_DATA") or default)
    if not path.is_dir():
        pytest.skip(f"recorded market data not found at {path}; set TRADEBOT_SHARED_DATA")
    return path

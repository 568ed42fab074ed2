"""The whole daemon survives everything, seed by seed; `make chaos SEEDS=n` runs as many as you like.

A seed that fails says the line that repeats it. Kills, losses of power and faults are drawn from the seed.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.chaos.faults import RATES
from tests.chaos.world import Report, World
from tests.conftest import PROVING, SEED

_BLOCKS = 20
_SEEDS = int(os.environ.get("TRADEBOT_CHAOS_SEEDS") or (100_000 if PROVING else 2_000))
_FIRST = SEED * 1_000_003
_ONE = os.environ.get("TRADEBOT_CHAOS_ONE")
_SEEN_FILE = Path(__file__).parents[2] / "build" / "chaos.txt"  # how often everything happened
_ENOUGH, _MANY = 1_000, 20_000  # seeds, from which on everything, and what is rare, must have been seen

# What must have happened: every fault, every way to die, every way back. A fault that never fires proves
# nothing, and a branch that no seed takes is not tested.
_SEEN = (
    *RATES,
    *("makes way", "pair sent", "refused for what it holds", "ExitCrossed"),
    *("stream mute", "clock jumped", "disk full", "backup restored", "copy refused by the venue"),
    *("killed at an await", "killed at a commit", "power lost", "stopped in order", "stopped by its disk"),
    *("refused a backup", "refused an old epoch", "crash loop halted", "owner spoke to the flag file"),
    *("owner traded", "owner rested an order", "owner moved money", "owner resumed", "owner said paused"),
    *("owner said no_new_risk", "owner said cancel_entries", "owner said flatten"),
    *("verdict BOOKED", "verdict LIVE", "verdict OVER", "verdict UNKNOWN", "verdict FOREIGN"),
    *(
        "verdict BACK",
        "verdict FOREIGN_TRADE",
        "SubmitUnknown",
        "SubmitAbsent",
        "UnknownReleased",
        "CancelRefused",
    ),
    *("OrderReplaced", "OrderRejected", "OrderTriggered", "TargetSuspended", "TargetReleased", "RetrySet"),
    *(
        "PositionAdjusted",
        "CashMoved",
        "DividendPaid",
        "SplitApplied",
        "ParentProgressed",
        "OrderDenied",
        "OrderShrunk",
        "HaltSet",
    ),
)
# A backup that was put back, and an order of after it that arrives only then: one world in some hundred.
_RARE = ("verdict FROM_ANOTHER_LIFE",)


@pytest.fixture
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "chaos"
    folder.mkdir(exist_ok=True)
    return folder


def _run(seed: int, folder: Path) -> Report:
    return World(seed, folder / f"s{seed}").run()


@pytest.mark.parametrize("block", range(_BLOCKS))
def test_the_daemon_comes_to_rest_in_agreement_with_its_venue(
    block: int, tmp_path: Path, shared: Path
) -> None:
    if _ONE is not None:
        seeds = [int(_ONE)] if block == 0 else []
    else:
        seeds = [_FIRST + i for i in range(block, _SEEDS, _BLOCKS)]
    counts: Counter[str] = Counter()
    for seed in seeds:
        counts.update(_run(seed, tmp_path).counts)
    (shared / f"{block}.json").write_text(json.dumps(counts), encoding="utf-8")
    told = list(shared.glob("*.json"))
    count = len(seeds) * _BLOCKS
    if len(told) == _BLOCKS and count >= _ENOUGH:  # the last block counts for all
        _check_seen(told, (*_SEEN, *_RARE) if count >= _MANY else _SEEN)


def _check_seen(told: list[Path], wanted: Sequence[str]) -> None:
    total: Counter[str] = Counter()
    for file in told:
        total.update(json.loads(file.read_text(encoding="utf-8")))
    _SEEN_FILE.parent.mkdir(exist_ok=True)
    _SEEN_FILE.write_text("\n".join(f"{n:8} {name}" for name, n in total.most_common()), encoding="utf-8")
    never = [name for name in wanted if not total[name]]
    assert not never, f"never seen in {_SEEDS} seeds: {', '.join(never)}"


def test_one_seed_gives_one_trace(tmp_path: Path) -> None:
    for seed in range(_FIRST, _FIRST + 3):
        assert _run(seed, tmp_path) == World(seed, tmp_path / f"again{seed}").run()

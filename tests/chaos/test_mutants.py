"""Every mistake that such programs have made is noticed, alone and beside another, at every kind of venue."""

from __future__ import annotations

import shutil
from itertools import combinations
from pathlib import Path

import pytest

from tests.chaos.checks import Broken
from tests.chaos.life import Kit
from tests.chaos.mutants import MUTANTS, NETS_SIDES, paired
from tests.chaos.world import World
from tests.conftest import SEED
from tradebot.core.ports import IdPolicy
from tradebot.errors import InvariantError

_TRIES = 400  # seeds until one must have noticed

POLICIES = [pytest.param(policy, id=policy.value) for policy in IdPolicy]


def _caught_after(kit: Kit, policy: IdPolicy, folder: Path) -> int | None:
    for i in range(_TRIES):
        try:
            World(SEED * 1_009 + i, folder / f"s{i}", kit, policy).run()
        except (Broken, InvariantError):
            return i
        finally:
            shutil.rmtree(folder / f"s{i}", ignore_errors=True)
    return None


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", MUTANTS)
def test_a_daemon_with_a_mistake_is_caught(name: str, policy: IdPolicy, tmp_path: Path) -> None:
    assert _caught_after(MUTANTS[name], policy, tmp_path) is not None


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("one", "other"), list(combinations(MUTANTS, 2)))
def test_a_daemon_with_two_mistakes_is_caught(one: str, other: str, policy: IdPolicy, tmp_path: Path) -> None:
    assert _caught_after(paired(MUTANTS[one], MUTANTS[other]), policy, tmp_path) is not None


def test_a_daemon_that_nets_buys_against_sells_is_caught(tmp_path: Path) -> None:
    assert _caught_after(NETS_SIDES, IdPolicy.FOR_EVER, tmp_path) is not None

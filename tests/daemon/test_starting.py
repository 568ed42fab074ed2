"""What a start makes of halts that flag and facts tell differently."""

from pathlib import Path

import pytest

from tests.core.world import START
from tests.daemon.desk import Desk, opened_desk
from tradebot.core import facts as f
from tradebot.core.scope import EVERYTHING, HaltLevel
from tradebot.daemon.halts import Halt

WEAK, STRICT = HaltLevel.NO_NEW_RISK, HaltLevel.CANCEL_ENTRIES


@pytest.mark.parametrize(
    ("flagged", "booked"), [(WEAK, STRICT), (STRICT, WEAK), (None, STRICT), (STRICT, None)]
)
async def test_the_stricter_of_flag_and_fact_holds_in_both(
    tmp_path: Path, flagged: HaltLevel | None, booked: HaltLevel | None
) -> None:
    def told_apart(desk: Desk) -> None:
        if booked is not None:
            fact = f.HaltSet(ts=START, level=booked, scope=EVERYTHING, reason="before", rule="owner")
            desk.runner.engine.ledger.evolve(f.Recorded(1, START, 0, fact))
        if flagged is not None:
            desk.halts.set(
                Halt(scope=EVERYTHING, level=flagged, reason="while down", rule="owner", since=START)
            )

    async with opened_desk(tmp_path, told_apart) as desk:
        assert desk.levels() == {(None, None): STRICT}
        assert [(h.scope, h.level) for h in desk.halts.all] == [(EVERYTHING, STRICT)]


async def test_a_condition_of_the_run_before_is_over_with_it(tmp_path: Path) -> None:
    def left_standing(desk: Desk) -> None:
        fact = f.HaltSet(ts=START, level=HaltLevel.PAUSED, scope=EVERYTHING, reason="x", rule="stale_feed")
        desk.runner.engine.ledger.evolve(f.Recorded(1, START, 0, fact))
        desk.halts.set(
            Halt(scope=EVERYTHING, level=HaltLevel.PAUSED, reason="cut", rule="direct", since=START)
        )

    async with opened_desk(tmp_path, left_standing) as desk:
        assert (desk.levels(), desk.halts.all) == ({}, ())

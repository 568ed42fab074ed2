"""Thanksgiving week 2026 with its half-day: one order or a recorded skip, never two."""

from pathlib import Path

import pytest

from tests.daemon.trading_days import at, config, day_of, facts, opened, project, trade
from tradebot.core import facts as f

WEDNESDAY = "2026-11-25"  # the last session before the holiday; Friday closes at 18:00 UTC
ORDERS = {
    "at the next open": "orders: {at: next_open}",
    "in the opening auction": "orders: {at: opening_auction}",
    "in the closing auction": "orders: {at: closing_auction}",
}
BACK_AT = {
    "the evening before": "2026-11-25T22:00",
    "on the holiday": "2026-11-26T15:00",
    "before the half-day's open": "2026-11-27T14:00",
    "after its open": "2026-11-27T15:00",
    "after its close": "2026-11-27T19:00",
    "on Monday": "2026-11-30T15:00",
}


def _project(tmp_path: Path) -> Path:
    return project(tmp_path / "p", "2026-11-16", "2026-12-04")


@pytest.mark.parametrize("how", ORDERS)
async def test_daemon_that_is_up_sends_one_order_for_the_half_day(how: str, tmp_path: Path) -> None:
    root = _project(tmp_path)
    await trade(opened(config(WEDNESDAY, ORDERS[how]), root, 1_800_000_000))

    sent = facts(root, f.OrderIntended)
    filled = facts(root, f.OrderFilled)

    assert len(sent) == len(filled) == 1
    assert str(day_of(filled[0].ts)) == "2026-11-27"


@pytest.mark.parametrize("how", ORDERS)
@pytest.mark.parametrize("back", BACK_AT)
async def test_daemon_that_was_down_over_the_cutoff_sends_one_order_or_says_why_not(
    how: str, back: str, tmp_path: Path
) -> None:
    root, words = _project(tmp_path), config(WEDNESDAY, ORDERS[how])
    await trade(opened(words, root, 1_800_000_000), until=at("2026-11-24T21:00"))
    await trade(opened(words, root, 1_800_000_001, since=at(BACK_AT[back])))

    sent = facts(root, f.OrderIntended)
    said = [
        s
        for s in facts(root, f.Skipped, f.TargetSuspended, f.OrderDenied)
        if s.ts >= at(WEDNESDAY + "T00:00")
    ]

    assert len(sent) <= 1
    assert sent or said
    assert len(facts(root, f.OrderFilled)) == len(sent)


async def test_daemon_killed_with_the_order_waiting_for_the_open_sends_it_once(tmp_path: Path) -> None:
    root, words = _project(tmp_path), config(WEDNESDAY, ORDERS["at the next open"])
    await trade(opened(words, root, 1_800_000_000), until=at("2026-11-25T21:00"))
    waiting = [s.rule for s in facts(root, f.Skipped)]
    await trade(opened(words, root, 1_800_000_001))

    assert waiting == ["session_closed"]
    assert len(facts(root, f.OrderIntended)) == len(facts(root, f.OrderFilled)) == 1

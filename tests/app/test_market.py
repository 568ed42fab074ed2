"""Sessions and corporate actions of a run come in the order in which they happen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.core.world import STOCK
from tradebot.app.market import events_of
from tradebot.core.messages import SessionClose, SessionOpen
from tradebot.core.model import DAY
from tradebot.data.catalogue import Catalogue

MONDAY = 19_723 * DAY  # 2024-01-01


def test_where_sessions_follow_without_a_pause_one_closes_before_the_next_opens(tmp_path: Path) -> None:
    market = replace(STOCK, calendar="24/5")
    events = events_of(Catalogue(tmp_path), [market], MONDAY, MONDAY + 2 * DAY)
    at_midnight = [type(e) for e in events if e.ts == MONDAY + DAY]
    assert at_midnight == [SessionClose, SessionOpen]

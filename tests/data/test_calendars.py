"""Sessions are those of the exchange, half-days included, and are looked up only once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tradebot.core.model import ALWAYS_OPEN, DAY, HOUR
from tradebot.data.calendars import sessions
from tradebot.data.intervals import interval_name, parse_interval
from tradebot.data.merge import utc_text
from tradebot.errors import DataError, UsageError

THANKSGIVING = 19_684  # 2023-11-23


def test_holidays_half_days_and_clock_changes_of_new_york() -> None:
    nyse = sessions("XNYS")
    opens, closes = nyse.between((THANKSGIVING - 1) * DAY, (THANKSGIVING + 2) * DAY)
    assert [utc_text(ts) for ts in opens.tolist()] == ["2023-11-22T14:30:00Z", "2023-11-24T14:30:00Z"]
    assert [utc_text(ts) for ts in closes.tolist()] == ["2023-11-22T21:00:00Z", "2023-11-24T18:00:00Z"]
    summer, _ = nyse.between(19_905 * DAY, 19_906 * DAY)
    assert utc_text(int(summer[0])) == "2024-07-01T13:30:00Z"
    assert nyse.tz == "America/New_York"


def test_a_session_that_only_touches_the_span_is_not_in_it() -> None:
    opens, closes = sessions("XNYS").between((THANKSGIVING - 1) * DAY, (THANKSGIVING + 2) * DAY)
    inside = sessions("XNYS").between(int(closes[0]), int(opens[1]))
    assert [len(side) for side in inside] == [0, 0]
    assert len(sessions("XNYS").between(int(closes[0]) - 1, int(opens[1]))[0]) == 1


def test_a_market_that_never_closes_has_every_day() -> None:
    opens, closes = sessions(ALWAYS_OPEN).between(DAY + 5, 3 * DAY)
    assert opens.tolist() == [DAY, 2 * DAY]
    assert closes.tolist() == [2 * DAY, 3 * DAY]
    assert sessions(ALWAYS_OPEN).next_day(7) == 8


def test_dates_have_closes_only_where_there_is_a_session() -> None:
    closes, known = sessions("XNYS").closes_of(np.array([THANKSGIVING - 1, THANKSGIVING, THANKSGIVING + 1]))
    assert known.tolist() == [1, 0, 1]
    assert utc_text(int(closes[2])) == "2023-11-24T18:00:00Z"
    assert sessions("XNYS").next_day(THANKSGIVING - 1) == THANKSGIVING + 1


def test_dates_at_the_exchange_follow_its_clock() -> None:
    nyse = sessions("XNYS")
    assert utc_text(nyse.day_start(THANKSGIVING)) == "2023-11-23T05:00:00Z"
    assert nyse.day_of(THANKSGIVING * DAY + 4 * HOUR) == THANKSGIVING - 1
    assert nyse.day_of(THANKSGIVING * DAY + 5 * HOUR) == THANKSGIVING


def test_questions_beyond_what_is_known_are_refused() -> None:
    nyse = sessions("XNYS")
    for span in ((0, DAY), (nyse.known_until - DAY, nyse.known_until + DAY)):
        with pytest.raises(DataError, match="calendar XNYS is known from 1980-01-01T00:00:00Z to"):
            nyse.between(*span)
    with pytest.raises(DataError, match="knows no session after"):
        nyse.next_day(nyse.known_until // DAY)


def test_an_unknown_calendar_is_refused_with_examples() -> None:
    with pytest.raises(DataError, match="such as XNYS, XLON\\), was 'NYSE-ish'"):
        sessions("NYSE-ish")


_ASKS = """
import sys
from tradebot.data.calendars import sessions
opens, closes = sessions("XNYS").between(19684 * 86400 * 10**9, 19686 * 86400 * 10**9)
print(opens.tolist(), closes.tolist(), "exchange_calendars" in sys.modules)
"""


def test_the_second_process_asks_the_cache_and_a_broken_or_missing_one_does_no_harm(tmp_path: Path) -> None:
    def ask(cache: Path) -> str:
        env = os.environ | {"XDG_CACHE_HOME": str(cache)}
        ran = subprocess.run(
            [sys.executable, "-c", _ASKS], env=env, capture_output=True, text=True, check=True
        )
        return ran.stdout.strip()

    first, second = ask(tmp_path), ask(tmp_path)
    assert first.endswith("True") and second.endswith("False")
    assert first.rsplit(" ", 1)[0] == second.rsplit(" ", 1)[0]
    (stored,) = tmp_path.rglob("XNYS*.npz")
    stored.write_bytes(stored.read_bytes()[:1000])
    assert ask(tmp_path) == first
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert ask(blocked) == first


@pytest.mark.parametrize("text", ["1ms", "30s", "1m", "15m", "4h", "1d", "1w"])
def test_intervals_have_one_name(text: str) -> None:
    assert interval_name(parse_interval(text)) == text


@pytest.mark.parametrize("text", ["", "m", "0m", "1.5h", "1M", "-1m", "1 month", "1y"])
def test_words_that_are_no_interval_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="an interval is a number and a unit"):
        parse_interval(text)


def test_intervals_are_named_by_their_longest_unit() -> None:
    assert [interval_name(n * HOUR) for n in (1, 24, 36, 168)] == ["1h", "1d", "36h", "1w"]
    with pytest.raises(UsageError, match="positive multiple of 1 ms"):
        interval_name(1)

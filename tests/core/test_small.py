"""Ids, months, slices and sizing formulas: small pieces, exact values."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.world import D, Script, World, make_bar, spec
from tradebot.core import facts as f
from tradebot.core.days import month_number, period_number
from tradebot.core.execution import split_even
from tradebot.core.ledger import Ledger
from tradebot.core.model import DAY, AccountModel
from tradebot.core.recorder import Recorder, base32
from tradebot.core.setup import Schedule
from tradebot.core.sizing import FixedNotional, FixedQty, FixedRisk, FractionOfEquity, Sizer, VolatilityTarget
from tradebot.errors import InvariantError

# Naive, because that is how hypothesis takes bounds.
EARLY, LATE = datetime(1971, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001

# --- ids ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "width", "text"),
    [(0, 4, "0000"), (31, 1, "v"), (32, 1, "10"), (1023, 4, "00vv"), (1 << 40, 7, "100000000")],
)
def test_base_32_is_padded_and_grows(number: int, width: int, text: str) -> None:
    assert base32(number, width) == text


@given(numbers=st.lists(st.integers(0, 1 << 60), min_size=2, unique=True))
def test_base_32_tells_numbers_apart(numbers: list[int]) -> None:
    assert len({base32(number, 4) for number in numbers}) == len(numbers)


def test_client_order_ids_are_short_plain_and_never_repeat_across_epochs() -> None:
    seen: set[str] = set()
    for epoch in (1_700_000_000, 1_700_000_001, 4_000_000_000):
        recorder = Recorder(Ledger(), "tb")
        start = f.RunStarted(ts=1, run_id="r", epoch=epoch, config_digest="", code_digest="")
        recorder.fact(start)
        recorder.restart_ids()
        ids = [recorder.new_order_id() for _ in range(2_000)]
        assert all(len(name) <= 18 and name.isalnum() and name == name.lower() for name in ids)
        assert not seen & set(ids)
        seen |= set(ids)
    assert len(seen) == 6_000


@pytest.mark.parametrize("instance", ["", "a", "abc", "TB", "t-"])
def test_an_instance_is_two_plain_characters(instance: str) -> None:
    with pytest.raises(InvariantError, match=r"two characters of \[a-z0-9\]"):
        Recorder(Ledger(), instance)


# --- calendar -------------------------------------------------------------------------------------


@given(day=st.dates(min_value=date(1600, 1, 1), max_value=date(2600, 12, 31)))
def test_months_are_counted_as_the_calendar_does(day: date) -> None:
    assert month_number((day - date(1970, 1, 1)).days) == day.year * 12 + day.month - 1


def test_every_day_of_four_centuries_lies_in_its_month() -> None:
    day, number = date(1900, 1, 1), (date(1900, 1, 1) - date(1970, 1, 1)).days
    for offset in range(0, 146_097, 7):
        at = day + timedelta(days=offset)
        assert month_number(number + offset) == at.year * 12 + at.month - 1


@given(at=st.datetimes(min_value=EARLY, max_value=LATE, timezones=st.just(UTC)))
def test_periods_begin_where_the_calendar_says(at: datetime) -> None:
    ts = int(at.timestamp()) * 1_000_000_000
    midnight = ts - ts % DAY
    same_week = at - timedelta(days=at.weekday())
    monday = int(same_week.timestamp()) * 1_000_000_000
    assert period_number(ts, Schedule.DAY) == period_number(midnight, Schedule.DAY)
    assert period_number(ts, Schedule.WEEK) == period_number(monday, Schedule.WEEK)
    assert period_number(monday - monday % DAY - 1, Schedule.WEEK) == period_number(ts, Schedule.WEEK) - 1
    assert period_number(ts, Schedule.QUARTER) == (at.year * 12 + at.month - 1) // 3
    assert period_number(ts, Schedule.NEVER) == 0


# --- slices ---------------------------------------------------------------------------------------


@given(lots=st.integers(1, 10_000), parts=st.integers(1, 50), lot=st.sampled_from(["1", "0.001", "0.25"]))
def test_slices_sum_to_the_whole_and_the_first_are_the_largest(lots: int, parts: int, lot: str) -> None:
    slices = split_even(lots * D(lot), parts, D(lot))
    assert sum(slices) == lots * D(lot)
    assert len(slices) == min(lots, parts)
    assert list(slices) == sorted(slices, reverse=True)
    assert slices[0] - slices[-1] <= D(lot)


@pytest.mark.parametrize("qty", ["0", "-1", "1.5"])
def test_only_a_positive_multiple_of_the_lot_is_split(qty: str) -> None:
    with pytest.raises(InvariantError, match="positive multiple of lot 1"):
        split_even(D(qty), 3, D(1))


# --- sizing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizing", "parts", "full"),
    [
        (FixedQty(qty=7.5), 2, 7.5),
        (FixedNotional(notional=1_000.0), 2, 1_000.0 / (50.0 * 2.0)),
        (FractionOfEquity(fraction=0.9), 1, 0.9 * 10_000.0 / (50.0 * 2.0)),
        (FractionOfEquity(fraction=0.9), 4, 0.9 * 2_500.0 / (50.0 * 2.0)),
        (FixedRisk(risk=0.01, stop=0.04), 1, 0.01 * 10_000.0 / (0.04 * 50.0 * 2.0)),
        (FixedRisk(risk=0.5, stop=0.04, max_fraction=1.5), 1, 1.5 * 10_000.0 / (50.0 * 2.0)),
    ],
)
def test_the_full_size_of_each_rule(sizing: object, parts: int, full: float) -> None:
    sizer = Sizer(sizing, parts)  # type: ignore[arg-type]
    assert sizer.full(10_000.0, 50.0, 2.0) == pytest.approx(full, rel=1e-15)


def test_a_volatility_target_waits_for_its_window_and_scales_by_it() -> None:
    sizer = Sizer(VolatilityTarget(annual=0.2, window=3, periods_per_year=4.0, max_fraction=5.0))
    for i, close in enumerate((100.0, 110.0, 99.0)):
        sizer.observe(make_bar("X", i, 1, close))
        assert sizer.full(1_000.0, 100.0, 1.0) is None
    sizer.observe(make_bar("X", 4, 1, 108.9))
    returns = [0.1, -0.1, 0.1]
    mean = sum(returns) / 3
    realised = sqrt(sum((r - mean) ** 2 for r in returns) / 2) * 2.0
    assert sizer.full(1_000.0, 100.0, 1.0) == pytest.approx(0.2 / realised * 1_000.0 / 100.0, rel=1e-12)


def test_a_market_that_stands_still_has_no_volatility_to_target() -> None:
    sizer = Sizer(VolatilityTarget(annual=0.2, window=2, periods_per_year=4.0))
    for i in range(5):
        sizer.observe(make_bar("X", i, 1, 100.0))
    assert sizer.full(1_000.0, 100.0, 1.0) is None


def test_risk_by_atr_follows_wilder() -> None:
    sizer = Sizer(FixedRisk(risk=0.01, atr_multiple=2.0, atr_window=2, max_fraction=10.0))
    rows = ((10, 12, 9, 11), (11, 13, 10, 12), (12, 12, 8, 9))  # ranges 3, 3, then 4
    for i, row in enumerate(rows):
        sizer.observe(make_bar("X", i, 1, *row))
    atr = 3.0 + (4.0 - 3.0) / 2
    assert sizer.full(1_000.0, 9.0, 1.0) == pytest.approx(0.01 * 1_000.0 / (2.0 * atr), rel=1e-15)
    sizer.forget()
    assert sizer.full(1_000.0, 9.0, 1.0) is None


def test_a_sizer_that_was_shown_its_lookback_sizes_as_one_that_saw_everything(rng: random.Random) -> None:
    specs = (
        FixedRisk(risk=0.01, atr_multiple=2.0, atr_window=3, max_fraction=1e9),
        VolatilityTarget(annual=0.2, window=5, periods_per_year=252.0, max_fraction=1e9),
    )
    closes = [100.0 * (1.0 + rng.uniform(-0.2, 0.2)) for _ in range(400)]
    bars = [make_bar("X", i, 1, c, c * 1.01, c * 0.98, c) for i, c in enumerate(closes)]
    for spec_ in specs:
        lived, again = Sizer(spec_), Sizer(spec_)
        for bar in bars:
            lived.observe(bar)
        for bar in bars[-lived.lookback :]:
            again.observe(bar)
        assert again.full(1_000.0, 9.0, 1.0) == lived.full(1_000.0, 9.0, 1.0)  # to the last bit


def test_a_decision_that_leads_to_no_fact_leaves_the_ledger_as_it_was() -> None:
    from tests.core.ledger_text import ledger_digest

    world = World(spec(Script(1.0), exits={"stop_loss": 0.1})).bars((100,), (100,), (101,))
    before, count = ledger_digest(world.ledger), len(world.facts)
    world.bars((102,), (103,), (104,))
    assert len(world.facts) == count
    assert ledger_digest(world.ledger) == before


def test_sums_of_more_digits_than_usual_balance() -> None:
    huge = D("9371170988510919372587.52445213")
    ledger = Ledger()
    for fact in (
        f.AccountOpened(ts=0, account="main", model=AccountModel.MARGIN, base_currency="USD"),
        f.CashMoved(
            ts=0,
            account="main",
            asset="USD",
            amount=huge,
            because="deposit",
            strategy=None,
            settles_at=0,
        ),
        f.StrategyEnrolled(ts=0, strategy="s", account="main"),
        f.AssignmentMade(ts=0, account="main", strategy="s", asset="USD", amount=D("0.00000001")),
    ):
        ledger.evolve(f.Recorded(ledger.seq + 1, 0, 0, fact))
    ledger.check()

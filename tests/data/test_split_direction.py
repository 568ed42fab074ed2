"""Splits read the wrong way round are noticed by the prices."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from tradebot.core.messages import Split
from tradebot.core.model import DAY
from tradebot.data.actions import contradicted
from tradebot.data.arrays import BarArrays
from tradebot.data.calendars import sessions
from tradebot.data.check import check_series


def falling_to_a_seventh() -> BarArrays:
    rng = np.random.default_rng(3)
    close = 700.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, 60)))
    close[30:] /= 7.0
    ts = np.arange(1, 61, dtype=np.int64) * DAY
    volume = np.where(np.arange(60) < 30, 1_000.0, 7_000.0)
    return BarArrays(
        instrument="X", interval=DAY, ts=ts, open=close, high=close * 1.001, low=close * 0.999,
        close=close, volume=volume,
    )  # fmt: skip


def split(ratio: str) -> Split:
    return Split(ts=30 * DAY + 1, instrument="X", ratio=Decimal(ratio))


def test_a_split_that_the_price_followed_is_not_contradicted() -> None:
    assert contradicted(falling_to_a_seventh(), [split("7")]) == ()


def test_a_split_read_the_wrong_way_round_is_named_with_both_prices() -> None:
    (said,) = contradicted(falling_to_a_seventh(), [split("0.142857")])
    assert said.startswith("a share is said to become 0.142857, but the price went ")


def test_a_split_beyond_the_data_or_too_small_to_tell_is_not_judged() -> None:
    bars = falling_to_a_seventh()
    assert contradicted(bars, [Split(ts=99 * DAY, instrument="X", ratio=Decimal("0.1"))]) == ()
    assert contradicted(bars, [split("0.9")]) == ()


@pytest.mark.parametrize(
    ("ratio", "kind", "ok"), [("7", "known_split", True), ("0.142857", "inverted_split", False)]
)
def test_a_check_tells_known_splits_from_inverted_ones(ratio: str, kind: str, ok: bool) -> None:
    report = check_series(falling_to_a_seventh(), sessions("24/7"), splits=[split(ratio)])
    assert kind in [finding.kind for finding in report.findings]
    assert report.ok is ok

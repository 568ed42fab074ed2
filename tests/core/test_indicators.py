"""Incremental indicators: exact on ties, no drift, equal to their definition."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from fractions import Fraction
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.core import indicators as ind
from tradebot.core.indicators import lookback_for
from tradebot.core.indicators.momentum import NEUTRAL
from tradebot.errors import PluginError

Price = tuple[float, float, float]  # high, low, close
Pusher = Callable[[float], object]


def cent_walk(seed: int, bars: int, start: int = 10_000) -> list[int]:
    """Prices in whole cents that seldom leave their place, so that averages often tie."""
    rng = random.Random(seed)
    cents = [start]
    while len(cents) < bars:
        moved = rng.choice((0, 0, 0, 0, 0, -1, 1, 1 if cents[-1] < start else -1))
        cents.append(cents[-1] + moved)
    return cents


def bars_of(seed: int, count: int) -> list[Price]:
    rng = random.Random(seed)
    close, bars = 100.0, []
    for _ in range(count):
        close = round(max(5.0, close * (1.0 + rng.gauss(0.0, 0.01))), 2)
        bars.append((close + rng.randint(0, 99) / 100, close - rng.randint(0, 99) / 100, close))
    return bars


def sign(x: int) -> int:
    return (x > 0) - (x < 0)


ON_CLOSE: dict[str, Callable[[], ind.Indicator[object]]] = {
    "sma": lambda: ind.Sma(5),
    "sma of one": lambda: ind.Sma(1),
    "ema": lambda: ind.Ema(5),
    "rsi": lambda: ind.Rsi(5),
    "roc": lambda: ind.Roc(5),
    "variance": lambda: ind.Variance(5, ddof=1),
    "zscore": lambda: ind.ZScore(5),
    "bollinger": lambda: ind.Bollinger(5, 1.5),
    "highest": lambda: ind.Highest(5),
    "lowest": lambda: ind.Lowest(5),
    "macd": lambda: ind.Macd(3, 6, 4),
}
ON_BAR: dict[str, Callable[[], ind.Indicator[object]]] = {
    "atr": lambda: ind.Atr(5),
    "true range": ind.TrueRange,
    "donchian": lambda: ind.Donchian(5),
    "vwap": lambda: ind.Vwap(5),
    "vwap of a session": ind.Vwap,
}
ALL = ON_CLOSE | ON_BAR


def push(indicator: ind.Indicator[object], bar: Price) -> object:
    high, low, close = bar
    if isinstance(indicator, (ind.Atr, ind.TrueRange)):
        return indicator.push(high, low, close)
    if isinstance(indicator, ind.Donchian):
        return indicator.push(high, low)
    if isinstance(indicator, ind.Vwap):
        return indicator.push(close, round(high * 100))
    return indicator.push(close)  # type: ignore[attr-defined]


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_first_result_comes_with_the_last_bar_of_the_warm_up(
    make: Callable[[], ind.Indicator[object]],
) -> None:
    indicator = make()
    results = [push(indicator, bar) for bar in bars_of(1, 40)]
    warm = [result is not None for result in results]
    assert warm == [i + 1 >= indicator.warmup for i in range(40)]
    assert indicator.ready
    assert indicator.value == results[-1]


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
@pytest.mark.parametrize("cut", [0, 3, 5, 18, 40])
def test_saved_as_json_and_loaded_goes_on_as_if_nothing_happened(
    make: Callable[[], ind.Indicator[object]], cut: int
) -> None:
    bars = bars_of(2, 80)
    unbroken, before, after = make(), make(), make()
    expected = [push(unbroken, bar) for bar in bars][cut:]
    for bar in bars[:cut]:
        push(before, bar)
    after.load(json.loads(json.dumps(before.save())))
    assert after.value == before.value
    assert [push(after, bar) for bar in bars[cut:]] == expected


def test_state_of_another_window_is_refused() -> None:
    with pytest.raises(PluginError, match=r"same indicator with warm-up 5, found .* warm-up 6"):
        ind.Sma(5).load(ind.Sma(6).save())


@pytest.mark.parametrize("window", [0, -1, 2.5, True, "5"])
def test_window_that_is_no_number_of_bars_is_refused(window: object) -> None:
    with pytest.raises(PluginError, match=r"Sma: window must be a whole number of bars >= 1, was"):
        ind.Sma(window)  # type: ignore[arg-type]


def test_bands_without_width_are_refused() -> None:
    with pytest.raises(PluginError, match="width must be > 0"):
        ind.Bollinger(20, 0.0)


# --- the tie rule ------------------------------------------------------------------------------


@pytest.mark.parametrize("fast,slow", [(50, 200), (5, 20), (3, 7), (10, 30)])
def test_averages_of_cents_compare_as_integers_do_although_plain_floats_do_not(fast: int, slow: int) -> None:
    wrong = naive_wrong = ties = 0
    for seed in range(3):
        cents = cent_walk(seed, 20_000)
        total = [0, *accumulate(cents)]
        quick_average, slow_average = ind.Sma(fast), ind.Sma(slow)
        for i, cent in enumerate(cents, start=1):
            a, b = quick_average.push(cent / 100), slow_average.push(cent / 100)
            if a is None or b is None:
                continue
            exact = sign((total[i] - total[i - fast]) * slow - (total[i] - total[i - slow]) * fast)
            ties += exact == 0
            wrong += exact != ind.above(a, b) - ind.below(a, b) or ind.tied(a, b) != (exact == 0)
            naive_wrong += exact != (a > b) - (a < b)
    assert ties > 50
    assert naive_wrong > 10, "plain float comparison must fail on these prices, or this test shows nothing"
    assert wrong == 0


def test_crossings_of_cent_averages_equal_the_ones_of_integers() -> None:
    cents = cent_walk(11, 5_000)
    quick, slow = ind.Sma(4), ind.Sma(10)
    seen, exact = [], []
    before: tuple[float, float] | None = None
    was = 0
    for i, cent in enumerate(cents):
        a, b = quick.push(cent / 100), slow.push(cent / 100)
        if a is None or b is None:
            continue
        now = sign(sum(cents[i - 3 : i + 1]) * 10 - sum(cents[i - 9 : i + 1]) * 4)
        if before is not None:
            seen.append((ind.crossed_above(*before, a, b), ind.crossed_below(*before, a, b)))
            exact.append((now > 0 >= was, now < 0 <= was))
        before, was = (a, b), now
    assert sum(up for up, _ in exact) > 50
    assert seen == exact


def test_nan_is_neither_above_nor_below_nor_tied_nor_crossing() -> None:
    nan = math.nan
    for a, b in ((nan, 1.0), (1.0, nan), (nan, nan)):
        assert not ind.above(a, b)
        assert not ind.below(a, b)
        assert not ind.tied(a, b)
        assert not ind.crossed_above(a, b, 2.0, 1.0)
        assert not ind.crossed_above(1.0, 2.0, a, b)


@given(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12))
def test_exactly_one_of_above_below_tied_holds(a: float, b: float) -> None:
    assert ind.above(a, b) + ind.below(a, b) + ind.tied(a, b) == 1
    assert ind.above(a, b) == ind.below(b, a)


# --- exactness and drift -----------------------------------------------------------------------


def test_mean_and_variance_do_not_drift_over_two_million_values_of_changing_scale() -> None:
    rng = random.Random(3)
    window = 20
    mean, variance = ind.Sma(window), ind.Variance(window)
    recent: list[float] = []
    worst_mean = worst_variance = 0.0
    scale = 1e9
    for i in range(2_000_000):
        if i % 100_000 == 0:
            scale = 1e9 if scale == 1e-3 else 1e-3
        x = scale * (1.0 + 0.01 * rng.random())
        m, v = mean.push(x), variance.push(x)
        if i % 4_999 < window:
            recent = [*recent[1 - window :], x]
        if i % 4_999 == window - 1:
            exact_mean, exact_variance = moments(recent)
            worst_mean = max(worst_mean, abs(m / exact_mean - 1.0))  # type: ignore[operator]
            worst_variance = max(worst_variance, abs(v / exact_variance - 1.0))  # type: ignore[operator]
    assert worst_mean < 1e-14
    assert worst_variance < 1e-11


def moments(values: list[float]) -> tuple[float, float]:
    exact = [Fraction(x) for x in values]
    mean = sum(exact) / len(exact)
    return float(mean), float(sum((x - mean) ** 2 for x in exact) / len(exact))


def test_an_absurd_price_leaves_no_trace_once_it_has_left_the_window() -> None:
    closes = [close for _, _, close in bars_of(5, 200)]
    calm, shocked = ind.Bollinger(10), ind.Bollinger(10)
    for close in closes:
        calm.push(close)
    for i, close in enumerate(closes):
        shocked.push(1e15 if i == 100 else close)
    assert shocked.value == calm.value


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=120), st.integers(1, 25))
def test_windows_equal_their_definition(cents: list[int], window: int) -> None:
    closes = [c / 100 for c in cents]
    mean, variance = ind.Sma(window), ind.Variance(window)
    high, low = ind.Highest(window), ind.Lowest(window)
    for i, close in enumerate(closes):
        got = (mean.push(close), variance.push(close), high.push(close), low.push(close))
        if i + 1 < window:
            assert got == (None, None, None, None)
            continue
        inside = closes[i + 1 - window : i + 1]
        exact_mean, exact_variance = moments(inside)
        assert got[0] == pytest.approx(exact_mean, rel=1e-14)
        assert got[1] == pytest.approx(exact_variance, rel=1e-9, abs=1e-22 * exact_mean**2)
        assert got[2:] == (max(inside), min(inside))


def test_values_that_are_all_equal_have_no_variance_and_no_z() -> None:
    variance, z, bands = ind.Variance(7), ind.ZScore(7), ind.Bollinger(7)
    for _ in range(40):
        variance.push(0.1)
        z.push(0.1)
        bands.push(0.1)
    assert (variance.value, z.value) == (0.0, 0.0)
    assert bands.value == (0.1, 0.1, 0.1)


# --- known values ------------------------------------------------------------------------------


def test_rsi_of_a_price_that_never_moved_is_neutral_and_of_one_that_only_rose_is_100() -> None:
    still, rising = ind.Rsi(3), ind.Rsi(3)
    assert [still.push(10.0) for _ in range(6)] == [None, None, None, NEUTRAL, NEUTRAL, NEUTRAL]
    assert [rising.push(10.0 + i) for i in range(5)] == [None, None, None, 100.0, 100.0]


def test_true_range_counts_the_gap_from_the_last_close() -> None:
    tr = ind.TrueRange()
    bars = [(11.0, 9.0, 10.0), (14.0, 13.0, 13.5), (8.0, 7.0, 7.5), (9.0, 7.0, 8.0)]
    assert [tr.push(*bar) for bar in bars] == [2.0, 4.0, 6.5, 2.0]


def test_atr_starts_with_the_mean_true_range_and_moves_by_a_share_of_the_difference() -> None:
    atr = ind.Atr(2)
    bars = [(11.0, 9.0, 10.0), (14.0, 13.0, 13.5), (14.0, 13.0, 13.5)]
    assert [atr.push(*bar) for bar in bars] == [None, 3.0, 2.0]


def test_ema_is_seeded_with_the_first_value() -> None:
    ema = ind.Ema(3)
    assert [ema.push(x) for x in (8.0, 4.0, 2.0, 10.0)] == [None, None, 4.0, 7.0]


def test_donchian_before_the_push_is_the_channel_that_the_bar_can_break() -> None:
    channel = ind.Donchian(2)
    channel.push(10.0, 8.0)
    before = channel.push(11.0, 9.0)
    after = channel.push(15.0, 12.0)
    assert before == (8.0, 9.5, 11.0)
    assert after == (9.0, 12.0, 15.0)


def test_session_vwap_starts_again_after_reset_and_waits_for_volume() -> None:
    vwap = ind.Vwap()
    assert vwap.push(10.0, 0.0) is None
    assert vwap.push(10.0, 1.0) == 10.0
    assert vwap.push(13.0, 2.0) == 12.0
    vwap.reset()
    assert vwap.value is None
    assert vwap.push(20.0, 5.0) == 20.0


# --- lookback ----------------------------------------------------------------------------------

NEEDS: dict[str, tuple[Callable[[], ind.Indicator[object]], int]] = {
    "sma": (lambda: ind.Sma(50), lookback_for("sma", 50)),
    "ema": (lambda: ind.Ema(50), lookback_for("ema", 50)),
    "rsi": (lambda: ind.Rsi(14), lookback_for("rsi", 14)),
    "atr": (lambda: ind.Atr(14), lookback_for("atr", 14)),
    "macd": (ind.Macd, lookback_for("macd")),
    "zscore": (lambda: ind.ZScore(30), lookback_for("zscore", 30)),
    "bollinger": (ind.Bollinger, lookback_for("bollinger", 20)),
    "roc": (lambda: ind.Roc(9), lookback_for("roc", 9)),
    "donchian": (lambda: ind.Donchian(30), lookback_for("donchian", 30)),
    "vwap": (lambda: ind.Vwap(30), lookback_for("vwap", 30)),
}


@pytest.mark.parametrize("make,lookback", NEEDS.values(), ids=NEEDS)
def test_on_exactly_lookback_bars_the_value_equals_the_one_on_all_history(
    make: Callable[[], ind.Indicator[object]], lookback: int
) -> None:
    bars = bars_of(7, 3_000)
    full, window = make(), make()
    for bar in bars:
        push(full, bar)
    for bar in bars[-lookback:]:
        push(window, bar)
    assert window.value == pytest.approx(full.value, rel=1e-9, abs=1e-9)


def test_half_the_lookback_of_an_ema_is_not_enough() -> None:
    bars = bars_of(7, 3_000)
    full, window = ind.Ema(50), ind.Ema(50)
    for _, _, close in bars:
        full.push(close)
    for _, _, close in bars[-lookback_for("ema", 50) // 2 :]:
        window.push(close)
    assert full.value is not None
    assert window.value != pytest.approx(full.value, rel=1e-9)


def test_lookback_of_an_unknown_indicator_names_the_known_ones() -> None:
    with pytest.raises(PluginError, match=r"'obv' is not an indicator; known: .*ema"):
        lookback_for("obv", 5)
    with pytest.raises(PluginError, match="3 windows do not fit"):
        lookback_for("ema", 5, 6, 7)

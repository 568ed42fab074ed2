"""The pandas façade: no warm-up zeros, equal to `ta`, to TA-Lib, to the incremental twins."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ta.momentum import RSIIndicator
from ta.trend import ADXIndicator
from ta.volatility import AverageTrueRange, BollingerBands

from tradebot.core import indicators as core
from tradebot.core.indicators import lookback_for
from tradebot.errors import PluginError
from tradebot.plugins import indicators as ind


def market(seed: int = 0, bars: int = 3_000, start: float = 100.0, volatility: float = 0.01) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = np.round(start * np.exp(np.cumsum(rng.normal(0.0, volatility, bars))), 2)
    high = close + np.round(rng.uniform(0.0, 1.0, bars), 2)
    low = close - np.round(rng.uniform(0.0, 1.0, bars), 2)
    return pd.DataFrame(
        {"open": close, "high": high, "low": low, "close": close, "volume": rng.integers(1, 999, bars) * 1.0},
        index=pd.date_range("2020-01-01", periods=bars, freq="min", tz="UTC"),
    )


Lines = pd.Series | pd.DataFrame
FACADE: dict[str, tuple[Callable[[pd.DataFrame], Lines], int, int]] = {
    # name: (computation, bars until the first value, lookback)
    "sma": (lambda m: ind.sma(m.close, 50), 50, lookback_for("sma", 50)),
    "ema": (lambda m: ind.ema(m.close, 50), 50, lookback_for("ema", 50)),
    "rsi": (lambda m: ind.rsi(m.close), 15, lookback_for("rsi")),
    "true_range": (lambda m: ind.true_range(m.high, m.low, m.close), 1, lookback_for("true_range")),
    "atr": (lambda m: ind.atr(m.high, m.low, m.close), 14, lookback_for("atr")),
    "adx": (lambda m: ind.adx(m.high, m.low, m.close).adx, 28, lookback_for("adx")),
    "plus": (lambda m: ind.adx(m.high, m.low, m.close).plus, 15, lookback_for("adx")),
    "stdev": (lambda m: ind.stdev(m.close, 20), 20, lookback_for("stdev", 20)),
    "zscore": (lambda m: ind.zscore(m.close, 30), 30, lookback_for("zscore", 30)),
    "bollinger": (lambda m: ind.bollinger(m.close, 20, 2.0), 20, lookback_for("bollinger", 20)),
    "macd": (lambda m: ind.macd(m.close).macd, 26, lookback_for("macd")),
    "macd signal": (lambda m: ind.macd(m.close).signal, 34, lookback_for("macd", 12, 26, 9)),
    "highest": (lambda m: ind.highest(m.high, 20), 20, lookback_for("highest", 20)),
    "lowest": (lambda m: ind.lowest(m.low, 20), 20, lookback_for("lowest", 20)),
    "donchian": (lambda m: ind.donchian(m.high, m.low, 20), 20, lookback_for("donchian", 20)),
    "roc": (lambda m: ind.roc(m.close, 10), 11, lookback_for("roc", 10)),
    "stochastic": (lambda m: ind.stochastic(m.high, m.low, m.close).d, 16, lookback_for("stochastic")),
    "cci": (lambda m: ind.cci(m.high, m.low, m.close), 20, lookback_for("cci")),
    "vwap": (lambda m: ind.vwap(m.high, m.low, m.close, m.volume), 14, lookback_for("vwap")),
}


@pytest.mark.parametrize("compute,first,lookback", FACADE.values(), ids=FACADE)
def test_before_its_first_value_an_indicator_is_nan_and_never_after(
    compute: Callable[[pd.DataFrame], Lines], first: int, lookback: int
) -> None:
    frame = market(bars=400)
    values = pd.DataFrame(compute(frame))
    assert values.index.equals(frame.index)
    assert values.iloc[: first - 1].isna().all().all()
    assert values.iloc[first - 1 :].notna().all().all()


@pytest.mark.parametrize("compute,first,lookback", FACADE.values(), ids=FACADE)
@pytest.mark.parametrize("bars", [0, 1, 5])
def test_too_few_bars_give_nan_not_an_error(
    compute: Callable[[pd.DataFrame], Lines], first: int, lookback: int, bars: int
) -> None:
    values = pd.DataFrame(compute(market(bars=bars)))
    assert len(values) == bars
    assert values.iloc[: first - 1].isna().all().all()


@pytest.mark.parametrize("compute,first,lookback", FACADE.values(), ids=FACADE)
def test_last_row_on_lookback_bars_equals_the_whole_frame(
    compute: Callable[[pd.DataFrame], Lines], first: int, lookback: int
) -> None:
    frame = market(seed=4)
    scale = frame.close.iloc[-1]
    for end in (2_000, 2_500, 3_000):
        full = pd.DataFrame(compute(frame.iloc[:end])).iloc[-1].to_numpy()
        window = pd.DataFrame(compute(frame.iloc[end - lookback : end])).iloc[-1].to_numpy()
        assert window == pytest.approx(full, rel=1e-9, abs=1e-9 * scale)


def test_bars_that_ta_fills_with_zero_while_warming_up_are_nan() -> None:
    m = market(bars=200)
    raw_atr = AverageTrueRange(m.high, m.low, m.close, 14).average_true_range()
    raw_adx = ADXIndicator(m.high, m.low, m.close, 14).adx()
    assert (raw_atr.iloc[:13] == 0.0).all(), "ta has changed: the mask may not be needed any more"
    assert (raw_adx.iloc[:27] == 0.0).all()
    assert not (ind.atr(m.high, m.low, m.close) == 0.0).any()
    assert not (ind.adx(m.high, m.low, m.close) == 0.0).any().any()


def test_fast_atr_and_adx_equal_the_ones_of_ta() -> None:
    m = market(seed=8, bars=1_500)
    for window in (2, 14, 50):
        atr = AverageTrueRange(m.high, m.low, m.close, window).average_true_range().iloc[window - 1 :]
        assert_equal(ind.atr(m.high, m.low, m.close, window).iloc[window - 1 :], atr)
        reference, fast = (
            ADXIndicator(m.high, m.low, m.close, window),
            ind.adx(m.high, m.low, m.close, window),
        )
        assert_equal(fast.adx.iloc[2 * window - 1 :], reference.adx().iloc[2 * window - 1 :])
        # ta leaves the first warm bar of the two lines at zero.
        assert_equal(fast.plus.iloc[window + 1 :], reference.adx_pos().iloc[window + 1 :])
        assert_equal(fast.minus.iloc[window + 1 :], reference.adx_neg().iloc[window + 1 :])


def test_bollinger_and_rsi_equal_the_ones_of_ta_on_ordinary_prices() -> None:
    m = market(seed=9)
    bands, reference = ind.bollinger(m.close, 20, 2.0), BollingerBands(m.close, 20, 2)
    assert_equal(bands.upper.iloc[19:], reference.bollinger_hband().iloc[19:])
    assert_equal(bands.lower.iloc[19:], reference.bollinger_lband().iloc[19:])
    assert_equal(ind.rsi(m.close).iloc[14:], RSIIndicator(m.close, 14).rsi().iloc[14:])


def test_rsi_of_a_price_that_never_moved_is_neutral_where_ta_says_100() -> None:
    flat = pd.Series([10.0] * 30)
    assert (RSIIndicator(flat, 14).rsi().iloc[14:] == 100.0).all()
    assert (ind.rsi(flat).iloc[14:] == 50.0).all()


def test_deviation_after_a_collapse_is_the_one_of_its_own_window() -> None:
    m = market(seed=2, bars=8_000)
    close = m.close.where(np.arange(8_000) < 4_000, m.close * 1e-6)
    window = 200
    exact = np.lib.stride_tricks.sliding_window_view(close.to_numpy(), window).std(axis=1)
    ours = np.abs(ind.stdev(close, window).to_numpy()[window - 1 :] / exact - 1.0)
    naive = np.abs(close.rolling(window).std(ddof=0).to_numpy()[window - 1 :] / exact - 1.0)
    assert naive.max() > 1e-3, "pandas has become exact: `rolling` may not be needed any more"
    assert ours.max() < 1e-9


def test_nan_inside_a_window_makes_exactly_those_windows_nan() -> None:
    close = market(bars=60).close.copy()
    close.iloc[25] = np.nan
    z = ind.zscore(close, 7)
    assert z.index[z.isna()].equals(close.index[[*range(6), *range(25, 32)]])


# --- against the incremental twins -------------------------------------------------------------


def twin_values(name: str, m: pd.DataFrame) -> list[object]:
    rows = list(zip(m.high, m.low, m.close, m.volume, strict=True))
    match name:
        case "sma":
            one = core.Sma(50)
            return [one.push(c) for _, _, c, _ in rows]
        case "ema":
            two = core.Ema(50)
            return [two.push(c) for _, _, c, _ in rows]
        case "rsi":
            three = core.Rsi(14)
            return [three.push(c) for _, _, c, _ in rows]
        case "roc":
            four = core.Roc(10)
            return [four.push(c) for _, _, c, _ in rows]
        case "zscore":
            five = core.ZScore(30)
            return [five.push(c) for _, _, c, _ in rows]
        case "bollinger":
            six = core.Bollinger(20, 2.0)
            return [six.push(c) for _, _, c, _ in rows]
        case "true_range":
            seven = core.TrueRange()
            return [seven.push(h, low, c) for h, low, c, _ in rows]
        case "atr":
            eight = core.Atr(14)
            return [eight.push(h, low, c) for h, low, c, _ in rows]
        case "donchian":
            nine = core.Donchian(20)
            return [nine.push(h, low) for h, low, _, _ in rows]
        case "macd signal":
            ten = core.Macd()
            return [v and v.signal for v in (ten.push(c) for _, _, c, _ in rows)]
        case "highest":
            eleven = core.Highest(20)
            return [eleven.push(h) for h, _, _, _ in rows]
        case "lowest":
            twelve = core.Lowest(20)
            return [twelve.push(low) for _, low, _, _ in rows]
        case _:
            last = core.Vwap(14)
            return [last.push((h + low + c) / 3.0, v) for h, low, c, v in rows]


TWINS = ["sma", "ema", "rsi", "roc", "zscore", "bollinger", "true_range", "atr", "donchian"]
TWINS += ["macd signal", "highest", "lowest", "vwap"]


@pytest.mark.parametrize("name", TWINS)
def test_one_value_at_a_time_equals_the_whole_series_from_the_first_value_on(name: str) -> None:
    m = market(seed=6, bars=1_200)
    compute, first, _ = FACADE[name]
    batch = pd.DataFrame(compute(m)).to_numpy()
    single = twin_values(name, m)
    assert single[: first - 1] == [None] * (first - 1)
    assert np.array(single[first - 1 :], dtype=float).reshape(len(m) - first + 1, -1) == pytest.approx(
        batch[first - 1 :], rel=1e-9, abs=1e-9
    )


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=90), st.integers(2, 20))
def test_deviations_of_both_speeds_are_the_same_bits(cents: list[int], window: int) -> None:
    closes = [c / 100 for c in cents]
    twin = core.ZScore(window)
    single = [twin.push(c) for c in closes]
    batch = ind.zscore(pd.Series(closes), window)
    assert [None if np.isnan(z) else z for z in batch] == single


# --- against TA-Lib ----------------------------------------------------------------------------

TALIB: dict[str, tuple[str, Callable[[object, pd.DataFrame], object]]] = {
    "sma": ("sma", lambda t, m: t.SMA(m.close, 50)),  # type: ignore[attr-defined]
    "ema": ("ema", lambda t, m: t.EMA(m.close, 50)),  # type: ignore[attr-defined]
    "rsi": ("rsi", lambda t, m: t.RSI(m.close, 14)),  # type: ignore[attr-defined]
    "true_range": ("true_range", lambda t, m: t.TRANGE(m.high, m.low, m.close)),  # type: ignore[attr-defined]
    "atr": ("atr", lambda t, m: t.ATR(m.high, m.low, m.close, 14)),  # type: ignore[attr-defined]
    "adx": ("adx", lambda t, m: t.ADX(m.high, m.low, m.close, 14)),  # type: ignore[attr-defined]
    "plus": ("plus", lambda t, m: t.PLUS_DI(m.high, m.low, m.close, 14)),  # type: ignore[attr-defined]
    "stdev": ("stdev", lambda t, m: t.STDDEV(m.close, 20)),  # type: ignore[attr-defined]
    "bollinger": ("bollinger", lambda t, m: pd.concat(t.BBANDS(m.close, 20)[::-1], axis=1)),  # type: ignore[attr-defined]
    "macd": ("macd", lambda t, m: t.MACD(m.close)[0]),  # type: ignore[attr-defined]
    "macd signal": ("macd signal", lambda t, m: t.MACD(m.close)[1]),  # type: ignore[attr-defined]
    "highest": ("highest", lambda t, m: t.MAX(m.high, 20)),  # type: ignore[attr-defined]
    "lowest": ("lowest", lambda t, m: t.MIN(m.low, 20)),  # type: ignore[attr-defined]
    "roc": ("roc", lambda t, m: t.ROC(m.close, 10)),  # type: ignore[attr-defined]
    "stochastic": ("stochastic", lambda t, m: t.STOCHF(m.high, m.low, m.close, 14, 3)[1]),  # type: ignore[attr-defined]
    "cci": ("cci", lambda t, m: t.CCI(m.high, m.low, m.close, 20)),  # type: ignore[attr-defined]
}


@pytest.mark.parametrize("name,reference", TALIB.values(), ids=TALIB)
def test_after_the_lookback_values_equal_those_of_ta_lib(
    name: str, reference: Callable[[object, pd.DataFrame], object]
) -> None:
    talib = pytest.importorskip("talib", reason="TA-Lib is a development dependency and is not installed")
    m = market(seed=3, bars=4_000)
    compute, _, lookback = FACADE[name]
    ours = pd.DataFrame(compute(m)).to_numpy()[lookback:]
    theirs = pd.DataFrame(reference(talib, m)).to_numpy()[lookback:]
    assert len(ours) > 2_000
    assert ours == pytest.approx(theirs, rel=1e-8, abs=1e-9)


SIGNALS: dict[
    str, Callable[[Callable[..., pd.Series], Callable[..., pd.Series], pd.DataFrame], pd.Series]
] = {
    "average cross": lambda sma, _, m: ind.crossed_above(sma(m.close, 10), sma(m.close, 40)),
    "oversold": lambda _, rsi, m: ind.below(rsi(m.close, 14), 35.0),
}


@pytest.mark.parametrize("signal", SIGNALS.values(), ids=SIGNALS)
@pytest.mark.parametrize("seed", range(5))
def test_signals_from_ta_and_from_ta_lib_are_the_same_bars(
    seed: int, signal: Callable[..., pd.Series]
) -> None:
    talib = pytest.importorskip("talib", reason="TA-Lib is a development dependency and is not installed")
    m = market(seed=seed, bars=5_000, volatility=0.001)
    after = lookback_for("rsi", 14)
    ours, theirs = signal(ind.sma, ind.rsi, m)[after:], signal(talib.SMA, talib.RSI, m)[after:]
    assert ours.sum() > 10
    assert ours.equals(theirs)


# --- comparisons -------------------------------------------------------------------------------


def test_averages_of_cents_that_tie_are_neither_above_nor_below_although_pandas_says_so() -> None:
    wrong = naive_wrong = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        cents = 10_000 + np.cumsum(rng.choice([0, 0, 0, -1, 1], 20_000))
        close = pd.Series(cents / 100)
        fast, slow = ind.sma(close, 5), ind.sma(close, 20)
        total = np.concatenate(([0], np.cumsum(cents)))
        exact = np.sign((total[20:] - total[15:-5]) * 20 - (total[20:] - total[:-20]) * 5)
        got = (ind.above(fast, slow).astype(int) - ind.below(fast, slow).astype(int)).to_numpy()[19:]
        naive = np.sign((fast - slow).to_numpy()[19:])
        wrong += int((got != exact).sum())
        naive_wrong += int((naive != exact).sum())
        assert (ind.tied(fast, slow).to_numpy()[19:] == (exact == 0)).all()
    assert naive_wrong > 10, "plain comparison must fail on these prices, or this test shows nothing"
    assert wrong == 0


def test_a_line_that_comes_out_of_its_warm_up_above_another_has_not_crossed_it() -> None:
    a = pd.Series([np.nan, 3.0, 1.0, 2.0, 3.0, 2.0, 1.0])
    assert ind.crossed_above(a, 2.0).tolist() == [False, False, False, False, True, False, False]
    assert ind.crossed_below(a, 2.0).tolist() == [False, False, True, False, False, False, True]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=30))
def test_series_and_single_values_cross_on_the_same_bars(pairs: list[tuple[int, int]]) -> None:
    a, b = [x / 10 for x, _ in pairs], [y * 0.1 for _, y in pairs]
    both = list(zip(a, b, strict=True))
    expected = [False, *(core.crossed_above(*before, *now) for before, now in pairwise(both))]
    assert ind.crossed_above(pd.Series(a), pd.Series(b)).tolist() == expected


def test_series_of_different_index_are_not_compared() -> None:
    with pytest.raises(PluginError, match="same index, found 3 rows and 2 rows"):
        ind.above(pd.Series([1.0, 2.0, 3.0]), pd.Series([1.0, 2.0]))


def test_window_that_is_no_number_of_bars_is_refused() -> None:
    with pytest.raises(PluginError, match="rsi: window must be a whole number of bars >= 1, was 0"):
        ind.rsi(pd.Series([1.0, 2.0]), 0)


# --- against values from outside ---------------------------------------------------------------

REFERENCES: dict[str, tuple[str, str, Callable[[pd.DataFrame], pd.Series], float, int]] = {
    # name: (file, column, computation, what its rounded inputs and digits allow, bars for seeds to fade)
    "sma": ("spy_with_indicators", "SMA14", lambda m: ind.sma(m.close, 14), 0.006, 0),
    "ema": ("spy_with_indicators", "EMA14", lambda m: ind.ema(m.close, 14), 0.006, 120),
    "rsi": ("spy_with_indicators", "RSI 14 Wilder", lambda m: ind.rsi(m.close), 6e-6, 250),
    "macd": ("spy_with_indicators", "MACD 12 26", lambda m: ind.macd(m.close).macd, 3e-4, 300),
    "band": (
        "spy_bollinger_bands",
        "Bollinger Bands 20 2 Top",
        lambda m: ind.bollinger(m.close).upper,
        1.1e-4,
        0,
    ),
    "atr": ("spy_atr_wilder", "Average True Range 14", lambda m: ind.atr(m.high, m.low, m.close), 6e-6, 200),
    "adx": ("spy_with_adx", "ADX 14", lambda m: ind.adx(m.high, m.low, m.close).adx, 6e-5, 350),
    "cci": (
        "spy_with_cci",
        "Commodity Channel Index (CCI) 14",
        lambda m: ind.cci(m.high, m.low, m.close, 14),
        3e-3,
        0,
    ),
    "top": (
        "spy_with_don50",
        "Donchian Channels 50 Top",
        lambda m: ind.donchian(m.high, m.low, 50).upper,
        1e-9,
        49,
    ),
    "long ema": ("spy_ema", "EMA14", lambda m: ind.ema(m.close, 14), 1e-9, 200),
    "stochastic": (
        "spy_with_stoch12k3",
        "Stochastics 12 %K 3",
        lambda m: ind.stochastic(m.high, m.low, m.close, 12, 3).d,
        5e-4,
        0,
    ),
    "vwap": (
        "spy_with_vwap",
        "Moving VWAP 50",
        # the published one weights the mean of all four prices
        lambda m: ind.vwap(*[m[["open", "high", "low", "close"]].mean(axis=1)] * 3, m.volume, 50),
        6e-5,
        0,
    ),
}


@pytest.mark.parametrize("file,column,compute,digit,skip", REFERENCES.values(), ids=REFERENCES)
def test_values_equal_published_ones_to_their_last_digit(
    shared_data: Path,
    file: str,
    column: str,
    compute: Callable[[pd.DataFrame], pd.Series],
    digit: float,
    skip: int,
) -> None:
    table = pd.read_csv(shared_data / "indicators" / f"{file}.csv")
    expected = table[column]
    ours = compute(table.rename(columns=str.lower))
    both = expected.notna() & (np.arange(len(table)) >= skip)
    assert both.sum() > 100
    assert ours[both].to_numpy() == pytest.approx(expected[both].to_numpy(), abs=digit)


def assert_equal(ours: pd.Series, theirs: pd.Series) -> None:
    assert ours.to_numpy() == pytest.approx(theirs.to_numpy(), rel=1e-9, abs=1e-12)

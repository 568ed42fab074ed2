"""The honesty check: guilty strategies are named with their first bar, honest ones are left alone."""

from __future__ import annotations

import inspect
import random
from pathlib import Path
from textwrap import dedent

import numpy as np
import pandas as pd
import pytest

from tradebot.core.strategy import Input
from tradebot.errors import PluginError
from tradebot.plugins import indicators as ind
from tradebot.plugins.check import Compute, Frames, Subject, check, check_frame_strategy
from tradebot.plugins.frame import FrameStrategy
from tradebot.plugins.indicators import lookback_for
from tradebot.plugins.loader import load_strategy
from tradebot.plugins.runner import FrameRunner, Window
from tradebot.plugins.suspects import Leak, suspects
from tradebot.plugins.verdict import Fault

HOUR = Input(3_600_000_000_000)


def minutes(count: int = 400, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = np.round(100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.002, count))), 2)
    spread = np.round(rng.uniform(0.0, 0.2, count), 2)
    stamps = pd.date_range("2024-03-01 00:01", periods=count, freq="min", tz="UTC").as_unit("ns")
    columns = {"open": close, "high": close + spread, "low": close - spread, "close": close}
    return pd.DataFrame({**columns, "volume": 1.0}, index=stamps)


def hours_of(bars: pd.DataFrame) -> pd.DataFrame:
    return bars.resample("1h", label="right", closed="right").agg(
        {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    )


def long_when(condition: pd.Series, warm: pd.Series) -> pd.Series:
    return condition.astype(float).where(warm.notna())


# --- guilty ------------------------------------------------------------------------------------


def sees_the_next_close(bars: pd.DataFrame, others: Frames) -> pd.Series:
    return (bars["close"].shift(-1) > bars["close"]).astype(float)


def sees_two_bars_ahead_through_roll(bars: pd.DataFrame, others: Frames) -> pd.Series:
    ahead = np.roll(bars["close"].to_numpy(), -2)
    return pd.Series(ahead > bars["close"].to_numpy(), index=bars.index).astype(float)


def full_sample_z_score(bars: pd.DataFrame, others: Frames) -> pd.Series:
    close = bars["close"]
    z = (close - close.mean()) / close.std()
    return pd.Series(np.where(z > 1.0, -1.0, np.where(z < -1.0, 1.0, 0.0)), index=bars.index)


def fills_backwards(bars: pd.DataFrame, others: Frames) -> pd.Series:
    average = bars["close"].rolling(20).mean().bfill()
    return (bars["close"] > average).astype(float)


def fills_gaps_backwards(bars: pd.DataFrame, others: Frames) -> pd.Series:
    jump = bars["close"].where(bars["close"].pct_change().abs() > 0.004)
    return (jump.interpolate() > bars["close"]).astype(float)


def centred_window(bars: pd.DataFrame, others: Frames) -> pd.Series:
    smooth = bars["close"].rolling(21, center=True).mean()
    return long_when(bars["close"] > smooth, smooth)


def left_labelled_hours(bars: pd.DataFrame, others: Frames) -> pd.Series:
    hourly = bars["close"].resample("1h").last()
    return (hourly.reindex(bars.index, method="ffill") > bars["close"]).astype(float)


def hour_before_it_closed(bars: pd.DataFrame, others: Frames) -> pd.Series:
    opened = others[HOUR]["close"].copy()
    opened.index = opened.index - pd.Timedelta("1h")
    return (opened.reindex(bars.index, method="ffill") > bars["close"]).astype(float)


def knows_the_best_price_of_its_hour(bars: pd.DataFrame, others: Frames) -> pd.Series:
    best = bars.groupby(bars.index.floor("1h"))["high"].transform("max")
    return (bars["close"] >= best - 0.05).astype(float)


def turned_around(bars: pd.DataFrame, others: Frames) -> pd.Series:
    later = bars["close"][::-1].rolling(5).mean()[::-1]
    return long_when(later > bars["close"], later)


def unknown_way(bars: pd.DataFrame, others: Frames) -> pd.Series:
    close = bars["close"].to_numpy()
    later = [close[min(i + 3, len(close) - 1)] for i in range(len(close))]
    return pd.Series(np.array(later) > close, index=bars.index).astype(float)


GUILTY: dict[str, tuple[Compute, int, Leak, str]] = {
    "shift": (sees_the_next_close, 2, Leak.NEGATIVE_SHIFT, ".shift(-1)"),
    "roll": (sees_two_bars_ahead_through_roll, 2, Leak.NEGATIVE_SHIFT, "-2)"),
    "full sample": (full_sample_z_score, 100, Leak.FULL_SAMPLE, "close.mean()"),
    "bfill": (fills_backwards, 20, Leak.BACKWARD_FILL, ".bfill()"),
    "interpolate": (fills_gaps_backwards, 200, Leak.BACKWARD_FILL, ".interpolate()"),
    "centred": (centred_window, 21, Leak.CENTRED_WINDOW, "center=True)"),
    "left label": (left_labelled_hours, 120, Leak.LEFT_LABEL, '.resample("1h")'),
    "higher interval": (hour_before_it_closed, 60, Leak.HIGHER_INTERVAL, ""),
    "group": (knows_the_best_price_of_its_hour, 60, Leak.WHOLE_GROUP, '.transform("max")'),
    "reversed": (turned_around, 5, Leak.REVERSED, "::-1"),
    "unnamed": (unknown_way, 2, Leak.UNNAMED, ""),
}


def subject_of(compute: Compute, lookback: int, bars: pd.DataFrame | None = None) -> Subject:
    own = minutes() if bars is None else bars
    return Subject(
        name=compute.__name__,
        compute=compute,
        bars=own,
        lookback=lookback,
        others={HOUR: hours_of(own)},
        lookbacks={HOUR: 4},
        source=dedent(inspect.getsource(compute)),
        file="strategies/mine.py",
    )


def first_dishonest_bar(subject: Subject) -> int:
    full = subject.full()
    for bar in range(len(full)):
        honest = subject.cut(bar)
        if honest != full[bar] and not (np.isnan(honest) and np.isnan(full[bar])):
            return bar
    raise AssertionError("this strategy is honest")


@pytest.mark.parametrize("compute,lookback,leak,code", GUILTY.values(), ids=GUILTY)
def test_look_ahead_is_named_with_its_line_and_its_first_bar(
    compute: Compute, lookback: int, leak: Leak, code: str
) -> None:
    subject = subject_of(compute, lookback)
    verdict = check(subject)
    assert not verdict.ok
    finding = verdict.findings[0]
    assert (finding.fault, finding.leak) == (Fault.LOOK_AHEAD, leak)
    assert finding.bar == first_dishonest_bar(subject)
    assert finding.ts == subject.bars.index[finding.bar].value
    if code:
        assert finding.at[0].code.endswith(code)
        assert subject.source.splitlines()[finding.at[0].line - 1].count(code)
    else:
        assert finding.at == ()


@pytest.mark.parametrize("compute,lookback,leak,code", GUILTY.values(), ids=GUILTY)
def test_the_quick_form_finds_the_same_leak(compute: Compute, lookback: int, leak: Leak, code: str) -> None:
    verdict = check(subject_of(compute, lookback), quick=True)
    assert verdict.compared <= 60
    assert [f.leak for f in verdict.findings if f.fault is Fault.LOOK_AHEAD] == [leak]


def test_the_text_names_leak_place_first_bar_and_both_targets() -> None:
    bars = minutes(300)
    bars["close"] = 100.0
    bars.iloc[100:, bars.columns.get_loc("close")] = 101.0
    verdict = check(subject_of(sees_the_next_close, 2, bars))
    assert verdict.text == (
        "sees_the_next_close: LOOK-AHEAD: negative shift "
        '(strategies/mine.py:2 `bars["close"].shift(-1)`), first on bar 99 (2024-03-01T01:40:00+00:00): '
        "target 1, but 0 when the future is cut off; it needs 1 later bar"
    )


# --- honest ------------------------------------------------------------------------------------


def ema_trend(bars: pd.DataFrame, others: Frames) -> pd.Series:
    fast, slow = ind.ema(bars["close"], 10), ind.ema(bars["close"], 30)
    return long_when(ind.above(fast, slow), slow)


def rsi_band(bars: pd.DataFrame, others: Frames) -> pd.Series:
    rsi = ind.rsi(bars["close"], 14)
    target = pd.Series(np.nan, index=bars.index)
    target[ind.below(rsi, 30.0)] = 1.0
    target[ind.above(rsi, 55.0)] = 0.0
    return target


def bollinger_reversion(bars: pd.DataFrame, others: Frames) -> pd.Series:
    bands = ind.bollinger(bars["close"], 20, 2.0)
    target = pd.Series(np.nan, index=bars.index)
    target[ind.below(bars["close"], bands.lower)] = 1.0
    target[ind.above(bars["close"], bands.upper)] = -1.0
    return target


def sma_cross_in_cents(bars: pd.DataFrame, others: Frames) -> pd.Series:
    fast, slow = ind.sma(bars["close"], 5), ind.sma(bars["close"], 20)
    return long_when(ind.above(fast, slow), slow)


def with_the_closed_hour(bars: pd.DataFrame, others: Frames) -> pd.Series:
    hourly = ind.sma(others[HOUR]["close"], 4).reindex(bars.index, method="ffill")
    return long_when(ind.above(bars["close"], hourly), hourly)


def resampled_to_closed_hours(bars: pd.DataFrame, others: Frames) -> pd.Series:
    hourly = bars["close"].resample("1h", label="right", closed="right").last()
    known = hourly[hourly.index <= bars.index[-1]].reindex(bars.index, method="ffill")
    return long_when(ind.above(bars["close"], known), known)


def breakout(bars: pd.DataFrame, others: Frames) -> pd.Series:
    before = ind.donchian(bars["high"], bars["low"], 30).shift(1)
    target = pd.Series(np.nan, index=bars.index)
    target[ind.above(bars["close"], before.upper)] = 1.0
    target[ind.below(bars["close"], before.lower)] = 0.0
    return target


def cross_with_atr_filter(bars: pd.DataFrame, others: Frames) -> pd.Series:
    high, low, close = bars["high"], bars["low"], bars["close"]
    macd, adx, atr = ind.macd(close, 5, 10, 4), ind.adx(high, low, close, 5), ind.atr(high, low, close, 5)
    strong = ind.above(adx.adx, 20.0) & ind.above(atr, 0.05)
    target = pd.Series(np.nan, index=bars.index)
    target[strong & ind.crossed_above(macd.macd, macd.signal)] = 1.0
    target[ind.crossed_below(macd.macd, macd.signal)] = 0.0
    return target


def never_trades(bars: pd.DataFrame, others: Frames) -> pd.Series:
    return pd.Series(np.nan, index=bars.index)


HONEST: dict[str, tuple[Compute, int]] = {
    "ema": (ema_trend, lookback_for("ema", 30)),
    "rsi": (rsi_band, lookback_for("rsi", 14)),
    "bollinger": (bollinger_reversion, 20),
    "sma with ties": (sma_cross_in_cents, 20),
    "two intervals": (with_the_closed_hour, 1),
    "own resampling": (resampled_to_closed_hours, 121),
    "breakout": (breakout, 31),
    "macd, adx, atr": (
        cross_with_atr_filter,
        max(lookback_for("macd", 5, 10, 4) + 1, lookback_for("adx", 5)),
    ),
    "nothing": (never_trades, 1),
}


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("compute,lookback", HONEST.values(), ids=HONEST)
def test_honest_strategies_raise_no_alarm(compute: Compute, lookback: int, quick: bool) -> None:
    verdict = check(
        subject_of(compute, lookback, minutes(600 if lookback > 200 else 300)), quick=quick, seed=7
    )
    assert verdict.text.startswith(f"{compute.__name__}: no look-ahead")
    assert verdict.ok
    assert verdict.compared >= (25 if quick else 300)


def test_every_signal_change_and_a_thousand_random_bars_are_recomputed() -> None:
    bars = minutes(1_500)
    verdict = check(subject_of(sma_cross_in_cents, 20, bars))
    assert verdict.changes == verdict.changes_in_all > 50
    assert 1_000 <= verdict.compared < 1_500


def test_an_average_that_ties_often_raises_no_alarm_only_thanks_to_the_tie_rule() -> None:
    bars = minutes()
    rng = np.random.default_rng(5)
    bars["close"] = (10_000 + np.cumsum(rng.choice([-1, 0, 0, 1], 400))) / 100

    def plain_comparison(bars: pd.DataFrame, others: Frames) -> pd.Series:
        # Sums that start elsewhere differ in the last digit, as those of many packages do.
        total = bars["close"].cumsum()
        fast = (total - total.shift(4).fillna(0.0)) / 4
        slow = (total - total.shift(10).fillna(0.0)) / 10
        return (fast > slow).astype(float)

    assert check(subject_of(sma_cross_in_cents, 20, bars)).ok
    assert not check(subject_of(plain_comparison, 10, bars)).ok


# --- lookback ----------------------------------------------------------------------------------


def test_a_lookback_that_is_too_short_is_reported_with_one_that_is_enough() -> None:
    verdict = check(subject_of(ema_trend, 40, minutes(800)))
    finding = verdict.findings[0]
    assert finding.fault is Fault.SHORT_LOOKBACK
    assert finding.enough in (80, 160, 320, 640)
    assert len(verdict.findings) == 1
    assert check(subject_of(ema_trend, 640, minutes(800))).ok
    assert "lookback too short".upper() in verdict.text
    assert f"on exactly 40 bars; {finding.enough} bars were enough there; see lookback_for" in verdict.text


def test_a_lookback_of_the_higher_interval_that_is_too_short_is_reported() -> None:
    subject = subject_of(with_the_closed_hour, 1)
    too_short = Subject(
        name="x",
        compute=with_the_closed_hour,
        bars=subject.bars,
        lookback=1,
        others=subject.others,
        lookbacks={HOUR: 3},
    )
    assert check(too_short).findings[0].fault is Fault.SHORT_LOOKBACK
    assert check(subject).ok


def test_both_faults_at_once_are_both_reported() -> None:
    def guilty(bars: pd.DataFrame, others: Frames) -> pd.Series:
        slow = ind.ema(bars["close"], 30)
        trend = long_when(ind.above(bars["close"], slow), slow)
        return trend.where(bars.index.minute % 2 == 0, trend.shift(-1))

    faults = {f.fault for f in check(subject_of(guilty, 31)).findings}
    assert faults == {Fault.LOOK_AHEAD, Fault.SHORT_LOOKBACK}


def test_fewer_bars_than_the_lookback_are_no_proof() -> None:
    verdict = check(subject_of(bollinger_reversion, 20, minutes(15)))
    assert not verdict.ok
    assert "NOT CHECKED: there must be at least 20 bars (the lookback), found 15" in verdict.text


def test_randomness_is_not_mistaken_for_look_ahead() -> None:
    dice = random.Random(4)

    def gambler(bars: pd.DataFrame, others: Frames) -> pd.Series:
        return pd.Series([float(dice.random() > 0.5) for _ in range(len(bars))], index=bars.index)

    finding = check(subject_of(gambler, 5, minutes(200))).findings[0]
    assert finding.fault is Fault.NOT_REPEATABLE


def test_a_strategy_that_cannot_work_on_few_bars_is_not_asked_to() -> None:
    def needs_fifty(bars: pd.DataFrame, others: Frames) -> pd.Series:
        if len(bars) < 50:
            raise PluginError("index 49 is out of bounds")
        return sma_cross_in_cents(bars, others)

    assert check(subject_of(needs_fifty, 50)).ok
    with pytest.raises(PluginError, match="out of bounds"):
        check(subject_of(needs_fifty, 30))


# --- reading the source ------------------------------------------------------------------------

SOURCES: dict[str, tuple[str, list[Leak]]] = {
    "positive shift": ("x = close.shift(1)", []),
    "shift of a parameter": ("x = close.shift(-self.p.ahead)", [Leak.NEGATIVE_SHIFT]),
    "keyword": ("x = close.shift(periods=-3)", [Leak.NEGATIVE_SHIFT]),
    "backwards by name": ("x = close.fillna(method='bfill')", [Leak.BACKWARD_FILL]),
    "nearest": ("x = daily.reindex(bars.index, method='nearest')", [Leak.BACKWARD_FILL]),
    "window object": ("r = close.rolling(20)\nx = r.mean() + close.ewm(span=3).std()", []),
    "across columns": ("x = bars[['open', 'close']].max(axis=1)", []),
    "python's max": ("x = max(fast, slow)", []),
    "numpy mean": ("x = np.mean(close)", [Leak.FULL_SAMPLE]),
    "scaler": ("x = scaler.fit_transform(bars)", [Leak.FULL_SAMPLE]),
    "weeks": ("x = close.resample('W').last()", []),
    "right label": ("x = close.resample('1h', label='right').last()", []),
    "does not parse": ("def", []),
}


@pytest.mark.parametrize("source,leaks", SOURCES.values(), ids=SOURCES)
def test_source_is_suspected_of(source: str, leaks: list[Leak]) -> None:
    assert [s.leak for s in suspects(source)] == leaks


def test_other_classes_of_the_file_are_not_suspected() -> None:
    source = "class A:\n    x = c.shift(-1)\nclass B:\n    y = c.bfill()\n"
    assert [s.leak for s in suspects(source, ("B",))] == [Leak.BACKWARD_FILL]


# --- whole strategies --------------------------------------------------------------------------

MINE = """
import pandas as pd
from tradebot.core.strategy import Input
from tradebot.plugins import indicators as ind
from tradebot.plugins.frame import FrameStrategy, align

HOUR = 3_600_000_000_000


class Trend(FrameStrategy):
    lookback = 20

    def signals(self, bars):
        slow = ind.sma(bars["close"], 20)
        return ind.above(bars["close"], slow).astype(float).where(slow.notna())


class Prophet(Trend):
    def signals(self, bars):
        return super().signals(bars).shift(-1)


class Heir(Prophet):
    pass


class Hourly(FrameStrategy):
    def inputs(self):
        return (Input(HOUR),)

    def signals(self, bars):
        known = align(self.frame(HOUR)["close"], bars.index)
        return ind.above(bars["close"], known).astype(float).where(known.notna())


class EarlyHour(Hourly):
    def signals(self, bars):
        hours = self.frame(HOUR)["close"]
        hours.index = hours.index - pd.Timedelta("1h")
        known = hours.reindex(bars.index, method="ffill")
        return ind.above(bars["close"], known).astype(float)
"""


def columns_of(frame: pd.DataFrame) -> Window:
    arrays = {name: frame[name].to_numpy(dtype=np.float64) for name in frame.columns}
    return Window(ts=frame.index.as_unit("ns").asi8, **arrays)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize(
    "name,leak,line",
    [
        ("Trend", None, 0),
        ("Prophet", Leak.NEGATIVE_SHIFT, 20),
        ("Heir", Leak.NEGATIVE_SHIFT, 20),
        ("Hourly", None, 0),
        ("EarlyHour", Leak.HIGHER_INTERVAL, 0),
    ],
)
def test_a_strategy_loaded_from_its_file_is_checked_as_it_stands(
    tmp_path: Path, name: str, leak: Leak | None, line: int, quick: bool
) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    made = load_strategy(f"mine.py:{name}", [tmp_path]).cls(None)
    assert isinstance(made, FrameStrategy)
    bars = minutes(300)
    others = {i: columns_of(hours_of(bars)) for i in made.inputs()}
    verdict = check_frame_strategy(made, columns_of(bars), others, quick=quick)
    said = FrameRunner(made, "").precompute(columns_of(bars), others).said
    assert check_frame_strategy(made, columns_of(bars), others, quick=quick, said=said) == verdict
    assert [f.leak for f in verdict.findings] == ([leak] if leak else [])
    if line:
        assert [s.line for s in verdict.findings[0].at] == [line]
        assert f"mine.py:{line} `super().signals(bars).shift(-1)`" in verdict.text

"""A strategy as a function of a frame: its contract, and the full pass against the window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import isnan

import numpy as np
import pandas as pd
import pytest

from tests.plugins.fakes import START, FakeContext, bars_of, walk
from tradebot.core.messages import Split
from tradebot.core.model import HOUR, MINUTE, Bar
from tradebot.core.strategy import Input, Strategy
from tradebot.errors import BadData, InvariantError, PluginError
from tradebot.plugins import indicators as ta
from tradebot.plugins.adapter import FrameAdapter
from tradebot.plugins.frame import FrameStrategy, align, compute, to_frame
from tradebot.plugins.runner import FrameRunner, History, as_columns

QUARTER = 15 * MINUTE
HOURLY = Input(HOUR)
OTHER = Input(HOUR, "Y")


class Given(FrameStrategy):
    """Returns what a test says."""

    def __init__(self, answer: Callable[[pd.DataFrame], object], lookback: int = 1) -> None:
        super().__init__(Strategy.Params())
        self.answer, self.lookback = answer, lookback

    def signals(self, bars: pd.DataFrame) -> pd.Series | pd.DataFrame:
        return self.answer(bars)  # type: ignore[return-value]


class Mean(FrameStrategy):
    """Long above the mean of three closes, explained by it."""

    def __init__(self) -> None:
        super().__init__(Strategy.Params())
        self.lookback = 3

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        mean = bars["close"].rolling(3).mean()
        target = ta.above(bars["close"], mean).astype(float)
        return pd.DataFrame({"target": target, "mean": mean, "volume": bars["volume"]})


class Higher(FrameStrategy):
    """Wants what the last two closed hours (of itself and of Y) say; two quarters of its own."""

    def __init__(self, wanted: tuple[Input, ...] = (HOURLY, OTHER)) -> None:
        super().__init__(Strategy.Params())
        self.lookback, self.wanted = 2, wanted

    def inputs(self) -> tuple[Input, ...]:
        return self.wanted

    def lookback_of(self, wanted: Input) -> int:
        return 3

    def signals(self, bars: pd.DataFrame) -> pd.DataFrame:
        columns = {f"h{i}{i.instrument}": self.frame(*i)["close"].rolling(2).mean() for i in self.wanted}
        aligned = {name: align(column, bars.index) for name, column in columns.items()}
        seen = pd.DataFrame(aligned).mean(axis=1)
        return pd.DataFrame({"target": ta.above(bars["close"], seen).astype(float), **aligned})


def same(history: History, row: Callable[[int], object]) -> None:
    """Check a full pass against rows that were computed one by one."""
    plain = history.plain()
    for i in range(len(plain)):
        one = row(i)
        target, explained = one  # type: ignore[misc]
        assert (None if isnan(target) else target) == plain.target_at(i), i
        if not isnan(target):
            assert [name for name, _ in explained] == [name for name, _ in plain.explained_at(i)]
            for (_, a), (_, b) in zip(explained, plain.explained_at(i), strict=True):
                assert a == pytest.approx(b, rel=1e-9)


# --- the frame ----------------------------------------------------------------------------------


def test_the_frame_has_the_columns_and_utc_nanosecond_close_stamps() -> None:
    bar = Bar("X", START + MINUTE, MINUTE, 1.0, 4.0, 0.5, 2.0, 7.0)
    frame = to_frame(as_columns([bar]))
    assert list(frame.columns) == ["open", "high", "low", "close", "volume"]
    assert frame.iloc[0].tolist() == [1.0, 4.0, 0.5, 2.0, 7.0]
    assert frame.index[0] == pd.Timestamp("2020-01-01T00:01:00Z")
    assert str(frame.index.dtype) == "datetime64[ns, UTC]"


def test_what_a_strategy_writes_into_its_frame_does_not_reach_the_bars() -> None:
    def spoil(bars: pd.DataFrame) -> pd.Series:
        bars["close"] = 0.0
        bars.loc[bars.index[0], "open"] = 0.0
        return bars["close"]

    columns = as_columns(bars_of([100, 200]))
    FrameRunner(Given(spoil), "X").precompute(columns)
    assert columns.open.tolist() == [1.0, 2.0]
    assert columns.close.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("close", float("nan"), r"close must be a number > 0, was nan at bar 1 \(2020-01-01T00:02:00"),
        ("low", 0.0, "low must be a number > 0, was 0.0 at bar 1"),
        ("high", float("inf"), "high must be a number > 0, was inf at bar 1"),
        ("volume", -1.0, "volume must be a number >= 0, was -1.0 at bar 1"),
        ("ts", START + MINUTE, "bars must have rising stamps, 2020-01-01T00:01:00"),
    ],
)
def test_bars_that_cannot_be_true_are_refused_by_row(field: str, value: float, message: str) -> None:
    bars = bars_of([100, 101, 102])
    bars[1] = bars[1]._replace(**{field: value})
    with pytest.raises(BadData, match=message):
        to_frame(as_columns(bars))


# --- the contract of signals --------------------------------------------------------------------

WRONG: dict[str, tuple[Callable[[pd.DataFrame], object], str]] = {
    "too large": (
        lambda bars: bars["close"],
        "Given.signals: a target must be a weight in [-1, 1] or NaN to keep, was 1.01 in row 1 "
        "(2020-01-01T00:02:00+00:00); sizes belong to `sizing`",
    ),
    "infinite": (lambda bars: bars["close"] * float("inf"), "was inf in row 0"),
    "dropped rows": (
        lambda bars: bars["close"][1:],
        "Given.signals must return one row per bar (3), returned 2; NaN means 'keep', so rows need not",
    ),
    "other index": (
        lambda bars: bars["close"].reset_index(drop=True),
        "Given.signals must return the index of its bars; row 0 is 0, must be 2020-01-01 00:01:00+00:00",
    ),
    "array": (
        lambda bars: np.zeros(len(bars)),
        "Given.signals must return a Series of targets or a DataFrame with a column 'target', returned ndarray",
    ),
    "nothing": (lambda bars: None, "returned NoneType"),
    "no target": (
        lambda bars: bars[["close"]],
        "Given.signals must return one column 'target' among uniquely named ones, found: close",
    ),
    "words": (
        lambda bars: pd.Series(["long"] * 3, index=bars.index),
        "Given.signals: column 'target' must hold numbers, holds str",
    ),
    "raises": (lambda bars: bars["clsoe"], "signals() raised KeyError: 'clsoe'"),
    "undeclared": (
        lambda bars: Given(lambda b: b).frame(HOUR),
        "Given.frame: Input(3600000000000) must be declared by inputs() and read inside signals(); available "
        "now: none",
    ),
}


@pytest.mark.parametrize(("answer", "message"), WRONG.values(), ids=WRONG)
def test_a_result_that_breaks_the_contract_is_refused(
    answer: Callable[[pd.DataFrame], object], message: str
) -> None:
    with pytest.raises(PluginError) as caught:
        FrameRunner(Given(answer), "X").precompute(as_columns(bars_of([100, 101, 102])))
    assert message in str(caught.value)


def test_a_failing_line_is_named_and_its_cause_kept() -> None:
    with pytest.raises(
        PluginError, match=r"test_frame\.py:\d+: signals\(\) raised KeyError: 'clsoe'"
    ) as caught:
        compute(Given(lambda bars: bars["clsoe"]), to_frame(as_columns(bars_of([100]))))
    assert isinstance(caught.value.__cause__, KeyError)


def test_booleans_integers_and_missing_values_are_targets() -> None:
    bars = as_columns(bars_of([100, 101, 102]))
    answers: dict[str, list[object]] = {
        "boolean": [True, None, False],
        "Int64": [1, None, 0],
        "float": [1, None, 0],
    }
    for dtype, answer in answers.items():
        given = Given(lambda frame, a=answer, d=dtype: pd.Series(a, index=frame.index, dtype=d))  # type: ignore[misc]
        plain = FrameRunner(given, "X").precompute(bars).plain()
        assert [plain.target_at(i) for i in range(3)] == [1.0, None, 0.0]


def test_numbers_that_are_not_finite_explain_nothing() -> None:
    frame = {"target": [1.0, 1.0], "a": [np.nan, 2.0], "b": [3.0, np.inf]}
    given = Given(lambda bars: pd.DataFrame(frame, index=bars.index))
    plain = FrameRunner(given, "X").precompute(as_columns(bars_of([100, 101]))).plain()
    assert plain.explained_at(0) == (("b", 3.0),)
    assert plain.explained_at(1) == (("a", 2.0),)


# --- over time ----------------------------------------------------------------------------------


def test_before_lookback_bars_exist_everything_is_kept() -> None:
    runner = FrameRunner(Given(lambda bars: bars["close"] * 0.0, lookback=3), "X")
    bars = as_columns(bars_of([100, 101, 102, 103]))
    plain = runner.precompute(bars).plain()
    assert [plain.target_at(i) for i in range(4)] == [None, None, 0.0, 0.0]
    assert [isnan(runner.row_at(i, bars).target) for i in range(4)] == [True, True, False, False]


def test_the_window_is_exactly_the_lookback() -> None:
    seen: list[int] = []

    def count(bars: pd.DataFrame) -> pd.Series:
        seen.append(len(bars))
        return bars["close"] * 0.0

    FrameRunner(Given(count, lookback=3), "X").row_at(4, as_columns(bars_of([100] * 6)))
    assert seen == [3]


@pytest.mark.parametrize("seed", range(3))
def test_the_full_pass_equals_the_window_on_every_bar(seed: int) -> None:
    runner, bars = FrameRunner(Mean(), "X"), as_columns(bars_of(walk(seed, 60)))
    same(runner.precompute(bars), lambda i: runner.row_at(i, bars))


def test_no_bars_give_no_targets() -> None:
    assert len(FrameRunner(Mean(), "X").precompute(as_columns([])).plain()) == 0


def test_align_shows_a_bar_from_its_own_close_on() -> None:
    hours = pd.Series([1.0, 2.0], index=to_frame(as_columns(bars_of([1, 1], interval=HOUR))).index)
    quarters = to_frame(as_columns(bars_of([1] * 9, interval=QUARTER))).index
    assert align(hours, quarters).fillna(0.0).tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2]


def quarters_and_hours(seed: int) -> tuple[list[Bar], dict[Input, list[Bar]]]:
    cents = walk(seed, 80)
    own = bars_of(cents, interval=QUARTER)
    hours = bars_of(cents[3::4], interval=HOUR)
    # Y has no bar in hour 7 and one before the first own bar.
    others = bars_of(walk(seed + 100, 21), interval=HOUR, instrument="Y", first=0)
    return own, {HOURLY: hours, OTHER: others[:7] + others[8:]}


@pytest.mark.parametrize("seed", range(3))
def test_further_series_are_seen_up_to_now_in_full_pass_and_window(seed: int) -> None:
    own, others = quarters_and_hours(seed)
    bars, series = as_columns(own), {i: as_columns(b) for i, b in others.items()}
    runner = FrameRunner(Higher(), "X")
    history = runner.precompute(bars, series)
    same(history, lambda i: runner.row_at(i, bars, series))
    name, plain = f"h{OTHER}Y", history.plain()
    for i, bar in enumerate(own):
        closed = [other.close for other in others[OTHER] if other.ts <= bar.ts]
        if plain.target_at(i) is not None:
            assert dict(plain.explained_at(i))[name] == pytest.approx(sum(closed[-2:]) / 2)
        else:
            assert i < 1 or len(closed) < 3 or sum(h.ts <= bar.ts for h in others[HOURLY]) < 3


def test_series_other_than_the_declared_ones_are_refused() -> None:
    with pytest.raises(InvariantError, match="series given must be those of inputs"):
        FrameRunner(Higher(), "X").precompute(as_columns(bars_of([100, 101])))


@pytest.mark.parametrize("bad", [0, True, 2.0])
def test_a_lookback_must_be_a_number_of_bars(bad: object) -> None:
    given = Given(lambda bars: bars["close"])
    given.lookback = bad  # type: ignore[assignment]
    with pytest.raises(PluginError, match=r"Given\.lookback must be a whole number of bars >= 1, was"):
        FrameRunner(given, "X")


# --- splits -------------------------------------------------------------------------------------


def test_a_split_is_seen_from_its_day_on_and_never_before() -> None:
    # 4:1 between bar 2 and 3, 1:2 between bar 5 and 6.
    bars = as_columns(bars_of([400, 404, 408, 102, 103, 104, 208, 210]))
    splits = [
        Split(ts=START + 3 * MINUTE, instrument="X", ratio=Decimal(4)),
        Split(ts=START + 6 * MINUTE + 1, instrument="X", ratio=Decimal("0.5")),
        Split(ts=START + 2 * MINUTE, instrument="Y", ratio=Decimal(7)),
    ]
    runner = FrameRunner(Mean(), "X")
    history = runner.precompute(bars, splits=splits)
    means = [round(value * 3, 9) for value in history.explained["mean"].tolist()[2:]]
    assert means == [12.12, 3.05, 3.07, 3.09, 6.22, 6.26]
    assert history.explained["volume"].tolist()[2:] == [1.0] * 6
    same(history, lambda i: runner.row_at(i, bars, splits=splits))


def test_a_split_of_another_series_rebases_that_series_alone() -> None:
    own, others = quarters_and_hours(1)
    cut = others[OTHER][9].ts + 1
    others[OTHER] = [replace_prices(bar, 0.5) if bar.ts > cut else bar for bar in others[OTHER]]
    split = Split(ts=cut, instrument="Y", ratio=Decimal(2))
    bars, series = as_columns(own), {i: as_columns(b) for i, b in others.items()}
    runner = FrameRunner(Higher(), "X")
    history = runner.precompute(bars, series, [split])
    same(history, lambda i: runner.row_at(i, bars, series, [split]))
    unsplit = FrameRunner(Higher(), "X").precompute(bars, series)
    assert history.explained[f"h{OTHER}Y"].tolist() != unsplit.explained[f"h{OTHER}Y"].tolist()
    assert same_floats(history.explained[f"h{HOURLY}"], unsplit.explained[f"h{HOURLY}"])


def replace_prices(bar: Bar, factor: float) -> Bar:
    return bar._replace(
        open=bar.open * factor, high=bar.high * factor, low=bar.low * factor, close=bar.close * factor
    )


def same_floats(
    a: np.ndarray[tuple[int], np.dtype[np.float64]], b: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> bool:
    return bool(np.array_equal(a, b, equal_nan=True))


# --- the adapter --------------------------------------------------------------------------------


@dataclass
class Seen:
    target: float | None
    explained: Mapping[str, float]


def decisions(
    adapter: FrameAdapter,
    own: Sequence[Bar],
    others: Sequence[Bar] = (),
    splits: Sequence[Split] = (),
) -> list[Seen]:
    """Drive an adapter as the engine does: splits, then inputs of the instant, then the bar."""
    found, ctx = [], FakeContext()
    waiting, due = sorted(others, key=lambda b: b.ts), list(splits)
    for bar in own:
        while due and due[0].ts < bar.ts:
            split = due.pop(0)
            assert adapter.rebase(split.instrument, split.ratio)
        while waiting and waiting[0].ts <= bar.ts:
            adapter.on_input(waiting.pop(0))
        ctx = replace(ctx, now=bar.ts)
        target = adapter.on_bar(ctx, bar)
        found.append(Seen(None, {}) if target is None else Seen(target.weight, dict(target.explained)))
        assert target is None or (target.instrument, target.qty) == ("X", None)
    return found


def alike(a: list[Seen], b: list[Seen]) -> None:
    assert [seen.target for seen in a] == [seen.target for seen in b]
    assert [seen.explained for seen in a] == [pytest.approx(seen.explained, rel=1e-9) for seen in b]
    assert any(seen.target is not None for seen in a)


def test_bar_by_bar_the_adapter_decides_as_the_precomputed_one() -> None:
    own, others = quarters_and_hours(2)
    series = {i: as_columns(b) for i, b in others.items()}
    plain = FrameRunner(Higher(), "X").precompute(as_columns(own), series).plain()
    flat = [bar for bars in others.values() for bar in bars]
    alike(
        decisions(FrameAdapter(Higher(), "X"), own, flat),
        decisions(FrameAdapter(Higher(), "X", plain), own, flat),
    )


def test_a_split_in_the_daemon_gives_what_the_backtest_gives() -> None:
    own = bars_of([400, 404, 408, 102, 103, 104])
    splits = [Split(ts=START + 3 * MINUTE, instrument="X", ratio=Decimal(4))]
    plain = FrameRunner(Mean(), "X").precompute(as_columns(own), splits=splits).plain()
    live = decisions(FrameAdapter(Mean(), "X"), own, splits=splits)
    alike(live, decisions(FrameAdapter(Mean(), "X", plain), own, splits=splits))


def test_precomputed_targets_of_other_bars_are_refused() -> None:
    own = bars_of([100, 101, 102])
    plain = FrameRunner(Mean(), "X").precompute(as_columns(own)).plain()
    with pytest.raises(InvariantError, match="precomputed targets belong to other bars: bar 0 is at"):
        decisions(FrameAdapter(Mean(), "X", plain), own[1:])
    with pytest.raises(InvariantError, match="must be no more bars"):
        decisions(FrameAdapter(Mean(), "X", plain), own + bars_of([103], first=4))


def test_the_adapter_asks_the_engine_for_what_its_strategy_declares() -> None:
    adapter = FrameAdapter(Higher(), "X")
    assert (adapter.lookback, adapter.inputs(), adapter.lookback_of(OTHER)) == (2, (HOURLY, OTHER), 3)

"""Restarts of strategies on quotes and on several instruments: memory that the lookback does not bring back."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from math import sin
from typing import cast

import pytest

from tests.plugins.fakes import shipped
from tradebot.core.model import DAY, Bar, Fill, Level, Quote
from tradebot.core.setup import Schedule
from tradebot.core.strategy import (
    BarStrategy,
    Context,
    Input,
    PortfolioStrategy,
    Quotes,
    QuoteStrategy,
    Strategy,
    Weights,
)
from tradebot.plugins.check_calls import check_calls
from tradebot.plugins.verdict import Verdict

NAMES = ("A", "B")
N = 400


def bars(name: str, phase: float) -> list[Bar]:
    closes = [100.0 + 10.0 * sin(i / 9.0 + phase) for i in range(N)]
    return [Bar(name, (i + 1) * DAY, DAY, c, c, c, c, 1.0) for i, c in enumerate(closes)]


def quotes() -> list[Quote]:
    mids = [100.0 + sin(i / 5.0) for i in range(N)]
    return [Quote("A", i + 1, mid - 0.01, 5.0, mid + 0.01, 5.0) for i, mid in enumerate(mids)]


def on_quotes(make: type[Strategy]) -> Verdict:
    return check_calls(lambda: make(None), ("A",), 0, {Input(0, "A"): quotes()})


def on_bars(make: type[Strategy], schedule: Schedule = Schedule.DAY) -> Verdict:
    series: Mapping[Input, Sequence[Bar]] = {
        Input(DAY, name): bars(name, 2.0 * i) for i, name in enumerate(NAMES)
    }
    return check_calls(lambda: make(None), NAMES, DAY, series, schedule=schedule)


class Around(QuoteStrategy):
    """Quotes around the mean of its last 5 mids, less while it holds something."""

    lookback = 5

    def __init__(self, params: object) -> None:
        super().__init__(params)
        self.mids: deque[float] = deque(maxlen=5)

    def on_quote(self, ctx: Context, quote: Quote) -> Quotes | None:
        self.mids.append(quote.mid)
        at = sum(self.mids) / len(self.mids) - 0.01 * ctx.position()
        return Quotes("A", (Level(at - 0.05, 1.0),), (Level(at + 0.05, 1.0),))


class Forgetful(Around):
    lookback = 2


class Counting(QuoteStrategy):
    """Counts its own fills and saves the count, or does not."""

    def __init__(self, params: object) -> None:
        super().__init__(params)
        self.fills = 0

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        self.fills += 1

    def on_quote(self, ctx: Context, quote: Quote) -> Quotes | None:
        return Quotes("A", (Level(quote.ask - 0.001 * (self.fills % 7), 1.0),), ())


class Remembering(Counting):
    def save(self) -> dict[str, object]:
        return {"fills": self.fills}

    def load(self, state: Mapping[str, object]) -> None:
        self.fills = int(str(state["fills"]))


class Stronger(PortfolioStrategy):
    """Holds whichever rose more over the last 10 bars it was shown."""

    lookback = 11

    def __init__(self, params: object) -> None:
        super().__init__(params)
        self.seen: deque[Mapping[str, float]] = deque(maxlen=11)

    def weights(self, ctx: Context, prices: Mapping[str, float]) -> Weights | None:
        self.seen.append(prices)
        if len(self.seen) < 11:
            return None
        best = max(NAMES, key=lambda name: prices[name] / self.seen[0][name])
        return Weights(tuple((name, float(name == best)) for name in NAMES))


class Together(BarStrategy):
    """As `Stronger`, as a BarStrategy of several instruments."""

    together = True
    lookback = 11

    def __init__(self, params: object) -> None:
        super().__init__(params)
        self.inner = Stronger(None)

    def on_bars(self, ctx: Context, bars: Mapping[str, Bar]) -> Weights | None:
        return self.inner.weights(ctx, {name: bar.close for name, bar in bars.items()})


class Ever(PortfolioStrategy):
    """Holds A while its price is above the mean of all it was ever shown."""

    lookback = 20
    total, count = 0.0, 0

    def weights(self, ctx: Context, prices: Mapping[str, float]) -> Weights | None:
        self.total, self.count = self.total + prices["A"], self.count + 1
        return Weights((("A", float(prices["A"] > self.total / self.count)),))


class Drawing(PortfolioStrategy):
    drawn = 0

    def weights(self, ctx: Context, prices: Mapping[str, float]) -> Weights | None:
        Drawing.drawn += 1
        return Weights((("A", Drawing.drawn % 3 / 3),))


@pytest.mark.parametrize("make", [Around, Remembering])
def test_an_honest_strategy_on_quotes_passes(make: type[Strategy]) -> None:
    verdict = on_quotes(make)
    assert verdict.ok, verdict.text
    assert "restarts in 400 quotes decide as an unbroken run" in verdict.text


@pytest.mark.parametrize("make", [Stronger, Together])
def test_an_honest_strategy_on_several_instruments_passes(make: type[Strategy]) -> None:
    verdict = on_bars(make)
    assert verdict.ok, verdict.text
    assert verdict.changes > 10
    assert "restarts in 400 bars decide as an unbroken run" in verdict.text


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Forgetful, "LOOKBACK TOO SHORT: first on quote 3 (1970-01-01T00:00:00+00:00): bid 1 "),
        (Counting, "LOOKBACK TOO SHORT: first on quote "),
    ],
)
def test_quotes_that_need_more_memory_than_declared_are_named(make: type[Strategy], said: str) -> None:
    verdict = on_quotes(make)
    assert not verdict.ok
    assert said in verdict.text
    assert "or return from save() what lookback calls do not bring back" in verdict.text


def test_a_longer_lookback_that_would_do_is_said() -> None:
    assert "100.364 on exactly 2 quotes; 4 quotes were enough there" in on_quotes(Forgetful).text


def test_weights_that_need_all_history_are_named_with_the_instrument() -> None:
    verdict = on_bars(Ever)
    assert "LOOKBACK TOO SHORT: first on bar " in verdict.text
    assert ": weight of A " in verdict.text


def test_weights_that_differ_from_run_to_run_are_named() -> None:
    Drawing.drawn = 0
    assert "NOT A FUNCTION OF ITS BARS: first on bar 0" in on_bars(Drawing).text


def test_a_portfolio_that_is_asked_once_a_month_needs_a_lookback_of_months() -> None:
    # Eleven bars bring back one monthly answer at most, not the eleven that it compares.
    assert not on_bars(Stronger, Schedule.MONTH).ok


def test_a_weight_that_is_no_number_keeps_what_was_wanted() -> None:
    class Unsure(Stronger):
        def weights(self, ctx: Context, prices: Mapping[str, float]) -> Weights | None:
            said = super().weights(ctx, prices)
            return said if said is None or ctx.now // DAY % 3 else Weights((("A", float("nan")), ("B", 0.0)))

    assert on_bars(Unsure).changes_in_all > 0


def test_a_word_that_is_no_intent_is_told_as_the_engine_tells_it() -> None:
    class Babbling(Around):
        def on_quote(self, ctx: Context, quote: Quote) -> Quotes | None:
            return cast(Quotes, "buy")

    with pytest.raises(TypeError, match="a strategy returns Target, Weights, Quotes or None, was 'buy'"):
        on_quotes(Babbling)


def test_the_shipped_strategies_pass() -> None:
    maker = check_calls(
        lambda: shipped("market_making.py:MarketMaking"), ("A",), 0, {Input(0, "A"): quotes()}
    )
    weights = {"A": 0.6, "B": 0.4}
    series = {Input(DAY, name): bars(name, 2.0 * i) for i, name in enumerate(NAMES)}
    robo = check_calls(lambda: shipped("robo_portfolio.py:FixedWeights", weights=weights), NAMES, DAY, series)
    assert maker.ok, maker.text
    assert robo.ok, robo.text


def test_too_few_calls_are_said() -> None:
    verdict = check_calls(lambda: Around(None), ("A",), 0, {Input(0, "A"): quotes()[:3]}, quick=True)
    assert not verdict.ok
    assert "NOT CHECKED: there must be at least 5 quotes (the lookback), found 3" in verdict.text

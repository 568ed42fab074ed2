"""The synthetic market looks like one, is the same every time, and says what it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tradebot.core.model import ALWAYS_OPEN, DAY, HOUR, MINUTE
from tradebot.data.bundle import SPX, SYN, SYN_DAYS, SYN_START, synthetic_path
from tradebot.data.calendars import sessions
from tradebot.data.catalogue import Catalogue, bundled_root
from tradebot.data.check import check_series
from tradebot.data.check_quotes import check_quotes
from tradebot.data.merge import utc_text
from tradebot.data.resample import resample
from tradebot.data.series import SYNTHETIC
from tradebot.data.synthetic import Market, PricePath, minute_bars, quotes, simulate
from tradebot.errors import UsageError

YEAR = 365 * 24 * 60


@pytest.fixture(scope="module")
def year() -> PricePath:
    return simulate(Market(), seed=7, start=19_000 * DAY, minutes=YEAR)


def test_a_seed_gives_one_market_and_another_seed_another() -> None:
    def digests(seed: int) -> tuple[str, str]:
        path = simulate(Market(), seed=seed, start=0, minutes=500)
        return minute_bars(path).digest(), quotes(path).digest()

    assert digests(1) == digests(1)
    assert digests(1) != digests(2)


def test_a_longer_simulation_does_not_have_to_be_asked_for_quotes_first() -> None:
    path = simulate(Market(), seed=1, start=0, minutes=500)
    before = minute_bars(path).digest()
    quotes(path)
    assert minute_bars(path).digest() == before


def test_prices_are_on_the_tick_grid_and_quotes_never_cross(year: PricePath) -> None:
    bars, best = minute_bars(year), quotes(year, 19_000 * DAY, 19_003 * DAY)
    for prices in (bars.open, bars.high, bars.low, bars.close, best.bid, best.ask):
        assert (np.round(prices, 2) == prices).all()
    assert (best.ask > best.bid).all() and (best.bid_qty > 0).all() and (best.ask_qty > 0).all()
    assert (np.diff(best.ts) > 0).all()
    assert (bars.volume >= 0.001).all()
    # A bar opens where the last one closed.
    assert (bars.open[1:] == bars.close[:-1]).all()


def test_the_market_has_the_habits_of_a_real_one(year: PricePath) -> None:
    bars = minute_bars(year)
    moves = np.diff(np.log(bars.close))
    size = np.abs(moves)
    assert moves.std() * np.sqrt(YEAR) == pytest.approx(0.6, rel=0.15)
    assert ((moves - moves.mean()) ** 4).mean() / moves.var() ** 2 > 5  # fat tails
    for lag, least in ((1, 0.15), (60, 0.1), (1440, 0.05)):  # clusters that fade
        assert np.corrcoef(size[:-lag], size[lag:])[0, 1] > least
    assert abs(np.corrcoef(moves[:-1], moves[1:])[0, 1]) < 0.01  # nothing to predict
    assert np.corrcoef(size, bars.volume[1:])[0, 1] > 0.3
    assert bars.volume.mean() == pytest.approx(40, rel=0.01)
    by_hour = [size[(bars.ts[1:] % DAY) // HOUR == hour].mean() for hour in range(24)]
    assert max(by_hour) / min(by_hour) > 1.5


def test_spreads_widen_with_volatility(year: PricePath) -> None:
    best = quotes(year, 19_000 * DAY, 19_060 * DAY)
    spread = (best.ask - best.bid) / best.bid
    minute = np.searchsorted(minute_bars(year).ts, best.ts)
    assert np.corrcoef(spread, year.deviation[minute])[0, 1] > 0.5
    assert float(np.median(best.ask - best.bid)) < 0.06


def test_an_exchange_trades_in_its_sessions_with_a_smile() -> None:
    calendar = sessions("XNYS")
    path = simulate(Market(instrument="SYN"), seed=3, start=19_683 * DAY, minutes=20 * 390, calendar=calendar)
    bars = minute_bars(path)
    assert check_series(bars, calendar).ok
    assert utc_text(int(bars.ts[0])) == "2023-11-22T14:31:00Z"
    assert utc_text(int(bars.ts[390])) == "2023-11-24T14:31:00Z"
    days = bars.volume[600 : 600 + 15 * 390].reshape(-1, 390).mean(axis=0)
    assert days[:30].mean() > 1.5 * days[180:210].mean() and days[-30:].mean() > 1.5 * days[180:210].mean()


@pytest.mark.parametrize("start", [1, MINUTE + 1])
def test_a_start_inside_a_minute_is_refused(start: int) -> None:
    with pytest.raises(UsageError, match="starts at a full one"):
        simulate(Market(), seed=1, start=start, minutes=5)


def test_parameters_that_have_no_grid_are_refused() -> None:
    with pytest.raises(UsageError, match="tick must be one over a whole number"):
        Market(tick=0.03)
    with pytest.raises(UsageError, match="steps must be"):
        Market(steps=7)


# -- what comes with the package ------------------------------------------------------------------


def test_bundled_series_are_clean_labelled_and_unchanged() -> None:
    catalogue = Catalogue(bundled_root())
    listed = [(info.instrument, info.interval, info.provenance.label, info.rows) for info in catalogue.list()]
    assert listed == [
        ("SPX", DAY, "", 5105),
        ("SYN/USD", 0, SYNTHETIC, 30_973),
        ("SYN/USD", MINUTE, SYNTHETIC, 43_200),
        ("SYN/USD", HOUR, SYNTHETIC, 8_760),
    ]
    assert (catalogue.instrument("SPX"), catalogue.instrument("SYN/USD")) == (SPX, SYN)
    for info in catalogue.list():
        catalogue.verify(info.instrument, info.interval)
        if info.interval:
            calendar = sessions(catalogue.instrument(info.instrument).calendar)
            report = check_series(catalogue.bars(info.instrument, info.interval), calendar)
        else:
            report = check_quotes(catalogue.quotes(info.instrument))
        assert report.findings == ()


def test_the_bundled_index_is_stamped_at_its_closes() -> None:
    bars = Catalogue(bundled_root()).bars("SPX", DAY)
    assert utc_text(int(bars.ts[0])) == "2000-01-03T21:00:00Z"
    assert utc_text(int(bars.ts[-1])) == "2020-04-17T20:00:00Z"
    assert bars.bar(0)[3:] == (1469.25, 1478.0, 1438.359985, 1455.219971, 931_800_000.0)


def test_the_bundled_synthetic_market_can_be_made_again() -> None:
    catalogue, path = Catalogue(bundled_root()), synthetic_path()
    minutes, end = minute_bars(path), SYN_START + SYN_DAYS * DAY
    assert minutes.between(end - 30 * DAY, end).digest() == catalogue.digest("SYN/USD", MINUTE)
    hours = resample(minutes, HOUR, sessions(ALWAYS_OPEN)).bars
    assert hours.digest() == catalogue.digest("SYN/USD", HOUR)
    assert quotes(path, end - 2 * DAY, end).digest() == catalogue.digest("SYN/USD", 0)


def test_the_bundle_is_small_and_carries_its_licence() -> None:
    root: Path = bundled_root()
    assert sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) < 3_000_000
    assert "BSD 3-Clause License" in (root / "SPX" / "LICENSE.txt").read_text()

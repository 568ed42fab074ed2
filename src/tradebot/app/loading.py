"""Load the market data of an account: every series that its strategies need, and their instruments.

The backtest and the paper account on recorded data load alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tradebot.app.gaps import with_gap_policy
from tradebot.app.market import Feed, Loaded, instrument_of, load_series, rows_of
from tradebot.app.misfits import refuse
from tradebot.config.models import Config
from tradebot.core.model import Instrument
from tradebot.data.catalogue import Catalogue
from tradebot.sim.gaps import GapPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Instruments by id, and series by (instrument, interval); interval 0 = quotes."""

    instruments: dict[str, Instrument]
    series: dict[tuple[str, int], Loaded]


def load_market(
    config: Config,
    account: str,
    feed: Feed,
    needs: Mapping[tuple[str, int], int],
    start: int | None,
    end: int | None,
) -> Market:
    """Return the data from `start` to `end` (ns UTC), each series with as many bars before it as it needs.

    Raises DataError when something is not stored, ConfigError for a path inside bars that needs shorter ones.
    """
    market = Market(instruments={}, series={})
    policy = GapPolicy(config.data.gap_policy)
    for (name, interval), lookback in needs.items():
        if name not in market.instruments:
            market.instruments[name] = instrument_of(feed.catalogue, config, name)
        instrument = market.instruments[name]
        loaded = feed.load(instrument, interval, start=start, end=end, lookback=lookback)
        market.series[name, interval] = with_gap_policy(loaded, policy)
    if config.fills_of(account).intrabar_path == "finer_bars":
        _add_finer(market, feed, start, end)
    return market


def _add_finer(market: Market, feed: Feed, start: int | None, end: int | None) -> None:
    """Add the shortest stored bars of each instrument: the venue meets those instead."""
    for name, interval in list(market.series):
        finest = finer_than(feed.catalogue, name, interval)
        market.series[name, finest] = load_series(
            feed.catalogue, market.instruments[name], finest, start=start, end=end, lookback=0
        )


def finer_than(catalogue: Catalogue, name: str, interval: int) -> int:
    """Return the shortest stored interval of an instrument; ConfigError unless it is below `interval`."""
    finest = min((i for i in catalogue.intervals(name) if i), default=interval)
    if not interval or finest >= interval:
        message = f"{name} has no bars shorter than the strategy's; import them or choose another path"
        raise refuse("fills.intrabar_path", message)
    return finest


def with_rows(series: Loaded, start: int, stop: int) -> Loaded:
    """Return rows `start` to `stop` of a series, all of them to be traded."""
    columns = rows_of(series.columns, start, stop)
    made_up = None if series.made_up is None else series.made_up[start:stop]
    return replace(series, columns=columns, start=0, made_up=made_up)


def resumed(series: Loaded, after: int) -> Loaded:
    """Return the series with only the rows later than `after` to be traded; all before them warm up."""
    first = int(np.searchsorted(series.columns.ts, after, side="right"))
    return replace(series, start=max(first, series.start))

"""Factories for the tests of tradebot.data."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pytest

from tests.instruments import make_share
from tradebot.core.model import MINUTE, AssetClass, Instrument
from tradebot.data.arrays import BarArrays, QuoteArrays

MakeBars = Callable[..., BarArrays]


@pytest.fixture(scope="session")
def coin() -> Instrument:
    return Instrument(
        id="BTC/USDT@binance",
        base="BTC",
        quote="USDT",
        asset_class=AssetClass.CRYPTO,
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.00001"),
    )


@pytest.fixture(scope="session")
def stock() -> Instrument:
    return make_share("AAPL")


@pytest.fixture(scope="session")
def make_bars() -> MakeBars:
    """Build a plausible walk in cents: make_bars(rows, seed=0, start=0, interval=MINUTE, instrument=...)."""

    def make(
        rows: int,
        *,
        seed: int = 0,
        start: int = 1_600_000_000 * 1_000_000_000 // MINUTE * MINUTE,
        interval: int = MINUTE,
        instrument: str = "BTC/USDT@binance",
    ) -> BarArrays:
        rng = np.random.default_rng(seed)
        # Drawn row by row, so that a longer walk begins with the shorter one.
        drawn = rng.random((rows, 4))
        close = np.round(100 * np.exp(np.cumsum(4e-3 * (drawn[:, 0] - 0.5))), 2)
        open_ = np.concatenate([[100.0], close[:-1]])[:rows]
        return BarArrays(
            instrument=instrument,
            interval=interval,
            ts=start + interval * np.arange(1, rows + 1, dtype=np.int64),
            open=open_,
            high=np.round(np.maximum(open_, close) + drawn[:, 1] / 10, 2),
            low=np.round(np.minimum(open_, close) - drawn[:, 2] / 10, 2),
            close=close,
            volume=np.ceil(1000 * drawn[:, 3]),
        )

    return make


@pytest.fixture(scope="session")
def make_quotes() -> Callable[..., QuoteArrays]:
    """Build quotes a second apart: make_quotes(rows, start=0, instrument=...)."""

    def make(rows: int, *, start: int = 0, instrument: str = "BTC/USDT@binance") -> QuoteArrays:
        steps = np.arange(rows)
        return QuoteArrays(
            instrument=instrument,
            ts=start + 1_000_000_000 * steps.astype(np.int64),
            bid=100.0 + (start % 7 + steps) % 5,
            bid_qty=np.full(rows, 1.0),
            ask=101.0 + (start % 7 + steps) % 5,
            ask_qty=np.full(rows, 2.0),
        )

    return make

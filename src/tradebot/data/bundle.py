"""Build the catalogue that comes with the package: `python -m tradebot.data.bundle SP500_CSV FOLDER`.

Owns what is bundled and where it comes from. SP500_CSV is `data/sp500-2000.csv` of the npm
package vega-datasets 3.2.1; everything else is made from a seed. Run it on an empty folder: it
adds to what is there and refuses what contradicts it.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

from tradebot.core.model import ALWAYS_OPEN, DAY, HOUR, AssetClass, Instrument
from tradebot.data.calendars import sessions
from tradebot.data.catalogue import Catalogue
from tradebot.data.importing import read_bar_file
from tradebot.data.resample import resample
from tradebot.data.series import Provenance
from tradebot.data.synthetic import PROVENANCE, Market, PricePath, minute_bars, quotes, simulate
from tradebot.errors import UsageError

SPX = Instrument(
    id="SPX",
    base="SPX",
    quote="USD",
    asset_class=AssetClass.INDEX,
    tick_size=Decimal("0.000001"),
    lot_size=Decimal("0.0001"),
    calendar="XNYS",
)
SYN = Instrument(
    id="SYN/USD",
    base="SYN",
    quote="USD",
    asset_class=AssetClass.CRYPTO,
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.001"),
    min_qty=Decimal("0.001"),
)
SPX_PROVENANCE = Provenance(
    source="vega-datasets 3.2.1, data/sp500-2000.csv (Yahoo Finance)",
    licence="BSD-3-Clause",
)
# 2023; hours of all of it, minutes of the last 30 days, quotes of the last two.
SYN_SEED, SYN_START, SYN_DAYS, SYN_MINUTE_DAYS, SYN_QUOTE_DAYS = 20, 19_358 * DAY, 365, 30, 2


def synthetic_path() -> PricePath:
    """Return the path that the bundled synthetic bars and quotes are cut from."""
    market = Market(instrument=SYN.id, steps=12)
    return simulate(market, seed=SYN_SEED, start=SYN_START, minutes=SYN_DAYS * 24 * 60)


def build(sp500_csv: Path, root: Path) -> None:
    """Write all bundled series under `root`."""
    catalogue = Catalogue(root)
    bars, _ = read_bar_file(sp500_csv, SPX)
    catalogue.write_bars(SPX, bars, SPX_PROVENANCE)
    path = synthetic_path()
    minutes, end = minute_bars(path), SYN_START + SYN_DAYS * DAY
    catalogue.write_bars(SYN, minutes.between(end - SYN_MINUTE_DAYS * DAY, end), PROVENANCE)
    catalogue.write_bars(SYN, resample(minutes, HOUR, sessions(ALWAYS_OPEN)).bars, PROVENANCE)
    catalogue.write_quotes(SYN, quotes(path, end - SYN_QUOTE_DAYS * DAY, end), PROVENANCE)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise UsageError(f"usage: python -m {__spec__.name} SP500_CSV FOLDER")
    build(Path(sys.argv[1]), Path(sys.argv[2]))

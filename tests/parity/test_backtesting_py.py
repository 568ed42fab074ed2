"""Fed the same signals and a fixed quantity, we trade as backtesting.py does, trade by trade.

What it traded on the bundled index is recorded beside this file; on an hourly crypto series, whose
prices are not ours to keep, only the digest of its trades is. `make prove` runs the peer itself where
`make bench` has built its environment. To record anew: `TRADEBOT_RECORD=1 make prove`.
"""

import hashlib
import json
import os
import re
import subprocess
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from tests.parity.peer_cases import CASES, CASH, FEE, SIZE, Trade, our_trades
from tradebot.core.model import DAY, AssetClass, Instrument
from tradebot.data.arrays import BarArrays
from tradebot.data.catalogue import Catalogue, bundled_root
from tradebot.data.importing import read_bar_file

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RECORD = HERE / "backtesting_py.json"
PEER = ROOT / ".bench-venv" / "bin" / "python"
PRICES = ("open", "high", "low", "close")
MICRO = Decimal("0.000001")


def index() -> BarArrays:
    return Catalogue(bundled_root()).bars("SPX", DAY)


def crypto(shared_data: Path) -> BarArrays:
    path = shared_data / "crypto_bars" / "BTCUSDT_1h_2017_2020.csv"
    btc = Instrument(
        id="BTC/USDT",
        base="BTC",
        quote="USDT",
        asset_class=AssetClass.CRYPTO,
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.000001"),
    )
    bars = read_bar_file(path, btc)[0]
    # The source filled outages with prices off the exchange's grid; both sides get them on it.
    return replace(bars, **{name: getattr(bars, name).round(2) for name in PRICES})


def digest(trades: list[Trade]) -> str:
    return hashlib.sha256(json.dumps(trades).encode()).hexdigest()


def recorded(series: str, case: str) -> object:
    return json.loads(RECORD.read_text())[series][case]


@pytest.mark.parametrize("case", CASES)
def test_trades_on_the_bundled_index_equal_those_recorded_from_backtesting_py(case: str) -> None:
    bars = index()

    assert our_trades(bars, CASES[case](bars.close), MICRO) == recorded("SPX 1d", case)


@pytest.mark.parametrize("case", CASES)
def test_trades_on_hourly_crypto_equal_those_recorded_from_backtesting_py(
    case: str, shared_data: Path
) -> None:
    bars = crypto(shared_data)

    assert digest(our_trades(bars, CASES[case](bars.close), MICRO)) == recorded("BTC/USDT 1h", case)


@pytest.mark.prove
def test_trades_on_the_bundled_index_equal_those_backtesting_py_makes_now(tmp_path: Path) -> None:
    compare(index(), tmp_path)


@pytest.mark.prove
def test_trades_on_hourly_crypto_equal_those_backtesting_py_makes_now(
    tmp_path: Path, shared_data: Path
) -> None:
    compare(crypto(shared_data), tmp_path)


def compare(bars: BarArrays, tmp_path: Path) -> None:
    if not PEER.is_file():
        pytest.skip("backtesting.py is not installed; `make bench` builds .bench-venv")
    signals = {case: make(bars.close) for case, make in CASES.items()}
    prices = {name: getattr(bars, name) for name in PRICES}
    np.savez(tmp_path / "cases.npz", terms=np.array([SIZE, CASH, FEE]), **prices, **signals)
    peer = [PEER, HERE / "peer_backtesting_py.py", tmp_path / "cases.npz"]
    done = subprocess.run(peer, capture_output=True, check=True, text=True)
    theirs = json.loads(done.stdout)

    if os.environ.get("TRADEBOT_RECORD") == "1":
        record(bars, theirs)
    for case, array in signals.items():
        assert our_trades(bars, array, MICRO) == theirs[case], case


def record(bars: BarArrays, theirs: dict[str, list[Trade]]) -> None:
    kept = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
    if bars.instrument == "SPX":
        kept["SPX 1d"] = theirs
    else:
        kept[f"{bars.instrument} 1h"] = {case: digest(trades) for case, trades in theirs.items()}
    lines = json.dumps(kept, indent=0, sort_keys=True)
    RECORD.write_text(re.sub(r",\n(?=[-\dn])", ", ", lines.replace("[\n", "[").replace("\n]", "]")) + "\n")

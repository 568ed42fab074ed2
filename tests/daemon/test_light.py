"""An idle daemon is small because it imports little."""

from pathlib import Path

import pytest

from tests.cli.conftest import process

DAEMON = Path(__file__).parents[2] / "src" / "tradebot" / "daemon"
HEAVY = (
    "pandas", "numpy", "scipy", "numba", "pyarrow", "plotly", "ta", "exchange_calendars", "ccxt", "alpaca", "apprise",
)  # fmt: skip
OWN_PROCESS = {"apprise_child"}  # lives as long as one message


def test_no_module_of_the_daemon_imports_anything_heavy(tmp_path: Path) -> None:
    names = sorted(f.stem for f in DAEMON.glob("*.py") if f.stem not in {"__init__", *OWN_PROCESS})
    probe = (
        "import importlib, sys\n"
        f"for name in {names!r}:\n    importlib.import_module('tradebot.daemon.' + name)\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])\n"
    )

    assert len(names) >= 12
    assert process(cwd=tmp_path, program=probe).stdout == "[]\n"


@pytest.mark.parametrize("module", ["tradebot.cli.run", "tradebot.app.trading", "tradebot.app.serving"])
def test_putting_an_account_together_imports_nothing_heavy(tmp_path: Path, module: str) -> None:
    unwanted = (*HEAVY, "llvmlite", "tradebot.native", "tradebot.app.stored", "tradebot.app.backtest")
    probe = f"import sys, {module}\nprint([m for m in {unwanted!r} if m in sys.modules])\n"

    assert process(cwd=tmp_path, program=probe).stdout == "[]\n"

"""The three steps of the shipped examples for real venues, against emulated ones: keys in a file, doctor, run."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.cli.conftest import process
from tests.daemon.served import Project
from tests.e2e.test_live_daemon import KEY, SECRET, House
from tradebot.config.loader import parse
from tradebot.errors import ExitCode

CONFIG = Path(__file__).parents[2] / "config"
VENUES = {"alpaca": "SPY=600", "binance": "BTC/USDT=50000"}


def words(venue: str) -> str:
    return (CONFIG / f"{venue}-paper.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("venue", list(VENUES))
def test_an_example_becomes_live_with_two_words_more(venue: str) -> None:
    changes = ("mode=live", "accounts.main.account_id=PA3ABC")

    assert parse(words(venue).encode(), "example.yaml", changes, env={}).config.mode == "live"


@pytest.mark.parametrize("venue", list(VENUES))
def test_an_example_is_checked_and_trades_on(tmp_path: Path, venue: str) -> None:
    project, keys = Project(tmp_path), tmp_path / "config/tradebot/credentials"
    house = House(venue, VENUES[venue])
    try:
        named = parse(words(venue).encode(), "example.yaml", env={}).config.accounts["main"].keys
        keys.mkdir(mode=0o700, parents=True)
        (keys / str(named)).touch(mode=0o600)
        (keys / str(named)).write_text(f"key={KEY}\nsecret={SECRET}\n")
        here = (
            words(venue).replace("    keys:", f"    url: {house.url}\n    keys:") + "metrics: {port: none}\n"
        )
        (project.root / "tradebot.yaml").write_text(here)
        env = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "TRADEBOT_STATE": str(project.base)}

        checked = process("doctor", cwd=project.root, env=env)
        assert checked.returncode == ExitCode.OK, checked.stdout
        assert "the keys are accepted" in checked.stdout
        with project.start(env=env) as daemon:
            daemon.until("ready")
            daemon.until("halt_lifted", rule="disconnected")
            time.sleep(2.0)
            assert daemon.ended(signal.SIGTERM) == ExitCode.OK
        assert not [event for event in daemon.events if event["event"] == "failed"]
    finally:
        house.close()

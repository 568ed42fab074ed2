"""The real daemon on live data: an exchange through its real client library, emulated on this machine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import environment
from tests.conftest import PATIENCE
from tests.daemon.served import Project
from tradebot.errors import ExitCode

KEY, SECRET = "key-0123456789", "secret-0123456789"
QUOTER = '''
"""Rests at the best bid."""
from tradebot.api import Level, QuoteStrategy, Quotes


class Flip(QuoteStrategy):
    """Rests at the best bid."""

    def on_quote(self, ctx, quote):
        return Quotes(quote.instrument, (Level(quote.bid, 0.01),), ())
'''
CONFIG = """
version: 1
accounts:
  main: {{{account}, url: "{url}"}}
strategies:
  - {{id: flip, class: flip.py:Flip, account: main, instruments: [ETH/USDT]}}
metrics: {{port: none}}
"""
ACCOUNTS = {
    "sim": "venue: sim, feed: binance, cash: 100000 USDT",
    "binance": "venue: binance, keys: house, capital: 50000 USDT",
}
KEYS = {"TRADEBOT_HOUSE_KEY": KEY, "TRADEBOT_HOUSE_SECRET": SECRET}


class House:
    """An emulated exchange whose market only moves when a test says so."""

    def __init__(
        self, venue: str = "binance", market: str = "ETH/USDT=2500", *words: str, seconds: int = 300
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tradebot", "emulate", venue, "--still", "--json", "--for", str(seconds),
             "--market", market, "--key", KEY, "--secret", SECRET, *words],
            env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        self.url, self._admin = (json.loads(said)[name] for name in ("url", "admin"))

    def post(self, path: str, **words: Any) -> None:
        asked = urllib.request.Request(
            f"{self._admin}/{path}", json.dumps(words).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(asked, timeout=10).close()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self._admin}/{path}", timeout=10) as answer:
            return json.load(answer)

    def delete(self, path: str) -> None:
        asked = urllib.request.Request(f"{self._admin}/{path}", method="DELETE")
        urllib.request.urlopen(asked, timeout=10).close()

    def quote(self, bid: float) -> None:
        quote = {"instrument": "ETH/USDT", "bid": bid, "bid_qty": 5, "ask": bid + 1, "ask_qty": 5}
        self.post("market", quotes=[quote])

    @contextmanager
    def saying(self, bid: float) -> Iterator[None]:
        """Say a quote again and again."""
        over = threading.Event()

        def say() -> None:
            while not over.wait(0.3):
                self.quote(bid)

        thread = threading.Thread(target=say)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def close(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.close()


@pytest.mark.parametrize("venue", list(ACCOUNTS))
def test_it_trades_live_quotes_and_comes_back_after_a_cut(tmp_path: Path, house: House, venue: str) -> None:
    project = Project(tmp_path)
    words = CONFIG.format(account=ACCOUNTS[venue], url=house.url)
    (project.root / "tradebot.yaml").write_text(words)
    (project.root / "strategies" / "flip.py").write_text(QUOTER)

    with project.start("--log-level", "debug", env=KEYS) as daemon:
        daemon.until("ready")
        daemon.until("halt_lifted", rule="disconnected")
        house.quote(2500.0)
        order = daemon.until("order_accepted")["order"]
        house.quote(2490.0)
        fill = daemon.until("fill")
        assert (fill["order"], fill["side"], float(fill["price"])) == (order, "buy", 2500.0)

        house.post("sockets", fault="drop")
        daemon.until("halted", rule="disconnected")
        with house.saying(2480.0):  # somebody listens once it has dialled again
            assert daemon.until("order_intended", price=2480.5)["side"] == "buy"
        assert daemon.ended(signal.SIGTERM) == ExitCode.OK
    assert {e["rule"] for e in daemon.events if e["event"] == "halted"} == {"disconnected"}

    with project.start(env=KEYS) as daemon:
        daemon.until("ready")
        daemon.until("halt_lifted", rule="disconnected")
        assert daemon.ended(signal.SIGTERM) == ExitCode.OK

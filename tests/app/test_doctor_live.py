"""`doctor` asks the places of live accounts: keys, account, symbols, clocks."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulators.alpacas import KEY, SECRET, Alpaca, alpaca
from tests.emulators.houses import make_house
from tradebot.app.doctor_live import Answer, ask_places
from tradebot.config.loader import parse
from tradebot.core.model import SECOND
from tradebot.daemon.secrets import Vault

CONFIG = """\
version: 1
mode: paper
accounts:
  main: {{venue: {venue}, feed: {feed}, keys: k, url: "{url}"{more}}}
strategies:
  - id: above
    class: above.py:Above
    instruments: [{symbol}]
    interval: 1m
    sizing: {{kind: fixed_qty, qty: 1}}
"""

STRATEGY = '''\
"""Does nothing."""

from tradebot.api import BarStrategy


class Above(BarStrategy):
    def on_bar(self, ctx, bar):
        return None
'''


class Served:
    """An emulated Alpaca in a thread of its own, because `doctor` waits for its answers."""

    def __init__(self) -> None:
        self.venue: Alpaca | None = None
        self._loop = asyncio.new_event_loop()
        self._ends = asyncio.Event()
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    async def _serve(self) -> None:
        async with alpaca(make_house()) as self.venue:
            loop, clock = self._loop, self.venue.house.clock
            clock.speed = 1.0
            clock.skew = _now() - clock.now()
            assert loop is asyncio.get_running_loop()
            self._is_up.set()
            await self._ends.wait()

    def __enter__(self) -> Alpaca:
        self._thread.start()
        assert self._is_up.wait(10)
        assert self.venue is not None
        return self.venue

    def __exit__(self, *args: object) -> None:
        self._loop.call_soon_threadsafe(self._ends.set)
        self._thread.join(10)
        self._loop.close()


def _now() -> int:
    import time

    return time.time_ns()


@pytest.fixture
def venue() -> Iterator[Alpaca]:
    with Served() as served:
        yield served


def asked(root: Path, served: Alpaca, secret: str = SECRET, **words: str) -> Answer:
    (root / "strategies").mkdir()
    (root / "strategies" / "above.py").write_text(STRATEGY)
    given = {"venue": "alpaca", "feed": "iex", "symbol": "SPY", "more": "", "url": served.served.url, **words}
    config = parse(CONFIG.format(**given).encode(), "tradebot.yaml", (), env={}).config
    env = {"TRADEBOT_K_KEY": KEY, "TRADEBOT_K_SECRET": secret} if secret else {}
    vault = Vault(credentials=None, files=root / "keys", env=env)
    (answer,) = ask_places(config, root, vault, _now())
    return answer


def test_an_account_that_is_well_is_said_to_be(tmp_path: Path, venue: Alpaca) -> None:
    answer = asked(tmp_path, venue)

    assert answer.wrong == ""
    assert answer.said[0] == "SPY can be followed by alpaca/iex"
    assert "differ by" in answer.said[1]
    assert answer.said[2] == "the keys are accepted; it holds 100000 USD"
    assert [one.calendar for one in answer.instruments] == ["XNYS"]


def test_simulated_fills_on_live_data_ask_no_account(tmp_path: Path, venue: Alpaca) -> None:
    answer = asked(tmp_path, venue, venue="sim", feed="alpaca", more=", cash: 1000 USD")

    assert (len(answer.said), answer.wrong) == (2, "")


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ({"secret": "not-the-secret"}, "must accept the keys"),
        ({"secret": ""}, "keys k must be in one of"),
        ({"symbol": "NONE"}, "must be a symbol that Alpaca trades"),
        ({"more": ', account_id: "PA-another"'}, "account_id must be the account of the keys"),
        ({"url": "http://127.0.0.1:9"}, "did not answer"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, venue: Alpaca, words: dict[str, str], wrong: str) -> None:
    assert wrong in asked(tmp_path, venue, **words).wrong


def test_a_clock_that_is_off_is_named_with_its_distance(tmp_path: Path, venue: Alpaca) -> None:
    venue.house.clock.skew += 90 * SECOND

    answer = asked(tmp_path, venue)

    assert "they differ by 90.0 s" in answer.wrong

"""`tradebot emulate`: where it is, what it refuses; what it serves is proven elsewhere."""

import json

import pytest

from tests.cli.conftest import Tradebot
from tradebot.errors import ExitCode


@pytest.mark.parametrize("venue", ["alpaca", "binance"])
def test_it_says_where_it_is_and_ends_when_told(tradebot: Tradebot, venue: str) -> None:
    ended = tradebot("emulate", venue, "--for", "0.2", "--json")

    said = json.loads(ended.out)
    assert ended.code == ExitCode.OK
    assert said["url"].startswith("http://127.0.0.1:")
    assert said["admin"].startswith("http://127.0.0.1:")
    assert (said["key"], said["secret"]) == ("emulated-key", "emulated-secret")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--market", "BTCUSDT=5"), "is BASE/QUOTE, such as BTC/USDT"),
        (("--market", "BTC/USDT"), "must be a name=PRICE"),
        (("--market", "BTC/USDT=-1"), "must be a name=PRICE"),
        (("--market", "BTC/USDT=5", "--market", "BTC/EUR=4"), "share the balance of BTC"),
        (("--cash", "100"), "--cash must be"),
    ],
)
def test_what_is_no_market_is_refused(tradebot: Tradebot, words: tuple[str, ...], said: str) -> None:
    ended = tradebot("emulate", "binance", "--for", "0.2", *words)

    assert ended.code == ExitCode.USAGE
    assert said in ended.err


def test_a_made_up_market_moves(tradebot: Tradebot) -> None:
    ended = tradebot("emulate", "binance", "--for", "1", "--speed", "600", "--market", "BTC/USDT=100")

    assert ended.code == ExitCode.OK
    assert "Binance spot" in ended.out

"""`tradebot venues describe`, offline."""

import json

from tests.cli.conftest import Tradebot
from tradebot.errors import ExitCode


def test_an_exchange_is_described_with_what_is_not_done_there(tradebot: Tradebot) -> None:
    ended = tradebot("venues", "describe", "binance")

    assert ended.code == ExitCode.OK
    assert ended.out.startswith("Binance (binance): proven against an emulator of it\n")
    assert "client order ids          at most 36 characters, unique among working orders only\n" in ended.out
    assert "a target and a stop as one-cancels-other\n" in ended.out


def test_the_description_is_data_too(tradebot: Tradebot) -> None:
    found = json.loads(tradebot("venues", "describe", "kraken", "--json").out)

    assert (found["id"], found["is_proven"], found["missing"]) == ("kraken", False, [])
    assert found["facts"]["orders"] == "market, limit, stop, stop-limit"
    assert any("one-cancels-other" in words for words in found["not_done"])


def test_an_unknown_exchange_is_refused_with_those_there_are(tradebot: Tradebot) -> None:
    ended = tradebot("venues", "describe", "binanse")

    assert ended.code == ExitCode.USAGE
    assert "binance" in ended.err

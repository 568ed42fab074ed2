"""`tradebot data download`: what it refuses before it asks anybody, and that it asks where it was told to."""

import pytest

from tests.cli.conftest import Tradebot
from tradebot.errors import ExitCode


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            ("binance", "BTC/USDT", "--interval", "1h", "--since", "soon"),
            ExitCode.USAGE,
            "--since must be a day",
        ),
        (
            ("binance", "BTC/USDT", "--interval", "1h", "--since", "2999-01-01"),
            ExitCode.USAGE,
            "must lie before",
        ),
        (
            ("binance", "BTC/USDT", "--interval", "1x", "--since", "2024-01-01"),
            ExitCode.USAGE,
            "a number and a unit",
        ),
        (
            ("binanse", "BTC/USDT", "--interval", "1h", "--since", "2024-01-01"),
            ExitCode.CONFIG,
            "did you mean binance",
        ),
        (
            (
                "binance",
                "BTC/USDT",
                "--interval",
                "1h",
                "--since",
                "2024-01-01",
                "--url",
                "http://10.0.0.1:1",
            ),
            ExitCode.USAGE,
            "emulator on this machine",
        ),
        (("alpaca", "SPY", "--interval", "1d", "--since", "2024-01-01"), ExitCode.PERMISSION, "alpaca"),
    ],
)
def test_what_cannot_be_fetched_is_refused(
    tradebot: Tradebot, words: tuple[str, ...], code: ExitCode, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)

    ended = tradebot("data", "download", *words)

    assert (ended.code, said in ended.err) == (code, True), ended.err

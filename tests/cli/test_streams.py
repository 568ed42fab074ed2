"""What a strategy prints never gets into what a program reads."""

from pathlib import Path

import pytest

from tests.cli.conftest import Tradebot, configured, entry

CHATTY = """\
from tradebot.api import BarStrategy

print("loaded")


class Chatty(BarStrategy):
    def on_bar(self, ctx, bar):
        print("called")
        return ctx.target(weight=1.0)
"""


@pytest.mark.parametrize(
    ("words", "heard"),
    [
        (("backtest", "--no-report", "--from", "2020-03-01"), "called"),
        (("strategies", "check", "--quick"), "called"),
        (("config", "validate"), "loaded"),
        (("doctor",), "loaded"),
    ],
)
def test_what_a_strategy_prints_goes_to_stderr_and_leaves_json_whole(
    tradebot: Tradebot, here: Path, words: tuple[str, ...], heard: str
) -> None:
    (here / "strategies").mkdir()
    (here / "strategies" / "chatty.py").write_text(CHATTY)
    (here / "tradebot.yaml").write_text(configured(entry("chatty", "chatty.py:Chatty")))

    ended = tradebot(*words, "--json")

    assert ended.json["schema_version"] == 1
    assert heard in ended.err

"""What `strategies new` writes and prints trades as it stands."""

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Tradebot

HEAD = (
    "version: 1\naccounts:\n  main: {venue: sim, feed: sample, cash: 10000 USD, model: margin}\nstrategies:\n"
)


@pytest.mark.parametrize("kind", ["frame", "bar", "quote", "portfolio"])
def test_the_printed_lines_of_each_kind_give_a_backtest_that_trades(
    tradebot: Tradebot, here: Path, kind: str
) -> None:
    (here / "tradebot.yaml").write_text(HEAD + "  []\n")
    made = tradebot("strategies", "new", "mine", "--kind", kind, "-c", "tradebot.yaml")
    lines = re.findall(r"^  .*\n", made.out, re.MULTILINE)
    (here / "tradebot.yaml").write_text(HEAD + "".join(lines))

    # A few hours of quotes are as many decisions as years of bars.
    when = ("--from", "2023-12-30", "--to", "2023-12-30T04:00:00Z") if kind == "quote" else ()
    ended = tradebot("backtest", "--no-report", *when)

    assert ended.code == 0, ended.err
    (run,) = (here / "runs").iterdir()
    assert len((run / "fills.csv").read_text().splitlines()) > 1, ended.out

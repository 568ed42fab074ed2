"""What the pages say in passing can be typed, and what ends a halt by its page ends it."""

import re
import shlex
from pathlib import Path

import click
import pytest

from tests.core.world import COIN, START
from tests.daemon.desk import opened_desk
from tests.docs.test_docs_commands import PAGES, ROOT
from tradebot.cli.root import root
from tradebot.core.messages import SetHalt
from tradebot.core.scope import HaltLevel, Scope
from tradebot.daemon.control_verbs import Control
from tradebot.daemon.control_words import Asked

NOT_MEANT = {"tradebot back", "tradebot COMMAND --help"}  # a slip of the finger, and a form
TABLE = (ROOT / "docs" / "recovery.md").read_text(encoding="utf-8")
ENDINGS = re.findall(r"(?m)^\| `(\w+)` .*`tradebot resume (--[^`]*)`", TABLE)


def in_passing(page: Path) -> list[str]:
    """Return the commands that stand in sentences and tables, outside of blocks."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))
    return [x for x in dict.fromkeys(re.findall(r"`(tradebot [^`\n]*)`", text)) if x not in NOT_MEANT]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_command_in_a_sentence_is_one(page: Path) -> None:
    for line in in_passing(page):
        try:
            parse(shlex.split(line)[1:])
        except click.MissingParameter:
            pass  # a sentence may leave out whom it is about
        except click.exceptions.Exit:
            pass  # --help, --version
        except click.UsageError as exc:
            pytest.fail(f"{page.name}: {line}: {exc.format_message()}")


def parse(words: list[str]) -> None:
    """Have click take the words apart as it would, and run nothing."""
    context = root.make_context("tradebot", words)
    while isinstance(context.command, click.Group):
        left = [*context._protected_args, *context.args]
        if not left:
            return
        name, command, left = context.command.resolve_command(context, left)
        assert command is not None
        context = command.make_context(name, left, parent=context)


@pytest.mark.parametrize(("rule", "words"), ENDINGS)
async def test_a_halt_ends_as_its_page_says(rule: str, words: str, tmp_path: Path) -> None:
    given = dict(zip(shlex.split(words)[::2], shlex.split(words)[1::2], strict=True))
    strategy = "a" if "--strategy" in given else None
    symbol = COIN.id if "--symbol" in given else None
    async with opened_desk(tmp_path) as desk:
        scope = Scope(strategy, symbol)
        await desk.runner.settled(
            SetHalt(ts=START, level=HaltLevel.NO_NEW_RISK, reason="drill", scope=scope, rule=rule)
        )
        assert len(desk.levels()) == 1
        body = {
            "rule": given["--rule"],
            "reason": given["--reason"],
            "strategy": strategy,
            "instrument": symbol,
        }
        asked = Asked(method="POST", path="/v1/resume", query={}, body=body, key="drill-drill")
        answer = await Control(desk.daemon).answer(asked)
        assert [halt["rule"] for halt in answer.body["lifted"]] == [rule]
        assert desk.levels() == {}


def test_the_page_has_a_named_ending_for_every_latched_rule() -> None:
    assert len(ENDINGS) >= 9

"""The words for why trading halts: each is said by somebody, and nobody says another."""

from __future__ import annotations

import ast
from pathlib import Path

import tradebot
from tradebot.core import rules

SOURCE = Path(tradebot.__file__).parent
NAMES = {name: value for name, value in vars(rules).items() if isinstance(value, str) and name.isupper()}
TOLD_OF = (rules.BREAKERS, rules.CRITICAL)


def test_every_rule_is_set_by_something_and_nothing_halts_by_another_word() -> None:
    said: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            given = [k.value for k in call.keywords if k.arg == "rule"]
            if name in ("Halt", "SetHalt", "HaltSet"):
                words = [word.value for word in given if isinstance(word, ast.Constant)]
                assert not words, f"{path}: {words} must be named in core/rules.py"
            # A breaker's rule goes through a loop over (rule, limit): names count wherever they are handed on.
            said |= {n.id for arg in (*call.args, *given) for n in ast.walk(arg) if isinstance(n, ast.Name)}
        for loop in (node for node in ast.walk(tree) if isinstance(node, ast.For)):
            said |= {node.id for node in ast.walk(loop.iter) if isinstance(node, ast.Name)}
    assert [name for name in NAMES if name not in said] == []


def test_what_is_told_of_in_another_way_is_one_of_the_rules() -> None:
    assert [word for group in TOLD_OF for word in group if word not in NAMES.values()] == []


def test_the_recovery_page_says_of_every_rule_how_it_ends() -> None:
    page = (Path(__file__).parents[2] / "docs" / "recovery.md").read_text("utf-8")
    assert [word for word in NAMES.values() if f"`{word}`" not in page] == []

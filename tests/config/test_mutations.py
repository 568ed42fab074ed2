"""Damaged configurations: always a Config or a ConfigError with lines, never a guess, one mistake said once."""

from __future__ import annotations

import os
import re
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.config import full as whole
from tests.config.full import Tree, to_yaml
from tradebot.config import grammar
from tradebot.config.loader import parse
from tradebot.config.models import Config
from tradebot.config.schema import digest, resolved, resolved_yaml
from tradebot.errors import ConfigError, Problem

EXAMPLES = 10_000 if os.environ.get("TRADEBOT_PROVE") else 80
often = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

Path = tuple[str | int, ...]


def full() -> Tree:
    """The tree with the strategies whose sections differ most."""
    return whole.full((0, 5))


TRAPS = ["NO", "ON", "off", "yes", "Y_", "012", "0x1F", "1:30", "1_000", "2020-01-01", ".nan", "-.inf", "nan", "1e999", "~",
         "=", "<<", "0o17", "+1", "00", "1.", "''", "'8%'", "8 %", "10bps", "10", "-1", "1e-300", "5000 USD", "5 usd", "$5",
         "1,000 USD", "5m", "1M", "1h30m", "0s", "true", "null", "none", "[]", "{}", "[1, 2]", "{a: 1}", "penetrate(0)",
         "bars()", "band(10)", "*x", "&x 1", "!t 1", "@x", "`", "%", "|", ">", "? a", "${UNSET}", "${SET}", "$${SET}", "${",
         "${SET:-x}", "- a", "a: b", "'", '"', '"\\u0000"', '"\\uD800"', "#", ",", "٥", "８%", "1\u00a0USD", "\u202eUSD",
         "a" * 300, "9" * 40, "9" * 5000]  # fmt: skip

anything = st.one_of(
    st.sampled_from(TRAPS),
    st.text(max_size=12),
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
    st.floats().map(str),
    st.builds(
        "{}{}".format,
        st.decimals(-200, 200, places=2),
        st.sampled_from(["%", " %", "bps", " USD", "s", "d", "h", "M"]),
    ),
)


def load(text: str | bytes) -> Config | list[Problem]:
    """Return what loading gives; any other exception fails the test."""
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    try:
        return parse(raw, "t.yaml", env={"SET": "x"}).config
    except ConfigError as exc:
        problems = list(exc.problems)
    assert problems
    lines = raw.count(b"\n") + raw.count(b"\r") + raw.count(b"\xc2\x85") + raw.count(b"\xe2\x80") + 2
    for problem in problems:
        assert problem.line is not None
        assert 1 <= problem.line <= lines
        assert problem.message
        assert str(problem).isprintable()
        assert len(str(problem)) < 1000
    return problems


def places(tree: Any, path: Path = ()) -> list[Path]:
    """Every path below the root."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [p for key, value in items for p in [(*path, key), *places(value, (*path, key))]]


def at(tree: Any, path: Path) -> Any:
    for part in path:
        tree = tree[part]
    return tree


def put(tree: Any, path: Path, value: Any) -> None:
    at(tree, path[:-1])[path[-1]] = value


PLACES = places(full())
KEYS = [p for p in PLACES if isinstance(p[-1], str)]
SCALARS = [p for p in PLACES if isinstance(at(full(), p), str)]
NAMES = {("accounts",), ("calendars",), ("rates",)}  # their keys are names, not settings


def is_free(path: Path) -> bool:
    return "params" in path[:-1]


@often
@given(st.data())
def test_any_damage_gives_a_configuration_or_problems_with_lines(data: st.DataObject) -> None:
    tree = full()
    for _ in range(data.draw(st.integers(1, 5))):
        path = data.draw(st.sampled_from(places(tree)))
        deed = data.draw(st.sampled_from(["delete", "scalar", "list", "mapping", "swap", "nest"]))
        if deed == "delete":
            del at(tree, path[:-1])[path[-1]]
            if not places(tree):
                break
        elif deed == "scalar":
            put(tree, path, data.draw(anything))
        elif deed == "list":
            put(tree, path, [at(tree, path)])
        elif deed == "mapping":
            put(tree, path, {data.draw(st.sampled_from(["kind", "x", "NO", "1", "<<", ""])): at(tree, path)})
        elif deed == "swap":
            put(tree, path, at(full(), data.draw(st.sampled_from(PLACES))))
        else:
            for _ in range(data.draw(st.sampled_from([3, 30]))):
                put(tree, path, [at(tree, path)])
    outcome = load(to_yaml(tree))
    if isinstance(outcome, Config):
        again = re.sub(r"(url|ping): '?\*\*\*'?", r"\1: a://b", resolved_yaml(outcome))
        assert digest(outcome) == digest(parse(again.encode(), "again", env={}).config)


@often
@given(st.data())
def test_broken_text_gives_a_configuration_or_problems_with_lines(data: st.DataObject) -> None:
    text = to_yaml(full())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 5)))
        piece = st.sampled_from(["\t", "\n", "\r", " ", "  ", ": ", "- ", "[", "]", "{", "}", '"', "'", "#", "&a", "*a", "!", "|", ">",
                                 "---", "...", "%", "\\", "\x00", "\x85", "\ufeff", "<<: "])  # fmt: skip
        text = text[:start] + data.draw(piece | st.text(max_size=3)) + text[end:]
    load(text)


@often
@given(st.binary(max_size=60), st.integers(0, 400))
def test_any_bytes_give_problems_with_lines(raw: bytes, position: int) -> None:
    load(raw)
    good = to_yaml(full()).encode()
    load(good[:position] + raw + good[position:])


@often
@given(st.sampled_from(KEYS), st.data())
def test_a_misspelt_key_is_one_problem_that_names_the_right_one(path: Path, data: st.DataObject) -> None:
    assume(not is_free(path) and path[:-1] not in NAMES)
    key = str(path[-1])
    index = data.draw(st.integers(0, len(key) - 1))
    wrong = data.draw(
        st.sampled_from([key[:index] + key[index + 1 :], key[:index] + "z" + key[index:], key + "s"])
    )
    parent = at(full(), path[:-1])
    assume(wrong and wrong not in parent and len(key) > 3)
    assume(wrong not in grammar.keys_at(path[:-1], parent.get("kind")))
    tree = full()
    swapped = {wrong if k == key else k: v for k, v in at(tree, path[:-1]).items()}
    text = to_yaml(swapped if len(path) == 1 else _with(tree, path[:-1], swapped))
    assume(wrong not in ("no", "on", "off", "yes", "y", "n"))
    outcome = load(text)
    assert isinstance(outcome, list)
    (problem,) = outcome
    assert problem.key.endswith(wrong)
    assert "is not a known key" in problem.message
    assert text.splitlines()[(problem.line or 0) - 1].lstrip(" -").startswith(f"{wrong}:")


@often
@given(st.sampled_from(KEYS))
def test_a_repeated_key_is_one_problem_at_its_second_line(path: Path) -> None:
    tree = full()
    pairs = list(at(tree, path[:-1]).items())
    again = (path[-1], at(tree, path))
    text = to_yaml([*pairs, again] if len(path) == 1 else _with(tree, path[:-1], [*pairs, again]))
    outcome = load(text)
    assert isinstance(outcome, list)
    (problem,) = outcome
    assert "must be given once" in problem.message
    assert text.splitlines()[(problem.line or 0) - 1].lstrip(" -").startswith(f"{path[-1]}:")


@often
@given(st.sampled_from(KEYS))
def test_a_deleted_key_is_its_default_or_one_problem(path: Path) -> None:
    tree = full()
    del at(tree, path[:-1])[path[-1]]
    outcome = load(to_yaml(tree))
    if isinstance(outcome, list):
        kinds = {
            "is required",
            "must not be empty",
            "must have either",
            "must name an account",
            "must know the stop",
            "must be absent unless",
        }
        assert len({problem.message for problem in outcome}) == 1
        assert outcome[0].message.startswith(tuple(kinds))


@often
@given(st.sampled_from(KEYS))
def test_an_empty_value_is_one_problem(path: Path) -> None:
    tree = full()
    put(tree, path, "")
    outcome = load(to_yaml(tree))
    assert isinstance(outcome, list)
    (problem,) = outcome
    assert "has no value" in problem.message


@often
@given(st.sampled_from(SCALARS), anything)
def test_an_accepted_value_means_what_was_written(path: Path, text: str) -> None:
    assume("\n" not in text and not re.match(r"\s|$", text))
    tree = full()
    put(tree, path, text)
    outcome = load(to_yaml(tree))
    if isinstance(outcome, list):
        return
    assert text != "" and not re.fullmatch(
        r"(?i)[-+]?\.(nan|inf)|0[0-9]+|.*[0-9]:[0-9].*|no|yes|on|off|[-+]?[0-9]+_[0-9_]+", text
    )
    if path[0] == "notify" or text.startswith(("'", '"', "&", "|", ">", "[", "{", "!")) or "#" in text:
        return
    shown: Any = resolved(outcome)
    for part in path:
        if isinstance(shown, dict) and part not in shown:
            assert text in ("null", "~", "none")  # shown as: not used
            return
        shown = shown[part]
    if shown is None:
        assert text.strip() in ("null", "~")
        return
    if isinstance(shown, (dict, list)):  # "- a" and "a: b" inside a list of params
        return
    written = text.replace("${SET:-x}", "x").replace("$${SET}", "${SET}").replace("${SET}", "x")
    assert meanings(written) & meanings(str(shown)), (path, text, shown)


def meanings(text: str) -> set[object]:
    """What `text` may mean, read independently of the loader: numbers, percent, bps, time, money."""
    text = text.strip()
    found: set[object] = {text, text.lower()}
    units = {
        "%": "0.01",
        "bps": "0.0001",
        "us": "1e-6",
        "ms": "0.001",
        "s": "1",
        "m": "60",
        "h": "3600",
        "d": "86400",
        "w": "604800",
    }
    match = re.fullmatch(r"(?:\w+\()?([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?) ?(%|[a-zA-Z]*)\)?", text)
    if match is not None:
        try:
            number = Decimal(match[1])
        except ArithmeticError:
            return found
        if match[2] in units:
            found.add(("scaled", float(number * Decimal(units[match[2]]))))
        if match[2] in ("", "bps"):
            found |= {("scaled", float(number)), ("bps", float(number))}
        if match[2] == "%":
            found.add(("bps", float(number * 100)))
        if match[2].isupper():
            found.add((float(number), match[2]))
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*", text):
        found.add("a moment")
    return found


def _with(tree: Tree, path: Path, value: Any) -> Tree:
    put(tree, path, value)
    return tree

"""What is shown of a configuration: resolved, redacted, digested; and its schema for editors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.config.full import FEES, SLIPPAGES, Tree, full, to_yaml
from tradebot.config.loader import load_config, parse
from tradebot.config.models import Config
from tradebot.config.schema import digest, json_schema, resolved, resolved_yaml

ROOT = Path(__file__).parents[2]
SHORT = "version: 1\nstrategies:\n  - {id: a, class: a.py:A, instruments: [SPX], interval: 1h}\n"


def config(text: str, env: dict[str, str] | None = None) -> Config:
    return parse(text.encode(), "t.yaml", env=env or {}).config


def test_the_tree_with_every_key_loads_and_really_has_every_key() -> None:
    tree = full()
    config(to_yaml(tree))
    known = {key for home in json_schema()["definitions"].values() for key in home.get("properties", {})}
    known |= json_schema()["properties"].keys()
    assert known - _all_keys(tree) == set()


def test_what_is_shown_loads_to_the_same_configuration() -> None:
    tree = full()
    del tree["notify"]  # its addresses are secrets and shown as ***
    tree["strategies"][0]["params"] |= {
        "text": "'8%'",
        "number": "'012'",
        "flag": "'yes'",
        "exp": "'1e5'",
        "e": "''",
    }
    c = config(to_yaml(tree))
    assert config(resolved_yaml(c)) == c
    assert digest(config(resolved_yaml(c))) == digest(c)


def test_an_account_shown_without_a_key_still_follows_the_file() -> None:
    text = (
        SHORT
        + "fills: {volume_cap: 10%}\naccounts: {main: {venue: sim, cash: 1 USD, fills: {market_at: same_close}}}\n"
    )
    again = config(resolved_yaml(config(text)))
    assert again.fills_of("main").volume_cap == 0.1


def test_spelling_order_and_comments_do_not_change_the_digest() -> None:
    a = "version: 1\nlimits: {max_drawdown: 8%, max_order: 5000 USD}\n" + SHORT[len("version: 1\n") :]
    b = SHORT + "# note\nlimits: {max_order: 5000.00 USD, max_drawdown: 0.08}\nmode: paper\n"
    assert digest(config(a)) == digest(config(b))
    assert digest(config(a)) != digest(config(a.replace("8%", "9%")))


def test_the_digest_is_pinned() -> None:
    # It names runs in stored results: a change of this value must be meant.
    assert digest(config(SHORT)) == PINNED


def test_secrets_are_neither_shown_nor_part_of_the_digest() -> None:
    text = SHORT.replace("1h}", "1h, params: {api_key: abc, note: PKQ7ZT4M9XW2LVB8, fine: ema}}")
    text += 'notify: [{url: "${U}"}, {ping: "${U}"}]\n'
    c, other = config(text, {"U": "ntfy://hunter2"}), config(text, {"U": "ntfy://other"})
    shown = json.dumps(resolved(c)) + resolved_yaml(c) + repr(c) + str(c.model_dump())
    assert "hunter2" not in shown
    assert resolved(c)["strategies"][0]["params"] == {"api_key": "***", "note": "***", "fine": "ema"}
    assert resolved(c)["notify"][0]["url"] == "***"
    assert digest(c) == digest(other)


# ---- JSON schema


def test_the_schema_is_draft_7_and_says_nothing_beside_a_reference() -> None:
    schema = json_schema()
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    for node in _nodes(schema):
        assert "$defs" not in node
        assert "discriminator" not in node or isinstance(node["discriminator"], dict)
        if "$ref" in node:
            assert set(node) == {"$ref"}
            assert node["$ref"].removeprefix("#/definitions/") in schema["definitions"]


def test_the_schema_accepts_what_loads() -> None:
    schema = json_schema()
    for text in ((ROOT / "config" / "tradebot.yaml").read_text(), to_yaml(full()), SHORT):
        assert list(_violations(yaml.load(text, _Core), schema, schema)) == []
    for fees in FEES:
        for slippage in SLIPPAGES:
            tree = full() | {"fees": fees, "slippage": slippage}
            assert list(_violations(yaml.load(to_yaml(tree), _Core), schema, schema)) == []
    variables = SHORT + 'mode: ${MODE}\nlimits: {max_drawdown: "${D}", max_order: "${O}"}\nfees: none\n'
    config(variables, {"MODE": "paper", "D": "5%", "O": "5 USD"})
    assert list(_violations(yaml.load(variables, _Core), schema, schema)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [("version: 1", "version: 2"), ("instruments", "symbols"), ("id: a,", ""), ("1h", "1x"), ("[SPX]", "SPX"),
     ("version: 1", "version: 1\nmode: papr"), ("version: 1", "version: 1\nlimits: {max_order: 5}"),
     ("version: 1", "version: 1\nfees: {kind: bips}"), ("version: 1", "version: 1\nlimits: {max_drawdown: 8}")],
)  # fmt: skip
def test_the_schema_refuses_common_mistakes(old: str, new: str) -> None:
    schema = json_schema()
    assert list(_violations(yaml.load(SHORT.replace(old, new), _Core), schema, schema)) != []


def test_the_schema_explains_keys_in_the_editor() -> None:
    strategy = json_schema()["definitions"]["Strategy"]
    assert strategy["properties"]["id"]["description"] == "Permanent: positions and history belong to it"
    assert set(strategy["required"]) == {"id", "class", "instruments"}
    assert strategy["additionalProperties"] is False


def test_the_shipped_example_has_the_digest_of_its_own_output() -> None:
    c = load_config(ROOT / "config" / "tradebot.yaml", env={})
    assert digest(config(resolved_yaml(c))) == digest(c)


PINNED = "02d9ce3c0ebbb98b6c0feb0f5aad432b0ec716b427b8072a846c3919bcf43145"


class _Core(yaml.SafeLoader):
    """YAML 1.2 core types, as editors read them: no dates, no base 60, no yes and no."""


_Core.yaml_implicit_resolvers = {}
for _tag, _form, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Core.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_form})$"), list(_first))

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float),
    "null": (type(None),), "boolean": (bool,),
}  # fmt: skip


def _violations(value: Any, node: Any, root: Tree) -> Any:
    """The keywords of draft 7 that our schema uses; an unknown keyword fails the test."""
    known = {
        "$ref", "$schema", "title", "description", "default", "examples", "definitions", "format", "writeOnly",
        "type", "enum", "const", "pattern", "minimum", "maximum", "required", "properties", "additionalProperties",
        "patternProperties", "items", "minItems", "minProperties", "anyOf", "oneOf", "allOf",
    }  # fmt: skip
    assert node is True or set(node) <= known, set(node) - known
    if node is True:
        return
    if "$ref" in node:
        yield from _violations(value, root["definitions"][node["$ref"].removeprefix("#/definitions/")], root)
    if "type" in node and (
        not isinstance(value, _TYPES[node["type"]]) or (isinstance(value, bool) and node["type"] != "boolean")
    ):
        yield f"{value!r} is no {node['type']}"
        return
    if "enum" in node and value not in node["enum"]:
        yield f"{value!r} not in {node['enum']}"
    if "const" in node and value != node["const"]:
        yield f"{value!r} is not {node['const']}"
    if "pattern" in node and isinstance(value, str) and not re.search(node["pattern"], value):
        yield f"{value!r} does not match {node['pattern']}"
    if "minimum" in node and isinstance(value, (int, float)) and not node["minimum"] <= value:
        yield f"{value!r} too small"
    if "maximum" in node and isinstance(value, (int, float)) and not value <= node["maximum"]:
        yield f"{value!r} too large"
    for part in node.get("allOf", []):
        yield from _violations(value, part, root)
    if "anyOf" in node and all(list(_violations(value, part, root)) for part in node["anyOf"]):
        yield f"{value!r} fits none of {node['anyOf']}"
    if "oneOf" in node and sum(not list(_violations(value, part, root)) for part in node["oneOf"]) != 1:
        yield f"{value!r} does not fit one of {node['oneOf']}"
    if isinstance(value, dict):
        yield from _object_violations(value, node, root)
    if isinstance(value, list):
        if len(value) < node.get("minItems", 0):
            yield "too short"
        for item in value:
            yield from _violations(item, node.get("items", True), root)


def _object_violations(value: Tree, node: Tree, root: Tree) -> Any:
    for key in node.get("required", []):
        if key not in value:
            yield f"{key} is required"
    for key, inner in value.items():
        patterns = [part for form, part in node.get("patternProperties", {}).items() if re.search(form, key)]
        for part in patterns:
            yield from _violations(inner, part, root)
        if key in node.get("properties", {}):
            yield from _violations(inner, node["properties"][key], root)
        elif node.get("additionalProperties", True) is False:
            yield f"{key} is unknown"
        elif not patterns:
            yield from _violations(inner, node.get("additionalProperties", True), root)


_NAMED = ("properties", "patternProperties", "definitions")


def _nodes(value: Any, parent: str = "") -> Any:
    if isinstance(value, dict):
        if parent not in _NAMED:
            yield value
        for key, inner in value.items():
            yield from _nodes(inner, "" if parent in _NAMED else key)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)


def _all_keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for inner in value.values() for key in _all_keys(inner)}
    return {key for inner in value for key in _all_keys(inner)} if isinstance(value, list) else set()

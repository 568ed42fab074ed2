"""Show a configuration: resolved, redacted, as a digest; and its JSON schema for editors.

What is shown is the file language again, so that it can be loaded back; secrets are `***`.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import yaml

from tradebot.config.models import Config
from tradebot.config.plain import read_plain
from tradebot.config.shown import looks_secret, secret_name
from tradebot.config.simulation import Fills, Latency

REDACTED = "***"
_VARIABLE = r"\$\{"


def resolved(config: Config) -> dict[str, Any]:
    """Return every setting with its default, in the file language, secrets redacted.

    Settings that are not used (None) are left out.
    """
    shown = config.model_dump(mode="json", by_alias=True, exclude_none=True)
    for name, account in config.accounts.items():
        for section in ("fills", "latency"):
            own: Fills | Latency | None = getattr(account, section)
            if own is not None:  # only the given keys: a default shown here would override the file's own
                shown["accounts"][name][section] = own.model_dump(mode="json", exclude_unset=True)
    for strategy in shown["strategies"]:
        strategy["params"] = _redacted(strategy["params"])
    return shown


def digest(config: Config) -> str:
    """Return the SHA-256 (hex) of the resolved configuration's canonical JSON.

    Equal for files that mean the same (`8%` and `0.08`, other order of keys, comments); does not
    depend on secrets.
    """
    text = json.dumps(resolved(config), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def resolved_yaml(config: Config) -> str:
    """Return `resolved` as YAML that loads to the same configuration, but for secrets."""
    shown = resolved(config)
    for strategy in shown["strategies"]:
        strategy["params"] = _kept_text(strategy["params"])
    return yaml.dump(shown, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Quoted(str):
    """Text that must stay in quotes."""


class _Dumper(yaml.SafeDumper):
    """Writes `_Quoted` in quotes."""

    def ignore_aliases(self, data: object) -> bool:
        return True


_Dumper.add_representer(
    _Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')
)


def _redacted(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _redacted(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_redacted(inner, name) for inner in value]
    return REDACTED if secret_name(name) or (isinstance(value, str) and looks_secret(value)) else value


def _kept_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _kept_text(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_kept_text(inner) for inner in value]
    return _Quoted(value) if isinstance(value, str) and not _reads_as_itself(value) else value


def _reads_as_itself(text: str) -> bool:
    try:
        return read_plain(text) == text
    except ValueError:
        return False


def json_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 7) of the file, for yaml-language-server and its like.

    Never stricter than the loader; looser where a rule needs two keys at once.
    """
    schema = _draft7(Config.model_json_schema(by_alias=True))
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "tradebot.yaml"}
    return head | {key: value for key, value in schema.items() if key != "title"}


def _draft7(node: Any, parent: str = "") -> Any:
    if isinstance(node, list):
        return [_draft7(item) for item in node]
    if not isinstance(node, dict):
        return node
    named = parent in ("properties", "patternProperties", "$defs")
    out = {
        "definitions" if key == "$defs" else key: _draft7(value, "" if named else key)
        for key, value in node.items()
        if named or key not in ("discriminator", "title")
    }
    return out if named else _filled_in(_referring(out))


def _referring(node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    ref = {"$ref": node.pop("$ref").replace("#/$defs/", "#/definitions/")}
    return {"allOf": [ref], **node} if node else ref  # draft 7 ignores what stands beside $ref


def _filled_in(node: dict[str, Any]) -> dict[str, Any]:
    """Let `${VAR}` stand wherever text may."""
    if "pattern" in node:
        node["pattern"] = f"({node['pattern']})|{_VARIABLE}"
    if "enum" in node:
        words = {"enum": node.pop("enum")}
        node.pop("type", None)
        node["anyOf"] = [words, {"type": "string", "pattern": _VARIABLE}]
    return node

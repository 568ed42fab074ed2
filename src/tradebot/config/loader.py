"""Load a configuration: one typed Config, or every problem of the file at once with its line.

Order: file, `TRADEBOT__A__B` variables, `--set` overrides; then `${VAR}`; then the checks. Reads
one file and the given environment, nothing else, and imports only PyYAML and pydantic.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from tradebot.config.checks import Checks
from tradebot.config.expand import Builder
from tradebot.config.fields import NAME
from tradebot.config.messages import problems_of
from tradebot.config.models import Config
from tradebot.config.nodes import MapNode, ScalarNode, SeqNode, compose
from tradebot.config.overrides import apply_environment, apply_overrides, parts_of
from tradebot.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration with its file, so that later checks can still name a line."""

    config: Config
    path: Path
    root: MapNode

    def problem(self, key: str, message: str) -> Problem:
        """Return a problem at `key` ("strategies[0].params.fast") or its nearest parent in the file."""
        node: MapNode | SeqNode | ScalarNode = self.root
        mark = self.root.mark
        for part in parts_of(key) or ():
            if isinstance(node, MapNode) and str(part) in node.items:
                mark, node = node.key_marks[str(part)], node.items[str(part)]
            elif isinstance(node, SeqNode) and isinstance(part, int) and part < len(node.items):
                node = node.items[part]
                mark = node.mark
            else:
                break
        if isinstance(node, ScalarNode) and node.mark.line is not None:
            mark = node.mark
        return Problem(file=mark.file, line=mark.line, key=key, message=message)


def load_config(
    path: str | Path, overrides: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> Config:
    """Return the configuration in `path`.

    `overrides` are "path=value" texts; `env` is the environment (the process's own if None).
    Raises ConfigError with every problem.
    """
    return load(path, overrides, env).config


def load(path: str | Path, overrides: Sequence[str] = (), env: Mapping[str, str] | None = None) -> Loaded:
    """Return the configuration in `path` with the lines of its keys; see `load_config`."""
    path = Path(path)
    return parse(_read(path), str(path), overrides, env)


def parse(
    raw: bytes, file: str, overrides: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> Loaded:
    """Return the configuration in `raw`, the content of `file`; see `load_config`."""
    env = os.environ if env is None else env
    problems: list[Problem] = []
    root = compose(raw, file, problems)
    apply_environment(root, env, problems)
    apply_overrides(root, overrides, problems)
    plain = Builder(env, problems).build(root)
    _name_the_only_account(plain)
    config: Config | None = None
    try:
        config = Config.model_validate(plain)
    except ValidationError as exc:
        problems += problems_of(exc.errors(include_url=False, include_input=False), root)
    problems += Checks(root).run()
    if config is None or problems:
        raise ConfigError(_ordered(problems))
    return Loaded(config, Path(file), root)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as exc:
        message = "does not exist; `tradebot init` writes one"
        raise ConfigError([Problem(file=str(path), line=None, key="", message=message)]) from exc
    except OSError as exc:
        message = f"cannot be read: {exc.strerror}"
        raise ConfigError([Problem(file=str(path), line=None, key="", message=message)]) from exc


def _name_the_only_account(plain: object) -> None:
    """Give strategies without an account the only one there is."""
    if not isinstance(plain, dict):
        return
    accounts, strategies = plain.get("accounts"), plain.get("strategies")
    if isinstance(accounts, dict) and len(accounts) == 1 and isinstance(strategies, list):
        name = next(iter(accounts))
        if re.fullmatch(NAME, name) is None:
            return
        for strategy in strategies:
            if isinstance(strategy, dict):
                strategy.setdefault("account", name)


def _ordered(problems: Sequence[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda p: (p.line is None, p.line or 0, p.file, p.key))

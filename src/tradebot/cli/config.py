"""`tradebot config`: what is wrong with the file, what it means, what it may say, where things are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tradebot.cli import out
from tradebot.cli.lazy import group
from tradebot.cli.options import only_config, with_config, with_json
from tradebot.cli.project import find_project
from tradebot.errors import ConfigError, PluginError, Problem

if TYPE_CHECKING:
    from tradebot.config.loader import Loaded


@group("config")
def config() -> None:
    """Validate, show, schema, paths: the YAML file."""


@config.command("validate")
@with_config
@with_json
def validate(config_file: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check the configuration and the strategies it names; changes nothing.

    Prints every mistake with its line. Ends with 78 when there is one.
    """
    project = find_project(config_file)
    loaded = project.load(overrides)
    with out.prints_aside():
        problems = _strategy_problems(loaded, project.root)
    if problems:
        raise ConfigError(problems)
    count = len(loaded.config.strategies)
    if as_json:
        out.as_json({"ok": True, "file": str(loaded.path), "strategies": count, "problems": []})
        return
    out.show(f"{loaded.path}: ok, {count} {'strategy' if count == 1 else 'strategies'}")


def _strategy_problems(loaded: Loaded, root: Path) -> list[Problem]:
    from tradebot.plugins.loader import load_strategy, search_path
    from tradebot.plugins.params import build_params

    folders = search_path(root)
    problems: list[Problem] = []
    for i, strategy in enumerate(loaded.config.strategies):
        key = f"strategies[{i}]"
        try:
            plugin = load_strategy(strategy.class_path, folders)
            params, wrong = build_params(plugin.cls, strategy.params)
            if not wrong:
                plugin.create(params)
        except PluginError as exc:
            problems.append(loaded.problem(f"{key}.class", str(exc)))
            continue
        problems += [
            loaded.problem(".".join(p for p in (f"{key}.params", bad.key) if p), bad.message) for bad in wrong
        ]
        if strategy.interval is None and plugin.kind != "quote":
            message = f"is required: {strategy.class_path} decides on bars; write for example 1d"
            problems.append(loaded.problem(f"{key}.interval", message))
    return problems


@config.command("show")
@with_config
@with_json
def show(config_file: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print every setting with its default, secrets as ***."""
    from tradebot.config.schema import digest, resolved, resolved_yaml

    loaded = find_project(config_file).load(overrides)
    if as_json:
        body = {"file": str(loaded.path), "digest": digest(loaded.config), "config": resolved(loaded.config)}
        out.as_json(body)
        return
    out.show(f"# {loaded.path}, digest {digest(loaded.config)[:12]}")
    out.show(resolved_yaml(loaded.config).rstrip())


@config.command("schema")
@click.option("--json", "_as_json", is_flag=True, hidden=True)  # it is JSON already
def schema(_as_json: bool) -> None:
    """Print the JSON schema (draft 7) of the file, for editors."""
    from tradebot.config.schema import json_schema

    out.show(json.dumps(json_schema(), indent=2))


@config.command("paths")
@only_config
@with_json
def paths(config_file: str | None, as_json: bool) -> None:
    """Print where the configuration, strategies, data and runs are."""
    from tradebot.data.catalogue import bundled_root
    from tradebot.plugins.loader import search_path

    project = find_project(config_file)
    loaded = project.own_config()
    places = {
        "config": project.config_file,
        "project": project.root,
        "strategies": project.strategies,
        "example strategies": next(iter(search_path(project.root)[-1:]), None),
        "data": project.catalogue(loaded).root,
        "bundled data": bundled_root(),
        "runs": project.runs,
    }
    absolute = {name: None if path is None else path.resolve() for name, path in places.items()}
    if as_json:
        out.as_json(
            {"paths": {k.replace(" ", "_"): None if p is None else str(p) for k, p in absolute.items()}}
        )
        return
    rows = [(name, path, _state(path)) for name, path in absolute.items()]
    out.table(("what", "where", ""), rows)


def _state(path: Path | None) -> str:
    return "none: tradebot init" if path is None else "" if path.exists() else "(not there yet)"

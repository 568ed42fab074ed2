"""`tradebot config`: what is wrong with the file, what it means, what it may say, where things are."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tradebot.cli import out
from tradebot.cli.lazy import group
from tradebot.cli.options import only_config, with_config, with_json
from tradebot.cli.project import find_project, located
from tradebot.errors import ConfigError


@group("config")
def config() -> None:
    """Validate, show, schema, paths: the YAML file."""


@config.command("validate")
@with_config
@with_json
def validate(config_file: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check the configuration and the strategies it names; changes nothing.

    Says all that a backtest would refuse of it, but whether the data are there.
    Prints every mistake with its line. Ends with 78 when there is one.
    """
    from tradebot.app.review import review

    project = find_project(config_file)
    loaded = project.load(overrides)
    with located(loaded), out.prints_aside():
        problems = review(loaded.config, project.root)
        if problems:
            raise ConfigError(problems)
    count = len(loaded.config.strategies)
    if as_json:
        out.as_json({"ok": True, "file": str(loaded.path), "strategies": count, "problems": []})
        return
    out.show(f"{loaded.path}: ok, {count} {'strategy' if count == 1 else 'strategies'}")


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

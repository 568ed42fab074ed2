"""`tradebot service`: the systemd unit that runs the daemon of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tradebot.cli import out, shipped
from tradebot.cli.lazy import group
from tradebot.cli.options import only_config, with_json
from tradebot.cli.project import find_project
from tradebot.errors import UsageError

if TYPE_CHECKING:
    from tradebot.daemon.service import Order, Scope

_USER = click.option(
    "--user", "for_user", is_flag=True, help="For yourself only, in your own systemd; needs no root."
)


@group("service")
def service() -> None:
    """Install, uninstall, show: the systemd unit."""


@service.command("install")
@_USER
@click.option("--dry-run", is_flag=True, help="Print the unit and change nothing.")
@only_config
@with_json
def install(for_user: bool, dry_run: bool, config_file: str | None, as_json: bool) -> None:
    """Let systemd run the daemon of this project, also after a reboot.

    Writes the unit with the paths of this installation and enables it. Starts nothing.
    """
    from tradebot.daemon.service import UNIT, Scope, Systemd, render

    order = _order(config_file, Scope.USER if for_user else Scope.SYSTEM)
    template = (shipped.folder("systemd") / UNIT).read_text(encoding="utf-8")
    machine = Systemd()
    path = machine.unit_path(order.scope)
    if dry_run:
        text = render(template, order)
        if as_json:
            out.as_json({"unit": str(path), "text": text, "done": []})
        else:
            out.show(text.rstrip())
        return
    done = machine.install(template, order)
    if as_json:
        out.as_json({"unit": str(path), "text": path.read_text(encoding="utf-8"), "done": done})
        return
    for line in done:
        out.show(f"  {line}")
    if for_user:
        out.show("Next:  systemctl --user start tradebot")
        out.show("       loginctl enable-linger      or it stops when you log out")
    else:
        out.show("Next:  sudo systemctl start tradebot")
        out.show("       journalctl -fu tradebot")


@service.command("uninstall")
@_USER
@with_json
def uninstall(for_user: bool, as_json: bool) -> None:
    """Stop the service and remove its unit. State, journals and credentials stay."""
    from tradebot.daemon.service import Scope, Systemd

    done = Systemd().uninstall(Scope.USER if for_user else Scope.SYSTEM)
    if as_json:
        out.as_json({"done": done})
        return
    for line in done:
        out.show(f"  {line}")
    out.show("State and credentials are where they were.")


@service.command("show")
@with_json
def show(as_json: bool) -> None:
    """Print which unit is installed and which configuration it runs."""
    from tradebot.daemon.service import Systemd

    found = Systemd().installed()
    if as_json:
        body = found and {"scope": found.scope.value, "unit": str(found.unit), "config": str(found.config)}
        out.as_json({"installed": body})
    elif found is None:
        out.show("not installed: tradebot service install")
    else:
        rows = (("for", found.scope.value), ("unit", found.unit), ("config", found.config))
        out.table(("what", "where"), rows)


def _order(config_file: str | None, scope: Scope) -> Order:
    from tradebot.config.find import find_config
    from tradebot.daemon.service import Order, own_program, project_of

    project = find_project(config_file)
    # The configuration is not read: its `${NAME}` may be credentials that only the service gets.
    config = (project.config_file or find_config(project.root)).resolve()
    if not config.is_file():
        raise UsageError(f"{config} must be a configuration, is not there; `tradebot init` writes one")
    return Order(scope=scope, program=own_program(), project=project_of(config), config=config)

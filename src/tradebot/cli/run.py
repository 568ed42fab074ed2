"""`tradebot run`: trade in the foreground, until a signal or `tradebot stop`."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click

from tradebot.cli import out
from tradebot.cli.lazy import command
from tradebot.cli.options import with_config
from tradebot.cli.project import Project, find_project, located

if TYPE_CHECKING:
    from tradebot.config.loader import Loaded


@command("run")
@click.option("--live", is_flag=True, help="Trade real money; the file must say mode: live, too.")
@with_config
def run(live: bool, config_file: str | None, overrides: tuple[str, ...]) -> None:
    """Trade the accounts of the configuration until a signal or `tradebot stop`.

    Starting is recovering: facts are replayed, the venue is asked, exits are placed again, and only then
    is anything traded. PAPER is the default.
    """
    project = find_project(config_file)
    loaded = project.load(overrides)
    with located(loaded):
        code = _run(project, loaded, live=live)
    raise SystemExit(code)


def _run(project: Project, loaded: Loaded, *, live: bool) -> int:
    import asyncio

    from tradebot.app.serving import serve
    from tradebot.daemon import places

    where = places.find_places(project.root, os.environ)
    out.note(f"{'LIVE' if live else 'PAPER'}  state in {where.state}")
    return asyncio.run(serve(loaded.config, project.root, where, wall=int(time.time())))

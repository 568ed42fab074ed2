"""`tradebot notify`: whether the owner can be reached."""

from __future__ import annotations

import os
from collections.abc import Mapping

import click

from tradebot.cli import out
from tradebot.cli.lazy import group
from tradebot.cli.options import with_config, with_json
from tradebot.cli.project import Project, find_project
from tradebot.errors import ExitCode, TradebotError


@group("notify")
def notify() -> None:
    """Test: messages to the owner."""


@notify.command("test")
@click.option("--no-ping", is_flag=True, help="Leave out the proofs of life, which may silence an alarm.")
@with_config
@with_json
def test(no_ping: bool, config_file: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Send a test message to every address of `notify`, and every ping once.

    Ends with 1 when one of them did not arrive.
    """
    import asyncio

    from tradebot.daemon.reach import reach

    project = find_project(config_file)
    loaded = project.load(overrides, _variables(project))
    entries = [entry for entry in loaded.config.notify if entry.url is not None or not no_ping]
    if not entries:
        raise TradebotError(
            f"{loaded.path} must have an address under `notify` to be tested, has none; write for example "
            'notify: [{url: "${NOTIFY_URL}", from: warning}]'
        )
    results = asyncio.run(reach(entries, loaded.config.mode.upper()))
    if as_json:
        out.as_json({"sent": [{"place": place, "ok": why is None, "error": why} for place, why in results]})
    else:
        out.table(("where", "arrived", ""), [(p, "yes" if w is None else "no", w or "") for p, w in results])
    if any(why is not None for _, why in results):
        raise click.exceptions.Exit(ExitCode.FAILED)


def _variables(project: Project) -> Mapping[str, str]:
    """Return the environment with the secrets that the daemon would find behind it."""
    from tradebot.config.find import find_config
    from tradebot.daemon.secrets import Variables, Vault
    from tradebot.daemon.service import places_here

    places = places_here(project.config_file or find_config(project.root), os.environ)
    vault = Vault(credentials=places.credentials, files=places.key_files, env=os.environ, warn=out.note)
    return Variables(vault, os.environ)

"""`tradebot run`: trade in the foreground, until a signal or `tradebot stop`."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from tradebot.cli import operate, out
from tradebot.cli.lazy import command
from tradebot.cli.options import with_config
from tradebot.cli.project import Project, find_project, located
from tradebot.errors import Busy, ExitCode, NotRunning, TradebotError, UsageError

if TYPE_CHECKING:
    from tradebot.app.orphans import Choice
    from tradebot.app.serving import Outside
    from tradebot.config.loader import Loaded


@command("run")
@click.option("--live", is_flag=True, help="Trade real money; the file must say mode: live, too.")
@click.option("--paper", is_flag=True, help="Trade simulated money (the default).")
@click.option(
    "--log-level",
    type=click.Choice(("debug", "info", "warning", "error")),
    default="info",
    show_default=True,
    help="What is logged.",
)
@click.option("--until-end", is_flag=True, help="End when stored data that are played have ended.")
@click.option(
    "--watch",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="Print the status every so often.",
)
@click.option(
    "--orphans",
    type=click.Choice(("refuse", "keep", "close")),
    default="refuse",
    show_default=True,
    help="What becomes of strategies that own something and that the file no longer names.",
)
@click.option(
    "--never-on-paper",
    multiple=True,
    metavar="STRATEGY",
    help="Let it trade real money although it never ran on paper as it is. Repeatable.",
)
@with_config
def run(
    live: bool,
    paper: bool,
    log_level: str,
    until_end: bool,
    watch: int | None,
    orphans: Choice,
    never_on_paper: tuple[str, ...],
    config_file: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Trade the accounts of the configuration until a signal or `tradebot stop`.

    Starting is recovering: facts are replayed, the venue is asked, exits are placed again, and only then
    is anything traded. PAPER is the default.
    """
    if live and paper:
        raise UsageError("--live and --paper do not go together")
    project = find_project(config_file)
    outside, variables = _outside(project, log_level)
    loaded = project.load(overrides, variables)
    _check_mode(loaded.config.mode, live=live)
    wishes = replace(outside, until_end=until_end, orphans=orphans, never_on_paper=never_on_paper)
    with located(loaded), _watched(project, watch):
        code = _run(project, loaded, wishes)
    click.get_current_context().exit(code)


def _check_mode(mode: str, *, live: bool) -> None:
    """Raise UsageError unless file and command line agree on whose money it is."""
    if live and mode != "live":
        raise UsageError(f"--live trades real money only if the file says mode: live, too; it says {mode}")
    if mode == "live" and not live:
        raise UsageError(
            "the file says mode: live; real money is traded only with --live on the command line, too"
        )


@contextmanager
def _watched(project: Project, every: int | None) -> Iterator[None]:
    """Print the status every so many seconds, and once more at the end, for as long as this lasts."""
    if every is None:
        yield
        return
    from tradebot.cli.status import show
    from tradebot.daemon import places

    where, over = places.find_places(project.root, os.environ), threading.Event()

    def tell() -> None:
        try:
            show(where)
            out.show()
        except (NotRunning, Busy):
            pass  # it starts, and has nothing to show yet
        except TradebotError as exc:
            out.note(f"no status: {exc}")  # the next one may come through

    def watch() -> None:
        while not over.wait(every):
            tell()

    watcher = threading.Thread(target=watch, name="watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join(timeout=10.0)
        tell()


def _run(project: Project, loaded: Loaded, outside: Outside) -> int:
    import asyncio

    from tradebot.app.serving import serve
    from tradebot.daemon import places

    where = places.find_places(project.root, os.environ)
    out.note(f"{operate.mode_word(loaded.config.mode)}  state in {where.state}")
    try:
        return asyncio.run(serve(loaded.config, project.root, where, outside))
    except asyncio.CancelledError:
        return ExitCode.OK  # a signal ended the start before anything was traded


def _outside(project: Project, level: str) -> tuple[Outside, Mapping[str, str]]:
    """Return what the daemon is given, and the environment in which `${NAME}` of the file is looked up."""
    from tradebot.app.serving import Outside
    from tradebot.daemon import ending, places
    from tradebot.daemon.redact import Redactor
    from tradebot.daemon.secrets import Variables, Vault

    where = places.find_places(project.root, os.environ)
    redactor, warnings = Redactor(), list[str]()
    redactor.add_environment(os.environ)
    vault = Vault(
        credentials=where.credentials,
        files=where.key_files,
        env=os.environ,
        found=redactor.add,
        warn=warnings.append,
    )
    outside = Outside(
        vault=vault, redactor=redactor, warnings=warnings, log_level=level, ending=ending.at_the_latest
    )
    return outside, Variables(vault, os.environ)

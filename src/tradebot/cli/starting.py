"""`tradebot start` and `tradebot stop`: the daemon in the background, up to READY and down in order.

Owns how it is brought up (by the installed service, or as a process of its own) and how long is waited.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tradebot.cli import operate, out
from tradebot.cli.lazy import command
from tradebot.cli.options import only_config, with_config, with_json
from tradebot.cli.project import find_project
from tradebot.errors import Busy, ExitCode, NotRunning, TradebotError, UsageError

if TYPE_CHECKING:
    from tradebot.daemon.places import Places
    from tradebot.daemon.service import Installed

_LOOK_EVERY = 0.1  # seconds
_TAIL = 20  # lines of the log that are shown when a start fails
LOG = "daemon.log"


@command("start")
@click.option("--live", is_flag=True, help="Trade real money; the file must say mode: live, too.")
@click.option("--paper", is_flag=True, help="Trade simulated money (the default).")
@click.option("--timeout", type=click.FloatRange(1, 3600), default=180.0, show_default=True, metavar="SECONDS",
              help="How long to wait until it trades.")  # fmt: skip
@click.option("--orphans", type=click.Choice(("refuse", "keep", "close")), default="refuse", show_default=True,
              help="What becomes of strategies that own something and that the file no longer names.")  # fmt: skip
@click.option("--never-on-paper", multiple=True, metavar="STRATEGY",
              help="Let it trade real money although it never ran on paper as it is. Repeatable.")  # fmt: skip
@with_config
@with_json
def start(
    live: bool,
    paper: bool,
    timeout: float,
    orphans: str,
    never_on_paper: tuple[str, ...],
    config_file: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Start the daemon in the background and wait until it trades.

    It goes on when you log out. With an installed service (tradebot service install) that one is
    started. When it does not come up, what it said and its exit code are given.
    """
    from tradebot.cli.status import show

    if live and paper:
        raise UsageError("--live and --paper do not go together")
    where = operate.find_daemon(config_file)
    if operate.is_running(where):
        raise Busy(f"a daemon runs for {where.project} already.  See: tradebot status")
    installed = installed_for(config_file)
    if installed is not None:
        if overrides or live or never_on_paper or orphans != "refuse":
            raise UsageError(
                "the installed service takes its words from the unit; use tradebot run for others"
            )
        _start_service(installed)
    else:
        words = [*(["--live"] if live else []), "--orphans", orphans]
        words += [word for name in never_on_paper for word in ("--never-on-paper", name)]
        words += [word for override in overrides for word in ("--set", override)]
        config = find_project(config_file).config_file
        words += ["-c", str(config.resolve())] if config is not None else []
        _start_process(where, words, timeout)
    code = show(where, as_json=as_json)
    click.get_current_context().exit(int(code))


def installed_for(config_file: str | None) -> Installed | None:
    """Return the installed service that runs this project, None without one."""
    from tradebot.daemon.service import Systemd

    config = find_project(config_file).config_file
    found = Systemd().installed()
    return found if found is not None and (config is None or found.config == config.resolve()) else None


def _systemctl(installed: Installed, *words: str) -> None:
    from tradebot.daemon.service import UNIT, Scope

    user = ["--user"] if installed.scope is Scope.USER else []
    done = subprocess.run(["systemctl", *user, *words, UNIT], check=False)
    if done.returncode:
        how = f"journalctl {' '.join([*user, '-u', UNIT, '-n', '50'])}"
        raise TradebotError(f"systemctl {words[0]} ended with {done.returncode}.  See: {how}")


def _start_service(installed: Installed) -> None:
    _systemctl(installed, "start")  # Type=notify: it returns at READY


def _start_process(where: Places, words: Sequence[str], timeout: float) -> None:
    from tradebot.daemon import places
    from tradebot.daemon.service import own_program

    places.make(where)
    log = where.logs / LOG
    program = own_program()
    if program[0] == sys.executable:
        program = (sys.executable, "-P", *program[1:])  # a file tradebot.py in the project is not us
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        begin = os.fstat(said).st_size
        pid = os.posix_spawn(
            program[0],
            [*program, "run", *words],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, said, 1),
                (os.POSIX_SPAWN_DUP2, said, 2),
            ],
            setsid=True,  # a session of its own: the end of this terminal is not its end
        )
    finally:
        os.close(said)
    try:
        _wait_until_ready(where, pid, timeout)
    except _Ended as exc:
        _show_log(log, begin)
        message = f"the daemon ended with {exc.code} before it traded; all it said is in {log}"
        out.note(f"{out.style('Error:', 'bad', sys.stderr)} {message}")
        raise click.exceptions.Exit(exc.code) from exc


class _Ended(Exception):
    """The process ended before it was ready."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _wait_until_ready(where: Places, pid: int, timeout: float) -> None:
    from tradebot.daemon.control_client import Client

    until = time.monotonic() + timeout
    client = Client(where, timeout=5.0)
    while time.monotonic() < until:
        ended, how = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(how)
            raise _Ended(code if code > 0 else int(ExitCode.FAILED))
        try:
            if client.get("status")["ready"]:
                return
        except (NotRunning, Busy):
            pass  # not yet
        time.sleep(_LOOK_EVERY)
    raise TradebotError(
        f"the daemon (process {pid}) must trade within {timeout:g} s, does not; it goes on trying.  "
        "See: tradebot status"
    )


def _show_log(log: Path, begin: int) -> None:
    from tradebot.cli.logs import pretty

    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode("utf-8", "replace").splitlines()
    for line in lines[-_TAIL:]:
        out.note(f"  {pretty(line)}")


@command("stop")
@click.option("--reason", metavar="TEXT", help="Why, for whoever asks later.")
@click.option("--timeout", type=click.FloatRange(1, 3600), default=90.0, show_default=True, metavar="SECONDS",
              help="How long to wait for its end.")  # fmt: skip
@only_config
@with_json
def stop(reason: str | None, timeout: float, config_file: str | None, as_json: bool) -> None:
    """Stop the daemon in order: entries and quotes are cancelled, positions and their protection stay.

    Prints what stays open. Ends with 1 when the daemon ended otherwise than in order.
    """
    from tradebot.daemon.control_client import Client
    from tradebot.daemon.startlog import StartLog

    where = operate.find_daemon(config_file)
    installed = installed_for(config_file)

    answer = Client(where).post("stop", {"reason": reason})
    _wait_for_the_end(where, timeout)
    if installed is not None:
        _systemctl(installed, "stop")
    in_order = StartLog(where.state).ended_in_order
    _show_left(where, str(answer["mode"]), in_order=in_order, as_json=as_json)
    if not in_order:
        raise TradebotError(
            "the daemon must end in order, was ended otherwise: what it should have cancelled may still work at the "
            "venue.  See: tradebot logs"
        )


def _wait_for_the_end(where: Places, timeout: float) -> None:
    until = time.monotonic() + timeout
    while operate.is_running(where):
        if time.monotonic() > until:
            raise TradebotError(f"the daemon must end within {timeout:g} s, has not.  See: tradebot status")
        time.sleep(_LOOK_EVERY)


def _show_left(where: Places, mode: str, *, in_order: bool, as_json: bool) -> None:
    from tradebot.store import views

    rows: list[dict[str, object]] = []
    for kept in operate.kept_accounts(where, mode=mode):
        with operate.views(kept) as opened:
            held = views.positions(opened)
            working = views.orders(opened, is_open=True)
        rows.append(
            {
                "name": kept.name,
                "positions": [
                    {"instrument": p.instrument, "strategy": p.strategy, "qty": operate.plain(p.qty)} for p in held
                ],
                "orders": [
                    {"id": o.id, "instrument": o.instrument, "side": o.side, "qty": operate.plain(o.leaves),
                     "purpose": o.purpose} for o in working
                ],
            }
        )  # fmt: skip
    if as_json:
        out.as_json({"mode": mode, "stopped": True, "in_order": in_order, "accounts": rows})
        return
    out.show(f"{operate.mode_word(mode)}  stopped")
    for row in rows:
        positions, orders = row["positions"], row["orders"]
        assert isinstance(positions, list) and isinstance(orders, list)
        for p in positions:
            out.show(f"  {row['name']}  holds {p['qty']} {p['instrument']} ({p['strategy'] or 'nobody'})")
        for o in orders:
            out.show(
                f"  {row['name']}  {o['purpose']} order stays: {o['side']} {o['qty']} {o['instrument']} ({o['id']})"
            )
        if not positions and not orders:
            out.show(f"  {row['name']}  nothing stays open")

"""`tradebot doctor`: is it ok?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from tradebot.cli import operate, out
from tradebot.cli.lazy import command
from tradebot.cli.options import only_config, with_json
from tradebot.cli.project import find_project
from tradebot.errors import ConfigError, ExitCode, TradebotError

if TYPE_CHECKING:
    from tradebot.app.doctor import Check
    from tradebot.config.models import Config
    from tradebot.daemon.places import Places

_ROLES = {"ok": "good", "note": "warn", "bad": "bad"}


@command("doctor")
@only_config
@with_json
def doctor(config_file: str | None, as_json: bool) -> None:
    """Check configuration, strategies, data, venues, files, disk, clock, calendars, halts; change nothing.

    Ends with 1 when something is bad. A note is worth knowing and fails nothing.
    """
    from tradebot.app.doctor import Patient, examine
    from tradebot.daemon.secrets import Vault

    project = find_project(config_file)
    config, checks = _config(config_file)
    where = operate.find_daemon(config_file)
    kept = operate.kept_accounts(where)
    patient = Patient(
        config=config,
        project=project.root,
        where=where,
        accounts=[(k.name, k.places) for k in kept],
        answers=lambda: _answers(where),
        vault=Vault(credentials=where.credentials, files=where.key_files, env=os.environ, warn=out.note),
    )
    with out.prints_aside():
        checks += examine(patient)
    mode = "unknown" if config is None else config.mode
    if as_json:
        rows = [{"check": c.name, "verdict": c.verdict.value, "text": c.text, "todo": c.todo} for c in checks]
        out.as_json({"mode": mode, "checks": rows})
    else:
        _print(mode, checks)
    is_bad = any(c.verdict.value == "bad" for c in checks)
    click.get_current_context().exit(int(ExitCode.FAILED if is_bad else ExitCode.OK))


def _config(config_file: str | None) -> tuple[Config | None, list[Check]]:
    from tradebot.app.doctor import Check, Verdict

    project = find_project(config_file)
    try:
        config = project.load().config
    except ConfigError as exc:
        todo = "tradebot config validate"
        return None, [
            Check(name="config", verdict=Verdict.BAD, text=str(problem), todo=todo)
            for problem in exc.problems
        ]
    text = f"{operate.project_relative(project.config_file)} is right" if project.config_file else "is right"
    return config, [Check(name="config", verdict=Verdict.OK, text=text)]


def _answers(where: Places) -> bool:
    try:
        return operate.ask_status(where) is not None
    except TradebotError:
        return False


def _print(mode: str, checks: list[Check]) -> None:
    out.show("unknown mode" if mode == "unknown" else operate.mode_word(mode))
    for check in checks:
        word = out.style(f"{check.verdict.value:<4}", _ROLES[check.verdict.value])
        out.show(f"  {word}  {check.name:<10}  {check.text}")
        if check.todo:
            out.show(f"                    {check.todo}")
    bad = sum(check.verdict.value == "bad" for check in checks)
    out.show("All is well." if not bad else f"{bad} bad.")

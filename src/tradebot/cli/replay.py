"""`tradebot replay`: run a recorded run again, and show what comes out another way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tradebot.cli import operate, out
from tradebot.cli.lazy import command
from tradebot.cli.operate import Kept, moment, with_reading
from tradebot.cli.project import find_project, located
from tradebot.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from tradebot.app.rerun import Rerun
    from tradebot.store.story import Run


@command("replay")
@click.argument("run", metavar="[RUN]", required=False)
@click.option("--list", "listing", is_flag=True, help="List the recorded runs instead.")
@with_reading
def replay(
    run: str | None, listing: bool, account: str | None, config_file: str | None, as_json: bool
) -> None:
    """Give a recorded run's inputs to the engine again and compare the facts. Changes nothing.

    RUN is the id of a run or the beginning of it, the latest if not given. Ends with 1 at the first
    difference, which it shows. Uses the strategies and the configuration as they are now.
    """
    from tradebot.app.rerun import rerun, runs_of

    where = operate.find_daemon(config_file)
    kept = _one(operate.traded(where, account))
    runs = runs_of(kept.places)
    if listing:
        _list(kept, runs, as_json)
        return
    chosen = _chosen(runs, run)
    project = find_project(config_file)
    loaded = project.load()
    with located(loaded):
        result = rerun(loaded.config, project.root, kept.name, kept.places, chosen)
    if as_json:
        out.as_json({"account": kept.name, "mode": kept.mode, **_plain(result)})
    else:
        _print(kept, result)
    click.get_current_context().exit(int(ExitCode.OK if result.difference is None else ExitCode.FAILED))


def _one(kept: Sequence[Kept]) -> Kept:
    if len(kept) > 1:
        raise UsageError(f"say which one: --account {' or '.join(k.name for k in kept)}")
    return kept[0]


def _chosen(runs: Sequence[Run], name: str | None) -> Run:
    found = [r for r in runs if name is None or r.run_id == name] or [
        r for r in runs if name is not None and r.run_id.startswith(name)
    ]
    if not found or (name is not None and len(found) > 1):
        known = ", ".join(r.run_id for r in runs[-5:])
        raise UsageError(f"{name!r} is {'no run' if not found else 'several runs'}; the latest are {known}")
    return found[-1]


def _list(kept: Kept, runs: Sequence[Run], as_json: bool) -> None:
    if as_json:
        out.as_json({"account": kept.name, "mode": kept.mode, "runs": [r._asdict() for r in runs]})
        return
    out.note(kept.banner)
    rows = [(r.run_id, moment(r.started), moment(r.alive_until), r.reason or "killed, or runs") for r in runs]
    out.table(("RUN", "FROM (UTC)", "TO (UTC)", "ENDED"), rows)


def _plain(result: Rerun) -> dict[str, object]:
    found = result.difference
    first = None if found is None else {"seq": found.seq, "recorded": found.recorded, "now": found.now}
    return {
        "run": result.run_id,
        "inputs": result.inputs,
        "facts": result.facts,
        "same": found is None,
        "first_difference": first,
        "notes": list(result.notes),
    }


def _print(kept: Kept, result: Rerun) -> None:
    counts = f"{result.inputs} inputs, {result.facts} facts compared"
    out.show(
        f"{kept.banner}  {result.run_id}: {'the same' if result.difference is None else 'differs'}, {counts}"
    )
    if result.difference is not None:
        out.show(f"  recorded  {result.difference.recorded or 'nothing'}")
        out.show(f"  now       {result.difference.now or 'nothing'}")
    for text in result.notes:
        out.note(text)

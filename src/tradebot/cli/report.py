"""`tradebot report`: a stored run again, as table, page or JSON, and the list of all runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tradebot.cli import out
from tradebot.cli.lazy import command
from tradebot.cli.options import only_config, with_json
from tradebot.cli.project import find_project
from tradebot.cli.runs import find_run

if TYPE_CHECKING:
    from tradebot.report.runs import RunStore


@command("report")
@click.argument("run", metavar="[RUN]", required=False)
@click.option("--list", "listing", is_flag=True, help="List all stored runs instead.")
@click.option("--html", "only_html", is_flag=True, help="Only make the page again and print its path.")
@click.option("--text", "only_text", is_flag=True, help="Only print the table.")
@click.option("--open", "open_it", is_flag=True, help="Show the page in a browser.")
@only_config
@with_json
def report(
    run: str | None,
    listing: bool,
    only_html: bool,
    only_text: bool,
    open_it: bool,
    config_file: str | None,
    as_json: bool,
) -> None:
    """Show a stored run again: RUN is its id or the beginning of it, the latest if not given.

    Prints the table and makes the HTML page again.
    """
    from tradebot.report.runs import RunStore

    if sum((listing, only_html, only_text, as_json)) - (listing and as_json) > 1:
        raise click.UsageError("--list, --html, --text and --json do not go together")
    store = RunStore(find_project(config_file).runs)
    if listing:
        _list(store, as_json)
        return
    entry = find_run(store, run)
    if only_html:
        path = store.write_report(entry.run_id)
        out.show(str(path))
    else:
        path = _shown(store, entry.run_id, page=not only_text and not as_json, as_json=as_json)
    if open_it:
        click.launch(str(path))


def _shown(store: RunStore, run_id: str, *, page: bool, as_json: bool) -> Path:
    from tradebot.report.jsonout import to_dict
    from tradebot.report.metrics import measure
    from tradebot.report.runs import REPORT
    from tradebot.report.text import print_report

    result = store.load(run_id)
    metrics = measure(result)
    path, lost = store.root / run_id / REPORT, None
    try:
        if page:
            store.write_report(run_id)
    except OSError as exc:
        exc.filename = exc.filename or str(path)  # a full disk names no file
        lost = exc  # a folder of others keeps no page, and hides no figure
    if as_json:
        out.as_json(to_dict(result, metrics))
    else:
        print_report(result, metrics, sys.stdout, report_path=str(path) if path.is_file() else None)
    if lost is not None:
        raise lost
    return path


def _list(store: RunStore, as_json: bool) -> None:
    from tradebot.report import words
    from tradebot.report.jsonout import plain_value

    entries = store.list()
    if as_json:
        rows = [
            {
                "run_id": e.run_id,
                "path": str(e.path),
                "damaged": e.damaged,
                "label": e.label,
                "mode": e.mode,
                "data_label": e.data_label,
                "created_ts": e.created_ts,
                "total_return": plain_value(e.total_return),
                "max_drawdown": plain_value(e.max_drawdown),
                "sharpe": plain_value(e.sharpe),
                "closed_trades": e.closed_trades,
                "has_report": e.has_report,
            }
            for e in entries
        ]
        out.as_json({"runs": rows})
        return
    if not entries:
        out.note(f"No run is stored in {store.root}.  Next: tradebot backtest")
        return
    out.table(
        ("run", "return", "drawdown", "Sharpe", "trades", "data"),
        [
            (
                e.run_id,
                words.percent(e.total_return),
                words.percent(e.max_drawdown),
                words.number(e.sharpe),
                e.closed_trades,
                e.data_label,
            )
            if e.damaged is None
            else (e.run_id, None, None, None, None, f"DAMAGED: {e.damaged}")
            for e in entries
        ],
    )

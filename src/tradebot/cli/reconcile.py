"""`tradebot reconcile`: ours beside the venue's, line by line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from tradebot.cli import operate, out
from tradebot.cli.lazy import command
from tradebot.cli.operate import with_reading
from tradebot.errors import ExitCode, NotRunning, UsageError

if TYPE_CHECKING:
    from tradebot.daemon.places import Places


@command("reconcile")
@click.option("--dry-run", is_flag=True, help="Compare and change nothing (the default).")
@click.option(
    "--adopt", is_flag=True, help="Book the venue's quantities and cash where nothing explains a difference."
)
@click.option("--reason", metavar="TEXT", help="Why they are adopted; it is written into the journal.")
@with_reading
def reconcile(
    dry_run: bool,
    adopt: bool,
    reason: str | None,
    account: str | None,
    config_file: str | None,
    as_json: bool,
) -> None:
    """Compare orders, trades, positions and cash with the venue. Ends with 1 when something differs.

    The daemon does so by itself at every start and again and again; a difference that nothing explains
    halts its symbol. --adopt takes the venue's word for it and lifts that halt. With no daemon it is done from
    here; orders of tradebot's own that the journal does not know are cancelled and what they traded is booked.
    """
    from tradebot.daemon.control_client import Client

    if adopt and dry_run:
        raise UsageError("--dry-run and --adopt do not go together")
    if adopt and not reason:
        raise UsageError("--adopt is written down with a reason: --reason TEXT")
    where = operate.find_daemon(config_file)
    client = Client(where)
    if adopt:
        answer = _adopted(where, config_file, account, str(reason))
        found = answer["adopted"]
    else:
        answer = client.get("reconcile", account=account)
        found = answer["findings"]
    if as_json:
        out.as_json(answer)
    else:
        _print(str(answer["mode"]), found, adopt=adopt)
    differs = not adopt and any(found.values())
    click.get_current_context().exit(int(ExitCode.FAILED if differs else ExitCode.OK))


def _adopted(where: Places, config_file: str | None, account: str | None, reason: str) -> Mapping[str, Any]:
    from tradebot.daemon.control_client import Client

    try:
        return Client(where).post("adopt", {"account": account, "reason": reason})
    except NotRunning:
        from tradebot.cli.direct import adopt_direct

        return adopt_direct(where, config_file, account, reason)


def _print(mode: str, found: Mapping[str, Sequence[Mapping[str, Any]]], *, adopt: bool) -> None:
    for name, lines in found.items():
        out.show(f"{operate.mode_word(mode)}  {name}")
        if not lines:
            out.show("  nothing to adopt" if adopt else "  ours and the venue's agree")
            continue
        rows = [(f"  {x['kind']}", x["what"], x["ours"], x["theirs"], x["means"]) for x in lines]
        out.table(("  KIND", "WHAT", "OURS", "VENUE", "VERDICT"), rows)
